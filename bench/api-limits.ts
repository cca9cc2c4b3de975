import {fork} from 'node:child_process';

import {simulateInProcess} from '../src/simulator/index.ts';
import type {pace} from './api-limits-source.ts';
import {watchTree} from './process-tree.ts';
import type {BenchResult} from './result.ts';

const SOURCES = new URL('./api-limits-source.ts', import.meta.url);
const PER_SECOND = 50;
const MAX_PEAK = 512 * 1024 * 1024;

/** What limits a read of an API: the vendor's budget, used and never exceeded; memory, flat. */
export async function run(): Promise<readonly BenchResult[]> {
  return [await budget(), ...(await memory())];
}

/** 100 ms per answer, so many requests a second, and partitions that would allow more. */
async function budget(): Promise<BenchResult> {
  const simulator = await simulateInProcess(SOURCES, {
    exportName: 'budgeted',
    argument: {perSecond: PER_SECOND},
    options: {clock: 'system', latencyMs: 100},
  });
  try {
    await load(simulator.url, 'items', PER_SECOND);
    const {violationCount} = await simulator.statistics();
    const {elapsedMs, requests} = (await simulator.run('pace')) as ReturnType<typeof pace>;
    const used = (requests - 1) / ((elapsedMs / 1000) * PER_SECOND);
    return {
      name: `requests sent with 100 ms latency / budget of ${PER_SECOND} per second; requests over it`,
      measured: `${used.toFixed(2)}x (${requests} in ${(elapsedMs / 1000).toFixed(1)} s); ${violationCount}`,
      limit: '>= 0.9x; 0',
      ok: used >= 0.9 && violationCount === 0,
    };
  } finally {
    await simulator.close();
  }
}

const ROWS = 2_000_000;

/** A million rows more: what grows with the rows would show, what a process takes once would not. */
async function memory(): Promise<readonly BenchResult[]> {
  const simulator = await simulateInProcess(SOURCES, {
    exportName: 'endless',
    argument: {rows: ROWS},
    options: {clock: 'system'},
  });
  try {
    const {rows, peak, quarters, elapsedMs} = await load(simulator.url, 'rows', 0);
    if (rows !== ROWS) throw new Error(`${rows} of ${ROWS} rows landed`);
    const [, first, , second] = quarters;
    return [
      {
        name: 'memory from 1.5M to 2M rows / from 0.5M to 1M rows of an API into Delta, medians; peak',
        measured: `${(second / first).toFixed(2)}x (${mb(second)} / ${mb(first)}; 2M rows in ${(elapsedMs / 1000).toFixed(1)} s); ${mb(peak)}`,
        limit: `<= 1.15x; <= ${mb(MAX_PEAK)}`,
        ok: second <= first * 1.15 && peak <= MAX_PEAK,
      },
    ];
  } finally {
    await simulator.close();
  }
}

interface Loaded {
  readonly elapsedMs: number;
  readonly rows: number;
  readonly peak: number;
  readonly quarters: readonly [number, number, number, number];
}

function load(url: string, table: string, perSecond: number): Promise<Loaded> {
  const child = fork(new URL('./api-limits-child.ts', import.meta.url), [url, table, String(perSecond)], {
    execArgv: ['--import', 'tsx'],
  });
  const watch = watchTree(child.pid ?? 0);
  return new Promise((resolve, reject) => {
    child.once('message', (message: {readonly elapsedMs: number; readonly rows: number}) =>
      resolve({...message, quarters: watch.quarters(), peak: watch.stop()}),
    );
    child.once('exit', (code) => {
      watch.stop();
      reject(new Error(`the load ended with ${code}`));
    });
  });
}

function mb(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(0)} MB`;
}
