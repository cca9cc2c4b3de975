import {rm} from 'node:fs/promises';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import {IngestError} from '../core/errors.ts';
import type {JsonObject} from '../core/json-value.ts';
import {integer, long, string, struct, timestamp} from '../core/schema.ts';
import {currentBatch} from '../delta/batch-files.ts';
import {openTable} from '../delta/table.ts';
import type {EngineRow} from '../engine/engine.ts';
import type {Connector} from '../sdk/contract.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd, type TestTable} from '../testkit/run-connector.ts';
import {batches, scriptedConnector, type ScriptedTable} from '../testkit/scripted-connector.ts';
import {FLOW_ID_PROPERTY} from './destination.ts';

let lake: TestLake;
beforeEach(async () => {
  lake = await openTestLake();
});
afterEach(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

const schema = struct({id: long(), name: string(), at: long()});

function keyed(all: readonly (readonly JsonObject[])[], more: Partial<ScriptedTable> = {}): ScriptedTable {
  return {schema, ingestionType: 'cdc', primaryKeys: ['id'], cursorField: 'at', read: batches(all), ...more};
}

async function run(
  table: ScriptedTable,
  options: Partial<TestTable> & {readonly fullRefresh?: boolean} = {},
): Promise<TestRunEnd> {
  const {fullRefresh, ...rest} = options;
  return runConnector(lake, {
    ...scriptedConnector({t: table}),
    tables: [{source: 't', ...rest}],
    ...(fullRefresh === undefined ? {} : {fullRefresh}),
  });
}

async function rows(order = 'id', name = 't'): Promise<readonly EngineRow[]> {
  const table = await openTable(lake.context, `main/test/${name}`);
  if (table === null) throw new Error(`no table ${name}`);
  return lake.context.engine.query(`SELECT * FROM (${await table.readSql()}) ORDER BY ${order}`);
}

async function ids(): Promise<readonly unknown[]> {
  return (await rows()).map((row) => row['id']);
}

async function versionOf(name = 't'): Promise<number> {
  return (await openTable(lake.context, `main/test/${name}`))?.snapshot.version ?? -1;
}

describe('incremental flows', () => {
  test('read batch after batch until the offset stands still, and go on there in the next run', async () => {
    const all: JsonObject[][] = [
      [
        {id: 1, name: 'a', at: 1},
        {id: 2, name: 'b', at: 2},
      ],
      [{id: 1, name: 'A', at: 3}],
    ];
    const first = await run(keyed(all));
    expect(first).toMatchObject({
      state: 'COMPLETED',
      flows: [{rowsRead: 3, rowsInserted: 2, rowsUpdated: 1, batches: 2}],
    });
    expect(await rows()).toMatchObject([
      {id: 1n, name: 'A'},
      {id: 2n, name: 'b'},
    ]);
    all.push([{id: 3, name: 'c', at: 4}]);
    expect(await run(keyed(all))).toMatchObject({flows: [{rowsRead: 1, rowsInserted: 1}]});
    expect(await ids()).toEqual([1n, 2n, 3n]);
  });

  test('tell how far their timestamp cursor is behind', async () => {
    const at = new Date(lake.context.clock.nowMs() - 3_600_000).toISOString();
    const table = keyed([[{id: 1, name: 'a', at}]], {schema: struct({id: long(), name: string(), at: timestamp()})});
    const [flow] = (await run(table)).flows;
    expect(flow?.lagMs).toBeGreaterThanOrEqual(3_600_000);
    expect(flow?.lagMs).toBeLessThan(3_660_000);
  });

  test('make no version when nothing is new', async () => {
    const table = keyed([[{id: 1, name: 'a', at: 1}]]);
    await run(table);
    const before = await versionOf();
    expect(await run(table)).toMatchObject({state: 'COMPLETED', flows: [{rowsRead: 0, batches: 0}]});
    expect(await versionOf()).toBe(before);
  });

  test('do not rewrite rows that are delivered again', async () => {
    const again: ScriptedTable = keyed([], {
      read: (start) => ({pages: [[{id: 1, name: 'a', at: 1}]], end: start ?? {n: 1}}),
    });
    await run(again);
    const before = await versionOf();
    expect(await run(again)).toMatchObject({state: 'COMPLETED', flows: [{rowsRead: 1, rowsUpdated: 0}]});
    expect(await versionOf()).toBe(before);
  });

  test('never let a late row win over a newer one', async () => {
    await run(keyed([[{id: 1, name: 'new', at: 5}], [{id: 1, name: 'old', at: 3}]]));
    expect(await rows()).toMatchObject([{id: 1n, name: 'new', at: 5n}]);
  });

  test('fail when the offset goes round in circles, keeping what was committed', async () => {
    const circle = keyed([], {
      read: (start) => ({
        pages: [[{id: start?.['n'] === 1 ? 2 : 1, name: 'x', at: 1}]],
        end: {n: start?.['n'] === 1 ? 2 : 1},
      }),
    });
    expect(await run(circle)).toMatchObject({state: 'FAILED', flows: [{errorCode: 'OFFSET_LOOP'}]});
    expect((await ids()).length).toBeGreaterThan(0);
  });

  test('are cut at the offset of a page when the batch is full, and clean up the generator', async () => {
    const pages = [1, 2, 3, 4].map((id) => ({kind: 'records' as const, rows: [{id, name: 'x', at: id}], offset: {id}}));
    const connector = scriptedConnector({
      t: keyed([], {read: (start) => ({pages: pages.slice(Number(start?.['id'] ?? 0)), end: {id: 4}})}),
    });
    const end = await runConnector(lake, {
      ...connector,
      tables: [{source: 't', configuration: {maxRecordsPerBatch: 2}}],
    });
    expect(end.flows).toMatchObject([{state: 'COMPLETED', rowsRead: 4, batches: 2}]);
    expect(await ids()).toEqual([1n, 2n, 3n, 4n]);
    expect(connector.cleanups()).toBeGreaterThanOrEqual(3);
  });

  test('are tried again after a transient failure, from the last commit', async () => {
    let calls = 0;
    const flaky = keyed([], {
      read: (start) => {
        calls++;
        if (start !== null) return {pages: [], end: start};
        return calls === 1
          ? {pages: [[{id: 1, name: 'lost', at: 1}]], end: null, fails: new IngestError('SOURCE_ERROR', 'gone')}
          : {pages: [[{id: 1, name: 'a', at: 1}]], end: {n: 1}};
      },
    });
    expect(await run(flaky)).toMatchObject({state: 'COMPLETED', flows: [{attempt: 2, rowsInserted: 1}]});
  });

  test('do not stop their neighbours when they fail', async () => {
    const tables = {
      good: keyed([[{id: 1, name: 'a', at: 1}]]),
      bad: keyed([], {read: () => ({pages: [], end: null, fails: new IngestError('PERMISSION_DENIED', 'no')})}),
    };
    const end = await runConnector(lake, {...scriptedConnector(tables), tables: [{source: 'bad'}, {source: 'good'}]});
    expect(end).toMatchObject({
      state: 'FAILED',
      flows: [{state: 'FAILED', errorCode: 'PERMISSION_DENIED'}, {state: 'COMPLETED'}],
    });
  });
});

describe('deletes', () => {
  const deletable = (deletes: readonly JsonObject[], all: readonly (readonly JsonObject[])[]): ScriptedTable =>
    keyed(all, {
      ingestionType: 'cdc_with_deletes',
      deletes: (start) => (start === null ? {pages: [deletes], end: {d: 1}} : {pages: [], end: start}),
    });

  test('of cdc_with_deletes take newer rows only', async () => {
    await run(
      deletable(
        [
          {id: 1, at: 5},
          {id: 2, at: 1},
        ],
        [
          [
            {id: 1, name: 'a', at: 1},
            {id: 2, name: 'b', at: 2},
          ],
        ],
      ),
    );
    expect(await ids()).toEqual([2n]);
  });

  test('are remembered: a row older than its delete does not come back in a later batch', async () => {
    await run(deletable([{id: 1, at: 5}], [[{id: 2, name: 'b', at: 1}], [{id: 1, name: 'late', at: 3}]]));
    expect(await ids()).toEqual([2n]);
  });

  test('by deletion_condition remove the row', async () => {
    const table = keyed([
      [
        {id: 1, name: 'a', at: 1},
        {id: 2, name: 'b', at: 1},
      ],
      [{id: 1, name: 'gone', at: 2}],
    ]);
    await run(table, {configuration: {deletionCondition: "name = 'gone'"}});
    expect(await ids()).toEqual([2n]);
  });
});

describe('append-only flows', () => {
  const log = (all: readonly (readonly JsonObject[])[], more: Partial<ScriptedTable> = {}): ScriptedTable => ({
    schema,
    ingestionType: 'append',
    cursorField: 'at',
    read: batches(all),
    ...more,
  });

  test('keep every row', async () => {
    await run(
      log([
        [
          {id: 1, name: 'a', at: 1},
          {id: 1, name: 'a', at: 1},
        ],
        [{id: 2, name: 'b', at: 2}],
      ]),
    );
    expect(await ids()).toEqual([1n, 1n, 2n]);
  });

  test('drop the rows of the last cursor that they know when these come again', async () => {
    const seen: JsonObject[] = [
      {id: 1, name: 'a', at: 1},
      {id: 2, name: 'b', at: 2},
    ];
    const inclusive = log([], {
      primaryKeys: ['id'],
      read: (start) => ({
        pages: [seen.filter((row) => Number(row['at']) >= Number(start?.['at'] ?? 0))],
        end: {at: Number(seen.at(-1)?.['at'])},
      }),
    });
    await run(inclusive);
    seen.push({id: 3, name: 'c', at: 2}, {id: 4, name: 'd', at: 3});
    await run(inclusive);
    expect(await ids()).toEqual([1n, 2n, 3n, 4n]);
  });

  test('fail rather than repeat rows that come without a new offset and without a key', async () => {
    const stuck = log([], {read: (start) => ({pages: [[{id: 1, name: 'a', at: 1}]], end: start ?? {n: 1}})});
    expect(await run(stuck)).toMatchObject({state: 'FAILED', flows: [{errorCode: 'CONTRACT_VIOLATION'}]});
    expect(await ids()).toEqual([1n]);
  });
});

describe('snapshots', () => {
  const snapshot = (read: ScriptedTable['read'], more: Partial<ScriptedTable> = {}): ScriptedTable => ({
    schema,
    ingestionType: 'snapshot',
    primaryKeys: ['id'],
    read,
    ...more,
  });

  test('become the table at their end, over several calls', async () => {
    const calls = [[{id: 1, name: 'a', at: 1}], [{id: 2, name: 'b', at: 1}]];
    const paged = snapshot((start) => ({
      pages: [calls[Number(start?.['page'] ?? 0)] ?? []],
      end: start === null ? {page: 1} : null,
    }));
    await run(paged);
    expect(await ids()).toEqual([1n, 2n]);
    calls[0] = [{id: 3, name: 'c', at: 1}];
    expect(await run(paged)).toMatchObject({flows: [{rowsInserted: 1, rowsDeleted: 1}]});
    expect(await ids()).toEqual([2n, 3n]);
  });

  test('make no data change when nothing differs', async () => {
    const same = snapshot(() => ({pages: [[{id: 1, name: 'a', at: 1}]], end: null}));
    await run(same);
    const table = await openTable(lake.context, 'main/test/t');
    const files = [...(table?.snapshot.files.keys() ?? [])];
    expect(await run(same)).toMatchObject({flows: [{rowsInserted: 0, rowsUpdated: 0, rowsDeleted: 0}]});
    expect([...((await table?.refresh())?.files.keys() ?? [])]).toEqual(files);
  });

  test('show the old rows until they are whole, and go on after an interruption', async () => {
    await run(snapshot(() => ({pages: [[{id: 9, name: 'old', at: 1}]], end: null})));
    const broken = snapshot((start) =>
      start === null
        ? {pages: [[{id: 1, name: 'a', at: 1}]], end: {page: 1}}
        : {pages: [], end: null, fails: new IngestError('AUTH_FAILED', 'no')},
    );
    expect(await run(broken)).toMatchObject({state: 'FAILED'});
    expect(await ids()).toEqual([9n]);
    const starts: unknown[] = [];
    await run(
      snapshot((start) => {
        starts.push(start);
        return {pages: [[{id: 2, name: 'b', at: 1}]], end: null};
      }),
    );
    expect(starts).toEqual([{page: 1}]);
    expect(await ids()).toEqual([1n, 2n]);
  });

  test('with a key twice fail and name the columns, or quarantine the row', async () => {
    const twice = snapshot(() => ({
      pages: [
        [
          {id: 1, name: 'a', at: 1},
          {id: 1, name: 'b', at: 1},
        ],
      ],
      end: null,
    }));
    expect(await run(twice)).toMatchObject({state: 'FAILED', flows: [{errorCode: 'DUPLICATE_KEY'}]});
    expect(await run(twice, {configuration: {onDuplicateKey: 'quarantine'}})).toMatchObject({state: 'COMPLETED'});
    expect(await ids()).toEqual([1n]);
  });
});

describe('full refresh', () => {
  test('swaps the rows in one commit and forgets those that the source no longer has', async () => {
    await run(keyed([[{id: 1, name: 'a', at: 1}], [{id: 2, name: 'b', at: 2}]]));
    expect(
      await run(keyed([[{id: 2, name: 'B', at: 2}], [{id: 3, name: 'c', at: 3}]]), {fullRefresh: true}),
    ).toMatchObject({state: 'COMPLETED'});
    expect(await ids()).toEqual([2n, 3n]);
  });

  test('keeps the old rows readable while it is interrupted, and the next run goes on with it', async () => {
    await run(keyed([[{id: 1, name: 'a', at: 1}]]));
    const broken = keyed([], {
      read: (start) =>
        start === null
          ? {pages: [[{id: 5, name: 'e', at: 1}]], end: {n: 1}}
          : {pages: [], end: null, fails: new IngestError('AUTH_FAILED', 'no')},
    });
    expect(await run(broken, {fullRefresh: true})).toMatchObject({state: 'FAILED'});
    expect(await ids()).toEqual([1n]);
    await run(keyed([[], [{id: 6, name: 'f', at: 2}]]));
    expect(await ids()).toEqual([5n, 6n]);
  });
});

describe('partitions', () => {
  test('of a range of offsets are read and committed as one batch, run after run', async () => {
    let top = 4;
    const planned: unknown[] = [];
    const scripted = scriptedConnector({t: keyed([])});
    const connector: Connector = {
      ...scripted.connector,
      isPartitioned: () => true,
      latestOffset: () => Promise.resolve({top}),
      getPartitions: (_table, range) => {
        planned.push(range);
        const from = Number(range.start?.['top'] ?? 0);
        return Promise.resolve({
          volatile: false,
          partitions: Array.from({length: top - from}, (_, index) => ({id: from + index + 1})),
        });
      },
      async *readPartition(_table, partition) {
        yield await Promise.resolve([{id: partition['id'] as number, name: `p${String(partition['id'])}`, at: top}]);
      },
    };
    const go = (): Promise<TestRunEnd> => runConnector(lake, {...scripted, connector, tables: [{source: 't'}]});
    expect(await go()).toMatchObject({state: 'COMPLETED', flows: [{rowsInserted: 4, batches: 1}]});
    top = 6;
    expect(await go()).toMatchObject({flows: [{rowsInserted: 2, batches: 1}]});
    expect(await go()).toMatchObject({flows: [{rowsRead: 0, batches: 0}]});
    expect(planned).toEqual([
      {start: null, end: {top: 4}},
      {start: {top: 4}, end: {top: 6}},
    ]);
    expect(await ids()).toEqual([1n, 2n, 3n, 4n, 5n, 6n]);
  });
});

describe('columns', () => {
  test('that are new are added, dropped ones stay and are NULL, revived ones are used again', async () => {
    await run(keyed([[{id: 1, name: 'a', at: 1}]]));
    const more = struct({id: long(), at: long(), color: string()});
    await run(keyed([[], [{id: 2, color: 'red', at: 2}]], {schema: more}));
    expect(await rows()).toMatchObject([
      {id: 1n, name: 'a', color: null},
      {id: 2n, name: null, color: 'red'},
    ]);
    await run(keyed([[], [], [{id: 3, name: 'c', at: 3}]]));
    expect(await rows()).toMatchObject([{id: 1n}, {id: 2n}, {id: 3n, name: 'c', color: null}]);
  });

  test('that change their type stop the flow, and a full refresh takes the new type', async () => {
    await run(keyed([[{id: 1, name: 'a', at: 1}]]));
    const changed = keyed([[{id: 1, name: 7, at: 1}]], {schema: struct({id: long(), name: integer(), at: long()})});
    expect(await run(changed)).toMatchObject({state: 'FAILED', flows: [{errorCode: 'INCOMPATIBLE_SCHEMA_CHANGE'}]});
    expect(await run(changed, {fullRefresh: true})).toMatchObject({state: 'COMPLETED'});
    expect(await rows()).toMatchObject([{id: 1n, name: 7}]);
  });

  test('are selected by include and exclude, and the sequence stays as a technical column', async () => {
    await run(keyed([[{id: 1, name: 'a', at: 5}], [{id: 1, name: 'late', at: 2}]]), {
      configuration: {includeColumns: ['name']},
    });
    expect(await rows()).toMatchObject([{id: 1n, name: 'a', _sluice_sequence: 5n}]);
    expect(Object.keys((await rows())[0] ?? {})).toEqual(['id', 'name', '_rescued_data', '_sluice_sequence']);
  });

  test('of row_filter decide which rows are kept: one that leaves the filter leaves the table', async () => {
    const table = keyed([
      [
        {id: 1, name: 'x', at: 1},
        {id: 2, name: 'y', at: 1},
      ],
      [{id: 1, name: 'z', at: 2}],
    ]);
    await run(table, {configuration: {rowFilter: "name IN ('x', 'y')"}});
    expect(await ids()).toEqual([2n]);
  });

  test('that are named wrongly are an error that says which one was meant', async () => {
    const end = await run(keyed([]), {configuration: {excludeColumns: ['nmae']}});
    expect(end.flows[0]).toMatchObject({
      state: 'FAILED',
      errorCode: 'UNKNOWN_COLUMN',
      errorFix: 'Did you mean "name"?',
    });
  });
});

describe('rows that do not fit', () => {
  test('land with the misfit rescued, or go to quarantine, and are counted', async () => {
    const end = await run(
      keyed([
        [
          {id: 1, name: 'a', at: 1},
          {id: 2, name: 'b', at: 'soon'},
          {id: null, name: 'c', at: 3},
        ],
      ]),
    );
    expect(end.flows).toMatchObject([{state: 'COMPLETED', rescuedValues: 1, quarantinedRows: 1, rowsInserted: 2}]);
    expect(await rows()).toMatchObject([
      {id: 1n, _rescued_data: null},
      {id: 2n, at: null, _rescued_data: '{"at":"soon"}'},
    ]);
    expect(await rows('record', 't__quarantine')).toMatchObject([
      {path: 'id', record: '{"id":null,"name":"c","at":3}'},
    ]);
  });

  test('past a limit fail the flow before anything of the batch is written', async () => {
    const end = await run(keyed([[{id: 1, name: 'a', at: 'soon'}]]), {configuration: {maxRescuedValues: 0}});
    expect(end.flows).toMatchObject([{state: 'FAILED', errorCode: 'RESCUE_LIMIT'}]);
  });
});

describe('destinations', () => {
  test('that others own are refused', async () => {
    await run(keyed([[{id: 1, name: 'a', at: 1}]]));
    const table = await openTable(lake.context, 'main/test/t');
    if (table === null) throw new Error('no table');
    const {snapshot} = table;
    await table.commit({
      base: snapshot,
      operation: 'SET TBLPROPERTIES',
      metadata: {...snapshot.metadata, configuration: {}},
      blindAppend: false,
    });
    expect(await run(keyed([]))).toMatchObject({flows: [{errorCode: 'TABLE_NOT_OURS'}]});
  });

  test('that others wrote into are noticed; those that others restored stop the flow', async () => {
    await run(keyed([[{id: 1, name: 'a', at: 1}]]));
    const table = await openTable(lake.context, 'main/test/t');
    if (table === null) throw new Error('no table');
    const adds = await table.writeFiles(
      {
        select: "SELECT 7::BIGINT AS id, 'foreign' AS name, 7::BIGINT AS at, NULL::VARCHAR AS _rescued_data",
        schema: table.snapshot.schema,
      },
      new AbortController().signal,
    );
    await table.commit({
      base: table.snapshot,
      operation: 'WRITE',
      operationParameters: {mode: 'Append'},
      adds,
      blindAppend: true,
    });
    const end = await run(keyed([[], [{id: 2, name: 'b', at: 2}]]));
    expect(end.state).toBe('COMPLETED');
    expect(end.notes).toMatchObject([{code: 'FOREIGN_WRITE'}]);
    await table.refresh();
    await table.commit({
      base: table.snapshot,
      operation: 'RESTORE',
      removes: adds.map((add) => table.removeOf(add)),
      blindAppend: false,
    });
    expect(await run(keyed([]))).toMatchObject({flows: [{errorCode: 'TABLE_CHANGED_OUTSIDE'}]});
  });

  test('name the batch that they stand at in their txn', async () => {
    await run(keyed([[{id: 1, name: 'a', at: 1}], [{id: 2, name: 'b', at: 2}]]));
    const table = await openTable(lake.context, 'main/test/t');
    const flowId = table?.snapshot.metadata.configuration[FLOW_ID_PROPERTY];
    if (table === null || flowId === undefined) throw new Error('no table');
    expect(await currentBatch(lake.context.store, table, flowId)).toMatchObject({
      end: {rows: {n: 2}, deletes: null},
      counts: {read: 1},
    });
  });
});
