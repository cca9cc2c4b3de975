import {spawn} from 'node:child_process';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';

import pg from 'pg';

import {openTable} from '../src/delta/table.ts';
import {openTestLake} from '../src/testkit/run-connector.ts';
import {startPostgres, type PostgresServer} from '../test/postgres.ts';
import {treeBytes} from './process-tree.ts';
import type {BenchResult} from './result.ts';

/** `SLUICE_BENCH_MINUTES`; the proof is ten of them. */
const MINUTES = Number(process.env['SLUICE_BENCH_MINUTES'] ?? 2);
const CHANGES_PER_SECOND = 5000;
const ROWS = 200_000;
const bin = fileURLToPath(new URL('../bin/sluice', import.meta.url));

/** A continuous pipeline under a writer of five thousand changes a second: how long until a row is visible in Delta, and what it costs. */
export async function run(): Promise<readonly BenchResult[]> {
  await using server = await startPostgres({max_wal_size: '2GB'});
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-latency-'));
  await using lake = await openTestLake(join(folder, 'lake'));
  const client = new pg.Client(server.url);
  await client.connect();
  await client.query(
    'create table t (id bigint primary key, a int, s text, at timestamptz); create table marks (id int primary key, ms float8)',
  );
  await client.query(`insert into t select k, 0, md5(k::text), now() from generate_series(1, ${ROWS}) k`);
  await writeFile(join(folder, 'sluice.yml'), JSON.stringify(bundle(server)));
  const stop = new AbortController();
  const child = spawn(process.execPath, [bin, 'run', '--json', '--lake', join(folder, 'lake')], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  try {
    const visible = (table: string, what: string): Promise<number> => visibleValue(lake, table, what);
    while ((await visible('t', 'count(*)')) < ROWS) await sleep(500);
    const writer = write(client, stop.signal);
    const seen = await watch(server, {visible, pid: child.pid ?? 0, untilMs: performance.now() + MINUTES * 60_000});
    stop.abort();
    await writer;
    return results(seen);
  } finally {
    stop.abort();
    child.kill('SIGINT');
    await exited;
    await client.end().catch(() => undefined);
    await rm(folder, {recursive: true, force: true});
  }
}

interface Seen {
  /** Milliseconds until each mark was visible. */
  readonly latencies: number[];
  /** Of the process tree, in MB, now and then. */
  readonly memory: number[];
}

async function watch(
  server: PostgresServer,
  {
    visible,
    pid,
    untilMs,
  }: {
    readonly visible: (table: string, what: string) => Promise<number>;
    readonly pid: number;
    readonly untilMs: number;
  },
): Promise<Seen> {
  const client = new pg.Client(server.url);
  await client.connect();
  const seen: Seen = {latencies: [], memory: []};
  const waiting = new Map<number, number>();
  let next = 1;
  try {
    while (performance.now() < untilMs) {
      await client.query('insert into marks values ($1, 0)', [next]);
      waiting.set(next++, performance.now());
      await sleep(1000);
      seen.memory.push(treeBytes(pid) / 1e6);
      const last = await visible('marks', 'coalesce(max(id), 0)');
      for (const [mark, at] of waiting) {
        if (mark > last) continue;
        seen.latencies.push(performance.now() - at);
        waiting.delete(mark);
      }
    }
    for (const at of waiting.values()) seen.latencies.push(performance.now() - at);
  } finally {
    await client.end();
  }
  return seen;
}

async function write(client: pg.Client, signal: AbortSignal): Promise<void> {
  for (let turn = 0; !signal.aborted; turn++) {
    const startedAt = performance.now();
    const from = ((turn * 7919) % (ROWS / 500)) * 500;
    await client.query(`update t set a = a + 1, at = now() where id > ${from} and id <= ${from + 500}`);
    await sleep(Math.max(0, (500 / CHANGES_PER_SECOND) * 1000 - (performance.now() - startedAt)));
  }
}

async function visibleValue(
  lake: Awaited<ReturnType<typeof openTestLake>>,
  table: string,
  what: string,
): Promise<number> {
  const opened = await openTable(lake.context, `main/bench/${table}`);
  if (opened === null) return 0;
  const [row] = await lake.context.engine.query(`SELECT ${what} AS v FROM (${await opened.readSql()})`);
  return Number(row?.['v'] ?? 0);
}

function bundle(server: PostgresServer): object {
  const options = {host: server.host, port: server.port, database: 'postgres', user: 'postgres', sslmode: 'disable'};
  return {
    resources: {
      connections: {db: {connection_type: 'POSTGRESQL', options}},
      pipelines: {
        bench: {
          catalog: 'main',
          schema: 'bench',
          continuous: true,
          ingestion_definition: {
            connection_name: 'db',
            connector_type: 'CDC',
            table_configuration: {verify_after_snapshot: false},
            objects: [{schema: {source_schema: 'public'}}],
          },
        },
      },
    },
  };
}

function results({latencies, memory}: Seen): readonly BenchResult[] {
  const half = latencies.length >> 1;
  const worst = (values: readonly number[]): number => Math.max(...values) / 1000;
  const [early, late] = [worst(latencies.slice(0, half)), worst(latencies.slice(half))];
  const quarter = memory.length >> 2;
  const [first, last] = [Math.max(...memory.slice(0, quarter * 2)), Math.max(...memory.slice(quarter * 2))];
  return [
    {
      name: `cdc: commit to visible in Delta at ${CHANGES_PER_SECOND} changes/s for ${MINUTES} minutes, slowest of ${latencies.length}`,
      measured: `${worst(latencies).toFixed(1)} s`,
      limit: '<= 15 s',
      ok: worst(latencies) <= 15,
    },
    {
      name: 'cdc: the slowest of the second half / of the first',
      measured: `${(late / early).toFixed(2)}x (${late.toFixed(1)} s / ${early.toFixed(1)} s)`,
      limit: '<= 1.5x',
      ok: late / early <= 1.5,
    },
    {
      name: 'cdc: peak memory of the second half / of the first, process tree',
      measured: `${(last / first).toFixed(2)}x (${Math.round(last)} MB / ${Math.round(first)} MB)`,
      limit: '<= 1.15x',
      ok: last / first <= 1.15,
    },
  ];
}
