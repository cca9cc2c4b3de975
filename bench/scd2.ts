import type {ApplyJob} from '../src/apply/apply-engine.ts';
import {createDuckDbApply} from '../src/apply/duckdb-apply.ts';
import {END_COLUMN, START_COLUMN, type StructType} from '../src/core/types.ts';
import type {AddFile} from '../src/delta/actions.ts';
import type {DeltaContext, DeltaTable} from '../src/delta/delta-table.ts';
import {createTable} from '../src/delta/table.ts';
import {inBenchLake} from './lake-bench.ts';
import type {BenchResult} from './result.ts';
import {
  CHANGES,
  FILES,
  FLOW,
  keepChanges,
  putBack,
  ROWS_PER_FILE,
  rowSql,
  SCHEMA,
  SIGNAL,
  upsertJob,
  writeTarget,
} from './upsert-target.ts';

const LIMITS = {recent: 6, random: 12} as const;
const REPETITIONS = 3;
const TOTAL = FILES * ROWS_PER_FILE;

/** Which keys a batch has: spread over all, or among the last 5% of the rows. */
type Keys = 'random' | 'recent';

const HISTORY: StructType = {
  type: 'struct',
  fields: [
    ...SCHEMA.fields,
    ...[START_COLUMN, END_COLUMN].map((name) => ({name, type: 'long', nullable: true, metadata: {}}) as const),
  ],
};

/**
 * SCD type 2: 100k changes against 10M open rows in 20 files, four of five of them end a version and begin one, beside the
 * upsert of the same changes into a table of SCD type 1.
 */
export function run(): Promise<readonly BenchResult[]> {
  return inBenchLake(async (context) => {
    const results: BenchResult[] = [];
    for (const keys of ['recent', 'random'] as const) {
      const upsert = await measure(context, keys, 'scd1');
      const history = await measure(context, keys, 'scd2');
      const ratio = history / upsert;
      results.push({
        name: `SCD 2, 100k changes against 10M open rows, ${keys} keys / SCD 1 upsert of the same`,
        measured: `${ratio.toFixed(1)} x (${history.toFixed(0)} ms / ${upsert.toFixed(0)} ms)`,
        limit: `<= ${LIMITS[keys]} x`,
        ok: ratio <= LIMITS[keys],
      });
    }
    return results;
  });
}

/** Median of the milliseconds that a batch takes into freshly written files. */
async function measure(context: DeltaContext, keys: Keys, target: 'scd1' | 'scd2'): Promise<number> {
  const root = `${keys}-${target}`;
  const table = await createTable(context, root, {
    schema: target === 'scd2' ? HISTORY : SCHEMA,
    configuration: {'sluice.flowId': FLOW},
    deletionVectors: true,
  });
  const adds = target === 'scd2' ? await writeOpenRows(table) : await writeTarget(table);
  const apply = createDuckDbApply(context);
  const times: number[] = [];
  for (let at = 1; at <= REPETITIONS; at += 1) {
    await putBack(table, adds);
    if (keys === 'random') await keepChanges(context, at);
    else await keepRecent(context, at);
    const startedAt = performance.now();
    const {counts} = await apply.apply(target === 'scd2' ? historyJob(root, at) : upsertJob(root, at), SIGNAL);
    times.push(performance.now() - startedAt);
    const applied = target === 'scd2' ? counts.inserted : counts.inserted + counts.updated;
    if (applied !== CHANGES) throw new Error(`Of ${CHANGES} changes ${applied} were applied.`);
  }
  await putBack(table, []);
  return times.toSorted((left, right) => left - right)[REPETITIONS >> 1] ?? Number.NaN;
}

function historyJob(root: string, at: number): ApplyJob {
  const trackedColumns = SCHEMA.fields.map(({name}) => name).filter((name) => name !== 'id');
  return {...upsertJob(root, at), mode: 'scd2', target: 'scd2', trackedColumns, keepTombstones: true, schema: HISTORY};
}

async function writeOpenRows(table: DeltaTable): Promise<readonly AddFile[]> {
  const adds: AddFile[] = [];
  for (let file = 0; file < FILES; file += 1) {
    const rows = `range(${file * ROWS_PER_FILE}, ${(file + 1) * ROWS_PER_FILE}) AS t(i)`;
    const select = `SELECT ${rowSql('i', '0')}, 0::BIGINT AS ${START_COLUMN}, NULL::BIGINT AS ${END_COLUMN} FROM ${rows}`;
    adds.push(...(await table.writeFiles({select, schema: HISTORY}, SIGNAL)));
  }
  return adds;
}

/** The table `changes`, its rows shuffled. */
async function keepRecent({engine}: DeltaContext, seq: number): Promise<void> {
  const recent = `${TOTAL * 0.95} + (c.i * 99_991 + ${seq} * 7) % ${TOTAL * 0.05}`;
  const id = `CASE WHEN c.i % 5 = 0 THEN ${TOTAL} + c.i ELSE ${recent} END`;
  await engine.run(
    `CREATE OR REPLACE TABLE changes AS SELECT ${rowSql('i', String(seq))} FROM (SELECT (${id})::BIGINT AS i FROM range(${CHANGES}) AS c(i) ORDER BY hash(c.i))`,
  );
}
