import {spawnSync} from 'node:child_process';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import pg from 'pg';

import {startPostgres} from '../test/postgres.ts';
import type {BenchResult} from './result.ts';

const TABLES = 100;
const bin = fileURLToPath(new URL('../bin/sluice', import.meta.url));

/** What Sluice costs when there is nothing to do: `run` over 100 tables without news, and a cold `--help`. */
export async function run(): Promise<readonly BenchResult[]> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-idle-'));
  await using server = await startPostgres();
  try {
    await makeTables(server.port);
    const file = join(folder, 'sluice.yml');
    await writeFile(file, bundleOf(server.port));
    const args = ['run', file, '--lake', join(folder, 'lake'), '--json'];
    timed(args);
    const idle = [timed(args), timed(args), timed(args)].sort((left, right) => left - right)[1] ?? Number.NaN;
    const help = [1, 2, 3, 4, 5].map(() => timed(['--help'])).sort((left, right) => left - right)[2] ?? Number.NaN;
    return [
      {
        name: `sluice run, nothing new on ${TABLES} tables`,
        measured: `${(idle / 1000).toFixed(2)} s`,
        limit: '<= 3 s',
        ok: idle <= 3000,
      },
      {name: 'sluice --help', measured: `${(help / 1000).toFixed(2)} s`, limit: '<= 0.4 s', ok: help <= 400},
    ];
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}

function timed(args: readonly string[]): number {
  const startedAt = performance.now();
  const done = spawnSync(process.execPath, [bin, ...args], {encoding: 'utf8'});
  if (done.status !== 0)
    throw new Error(`sluice ${args[0]}: ${done.status}\n${done.stdout.slice(-2000)}${done.stderr.slice(-2000)}`);
  return performance.now() - startedAt;
}

async function makeTables(port: number): Promise<void> {
  const client = new pg.Client({host: '127.0.0.1', port, user: 'postgres', database: 'postgres'});
  await client.connect();
  for (let table = 0; table < TABLES; table++) {
    await client.query(
      `CREATE TABLE t${table} (id bigint PRIMARY KEY, name text, updated_at timestamptz NOT NULL DEFAULT now())`,
    );
    await client.query(`INSERT INTO t${table} SELECT g, 'name ' || g FROM generate_series(1, 100) g`);
  }
  await client.end();
}

function bundleOf(port: number): string {
  return JSON.stringify({
    resources: {
      connections: {
        db: {
          connection_type: 'POSTGRESQL',
          options: {
            host: '127.0.0.1',
            port,
            database: 'postgres',
            user: 'postgres',
            password: 'none',
            sslmode: 'disable',
          },
        },
      },
      pipelines: {
        idle: {
          catalog: 'main',
          schema: 'idle',
          ingestion_definition: {
            connection_name: 'db',
            objects: [
              {
                schema: {
                  source_schema: 'public',
                  destination_catalog: 'main',
                  destination_schema: 'idle',
                  table_configuration: {
                    query_based_connector_config: {cursor_columns: ['updated_at']},
                    verify_after_snapshot: false,
                  },
                },
              },
            ],
          },
        },
      },
    },
  });
}
