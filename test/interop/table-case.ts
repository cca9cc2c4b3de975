import {join} from 'node:path';

import {systemClock} from '../../src/core/clock.ts';
import type {StructType} from '../../src/core/types.ts';
import type {DeltaContext, DeltaTable} from '../../src/delta/delta-table.ts';
import {openEngine} from '../../src/engine/duckdb-engine.ts';
import type {Engine} from '../../src/engine/engine.ts';
import {createLocalStore} from '../../src/storage/local-store.ts';
import type {CanonicalTable, ReaderName} from './foreign-readers.ts';
import {type Row, expectedTable} from './values.ts';

/** A table that was written, and what every version of it must hold. */
export interface TableCase {
  /** A sentence's subject: `appended, every type`. */
  readonly name: string;
  /** Absolute folder. */
  readonly folder: string;
  /** The newest state has no version: readers take what the log says is newest. */
  readonly states: readonly {readonly version?: number; readonly expected: CanonicalTable}[];
  /** Readers that refuse the table, with the feature that their message names. */
  readonly refuses?: Partial<Readonly<Record<ReaderName, string>>>;
}

/** A lake in a folder, with its engine. The caller disposes it. */
export class Lake implements AsyncDisposable {
  readonly folder: string;
  readonly context: DeltaContext;
  readonly engine: Engine;
  readonly signal: AbortSignal = new AbortController().signal;

  private constructor(folder: string, engine: Engine) {
    this.folder = folder;
    this.engine = engine;
    this.context = {store: createLocalStore(folder), engine, clock: systemClock};
  }

  static async open(folder: string, tempFolder: string): Promise<Lake> {
    return new Lake(folder, await openEngine({memoryLimitMb: 1024, threads: 2, tempFolder}));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine[Symbol.asyncDispose]();
  }
}

/** Collects the states of one table while it is written. */
export class CaseRecorder {
  readonly #states: {readonly version: number; readonly expected: CanonicalTable}[] = [];

  /** Remembers what the table's current version must hold. */
  record(table: DeltaTable, rows: readonly Row[], schema: StructType = table.snapshot.schema): void {
    this.#states.push({version: table.snapshot.version, expected: expectedTable(schema, rows)});
  }

  /** The case; the last state is also asked for without its version. */
  finish(lake: Lake, table: DeltaTable, name: string, more: Pick<TableCase, 'refuses'> = {}): TableCase {
    const last = this.#states.at(-1);
    const newest = last === undefined ? [] : [{expected: last.expected}];
    return {name, folder: join(lake.folder, table.root), states: [...this.#states, ...newest], ...more};
  }
}
