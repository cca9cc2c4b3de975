import {describe, expect, it} from 'vitest';

import * as t from '../core/schema.ts';
import type {StructType} from '../core/types.ts';
import type {LeafStatistics} from '../engine/engine.ts';
import {recordCount, statisticsJson, wideStatistics} from './statistics.ts';

function bounds(type: t.Column, min: string, max: string, more: Partial<LeafStatistics> = {}): unknown[] {
  const json = statisticsJson({
    rowCount: 3,
    leaves: [{path: ['c'], min, max, nullCount: 1, hasNan: false, ...more}],
    schema: t.struct({c: type}),
    indexedColumns: 32,
  });
  const {minValues, maxValues} = JSON.parse(json) as Record<'minValues' | 'maxValues', Record<string, unknown>>;
  return [minValues['c'], maxValues['c']];
}

function written(schema: StructType, leaves: readonly LeafStatistics[], indexedColumns = 32): string {
  return statisticsJson({rowCount: 2, leaves, schema, indexedColumns});
}

describe('statistics of a data file', () => {
  it('keep the digits of decimals and large integers', () => {
    const json = written(t.struct({d: t.decimal(38, 2), l: t.long()}), [
      {path: ['d'], min: '-123456789012345678901234567890123456.78', max: '0.10', nullCount: 0, hasNan: false},
      {path: ['l'], min: '-9223372036854775808', max: '9007199254740993', nullCount: 0, hasNan: false},
    ]);
    expect(json).toBe(
      '{"numRecords":2,"minValues":{"d":-123456789012345678901234567890123456.78,"l":-9223372036854775808},' +
        '"maxValues":{"d":0.10,"l":9007199254740993},"nullCount":{"d":0,"l":0},"tightBounds":true}',
    );
  });

  it('write timestamps in milliseconds, a maximum rounded up', () => {
    expect(bounds(t.timestamp(), '2024-01-01 00:00:00.123456+00', '2024-12-31 23:59:59.999001+00')).toEqual([
      '2024-01-01T00:00:00.123Z',
      '2025-01-01T00:00:00.000Z',
    ]);
    expect(bounds(t.timestamp(), '1969-12-31 23:59:59.9999+00', '1969-12-31 23:59:59.9+00')).toEqual([
      '1969-12-31T23:59:59.999Z',
      '1969-12-31T23:59:59.900Z',
    ]);
    expect(bounds(t.timestampNtz(), '2024-01-01 00:00:00', '2024-01-01 00:00:00.000001')).toEqual([
      '2024-01-01T00:00:00.000',
      '2024-01-01T00:00:00.001',
    ]);
  });

  it('leave out what other readers could not read', () => {
    expect(bounds(t.timestamp(), 'infinity', '294247-01-10 04:00:54.775806+00')).toEqual([undefined, undefined]);
    expect(bounds(t.timestamp(), '0044-03-15 00:00:00+00 (BC)', '9999-12-31 23:59:59.9999+00')).toEqual([
      undefined,
      undefined,
    ]);
    expect(bounds(t.date(), '-infinity', '10000-01-01')).toEqual([undefined, undefined]);
    expect(bounds(t.double(), '-inf', 'inf')).toEqual([undefined, undefined]);
    expect(bounds(t.boolean(), 'false', 'true')).toEqual([undefined, undefined]);
    expect(bounds(t.binary(), '00', 'FF')).toEqual([undefined, undefined]);
  });

  it('give no maximum to a column with NaN, which is the greatest number of all', () => {
    expect(bounds(t.double(), '1.5', '2.5', {hasNan: true})).toEqual([1.5, undefined]);
  });

  it('hold both zeros, whichever of them was found first', () => {
    expect(bounds(t.double(), '-0.0', '-0.0')).toEqual([-0, 0]);
    expect(bounds(t.float(), '0.0', '0.0')).toEqual([-0, 0]);
  });

  it('cut long texts so that they stay bounds, between characters and not inside of one', () => {
    const text = '😀'.repeat(40);
    expect(bounds(t.string(), text, text)).toEqual(['😀'.repeat(32), `${'😀'.repeat(32)}\u{10ffff}`]);
    const greatest = '\u{10ffff}'.repeat(40);
    expect(bounds(t.string(), greatest, greatest)).toEqual(['\u{10ffff}'.repeat(32), undefined]);
    expect(bounds(t.string(), '', 'a"b\\\u0000\n')).toEqual(['', 'a"b\\\u0000\n']);
  });

  it('follow the nesting of structs and count leaves', () => {
    const schema = t.struct({a: t.long(), s: t.column(t.struct({x: t.long(), 'y.z': t.long()})), b: t.long()});
    const leaf = (...path: string[]): LeafStatistics => ({path, min: '1', max: '2', nullCount: 0, hasNan: false});
    const leaves = [leaf('a'), leaf('s', 'x'), leaf('s', 'y.z'), leaf('b')];
    expect(JSON.parse(written(schema, leaves, 3))).toEqual({
      numRecords: 2,
      minValues: {a: 1, s: {x: 1, 'y.z': 1}},
      maxValues: {a: 2, s: {x: 2, 'y.z': 2}},
      nullCount: {a: 0, s: {x: 0, 'y.z': 0}},
      tightBounds: true,
    });
    expect(JSON.parse(written(schema, leaves, -1))).toMatchObject({nullCount: {b: 0}});
    expect(JSON.parse(written(schema, leaves, 0))).toEqual({
      numRecords: 2,
      minValues: {},
      maxValues: {},
      nullCount: {},
      tightBounds: true,
    });
  });

  it('say that bounds are wide once rows are gone, digits unharmed', () => {
    const json = written(t.struct({d: t.decimal(38, 0)}), [
      {path: ['d'], min: '12345678901234567890', max: '12345678901234567891', nullCount: 0, hasNan: false},
    ]);
    const wide = wideStatistics(json);
    expect(wide).toBe(json.replace('"tightBounds":true', '"tightBounds":false'));
    expect(wideStatistics(wide)).toBe(wide);
    expect(wideStatistics('{"numRecords":5}')).toBe('{"numRecords":5,"tightBounds":false}');
    const confusing = '{"numRecords":5,"maxValues":{"tightBounds":true},"tightBounds":true}';
    expect(JSON.parse(wideStatistics(confusing))).toEqual({numRecords: 5, tightBounds: false});
  });

  it('tell the number of rows of any writer', () => {
    expect(recordCount('{"numRecords":12,"minValues":{}}')).toBe(12);
    expect(recordCount('{"minValues":{"numRecords":1}, "numRecords": 13}')).toBe(13);
    expect(recordCount('{}')).toBeNull();
    expect(recordCount('not JSON')).toBeNull();
    expect(recordCount(undefined)).toBeNull();
  });
});
