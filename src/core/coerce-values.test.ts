import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {type Cell, rowsOf} from './cells.ts';
import {createCoercer} from './coerce.ts';
import {parseJson} from './json-reader.ts';
import {ExactNumber, type JsonValue} from './json-value.ts';
import {
  array,
  binary,
  boolean,
  byte,
  type Column,
  column,
  date,
  decimal,
  double,
  float,
  integer,
  long,
  map,
  short,
  string,
  struct,
  timestamp,
  timestampNtz,
  type TypeLike,
  variant,
} from './schema.ts';
import {formatTimestamp} from './time-text.ts';

const seed = Date.now() % 1_000_000_007;

/** The value that one column gets from one raw value, or the word for a value that was rescued as it is. */
function cell(type: TypeLike, value: JsonValue): Cell | 'RESCUED' {
  const coercer = createCoercer(struct({v: type, _rescued_data: string()}), {rescue: true});
  coercer.add({v: value});
  const {batch} = coercer.take();
  const [row] = rowsOf(batch);
  const rescued = row?.['_rescued_data'];
  if (rescued === null || rescued === undefined) return row?.['v'] ?? null;
  expect(parseJson(String(rescued))).toEqual({v: value});
  expect(row?.['v']).toBeNull();
  return 'RESCUED';
}

const exact = (text: string): ExactNumber => new ExactNumber(text);
const micros = (text: string): bigint => BigInt(Date.parse(text)) * 1000n;

describe('values of each type', () => {
  it.each<[string, Column, JsonValue, Cell | 'RESCUED']>([
    ['long', long(), 9007199254740991, 9007199254740991n],
    ['long', long(), 9223372036854775807n, 9223372036854775807n],
    ['long', long(), -9223372036854775808n, -9223372036854775808n],
    ['long', long(), 9223372036854775808n, 'RESCUED'],
    ['long', long(), -1, -1n],
    ['long', long(), -4294967297, -4294967297n],
    ['long', long(), 3.0, 3n],
    ['long', long(), 3.7, 'RESCUED'],
    ['long', long(), 9007199254740992, 'RESCUED'],
    ['long', long(), '9223372036854775807', 9223372036854775807n],
    ['long', long(), ' 12 ', 12n],
    ['long', long(), '+5', 5n],
    ['long', long(), '1.5e3', 1500n],
    ['long', long(), '3.0', 3n],
    ['long', long(), '3.7', 'RESCUED'],
    ['long', long(), '', 'RESCUED'],
    ['long', long(), '0x10', 'RESCUED'],
    ['long', long(), '1_000', 'RESCUED'],
    ['long', long(), true, 1n],
    ['long', long(), exact('5.00000000000000000000'), 5n],
    ['long', long(), [1], 'RESCUED'],
    ['long', long(), null, null],
    ['integer', integer(), 2147483647, 2147483647],
    ['integer', integer(), 2147483648, 'RESCUED'],
    ['integer', integer(), -2147483648n, -2147483648],
    ['short', short(), -32769, 'RESCUED'],
    ['short', short(), '32767', 32767],
    ['byte', byte(), 127, 127],
    ['byte', byte(), 128, 'RESCUED'],
    ['double', double(), 0.1, 0.1],
    ['double', double(), ' 1.5e-3 ', 0.0015],
    ['double', double(), 'NaN', NaN],
    ['double', double(), '-inf', -Infinity],
    ['double', double(), exact('0.12345678901234567890'), 0.12345678901234568],
    ['double', double(), exact('1e400'), 'RESCUED'],
    ['double', double(), exact('1e-400'), 'RESCUED'],
    ['double', double(), '0e-400', 0],
    ['double', double(), 9007199254740993n, 9007199254740992],
    ['double', double(), 'abc', 'RESCUED'],
    ['double', double(), '1,5', 'RESCUED'],
    ['double', double(), '.', 'RESCUED'],
    ['float', float(), 0.1, Math.fround(0.1)],
    ['float', float(), 3.4028234663852886e38, 3.4028234663852886e38],
    ['float', float(), 3.5e38, 'RESCUED'],
    ['float', float(), 1e-50, 'RESCUED'],
    ['decimal', decimal(10, 2), 12.34, '12.34'],
    ['decimal', decimal(10, 2), -0.01, '-0.01'],
    ['decimal', decimal(10, 2), 12.345, 'RESCUED'],
    ['decimal', decimal(10, 2), 12.3, '12.30'],
    ['decimal', decimal(10, 2), 99999999.99, '99999999.99'],
    ['decimal', decimal(10, 2), 100000000, 'RESCUED'],
    ['decimal', decimal(10, 2), '0001.500', '1.50'],
    ['decimal', decimal(10, 2), '1,234', 'RESCUED'],
    ['decimal', decimal(10, 2), 'NaN', 'RESCUED'],
    ['decimal', decimal(10, 2), true, 'RESCUED'],
    ['decimal', decimal(4, 2), -99.99, '-99.99'],
    ['decimal', decimal(18, 2), 0.1 + 0.2, 'RESCUED'],
    [
      'decimal',
      decimal(38, 10),
      exact('1234567890123456789012345678.0123456789'),
      '1234567890123456789012345678.0123456789',
    ],
    ['decimal', decimal(38, 0), -12345678901234567890123456789012345678n, '-12345678901234567890123456789012345678'],
    ['decimal', decimal(38, 0), 10n ** 38n, 'RESCUED'],
    ['decimal', decimal(38, 0), -1, '-1'],
    [
      'decimal',
      decimal(38, 38),
      '0.00000000000000000000000000000000000001',
      '0.00000000000000000000000000000000000001',
    ],
    ['decimal', decimal(38, 30), 0.1, `0.1${'0'.repeat(29)}`],
    ['decimal', decimal(20, 0), 1e19, 'RESCUED'],
    ['boolean', boolean(), true, true],
    ['boolean', boolean(), 'YES', true],
    ['boolean', boolean(), 'f', false],
    ['boolean', boolean(), '0', false],
    ['boolean', boolean(), 1, true],
    ['boolean', boolean(), 0n, false],
    ['boolean', boolean(), 2, 'RESCUED'],
    ['boolean', boolean(), 'off', 'RESCUED'],
    ['boolean', boolean(), '', 'RESCUED'],
    ['string', string(), '', ''],
    ['string', string(), ' a ', ' a '],
    ['string', string(), 12.5, '12.5'],
    ['string', string(), true, 'true'],
    ['string', string(), 12345678901234567890n, '12345678901234567890'],
    ['string', string(), exact('1.0000000000000000001'), '1.0000000000000000001'],
    ['string', string(), {a: [1, 12345678901234567890n]}, '{"a":[1,12345678901234567890]}'],
    ['string', string(), 'a\ud800b', 'RESCUED'],
    ['string', string(), 'zoë 😀', 'zoë 😀'],
    ['variant', variant(), {a: 1}, '{"a":1}'],
    ['variant', variant(), '{"a": 1}', '{"a": 1}'],
    ['variant', variant(), 'plain', '"plain"'],
    ['binary', binary(), 'aGVsbG8=', Uint8Array.from(Buffer.from('hello'))],
    ['binary', binary(), '', new Uint8Array(0)],
    ['binary', binary(), 'aGVsbG8', 'RESCUED'],
    ['binary', binary(), 'aGVsbG9=', 'RESCUED'],
    ['binary', binary(), 'not base64!', 'RESCUED'],
    ['binary', binary(), [104], 'RESCUED'],
    ['binary', binary().binaryEncoding('hex'), '00fF', Uint8Array.of(0, 255)],
    ['binary', binary().binaryEncoding('hex'), '00f', 'RESCUED'],
    ['binary', binary().binaryEncoding('hex'), 'zz', 'RESCUED'],
    ['binary', binary().binaryEncoding('utf8'), 'zoë', Uint8Array.from(Buffer.from('zoë'))],
    ['date', date(), '1970-01-02', 1],
    ['date', date(), '0001-01-01', -719162],
    ['date', date(), '9999-12-31', 2932896],
    ['date', date(), '2024-2-9', 19762],
    ['date', date(), '01/02/2024', 19724],
    ['date', date(), '01-02-2024', 19754],
    ['date', date(), '2024/01/02', 19724],
    ['date', date(), '2024-01-02T23:59:59-11:00', 19724],
    ['date', date(), '2023-02-29', 'RESCUED'],
    ['date', date(), '0000-01-01', 'RESCUED'],
    ['date', date(), '20240115', 'RESCUED'],
    ['date', date(), 19724, 'RESCUED'],
    ['date', date(), '', 'RESCUED'],
    ['timestamp', timestamp(), '2024-01-02T03:04:05.123456Z', micros('2024-01-02T03:04:05.123Z') + 456n],
    ['timestamp', timestamp(), '2024-01-02T03:04:05.123456999Z', micros('2024-01-02T03:04:05.123Z') + 456n],
    ['timestamp', timestamp(), '2024-01-02T03:04:05,5', micros('2024-01-02T03:04:05.500Z')],
    ['timestamp', timestamp(), '2024-01-02 03:04', micros('2024-01-02T03:04:00Z')],
    ['timestamp', timestamp(), '2024-01-02', micros('2024-01-02T00:00:00Z')],
    ['timestamp', timestamp(), '2024-01-02T03:04:05+05:30', micros('2024-01-01T21:34:05Z')],
    ['timestamp', timestamp(), '2024-01-02T03:04:05-0800', micros('2024-01-02T11:04:05Z')],
    ['timestamp', timestamp(), '2024-01-02 03:04:05 UTC', micros('2024-01-02T03:04:05Z')],
    ['timestamp', timestamp(), '2024-01-02 03:04:05+00', micros('2024-01-02T03:04:05Z')],
    ['timestamp', timestamp(), '2024/1/2 3:04:05', micros('2024-01-02T03:04:05Z')],
    ['timestamp', timestamp(), '1969-12-31T23:59:59.9Z', -100000n],
    ['timestamp', timestamp(), '0001-01-01T00:00:00Z', -62135596800000000n],
    ['timestamp', timestamp(), '9999-12-31T23:59:59.999999Z', 253402300799999999n],
    ['timestamp', timestamp(), '9999-12-31T23:59:59-01:00', 'RESCUED'],
    ['timestamp', timestamp(), '2024-01-02T24:00:00Z', 'RESCUED'],
    ['timestamp', timestamp(), '2024-01-02T03:04:60Z', 'RESCUED'],
    ['timestamp', timestamp(), '2024-01-02T03:04:05.Z', 'RESCUED'],
    ['timestamp', timestamp(), '2024-01-02T03:04:05.1234567890Z', 'RESCUED'],
    ['timestamp', timestamp(), '2024-01-02T03:04:05 Europe/Paris', 'RESCUED'],
    ['timestamp', timestamp(), '2024-01-02T03', 'RESCUED'],
    ['timestamp', timestamp(), '2024-01-02 ', 'RESCUED'],
    ['timestamp', timestamp(), 'soon', 'RESCUED'],
    ['timestamp', timestamp(), '1704164645', 'RESCUED'],
    ['timestamp', timestamp(), 1704164645, 1704164645000000n],
    ['timestamp', timestamp(), 1704164645.123456, 1704164645123456n],
    ['timestamp', timestamp(), 1704164645123, 1704164645123000n],
    ['timestamp', timestamp(), 1704164645123456, 1704164645123456n],
    ['timestamp', timestamp(), -1, -1000000n],
    ['timestamp', timestamp(), 1704164645123456789n, 'RESCUED'],
    ['timestamp', timestamp(), true, 'RESCUED'],
    ['timestamp', timestamp().epochUnit('ms'), 5, 5000n],
    ['timestamp', timestamp().epochUnit('ms'), '1704164645123', 1704164645123000n],
    ['timestamp', timestamp().epochUnit('s'), '1704164645.1234567', 1704164645123456n],
    ['timestamp', timestamp().epochUnit('us'), 253402300800000000n, 'RESCUED'],
    ['timestamp', timestamp().epochUnit('s'), 253402300799, 253402300799000000n],
    ['timestamp', timestamp().epochUnit('s'), exact('1704164645.12345600000'), 1704164645123456n],
    ['timestamp_ntz', timestampNtz(), '2024-01-02T03:04:05', micros('2024-01-02T03:04:05Z')],
    ['timestamp_ntz', timestampNtz(), '2024-01-02T03:04:05Z', micros('2024-01-02T03:04:05Z')],
    ['timestamp_ntz', timestampNtz(), '2024-01-02T03:04:05+01:00', 'RESCUED'],
    ['array', array(long()), [1, null, '3'], [1n, null, 3n]],
    ['array', array(long()), [], []],
    ['array', array(long()), 1, 'RESCUED'],
    ['array', array(long()), {a: 1}, 'RESCUED'],
    ['array of long not null', array(long().notNull()), [1, 'x'], 'RESCUED'],
    ['array of long not null', array(long().notNull()), [1, null], 'RESCUED'],
    ['struct', column(struct({a: long()})), {}, {a: null}],
    ['struct', column(struct({a: long()})), {b: 1}, {a: null}],
    ['struct', column(struct({a: long(), A: long()})), {A: 1}, {a: null, A: 1n}],
    ['struct', column(struct({a: long()})), [1], 'RESCUED'],
    ['struct', column(struct({a: long()})), '{"a":1}', 'RESCUED'],
    ['struct', column(struct({a: long()})), exact('1e400'), 'RESCUED'],
    ['struct with a required field', column(struct({a: long().notNull()})), {}, 'RESCUED'],
    ['struct with a required field', column(struct({a: long().notNull()})), {a: 'x'}, 'RESCUED'],
    [
      'map',
      map(string(), long()),
      {x: 1, y: null},
      [
        {key: 'x', value: 1n},
        {key: 'y', value: null},
      ],
    ],
    ['map', map(string(), long().notNull()), {x: null}, 'RESCUED'],
    ['map', map(integer(), long()), {'1': 1}, [{key: 1, value: 1n}]],
    ['map', map(integer(), long()), {'01': 1, '1': 2}, 'RESCUED'],
    ['map', map(string(), long()), [], 'RESCUED'],
  ])('%s %#', (_, type, value, expected) => {
    expect(cell(type, value)).toEqual(expected);
  });
});

describe('conversions', () => {
  it(`keep every decimal or rescue it (seed ${seed})`, () => {
    const shape = fc
      .integer({min: 1, max: 38})
      .chain((precision) => fc.tuple(fc.constant(precision), fc.integer({min: 0, max: precision})));
    const value = fc.oneof(
      fc.double({noNaN: true, noDefaultInfinity: true}),
      fc.integer(),
      fc.tuple(fc.maxSafeInteger(), fc.integer({min: 0, max: 6})).map(([digits, scale]) => digits / 10 ** scale),
    );
    fc.assert(
      fc.property(shape, value, ([precision, scale], number) => {
        const landed = cell(decimal(precision, scale), number);
        const wanted = decimalText(number, precision, scale);
        expect(landed).toBe(wanted ?? 'RESCUED');
        expect(cell(decimal(precision, scale), String(number))).toBe(
          decimalText(number, precision, scale, true) ?? 'RESCUED',
        );
      }),
      {seed, interruptAfterTimeLimit: 200, numRuns: 100_000},
    );
  });

  it(`keep every 64-bit integer (seed ${seed})`, () => {
    fc.assert(
      fc.property(fc.bigInt({min: -(2n ** 65n), max: 2n ** 65n}), (value) => {
        const fits = BigInt.asIntN(64, value) === value;
        expect(cell(long(), parseJson(String(value)))).toBe(fits ? value : 'RESCUED');
        expect(cell(long(), String(value))).toBe(fits ? value : 'RESCUED');
      }),
      {seed, interruptAfterTimeLimit: 200, numRuns: 100_000},
    );
  });

  it(`read every instant and offset that was printed (seed ${seed})`, () => {
    fc.assert(
      fc.property(
        fc.bigInt({min: -62135510400000000n, max: 253402214399999999n}),
        fc.integer({min: -1439, max: 1439}),
        (instant, offsetMinutes) => {
          expect(cell(timestamp(), formatTimestamp(instant))).toBe(instant);
          const [sign, size] = [offsetMinutes < 0 ? '-' : '+', Math.abs(offsetMinutes)];
          const zone = `${sign}${String(Math.floor(size / 60)).padStart(2, '0')}:${String(size % 60).padStart(2, '0')}`;
          const local = formatTimestamp(instant + BigInt(offsetMinutes) * 60_000_000n).replace('Z', zone);
          expect(cell(timestamp(), local)).toBe(instant);
        },
      ),
      {seed, interruptAfterTimeLimit: 200, numRuns: 100_000},
    );
  });
});

/** What a number is in decimal(precision, scale) by its shortest text, or null when it does not fit: the slow and plain way. */
function decimalText(number: number, precision: number, scale: number, isText = false): string | null {
  if (!isText && Number.isInteger(number) && !Number.isSafeInteger(number)) return null;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(String(number)) ?? [];
  const point = whole.length + Number(exponent);
  const digits = (whole + fraction).padStart(Math.max(0, whole.length + fraction.length - point), '0');
  const shift = digits.length - (whole + fraction).length;
  const all = digits.padEnd(Math.max(digits.length, point + shift), '0');
  const at = point + shift;
  const kept = (all.slice(0, at) || '0') + all.slice(at).padEnd(scale, '0').slice(0, scale);
  if (/[1-9]/.test(all.slice(at).slice(scale))) return null;
  const unscaled = BigInt(kept);
  if (unscaled >= 10n ** BigInt(precision)) return null;
  const text = String(unscaled).padStart(scale + 1, '0');
  return `${sign !== '' && unscaled !== 0n ? '-' : ''}${text.slice(0, text.length - scale)}${scale === 0 ? '' : `.${text.slice(-scale)}`}`;
}
