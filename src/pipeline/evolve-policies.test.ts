import {rm} from 'node:fs/promises';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import type {ColumnBatch} from '../core/columns.ts';
import type {JsonObject} from '../core/json-value.ts';
import {fromDdl, toDdl} from '../core/schema-ddl.ts';
import {array, decimal, long, string, struct} from '../core/schema.ts';
import type {StructType} from '../core/types.ts';
import {openTable} from '../delta/table.ts';
import type {EngineRow} from '../engine/engine.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd, type TestTable} from '../testkit/run-connector.ts';
import {batches, scriptedConnector, type ScriptedTable} from '../testkit/scripted-connector.ts';
import type {TableConfiguration} from './spec.ts';

let lake: TestLake;
let nowMs = Date.UTC(2030, 0, 1);
beforeEach(async () => {
  nowMs = Date.UTC(2030, 0, 1);
  lake = await openTestLake(undefined, {
    clock: {nowMs: () => nowMs, nowMicros: () => BigInt(nowMs) * 1000n, sleep: () => Promise.resolve()},
  });
});
afterEach(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

type RunOptions = Partial<TestTable> & {readonly fullRefresh?: boolean};

function cdc(
  schema: StructType,
  all: readonly (readonly JsonObject[])[],
  more: Partial<ScriptedTable> = {},
): ScriptedTable {
  return {schema, ingestionType: 'cdc', primaryKeys: ['id'], cursorField: 'at', read: batches(all), ...more};
}

async function run(table: ScriptedTable, options: RunOptions = {}): Promise<TestRunEnd> {
  const {fullRefresh, ...rest} = options;
  return runConnector(lake, {
    ...scriptedConnector({t: table}),
    tables: [{source: 't', ...rest}],
    ...(fullRefresh === undefined ? {} : {fullRefresh}),
  });
}

const configured = (configuration: Partial<TableConfiguration>): RunOptions => ({configuration});

async function rows(): Promise<readonly EngineRow[]> {
  const table = await openTable(lake.context, 'main/test/t');
  return lake.context.engine.query(`SELECT * FROM (${await table?.readSql()}) ORDER BY id`);
}

async function snapshot(): Promise<{
  readonly version: number;
  readonly ddl: string;
  readonly inactive: string | undefined;
}> {
  const table = await openTable(lake.context, 'main/test/t');
  const {version, schema, metadata} = table?.snapshot ?? {
    version: -1,
    schema: struct({}),
    metadata: {configuration: {}},
  };
  return {
    version,
    ddl: toDdl(schema),
    inactive: (metadata.configuration as Record<string, string | undefined>)['sluice.inactiveColumns'],
  };
}

const before = struct({id: long(), n: long(), s: struct({a: long()}), gone: string(), at: long()});
const after = struct({id: long(), n: string(), s: struct({a: long(), b: long()}), fresh: string(), at: long()});
const first: JsonObject = {id: 1, n: 1, s: {a: 1}, gone: 'g', at: 1};

describe('a frozen schema', () => {
  const frozen = configured({schemaEvolution: 'freeze'});

  test('stops the flow before anything is written and names every difference', async () => {
    await run(cdc(before, [[first]]), frozen);
    const {version} = await snapshot();
    const end = await run(cdc(after, [[first], [{id: 2, n: 'x', at: 2}]]), frozen);
    expect(end.flows).toMatchObject([{state: 'FAILED', errorCode: 'INCOMPATIBLE_SCHEMA_CHANGE'}]);
    expect(end.flows[0]?.errorMessage).toBe(
      'The schema of main.test.t is frozen, and its source has another one: "gone" is gone; "n" was BIGINT and is STRING; "s.b" (BIGINT) is new; "fresh" (STRING) is new. Nothing was written.',
    );
    expect(end.flows[0]?.errorFix).toContain('schema_evolution: evolve');
    expect((await snapshot()).version).toBe(version);
  });

  test('holds for snapshots, too, and a full refresh takes the new one', async () => {
    const whole = (schema: StructType, row: JsonObject): ScriptedTable =>
      cdc(schema, [], {ingestionType: 'snapshot', read: () => ({pages: [[row]], end: null})});
    await run(whole(before, first), frozen);
    const changed = whole(after, {id: 2, n: 'x', at: 2});
    expect((await run(changed, frozen)).state).toBe('FAILED');
    expect((await run(changed, {...frozen, fullRefresh: true})).state).toBe('COMPLETED');
    expect((await run(changed, frozen)).state).toBe('COMPLETED');
    expect((await snapshot()).ddl).toContain('n STRING');
  });

  test('goes on when nothing changed, and after a run that took the changes', async () => {
    const added = struct({id: long(), n: long(), s: struct({a: long()}), more: long(), at: long()});
    await run(cdc(before, [[first]]), frozen);
    expect((await run(cdc(before, [[first], [{...first, id: 2, at: 2}]]), frozen)).state).toBe('COMPLETED');
    expect((await run(cdc(added, [[first], [], [{id: 3, at: 3}]]), frozen)).state).toBe('FAILED');
    expect((await run(cdc(added, [[first], [], [{id: 3, at: 3}]]))).state).toBe('COMPLETED');
    expect((await run(cdc(added, [[first], [], [], [{id: 4, at: 4}]]), frozen)).state).toBe('COMPLETED');
    expect((await snapshot()).inactive).toBe('["gone"]');
  });
});

describe('a schema that is kept', () => {
  const kept = configured({schemaEvolution: 'quarantine'});

  test('rescues values of new columns and fields and those that do not fit, and counts them', async () => {
    await run(cdc(before, [[first]]), kept);
    const more: readonly JsonObject[] = [
      {id: 2, n: '7', s: {a: 2, b: 3}, fresh: 'f', at: 2},
      {id: 3, n: 'x', s: {a: 3}, fresh: null, at: 3},
      {id: 4, n: null, s: null, at: 4},
    ];
    const end = await run(cdc(after, [[first], more]), kept);
    expect(end.flows).toMatchObject([{state: 'COMPLETED', rowsInserted: 3, rescuedValues: 3}]);
    expect(end.notes).toMatchObject([{level: 'WARN', code: 'SCHEMA_DIFFERS'}, {code: 'UNKNOWN_FIELD'}]);
    expect((await snapshot()).ddl).toBe(
      'id BIGINT, n BIGINT, s STRUCT<a: BIGINT>, gone STRING, at BIGINT, _rescued_data STRING',
    );
    const landed = await rows();
    expect(landed.map((row) => [row['n'], row['gone'], JSON.parse(String(row['_rescued_data'] ?? 'null'))])).toEqual([
      [1n, 'g', null],
      [7n, null, {'s.b': 3, fresh: 'f'}],
      [null, null, {n: 'x'}],
      [null, null, null],
    ]);
  });

  test('rescues the same of columns in vectors', async () => {
    const text = (values: readonly (string | null)[]): ColumnBatch['columns'][number] => {
      const parts = values.map((value) => Buffer.from(value ?? ''));
      const lengths = Uint32Array.from(parts, (part) => part.length);
      const starts = new Uint32Array(parts.length);
      for (let at = 1; at < parts.length; at++) starts[at] = (starts[at - 1] ?? 0) + (lengths[at - 1] ?? 0);
      const bits = values.reduce((all, value, at) => (value === null ? all : all | (1 << at)), 0);
      return {kind: 'bytes', data: Buffer.concat(parts), starts, lengths, validity: Uint8Array.of(bits)};
    };
    const longs = (values: readonly bigint[]): ColumnBatch['columns'][number] => ({
      kind: 'fixed',
      data: BigInt64Array.from(values),
      validity: null,
    });
    const batch: ColumnBatch = {
      schema: struct({id: long(), n: string(), fresh: string(), at: long()}),
      rowCount: 2,
      columns: [longs([2n, 3n]), text(['5', 'x']), text(['f', null]), longs([2n, 3n])],
    };
    const narrow = struct({id: long(), n: long(), at: long()});
    await run(cdc(narrow, [[{id: 1, n: 1, at: 1}]]), kept);
    const read: ScriptedTable['read'] = (start) =>
      start?.['n'] === 1 ? {pages: [{kind: 'columns', batch}], end: {n: 2}} : {pages: [], end: start};
    const end = await run(cdc(batch.schema, [], {read}), kept);
    expect(end.flows).toMatchObject([{state: 'COMPLETED', rescuedValues: 2}]);
    expect((await rows()).map((row) => [row['n'], row['_rescued_data']])).toEqual([
      [1n, null],
      [5n, '{"fresh":"f"}'],
      [null, '{"n":"x"}'],
    ]);
  });

  test('quarantines rows whose key does not fit any more', async () => {
    await run(cdc(struct({id: long(), at: long()}), [[{id: 1, at: 1}]]), kept);
    const keyed = cdc(struct({id: string(), at: long()}), [
      [],
      [
        {id: '2', at: 2},
        {id: 'x', at: 3},
      ],
    ]);
    expect((await run(keyed, kept)).flows).toMatchObject([{rowsInserted: 1, quarantinedRows: 1}]);
    expect(await rows()).toMatchObject([{id: 1n}, {id: 2n}]);
  });
});

describe('auto_full_refresh_policy', () => {
  const reloading = configured({autoFullRefresh: {minIntervalHours: 24}});
  const changed = (value: unknown): readonly (readonly JsonObject[])[] => [[{id: 1, n: value as string, at: 1}]];
  const of = (type: 'long' | 'string' | 'boolean'): StructType => fromDdl(`id BIGINT, n ${type}, at BIGINT`);

  test('reloads the table in the same update, at most once in its interval', async () => {
    await run(cdc(of('long'), changed(1)), reloading);
    const end = await run(cdc(of('string'), changed('a')), reloading);
    expect(end.flows).toMatchObject([{state: 'COMPLETED'}]);
    expect(end.notes).toMatchObject([{level: 'WARN', code: 'AUTO_FULL_REFRESH'}, {code: 'COLUMN_TYPE_CHANGED'}]);
    expect(await rows()).toMatchObject([{id: 1n, n: 'a'}]);

    nowMs += 23 * 3_600_000;
    // Batches between do not make the policy forget.
    expect((await run(cdc(of('string'), [...changed('a'), [{id: 2, n: 'b', at: 2}]]), reloading)).state).toBe(
      'COMPLETED',
    );
    const soon = await run(cdc(of('boolean'), changed(true)), reloading);
    expect(soon.flows).toMatchObject([{state: 'FAILED', errorCode: 'INCOMPATIBLE_SCHEMA_CHANGE'}]);
    expect(soon.flows[0]?.errorMessage).toContain('2030-01-01T00:00:00.000Z');

    nowMs += 3_600_000;
    expect((await run(cdc(of('boolean'), changed(true)), reloading)).state).toBe('COMPLETED');
    expect(await rows()).toMatchObject([{id: 1n, n: true}]);
  });

  test('goes on with a reload that was interrupted', async () => {
    await run(cdc(of('long'), changed(1)), reloading);
    const failing: ScriptedTable['read'] = (start) =>
      start === null
        ? {pages: [[{id: 1, n: 'a', at: 1}]], end: {n: 1}}
        : {pages: [], end: start, fails: new Error('gone')};
    expect((await run(cdc(of('string'), [], {read: failing}), reloading)).state).toBe('FAILED');
    expect(await rows()).toMatchObject([{n: 1n}]);
    nowMs += 1000;
    const all = [...changed('a'), [{id: 2, n: 'b', at: 2}]];
    expect((await run(cdc(of('string'), all), reloading)).state).toBe('COMPLETED');
    expect(await rows()).toMatchObject([{n: 'a'}, {n: 'b'}]);
    expect((await run(cdc(of('boolean'), changed(true)), reloading)).state).toBe('FAILED');
  });

  test('leaves a table with history alone', async () => {
    const history = configured({...reloading.configuration, scdType: 'SCD_TYPE_2'});
    await run(cdc(of('long'), changed(1)), history);
    const end = await run(cdc(of('string'), changed('a')), history);
    expect(end.flows).toMatchObject([{state: 'FAILED', errorCode: 'INCOMPATIBLE_SCHEMA_CHANGE'}]);
    expect(end.flows[0]?.errorFix).toContain('history');
  });
});

describe('hints', () => {
  const source = struct({
    id: long(),
    amount: string(),
    home: struct({zip: string(), city: string()}),
    items: array(struct({price: string(), n: long()})),
    at: long(),
  });
  const row: JsonObject = {
    id: 1,
    amount: '1.50',
    home: {zip: '012', city: 'x'},
    items: [{price: '2.25', n: 1}],
    at: 1,
  };

  test('declare types of columns and of what is inside; misfits are rescued', async () => {
    const hints = configured({
      schemaHints: fromDdl(
        "amount DECIMAL(10,2) COMMENT 'net', `home.zip` INT, items ARRAY<STRUCT<price: DECIMAL(6,2)>>",
      ),
    });
    const end = await run(cdc(source, [[row, {...row, id: 2, amount: 'many', at: 2}]]), hints);
    expect(end.flows).toMatchObject([{state: 'COMPLETED', rescuedValues: 1}]);
    expect((await snapshot()).ddl).toBe(
      "id BIGINT, amount DECIMAL(10,2) COMMENT 'net', home STRUCT<zip: INT, city: STRING>, items ARRAY<STRUCT<price: DECIMAL(6,2), n: BIGINT>>, at BIGINT, _rescued_data STRING",
    );
    expect((await rows()).map((each) => each['_rescued_data'])).toEqual([null, '{"amount":"many"}']);
  });

  test('of columns that do not exist are refused, unless the schema is inferred', async () => {
    const misspelt = configured({schemaHints: struct({amonut: decimal(10, 2)})});
    const end = await run(cdc(source, [[row]]), misspelt);
    expect(end.flows).toMatchObject([
      {state: 'FAILED', errorCode: 'UNKNOWN_COLUMN', errorFix: 'Did you mean "amount"?'},
    ]);
    const inner = configured({schemaHints: fromDdl('home STRUCT<zipp: INT>')});
    expect((await run(cdc(source, [[row]]), inner)).flows).toMatchObject([{errorFix: 'Did you mean "zip"?'}]);
    const inferred = cdc(source, [[{...row, amonut: '3.5'}]], {metadata: {schemaInferred: true}});
    expect((await run(inferred, misspelt)).state).toBe('COMPLETED');
    expect((await rows())[0]).toMatchObject({amonut: {}});
  });

  test('that come later are a change of type', async () => {
    await run(cdc(source, [[row]]));
    const hints = configured({schemaHints: struct({amount: decimal(10, 2)})});
    const end = await run(cdc(source, [[row], [{...row, id: 2, at: 2}]]), hints);
    expect(end.flows).toMatchObject([{state: 'FAILED', errorCode: 'INCOMPATIBLE_SCHEMA_CHANGE'}]);
    expect((await run(cdc(source, [[row]]), {...hints, fullRefresh: true})).state).toBe('COMPLETED');
    expect((await snapshot()).ddl).toContain('amount DECIMAL(10,2)');
  });

  test('keep a type that the source gave up', async () => {
    await run(cdc(struct({id: long(), n: long(), at: long()}), [[{id: 1, n: 1, at: 1}]]));
    const hints = configured({schemaHints: struct({n: long()})});
    const changed = cdc(struct({id: long(), n: string(), at: long()}), [
      [],
      [
        {id: 2, n: '2', at: 2},
        {id: 3, n: 'x', at: 3},
      ],
    ]);
    expect((await run(changed, hints)).flows).toMatchObject([{state: 'COMPLETED', rescuedValues: 1}]);
    expect((await rows()).map((each) => each['n'])).toEqual([1n, 2n, null]);
  });
});
