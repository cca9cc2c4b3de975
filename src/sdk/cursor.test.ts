import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import type {JsonObject} from '../core/json-value.ts';
import type {Offset} from '../core/offset.ts';
import {compareCursors, createCursorTracker, cursorMicros} from './cursor.ts';

const seed = Date.now() % 1_000_000_007;

describe('compareCursors', () => {
  it.each<[Parameters<typeof compareCursors>[0], JsonObject[string], JsonObject[string], number]>([
    ['timestamp', '2024-01-01T00:00:00Z', '2024-01-01T00:00:00.000000+00:00', 0],
    ['timestamp', '2024-01-01T00:00:00.5Z', '2024-01-01T00:00:00.45Z', 1],
    ['timestamp', '2024-01-01T00:00:00+02:00', '2024-01-01T00:00:00Z', -1],
    ['timestamp', null, '2024-01-01', -1],
    ['timestamp', undefined, null, 0],
    ['timestamp', 5, 6n, -1],
    ['date', '2024-01-10', '01/09/2024', 1],
    ['number', '9', '10', -1],
    ['number', 9007199254740993n, '9007199254740992', 1],
    ['number', '1.5', 1, 1],
    ['text', 'b', 'a', 1],
    ['text', 'B', 'a', -1],
  ])('%s: %s and %s', (kind, left, right, order) => {
    expect(Math.sign(compareCursors(kind, left, right))).toBe(order);
    expect(Math.sign(compareCursors(kind, right, left)) + order).toBe(0);
  });

  it('refuses what is not of the kind', () => {
    expect(() => compareCursors('timestamp', 'soon', null)).toThrow('no timestamp');
    expect(() => compareCursors('number', '', 1)).toThrow('no number');
    expect(() => compareCursors('date', [], 1)).toThrow('no date');
    expect(cursorMicros('1970-01-01T00:00:00.000001')).toBe(1n);
  });
});

describe('createCursorTracker', () => {
  const options = {table: 't', field: 'at', kind: 'number'} as const;
  const rows = (...values: (number | null)[]): JsonObject[] => values.map((at) => ({at}));

  it('offers a value only when a greater one was seen', () => {
    const tracker = createCursorTracker(options, null);
    expect(tracker.from).toBeNull();
    expect(tracker.page(rows(null, 1, 1))).toBeUndefined();
    expect(tracker.page(rows(1, 2))).toEqual({cursor: 1});
    expect(tracker.page(rows(2, 2))).toEqual({cursor: 1});
    expect(tracker.end()).toEqual({cursor: 2});
  });

  it('ends at its start when nothing newer came', () => {
    const start = {cursor: 2};
    const tracker = createCursorTracker(options, start);
    expect(tracker.from).toBe(2);
    expect(tracker.page(rows(2, 2))).toBeUndefined();
    expect(tracker.end()).toBe(start);
    expect(createCursorTracker(options, null).end()).toBeNull();
  });

  it('refuses rows that are not ascending', () => {
    const tracker = createCursorTracker(options, null);
    expect(() => tracker.page(rows(2, 1))).toThrow('not ascending');
  });

  it(`loses no row wherever batches are cut, with ties and arrivals in between (seed ${seed})`, () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({min: 0, max: 5}), {maxLength: 40}),
        fc.integer({min: 1, max: 7}),
        fc.integer({min: 1, max: 3}),
        (values, pageSize, pagesPerCall) => {
          const table = values.toSorted((a, b) => a - b).map((at, id) => ({at, id}));
          const seen = new Set<number>();
          let offset: Offset | null = null;
          for (let call = 0; call < 200; call++) {
            const tracker = createCursorTracker(options, offset);
            const found = table.filter((row) => tracker.from === null || row.at >= Number(tracker.from));
            let end: Offset | null | undefined;
            for (let page = 0; page * pageSize < found.length && end === undefined; page++) {
              const part = found.slice(page * pageSize, (page + 1) * pageSize);
              const partial = tracker.page(part);
              for (const row of part) seen.add(row.id);
              if (page + 1 >= pagesPerCall && partial !== undefined) end = partial;
            }
            const next: Offset | null = end ?? tracker.end();
            if (JSON.stringify(next) === JSON.stringify(offset)) break;
            offset = next;
          }
          expect(seen.size).toBe(table.length);
        },
      ),
      {seed, interruptAfterTimeLimit: 200, numRuns: 100_000},
    );
  });
});
