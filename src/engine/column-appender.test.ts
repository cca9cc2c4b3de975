import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {DuckDBInstance} from '@duckdb/node-api';
import fc from 'fast-check';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {seededRandom} from '../core/clock.ts';
import type {Random} from '../core/clock.ts';
import type {ColumnBatch, ColumnVector, Validity} from '../core/columns.ts';
import type {ArrayType, DataType, MapType, StructField, StructType} from '../core/types.ts';
import {openColumnAppender} from './column-appender.ts';
import {openEngine} from './duckdb-engine.ts';
import type {Engine} from './engine.ts';
import {rawVectorsWork} from './raw-self-test.ts';
import {fixedWidth} from './vector-types.ts';

let engine: Engine;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'appender-'));
  engine = await openEngine({memoryLimitMb: 512, threads: 2, tempFolder: folder});
});

afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

function field(name: string, type: DataType): StructField {
  return {name, type, nullable: true, metadata: {}};
}

function struct(...fields: readonly StructField[]): StructType {
  return {type: 'struct', fields};
}

describe('append', () => {
  test('raw vectors pass their self-test on this version of DuckDB', () => {
    expect(rawVectorsWork()).toBe(true);
  });

  test('random batches of random nested schemas read back equal', {timeout: 30_000}, async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = seededRandom(seed);
        const schema = randomSchema(random, 2);
        const name = engine.uniqueName('random');
        await engine.createTable(name, struct(...schema.fields, field('ord', 'integer')));
        const appender = await engine.appender(name, struct(...schema.fields, field('ord', 'integer')));
        const expected: unknown[] = [];
        for (let batch = 0; batch < 3; batch += 1) {
          const rowCount = pick(random, [0, 1, 7, 300, 2048, 2500, 5000]);
          const columns = schema.fields.map((child) => randomColumn(random, child.type, rowCount));
          const order = Int32Array.from({length: rowCount}, (_, row) => expected.length + row);
          appender.append({
            schema: struct(...schema.fields, field('ord', 'integer')),
            rowCount,
            columns: [...columns.map((column) => column.vector), {kind: 'fixed', data: order, validity: null}],
          });
          for (let row = 0; row < rowCount; row += 1) {
            expected.push(Object.fromEntries(schema.fields.map((child, at) => [child.name, columns[at]?.values[row]])));
          }
        }
        appender.close();
        const rows = await engine.query(`SELECT * EXCLUDE (ord) FROM ${name} ORDER BY ord`);
        expect(rows.length).toBe(expected.length);
        rows.forEach((row, at) => expect(row).toEqual(expected[at]));
        await engine.dropTable(name);
      }),
      {numRuns: 15},
    );
  });

  test('the documented calls and raw vectors write the same', {timeout: 30_000}, async () => {
    const instance = await DuckDBInstance.create(':memory:');
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = seededRandom(seed);
        const schema = randomSchema(random, 2);
        const columns = schema.fields.map((child) => randomColumn(random, child.type, 2300).vector);
        await engine.createTable('shape', schema);
        const [{sql} = {sql: ''}] = (await engine.query(
          `SELECT sql FROM duckdb_tables() WHERE table_name = 'shape'`,
        )) as readonly {sql: string}[];
        const texts: string[] = [];
        for (const writer of ['raw', 'values'] as const) {
          const connection = await instance.connect();
          await connection.run(sql.replace('CREATE TABLE', 'CREATE OR REPLACE TABLE'));
          const appender = await openColumnAppender({
            connection,
            table: 'shape',
            schema,
            writer,
            onClose: () => undefined,
          });
          appender.append({schema, rowCount: 2300, columns});
          appender.close();
          texts.push(JSON.stringify((await connection.runAndReadAll('FROM shape')).getRowObjectsJson()));
          connection.closeSync();
        }
        expect(texts[0]).toBe(texts[1]);
      }),
      {numRuns: 8},
    );
    instance.closeSync();
  });

  test('refuses what would read outside of the arrays', async () => {
    const schema = struct(
      field('a', 'string'),
      field('b', 'long'),
      field('c', {type: 'array', elementType: 'long', containsNull: true}),
    );
    const good = {
      a: {
        kind: 'bytes',
        data: Buffer.from('abc'),
        starts: Uint32Array.of(0),
        lengths: Uint32Array.of(3),
        validity: null,
      },
      b: {kind: 'fixed', data: BigInt64Array.of(1n), validity: null},
      c: {
        kind: 'list',
        starts: Uint32Array.of(0),
        lengths: Uint32Array.of(1),
        childCount: 1,
        child: {kind: 'fixed', data: BigInt64Array.of(1n), validity: null},
        validity: null,
      },
    } as const satisfies Record<string, ColumnVector>;
    const wrong: readonly Partial<Record<'a' | 'b' | 'c', ColumnVector>>[] = [
      {a: {...good.a, lengths: Uint32Array.of(4)}},
      {a: {...good.a, starts: Uint32Array.of(2 ** 32 - 1)}},
      {a: {...good.a, starts: new Uint32Array(0)}},
      {a: {...good.a, data: Uint8Array.of(0xc3, 0x28, 0x41)}},
      {a: {...good.a, data: Buffer.from('éé'), starts: Uint32Array.of(1)}},
      {a: good.b},
      {b: {...good.b, data: new BigInt64Array(0)}},
      {b: {...good.b, validity: new Uint8Array(0)}},
      {b: {...good.b, data: new BigInt64Array(new SharedArrayBuffer(8))}},
      {c: {...good.c, lengths: Uint32Array.of(2)}},
      {c: {...good.c, childCount: 2, lengths: Uint32Array.of(2)}},
      {c: {kind: 'struct', children: [], validity: null}},
    ];
    await engine.createTable('wrong', schema);
    for (const part of wrong) {
      const columns = {...good, ...part};
      const appender = await engine.appender('wrong', schema);
      expect(() => appender.append({schema, rowCount: 1, columns: [columns.a, columns.b, columns.c]})).toThrow(
        expect.objectContaining({code: 'CONTRACT_VIOLATION'}),
      );
      appender.close();
    }
    expect(await engine.query('SELECT count(*) AS n FROM wrong')).toEqual([{n: 0n}]);
  });

  test('many batches leave the memory of the process flat', {timeout: 30_000}, async () => {
    const schema = struct(field('a', 'string'), field('b', {type: 'array', elementType: 'string', containsNull: true}));
    const random = seededRandom(7);
    const batch: ColumnBatch = {
      schema,
      rowCount: 20_000,
      columns: schema.fields.map((child) => randomColumn(random, child.type, 20_000).vector),
    };
    const growthMb: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      for (let at = 0; at < 10; at += 1) {
        await engine.createTable('flat', schema);
        const appender = await engine.appender('flat', schema);
        appender.append(batch);
        appender.close();
      }
      growthMb.push(process.memoryUsage().rss / 2 ** 20);
    }
    expect((growthMb.at(-1) ?? 0) - (growthMb[0] ?? 0)).toBeLessThan(150);
  });
});

interface RandomColumn {
  readonly vector: ColumnVector;
  /** As {@link EngineRow} shows them. */
  readonly values: readonly unknown[];
}

function pick<T>(random: Random, choices: readonly T[]): T {
  return choices[Math.floor(random() * choices.length)] as T;
}

function randomSchema(random: Random, depth: number): StructType {
  const count = 1 + Math.floor(random() * 5);
  return struct(
    ...Array.from({length: count}, (_, at) =>
      field(pick(random, ['a', '7', 'with "quotes"', 'é']) + at, randomType(random, depth)),
    ),
  );
}

const SCALARS = [
  'string',
  'long',
  'integer',
  'short',
  'byte',
  'float',
  'double',
  'boolean',
  'binary',
  'date',
  'timestamp',
  'timestamp_ntz',
  'variant',
] as const;

function randomType(random: Random, depth: number): DataType {
  const kind = random();
  if (depth === 0 || kind < 0.5) return pick(random, SCALARS);
  if (kind < 0.65) {
    const precision = pick(random, [1, 4, 5, 9, 10, 18, 19, 38]);
    return {type: 'decimal', precision, scale: Math.floor(random() * (precision + 1))};
  }
  if (kind < 0.78) return {type: 'array', elementType: randomType(random, depth - 1), containsNull: true};
  if (kind < 0.88)
    return {
      type: 'map',
      keyType: pick(random, ['string', 'long'] as const),
      valueType: randomType(random, depth - 1),
      valueContainsNull: true,
    };
  return randomSchema(random, depth - 1);
}

function randomValidity(random: Random, rows: number, share: number): Validity {
  if (random() < share) return null;
  return Uint8Array.from({length: Math.ceil(rows / 8) + Math.floor(random() * 3)}, () => Math.floor(random() * 256));
}

function present(validity: Validity, row: number): boolean {
  return validity === null || (((validity[row >> 3] ?? 0) >> (row & 7)) & 1) === 1;
}

function masked(validity: Validity, values: readonly unknown[]): readonly unknown[] {
  return values.map((value, row) => (present(validity, row) ? value : null));
}

function randomColumn(random: Random, type: DataType, rows: number, nullable = true): RandomColumn {
  const validity = nullable ? randomValidity(random, rows, 0.4) : null;
  if (typeof type === 'object' && type.type === 'struct') {
    const children = type.fields.map((child) => randomColumn(random, child.type, rows));
    const values = Array.from({length: rows}, (_, row) =>
      Object.fromEntries(type.fields.map((child, at) => [child.name, children[at]?.values[row]])),
    );
    return {
      vector: {kind: 'struct', children: children.map((child) => child.vector), validity},
      values: masked(validity, values),
    };
  }
  if (typeof type === 'object' && type.type !== 'decimal') return randomList(random, type, rows, validity);
  if (type === 'string' || type === 'binary' || type === 'variant') return randomBytes(random, type, rows, validity);
  return randomFixed(random, type, rows, validity);
}

function randomList(random: Random, type: ArrayType | MapType, rows: number, validity: Validity): RandomColumn {
  const starts = new Uint32Array(rows);
  const lengths = new Uint32Array(rows);
  let childCount = Math.floor(random() * 3);
  for (let row = 0; row < rows; row += 1) {
    if (!present(validity, row)) {
      [starts[row], lengths[row]] = [Math.floor(random() * 2 ** 32), Math.floor(random() * 2 ** 32)];
      continue;
    }
    starts[row] = childCount;
    lengths[row] = random() < 0.01 ? 100 : Math.floor(random() * 4);
    childCount += lengths[row] ?? 0;
  }
  const range = (row: number): [number, number] => [starts[row] ?? 0, (starts[row] ?? 0) + (lengths[row] ?? 0)];
  if (type.type === 'array') {
    const child = randomColumn(random, type.elementType, childCount);
    const values = Array.from({length: rows}, (_, row) =>
      present(validity, row) ? child.values.slice(...range(row)) : null,
    );
    return {vector: {kind: 'list', starts, lengths, child: child.vector, childCount, validity}, values};
  }
  const [key, value] = [
    randomColumn(random, type.keyType, childCount, false),
    randomColumn(random, type.valueType, childCount),
  ];
  const entries = key.values.map((inner, at) => ({key: inner, value: value.values[at]}));
  const values = Array.from({length: rows}, (_, row) => (present(validity, row) ? entries.slice(...range(row)) : null));
  const child: ColumnVector = {kind: 'struct', children: [key.vector, value.vector], validity: null};
  return {vector: {kind: 'list', starts, lengths, child, childCount, validity}, values};
}

const TEXTS = [
  '',
  'a',
  'exactly 12 b',
  'thirteen byte',
  'ünïcödé',
  'a text that is longer than what fits inline €',
  '\u0000',
  '😀'.repeat(9),
];

function randomBytes(random: Random, type: DataType, rows: number, validity: Validity): RandomColumn {
  const parts = Array.from({length: rows}, () =>
    type === 'binary'
      ? Buffer.from(Array.from({length: Math.floor(random() * 30)}, () => Math.floor(random() * 256)))
      : Buffer.from(pick(random, TEXTS)),
  );
  const gap = type === 'string' ? Buffer.from(pick(random, ['', '|'])) : Buffer.from([0xff]);
  const starts = new Uint32Array(rows);
  const lengths = new Uint32Array(rows);
  const order = parts.map((_, row) => row);
  if (random() < 0.5) order.reverse();
  let end = 0;
  for (const row of order) {
    const length = parts[row]?.length ?? 0;
    [starts[row], lengths[row]] = present(validity, row) ? [end, length] : [2 ** 32 - 1, 2 ** 32 - 1];
    end += length + gap.length;
  }
  const data = Buffer.concat(order.flatMap((row) => [parts[row] ?? Buffer.alloc(0), gap]));
  const values = parts.map((part) => (type === 'binary' ? Uint8Array.from(part) : part.toString()));
  return {vector: {kind: 'bytes', data, starts, lengths, validity}, values: masked(validity, values)};
}

function randomFixed(random: Random, type: DataType, rows: number, validity: Validity): RandomColumn {
  const width = fixedWidth(type) ?? 1;
  const data = new Uint8Array(new ArrayBuffer(rows * width + 8), 8 - (8 % width));
  const view = new DataView(data.buffer, data.byteOffset);
  const values = Array.from({length: rows}, (_, row) => writeRandom(random, type, view, row * width));
  return {vector: {kind: 'fixed', data, validity}, values: masked(validity, values)};
}

function writeRandom(random: Random, type: DataType, view: DataView, at: number): unknown {
  const integer = (limit: number): number => Math.floor((random() * 2 - 1) * limit);
  if (typeof type === 'object' && type.type === 'decimal') {
    const digits = 1 + Math.floor(random() * type.precision);
    const unscaled =
      BigInt(Array.from({length: digits}, () => Math.floor(random() * 10)).join('')) * (random() < 0.5 ? -1n : 1n);
    const bytes = fixedWidth(type) ?? 1;
    for (let byte = 0; byte < bytes; byte += 1) view.setUint8(at + byte, Number((unscaled >> BigInt(byte * 8)) & 255n));
    return decimalText(unscaled, type.scale);
  }
  switch (type) {
    case 'boolean': {
      const flag = random() < 0.5;
      view.setUint8(at, flag ? pick(random, [1, 255]) : 0);
      return flag;
    }
    case 'byte':
      view.setInt8(at, integer(128));
      return view.getInt8(at);
    case 'short':
      view.setInt16(at, integer(2 ** 15), true);
      return view.getInt16(at, true);
    case 'float':
      view.setFloat32(at, pick(random, [NaN, Infinity, random(), -0.5]), true);
      return view.getFloat32(at, true);
    case 'double':
      view.setFloat64(at, pick(random, [NaN, -Infinity, random(), 1e300]), true);
      return view.getFloat64(at, true);
    case 'date':
    case 'integer':
      view.setInt32(at, type === 'date' ? integer(40_000) : integer(2 ** 31), true);
      return view.getInt32(at, true);
    default: {
      const value = type === 'long' ? BigInt(integer(2 ** 53)) * 1024n + 1n : BigInt(integer(2 ** 50));
      view.setBigInt64(at, value, true);
      return value;
    }
  }
}

function decimalText(unscaled: bigint, scale: number): string {
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  const whole = digits.slice(0, digits.length - scale);
  return `${unscaled < 0n ? '-' : ''}${whole}${scale === 0 ? '' : `.${digits.slice(digits.length - scale)}`}`;
}
