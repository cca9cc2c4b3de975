import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {createDuckDbApply} from '../src/apply/duckdb-apply.ts';
import {systemClock} from '../src/core/clock.ts';
import type {DeltaContext} from '../src/delta/delta-table.ts';
import {createTable, openTable} from '../src/delta/table.ts';
import {openEngine} from '../src/engine/duckdb-engine.ts';
import {createLocalStore} from '../src/storage/local-store.ts';
import type {BenchResult} from './result.ts';
import {CHANGES, FLOW, keepChanges, putBack, SCHEMA, SIGNAL, upsertJob, writeTarget} from './upsert-target.ts';

const LIMIT = 10;
const NATIVE_LIMIT = 1.5;

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
      {
        name: "the same: deletion vectors / DuckDB's MERGE into a table in memory",
        measured: `${(vectors / native).toFixed(1)} x (${native.toFixed(0)} ms)`,
        limit: `<= ${NATIVE_LIMIT} x`,
        ok: vectors / native <= NATIVE_LIMIT,
      },
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
  const adds = await writeTarget(table);
  const apply = createDuckDbApply(context);
  const times: number[] = [];
  for (let at = 1; at <= options.repetitions; at += 1) {
    if (at === 1 || options.fresh) await putBack(table, adds);
    await keepChanges(context, at);
    const startedAt = performance.now();
    const {counts} = await apply.apply(upsertJob(root, at), SIGNAL);
    times.push(performance.now() - startedAt);
    const applied = counts.inserted + counts.updated;
    if (applied !== CHANGES) throw new Error(`Of ${CHANGES} changes ${applied} were applied.`);
  }
  return median(times);
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

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? Number.NaN;
}
