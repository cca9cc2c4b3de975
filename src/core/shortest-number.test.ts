import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {isProvedShortest} from './shortest-number.ts';

const seed = Date.now() % 1_000_000_007;

function proved(text: string): boolean {
  return isProvedShortest(Buffer.from(`[${text}]`), 1, text.length + 1);
}

/** A double of any size that prints without an exponent. */
const plainDouble = fc
  .tuple(fc.double({noNaN: true, noDefaultInfinity: true}), fc.integer({min: -5, max: 20}), fc.boolean())
  .map(([value, power, spread]) => (spread ? (value % 1 || 0.1) * 10 ** power : value))
  .filter((value) => !String(value).includes('e'));

describe('isProvedShortest', () => {
  it(`proves no number that a double changes (seed ${seed})`, () => {
    const digits = fc.tuple(fc.boolean(), fc.stringMatching(/^(0|[1-9]\d{0,16})$/), fc.stringMatching(/^\d{1,20}$/));
    fc.assert(
      fc.property(digits, ([negative, whole, fraction]) => {
        const text = `${negative ? '-' : ''}${whole}.${fraction}`;
        const trimmed = text.replace(/\.?0+$/, '').replace(/^-0$/, '0');
        if (proved(text)) expect(String(Number(text)).replace(/^-0$/, '0')).toBe(withoutExponent(trimmed));
      }),
      {seed, interruptAfterTimeLimit: 500, numRuns: 1_000_000},
    );
  });

  it(`proves no neighbour of a double's text (seed ${seed})`, () => {
    fc.assert(
      fc.property(plainDouble, fc.integer({min: -30, max: 30}), (value, steps) => {
        const [whole = '', fraction = ''] = String(value).replace('-', '').split('.');
        fc.pre(fraction !== '');
        const scale = fraction.length;
        const moved = String(BigInt(whole + fraction) + BigInt(steps))
          .replace('-', '')
          .padStart(scale + 1, '0');
        const text = `${moved.slice(0, -scale)}.${moved.slice(-scale)}`;
        if (proved(text)) expect(String(Number(text))).toBe(withoutExponent(text.replace(/\.?0+$/, '')));
      }),
      {seed, interruptAfterTimeLimit: 500, numRuns: 1_000_000},
    );
  });

  it(`proves nearly every number that was a double (seed ${seed})`, () => {
    let [total, unproved] = [0, 0];
    fc.assert(
      fc.property(fc.double({min: 1e-4, max: 1e15, noNaN: true}), (value) => {
        const text = String(value);
        if (/[.]/.test(text) && !text.includes('e')) {
          total++;
          if (!proved(text)) unproved++;
        }
      }),
      {seed, interruptAfterTimeLimit: 300, numRuns: 1_000_000},
    );
    expect(unproved).toBeLessThan(total / 20 + 10);
  });
});

/** The text that a double of this value would print as, where it would use an exponent. */
function withoutExponent(text: string): string {
  return /^-?0\.000000/.test(text) ? String(Number(text)) : text;
}
