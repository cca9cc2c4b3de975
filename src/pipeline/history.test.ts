import {rm} from 'node:fs/promises';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import type {JsonObject} from '../core/json-value.ts';
import {long, string, struct} from '../core/schema.ts';
import {openTable} from '../delta/table.ts';
import type {Connector} from '../sdk/contract.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd, type TestTable} from '../testkit/run-connector.ts';
import {batches, scriptedConnector, type ScriptedTable} from '../testkit/scripted-connector.ts';

let lake: TestLake;
beforeEach(async () => {
  lake = await openTestLake();
});
afterEach(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

const schema = struct({id: long(), name: string(), at: long()});
const scd2 = {scdType: 'SCD_TYPE_2', trackHistoryColumns: ['name']} as const;

function keyed(all: readonly (readonly JsonObject[])[], more: Partial<ScriptedTable> = {}): ScriptedTable {
  return {schema, ingestionType: 'cdc', primaryKeys: ['id'], cursorField: 'at', read: batches(all), ...more};
}

function snapshot(rows: readonly JsonObject[]): ScriptedTable {
  return {
    schema: struct({id: long(), name: string(), city: string()}),
    ingestionType: 'snapshot',
    primaryKeys: ['id'],
    read: () => ({pages: [rows], end: null}),
  };
}

async function run(
  table: ScriptedTable,
  options: Partial<TestTable> & {
    readonly fullRefresh?: boolean;
    readonly dropHistory?: boolean;
    readonly connector?: Partial<Connector>;
  } = {},
): Promise<TestRunEnd> {
  const {fullRefresh = false, dropHistory = false, connector = {}, ...rest} = options;
  const scripted = scriptedConnector({t: table});
  return runConnector(lake, {
    ...scripted,
    connector: {...scripted.connector, ...connector},
    tables: [{source: 't', configuration: scd2, ...rest}],
    fullRefresh,
    dropHistory,
  });
}

/** Versions as `id name [start,end)`; times as their order in the table. */
async function versions(): Promise<readonly string[]> {
  const table = await openTable(lake.context, 'main/test/t');
  if (table === null) throw new Error('no table');
  const rows = await lake.context.engine.query(
    `SELECT * FROM (${await table.readSql()}) ORDER BY id, __START_AT NULLS FIRST`,
  );
  const bounds = rows.flatMap((row) => [row['__START_AT'], row['__END_AT']]).filter((value) => value !== null);
  const times = [...new Set(bounds)].filter((value) => typeof value === 'bigint' && value > 1_000_000_000n).toSorted();
  const text = (value: unknown): string =>
    value === null ? '' : times.includes(value) ? `t${times.indexOf(value)}` : String(value);
  return rows.map(
    (row) => `${String(row['id'])} ${String(row['name'])} [${text(row['__START_AT'])},${text(row['__END_AT'])})`,
  );
}

async function columnNames(): Promise<readonly string[]> {
  return (await openTable(lake.context, 'main/test/t'))?.snapshot.schema.fields.map(({name}) => name) ?? [];
}

describe('SCD type 2 of changes', () => {
  test('keeps a version of every change, in any order', async () => {
    const all: JsonObject[][] = [
      [
        {id: 1, name: 'a', at: 1},
        {id: 2, name: 'x', at: 1},
      ],
      [{id: 1, name: 'c', at: 5}],
    ];
    expect(await run(keyed(all))).toMatchObject({
      state: 'COMPLETED',
      flows: [{rowsRead: 3, rowsInserted: 3, rowsUpdated: 1}],
    });
    all.push([{id: 1, name: 'b', at: 3}]);
    expect(await run(keyed(all))).toMatchObject({state: 'COMPLETED'});
    expect(await versions()).toEqual(['1 a [1,3)', '1 b [3,5)', '1 c [5,)', '2 x [1,)']);
    expect((await columnNames()).slice(-3)).toEqual(['_rescued_data', '__START_AT', '__END_AT']);
  });

  test('ends versions by the deletes of the source, early ones too', async () => {
    const all = [[{id: 1, name: 'a', at: 1}]];
    const deletes = [
      [
        {id: 1, at: 4},
        {id: 2, at: 9},
      ],
    ];
    const table = (): ScriptedTable => keyed(all, {ingestionType: 'cdc_with_deletes', deletes: batches(deletes)});
    expect(await run(table())).toMatchObject({state: 'COMPLETED'});
    all.push([{id: 2, name: 'x', at: 3}], [{id: 1, name: 'b', at: 6}]);
    expect(await run(table())).toMatchObject({state: 'COMPLETED'});
    expect(await versions()).toEqual(['1 a [1,4)', '1 b [6,)', '2 x [3,9)']);
  });

  test('takes rows that a condition calls deleted as deletes', async () => {
    const all = [[{id: 1, name: 'a', at: 1}], [{id: 1, name: 'gone', at: 2}], [{id: 1, name: 'b', at: 3}]];
    const configuration = {...scd2, deletionCondition: "name = 'gone'"};
    expect(await run(keyed(all), {configuration})).toMatchObject({state: 'COMPLETED'});
    expect(await versions()).toEqual(['1 a [1,2)', '1 b [3,)']);
  });

  test('of an append table with keys orders by its cursor', async () => {
    const table = keyed(
      [
        [
          {id: 1, name: 'a', at: 1},
          {id: 1, name: 'b', at: 2},
        ],
      ],
      {ingestionType: 'append', primaryKeys: []},
    );
    expect(await run(table, {configuration: {...scd2, primaryKeys: ['id']}})).toMatchObject({state: 'COMPLETED'});
    expect(await versions()).toEqual(['1 a [1,2)', '1 b [2,)']);
  });

  test('orders by a column that is not selected', async () => {
    const all: JsonObject[][] = [[{id: 1, name: 'a', at: 1}], [{id: 1, name: 'a', at: 2}]];
    const configuration = {scdType: 'SCD_TYPE_2', includeColumns: ['id', 'name']} as const;
    expect(await run(keyed(all), {configuration})).toMatchObject({state: 'COMPLETED'});
    expect(await versions()).toEqual(['1 a [1,)']);
    all.push([{id: 1, name: 'b', at: 3}]);
    await run(keyed(all), {configuration});
    expect(await versions()).toEqual(['1 a [1,3)', '1 b [3,)']);
    expect((await columnNames()).slice(-3)).toEqual(['_sluice_sequence', '__START_AT', '__END_AT']);
  });

  test('orders by several columns', async () => {
    const two = struct({id: long(), name: string(), at: long(), part: long()});
    const all = [[{id: 1, name: 'b', at: 1, part: 2}], [{id: 1, name: 'a', at: 1, part: 1}]];
    const configuration = {...scd2, sequenceBy: ['at', 'part']};
    expect(await run(keyed(all, {schema: two}), {configuration})).toMatchObject({state: 'COMPLETED'});
    const table = await openTable(lake.context, 'main/test/t');
    const rows = await lake.context.engine.query(`SELECT * FROM (${(await table?.readSql()) ?? ''}) ORDER BY part`);
    expect(rows).toMatchObject([
      {name: 'a', __START_AT: {at: 1n, part: 1n}, __END_AT: {at: 1n, part: 2n}},
      {name: 'b', __START_AT: {at: 1n, part: 2n}, __END_AT: null},
    ]);
  });

  test('goes on with new columns of the source', async () => {
    const all: JsonObject[][] = [[{id: 1, name: 'a', at: 1}]];
    await run(keyed(all));
    all.push([{id: 1, name: 'b', at: 2, city: 'x'}]);
    const wider = struct({id: long(), name: string(), at: long(), city: string()});
    expect(await run(keyed(all, {schema: wider}))).toMatchObject({state: 'COMPLETED'});
    expect(await versions()).toEqual(['1 a [1,2)', '1 b [2,)']);
    expect((await columnNames()).slice(-3)).toEqual(['_rescued_data', '__START_AT', '__END_AT']);
  });

  test('ends the versions of keys that a scan does not find, and a newer row begins another', async () => {
    const all: JsonObject[][] = [
      [
        {id: 1, name: 'a', at: 1},
        {id: 2, name: 'b', at: 7},
        {id: 3, name: 'c', at: 7},
      ],
    ];
    const configuration = {...scd2, hardDeletionSyncMinIntervalSeconds: 0, maxDeletedPercent: 80};
    const connector: Partial<Connector> = {
      async *scanKeys() {
        const data = BigInt64Array.from([1n]);
        yield await Promise.resolve({
          schema: struct({id: long()}),
          rowCount: 1,
          columns: [{kind: 'fixed', data, validity: null}],
        });
      },
    };
    expect(await run(keyed(all), {configuration, connector})).toMatchObject({
      state: 'COMPLETED',
      flows: [{rowsDeleted: 2}],
    });
    expect(await versions()).toEqual(['1 a [1,)', '2 b [7,8)', '3 c [7,8)']);
    all.push([
      {id: 2, name: 'B', at: 8},
      {id: 3, name: 'C', at: 9},
    ]);
    expect(await run(keyed(all), {configuration: scd2})).toMatchObject({state: 'COMPLETED'});
    expect(await versions()).toEqual(['1 a [1,)', '2 b [7,8)', '2 B [8,)', '3 c [7,8)', '3 C [9,)']);
  });
});

describe('a full refresh of SCD type 2', () => {
  test('goes on with the history: newer rows make versions, missing ones end after all that is known', async () => {
    await run(
      keyed([
        [
          {id: 1, name: 'a', at: 1},
          {id: 2, name: 'b', at: 2},
          {id: 3, name: 'c', at: 9},
        ],
        [{id: 1, name: 'A', at: 4}],
      ]),
    );
    const now = keyed([
      [
        {id: 1, name: 'AA', at: 6},
        {id: 3, name: 'c', at: 9},
        {id: 4, name: 'd', at: 7},
      ],
    ]);
    expect(await run(now, {fullRefresh: true})).toMatchObject({state: 'COMPLETED', flows: [{rowsRead: 3}]});
    expect(await versions()).toEqual(['1 a [1,4)', '1 A [4,6)', '1 AA [6,)', '2 b [2,10)', '3 c [9,)', '4 d [7,)']);
    // Nothing new: no version.
    const before = await openTable(lake.context, 'main/test/t');
    await run(now, {fullRefresh: true});
    expect(await versions()).toHaveLength(6);
    expect((await openTable(lake.context, 'main/test/t'))?.snapshot.files).toEqual(before?.snapshot.files);
  });

  test('shows what the source holds, even where its sequence went back', async () => {
    await run(
      keyed([
        [
          {id: 1, name: 'a', at: 1},
          {id: 2, name: 'b', at: 2},
        ],
        [
          {id: 1, name: 'A', at: 4},
          {id: 2, name: 'b', at: 5},
        ],
      ]),
    );
    expect(
      await run(
        keyed([
          [
            {id: 1, name: 'a', at: 1},
            {id: 2, name: 'b', at: 2},
          ],
        ]),
        {fullRefresh: true},
      ),
    ).toMatchObject({state: 'COMPLETED'});
    expect(await versions()).toEqual(['1 a [1,4)', '1 A [4,6)', '1 a [6,)', '2 b [2,)']);
    await run(
      keyed([
        [
          {id: 1, name: 'a', at: 1},
          {id: 2, name: 'b', at: 2},
        ],
      ]),
      {fullRefresh: true},
    );
    expect(await versions()).toEqual(['1 a [1,4)', '1 A [4,6)', '1 a [6,)', '2 b [2,)']);
  });

  test('that empties the source ends every version', async () => {
    await run(keyed([[{id: 1, name: 'a', at: 1}]]));
    expect(await run(keyed([]), {fullRefresh: true})).toMatchObject({state: 'COMPLETED', flows: [{rowsDeleted: 1}]});
    expect(await versions()).toEqual(['1 a [1,2)']);
  });

  test('with drop_history begins the history anew', async () => {
    await run(keyed([[{id: 1, name: 'a', at: 1}], [{id: 1, name: 'b', at: 2}]]));
    await run(keyed([[{id: 1, name: 'c', at: 1}]]), {fullRefresh: true, dropHistory: true});
    expect(await versions()).toEqual(['1 c [1,)']);
  });
});

describe('SCD type 2 of snapshots', () => {
  test('keeps what changed between them', async () => {
    await run(
      snapshot([
        {id: 1, name: 'a', city: 'x'},
        {id: 2, name: 'b', city: 'x'},
        {id: 3, name: 'c', city: 'x'},
      ]),
    );
    expect(await versions()).toEqual(['1 a [t0,)', '2 b [t0,)', '3 c [t0,)']);
    const end = await run(
      snapshot([
        {id: 1, name: 'a', city: 'y'},
        {id: 2, name: 'B', city: 'x'},
        {id: 4, name: 'd', city: 'x'},
      ]),
    );
    expect(end).toMatchObject({state: 'COMPLETED', flows: [{rowsInserted: 2, rowsUpdated: 2, rowsDeleted: 1}]});
    expect(await versions()).toEqual(['1 a [t0,)', '2 b [t0,t1)', '2 B [t1,)', '3 c [t0,t1)', '4 d [t1,)']);
    await run(
      snapshot([
        {id: 2, name: 'B', city: 'x'},
        {id: 3, name: 'c', city: 'x'},
      ]),
    );
    expect(await versions()).toEqual([
      '1 a [t0,t2)',
      '2 b [t0,t1)',
      '2 B [t1,)',
      '3 c [t0,t1)',
      '3 c [t2,)',
      '4 d [t1,t2)',
    ]);
  });

  test('makes no version when nothing differs', async () => {
    const rows = [{id: 1, name: 'a', city: 'x'}];
    await run(snapshot(rows));
    const before = await openTable(lake.context, 'main/test/t');
    expect(await run(snapshot(rows))).toMatchObject({state: 'COMPLETED', flows: [{rowsInserted: 0, rowsUpdated: 0}]});
    expect((await openTable(lake.context, 'main/test/t'))?.snapshot.version).toBe(before?.snapshot.version);
  });

  test('fails on keys that come twice', async () => {
    const twice = snapshot([
      {id: 1, name: 'a', city: 'x'},
      {id: 1, name: 'b', city: 'x'},
    ]);
    expect(await run(twice)).toMatchObject({flows: [{errorCode: 'DUPLICATE_KEY'}]});
  });
});

describe('a change of scd_type', () => {
  test('from 1 to 2 makes the rows open versions since nobody knows when', async () => {
    const all: JsonObject[][] = [
      [
        {id: 1, name: 'a', at: 1},
        {id: 2, name: 'b', at: 1},
      ],
    ];
    await run(keyed(all), {configuration: {scdType: 'SCD_TYPE_1'}});
    all.push([{id: 1, name: 'A', at: 2}]);
    expect(await run(keyed(all))).toMatchObject({state: 'COMPLETED'});
    expect(await versions()).toEqual(['1 a [,2)', '1 A [2,)', '2 b [,)']);
    all.push([
      {id: 2, name: 'early', at: 0},
      {id: 2, name: 'b', at: 3},
    ]);
    await run(keyed(all));
    expect(await versions()).toEqual(['1 a [,2)', '1 A [2,)', '2 early [0,1)', '2 b [1,)']);
  });

  test('from 1 to 2 takes over what deletes were remembered', async () => {
    const all: JsonObject[][] = [[{id: 1, name: 'a', at: 1}]];
    const table = (): ScriptedTable =>
      keyed(all, {ingestionType: 'cdc_with_deletes', deletes: batches([[{id: 1, at: 4}]])});
    await run(table(), {configuration: {scdType: 'SCD_TYPE_1'}});
    all.push([{id: 1, name: 'late', at: 3}]);
    expect(await run(table())).toMatchObject({state: 'COMPLETED'});
    expect(await versions()).toEqual(['1 late [3,4)']);
  });

  test('from 1 to 2 works for snapshots', async () => {
    await run(
      snapshot([
        {id: 1, name: 'a', city: 'x'},
        {id: 2, name: 'b', city: 'x'},
      ]),
      {configuration: {scdType: 'SCD_TYPE_1'}},
    );
    expect(
      await run(
        snapshot([
          {id: 1, name: 'A', city: 'x'},
          {id: 2, name: 'b', city: 'x'},
        ]),
      ),
    ).toMatchObject({state: 'COMPLETED'});
    expect(await versions()).toEqual(['1 a [,t0)', '1 A [t0,)', '2 b [,)']);
  });

  test('from 2 to 1 is refused until the history is given up', async () => {
    const all = [[{id: 1, name: 'a', at: 1}], [{id: 1, name: 'b', at: 2}]];
    await run(keyed(all));
    const configuration = {scdType: 'SCD_TYPE_1'} as const;
    expect(await run(keyed(all), {configuration})).toMatchObject({flows: [{errorCode: 'INVALID_SPEC'}]});
    expect(await run(keyed(all), {configuration, fullRefresh: true})).toMatchObject({
      flows: [{errorCode: 'INVALID_SPEC'}],
    });
    expect(await run(keyed(all), {configuration, fullRefresh: true, dropHistory: true})).toMatchObject({
      state: 'COMPLETED',
    });
    expect(await columnNames()).toEqual(['id', 'name', 'at', '_rescued_data']);
  });
});
