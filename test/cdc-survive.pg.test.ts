import {readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import pg from 'pg';
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {removeGateway} from '../src/runtime/gateway/run-gateway.ts';
import {startGateway} from './cdc-gateway.ts';
import {Shop} from './cdc-shop.ts';
import {startPostgres, type PostgresServer} from './postgres.ts';
import {startRelay} from './relay.ts';
import {mountDisk} from './small-disk.ts';

let server: PostgresServer;
let shop: Shop;

beforeAll(async () => {
  server = await startPostgres(
    // A sender that hears nothing for so long ends.
    {wal_sender_timeout: '2s', max_replication_slots: '20'},
    {
      files: {
        'pg_hba.conf': 'host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n',
      },
    },
  );
});
afterAll(async () => {
  await server.close();
});
beforeEach(async () => {
  shop = await Shop.open(server);
});
afterEach(async () => {
  await shop[Symbol.asyncDispose]();
});

/** Transactions of every kind, one after the other, until it is stopped: resolves to how many committed. */
function write(): AsyncDisposable & {stop(): Promise<number>} {
  let isOver = false;
  let committed = 0;
  const writing = (async () => {
    let session: pg.Client | null = null;
    for (let turn = 1; !isOver; turn++) {
      const id = (turn * 37) % 500;
      const statements = [
        `UPDATE orders SET total = total + 1, note = 'turn ${turn}' WHERE id BETWEEN ${id} AND ${id + 9}`,
        `INSERT INTO orders SELECT g, 'new', g, NULL FROM generate_series(${1000 + turn * 10}, ${1004 + turn * 10}) g`,
        `UPDATE orders SET id = id + 1000000 WHERE id = ${1001 + turn * 10}`,
        `DELETE FROM orders WHERE id = ${1002 + turn * 10} OR id = ${(turn * 7) % 500}`,
      ];
      // A server that is not there has committed nothing.
      try {
        session ??= await connected();
        await session.query(`BEGIN; ${statements.join('; ')}; COMMIT`);
        committed++;
        // Busy, and not more than that: the gateway needs the machine, too.
        await new Promise((resolve) => setTimeout(resolve, 10));
      } catch {
        await session?.end().catch(() => undefined);
        session = null;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    await session?.end();
    return committed;
  })();
  const stop = (): Promise<number> => {
    isOver = true;
    return writing;
  };
  return {
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

async function connected(): Promise<pg.Client> {
  const client = new pg.Client(server.url);
  // A server that ends is told by the next query.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

describe('a gateway goes on, and every row is there once', () => {
  test('after its staging was full', async () => {
    await using gateway = await startGateway(await shop.gateway(), shop.lake);
    await gateway.staged();
    const full = {kind: 'fail', systemCode: 'ENOSPC'} as const;
    gateway.store.inject({fault: full, method: 'put', name: /\.seg$|chunk-/, times: 1e6});
    await using writer = write();
    await gateway.told('storage_full');
    // Longer than the sender waits for a sign of life.
    await new Promise((resolve) => setTimeout(resolve, 4500));
    gateway.store.heal();
    await gateway.told('storage_recovered');
    expect(await writer.stop()).toBeGreaterThan(0);
    await gateway.staged();
    expect(gateway.count('epoch_began')).toBe(0);
    await gateway.stop();
    await shop.run();
    await shop.expectEqual();
  }, 180_000);

  test('with a staging that is slower than the sender waits for an answer', async () => {
    await using gateway = await startGateway(await shop.gateway(), shop.lake, {maxUnsealedBytes: 20_000});
    await gateway.staged();
    gateway.store.inject({fault: {kind: 'slow', ms: 2500}, method: 'put', name: /\.seg$/, times: 2});
    await using writer = write();
    await expect.poll(() => gateway.store.injected.length, {timeout: 30_000}).toBe(2);
    await writer.stop();
    await gateway.staged();
    // It kept its connection: the server was answered meanwhile.
    expect(gateway.count('streaming')).toBe(1);
    await gateway.stop();
    await shop.run();
    await shop.expectEqual();
  }, 180_000);

  test('after restarts of the server, orderly and not', async () => {
    await using gateway = await startGateway(await shop.gateway(), shop.lake);
    await gateway.staged();
    await using writer = write();
    await server.restart('fast');
    await gateway.told('streaming', 2);
    await server.restart('immediate');
    await gateway.told('streaming', 3);
    expect(await writer.stop()).toBeGreaterThan(0);
    await gateway.staged();
    expect(gateway.count('epoch_began')).toBe(0);
    await gateway.stop();
    await shop.run();
    await shop.expectEqual();
  }, 180_000);

  test('after connections that were cut in mid-frame, of the log and of snapshots', async () => {
    await using network = await startRelay(server.port);
    await shop.sql(`INSERT INTO orders SELECT g, 'many', g, repeat('m', 100) FROM generate_series(100000, 120000) g`);
    const bundle = shop.bundle({login: {port: network.port}});
    network.cutAfter(900_000);
    await using gateway = await startGateway(await shop.gateway(bundle), shop.lake);
    await expect.poll(() => network.cuts, {timeout: 30_000}).toBe(1);
    await gateway.staged();
    await using writer = write();
    for (let cut = 2; cut <= 5; cut++) {
      network.cutAfter(20_011 * cut);
      await expect.poll(() => network.cuts, {timeout: 30_000}).toBe(cut);
    }
    await writer.stop();
    await gateway.staged();
    expect(gateway.count('epoch_began')).toBe(0);
    await gateway.stop();
    await shop.run();
    await shop.expectEqual();
  }, 180_000);

  test('after its slot was dropped under it', async () => {
    await using gateway = await startGateway(await shop.gateway(), shop.lake);
    await gateway.staged();
    await using writer = write();
    await shop.sql('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL');
    // The gateway may be back before the slot is free.
    await expect
      .poll(() =>
        shop
          .sql(
            `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL;
            SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots`,
          )
          .then(
            () => true,
            () => false,
          ),
      )
      .toBe(true);
    await gateway.told('epoch_began');
    await writer.stop();
    await gateway.staged();
    await gateway.stop();
    await shop.run();
    await shop.expectEqual();
  }, 180_000);

  test('after a wrong password was rotated in, once it is given the new one', async () => {
    await shop.sql(`DROP ROLE IF EXISTS cdc; CREATE ROLE cdc SUPERUSER LOGIN PASSWORD 'first-word'`);
    const first = shop.bundle({login: {user: 'cdc', password: 'first-word'}});
    {
      await using gateway = await startGateway(await shop.gateway(first), shop.lake);
      await gateway.staged();
      await using writer = write();
      await shop.sql(`ALTER ROLE cdc PASSWORD 'second-word'`);
      await shop.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'cdc'`);
      const told = (): string => JSON.stringify(gateway.events);
      await expect.poll(told, {timeout: 20_000}).toMatch(/password authentication failed/);
      expect(told()).not.toMatch(/first-word|second-word/);
      await writer.stop();
      await gateway.stop();
    }
    await expect(shop.run(first)).rejects.toMatchObject({code: 'AUTH_FAILED'});
    const second = shop.bundle({login: {user: 'cdc', password: 'second-word'}});
    await using gateway = await startGateway(await shop.gateway(second), shop.lake);
    await gateway.staged();
    expect(gateway.state?.epoch).toBe(1);
    await gateway.stop();
    await shop.run(second);
    await shop.expectEqual();
  }, 180_000);
});

describe('a pipeline that follows a log', () => {
  test('goes on when somebody makes room on its disk, in the middle of a snapshot and of the log', async ({skip}) => {
    await using disk = await mountDisk(shop.lake, '1m', skip);
    const large = `md5(g::text) || md5((g + 1)::text) || md5((g + 2)::text)`;
    await shop.sql(`INSERT INTO orders SELECT g, 'many', g, ${large} FROM generate_series(1001, 30000) g`);
    const told = (what: string): Promise<void> =>
      expect.poll(() => shop.notes.join('\n'), {timeout: 40_000}).toContain(what);
    const first = shop.run();
    await told('GATEWAY_SNAPSHOT_FAILED');
    disk.remount('size=16m');
    await first;
    await shop.expectEqual();
    await shop.sql(`UPDATE orders SET note = note || note || note || note WHERE id > 1000`);
    const second = shop.run();
    await told('GATEWAY_STORAGE_FULL');
    disk.remount('size=256m');
    await second;
    await shop.expectEqual();
  }, 180_000);

  test('reads a snapshot while its table is written to', async () => {
    await shop.sql(
      `INSERT INTO orders SELECT g, 'many', g, repeat('m', 200) FROM generate_series(100000, 115000) g; ANALYZE orders`,
    );
    {
      await using _first = write();
      await using _second = write();
      await shop.run();
    }
    await shop.run();
    await shop.expectEqual();
  }, 180_000);

  test('keeps the rows of a table that is dropped or renamed, and reads anew what comes under its name', async () => {
    const bundle = shop.bundle({definition: {objects: [{schema: {source_schema: 'public'}}]}});
    await shop.sql('CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users VALUES (1, $$Ada$$)');
    await shop.run(bundle);
    await shop.sql(
      `DROP TABLE users; ALTER TABLE orders RENAME TO invoices; UPDATE invoices SET total = 5 WHERE id = 5`,
    );
    await shop.run(bundle);
    await shop.expectEqual('invoices');
    expect(await shop.query('SELECT name FROM main.shop.users')).toEqual([{name: 'Ada'}]);
    expect(await shop.query('SELECT count(*)::INT AS n FROM main.shop.orders')).toEqual([{n: 500}]);
    await shop.sql(`CREATE TABLE users (id int PRIMARY KEY, name text, born int); INSERT INTO users VALUES (2, 'Grace', 1906);
      CREATE TABLE orders (id bigint PRIMARY KEY, customer text, total numeric(12,2), note text); INSERT INTO orders VALUES (1, 'only', 1, NULL)`);
    await shop.run(bundle);
    await shop.sql(`INSERT INTO users VALUES (3, 'Edsger', 1930); UPDATE orders SET total = 2`);
    await shop.run(bundle);
    for (const table of ['users', 'orders', 'invoices']) await shop.expectEqual(table);
  }, 180_000);

  test('says which entry of the manifest is torn, keeps its rows, and begins anew when its gateway is removed', async () => {
    await shop.run();
    await shop.sql('DELETE FROM orders WHERE id < 10');
    const folder = join(shop.lake, '_sluice', 'staging', 'shop', 'manifest');
    const last =
      (await readdir(folder))
        .filter((name) => name.endsWith('.json'))
        .toSorted()
        .at(-1) ?? '';
    await writeFile(join(folder, last), (await readFile(join(folder, last))).subarray(0, 20));
    await expect(shop.run()).rejects.toMatchObject({
      code: 'STAGING_DAMAGED',
      message: expect.stringContaining(last) as string,
    });
    expect(await shop.query('SELECT count(*)::INT AS n FROM main.shop.orders')).toEqual([{n: 500}]);
    await removeGateway(await shop.gateway(), {lake: shop.lake, signal: new AbortController().signal});
    await shop.run();
    await shop.expectEqual();
  }, 180_000);

  test('never reads a slot that another gateway has taken, and finds a log that another has used up', async () => {
    const other = `${shop.lake}-of-another`;
    await using first = await startGateway(await shop.gateway(), shop.lake);
    await first.staged();
    await using writer = write();
    await using second = await startGateway(await shop.gateway(), other);
    await second.told('retry');
    expect(JSON.stringify(second.events)).toMatch(/slot/);
    await first.staged();
    expect(first.count('epoch_began')).toBe(0);
    await first.stop();
    await second.staged();
    await writer.stop();
    await second.staged();
    await second.stop();
    // What the other gateway has acknowledged is gone at the source: all tables are read anew.
    await shop.run();
    await shop.expectEqual();
    expect(shop.notes.join('\n')).toContain('EPOCH_BEGAN');
  }, 180_000);
});
