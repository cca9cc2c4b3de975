import {afterAll, beforeAll, describe, expect, inject, it} from 'vitest';

import type {TestDatabase} from '../../../test/pg-database.ts';
import {createDatabase} from '../../../test/pg-database.ts';
import {testContext} from '../../../test/read-context.ts';
import {canonicalCell} from '../../sdk/index.ts';
import {hash60, rowText} from '../../sdk/index.ts';
import {canonicalSql, hashSql, rowTextSql} from './canonical-sql.ts';
import {describeTable} from './catalog.ts';
import {PostgresConnector} from './connector.ts';
import {connectionOptions, Session} from './session.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase(inject('pgUrl'), 'pg_types');
  await database.run(`
    create type mood as enum ('sad', 'ok', 'happy', 'ä,''"');
    create type pair as (a int, b text);
    create domain positive as numeric(12,2) check (value > 0);
    create domain nested_domain as positive;
    create domain short_text as varchar(20);
    create extension citext; create extension hstore; create extension ltree;
  `);
});
afterAll(() => database[Symbol.asyncDispose]());

const BIG = '9'.repeat(36);
/** Source type, landed type, and SQL values; NULL is added to each. */
const MATRIX: readonly (readonly [string, string, readonly string[]])[] = [
  ['bool', 'boolean', ['true', 'false']],
  ['int2', 'short', ['0', '-32768', '32767', '-1', '256']],
  ['int4', 'integer', ['0', '-2147483648', '2147483647', '-1', '65536']],
  [
    'int8',
    'long',
    ['0', '-9223372036854775808', '9223372036854775807', '-1', '4294967296', '9007199254740993', '-4294967296'],
  ],
  ['oid', 'long', ['0', '1', '4294967295', '2147483648']],
  ['float4', 'float', ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", '0', '1.1', '1e-45', '3.4028235e38', '16777217']],
  [
    'float8',
    'double',
    [
      "'NaN'",
      "'Infinity'",
      "'-Infinity'",
      "'-0'",
      '0',
      '0.1',
      '5e-324',
      '1.7976931348623157e308',
      '2417851639229258349412352',
      '9007199254740993',
    ],
  ],
  ['numeric(4,0)', 'decimal(4,0)', ['0', '9999', '-9999', '1000']],
  ['numeric(4,4)', 'decimal(4,4)', ['0', '0.9999', '-0.0001', '0.1', "'NaN'"]],
  ['numeric(9,3)', 'decimal(9,3)', ['0', '999999.999', '-999999.999', '0.001', '10000', '-0.1', "'NaN'"]],
  [
    'numeric(12,2)',
    'decimal(12,2)',
    ['0', '9999999999.99', '-9999999999.99', '0.01', '1234.5', '10000', '100000000', "'NaN'"],
  ],
  [
    'numeric(18,0)',
    'decimal(18,0)',
    [
      '0',
      '999999999999999999',
      '-999999999999999999',
      '9007199254740992',
      '9007199254740991',
      '-9007199254740993',
      '100000000000000000',
    ],
  ],
  [
    'numeric(18,6)',
    'decimal(18,6)',
    ['0.000001', '-123456789012.123456', '999999999999.999999', '4294967296', '-4294967296.000001'],
  ],
  ['numeric(18,18)', 'decimal(18,18)', ['0', '0.999999999999999999', '-0.000000000000000001']],
  [
    'numeric(38,0)',
    'decimal(38,0)',
    [
      '0',
      '99999999999999999999999999999999999999',
      '-99999999999999999999999999999999999999',
      '18446744073709551616',
      '-18446744073709551615',
      '-1',
    ],
  ],
  [
    'numeric(38,10)',
    'decimal(38,10)',
    [`${'9'.repeat(28)}.9999999999`, `-${'9'.repeat(28)}.9999999999`, '0.0000000001', '12345', "'NaN'"],
  ],
  ['numeric(38,38)', 'decimal(38,38)', [`0.${'9'.repeat(38)}`, `-0.${'0'.repeat(37)}1`]],
  ['numeric(5,-2)', 'decimal(7,0)', ['0', '9999900', '-12345', '100']],
  ['numeric(3,5)', 'decimal(5,5)', ['0', '0.00999', '-0.00001']],
  ['numeric', 'string', ['0', '0.00', '1.500', `${BIG}${BIG}.${BIG}`, "'NaN'", "'Infinity'", "'-Infinity'", '1e-20']],
  ['numeric(60,5)', 'string', [`${BIG}.00001`, '-1']],
  [
    'date',
    'date',
    [
      "'2024-02-29'",
      "'1970-01-01'",
      "'1969-12-31'",
      "'0001-01-01'",
      "'0044-03-15 BC'",
      "'4713-01-01 BC'",
      "'5874897-12-31'",
      "'infinity'",
      "'-infinity'",
      "'10000-01-01'",
    ],
  ],
  [
    'timestamp',
    'timestamp_ntz',
    [
      "'2024-02-29 23:59:59.999999'",
      "'1970-01-01'",
      "'1969-12-31 23:59:59.999999'",
      "'0001-01-01'",
      "'4713-01-01 BC'",
      "'infinity'",
      "'-infinity'",
      "'294247-01-10 04:00:54.775806'",
      "'294247-01-10 04:00:54.775807'",
      "'294276-12-31 23:59:59.999999'",
      "'10000-01-01'",
    ],
  ],
  [
    'timestamptz',
    'timestamp',
    [
      "'2024-02-29 23:59:59.999999+05:45'",
      "'1970-01-01Z'",
      "'1969-12-31 23:59:59.999999Z'",
      "'0001-01-01Z'",
      "'4713-01-02 BC'",
      "'infinity'",
      "'-infinity'",
      "'294247-01-10 04:00:54.775806Z'",
      "'294247-01-10 04:00:54.775807Z'",
      "'294276-12-31 23:59:59.5Z'",
    ],
  ],
  ['timestamp(0)', 'timestamp_ntz', ["'2024-02-29 23:59:59.6'"]],
  [
    'text',
    'string',
    ["''", "'a'", "'ä€😀'", "' pad '", "E'line\\nfeed\\\\'", "repeat('x', 300000)", "'12345678901234567890'"],
  ],
  ['varchar(20)', 'string', ["''", "'ä,b'", "'trailing  '"]],
  ['char(5)', 'string', ["''", "'ab'", "'abcde'", "'ä'"]],
  ['name', 'string', ["''", "'pg_class'"]],
  ['"char"', 'string', ["'a'", "''"]],
  ['json', 'string', [`'{"a": 1,  "b":[1.10]}'`, "'null'", `'"x"'`]],
  ['jsonb', 'string', [`'{"b": 1, "a":[1.10, 1e400]}'`, "'null'", "'{}'", `'"ä"'`]],
  [
    'uuid',
    'string',
    [
      "'00000000-0000-0000-0000-000000000000'",
      "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
      "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
    ],
  ],
  ['bytea', 'binary', ["''", "'\\x00'", "'\\xdeadbeef'", "decode(repeat('00ff', 5000), 'hex')"]],
  ['time', 'string', ["'24:00:00'", "'00:00:00.000001'"]],
  ['timetz', 'string', ["'24:00:00+05:30'", "'01:02:03.5-15:59:59'"]],
  ['interval', 'string', ["'1 year 2 mons -3 days 04:05:06.789'", "'infinity'", "'0'"]],
  ['money', 'string', ["'-12.5'", "'92233720368547758.07'"]],
  ['bit(5)', 'string', ["B'01010'"]],
  ['varbit', 'string', ["B''", "B'1'"]],
  ['inet', 'string', ["'10.0.0.1'", "'10.0.0.1/8'", "'::1'"]],
  ['cidr', 'string', ["'10.0.0.0/8'"]],
  ['macaddr', 'string', ["'08:00:2b:01:02:03'"]],
  ['xml', 'string', ["'<a>ä</a>'", '\'<?xml version="1.0"?><a/>\'']],
  ['tsvector', 'string', ["'fat:2 cat:3'"]],
  ['point', 'string', ["'(1,2.5)'"]],
  ['int4[]', 'string', ["'{}'", "'{1,NULL,3}'", "'[0:1]={7,8}'", "'{{1,2},{3,4}}'"]],
  ['text[]', 'string', [`'{"a,b",NULL,"NULL",""}'`]],
  ['int4range', 'string', ["'empty'", "'[1,5)'", "'(,)'"]],
  ['nummultirange', 'string', ["'{[1,2),[3,4)}'"]],
  ['pg_lsn', 'string', ["'16/B374D848'"]],
  ['xid8', 'string', ["'18446744073709551615'"]],
  ['mood', 'string', ["'sad'", "'ä,''\"'"]],
  ['mood[]', 'string', ["'{sad,ok}'"]],
  ['pair', 'string', ['row(1, null)', 'row(null, null)', "row(2, 'x,y')"]],
  ['positive', 'decimal(12,2)', ['0.01', '9999999999.99']],
  ['nested_domain', 'decimal(12,2)', ['1']],
  ['short_text', 'string', ["'abc'"]],
  ['citext', 'string', ["'AbC'"]],
  ['hstore', 'string', ["'a=>1, b=>NULL'"]],
  ['ltree', 'string', ["'Top.Science'"]],
];

describe('every type, compared with the text that the server computes', () => {
  it.each(MATRIX)('%s lands as %s', async (type, landed, values) => {
    await database.run('drop table if exists t');
    await database.run(`create table t (id int primary key, v ${type})`);
    for (const [index, value] of [...values, 'null'].entries())
      await database.run(`insert into t values (${index}, ${value})`);
    const {cells, rescued, landedType} = await readColumn();
    expect(landedType).toBe(landed);
    await using session = await openSession();
    const source = await describeTable(session, 'public.t');
    const [id, column] = source.columns;
    if (id === undefined || column === undefined) throw new Error('no columns');
    const truth = await session.query(
      `select ${canonicalSql(column)}, case when num_nonnulls(v) = 1 then concat(v) end, ${hashSql(rowTextSql(source.columns))}::text from t as source order by id`,
      {what: 'test'},
    );
    expect(cells).toEqual(truth.map((row) => row[0]));
    // What landed as NULL without being NULL was rescued with the server's own text.
    const lost = truth.flatMap((row, index) => (row[0] === null && row[1] !== null ? [[index, row[1]]] : []));
    expect(rescued).toEqual(lost);
    const types = source.columns.map(({mapping}) => mapping.type);
    const hashes = cells.map((cell, index) => hash60(rowText([String(index), cell], types)).toString());
    expect(hashes).toEqual(truth.map((row) => row[2]));
  });

  it('covers all base types that a column can have, by text at least', async () => {
    const names =
      await database.texts(`select format_type(oid, null) from pg_type where typnamespace = 'pg_catalog'::regnamespace
      and typtype in ('b', 'r', 'm') and typcategory not in ('A', 'Z', 'P', 'X') order by 1`);
    await database.run('drop table if exists wide');
    await database.run(`create table wide (${names.map(([name], index) => `c${index} ${name}`).join(', ')})`);
    await database.run('insert into wide default values');
    const connector = new PostgresConnector(connectionOptions(database.options, 'test'));
    const ctx = testContext();
    let rows = 0;
    for await (const page of connector.readTable('public.wide', null, {}, ctx)) {
      if (!('kind' in page) || page.kind !== 'columns') throw new Error('no columns');
      rows += page.batch.rowCount;
      page.batch.columns.forEach((column, index) =>
        expect(canonicalCell(column, 0, page.batch.schema.fields[index]?.type ?? 'string')).toBeNull(),
      );
    }
    expect(rows).toBe(1);
    await connector.close();
  });
});

async function openSession(): Promise<Session> {
  return Session.open(connectionOptions(database.options, 'test'), testContext().signal);
}

async function readColumn(): Promise<{
  cells: (string | null)[];
  rescued: (readonly [number, string])[];
  landedType: string;
}> {
  const connector = new PostgresConnector(connectionOptions(database.options, 'test'));
  const cells: (string | null)[] = [];
  const rescued: (readonly [number, string])[] = [];
  let landedType = '';
  for await (const page of connector.readTable('public.t', null, {}, testContext())) {
    if (!('kind' in page) || page.kind !== 'columns') throw new Error('no columns');
    const [ids, values] = page.batch.columns;
    const type = page.batch.schema.fields[1]?.type ?? 'string';
    landedType =
      typeof type === 'string'
        ? type
        : type.type === 'decimal'
          ? `decimal(${type.precision},${type.scale})`
          : type.type;
    if (ids === undefined || values === undefined) throw new Error('two columns expected');
    for (let row = 0; row < page.batch.rowCount; row++)
      cells[Number(canonicalCell(ids, row, 'integer'))] = canonicalCell(values, row, type);
    for (const cell of page.rescued ?? []) rescued.push([Number(canonicalCell(ids, cell.row, 'integer')), cell.text]);
  }
  await connector.close();
  return {cells, rescued, landedType};
}
