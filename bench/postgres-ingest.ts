import {fork} from 'node:child_process';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import pg from 'pg';

import {startPostgres} from '../test/postgres.ts';
import {watchTree} from './process-tree.ts';
import {readToNowhere} from './raw-copy.ts';
import type {BenchResult} from './result.ts';

const RUNS = 3;
const MEMORY_MB = 384;
const child = fileURLToPath(new URL('postgres-ingest-child.mjs', import.meta.url));

/** A table of 12 mixed columns from PostgreSQL to Delta, against a binary COPY of it that is read to nowhere. */
export async function run(): Promise<readonly BenchResult[]> {
  await using server = await startPostgres({shared_buffers: '1GB', max_wal_size: '4GB'});
  await makeTable(server.port, 2_000_000);
  const raw: number[] = [];
  const landed: Landed[] = [];
  for (let turn = 0; turn < RUNS; turn++) {
    raw.push(await readToNowhere({host: '127.0.0.1', port: server.port}, 'COPY items TO STDOUT (FORMAT binary)'));
    landed.push(await land(server.port));
  }
  const ratio = median(landed.map((one) => one.ms)) / median(raw);
  const peak = Math.max(...landed.map((one) => one.peakBytes)) / 1e6;
  await makeTable(server.port, 4_000_000);
  const large = await land(server.port);
  const largePeak = large.peakBytes / 1e6;
  return [
    {
      name: 'PostgreSQL 2M rows x 12 columns to Delta / binary COPY read to nowhere',
      measured: `${ratio.toFixed(2)}x (${(median(landed.map((one) => one.ms)) / 1000).toFixed(2)} s against ${(median(raw) / 1000).toFixed(2)} s)`,
      limit: '<= 2.0x',
      ok: ratio <= 2,
    },
    {name: 'peak memory of it, 2M rows', measured: `${peak.toFixed(0)} MB`, limit: '<= 500 MB', ok: peak <= 500},
    {
      name: 'peak memory of it, 4M rows',
      measured: `${largePeak.toFixed(0)} MB`,
      limit: '<= 500 MB',
      ok: largePeak <= 500,
    },
  ];
}

interface Landed {
  readonly ms: number;
  readonly peakBytes: number;
}

/** One ingest into a new lake, in a process of its own; the clock runs from the call to its end. */
async function land(port: number): Promise<Landed> {
  const lake = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    return await new Promise<Landed>((resolve, reject) => {
      const process = fork(child, [String(port), lake, String(MEMORY_MB)], {stdio: 'inherit', execArgv: []});
      const watch = watchTree(process.pid ?? 0);
      let ms: number | null = null;
      process.on('message', (message) => {
        ms = Number(message);
      });
      process.on('exit', (code) => {
        const peakBytes = watch.stop();
        if (code === 0 && ms !== null) resolve({ms, peakBytes});
        else reject(new Error(`The ingest ended with code ${code}.`));
      });
    });
  } finally {
    await rm(lake, {recursive: true, force: true});
  }
}

async function makeTable(port: number, rows: number): Promise<void> {
  const client = new pg.Client({host: '127.0.0.1', port, user: 'postgres', database: 'postgres'});
  await client.connect();
  await client.query('DROP TABLE IF EXISTS items');
  await client.query(`CREATE TABLE items AS SELECT g::bigint AS id, (g % 100000)::int AS part, (g % 1000)::int AS supplier, (g % 7)::smallint AS line,
    (g % 5000 / 100.0)::numeric(12,2) AS quantity, (g % 1000000 / 100.0)::numeric(12,2) AS price, g / 7.0::double precision AS discount, substr('NRA', g % 3 + 1, 1) AS flag,
    date '2020-01-01' + (g % 2000)::int AS shipped, timestamptz '2024-01-01 00:00:00Z' + g * interval '1 second' AS updated_at,
    (ARRAY['AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL'])[g % 5 + 1] AS mode, 'comment of the line item number ' || g AS comment
    FROM generate_series(1, ${rows}) g`);
  await client.query('ALTER TABLE items ADD PRIMARY KEY (id)');
  await client.query('CREATE INDEX ON items (updated_at)');
  await client.query('VACUUM ANALYZE items');
  await client.query('CHECKPOINT');
  await client.end();
}

function median(values: number[]): number {
  return values.sort((left, right) => left - right)[values.length >> 1] ?? Number.NaN;
}
