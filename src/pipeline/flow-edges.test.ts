import {rm, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import type {ColumnBatch} from '../core/columns.ts';
import {IngestError} from '../core/errors.ts';
import type {JsonObject} from '../core/json-value.ts';
import {array, double, long, string, struct} from '../core/schema.ts';
import {openTable} from '../delta/table.ts';
import type {EngineRow} from '../engine/engine.ts';
import type {Connector, Page} from '../sdk/contract.ts';
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

function keyed(all: readonly (readonly JsonObject[])[], more: Partial<ScriptedTable> = {}): ScriptedTable {
  return {schema, ingestionType: 'cdc', primaryKeys: ['id'], cursorField: 'at', read: batches(all), ...more};
}

function snapshot(read: ScriptedTable['read'], more: Partial<ScriptedTable> = {}): ScriptedTable {
  return {schema, ingestionType: 'snapshot', primaryKeys: ['id'], read, ...more};
}

type RunOptions = Partial<TestTable> & {readonly fullRefresh?: boolean};

async function run(table: ScriptedTable, options: RunOptions = {}): Promise<TestRunEnd> {
  const {fullRefresh, ...rest} = options;
  const tables = [{source: 't', ...rest}];
  return runConnector(lake, {
    ...scriptedConnector({t: table}),
    tables,
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

/** Longs as a column; NULL where the value is null. */
function longs(values: readonly (bigint | null)[]): ColumnBatch['columns'][number] {
  const validity = new Uint8Array(Math.ceil(values.length / 8));
  values.forEach((value, row) => {
    if (value !== null) validity[row >> 3] = (validity[row >> 3] ?? 0) | (1 << (row & 7));
  });
  return {kind: 'fixed', data: BigInt64Array.from(values, (value) => value ?? 0n), validity};
}

async function csvPage(name: string, text: string): Promise<Page> {
  const path = join(lake.folder, name);
  await writeFile(path, text);
  const {size, mtimeMs} = await stat(path);
  return {kind: 'files', files: [{file: {path, sizeBytes: size, modifiedAtMs: mtimeMs}, options: {format: 'csv'}}]};
}

describe('a full refresh', () => {
  test('of a source whose offset stays null keeps the rows that it read', async () => {
    const still = keyed([], {read: () => ({pages: [[{id: 1, name: 'a', at: 1}]], end: null})});
    await run(still);
    expect(await run(still, {fullRefresh: true})).toMatchObject({state: 'COMPLETED'});
    expect(await ids()).toEqual([1n]);
  });

  test('takes the rows of the last call, which did not move the offset', async () => {
    const read: ScriptedTable['read'] = (start) => ({
      pages: [[{id: start === null ? 1 : 2, name: 'a', at: 1}]],
      end: {n: 1},
    });
    await run(keyed([], {read}));
    await run(keyed([], {read}), {fullRefresh: true});
    expect(await ids()).toEqual([1n, 2n]);
  });

  test('that begins anew forgets what the interrupted one put into the ledger', async () => {
    const known: unknown[] = [];
    const failing: ScriptedTable['read'] = (start, ctx) => {
      const n = Number(start?.['n'] ?? 0);
      if (n === 2) return {pages: [], end: start, fails: new IngestError('AUTH_FAILED', 'no')};
      ctx.ledger.put(`f${n + 1}`, 1);
      return {pages: [[{id: n + 1, name: 'a', at: 1}]], end: {n: n + 1}};
    };
    await run(keyed([[{id: 9, name: 'a', at: 1}]]));
    expect(await run(keyed([], {read: failing}), {fullRefresh: true})).toMatchObject({state: 'FAILED'});
    const asking: Connector['readTable'] = async function* (_table, start, _options, ctx) {
      known.push([...(await ctx.ledger.get(['f1', 'f2'])).keys()]);
      if (start !== null) throw new IngestError('AUTH_FAILED', 'no');
      ctx.ledger.put('f1', 1);
      yield [{id: 1, name: 'a', at: 1}];
      return {n: 1};
    };
    const scripted = scriptedConnector({t: keyed([])});
    const connector = {...scripted.connector, readTable: asking};
    await runConnector(lake, {...scripted, connector, tables: [{source: 't'}], fullRefresh: true});
    await runConnector(lake, {...scripted, connector, tables: [{source: 't'}]});
    expect(known).toEqual([[], ['f1'], ['f1']]);
  });

  test('of an append-only flow knows the rows of the last cursor afterwards', async () => {
    const seen: JsonObject[] = [
      {id: 1, name: 'a', at: 1},
      {id: 2, name: 'b', at: 2},
    ];
    const log = keyed([], {
      ingestionType: 'append',
      read: (start) => ({pages: [seen.filter((row) => Number(row['at']) >= Number(start?.['at'] ?? 0))], end: {at: 2}}),
    });
    await run(log);
    await run(log, {fullRefresh: true});
    await run(log);
    expect(await ids()).toEqual([1n, 2n]);
  });
});

describe('an interrupted snapshot', () => {
  const interrupted = snapshot((start) =>
    start === null
      ? {pages: [[{id: 1, name: 'a', at: 1}]], end: {page: 1}}
      : {pages: [], end: null, fails: new IngestError('AUTH_FAILED', 'no')},
  );

  async function startsAfter(table: Partial<ScriptedTable>, options: RunOptions = {}): Promise<readonly unknown[]> {
    const starts: unknown[] = [];
    const read: ScriptedTable['read'] = (start) => {
      starts.push(start);
      return {pages: [[{id: 2, name: 'b', at: 1}]], end: null};
    };
    expect(await run(snapshot(read, table), options)).toMatchObject({state: 'COMPLETED'});
    return starts;
  }

  test('goes on when nothing changed', async () => {
    await run(interrupted);
    expect(await startsAfter({})).toEqual([{page: 1}]);
  });

  test('begins anew when the filter changed', async () => {
    await run(interrupted);
    expect(await startsAfter({}, {configuration: {rowFilter: 'id > 1'}})).toEqual([null]);
    expect(await ids()).toEqual([2n]);
  });

  test('begins anew when the keys changed', async () => {
    await run(interrupted);
    expect(await startsAfter({primaryKeys: ['name']})).toEqual([null]);
  });

  test('begins anew when a column came or changed its type', async () => {
    await run(interrupted);
    expect(await startsAfter({schema: struct({id: long(), name: string(), at: double()})})).toEqual([null]);
  });
});

describe('a flow whose configuration changed', () => {
  test('does not merge by other keys than those that the rows were merged by', async () => {
    await run(keyed([[{id: 1, name: 'a', at: 1}]]));
    const end = await run(keyed([[], [{id: 2, name: 'a', at: 2}]], {primaryKeys: ['name']}));
    expect(end).toMatchObject({state: 'FAILED', flows: [{errorCode: 'INVALID_SPEC'}]});
    const anew = keyed([[{id: 2, name: 'a', at: 2}]], {primaryKeys: ['name']});
    expect(await run(anew, {fullRefresh: true})).toMatchObject({state: 'COMPLETED'});
    expect(await run(anew)).toMatchObject({state: 'COMPLETED'});
  });

  test('does not compare with a sequence that the rows do not have', async () => {
    await run(keyed([[{id: 1, name: 'new', at: 9}]]));
    const late = keyed([[], [{id: 1, name: 'late', at: 2}]]);
    expect(await run(late, {configuration: {excludeColumns: ['at']}})).toMatchObject({state: 'FAILED'});
    expect(await rows()).toMatchObject([{name: 'new'}]);
  });

  test('says that rows were chosen by another filter', async () => {
    const all: JsonObject[][] = [[{id: 1, name: 'a', at: 1}]];
    await run(keyed(all), {configuration: {rowFilter: "name = 'a'"}});
    all.push([{id: 2, name: 'b', at: 2}]);
    const end = await run(keyed(all), {configuration: {rowFilter: "name = 'b'"}});
    expect(end).toMatchObject({state: 'COMPLETED', notes: [{code: 'FILTER_CHANGED'}]});
    expect((await run(keyed(all), {configuration: {rowFilter: "name = 'b'"}})).notes).toEqual([]);
  });
});

describe('quarantine', () => {
  test('does not touch a table of a source that has its name', async () => {
    await runConnector(lake, {
      ...scriptedConnector({x: keyed([[{id: 1, name: 'a', at: 1}]])}),
      tables: [{source: 'x', destination: 't__quarantine'}],
    });
    expect(await run(keyed([[{id: null, name: 'a', at: 1}]]))).toMatchObject({
      state: 'FAILED',
      flows: [{errorCode: 'TABLE_NOT_OURS'}],
    });
    expect(await rows('id', 't__quarantine')).toMatchObject([{id: 1n, name: 'a'}]);
  });

  test('keeps the rows of a table that was made again', async () => {
    await run(keyed([[{id: null, name: 'first', at: 1}]]));
    await rm(join(lake.folder, 'main/test/t'), {recursive: true});
    await run(keyed([[{id: null, name: 'second', at: 1}]]));
    const records = (await rows('record', 't__quarantine')).map((row) => String(row['record']));
    expect(records.map((record) => /first|second/.exec(record)?.[0])).toEqual(['first', 'second']);
  });

  test('takes the rows of a snapshot whose key came before', async () => {
    const twice = snapshot(() => ({
      pages: [
        [
          {id: 1, name: 'a', at: 1},
          {id: 1, name: 'b', at: 1},
        ],
      ],
      end: null,
    }));
    const end = await run(twice, {configuration: {onDuplicateKey: 'quarantine'}});
    expect(end).toMatchObject({state: 'COMPLETED', flows: [{quarantinedRows: 1}]});
    const kept = await rows('record', 't__quarantine');
    expect(kept).toMatchObject([{reason: 'DUPLICATE_KEY', path: 'id'}]);
    expect(JSON.parse(String(kept[0]?.['record']))).toMatchObject({id: 1, name: 'b'});
  });

  test('takes rows of columns that have no key', async () => {
    const page: Page = {
      kind: 'columns',
      batch: {
        schema: struct({id: long(), at: long()}),
        rowCount: 3,
        columns: [longs([1n, null, null]), longs([1n, 2n, 3n])],
      },
    };
    const table = keyed([], {
      schema: struct({id: long(), at: long()}),
      read: (start) => ({pages: start === null ? [page] : [], end: {n: 1}}),
    });
    expect(await run(table)).toMatchObject({state: 'COMPLETED', flows: [{quarantinedRows: 2}]});
    expect(await ids()).toEqual([1n]);
    expect(await rows('record', 't__quarantine')).toMatchObject([
      {reason: 'NULL_KEY', path: 'id', record: '{"id":null,"at":2}'},
      {reason: 'NULL_KEY', path: 'id', record: '{"id":null,"at":3}'},
    ]);
  });

  test('takes rows of files that have no key', async () => {
    const page = await csvPage('a.csv', 'id,name,at\n1,a,1\n,b,2\nx,c,3\n');
    const table = keyed([], {read: (start) => ({pages: start === null ? [page] : [], end: {n: 1}})});
    expect(await run(table)).toMatchObject({state: 'COMPLETED', flows: [{quarantinedRows: 2}]});
    expect(await ids()).toEqual([1n]);
  });
});

describe('predicates', () => {
  test('of deletion over files delete rows of files before', async () => {
    const pages = [
      await csvPage('a.csv', 'id,name,at\n1,a,1\n2,b,1\n'),
      await csvPage('b.csv', 'id,name,at\n1,gone,2\n'),
    ];
    const table = keyed([], {
      read: (start) => {
        const page = pages[Number(start?.['n'] ?? 0)];
        return page === undefined ? {pages: [], end: start} : {pages: [page], end: {n: Number(start?.['n'] ?? 0) + 1}};
      },
    });
    await run(table, {configuration: {deletionCondition: "name = 'gone'"}});
    expect(await ids()).toEqual([2n]);
  });

  test('of a snapshot choose rows before keys are told apart', async () => {
    const all = [
      {id: 1, name: 'kept', at: 1},
      {id: 1, name: 'other', at: 1},
    ];
    await run(
      snapshot(() => ({pages: [all], end: null})),
      {configuration: {rowFilter: "name = 'kept'"}},
    );
    expect(await rows()).toMatchObject([{id: 1n, name: 'kept'}]);
  });

  test('of deletion over partitions know an older row of the same key', async () => {
    const scripted = scriptedConnector({
      t: keyed([
        [
          {id: 1, name: 'a', at: 1},
          {id: 1, name: 'gone', at: 2},
        ],
      ]),
    });
    const connector: Connector = {
      ...scripted.connector,
      isPartitioned: () => true,
      latestOffset: () => Promise.resolve({n: 1}),
      getPartitions: () => Promise.resolve({volatile: false, partitions: [{at: 1}, {at: 2}]}),
      async *readPartition(_table, partition) {
        yield await Promise.resolve([
          {id: 1, name: partition['at'] === 1 ? 'a' : 'gone', at: partition['at'] as number},
        ]);
      },
    };
    const tables = [{source: 't', configuration: {deletionCondition: "name = 'gone'"}}];
    expect(await runConnector(lake, {...scripted, connector, tables})).toMatchObject({state: 'COMPLETED'});
    expect(await ids()).toEqual([]);
  });
});

describe('columns', () => {
  test.each([
    '__ord',
    '__OP',
    '__file',
    '__pos',
    '_rescued_data',
    '_sluice_sequence',
    '__sluice_delete',
    '__START_AT',
    '_change_type',
  ])('named %s are refused clearly', async (name) => {
    const table = keyed([[{id: 1, [name]: 'x', at: 1}]], {schema: struct({id: long(), [name]: string(), at: long()})});
    const end = await run(table);
    expect(end.flows).toMatchObject([{state: 'FAILED', errorCode: 'INVALID_SCHEMA'}]);
    expect(await run(table, {configuration: {excludeColumns: [name]}})).toMatchObject({state: 'COMPLETED'});
  });

  test('named rowid do not decide which of two rows came later', async () => {
    const table = keyed(
      [
        [
          {id: 1, rowid: 9, name: 'first', at: 1},
          {id: 1, rowid: 3, name: 'second', at: 1},
        ],
      ],
      {
        schema: struct({id: long(), rowid: long(), name: string(), at: long()}),
      },
    );
    await run(table);
    expect(await rows()).toMatchObject([{id: 1n, name: 'second'}]);
  });

  test.each([
    'size',
    'n',
    'file',
    'kind',
    'c',
    't',
    'm',
    'landed',
    'key',
    'value',
    'f',
    'path',
    'gone',
    'filename',
    "it's",
    'a.b',
    'größe',
    'select',
    '100%',
    'a/b',
    'a"b',
  ])('named %s are keys like others', async (name) => {
    const table = keyed(
      [
        [{[name]: 1, note: 'a', at: 1}],
        [
          {[name]: 1, note: 'b', at: 2},
          {[name]: 2, note: 'c', at: 2},
        ],
      ],
      {
        schema: struct({[name]: long(), note: string(), at: long()}),
        primaryKeys: [name],
      },
    );
    expect(await run(table)).toMatchObject({state: 'COMPLETED'});
    expect(await rows('note')).toMatchObject([
      {[name]: 1n, note: 'b'},
      {[name]: 2n, note: 'c'},
    ]);
    expect(await run(table, {fullRefresh: true})).toMatchObject({state: 'COMPLETED'});
    expect(await rows('note')).toMatchObject([
      {[name]: 1n, note: 'b'},
      {[name]: 2n, note: 'c'},
    ]);
  });

  test('with a dot in their name are cursors like others', async () => {
    const dotted = struct({id: long(), 'up.at': long()});
    const table = keyed([[{id: 1, 'up.at': 1}]], {schema: dotted, cursorField: 'up.at'});
    expect(await run(table, {configuration: {includeColumns: ['id']}})).toMatchObject({state: 'COMPLETED'});
    expect(await rows()).toMatchObject([{id: 1n, _sluice_sequence: 1n}]);
  });

  test('that come later are checked as those of a new table are', async () => {
    await run(keyed([[{id: 1, name: 'a', at: 1}]]));
    const spaced = keyed([], {schema: struct({id: long(), name: string(), at: long(), 'a b': string()})});
    expect(await run(spaced)).toMatchObject({flows: [{state: 'FAILED', errorCode: 'INVALID_SCHEMA'}]});
  });

  test('of lists are seen to change from nothing to empty', async () => {
    let tags: JsonObject['x'] = null;
    const lists = snapshot(() => ({pages: [[{id: 1, tags}]], end: null}), {
      schema: struct({id: long(), tags: array(string())}),
    });
    await run(lists);
    tags = [];
    expect(await run(lists)).toMatchObject({flows: [{rowsUpdated: 1}]});
    tags = [null];
    expect(await run(lists)).toMatchObject({flows: [{rowsUpdated: 1}]});
  });
});
