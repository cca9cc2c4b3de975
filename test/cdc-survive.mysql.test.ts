import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, beforeEach, describe, expect, inject, test} from 'vitest';

import {loadGateways} from '../src/runtime/config/load-pipelines.ts';
import type {GatewaySpec} from '../src/runtime/config/resolve-gateway.ts';
import {ingest} from '../src/runtime/ingest.ts';
import {queryLake} from '../src/runtime/inspect.ts';
import {MysqlConnection} from '../src/wire/mysql/connection.ts';
import {startGateway} from './cdc-gateway.ts';
import {startMysql, type MysqlServer} from './mysql-server.ts';
import {mysqlKinds, needMysql} from './mysql.ts';
import {startRelay} from './relay.ts';

const signal = new AbortController().signal;

for (const kind of mysqlKinds()) {
  describe(`the log of ${kind} goes on, and every row is there once`, () => {
    // Tests here restart the server and remove its log.
    let server: MysqlServer;
    let folder = '';
    beforeAll(async () => {
      // What has committed outlives the process.
      if (inject('mysqlUrls')[kind] !== null) server = await startMysql(kind, {'innodb-flush-log-at-trx-commit': '2'});
    });
    afterAll(() => server?.[Symbol.asyncDispose]());
    beforeEach(async (context) => {
      needMysql(context, kind);
      folder = await mkdtemp(join(tmpdir(), 'sluice-survive-'));
      await sql(`drop database if exists shop; create database shop character set utf8mb4; use shop;
        create table orders (id bigint primary key, customer varchar(40), total decimal(12,2), note text);
        insert into orders with recursive n as (select 1 as g union all select g + 1 from n where g < 500)
        select g, concat('customer ', g % 10), g * 1.5, repeat('n', g % 50) from n`);
      return () => rm(folder, {recursive: true, force: true});
    });

    const connected = (): Promise<MysqlConnection> =>
      MysqlConnection.connect(
        {host: server.host, port: server.port, user: 'root', tls: {mode: 'disabled'}, connectTimeoutMs: 10_000},
        signal,
      );

    async function sql(text: string): Promise<void> {
      await using session = await connected();
      await session.queries(text, signal);
    }

    function bundle(login: object = {}): object {
      const options = {host: server.host, port: server.port, user: 'root', database: 'shop', ssl_mode: 'disabled'};
      const objects = [{table: {source_schema: 'shop', source_table: 'orders'}}];
      return {
        resources: {
          connections: {db: {connection_type: 'MYSQL', options: {...options, ...login}}},
          pipelines: {
            shop: {
              catalog: 'main',
              schema: 'shop',
              ingestion_definition: {connection_name: 'db', connector_type: 'CDC', objects},
            },
          },
        },
      };
    }

    async function gatewayOf(data: object): Promise<GatewaySpec> {
      const [gateway] = (await loadGateways({data, variables: {}, cwd: folder, env: {}})).gateways;
      if (gateway === undefined) throw new Error('no gateway');
      return gateway;
    }

    async function run(spec: object = bundle()): Promise<readonly string[]> {
      const notes: string[] = [];
      const result = await ingest(spec, {
        lake: folder,
        onUpdate: (update) => {
          if (update.kind === 'note') notes.push(`${update.code} ${update.message}`);
        },
      });
      expect([result.state, ...(result.state === 'COMPLETED' ? [] : notes)]).toEqual(['COMPLETED']);
      return notes;
    }

    /** Every row of the source is in the lake, and nothing else. */
    async function expectEqual(): Promise<void> {
      await using session = await connected();
      const {rows: source} = await session.query(
        'select id, customer, total, note from shop.orders order by id',
        signal,
      );
      const text = `select cast(id as varchar) as id, customer, cast(total as varchar) as total, note from main.shop.orders o order by o.id`;
      const {rows} = await queryLake(text, {lake: folder, signal, limit: 1_000_000});
      const line = (values: readonly unknown[]): string => values.map((value) => String(value ?? '')).join('|');
      const [landed, wanted] = [rows.map((row) => line(Object.values(row))), source.map(line)];
      const [found, there] = [new Set(landed), new Set(wanted)];
      expect({
        rows: landed.length,
        lost: wanted.filter((one) => !found.has(one)).slice(0, 5),
        wrong: landed.filter((one) => !there.has(one)).slice(0, 5),
      }).toEqual({rows: wanted.length, lost: [], wrong: []});
    }

    /** Transactions of every kind, one after the other, until it is stopped. */
    function write(): AsyncDisposable & {stop(): Promise<void>} {
      let isOver = false;
      const writing = (async () => {
        let session: MysqlConnection | null = null;
        for (let turn = 1; !isOver; turn++) {
          const id = (turn * 37) % 500;
          const statements = [
            `update orders set total = total + 1, note = 'turn ${turn}' where id between ${id} and ${id + 9}`,
            `insert into orders values (${1000 + turn * 10}, 'new', 1, null), (${1001 + turn * 10}, 'newer', 2, '')`,
            `update orders set id = id + 1000000 where id = ${1001 + turn * 10}`,
            `delete from orders where id = ${(turn * 7) % 500}`,
          ];
          // A server that is not there has committed nothing.
          try {
            session ??= await connected();
            await session.queries(`use shop; begin; ${statements.join('; ')}; commit`, signal);
          } catch {
            await session?.[Symbol.asyncDispose]();
            session = null;
          }
          // Busy, and not more than that: the gateway needs the machine, too.
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        await session?.[Symbol.asyncDispose]();
      })();
      const stop = (): Promise<void> => {
        isOver = true;
        return writing;
      };
      return {stop, [Symbol.asyncDispose]: stop};
    }

    test('after restarts of the server, orderly and not', async () => {
      await using gateway = await startGateway(await gatewayOf(bundle()), folder);
      await gateway.staged();
      await using writer = write();
      await server.restart('orderly');
      await gateway.told('streaming', 2);
      await server.restart('crash');
      await gateway.told('streaming', 3);
      await writer.stop();
      await gateway.staged();
      expect(gateway.count('epoch_began')).toBe(0);
      await gateway.stop();
      await run();
      await expectEqual();
    }, 180_000);

    test('after connections that were cut in mid-frame', async () => {
      await using network = await startRelay(server.port);
      const spec = bundle({port: network.port});
      await using gateway = await startGateway(await gatewayOf(spec), folder);
      await gateway.staged();
      await using writer = write();
      for (let cut = 1; cut <= 3; cut++) {
        network.cutAfter(5011 * cut);
        await expect.poll(() => network.cuts, {timeout: 30_000}).toBe(cut);
      }
      await writer.stop();
      await gateway.staged();
      expect(gateway.count('epoch_began')).toBe(0);
      await gateway.stop();
      await run();
      await expectEqual();
    }, 180_000);

    test('by reading all tables anew where the log was purged; their rows stay until then', async () => {
      await run();
      await sql('delete from shop.orders where id < 20; update shop.orders set total = 7 where id = 30');
      await using session = await connected();
      // A log that the server still sends to somebody stays, without an error.
      const purged = async (): Promise<number> => {
        await session.queries('flush binary logs', signal);
        const {rows} = await session.query('show binary logs', signal);
        await session.queries(`purge binary logs to '${rows.at(-1)?.[0] ?? ''}'`, signal);
        return (await session.query('show binary logs', signal)).rows.length;
      };
      await expect.poll(purged, {timeout: 20_000, interval: 200}).toBe(1);
      const notes = await run();
      expect(notes.join('\n')).toContain('EPOCH_BEGAN');
      await expectEqual();
    }, 180_000);

    test('after a wrong password was rotated in, once it is given the new one', async () => {
      await sql(`drop user if exists cdc; create user cdc identified by 'first-word'; grant all on *.* to cdc`);
      const login = (password: string): object => bundle({user: 'cdc', password, ssl_mode: 'preferred'});
      {
        await using gateway = await startGateway(await gatewayOf(login('first-word')), folder);
        await gateway.staged();
        await using writer = write();
        await sql(`alter user cdc identified by 'second-word'`);
        await using session = await connected();
        const {rows} = await session.query(`select id from information_schema.processlist where user = 'cdc'`, signal);
        for (const [id] of rows) await session.queries(`kill ${id ?? ''}`, signal).catch(() => undefined);
        const told = (): string => JSON.stringify(gateway.events);
        await expect.poll(told, {timeout: 20_000}).toMatch(/Access denied/);
        expect(told()).not.toMatch(/first-word|second-word/);
        await writer.stop();
        await gateway.stop();
      }
      await expect(ingest(login('first-word'), {lake: folder})).rejects.toMatchObject({code: 'AUTH_FAILED'});
      await run(login('second-word'));
      await expectEqual();
    }, 180_000);
  });
}
