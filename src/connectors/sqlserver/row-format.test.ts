import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {fromPoint, lsnText, markOfName, positionOf, toPoint, transactionName} from './log-mark.ts';
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
        const [a, b] = [positionOf('cdc', left), positionOf('cdc', right)];
        expect(a < b).toBe(left < right);
        expect(a).toBeLessThan(1n << 64n);
      }),
    );
    expect(() => positionOf('cdc', 1n << 79n)).toThrow('64 bits');
  });

  it('survive as points and as names of transactions', () => {
    fc.assert(
      fc.property(lsn, (mark) => {
        const place = {method: 'cdc', mark, shapes: {7: 'abc'}} as const;
        expect(fromPoint(toPoint(place))).toEqual(place);
        expect(markOfName(transactionName('cdc', mark))).toBe(mark);
        expect(markOfName(transactionName('change_tracking', mark))).toBe(mark);
        expect(lsnText(mark)).toHaveLength(20);
      }),
    );
  });
});
