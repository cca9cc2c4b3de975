import fc from 'fast-check';
import {parse as parseLossless} from 'lossless-json';
import {describe, expect, it} from 'vitest';

import {isIngestError} from './errors.ts';
import {parseJson, stringifyJson} from './json-reader.ts';
import {ExactNumber, type JsonValue} from './json-value.ts';

const seed = Date.now() % 1_000_000_007;

/** Number tokens of JSON, many of them on the edge of what a double holds. */
const numberToken = fc.oneof(
  fc.bigInt({min: -(2n ** 80n), max: 2n ** 80n}).map(String),
  fc.bigInt({min: 2n ** 53n - 4n, max: 2n ** 53n + 4n}).map(String),
  fc.double({noNaN: true, noDefaultInfinity: true}).map((value) => JSON.stringify(value)),
  fc
    .tuple(fc.integer({min: -99, max: 99}), fc.integer({min: -420, max: 420}))
    .map(([digits, exponent]) => `${digits}e${exponent}`),
  fc
    .tuple(
      fc.boolean(),
      fc.stringMatching(/^(0|[1-9]\d{0,20})$/),
      fc.stringMatching(/^\d{1,24}$/),
      fc.constantFrom('', 'e5', 'E+12', 'e-300', 'e0017'),
    )
    .map(([negative, whole, fraction, exponent]) => `${negative ? '-' : ''}${whole}.${fraction}${exponent}`),
);

const stringToken = fc
  .oneof(
    fc.string({unit: 'binary'}),
    fc.constantFrom('\u0000', '\u00009007199254740993', ' 12345678901234567890', '\\"', '1e400', ': 9007199254740993,'),
    numberToken,
  )
  .map((text) => JSON.stringify(text));

const space = fc.constantFrom('', '', ' ', '\n', '\t ');

const {document} = fc.letrec<{document: string}>((tie) => ({
  document: fc.oneof(
    {maxDepth: 4, withCrossShrink: true},
    numberToken,
    stringToken,
    fc.constantFrom('true', 'false', 'null'),
    fc
      .tuple(fc.array(tie('document'), {maxLength: 5}), space)
      .map(([items, gap]) => `[${gap}${items.join(`${gap},`)}${gap}]`),
    fc
      .tuple(fc.array(fc.tuple(stringToken, tie('document')), {maxLength: 5}), space)
      .map(
        ([entries, gap]) => `{${gap}${entries.map(([name, value]) => `${name}${gap}:${gap}${value}`).join(`,${gap}`)}}`,
      ),
  ),
}));

/** The value with every number as its normalised text, whatever holds it. */
function normalised(value: unknown): unknown {
  if (typeof value === 'number' || typeof value === 'bigint' || value instanceof ExactNumber)
    return {number: digitsOf(String(value))};
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(normalised);
  if ('isLosslessNumber' in value && value.isLosslessNumber === true) return {number: digitsOf(String(value))};
  return Object.entries(value).map(([name, inner]) => [name, normalised(inner)]);
}

function digitsOf(text: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  const digits = (whole + fraction).replace(/^0+/, '');
  const short = digits.replace(/0+$/, '');
  return short === '' ? '0' : `${sign}${short}e${Number(exponent) - fraction.length + digits.length - short.length}`;
}

describe('parseJson', () => {
  it.each<[string, JsonValue]>([
    ['9223372036854775807', 9223372036854775807n],
    ['-9007199254740993', -9007199254740993n],
    ['9007199254740991', 9007199254740991],
    ['9007199254740992', 9007199254740992n],
    ['0.12345678901234567890', new ExactNumber('0.12345678901234567890')],
    ['1e400', new ExactNumber('1e400')],
    ['-1E-400', new ExactNumber('-1E-400')],
    ['0.1', 0.1],
    ['1.50', 1.5],
    ['1e5', 100000],
    ['100000000000000000000.0', 1e20],
    ['0.00000000000000000000', 0],
    ['0e999', 0],
    ['3.141592653589793', Math.PI],
    [' [1, 12345678901234567890 ] ', [1, 12345678901234567890n]],
    ['{"a":"12345678901234567890","b":[1e999]}', {a: '12345678901234567890', b: [new ExactNumber('1e999')]}],
    ['["x, 12345678901234567890, y"]', ['x, 12345678901234567890, y']],
    ['["\\u0000123",9007199254740993]', ['\u0000123', 9007199254740993n]],
    ['{"\\u0000123" :9007199254740993}', {'\u0000123': 9007199254740993n}],
  ])('reads %s', (text, value) => {
    expect(parseJson(text)).toEqual(value);
  });

  it('keeps the names that objects inherit', () => {
    const value = parseJson('{"__proto__": 12345678901234567890, "constructor": 1}') as Record<string, JsonValue>;
    expect(Object.entries(value)).toEqual([
      ['__proto__', 12345678901234567890n],
      ['constructor', 1],
    ]);
  });

  it(`agrees with lossless-json about every number (seed ${seed})`, () => {
    fc.assert(
      fc.property(document, (text) => {
        // lossless-json refuses two values for one name and cannot hold "__proto__": not what is compared here.
        fc.pre(!text.includes('__proto__'));
        expect(normalised(parseJson(text))).toEqual(
          normalised(parseLossless(text, undefined, {onDuplicateKey: ({newValue}) => newValue})),
        );
      }),
      {seed, interruptAfterTimeLimit: 200, numRuns: 100_000},
    );
  });

  it(`gives what JSON.parse gives when no number is inexact (seed ${seed})`, () => {
    fc.assert(
      fc.property(fc.json({noUnicodeString: false}), (text) => {
        const plain = JSON.parse(text) as JsonValue;
        fc.pre(!/\d{16}|[eE]/.test(text));
        expect(parseJson(text)).toStrictEqual(plain);
      }),
      {seed, interruptAfterTimeLimit: 200, numRuns: 100_000},
    );
  });

  it.each([
    '',
    '{"secret": tru',
    '[1 12345678901234567890]',
    '["secret',
    '01234567890123456789',
    '[12345678901234567890,]',
    '1.e400',
  ])('refuses %j without showing content', (text) => {
    let thrown: unknown;
    try {
      parseJson(text);
    } catch (error) {
      thrown = error;
    }
    expect(isIngestError(thrown, 'SOURCE_ERROR')).toBe(true);
    expect(String(thrown)).not.toContain('secret');
  });
});

describe('stringifyJson', () => {
  it(`is undone by parseJson (seed ${seed})`, () => {
    fc.assert(
      fc.property(document, (text) => {
        const value = parseJson(text);
        expect(parseJson(stringifyJson(value))).toStrictEqual(value);
      }),
      {seed, interruptAfterTimeLimit: 200, numRuns: 100_000},
    );
  });

  it('prints what JSON lacks as text', () => {
    expect(stringifyJson([NaN, -Infinity, 1n])).toBe('["NaN","-Infinity",1]');
  });

  it('leaves out undefined fields', () => {
    expect(stringifyJson({a: undefined, b: 1n})).toBe('{"b":1}');
    expect(stringifyJson({a: undefined, b: 1})).toBe('{"b":1}');
  });
});
