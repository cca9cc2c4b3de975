import {createDuckDbApply} from '../src/apply/duckdb-apply.ts';
import type {StructType} from '../src/core/types.ts';
import type {AddFile} from '../src/delta/actions.ts';
import type {DeltaContext} from '../src/delta/delta-table.ts';
import {createTable} from '../src/delta/table.ts';
import {inBenchLake} from './lake-bench.ts';
import type {BenchResult} from './result.ts';
import {FLOW, SIGNAL, upsertJob} from './upsert-target.ts';

const SIZES = [1_000_000, 10_000_000, 100_000_000] as const;
const ROWS_PER_FILE = 1_000_000;
const CHANGES = 10_000;
const REPETITIONS = 9;
const LIMIT = 1.5;

const SCHEMA: StructType = {
  type: 'struct',
  fields: (['id', 'amount', 'seq'] as const).map((name) => ({name, type: 'long', nullable: true, metadata: {}})),
};

/** The same 10k changes of neighbouring keys into targets of 1M, 10M and 100M rows: the time must not grow with the target. */
export function run(): Promise<readonly BenchResult[]> {
  return inBenchLake(async (context) => {
    const times: number[] = [];
    for (const rows of SIZES) times.push(await measure(context, rows));
    return times.slice(1).map((time, at) => growth(at, time, times[at] ?? Number.NaN));
  });
}

function growth(at: number, time: number, before: number): BenchResult {
  const ratio = time / before;
  const millions = (rows: number | undefined): string => `${(rows ?? 0) / 1e6}M`;
  return {
    name: `10k clustered changes into ${millions(SIZES[at + 1])} / ${millions(SIZES[at])} rows`,
    measured: `${ratio.toFixed(2)} x (${time.toFixed(0)} ms / ${before.toFixed(0)} ms)`,
    limit: `< ${LIMIT} x`,
    ok: ratio < LIMIT,
  };
}

async function measure(context: DeltaContext, rows: number): Promise<number> {
  const root = `rows-${rows}`;
  const configuration = {'sluice.flowId': FLOW};
  const table = await createTable(context, root, {schema: SCHEMA, configuration, deletionVectors: true});
  const adds: AddFile[] = [];
  for (let from = 0; from < rows; from += ROWS_PER_FILE) {
    const select = `SELECT i AS id, i * 37 % 100000 AS amount, 0::BIGINT AS seq FROM range(${from}, ${from + ROWS_PER_FILE}) AS t(i)`;
    adds.push(...(await table.writeFiles({select, schema: SCHEMA}, SIGNAL)));
  }
  await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
  const apply = createDuckDbApply(context);
  const times: number[] = [];
  for (let at = 1; at <= REPETITIONS; at += 1) {
    await keepChanges(context, rows, at);
    const startedAt = performance.now();
    const {counts} = await apply.apply({...upsertJob(root, at), schema: SCHEMA}, SIGNAL);
    times.push(performance.now() - startedAt);
    const applied = counts.inserted + counts.updated;
    if (applied !== CHANGES) throw new Error(`Of ${CHANGES} changes ${applied} were applied.`);
  }
  return times.toSorted((left, right) => left - right)[REPETITIONS >> 1] ?? Number.NaN;
}

/** The table `changes`: four of five are of the last 100k rows of the target, each batch of others; the rest are new. */
async function keepChanges({engine}: DeltaContext, rows: number, at: number): Promise<void> {
  const updated = `${rows - 100_000} + (i * 9 + ${at}) % 100_000`;
  const id = `CASE WHEN i % 5 = 0 THEN ${rows} + ${at} * ${CHANGES} + i ELSE ${updated} END`;
  await engine.run(
    `CREATE OR REPLACE TABLE changes AS SELECT (${id})::BIGINT AS id, i AS amount, ${at}::BIGINT AS seq FROM range(${CHANGES}) AS c(i) ORDER BY hash(i)`,
  );
}
