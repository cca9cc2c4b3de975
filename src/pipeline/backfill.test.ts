import {rm} from 'node:fs/promises';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import {IngestError} from '../core/errors.ts';
import type {JsonObject} from '../core/json-value.ts';
import {long, string, struct} from '../core/schema.ts';
import {openTable} from '../delta/table.ts';
import type {EngineRow} from '../engine/engine.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd, type TestTable} from '../testkit/run-connector.ts';
import {scriptedConnector, type ScriptedTable} from '../testkit/scripted-connector.ts';
import type {BackfillRequest} from './run-update.ts';
import type {TableConfiguration} from './spec.ts';

let lake: TestLake;
beforeEach(async () => {
  lake = await openTestLake();
});
afterEach(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

const narrow = struct({id: long(), v: string(), at: long()});
const wide = struct({id: long(), v: string(), extra: string(), at: long()});

/** A table of a database: rows by `at`, a page of two each, that a call reads from the offset on. */
class Rows {
  readonly rows = new Map<number, JsonObject>();
  /** Pages read. */
  reads = 0;
  /** The read of this page fails. */
  failsAt: number | null = null;

  put(...rows: readonly JsonObject[]): void {
    for (const row of rows) this.rows.set(Number(row['id']), row);
  }

  table(more: Partial<ScriptedTable> = {}): ScriptedTable {
    return {
      schema: wide,
      ingestionType: 'cdc',
      primaryKeys: ['id'],
      cursorField: 'at',
      read: (start) => {
        this.reads += 1;
        if (this.reads === this.failsAt) return {pages: [], end: start, fails: new IngestError('AUTH_FAILED', 'no')};
        const from = Number(start?.['at'] ?? 0);
        const next = [...this.rows.values()]
          .filter((row) => Number(row['at']) > from)
          .sort((left, right) => Number(left['at']) - Number(right['at']))
          .slice(0, 2);
        const last = next.at(-1);
        return last === undefined ? {pages: [], end: start ?? {at: 0}} : {pages: [next], end: {at: Number(last['at'])}};
      },
      ...more,
    };
  }
}

type RunOptions = Partial<TestTable> & {readonly backfill?: readonly BackfillRequest[]};

async function run(table: ScriptedTable, options: RunOptions = {}): Promise<TestRunEnd> {
  const {backfill, ...rest} = options;
  return runConnector(lake, {
    ...scriptedConnector({t: table}),
    tables: [{source: 't', ...rest}],
    ...(backfill === undefined ? {} : {backfill}),
  });
}

const filled = (more: Partial<TableConfiguration> = {}): RunOptions => ({
  configuration: {backfillNewColumns: true, ...more},
});

async function stored(order = 'id'): Promise<readonly EngineRow[]> {
  const table = await openTable(lake.context, 'main/test/t');
  return lake.context.engine.query(
    `SELECT * EXCLUDE (_rescued_data) FROM (${await table?.readSql()}) ORDER BY ${order}`,
  );
}

async function property(name: string): Promise<string | undefined> {
  return (await openTable(lake.context, 'main/test/t'))?.snapshot.metadata.configuration[name];
}

const codes = ({notes}: TestRunEnd): readonly string[] => notes.map((note) => note.code);

const five = [1, 2, 3, 4, 5].map((id): JsonObject => ({id, v: `v${id}`, extra: `e${id}`, at: id}));

describe('a column that is selected anew', () => {
  test('is filled for the rows that are there, in bounded commits, and the offset stays', async () => {
    const source = new Rows();
    source.put(...five);
    await run(source.table(), {configuration: {excludeColumns: ['extra']}});
    expect(await stored()).toMatchObject(five.map(({id, v}) => ({id: BigInt(Number(id)), v})));
    const before = (await openTable(lake.context, 'main/test/t'))?.snapshot.version ?? 0;
    source.put({id: 6, v: 'v6', extra: 'e6', at: 6});
    const end = await run(source.table(), filled());
    expect(end.flows).toMatchObject([{state: 'COMPLETED', rowsInserted: 1, rowsUpdated: 5}]);
    expect(codes(end)).toEqual(['COLUMNS_ADDED', 'BACKFILL', 'BACKFILLED']);
    expect((await stored()).map((row) => row['extra'])).toEqual(['e1', 'e2', 'e3', 'e4', 'e5', 'e6']);
    const table = await openTable(lake.context, 'main/test/t');
    const commits = await table?.history({after: before});
    expect(commits?.filter((commit) => commit.dataChange)).toHaveLength(4);
    expect(await property('sluice.backfillColumns')).toBeUndefined();
    // Nothing is left to do, and the flow goes on where it stood.
    source.reads = 0;
    source.put({id: 7, v: 'v7', extra: 'e7', at: 7});
    expect(codes(await run(source.table(), filled()))).toEqual([]);
    expect(source.reads).toBe(2);
  });

  test('stays NULL without the setting', async () => {
    const source = new Rows();
    source.put(...five);
    await run(source.table({schema: narrow}));
    await run(source.table());
    expect((await stored()).map((row) => row['extra'])).toEqual([null, null, null, null, null]);
  });

  test('is filled on request by its name, too', async () => {
    const source = new Rows();
    source.put(...five);
    await run(source.table({schema: narrow}));
    await run(source.table());
    const end = await run(source.table(), {backfill: [{table: 't', columns: ['extra']}]});
    expect(codes(end)).toEqual(['BACKFILL', 'BACKFILLED']);
    expect((await stored()).map((row) => row['extra'])).toEqual(['e1', 'e2', 'e3', 'e4', 'e5']);
    const misspelt = await run(source.table(), {backfill: [{table: 't', columns: ['exra']}]});
    expect(misspelt.flows).toMatchObject([{errorCode: 'UNKNOWN_COLUMN', errorFix: 'Did you mean "extra"?'}]);
    await expect(run(source.table(), {backfill: [{table: 'x', columns: ['extra']}]})).rejects.toMatchObject({
      code: 'UNKNOWN_TABLE',
    });
  });

  test('is filled again when asked again, though nothing came in between', async () => {
    const source = new Rows();
    source.put(...five);
    await run(source.table({schema: narrow}));
    const asked = {backfill: [{table: 't', columns: ['extra']}]};
    await run(source.table(), asked);
    source.put({id: 2, v: 'v2', extra: 'later', at: 2});
    expect(codes(await run(source.table(), asked))).toEqual(['BACKFILL', 'BACKFILLED']);
    expect((await stored()).map((row) => row['extra'])).toEqual(['e1', 'later', 'e3', 'e4', 'e5']);
    // Nor where a batch of the flow comes first.
    source.put({id: 3, v: 'v3', extra: 'later', at: 3}, {id: 6, v: 'v6', extra: 'e6', at: 6});
    await run(source.table(), asked);
    expect((await stored()).map((row) => row['extra'])).toEqual(['e1', 'later', 'later', 'e4', 'e5', 'e6']);
  });

  test('of a log of changes in their order stays NULL, for older changes must not come after newer ones', async () => {
    const log: JsonObject[] = [
      {id: 1, v: 'old', extra: 'e', at: 1},
      {id: 1, v: 'new', extra: 'e', at: 2},
    ];
    let fails = false;
    const table = (schema: ScriptedTable['schema']): ScriptedTable => ({
      schema,
      ingestionType: 'cdc',
      primaryKeys: ['id'],
      metadata: {changes: {ordered: true}},
      read: (start) => {
        const next = Number(start?.['n'] ?? 0);
        const row = log[next];
        if (fails && next === 1) return {pages: [], end: start, fails: new IngestError('AUTH_FAILED', 'no')};
        if (row === undefined) return {pages: [], end: start ?? {n: 0}};
        return {pages: [{kind: 'changes', changes: [{op: 'upsert', row}]}], end: {n: next + 1}};
      },
    });
    await run(table(narrow));
    await run(table(wide));
    fails = true;
    const asked = await run(table(wide), {backfill: [{table: 't', columns: ['extra']}]});
    expect(await stored()).toMatchObject([{id: 1n, v: 'new', extra: null}]);
    expect(asked.flows).toMatchObject([{errorCode: 'INVALID_OPTION'}]);
  });

  test('that is read for a filter and excluded stays as it is in the table', async () => {
    const source = new Rows();
    source.put(...five);
    await run(source.table());
    source.put({id: 6, v: 'v6', extra: 'e6', at: 6});
    const end = await run(source.table(), {configuration: {excludeColumns: ['extra'], rowFilter: "extra <> 'no'"}});
    expect(end.flows).toMatchObject([{state: 'COMPLETED', rowsInserted: 1}]);
    expect((await stored()).map((row) => row['extra'])).toEqual(['e1', 'e2', 'e3', 'e4', 'e5', null]);
  });

  test('goes on where an interrupted run stopped, and takes no row twice', async () => {
    const source = new Rows();
    source.put(...five);
    await run(source.table({schema: narrow}));
    source.reads = 0;
    // The first read of the run finds nothing new; then pages of the back-fill.
    source.failsAt = 3;
    expect((await run(source.table(), filled())).state).toBe('FAILED');
    expect((await stored()).map((row) => row['extra'])).toEqual(['e1', 'e2', null, null, null]);
    // A batch of news in between does not make it forget.
    source.put({id: 6, v: 'v6', extra: 'e6', at: 6});
    source.reads = 0;
    source.failsAt = null;
    const end = await run(source.table(), filled());
    expect(end.flows).toMatchObject([{state: 'COMPLETED', rowsInserted: 1, rowsUpdated: 3}]);
    expect((await stored()).map((row) => row['extra'])).toEqual(['e1', 'e2', 'e3', 'e4', 'e5', 'e6']);
  });

  test('takes newer rows early and leaves deleted ones alone', async () => {
    const source = new Rows();
    source.put(...five);
    const gone = new Map<number, JsonObject>();
    const more: Partial<ScriptedTable> = {
      ingestionType: 'cdc_with_deletes',
      deletes: (start) =>
        gone.size > Number(start?.['n'] ?? 0)
          ? {pages: [[...gone.values()]], end: {n: gone.size}}
          : {pages: [], end: start ?? {n: 0}},
    };
    await run(source.table({...more, schema: narrow}));
    source.rows.delete(2);
    gone.set(2, {id: 2, at: 9});
    await run(source.table({...more, schema: narrow}));
    // The feed of this source repeats a row that was deleted.
    source.put({id: 2, v: 'old', extra: 'old', at: 2});
    await run(source.table(more), filled());
    expect((await stored()).map((row) => [row['id'], row['extra']])).toEqual([
      [1n, 'e1'],
      [3n, 'e3'],
      [4n, 'e4'],
      [5n, 'e5'],
    ]);
  });

  test('of an append-only table stays NULL, and a request is refused', async () => {
    const source = new Rows();
    source.put(...five);
    const append: RunOptions = filled({scdType: 'APPEND_ONLY'});
    await run(source.table({schema: narrow}), append);
    source.put({id: 6, v: 'v6', extra: 'e6', at: 6});
    expect(codes(await run(source.table(), append))).toEqual(['NOT_BACKFILLED', 'COLUMNS_ADDED']);
    expect((await stored()).map((row) => row['extra'])).toEqual([null, null, null, null, null, 'e6']);
    const asked = await run(source.table(), {...append, backfill: [{table: 't', columns: ['extra']}]});
    expect(asked.flows).toMatchObject([{state: 'FAILED', errorCode: 'INVALID_OPTION'}]);
  });

  test('of a snapshot comes with the next one', async () => {
    const read: ScriptedTable['read'] = () => ({pages: [five], end: null});
    await run({schema: narrow, ingestionType: 'snapshot', primaryKeys: ['id'], read}, filled());
    const end = await run({schema: wide, ingestionType: 'snapshot', primaryKeys: ['id'], read}, filled());
    expect(codes(end)).toEqual(['COLUMNS_ADDED']);
    expect((await stored()).map((row) => row['extra'])).toEqual(['e1', 'e2', 'e3', 'e4', 'e5']);
  });

  test('of a table with history is filled in the current versions, which stay as many', async () => {
    const source = new Rows();
    source.put(...five);
    const history = filled({scdType: 'SCD_TYPE_2'});
    await run(source.table({schema: narrow}), history);
    source.put({id: 1, v: 'new', extra: 'e1', at: 6});
    await run(source.table({schema: narrow}), history);
    const end = await run(source.table(), history);
    expect(end.flows).toMatchObject([{state: 'COMPLETED'}]);
    expect(
      (await stored('id, __START_AT')).map((row) => [row['id'], row['v'], row['extra'], row['__START_AT']]),
    ).toEqual([
      [1n, 'v1', null, 1n],
      [1n, 'new', 'e1', 6n],
      [2n, 'v2', 'e2', 2n],
      [3n, 'v3', 'e3', 3n],
      [4n, 'v4', 'e4', 4n],
      [5n, 'v5', 'e5', 5n],
    ]);
  });
});
