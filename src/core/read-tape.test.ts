import {isDeepStrictEqual} from 'node:util';

import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {jsonText} from '../../test/json-texts.ts';
import {hasUniqueNames} from './coerce/token-names.ts';
import {parseJson, stringifyJson} from './json-reader.ts';
import {type JsonTape, KIND_MASK, TOKEN, TOKEN_WORDS} from './json-tape.ts';
import type {JsonValue} from './json-value.ts';
import {NameBytes} from './name-bytes.ts';
import {readTape} from './read-tape.ts';

const seed = Date.now() % 1_000_000_007;
const READ_TAPE = new URL('./read-tape.ts', import.meta.url).pathname;
const runs = {seed, interruptAfterTimeLimit: 1000, numRuns: 100_000};

/** The value that the tokens say, put together from the single ones. */
function valueOf(tape: JsonTape, at: number): JsonValue {
  const kind = tape.kind(at);
  if (kind !== TOKEN.object && kind !== TOKEN.array) return tape.value(at);
  const end = tape.next(at) - TOKEN_WORDS;
  const values: JsonValue[] = [];
  const members: [string, JsonValue][] = [];
  for (let inner = at + TOKEN_WORDS; inner < end; inner = tape.next(inner)) {
    if (kind === TOKEN.array) values.push(valueOf(tape, inner));
    else {
      members.push([tape.value(inner) as string, valueOf(tape, inner + TOKEN_WORDS)]);
      inner += TOKEN_WORDS;
    }
  }
  return kind === TOKEN.array ? values : Object.fromEntries(members);
}

/** Fails when a tape does not say what the text says; a text that is no JSON has no tape. */
function checkTape(bytes: Buffer): void {
  const tape = readTape(bytes);
  if (tape === null) return;
  const value = parseJson(new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes));
  for (const read of [tape.value(0), valueOf(tape, 0)])
    if (!isDeepStrictEqual(read, value) || stringifyJson(read) !== stringifyJson(value))
      throw new Error(`${stringifyJson(read)} instead of ${stringifyJson(value)}`);
  for (let at = 0; at < tape.words.length; at += TOKEN_WORDS) checkPlain(tape, at);
}

function checkPlain(tape: JsonTape, at: number): void {
  const kind = (tape.words[at + 1] ?? 0) & KIND_MASK;
  if ((kind !== TOKEN.object && kind !== TOKEN.array) || !tape.isPlain(at) || !hasUniqueNames(tape, at)) return;
  const slice = tape.text(tape.start(at), tape.end(at));
  if (stringifyJson(parseJson(slice)) !== slice) throw new Error(`${slice} is not plain`);
}

interface Cut {
  readonly at: number;
  readonly removed: number;
  readonly bytes: Uint8Array;
}

/** Bytes that mean something to a reader of JSON, and some that no text has. */
const byte = fc.oneof(
  fc.constantFrom(...Buffer.from('{}[],:"\\/ \n\t0123456789-+.eEtrufalsn')),
  fc.constantFrom(0, 0x1f, 0x7f, 0x80, 0xbf, 0xc0, 0xc3, 0xa9, 0xed, 0xa0, 0xef, 0xbb, 0xf4, 0xff),
);
const cut: fc.Arbitrary<Cut> = fc.record({
  at: fc.nat({max: 10_000}),
  removed: fc.constantFrom(0, 0, 1, 1, 1, 2, 3, 10_000),
  bytes: fc.array(byte, {maxLength: 3}).map((bytes) => Uint8Array.from(bytes)),
});

function withCuts(text: string, cuts: readonly Cut[]): Buffer {
  let bytes = Buffer.from(text);
  for (const {at, removed, bytes: inserted} of cuts) {
    const start = at % (bytes.length + 1);
    bytes = Buffer.concat([bytes.subarray(0, start), inserted, bytes.subarray(start + removed)]);
  }
  return bytes;
}

describe('readTape', () => {
  it(`finds the values of every text whose names have no escapes (seed ${seed})`, () => {
    fc.assert(
      fc.property(jsonText({escapedNames: false}), (text) => {
        const bytes = Buffer.from(text);
        expect(readTape(bytes)).not.toBeNull();
        checkTape(bytes);
      }),
      runs,
    );
  });

  it(`says nothing wrong of a text with escapes in names, or a broken one (seed ${seed})`, () => {
    fc.assert(
      fc.property(jsonText({escapedNames: true}), fc.array(cut, {maxLength: 3}), (text, cuts) =>
        checkTape(withCuts(text, cuts)),
      ),
      runs,
    );
  });

  it(`says nothing wrong of pieces of JSON in any order (seed ${seed})`, () => {
    const piece = fc.constantFrom(
      ...'{}[],:-.0 ',
      '[',
      '{',
      '"a"',
      '"a":',
      '1',
      'e',
      'E+',
      'true',
      'null',
      'fals',
      '\\u12',
    );
    fc.assert(
      fc.property(fc.array(piece, {maxLength: 8}), fc.constantFrom('', '[', '{"a":'), (pieces, head) => {
        const end = head === '' ? '' : head === '[' ? ']' : '}';
        checkTape(Buffer.from(head + pieces.join('') + end));
      }),
      runs,
    );
  });

  it.each([
    ['', ' ', '-', '[-]', '[-,1]', '{"a":-}', '+1', '01', '-01', '1.', '.5', '1e', '1e+', '1.e5', '--1', '0x10', 'NaN'],
    ['[1,]', '[,1]', '[,]', '[', ']', '{', '}', '[}', '{]', '{"a"}', '{"a":}', '{"a":1,}', '{a:1}', '{1:1}', '{"a" 1}'],
    [
      '"',
      '"a',
      '"\n"',
      '"\u0000"',
      '"\\x"',
      '"\\u12"',
      '"\\u12g4"',
      '"\\',
      "'a'",
      'tru',
      'nulls',
      'true false',
      '[1 2]',
    ],
    ['\ufeff1', '\u00a01', '\f1', '[1]]', '{"a":1}}', '1,', '// 1', '[1]/**/', '{"a":1 "b":2}', '{"a",1}', '{"a"::1}'],
  ])('has no tape for what is no JSON: %s ...', (...texts) => {
    for (const text of texts) {
      expect(() => parseJson(text)).toThrow();
      expect([text, readTape(Buffer.from(text))]).toEqual([text, null]);
    }
  });

  it('has no tape for what is no UTF-8', () => {
    for (const bytes of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0xf4, 0x90, 0x80, 0x80]])
      expect(readTape(Buffer.from([0x22, ...bytes, 0x22]))).toBeNull();
  });

  it('reads 512 levels and leaves deeper ones to others', () => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      for (const depth of [511, 512]) {
        const text = `${open.repeat(depth)}1${close.repeat(depth)}`;
        expect(readTape(Buffer.from(text))).not.toBeNull();
        checkTape(Buffer.from(text));
      }
      expect(readTape(Buffer.from(`${open.repeat(513)}1${close.repeat(513)}`))).toBeNull();
    }
  });

  it('has room for any number of tokens, wherever the room of before ends', async () => {
    for (const closings of [1, 100, 251, 499]) {
      // A reader that has not grown yet: its room ends among the closings each time.
      const fresh = (await import(`${READ_TAPE}?closings=${closings}`)) as {readonly readTape: typeof readTape};
      for (const tokens of [8_192, 16_384, 32_768]) {
        const length = tokens - 752 - closings;
        const text = `${'[{"a":'.repeat(250)}[${'0,'.repeat(length)}1]${'}]'.repeat(250)}`;
        const tape = fresh.readTape(Buffer.from(text));
        expect(tape === null || stringifyJson(valueOf(tape, 0))).toBe(text);
        expect(tape?.value(0)).toEqual(parseJson(text));
        expect(tape?.end(0)).toBe(text.length);
      }
    }
  });

  it('finds the last of several members with one name', () => {
    const tape = readTape(Buffer.from('{"a":1,"b":2,"a":3}'));
    expect(tape?.value(tape.member(0, new NameBytes('a')))).toBe(3);
    expect(tape?.member(0, new NameBytes('c'))).toBe(-1);
  });
});
