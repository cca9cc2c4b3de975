import type {ApplyJob} from '../src/apply/apply-engine.ts';
import type {StructType} from '../src/core/types.ts';
import type {AddFile} from '../src/delta/actions.ts';
import type {DeltaContext, DeltaTable} from '../src/delta/delta-table.ts';

/** Data files of the target. */
export const FILES = 20;
export const ROWS_PER_FILE = 500_000;
/** Rows of a batch. */
export const CHANGES = 100_000;
/** The flow that writes the target. */
export const FLOW = 'bench';
export const SIGNAL: AbortSignal = new AbortController().signal;

/** Ten columns of the usual types; `id` is the key, `seq` the sequence. */
export const SCHEMA: StructType = {
  type: 'struct',
  fields: (
    [
      ['id', 'long'],
      ['k', 'long'],
      ['d', 'double'],
      ['amount', {type: 'decimal', precision: 18, scale: 2}],
      ['created_at', 'timestamp'],
      ['name', 'string'],
      ['status', 'string'],
      ['token', 'string'],
      ['flag', 'boolean'],
      ['seq', 'long'],
    ] as const
  ).map(([name, type]) => ({name, type, nullable: true, metadata: {}})),
};

/** Writes the target's rows as data files that are in no version yet. */
export async function writeTarget(table: DeltaTable): Promise<readonly AddFile[]> {
  const adds: AddFile[] = [];
  for (let file = 0; file < FILES; file += 1) {
    const rows = `range(${file * ROWS_PER_FILE}, ${(file + 1) * ROWS_PER_FILE}) AS t(i)`;
    adds.push(...(await table.writeFiles({select: `SELECT ${rowSql('i', '0')} FROM ${rows}`, schema: SCHEMA}, SIGNAL)));
  }
  return adds;
}

/** Makes these files the table, whatever it held. */
export async function putBack(table: DeltaTable, adds: readonly AddFile[]): Promise<void> {
  await table.refresh();
  const removes = [...table.snapshot.files.values()].map((file) => table.removeOf(file));
  await table.commit({base: table.snapshot, operation: 'WRITE', adds, removes, blindAppend: false});
}

/** The table `changes`: four of five are updates; the keys of all are spread over the whole table. */
export async function keepChanges({engine}: DeltaContext, seq: number): Promise<void> {
  const total = FILES * ROWS_PER_FILE;
  const id = `CASE WHEN c.i % 5 = 0 THEN ${total * (seq + 1)} + c.i ELSE (c.i * 99_991 + ${seq} * 7) % ${total} END`;
  await engine.run(
    `CREATE OR REPLACE TABLE changes AS SELECT ${rowSql('i', String(seq))} FROM (SELECT ${id} AS i FROM range(${CHANGES}) AS c(i))`,
  );
}

/** The columns of a row as SQL, made from its number. */
export function rowSql(i: string, seq: string): string {
  return `${i}::BIGINT AS id, (hash(${i}) % 1000000)::BIGINT AS k, (${i} % 97) / 3.0 AS d, (((${i} * 37) % 1000000) / 100)::DECIMAL(18, 2) AS amount,
    TIMESTAMPTZ '2024-01-01 00:00:00+00' + to_seconds(${i}) AS created_at, 'name-' || (hash(${i}) % 300000) AS name,
    ['NEW', 'OPEN', 'CLOSED', 'LATE'][1 + ${i} % 4] AS status, md5(${i}::VARCHAR) AS token, ${i} % 3 = 0 AS flag, ${seq}::BIGINT AS seq`;
}

/** The upsert of the table `changes`, the `at`-th batch of its table. */
export function upsertJob(root: string, at: number): ApplyJob {
  return {
    tableRoot: root,
    flowId: FLOW,
    previousBatchId: at === 1 ? null : at - 1,
    mode: 'scd1',
    target: 'scd1',
    keys: ['id'],
    sequence: ['seq'],
    keysUnique: false,
    onDuplicateKey: 'fail',
    trackedColumns: [],
    ignoreNullColumns: [],
    snapshotAt: 0n,
    tombstoneRetentionMs: null,
    keepTombstones: false,
    deletesWinTies: false,
    appendCursor: null,
    schema: SCHEMA,
    inputs: [{kind: 'relation', select: 'SELECT *, rowid AS __ord FROM changes'}],
    deletes: [],
    start: {rows: at === 1 ? null : {at: at - 1}, deletes: null},
    end: {rows: {at}, deletes: null},
    ledger: [],
    counts: {read: CHANGES, rescuedValues: 0, quarantinedRows: 0},
    notes: {},
  };
}
