import {randomUUID} from 'node:crypto';

import type {ColumnVector} from '../core/columns.ts';
import type {StructType} from '../core/types.ts';
import {mappingMode, withOwnNames} from '../delta/column-mapping.ts';
import type {DeltaContext, DeltaTable} from '../delta/delta-table.ts';
import {inFileNames} from '../delta/file-names.ts';

/** A side file as it was written. */
export interface SideFile {
  /** Relative to the table's root. */
  readonly name: string;
  readonly rowCount: number;
  readonly sizeBytes: number;
}

/** More files than this in one list are written anew as one. */
const MAX_FILES = 16;

/** Where side files belong. */
export interface SidePlace {
  readonly table: DeltaTable;
  readonly flowId: string;
  /** The table's columns after the batch. */
  readonly schema: StructType;
}

/**
 * Writes and reads the side files of one flow: Parquet under `<table>/_sluice/<flow id>/`, immutable, durable when written.
 * Columns of the table have the names of its data files in them, so that they outlive a rename.
 */
export class SideFileStore {
  readonly #context: DeltaContext;
  readonly #place: SidePlace;
  readonly #signal: AbortSignal;

  constructor(context: DeltaContext, place: SidePlace, signal: AbortSignal) {
    this.#context = context;
    this.#place = place;
    this.#signal = signal;
  }

  /** Writes the rows of a SELECT; null when there are none. */
  async write(
    kind: 'tombstones' | 'ledger' | 'tail' | 'hidden' | 'rows' | 'deletes' | 'events' | 'truncates' | 'authors',
    select: string,
    schema: StructType,
  ): Promise<SideFile | null> {
    const {table, flowId} = this.#place;
    const name = `_sluice/${flowId}/${kind}-${randomUUID()}.parquet`;
    const staged = await this.#context.store.stage(`${table.root}/${name}`);
    const rows = inFileNames({select, schema: withOwnNames(schema)}, mappingMode(table.snapshot.metadata));
    const written = await this.#context.engine.writeParquet({...rows, localPath: staged.localPath}, this.#signal);
    if (written === null) return null;
    const sizeBytes = await staged.seal(this.#signal);
    return {name, rowCount: written.rowCount, sizeBytes};
  }

  /** Their rows, as a SELECT; the files are read in the order of the list (`file_index`, from 0). Columns that only some have are NULL in the others. */
  async read(names: readonly string[]): Promise<string> {
    return this.#read(names, this.#place.schema);
  }

  async #read(names: readonly string[], schema: StructType): Promise<string> {
    const {table} = this.#place;
    const stored = names.map((name) => `${table.root}/${name}`);
    return `SELECT * EXCLUDE (file_row_number) FROM (${await table.looseFilesSql(stored, schema)}) AS side`;
  }

  /** The ledger's files after new entries: one more file, or a single one of all when there were too many. */
  async appendLedger(
    before: readonly string[],
    entries: readonly {readonly key: string; readonly value: string}[],
  ): Promise<readonly string[]> {
    if (entries.length === 0) return before;
    const newest = [...new Map(entries.map(({key, value}) => [key, value]))];
    const table = await this.#ledgerTable(newest);
    try {
      if (before.length < MAX_FILES)
        return [...before, ...namesOf(await this.write('ledger', `SELECT * FROM ${table}`, LEDGER))];
      const all = `${await this.#read(before, NO_COLUMNS)} UNION ALL SELECT *, ${before.length} FROM ${table}`;
      return namesOf(
        await this.write(
          'ledger',
          `SELECT key, arg_max(value, file_index) FROM (${all}) AS entry GROUP BY key`,
          LEDGER,
        ),
      );
    } finally {
      await this.#context.engine.dropTable(table);
    }
  }

  async #ledgerTable(entries: readonly (readonly [string, string])[]): Promise<string> {
    const {engine} = this.#context;
    const table = engine.uniqueName('ledger');
    await engine.createTable(table, LEDGER);
    const appender = await engine.appender(table, LEDGER);
    try {
      appender.append({
        schema: LEDGER,
        rowCount: entries.length,
        columns: [textVector(entries.map(([key]) => key)), textVector(entries.map(([, value]) => value))],
      });
    } finally {
      appender.close();
    }
    return table;
  }
}

/** True when a list has grown so long that it should be written anew as one file. */
export function isLong(names: readonly string[]): boolean {
  return names.length > MAX_FILES;
}

/** The names of the files that were written. */
export function namesOf(file: SideFile | null): readonly string[] {
  return file === null ? [] : [file.name];
}

/** Of the table, in files that have none. */
const NO_COLUMNS: StructType = {type: 'struct', fields: []};

const LEDGER: StructType = {
  type: 'struct',
  fields: [
    {name: 'key', type: 'string', nullable: false, metadata: {}},
    {name: 'value', type: 'string', nullable: false, metadata: {}},
  ],
};

function textVector(texts: readonly string[]): ColumnVector {
  const parts = texts.map((text) => Buffer.from(text));
  const lengths = Uint32Array.from(parts, (part) => part.length);
  const starts = new Uint32Array(parts.length);
  for (let at = 1; at < parts.length; at += 1) starts[at] = (starts[at - 1] ?? 0) + (lengths[at - 1] ?? 0);
  return {kind: 'bytes', data: Buffer.concat(parts), starts, lengths, validity: null};
}
