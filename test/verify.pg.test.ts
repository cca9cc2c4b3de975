import {rm} from 'node:fs/promises';

import {afterAll, beforeAll, beforeEach, describe, expect, inject, it} from 'vitest';

import {postgresql} from '../src/connectors/postgresql/index.ts';
import {currentBatch} from '../src/delta/batch-files.ts';
import type {DeltaTable} from '../src/delta/delta-table.ts';
import {openTable} from '../src/delta/table.ts';
import {FLOW_ID_PROPERTY} from '../src/pipeline/destination.ts';
import {resolveFlow} from '../src/pipeline/resolve-flow.ts';
import {DEFAULT_TABLE_CONFIGURATION, type ObjectSpec, type TableConfiguration} from '../src/pipeline/spec.ts';
import type {TableVerdict} from '../src/pipeline/verify-verdict.ts';
import {verifyTable} from '../src/pipeline/verify.ts';
import {openTestLake, runConnector, type TestLake} from '../src/testkit/run-connector.ts';
import type {TestDatabase} from './pg-database.ts';
import {createDatabase} from './pg-database.ts';
import {testContext} from './read-context.ts';

let database: TestDatabase;
let lake: TestLake;

beforeAll(async () => {
  database = await createDatabase(inject('pgUrl'), 'pg_verify');
});
afterAll(() => database[Symbol.asyncDispose]());
beforeEach(async () => {
  await database.run('drop schema public cascade; create schema public');
  lake = await openTestLake();
  return async () => {
    await lake[Symbol.asyncDispose]();
    await rm(lake.folder, {recursive: true, force: true});
  };
});

const WIDE = `create table t (id bigint primary key, at timestamptz, n int, amount numeric(12,2), name text, note varchar(50), score float8,
    day date, plain timestamp, flag boolean, token uuid, doc jsonb, raw bytea, tags int[], fraction numeric(4,4));
  insert into t select i, timestamptz '2024-01-01' + i * interval '1 minute', nullif(i % 50, 0), i / 7.0, 'name ' || i, nullif('note ' || i % 10, 'note 3'), i / 3.0,
    date '2024-01-01' + i::int, timestamp '2024-01-01' + i * interval '1 second', i % 2 = 0, gen_random_uuid(), jsonb_build_object('i', i), decode(lpad(to_hex(i), 8, '0'), 'hex'),
    array[i, null], (i % 10000) / 10000.0 from generate_series(1, 5000) i`;

describe('a table that landed as it is in the source', () => {
  it('is equal, with every type and edge', async () => {
    await database.run(`create table t (id int primary key, b bool, i2 int2, i8 int8, f4 float4, f8 float8, d1 numeric(5,5), d2 numeric(38,10), d3 numeric, da date, ts timestamp, tz timestamptz, tx text, ch char(5), js json, jb jsonb, u uuid, by bytea, ar text[], iv interval, ip inet, v oid);
      insert into t values (1, true, -32768, 9223372036854775807, 'NaN', 5e-324, 0.5, 1e27, 1.500, '0044-03-15 BC', '0044-03-15 BC', '0044-03-15 BC', '', 'ab', '{"a":  1}', '{"a":1}', gen_random_uuid(), '', '{a,NULL}', '1 year', '10.0.0.1', 4294967295),
        (2, false, 32767, -9223372036854775808, '-0', '-0', -0.00001, -0.0000000001, 'NaN', '5874897-12-31', '294247-01-10 04:00:54.775806', '9999-12-31 23:59:59.999999Z', 'ä€😀,:', '', '1', 'null', gen_random_uuid(), '\\x00ff', '{}', 'infinity', '::1/64', 0),
        (3, null, 0, 0, '-Infinity', 2417851639229258349412352, 'NaN', 'NaN', 'Infinity', 'infinity', '-infinity', '294276-12-31', ' ', null, null, null, null, null, null, null, null, 1),
        (4, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null)`);
    const verdict = await ingestAndVerify({});
    expect(verdict).toMatchObject({
      verdict: 'equal',
      reason: null,
      sourceRows: 4,
      destinationRows: 4,
      bucketsDifferent: 0,
      columnsCompared: 22,
      excluded: [],
    });
  });

  it.each([
    ['by snapshot', {}],
    ['by cursor', {cursorColumns: ['at']}],
    ['with columns chosen', {includeColumns: ['id', 'name', 'score']}],
    ['with a filter', {rowFilter: 'n > 10 AND flag = true'}],
    ['without soft deletes', {cursorColumns: ['at'], deletionCondition: 'n = 7'}],
    ['append-only', {cursorColumns: ['at'], scdType: 'APPEND_ONLY'}],
    ['with another key', {primaryKeys: ['token', 'name']}],
  ] as const)('is equal when read %s', async (_, configuration) => {
    await database.run(WIDE);
    expect(await ingestAndVerify(configuration)).toMatchObject({verdict: 'equal', reason: null});
    await database.run(
      `update t set at = timestamptz '2025-01-01', name = 'other', n = 5 where id <= 100; delete from t where false`,
    );
    if ('scdType' in configuration) return;
    expect(await ingestAndVerify(configuration)).toMatchObject({verdict: 'equal', reason: null});
  });

  it('is equal without a key, row by row', async () => {
    await database.run(
      `create table t (a int, b text); insert into t values (1, 'x'), (1, 'x'), (1, null), (null, ''); insert into t select 2, i::text from generate_series(1, 1000) i`,
    );
    expect(await ingestAndVerify({})).toMatchObject({verdict: 'equal', sourceRows: 1004});
  });

  it('is equal whatever moved since the flow read it, as far as the flow has read', async () => {
    await database.run(WIDE);
    const configuration = {cursorColumns: ['at']};
    await ingest(configuration);
    await database.run(`insert into t (id, at) select 10000 + i, now() from generate_series(1, 50) i`);
    expect(await verify(configuration)).toMatchObject({verdict: 'equal', reason: null, sourceRows: 5000});
    await database.run(`update t set at = now(), name = 'new' where id between 5 and 9`);
    const moved = await verify(configuration);
    expect(moved).toMatchObject({verdict: 'unproven', missing: 0, extra: 0, changed: 0, unproven: 5});
    expect(await ingestAndVerify(configuration)).toMatchObject({verdict: 'equal', destinationRows: 5050});
  });

  it('tells deletes that the flow does not look for', async () => {
    await database.run(WIDE);
    const configuration = {cursorColumns: ['at']};
    await ingest(configuration);
    await database.run(`delete from t where id in (10, 20)`);
    const verdict = await verify(configuration);
    expect(verdict).toMatchObject({
      verdict: 'unproven',
      extra: 2,
      missing: 0,
      changed: 0,
      reason: /does not look for deletes/,
    });
    expect(verdict.samples.map(({key, kind}) => [key, kind])).toEqual([
      ['10', 'extra'],
      ['20', 'extra'],
    ]);
    const scanning = {...configuration, hardDeletionSyncMinIntervalSeconds: 0};
    expect(await verify(scanning)).toMatchObject({verdict: 'different', extra: 2});
    expect(await ingestAndVerify(scanning)).toMatchObject({verdict: 'equal'});
  });

  it('says that nothing is known of rows that changed after a snapshot', async () => {
    await database.run(WIDE);
    await ingest({});
    await database.run(`update t set name = 'new' where id in (7, 8); insert into t (id) values (9000)`);
    expect(await verify({})).toMatchObject({verdict: 'unproven', unproven: 3, missing: 0, changed: 0});
    expect(await ingestAndVerify({})).toMatchObject({verdict: 'equal'});
  });
});

describe('a defect of the destination is found and named', () => {
  const CASES: readonly (readonly [string, string, Partial<TableVerdict>, readonly string[]])[] = [
    ['one more', 'CASE WHEN id = 17 THEN n + 1 ELSE n END AS n', {changed: 1}, ['17 changed n']],
    ['a space behind', `CASE WHEN id = 100 THEN name || ' ' ELSE name END AS name`, {changed: 1}, ['100 changed name']],
    ['empty for NULL', `coalesce(note, '') AS note`, {changed: 500}, []],
    ['NULL for empty', `CASE WHEN id = 4 THEN NULL ELSE name END AS name`, {changed: 1}, ['4 changed name']],
    [
      'a microsecond',
      'CASE WHEN id = 4999 THEN plain + INTERVAL 1 MICROSECOND ELSE plain END AS plain',
      {changed: 1},
      ['4999 changed plain'],
    ],
    [
      'a bit of a double',
      'CASE WHEN id = 2 THEN 0.6666666666666667 ELSE score END AS score',
      {changed: 1},
      ['2 changed score'],
    ],
    [
      'a bit of bytes',
      `CASE WHEN id = 255 THEN '\\x00\\x00\\x00\\xFE'::BLOB ELSE raw END AS raw`,
      {changed: 1},
      ['255 changed raw'],
    ],
    ['a day', 'CASE WHEN id = 1 THEN day + 1 ELSE day END AS day', {changed: 1}, ['1 changed day']],
    ['a cent', 'CASE WHEN id = 3 THEN amount + 0.01 ELSE amount END AS amount', {changed: 1}, ['3 changed amount']],
    [
      'a digit of a fraction',
      'CASE WHEN id = 3 THEN fraction + 0.0001 ELSE fraction END AS fraction',
      {changed: 1},
      ['3 changed fraction'],
    ],
    [
      'a blank in JSON',
      `CASE WHEN id = 5 THEN replace(doc, ' ', '') ELSE doc END AS doc`,
      {changed: 1},
      ['5 changed doc'],
    ],
    [
      'values swapped between rows',
      `CASE id WHEN 11 THEN 'name 12' WHEN 12 THEN 'name 11' ELSE name END AS name`,
      {changed: 2},
      ['11 changed name', '12 changed name'],
    ],
    [
      'a value moved to the next column',
      `CASE WHEN id = 30 THEN name || note ELSE name END AS name, CASE WHEN id = 30 THEN '' ELSE note END AS note`,
      {changed: 1},
      ['30 changed name,note'],
    ],
    [
      'another key',
      'CASE WHEN id = 40 THEN 400000 ELSE id END AS id',
      {missing: 1, extra: 1},
      ['40 missing ', '400000 extra '],
    ],
  ];
  it.each(CASES)('%s', async (_, replace, counts, named) => {
    await database.run(WIDE);
    await ingest({});
    await rewrite((live) => `SELECT * REPLACE (${replace}) FROM (${live})`);
    const verdict = await verify({});
    expect(verdict).toMatchObject({verdict: 'different', missing: 0, extra: 0, unproven: 0, ...counts});
    if (named.length > 0)
      expect(verdict.samples.map(({key, kind, columns}) => `${key} ${kind} ${columns.join()}`)).toEqual(named);
    else expect(verdict.samples.every(({columns}) => columns.join() === 'note')).toBe(true);
  });

  it('rows lost and rows twice', async () => {
    await database.run(WIDE);
    await ingest({});
    await rewrite(
      (live) =>
        `SELECT * FROM (${live}) WHERE id NOT IN (1, 2, 3) UNION ALL SELECT * FROM (${live}) WHERE id IN (77, 78)`,
    );
    expect(await verify({})).toMatchObject({
      verdict: 'different',
      missing: 3,
      extra: 0,
      changed: 2,
      sourceRows: 5000,
      destinationRows: 4999,
    });
  });

  it('rows lost and twice without a key', async () => {
    await database.run(
      `create table t (a int, b text); insert into t select i % 10, 'x' from generate_series(1, 1000) i`,
    );
    await ingest({});
    await rewrite((live) => `SELECT * FROM (${live}) UNION ALL (SELECT * FROM (${live}) WHERE a = 5 LIMIT 2)`);
    expect(await verify({})).toMatchObject({verdict: 'different', missing: 0, extra: 2, changed: 0});
  });

  it('a value that was dropped instead of rescued', async () => {
    await database.run(`create table t (id int primary key, v numeric(5,2)); insert into t values (1, 'NaN'), (2, 1)`);
    expect(await ingestAndVerify({})).toMatchObject({verdict: 'equal'});
    await rewrite((live) => `SELECT * REPLACE (NULL::VARCHAR AS _rescued_data) FROM (${live})`);
    expect(await verify({})).toMatchObject({
      verdict: 'different',
      changed: 0,
      reason: /v \(1 in the source, 0 rescued\)/,
    });
  });

  it('a column whose type has moved on', async () => {
    await database.run(`create table t (id int primary key, v int, w text); insert into t values (1, 2, 'x')`);
    await ingest({});
    await database.run('alter table t alter v type text, drop w');
    expect(await verify({})).toMatchObject({columnsCompared: 1, excluded: [{name: 'w'}, {name: 'v'}]});
  });
});

async function ingest(configuration: Partial<TableConfiguration>): Promise<void> {
  const end = await runConnector(lake, {
    definition: postgresql,
    options: database.options,
    tables: [{source: 'public.t', destination: 't', configuration}],
  });
  const errors = end.flows.filter((flow) => flow.state !== 'COMPLETED');
  expect(errors).toEqual([]);
}

async function ingestAndVerify(configuration: Partial<TableConfiguration>): Promise<TableVerdict> {
  await ingest(configuration);
  return verify(configuration);
}

async function verify(configuration: Partial<TableConfiguration>): Promise<TableVerdict> {
  const {context} = lake;
  const connector = postgresql.create({
    options: database.options,
    connectionName: 'verify',
    clock: context.clock,
    random: Math.random,
  });
  const ctx = testContext();
  try {
    const flow = await resolveFlow({definition: postgresql, connector}, objectOf(configuration), 'public.t', ctx);
    const table = await landedTable();
    const batch = await currentBatch(
      context.store,
      table,
      table.snapshot.metadata.configuration[FLOW_ID_PROPERTY] ?? '',
    );
    return await verifyTable({connector, flow, table, engine: context.engine, end: batch?.end.rows ?? null, ctx});
  } finally {
    await connector.close?.();
  }
}

async function landedTable(): Promise<DeltaTable> {
  const table = await openTable(lake.context, 'main/test/t');
  if (table === null) throw new Error('no table');
  return table;
}

/** Replaces the rows of the destination behind the flow's back. */
async function rewrite(select: (live: string) => string): Promise<void> {
  const table = await landedTable();
  const {snapshot} = table;
  const signal = new AbortController().signal;
  const adds = await table.writeFiles({select: select(await table.readSql()), schema: snapshot.schema}, signal);
  const removes = [...snapshot.files.values()].map((add) => table.removeOf(add));
  await table.commit({base: snapshot, operation: 'WRITE', adds, removes, blindAppend: false});
}

function objectOf(configuration: Partial<TableConfiguration>): ObjectSpec {
  return {
    kind: 'table',
    path: 'objects[0].table',
    sourceCatalog: null,
    sourceSchema: null,
    sourceTable: 't',
    destinationCatalog: 'main',
    destinationSchema: 'test',
    destinationTable: 't',
    configuration: {...DEFAULT_TABLE_CONFIGURATION, ...configuration},
    options: {},
  };
}
