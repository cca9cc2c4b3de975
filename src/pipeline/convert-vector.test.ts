import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import {rowsOf} from '../core/cells.ts';
import {createCoercer} from '../core/coerce.ts';
import type {ColumnBatch} from '../core/columns.ts';
import {ExactNumber, type JsonObject, type JsonValue} from '../core/json-value.ts';
import {fromDdl} from '../core/schema-ddl.ts';
import type {DataType, StructType} from '../core/types.ts';
import {convertPage} from './convert-page.ts';
import {convertVector} from './convert-vector.ts';

const ALL = fromDdl(
  's STRING, l BIGINT, i INT, h SMALLINT, b TINYINT, f FLOAT, d DOUBLE, o BOOLEAN, x BINARY, y DATE, t TIMESTAMP, n TIMESTAMP_NTZ, m DECIMAL(20,4), q DECIMAL(38,10), a ARRAY<STRUCT<k: INT, v: ARRAY<STRING>>>, p MAP<INT, DECIMAL(6,2)>',
);

const decimal = (digits: number, scale: number): fc.Arbitrary<JsonValue> =>
  fc
    .bigInt({min: -(10n ** BigInt(digits)) + 1n, max: 10n ** BigInt(digits) - 1n})
    .map((unscaled) => new ExactNumber(`${unscaled}e-${scale}`));
const instant = fc.date({min: new Date('0001-01-02'), max: new Date('9999-12-30'), noInvalidDate: true});

const record: fc.Arbitrary<JsonObject> = fc.record(
  {
    s: fc.string({unit: 'grapheme'}),
    l: fc.bigInt({min: -(2n ** 63n), max: 2n ** 63n - 1n}),
    i: fc.integer(),
    h: fc.integer({min: -32_768, max: 32_767}),
    b: fc.integer({min: -128, max: 127}),
    f: fc.float({noNaN: true, noDefaultInfinity: true}),
    d: fc.double({noNaN: true, noDefaultInfinity: true}),
    o: fc.boolean(),
    x: fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('base64')),
    y: instant.map((day) => day.toISOString().slice(0, 10)),
    t: instant.map((at) => at.toISOString()),
    n: instant.map((at) => at.toISOString().slice(0, -1)),
    m: decimal(20, 4),
    q: decimal(38, 10),
    a: fc.array(fc.record({k: fc.integer(), v: fc.array(fc.option(fc.string()))})),
    p: fc.dictionary(fc.integer().map(String), decimal(6, 2), {maxKeys: 3}),
  },
  {requiredKeys: []},
) as fc.Arbitrary<JsonObject>;

function batchOf(schema: StructType, records: readonly JsonObject[]): ColumnBatch {
  const coercer = createCoercer(schema, {rescue: false});
  for (const each of records) expect(coercer.add(each)).toBe(true);
  return coercer.take().batch;
}

describe('a converted column', () => {
  test('of the type that it has is what it was', () => {
    fc.assert(
      fc.property(fc.array(record, {maxLength: 20}), (records) => {
        const batch = batchOf(ALL, records);
        const columns = batch.schema.fields.map((field, at) => {
          const vector = batch.columns[at];
          if (vector === undefined) throw new Error('no vector');
          const column = {name: field.name, from: field.type, to: field.type};
          const {vector: same, rescued} = convertVector(vector, column, {
            rowCount: batch.rowCount,
            rescueUnknown: true,
          });
          expect(rescued).toEqual([]);
          return same;
        });
        expect(rowsOf({...batch, columns})).toEqual(rowsOf(batch));
      }),
      {numRuns: 50, verbose: 1},
    );
  });

  const shapeOf = (
    schema: StructType,
    rescueUnknown: boolean,
    ignored: readonly string[] = [],
  ): Parameters<typeof convertPage>[1] => ({schema, ignored, rescueUnknown});

  function page(
    ddl: string,
    wanted: string,
    records: readonly JsonObject[],
    rescueUnknown = false,
  ): readonly unknown[] {
    const batch = batchOf(fromDdl(ddl), records);
    const schema = fromDdl(wanted);
    const {columns, rescued} = convertPage(batch, shapeOf(schema, rescueUnknown));
    const rows = rowsOf({schema, rowCount: batch.rowCount, columns});
    return rows.map((row, at) => [
      row,
      rescued.filter((one) => one.row === at).map((one) => JSON.parse(`{${one.members}}`) as unknown),
    ]);
  }

  test('keeps what fits, and gives up nothing of what does not', () => {
    expect(page('v DOUBLE', 'v BIGINT', [{v: 3}, {v: 3.5}, {v: null}])).toEqual([
      [{v: 3n}, []],
      [{v: null}, [{v: 3.5}]],
      [{v: null}, []],
    ]);
    expect(page('v STRING', 'v TIMESTAMP', [{v: '2024-01-31T00:00:00Z'}, {v: 'soon'}])).toEqual([
      [{v: 1_706_659_200_000_000n}, []],
      [{v: null}, [{v: 'soon'}]],
    ]);
    expect(page('v DECIMAL(10,4)', 'v DECIMAL(6,2)', [{v: '1.5000'}, {v: '1.0001'}])).toEqual([
      [{v: '1.50'}, []],
      [{v: null}, [{v: 1.0001}]],
    ]);
    expect(page('v DATE', 'v STRING', [{v: '2024-01-31'}])).toEqual([[{v: '2024-01-31'}, []]]);
  });

  test('of a struct takes the fields that both have, and rescues the others where it is asked to', () => {
    const records = [{s: {a: 1, b: 'x'}}, {s: null}];
    const [from, to] = ['s STRUCT<a: INT, b: STRING>', 's STRUCT<a: BIGINT, c: DATE>'];
    expect(page(from, to, records)).toEqual([
      [{s: {a: 1n, c: null}}, []],
      [{s: null}, []],
    ]);
    expect(page(from, to, records, true)).toEqual([
      [{s: {a: 1n, c: null}}, [{'s.b': 'x'}]],
      [{s: null}, []],
    ]);
  });

  test('that nobody stores is rescued, but not one that is left out on purpose', () => {
    const batch = batchOf(fromDdl('v INT, u DECIMAL(6,2), w INT'), [{v: 1, u: '2.50', w: 3}]);
    const shape = shapeOf({type: 'struct', fields: fromDdl('v INT').fields}, true, ['w']);
    expect(convertPage(batch, shape).rescued).toEqual([{row: 0, members: '"u":2.50', count: 1}]);
  });

  test('that a page lacks breaks the contract', () => {
    const types: readonly DataType[] = ['long'];
    const batch = batchOf(fromDdl('v INT'), [{v: 1}]);
    const schema: StructType = {
      type: 'struct',
      fields: types.map((type) => ({name: 'other', type, nullable: true, metadata: {}})),
    };
    expect(() => convertPage(batch, shapeOf(schema, false))).toThrow('lacks "other"');
  });
});
