import {rm, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import type {JsonObject} from '../core/json-value.ts';
import {toDdl} from '../core/schema-ddl.ts';
import {integer, long, string, struct} from '../core/schema.ts';
import type {StructType} from '../core/types.ts';
import {alterTable} from '../delta/alter-table.ts';
import {openTable} from '../delta/table.ts';
import type {EngineRow} from '../engine/engine.ts';
import type {Connector, Page, ReadContext} from '../sdk/contract.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd, type TestTable} from '../testkit/run-connector.ts';
import {batches, scriptedConnector, type ScriptedTable} from '../testkit/scripted-connector.ts';
import {settleFlow} from './evolve-plan.ts';
import {resolveFlow} from './resolve-flow.ts';
import {DEFAULT_TABLE_CONFIGURATION, type TableConfiguration} from './spec.ts';
import {openReread} from './verify-reread.ts';
import {comparableColumns, verifyScope, verifyTable} from './verify.ts';

let lake: TestLake;
beforeEach(async () => {
  lake = await openTestLake();
});
afterEach(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

type RunOptions = Partial<TestTable> & {readonly fullRefresh?: boolean};
const MAPPED = {'delta.columnMapping.mode': 'name'};
const WIDENING = {'delta.enableTypeWidening': 'true'};
const configured = (configuration: Partial<TableConfiguration>): RunOptions => ({configuration});

function scripted(schema: StructType, more: Partial<ScriptedTable>): ScriptedTable {
  return {
    schema,
    ingestionType: 'cdc',
    primaryKeys: ['id'],
    cursorField: 'at',
    read: () => ({pages: [], end: null}),
    ...more,
  };
}

async function run(table: ScriptedTable, options: RunOptions = {}): Promise<TestRunEnd> {
  const {fullRefresh, ...rest} = options;
  return runConnector(lake, {
    ...scriptedConnector({t: table}),
    tables: [{source: 't', ...rest}],
    ...(fullRefresh === undefined ? {} : {fullRefresh}),
  });
}

async function opened(): Promise<NonNullable<Awaited<ReturnType<typeof openTable>>>> {
  const table = await openTable(lake.context, 'main/test/t');
  if (table === null) throw new Error('no table');
  return table;
}

async function rows(order = 'id'): Promise<readonly EngineRow[]> {
  return lake.context.engine.query(`SELECT * FROM (${await (await opened()).readSql()}) ORDER BY ${order}`);
}

async function ddl(): Promise<string> {
  return toDdl((await opened()).snapshot.schema);
}

describe('a snapshot', () => {
  const whole = (schema: StructType, all: readonly JsonObject[]): ScriptedTable => ({
    schema,
    ingestionType: 'snapshot',
    primaryKeys: ['id'],
    read: () => ({pages: [all], end: null}),
  });
  const before = struct({id: long(), n: long(), gone: string()});
  const after = struct({fresh: string(), id: long(), n: string()});

  test.each([{}, MAPPED])('takes new columns and types with its rows (%j)', async (tableProperties) => {
    await run(whole(before, [{id: 1, n: 1, gone: 'g'}]), configured({tableProperties}));
    const end = await run(whole(after, [{fresh: 'f', id: 2, n: 'x'}]), configured({tableProperties}));
    expect(end.flows).toMatchObject([{state: 'COMPLETED'}]);
    expect(end.notes.map(({code}) => code)).toEqual(['COLUMNS_ADDED', 'COLUMN_DROPPED', 'COLUMN_TYPE_CHANGED']);
    expect(await ddl()).toBe('id BIGINT, n STRING, gone STRING, fresh STRING, _rescued_data STRING');
    expect(await rows()).toEqual([{id: 2n, n: 'x', gone: null, fresh: 'f', _rescued_data: null}]);
    expect((await opened()).snapshot.metadata.configuration['sluice.inactiveColumns']).toBe('["gone"]');
    expect((await run(whole(after, [{fresh: 'f', id: 2, n: 'x'}]), configured({tableProperties}))).notes).toEqual([]);
  });

  test.each([{}, MAPPED])("of a full refresh takes the source's types as they are (%j)", async (tableProperties) => {
    await run(whole(before, [{id: 1, n: 1, gone: 'g'}]), configured({tableProperties}));
    const narrow = struct({id: integer(), n: integer(), gone: string(), fresh: long()});
    const end = await run(whole(narrow, [{id: 2, n: 2}]), {...configured({tableProperties}), fullRefresh: true});
    expect(end.flows).toMatchObject([{state: 'COMPLETED'}]);
    expect(await ddl()).toBe('id INT, n INT, gone STRING, fresh BIGINT, _rescued_data STRING');
  });

  test('that is kept rescues what its schema does not have', async () => {
    const kept = configured({schemaEvolution: 'quarantine'});
    await run(whole(before, [{id: 1, n: 1, gone: 'g'}]), kept);
    const end = await run(whole(after, [{fresh: 'f', id: 2, n: 'x'}]), kept);
    expect(end.flows).toMatchObject([{state: 'COMPLETED', rescuedValues: 2}]);
    expect(await rows()).toEqual([{id: 2n, n: null, gone: null, _rescued_data: '{"n":"x","fresh":"f"}'}]);
  });

  test('of nested types keeps fields that are gone, and follows types without a reload', async () => {
    const nested = (a: StructType): StructType => struct({id: long(), s: a});
    await run(whole(nested(struct({a: long(), b: long()})), [{id: 1, s: {a: 1, b: 2}}]));
    await run(whole(nested(struct({a: string(), c: long()})), [{id: 1, s: {a: 'x', c: 3}}]));
    // A field that cannot stay takes its whole column's type from the source.
    expect(await ddl()).toBe('id BIGINT, s STRUCT<a: STRING, c: BIGINT>, _rescued_data STRING');
    await run(whole(nested(struct({c: long()})), [{id: 1, s: {c: 4}}]));
    expect(await ddl()).toBe('id BIGINT, s STRUCT<a: STRING, c: BIGINT>, _rescued_data STRING');
  });
});

describe('a table with history', () => {
  test('keeps its versions while columns come, widen and are renamed', async () => {
    const settings = (more: Partial<TableConfiguration> = {}): RunOptions =>
      configured({scdType: 'SCD_TYPE_2', tableProperties: {...MAPPED, ...WIDENING}, ...more});
    const all: JsonObject[][] = [[{id: 1, n: 1, at: 1}]];
    const table = (schema: StructType): ScriptedTable => scripted(schema, {read: batches(all)});
    await run(table(struct({id: integer(), n: integer(), at: integer()})), settings());
    all.push([{id: 1, n: 2 ** 40, extra: 'e', at: 2 ** 33}]);
    const wide = struct({id: long(), n: long(), extra: string(), at: long()});
    expect((await run(table(wide), settings())).flows).toMatchObject([{state: 'COMPLETED'}]);
    all.push([{number: 1, n: 3, extra: 'f', rev: 2 ** 34}]);
    const renamed = scripted(struct({number: long(), n: long(), extra: string(), rev: long()}), {
      primaryKeys: ['number'],
      cursorField: 'rev',
      read: batches(all),
    });
    const end = await run(renamed, settings({renamedColumns: {number: 'id', rev: 'at'}}));
    expect(end.flows).toMatchObject([{state: 'COMPLETED'}]);
    expect(await ddl()).toBe(
      'number BIGINT, n BIGINT, rev BIGINT, extra STRING, _rescued_data STRING, __START_AT BIGINT, __END_AT BIGINT',
    );
    const shown = (await rows('__START_AT')).map((row) => [row['n'], row['extra'], row['__START_AT'], row['__END_AT']]);
    expect(shown).toEqual([
      [1n, null, 1n, 2n ** 33n],
      [2n ** 40n, 'e', 2n ** 33n, 2n ** 34n],
      [3n, 'f', 2n ** 34n, null],
    ]);
  });
});

describe('files', () => {
  async function csvPage(name: string, text: string): Promise<Page> {
    const path = join(lake.folder, name);
    await writeFile(path, text);
    const {size, mtimeMs} = await stat(path);
    return {kind: 'files', files: [{file: {path, sizeBytes: size, modifiedAtMs: mtimeMs}, options: {format: 'csv'}}]};
  }

  test('obey hints, land under other names and rescue what a kept schema lacks', async () => {
    const settings = configured({
      schemaEvolution: 'quarantine',
      schemaHints: struct({n: long()}),
      tableProperties: MAPPED,
    });
    const first = await csvPage('a.csv', 'id,n,ID2\n1,5,x\n2,y,z\n');
    const source = (schema: StructType, page: Page): ScriptedTable =>
      scripted(schema, {
        ingestionType: 'append',
        read: (start) => ({pages: start === null ? [page] : [], end: {n: 1}}),
      });
    const end = await run(source(struct({id: long(), n: string(), ID2: string()}), first), settings);
    expect(end.flows).toMatchObject([{state: 'COMPLETED', rescuedValues: 1}]);
    const second = await csvPage('b.csv', 'id,n,id2,more\n3,6,w,m\n');
    const changed = source(struct({id: long(), n: string(), id2: string(), more: long()}), second);
    changed.read = (start) => ({pages: start?.['n'] === 1 ? [second] : [], end: {n: 2}});
    const next = await run(changed, settings);
    expect(next.flows).toMatchObject([{state: 'COMPLETED', rescuedValues: 1}]);
    expect(
      (await rows()).map((row) => [
        row['id'],
        row['n'],
        row['ID2'],
        /"(n|more)":/.exec(String(row['_rescued_data']))?.[1],
      ]),
    ).toEqual([
      [1n, 5n, 'x', undefined],
      [2n, null, 'z', 'n'],
      [3n, 6n, 'w', 'more'],
    ]);
  });
});

describe('partitions', () => {
  test("land in the table's names and types, and rescue what it lacks", async () => {
    const before = struct({id: long(), name: string(), n: long()});
    const after = struct({id: long(), NAME: string(), n: string(), more: struct({x: long()})});
    const table = (schema: StructType, all: readonly JsonObject[]): Parameters<typeof runConnector>[1] => {
      const scripted = scriptedConnector({
        t: {schema, ingestionType: 'snapshot', primaryKeys: ['id'], read: () => ({pages: [], end: null})},
      });
      const connector: Connector = {
        ...scripted.connector,
        isPartitioned: () => true,
        latestOffset: () => Promise.resolve(null),
        getPartitions: () => Promise.resolve({partitions: all.map((_, at) => ({at})), volatile: false}),
        async *readPartition(_table, {at}) {
          await Promise.resolve();
          const row = all[Number(at)];
          if (row !== undefined) yield [row];
        },
      };
      const tables = [{source: 't', configuration: {schemaEvolution: 'quarantine' as const}}];
      return {...scripted, connector, tables};
    };
    await runConnector(lake, table(before, [{id: 1, name: 'a', n: 1}]));
    const end = await runConnector(
      lake,
      table(after, [
        {id: 2, NAME: 'b', n: '2', more: {x: 1}},
        {id: 3, NAME: 'c', n: 'x', more: null},
      ]),
    );
    expect(end.flows).toMatchObject([{state: 'COMPLETED', rescuedValues: 2}]);
    expect(await rows()).toEqual([
      {id: 2n, name: 'b', n: 2n, _rescued_data: '{"more":{"x":1}}'},
      {id: 3n, name: 'c', n: null, _rescued_data: '{"n":"x"}'},
    ]);
  });
});

describe('another writer', () => {
  test('that changes the schema while a batch is read has the flow begin again with it', async () => {
    const schema = struct({id: long(), n: long(), at: long()});
    const all: JsonObject[][] = [[{id: 1, n: 1, at: 1}]];
    await run(scripted(schema, {read: batches(all)}));
    all.push([{id: 2, n: 2, at: 2}]);
    const source = scriptedConnector({t: scripted(schema, {read: batches(all)})});
    let reads = 0;
    const connector: Connector = {
      ...source.connector,
      async *readTable(...args) {
        reads += 1;
        if (reads === 1)
          await alterTable(await opened(), {
            addColumns: [{name: 'theirs', type: 'string', nullable: true, metadata: {}}],
          });
        return yield* source.connector.readTable(...args);
      },
    };
    const end = await runConnector(lake, {...source, connector, tables: [{source: 't'}]});
    expect(end.flows).toMatchObject([{state: 'COMPLETED', rowsInserted: 1, attempt: 2}]);
    expect(end.notes.map(({code}) => code)).toEqual(['COMMIT_CONFLICT', 'COLUMN_DROPPED']);
    expect(await rows()).toEqual([
      {id: 1n, n: 1n, at: 1n, theirs: null, _rescued_data: null},
      {id: 2n, n: 2n, at: 2n, theirs: null, _rescued_data: null},
    ]);
  });
});

describe('a comparison', () => {
  test('of columns that land under other names finds them equal, and a change of one', async () => {
    const schema = struct({id: long(), Name: string(), name: string(), at: long()});
    const all: JsonObject[] = [
      {id: 1, Name: 'A', name: 'a', at: 1},
      {id: 2, Name: 'B', name: 'b', at: 2},
    ];
    const table = scripted(schema, {read: (start) => ({pages: start === null ? [all] : [], end: {n: 1}})});
    await run(table);
    const {definition, connector} = scriptedConnector({t: table});
    const read: ReadContext = {
      signal: new AbortController().signal,
      clock: lake.context.clock,
      log: {debug: () => undefined, info: () => undefined, warn: () => undefined},
      files: {list: () => Promise.resolve([]), inferSchema: () => Promise.resolve(schema)},
      progress: () => undefined,
      limits: {maxRows: 100, maxBytes: 1000},
      triggerStartedAt: lake.context.clock.nowMicros(),
      isFirstCall: true,
      ledger: {get: () => Promise.resolve(new Map()), put: () => undefined},
    };
    const object = {
      kind: 'table' as const,
      path: 'objects[0].table',
      sourceCatalog: null,
      sourceSchema: null,
      sourceTable: 't',
      destinationCatalog: 'main',
      destinationSchema: 'test',
      destinationTable: null,
      configuration: DEFAULT_TABLE_CONFIGURATION,
      options: {},
    };
    const verdict = async (): Promise<unknown> => {
      const landed = await opened();
      const {schema: stored, metadata} = landed.snapshot;
      const asked = await resolveFlow({definition, connector}, object, 't', read);
      const {flow} = settleFlow(asked, {schema: stored, configuration: metadata.configuration}, 'stay');
      const scope = verifyScope(flow, comparableColumns(stored, flow).columns, 2);
      await using view = await openReread(scope, {
        connector,
        flow,
        table: landed,
        engine: lake.context.engine,
        read: () => read,
      });
      const {engine} = lake.context;
      return await verifyTable({
        connector,
        flow,
        table: landed,
        engine,
        end: null,
        ctx: read,
        point: {view, scope, level: 'reread'},
      });
    };
    expect(await verdict()).toMatchObject({verdict: 'equal', sourceRows: 2, columnsCompared: 4});
    // A column that is read for the filter only does not land, though the table has it from before.
    const configuration = {...DEFAULT_TABLE_CONFIGURATION, excludeColumns: ['Name'], rowFilter: "Name <> 'x'"};
    const {schema: stored, metadata} = (await opened()).snapshot;
    const without = await resolveFlow({definition, connector}, {...object, configuration}, 't', read);
    const {flow} = settleFlow(without, {schema: stored, configuration: metadata.configuration}, 'stay');
    expect(comparableColumns(stored, flow).columns.map(({name}) => name)).toEqual(['id', 'name_2', 'at']);
    all[1] = {id: 2, Name: 'B', name: 'other', at: 2};
    expect(await verdict()).toMatchObject({
      verdict: 'different',
      changed: 1,
      samples: [{key: '2', columns: ['name_2']}],
    });
  });
});
