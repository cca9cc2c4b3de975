import {afterAll, beforeAll, beforeEach, describe, expect, inject, it} from 'vitest';

import type {TestDatabase} from '../../../test/pg-database.ts';
import {createDatabase} from '../../../test/pg-database.ts';
import type {TestReadContext} from '../../../test/read-context.ts';
import {testContext} from '../../../test/read-context.ts';
import type {ColumnBatch, Offset, OptionValue, Page, ReadContext, TableOptions} from '../../sdk/index.ts';
import {canonicalCell} from '../../sdk/index.ts';
import {PostgresConnector} from './connector.ts';
import {postgresql} from './index.ts';
import {connectionOptions} from './session.ts';

let database: TestDatabase;
let connector: PostgresConnector;

beforeAll(async () => {
  database = await createDatabase(inject('pgUrl'), 'pg_reads');
});
afterAll(() => database[Symbol.asyncDispose]());
beforeEach(async () => {
  await database.run('drop schema public cascade; create schema public');
  connector = open();
  return () => connector.close();
});

function open(over: Record<string, OptionValue> = {}): PostgresConnector {
  return new PostgresConnector(connectionOptions({...database.options, ...over}, 'test'));
}

describe('discovery', () => {
  it('lists what the user may read, in schemas, under names that need quotes', async () => {
    await database.run(`
      create schema "Odd.One"; create table "Odd.One"."a.b" (id int); create table plain (id int);
      create view seen as select * from plain; create materialized view kept as select * from plain;
      create table parted (id int) partition by range (id); create table parted_1 partition of parted for values from (0) to (9);
      create extension pg_stat_statements schema public; create table hidden (id int)`);
    const all = ['"Odd.One"."a.b"', 'public.hidden', 'public.kept', 'public.parted', 'public.plain', 'public.seen'];
    expect(await connector.listTables(testContext())).toEqual(all);
    expect(await connector.listNamespaces(null, testContext())).toEqual([['Odd.One'], ['public']]);
    expect(await connector.listTablesInNamespace(['Odd.One'], testContext())).toEqual(['a.b']);
    expect(
      (await connector.getTableSchema('"Odd.One"."a.b"', {}, testContext())).fields.map((field) => field.name),
    ).toEqual(['id']);
    await database.run(
      `drop role if exists reader; create role reader login; grant usage on schema public to reader; grant select on plain to reader`,
    );
    await using reader = closing(open({user: 'reader'}));
    expect(await reader.connector.listTables(testContext())).toEqual(['public.plain']);
    const refused = rowsOf(reader.connector.readTable('public.hidden', null, {}, testContext()));
    await expect(refused).rejects.toMatchObject({code: 'PERMISSION_DENIED'});
    await database.run(`drop schema "Odd.One" cascade; drop owned by reader; drop role reader`);
  });

  it('takes the primary key in its order, else a unique index over columns that are never null', async () => {
    await database.run(`
      create table composite (a int, b text, c int, primary key (c, b)); comment on table composite is 'two keys';
      comment on column composite.a is 'first';
      create table indexed (a int not null, b int, c int not null); create unique index on indexed (b); create unique index on indexed (a) where b > 0;
      create unique index on indexed ((a + 1)); create unique index on indexed (c) include (a);
      create table bare (a int unique)`);
    const ctx = testContext();
    const composite = {
      primaryKeys: ['c', 'b'],
      keysEnforced: true,
      ingestionType: 'snapshot',
      bounded: true,
      comment: 'two keys',
    };
    expect(await connector.readTableMetadata('public.composite', {}, ctx)).toEqual(composite);
    expect((await connector.getTableSchema('composite', {columns: ['b', 'a']}, ctx)).fields).toEqual([
      {name: 'a', type: 'integer', nullable: true, metadata: {comment: 'first'}},
      {name: 'b', type: 'string', nullable: false, metadata: {}},
    ]);
    expect((await connector.readTableMetadata('public.indexed', {}, ctx)).primaryKeys).toEqual(['c']);
    expect(await connector.readTableMetadata('public.bare', {cursor_column: 'a'}, ctx)).toMatchObject({
      primaryKeys: [],
      ingestionType: 'cdc',
      cursorField: 'a',
    });
  });

  it('refuses cursors that are not there or keep no order', async () => {
    await database.run('create table t (id int primary key, updated_at timestamptz, score float8)');
    const metadata = (options: TableOptions) => connector.readTableMetadata('public.t', options, testContext());
    await expect(metadata({cursor_column: 'update_at'})).rejects.toMatchObject({
      code: 'UNKNOWN_COLUMN',
      fix: 'Did you mean "updated_at"?',
    });
    await expect(metadata({cursor_column: 'score'})).rejects.toMatchObject({code: 'UNSUPPORTED'});
    await expect(metadata({cursor_column: 'id', lookback_seconds: 5})).rejects.toMatchObject({code: 'INVALID_OPTION'});
    await expect(connector.readTableMetadata('public.nowhere', {}, testContext())).rejects.toMatchObject({
      code: 'UNKNOWN_TABLE',
    });
  });

  it('declares a spec whose defaults the connector takes', () => {
    const made = postgresql.create({
      options: {...database.options, sslmode: 'disable'},
      connectionName: 'c',
      clock: testContext().clock,
      random: () => 0,
    });
    expect(made.readPartition).toBeTypeOf('function');
    expect(() => open({sslcert: 'x'})).toThrow(/sslkey/);
    expect(() => open({ssh_host: 'jump'})).toThrow(/ssh_host_key/);
  });
});

describe('first loads in parts', () => {
  it('reads one snapshot, whatever happens meanwhile, and ends it when disposed', async () => {
    await database.run(
      `create table t (id int primary key, v text); insert into t select i, repeat('x', 900) from generate_series(1, 40000) i; analyze t`,
    );
    const plan = await connector.getPartitions('public.t', {start: null, end: null}, {}, testContext());
    expect(plan.volatile).toBe(true);
    expect(plan.partitions.length).toBe(2);
    expect(plan.estimatedRows).toBe(40_000);
    await database.run(
      `delete from t where id % 2 = 0; update t set v = 'new' where id < 1000; insert into t select i, 'new' from generate_series(90001, 91000) i`,
    );
    const seen: string[] = [];
    for (const partition of plan.partitions) {
      await using other = closing(open());
      const rows = await rowsOf(
        other.connector.readPartition('public.t', JSON.parse(JSON.stringify(partition)), {}, testContext()),
      );
      for (const [id, v] of rows) {
        seen.push(id ?? '');
        expect(v).toHaveLength(900);
      }
    }
    expect(seen.map(Number).sort((a, b) => a - b)).toEqual(Array.from({length: 40_000}, (_, index) => index + 1));
    await plan[Symbol.asyncDispose]?.();
    const dead = rowsOf(connector.readPartition('public.t', plan.partitions[0] ?? {}, {}, testContext()));
    await expect(dead).rejects.toMatchObject({code: 'SOURCE_ERROR', class: 'transient'});
  });

  it.each([
    [
      'partitioned tables by leaf',
      'create table t (id int) partition by range (id); create table t_1 partition of t for values from (0) to (5); create table t_2 (x int, id int); alter table t_2 drop column x; alter table t attach partition t_2 for values from (5) to (100)',
      2,
    ],
    ['tables with children', 'create table t (id int); create table t_1 (more text) inherits (t)', 2],
    [
      'partitioned tables without partitions',
      'create table t (id int) partition by range (id); create table t_1 partition of t default',
      1,
    ],
    ['tables', 'create table t (id int)', 1],
  ])('reads %s', async (_, ddl, parts) => {
    await database.run(`${ddl}; insert into t select generate_series(1, 10)`);
    if (ddl.includes('inherits')) await database.run(`insert into t_1 select i, 'c' from generate_series(11, 20) i`);
    const rows = await allParts({});
    expect(rows.parts).toBe(parts);
    expect(rows.ids).toEqual(Array.from({length: ddl.includes('inherits') ? 20 : 10}, (_unused, index) => index + 1));
  });

  it('reads views, materialized views and protected tables as one part', async () => {
    await database.run(`create table base (id int); insert into base select generate_series(1, 5);
      create view t as select id from base where id > 2`);
    expect(await allParts({})).toEqual({parts: 1, ids: [3, 4, 5]});
    await database.run(`drop view t; create materialized view t as select id from base where id < 3`);
    expect(await allParts({})).toEqual({parts: 1, ids: [1, 2]});
    await database.run(`drop role if exists guarded; create role guarded login; drop materialized view t; alter table base rename to t;
      grant usage on schema public to guarded; grant select on t to guarded; alter table t enable row level security;
      create policy odd on t using (id % 2 = 1)`);
    await using guarded = closing(open({user: 'guarded'}));
    expect(await allParts({}, guarded.connector)).toEqual({parts: 1, ids: [1, 3, 5]});
    expect((await allParts({})).ids).toEqual([1, 2, 3, 4, 5]);
    await database.run('drop owned by guarded; drop role guarded');
  });

  it('keeps rows behind the bound for the next run only where they would be there twice', async () => {
    await database.run(`create table keyed (id int primary key, at timestamptz); create table bare (id int, at timestamptz);
      insert into keyed values (1, now()), (2, null), (3, now() + interval '1 day'); insert into bare select * from keyed`);
    const keyed = await allParts({cursor_column: 'at'}, connector, 'public.keyed');
    const bare = await allParts({cursor_column: 'at'}, connector, 'public.bare');
    expect([keyed.ids, bare.ids]).toEqual([
      [1, 2, 3],
      [1, 2],
    ]);
  });

  it('stops when columns changed since they were told', async () => {
    await database.run('create table t (id int, v int); insert into t values (1, 2)');
    const read = (options: TableOptions) => rowsOf(connector.readTable('public.t', null, options, testContext()));
    await connector.getTableSchema('public.t', {}, testContext());
    await expect(read({})).resolves.toEqual([['1', '2']]);
    await database.run('alter table t alter v type bigint');
    const changed = {code: 'SOURCE_SCHEMA_CHANGED', class: 'transient'};
    await expect(read({})).rejects.toMatchObject(changed);
    await expect(
      connector.getPartitions('public.t', {start: null, end: null}, {}, testContext()),
    ).rejects.toMatchObject(changed);
    await expect(read({columns: ['id']})).resolves.toEqual([['1']]);
    await database.run('alter table t drop v');
    await expect(read({columns: ['id', 'v']})).rejects.toMatchObject(changed);
    await connector.getTableSchema('public.t', {}, testContext());
    await expect(read({})).resolves.toEqual([['1']]);
  });

  it('keeps off what no snapshot survives until the plan is disposed, and nothing else', async () => {
    await database.run(
      `create table t (id int) partition by range (id); create table t_1 partition of t default; insert into t values (1)`,
    );
    const plan = await connector.getPartitions('public.t', {start: null, end: null}, {}, testContext());
    await database.run(`set lock_timeout = '50ms'`);
    await expect(database.run('truncate t')).rejects.toThrow(/lock timeout/);
    await expect(database.run('alter table t_1 alter id type bigint')).rejects.toThrow(/lock timeout|cannot alter/);
    await expect(database.run('vacuum full t_1')).rejects.toThrow(/lock timeout/);
    await database.run('reset lock_timeout; insert into t values (2); delete from t where id = 1');
    await database.run('vacuum t_1');
    await plan[Symbol.asyncDispose]?.();
    await database.run('truncate t');
  });
});

describe('increments', () => {
  const options = {cursor_column: 'at'};

  it('reads what is new and stands still when nothing is', async () => {
    await database.run(
      `create table t (id int primary key, at timestamptz default now(), v text); insert into t (id, v) values (1, 'a'), (2, 'b')`,
    );
    const first = await run(null, options);
    expect(ids(first)).toEqual([1, 2]);
    const still = await run(first.end, options);
    expect([ids(still), still.end]).toEqual([[], first.end]);
    await database.run(`update t set v = 'c', at = now() where id = 1; insert into t (id) values (3)`);
    const next = await run(first.end, options);
    expect(ids(next)).toEqual([1, 3]);
    // The same trigger asks again: its bound is reached, whatever is committed now.
    await database.run('insert into t (id) values (4)');
    const again = await run(next.end, options, {triggerStartedAt: next.ctx.triggerStartedAt, isFirstCall: false});
    expect([ids(again), again.end]).toEqual([[], next.end]);
    expect(ids(await run(next.end, options))).toEqual([4]);
  });

  it('goes on after any page, also among rows of one cursor value, without loss or repetition', async () => {
    await database.run(`create table t (id int primary key, at int, v text);
      insert into t select i, i / 9000, repeat(md5(i::text), 8) from generate_series(0, 29999) i`);
    const seen = new Set<number>();
    let start: Offset | null = {column: 'at', value: '-1'};
    let calls = 0;
    for (; calls < 100; calls++) {
      const cut = await run(start, options, {isFirstCall: calls === 0}, {cutAfter: 1});
      for (const id of ids(cut)) {
        expect(seen.has(id)).toBe(false);
        seen.add(id);
      }
      if (JSON.stringify(cut.end) === JSON.stringify(start)) break;
      start = cut.end;
    }
    expect(calls).toBeGreaterThan(5);
    expect(seen.size).toBe(30_000);
    expect(start).toEqual({column: 'at', value: '3'});
  });

  it.each([
    ['bigint', "'9223372036854775806'", "'9223372036854775807'"],
    ['numeric', '1.10', '1.100000000000000000000000000000000000000001'],
    ['timestamptz', "'2020-01-01 00:00:00.000001+00'", "'2020-01-01 00:00:00.000002+00'"],
    ['timestamp', "'2020-01-01 00:00:00.000001'", "'2020-01-01 00:00:00.000002'"],
    ['text', "'it''s \\'", "'it''s ]'"],
    ['uuid', "'00000000-0000-7000-8000-000000000001'", "'00000000-0000-7000-8000-000000000002'"],
    ['varchar(9)', "'a'", "'b'"],
  ])('compares cursors of type %s in the source', async (type, low, high) => {
    await database.run(`create table t (id int primary key, at ${type}); insert into t values (1, ${low}), (2, null)`);
    const first = await run(null, options);
    expect(ids(first)).toEqual([1, 2]);
    await database.run(`insert into t values (3, ${high})`);
    expect(ids(await run(first.end, options))).toEqual([2, 3]);
  });

  it('reads rows without a cursor in every run and says so', async () => {
    await database.run(
      'create table t (id int primary key, at timestamptz); insert into t values (1, null), (2, now()); create table bare as table t',
    );
    const first = await run(null, options);
    const second = await run(first.end, options);
    expect([ids(second), second.end]).toEqual([[1], first.end]);
    expect(second.ctx.said[0]).toMatch(/^1 rows have no value in cursor column "at"/);
    expect(ids(await run(second.end, options, {isFirstCall: false}))).toEqual([]);
    const bare = await run(first.end, options, {}, {table: 'public.bare'});
    expect(ids(bare)).toEqual([]);
    expect(bare.ctx.said[0]).toMatch(/only a full refresh/);
    const none = await run({column: 'at', value: null}, options);
    expect(ids(none)).toEqual([1, 2]);
  });

  it('does not overtake a transaction that is still running', async () => {
    await database.run(`create table t (id int primary key, at timestamptz default now()); insert into t values (1)`);
    await using other = await createSession();
    await other.run('begin; insert into t values (2)');
    await new Promise((resolve) => setTimeout(resolve, 20));
    await database.run('insert into t values (3)');
    const first = await run(null, options);
    // Not yet: what is running may still change that row, and give it an older time.
    expect(ids(first)).toEqual([1]);
    await other.run('commit');
    const second = await run(first.end, options);
    expect(ids(second)).toEqual([2, 3]);
    expect(ids(await run(second.end, options))).toEqual([]);
  });

  it('waits for transactions that took smaller numbers', async () => {
    await database.run(`create table t (id serial primary key, v text); insert into t (v) values ('a')`);
    const first = await run(null, {cursor_column: 'id'});
    await using other = await createSession();
    await other.run(`begin; insert into t (v) values ('late')`);
    await database.run(`insert into t (v) values ('early')`);
    setTimeout(() => void other.run('commit'), 300);
    expect(ids(await run(first.end, {cursor_column: 'id'}))).toEqual([2, 3]);
  });

  it('waits so long and no longer, and says what it risks', async () => {
    await database.run(`create table t (id serial primary key, v text)`);
    await using other = await createSession();
    await other.run(`begin; insert into t (v) values ('late')`);
    await database.run(`insert into t (v) values ('early')`);
    let nowMs = 0;
    const clock = {
      nowMs: () => nowMs,
      nowMicros: () => BigInt(nowMs) * 1000n,
      sleep: (ms: number) => Promise.resolve(void (nowMs += ms)),
    };
    const hasty = await run(null, {cursor_column: 'id'}, {clock});
    expect(ids(hasty)).toEqual([2]);
    expect(hasty.ctx.said[0]).toMatch(/still writing after 10 s/);
  });

  it('tells where a read would end, never behind its start', async () => {
    await database.run(
      `create table t (id int primary key, at timestamptz); insert into t values (1, '2020-01-01'), (2, '2020-01-02')`,
    );
    const latest = (start: Offset | null) => connector.latestOffset('public.t', start, options, testContext());
    const end = {column: 'at', value: '2020-01-02 00:00:00+00'};
    expect(await latest(null)).toEqual(end);
    expect(await latest({column: 'at', value: '2020-01-01 00:00:00+00'})).toEqual(end);
    expect(await latest({column: 'at', value: '2021-01-01 00:00:00+00'})).toEqual({
      column: 'at',
      value: '2021-01-01 00:00:00+00',
    });
  });

  it('says when it cannot see whom it should wait for', async () => {
    await database.run(`create table t (id int primary key, at timestamptz default now()); drop role if exists weak; create role weak login;
      grant usage on schema public to weak; grant select on t to weak`);
    await using weak = closing(open({user: 'weak'}));
    const ctx = testContext();
    await rowsOf(weak.connector.readTable('public.t', null, options, ctx));
    expect(ctx.said.join()).toMatch(/pg_read_all_stats/);
    await database.run('drop owned by weak; drop role weak');
  });

  it('is not led astray by dates of the far future', async () => {
    await database.run(
      `create table t (id int primary key, at timestamptz); insert into t values (1, now()), (2, '9999-01-01'), (3, 'infinity')`,
    );
    const first = await run(null, options);
    expect(ids(first)).toEqual([1, 2, 3]);
    await database.run('insert into t values (4, now())');
    expect(ids(await run(first.end, options))).toEqual([4]);
  });

  it('takes times without a zone that run ahead of the server as those of another zone', async () => {
    await database.run(
      `create table t (id int primary key, at timestamp); insert into t values (1, now() at time zone 'UTC' + interval '9 hours'), (2, '9999-01-01')`,
    );
    const first = await run(null, options);
    await database.run(`insert into t values (3, now() at time zone 'UTC' + interval '9 hours')`);
    const second = await run(first.end, options);
    expect(ids(second)).toEqual([3]);
  });

  it.each(['date', 'timestamp(0)', 'timestamptz(0)'])(
    'reads the last %s again, because more rows of it may come',
    async (type) => {
      await database.run(`create table t (id int primary key, at ${type}); insert into t values (1, '2020-01-01')`);
      const first = await run(null, options);
      await database.run(`insert into t values (2, '2020-01-01')`);
      const second = await run(first.end, options);
      expect([ids(second), second.end]).toEqual([[1, 2], first.end]);
    },
  );

  it('leaves the value that may still grow to the next run when rows have no key', async () => {
    await database.run(
      `create table t (id int, at date); insert into t values (1, current_date - 1), (2, current_date)`,
    );
    const first = await run(null, options);
    expect(ids(first)).toEqual([1]);
    expect(ids(await run(first.end, options))).toEqual([]);
  });

  it('looks back without ever storing an older offset', async () => {
    await database.run(
      `create table t (id int primary key, at timestamptz); insert into t select i, now() - i * interval '1 minute' from generate_series(1, 60) i`,
    );
    const back = {...options, lookback_seconds: 600};
    const first = await run(null, back);
    const second = await run(first.end, back);
    expect(ids(second)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect([second.end, second.offsets]).toEqual([first.end, []]);
    expect(ids(await run(second.end, back, {isFirstCall: false}))).toEqual([]);
    await expect(run(first.end, {...back, cursor_column: 'id'})).rejects.toMatchObject({code: 'INVALID_OPTION'});
  });

  it('refuses an offset of another cursor column', async () => {
    await database.run('create table t (id int primary key, at timestamptz)');
    await expect(run({column: 'id', value: '1'}, options)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: /cursor column "id"/,
    });
  });
});

describe('other abilities', () => {
  it('lists the keys that exist', async () => {
    await database.run(
      'create table t (a int, b text, c int, primary key (b, a)); insert into t values (1, $$x$$, 2), (3, $$y$$, 4)',
    );
    const keys: (string | null)[][] = [];
    for await (const batch of connector.scanKeys('public.t', ['b', 'a'], {}, testContext()))
      keys.push(...cellsOf(batch));
    expect(keys).toEqual([
      ['x', '1'],
      ['y', '3'],
    ]);
  });

  it('estimates rows and bytes of tables with all their parts', async () => {
    await database.run(`create table t (id int) partition by range (id); create table t_1 partition of t for values from (0) to (5000);
      create table t_2 partition of t default; insert into t select generate_series(1, 10000); analyze t; create view v as table t`);
    const {rows, bytes} = await connector.estimate('public.t', {}, testContext());
    expect(rows).toBe(10_000);
    expect(bytes).toBeGreaterThan(300_000);
    expect(await connector.estimate('public.v', {}, testContext())).toEqual({});
  });

  it('turns failures into errors that say what to do', async () => {
    const failing = (over: Record<string, OptionValue>) => open(over).listTables(testContext());
    await expect(failing({port: 1})).rejects.toMatchObject({code: 'CONNECTION_FAILED', class: 'transient'});
    await expect(failing({database: 'nowhere'})).rejects.toMatchObject({code: 'INVALID_OPTION'});
    await expect(failing({user: 'nobody'})).rejects.toMatchObject({code: 'AUTH_FAILED'});
    await expect(failing({sslmode: 'require'})).rejects.toMatchObject({code: 'CONNECTION_FAILED', class: 'config'});
    const stop = new AbortController();
    stop.abort(new Error('stopped'));
    await expect(connector.listTables(testContext({signal: stop.signal}))).rejects.toThrow('stopped');
    await expect(connector.listTables(testContext())).resolves.toEqual([]);
  });
});

interface Run {
  readonly rows: readonly (readonly (string | null)[])[];
  readonly end: Offset | null;
  readonly offsets: readonly Offset[];
  readonly ctx: TestReadContext;
}

/** One call as the framework makes it; `cutAfter` ends it at the n-th page that carries an offset. */
async function run(
  start: Offset | null,
  options: TableOptions,
  over: Partial<ReadContext> = {},
  {cutAfter, table = 'public.t'}: {readonly cutAfter?: number; readonly table?: string} = {},
): Promise<Run> {
  const ctx = testContext(over);
  const pages = connector.readTable(table, start, options, ctx);
  const rows: (string | null)[][] = [];
  const offsets: Offset[] = [];
  for (;;) {
    const step = await pages.next();
    if (step.done === true) return {rows, end: step.value, offsets, ctx};
    rows.push(...pageRows(step.value));
    const offset = 'offset' in step.value ? step.value.offset : undefined;
    if (offset !== undefined) offsets.push(offset);
    if (offset !== undefined && offsets.length === cutAfter) {
      await pages.return(null);
      return {rows, end: offset, offsets, ctx};
    }
  }
}

function ids({rows}: Run): number[] {
  return rows.map((row) => Number(row[0])).sort((a, b) => a - b);
}

async function allParts(
  options: TableOptions,
  from: PostgresConnector = connector,
  table = 'public.t',
): Promise<{parts: number; ids: number[]}> {
  const plan = await from.getPartitions(table, {start: null, end: null}, options, testContext());
  const rows: (readonly (string | null)[])[] = [];
  for (const partition of plan.partitions)
    rows.push(...(await rowsOf(from.readPartition(table, partition, options, testContext()))));
  await plan[Symbol.asyncDispose]?.();
  return {parts: plan.partitions.length, ids: rows.map((row) => Number(row[0])).sort((a, b) => a - b)};
}

async function rowsOf(pages: AsyncGenerator<Page, unknown>): Promise<(string | null)[][]> {
  const rows: (string | null)[][] = [];
  for await (const page of pages) rows.push(...pageRows(page));
  return rows;
}

function pageRows(page: Page): (string | null)[][] {
  if (!('kind' in page) || page.kind !== 'columns') throw new Error('no columns');
  return cellsOf(page.batch);
}

function cellsOf({schema, columns, rowCount}: ColumnBatch): (string | null)[][] {
  return Array.from({length: rowCount}, (_, row) =>
    columns.map((column, index) => canonicalCell(column, row, schema.fields[index]?.type ?? 'string')),
  );
}

function closing(opened: PostgresConnector): AsyncDisposable & {readonly connector: PostgresConnector} {
  return {connector: opened, [Symbol.asyncDispose]: () => opened.close()};
}

async function createSession(): Promise<AsyncDisposable & {run(sql: string): Promise<void>}> {
  const {default: pg} = await import('pg');
  const client = new pg.Client(database.options);
  await client.connect();
  return {
    run: async (sql) => {
      await client.query(sql);
    },
    [Symbol.asyncDispose]: () => client.end(),
  };
}
