import {createDuckDbApply} from '../src/apply/duckdb-apply.ts';
import type {DeltaContext} from '../src/delta/delta-table.ts';
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

const LIMIT = 2;
const REPETITIONS = 5;
const TOTAL = FILES * ROWS_PER_FILE;

/** Which keys a batch has, from the number of a change, `c.i`, and that of the batch. */
type Keys = 'random' | 'recent' | 'clumps';

/**
 * The upsert of 100k changes into 10M rows in 20 files: keys spread over all, recent ones (four of five among the last
 * 5% of the rows, the others new), and clumps at the beginning and at the end with nothing between.
 */
export function run(): Promise<readonly BenchResult[]> {
  return inBenchLake(async (context) => {
    const random = await measure(context, 'random');
    const recent = await measure(context, 'recent');
    const clumps = await measure(context, 'clumps');
    return [
      comparison('recent keys', random, recent),
      {...comparison('keys in two clumps', random, clumps), limit: '', ok: true},
    ];
  });
}

function comparison(what: string, random: number, clustered: number): BenchResult {
  const ratio = random / clustered;
  return {
    name: `upsert of 100k changes into 10M rows: random keys / ${what}`,
    measured: `${ratio.toFixed(1)} x (${random.toFixed(0)} ms / ${clustered.toFixed(0)} ms)`,
    limit: `>= ${LIMIT} x`,
    ok: ratio >= LIMIT,
  };
}

/** Median of the milliseconds that a batch takes into freshly written files. */
async function measure(context: DeltaContext, keys: Keys): Promise<number> {
  const configuration = {'sluice.flowId': FLOW};
  const table = await createTable(context, keys, {schema: SCHEMA, configuration, deletionVectors: true});
  const adds = await writeTarget(table);
  const apply = createDuckDbApply(context);
  const times: number[] = [];
  for (let at = 1; at <= REPETITIONS; at += 1) {
    await putBack(table, adds);
    if (keys === 'random') await keepChanges(context, at);
    else await keepClustered(context, keys, at);
    const startedAt = performance.now();
    const {counts} = await apply.apply(upsertJob(keys, at), SIGNAL);
    times.push(performance.now() - startedAt);
    const applied = counts.inserted + counts.updated;
    if (applied !== CHANGES) throw new Error(`Of ${CHANGES} changes ${applied} were applied.`);
  }
  return times.toSorted((left, right) => left - right)[REPETITIONS >> 1] ?? Number.NaN;
}

/** The table `changes`, its rows shuffled. */
async function keepClustered({engine}: DeltaContext, keys: Keys, seq: number): Promise<void> {
  const recent = `${TOTAL * 0.95} + (c.i * 99_991 + ${seq} * 7) % ${TOTAL * 0.05}`;
  const old = `(c.i * 99_991 + ${seq} * 7) % ${TOTAL * 0.05}`;
  const updated = keys === 'recent' ? recent : `CASE WHEN c.i % 2 = 0 THEN ${recent} ELSE ${old} END`;
  const id = `CASE WHEN c.i % 5 = 0 THEN ${TOTAL} + c.i ELSE ${updated} END`;
  await engine.run(
    `CREATE OR REPLACE TABLE changes AS SELECT ${rowSql('i', String(seq))} FROM (SELECT (${id})::BIGINT AS i FROM range(${CHANGES}) AS c(i) ORDER BY hash(c.i))`,
  );
}
