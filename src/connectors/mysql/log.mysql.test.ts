import {afterAll, beforeAll, describe, expect, inject, it} from 'vitest';

import {replayUntilNow} from '../../../test/change-log-replay.ts';
import type {MysqlDatabase} from '../../../test/mysql-database.ts';
import {createMysqlDatabase} from '../../../test/mysql-database.ts';
import type {MysqlServer} from '../../../test/mysql-server.ts';
import {startMysql} from '../../../test/mysql-server.ts';
import {mysqlKinds, needMysql} from '../../../test/mysql.ts';
import {testContext} from '../../../test/read-context.ts';
import type {LogPoint} from '../../sdk/index.ts';
import {MysqlChangeLog} from './change-log.ts';
import {binlogCodec} from './log-codec.ts';
import {connectionOptions} from './session.ts';

for (const kind of mysqlKinds()) {
  describe(kind, () => {
    // Tests here change settings of the server and remove its log.
    let server: MysqlServer | undefined;
    let database: MysqlDatabase | undefined;
    let source: MysqlChangeLog;
    beforeAll(async () => {
      if (inject('mysqlUrls')[kind] === null) return;
      server = await startMysql(kind);
      database = await createMysqlDatabase(server.url, 'log_test');
      source = new MysqlChangeLog(connectionOptions(database.options, 'test'), {gatewayId: 'log_test'});
    });
    afterAll(async () => {
      await source?.close();
      await database?.[Symbol.asyncDispose]();
      await server?.[Symbol.asyncDispose]();
    });
    const at = (): Promise<LogPoint> => source.prepare([], testContext());
    const read = (from: LogPoint, ...names: readonly string[]) =>
      replayUntilNow(source, binlogCodec, {from, tables: names.map((name) => `log_test.${name}`)});
    const run = (sql: string): Promise<void> => database?.run(sql) ?? Promise.resolve();

    it('tells inserts, updates, deletes and changes of keys, transaction by transaction', async (context) => {
      needMysql(context, kind);
      await run(
        'create table t (id int primary key, a varchar(20), b decimal(10,2)); create table other (id int primary key)',
      );
      const from = await at();
      await run(`insert into t values (1, 'one', 1.5), (2, null, -2.25); insert into other values (1);
        begin; update t set a = 'eins' where id = 1; update t set id = 3 where id = 2; delete from t where id = 1; commit`);
      const {replay, end} = await read(from, 't');
      expect(replay.changes.map(({change}) => change)).toEqual([
        {op: 'upsert', row: {id: 1, a: 'one', b: '1.50'}, isInsert: true},
        {op: 'upsert', row: {id: 2, a: null, b: '-2.25'}, isInsert: true},
        {op: 'upsert', row: {id: 1, a: 'eins', b: '1.50'}},
        {op: 'upsert', row: {id: 3, a: null, b: '-2.25'}, oldKey: {id: 2}},
        {op: 'delete', row: {id: 1, a: 'eins', b: '1.50'}},
      ]);
      expect(replay.commits).toBe(2);
      const [first, , second] = replay.changes;
      expect(first?.transaction).not.toBe(second?.transaction);
      expect(first?.position).toBeGreaterThan(from.position);
      expect(second?.position).toBeLessThan(end.position);
      expect(binlogCodec.isVisible(first?.transaction ?? '', end.token)).toBe(true);
      expect(binlogCodec.isVisible(first?.transaction ?? '', from.token)).toBe(false);
    });

    it('leaves out what was rolled back, also to a savepoint', async (context) => {
      needMysql(context, kind);
      await run('create table saved (id int primary key)');
      const from = await at();
      await run(`begin; insert into saved values (1); rollback;
        begin; insert into saved values (2); savepoint s; insert into saved values (3); rollback to s; insert into saved values (4); commit`);
      const {replay} = await read(from, 'saved');
      expect(replay.changes.map(({change}) => change.row)).toEqual([{id: 2}, {id: 4}]);
    });

    it('knows rows of tables without a key by all their columns', async (context) => {
      needMysql(context, kind);
      await run('create table bare (a int, b text)');
      const from = await at();
      await run(
        `insert into bare values (1, 'x'), (1, 'x'); update bare set b = 'y' limit 1; delete from bare where b = 'x'`,
      );
      const {replay} = await read(from, 'bare');
      expect([...replay.tables.values()].map(({identity}) => identity)).toEqual(['full']);
      expect(replay.changes.slice(2).map(({change}) => change)).toEqual([
        {op: 'upsert', row: {a: 1, b: 'y'}, oldKey: {a: 1, b: 'x'}},
        {op: 'delete', row: {a: 1, b: 'x'}},
      ]);
    });

    it('names columns that an image leaves out as unchanged', async (context) => {
      needMysql(context, kind);
      await run('create table partial (id int primary key, a int, b text)');
      await run(`insert into partial values (1, 1, 'long')`);
      const from = await at();
      await run(`set session binlog_row_image = minimal; update partial set a = 2; update partial set id = 5;
        delete from partial; set session binlog_row_image = full`);
      const {replay} = await read(from, 'partial');
      expect(replay.changes.map(({change}) => change)).toEqual([
        {op: 'upsert', row: {id: 1, a: 2}, unchanged: ['b']},
        {op: 'upsert', row: {id: 5}, oldKey: {id: 1}, unchanged: ['a', 'b']},
        {op: 'delete', row: {id: 5}},
      ]);
    });

    it('follows columns that come and go in mid-stream', async (context) => {
      needMysql(context, kind);
      await run('create table wide (id int primary key, a int)');
      const from = await at();
      await run(`insert into wide values (1, 1); alter table wide add column b varchar(10) null after id; insert into wide values (2, 'x', 2);
        alter table wide drop column a; insert into wide values (3, 'y'); alter table wide modify b varchar(20); update wide set b = 'z' where id = 1`);
      const {replay} = await read(from, 'wide');
      expect(replay.changes.map(({change}) => change.row)).toEqual([
        {id: 1, a: 1},
        {id: 2, b: 'x', a: 2},
        {id: 3, b: 'y'},
        {id: 1, b: 'z'},
      ]);
      expect(new Set(replay.changes.map(({table}) => table.id)).size).toBe(1);
      // Only the change of a type may have changed values.
      expect(replay.resets).toEqual(['the table was altered in a way that may have changed its rows']);
    });

    it('tells what statements do to tables: empty, rename into place, create anew', async (context) => {
      needMysql(context, kind);
      await run(
        'create table swap (id int primary key, v int); insert into swap values (1, 1); create table quiet (id int primary key)',
      );
      const from = await at();
      await run(`truncate table swap; insert into swap values (2, 2); create table _swap_new like swap;
        insert into _swap_new select * from swap; rename table swap to _swap_old, _swap_new to swap; insert into swap values (3, 3);
        drop table quiet; create table quiet (id int primary key); alter table swap comment = 'x', add index (v); drop table _swap_old`);
      const {replay} = await read(from, 'swap', 'quiet');
      expect(replay.changes.map(({change}) => [change.op, change.row?.['id']])).toEqual([
        ['truncate', undefined],
        ['upsert', 2],
        ['upsert', 3],
      ]);
      expect(replay.resets).toEqual(['another table was renamed to its name', 'the table was created anew']);
    });

    it('resets tables whose rows were changed by statements that the log holds as text', async (context) => {
      needMysql(context, kind);
      await run('create table texts (id int primary key); create table untouched (id int primary key)');
      const from = await at();
      await run(`set session binlog_format = statement; insert into texts values (1); set session binlog_format = row`);
      const {replay} = await read(from, 'texts', 'untouched');
      expect(replay.changes).toEqual([]);
      expect(replay.resets).toEqual(['rows were changed by a statement that the log holds as text (binlog_format)']);
    });

    it('holds XA transactions back until they are decided, over a restart too', async (context) => {
      needMysql(context, kind);
      await run('create table xa (id int primary key)');
      const from = await at();
      await run(`xa start 'a'; insert into xa values (1); xa end 'a'; xa prepare 'a'`);
      // Some versions keep a session from other work while its XA transaction is prepared.
      await using other = await database?.connect();
      const signal = new AbortController().signal;
      await other?.query('insert into xa values (2)', signal);
      const first = await read(from, 'xa');
      expect(first.replay.changes.map(({change}) => change.row)).toEqual([{id: 2}]);
      await run(`xa commit 'a'; xa start 'b'; insert into xa values (3); xa end 'b'; xa prepare 'b'; xa rollback 'b';
        xa start 'c'; insert into xa values (4); xa end 'c'; xa commit 'c' one phase`);
      const whole = await read(from, 'xa');
      expect(whole.replay.changes.map(({change}) => change.row)).toEqual([{id: 2}, {id: 1}, {id: 4}]);
      const second = await read(first.end, 'xa');
      expect(second.replay.changes.map(({change}) => change.row)).toEqual([{id: 4}]);
      expect(second.replay.resets).toEqual(['the rows of an XA transaction came before the log was opened']);
    });

    it('reads what the server compressed', async (context) => {
      needMysql(context, kind);
      await run('create table packed (id int primary key, v text)');
      const from = await at();
      const [on, off] =
        kind === 'mysql'
          ? ['set session binlog_transaction_compression = on', 'set session binlog_transaction_compression = off']
          : ['set global log_bin_compress = on', 'set global log_bin_compress = off'];
      await run(`${on}; insert into packed values (1, repeat('x', 5000)), (2, repeat('y', 300)); update packed set v = repeat('z', 4000) where id = 1;
        delete from packed where id = 2; truncate table packed; ${off}`);
      const {replay} = await read(from, 'packed');
      expect(
        replay.changes.map(({change}) => [change.op, change.row?.['id'], String(change.row?.['v'] ?? '').length]),
      ).toEqual([
        ['upsert', 1, 5000],
        ['upsert', 2, 300],
        ['upsert', 1, 4000],
        ['delete', 2, 300],
        ['truncate', undefined, 0],
      ]);
    });

    it('goes on behind every point, over files and large transactions, and gives each transaction whole and once', async (context) => {
      needMysql(context, kind);
      await run(
        'create table many (id int primary key, v varchar(1000)); create table noise (id int primary key auto_increment, v text)',
      );
      const from = await at();
      const big = Array.from({length: 4000}, (_, id) => `(${id}, repeat('b', 900))`).join(', ');
      await run(`insert into many values (-1, 'first'); flush logs; insert into many values ${big}; insert into noise (v) values ('x');
        insert into many values (-2, 'second'); flush logs; delete from many where id >= 0; insert into many values (-3, 'third')`);
      const tables = ['log_test.many'];
      const {replay: whole, end} = await replayUntilNow(source, binlogCodec, {from, tables});
      expect(whole.changes).toHaveLength(8003);
      expect(whole.commits).toBe(5);
      const ends: LogPoint[] = [];
      const ctx = testContext();
      const reader = await source.openLog(from, tables, ctx);
      for await (const batch of reader.batches()) {
        if (batch.end !== null) ends.push(batch.end);
        if (batch.end !== null && batch.end.position >= end.position) break;
      }
      await reader[Symbol.asyncDispose]();
      expect(ends.length).toBeGreaterThan(2);
      for (const [index, point] of ends.entries()) {
        expect(point.position).toBeGreaterThanOrEqual(ends[index - 1]?.position ?? from.position);
        const {replay: rest} = await replayUntilNow(source, binlogCodec, {from: point, tables});
        const expected = whole.changes.filter(({position}) => position > point.position);
        expect(rest.changes.map(({position, change}) => [position, change])).toEqual(
          expected.map(({position, change}) => [position, change]),
        );
      }
    });

    // MariaDB has no tags.
    const withTags = kind === 'mysql' ? it : () => undefined;
    withTags('names transactions with tags, and goes on behind them', async (context) => {
      needMysql(context, kind);
      await run('create table tagged (id int primary key)');
      const from = await at();
      await run(`insert into tagged values (1); set gtid_next = 'AUTOMATIC:blue'; insert into tagged values (2); set gtid_next = 'AUTOMATIC';
        insert into tagged values (3)`);
      const {replay, end} = await read(from, 'tagged');
      const names = replay.changes.map(({transaction}) => transaction.replace(/^[^:]+/, 'uuid').replace(/\d+$/, 'n'));
      expect(names).toEqual(['uuid:n', 'uuid:blue:n', 'uuid:n']);
      expect(replay.changes.map(({transaction}) => binlogCodec.isVisible(transaction, end.token))).toEqual([
        true,
        true,
        true,
      ]);
      await run('insert into tagged values (4)');
      expect((await read(end, 'tagged')).replay.changes.map(({change}) => change.row)).toEqual([{id: 4}]);
    });

    it('moves on while only other tables change', async (context) => {
      needMysql(context, kind);
      await run('create table still (id int primary key)');
      const from = await at();
      await run(`insert into noise (v) values ('y')`);
      const {replay, end} = await read(from, 'still');
      expect(replay.changes).toEqual([]);
      expect(end.position).toBe((await at()).position);
    });

    it('follows tables of engines without transactions', async (context) => {
      needMysql(context, kind);
      await run('create table plain (id int primary key) engine = MyISAM');
      const from = await at();
      await run('insert into plain values (1), (2); update plain set id = 3 where id = 2');
      const {replay} = await read(from, 'plain');
      expect(replay.changes.map(({change}) => change.row)).toEqual([{id: 1}, {id: 2}, {id: 3}]);
      expect(replay.commits).toBe(2);
    });

    it('skips generated columns of no table: virtual and stored ones are in the log', async (context) => {
      needMysql(context, kind);
      await run(
        `create table made (id int primary key, a int, v int as (a + 1) virtual, s int as (a + 2) stored, b int)`,
      );
      const from = await at();
      await run('insert into made (id, a, b) values (1, 10, 5)');
      const {replay} = await read(from, 'made');
      const described = (await source.describe(['log_test.made'], testContext())).get('log_test.made');
      expect(replay.changes.map(({change}) => change.row)).toEqual([{id: 1, a: 10, v: 11, s: 12, b: 5}]);
      expect([...replay.tables.values()]).toEqual([described]);
    });

    it('tells how much log waits', async (context) => {
      needMysql(context, kind);
      const health = await source.health(testContext());
      expect(health.retainedBytes).toBeGreaterThan(0);
      expect((await source.identify(testContext())).server).not.toBe('');
    });

    it('says when the log does not go on', async (context) => {
      needMysql(context, kind);
      await run('create table gone (id int primary key)');
      const from = await at();
      await run('insert into gone values (1); flush logs; insert into gone values (2); flush logs');
      const files = async (): Promise<readonly (string | null)[]> =>
        ((await database?.texts('show binary logs')) ?? []).map(([file]) => file ?? null);
      const last = (await files()).at(-1) ?? '';
      // A file stays as long as a reader that is gone has not been noticed.
      await expect
        .poll(async () => (await run(`purge binary logs to '${last}'`), await files()), {timeout: 20_000})
        .toEqual([last]);
      await expect(read(from, 'gone')).rejects.toMatchObject({code: 'LOG_LOST'});
      const latest = await at();
      await run(kind === 'mysql' ? 'reset binary logs and gtids' : 'reset master');
      await expect(source.openLog(latest, ['log_test.gone'], testContext())).rejects.toMatchObject({code: 'LOG_LOST'});
    });

    it('finds what keeps tables from being followed', async (context) => {
      needMysql(context, kind);
      await run(
        `create or replace view seen as select 1 as one; drop user if exists weak; create user weak identified by 'x'; grant select on log_test.* to weak`,
      );
      const findings = await source.preflight(
        ['log_test.t', 'log_test.seen', 'log_test.bare', 'log_test.nowhere'],
        testContext(),
      );
      expect(findings.filter(({level}) => level !== 'info').map(({code, table}) => [code, table])).toEqual([
        ['VIEW', 'log_test.seen'],
        ['NO_PRIMARY_KEY', 'log_test.bare'],
        ['UNKNOWN_TABLE', 'log_test.nowhere'],
      ]);
      await run(`set global binlog_row_metadata = minimal; set global binlog_row_image = minimal`);
      const weak = new MysqlChangeLog(connectionOptions({...database?.options, user: 'weak', password: 'x'}, 'test'), {
        gatewayId: 'weak',
      });
      const codes = (await weak.preflight([], testContext())).map(({code}) => code);
      await weak.close();
      await run(`set global binlog_row_metadata = full; set global binlog_row_image = full; drop user weak`);
      expect(codes.toSorted()).toEqual([
        'BINLOG_ROW_IMAGE',
        'BINLOG_ROW_METADATA',
        'REPLICATION_CLIENT',
        'REPLICATION_SLAVE',
      ]);
    });
  });
}
