import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import type {DataType} from '../core/types.ts';
import {bucketing, canonicalText, hash60, rowText} from './canonical.ts';

describe('rowText', () => {
  const attacks: readonly (readonly [DataType[], (string | null)[], (string | null)[]])[] = [
    [
      ['string', 'string'],
      [null, 'x'],
      ['x', null],
    ],
    [
      ['string', 'string'],
      ['', null],
      [null, ''],
    ],
    [
      ['string', 'string'],
      ['a,', 'b'],
      ['a', ',b'],
    ],
    [
      ['string', 'string'],
      ['1:a', ''],
      ['', '1:a'],
    ],
    [
      ['string', 'integer'],
      ['1,', '2'],
      ['1', '2'],
    ],
    [
      ['integer', 'integer'],
      ['1', null],
      [null, '1'],
    ],
    [
      ['binary', 'integer'],
      ['12', null],
      ['1', '2'],
    ],
  ];
  it.each(attacks)('tells rows of %j apart', (types, left, right) => {
    expect(rowText(left, types)).not.toBe(rowText(right, types));
  });

  it('has one text per row', () => {
    const types: DataType[] = ['string', 'integer', 'string'];
    const text = fc.option(fc.string({unit: fc.constantFrom('1', ':', ',', 'ä', '')}));
    const row = fc.tuple(text, fc.option(fc.integer().map(String)), text);
    fc.assert(
      fc.property(row, row, (left, right) => {
        expect(rowText(left, types) === rowText(right, types)).toBe(JSON.stringify(left) === JSON.stringify(right));
      }),
    );
  });
});

describe('canonicalText', () => {
  it('is one text for all NaN and tells the zeros apart', () => {
    expect(canonicalText(NaN, 'double')).toBe('7ff8000000000000');
    expect(canonicalText(-0, 'double')).toBe('8000000000000000');
    expect(canonicalText(0, 'float')).toBe('0000000000000000');
    expect(canonicalText(0.1, 'float')).toBe(canonicalText(Math.fround(0.1), 'double'));
  });
});

describe('hash60', () => {
  it('is the beginning of SHA-256, so that every engine has it', () => {
    // sha256('') = e3b0c44298fc1c14...
    expect(hash60('')).toBe(0xe3b0c44298fc1c1n);
  });
});

describe('bucketing', () => {
  it('takes a single whole number as it is', () => {
    expect(bucketing(['long'])).toBe('remainder');
    expect(bucketing(['string'])).toBe('key-hash');
    expect(bucketing(['long', 'integer'])).toBe('key-hash');
    expect(bucketing([])).toBe('row-hash');
  });
});
