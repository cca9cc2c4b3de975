import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import type {ModelDatabase, ModelRow} from '../src/connectors/sqlserver/simulator-database.ts';
import type {SqlServerSimulator} from '../src/connectors/sqlserver/simulator.ts';
import {startSimulator} from '../src/connectors/sqlserver/simulator.ts';
import type {RunResult} from '../src/runtime/api.ts';
import {loadPipelines} from '../src/runtime/config/load-pipelines.ts';
import {ingest} from '../src/runtime/ingest.ts';
import {queryLake} from '../src/runtime/inspect.ts';
import {verifyPipeline} from '../src/runtime/verify.ts';

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

/** Each table by the method that fits it. */
function mixedBundle(audit: object = {scd_type: 'APPEND_ONLY'}): object {
  const objects = [
    {table: {source_schema: 'dbo', source_table: 'orders'}},
    {table: {source_schema: 'dbo', source_table: 'audit', table_configuration: audit}},
  ];
  return {
    resources: {
      connections: {db: {connection_type: 'SQLSERVER', options: simulator.options}},
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

async function query(sql: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const options = {lake: join(folder, 'lake'), signal: new AbortController().signal, limit: 1_000_000};
  return (await queryLake(sql, options)).rows;
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
  const rows = await query(`select ${casts.join(', ')} from main.shop.orders`);
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
    120_000,
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
  }, 120_000);

  it('follows a new column', async () => {
    database.createTable('orders', COLUMNS, ['id']);
    await database.write(order(1), order(2));
    await run(bundle('change_tracking'));
    database.addColumn('orders', {name: 'extra', type: 'bigint'});
    await database.write({table: 'orders', update: {id: '2', extra: '5'}}, order(3, {extra: '6'}));
    await run(bundle('change_tracking'));
    await expectEqual(['id', 'customer', 'total', 'note', 'extra']);
  }, 120_000);

  it('follows each table by the method that fits it, in one pipeline, also when that changes', async () => {
    database.createTable('orders', COLUMNS, ['id']);
    database.createTable('audit', [
      {name: 'id', type: 'bigint', nullable: false},
      {name: 'what', type: 'nvarchar', length: 80},
    ]);
    database.enableCapture('orders', 'dbo_orders');
    database.enableCapture('audit', 'dbo_audit');
    const audited = (id: number) => ({table: 'audit', insert: {id: String(id), what: 'written'}});
    const spec = mixedBundle();
    await database.write(...Array.from({length: 50}, (_, id) => order(id)), audited(1), audited(1));
    await run(spec);
    await expectEqual();
    const lines = async (): Promise<number> =>
      Number((await query('select count(*) as n from main.shop.audit'))[0]?.['n']);
    expect(await lines()).toBe(2);
    await database.write({table: 'orders', update: {id: '1', total: '7.00'}}, audited(2));
    await run(spec);
    await expectEqual();
    expect(await lines()).toBe(3);
    // Its capture instance takes over, and hands back.
    database.table('orders').tracking = null;
    await database.write({table: 'orders', update: {id: '1', total: '8.00'}}, order(100), audited(3));
    const switched = await run(spec);
    await database.write({table: 'orders', delete: {id: '2'}}, audited(4));
    await run(spec);
    await expectEqual();
    expect(switched.flows.map(({flow, rowsInserted}) => [flow, rowsInserted])).toContainEqual(['main.shop.audit', 1]);
    database.table('orders').tracking = {minValid: database.version ?? 0n, changes: []};
    await database.write({table: 'orders', update: {id: '3', total: '9.00'}});
    await run(spec);
    await run(spec);
    await expectEqual();
    expect(await lines()).toBe(5);
  }, 120_000);

  it('compares tables of both kinds where all that is committed is staged', async () => {
    database.createTable('orders', COLUMNS, ['id']);
    database.createTable('audit', COLUMNS, ['id']).tracking = null;
    database.enableCapture('audit', 'dbo_audit');
    const spec = mixedBundle({scd_type: 'SCD_TYPE_1'});
    await database.write(...Array.from({length: 30}, (_, id) => order(id)), {...order(1), table: 'audit'});
    await run(spec);
    await database.write({table: 'orders', update: {id: '1', total: '7.00'}}, {...order(2), table: 'audit'});
    const {pipelines} = await loadPipelines({data: spec, variables: {}, cwd: folder, env: {}});
    const [pipeline] = pipelines;
    if (pipeline === undefined) throw new Error('no pipeline');
    const place = {lake: join(folder, 'lake'), signal: new AbortController().signal};
    const verify = async (): Promise<readonly string[]> =>
      (await verifyPipeline(pipeline, {...place, tables: []}))
        .map(({flow, verdict, reason}) => `${flow} ${verdict} ${reason?.split(' ')[0] ?? ''}`.trim())
        .toSorted();
    // The log was staged to where the database is, by both methods: what changed behind the run is known key by key.
    expect(await verify()).toEqual(['main.shop.audit unproven 1', 'main.shop.orders unproven 1']);
    await run(spec);
    expect(await verify()).toEqual(['main.shop.audit equal', 'main.shop.orders equal']);
  }, 120_000);

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
  }, 120_000);
});
