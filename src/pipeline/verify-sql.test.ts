import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import fc from 'fast-check';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import type {DataType} from '../core/types.ts';
import {openEngine} from '../engine/duckdb-engine.ts';
import type {Engine} from '../engine/engine.ts';
import {quoteLiteral, sqlType} from '../engine/sql-types.ts';
import type {CanonicalValue} from '../sdk/canonical.ts';
import {bucketOf, canonicalText, hash60, rowText} from '../sdk/canonical.ts';
import {bucketSql, canonicalSql, hashSql, rowTextSql} from './verify-sql.ts';

let folder: string;
let engine: Engine;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-verify-'));
  engine = await openEngine({memoryLimitMb: 256, threads: 1, tempFolder: folder});
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

const micros = fc.bigInt({min: -210_866_803_200_000_000n, max: 9_223_372_036_854_775_806n});
const doubles = fc.oneof(
  fc.double(),
  fc.constantFrom(-0, 2 ** 81, -(2 ** 81), 2 ** 91, 2 ** 807, -(2 ** 807), 5e-324, NaN, Infinity),
);
const decimals = (precision: number, scale: number): fc.Arbitrary<string> =>
  fc.bigInt({min: -(10n ** BigInt(precision)) + 1n, max: 10n ** BigInt(precision) - 1n}).map((unscaled) => {
    const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
    const point = digits.length - scale;
    return `${unscaled < 0n ? '-' : ''}${digits.slice(0, point)}${scale === 0 ? '' : '.'}${digits.slice(point)}`;
  });
const decimal = (precision: number, scale: number): DataType => ({type: 'decimal', precision, scale});
const TYPES: readonly (readonly [DataType, fc.Arbitrary<CanonicalValue>])[] = [
  ['boolean', fc.boolean()],
  ['byte', fc.integer({min: -128, max: 127})],
  ['short', fc.integer({min: -32_768, max: 32_767})],
  ['integer', fc.integer()],
  ['long', fc.bigInt({min: -(2n ** 63n), max: 2n ** 63n - 1n})],
  ['float', fc.float()],
  ['double', doubles],
  [decimal(4, 4), decimals(4, 4)],
  [decimal(12, 2), decimals(12, 2)],
  [decimal(18, 0), decimals(18, 0)],
  [decimal(38, 38), decimals(38, 38)],
  [decimal(38, 10), decimals(38, 10)],
  ['date', fc.integer({min: -2_440_588, max: 2_145_042_905})],
  ['timestamp', micros],
  ['timestamp_ntz', micros],
  ['binary', fc.uint8Array()],
  ['string', fc.string({unit: 'grapheme'})],
];

describe('the engine and the reference agree', () => {
  it.each(TYPES)('on the canonical text of %j', async (type, arbitrary) => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(arbitrary), {minLength: 1, maxLength: 200}), async (values) => {
        const rows = values.map((value, index) => `(${index}, ${literal(value, type)})`).join(', ');
        const sql = `SELECT ${canonicalSql({name: 'v', type})} AS t FROM (VALUES ${rows}) AS landed(i, v) ORDER BY i`;
        const texts = (await engine.query(sql)).map((row) => row['t']);
        expect(texts).toEqual(values.map((value) => canonicalText(value, type)));
      }),
      {numRuns: 20},
    );
  });

  it('on the text, the hash and the bucket of rows', async () => {
    const types: readonly DataType[] = ['integer', 'string', 'string', 'double', decimal(12, 2)];
    const columns = types.map((type, index) => ({name: `c${index}`, type}));
    const row = fc.tuple(
      ...types.map((type) => fc.option(TYPES.find(([known]) => known === type)?.[1] ?? decimals(12, 2))),
    );
    const hash = hashSql(rowTextSql(columns));
    await fc.assert(
      fc.asyncProperty(fc.array(row, {minLength: 1, maxLength: 50}), async (rows) => {
        const list = rows.map(
          (values, index) =>
            `(${index}, ${values.map((value, at) => literal(value, types[at] ?? 'string')).join(', ')})`,
        );
        const found = await engine.query(
          `SELECT ${rowTextSql(columns)} AS t, ${hash} AS h, ${bucketSql([], hash, 64)} AS b FROM (VALUES ${list.join(', ')}) AS landed(i, c0, c1, c2, c3, c4) ORDER BY i`,
        );
        const texts = rows.map((values) =>
          rowText(
            values.map((value, at) => canonicalText(value, types[at] ?? 'string')),
            types,
          ),
        );
        expect(found.map(({t}) => t)).toEqual(texts);
        expect(found.map(({h}) => h)).toEqual(texts.map(hash60));
        expect(found.map(({b}) => b)).toEqual(texts.map((text) => bucketOf(hash60(text), 64)));
      }),
      {numRuns: 30},
    );
  });

  it('on buckets of whole-number keys, negative ones too', async () => {
    const key = {name: 'k', type: 'long' as const};
    const sql = bucketSql([key], 'h', 1024);
    const rows = await engine.query(
      `SELECT ${sql} AS b FROM (VALUES (0), (1023), (1024), (-1), (-9223372036854775808), (9223372036854775807)) AS landed(k)`,
    );
    expect(rows.map(({b}) => b)).toEqual([0, 1023, 0, 1, 0, 1023]);
  });
});

function literal(value: CanonicalValue, type: DataType): string {
  if (value === null) return `NULL::${sqlType(type)}`;
  switch (type) {
    case 'float':
    case 'double':
      return `${quoteLiteral(doubleText(Number(value)))}::${sqlType(type)}`;
    case 'date':
      return `(DATE '1970-01-01' + (${String(value)})::INTEGER)`;
    case 'timestamp':
      return `make_timestamptz((${String(value)})::BIGINT)`;
    case 'timestamp_ntz':
      return `make_timestamp((${String(value)})::BIGINT)`;
    case 'binary':
      return `unhex('${Buffer.from(value as Uint8Array).toString('hex')}')`;
    default:
      return `${quoteLiteral(String(value))}::${sqlType(type)}`;
  }
}

function doubleText(value: number): string {
  return Object.is(value, -0) ? '-0.0' : String(value).replace('Infinity', 'inf');
}
