import {mkdir, mkdtemp, readdir, rm, stat} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import type {StructType} from '../core/types.ts';
import {openEngine} from './duckdb-engine.ts';
import type {Engine} from './engine.ts';
import {quoteIdentifier, quoteLiteral, sqlType} from './sql-types.ts';

let folder: string;
let engine: Engine;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'engine-test-'));
  await mkdir(join(folder, 'lake'));
  engine = await openEngine({
    memoryLimitMb: 256,
    threads: 2,
    tempFolder: join(folder, 'temp'),
    allowedFolders: [join(folder, 'lake')],
  });
});

afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  expect(await readdir(join(folder, 'temp'))).toEqual([]);
  await rm(folder, {recursive: true, force: true});
});

describe('query', () => {
  test('gives every type as documented', async () => {
    const rows =
      await engine.query(`SELECT 1::BIGINT AS big, 2::HUGEINT AS huge, 3::INTEGER AS int, 1.50::DECIMAL(20, 2) AS dec, DATE '1970-01-03' AS day,
      TIMESTAMP '1970-01-01 00:00:01' AS ntz, TIMESTAMPTZ '1970-01-01 00:00:01+01' AS tz, '\\x01\\xFF'::BLOB AS blob, [1, NULL]::BIGINT[] AS list,
      {'a': 1.5::DECIMAL(2, 1)} AS struct, MAP {'k': DATE '1970-01-02'} AS map, NULL AS nothing, 'x' AS text, true AS flag, 0.5::DOUBLE AS double`);
    expect(rows).toEqual([
      {
        big: 1n,
        huge: 2n,
        int: 3,
        dec: '1.50',
        day: 2,
        ntz: 1_000_000n,
        tz: -3_599_000_000n,
        blob: Uint8Array.of(1, 255),
        list: [1n, null],
        struct: {a: '1.5'},
        map: [{key: 'k', value: 1}],
        nothing: null,
        text: 'x',
        flag: true,
        double: 0.5,
      },
    ]);
  });

  test('works in UTC whatever the zone of the process', async () => {
    expect(await engine.query(`SELECT TIMESTAMPTZ '2024-06-01 12:00:00+00'::VARCHAR AS at`)).toEqual([
      {at: '2024-06-01 12:00:00+00'},
    ]);
  });

  test('shows a table to every connection', async () => {
    await engine.createTable('seen', {
      type: 'struct',
      fields: [{name: 'a', type: 'long', nullable: true, metadata: {}}],
    });
    await engine.run('INSERT INTO seen VALUES (1)');
    const counts = await Promise.all([1, 2, 3].map(() => engine.query('SELECT count(*) AS n FROM seen')));
    expect(counts).toEqual([[{n: 1n}], [{n: 1n}], [{n: 1n}]]);
  });
});

describe('stream', () => {
  test('yields all rows, and lets other statements run between chunks', async () => {
    let rows = 0;
    for await (const chunk of engine.stream('SELECT range AS i FROM range(10000)')) {
      rows += chunk.length;
      for await (const inner of engine.stream('SELECT 1 AS a')) expect(inner).toEqual([{a: 1}]);
    }
    expect(rows).toBe(10_000);
  });

  test('can be left before its end', async () => {
    for await (const chunk of engine.stream('SELECT range AS i FROM range(1000000)')) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    expect(await engine.query('SELECT 1 AS a')).toEqual([{a: 1}]);
  });
});

describe('errors', () => {
  test('hold no row values', async () => {
    const failure = await engine
      .query(`SELECT CAST(x AS INTEGER) FROM (VALUES ('secret-123')) AS t(x)`)
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({code: 'ENGINE_FAILED'});
    expect(String((failure as Error).message)).not.toContain('secret');
    expect(JSON.stringify(failure)).not.toContain('secret');
  });

  test('out of memory has its own code, and the engine works on', async () => {
    const hungry = engine.query('SELECT length(list(md5(range::VARCHAR))::VARCHAR) AS n FROM range(20000000)');
    await expect(hungry).rejects.toMatchObject({code: 'OUT_OF_MEMORY'});
    expect(await engine.query('SELECT 1 AS a')).toEqual([{a: 1}]);
  }, 20_000);

  test('files outside of the allowed folders cannot be read or written, and the network not reached', async () => {
    const outside = join(folder, 'outside.csv');
    for (const sql of [
      `COPY (SELECT 1) TO ${quoteLiteral(outside)}`,
      `FROM read_csv('/etc/passwd')`,
      `FROM read_csv('http://localhost:1/x.csv')`,
      'SET enable_external_access = true',
      'INSTALL httpfs',
    ]) {
      await expect(engine.query(sql)).rejects.toMatchObject({code: 'ENGINE_FAILED'});
    }
    await expect(stat(outside)).rejects.toMatchObject({code: 'ENOENT'});
  });
});

describe('signals', () => {
  test('an abort interrupts a running statement and those that wait', async () => {
    const stop = new AbortController();
    const slow = [1, 2, 3].map(() =>
      engine.query(
        'SELECT count(*) FROM range(100000) a, range(10000000) b WHERE hash(a.range + b.range) = 1',
        stop.signal,
      ),
    );
    setTimeout(() => stop.abort(new Error('stopped')), 50);
    const started = performance.now();
    for (const outcome of await Promise.allSettled(slow))
      expect(outcome).toMatchObject({status: 'rejected', reason: {message: 'stopped'}});
    expect(performance.now() - started).toBeLessThan(1500);
    expect(await engine.query('SELECT 1 AS a')).toEqual([{a: 1}]);
  });

  test('closing interrupts what runs, and later calls say so', async () => {
    const closing = await openEngine({memoryLimitMb: 64, threads: 1, tempFolder: join(folder, 'temp')});
    const slow = closing.query(
      'SELECT count(*) FROM range(100000) a, range(10000000) b WHERE hash(a.range + b.range) = 1',
    );
    const outcome = expect(slow).rejects.toMatchObject({code: 'ENGINE_FAILED', message: 'The engine is closed.'});
    setTimeout(() => void closing[Symbol.asyncDispose](), 20);
    await outcome;
    await closing[Symbol.asyncDispose]();
    await expect(closing.run('SELECT 1')).rejects.toMatchObject({message: 'The engine is closed.'});
  });
});

describe('writeParquet', () => {
  const schema: StructType = {
    type: 'struct',
    fields: [
      {name: 'id', type: 'long', nullable: true, metadata: {}},
      {name: 'd "x"', type: 'double', nullable: true, metadata: {}},
      {name: 'big', type: {type: 'decimal', precision: 38, scale: 0}, nullable: true, metadata: {}},
      {
        name: 'st',
        type: {type: 'struct', fields: [{name: 'a.b', type: 'string', nullable: true, metadata: {}}]},
        nullable: true,
        metadata: {},
      },
      {name: 'list', type: {type: 'array', elementType: 'integer', containsNull: true}, nullable: true, metadata: {}},
    ],
  };

  test('returns statistics by leaf and casts what Delta lacks', async () => {
    const localPath = join(folder, 'lake', 'a.parquet');
    const select = `SELECT range, CASE WHEN range = 1 THEN 'NaN'::DOUBLE END, 12345678901234567890123456789012345678::HUGEINT, {'a.b': 'x' || range}, [1] FROM range(3)`;
    const written = await engine.writeParquet({select, schema, localPath});
    expect(written).toMatchObject({localPath, rowCount: 3, sizeBytes: (await stat(localPath)).size});
    expect(written?.statistics).toContainEqual({path: ['id'], min: '0', max: '2', nullCount: 0, hasNan: false});
    expect(written?.statistics).toContainEqual(expect.objectContaining({path: ['d "x"'], nullCount: 2, hasNan: true}));
    expect(written?.statistics).toContainEqual({
      path: ['st', 'a.b'],
      min: 'x0',
      max: 'x2',
      nullCount: 0,
      hasNan: false,
    });
    expect(written?.statistics.map((leaf) => leaf.path[0])).not.toContain('list');
    expect(await engine.query(`SELECT DISTINCT big, typeof(big) AS t FROM ${quoteLiteral(localPath)}`)).toEqual([
      {big: '12345678901234567890123456789012345678', t: 'DECIMAL(38,0)'},
    ]);
  });

  test('writes nothing for no rows, and leaves nothing after a failure', async () => {
    const localPath = join(folder, 'lake', 'b.parquet');
    const none = `SELECT 1, 1, 1, {'a.b': ''}, [1] WHERE false`;
    expect(await engine.writeParquet({select: none, schema, localPath})).toBeNull();
    const failing = `SELECT range, 1, 1, {'a.b': ''}, [CAST(range || 'x' AS INTEGER)] FROM range(10)`;
    await expect(engine.writeParquet({select: failing, schema, localPath})).rejects.toMatchObject({
      code: 'ENGINE_FAILED',
    });
    await expect(stat(localPath)).rejects.toMatchObject({code: 'ENOENT'});
  });

  test('writes the field ids of column mapping', async () => {
    const localPath = join(folder, 'lake', 'c.parquet');
    const mapped: StructType = {
      type: 'struct',
      fields: [
        {
          name: 'col-1',
          type: {
            type: 'struct',
            fields: [{name: 'col-2', type: 'string', nullable: true, metadata: {'delta.columnMapping.id': 2}}],
          },
          nullable: true,
          metadata: {'delta.columnMapping.id': 1},
        },
      ],
    };
    await engine.writeParquet({select: `SELECT {'col-2': 'x'}`, schema: mapped, localPath});
    expect(
      await engine.query(
        `SELECT name, field_id FROM parquet_schema(${quoteLiteral(localPath)}) WHERE field_id IS NOT NULL`,
      ),
    ).toEqual([
      {name: 'col-1', field_id: 1n},
      {name: 'col-2', field_id: 2n},
    ]);
  });
});

describe('SQL text', () => {
  test('quotes survive, NUL included', async () => {
    const text = `it's "a" \0 \\ text`;
    expect(await engine.query(`SELECT ${quoteLiteral(text)} AS ${quoteIdentifier('a "b"')}`)).toEqual([
      {'a "b"': text},
    ]);
  });

  test('names the types of nested schemas', () => {
    expect(
      sqlType({
        type: 'map',
        keyType: 'string',
        valueType: {type: 'array', elementType: {type: 'decimal', precision: 5, scale: 1}, containsNull: true},
        valueContainsNull: true,
      }),
    ).toBe('MAP(VARCHAR, DECIMAL(5, 1)[])');
    expect(() => sqlType({type: 'struct', fields: []})).toThrow(expect.objectContaining({code: 'INVALID_SCHEMA'}));
  });
});
