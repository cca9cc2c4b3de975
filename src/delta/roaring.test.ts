import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {decodeVector, encodeVector, unionOf} from './roaring.ts';
import {decodeZ85, encodeZ85} from './z85.ts';

/** Each once and ascending; what does not fit 32 bits is left out. */
const positions = (values: readonly number[]): Uint32Array =>
  Uint32Array.from(new Set(values.filter((value) => value <= 0xffffffff))).sort();

/** The matcher for equality looks at every element in turn: too slow for what is large here. */
function expectSame(actual: Uint32Array, expected: Uint32Array): void {
  expect(actual.length).toBe(expected.length);
  expect(actual.findIndex((value, index) => value !== expected[index])).toBe(-1);
}

/** Dense, sparse and contiguous parts in several containers: every form that a container can have. */
const anyPositions = fc
  .array(
    fc.record({
      start: fc.oneof(fc.integer({min: 0, max: 300_000}), fc.integer({min: 0xfffe0000, max: 0xfffeffff})),
      length: fc.oneof(fc.integer({min: 1, max: 20}), fc.integer({min: 1, max: 20_000})),
      step: fc.constantFrom(1, 1, 2, 7),
    }),
    {maxLength: 6},
  )
  .map((runs) =>
    positions(runs.flatMap(({start, length, step}) => Array.from({length}, (_, index) => start + index * step))),
  );

describe('deletion vector bitmaps', () => {
  it('are byte by byte what other writers write', () => {
    const vector = encodeVector(Uint32Array.of(3, 4, 7, 11, 18, 29));
    // Test vector of delta-kernel.
    expect(encodeZ85(vector)).toBe('^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L');
    expect(vector).toHaveLength(44);
  });

  it('come back as they were written', () => {
    fc.assert(
      fc.property(anyPositions, (wanted) => {
        expectSame(decodeVector(encodeVector(wanted)), wanted);
      }),
    );
  });

  it('take the smallest form: a list, bits, or runs', () => {
    const everySecond = (count: number): Uint32Array => Uint32Array.from({length: count}, (_, index) => index * 2);
    expect(encodeVector(everySecond(4096))).toHaveLength(16 + 8 + 8 + 8192);
    expect(encodeVector(everySecond(20_000))).toHaveLength(16 + 8 + 8 + 8192);
    expect(encodeVector(Uint32Array.from({length: 60_000}, (_, index) => index))).toHaveLength(16 + 5 + 4 + 2 + 4);
    expect(encodeVector(new Uint32Array(0))).toHaveLength(16 + 8);
  });

  it('are read in the old big-endian form of inline vectors', () => {
    // The example of the protocol.
    const old = decodeZ85('wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L');
    expect(old === null ? null : decodeVector(old)).toEqual(Uint32Array.of(3, 4, 7, 11, 18, 29));
  });

  it('are refused when damaged, never read as something else without notice', () => {
    const vector = encodeVector(positions(Array.from({length: 9000}, (_, index) => index * 3)));
    expect(() => decodeVector(vector.subarray(0, vector.length - 1))).toThrow(RangeError);
    expect(() => decodeVector(vector.subarray(0, 10))).toThrow(RangeError);
    expect(() => decodeVector(Uint8Array.from([0, ...vector.subarray(1)]))).toThrow(RangeError);
  });

  it('never crash or run away on random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({maxLength: 200}), (noise) => {
        const bytes = Uint8Array.from([...encodeVector(Uint32Array.of(1, 2)).subarray(0, 16), ...noise]);
        try {
          expect(decodeVector(bytes).length).toBeLessThan(200 * 0x10000);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
    );
  });

  it('unite as sets do', () => {
    fc.assert(
      fc.property(anyPositions, anyPositions, (left, right) => {
        expectSame(unionOf(left, right), positions([...left, ...right]));
        expect(unionOf(left, left)).toBe(left);
        expect(unionOf(left, new Uint32Array(0))).toBe(left);
      }),
      {numRuns: 30},
    );
  });
});

describe('Z85', () => {
  it('round-trips and refuses what it never writes', () => {
    fc.assert(
      fc.property(fc.uint8Array({minLength: 4, maxLength: 40}), (bytes) => {
        const whole = bytes.subarray(0, bytes.length - (bytes.length % 4));
        expect(decodeZ85(encodeZ85(whole))).toEqual(Uint8Array.from(whole));
      }),
    );
    expect(decodeZ85('abcd')).toBeNull();
    expect(decodeZ85('abc"d')).toBeNull();
    expect(decodeZ85('#####')).toBeNull();
  });

  it('writes UUIDs as the protocol shows', () => {
    const uuid = Buffer.from('d2c639aa8816431aaaf6d3fe2512ff61', 'hex');
    expect(encodeZ85(uuid)).toBe('^-aqEH.-t@S}K{vb[*k^');
  });
});
