import {describe, expect, it} from 'vitest';

import {isIngestError} from '../core/errors.ts';
import {createLoopGuard} from './loop-guard.ts';

describe('createLoopGuard', () => {
  it('tells the end from progress', () => {
    const guard = createLoopGuard('t');
    expect(guard.check(null, {n: 1, m: 2})).toBe(false);
    expect(guard.check({m: 2, n: 1}, {n: 2})).toBe(false);
    expect(guard.check({m: 2, n: 1}, {n: 2})).toBe(false);
    expect(guard.check({n: 2}, {n: 2})).toBe(true);
  });

  it('refuses an offset that was a start before', () => {
    const guard = createLoopGuard('t');
    guard.check({n: 1}, {n: 2});
    guard.check({n: 2}, {n: 3});
    let thrown: unknown;
    try {
      guard.check({n: 3}, {n: 1});
    } catch (error) {
      thrown = error;
    }
    expect(isIngestError(thrown, 'OFFSET_LOOP')).toBe(true);
    expect(() => createLoopGuard('t').check(null, null)).not.toThrow();
  });

  it('takes null as the end of a snapshot, and as a circle elsewhere', () => {
    const snapshot = createLoopGuard('t', {isSnapshot: true});
    expect(snapshot.check(null, {page: 2})).toBe(false);
    expect(snapshot.check({page: 2}, null)).toBe(true);
    const incremental = createLoopGuard('t');
    incremental.check(null, {page: 2});
    expect(() => incremental.check({page: 2}, null)).toThrow('circles');
  });
});
