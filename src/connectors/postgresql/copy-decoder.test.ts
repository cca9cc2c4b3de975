import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import type {ColumnBatch} from '../../sdk/index.ts';
import {canonicalCell} from '../../sdk/index.ts';
import {WidthError} from './column-decoders.ts';
import type {CopyColumn} from './copy-decoder.ts';
import {CopyDecoder, CopyMismatchError} from './copy-decoder.ts';
import {mapType} from './source-type.ts';
import {dateText, timestampText} from './time-text.ts';

describe('a binary COPY', () => {
  it('comes out as it went in, however it is cut into ranges', () => {
    const columns = [
      column('a', 'int8'),
      column('b', 'text'),
      numericColumn('c', 18, 3),
      column('d', 'bool'),
      numericColumn('e', 38, 20),
    ];
    const row = fc.tuple(
      fc.option(fc.bigInt({min: -(2n ** 63n), max: 2n ** 63n - 1n})),
      fc.option(fc.string({unit: 'grapheme'})),
      fc.option(decimals(18, 3)),
      fc.option(fc.boolean()),
      fc.option(decimals(38, 20)),
    );
    fc.assert(
      fc.property(fc.array(row, {maxLength: 40}), fc.infiniteStream(fc.integer({min: 1, max: 7})), (rows, cuts) => {
        const messages = [
          ...rows.map((values) =>
            rowMessage([
              longField(values[0]),
              textField(values[1]),
              numericField(values[2]),
              boolField(values[3]),
              numericField(values[4]),
            ]),
          ),
          TRAILER,
        ];
        const decoder = new CopyDecoder(columns, {checkUtf8: false});
        const cells: (string | null)[][] = [];
        for (const range of rangesOf([message(HEADER), ...messages], cuts)) cells.push(...decoded(decoder, range));
        const expected = rows.map(([a, b, c, d, e]) => [
          a === null ? null : String(a),
          b,
          c,
          d === null ? null : d ? '1' : '0',
          e,
        ]);
        expect(cells).toEqual(expected);
      }),
      {numRuns: 200},
    );
  });

  it('takes header and first row in one message', () => {
    const decoder = new CopyDecoder([column('a', 'int8')], {checkUtf8: false});
    const first = message(Buffer.concat([HEADER, rowMessage([longField(7n)]).subarray(5)]));
    expect(decoded(decoder, rangeOf([first, rowMessage([longField(8n)]), TRAILER]))).toEqual([['7'], ['8']]);
  });

  it('gives more rows than a batch holds in several batches', () => {
    const decoder = new CopyDecoder([column('a', 'int8')], {checkUtf8: false});
    const rows = Array.from({length: 40_000}, (_, index) => rowMessage([longField(BigInt(index))]));
    const range = rangeOf([message(HEADER), ...rows, TRAILER]);
    const counts = [...decoder.decode(range)].map(({batch}) => batch.rowCount);
    expect(counts.length).toBeGreaterThan(1);
    expect(counts.reduce((sum, count) => sum + count)).toBe(40_000);
  });

  it('notices another number of columns and another width', () => {
    const message2 = rangeOf([message(HEADER), rowMessage([longField(1n), longField(2n)])]);
    expect(() => [...new CopyDecoder([column('a', 'int8')], {checkUtf8: false}).decode(message2)]).toThrow(
      CopyMismatchError,
    );
    for (const type of ['int2', 'int4', 'float4', 'date', 'bool', 'uuid', 'oid']) {
      const range = rangeOf([message(HEADER), rowMessage([longField(1n)])]);
      expect(() => [...new CopyDecoder([column('a', type)], {checkUtf8: false}).decode(range)], type).toThrow(
        WidthError,
      );
    }
    const numeric = new CopyDecoder([numericColumn('a', 9, 2)], {checkUtf8: false});
    expect(() => [...numeric.decode(rangeOf([message(HEADER), rowMessage([longField(1n << 48n)])]))]).toThrow(
      WidthError,
    );
  });

  it('rescues texts that are no UTF-8 where the database does not vouch for them', () => {
    const decoder = new CopyDecoder([column('a', 'text')], {checkUtf8: true});
    const range = rangeOf([
      message(HEADER),
      rowMessage([Buffer.from([0x61, 0xff])]),
      rowMessage([Buffer.from('ä')]),
      rowMessage([null]),
    ]);
    const [found] = [...decoder.decode(range)];
    expect(found?.rescued).toEqual([{row: 0, column: 'a', text: '\\x61ff'}]);
    expect(found === undefined ? [] : cellsOf(found.batch)).toEqual([[null], ['ä'], [null]]);
  });

  it('rescues numbers that their type cannot hold', () => {
    const decoder = new CopyDecoder([numericColumn('a', 4, 2)], {checkUtf8: false});
    const nan = Buffer.from([0, 0, 0, 0, 0xc0, 0, 0, 0]);
    const range = rangeOf([
      message(HEADER),
      rowMessage([numericField('100.00')]),
      rowMessage([nan]),
      rowMessage([numericField('-99.99')]),
    ]);
    const [found] = [...decoder.decode(range)];
    expect(found?.rescued.map(({row, text}) => [row, text])).toEqual([
      [0, '100.00'],
      [1, 'NaN'],
    ]);
    expect(found === undefined ? [] : cellsOf(found.batch)).toEqual([[null], [null], ['-99.99']]);
  });
});

describe('texts of times', () => {
  it('are those of the server', () => {
    expect(dateText(0)).toBe('2000-01-01');
    expect(dateText(-730_120)).toBe('0001-12-31 BC');
    expect(timestampText(-1n, true)).toBe('1999-12-31 23:59:59.999999+00');
    expect(timestampText(500_000n, false)).toBe('2000-01-01 00:00:00.5');
  });
});

const HEADER = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
const TRAILER = message(Buffer.from([0xff, 0xff]));

function column(name: string, type: string): CopyColumn {
  return {name, nullable: true, mapping: mapType({name: type, builtIn: true, isEnum: false, modifier: -1})};
}

function numericColumn(name: string, precision: number, scale: number): CopyColumn {
  return {
    name,
    nullable: true,
    mapping: mapType({name: 'numeric', builtIn: true, isEnum: false, modifier: ((precision << 16) | scale) + 4}),
  };
}

function message(body: Buffer): Buffer {
  const header = Buffer.from('d\0\0\0\0');
  header.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}

function rowMessage(fields: readonly (Buffer | null)[]): Buffer {
  const count = Buffer.alloc(2);
  count.writeInt16BE(fields.length);
  const parts = fields.flatMap((field) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(field === null ? -1 : field.length);
    return field === null ? [length] : [length, field];
  });
  return message(Buffer.concat([count, ...parts]));
}

function longField(value: bigint | null): Buffer | null {
  if (value === null) return null;
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
}

function textField(value: string | null): Buffer | null {
  return value === null ? null : Buffer.from(value);
}

function boolField(value: boolean | null): Buffer | null {
  return value === null ? null : Buffer.from([value ? 1 : 0]);
}

/** As numeric_send writes it: digits to the base 10000 without zeros at either end. */
function numericField(text: string | null): Buffer | null {
  if (text === null) return null;
  const [, sign = '', whole = '', fraction = ''] = /^(-?)(\d+)\.?(\d*)$/.exec(text) ?? [];
  const left = whole.padStart(Math.ceil(whole.length / 4) * 4, '0');
  const digits = (left + fraction.padEnd(Math.ceil(fraction.length / 4) * 4, '0')).match(/.{4}/g)?.map(Number) ?? [];
  let weight = left.length / 4 - 1;
  while (digits[0] === 0) {
    digits.shift();
    weight--;
  }
  while (digits.at(-1) === 0) digits.pop();
  const bytes = Buffer.alloc(8 + 2 * digits.length);
  bytes.writeInt16BE(digits.length, 0);
  bytes.writeInt16BE(digits.length === 0 ? 0 : weight, 2);
  bytes.writeUInt16BE(sign === '' || digits.length === 0 ? 0 : 0x4000, 4);
  bytes.writeUInt16BE(fraction.length, 6);
  digits.forEach((digit, index) => bytes.writeUInt16BE(digit, 8 + 2 * index));
  return bytes;
}

function decimals(precision: number, scale: number): fc.Arbitrary<string> {
  const limit = 10n ** BigInt(precision) - 1n;
  const size = fc.oneof(
    fc.bigInt({min: -limit, max: limit}),
    fc.bigInt({min: -(10n ** 6n), max: 10n ** 6n}),
    fc.bigInt({min: 2n ** 53n - 2n, max: 2n ** 53n + 2n}),
  );
  return size.map((unscaled) => {
    const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
    return `${unscaled < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
  });
}

interface Range {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

/** Ranges begin anywhere in their buffer, and a few bytes follow them, as those of a stream do. */
function rangeOf(messages: readonly Buffer[]): Range {
  const body = Buffer.concat(messages);
  return {buffer: Buffer.concat([Buffer.from('xyz'), body, Buffer.alloc(64)]), start: 3, end: 3 + body.length};
}

function rangesOf(messages: readonly Buffer[], cuts: fc.Stream<number>): Range[] {
  const ranges: Range[] = [];
  for (let at = 0; at < messages.length;) {
    const count = cuts.next().value as number;
    ranges.push(rangeOf(messages.slice(at, at + count)));
    at += count;
  }
  return ranges;
}

function decoded(decoder: CopyDecoder, range: Range): (string | null)[][] {
  return [...decoder.decode(range)].flatMap(({batch}) => cellsOf(batch));
}

function cellsOf({schema, columns, rowCount}: ColumnBatch): (string | null)[][] {
  return Array.from({length: rowCount}, (_, row) =>
    columns.map((vector, index) => canonicalCell(vector, row, schema.fields[index]?.type ?? 'string')),
  );
}
