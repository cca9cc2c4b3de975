import {describe, expect, it} from 'vitest';

import {windows, withLookback} from './windows.ts';

describe('windows', () => {
  it('cover the stretch without gap or overlap', () => {
    expect([...windows(0n, 25_000_000n, 10)]).toEqual([
      {start: 0n, end: 10_000_000n},
      {start: 10_000_000n, end: 20_000_000n},
      {start: 20_000_000n, end: 25_000_000n},
    ]);
    expect([...windows(5n, 5n, 1)]).toEqual([]);
  });

  it.each([0, -1, NaN, Infinity])('refuse a size of %s', (sizeSeconds) => {
    expect(() => [...windows(0n, 1n, sizeSeconds)]).toThrow('positive');
  });

  it('look back in the first call only', () => {
    expect(withLookback(10_000_000n, 3, {isFirstCall: true})).toBe(7_000_000n);
    expect(withLookback(10_000_000n, 3, {isFirstCall: false})).toBe(10_000_000n);
  });
});
