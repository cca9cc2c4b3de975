import type {ApplyJob} from '../src/apply/apply-engine.ts';
import {createDuckDbApply} from '../src/apply/duckdb-apply.ts';
import {END_COLUMN, START_COLUMN, type StructType} from '../src/core/types.ts';
import type {AddFile} from '../src/delta/actions.ts';
import type {DeltaContext, DeltaTable} from '../src/delta/delta-table.ts';
import {createTable} from '../src/delta/table.ts';
import {inBenchLake} from './lake-bench.ts';
import type {BenchResult} from './result.ts';
import {FILES, FLOW, ROWS_PER_FILE, rowSql, SCHEMA, SIGNAL, upsertJob} from './upsert-target.ts';

const LIMIT = 3;
const TOTAL = FILES * ROWS_PER_FILE;
/** One row in this many is another one in the second snapshot, one is gone, one is new. */
const ONE_IN = 1000;

const HISTORY: StructType = {
  type: 'struct',
  fields: [
    ...SCHEMA.fields,
    ...[START_COLUMN, END_COLUMN].map((name) => ({name, type: 'timestamp', nullable: true, metadata: {}}) as const),
  ],
};

/**
 * A snapshot of 10M rows against a table of the 10M rows of the snapshot before, of SCD type 1 and 2, beside one scan of both:
 * all columns of all rows are read and hashed once.
 */
export function run(): Promise<readonly BenchResult[]> {
  return inBenchLake(async (context) => {
    const results: BenchResult[] = [];
    for (const target of ['scd1', 'scd2'] as const) {
      const {difference, scan} = await measure(context, target);
      const ratio = difference / scan;
      results.push({
        name: `snapshot of 10M rows against 10M rows of ${target === 'scd1' ? 'SCD 1' : 'SCD 2'} / one scan of both`,
        measured: `${ratio.toFixed(1)} x (${difference.toFixed(0)} ms / ${scan.toFixed(0)} ms)`,
        limit: `<= ${LIMIT} x`,
        ok: ratio <= LIMIT,
      });
    }
    return results;
  });
}

async function measure(
  context: DeltaContext,
  target: 'scd1' | 'scd2',
): Promise<{readonly difference: number; readonly scan: number}> {
  const schema = target === 'scd2' ? HISTORY : SCHEMA;
  const table = await createTable(context, target, {
    schema,
    configuration: {'sluice.flowId': FLOW},
    deletionVectors: true,
  });
  const apply = createDuckDbApply(context);
  await apply.apply(snapshotJob(target, 1, await stage(table, schema, 0)), SIGNAL);
  await table.refresh();
  const before = [...table.snapshot.files.keys()];
  const files = await stage(table, schema, 1);
  const scan = await scanBoth(context, table, {before, files});
  const startedAt = performance.now();
  const {counts} = await apply.apply(snapshotJob(target, 2, files), SIGNAL);
  const difference = performance.now() - startedAt;
  const changed = TOTAL / ONE_IN;
  const rows = target === 'scd1' ? counts.updated : counts.inserted;
  const wanted = target === 'scd1' ? changed : changed * 2;
  if (rows !== wanted || counts.deleted !== changed)
    throw new Error(`${rows} rows came and ${counts.deleted} went instead of ${wanted} and ${changed}.`);
  return {difference, scan};
}

/** Writes a snapshot's rows as data files; of the second one in a thousand differs, another is gone, and as many are new. */
async function stage(table: DeltaTable, schema: StructType, snapshot: number): Promise<readonly AddFile[]> {
  const versions =
    schema === HISTORY ? `, NULL::TIMESTAMPTZ AS ${START_COLUMN}, NULL::TIMESTAMPTZ AS ${END_COLUMN}` : '';
  const adds: AddFile[] = [];
  for (let file = 0; file < FILES; file += 1) {
    const rows = `range(${file * ROWS_PER_FILE}, ${(file + 1) * ROWS_PER_FILE}) AS t(j)`;
    const numbers = `SELECT CASE WHEN ${snapshot} = 1 AND j % ${ONE_IN} = 7 THEN ${TOTAL} + j ELSE j END AS i FROM ${rows}`;
    const seq = `CASE WHEN ${snapshot} = 1 AND i % ${ONE_IN} = 3 THEN 1 ELSE 0 END`;
    adds.push(
      ...(await table.writeFiles({select: `SELECT ${rowSql('i', seq)}${versions} FROM (${numbers})`, schema}, SIGNAL)),
    );
  }
  return adds;
}

async function scanBoth(
  {engine, store}: DeltaContext,
  table: DeltaTable,
  files: {readonly before: readonly string[]; readonly files: readonly AddFile[]},
): Promise<number> {
  const names = [...files.before, ...files.files.map(({path}) => path)];
  const paths = await Promise.all(names.map((name) => store.localPath(`${table.root}/${name}`)));
  const columns = SCHEMA.fields.map(({name}) => `"${name}"`).join(', ');
  const list = paths.map((path) => `'${path}'`).join(', ');
  const startedAt = performance.now();
  await engine.query(`SELECT bit_xor(hash(${columns})) AS h FROM read_parquet([${list}])`);
  return performance.now() - startedAt;
}

function snapshotJob(target: 'scd1' | 'scd2', at: number, files: readonly AddFile[]): ApplyJob {
  return {
    ...upsertJob(target, at),
    mode: 'replace',
    target,
    sequence: [],
    keysUnique: true,
    trackedColumns: target === 'scd2' ? SCHEMA.fields.map(({name}) => name).filter((name) => name !== 'id') : [],
    snapshotAt: BigInt(at) * 1_000_000n,
    schema: target === 'scd2' ? HISTORY : SCHEMA,
    inputs: [{kind: 'staged', files}],
    start: {rows: null, deletes: null},
    end: {rows: null, deletes: null},
  };
}
