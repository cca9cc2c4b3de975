import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import * as t from '../core/schema.ts';
import type {EngineRow} from '../engine/engine.ts';
import {alterTable} from './alter-table.ts';
import type {DeltaTable} from './delta-table.ts';
import type {Lake} from './lake.ts';
import {openLake} from './lake.ts';

const signal = new AbortController().signal;

let folder: string;
let lake: Lake;
let tableCount = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-alter-'));
  lake = await openLake(folder, {memoryLimitMb: 512});
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

const freshRoot = (): string => `main/raw/t${tableCount++}`;
const widening = {'delta.enableTypeWidening': 'true'};

async function write(table: DeltaTable, select: string): Promise<void> {
  const adds = await table.writeFiles({select, schema: table.snapshot.schema}, signal);
  await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
}

async function rows(table: DeltaTable): Promise<readonly EngineRow[]> {
  return lake.engine.query(`FROM (${await table.readSql()}) ORDER BY ALL`);
}

describe('alterTable', () => {
  it('widens types without touching a file, and prunes old files by their old statistics', async () => {
    const schema = t.struct({id: t.integer(), d: t.decimal(5, 2), day: t.date(), s: t.column(t.struct({x: t.byte()}))});
    const table = await lake.create(freshRoot(), {schema, configuration: widening});
    expect(table.snapshot.protocol.readerFeatures).toEqual(['typeWidening']);
    await write(table, `SELECT 7, 1.25, DATE '2024-01-02', {x: 5}`);
    const files = [...table.snapshot.files.keys()];
    const wide = t.struct({
      id: t.long(),
      d: t.decimal(12, 4),
      day: t.timestampNtz(),
      s: t.column(t.struct({x: t.long()})),
    });
    const alteration = {
      widen: new Map(wide.fields.map(({name, type}) => [name, type])),
    };
    await alterTable(table, alteration);
    expect(table.snapshot.metadata.configuration).toEqual(widening);
    expect(table.snapshot.protocol.readerFeatures?.toSorted()).toEqual(['timestampNtz', 'typeWidening']);
    expect([...table.snapshot.files.keys()]).toEqual(files);
    await write(table, `SELECT 3000000000, 12345678.1234, TIMESTAMP '2024-01-02 03:04:05', {x: 500}`);
    expect(await rows(table)).toEqual([
      {id: 7n, d: '1.2500', day: 1704153600000000n, s: {x: 5n}},
      {id: 3000000000n, d: '12345678.1234', day: 1704164645000000n, s: {x: 500n}},
    ]);
    expect(table.filesInRange('id', 7n, 7n).map(({path}) => path)).toEqual(files);
    expect(table.filesInRange('d', '1.25', '1.25').map(({path}) => path)).toEqual(files);
    expect(table.filesInRange('s.x', 400n, 600n)).toHaveLength(1);
    expect(table.filesInRange('day', 1704153600000000n, 1704153600000000n).map(({path}) => path)).toEqual(files);
    const {version} = table.snapshot;
    await alterTable(table, alteration);
    expect(table.snapshot.version).toBe(version);
  });

  it('finds a float by its bounds after it has become a double', async () => {
    const table = await lake.create(freshRoot(), {schema: t.struct({f: t.float()}), configuration: widening});
    await write(table, 'SELECT 0.1::FLOAT');
    const [add] = table.snapshot.files.values();
    const exact = Math.fround(0.1);
    expect(JSON.parse(add?.stats ?? '{}')).toMatchObject({minValues: {f: exact}, maxValues: {f: exact}});
    // Other writers have the shorter text.
    const stats = add?.stats?.replaceAll(String(exact), '0.1') ?? '';
    if (add === undefined) throw new Error('no file');
    const adds = [{...add, stats}];
    await table.commit({base: table.snapshot, operation: 'WRITE', adds, removes: [], blindAppend: true});
    await alterTable(table, {widen: new Map([['f', 'double' as const]])});
    expect(table.filesInRange('f', exact, exact)).toHaveLength(1);
    expect(table.filesInRange('f', 0.11, 0.2)).toHaveLength(0);
  });

  it('refuses what the table was not made for, naming what to set', async () => {
    const table = await lake.create(freshRoot(), {schema: t.struct({id: t.integer(), day: t.date()})});
    const widen = new Map([['id', 'long' as const]]);
    await expect(alterTable(table, {widen})).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      fix: expect.stringContaining('delta.enableTypeWidening') as string,
    });
    await expect(alterTable(table, {dropColumns: ['day']})).rejects.toMatchObject({
      fix: expect.stringContaining('delta.columnMapping.mode') as string,
    });
    await expect(alterTable(table, {widen: new Map([['nobody', 'long' as const]])})).rejects.toMatchObject({
      code: 'UNKNOWN_COLUMN',
    });
    await expect(alterTable(table, {properties: {'delta.feature.someday': 'supported'}})).rejects.toMatchObject({
      code: 'UNSUPPORTED_TABLE_FEATURE',
    });
    await expect(alterTable(table, {properties: {'delta.enableRowTracking': 'true'}})).rejects.toMatchObject({
      code: 'UNSUPPORTED_TABLE_FEATURE',
    });
    const ntz = {name: 'at', type: 'timestamp_ntz' as const, nullable: true, metadata: {}};
    await expect(alterTable(table, {properties: widening, addColumns: [ntz]})).rejects.toMatchObject({
      code: 'UNSUPPORTED_TABLE_FEATURE',
      context: {feature: 'timestampNtz'},
    });
    expect((await table.refresh()).version).toBe(0);
    await alterTable(table, {properties: widening, widen});
    expect(table.snapshot.version).toBe(1);
    expect(table.snapshot.protocol).toEqual({
      minReaderVersion: 3,
      minWriterVersion: 7,
      readerFeatures: ['typeWidening'],
      writerFeatures: ['typeWidening', 'appendOnly', 'invariants'],
    });
  });

  it('sets comments, properties and nullability, once', async () => {
    const table = await lake.create(freshRoot(), {
      schema: t.struct({id: t.long().notNull().comment('old'), s: t.column(t.struct({x: t.long()}))}),
      configuration: {'sluice.flowId': 'f', 'sluice.gone': '1'},
    });
    const alteration = {
      properties: {'sluice.primaryKeys': '["id"]', 'sluice.gone': null},
      comments: new Map([
        ['id', 'new'],
        ['s.x', 'inside'],
      ]),
      nullable: ['id'],
    };
    await alterTable(table, alteration);
    await alterTable(table, alteration);
    expect(table.snapshot.version).toBe(1);
    expect(table.snapshot.metadata.configuration).toEqual({'sluice.flowId': 'f', 'sluice.primaryKeys': '["id"]'});
    expect(table.snapshot.schema).toEqual(
      t.struct({id: t.long().comment('new'), s: t.column(t.struct({x: t.long().comment('inside')}))}),
    );
    await alterTable(table, {comments: new Map([['id', null]])});
    expect(table.snapshot.schema.fields[0]?.metadata).toEqual({});
  });

  it('goes on from the version of another writer that came first, and keeps what that one changed', async () => {
    const table = await lake.create(freshRoot(), {schema: t.struct({id: t.long()}), configuration: {a: '1'}});
    const other = await lake.open(table.root);
    if (other === null) throw new Error('no table');
    await alterTable(other, {properties: {b: '2'}});
    await write(other, 'SELECT 1');
    await Promise.all([alterTable(table, {properties: {c: '3'}}), alterTable(other, {properties: {d: '4'}})]);
    expect((await table.refresh()).metadata.configuration).toEqual({a: '1', b: '2', c: '3', d: '4'});
    expect(await rows(table)).toEqual([{id: 1n}]);
  });

  it('keeps columns that lay out files', async () => {
    const configuration = {'delta.columnMapping.mode': 'name'};
    const schema = t.struct({p: t.string(), id: t.long(), x: t.long()});
    const partitioned = await lake.create(freshRoot(), {schema, configuration, partitionColumns: ['p']});
    await expect(alterTable(partitioned, {dropColumns: ['p']})).rejects.toMatchObject({code: 'UNSUPPORTED'});
    const clustered = await lake.create(freshRoot(), {schema, configuration, clusteringColumns: ['id']});
    await expect(alterTable(clustered, {dropColumns: ['id']})).rejects.toMatchObject({code: 'UNSUPPORTED'});
    await alterTable(clustered, {
      properties: {'delta.dataSkippingStatsColumns': 'id,p'},
      renames: new Map([['the key', 'id']]),
      dropColumns: ['x'],
    });
    expect(clustered.snapshot.metadata.configuration['delta.dataSkippingStatsColumns']).toBe('`the key`,p');
    await alterTable(clustered, {renames: new Map([['key', 'the key']])});
    await write(clustered, `SELECT 'a', 1`);
    expect(await rows(clustered)).toEqual([{p: 'a', key: 1n}]);
  });

  it('tells a rename that was done from one that cannot be', async () => {
    const configuration = {'delta.columnMapping.mode': 'name'};
    const table = await lake.create(freshRoot(), {schema: t.struct({a: t.long(), b: t.long()}), configuration});
    await alterTable(table, {renames: new Map([['c', 'a']])});
    await alterTable(table, {renames: new Map([['c', 'a']])});
    expect(table.snapshot.version).toBe(1);
    await expect(alterTable(table, {renames: new Map([['d', 'nobody']])})).rejects.toMatchObject({
      code: 'UNKNOWN_COLUMN',
    });
    await expect(alterTable(table, {renames: new Map([['B', 'c']])})).rejects.toMatchObject({code: 'INVALID_SCHEMA'});
    await alterTable(table, {renames: new Map([['C', 'c']])});
    expect(table.snapshot.schema.fields.map(({name}) => name)).toEqual(['C', 'b']);
  });
});
