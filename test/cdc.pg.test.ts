import {mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import pg from 'pg';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import type {RunResult} from '../src/runtime/api.ts';
import {loadGateways, loadPipelines} from '../src/runtime/config/load-pipelines.ts';
import {listStaging} from '../src/runtime/gateway/inspect-staging.ts';
import {checkGateway, runGatewayHere} from '../src/runtime/gateway/run-gateway.ts';
import {ingest} from '../src/runtime/ingest.ts';
import {queryLake} from '../src/runtime/inspect.ts';
import {verifyPipeline} from '../src/runtime/verify.ts';
import {startPostgres, type PostgresServer} from './postgres.ts';

let server: PostgresServer;
let folder: string;
let client: pg.Client;

beforeAll(async () => {
  server = await startPostgres();
});
afterAll(async () => {
  await server.close();
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-cdc-'));
  client = new pg.Client({host: '127.0.0.1', port: server.port, user: 'postgres', database: 'postgres'});
  await client.connect();
  await sql('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
  await sql('CREATE TABLE orders (id bigint PRIMARY KEY, customer text, total numeric(12,2), note text)');
  await sql(
    `INSERT INTO orders SELECT g, 'customer ' || g % 10, g * 1.5, repeat('n', g % 50) FROM generate_series(1, 500) g`,
  );
  return async () => {
    await dropSlots();
    await client.end();
    await rm(folder, {recursive: true, force: true});
  };
});

async function sql(text: string): Promise<readonly Record<string, unknown>[]> {
  const {rows} = await client.query<Record<string, unknown>>(text);
  return rows;
}

async function dropSlots(): Promise<void> {
  await sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active');
  for (const {pubname} of await sql('SELECT pubname FROM pg_publication'))
    await sql(`DROP PUBLICATION ${String(pubname)}`);
}

function bundle(definition: object = {}): object {
  return {
    resources: {
      connections: {
        db: {
          connection_type: 'POSTGRESQL',
          options: {
            host: '127.0.0.1',
            port: server.port,
            database: 'postgres',
            user: 'postgres',
            password: 'x',
            sslmode: 'disable',
          },
        },
      },
      pipelines: {
        shop: {
          catalog: 'main',
          schema: 'shop',
          ingestion_definition: {
            connection_name: 'db',
            connector_type: 'CDC',
            objects: [{table: {source_schema: 'public', source_table: 'orders'}}],
            ...definition,
          },
        },
      },
    },
  };
}

async function run(spec: object = bundle(), options: {readonly fullRefresh?: boolean} = {}): Promise<RunResult> {
  const notes: string[] = [];
  const result = await ingest(spec, {
    ...options,
    lake: join(folder, 'lake'),
    onUpdate: (update) => {
      if (update.kind === 'note') notes.push(`${update.level} ${update.code} ${update.message}`);
    },
  });
  if (result.state !== 'COMPLETED') throw new Error(JSON.stringify([result.flows, notes], null, 1));
  return result;
}

/** Stages what is committed and applies nothing. */
async function stageOnly(): Promise<void> {
  const {gateways} = await loadGateways({data: bundle(), variables: {}, cwd: folder, env: {}});
  const [gateway] = gateways;
  if (gateway === undefined) throw new Error('no gateway');
  const stop = new AbortController();
  const place = {lake: join(folder, 'lake'), gatewayId: gateway.gatewayId};
  const {segments} = await listStaging(place);
  const running = runGatewayHere(gateway, {
    ...place,
    signal: stop.signal,
    onEvent: () => undefined,
    limits: {sealMs: 50},
  });
  while ((await listStaging(place)).segments === segments) await new Promise((resolve) => setTimeout(resolve, 50));
  stop.abort(new Error('staged'));
  await running;
}

/** Every row and column of the source is in the lake, and nothing else. */
async function expectEqual(table = 'orders', key = 'id'): Promise<void> {
  const columns = (
    await sql(
      `SELECT column_name FROM information_schema.columns WHERE table_name = '${table}' ORDER BY ordinal_position`,
    )
  ).map(({column_name: name}) => String(name));
  const texts = (cast: string): string =>
    columns.map((column) => `${cast.replace('?', column)} AS ${column}`).join(', ');
  const source = await sql(`SELECT ${texts('?::text')} FROM ${table} ORDER BY ${key}`);
  const landed = await queryLake(`SELECT ${texts('CAST(? AS VARCHAR)')} FROM main.shop.${table} ORDER BY ${key}`, {
    lake: join(folder, 'lake'),
    signal: new AbortController().signal,
    limit: 1_000_000,
  });
  expect(landed.rows.map((row) => columns.map((column) => row[column] ?? '').join('|'))).toEqual(
    source.map((row) => columns.map((column) => row[column] ?? '').join('|')),
  );
}

describe('a pipeline that follows the log of PostgreSQL', () => {
  test('lands the snapshot, then what changed', async () => {
    const first = await run();
    expect(first.flows[0]).toMatchObject({rowsInserted: 500, verdict: 'equal'});
    await sql(
      `UPDATE orders SET total = total + 1 WHERE id <= 10; DELETE FROM orders WHERE id = 500; INSERT INTO orders VALUES (501, 'new', 1, NULL)`,
    );
    await sql(`UPDATE orders SET id = 1000 WHERE id = 20`);
    const second = await run();
    expect(second.flows[0]).toMatchObject({rowsInserted: 2, rowsUpdated: 10, rowsDeleted: 2});
    await expectEqual();
  }, 60_000);

  test('lands every kind of change in one transaction: changed keys, unchanged large values, truncates', async () => {
    await sql(
      `UPDATE orders SET note = (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 400) g) WHERE id <= 3`,
    );
    await run();
    await sql(`BEGIN;
      UPDATE orders SET id = id + 2000, total = 7 WHERE id <= 3;
      INSERT INTO orders VALUES (1, 'again', 2, 'x');
      DELETE FROM orders WHERE id = 2002;
      SAVEPOINT s; INSERT INTO orders VALUES (3000, 'gone', 1, ''); ROLLBACK TO s;
      COMMIT`);
    await run();
    await expectEqual();
    await sql(`TRUNCATE orders; INSERT INTO orders VALUES (5, 'after', 5, NULL)`);
    await run();
    await expectEqual();
  }, 60_000);

  test('fails with a table of the schema that cannot be followed, says how to mend it, and goes on with the others', async () => {
    await sql('CREATE TABLE notes (id int, body text)');
    const spec = bundle({objects: [{schema: {source_schema: 'public'}}]});
    const first = await ingest(spec, {lake: join(folder, 'lake')});
    expect(first.state).toBe('FAILED');
    expect(first.flows.map(({flow, state}) => `${flow} ${state}`).toSorted()).toEqual([
      'main.shop.notes FAILED',
      'main.shop.orders COMPLETED',
    ]);
    const notes = first.flows.find(({flow}) => flow.endsWith('notes'));
    expect(notes?.errorMessage).toContain('public.notes cannot be followed');
    expect(notes?.errorFix).toContain('alter table notes replica identity full');
    await sql('ALTER TABLE notes ADD PRIMARY KEY (id)');
    expect((await run(spec)).flows).toHaveLength(2);
  }, 60_000);

  test('follows columns that are added and dropped between changes of one run', async () => {
    await run();
    await sql(`UPDATE orders SET customer = 'a' WHERE id = 1;
      ALTER TABLE orders ADD COLUMN extra int;
      UPDATE orders SET extra = 5 WHERE id = 2;
      ALTER TABLE orders DROP COLUMN note;
      UPDATE orders SET extra = 6 WHERE id = 3`);
    await run();
    await expectEqual();
  }, 60_000);

  test('leaves views out where all tables of a schema are wanted, and says why to who names one', async () => {
    await sql(
      'CREATE VIEW late_orders AS SELECT * FROM orders; CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS n FROM orders',
    );
    const all = bundle({objects: [{schema: {source_schema: 'public'}}]});
    expect((await run(all)).flows.map(({flow}) => flow)).toEqual(['main.shop.orders']);
    const {gateways} = await loadGateways({data: all, variables: {}, cwd: folder, env: {}});
    const [gateway] = gateways;
    if (gateway === undefined) throw new Error('no gateway');
    const place = {lake: join(folder, 'lake'), signal: new AbortController().signal};
    const {tables, findings} = await checkGateway(gateway, place);
    expect([tables, findings.filter(({level}) => level === 'error')]).toEqual([['public.orders'], []]);
    const named = bundle({objects: [{table: {source_schema: 'public', source_table: 'late_orders'}}]});
    await expect(run(named)).rejects.toThrow('It is no table');
  }, 60_000);

  test('reads a table anew that got a column with values before anything else was written to it, at work or not', async () => {
    await run();
    await sql('ALTER TABLE orders ADD COLUMN extra int NOT NULL DEFAULT 5');
    await sql('UPDATE orders SET extra = 6 WHERE id = 7');
    await run();
    await expectEqual();
    expect(await lake('SELECT count(*)::INT AS n FROM main.shop.orders WHERE extra IS NULL')).toEqual([{n: 0}]);
    await sql('ALTER TABLE orders ADD COLUMN more text');
    await sql(`UPDATE orders SET more = 'x' WHERE id = 8`);
    const {flows} = await run();
    expect(flows[0]).toMatchObject({rowsInserted: 0, rowsUpdated: 1});
    await expectEqual();
  }, 60_000);

  test('takes up new tables of a schema, and keeps history where it is asked to', async () => {
    const spec = bundle({
      objects: [{schema: {source_schema: 'public', table_configuration: {scd_type: 'SCD_TYPE_2'}}}],
    });
    await run(spec);
    await sql(`CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'Ada'), (2, 'Grace')`);
    await sql(`UPDATE orders SET total = 0 WHERE id = 7`);
    await run(spec);
    await sql(`UPDATE users SET name = 'Countess' WHERE id = 1; DELETE FROM users WHERE id = 2`);
    await run(spec);
    expect(
      await lake('SELECT id, name, __END_AT IS NULL AS open FROM main.shop.users ORDER BY id, __START_AT'),
    ).toEqual([
      {id: 1, name: 'Ada', open: false},
      {id: 1, name: 'Countess', open: true},
      {id: 2, name: 'Grace', open: false},
    ]);
    expect(await lake('SELECT count(*)::INT AS n FROM main.shop.orders WHERE id = 7')).toEqual([{n: 2}]);
  }, 60_000);

  test('keeps every change of a table that is appended only, and of one without a key', async () => {
    await sql(
      `CREATE TABLE log (line text); INSERT INTO log VALUES ('one'), ('two'); ALTER TABLE log REPLICA IDENTITY FULL`,
    );
    const spec = bundle({objects: [{table: {source_schema: 'public', source_table: 'log'}}]});
    await run(spec);
    await sql(
      `INSERT INTO log VALUES ('three'); UPDATE log SET line = 'TWO' WHERE line = 'two'; DELETE FROM log WHERE line = 'one'`,
    );
    await run(spec);
    expect(await lake('SELECT line, _change_type AS kind FROM main.shop.log ORDER BY ALL')).toEqual([
      {line: 'TWO', kind: 'update_postimage'},
      {line: 'one', kind: 'delete'},
      {line: 'one', kind: 'update_postimage'},
      {line: 'three', kind: 'insert'},
      {line: 'two', kind: 'update_postimage'},
    ]);
  }, 60_000);

  test('keeps the changes of a table that is appended only when it is read anew, with a truncate before what it has now', async () => {
    await sql(`CREATE TABLE kept (id int PRIMARY KEY, v text); INSERT INTO kept VALUES (1, 'a'), (2, 'b')`);
    const configuration = {scd_type: 'APPEND_ONLY'};
    const object = {table: {source_schema: 'public', source_table: 'kept', table_configuration: configuration}};
    const spec = bundle({objects: [object]});
    await run(spec);
    await sql(`UPDATE kept SET v = 'c' WHERE id = 1; DELETE FROM kept WHERE id = 2; INSERT INTO kept VALUES (3, 'd')`);
    await run(spec);
    await sql(`ALTER TABLE kept ADD COLUMN extra int NOT NULL DEFAULT 5; UPDATE kept SET v = 'e' WHERE id = 3`);
    await run(spec);
    await sql(`INSERT INTO kept VALUES (4, 'f', 6)`);
    await run(spec);
    const changes = 'SELECT id, v, extra, _change_type AS kind FROM main.shop.kept ORDER BY _sluice_sequence, id';
    expect(
      (await lake(changes)).map((row) =>
        Object.values(Object(row) as Record<string, unknown>)
          .map((value) => String(value ?? ''))
          .join(' '),
      ),
    ).toEqual([
      '1 a  update_postimage',
      '2 b  update_postimage',
      '1 c  update_postimage',
      '2   delete',
      '3 d  insert',
      '   truncate',
      '1 c 5 update_postimage',
      '3 e 5 update_postimage',
      '4 f 6 insert',
    ]);
    await run(spec, {fullRefresh: true});
    expect((await lake('SELECT count(*)::INT AS n FROM main.shop.kept'))[0]).toEqual({n: 3});
  }, 60_000);

  test('is compared with the database as it is: what changed since counts as unproven, what is wrong is named', async () => {
    await run();
    await sql(`UPDATE orders SET total = 3 WHERE id IN (4, 5); UPDATE orders SET id = 4000 WHERE id = 6`);
    const options = {lake: join(folder, 'lake'), signal: new AbortController().signal, tables: []};
    const {pipelines} = await loadPipelines({data: bundle(), variables: {}, cwd: folder, env: {}});
    const [spec] = pipelines;
    if (spec === undefined) throw new Error('no pipeline');
    expect(await verifyPipeline(spec, options)).toMatchObject([
      {verdict: 'unproven', missing: 0, extra: 0, changed: 0},
    ]);
    await run();
    expect(await verifyPipeline(spec, options)).toMatchObject([{verdict: 'equal'}]);
  }, 60_000);

  test('ends all tables of a run at one place of the log', async () => {
    await sql('CREATE TABLE totals (id int PRIMARY KEY, total numeric(12,2)); INSERT INTO totals VALUES (1, 0)');
    await sql('CREATE TABLE quiet (id int PRIMARY KEY); INSERT INTO quiet VALUES (1)');
    const initialSum = Number((await sql('SELECT sum(total) AS sum FROM orders'))[0]?.['sum']);
    const spec = bundle({objects: [{schema: {source_schema: 'public'}}]});
    await run(spec);
    let isDone = false;
    const writer = (async (): Promise<void> => {
      const other = new pg.Client({host: '127.0.0.1', port: server.port, user: 'postgres', database: 'postgres'});
      await other.connect();
      for (let id = 1; !isDone; id = (id % 400) + 1)
        await other.query(
          `BEGIN; UPDATE orders SET total = total + 1 WHERE id = ${id}; UPDATE totals SET total = total + 1; COMMIT`,
        );
      await other.end();
    })();
    try {
      for (let turn = 0; turn < 3; turn++) {
        await run(spec);
        // Every transaction moves both by one.
        const [landed] = (await lake(
          'SELECT (SELECT sum(total) FROM main.shop.orders) - (SELECT total FROM main.shop.totals) AS difference',
        )) as {readonly difference: unknown}[];
        expect(Number(landed?.difference)).toBe(initialSum);
      }
    } finally {
      isDone = true;
      await writer;
    }
  }, 90_000);

  test('asks for a new snapshot where a staged file is damaged; nothing of it lands', async () => {
    await run();
    await sql(`UPDATE orders SET total = -1 WHERE id < 20`);
    await stageOnly();
    const log = join(folder, 'lake', '_sluice', 'staging', 'shop', 'log', '00000001');
    const [newest = ''] = (await readdir(log))
      .filter((name) => name.endsWith('.seg'))
      .toSorted()
      .reverse();
    const bytes = await readFile(join(log, newest));
    const middle = bytes.length >> 1;
    bytes[middle] = (bytes[middle] ?? 0) ^ 0xff;
    await writeFile(join(log, newest), bytes);
    await expect(run()).rejects.toThrow(/STAGING_DAMAGED/);
    expect(await lake('SELECT count(*)::INT AS n FROM main.shop.orders WHERE total = -1')).toEqual([{n: 0}]);
    await run();
    await expectEqual();
  }, 60_000);

  test('reads a table anew whose slot was dropped; its rows stay until then', async () => {
    await run();
    await dropSlots();
    await sql(`DELETE FROM orders WHERE id = 9; INSERT INTO orders VALUES (900, 'while nobody looked', 1, '')`);
    await run();
    await expectEqual();
  }, 60_000);
});

async function lake(query: string): Promise<readonly unknown[]> {
  const {rows} = await queryLake(query, {
    lake: join(folder, 'lake'),
    signal: new AbortController().signal,
    limit: 1_000_000,
  });
  return rows;
}
