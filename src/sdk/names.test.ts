import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {parseQualifiedName, qualifiedName} from './names.ts';

const seed = Date.now() % 1_000_000_007;

describe('qualifiedName', () => {
  it.each([
    [['orders'], 'orders'],
    [['public', 'Order Lines'], 'public.Order Lines'],
    [['a.b', 'c"d', ''], '"a.b"."c""d".""'],
    [[' x'], '" x"'],
  ])('joins %j', (parts, text) => {
    expect(qualifiedName(parts)).toBe(text);
  });

  it(`is undone by parseQualifiedName (seed ${seed})`, () => {
    const part = fc.oneof(fc.string({unit: 'binary'}), fc.stringMatching(/^[a". \n]{0,5}$/));
    fc.assert(
      fc.property(fc.array(part, {minLength: 1, maxLength: 4}), (parts) => {
        expect(parseQualifiedName(qualifiedName(parts))).toEqual(parts);
      }),
      {seed, interruptAfterTimeLimit: 200, numRuns: 100_000},
    );
  });

  it.each(['', 'a.', '.a', 'a..b', '"a', 'a"b', '"a"b', ' a', 'a. b'])('has no parts in %j', (text) => {
    expect(() => parseQualifiedName(text)).toThrow(JSON.stringify(text));
  });
});
