import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {ByteReader} from './byte-reader.ts';
import {charsetOf, collationDecode, textDecode} from './charsets.ts';
import {decimalBytes, readDecimal} from './decimal.ts';
import {jsonText} from './json-binary.ts';
import {dateTimeText, timestampText, timeText} from './time-values.ts';

describe('a DECIMAL', () => {
  it('comes back from any number of digits', () => {
    const shape = fc
      .integer({min: 1, max: 65})
      .chain((precision) =>
        fc.tuple(
          fc.constant(precision),
          fc.integer({min: 0, max: Math.min(30, precision)}),
          fc.bigInt({min: 0n, max: 10n ** BigInt(precision) - 1n}),
          fc.boolean(),
        ),
      );
    fc.assert(
      fc.property(shape, ([precision, scale, digits, isNegative]) => {
        const reader = new ByteReader(encodeDecimal(digits, {precision, scale, isNegative: isNegative && digits > 0n}));
        const text = readDecimal(reader, precision, scale);
        const all = digits.toString().padStart(scale + 1, '0');
        const expected = scale === 0 ? all : `${all.slice(0, -scale)}.${all.slice(-scale)}`;
        expect(text).toBe(`${isNegative && digits > 0n ? '-' : ''}${expected}`);
        expect(reader.at).toBe(decimalBytes(precision, scale));
      }),
    );
  });
});

/** Groups of nine digits from the point to both sides; the first bit is the sign, and negative numbers are turned over. */
function encodeDecimal(
  digits: bigint,
  {precision, scale, isNegative}: {readonly precision: number; readonly scale: number; readonly isNegative: boolean},
): Buffer {
  const WIDTHS = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
  const text = digits.toString().padStart(precision, '0');
  const [whole, fraction] = [text.slice(0, precision - scale), text.slice(precision - scale)];
  const first = whole.length % 9;
  const groups = [
    whole.slice(0, first),
    ...(whole.slice(first).match(/.{9}/g) ?? []),
    ...(fraction.match(/.{1,9}/g) ?? []),
  ];
  const bytes = Buffer.concat(
    groups.map((group) => {
      const width = WIDTHS[group.length] ?? 0;
      const part = Buffer.alloc(width);
      if (width > 0) part.writeUIntBE(Number(group), 0, width);
      return part;
    }),
  );
  bytes[0] = (bytes[0] ?? 0) ^ 0x80;
  return isNegative ? Buffer.from(bytes.map((byte) => byte ^ 0xff)) : bytes;
}

describe('times', () => {
  it('of timestamps are those of UTC', () => {
    fc.assert(
      fc.property(fc.integer({min: 1, max: 4_294_967_295}), (seconds) => {
        const expected = new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ');
        expect(timestampText(seconds, 0, 0)).toBe(expected);
      }),
    );
  });

  it('have the digits of their column, and days that no calendar has', () => {
    expect(timestampText(0, 0, 3)).toBe('0000-00-00 00:00:00.000');
    expect(timestampText(86_400, 123_456, 6)).toBe('1970-01-02 00:00:00.123456');
    expect([1, 2, 3, 4, 5].map((digits) => timestampText(1, 987_654, digits).slice(19))).toEqual([
      '.9',
      '.98',
      '.987',
      '.9876',
      '.98765',
    ]);
    expect(dateTimeText(((2024 * 13 + 0) * 32 + 0) * 131_072, 0, 0)).toBe('2024-00-00 00:00:00');
    expect(timeText(true, (838 << 12) | (59 << 6) | 59, {micros: 0, digits: 2})).toBe('-838:59:59.00');
  });
});

describe('texts', () => {
  it('are read in the character set of their collation', () => {
    expect([45, 255, 8, 33, 63, 2304, 99_999].map(charsetOf)).toEqual([
      'utf8mb4',
      'utf8mb4',
      'latin1',
      'utf8mb3',
      'binary',
      'utf8mb4',
      null,
    ]);
    const read = (charset: string, hex: string): string | undefined => {
      const bytes = Buffer.from(hex, 'hex');
      return textDecode(charset)?.(bytes, 0, bytes.length);
    };
    expect(read('latin1', '80e4')).toBe('€ä');
    expect(read('swe7', '7b7d')).toBe('äå');
    expect(read('cp850', '84')).toBe('ä');
    expect(read('utf32', '0001f600')).toBe('😀');
    expect(read('utf16', 'd83dde00')).toBe('😀');
    expect(read('gbk', 'd6d0')).toBe('中');
    expect(textDecode('klingon')).toBeNull();
  });

  it('in UTF-8 are the same by the short way and the long one', () => {
    fc.assert(
      fc.property(fc.string({unit: 'grapheme', maxLength: 40}), (text) => {
        const bytes = Buffer.from(`x${text}y`);
        expect(collationDecode(45)(bytes, 1, bytes.length - 1)).toBe(text);
      }),
    );
  });
});

describe('binary JSON', () => {
  it('is printed as the server prints it', () => {
    // {"a": [1, -2, true, null], "b": "x"}: a small object with an array inside.
    const object = Buffer.from(
      '00' + '0200' + '2b00' + '1200' + '0100' + '1300' + '0100' + '02' + '1400' + '0c' + '2900' + '61' + '62',
      'hex',
    );
    const array = Buffer.from('0400' + '1500' + '050100' + '05feff' + '040100' + '040000', 'hex');
    const document = Buffer.concat([
      object,
      array,
      Buffer.alloc(0x29 - 0x14 - array.length),
      Buffer.from('0178', 'hex'),
    ]);
    expect(jsonText(document)).toBe('{"a": [1, -2, true, null], "b": "x"}');
  });

  it.each([
    [1, '1.0'],
    [0.1, '0.1'],
    [-0, '-0.0'],
    [1e15, '1e15'],
    [123_456_789_012_345, '123456789012345.0'],
    [1.5e-7, '0.00000015'],
    [1e-20, '1e-20'],
    [-2.5e300, '-2.5e300'],
  ])('prints the double %d', (value, text) => {
    const bytes = Buffer.alloc(9);
    bytes[0] = 11;
    bytes.writeDoubleLE(value, 1);
    expect(jsonText(bytes)).toBe(text);
  });

  it('of an empty value is null', () => {
    expect(jsonText(Buffer.alloc(0))).toBe('null');
  });
});
