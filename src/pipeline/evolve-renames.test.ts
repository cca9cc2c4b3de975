import {rm} from 'node:fs/promises';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import type {JsonObject} from '../core/json-value.ts';
import {toDdl} from '../core/schema-ddl.ts';
import {long, string, struct} from '../core/schema.ts';
import type {StructType} from '../core/types.ts';
import {openTable} from '../delta/table.ts';
import type {EngineRow} from '../engine/engine.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd, type TestTable} from '../testkit/run-connector.ts';
import {batches, scriptedConnector, type ScriptedTable} from '../testkit/scripted-connector.ts';
import type {TableConfiguration} from './spec.ts';

let lake: TestLake;
beforeEach(async () => {
  lake = await openTestLake();
});
afterEach(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

function cdc(
  schema: StructType,
  all: readonly (readonly JsonObject[])[],
  more: Partial<ScriptedTable> = {},
): ScriptedTable {
  return {schema, ingestionType: 'cdc', primaryKeys: ['id'], cursorField: 'at', read: batches(all), ...more};
}

type RunOptions = Partial<TestTable> & {readonly fullRefresh?: boolean};

async function run(table: ScriptedTable, options: RunOptions = {}): Promise<TestRunEnd> {
  const {fullRefresh, ...rest} = options;
  return runConnector(lake, {
    ...scriptedConnector({t: table}),
    tables: [{source: 't', ...rest}],
    ...(fullRefresh === undefined ? {} : {fullRefresh}),
  });
}

const MAPPED = {'delta.columnMapping.mode': 'name'};
const configured = (configuration: Partial<TableConfiguration>): RunOptions => ({configuration});

async function rows(order = 'id'): Promise<readonly EngineRow[]> {
  const table = await openTable(lake.context, 'main/test/t');
  return lake.context.engine.query(`SELECT * FROM (${await table?.readSql()}) ORDER BY ${order}`);
}

async function ddl(): Promise<string> {
  const table = await openTable(lake.context, 'main/test/t');
  return toDdl(table?.snapshot.schema ?? struct({}));
}

const codes = ({notes}: TestRunEnd): readonly string[] => notes.map((note) => note.code);

const before = struct({id: long(), email: string(), at: long()});
const after = struct({id: long(), mail: string(), at: long()});
const declared = {mail: 'email'};
const one: JsonObject = {id: 1, email: 'a', at: 1};
const two: JsonObject = {id: 2, mail: 'b', at: 2};

describe('a declared rename', () => {
  test('keeps the rows of a column where columns are mapped, and happens once', async () => {
    const settings = configured({tableProperties: MAPPED, renamedColumns: declared});
    await run(cdc(before, [[one]]), configured({tableProperties: MAPPED}));
    const files = (await openTable(lake.context, 'main/test/t'))?.snapshot.files.size ?? 0;
    const end = await run(cdc(after, [[one], [two]]), settings);
    expect(end.flows).toMatchObject([{state: 'COMPLETED', rowsInserted: 1}]);
    expect(codes(end)).toEqual(['COLUMN_RENAMED']);
    expect(await ddl()).toBe('id BIGINT, mail STRING, at BIGINT, _rescued_data STRING');
    expect(await rows()).toMatchObject([{mail: 'a'}, {mail: 'b'}]);
    const next = await run(cdc(after, [[one], [two], [{id: 3, mail: 'c', at: 3}]]), settings);
    expect(codes(next)).toEqual([]);
    expect(await rows()).toMatchObject([{mail: 'a'}, {mail: 'b'}, {mail: 'c'}]);
    expect((await openTable(lake.context, 'main/test/t'))?.snapshot.files.size).toBe(files + 2);
  });

  test('switches mapping on where the configuration asks for it', async () => {
    await run(cdc(before, [[one]]));
    const end = await run(cdc(after, [[one], [two]]), configured({tableProperties: MAPPED, renamedColumns: declared}));
    expect(end.flows).toMatchObject([{state: 'COMPLETED'}]);
    expect(await rows()).toMatchObject([{mail: 'a'}, {mail: 'b'}]);
  });

  test('is refused without mapping, with the ways out, and a full refresh takes the new name', async () => {
    await run(cdc(before, [[one]]));
    const settings = configured({renamedColumns: declared});
    const end = await run(cdc(after, [[one], [two]]), settings);
    expect(end.flows).toMatchObject([{state: 'FAILED', errorCode: 'INCOMPATIBLE_SCHEMA_CHANGE'}]);
    expect(end.flows[0]?.errorFix).toContain('--full-refresh-tables main.test.t');
    expect(await ddl()).toContain('email');
    const whole = cdc(after, [[{id: 1, mail: 'a', at: 1}], [two]]);
    expect((await run(whole, {...settings, fullRefresh: true})).state).toBe('COMPLETED');
    expect(await ddl()).toBe('id BIGINT, mail STRING, at BIGINT, _rescued_data STRING');
    expect(await rows()).toMatchObject([{mail: 'a'}, {mail: 'b'}]);
  });

  test('without a declaration a renamed column is a new one, and the old one stays', async () => {
    await run(cdc(before, [[one]]));
    expect(codes(await run(cdc(after, [[one], [two]])))).toEqual(['COLUMNS_ADDED', 'COLUMN_DROPPED']);
    expect(await rows()).toMatchObject([
      {email: 'a', mail: null},
      {email: null, mail: 'b'},
    ]);
  });

  test('may be of keys and sequences, whose tombstones still count', async () => {
    const was = struct({key: long(), v: string(), rev: long()});
    const is = struct({number: long(), v: string(), version: long()});
    const settings = {tableProperties: MAPPED, renamedColumns: {number: 'key', version: 'rev'}};
    const first = cdc(
      was,
      [
        [
          {key: 1, v: 'a', rev: 5},
          {key: 2, v: 'b', rev: 6},
        ],
      ],
      {
        ingestionType: 'cdc_with_deletes',
        primaryKeys: ['key'],
        cursorField: 'rev',
        deletes: (start) => (start === null ? {pages: [[{key: 1, rev: 10}]], end: {d: 1}} : {pages: [], end: start}),
      },
    );
    expect((await run(first, configured(settings))).state).toBe('COMPLETED');
    expect(await rows('1')).toMatchObject([{key: 2n}]);
    const late = [
      {number: 1, v: 'late', version: 7},
      {number: 2, v: 'c', version: 8},
      {number: 3, v: 'd', version: 9},
    ];
    const second = cdc(is, [[], late], {
      ingestionType: 'cdc_with_deletes',
      primaryKeys: ['number'],
      cursorField: 'version',
      deletes: (start) => ({pages: [], end: start}),
    });
    const end = await run(second, configured(settings));
    expect(end.flows).toMatchObject([{state: 'COMPLETED', rowsInserted: 1, rowsUpdated: 1}]);
    expect(await rows('1')).toEqual([
      {number: 2n, v: 'c', version: 8n, _rescued_data: null},
      {number: 3n, v: 'd', version: 9n, _rescued_data: null},
    ]);
    expect((await run(second, configured(settings))).state).toBe('COMPLETED');
  });

  test('may be of the columns that lay out the files', async () => {
    const was = configured({tableProperties: MAPPED, partitionColumns: ['email'], clusteringColumns: []});
    await run(cdc(before, [[one]]), was);
    const is = configured({tableProperties: MAPPED, partitionColumns: ['mail'], renamedColumns: declared});
    expect((await run(cdc(after, [[one], [two]]), is)).flows).toMatchObject([{state: 'COMPLETED'}]);
    expect(await rows()).toMatchObject([{mail: 'a'}, {mail: 'b'}]);
    expect((await openTable(lake.context, 'main/test/t'))?.snapshot.metadata.partitionColumns).toEqual(['mail']);
    expect((await run(cdc(after, [[one], [two]]), is)).flows).toMatchObject([{state: 'COMPLETED'}]);
  });

  test('may be of the columns that cluster them', async () => {
    await run(cdc(before, [[one]]), configured({tableProperties: MAPPED, clusteringColumns: ['email']}));
    const is = configured({tableProperties: MAPPED, clusteringColumns: ['mail'], renamedColumns: declared});
    expect((await run(cdc(after, [[one], [two]]), is)).flows).toMatchObject([{state: 'COMPLETED'}]);
    expect(await rows()).toMatchObject([{mail: 'a'}, {mail: 'b'}]);
  });

  test('is followed over several steps', async () => {
    await run(cdc(before, [[one]]), configured({tableProperties: MAPPED}));
    const twice = struct({id: long(), address: string(), at: long()});
    const settings = configured({tableProperties: MAPPED, renamedColumns: {mail: 'email', address: 'mail'}});
    const end = await run(cdc(twice, [[one], [{id: 2, address: 'b', at: 2}]]), settings);
    expect(codes(end)).toEqual(['COLUMN_RENAMED']);
    expect(await rows()).toMatchObject([{address: 'a'}, {address: 'b'}]);
  });

  test('of a column that does not exist is an error with a suggestion', async () => {
    await run(cdc(before, [[one]]));
    const end = await run(cdc(after, [[one]]), configured({renamedColumns: {mial: 'email'}}));
    expect(end.flows).toMatchObject([{errorCode: 'UNKNOWN_COLUMN', errorFix: 'Did you mean "mail"?'}]);
  });

  test('is no rename while the source has both', async () => {
    const both = struct({id: long(), email: string(), mail: string(), at: long()});
    await run(cdc(before, [[one]]), configured({tableProperties: MAPPED}));
    const settings = configured({tableProperties: MAPPED, renamedColumns: declared});
    await run(cdc(both, [[one], [{id: 2, email: 'x', mail: 'y', at: 2}]]), settings);
    expect(await rows()).toMatchObject([
      {email: 'a', mail: null},
      {email: 'x', mail: 'y'},
    ]);
  });
});
