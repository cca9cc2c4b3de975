import pg from 'pg';
import {afterAll, beforeAll, describe, expect, inject, it} from 'vitest';

import {describePostgres} from '../../../test/describe-postgres.ts';
import {LogFollower} from '../../../test/follow-log.ts';
import type {TestDatabase} from '../../../test/pg-database.ts';
import {createDatabase} from '../../../test/pg-database.ts';
import {startPostgres, type PostgresServer} from '../../../test/postgres.ts';
import {testContext} from '../../../test/read-context.ts';
import type {Change, ChangeLogSettings, LogPoint} from '../../sdk/index.ts';
import {parseLsn} from '../../wire/pg/replication.ts';
import {PostgresChangeLog} from './change-log.ts';
import {pgCodec} from './log-codec.ts';
import {connectionOptions} from './session.ts';

let database: TestDatabase;
let count = 0;

async function now(): Promise<bigint> {
  const [row] = await database.texts('select pg_current_wal_insert_lsn()');
  return parseLsn(row?.[0] ?? '') ?? 0n;
}

/** A source whose slot and publication go when it is disposed. */
function source(settings: Partial<ChangeLogSettings> = {}): PostgresChangeLog & AsyncDisposable {
  const gatewayId = `log_${++count}`;
  const log = new PostgresChangeLog(connectionOptions(database.options, 'test'), {gatewayId, ...settings});
  return Object.assign(log, {
    [Symbol.asyncDispose]: async () => {
      await log.release(testContext());
      await log.close();
    },
  });
}

/** All that the log holds from a point to now. */
async function follow(log: PostgresChangeLog, from: LogPoint, tables: readonly string[]): Promise<LogFollower> {
  await using reader = await log.openLog(from, tables, testContext());
  const follower = new LogFollower(pgCodec);
  await follower.readTo(reader, await now());
  return follower;
}

function changesOf(follower: LogFollower): readonly (readonly Change[])[] {
  return follower.transactions.map(({changes}) => changes.map(({change}) => change));
}

describePostgres('the change log', [14, 18], (version) => {
  let server: PostgresServer | null = null;

  beforeAll(async () => {
    if (version !== 18) server = await startPostgres({}, {version});
    database = await createDatabase(server?.url ?? inject('pgUrl'), 'pg_change_log');
  });
  afterAll(async () => {
    await database.run('drop owned by follower, shop; drop role follower, shop');
    await database[Symbol.asyncDispose]();
    await server?.close();
  });

  describe('the log of a table', () => {
    it('comes as frames that decode to its changes, in order', async () => {
      await database.run('create table t (id int primary key, v text, big text)');
      await using log = source();
      const from = await log.prepare(['public.t'], testContext());
      await database.run(`insert into t values (1, 'a', 'x'), (2, null, 'y')`);
      await database.run(
        `begin; update t set v = 'b' where id = 1; update t set id = 3 where id = 2; delete from t where id = 1; commit`,
      );
      await database.run('truncate t');
      expect(changesOf(await follow(log, from, ['public.t']))).toEqual([
        [
          {op: 'upsert', row: {id: 1, v: 'a', big: 'x'}, isInsert: true},
          {op: 'upsert', row: {id: 2, v: null, big: 'y'}, isInsert: true},
        ],
        [
          {op: 'upsert', row: {id: 1, v: 'b', big: 'x'}},
          {op: 'upsert', row: {id: 3, v: null, big: 'y'}, oldKey: {id: 2}},
          {op: 'delete', row: {id: 1}},
        ],
        [{op: 'truncate'}],
      ]);
    });

    it('names large values that did not change, and has them where the old row is in the log', async () => {
      await database.run(`create table toast (id int primary key, v int, big text); alter table toast alter big set storage external;
      insert into toast values (1, 1, repeat('a', 5000)), (2, 1, repeat('b', 5000))`);
      await using log = source();
      const from = await log.prepare(['public.toast'], testContext());
      await database.run('update toast set v = 2 where id = 1; update toast set id = 3 where id = 2');
      await database.run('alter table toast replica identity full');
      await database.run(
        'update toast set v = 3 where id = 1; update toast set id = 4 where id = 3; delete from toast where id = 1',
      );
      const changes = changesOf(await follow(log, from, ['public.toast'])).flat();
      expect(changes).toEqual([
        {op: 'upsert', row: {id: 1, v: 2}, unchanged: ['big']},
        {op: 'upsert', row: {id: 3, v: 1}, oldKey: {id: 2}, unchanged: ['big']},
        {op: 'upsert', row: {id: 1, v: 3, big: 'a'.repeat(5000)}},
        {op: 'upsert', row: {id: 4, v: 1, big: 'b'.repeat(5000)}, oldKey: {id: 3}},
        {op: 'delete', row: {id: 1, v: 3, big: 'a'.repeat(5000)}},
      ]);
    });

    it('follows columns that are added, renamed and dropped in the middle of a transaction', async () => {
      await database.run('create table ddl (id int primary key, a int)');
      await using log = source();
      const from = await log.prepare(['public.ddl'], testContext());
      await database.run(`begin; insert into ddl values (1, 1); alter table ddl add b text; insert into ddl values (2, 2, 'x');
      alter table ddl rename a to c; insert into ddl values (3, 3, 'y'); alter table ddl drop b; insert into ddl values (4, 4); commit`);
      const changes = changesOf(await follow(log, from, ['public.ddl'])).flat();
      expect(changes.map(({row}) => row)).toEqual([
        {id: 1, a: 1},
        {id: 2, a: 2, b: 'x'},
        {id: 3, c: 3, b: 'y'},
        {id: 4, c: 4},
      ]);
    });

    it('asks for a table to be read anew whose new column has values for old rows', async () => {
      await database.run(
        'create table filled (id int primary key); create table rewritten (id int primary key); create table bare (id int primary key)',
      );
      await using log = source();
      const names = ['public.filled', 'public.rewritten', 'public.bare'];
      const from = await log.prepare(names, testContext());
      await database.run(
        `insert into filled values (1); insert into rewritten values (1); insert into bare values (1)`,
      );
      await database.run(
        `alter table bare add v text; alter table bare alter v set default 'x'; insert into bare values (2)`,
      );
      await database.run(`alter table filled add v text default 'x'; insert into filled values (2)`);
      await database.run(
        `alter table rewritten add u uuid default gen_random_uuid(); insert into rewritten values (2)`,
      );
      const follower = await follow(log, from, names);
      expect(follower.resets.map((message) => message.slice(0, 10))).toEqual(['Column "v"', 'Column "u"']);
      expect(changesOf(follower).flat()).toHaveLength(6);
    });

    it('leaves out what was undone and tables that nobody asked for', async () => {
      await database.run('create table undone (id int primary key); create table other (id int primary key)');
      await using log = source();
      const from = await log.prepare(['public.undone', 'public.other'], testContext());
      await database.run(
        'begin; insert into undone values (1); savepoint s; insert into undone values (2); rollback to s; insert into other values (1); commit',
      );
      await database.run('begin; insert into undone values (3); rollback');
      await database.run('insert into other values (2)');
      const follower = await follow(log, from, ['public.undone']);
      expect(changesOf(follower)).toEqual([[{op: 'upsert', row: {id: 1}, isInsert: true}]]);
      expect(follower.transactions[0]?.name).toBe(
        (await database.texts(`select xmin::text from undone where id = 1`))[0]?.[0],
      );
    });

    it('gives a transaction larger than a batch in parts, and only the end of a whole one', async () => {
      await database.run('create table large (id int primary key, v text)');
      await using log = source();
      const from = await log.prepare(['public.large'], testContext());
      await database.run(`insert into large select i, repeat('x', 200) from generate_series(1, 20000) i`);
      await using reader = await log.openLog(from, ['public.large'], testContext());
      const follower = new LogFollower(pgCodec);
      const parts: boolean[] = [];
      for await (const batch of reader.batches()) {
        follower.add(batch);
        parts.push(batch.open !== null);
        expect(batch.bytes.length).toBeLessThan(1_200_000);
        if (follower.transactions.length > 0) break;
      }
      expect(parts.slice(0, 3)).toEqual([true, true, true]);
      expect(parts.at(-1)).toBe(false);
      expect(changesOf(follower)[0]).toHaveLength(20_000);
    });

    it('moves on when only others write, and forgets only what was acknowledged', async () => {
      await database.run('create table quiet (id int primary key); create table noisy (id serial, v text)');
      await using log = source();
      const ctx = testContext();
      const from = await log.prepare(['public.quiet'], ctx);
      const confirmed = async (): Promise<bigint> => {
        const [row] = await database.texts(
          `select confirmed_flush_lsn from pg_replication_slots where slot_name = 'sluice_log_${count}'`,
        );
        return parseLsn(row?.[0] ?? '') ?? 0n;
      };
      await database.run('insert into quiet values (1)');
      await database.run(`insert into noisy (v) select repeat('x', 1000) from generate_series(1, 100)`);
      const target = await now();
      await using reader = await log.openLog(from, ['public.quiet'], ctx);
      const follower = new LogFollower(pgCodec);
      await follower.readTo(reader, target);
      expect(await confirmed()).toBe(from.position);
      const {end} = follower;
      if (end === null) throw new Error('no end');
      reader.acknowledge(end);
      await expect.poll(confirmed).toBe(end.position);
      expect(changesOf(follower)).toHaveLength(1);
    });

    it('comes again where it was not acknowledged, and not where it was read to', async () => {
      await database.run('create table again (id int primary key)');
      await using log = source();
      const from = await log.prepare(['public.again'], testContext());
      await database.run('insert into again values (1)');
      const first = await follow(log, from, ['public.again']);
      await database.run('insert into again values (2)');
      expect(changesOf(await follow(log, from, ['public.again']))).toHaveLength(2);
      if (first.end === null) throw new Error('no end');
      expect(changesOf(await follow(log, first.end, ['public.again'])).flat()).toEqual([
        {op: 'upsert', row: {id: 2}, isInsert: true},
      ]);
    });
  });

  describe('partitioned tables', () => {
    const PARTS = `create table NAME (id int, v text, primary key (id)) partition by range (id);
    create table NAME_1 partition of NAME for values from (0) to (10); create table NAME_2 (v text, id int primary key);
    alter table NAME attach partition NAME_2 for values from (10) to (20)`;

    it('are one table whose rows move', async () => {
      await database.run(PARTS.replaceAll('NAME', 'rooted'));
      await using log = source();
      const from = await log.prepare(['public.rooted'], testContext());
      await database.run(
        `insert into rooted values (1, 'a'), (11, 'b'); update rooted set id = 12 where id = 1; truncate rooted`,
      );
      const follower = await follow(log, from, ['public.rooted']);
      expect(changesOf(follower).flat()).toEqual([
        {op: 'upsert', row: {id: 1, v: 'a'}, isInsert: true},
        {op: 'upsert', row: {id: 11, v: 'b'}, isInsert: true},
        {op: 'delete', row: {id: 1}},
        {op: 'upsert', row: {id: 12, v: 'a'}, isInsert: true},
        {op: 'truncate'},
      ]);
      expect([...follower.tables.values()].map(({name}) => name)).toEqual(['rooted']);
    });

    it('are one table where the publication names the parts; a part that is truncated makes it be read anew', async () => {
      await database.run(PARTS.replaceAll('NAME', 'parted'));
      await database.run('create publication parts_only for table parted');
      await using log = source({publicationName: 'parts_only'});
      const from = await log.prepare(['public.parted'], testContext());
      await database.run(`insert into parted values (1, 'a'), (11, 'b'), (2, 'c')`);
      await database.run('truncate parted_2');
      const follower = await follow(log, from, ['public.parted']);
      expect(
        changesOf(follower)
          .flat()
          .map(({row}) => row),
      ).toEqual([
        {id: 1, v: 'a'},
        {id: 11, v: 'b'},
        {id: 2, v: 'c'},
      ]);
      expect(follower.resets).toHaveLength(1);
      const described = (await log.describe(['public.parted'], testContext())).get('public.parted');
      expect([...follower.tables.keys()]).toEqual([described?.id]);
      await log.release(testContext());
      expect(await database.texts(`select pubname from pg_publication where pubname = 'parts_only'`)).toHaveLength(1);
    });
  });

  describe('the source', () => {
    it('describes a table as the log does', async () => {
      await database.run(`create domain price as numeric(10,2); create type color as enum ('red');
      create table described (id bigint primary key, p price, c color, n numeric(5,1)[], gone int, g int generated always as (id * 2) stored);
      alter table described drop gone`);
      await using log = source();
      const from = await log.prepare(['public.described'], testContext());
      await database.run(`insert into described values (1, 1.5, 'red', '{1}')`);
      const follower = await follow(log, from, ['public.described']);
      const described = (await log.describe(['public.described', 'public.absent'], testContext())).get(
        'public.described',
      );
      expect([...follower.tables.values()]).toEqual([described]);
      // Generated columns are in the log from 18 on.
      const generated = version >= 18 ? [['g', 'integer']] : [];
      expect(pgCodec.schemaOf(described ?? fail()).schema.fields.map(({name, type}) => [name, type])).toEqual([
        ['id', 'long'],
        ['p', {type: 'decimal', precision: 10, scale: 2}],
        ['c', 'string'],
        ['n', 'string'],
        ...generated,
      ]);
    });

    it('never publishes a table whose updates would fail then', async () => {
      await database.run(
        'create table nameless (v int); insert into nameless values (1); create table named (id int primary key)',
      );
      await using log = source();
      await log.prepare(['public.nameless', 'public.named'], testContext());
      await database.run('update nameless set v = 2');
      await database.run('alter table nameless replica identity full');
      await log.prepare(['public.nameless'], testContext());
      await database.run('update nameless set v = 3');
      const published = await database.texts(
        `select tablename from pg_publication_tables where pubname = 'sluice_log_${count}'`,
      );
      expect(published).toEqual([['nameless']]);
    });

    it('lets a snapshot of a new table wait for those who wrote before it was published', async () => {
      await database.run('create table late (id int primary key); create table first (id int primary key)');
      await using log = source();
      const ctx = testContext();
      const from = await log.prepare(['public.first'], ctx);
      const writer = new pg.Client(database.options);
      await writer.connect();
      await writer.query('begin; insert into late values (1)');
      await log.prepare(['public.first', 'public.late'], ctx);
      let isPlanned = false;
      const planning = log.planSnapshot('public.late', ctx).then((snapshot) => {
        isPlanned = true;
        return snapshot;
      });
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(isPlanned).toBe(false);
      await writer.query('insert into late values (2); commit');
      await writer.end();
      await using snapshot = await planning;
      let rows = 0;
      for (const chunk of snapshot.chunks) {
        const reading = snapshot.readChunk(chunk, ctx);
        for (let step = await reading.next(); ; step = await reading.next()) {
          if (step.done !== true) continue;
          rows += step.value.rows;
          break;
        }
      }
      expect(rows).toBe(2);
      const {token} = snapshot;
      const unseen = (await follow(log, from, ['public.late'])).transactions.filter(
        ({name}) => token === null || !pgCodec.isVisible(name, token),
      );
      expect(unseen).toEqual([]);
    });

    it('follows tables as a user who may do no more than the guide says', async () => {
      await database.run(`drop role if exists follower; drop role if exists shop; create role shop; create role follower login replication in role shop;
      grant create on database pg_change_log to follower; create table owned (id int primary key, v text); alter table owned owner to shop`);
      const options = {...database.options, user: 'follower'};
      const log = new PostgresChangeLog(connectionOptions(options, 'test'), {gatewayId: 'follower'});
      const ctx = testContext();
      const findings = await log.preflight(['public.owned'], ctx);
      expect(findings.filter(({level}) => level === 'error')).toEqual([]);
      const from = await log.prepare(['public.owned'], ctx);
      await database.run(`insert into owned values (1, 'a')`);
      await using snapshot = await log.planSnapshot('public.owned', ctx);
      expect(snapshot.chunks).toHaveLength(1);
      expect(changesOf(await follow(log, from, ['public.owned'])).flat()).toHaveLength(1);
      expect((await log.preflight(['public.owned'], ctx)).filter(({level}) => level === 'error')).toEqual([]);
      await log.heartbeat(ctx);
      await log.release(ctx);
      await log.close();
    });

    it('removes slot and publication that it made, and twice is allowed', async () => {
      const log = source();
      const ctx = testContext();
      await log.prepare([], ctx);
      expect((await log.health(ctx)).state).toBe('ok');
      await log.heartbeat(ctx);
      await log.release(ctx);
      await log.release(ctx);
      expect((await log.health(ctx)).state).toBe('missing');
      expect(await database.texts(`select 1 from pg_publication where pubname = 'sluice_log_${count}'`)).toEqual([]);
      expect((await log.identify(ctx)).server).toMatch(/^\d+$/);
      await log.close();
    });
  });

  it('leaves the slot of another gateway alone, also of another database', async () => {
    await using log = source();
    const ctx = testContext();
    const slot = `sluice_log_${count}`;
    await log.prepare([], ctx);
    const [before] = await database.texts(
      `select confirmed_flush_lsn from pg_replication_slots where slot_name = '${slot}'`,
    );
    await using elsewhere = await createDatabase(server?.url ?? inject('pgUrl'), 'pg_change_log_b');
    const settings = {gatewayId: `log_${count}`, isNew: true};
    const others = [
      new PostgresChangeLog(connectionOptions(database.options, 'test'), settings),
      new PostgresChangeLog(connectionOptions(elsewhere.options, 'test'), settings),
      new PostgresChangeLog(connectionOptions(elsewhere.options, 'test'), {...settings, isNew: false}),
    ];
    for (const other of others) {
      const findings = await other.preflight([], ctx);
      expect(findings.filter(({level}) => level === 'error').map(({code}) => code)).toEqual(['SLOT']);
      await expect(other.prepare([], ctx)).rejects.toMatchObject({code: 'INVALID_OPTION'});
      await other.release(ctx);
      await other.close();
    }
    expect(
      await database.texts(`select confirmed_flush_lsn from pg_replication_slots where slot_name = '${slot}'`),
    ).toEqual([before]);
    expect(await database.texts(`select 1 from pg_publication where pubname = '${slot}'`)).toHaveLength(1);
    expect(await elsewhere.texts(`select 1 from pg_publication where pubname = '${slot}'`)).toEqual([]);
  });

  describe('preflight', () => {
    const codesOf = async (log: PostgresChangeLog, table: string): Promise<readonly string[]> => {
      const findings = await log.preflight([table], testContext());
      return findings.filter((finding) => finding.table === table).map(({level, code}) => `${level} ${code}`);
    };

    it.each([
      ['a table with a key', 'create table NAME (id int primary key)', []],
      ['a table without a key', 'create table NAME (id int)', ['error REPLICA_IDENTITY']],
      [
        'identity nothing',
        'create table NAME (id int primary key); alter table NAME replica identity nothing',
        ['error REPLICA_IDENTITY'],
      ],
      [
        'identity full without a key',
        'create table NAME (id int); alter table NAME replica identity full',
        ['info NO_KEY'],
      ],
      [
        'an index as identity',
        'create table NAME (id int not null unique); alter table NAME replica identity using index NAME_id_key',
        [],
      ],
      ['a view', 'create view NAME as select 1 as id', ['error TABLE_KIND']],
      ['an unlogged table', 'create unlogged table NAME (id int primary key)', ['error TABLE_KIND']],
      [
        'a parent by inheritance',
        'create table NAME (id int primary key); create table NAME_child () inherits (NAME)',
        ['error INHERITANCE'],
      ],
      [
        'a generated column',
        `create table NAME (id int primary key, g int generated always as (id * 2) ${version >= 18 ? 'virtual' : 'stored'})`,
        ['warning COLUMNS_LEFT_OUT'],
      ],
      [
        'a partition without identity',
        'create table NAME (id int) partition by list (id); create table NAME_1 partition of NAME default',
        ['error REPLICA_IDENTITY', 'info PARTITIONED'],
      ],
      ['a table that is not there', 'select 1', ['error UNKNOWN_TABLE']],
    ])('%s', async (_what, sql, codes) => {
      const name = `pre_${++count}`;
      await database.run(sql.replaceAll('NAME', name));
      await using log = source();
      expect(await codesOf(log, `public.${name}`)).toEqual(codes);
    });

    it('finds what a publication of somebody else leaves out', async () => {
      // Row filters and lists of columns came with 15.
      const [filter, list] = version >= 15 ? [' where (id > 5)', ' (id)'] : ['', ''];
      await database.run(`create table filtered (id int primary key, v int); create table listed (id int primary key, v int); create table absent_one (id int primary key);
      create publication theirs for table filtered${filter}, listed${list} with (publish = 'insert, update')`);
      const log = source({publicationName: 'theirs', slotName: 'no_such_slot'});
      const general = (await log.preflight([], testContext())).map(({level, code}) => `${level} ${code}`);
      expect(general).toEqual([
        'error SLOT',
        'info SLOT_WAL_LIMIT',
        'error PUBLICATION_ACTIONS',
        'info PUBLICATION_ROOT',
      ]);
      expect(await codesOf(log, 'public.filtered')).toEqual(version >= 15 ? ['error ROW_FILTER'] : []);
      expect(await codesOf(log, 'public.listed')).toEqual(
        version >= 15 ? ['warning COLUMN_LIST', 'warning COLUMNS_LEFT_OUT'] : [],
      );
      expect(await codesOf(log, 'public.absent_one')).toEqual(['error NOT_PUBLISHED']);
      await log.close();
    });

    it('tells a user without rights what to grant', async () => {
      await database.run(`drop role if exists poor; create role poor login; create table rich (id int primary key)`);
      const log = new PostgresChangeLog(connectionOptions({...database.options, user: 'poor'}, 'test'), {
        gatewayId: 'poor',
      });
      const findings = await log.preflight(['public.rich'], testContext());
      expect(findings.filter(({level}) => level === 'error').map(({code, fix}) => [code, fix?.split(';')[0]])).toEqual([
        ['ROLE', 'alter role "poor" with replication'],
        ['ROLE', 'grant create on database "pg_change_log" to "poor"'],
        ['PERMISSION', 'grant select on "public"."rich" to the user, and usage on its schema.'],
        ['OWNER', expect.stringContaining("Grant the owner's role")],
      ]);
      await log.close();
      await database.run('drop role poor');
    });
  });
});

function fail(): never {
  throw new Error('missing');
}
