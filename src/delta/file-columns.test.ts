import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {expect, it} from 'vitest';

import * as t from '../core/schema.ts';
import {openEngine} from '../engine/duckdb-engine.ts';
import {columnsOfFiles, columnsOfSchema} from './file-columns.ts';

it('knows the columns of a written file as its footer tells them, for every type', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-columns-'));
  const engine = await openEngine({memoryLimitMb: 128, threads: 1, tempFolder: folder});
  try {
    const flat = {
      s: t.string(),
      l: t.long(),
      i: t.integer(),
      h: t.short(),
      b: t.byte(),
      f: t.float(),
      d: t.double(),
      o: t.boolean(),
      x: t.binary(),
      y: t.date(),
      z: t.timestamp(),
      n: t.timestampNtz(),
      d4: t.decimal(4, 2),
      d18: t.decimal(18, 0),
      d38: t.decimal(38, 38),
    };
    const schema = t.struct({
      ...flat,
      'Odd "Näme': t.long(),
      nested: t.column(t.struct({...flat, 'with "quote': t.array(t.struct({a: t.long()}))})),
      list: t.array(t.decimal(10, 3)),
      map: t.map(t.string(), t.struct({k: t.timestamp()})),
    });
    const select = `SELECT ${schema.fields.map((_, index) => `NULL AS c${index}`).join(', ')}`;
    const localPath = join(folder, 'all.parquet');
    await engine.writeParquet({select, schema, localPath});
    const [found] = await columnsOfFiles(engine, [localPath]);
    // The same object: sets of columns are compared by identity.
    expect(found).toBe(await columnsOfSchema(engine, schema));
    expect(found?.types.get('odd "näme')).toBe('BIGINT');
  } finally {
    await engine[Symbol.asyncDispose]();
    await rm(folder, {recursive: true, force: true});
  }
});
