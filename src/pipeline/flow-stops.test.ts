import {rm, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import type {ColumnBatch} from '../core/columns.ts';
import {IngestError} from '../core/errors.ts';
import type {JsonObject} from '../core/json-value.ts';
import type {Offset} from '../core/offset.ts';
import {double, long, string, struct} from '../core/schema.ts';
import {openTable} from '../delta/table.ts';
import type {EngineRow} from '../engine/engine.ts';
import type {Connector, Page} from '../sdk/contract.ts';
import {openHints} from '../state/hints.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd, type TestTable} from '../testkit/run-connector.ts';
import {batches, scriptedConnector, type ScriptedCall, type ScriptedTable} from '../testkit/scripted-connector.ts';

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
  options: Partial<TestTable> & {
    readonly connector?: Partial<Connector>;
    readonly signal?: AbortSignal;
    readonly fullRefresh?: boolean;
  } = {},
): Promise<TestRunEnd> {
  const {connector = {}, signal, fullRefresh = false, ...rest} = options;
  const scripted = scriptedConnector({t: table});
  return runConnector(lake, {
    ...scripted,
    connector: {...scripted.connector, ...connector} as Connector,
    tables: [{source: 't', ...rest}],
    fullRefresh,
    ...(signal === undefined ? {} : {signal}),
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

async function engineTables(): Promise<readonly unknown[]> {
  const found = await lake.context.engine.query('SELECT table_name FROM duckdb_tables() ORDER BY 1');
  return found.map((row) => row['table_name']).filter((name) => !String(name).startsWith('sluice_file_map'));
}

function keysOf(...all: bigint[]): ColumnBatch {
  return {
    schema: struct({id: long()}),
    rowCount: all.length,
    columns: [{kind: 'fixed', data: BigInt64Array.from(all), validity: null}],
  };
}

describe('a flow that is stopped', () => {
  test.each(['reading', 'deletes', 'scanning', 'partitions'])(
    'while %s closes what it reads and leaves no table in the engine',
    async (place) => {
      const stop = new AbortController();
      let closed = 0;
      const waits = async function* <Value, End>(value: Value, end: End): AsyncGenerator<Value, End> {
        try {
          yield value;
          stop.abort(new Error('stop'));
          await new Promise((_, reject) => setTimeout(() => reject(new Error('aborted')), 10));
          return end;
        } finally {
          closed++;
        }
      };
      const page: Page = [{id: 1, name: 'a', at: 1}];
      const table = keyed(
        [
          [
            {id: 1, name: 'a', at: 1},
            {id: 2, name: 'a', at: 1},
          ],
        ],
        place === 'deletes' ? {ingestionType: 'cdc_with_deletes'} : {},
      );
      const connector: Partial<Connector> = {
        ...(place === 'reading' ? {readTable: () => waits(page, null)} : {}),
        ...(place === 'deletes' ? {readTableDeletes: () => waits([{id: 1, at: 2}], null)} : {}),
        ...(place === 'scanning' ? {scanKeys: () => waits(keysOf(1n, 2n), undefined)} : {}),
        ...(place === 'partitions'
          ? {
              isPartitioned: () => true,
              latestOffset: () => Promise.resolve({n: 1}),
              getPartitions: () =>
                Promise.resolve({
                  volatile: true,
                  partitions: [{n: 1}],
                  [Symbol.asyncDispose]: () => Promise.resolve(void closed++),
                }),
              readPartition: () => waits(page, undefined),
            }
          : {}),
      };
      const end = await run(table, {
        connector,
        signal: stop.signal,
        configuration: {hardDeletionSyncMinIntervalSeconds: place === 'scanning' ? 0 : null},
      });
      expect(end).toMatchObject({state: 'CANCELED', flows: [{state: 'STOPPED', errorCode: 'CANCELLED'}]});
      expect(closed).toBe(place === 'partitions' ? 2 : 1);
      expect(await engineTables()).toEqual([]);
      if (place !== 'scanning') expect(await run(table)).toMatchObject({state: 'COMPLETED'});
      expect(await ids()).toEqual([1n, 2n]);
    },
  );

  test('after any failure leaves no table in the engine', async () => {
    const fails = keyed([], {
      read: () => ({pages: [[{id: 1, name: 'a', at: 1}]], end: null, fails: new IngestError('AUTH_FAILED', 'no')}),
    });
    expect(await run(fails)).toMatchObject({state: 'FAILED'});
    const twice = keyed([], {
      ingestionType: 'snapshot',
      read: () => ({pages: [[{id: 1}, {id: 1}, {id: null}]], end: null}),
    });
    expect(await run(twice)).toMatchObject({state: 'FAILED'});
    expect(await engineTables()).toEqual([]);
  });
});

describe('a flow that is tried again', () => {
  test('forgets what the failed attempt put into the ledger', async () => {
    let failures = 0;
    const known: unknown[] = [];
    const readTable: Connector['readTable'] = async function* (_table, start, _options, ctx) {
      known.push([...(await ctx.ledger.get(['a', 'b'])).keys()].sort());
      if (start?.['n'] === 2) return start;
      if (start === null) {
        ctx.ledger.put('a', 1);
        yield [{id: 1, name: 'a', at: 1}];
        return {n: 1};
      }
      ctx.ledger.put('b', 1);
      yield [{id: 2, name: 'b', at: 2}];
      if (failures++ === 0) throw new IngestError('SOURCE_ERROR', 'gone');
      return {n: 2};
    };
    const end = await run(keyed([]), {connector: {readTable}});
    expect(end).toMatchObject({state: 'COMPLETED', flows: [{rowsRead: 2, rowsInserted: 2, attempt: 2}]});
    expect(known).toEqual([[], ['a'], ['a'], ['a', 'b']]);
  });

  test('leaves no row of the failed attempt in quarantine', async () => {
    let failures = 0;
    const read: ScriptedTable['read'] = (start) => {
      if (start !== null) return {pages: [], end: start};
      return {
        pages: [
          [
            {id: null, name: 'a', at: 1},
            {id: 1, name: 'a', at: 1},
          ],
        ],
        end: {n: 1},
      };
    };
    const acknowledge = (): Promise<void> =>
      failures++ === 0 ? Promise.reject(new IngestError('SOURCE_ERROR', 'gone')) : Promise.resolve();
    expect(await run(keyed([], {read}), {connector: {acknowledge}})).toMatchObject({
      state: 'COMPLETED',
      flows: [{attempt: 2, quarantinedRows: 1}],
    });
    expect(await rows('record', 't__quarantine')).toHaveLength(1);
    expect(failures).toBe(2);
  });
});

describe('a key scan', () => {
  const three = [
    [
      {id: 1, name: 'a', at: 1},
      {id: 2, name: 'b', at: 1},
      {id: 3, name: 'c', at: 1},
    ],
  ];
  const configuration = {hardDeletionSyncMinIntervalSeconds: 0};
  const scan = (...keys: bigint[]): Partial<Connector> => ({
    async *scanKeys() {
      yield await Promise.resolve(keysOf(...keys));
    },
  });

  test('that would delete too much deletes nothing, and is made again by the next run', async () => {
    expect(await run(keyed(three), {connector: scan(1n), configuration})).toMatchObject({
      flows: [{errorCode: 'TOO_MANY_DELETES'}],
    });
    expect(await ids()).toEqual([1n, 2n, 3n]);
    expect(
      await run(keyed(three), {connector: scan(1n, 2n), configuration: {...configuration, maxDeletedPercent: 50}}),
    ).toMatchObject({flows: [{rowsDeleted: 1}]});
    expect(await ids()).toEqual([1n, 2n]);
  });

  test('is due when the last one was made by a clock that was ahead', async () => {
    const hints = openHints(lake.context.store, '_sluice/pipelines/test/hints');
    await run(keyed(three), {connector: scan(1n, 2n, 3n), configuration});
    const [name] = await namesOfHints();
    await hints.put(name ?? '', {keyScanAtMs: Date.now() + 3_600_000});
    await run(keyed(three), {connector: scan(1n, 2n), configuration: {...configuration, maxDeletedPercent: 50}});
    expect(await ids()).toEqual([1n, 2n]);
  });

  async function namesOfHints(): Promise<readonly string[]> {
    const names: string[] = [];
    for await (const {name} of lake.context.store.list('_sluice/pipelines/test/hints/'))
      names.push(decodeURIComponent(name.slice(name.lastIndexOf('/') + 1, -'.json'.length)));
    return names;
  }

  test('finds a row whose sequence is NULL', async () => {
    const nulls = [
      [
        {id: 1, name: 'a', at: null},
        {id: 2, name: 'b', at: 1},
      ],
    ];
    await run(keyed(nulls), {connector: scan(2n), configuration: {...configuration, maxDeletedPercent: 50}});
    expect(await ids()).toEqual([2n]);
  });

  test('that fails for a moment is made again and deletes once', async () => {
    let failures = 0;
    const flaky: Partial<Connector> = {
      async *scanKeys() {
        yield await Promise.resolve(keysOf(1n, 2n));
        if (failures++ === 0) throw new IngestError('SOURCE_ERROR', 'gone');
      },
    };
    expect(
      await run(keyed(three), {connector: flaky, configuration: {...configuration, maxDeletedPercent: 50}}),
    ).toMatchObject({state: 'COMPLETED', flows: [{rowsDeleted: 1, rowsInserted: 3}]});
    expect(await ids()).toEqual([1n, 2n]);
  });
});

describe('odd rows', () => {
  test('with zero of either sign as key are one row', async () => {
    const zeros = keyed(
      [
        [
          {id: 0, at: 1},
          {id: -0, at: 2},
        ],
        [{id: 0, at: 3}],
      ],
      {schema: struct({id: double(), at: long()})},
    );
    await run(zeros);
    expect(await rows()).toMatchObject([{at: 3n}]);
  });

  test('of deletes without a sequence go to quarantine', async () => {
    const table = keyed([[{id: 1, name: 'a', at: 1}]], {
      ingestionType: 'cdc_with_deletes',
      deletes: (start) => ({pages: start === null ? [[{id: 1, at: null}]] : [], end: {d: 1}}),
    });
    expect(await run(table)).toMatchObject({state: 'COMPLETED', flows: [{quarantinedRows: 1}]});
    expect(await ids()).toEqual([1n]);
  });

  test('that bring a new column while they update others rewrite the file with it', async () => {
    await run(
      keyed([
        [
          {id: 1, name: 'a', at: 1},
          {id: 2, name: 'b', at: 1},
        ],
      ]),
      {configuration: {deletionVectors: 'false'}},
    );
    const more = struct({id: long(), color: string(), name: string(), at: long()});
    await run(
      keyed(
        [
          [],
          [
            {id: 1, name: 'A', color: 'red', at: 2},
            {id: 3, name: 'c', color: 'blue', at: 2},
          ],
        ],
        {schema: more},
      ),
    );
    expect(await rows()).toMatchObject([
      {id: 1n, name: 'A', color: 'red'},
      {id: 2n, name: 'b', color: null},
      {id: 3n, name: 'c', color: 'blue'},
    ]);
  });

  test('of files that are empty or have a header only are none', async () => {
    const pages: Page[] = [];
    for (const [name, text] of [
      ['empty.csv', ''],
      ['header.csv', 'id,name,at\n'],
    ] as const) {
      const path = join(lake.folder, name);
      await writeFile(path, text);
      const {size, mtimeMs} = await stat(path);
      pages.push({
        kind: 'files',
        files: [{file: {path, sizeBytes: size, modifiedAtMs: mtimeMs}, options: {format: 'csv'}}],
      });
    }
    expect(await run(keyed([], {read: () => ({pages, end: {n: 1}})}))).toMatchObject({
      state: 'COMPLETED',
      flows: [{rowsInserted: 0}],
    });
    expect(await ids()).toEqual([]);
    expect(
      await run(keyed([], {read: () => ({pages, end: {n: 1}})}), {configuration: {rowFilter: 'id > 0'}}),
    ).toMatchObject({state: 'COMPLETED'});
  });

  test('without selected columns keep their keys', async () => {
    await run(keyed([[{id: 1, name: 'a', at: 1}]]), {configuration: {includeColumns: []}});
    expect(Object.keys((await rows())[0] ?? {})).toEqual(['id', '_rescued_data', '_sluice_sequence']);
  });

  test('a full refresh of a source without rows empties the table in one commit', async () => {
    await run(keyed([[{id: 1, name: 'a', at: 1}]]));
    expect(await run(keyed([]), {fullRefresh: true})).toMatchObject({state: 'COMPLETED'});
    expect(await ids()).toEqual([]);
    expect(await run(keyed([[{id: 1, name: 'a', at: 1}]]))).toMatchObject({state: 'COMPLETED'});
    expect(await ids()).toEqual([1n]);
  });
});

describe('an offset that the source no longer knows', () => {
  const expired = (start: Offset | null): ScriptedCall =>
    start === null
      ? {pages: [[{id: 2, name: 'b', at: 2}]], end: {n: 2}}
      : {pages: [], end: start, fails: new IngestError('OFFSET_EXPIRED', 'Changes are kept for 30 days.')};

  test('makes the same run read the table anew: what is gone from the source goes', async () => {
    await run(keyed([[{id: 1, name: 'a', at: 1}]]));
    const calls: unknown[] = [];
    const end = await run(
      keyed([], {
        read: (start) => {
          calls.push(start);
          return start?.['n'] === 2 ? {pages: [], end: start} : expired(start);
        },
      }),
    );
    expect(end).toMatchObject({state: 'COMPLETED', notes: [{level: 'WARN', code: 'OFFSET_EXPIRED'}]});
    expect(calls).toEqual([{n: 1}, null, {n: 2}]);
    expect(await ids()).toEqual([2n]);
  });

  test('fails the flow when it says so of a reading from the beginning', async () => {
    await run(keyed([[{id: 1, name: 'a', at: 1}]]));
    const fails = new IngestError('OFFSET_EXPIRED', 'Changes are kept for 30 days.');
    const end = await run(keyed([], {read: (start) => ({pages: [], end: start, fails})}));
    expect(end).toMatchObject({state: 'FAILED', flows: [{errorCode: 'OFFSET_EXPIRED'}]});
    expect(await ids()).toEqual([1n]);
  });
});

describe('a source that asks for a pause', () => {
  const asked = (retryAfterMs: number): ScriptedCall => ({
    pages: [],
    end: null,
    fails: new IngestError('THROTTLED', 'Later.', {retryAfterMs}),
  });

  test('gets it within the run', async () => {
    let calls = 0;
    const end = await run(keyed([], {read: () => (calls++ === 0 ? asked(5) : {pages: [], end: null})}));
    expect(end).toMatchObject({state: 'COMPLETED'});
  });

  test('until tomorrow is left to the next run', async () => {
    const end = await run(keyed([], {read: () => asked(86_400_000)}));
    expect(end).toMatchObject({state: 'FAILED', flows: [{errorCode: 'THROTTLED', attempt: 1}]});
  });
});

describe('acknowledgements', () => {
  test('that were lost are made up for by the next run, and none comes before its commit', async () => {
    const told: unknown[] = [];
    const acknowledge: Connector['acknowledge'] = async (_table, offset) => {
      told.push([offset, (await ids()).length]);
    };
    const all: JsonObject[][] = [[{id: 1, name: 'a', at: 1}]];
    await run(keyed(all), {connector: {acknowledge}});
    await run(keyed(all), {connector: {acknowledge}});
    expect(told).toEqual([
      [{n: 1}, 1],
      [{n: 1}, 1],
    ]);
  });
});

describe('others that write while a batch is read', () => {
  async function restoring(operation: string): Promise<TestRunEnd> {
    await run(keyed([[{id: 1, name: 'a', at: 1}]]));
    const readTable: Connector['readTable'] = async function* (_table, start) {
      if (start?.['n'] === 2) return start;
      const table = await openTable(lake.context, 'main/test/t');
      if (table === null) throw new Error('no table');
      const removes = [...table.snapshot.files.values()].map((file) => table.removeOf(file));
      await table.commit({base: table.snapshot, operation, removes, blindAppend: false});
      yield [{id: 2, name: 'b', at: 2}];
      return {n: 2};
    };
    return run(keyed([]), {connector: {readTable}});
  }

  test('stop the flow when they restored the table', async () => {
    expect(await restoring('RESTORE')).toMatchObject({
      flows: [
        {
          state: 'FAILED',
          errorCode: 'TABLE_CHANGED_OUTSIDE',
          errorFix: expect.stringContaining('sluice restore main.test.t --version 1') as string,
        },
      ],
    });
  });

  test('are noted when they deleted rows', async () => {
    expect(await restoring('DELETE')).toMatchObject({state: 'COMPLETED', notes: [{code: 'FOREIGN_WRITE'}]});
    expect(await ids()).toEqual([2n]);
  });
});
