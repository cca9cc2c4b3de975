import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import type {LogPoint} from '../../sdk/index.ts';
import {fromPoint, lsnText, lsnPosition, markOfName, toPoint, transactionName} from './log-mark.ts';
import type {RowValue} from './row-format.ts';
import {RowReader, RowWriter, UNCHANGED} from './row-format.ts';

const value: fc.Arbitrary<RowValue> = fc.oneof(
  fc.constant(null),
  fc.constant(UNCHANGED),
  fc.string({unit: 'grapheme', maxLength: 300}),
  fc.uint8Array({maxLength: 300}).map((bytes) => Buffer.from(bytes)),
  fc.integer(),
);

describe('rows as bytes', () => {
  it('are read as they were written', () => {
    fc.assert(
      fc.property(fc.array(value, {maxLength: 40}), (values) => {
        const writer = new RowWriter(1);
        writer.row(values);
        const reader = new RowReader(writer.bytes);
        const read = values.map((written) => {
          const state = reader.next();
          if (state === 'null') return null;
          if (state === 'unchanged') return UNCHANGED;
          const bytes = reader.bytes.subarray(reader.start, reader.end);
          return Buffer.isBuffer(written) ? Buffer.from(bytes) : bytes.toString('utf8');
        });
        const wanted = values.map((each) => (typeof each === 'number' ? String(each) : each));
        expect(read).toEqual(wanted);
        expect(reader.at).toBe(writer.length);
      }),
    );
  });

  it('are refused when they end too early', () => {
    const writer = new RowWriter();
    writer.row(['some text']);
    expect(() => new RowReader(writer.bytes.subarray(0, 4)).next()).toThrow(RangeError);
    expect(() => new RowReader(Buffer.alloc(0)).next()).toThrow(RangeError);
  });
});

describe('marks', () => {
  const lsn = fc
    .tuple(fc.bigInt(0n, 0xff_ffffn), fc.bigInt(0n, 0xff_ffffn), fc.bigInt(0n, 0xffffn))
    .map(([file, block, slot]) => (file << 48n) | (block << 16n) | slot);

  it('keep their order as positions', () => {
    fc.assert(
      fc.property(lsn, lsn, (left, right) => {
        const [a = 0n, b = 0n] = [lsnPosition(left) ?? undefined, lsnPosition(right) ?? undefined];
        expect(a < b).toBe(left < right);
        expect(a).toBeLessThan(1n << 64n);
      }),
    );
    expect(lsnPosition(1n << 79n)).toBeNull();
  });

  it('survive as points and as names of transactions', () => {
    fc.assert(
      fc.property(lsn, (mark) => {
        const tables = new Map([
          [7, {method: 'cdc', shape: 'abc'}],
          [8, {method: 'change_tracking', shape: 'c:'}],
        ] as const);
        for (const marks of [
          {change_tracking: 5n, cdc: mark},
          {change_tracking: null, cdc: mark},
          {change_tracking: mark, cdc: null},
        ]) {
          const place = {position: 3n, marks, tables};
          expect(fromPoint(toPoint(place))).toEqual(place);
          expect(fromPoint(JSON.parse(JSON.stringify({...toPoint(place), position: 3})) as LogPoint).marks).toEqual(
            marks,
          );
        }
        expect(markOfName(transactionName('cdc', mark))).toEqual({method: 'cdc', mark});
        expect(markOfName(transactionName('change_tracking', mark))).toEqual({method: 'change_tracking', mark});
        expect(lsnText(mark)).toHaveLength(20);
      }),
    );
  });

  it('are read as they were written when a log had one method, and in no other form', () => {
    for (const method of ['change_tracking', 'cdc'] as const) {
      const {marks, tables} = fromPoint({position: 9n, token: {method, mark: '12', shapes: {7: 'abc'}}});
      expect(marks).toEqual({change_tracking: null, cdc: null, [method]: 12n});
      expect(tables).toEqual(new Map([[7, {method, shape: 'abc'}]]));
    }
    for (const token of [null, {}, {method: 'cdc'}, {marks: {cdc: 'x'}}, {method: 'change_tracking', mark: 5}])
      expect(() => fromPoint({position: 0n, token})).toThrow('cannot be read');
  });
});
