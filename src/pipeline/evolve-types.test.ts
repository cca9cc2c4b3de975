import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import {fromDdl, typeToDdl} from '../core/schema-ddl.ts';
import type {DataType} from '../core/types.ts';
import {mergeTypes} from './evolve-types.ts';

function typeOf(text: string): DataType {
  return fromDdl(`x ${text}`).fields[0]?.type ?? 'string';
}

function merged(table: string, source: string, mayWiden = true): readonly [string, readonly string[]] {
  const {type, changes} = mergeTypes(typeOf(table), typeOf(source), {path: 'x', mayWiden});
  return [typeToDdl(type), changes.map(({kind, path}) => `${kind} ${path}`)];
}

const types: fc.Arbitrary<DataType> = fc.letrec<{type: DataType}>((tie) => ({
  type: fc.oneof(
    {maxDepth: 3, withCrossShrink: true},
    fc.constantFrom<DataType>('long', 'integer', 'string', 'date', 'timestamp_ntz', 'float', 'double', 'boolean'),
    fc.record({type: fc.constant('array' as const), elementType: tie('type'), containsNull: fc.boolean()}),
    fc.record({
      type: fc.constant('map' as const),
      keyType: fc.constant<DataType>('string'),
      valueType: tie('type'),
      valueContainsNull: fc.boolean(),
    }),
    fc
      .uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), tie('type'), fc.boolean()), {
        minLength: 1,
        selector: ([name]) => name,
      })
      .map((fields) => ({
        type: 'struct' as const,
        fields: fields.map(([name, type, nullable]) => ({name, type, nullable, metadata: {}})),
      })),
  ),
})).type;

describe('a merged type', () => {
  test("keeps the fields of both, the table's first", () => {
    expect(merged('STRUCT<a: INT, b: INT>', 'STRUCT<c: STRING, b: INT>')).toEqual([
      'STRUCT<a: INT, b: INT, c: STRING>',
      ['dropped x.a', 'added x.c'],
    ]);
    expect(merged('ARRAY<MAP<STRING, STRUCT<a: INT>>>', 'ARRAY<MAP<STRING, STRUCT<b: INT>>>')).toEqual([
      'ARRAY<MAP<STRING, STRUCT<a: INT, b: INT>>>',
      ['dropped x[][].a', 'added x[][].b'],
    ]);
  });

  test('is the wider one where that is allowed, and stays where the source is narrower', () => {
    expect(merged('INT', 'BIGINT')).toEqual(['BIGINT', ['widened x']]);
    expect(merged('INT', 'BIGINT', false)).toEqual(['INT', ['incompatible x']]);
    expect(merged('BIGINT', 'INT', false)).toEqual(['BIGINT', []]);
    expect(merged('DECIMAL(10,2)', 'DECIMAL(14,4)')).toEqual(['DECIMAL(14,4)', ['widened x']]);
    expect(merged('DECIMAL(10,2)', 'DECIMAL(10,4)')).toEqual(['DECIMAL(10,2)', ['incompatible x']]);
    expect(merged('MAP<INT, INT>', 'MAP<BIGINT, BIGINT>')).toEqual([
      'MAP<BIGINT, BIGINT>',
      ['widened x{}', 'widened x[]'],
    ]);
  });

  test('lets be null what may be null on one side, without calling it a change', () => {
    expect(merged('STRUCT<a: INT NOT NULL>', 'STRUCT<a: INT>')).toEqual(['STRUCT<a: INT>', []]);
    expect(merged('STRUCT<a: INT NOT NULL>', 'STRUCT<b: INT NOT NULL>')[0]).toBe('STRUCT<a: INT, b: INT>');
  });

  test('does not take fields that differ by case only for one', () => {
    expect(merged('STRUCT<a: INT>', 'STRUCT<A: INT>')).toEqual(['STRUCT<a: INT>', ['dropped x.a', 'incompatible x.A']]);
  });

  test('holds the source from then on: a second look finds only what is gone or cannot be', () => {
    fc.assert(
      fc.property(types, types, (table, source) => {
        const first = mergeTypes(table, source, {path: 'x', mayWiden: true});
        const second = mergeTypes(first.type, source, {path: 'x', mayWiden: true});
        expect(second.type).toEqual(first.type);
        expect(second.changes.filter(({kind}) => kind === 'added' || kind === 'widened')).toEqual([]);
      }),
      {verbose: 1},
    );
  });
});
