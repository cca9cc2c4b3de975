import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import type {ApplyJob} from '../src/apply/apply-engine.ts';
import {createDuckDbApply} from '../src/apply/duckdb-apply.ts';
import {systemClock} from '../src/core/clock.ts';
import type {StructType} from '../src/core/types.ts';
import type {AddFile} from '../src/delta/actions.ts';
import type {DeltaContext, DeltaTable} from '../src/delta/delta-table.ts';
import {createTable, openTable} from '../src/delta/table.ts';
import {openEngine} from '../src/engine/duckdb-engine.ts';
import {createLocalStore} from '../src/storage/local-store.ts';
import type {BenchResult} from './result.ts';

const FILES = 20;
const ROWS_PER_FILE = 500_000;
const CHANGES = 100_000;
const LIMIT = 10;

const FLOW = 'bench';
const SIGNAL = new AbortController().signal;

const SCHEMA: StructType = {
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

/**
 * Upsert of 100k changes with random keys into 10M rows in 20 files: deletion vectors against copy-on-write, each time into
 * freshly written files; beside it the same into files that have vectors already, and DuckDB's own MERGE in memory.
 */
export async function run(): Promise<readonly BenchResult[]> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const engine = await openEngine({memoryLimitMb: 4096, threads: 2, tempFolder: join(folder, 'temp')});
  const context: DeltaContext = {store: createLocalStore(join(folder, 'lake')), engine, clock: systemClock};
  try {
    const vectors = await measureTable(context, 'vectors', {repetitions: 3, fresh: true});
    const again = await measureTable(context, 'again', {repetitions: 3, fresh: false});
    const copies = await measureTable(context, 'copies', {repetitions: 1, fresh: true});
    const native = await measureNative(context);
    const ratio = copies / vectors;
    return [
      {
        name: 'upsert of 100k random keys into 10M rows: copy-on-write / deletion vectors',
        measured: `${ratio.toFixed(1)} x (${copies.toFixed(0)} ms / ${vectors.toFixed(0)} ms)`,
        limit: `>= ${LIMIT} x`,
        ok: ratio >= LIMIT,
      },
      information('copy-on-write / deletion vectors on files that have some', copies / again, again),
      information("deletion vectors / DuckDB's MERGE into a table in memory", vectors / native, native),
    ];
  } finally {
    await engine[Symbol.asyncDispose]();
    await rm(folder, {recursive: true, force: true});
  }
}

function information(name: string, ratio: number, ms: number): BenchResult {
  return {name: `the same: ${name}`, measured: `${ratio.toFixed(1)} x (${ms.toFixed(0)} ms)`, limit: '', ok: true};
}

/** Median of the milliseconds that a batch takes; `fresh` puts the first files back before each. */
async function measureTable(
  context: DeltaContext,
  root: string,
  options: {readonly repetitions: number; readonly fresh: boolean},
): Promise<number> {
  const table = await createTable(context, root, {
    schema: SCHEMA,
    configuration: {'sluice.flowId': FLOW},
    deletionVectors: root !== 'copies',
  });
  const adds: AddFile[] = [];
  for (let file = 0; file < FILES; file += 1) {
    const rows = `range(${file * ROWS_PER_FILE}, ${(file + 1) * ROWS_PER_FILE}) AS t(i)`;
    adds.push(...(await table.writeFiles({select: `SELECT ${rowSql('i', '0')} FROM ${rows}`, schema: SCHEMA}, SIGNAL)));
  }
  const apply = createDuckDbApply(context);
  const times: number[] = [];
  for (let at = 1; at <= options.repetitions; at += 1) {
    if (at === 1 || options.fresh) await putBack(table, adds);
    await keepChanges(context, at);
    const startedAt = performance.now();
    const {counts} = await apply.apply(job(root, at), SIGNAL);
    times.push(performance.now() - startedAt);
    const applied = counts.inserted + counts.updated;
    if (applied !== CHANGES) throw new Error(`Of ${CHANGES} changes ${applied} were applied.`);
  }
  return median(times);
}

async function putBack(table: DeltaTable, adds: readonly AddFile[]): Promise<void> {
  await table.refresh();
  const removes = [...table.snapshot.files.values()].map((file) => table.removeOf(file));
  await table.commit({base: table.snapshot, operation: 'WRITE', adds, removes, blindAppend: false});
}

async function measureNative(context: DeltaContext): Promise<number> {
  const {engine} = context;
  const table = await openTable(context, 'vectors');
  if (table === null) throw new Error('The table is gone.');
  await engine.run(`CREATE OR REPLACE TABLE native AS ${await table.readSql()}`);
  const times: number[] = [];
  for (let at = 11; at <= 13; at += 1) {
    await keepChanges(context, at);
    const startedAt = performance.now();
    await engine.run(
      'MERGE INTO native USING changes USING (id) WHEN MATCHED AND changes.seq >= native.seq THEN UPDATE WHEN NOT MATCHED THEN INSERT',
    );
    times.push(performance.now() - startedAt);
  }
  return median(times);
}

/** Four of five changes are updates; the keys of all are spread over the whole table. */
async function keepChanges({engine}: DeltaContext, seq: number): Promise<void> {
  const total = FILES * ROWS_PER_FILE;
  const id = `CASE WHEN c.i % 5 = 0 THEN ${total * (seq + 1)} + c.i ELSE (c.i * 99_991 + ${seq} * 7) % ${total} END`;
  await engine.run(
    `CREATE OR REPLACE TABLE changes AS SELECT ${rowSql('i', String(seq))} FROM (SELECT ${id} AS i FROM range(${CHANGES}) AS c(i))`,
  );
}

function rowSql(i: string, seq: string): string {
  return `${i}::BIGINT AS id, (hash(${i}) % 1000000)::BIGINT AS k, (${i} % 97) / 3.0 AS d, (((${i} * 37) % 1000000) / 100)::DECIMAL(18, 2) AS amount,
    TIMESTAMPTZ '2024-01-01 00:00:00+00' + to_seconds(${i}) AS created_at, 'name-' || (hash(${i}) % 300000) AS name,
    ['NEW', 'OPEN', 'CLOSED', 'LATE'][1 + ${i} % 4] AS status, md5(${i}::VARCHAR) AS token, ${i} % 3 = 0 AS flag, ${seq}::BIGINT AS seq`;
}

function job(root: string, at: number): ApplyJob {
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

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? Number.NaN;
}
