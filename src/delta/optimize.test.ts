import {mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import * as t from '../core/schema.ts';
import type {StructType} from '../core/types.ts';
import type {Store} from '../storage/store.ts';
import type {CreateOptions, DeltaContext, DeltaTable} from './delta-table.ts';
import type {Lake} from './lake.ts';
import {openLake} from './lake.ts';
import {optimizeTable} from './optimize.ts';
import {openTable} from './table.ts';

const schema = t.struct({id: t.long(), name: t.string()});
const signal = new AbortController().signal;

let folder: string;
let lake: Lake;
let tableCount = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-optimize-'));
  lake = await openLake(folder, {memoryLimitMb: 256});
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

async function append(table: DeltaTable, from: number, count: number, of: StructType = schema): Promise<void> {
  const select = `SELECT i::BIGINT AS id, 'n' || (i % 3) AS name${of.fields.length > 2 ? ', i * 2 AS more' : ''} FROM range(${from}, ${from + count}) AS r(i)`;
  const adds = await table.writeFiles({select, schema: of}, signal);
  await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
}

/** Ten files of ten rows each. */
async function tenFiles(options: Partial<CreateOptions> = {}): Promise<DeltaTable> {
  const table = await lake.create(`main/raw/t${tableCount++}`, {schema, ...options});
  for (let file = 0; file < 10; file++) await append(table, file * 10, 10);
  return table;
}

async function rows(table: DeltaTable): Promise<unknown> {
  return lake.engine.query(`SELECT * FROM (${await table.readSql()}) ORDER BY id`);
}

async function deleteRows(table: DeltaTable, path: string, positions: readonly number[]): Promise<void> {
  const change = await table.writeDeletions(new Map([[path, positions]]), signal);
  await table.commit({base: table.snapshot, operation: 'DELETE', ...change, blindAppend: false});
}

const dataFiles = async (table: DeltaTable): Promise<readonly string[]> =>
  (await readdir(join(folder, table.root), {recursive: true})).filter(
    (name) => name.endsWith('.parquet') && !name.includes('_delta_log'),
  );

/** A context whose store calls `before` ahead of every put-if-absent. */
function intercepted(before: (name: string) => Promise<void>): DeltaContext {
  const {store} = lake;
  const wrapped: Store = {
    root: store.root,
    get: (name, range) => store.get(name, range),
    put: (name, bytes) => store.put(name, bytes),
    list: (prefix, options) => store.list(prefix, options),
    prefixes: (prefix) => store.prefixes(prefix),
    delete: (name) => store.delete(name),
    stage: (name) => store.stage(name),
    localPath: (name) => store.localPath(name),
    putIfAbsent: async (name, bytes) => {
      await before(name);
      return store.putIfAbsent(name, bytes);
    },
  };
  return {store: wrapped, engine: lake.engine, clock: lake.clock};
}

describe('optimize', () => {
  it('packs small files into one without a change of data, and has nothing to do then', async () => {
    const table = await tenFiles();
    const before = await rows(table);
    const report = await optimizeTable(lake, table, {}, signal);
    expect(report).toMatchObject({version: 11, filesBefore: 10, filesAfter: 1, filesRemoved: 10, filesAdded: 1});
    expect(report.bytesAfter).toBeLessThan(report.bytesBefore);
    expect(await rows(table)).toEqual(before);
    const [commit] = await table.history({limit: 1});
    expect(commit).toMatchObject({dataChange: false, info: {operation: 'OPTIMIZE', isBlindAppend: false}});
    expect(await optimizeTable(lake, table, {}, signal)).toMatchObject({
      version: null,
      filesBefore: 1,
      filesRemoved: 0,
    });
  });

  it('keeps to the target size and leaves large files alone', async () => {
    const table = await tenFiles();
    const [size = 0] = [...table.snapshot.files.values()].map((file) => file.size);
    const report = await optimizeTable(lake, table, {targetSizeBytes: size * 5 + 5}, signal);
    expect(report).toMatchObject({filesRemoved: 10, filesAdded: 2});
    expect(await optimizeTable(lake, table, {targetSizeBytes: 10}, signal)).toMatchObject({version: null});
  });

  it('packs partition by partition', async () => {
    const table = await tenFiles({partitionColumns: ['name']});
    const before = await rows(table);
    expect(await optimizeTable(lake, table, {}, signal)).toMatchObject({filesBefore: 30, filesAfter: 3});
    expect(await rows(table)).toEqual(before);
    expect([...table.snapshot.files.values()].map((file) => file.partitionValues['name']).sort()).toEqual([
      'n0',
      'n1',
      'n2',
    ]);
  });

  it('writes a file anew that has lost more than a tenth of its rows', async () => {
    const table = await lake.create(`main/raw/t${tableCount++}`, {schema, deletionVectors: true});
    await append(table, 0, 100);
    const [path = ''] = table.snapshot.files.keys();
    await deleteRows(table, path, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(await optimizeTable(lake, table, {}, signal)).toMatchObject({version: null});
    await deleteRows(table, path, [50]);
    const before = await rows(table);
    expect(await optimizeTable(lake, table, {}, signal)).toMatchObject({filesAfter: 1, purgedRows: 11});
    expect([...table.snapshot.files.values()].some((file) => file.deletionVector !== undefined)).toBe(false);
    expect(await rows(table)).toEqual(before);
  });

  it('packs files with and without a column that came later', async () => {
    const table = await tenFiles();
    const wide = t.struct({id: t.long(), name: t.string(), more: t.long()});
    const {schemaToJson} = await import('../core/schema-json.ts');
    const metadata = {...table.snapshot.metadata, schemaString: schemaToJson(wide)};
    await table.commit({base: table.snapshot, operation: 'ADD COLUMNS', metadata, blindAppend: false});
    await append(table, 1000, 5, wide);
    const before = await rows(table);
    expect(await optimizeTable(lake, table, {}, signal)).toMatchObject({filesBefore: 11, filesAfter: 1});
    expect(await rows(table)).toEqual(before);
  });

  it('goes on over an append that was faster', async () => {
    const table = await tenFiles();
    let isFirst = true;
    const context = intercepted(async () => {
      const other = isFirst ? await lake.open(table.root) : null;
      isFirst = false;
      if (other !== null) await append(other, 5000, 5);
    });
    const racing = await openTable(context, table.root);
    if (racing === null) throw new Error('no table');
    expect(await optimizeTable(context, racing, {}, signal)).toMatchObject({
      version: 12,
      filesAfter: 2,
      filesGivenUp: 0,
    });
    await table.refresh();
    expect(await rows(table)).toHaveLength(105);
  });

  it('gives up what another writer changed meanwhile, commits the rest, and leaves no file behind', async () => {
    const table = await tenFiles({deletionVectors: true});
    const files = [...table.snapshot.files.values()].sort(
      (left, right) => left.modificationTime - right.modificationTime,
    );
    const size = files[0]?.size ?? 0;
    let isFirst = true;
    const context = intercepted(async (name) => {
      if (!isFirst || !name.includes('_delta_log')) return;
      isFirst = false;
      const other = await lake.open(table.root);
      if (other !== null) await deleteRows(other, files[0]?.path ?? '', [3]);
    });
    const racing = await openTable(context, table.root);
    if (racing === null) throw new Error('no table');
    const report = await optimizeTable(context, racing, {targetSizeBytes: size * 5 + 5}, signal);
    expect(report).toMatchObject({filesRemoved: 5, filesAdded: 1, filesGivenUp: 5, filesAfter: 6});
    await table.refresh();
    expect(await rows(table)).toHaveLength(99);
    expect(await dataFiles(table)).toHaveLength(11);
  });

  it('leaves nothing behind when it is stopped', async () => {
    const table = await tenFiles();
    const [size = 0] = [...table.snapshot.files.values()].map((file) => file.size);
    const controller = new AbortController();
    let staged = 0;
    const {store} = lake;
    const context = intercepted(() => Promise.resolve());
    const stopping: Store = {
      ...context.store,
      stage: (name) => {
        staged += 1;
        if (staged === 2) controller.abort(new Error('stopped'));
        return store.stage(name);
      },
    };
    const stopped = await openTable({...context, store: stopping}, table.root);
    if (stopped === null) throw new Error('no table');
    const options = {targetSizeBytes: size * 5 + 5};
    await expect(optimizeTable(context, stopped, options, controller.signal)).rejects.toThrow();
    expect(await dataFiles(table)).toHaveLength(10);
    expect((await table.refresh()).version).toBe(10);
  });

  it('refuses a table that it may not write', async () => {
    const table = await tenFiles();
    const protocol = {minReaderVersion: 1, minWriterVersion: 7, writerFeatures: ['rowTracking']};
    const {encodeCommit} = await import('./commit-file.ts');
    await lake.store.put(`${table.root}/_delta_log/00000000000000000011.json`, encodeCommit([{protocol}]));
    await expect(optimizeTable(lake, table, {}, signal)).rejects.toMatchObject({code: 'UNSUPPORTED_TABLE_FEATURE'});
  });
});
