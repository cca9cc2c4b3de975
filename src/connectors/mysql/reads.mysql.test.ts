import {afterAll, beforeAll, beforeEach, describe, expect, inject, it} from 'vitest';

import type {MysqlDatabase} from '../../../test/mysql-database.ts';
import {createMysqlDatabase} from '../../../test/mysql-database.ts';
import {mysqlKinds, needMysql} from '../../../test/mysql.ts';
import {testContext} from '../../../test/read-context.ts';
import type {Offset, Page, ReadContext, TableOptions} from '../../sdk/index.ts';
import {canonicalCell} from '../../sdk/index.ts';
import {mysqlConnector, type MysqlConnector} from './connector.ts';
import {mysql} from './index.ts';
import {connectionOptions} from './session.ts';

for (const kind of mysqlKinds()) {
  describe(`${kind} by queries`, () => {
    let database: MysqlDatabase | undefined;
    let connector: MysqlConnector;
    beforeAll(async () => {
      const url = inject('mysqlUrls')[kind];
      if (url !== null) database = await createMysqlDatabase(url, 'reads');
    });
    afterAll(() => database?.[Symbol.asyncDispose]());
    beforeEach((context) => {
      needMysql(context, kind);
      connector = mysqlConnector(connectionOptions(database?.options ?? {}, 'test'));
      return () => connector.close();
    });
    const run = (sql: string): Promise<void> => database?.run(sql) ?? Promise.resolve();

    it('lists databases and tables, and describes names that need quotes', async () => {
      await run(
        'create table `odd.na``me` (id int primary key, `a b` int comment "first") comment "two"; create or replace view seen as select 1 as one',
      );
      const ctx = testContext();
      expect(await connector.listTables(ctx)).toEqual(['reads."odd.na`me"', 'reads.seen']);
      expect(await connector.listNamespaces(null, ctx)).toContainEqual(['reads']);
      expect(await connector.listTablesInNamespace(['reads'], ctx)).toEqual(['odd.na`me', 'seen']);
      expect((await connector.getTableSchema('reads."odd.na`me"', {}, ctx)).fields).toEqual([
        {name: 'id', type: 'integer', nullable: false, metadata: {}},
        {name: 'a b', type: 'integer', nullable: true, metadata: {comment: 'first'}},
      ]);
      expect(await connector.readTableMetadata('"odd.na`me"', {}, ctx)).toEqual({
        primaryKeys: ['id'],
        keysEnforced: true,
        ingestionType: 'snapshot',
        bounded: true,
        comment: 'two',
      });
      expect((await read(connector, 'seen')).rows).toEqual(['1']);
      await expect(connector.getTableSchema('reads.nowhere', {}, ctx)).rejects.toMatchObject({code: 'UNKNOWN_TABLE'});
    });

    it('takes the primary key in its order, else a unique index over columns that are never null', async () => {
      await run(`create table composite (a int, b varchar(5), c int, primary key (c, b));
        create table indexed (a int not null, b int unique, c int not null, unique (c)); create table bare (a int unique)`);
      const keys = async (table: string) => (await connector.readTableMetadata(table, {}, testContext())).primaryKeys;
      expect(await keys('composite')).toEqual(['c', 'b']);
      expect(await keys('indexed')).toEqual(['c']);
      expect(await keys('bare')).toEqual([]);
    });

    it('refuses cursors that are not there or keep no order', async () => {
      await run('create table scores (id int primary key, updated_at datetime, score double)');
      const metadata = (options: TableOptions) => connector.readTableMetadata('scores', options, testContext());
      await expect(metadata({cursor_column: 'update_at'})).rejects.toMatchObject({
        code: 'UNKNOWN_COLUMN',
        fix: 'Did you mean "updated_at"?',
      });
      await expect(metadata({cursor_column: 'score'})).rejects.toMatchObject({code: 'UNSUPPORTED'});
      await expect(metadata({cursor_column: 'id', lookback_seconds: 5})).rejects.toMatchObject({
        code: 'INVALID_OPTION',
      });
    });

    it('reads increments by a number, also among rows of one value, and ends where it began when nothing is new', async () => {
      await run(
        'create table numbers (id int primary key, n bigint unsigned, v varchar(10)); insert into numbers values (1, 5, "a"), (2, 18446744073709551615, "b"), (3, null, "c")',
      );
      const options = {cursor_column: 'n'};
      const first = await read(connector, 'numbers', {options});
      expect(first.rows).toEqual(['1 5 a', '2 18446744073709551615 b', '3 null c']);
      const none = await read(connector, 'numbers', {options, start: first.end});
      expect(none.rows).toEqual(['3 null c']);
      expect(none.end).toEqual(first.end);
      const half = {column: 'n', value: '5', key: ['1']};
      await run('insert into numbers values (4, 5, "d"), (5, 6, "e"); delete from numbers where id = 2');
      expect((await read(connector, 'numbers', {options, start: half, isFirstCall: false})).rows).toEqual([
        '4 5 d',
        '5 6 e',
      ]);
    });

    it('reads coarse times again at the last value, and fine ones behind it', async () => {
      await run(`create table times (id int primary key, at datetime, fine timestamp(6) null default null);
        insert into times values (1, '2024-01-01 00:00:00', '2024-01-01 00:00:00.000001'), (2, '2024-01-02 00:00:00', '2024-01-02 00:00:00.5')`);
      const coarse = {cursor_column: 'at'};
      const fine = {cursor_column: 'fine'};
      const ends = [
        (await read(connector, 'times', {options: coarse})).end,
        (await read(connector, 'times', {options: fine})).end,
      ];
      await run(
        `insert into times values (3, '2024-01-02 00:00:00', '2024-01-02 00:00:00.500001'), (4, '9999-01-01', '2037-01-01')`,
      );
      const rows = async (options: TableOptions, start: Offset | null | undefined) =>
        (await read(connector, 'times', {options, start: start ?? null})).rows.map((row) => row.split(' ')[0]);
      expect(await rows(coarse, ends[0])).toEqual(['2', '3']);
      expect(await rows(fine, ends[1])).toEqual(['3']);
      expect(await rows({...coarse, lookback_seconds: 90_000}, ends[0])).toEqual(['1', '2', '3']);
    });

    it('waits for rows that a running transaction may still commit with an older time', async () => {
      await run(`create table late (id int primary key auto_increment, at timestamp(6) null default null)`);
      await using writer = await database?.connect();
      const signal = new AbortController().signal;
      await run('insert into late (at) values (now(6) - interval 1 hour)');
      await writer?.queries('begin; insert into late (at) values (now(6) - interval 2 second)', signal);
      await new Promise((resolve) => setTimeout(resolve, 1100));
      await run('insert into late (at) values (now(6))');
      const options = {cursor_column: 'at'};
      const first = await read(connector, 'late', {options});
      await writer?.queries('commit', signal);
      await new Promise((resolve) => setTimeout(resolve, 2100));
      const second = await read(connector, 'late', {options, start: first.end});
      const ids = new Set([...first.rows, ...second.rows].map((row) => row.split(' ')[0]));
      expect([...ids].toSorted()).toEqual(['1', '2', '3']);
    });

    it('reads keys for the search of deleted rows, and many rows in batches', async () => {
      await run('create table many (id int primary key, v varchar(200))');
      const values = Array.from({length: 20_000}, (_, id) => `(${id}, repeat('m', 150))`).join(', ');
      await run(`insert into many values ${values}`);
      const all = await read(connector, 'many');
      expect(all.rows).toHaveLength(20_000);
      expect(all.pages).toBeGreaterThan(2);
      let keys = 0;
      for await (const batch of connector.scanKeys('many', ['id'], {}, testContext())) keys += batch.rowCount;
      expect(keys).toBe(20_000);
    });

    it('gives the rows of one view for comparison, and tells those behind the end', async () => {
      await run(`create table compared (id int primary key, n int, d date, v varchar(10) character set latin1);
        insert into compared values (1, 1, '2024-01-01', 'ä'), (2, 2, '2024-01-02', null), (3, 3, '2024-01-03', 'c')`);
      const {fields} = await connector.getTableSchema('compared', {}, testContext());
      const scope = {table: 'compared', options: {cursor_column: 'n'}, columns: fields, keys: ['id'], buckets: 1};
      await using point = await connector.openVerify(scope, {column: 'n', value: '2'}, testContext());
      await run('delete from compared where id = 1');
      const [sum] = await point.sums(testContext());
      expect([point.excluded, sum?.count]).toEqual([[], 2n]);
      const touched: unknown[] = [];
      for await (const keys of point.touched?.([0], testContext()) ?? []) touched.push(...keys);
      expect(touched).toEqual([['3']]);
    });

    it('stops when columns changed since they were described', async () => {
      await run('create table changing (id int primary key)');
      await connector.getTableSchema('changing', {}, testContext());
      await run('alter table changing add column b int');
      await expect(read(connector, 'changing')).rejects.toMatchObject({code: 'SOURCE_SCHEMA_CHANGED'});
    });

    it('declares a spec whose defaults the connector takes, and refuses halves of pairs', () => {
      const made = mysql.create({
        options: {...database?.options},
        connectionName: 'c',
        clock: testContext().clock,
        random: () => 0,
      });
      expect(made.readTable).toBeTypeOf('function');
      expect(() => connectionOptions({host: 'h', ssl_cert: 'x'}, 'c')).toThrow(/ssl_key/);
      expect(() => connectionOptions({host: 'h', ssh_host: 'jump'}, 'c')).toThrow(/ssh_host_key/);
    });
  });
}

interface ReadOf {
  readonly options?: TableOptions;
  readonly start?: Offset | null;
  readonly isFirstCall?: boolean;
}

/** All rows as texts, and where the read ended. */
async function read(
  connector: MysqlConnector,
  table: string,
  {options = {}, start = null, isFirstCall = true}: ReadOf = {},
): Promise<{readonly rows: readonly string[]; readonly end: Offset | null; readonly pages: number}> {
  const ctx: ReadContext = testContext({isFirstCall, triggerStartedAt: BigInt(Math.floor(performance.now() * 1000))});
  const rows: string[] = [];
  let pages = 0;
  const reading = connector.readTable(table, start, options, ctx);
  for (let next = await reading.next(); ; next = await reading.next()) {
    if (next.done === true) return {rows: rows.toSorted(), end: next.value, pages};
    rows.push(...textsOf(next.value));
    pages++;
  }
}

function textsOf(page: Page): readonly string[] {
  if (!('kind' in page) || page.kind !== 'columns') throw new Error('columns are expected');
  const {columns, schema, rowCount} = page.batch;
  return Array.from({length: rowCount}, (_, row) =>
    columns
      .map((column, index) => String(canonicalCell(column, row, schema.fields[index]?.type ?? 'string')))
      .join(' '),
  );
}
