import {rm} from 'node:fs/promises';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import type {JsonObject} from '../core/json-value.ts';
import type {Offset} from '../core/offset.ts';
import {long, string, struct} from '../core/schema.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import {clusteringColumnsOf} from '../delta/layout.ts';
import {openTable} from '../delta/table.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd} from '../testkit/run-connector.ts';
import {batches, scriptedConnector, type ScriptedCall, type ScriptedTable} from '../testkit/scripted-connector.ts';
import type {TableConfiguration} from './spec.ts';

const schema = struct({id: long(), place: string(), at: long()});

let lake: TestLake;
beforeEach(async () => {
  lake = await openTestLake();
});
afterEach(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

function run(
  table: ScriptedTable,
  configuration: Partial<TableConfiguration>,
  fullRefresh = false,
): Promise<TestRunEnd> {
  return runConnector(lake, {...scriptedConnector({t: table}), tables: [{source: 't', configuration}], fullRefresh});
}

async function open(): Promise<DeltaTable> {
  const table = await openTable(lake.context, 'main/test/t');
  if (table === null) throw new Error('no table');
  return table;
}

async function rows(): Promise<string> {
  const table = await open();
  const found = await lake.context.engine.query(
    `SELECT id, place, "at" FROM (${await table.readSql()}) ORDER BY id, "at"`,
  );
  return found.map((row) => `${String(row['id'])}:${String(row['place'])}@${String(row['at'])}`).join(' ');
}

const row = (id: number, place: string | null, at: number): JsonObject => ({id, place, at});
const COMPLETED = [{state: 'COMPLETED'}];

function changes(all: readonly (readonly JsonObject[])[]): ScriptedTable {
  return {schema, ingestionType: 'cdc', primaryKeys: ['id'], cursorField: 'at', read: batches(all)};
}

describe('partitioned destinations', () => {
  const byPlace = {partitionColumns: ['place']};

  test.each(['true', 'false'] as const)('take merges that move rows (deletion vectors: %s)', async (vectors) => {
    const configuration = {...byPlace, deletionVectors: vectors};
    const all = [[row(1, 'a', 1), row(2, 'b', 1), row(3, null, 1), row(4, '', 1)]];
    expect((await run(changes(all), configuration)).flows).toMatchObject(COMPLETED);
    expect(await rows()).toBe('1:a@1 2:b@1 3:null@1 4:null@1');
    all.push([row(1, 'b', 2), row(3, 'a', 2), row(5, 'new one/ü', 2)]);
    expect((await run(changes(all), configuration)).flows).toMatchObject(COMPLETED);
    expect(await rows()).toBe('1:b@2 2:b@1 3:a@2 4:null@1 5:new one/ü@2');
    const {snapshot} = await open();
    expect(snapshot.metadata.partitionColumns).toEqual(['place']);
    expect(new Set(Array.from(snapshot.files.values(), (file) => file.partitionValues['place']))).toEqual(
      new Set(['b', 'a', null, 'new one/ü']),
    );
  });

  test('by a column that lands under another name are known again', async () => {
    const twins = struct({id: long(), Place: string(), place: string(), at: long()});
    const all = [[{id: 1, Place: 'A', place: 'a', at: 1}]];
    const table = {...changes(all), schema: twins};
    expect((await run(table, byPlace)).flows).toMatchObject(COMPLETED);
    expect((await open()).snapshot.metadata.partitionColumns).toEqual(['place_2']);
    all.push([{id: 2, Place: 'B', place: 'b', at: 2}]);
    expect((await run(table, byPlace)).flows).toMatchObject(COMPLETED);
  });

  test('take appends', async () => {
    const table: ScriptedTable = {
      schema,
      ingestionType: 'append',
      read: batches([[row(1, 'a', 1)], [row(1, 'b', 2)]]),
    };
    expect((await run(table, byPlace)).flows).toMatchObject(COMPLETED);
    expect(await rows()).toBe('1:a@1 1:b@2');
  });

  test('take snapshots in several batches, and the one after with its differences', async () => {
    let all = [[row(1, 'a', 1), row(2, 'b', 1)], [row(3, null, 1)]];
    const read = (start: Offset | null): ScriptedCall => {
      const at = Number(start?.['n'] ?? 0);
      return {pages: [all[at] ?? []], end: at + 1 < all.length ? {n: at + 1} : null};
    };
    const table: ScriptedTable = {schema, ingestionType: 'snapshot', primaryKeys: ['id'], read};
    expect((await run(table, byPlace)).flows).toMatchObject(COMPLETED);
    expect(await rows()).toBe('1:a@1 2:b@1 3:null@1');
    all = [[row(1, 'b', 1), row(2, 'b', 1)], [row(4, 'a', 1)]];
    expect((await run(table, byPlace)).flows).toMatchObject(COMPLETED);
    expect(await rows()).toBe('1:b@1 2:b@1 4:a@1');
  });

  test('take full refreshes and versions of rows', async () => {
    const all = [[row(1, 'a', 1), row(2, 'b', 1)], [row(1, 'b', 2)]];
    const configuration = {...byPlace, scdType: 'SCD_TYPE_2'} as const;
    expect((await run(changes(all), configuration)).flows).toMatchObject(COMPLETED);
    expect(await rows()).toBe('1:a@1 1:b@2 2:b@1');
    expect((await run(changes(all), configuration, true)).flows).toMatchObject(COMPLETED);
    expect(await rows()).toBe('1:a@1 1:b@2 2:b@1');
  });

  test('are not partitioned otherwise later, and say what can be done', async () => {
    const all = [[row(1, 'a', 1)]];
    await run(changes(all), {});
    const end = await run(changes(all), byPlace);
    expect(end.flows).toMatchObject([{state: 'FAILED', errorCode: 'UNSUPPORTED'}]);
    expect(end.flows[0]?.errorMessage).toContain('partitioned by place, and is not partitioned');
    await rm(`${lake.folder}/main/test/t`, {recursive: true});
    expect((await run(changes(all), byPlace)).flows).toMatchObject(COMPLETED);
    expect((await run(changes(all), {})).flows).toMatchObject(COMPLETED);
    expect((await open()).snapshot.metadata.partitionColumns).toEqual(['place']);
  });
});

describe('clustered destinations', () => {
  test('are made so, and clustered otherwise when asked', async () => {
    const all = [[row(2, 'a', 1), row(1, 'b', 1)]];
    await run(changes(all), {clusteringColumns: ['id']});
    expect(clusteringColumnsOf((await open()).snapshot)).toEqual(['id']);
    all.push([row(3, 'a', 2), row(1, 'c', 2)]);
    expect((await run(changes(all), {clusteringColumns: ['place', 'id']})).flows).toMatchObject(COMPLETED);
    expect(clusteringColumnsOf((await open()).snapshot)).toEqual(['place', 'id']);
    const {version} = (await open()).snapshot;
    await run(changes(all), {});
    expect((await open()).snapshot.version).toBe(version);
    expect(await rows()).toBe('1:c@2 2:a@1 3:a@2');
  });
});

describe('small files', () => {
  const all = Array.from({length: 60}, (_, at) => [row(at, 'a', at), row(at + 1, 'b', at)]);

  test('are merged at the end of a trigger once they are many, without a change of data', async () => {
    const end = await run(changes(all), {deletionVectors: 'true'});
    expect(end.flows).toMatchObject(COMPLETED);
    expect(end.notes.map(({code}) => code)).toContain('AUTO_OPTIMIZED');
    const table = await open();
    expect(table.snapshot.files.size).toBe(1);
    expect((await table.history({limit: 1}))[0]).toMatchObject({dataChange: false, info: {operation: 'OPTIMIZE'}});
    const before = await rows();
    expect(before.split(' ')).toHaveLength(61);
    const again = await run(changes([...all, [row(100, 'x', 100)]]), {deletionVectors: 'true'});
    expect(again.notes.map(({code}) => code)).not.toContain('FOREIGN_WRITE');
    expect(await rows()).toBe(`${before} 100:x@100`);
  });

  test('stay where auto_optimize is off, and where they are few', async () => {
    await run(changes(all), {deletionVectors: 'true', autoOptimize: false});
    const {size} = (await open()).snapshot.files;
    expect(size).toBeGreaterThan(50);
    await rm(`${lake.folder}/main/test/t`, {recursive: true});
    await run(changes(all.slice(0, 20)), {deletionVectors: 'true'});
    expect((await open()).snapshot.files.size).toBe(20);
  });
});
