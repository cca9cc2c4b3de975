import {rm} from 'node:fs/promises';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import type {ColumnBatch} from '../core/columns.ts';
import type {JsonObject} from '../core/json-value.ts';
import {toDdl} from '../core/schema-ddl.ts';
import {array, boolean, date, double, integer, long, map, string, struct, timestampNtz} from '../core/schema.ts';
import type {StructType} from '../core/types.ts';
import {openTable} from '../delta/table.ts';
import type {EngineRow} from '../engine/engine.ts';
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

/** A source whose batches are read one after the other; tests change the schema between runs. */
class Source {
  readonly all: (readonly JsonObject[])[] = [];
  readonly table: ScriptedTable;

  constructor(schema: StructType, more: Partial<ScriptedTable> = {}) {
    this.table = {
      schema,
      ingestionType: 'cdc',
      primaryKeys: ['id'],
      cursorField: 'at',
      read: (start) => batches(this.all)(start),
      ...more,
    };
  }

  async run(
    rows: readonly JsonObject[],
    options: Partial<TestTable> & {readonly schema?: StructType; readonly fullRefresh?: boolean} = {},
  ): Promise<TestRunEnd> {
    const {schema, fullRefresh, ...table} = options;
    if (schema !== undefined) this.table.schema = schema;
    if (rows.length > 0) this.all.push(rows);
    return runConnector(lake, {
      ...scriptedConnector({t: this.table}),
      tables: [{source: 't', ...table}],
      ...(fullRefresh === undefined ? {} : {fullRefresh}),
    });
  }
}

async function table(): Promise<NonNullable<Awaited<ReturnType<typeof openTable>>>> {
  const opened = await openTable(lake.context, 'main/test/t');
  if (opened === null) throw new Error('no table');
  return opened;
}

async function rows(): Promise<readonly EngineRow[]> {
  return lake.context.engine.query(`SELECT * FROM (${await (await table()).readSql()}) ORDER BY id`);
}

async function ddl(): Promise<string> {
  return toDdl((await table()).snapshot.schema);
}

function codes({notes}: TestRunEnd): readonly string[] {
  return notes.map((note) => note.code);
}

const base = struct({id: long(), name: string(), at: long()});

describe('columns', () => {
  test("that are new follow those that are there, in the source's order, before technical ones", async () => {
    const source = new Source(base);
    await source.run([{id: 1, name: 'a', at: 1}]);
    const wider = struct({z: string(), id: long(), b: long(), name: string(), a: long(), at: long()});
    const end = await source.run([{z: 'z', id: 2, b: 5, name: 'b', a: 6, at: 2}], {schema: wider});
    expect(end.state).toBe('COMPLETED');
    expect(codes(end)).toEqual(['COLUMNS_ADDED']);
    expect(end.notes[0]?.message).toBe('New columns: z, b, a.');
    expect((await table()).snapshot.schema.fields.map(({name}) => name)).toEqual([
      'id',
      'name',
      'at',
      'z',
      'b',
      'a',
      '_rescued_data',
    ]);
    expect(await rows()).toMatchObject([
      {id: 1n, z: null, b: null, a: null},
      {id: 2n, z: 'z', b: 5n, a: 6n},
    ]);
  });

  test('that are dropped stay and are NULL from then on, and are used again when they return', async () => {
    const source = new Source(base);
    await source.run([{id: 1, name: 'a', at: 1}]);
    const narrow = struct({id: long(), at: long()});
    const dropped = await source.run([{id: 2, at: 2}], {schema: narrow});
    expect(dropped.notes).toMatchObject([{level: 'INFO', code: 'COLUMN_DROPPED'}]);
    expect((await table()).snapshot.metadata.configuration['sluice.inactiveColumns']).toBe('["name"]');
    expect(codes(await source.run([{id: 3, at: 3}]))).toEqual([]);
    expect(await rows()).toMatchObject([{name: 'a'}, {name: null}, {name: null}]);
    const revived = await source.run([{id: 4, name: 'd', at: 4}], {schema: base});
    expect(revived.notes).toMatchObject([{level: 'INFO', code: 'COLUMN_REVIVED'}]);
    expect((await table()).snapshot.metadata.configuration['sluice.inactiveColumns']).toBeUndefined();
    expect(await rows()).toMatchObject([{name: 'a'}, {name: null}, {name: null}, {name: 'd'}]);
  });

  test('that come back with another type are told of, and stop the flow', async () => {
    const source = new Source(base);
    await source.run([{id: 1, name: 'a', at: 1}]);
    await source.run([{id: 2, at: 2}], {schema: struct({id: long(), at: long()})});
    const back = struct({id: long(), name: boolean(), at: long()});
    const end = await source.run([{id: 3, name: true, at: 3}], {schema: back});
    expect(end.flows).toMatchObject([{state: 'FAILED', errorCode: 'INCOMPATIBLE_SCHEMA_CHANGE'}]);
    const refreshed = await source.run([], {fullRefresh: true});
    expect(refreshed.notes).toMatchObject([{level: 'WARN', code: 'COLUMN_REVIVED'}, {code: 'COLUMN_TYPE_CHANGED'}]);
    expect(await ddl()).toContain('name BOOLEAN');
  });

  test('that are not selected any more are like dropped ones', async () => {
    const source = new Source(base);
    await source.run([{id: 1, name: 'a', at: 1}]);
    const end = await source.run([{id: 2, name: 'b', at: 2}], {configuration: {excludeColumns: ['name']}});
    expect(codes(end)).toEqual(['COLUMN_DROPPED']);
    expect(codes(await source.run([{id: 3, name: 'c', at: 3}]))).toEqual(['COLUMN_REVIVED']);
    expect(await rows()).toMatchObject([{name: 'a'}, {name: null}, {name: 'c'}]);
  });
});

describe('nested types', () => {
  const address = struct({zip: string().notNull(), city: string()});
  const before = struct({
    id: long(),
    home: address,
    all: array(address),
    by: map(string(), address),
    at: long(),
  });

  test('gain and lose fields at any depth without a reload', async () => {
    const source = new Source(before);
    const old = {zip: '1', city: 'x'};
    await source.run([{id: 1, home: old, all: [old], by: {k: old}, at: 1}]);
    const moved = struct({
      street: string(),
      zip: string(),
      deep: struct({n: integer(), more: array(struct({q: long()}))}),
    });
    const after = struct({id: long(), home: moved, all: array(moved), by: map(string(), moved), at: long()});
    const value = {street: 's', zip: null, deep: {n: 1, more: [{q: 2}]}};
    const end = await source.run([{id: 2, home: value, all: [value], by: {k: value}, at: 2}], {schema: after});
    expect(end.state).toBe('COMPLETED');
    expect(end.notes.map(({message}) => message)).toEqual([
      'New columns: home.street, home.deep, all[].street, all[].deep, by[].street, by[].deep.',
      expect.stringContaining('"home.city"'),
      expect.stringContaining('"all[].city"'),
      expect.stringContaining('"by[].city"'),
    ]);
    const fields = 'zip: STRING, city: STRING, street: STRING, deep: STRUCT<n: INT, more: ARRAY<STRUCT<q: BIGINT>>>';
    expect(await ddl()).toBe(
      `id BIGINT, home STRUCT<${fields}>, all ARRAY<STRUCT<${fields}>>, by MAP<STRING, STRUCT<${fields}>>, at BIGINT, _rescued_data STRING`,
    );
    const text = await lake.context.engine.query(
      `SELECT CAST(to_json(home) AS VARCHAR) AS home, CAST(to_json("all") AS VARCHAR) AS a FROM (${await (await table()).readSql()}) ORDER BY id`,
    );
    expect(text.map((row) => JSON.parse(String(row['home'])))).toEqual([
      {zip: '1', city: 'x', street: null, deep: null},
      {zip: null, city: null, street: 's', deep: {n: 1, more: [{q: 2}]}},
    ]);
    expect(codes(await source.run([{id: 3, home: value, all: [], by: {}, at: 3}]))).toEqual([]);
  });

  test('that are no structs any more are incompatible', async () => {
    const source = new Source(before);
    await source.run([{id: 1, home: {zip: '1'}, at: 1}]);
    const end = await source.run([], {schema: struct({...nothing, home: string()})});
    expect(end.flows[0]?.errorMessage).toContain('"home" was STRUCT<zip: STRING NOT NULL, city: STRING> and is STRING');
  });

  const nothing = {id: long(), all: array(address), by: map(string(), address), at: long()};
});

describe('types', () => {
  const widening = {configuration: {tableProperties: {'delta.enableTypeWidening': 'true'}}};
  const narrow = struct({id: integer(), n: integer(), s: struct({f: integer()}), d: date(), at: long()});
  const wide = struct({id: long(), n: long(), s: struct({f: long()}), d: timestampNtz(), at: long()});

  test('become wider in place where the table allows it', async () => {
    const source = new Source(narrow);
    await source.run([{id: 1, n: 1, s: {f: 1}, d: '2024-01-31', at: 1}], widening);
    const files = (await table()).snapshot.files.size;
    const end = await source.run([{id: 2, n: 2 ** 40, s: {f: 2 ** 41}, d: '2024-02-01T10:00:00', at: 2}], {
      ...widening,
      schema: wide,
    });
    expect(end.flows).toMatchObject([{state: 'COMPLETED', rowsInserted: 1}]);
    expect(codes(end)).toEqual(Array.from({length: 4}, () => 'COLUMN_TYPE_CHANGED'));
    expect(await ddl()).toBe(
      'id BIGINT, n BIGINT, s STRUCT<f: BIGINT>, d TIMESTAMP_NTZ, at BIGINT, _rescued_data STRING',
    );
    expect((await table()).snapshot.files.size).toBe(files + 1);
    expect(await rows()).toMatchObject([
      {id: 1n, n: 1n},
      {id: 2n, n: 2n ** 40n},
    ]);
    // A key that was written as INT is found as BIGINT.
    expect((await source.run([{id: 1, n: 5, s: null, d: null, at: 3}], widening)).flows).toMatchObject([
      {rowsUpdated: 1},
    ]);
    expect(await rows()).toMatchObject([{n: 5n}, {n: 2n ** 40n}]);
  });

  test('stop the flow where the table does not allow it', async () => {
    const source = new Source(narrow);
    await source.run([{id: 1, n: 1, s: {f: 1}, d: '2024-01-31', at: 1}]);
    const {version} = (await table()).snapshot;
    const end = await source.run([{id: 2, n: 2, at: 2}], {schema: wide});
    expect(end.flows).toMatchObject([{state: 'FAILED', errorCode: 'INCOMPATIBLE_SCHEMA_CHANGE'}]);
    expect(end.flows[0]?.errorMessage).toContain(
      '"id" was INT and is BIGINT; "n" was INT and is BIGINT; "s.f" was INT',
    );
    expect((await table()).snapshot.version).toBe(version);
  });

  test('that became narrower change nothing', async () => {
    const source = new Source(wide);
    await source.run([{id: 1, n: 1, s: {f: 1}, d: '2024-01-31T00:00:00', at: 1}]);
    const before = await ddl();
    const end = await source.run([{id: 2, n: 2, s: {f: 2}, at: 2}], {schema: struct({...narrowed, d: timestampNtz()})});
    expect(end.flows).toMatchObject([{state: 'COMPLETED', rowsInserted: 1}]);
    expect(codes(end)).toEqual([]);
    expect(await ddl()).toBe(before);
  });

  const narrowed = {id: integer(), n: integer(), s: struct({f: integer()}), at: long()};

  test('of columns that a connector gives as vectors are converted by the same rules', async () => {
    const columns = (ids: readonly number[], values: readonly number[]): ColumnBatch => ({
      schema: struct({id: integer(), v: double(), at: long()}),
      rowCount: ids.length,
      columns: [
        {kind: 'fixed', data: Int32Array.from(ids), validity: null},
        {kind: 'fixed', data: Float64Array.from(values), validity: null},
        {kind: 'fixed', data: BigInt64Array.from(ids, BigInt), validity: null},
      ],
    });
    const pages = {
      read: (start: unknown) =>
        start === null
          ? {pages: [{kind: 'columns' as const, batch: columns([1, 2, 3], [1, 2.5, 3])}], end: {n: 1}}
          : {pages: [], end: {n: 1}},
    };
    const source = new Source(struct({id: integer(), v: double(), at: long()}), pages);
    const end = await source.run([], {configuration: {schemaHints: struct({v: long(), id: long()})}});
    expect(end.flows).toMatchObject([{state: 'COMPLETED', rescuedValues: 1}]);
    expect(await rows()).toMatchObject([
      {id: 1n, v: 1n, _rescued_data: null},
      {id: 2n, v: null, _rescued_data: '{"v":2.5}'},
      {id: 3n, v: 3n, _rescued_data: null},
    ]);
  });
});

describe('names', () => {
  const twins = struct({id: long(), Name: string(), name: string(), at: long()});

  test('that differ by case only both land, and stay where they are', async () => {
    const source = new Source(twins);
    const end = await source.run([{id: 1, Name: 'A', name: 'a', at: 1}]);
    expect(end.notes).toMatchObject([{level: 'WARN', code: 'COLUMN_NAMED_APART'}]);
    expect(await rows()).toMatchObject([{Name: 'A', name_2: 'a'}]);
    const turned = struct({id: long(), name: string(), Name: string(), at: long()});
    const next = await source.run([{id: 2, Name: 'B', name: 'b', at: 2}], {schema: turned});
    expect(codes(next)).toEqual([]);
    expect(await rows()).toMatchObject([
      {Name: 'A', name_2: 'a'},
      {Name: 'B', name_2: 'b'},
    ]);
    // Even when the first of them is gone, and through a full refresh.
    await source.run([{id: 3, name: 'c', at: 3}], {schema: struct({id: long(), name: string(), at: long()})});
    expect((await rows())[2]).toMatchObject({Name: null, name_2: 'c'});
    await source.run([], {schema: twins, fullRefresh: true});
    expect(await rows()).toMatchObject([{Name: 'A', name_2: 'a'}, {Name: 'B', name_2: 'b'}, {name_2: 'c'}]);
  });

  test("of filters, keys and sequences are the source's", async () => {
    const source = new Source(struct({Id: long(), id: long(), AT: long(), at: long(), x: string()}), {
      primaryKeys: ['id'],
      cursorField: 'at',
    });
    const options = {configuration: {rowFilter: 'id > 0 AND at < 100', excludeColumns: ['x']}};
    await source.run(
      [
        {Id: 9, id: 1, AT: 200, at: 1, x: 'a'},
        {Id: 9, id: -1, AT: 2, at: 2, x: 'b'},
        {Id: 9, id: 2, AT: 3, at: 300, x: 'c'},
      ],
      options,
    );
    await source.run([{Id: 8, id: 1, AT: 0, at: 5, x: 'd'}], options);
    expect(await rows()).toEqual([{Id: 8n, id_2: 1n, AT: 0n, at_2: 5n, _rescued_data: null}]);
  });

  test('whose case changed keep their column and its rows', async () => {
    const source = new Source(base);
    await source.run([{id: 1, name: 'a', at: 1}]);
    const end = await source.run([{ID: 2, NAME: 'b', at: 2}], {
      schema: struct({ID: long(), NAME: string(), at: long()}),
    });
    expect(end.flows).toMatchObject([{state: 'FAILED'}]);
    source.all.pop();
    const recased = new Source(struct({ID: long(), NAME: string(), at: long()}), {primaryKeys: ['ID']});
    recased.all.push(
      [],
      [
        {ID: 2, NAME: 'b', at: 2},
        {ID: 1, NAME: 'c', at: 3},
      ],
    );
    expect((await recased.run([])).flows).toMatchObject([{state: 'COMPLETED', rowsInserted: 1, rowsUpdated: 1}]);
    expect(await rows()).toEqual([
      {id: 1n, name: 'c', at: 3n, _rescued_data: null},
      {id: 2n, name: 'b', at: 2n, _rescued_data: null},
    ]);
  });

  test('with blanks, dots and other characters land', async () => {
    const odd = struct({id: long(), 'a b': string(), 'c.d': long(), 'e,;{}()=': string(), at: long()});
    const source = new Source(odd);
    const first = {id: 1, 'a b': 'x', 'c.d': 5, 'e,;{}()=': 'y', at: 1};
    const end = await source.run([first], {configuration: {rowFilter: '`c.d` > 1'}});
    expect(end.flows).toMatchObject([{state: 'COMPLETED'}]);
    await source.run(
      [
        {...first, 'c.d': 1},
        {...first, id: 2, 'c.d': 7, at: 2},
      ],
      {configuration: {rowFilter: '`c.d` > 1'}},
    );
    expect(await rows()).toMatchObject([{'a b': 'x', 'c.d': 5n, 'e,;{}()=': 'y'}, {'c.d': 7n}]);
    expect((await table()).snapshot.metadata.configuration['delta.columnMapping.mode']).toBe('name');
    const more = await source.run([{...first, id: 3, at: 3, 'f g': 1}], {schema: struct({...odd0, 'f g': long()})});
    expect(more.flows).toMatchObject([{state: 'COMPLETED'}]);
    expect((await rows())[2]).toMatchObject({'f g': 1n});
  });

  const odd0 = {id: long(), 'a b': string(), 'c.d': long(), 'e,;{}()=': string(), at: long()};

  test('that a table without column mapping cannot have stop the flow before anything is written', async () => {
    const source = new Source(base);
    await source.run([{id: 1, name: 'a', at: 1}]);
    const {version} = (await table()).snapshot;
    const end = await source.run([{id: 2, 'a b': 1, at: 2}], {
      schema: struct({id: long(), name: string(), 'a b': long(), at: long()}),
    });
    expect(end.flows).toMatchObject([{state: 'FAILED', errorCode: 'INVALID_SCHEMA'}]);
    expect((await table()).snapshot.version).toBe(version);
    expect(end.flows[0]?.errorFix).toContain('delta.columnMapping.mode');
    const mapped = await source.run([], {configuration: {tableProperties: {'delta.columnMapping.mode': 'name'}}});
    expect(mapped.flows).toMatchObject([{state: 'COMPLETED', rowsInserted: 1}]);
    expect(await rows()).toMatchObject([
      {name: 'a', 'a b': null},
      {name: null, 'a b': 1n},
    ]);
  });
});
