import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import * as t from '../core/schema.ts';
import type {StructField, StructType} from '../core/types.ts';
import type {EngineRow} from '../engine/engine.ts';
import {quoteLiteral} from '../engine/sql-types.ts';
import type {AddFile} from './actions.ts';
import {alterTable} from './alter-table.ts';
import {columnId, mapFields, physicalSchema, withColumnMetadata} from './column-mapping.ts';
import type {DeltaTable, ReadOptions} from './delta-table.ts';
import type {Lake} from './lake.ts';
import {openLake} from './lake.ts';
import {optimizeTable} from './optimize.ts';
import {storedNameOf} from './stored-name.ts';

const signal = new AbortController().signal;

let folder: string;
let lake: Lake;
let tableCount = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-mapping-'));
  lake = await openLake(folder, {memoryLimitMb: 512});
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

const freshRoot = (): string => `main/raw/t${tableCount++}`;
const NAMED = {
  minReaderVersion: 3,
  minWriterVersion: 7,
  readerFeatures: ['columnMapping'],
  writerFeatures: ['columnMapping', 'appendOnly', 'invariants'],
};
const mapped = (mode: string): Record<string, string> => ({'delta.columnMapping.mode': mode});

async function rows(table: DeltaTable, options?: ReadOptions): Promise<readonly EngineRow[]> {
  return lake.engine.query(`FROM (${await table.readSql(options)}) ORDER BY ALL`);
}

async function write(table: DeltaTable, select: string): Promise<readonly AddFile[]> {
  const adds = await table.writeFiles({select, schema: table.snapshot.schema}, signal);
  await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
  return adds;
}

async function reopened(table: DeltaTable): Promise<DeltaTable> {
  const open = await lake.open(table.root);
  if (open === null) throw new Error('no table');
  return open;
}

/** Names and field ids of a data file. */
async function parquetFields(table: DeltaTable, add: AddFile): Promise<readonly (readonly [string, number | null])[]> {
  const path = await lake.store.localPath(storedNameOf(lake.store, table.root, add.path));
  const found = await lake.engine.query(`SELECT name, field_id FROM parquet_schema(${quoteLiteral(path)})`);
  return found.map((row) => [String(row['name']), row['field_id'] === null ? null : Number(row['field_id'])] as const);
}

/** Name and id of every field, nested ones included. */
function fieldsOf(schema: StructType): readonly (readonly [string, number | null])[] {
  const found: (readonly [string, number | null])[] = [];
  mapFields(schema, (field) => {
    found.push([field.name, columnId(field)]);
    return field;
  });
  return found;
}

const nested = t.struct({
  id: t.long(),
  'full name': t.string(),
  home: t.column(t.struct({'zip,code': t.string(), since: t.date()})),
  tags: t.array(t.struct({'a;b': t.integer()})),
  by: t.map(t.string(), t.struct({'x=y': t.double()})),
});
const nestedRow = `SELECT 1 AS id, 'Ada' AS n, {'zip,code': '10115', since: DATE '2024-01-02'} AS h, [{'a;b': 7}, NULL] AS t, MAP {'k': {'x=y': 0.5}} AS b`;

describe('column mapping', () => {
  it.each(['name', 'id'])('by %s writes physical names and field ids, and reads its own', async (mode) => {
    const table = await lake.create(freshRoot(), {schema: nested, configuration: mapped(mode)});
    const {schema, metadata, protocol} = table.snapshot;
    expect(protocol).toEqual(NAMED);
    expect(fieldsOf(schema).map(([, id]) => id)).toHaveLength(9);
    expect(new Set(fieldsOf(schema).map(([, id]) => id)).size).toBe(9);
    expect(metadata.configuration['delta.columnMapping.maxColumnId']).toBe('9');
    const [add] = await write(table, nestedRow);
    if (add === undefined) throw new Error('no file');
    const inFile = new Map(await parquetFields(table, add));
    for (const [name, id] of fieldsOf(physicalSchema(schema, 'name'))) {
      expect(name).toMatch(/^col-[0-9a-f-]{36}$/);
      expect(inFile.get(name)).toBe(id);
    }
    const [first] = await rows(await reopened(table));
    expect(first).toEqual({
      id: 1n,
      'full name': 'Ada',
      home: {'zip,code': '10115', since: 19724},
      tags: [{'a;b': 7}, null],
      by: [{key: 'k', value: {'x=y': 0.5}}],
    });
  });

  it('is chosen where a name needs it, and never where none does', async () => {
    const odd = await lake.create(freshRoot(), {schema: t.struct({'a b': t.long()})});
    expect(odd.snapshot.metadata.configuration['delta.columnMapping.mode']).toBe('name');
    const plain = await lake.create(freshRoot(), {schema: t.struct({'a.b': t.long(), 'ž"`\'': t.long()})});
    expect(plain.snapshot.metadata.configuration).toEqual({});
    expect(plain.snapshot.protocol).toEqual({minReaderVersion: 1, minWriterVersion: 2});
    await expect(
      lake.create(freshRoot(), {schema: t.struct({'a b': t.long()}), configuration: mapped('none')}),
    ).rejects.toMatchObject({code: 'INVALID_SCHEMA', message: expect.stringContaining('a b') as string});
    await expect(
      lake.create(freshRoot(), {schema: t.struct({a: t.long()}), configuration: mapped('both')}),
    ).rejects.toMatchObject({code: 'INVALID_OPTION'});
  });

  it('goes by feature names beside features that have no version', async () => {
    const table = await lake.create(freshRoot(), {schema: nested, deletionVectors: true});
    expect(table.snapshot.protocol).toEqual({
      minReaderVersion: 3,
      minWriterVersion: 7,
      readerFeatures: ['deletionVectors', 'columnMapping'],
      writerFeatures: ['deletionVectors', 'columnMapping', 'appendOnly', 'invariants'],
    });
    const [add] = await write(table, `${nestedRow} UNION ALL SELECT 2, 'Bob', NULL, NULL, NULL`);
    const gone = await table.writeDeletions(new Map([[add?.path ?? '', [0]]]), signal);
    await table.commit({base: table.snapshot, operation: 'DELETE', ...gone, blindAppend: false});
    expect(await rows(await reopened(table))).toEqual([{id: 2n, 'full name': 'Bob', home: null, tags: null, by: null}]);
  });

  it('keeps statistics and partition values by physical names, and prunes by them', async () => {
    const schema = t.struct({'the day': t.date(), 'n o': t.long(), s: t.column(t.struct({'in ner': t.long()}))});
    const table = await lake.create(freshRoot(), {schema, partitionColumns: ['the day']});
    await write(table, `SELECT DATE '2024-01-01' + i::INTEGER, i, {'in ner': i * 10} FROM range(4) AS r(i)`);
    const [day, number] = physicalSchema(table.snapshot.schema, 'name').fields;
    for (const add of table.snapshot.files.values()) {
      expect(Object.keys(add.partitionValues)).toEqual([day?.name]);
      const stats = JSON.parse(add.stats ?? '{}') as {readonly minValues: Readonly<Record<string, unknown>>};
      expect(Object.keys(stats.minValues)).toContain(number?.name);
      expect(Object.keys(stats.minValues)).not.toContain('n o');
    }
    expect(table.filesInRange('n o', 2n, 2n)).toHaveLength(1);
    expect(table.filesInRange('s.in ner', 30n, 99n)).toHaveLength(1);
    expect(table.filesInRange('the day', 19724, 19725)).toHaveLength(2);
    expect((await rows(table, {columns: ['n o', 'the day'], positions: true}))[1]).toMatchObject({
      'n o': 1n,
      'the day': 19724,
      __pos: 0n,
    });
  });

  it('survives renames: of columns, of nested fields, of partition columns, through optimize and reopening', async () => {
    const schema = t.struct({p: t.string(), a: t.long(), s: t.column(t.struct({x: t.long(), y: t.long()}))});
    const table = await lake.create(freshRoot(), {schema, partitionColumns: ['p'], configuration: mapped('name')});
    await write(table, `SELECT 'one', 1, {x: 1, y: 2}`);
    const before = table.snapshot.version;
    const renames = new Map([
      ['part', 'p'],
      ['b', 'a'],
      ['z', 's.x'],
    ]);
    await alterTable(table, {renames});
    expect(table.snapshot.metadata.partitionColumns).toEqual(['part']);
    await write(table, `SELECT 'one', 2, {z: 3, y: 4}`);
    await alterTable(table, {renames});
    expect(table.snapshot.version).toBe(before + 2);
    const wanted = [
      {part: 'one', b: 1n, s: {z: 1n, y: 2n}},
      {part: 'one', b: 2n, s: {z: 3n, y: 4n}},
    ];
    expect(await rows(table)).toEqual(wanted);
    await optimizeTable(lake, table, {}, signal);
    expect(table.snapshot.files.size).toBe(1);
    expect(await rows(await reopened(table))).toEqual(wanted);
    expect((await lake.engine.query(await table.readSql({snapshot: await table.snapshotAt(before)})))[0]).toEqual({
      p: 'one',
      a: 1n,
      s: {x: 1n, y: 2n},
    });
  });

  it('does not take a column that comes back for the one that was dropped', async () => {
    const table = await lake.create(freshRoot(), {
      schema: t.struct({id: t.long(), a: t.string()}),
      configuration: mapped('name'),
    });
    await write(table, `SELECT 1, 'old'`);
    await alterTable(table, {dropColumns: ['a']});
    expect(await rows(table)).toEqual([{id: 1n}]);
    await alterTable(table, {addColumns: [{name: 'a', type: 'string', nullable: true, metadata: {}}]});
    await write(table, `SELECT 2, 'new'`);
    expect(table.snapshot.metadata.configuration['delta.columnMapping.maxColumnId']).toBe('3');
    expect(await rows(table)).toEqual([
      {id: 1n, a: null},
      {id: 2n, a: 'new'},
    ]);
  });

  it('by id finds columns of files with other names, and refuses files without ids', async () => {
    const schema = t.struct({id: t.long(), s: t.column(t.struct({x: t.long(), y: t.string()}))});
    const table = await lake.create(freshRoot(), {schema, configuration: mapped('id')});
    const [id, s, x] = [1, 2, 3];
    await addForeign(
      table,
      'other.parquet',
      `SELECT 5::BIGINT AS was_id, {was_x: 6::BIGINT} AS was_s`,
      `FIELD_IDS {was_id: ${id}, was_s: {__duckdb_field_id: ${s}, was_x: ${x}}}`,
    );
    expect(await rows(table)).toEqual([{id: 5n, s: {x: 6n, y: null}}]);
    await addForeign(table, 'none.parquet', `SELECT 5::BIGINT AS id`, '');
    await expect(rows(table)).rejects.toMatchObject({code: 'CORRUPT_LOG'});
  });

  it('can be switched on later: names in files stay what they were', async () => {
    const table = await lake.create(freshRoot(), {
      schema: t.struct({id: t.long(), s: t.column(t.struct({x: t.long()}))}),
    });
    await write(table, `SELECT 1, {x: 2}`);
    await expect(alterTable(table, {renames: new Map([['key', 'id']])})).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      fix: expect.stringContaining('delta.columnMapping.mode') as string,
    });
    await alterTable(table, {
      properties: mapped('name'),
      renames: new Map([
        ['key', 'id'],
        ['y', 's.x'],
      ]),
    });
    expect(table.snapshot.protocol).toEqual(NAMED);
    expect(table.snapshot.metadata.configuration['delta.columnMapping.maxColumnId']).toBe('3');
    const [add] = await write(table, `SELECT 3, {y: 4}`);
    if (add === undefined) throw new Error('no file');
    expect((await parquetFields(table, add)).map(([name]) => name)).toEqual(['duckdb_schema', 'id', 's', 'x']);
    expect(await rows(await reopened(table))).toEqual([
      {key: 1n, s: {y: 2n}},
      {key: 3n, s: {y: 4n}},
    ]);
    await expect(alterTable(table, {properties: mapped('id')})).rejects.toMatchObject({code: 'UNSUPPORTED'});
  });

  it('reads loose files under the names of the table, older ones too', async () => {
    const table = await lake.create(freshRoot(), {schema: nested});
    const adds = await table.writeFiles({select: nestedRow, schema: nested}, signal);
    await alterTable(table, {
      renames: new Map([
        ['zip', 'home.zip,code'],
        ['key', 'id'],
      ]),
    });
    const names = adds.map(({path}) => storedNameOf(lake.store, table.root, path));
    const {schema} = table.snapshot;
    expect(await lake.engine.query(await table.looseFilesSql(names, schema))).toMatchObject([
      {key: 1n, 'full name': 'Ada', home: {zip: '10115'}, file_index: 0n, file_row_number: 0n},
    ]);
    expect(await table.looseFilesFit(names, schema)).toBe(true);
    const wider = schema.fields.map((field) => (field.name === 'key' ? {...field, type: 'string' as const} : field));
    expect(await table.looseFilesFit(names, {type: 'struct', fields: wider})).toBe(false);
  });

  it('holds every name that a source may have', async () => {
    const names = [
      ' ',
      'a b',
      'a.b',
      'a,b',
      'a;b',
      'a{b}',
      'a(b)',
      'a\nb',
      'a\tb',
      'a=b',
      'a"b',
      "a'b",
      'a`b',
      'Žluť 日本 😀',
      'a/b%c',
      '__file2',
    ];
    const kept = names.filter((name) => name.trim() !== '');
    const schema: StructType = {
      type: 'struct',
      fields: kept.map((name): StructField => ({name, type: 'long', nullable: true, metadata: {}})),
    };
    const table = await lake.create(freshRoot(), {schema, partitionColumns: ['a=b', 'a/b%c'], deletionVectors: true});
    const select = kept.map((_, index) => `(i * 100 + ${index})::BIGINT`);
    await write(table, `SELECT ${select.join(', ')} FROM range(2) AS r(i)`);
    for (const name of kept) expect(table.filesInRange(name, 0n, 50n)).toHaveLength(1);
    const [first] = await rows(await reopened(table));
    expect(first).toEqual(Object.fromEntries(kept.map((name, index) => [name, BigInt(index)])));
    expect(await rows(table, {columns: [...kept].reverse()})).toHaveLength(2);
  });
});

describe('column metadata', () => {
  it('of a table stays where a schema comes without', () => {
    const table = t.struct({a: t.long().comment('kept'), s: t.column(t.struct({x: t.long().comment('inside')}))});
    const plain = t.struct({a: t.long(), s: t.column(t.struct({x: t.long(), y: t.long().comment('new')}))});
    expect(withColumnMetadata({configuration: {}}, [table], plain)).toEqual(
      t.struct({
        a: t.long().comment('kept'),
        s: t.column(t.struct({x: t.long().comment('inside'), y: t.long().comment('new')})),
      }),
    );
  });

  it('gives new columns ids above all that ever were, and trusts no id of a source', () => {
    const metadata = {configuration: {...mapped('name'), 'delta.columnMapping.maxColumnId': '7'}};
    const own = {'delta.columnMapping.id': 3, 'delta.columnMapping.physicalName': 'p3'};
    const table = t.struct({a: t.long().with(own)});
    const foreign = {'delta.columnMapping.id': 5, 'delta.columnMapping.physicalName': 'p3'};
    const given = {'delta.columnMapping.id': 9, 'delta.columnMapping.physicalName': 'p9'};
    const [a, b, c, d] = withColumnMetadata(
      metadata,
      [table],
      t.struct({a: t.long(), b: t.long().with(foreign), c: t.long().with(given), d: t.long()}),
    ).fields;
    expect(a?.metadata).toEqual(own);
    expect(b?.metadata['delta.columnMapping.id']).toBe(10);
    expect(b?.metadata['delta.columnMapping.physicalName']).toMatch(/^col-/);
    expect(c?.metadata).toEqual(given);
    expect(d?.metadata['delta.columnMapping.id']).toBe(11);
  });

  it('of columns that held files have is found again, and not under a new name', () => {
    const metadata = {configuration: {...mapped('name'), 'delta.columnMapping.maxColumnId': '2'}};
    const own = {'delta.columnMapping.id': 1, 'delta.columnMapping.physicalName': 'p1'};
    const held = {'delta.columnMapping.id': 2, 'delta.columnMapping.physicalName': 'p2'};
    const [renamed, again, late] = withColumnMetadata(
      metadata,
      [t.struct({renamed: t.long().with(own)}), t.struct({old: t.long().with(own), late: t.long().with(held)})],
      t.struct({renamed: t.long(), old: t.long(), late: t.long()}),
    ).fields;
    expect(renamed?.metadata).toEqual(own);
    expect(again?.metadata['delta.columnMapping.physicalName']).toMatch(/^col-/);
    // Another column took the id meanwhile; the files have the name.
    expect(late?.metadata).toEqual({'delta.columnMapping.id': 4, 'delta.columnMapping.physicalName': 'p2'});
  });
});

async function addForeign(table: DeltaTable, path: string, select: string, options: string): Promise<void> {
  const staged = await lake.store.stage(`${table.root}/${path}`);
  await lake.engine.run(
    `COPY (${select}) TO ${quoteLiteral(staged.localPath)} (FORMAT parquet${options === '' ? '' : `, ${options}`})`,
  );
  const size = await staged.seal(signal);
  const add: AddFile = {path, partitionValues: {}, size, modificationTime: 0, dataChange: true};
  await table.commit({base: table.snapshot, operation: 'WRITE', adds: [add], blindAppend: true});
}
