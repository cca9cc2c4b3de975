import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import type {Change, LogColumn, LogTable} from '../../sdk/index.ts';
import {PgoutputDecoder} from './pgoutput-decoder.ts';

/** Text, NULL, or a large value that the log leaves out. */
type Value = string | null | undefined;

const column = (name: string, type: string, isKey = false): LogColumn => ({
  name,
  isKey,
  isNullable: !isKey,
  type: {name: type, modifier: type === 'numeric' ? ((38 << 16) | 10) + 4 : -1},
});
const TABLE: LogTable = {
  id: 1,
  namespace: ['public'],
  name: 'public.t',
  columns: [
    column('id', 'int4', true),
    column('__proto__', 'text'),
    column('a "b"\\', 'numeric'),
    column('k2', 'text', true),
  ],
  identity: 'key',
};

function tuple(kind: string, values: readonly Value[]): Buffer {
  const head = Buffer.alloc(3);
  head.write(kind);
  head.writeUInt16BE(values.length, 1);
  const fields = values.map((value) => {
    if (typeof value !== 'string') return Buffer.from(value === null ? 'n' : 'u');
    const field = Buffer.alloc(5 + Buffer.byteLength(value));
    field.write('t');
    field.writeUInt32BE(Buffer.byteLength(value), 1);
    field.write(value, 5);
    return field;
  });
  return Buffer.concat([head, ...fields]);
}

function decode(kind: string, ...tuples: readonly Buffer[]): Change | undefined {
  const changes: Change[] = [];
  new PgoutputDecoder(TABLE).decode(Buffer.concat([Buffer.from(`${kind}\0\0\0\x01`), ...tuples]), changes);
  return changes[0];
}

/** Members in their order, so that a prototype is no member. */
function members(row: object | undefined): readonly (readonly [string, unknown])[] {
  return Object.entries(row ?? {});
}

describe('rows of the log', () => {
  test('have all columns under their own names', () => {
    expect(members(decode('I', tuple('N', ['1', 'text', '2.50', 'k']))?.row)).toEqual([
      ['id', 1],
      ['__proto__', 'text'],
      ['a "b"\\', 2.5],
      ['k2', 'k'],
    ]);
  });

  test('lack the columns that the log leaves out, which are named', () => {
    const change = decode('U', tuple('N', ['1', undefined, null, 'k']));
    expect(members(change?.row)).toEqual([
      ['id', 1],
      ['a "b"\\', null],
      ['k2', 'k'],
    ]);
    expect(change?.unchanged).toEqual(['__proto__']);
  });

  test('of a delete have the key and nothing else', () => {
    expect(members(decode('D', tuple('K', ['1', null, null, 'k']))?.row)).toEqual([
      ['id', 1],
      ['k2', 'k'],
    ]);
  });

  test('of an update say the key before when it is another', () => {
    const change = decode('U', tuple('K', ['1', null, null, 'k']), tuple('N', ['2', 'x', null, undefined]));
    expect(members(change?.oldKey)).toEqual([
      ['id', 1],
      ['k2', 'k'],
    ]);
    expect(change?.unchanged).toEqual(['k2']);
  });
});

test('decimals are the doubles that their texts mean, and texts where a double holds less or none', () => {
  const decimals = fc
    .tuple(fc.boolean(), fc.bigInt({min: 0n, max: 10n ** 17n}), fc.nat({max: 16}))
    .map(([isNegative, digits, scale]) => {
      const text = String(digits).padStart(scale + 1, '0');
      return `${isNegative ? '-' : ''}${scale === 0 ? text : `${text.slice(0, -scale)}.${text.slice(-scale)}`}`;
    });
  fc.assert(
    fc.property(fc.oneof(decimals, fc.constantFrom('NaN', 'Infinity', '-Infinity')), (text) => {
      const number = Number(text);
      const isExact = text.length <= 15 && Number.isFinite(number);
      expect(decode('I', tuple('N', ['1', null, text, 'k']))?.row?.['a "b"\\']).toBe(isExact ? number : text);
    }),
    {numRuns: 500},
  );
});
