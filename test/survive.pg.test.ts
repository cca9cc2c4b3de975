import {mkdtemp, readdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import pg from 'pg';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {openTable} from '../src/delta/table.ts';
import {openTestLake} from '../src/testkit/run-connector.ts';
import {startPostgres, type PostgresServer} from './postgres.ts';
import {runCli, startCli, type CliEnd} from './run-cli.ts';
import {mountDisk} from './small-disk.ts';

let server: PostgresServer;
let folder: string;
let lake: string;

beforeAll(async () => {
  server = await startPostgres();
});
afterAll(async () => {
  await server.close();
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-survive-'));
  lake = join(folder, 'lake');
  await sql('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
  await sql(
    `CREATE TABLE items (id bigint PRIMARY KEY, name text, updated_at timestamptz NOT NULL DEFAULT clock_timestamp())`,
  );
  await sql(`INSERT INTO items SELECT g, 'item ' || g FROM generate_series(1, 1000) g`);
  return async () => rm(folder, {recursive: true, force: true});
});

async function sql(text: string): Promise<void> {
  const client = new pg.Client({host: '127.0.0.1', port: server.port, user: 'postgres', database: 'postgres'});
  await client.connect();
  await client.query(text);
  await client.end();
}

interface BundleOptions {
  readonly port?: number;
  readonly tables?: readonly string[];
  readonly configuration?: object;
}

async function bundle({
  port = server.port,
  tables = ['items'],
  configuration = {},
}: BundleOptions = {}): Promise<string> {
  const file = join(folder, 'sluice.json');
  const tableConfiguration = {query_based_connector_config: {cursor_columns: ['updated_at']}, ...configuration};
  const objects = tables.map((source) => ({
    table: {source_schema: 'public', source_table: source, table_configuration: tableConfiguration},
  }));
  const options = {
    host: '127.0.0.1',
    port,
    database: 'postgres',
    user: 'postgres',
    password: 'a-secret-word',
    sslmode: 'disable',
    connect_timeout_seconds: 2,
  };
  const text = {
    resources: {
      connections: {db: {connection_type: 'POSTGRESQL', options}},
      pipelines: {daily: {catalog: 'main', schema: 's', ingestion_definition: {connection_name: 'db', objects}}},
    },
  };
  await writeFile(file, JSON.stringify(text));
  return file;
}

async function run(
  file: string,
  env: Readonly<Record<string, string>> = {},
  more: readonly string[] = [],
): Promise<CliEnd> {
  return runCli(['run', file, '--lake', lake, ...more], {env});
}

async function landed(table = 'items', at = lake): Promise<readonly string[]> {
  const opened = await openTestLake(at);
  try {
    const delta = await openTable(opened.context, `main/s/${table}`);
    if (delta === null) return [];
    const rows = await opened.context.engine.query(
      `SELECT id::VARCHAR || ' ' || name AS r FROM (${await delta.readSql()}) ORDER BY id`,
    );
    return rows.map((row) => String(row['r']));
  } finally {
    await opened[Symbol.asyncDispose]();
  }
}

const wanted = (count: number, from = 1): string[] =>
  Array.from({length: count}, (_, index) => `${index + from} item ${index + from}`);

describe('a run says what is wrong and writes nothing wrong', () => {
  test('when the database cannot be reached', async () => {
    const end = await run(await bundle({port: 1}));
    expect(end.code).toBe(1);
    expect(end.stdout + end.stderr).toMatch(/CONNECTION_FAILED[\s\S]*127\.0\.0\.1:1/);
    expect(end.stdout + end.stderr).not.toContain('a-secret-word');
  });

  test('when the password is wrong', async () => {
    await using strict = await startPostgres({}, {files: {'pg_hba.conf': 'host all all 127.0.0.1/32 scram-sha-256\n'}});
    const end = await run(await bundle({port: strict.port}));
    expect(end.code).toBe(1);
    expect(end.stdout + end.stderr).toContain('AUTH_FAILED');
    expect(end.stdout + end.stderr).not.toContain('a-secret-word');
  });

  test('when a table is not there, and the others still land', async () => {
    const end = await run(await bundle({tables: ['items', 'itmes']}));
    expect(end.code).toBe(1);
    expect(end.stdout + end.stderr).toMatch(/UNKNOWN_TABLE/);
    expect(await landed()).toHaveLength(1000);
  });

  test('when a log entry is corrupt', async () => {
    const file = await bundle();
    await run(file);
    const log = join(lake, 'main', 's', 'items', '_delta_log');
    const last =
      (await readdir(log))
        .filter((name) => name.endsWith('.json'))
        .sort()
        .at(-1) ?? '';
    await writeFile(join(log, last), '{"add": {"path"');
    const end = await run(file);
    expect(end.code).toBe(1);
    expect(end.stdout + end.stderr).toContain('CORRUPT_LOG');
    expect(end.stdout + end.stderr).toContain(last);
  });

  test('when another run of the pipeline is under way', async () => {
    const file = await bundle({configuration: {scd_type: 'APPEND_ONLY', max_records_per_batch: 100}});
    expect((await run(file)).code).toBe(0);
    await sql(`INSERT INTO items SELECT g, 'item ' || g, clock_timestamp() FROM generate_series(1001, 30000) g`);
    const first = startCli(['run', file, '--lake', lake, '--json']);
    await first.printed(/"RUNNING"/);
    // Held still, so that it is under way for as long as the other one needs to see it.
    first.kill('SIGSTOP');
    const second = await run(file);
    first.kill('SIGCONT');
    expect(second.code).toBe(3);
    expect(second.stdout + second.stderr).toContain('CONCURRENT_RUN');
    expect((await first.ended).code).toBe(0);
    expect(await landed()).toEqual(wanted(30000));
  });
});

describe('a run goes on', () => {
  test('with the new columns when one vanishes while it reads', async () => {
    await sql(
      'CREATE TABLE wide (id bigint PRIMARY KEY, name text, gone text, updated_at timestamptz NOT NULL DEFAULT clock_timestamp())',
    );
    await sql(`INSERT INTO wide SELECT g, 'item ' || g, repeat('x', 20) FROM generate_series(1, 20000) g`);
    const file = await bundle({tables: ['wide']});
    expect((await run(file)).code).toBe(0);
    await sql(`INSERT INTO wide SELECT g, 'item ' || g, repeat('x', 20) FROM generate_series(20001, 40000) g`);
    const running = startCli(['run', file, '--lake', lake, '--json']);
    await running.printed(/"(PLANNING|RUNNING)"/);
    await sql('ALTER TABLE wide DROP COLUMN gone');
    expect((await running.ended).code).toBe(0);
    expect(await landed('wide')).toHaveLength(40000);
  });

  test('after Ctrl-C, which leaves whole batches only', async () => {
    await sql(`INSERT INTO items SELECT g, 'item ' || g FROM generate_series(1001, 50000) g`);
    const file = await bundle({configuration: {scd_type: 'APPEND_ONLY', max_records_per_batch: 500}});
    expect((await run(file)).code).toBe(0);
    await sql(`INSERT INTO items SELECT g, 'item ' || g, clock_timestamp() FROM generate_series(50001, 90000) g`);
    const running = startCli(['run', file, '--lake', lake, '--json']);
    await running.printed(/"batches":[1-9]/);
    running.kill('SIGINT');
    expect((await running.ended).code).not.toBe(0);
    expect((await run(file)).code).toBe(0);
    expect(await landed()).toEqual(wanted(90000));
  });

  test('after the disk was full', async ({skip}) => {
    await using disk = await mountDisk(join(folder, 'disk'), '1m', skip);
    lake = join(folder, 'disk', 'lake');
    await sql(`INSERT INTO items SELECT g, md5(g::text) || md5((g + 1)::text) FROM generate_series(1001, 60000) g`);
    const file = await bundle();
    const full = await run(file);
    expect(full.code).toBe(1);
    expect(full.stdout + full.stderr).toContain('STORAGE_FULL');
    disk.remount('size=64m');
    expect((await run(file)).code).toBe(0);
    expect(await landed()).toHaveLength(60000);
  });

  test('after the lake was read-only', async ({skip}) => {
    await using disk = await mountDisk(join(folder, 'disk'), '64m', skip);
    lake = join(folder, 'disk', 'lake');
    const file = await bundle();
    disk.remount('ro');
    const refused = await run(file);
    expect(refused.code).not.toBe(0);
    expect(refused.stdout + refused.stderr).toContain('STORAGE_READ_ONLY');
    disk.remount('rw');
    expect((await run(file)).code).toBe(0);
    expect(await landed()).toHaveLength(1000);
  });
});
