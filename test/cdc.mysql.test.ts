import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, beforeEach, describe, expect, inject, it} from 'vitest';

import type {RunResult} from '../src/runtime/api.ts';
import {loadPipelines} from '../src/runtime/config/load-pipelines.ts';
import {ingest} from '../src/runtime/ingest.ts';
import {queryLake} from '../src/runtime/inspect.ts';
import {verifyPipeline} from '../src/runtime/verify.ts';
import {createMysqlDatabase, type MysqlDatabase} from './mysql-database.ts';
import {mysqlKinds, needMysql} from './mysql.ts';

for (const kind of mysqlKinds()) {
  describe(`a pipeline that follows the log of ${kind}`, () => {
    let folder = '';
    let database: MysqlDatabase | undefined;
    beforeAll(async () => {
      const url = inject('mysqlUrls')[kind];
      if (url !== null) database = await createMysqlDatabase(url, 'cdc_shop');
    });
    afterAll(() => database?.[Symbol.asyncDispose]());
    beforeEach(async (context) => {
      needMysql(context, kind);
      folder = await mkdtemp(join(tmpdir(), 'sluice-cdc-'));
      await sql(`drop table if exists orders; drop table if exists _orders_new; drop table if exists users;
        create table orders (id bigint primary key, customer varchar(40), total decimal(12,2), note text);
        insert into orders with recursive n as (select 1 as g union all select g + 1 from n where g < 500)
        select g, concat('customer ', g % 10), g * 1.5, repeat('n', g % 50) from n`);
      return () => rm(folder, {recursive: true, force: true});
    });

    const sql = (text: string): Promise<void> => database?.run(text) ?? Promise.resolve();

    function bundle(objects: readonly object[] = [ORDERS]): object {
      const options = {...database?.options, ssl_mode: 'disabled'};
      const definition = {connection_name: 'db', connector_type: 'CDC', objects};
      return {
        resources: {
          connections: {db: {connection_type: 'MYSQL', options}},
          pipelines: {shop: {catalog: 'main', schema: 'shop', ingestion_definition: definition}},
        },
      };
    }

    async function run(spec: object = bundle()): Promise<RunResult> {
      const notes: string[] = [];
      const result = await ingest(spec, {
        lake: join(folder, 'lake'),
        onUpdate: (update) => {
          if (update.kind === 'note') notes.push(`${update.level} ${update.code} ${update.message}`);
        },
      });
      if (result.state !== 'COMPLETED') throw new Error(JSON.stringify([result.flows, notes], null, 1));
      return result;
    }

    /** Every row of the source is in the lake, and nothing else. */
    async function expectEqual(table = 'orders', columns = 'id, customer, total, note'): Promise<void> {
      const source = await database?.texts(`select ${columns} from ${table} order by 1`);
      const casts = columns.split(', ').map((name) => `cast(${name} as varchar) as ${name}`);
      const rows = await lake(`select ${casts.join(', ')} from main.shop.${table} order by cast(id as bigint)`);
      expect(rows.map((row) => Object.values(row))).toEqual(source?.map((row) => [...row]));
    }

    async function lake(query: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
      const options = {lake: join(folder, 'lake'), signal: new AbortController().signal, limit: 1_000_000};
      return (await queryLake(query, options)).rows;
    }

    it('lands the snapshot, then what changed', async () => {
      expect((await run()).flows[0]).toMatchObject({rowsInserted: 500});
      await sql(`update orders set total = total + 1 where id <= 10; delete from orders where id = 500;
        insert into orders values (501, 'new', 1, null); update orders set id = 1000 where id = 20`);
      expect((await run()).flows[0]).toMatchObject({rowsInserted: 2, rowsUpdated: 10, rowsDeleted: 2});
      await expectEqual();
      await sql(`begin; update orders set id = id + 2000, total = 7 where id <= 3; insert into orders values (1, 'again', 2, 'x');
        delete from orders where id = 2002; savepoint s; insert into orders values (3000, 'gone', 1, ''); rollback to s; commit`);
      await run();
      await expectEqual();
      const options = {lake: join(folder, 'lake'), signal: new AbortController().signal, tables: []};
      const [spec] = (await loadPipelines({data: bundle(), variables: {}, cwd: folder, env: {}})).pipelines;
      if (spec === undefined) throw new Error('no pipeline');
      expect(await verifyPipeline(spec, options)).toMatchObject([{verdict: 'equal'}]);
      await sql(`truncate orders; insert into orders values (5, 'after', 5, null)`);
      await run();
      await expectEqual();
    }, 40_000);

    it('follows columns that come and go, and reads a table anew whose rows the log does not tell', async () => {
      await run();
      await sql(`update orders set customer = 'a' where id = 1; alter table orders add column extra int; update orders set extra = 5 where id = 2;
        alter table orders drop column note; update orders set extra = 6 where id = 3`);
      await run();
      await expectEqual('orders', 'id, customer, total, extra');
      await sql(`create table _orders_new like orders; alter table _orders_new add column place int not null default 7;
        insert into _orders_new select *, id % 5 from orders where id > 100; rename table orders to _orders_old, _orders_new to orders; drop table _orders_old`);
      await run();
      await expectEqual('orders', 'id, customer, total, extra, place');
    }, 40_000);

    it('takes up new tables of a database, and keeps history where it is asked to', async () => {
      const spec = bundle([{schema: {source_schema: 'cdc_shop', table_configuration: {scd_type: 'SCD_TYPE_2'}}}]);
      await run(spec);
      await sql(
        `create table users (id int primary key, name varchar(20)); insert into users values (1, 'Ada'), (2, 'Grace')`,
      );
      await sql(`update orders set total = 0 where id = 7`);
      await run(spec);
      await sql(`update users set name = 'Countess' where id = 1; delete from users where id = 2`);
      await run(spec);
      expect(
        await lake('select id, name, __END_AT is null as open from main.shop.users order by id, __START_AT'),
      ).toEqual([
        {id: 1, name: 'Ada', open: false},
        {id: 1, name: 'Countess', open: true},
        {id: 2, name: 'Grace', open: false},
      ]);
    }, 40_000);
  });
}

const ORDERS = {table: {source_schema: 'cdc_shop', source_table: 'orders'}};
