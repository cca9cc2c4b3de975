import {mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import * as t from '../core/schema.ts';
import type {AddFile} from './actions.ts';
import {clusterTable} from './cluster-table.ts';
import type {CreateOptions, DeltaTable} from './delta-table.ts';
import type {Lake} from './lake.ts';
import {openLake} from './lake.ts';
import {clusteringColumnsOf, targetFileBytes} from './layout.ts';
import {optimizeTable} from './optimize.ts';
import {parsedStatistics} from './statistics.ts';

const schema = t.struct({id: t.long(), kind: t.string(), at: t.timestamp()});
const signal = new AbortController().signal;

let folder: string;
let lake: Lake;
let tableCount = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-layout-'));
  lake = await openLake(folder, {memoryLimitMb: 256});
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

function makeTable(options: Partial<CreateOptions> = {}): Promise<DeltaTable> {
  return lake.create(`main/raw/t${tableCount++}`, {schema, ...options});
}

async function append(table: DeltaTable, rows: string): Promise<readonly AddFile[]> {
  const select = `SELECT i::BIGINT AS id, 'k' || (i % 3) AS kind, TIMESTAMPTZ '2024-01-01 00:00:00+00' + to_seconds(i) AS at FROM (${rows}) AS r(i)`;
  return write(table, select);
}

async function write(table: DeltaTable, select: string): Promise<readonly AddFile[]> {
  const adds = await table.writeFiles({select, schema}, signal);
  await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
  return adds;
}

async function rowsOf(table: DeltaTable): Promise<unknown> {
  return lake.engine.query(`SELECT count(*) AS n, sum(hash(COLUMNS(*)::VARCHAR)) FROM (${await table.readSql()})`);
}

/** Ranges of a column, by file, in order. */
function ranges(table: DeltaTable, column: string): readonly (readonly [number, number])[] {
  return Array.from(table.snapshot.files.values(), ({stats = ''}): readonly [number, number] => {
    const {minValues, maxValues} = parsedStatistics(stats) as Record<string, Record<string, number>>;
    return [minValues?.[column] ?? Number.NaN, maxValues?.[column] ?? Number.NaN];
  }).sort(([left], [right]) => left - right);
}

const overlaps = (of: readonly (readonly [number, number])[]): number =>
  of.filter(([min], at) => at > 0 && min < (of[at - 1]?.[1] ?? min)).length;

const shuffled = 'SELECT hash(i) >> 40 FROM range(60000) AS r(i)';
const small = {configuration: {'delta.targetFileSize': '128kb'}};

describe('partitions', () => {
  it('have folders of their own; null and the empty text are one', async () => {
    const table = await makeTable({partitionColumns: ['kind', 'at']});
    const kinds = ['x', '', null, 'a b/ü=%', `o'clock`, '__HIVE_DEFAULT_PARTITION__x'];
    const values = kinds.map((kind) => (kind === null ? 'NULL' : `'${kind.replaceAll("'", "''")}'`));
    const select = `SELECT i::BIGINT AS id, [${values.join(', ')}][1 + i % 6] AS kind, CASE WHEN i % 4 = 0 THEN NULL ELSE TIMESTAMPTZ '2024-02-29 23:59:59.123456+00' END AS at FROM range(120) AS r(i)`;
    const adds = await write(table, select);
    const wanted = await lake.engine.query(`SELECT id, nullif(kind, '') AS kind, "at" FROM (${select}) ORDER BY id`);
    expect(await lake.engine.query(`SELECT * FROM (${await table.readSql()}) ORDER BY id`)).toEqual(wanted);
    expect(new Set(adds.map((add) => JSON.stringify(add.partitionValues))).size).toBe(adds.length);
    expect(adds.map((add) => add.partitionValues['at'])).toContain('2024-02-29T23:59:59.123456Z');
    expect(adds.map((add) => add.partitionValues['kind'])).not.toContain('');
  });

  it('may be many, of one write, and leave no other folder behind', async () => {
    const table = await makeTable({partitionColumns: ['id']});
    await write(
      table,
      `SELECT (i % 150)::BIGINT AS id, 'k' AS kind, NULL::TIMESTAMPTZ AS at FROM range(70000) AS r(i)`,
    );
    expect(table.snapshot.files.size).toBe(150);
    const folders = await readdir(join(folder, table.root));
    expect(folders.filter((name) => name !== '_delta_log' && !name.startsWith('id='))).toEqual([]);
  });

  it('that are too large for one file are cut', async () => {
    const configuration = {'delta.targetFileSize': '32kb'};
    const table = await makeTable({configuration, partitionColumns: ['kind']});
    const adds = await append(table, shuffled);
    expect(new Set(adds.map((add) => add.partitionValues['kind'])).size).toBe(3);
    expect(adds.length).toBeGreaterThan(3);
    expect(await rowsOf(table)).toMatchObject([{n: 60_000n}]);
  });

  it('cannot be made of what is not there', async () => {
    const refused = {code: 'INVALID_SCHEMA', fix: expect.stringContaining('partition_columns') as string};
    await expect(makeTable({partitionColumns: ['no']})).rejects.toMatchObject(refused);
    await expect(makeTable({partitionColumns: ['id', 'kind', 'at']})).rejects.toMatchObject(refused);
  });
});

describe('files', () => {
  it('are cut at the size that the table names', async () => {
    const table = await makeTable(small);
    const adds = await append(table, shuffled);
    expect(adds.length).toBeGreaterThan(2);
    for (const add of adds) expect(add.size).toBeLessThan(2 * 128 * 1024);
    expect(await rowsOf(table)).toMatchObject([{n: 60_000n}]);
  });

  it('have sizes with units; what is none is refused for a new table and passed over in an old one', async () => {
    const bytes = (text: string): number => targetFileBytes({configuration: {'delta.targetFileSize': text}});
    expect([bytes('1000'), bytes('2kb'), bytes('3 MB'), bytes('1g')]).toEqual([1000, 2048, 3_145_728, 1_073_741_824]);
    expect([bytes('0'), bytes('many'), bytes('-1')]).toEqual(Array(3).fill(134_217_728));
    const configuration = {'delta.targetFileSize': 'many'};
    await expect(makeTable({configuration})).rejects.toMatchObject({code: 'INVALID_OPTION'});
  });
});

describe('clustered tables', () => {
  it('say so as Delta does, and have files by range', async () => {
    const table = await makeTable({...small, clusteringColumns: ['id', 'kind']});
    expect(table.snapshot.protocol.writerFeatures).toEqual(expect.arrayContaining(['clustering', 'domainMetadata']));
    expect(table.snapshot.protocol.minReaderVersion).toBe(1);
    expect(JSON.parse(table.snapshot.domains.get('delta.clustering')?.configuration ?? '')).toEqual({
      clusteringColumns: [['id'], ['kind']],
      domainName: 'delta.clustering',
    });
    await append(table, shuffled);
    const found = ranges(table, 'id');
    expect(found.length).toBeGreaterThan(2);
    expect(overlaps(found)).toBe(0);
  });

  it('are refused where files cannot tell, and beside partitions', async () => {
    for (const [clusteringColumns, more] of [
      [['no'], {}],
      [['id'], {partitionColumns: ['kind']}],
      [['at'], {configuration: {'delta.dataSkippingNumIndexedCols': '2'}}],
      [['id', 'kind', 'at', 'id', 'id'], {}],
    ] as const) {
      await expect(makeTable({clusteringColumns, ...more})).rejects.toMatchObject({code: 'INVALID_OPTION'});
    }
  });

  it('may be declared later, and by physical names', async () => {
    const table = await makeTable({configuration: {'delta.columnMapping.mode': 'name'}});
    await append(table, 'SELECT * FROM range(10)');
    await clusterTable(table, ['id']);
    const {version} = table.snapshot;
    expect(clusteringColumnsOf(table.snapshot)).toEqual(['id']);
    expect(table.snapshot.domains.get('delta.clustering')?.configuration).toMatch(/\[\["col-[0-9a-f-]{36}"\]\]/);
    expect((await clusterTable(table, ['id'])).version).toBe(version);
    await clusterTable(table, ['kind']);
    expect(clusteringColumnsOf((await lake.open(table.root))?.snapshot ?? table.snapshot)).toEqual(['kind']);
    expect(await rowsOf(table)).toMatchObject([{n: 10n}]);
  });

  it('are sorted anew where many files hold the same keys, and only there', async () => {
    const table = await makeTable({...small, clusteringColumns: ['id']});
    for (let at = 0; at < 5; at++) await append(table, `SELECT (i * 7919 + ${at}) % 100003 FROM range(30000) AS r(i)`);
    const [apart] = await append(table, 'SELECT i + 1000000 FROM range(60000) AS r(i)');
    expect(overlaps(ranges(table, 'id'))).toBeGreaterThan(3);
    const before = await rowsOf(table);
    const planned = await optimizeTable(lake, table, {dryRun: true}, signal);
    expect(planned).toMatchObject({version: null, filesBefore: table.snapshot.files.size});
    const report = await optimizeTable(lake, table, {}, signal);
    expect(report.filesRemoved).toBe(planned.filesRemoved);
    expect(report.filesRemoved).toBeGreaterThan(4);
    expect(overlaps(ranges(table, 'id'))).toBe(0);
    expect(await rowsOf(table)).toEqual(before);
    expect(table.snapshot.files.has(apart?.path ?? '')).toBe(true);
    expect([...table.snapshot.files.values()].some((file) => file.clusteringProvider === 'sluice')).toBe(true);
    expect(await optimizeTable(lake, table, {}, signal)).toMatchObject({version: null});
  });

  it('leave files alone that another implementation has clustered', async () => {
    const table = await makeTable({clusteringColumns: ['id']});
    for (let at = 0; at < 5; at++) {
      const select = `SELECT i::BIGINT AS id, 'k' AS kind, NULL::TIMESTAMPTZ AS at FROM range(100) AS r(i)`;
      const adds = await table.writeFiles({select, schema}, signal);
      const marked = adds.map((add) => ({...add, clusteringProvider: 'liquid'}));
      await table.commit({base: table.snapshot, operation: 'WRITE', adds: marked, blindAppend: true});
    }
    expect(await optimizeTable(lake, table, {}, signal)).toMatchObject({version: null});
  });
});
