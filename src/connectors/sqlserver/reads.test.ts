import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {testContext} from '../../../test/read-context.ts';
import type {Offset, Page, ReadContext, TableOptions} from '../../sdk/index.ts';
import {canonicalCell} from '../../sdk/index.ts';
import {sqlServerConnector, type SqlServerConnector} from './connector.ts';
import {connectionOptions} from './session.ts';
import type {ModelDatabase} from './simulator-database.ts';
import type {SqlServerSimulator} from './simulator.ts';
import {startSimulator} from './simulator.ts';

let simulator: SqlServerSimulator;
let database: ModelDatabase;
let connector: SqlServerConnector;

beforeEach(async () => {
  simulator = await startSimulator();
  ({database} = simulator);
  connector = sqlServerConnector(connectionOptions(simulator.options, 'test'));
});
afterEach(async () => {
  await connector.close();
  await simulator[Symbol.asyncDispose]();
  expect(simulator.unknown).toEqual([]);
});

const ID = {name: 'id', type: 'int', nullable: false} as const;

describe('SQL Server by queries', () => {
  it('lists schemas and tables, and describes columns and keys', async () => {
    database.createTable('orders', [ID, {name: 'a b', type: 'varchar', length: 20}], ['id']);
    const ctx = testContext();
    expect(await connector.listTables(ctx)).toEqual(['dbo.orders']);
    expect(await connector.listNamespaces(null, ctx)).toEqual([['dbo']]);
    expect(await connector.listTablesInNamespace(['dbo'], ctx)).toEqual(['orders']);
    expect((await connector.getTableSchema('orders', {}, ctx)).fields).toEqual([
      {name: 'id', type: 'integer', nullable: false, metadata: {}},
      {name: 'a b', type: 'string', nullable: true, metadata: {}},
    ]);
    expect(await connector.readTableMetadata('dbo.orders', {}, ctx)).toEqual({
      primaryKeys: ['id'],
      keysEnforced: true,
      ingestionType: 'snapshot',
      bounded: true,
    });
    expect(await connector.estimate('dbo.orders', {}, ctx)).toEqual({rows: 0});
    await expect(connector.getTableSchema('dbo.nowhere', {}, ctx)).rejects.toMatchObject({code: 'UNKNOWN_TABLE'});
  });

  it('refuses cursors that are not there or keep no order', async () => {
    database.createTable(
      'scores',
      [ID, {name: 'updated_at', type: 'datetime'}, {name: 'score', type: 'float'}],
      ['id'],
    );
    const metadata = (options: TableOptions) => connector.readTableMetadata('scores', options, testContext());
    await expect(metadata({cursor_column: 'update_at'})).rejects.toMatchObject({
      code: 'UNKNOWN_COLUMN',
      fix: 'Did you mean "updated_at"?',
    });
    await expect(metadata({cursor_column: 'score'})).rejects.toMatchObject({code: 'UNSUPPORTED'});
    await expect(metadata({cursor_column: 'id', lookback_seconds: 5})).rejects.toMatchObject({code: 'INVALID_OPTION'});
    await expect(metadata({lookback_seconds: 5})).rejects.toMatchObject({code: 'INVALID_OPTION'});
  });

  it('reads increments by a number, also among rows of one value, and ends where it began when nothing is new', async () => {
    const columns = [ID, {name: 'n', type: 'bigint'}, {name: 'v', type: 'nvarchar', length: 20}];
    database.createTable('numbers', columns, ['id']);
    const insert = (id: number, n: string | null, v: string) => ({table: 'numbers', insert: {id, n, v}});
    await database.write(insert(1, '5', 'a'), insert(2, '9223372036854775807', 'b'), insert(3, null, 'c'));
    const options = {cursor_column: 'n'};
    const first = await read('numbers', {options});
    expect(first.rows).toEqual(['1 5 a', '2 9223372036854775807 b', '3 null c']);
    const none = await read('numbers', {options, start: first.end});
    expect(none.rows).toEqual(['3 null c']);
    expect(none.end).toEqual(first.end);
    await database.write(insert(4, '5', 'd'), insert(5, '6', 'e'), {table: 'numbers', delete: {id: 2}});
    const half = {column: 'n', value: '5', key: ['1']};
    const rest = await read('numbers', {options, start: half, isFirstCall: false});
    expect(rest.rows).toEqual(['4 5 d', '5 6 e']);
    expect(rest.offsets).toEqual([{column: 'n', value: '6', key: ['5']}]);
  });

  it('reads coarse times again at the last value, fine ones behind it, and never up to a mistake', async () => {
    const columns = [ID, {name: 'at', type: 'datetime'}, {name: 'fine', type: 'datetime2', scale: 7}];
    database.createTable('times', columns, ['id']);
    const insert = (id: number, at: string, fine: string) => ({table: 'times', insert: {id, at, fine}});
    await database.write(
      insert(1, '2024-01-01 00:00:00.000', '2024-01-01 00:00:00.0000001'),
      insert(2, '2024-01-02 00:00:00.000', '2024-01-02 00:00:00.5000000'),
    );
    const coarse = {cursor_column: 'at'};
    const fine = {cursor_column: 'fine'};
    const ends = [(await read('times', {options: coarse})).end, (await read('times', {options: fine})).end];
    expect(ends[1]).toEqual({column: 'fine', value: '2024-01-02 00:00:00.5000000'});
    await database.write(
      insert(3, '2024-01-02 00:00:00.000', '2024-01-02 00:00:00.5000001'),
      insert(4, '9999-01-01 00:00:00.000', '9999-01-01 00:00:00.0000000'),
    );
    const rows = async (options: TableOptions, start: Offset | null | undefined) =>
      (await read('times', {options, start: start ?? null})).rows.map((row) => row.split(' ')[0]);
    expect(await rows(coarse, ends[0])).toEqual(['2', '3']);
    expect(await rows(fine, ends[1])).toEqual(['3']);
    expect(await rows({...coarse, lookback_seconds: 90_000}, ends[0])).toEqual(['1', '2', '3']);
  });

  it('leaves times for the next run that a running transaction may still commit', async () => {
    database.createTable('late', [ID, {name: 'at', type: 'datetime2', scale: 7}], ['id']);
    await database.write({table: 'late', insert: {id: 1, at: '2026-11-28 09:00:00.0000000'}});
    await database.write({table: 'late', insert: {id: 2, at: '2026-11-28 09:59:58.0000000'}});
    database.oldestSeconds = 90;
    const options = {cursor_column: 'at'};
    const first = await read('late', {options});
    expect(first.end).toEqual({column: 'at', value: '2026-11-28 09:00:00.0000000'});
    expect(first.said.join()).toContain('has been running for 90 s');
    database.missingPermissions.add('VIEW SERVER STATE');
    const second = await read('late', {options, start: first.end});
    expect(second.rows).toEqual(['2 1795859998000000']);
    expect(second.said.join()).toContain('Grant VIEW SERVER STATE');
  });

  it('takes the earlier of two clocks while no value is behind it', async () => {
    database.createTable('zones', [ID, {name: 'at', type: 'datetime2', scale: 7}], ['id']);
    database.local = '2026-11-28 12:00:00.1234567';
    await database.write({table: 'zones', insert: {id: 1, at: '2026-11-28 10:00:00.1000000'}});
    const options = {cursor_column: 'at'};
    expect((await read('zones', {options})).end).toEqual({column: 'at', value: null});
    await database.write({table: 'zones', insert: {id: 2, at: '2026-11-28 11:59:00.0000000'}});
    expect((await read('zones', {options})).end).toEqual({column: 'at', value: '2026-11-28 11:59:00.0000000'});
    await database.write({table: 'zones', insert: {id: 3, at: '2026-11-28 19:00:00.0000000'}});
    expect((await read('zones', {options})).end).toEqual({column: 'at', value: '2026-11-28 19:00:00.0000000'});
  });

  it('reads a rowversion up to what running transactions may still write', async () => {
    database.createTable('versions', [ID, {name: 'rv', type: 'timestamp', nullable: false}], ['id']);
    const rv = (value: number): Buffer => Buffer.from([0, 0, 0, 0, 0, 0, 0, value]);
    await database.write(
      {table: 'versions', insert: {id: 1, rv: rv(1)}},
      {table: 'versions', insert: {id: 2, rv: rv(9)}},
    );
    database.activeRowversion = '0x0000000000000005';
    const options = {cursor_column: 'rv'};
    const first = await read('versions', {options});
    expect(first.end).toEqual({column: 'rv', value: '0x0000000000000001'});
    database.activeRowversion = '0x000000000000000A';
    const second = await read('versions', {options, start: first.end});
    expect(second.rows).toEqual(['2 0000000000000009']);
    expect(second.end).toEqual({column: 'rv', value: '0x0000000000000009'});
  });

  it('reads the columns that are asked for, keys alone, and without snapshot isolation too', async () => {
    database.createTable('wide', [ID, {name: 'a', type: 'int'}, {name: 'b', type: 'int'}], ['id']);
    await database.write({table: 'wide', insert: {id: 1, a: 2, b: 3}});
    database.isSnapshotAllowed = false;
    expect((await read('wide', {options: {columns: ['id', 'b']}})).rows).toEqual(['1 3']);
    const keys: string[] = [];
    for await (const batch of connector.scanKeys('wide', ['id'], {}, testContext())) keys.push(...rowsOf(batch));
    expect(keys).toEqual(['1']);
  });

  it('gives its rows up to the end of a flow for comparison', async () => {
    database.createTable(
      'compared',
      [ID, {name: 'n', type: 'bigint'}, {name: 'v', type: 'decimal', precision: 9, scale: 2}],
      ['id'],
    );
    const insert = (id: number, n: string | null) => ({table: 'compared', insert: {id, n, v: '1.50'}});
    await database.write(insert(1, '5'), insert(2, null));
    const options = {cursor_column: 'n'};
    const {end} = await read('compared', {options});
    const {fields} = await connector.getTableSchema('compared', options, testContext());
    const columns = fields.map(({name, type}) => ({name, type}));
    const scope = {table: 'compared', options, columns, keys: ['id'], buckets: 1};
    const sumsAt = async () => {
      await using point = await connector.openVerify(scope, end, testContext());
      return await point.sums(testContext());
    };
    const before = await sumsAt();
    expect(before).toMatchObject([{bucket: 0, count: 2n}]);
    await database.write(insert(3, '6'));
    expect(await sumsAt()).toEqual(before);
    await database.write({table: 'compared', update: {id: 1, v: '1.51'}});
    expect(await sumsAt()).not.toEqual(before);
  });

  it('stops when columns changed since they were described', async () => {
    database.createTable('changing', [ID], ['id']);
    await connector.getTableSchema('changing', {}, testContext());
    database.addColumn('changing', {name: 'b', type: 'int'});
    await expect(read('changing')).rejects.toMatchObject({code: 'SOURCE_SCHEMA_CHANGED'});
  });

  it('reads many rows in batches without holding them all', async () => {
    database.createTable('many', [ID, {name: 'v', type: 'varchar', length: 200}], ['id']);
    await database.write(...Array.from({length: 9000}, (_, id) => ({table: 'many', insert: {id, v: 'm'.repeat(20)}})));
    const {rows, pages} = await read('many');
    expect(rows).toHaveLength(9000);
    expect(pages).toBeGreaterThan(2);
  });
});

type ColumnPage = Extract<Exclude<Page, readonly unknown[]>, {kind: 'columns'}>;

function rowsOf({columns, rowCount, schema}: ColumnPage['batch']): readonly string[] {
  return Array.from({length: rowCount}, (_, row) =>
    columns
      .map((column, index) => canonicalCell(column, row, schema.fields[index]?.type ?? 'string'))
      .map(String)
      .join(' '),
  );
}

let trigger = 1n;

async function read(
  table: string,
  {options = {}, start = null, ...over}: {options?: TableOptions; start?: Offset | null} & Partial<ReadContext> = {},
): Promise<{rows: string[]; end: Offset | null; pages: number; said: readonly string[]; offsets: Offset[]}> {
  const ctx = testContext({triggerStartedAt: trigger++, ...over});
  const reading = connector.readTable(table, start, options, ctx);
  const rows: string[] = [];
  const offsets: Offset[] = [];
  let pages = 0;
  for (;;) {
    const next = await reading.next();
    if (next.done === true) return {rows, end: next.value, pages, said: ctx.said, offsets};
    const page = next.value;
    if (!('kind' in page) || page.kind !== 'columns') throw new Error('a page of another kind');
    rows.push(...rowsOf(page.batch));
    if (page.offset !== undefined) offsets.push(page.offset);
    pages++;
  }
}
