import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {systemClock} from '../src/core/clock.ts';
import type {DeltaContext} from '../src/delta/delta-table.ts';
import {openEngine} from '../src/engine/duckdb-engine.ts';
import {createLocalStore} from '../src/storage/local-store.ts';
import {watchTree} from './process-tree.ts';
import type {BenchResult} from './result.ts';

const MEMORY_LIMIT = 1024 ** 3;

/** Runs a bench in a lake of its own, whose engine may take 512 MB; last among its results is the peak memory, under 1 GB. */
export async function inBenchLake(
  work: (context: DeltaContext) => Promise<readonly BenchResult[]>,
): Promise<readonly BenchResult[]> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const engine = await openEngine({memoryLimitMb: 512, threads: 2, tempFolder: join(folder, 'temp')});
  const memory = watchTree(process.pid);
  try {
    const results = await work({store: createLocalStore(join(folder, 'lake')), engine, clock: systemClock});
    const peak = memory.stop();
    return [
      ...results,
      {
        name: 'the same: memory of the process',
        measured: `${(peak / 1024 ** 2).toFixed(0)} MB`,
        limit: '<= 1024 MB',
        ok: peak <= MEMORY_LIMIT,
      },
    ];
  } finally {
    memory.stop();
    await engine[Symbol.asyncDispose]();
    await rm(folder, {recursive: true, force: true});
  }
}
