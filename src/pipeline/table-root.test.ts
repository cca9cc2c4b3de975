import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {decodeName, encodeName, nameProblem, tableRoot} from './table-root.ts';

describe('tableRoot', () => {
  it('leaves ordinary names as they are', () => {
    expect(tableRoot('main', 'raw', 'order_items-2.v1')).toBe('main/raw/order_items-2.v1');
  });

  it('encodes what would leave the folder, hide it or make another one', () => {
    expect(tableRoot('..', '.', '_delta_log')).toBe('~2E./~2E/~5Fdelta_log');
    expect(tableRoot('a/b', 'a\\b', 'Ä%2F')).toBe('a~2Fb/a~5Cb/~C3~84~252F');
    expect(encodeName("it's *(a)~!")).toBe('it~27s~20~2A~28a~29~7E~21');
  });

  it('refuses names that no path can hold', () => {
    for (const name of ['', '  ', '\ud800', 'x'.repeat(201), 'ä'.repeat(40)]) {
      expect(nameProblem(name)).not.toBeNull();
      expect(() => encodeName(name)).toThrow(expect.objectContaining({code: 'INVALID_SPEC'}));
    }
  });

  it('gives every name a plain part of its own', () => {
    const seed = Date.now() % 1_000_000;
    fc.assert(
      fc.property(fc.string({unit: 'binary', minLength: 1, maxLength: 12}), (name) => {
        if (nameProblem(name) !== null) {
          expect(() => encodeName(name)).toThrow(expect.objectContaining({code: 'INVALID_SPEC'}));
          return true;
        }
        const part = encodeName(name);
        return /^[A-Za-z0-9~-][A-Za-z0-9~._-]*$/.test(part) && decodeName(part) === name;
      }),
      {seed, numRuns: 300},
    );
  });
});
