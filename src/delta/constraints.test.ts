import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import * as t from '../core/schema.ts';
import type {StructType} from '../core/types.ts';
import {alterTable} from './alter-table.ts';
import {translateCondition} from './constraint-sql.ts';
import type {DeltaTable} from './delta-table.ts';
import type {Lake} from './lake.ts';
import {openLake} from './lake.ts';

const signal = new AbortController().signal;

let folder: string;
let lake: Lake;
let tableCount = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-constraints-'));
  lake = await openLake(folder, {memoryLimitMb: 512});
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

const freshRoot = (): string => `main/raw/t${tableCount++}`;

async function write(table: DeltaTable, select: string, schema: StructType = table.snapshot.schema): Promise<void> {
  const adds = await table.writeFiles({select, schema}, signal);
  await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
}

const checks = (conditions: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(conditions).map(([name, text]) => [`delta.constraints.${name}`, text]));

describe('CHECK constraints', () => {
  it('are kept by writers: a NULL is no pass, and the error counts the rows and shows none', async () => {
    const table = await lake.create(freshRoot(), {
      schema: t.struct({id: t.long(), name: t.string()}),
      configuration: checks({positive: 'id > 0', known: "name IN ('x', 'secret')"}),
    });
    expect(table.snapshot.protocol).toEqual({minReaderVersion: 1, minWriterVersion: 3});
    await write(table, `SELECT 1, 'x'`);
    const broken = write(table, `SELECT i - 1, CASE WHEN i = 4 THEN NULL ELSE 'secret' END FROM range(5) AS r(i)`);
    await expect(broken).rejects.toMatchObject({
      code: 'CONSTRAINT_VIOLATION',
      class: 'data',
      message: expect.stringContaining('2 rows break the CHECK constraint positive') as string,
      context: {constraint: 'positive', rows: 2},
    });
    await expect(broken).rejects.not.toMatchObject({message: expect.stringContaining('secret') as string});
    await expect(write(table, `SELECT 3, NULL`)).rejects.toMatchObject({context: {constraint: 'known', rows: 1}});
    await table.refresh();
    expect(table.snapshot.files.size).toBe(1);
  });

  it('see partition columns, mapped names, nested fields and columns of the batch', async () => {
    const schema = t.struct({'the day': t.date(), s: t.column(t.struct({'a b': t.long()})), n: t.long()});
    const table = await lake.create(freshRoot(), {
      schema,
      partitionColumns: ['the day'],
      configuration: checks({days: "`the day` >= DATE '2024-01-01'", inside: 's.`A B` < n', known: 'n IS NOT NULL'}),
    });
    await write(table, `SELECT DATE '2024-01-01', {'a b': 1}, 2`);
    for (const select of [
      `SELECT DATE '2023-12-31', {'a b': 1}, 2`,
      `SELECT NULL, {'a b': 1}, 2`,
      `SELECT DATE '2024-01-01', {'a b': 2}, 2`,
      `SELECT DATE '2024-01-01', NULL, 2`,
    ])
      await expect(write(table, select)).rejects.toMatchObject({code: 'CONSTRAINT_VIOLATION'});
    await expect(alterTable(table, {renames: new Map([['m', 'n']])})).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      context: {column: 'n', constraint: 'known'},
    });
    await expect(alterTable(table, {dropColumns: ['s']})).rejects.toMatchObject({code: 'UNSUPPORTED'});
  });

  it('are added to a table only when its rows pass', async () => {
    const table = await lake.create(freshRoot(), {schema: t.struct({id: t.long()})});
    await write(table, 'SELECT * FROM range(5)');
    const {version} = table.snapshot;
    await expect(alterTable(table, {properties: checks({positive: 'id > 2'})})).rejects.toMatchObject({
      code: 'CONSTRAINT_VIOLATION',
      context: {rows: 3},
    });
    expect((await table.refresh()).version).toBe(version);
    await alterTable(table, {properties: checks({positive: 'id >= 0'})});
    expect(table.snapshot.protocol.minWriterVersion).toBe(3);
    await expect(write(table, 'SELECT -1')).rejects.toMatchObject({code: 'CONSTRAINT_VIOLATION'});
    await alterTable(table, {properties: {'delta.constraints.positive': null}});
    await write(table, 'SELECT -1');
  });

  it('that Sluice cannot evaluate are refused by name, before anything is written', async () => {
    const table = await lake.create(freshRoot(), {schema: t.struct({name: t.string()})});
    await expect(alterTable(table, {properties: checks({short: 'length(name) < 3'})})).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      context: {constraint: 'short'},
    });
    await expect(
      lake.create(freshRoot(), {schema: t.struct({a: t.long()}), configuration: checks({c: 'b > 1'})}),
    ).rejects.toMatchObject({code: 'UNSUPPORTED', message: expect.stringContaining('the column b') as string});
  });
});

describe('invariants and NOT NULL', () => {
  it('hold inside structs, lists and maps', async () => {
    const item = t.struct({x: t.long().notNull(), y: t.long()});
    const schema = t.struct({
      id: t.long().notNull(),
      s: t.column(item),
      must: t.column(t.struct({z: t.long()})).notNull(),
      list: t.array(t.column(item).notNull()),
      map: t.map('string', t.column('long').notNull()),
    });
    const table = await lake.create(freshRoot(), {schema});
    const row = (parts: Readonly<Record<string, string>>): string => {
      const all = {
        id: '1',
        s: '{x: 1, y: NULL}',
        must: '{z: NULL}',
        list: '[{x: 1, y: 1}]',
        map: `MAP {'k': 1}`,
        ...parts,
      };
      return `SELECT ${schema.fields.map(({name}) => all[name as keyof typeof all]).join(', ')}`;
    };
    for (const good of [{}, {s: 'NULL'}, {list: 'NULL'}, {list: '[]'}, {map: 'NULL'}]) await write(table, row(good));
    for (const [bad, name] of [
      [{s: '{x: NULL, y: 1}'}, 'of column s'],
      [{must: 'NULL'}, 'of column must'],
      [{list: '[{x: 1, y: 1}, NULL]'}, 'of column list'],
      [{list: '[{x: NULL, y: 1}]'}, 'of column list'],
      [{map: `MAP {'k': NULL}`}, 'of column map'],
    ] as const) {
      await expect(write(table, row(bad))).rejects.toMatchObject({
        code: 'CONSTRAINT_VIOLATION',
        context: {constraint: name, rows: 1},
      });
    }
    await expect(write(table, row({id: 'NULL'}))).rejects.toMatchObject({code: 'BAD_RECORD'});
  });

  it('that old Delta versions left in the schema are kept', async () => {
    const invariant = {'delta.invariants': JSON.stringify({expression: {expression: 'price > 3'}})};
    const table = await lake.create(freshRoot(), {schema: t.struct({price: t.double().with(invariant)})});
    await write(table, 'SELECT 3.5');
    await expect(write(table, 'SELECT 3')).rejects.toMatchObject({
      code: 'CONSTRAINT_VIOLATION',
      context: {constraint: 'price'},
    });
    const broken = t.struct({price: t.double().with({'delta.invariants': '{"x":1}'})});
    await expect(lake.create(freshRoot(), {schema: broken})).rejects.toMatchObject({code: 'UNSUPPORTED'});
  });
});

describe('conditions of Spark', () => {
  const schema = t.struct({
    l: t.long(),
    f: t.float(),
    d: t.double(),
    s: t.string(),
    b: t.boolean(),
    day: t.date(),
    at: t.timestamp(),
    wall: t.timestampNtz(),
    p: t.decimal(10, 2),
    x: t.binary(),
    list: t.array('long'),
  });

  it.each([
    'l > 1 and l <= 10',
    'f >= 0',
    'd < 0.1',
    'p = 1.5 OR p IS NULL',
    "s LIKE 'a%' AND NOT b",
    "day BETWEEN DATE'2024-01-01' AND DATE '2024-12-31'",
    "at >= TIMESTAMP '2024-01-01T00:00:00Z'",
    'list IS NOT NULL',
    'l <=> p',
    "s IN ('', ' ')",
  ])('are translated: %s', (text) => {
    expect(() => translateCondition(text, schema)).not.toThrow();
  });

  it.each([
    'f > 0.1',
    'f > d',
    's > 1',
    "l = '1'",
    "day > '2024-01-01'",
    'day < at',
    's = "l"',
    "s = 'a\\nb'",
    "s = 'it''s'",
    "at > TIMESTAMP '2024-01-01 00:00:00'",
    "wall > TIMESTAMP '2024-01-01 00:00:00Z'",
    "x = 'a'",
    'list = list',
    'upper(s) = s',
    'l % 2 = 0',
    'l',
    'nobody > 1',
    "'a' 'b' = s",
    'p > 0.123456789012345678901234567890123456789',
  ])('in which the engines may differ are refused: %s', (text) => {
    expect(() => translateCondition(text, schema)).toThrow();
  });
});
