import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {systemClock} from '../src/core/clock.ts';
import type {StructType} from '../src/core/types.ts';
import type {AddFile} from '../src/delta/actions.ts';
import type {DeltaContext, DeltaTable} from '../src/delta/delta-table.ts';
import {createTable, openTable} from '../src/delta/table.ts';
import {openEngine} from '../src/engine/duckdb-engine.ts';
import {createLocalStore} from '../src/storage/local-store.ts';
import type {BenchResult} from './result.ts';

const COMMITS = 10_000;
const OPENINGS = 7;
const LIMIT_MS = 150;

const SCHEMA: StructType = {
  type: 'struct',
  fields: (['id', 'amount', 'seq'] as const).map((name) => ({name, type: 'long', nullable: true, metadata: {}})),
};

/**
 * A table after 10,000 commits that nobody has ever tidied up: every commit has added a file, and every second one has
 * removed the one before. Opened anew each time, just before the next checkpoint.
 */
export async function run(): Promise<readonly BenchResult[]> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const engine = await openEngine({memoryLimitMb: 512, threads: 2, tempFolder: join(folder, 'temp')});
  const context: DeltaContext = {store: createLocalStore(join(folder, 'lake')), engine, clock: systemClock};
  try {
    const table = await createTable(context, 'commits', {schema: SCHEMA});
    const startedAt = performance.now();
    for (let at = 1; at < COMMITS; at += 1) await commit(table, at);
    const perCommit = (performance.now() - startedAt) / COMMITS;
    const times: number[] = [];
    let history = 0;
    for (let at = 0; at < OPENINGS; at += 1) {
      const openedAt = performance.now();
      const opened = await openTable(context, 'commits');
      times.push(performance.now() - openedAt);
      if (opened?.snapshot.version !== COMMITS - 1) throw new Error('Not all commits are there.');
      const readAt = performance.now();
      await opened.history({limit: 20});
      history = performance.now() - readAt;
    }
    const opening = times.toSorted((left, right) => left - right)[OPENINGS >> 1] ?? Number.NaN;
    return [
      {
        name: 'opening a table of 10,000 commits',
        measured: `${opening.toFixed(0)} ms`,
        limit: `< ${LIMIT_MS} ms`,
        ok: opening < LIMIT_MS,
      },
      {name: 'the same: its last 20 commits', measured: `${history.toFixed(0)} ms`, limit: '', ok: true},
      {name: 'the same: a commit, on average', measured: `${perCommit.toFixed(1)} ms`, limit: '', ok: true},
    ];
  } finally {
    await engine[Symbol.asyncDispose]();
    await rm(folder, {recursive: true, force: true});
  }
}

async function commit(table: DeltaTable, at: number): Promise<void> {
  const before = at % 2 === 0 ? table.snapshot.files.get(pathOf(at - 1)) : undefined;
  await table.commit({
    base: table.snapshot,
    operation: 'MERGE',
    adds: [fileOf(at)],
    removes: before === undefined ? [] : [table.removeOf(before)],
    txn: {appId: 'bench', version: at},
    blindAppend: true,
  });
}

function pathOf(at: number): string {
  return `part-00000-00000000-0000-4000-8000-${String(at).padStart(12, '0')}-c000.zstd.parquet`;
}

/** Nobody reads it: only its action counts here. */
function fileOf(at: number): AddFile {
  const bounds = (value: number): string => `{"id":${value},"amount":${value % 97},"seq":${at}}`;
  return {
    path: pathOf(at),
    partitionValues: {},
    size: 100_000 + at,
    modificationTime: systemClock.nowMs(),
    dataChange: true,
    stats: `{"numRecords":1000,"minValues":${bounds(at * 1000)},"maxValues":${bounds(at * 1000 + 999)},"nullCount":{"id":0,"amount":0,"seq":0},"tightBounds":true}`,
  };
}
