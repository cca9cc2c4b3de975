import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import type {ModelDatabase, ModelRow} from '../src/connectors/sqlserver/simulator-database.ts';
import type {SqlServerSimulator} from '../src/connectors/sqlserver/simulator.ts';
import {startSimulator} from '../src/connectors/sqlserver/simulator.ts';
import type {RunResult} from '../src/runtime/api.ts';
import {ingest} from '../src/runtime/ingest.ts';
import {queryLake} from '../src/runtime/inspect.ts';

const COLUMNS = [
  {name: 'id', type: 'bigint', nullable: false},
  {name: 'customer', type: 'nvarchar', length: 80},
  {name: 'total', type: 'decimal', precision: 12, scale: 2},
  {name: 'note', type: 'nvarchar', length: -1},
];

let folder = '';
let simulator: SqlServerSimulator;
let database: ModelDatabase;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-cdc-'));
  simulator = await startSimulator();
  ({database} = simulator);
});
afterEach(async () => {
  await simulator[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
  expect(simulator.unknown).toEqual([]);
});

function bundle(method: 'change_tracking' | 'cdc', table: object = {source_table: 'orders'}): object {
  const options = {...simulator.options, change_method: method};
  const objects = [{table: {source_schema: 'dbo', ...table}}];
  return {
    resources: {
      connections: {db: {connection_type: 'SQLSERVER', options}},
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

async function run(spec: object): Promise<RunResult> {
  const notes: string[] = [];
  const result = await ingest(spec, {
    lake: join(folder, 'lake'),
    onUpdate: (update) => {
      if (update.kind === 'note') notes.push(`${update.level} ${update.code} ${update.message}`);
    },
  });
  if (result.state !== 'COMPLETED') throw new Error(JSON.stringify([result.flows, notes, simulator.unknown], null, 1));
  return result;
}

/** Every row of the source is in the lake, and nothing else. */
async function expectEqual(names = ['id', 'customer', 'total', 'note']): Promise<void> {
  const casts = names.map((name) => `cast(${name} as varchar) as ${name}`);
  const options = {lake: join(folder, 'lake'), signal: new AbortController().signal, limit: 1_000_000};
  const {rows} = await queryLake(`select ${casts.join(', ')} from main.shop.orders`, options);
  const textOf = (row: Readonly<Record<string, unknown>> | ModelRow): string =>
    JSON.stringify(names.map((name) => row[name] ?? null));
  const source = [...database.table('orders').rows.values()].map(textOf).toSorted();
  expect(rows.map(textOf).toSorted()).toEqual(source);
}

const order = (id: number, over: ModelRow = {}) => ({
  table: 'orders',
  insert: {id: String(id), customer: `customer ${id % 10}`, total: `${id}.50`, note: 'n'.repeat(id % 50), ...over},
});

describe('a pipeline that follows a scripted SQL Server', () => {
  it.each(['change_tracking', 'cdc'] as const)(
    'by %s: lands the snapshot, then what changed',
    async (method) => {
      database.createTable('orders', COLUMNS, ['id']);
      if (method === 'cdc') database.enableCapture('orders', 'dbo_orders');
      await database.write(...Array.from({length: 200}, (_, id) => order(id)));
      expect((await run(bundle(method))).flows[0]).toMatchObject({rowsInserted: 200});
      await expectEqual();
      await database.write(
        {table: 'orders', update: {id: '1', total: '7.00'}},
        {table: 'orders', update: {id: '1000'}, old: {id: '2'}},
        {table: 'orders', delete: {id: '3'}},
        order(300, {customer: null}),
      );
      await run(bundle(method));
      await expectEqual();
      await database.write({table: 'orders', delete: {id: '300'}}, order(300, {note: 'again'}));
      await run(bundle(method));
      await expectEqual();
    },
    60_000,
  );

  it('reads a truncated table anew', async () => {
    database.createTable('orders', COLUMNS, ['id']);
    await database.write(order(1), order(2));
    await run(bundle('change_tracking'));
    database.truncate('orders');
    await database.write(order(5));
    await run(bundle('change_tracking'));
    await run(bundle('change_tracking'));
    await expectEqual();
  }, 60_000);

  it('follows a new column', async () => {
    database.createTable('orders', COLUMNS, ['id']);
    await database.write(order(1), order(2));
    await run(bundle('change_tracking'));
    database.addColumn('orders', {name: 'extra', type: 'bigint'});
    await database.write({table: 'orders', update: {id: '2', extra: '5'}}, order(3, {extra: '6'}));
    await run(bundle('change_tracking'));
    await expectEqual(['id', 'customer', 'total', 'note', 'extra']);
  }, 60_000);

  it('follows a table without a key by cdc', async () => {
    database.createTable('orders', COLUMNS);
    database.enableCapture('orders', 'dbo_orders');
    await database.write(order(1), order(1), order(2));
    const spec = bundle('cdc', {source_table: 'orders', table_configuration: {scd_type: 'APPEND_ONLY'}});
    await run(spec);
    await expectEqual();
    await database.write(order(3), {table: 'orders', delete: order(1).insert});
    const {flows} = await run(spec);
    expect(flows[0]).toMatchObject({rowsInserted: 2});
  }, 60_000);
});
