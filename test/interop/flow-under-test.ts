import type {ApplyEngine, ApplyJob, ApplyMode} from '../../src/apply/apply-engine.ts';
import {createDuckDbApply} from '../../src/apply/duckdb-apply.ts';
import type {StructType} from '../../src/core/types.ts';
import type {DeltaTable} from '../../src/delta/delta-table.ts';
import {openTable} from '../../src/delta/table.ts';
import type {Lake} from './table-case.ts';

/** A flow that writes a table as a pipeline does: batches through the apply engine, one after the other. */
export class FlowUnderTest {
  readonly #lake: Lake;
  readonly #root: string;
  readonly #schema: StructType;
  readonly #keys: {readonly keys: readonly string[]; readonly sequence: readonly string[]};
  readonly #engine: ApplyEngine;
  #batchId: number | null = null;
  #offset = 0;

  constructor(
    lake: Lake,
    root: string,
    shape: {readonly schema: StructType; readonly keys: readonly string[]; readonly sequence: readonly string[]},
  ) {
    this.#lake = lake;
    this.#root = root;
    this.#schema = shape.schema;
    this.#keys = shape;
    this.#engine = createDuckDbApply(lake.context);
  }

  /** Commits one batch; the SELECT has the schema's columns and maybe `__op` and `__ord`. */
  async apply(mode: ApplyMode, select: string, more: Partial<ApplyJob> = {}): Promise<void> {
    const target = mode === 'hold' || mode === 'replace' ? 'scd1' : mode;
    const job: ApplyJob = {
      tableRoot: this.#root,
      flowId: 'interop',
      previousBatchId: this.#batchId,
      mode,
      target,
      ...(target === 'append' ? {keys: [], sequence: []} : this.#keys),
      keysUnique: false,
      deletesWinTies: false,
      onDuplicateKey: 'fail',
      trackedColumns: [],
      ignoreNullColumns: [],
      snapshotAt: 0n,
      tombstoneRetentionMs: null,
      keepTombstones: target !== 'append',
      appendCursor: null,
      schema: this.#schema,
      inputs: [{kind: 'relation', select}],
      deletes: [],
      start: {rows: this.#offset === 0 ? null : {at: this.#offset}, deletes: null},
      end: {rows: {at: this.#offset + 1}, deletes: null},
      ledger: [],
      counts: {read: 0, rescuedValues: 0, quarantinedRows: 0},
      notes: {},
      ...more,
    };
    const result = await this.#engine.apply(job, this.#lake.signal);
    this.#batchId = result.batchId;
    this.#offset++;
  }

  /** The table as it is now. */
  async open(): Promise<DeltaTable> {
    const table = await openTable(this.#lake.context, this.#root);
    if (table === null) throw new Error(`there is no table at ${this.#root}`);
    return table;
  }
}
