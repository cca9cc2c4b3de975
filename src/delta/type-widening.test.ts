import {describe, expect, it} from 'vitest';

import * as t from '../core/schema.ts';
import type {DataType, StructField} from '../core/types.ts';
import {canWiden, widenedField} from './type-widening.ts';

const decimal = (precision: number, scale: number): DataType => ({type: 'decimal', precision, scale});

describe('type widening', () => {
  it.each<readonly [DataType, DataType, boolean]>([
    ['byte', 'short', true],
    ['byte', 'long', true],
    ['byte', 'double', true],
    ['byte', 'float', false],
    ['short', 'byte', false],
    ['integer', 'long', true],
    ['integer', 'double', true],
    ['long', 'double', false],
    ['long', 'long', false],
    ['float', 'double', true],
    ['double', 'float', false],
    ['date', 'timestamp_ntz', true],
    ['date', 'timestamp', false],
    ['string', 'long', false],
    ['integer', decimal(10, 0), true],
    ['byte', decimal(9, 0), false],
    ['short', decimal(12, 2), true],
    ['integer', decimal(11, 2), false],
    ['long', decimal(20, 0), true],
    ['long', decimal(19, 0), false],
    ['long', decimal(38, 18), true],
    ['double', decimal(38, 18), false],
    [decimal(5, 2), decimal(5, 2), false],
    [decimal(5, 2), decimal(6, 2), true],
    [decimal(5, 2), decimal(6, 3), true],
    [decimal(5, 2), decimal(5, 3), false],
    [decimal(5, 2), decimal(7, 1), false],
    [decimal(5, 2), 'double', false],
    ['integer', t.array('integer').type, false],
  ])('%j to %j: %s', (from, to, isAllowed) => {
    expect(canWiden(from, to)).toBe(isAllowed);
  });

  it('notes every change where readers look for it', () => {
    const field = (type: t.TypeLike): StructField => {
      const [only] = t.struct({c: type}).fields;
      if (only === undefined) throw new Error('no field');
      return only;
    };
    const before = field(
      t.map('byte', t.array(t.struct({x: t.integer(), kept: t.string(), y: t.array(t.decimal(5, 2))}))),
    );
    const after = t.map('long', t.array(t.struct({x: t.long(), y: t.array(t.decimal(9, 4))}))).type;
    const widened = widenedField(before, after, 'c');
    expect(widened.metadata).toEqual({
      'delta.typeChanges': [{fromType: 'byte', toType: 'long', fieldPath: 'key'}],
    });
    expect(widened.type).toEqual(
      t.map(
        'long',
        t.array(
          t.struct({
            x: t.long().with({'delta.typeChanges': [{fromType: 'integer', toType: 'long'}]}),
            kept: t.string(),
            y: t.array(t.decimal(9, 4)).with({
              'delta.typeChanges': [{fromType: 'decimal(5,2)', toType: 'decimal(9,4)', fieldPath: 'element'}],
            }),
          }),
        ),
      ).type,
    );
    const twice = widenedField(widenedField(field('byte'), 'short', 'c'), 'long', 'c');
    expect(twice.metadata['delta.typeChanges']).toEqual([
      {fromType: 'byte', toType: 'short'},
      {fromType: 'short', toType: 'long'},
    ]);
  });

  it('refuses what Delta has no widening for', () => {
    const field = (type: DataType): StructField => ({name: 'c', type, nullable: true, metadata: {}});
    for (const [from, to] of [
      ['string', 'long'],
      ['long', 'string'],
      [t.array('string').type, 'string'],
      [t.struct({a: t.long()}), t.struct({a: t.long(), b: t.long()})],
    ] as const)
      expect(() => widenedField(field(from), to, 'c')).toThrow(/"c" is/);
  });
});
