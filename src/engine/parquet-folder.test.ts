import {mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import * as t from '../core/schema.ts';
import {openEngine} from './duckdb-engine.ts';
import type {Engine, WrittenParquet} from './engine.ts';
import {quoteLiteral} from './sql-types.ts';

const schema = t.struct({id: t.long(), name: t.string()});

let home: string;
let engine: Engine;
let folderCount = 0;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'sluice-folder-'));
  engine = await openEngine({memoryLimitMb: 256, threads: 2, tempFolder: join(home, 'temp'), allowedFolders: [home]});
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  await rm(home, {recursive: true, force: true});
});

const newFolder = (): string => join(home, `folder-${folderCount++}`);

function boundOf(file: WrittenParquet, side: 'min' | 'max'): number {
  return Number(file.statistics.find(({path}) => path[0] === 'id')?.[side]);
}

describe('a folder of Parquet files', () => {
  it('is cut at a size, with the statistics of each file', async () => {
    const select = `SELECT i::BIGINT AS id, md5(i::VARCHAR) AS name FROM range(300000) AS r(i)`;
    const files = await engine.writeParquetFiles({select, schema, folder: newFolder(), targetBytes: 1024 * 1024});
    expect(files.length).toBeGreaterThan(4);
    expect(files.reduce((sum, file) => sum + file.rowCount, 0)).toBe(300_000);
    for (const file of files) {
      expect(file.sizeBytes).toBeLessThan(2.5 * 1024 * 1024);
      const [found] = await engine.query(
        `SELECT count(*) AS n, min(id) AS low, max(id) AS high FROM read_parquet(${quoteLiteral(file.localPath)})`,
      );
      expect([Number(found?.['n']), Number(found?.['low']), Number(found?.['high'])]).toEqual([
        file.rowCount,
        boundOf(file, 'min'),
        boundOf(file, 'max'),
      ]);
    }
  });

  it('has files by range when it is to be ordered', async () => {
    const select = `SELECT (hash(i) >> 1)::BIGINT % 1000000 AS id, md5(i::VARCHAR) AS name FROM range(300000) AS r(i)`;
    const job = {select, schema, folder: newFolder(), targetBytes: 1024 * 1024, orderBy: ['"id"']};
    const files = (await engine.writeParquetFiles(job)).toSorted((a, b) => boundOf(a, 'min') - boundOf(b, 'min'));
    expect(files.length).toBeGreaterThan(4);
    for (const [at, file] of files.slice(1).entries())
      expect(boundOf(file, 'min')).toBeGreaterThanOrEqual(boundOf(files[at] ?? file, 'max'));
  });

  it('has files by partition, with null, empty and odd values as they were', async () => {
    const values = ['x', '', 'a b/ü=%', `o'clock`, null];
    const texts = values.map((value) => (value === null ? 'NULL' : quoteLiteral(value))).join(', ');
    const select = `SELECT i::BIGINT AS id, 'n' AS name, [${texts}][1 + i % 5] AS "any name", (i % 2)::VARCHAR AS k FROM range(1000) AS r(i)`;
    const files = await engine.writeParquetFiles({
      select,
      schema,
      folder: newFolder(),
      targetBytes: 1024 * 1024,
      partitions: 2,
    });
    const found = files.map(({partition, rowCount}) => JSON.stringify([...partition, rowCount])).sort();
    const wanted = values.flatMap((value) => ['0', '1'].map((k) => JSON.stringify([value, k, 100])));
    expect(found).toEqual(wanted.sort());
  });

  it('has no file without a row, and is not left behind by a statement that fails', async () => {
    const job = {schema, targetBytes: 1024};
    const none = 'SELECT 1::BIGINT AS id, NULL::VARCHAR AS name WHERE false';
    expect(await engine.writeParquetFiles({...job, select: none, folder: newFolder()})).toEqual([]);
    const folder = newFolder();
    const wrong = `SELECT CASE WHEN i = 150000 THEN error('no') ELSE i END::BIGINT AS id, 'n' AS name FROM range(200000) AS r(i)`;
    await expect(engine.writeParquetFiles({...job, select: wrong, folder})).rejects.toThrow('no');
    expect((await readdir(home)).filter((name) => join(home, name) === folder)).toEqual([]);
  });
});
