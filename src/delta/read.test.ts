import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import fc from 'fast-check';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {schemaToJson} from '../core/schema-json.ts';
import * as t from '../core/schema.ts';
import type {StructType} from '../core/types.ts';
import type {EngineRow} from '../engine/engine.ts';
import type {AddFile} from './actions.ts';
import type {DeltaTable, ReadOptions} from './delta-table.ts';
import type {Lake} from './lake.ts';
import {openLake} from './lake.ts';

const signal = new AbortController().signal;

let folder: string;
let lake: Lake;
let tableCount = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-read-'));
  lake = await openLake(folder, {memoryLimitMb: 512});
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

const freshRoot = (): string => `main/raw/t${tableCount++}`;

async function rows(table: DeltaTable, options?: ReadOptions): Promise<readonly EngineRow[]> {
  return lake.engine.query(`FROM (${await table.readSql(options)}) ORDER BY ALL`);
}

async function write(
  table: DeltaTable,
  select: string,
  schema: StructType = table.snapshot.schema,
): Promise<readonly AddFile[]> {
  const adds = await table.writeFiles({select, schema}, signal);
  await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
  return adds;
}

async function remove(table: DeltaTable, deletions: ReadonlyMap<string, readonly number[]>): Promise<void> {
  const gone = await table.writeDeletions(deletions, signal);
  await table.commit({base: table.snapshot, operation: 'DELETE', ...gone, blindAppend: false});
}

/** A file of another writer: its own types and columns, no statistics. */
async function addForeign(table: DeltaTable, path: string, select: string, more: Partial<AddFile> = {}): Promise<void> {
  const staged = await lake.store.stage(`${table.root}/${decodeURIComponent(path)}`);
  await lake.engine.run(`COPY (${select}) TO '${staged.localPath}' (FORMAT parquet)`);
  const size = await staged.seal(signal);
  const add: AddFile = {path, partitionValues: {}, size, modificationTime: 0, dataChange: true, ...more};
  await table.commit({base: table.snapshot, operation: 'WRITE', adds: [add], blindAppend: true});
}

type Step =
  | {readonly kind: 'append'; readonly count: number}
  | {readonly kind: 'delete'; readonly file: number; readonly every: number; readonly from: number}
  | {readonly kind: 'column'}
  | {readonly kind: 'reopen'};

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {weight: 4, arbitrary: fc.record({kind: fc.constant('append' as const), count: fc.integer({min: 1, max: 3000})})},
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('delete' as const),
      file: fc.nat(20),
      every: fc.constantFrom(1, 2, 3, 50),
      from: fc.nat(2000),
    }),
  },
  {weight: 1, arbitrary: fc.constant({kind: 'column' as const})},
  {weight: 1, arbitrary: fc.constant({kind: 'reopen' as const})},
);

/** What the table must hold: by path the ids of its rows, null where one is gone, and how many columns the file has. */
interface Model {
  readonly files: Map<string, {readonly ids: (number | null)[]; readonly columns: number}>;
  nextId: number;
  columns: number;
}

function schemaOf(columns: number): StructType {
  const more = Array.from({length: columns}, (_, index) => [`c${index}`, t.string()] as const);
  return t.struct({id: t.long(), ...Object.fromEntries(more)});
}

async function apply(table: DeltaTable, model: Model, step: Step): Promise<DeltaTable> {
  switch (step.kind) {
    case 'append': {
      const ids = Array.from({length: step.count}, (_, index) => model.nextId + index);
      const columns = Array.from({length: model.columns}, (_, index) => `'v' || i AS c${index}`);
      const select = `SELECT ${['i::BIGINT AS id', ...columns].join(', ')} FROM range(${model.nextId}, ${model.nextId + step.count}) AS r(i) ORDER BY i`;
      const [add] = await write(table, select);
      model.files.set(add?.path ?? '', {ids, columns: model.columns});
      model.nextId += step.count;
      return table;
    }
    case 'delete': {
      const [path, file] = [...model.files][step.file % Math.max(1, model.files.size)] ?? [];
      if (path === undefined || file === undefined) return table;
      const positions = file.ids.flatMap((_, position) =>
        position >= step.from % file.ids.length && (position - step.from) % step.every === 0 ? [position] : [],
      );
      await remove(table, new Map([[path, positions]]));
      for (const position of positions) file.ids[position] = null;
      if (file.ids.every((id) => id === null)) model.files.delete(path);
      return table;
    }
    case 'column': {
      model.columns++;
      const metadata = {...table.snapshot.metadata, schemaString: schemaToJson(schemaOf(model.columns))};
      await table.commit({base: table.snapshot, operation: 'ADD COLUMNS', metadata, blindAppend: true});
      return table;
    }
    case 'reopen':
      return (await lake.open(table.root)) ?? table;
  }
}

function expectedRows(model: Model): string[] {
  return [...model.files]
    .flatMap(([path, {ids, columns}]) =>
      ids.flatMap((id, position) =>
        id === null ? [] : [`${path}/${position}/${id}/${columns > 0 ? `v${id}` : null}`],
      ),
    )
    .sort();
}

describe('reading a table', () => {
  it('gives the live rows after any order of appends, deletes and new columns', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, {maxLength: 14}), async (steps) => {
        let table = await lake.create(freshRoot(), {schema: schemaOf(0), deletionVectors: true});
        const model: Model = {files: new Map(), nextId: 0, columns: 0};
        for (const step of steps) table = await apply(table, model, step);
        expect(new Set(table.snapshot.files.keys())).toEqual(new Set(model.files.keys()));
        const found = (await rows(table, {positions: true})).map(
          (row) => `${String(row['__file'])}/${String(row['__pos'])}/${String(row['id'])}/${String(row['c0'] ?? null)}`,
        );
        expect(found.sort()).toEqual(expectedRows(model));
        const plain = await rows(table, {columns: ['id']});
        expect(plain).toHaveLength(found.length);
        for (const add of table.snapshot.files.values()) {
          const live = model.files.get(add.path)?.ids.filter((id) => id !== null).length ?? 0;
          expect(
            (JSON.parse(add.stats ?? '{}') as {numRecords: number}).numRecords - (add.deletionVector?.cardinality ?? 0),
          ).toBe(live);
        }
      }),
      {numRuns: 12},
    );
  }, 60_000);

  it('gives no rows of an empty table, with the right columns and types', async () => {
    const table = await lake.create(freshRoot(), {schema: t.struct({id: t.long(), at: t.timestamp()})});
    expect(await rows(table, {positions: true})).toEqual([]);
    const types = await lake.engine.query(`DESCRIBE ${await table.readSql({columns: ['at', 'id']})}`);
    expect(types.map((row) => [row['column_name'], row['column_type']])).toEqual([
      ['at', 'TIMESTAMP WITH TIME ZONE'],
      ['id', 'BIGINT'],
    ]);
    await expect(table.readSql({columns: ['nothing']})).rejects.toMatchObject({code: 'UNKNOWN_COLUMN'});
  });

  it('casts what other writers wrote to the types of the table and fills what they left out', async () => {
    const nested = t.struct({x: t.long(), y: t.string()});
    const schema = t.struct({id: t.long(), at: t.timestamp(), s: nested, l: t.array(nested), d: t.decimal(18, 2)});
    const table = await lake.create(freshRoot(), {schema});
    await addForeign(
      table,
      'a.parquet',
      "SELECT 1::INTEGER AS id, TIMESTAMP '2024-01-01 00:00:00' AS at, {x: 1::SMALLINT} AS s, [{x: 7}] AS l",
    );
    await addForeign(table, 'b.parquet', 'SELECT 2::BIGINT AS ID, 1.5::DECIMAL(10, 1) AS d, 5 AS unknown');
    expect(await rows(table)).toEqual([
      {id: 1n, at: 1_704_067_200_000_000n, s: {x: 1n, y: null}, l: [{x: 7n, y: null}], d: null},
      {id: 2n, at: null, s: null, l: null, d: '1.50'},
    ]);
  });

  it('names files as the log does, whatever characters their paths have', async () => {
    const table = await lake.create(freshRoot(), {schema: t.struct({id: t.long()}), deletionVectors: true});
    const path = 'a%20b/%C3%BC%25/c%2Bd.parquet';
    await addForeign(table, path, 'SELECT 1::BIGINT AS id FROM range(3)');
    await addForeign(table, 'plain.parquet', 'SELECT 2::BIGINT AS id');
    expect(await rows(table, {positions: true})).toEqual([
      {id: 1n, __file: path, __pos: 0n},
      {id: 1n, __file: path, __pos: 1n},
      {id: 1n, __file: path, __pos: 2n},
      {id: 2n, __file: 'plain.parquet', __pos: 0n},
    ]);
    await remove(table, new Map([[path, [1]]]));
    expect((await rows(table, {positions: true, files: [path]})).map((row) => row['__pos'])).toEqual([0n, 2n]);
    expect(JSON.parse(table.snapshot.files.get(path)?.stats ?? '')).toEqual({numRecords: 3, tightBounds: false});
  });

  it('tells files apart when a column is called filename', async () => {
    const table = await lake.create(freshRoot(), {schema: t.struct({filename: t.string()})});
    const [add] = await write(table, "SELECT 'x' AS filename");
    expect(await rows(table, {positions: true})).toEqual([{filename: 'x', __file: add?.path, __pos: 0n}]);
  });

  it('keeps reading an older snapshot while newer ones delete rows', async () => {
    const table = await lake.create(freshRoot(), {schema: t.struct({id: t.long()}), deletionVectors: true});
    const [add] = await write(table, 'SELECT i::BIGINT AS id FROM range(4) AS r(i) ORDER BY i');
    await remove(table, new Map([[add?.path ?? '', [0]]]));
    const snapshot = table.snapshot;
    const sql = await table.readSql();
    await remove(table, new Map([[add?.path ?? '', [1]]]));
    expect(await rows(table)).toEqual([{id: 2n}, {id: 3n}]);
    expect(await rows(table, {snapshot})).toEqual([{id: 1n}, {id: 2n}, {id: 3n}]);
    expect(await lake.engine.query(`SELECT count(*) AS n FROM (${sql})`)).toEqual([{n: 3n}]);
  });
});

describe('deleting rows', () => {
  it('leaves alone files that lose nothing new, and removes those that lose all', async () => {
    const table = await lake.create(freshRoot(), {schema: t.struct({id: t.long()}), deletionVectors: true});
    const [add] = await write(table, 'SELECT i::BIGINT AS id FROM range(3) AS r(i)');
    const path = add?.path ?? '';
    await remove(table, new Map([[path, [1]]]));
    expect(await table.writeDeletions(new Map([[path, [1]]]), signal)).toEqual({adds: [], removes: []});
    const last = await table.writeDeletions(new Map([[path, [0, 2]]]), signal);
    expect(last.adds).toEqual([]);
    expect(last.removes).toMatchObject([{path, deletionVector: {cardinality: 1}, extendedFileMetadata: true}]);
  });

  it('refuses positions that are not ascending, not in the file, or of no live file', async () => {
    const table = await lake.create(freshRoot(), {schema: t.struct({id: t.long()}), deletionVectors: true});
    const [add] = await write(table, 'SELECT i::BIGINT AS id FROM range(3) AS r(i)');
    const path = add?.path ?? '';
    for (const positions of [[1, 0], [1, 1], [3], [-1], [0.5]]) {
      await expect(table.writeDeletions(new Map([[path, positions]]), signal)).rejects.toThrow(RangeError);
    }
    await expect(table.writeDeletions(new Map([['other', [0]]]), signal)).rejects.toThrow(RangeError);
  });

  it('is refused with a name when a vector is damaged or missing', async () => {
    const table = await lake.create(freshRoot(), {schema: t.struct({id: t.long()}), deletionVectors: true});
    const [add] = await write(table, 'SELECT i::BIGINT AS id FROM range(9) AS r(i)');
    await remove(table, new Map([[add?.path ?? '', [1, 5]]]));
    const names: string[] = [];
    for await (const info of lake.store.list(`${table.root}/deletion_vector_`)) names.push(info.name);
    const name = names[0] ?? '';
    const bytes = Uint8Array.from((await lake.store.get(name)) ?? []);
    const reopened = async (): Promise<string> => (await lake.open(table.root))?.readSql() ?? '';
    bytes[bytes.length - 6] = (bytes[bytes.length - 6] ?? 0) ^ 1;
    await lake.store.put(name, bytes);
    await expect(reopened()).rejects.toMatchObject({
      code: 'CORRUPT_LOG',
      message: expect.stringContaining(name) as string,
    });
    await lake.store.delete(name);
    await expect(reopened()).rejects.toMatchObject({code: 'CORRUPT_LOG'});
  });
});

describe('partitioned tables', () => {
  const schema = t.struct({id: t.long(), day: t.date(), kind: t.string()});
  const select = `SELECT i::BIGINT AS id, DATE '2024-01-01' + (i % 2)::INTEGER AS day, CASE i % 3 WHEN 0 THEN 'a/b c' WHEN 1 THEN NULL ELSE '%ü' END AS kind FROM range(12) AS r(i)`;

  it('have a file per partition and give the values back', async () => {
    const table = await lake.create(freshRoot(), {schema, partitionColumns: ['day', 'kind'], deletionVectors: true});
    const adds = await write(table, select);
    expect(adds).toHaveLength(6);
    expect(new Set(adds.map((add) => JSON.stringify(add.partitionValues)))).toContain(
      '{"day":"2024-01-02","kind":"%ü"}',
    );
    const expected = await lake.engine.query(`FROM (${select}) ORDER BY ALL`);
    expect(await rows(table)).toEqual(expected);
    expect(await rows(table, {columns: ['id']})).toHaveLength(12);
    const [first] = adds;
    await remove(table, new Map([[first?.path ?? '', [0]]]));
    expect(await rows(table)).toHaveLength(11);
    expect((await rows(table, {positions: true, files: [first?.path ?? '']}))[0]).toMatchObject({
      __file: first?.path,
      __pos: 1n,
    });
    expect(await rows((await lake.open(table.root)) ?? table, {columns: ['kind', 'id']})).toHaveLength(11);
  });

  it('are pruned by partition', async () => {
    const table = await lake.create(freshRoot(), {schema, partitionColumns: ['day', 'kind']});
    await write(table, select);
    const day = 19_723;
    expect(table.filesInRange('day', day, day)).toHaveLength(3);
    expect(table.filesInRange('day', day + 2, day + 9)).toHaveLength(0);
    expect(table.filesInRange('kind', 'a', 'b')).toHaveLength(2);
  });
});

describe('pruning by statistics', () => {
  const schema = t.struct({
    l: t.long(),
    d: t.decimal(20, 3),
    f: t.double(),
    s: t.string(),
    day: t.date(),
    at: t.timestamp(),
    n: t.struct({x: t.integer()}),
  });
  const anyRow = fc.record({
    l: fc.option(fc.oneof(fc.integer(), fc.bigInt({min: -(2n ** 63n), max: 2n ** 63n - 1n}))),
    d: fc.option(fc.bigInt({min: -(10n ** 19n), max: 10n ** 19n})),
    f: fc.option(fc.oneof(fc.double({noNaN: false}), fc.integer({min: -3, max: 3}))),
    s: fc.option(fc.string({unit: 'grapheme', maxLength: 50})),
    day: fc.option(fc.integer({min: -800_000, max: 3_000_000})),
    at: fc.option(fc.bigInt({min: -(10n ** 16n), max: 10n ** 17n})),
    x: fc.option(fc.integer({min: -5, max: 5})),
  });
  const rowSql = (row: typeof anyRow extends fc.Arbitrary<infer R> ? R : never): string => {
    const text = row.s === null ? 'NULL' : `'${row.s.replaceAll("'", "''").replaceAll('\0', '')}'`;
    const decimal =
      row.d === null
        ? 'NULL'
        : `'${row.d / 1000n}.${String(row.d % 1000n)
            .replace('-', '')
            .padStart(3, '0')}'`;
    const float = row.f === null ? 'NULL' : `'${Object.is(row.f, -0) ? '-0.0' : row.f}'::DOUBLE`;
    const long = row.l === null ? 'NULL' : `'${row.l}'`;
    return `(${long}::BIGINT, ${decimal}::DECIMAL(20, 3), ${float}, ${text}::VARCHAR, DATE '1970-01-01' + ${row.day}::INTEGER, make_timestamptz(${row.at}::BIGINT), {x: ${row.x}::INTEGER})`;
  };

  it('never loses a file that has a row in the range', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(anyRow, {minLength: 1, maxLength: 4}), {minLength: 1, maxLength: 4}),
        async (files) => {
          const table = await lake.create(freshRoot(), {schema});
          for (const file of files)
            await write(table, `SELECT * FROM (VALUES ${file.map(rowSql).join(', ')}) AS v(l, d, f, s, day, "at", n)`);
          const columns = ['l', 'd', 'f', 's', 'day', 'at', 'n.x'];
          for (const row of await rows(table, {positions: true})) {
            for (const column of columns) {
              const value = column === 'n.x' ? (row['n'] as {x: unknown} | null)?.x : row[column];
              if (value === null || value === undefined) continue;
              const paths = table.filesInRange(column, value, value).map((add) => add.path);
              expect(paths, `${column} = ${String(value)}`).toContain(row['__file']);
            }
          }
        },
      ),
      {numRuns: 15},
    );
  }, 60_000);

  it('leaves out files that cannot have one', async () => {
    const table = await lake.create(freshRoot(), {
      schema: t.struct({id: t.long(), s: t.string(), at: t.timestamp(), none: t.long()}),
    });
    for (const from of [0, 100, 200]) {
      await write(
        table,
        `SELECT i::BIGINT AS id, 's' || lpad(i::VARCHAR, 4, '0') AS s, make_timestamptz(i * 1000000) AS at, NULL::BIGINT AS none FROM range(${from}, ${from + 100}) AS r(i)`,
      );
    }
    expect(table.filesInRange('id', 100n, 199n)).toHaveLength(1);
    expect(table.filesInRange('id', null, 99n)).toHaveLength(1);
    expect(table.filesInRange('id', 199n, null)).toHaveLength(2);
    expect(table.filesInRange('id', 300n, 400n)).toHaveLength(0);
    expect(table.filesInRange('s', 's0150', 's0160')).toHaveLength(1);
    expect(table.filesInRange('at', 250_000_000n, 250_000_000n)).toHaveLength(1);
    expect(table.filesInRange('none', 0n, 1n)).toHaveLength(0);
    expect(table.filesInRange('unknown', 0n, 1n)).toHaveLength(3);
    expect(table.filesInRange('id', 'not a number', null)).toHaveLength(3);
  });
});
