import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {rowsOf} from './cells.ts';
import {type CoercedBatch, type CoercerOptions, createCoercer} from './coerce.ts';
import {isIngestError} from './errors.ts';
import {parseJson, stringifyJson} from './json-reader.ts';
import {ExactNumber, type JsonObject, type JsonValue} from './json-value.ts';
import {
  array,
  binary,
  column,
  date,
  decimal,
  double,
  integer,
  long,
  map,
  string,
  struct,
  timestamp,
  variant,
} from './schema.ts';
import type {StructType} from './types.ts';

const seed = Date.now() % 1_000_000_007;

function coerce(
  schema: StructType,
  records: readonly JsonValue[],
  options: Partial<CoercerOptions> = {},
): CoercedBatch {
  const coercer = createCoercer(schema, {rescue: true, ...options});
  for (const record of records) coercer.add(record as JsonObject);
  return coercer.take();
}

const exact = (text: string): ExactNumber => new ExactNumber(text);

describe('values that do not fit', () => {
  const nested = struct({
    id: long().notNull(),
    tags: array(long()),
    'odd.name': long(),
    items: array(struct({price: decimal(5, 2), attrs: map(string(), array(integer()))})),
    _rescued_data: string(),
  });

  it('are rescued with their paths while the rest of the row lands', () => {
    const record = {
      id: 7,
      tags: [1, 'two', 3],
      'odd.name': 'x',
      items: [{price: 1.5, attrs: {ok: [1]}}, {price: 'dear', attrs: {'a.b': [1, 2.5]}}, 'no struct'],
    };
    const taken = coerce(nested, [record]);
    expect(taken.rescuedValues).toBe(5);
    const [row] = rowsOf(taken.batch);
    expect(JSON.parse(String(row?.['_rescued_data']))).toEqual({
      'tags[1]': 'two',
      '`odd.name`': 'x',
      'items[1].price': 'dear',
      'items[1].attrs.`a.b`[1]': 2.5,
      'items[2]': 'no struct',
    });
    expect(row).toMatchObject({
      id: 7n,
      tags: [1n, null, 3n],
      items: [
        {price: '1.50', attrs: [{key: 'ok', value: [1]}]},
        {price: null, attrs: [{key: 'a.b', value: [1, null]}]},
        null,
      ],
    });
  });

  it('are rescued once, by the path of the whole, when the whole does not fit', () => {
    const schema = struct({s: struct({a: array(long()), b: long().notNull()}), _rescued_data: string()});
    const taken = coerce(schema, [{s: {a: ['x', 1], b: 'y'}}, {s: {a: [2], b: 3}}]);
    expect(rowsOf(taken.batch)).toEqual([
      {s: null, _rescued_data: '{"s":{"a":["x",1],"b":"y"}}'},
      {s: {a: [2n], b: 3n}, _rescued_data: null},
    ]);
  });

  it('keep all their digits', () => {
    const taken = coerce(struct({v: integer(), _rescued_data: string()}), [
      {v: [12345678901234567890n, exact('1e400')]},
    ]);
    expect(rowsOf(taken.batch)).toEqual([{v: null, _rescued_data: '{"v":[12345678901234567890,1e400]}'}]);
  });

  it('quarantine the row when there is no column for them', () => {
    const taken = coerce(
      struct({v: long(), w: long()}),
      [
        {v: 'x', w: 1},
        {v: 2, w: 2},
      ],
      {rescue: false},
    );
    expect(taken.quarantined).toEqual([{reason: 'NOT_RESCUED', path: 'v', record: '{"v":"x","w":1}'}]);
    expect(rowsOf(taken.batch)).toEqual([{v: 2n, w: 2n}]);
    expect(taken.rescuedValues).toBe(0);
  });
});

describe('rows that cannot land', () => {
  const schema = struct({
    id: long(),
    name: string().notNull(),
    at: struct({day: date(), list: array(string())}),
    _rescued_data: string(),
  });

  it('go to quarantine with reason, path and the whole record', () => {
    const records: JsonValue[] = [
      null,
      [1],
      'text',
      {name: 'a'},
      {id: 'x', name: 'a'},
      {id: 1},
      {id: 1, name: 'a\ud800'},
      {id: 1, name: 'a'},
      {id: 1, name: 'a', at: {}},
      {id: 1, name: 'a', at: {day: 'soon', list: ['a', 'b']}},
      {id: 12345678901234567890n, name: 'a', at: {day: '2024-01-01'}},
      {id: 1, name: 'a', at: {day: '1970-01-02', list: ['c']}},
    ];
    const taken = coerce(schema, records, {keys: ['id', 'at.day']});
    expect(taken.quarantined.map((row) => [row.reason, row.path])).toEqual([
      ['NOT_AN_OBJECT', ''],
      ['NOT_AN_OBJECT', ''],
      ['NOT_AN_OBJECT', ''],
      ['NULL_KEY', 'id'],
      ['MISFIT_KEY', 'id'],
      ['NULL_REQUIRED', 'name'],
      ['MISFIT_REQUIRED', 'name'],
      ['NULL_KEY', 'at.day'],
      ['NULL_KEY', 'at.day'],
      ['MISFIT_KEY', 'at.day'],
      ['MISFIT_KEY', 'id'],
    ]);
    expect(taken.quarantined.map((row) => row.record)).toEqual(records.slice(0, -1).map(stringifyJson));
    expect(rowsOf(taken.batch)).toEqual([{id: 1n, name: 'a', at: {day: 1, list: ['c']}, _rescued_data: null}]);
  });

  it('leave no trace in rows that follow', () => {
    const lists = struct({l: array(column(struct({a: string()}))), id: long().notNull(), _rescued_data: string()});
    const taken = coerce(lists, [
      {l: [{a: 'x'}, 5, null], id: null},
      {l: [{a: 'y'}], id: 1},
      {l: null, id: 2},
      {l: [null, {a: 'z'}], id: 3},
    ]);
    expect(rowsOf(taken.batch)).toEqual([
      {l: [{a: 'y'}], id: 1n, _rescued_data: null},
      {l: null, id: 2n, _rescued_data: null},
      {l: [null, {a: 'z'}], id: 3n, _rescued_data: null},
    ]);
  });

  it('are told by the return value of add', () => {
    const coercer = createCoercer(struct({id: long().notNull()}), {rescue: false});
    expect([coercer.add({id: 1}), coercer.add({id: 'x'}), coercer.add({id: null}), coercer.add({id: 2})]).toEqual([
      true,
      false,
      false,
      true,
    ]);
    expect(coercer.rowCount).toBe(2);
  });
});

describe('an empty text where it is no value', () => {
  const schema = struct({
    id: string().emptyIsNull().notNull(),
    name: string().emptyIsNull(),
    size: double().emptyIsNull(),
    note: string(),
    _rescued_data: string(),
  });

  it('is null, and no key', () => {
    const records = [
      {id: 'a', name: '', size: '', note: ''},
      {id: '', name: 'x', size: '1.5', note: 'y'},
    ];
    const taken = coerce(schema, records);
    expect(rowsOf(taken.batch)).toEqual([{id: 'a', name: null, size: null, note: '', _rescued_data: null}]);
    expect(taken.quarantined).toMatchObject([{reason: 'NULL_REQUIRED', path: 'id'}]);
    expect(coerce(schema, records, {keys: ['id']}).quarantined).toMatchObject([{reason: 'NULL_KEY', path: 'id'}]);
  });
});

describe('fields that are no columns', () => {
  it('are counted by name unless they are ignored', () => {
    const schema = struct({id: long(), constructor: string(), _rescued_data: string()});
    const taken = coerce(
      schema,
      [{id: 1}, {id: 2, extra: null, skip: 1}, {skip: 2}, {id: 3, extra: 1, toString: 2, gone: undefined as never}],
      {ignoredFields: ['skip', 'id']},
    );
    expect([...taken.unknownFields]).toEqual([
      ['extra', 2],
      ['toString', 1],
    ]);
    expect(rowsOf(taken.batch).map((row) => row['constructor'])).toEqual([null, null, null, null]);
  });

  it('may have the names that objects inherit', () => {
    const record = parseJson('{"__proto__": "a", "hasOwnProperty": 5}') as JsonObject;
    const schema: StructType = {
      type: 'struct',
      fields: ['__proto__', 'hasOwnProperty'].map((name) => ({name, type: 'string', nullable: true, metadata: {}})),
    };
    const coercer = createCoercer(schema, {rescue: false});
    coercer.add(record);
    const {batch, unknownFields} = coercer.take();
    expect(Object.entries(rowsOf(batch)[0] ?? {})).toEqual([
      ['__proto__', 'a'],
      ['hasOwnProperty', '5'],
    ]);
    expect(unknownFields.size).toBe(0);
  });
});

describe('unknown fields that are to be kept', () => {
  it('are rescued at any depth, but not those that are ignored or null', () => {
    const inner = struct({a: long()});
    const schema = struct({id: long(), s: inner, l: array(inner), m: map(string(), inner), _rescued_data: string()});
    const coercer = createCoercer(schema, {rescue: true, rescueUnknown: true, ignoredFields: ['skip']});
    coercer.add({id: 1, s: {a: 1, b: 2}, l: [{a: 1}, {c: [3]}], m: {k: {d: 'x'}}, e: {f: 1}, skip: 9, none: null});
    coercer.add({id: 2, s: {a: 1, b: null}});
    const {batch, rescuedValues, unknownFields} = coercer.take();
    expect(rowsOf(batch).map((row) => JSON.parse(String(row['_rescued_data'])) as unknown)).toEqual([
      {'s.b': 2, 'l[1].c': [3], 'm.k.d': 'x', e: {f: 1}},
      null,
    ]);
    expect(rescuedValues).toBe(4);
    expect([...unknownFields]).toEqual([
      ['e', 1],
      ['none', 1],
    ]);
  });
});

describe('batches', () => {
  it('grow beyond their capacity and start anew after take', () => {
    const coercer = createCoercer(struct({id: long(), s: string(), l: array(string()), _rescued_data: string()}), {
      rescue: true,
      capacity: 2,
    });
    for (let round = 0; round < 3; round++) {
      for (let id = 0; id < 50; id++)
        coercer.add(id % 5 === 0 ? {id, s: `é${id}`} : {id, s: `s${id}`, l: [`l${id}`, 'ü'], x: 1});
      coercer.add({id: 'bad', s: 1});
      const taken = coercer.take();
      expect(taken.batch.rowCount).toBe(51);
      expect(taken.rescuedValues).toBe(1);
      expect(taken.unknownFields.get('x')).toBe(40);
      const rows = rowsOf(taken.batch);
      expect(rows[49]).toEqual({id: 49n, s: 's49', l: ['l49', 'ü'], _rescued_data: null});
      expect(rows[45]).toEqual({id: 45n, s: 'é45', l: null, _rescued_data: null});
      expect(rows[50]).toEqual({id: null, s: '1', l: null, _rescued_data: '{"id":"bad"}'});
    }
    expect(coercer.take()).toMatchObject({rescuedValues: 0, quarantined: [], batch: {rowCount: 0}});
  });

  it('hold lists of any length at any depth', () => {
    const schema = struct({
      l: array(struct({a: array(long()), s: string(), m: map(string(), decimal(20, 1))})),
      _rescued_data: string(),
    });
    const item = (index: number): JsonObject => ({
      a: Array.from({length: index % 4}, (_, at) => at + index),
      s: `s${index}`,
      m: {[`k${index}`]: index / 2},
    });
    const records = [5000, 0, 1, 3000].map((count) => ({l: Array.from({length: count}, (_, index) => item(index))}));
    const taken = coerce(schema, records, {capacity: 0});
    expect(taken.rescuedValues).toBe(0);
    expect(rowsOf(taken.batch)).toEqual(
      records.map(({l}) => ({
        l: l.map((_, index) => ({
          a: Array.from({length: index % 4}, (_value, at) => BigInt(at + index)),
          s: `s${index}`,
          m: [{key: `k${index}`, value: (index / 2).toFixed(1)}],
        })),
        _rescued_data: null,
      })),
    );
  });

  it('keep the lists of a single row when more rows come', () => {
    const taken = coerce(struct({l: array(long())}), [{l: []}, {l: null}], {rescue: false, capacity: 1});
    expect(rowsOf(taken.batch)).toEqual([{l: []}, {l: null}]);
  });

  it('encode much text in pieces', () => {
    const texts = Array.from({length: 12}, (_, index) =>
      (index % 3 === 0 ? 'é' : index % 3 === 1 ? 'x' : '😀').repeat(700_000 + index),
    );
    const {batch} = coerce(
      struct({t: string()}),
      texts.map((t) => ({t})),
      {rescue: false},
    );
    expect(rowsOf(batch).every((row, index) => row['t'] === texts[index])).toBe(true);
  });

  it('have no validity where nothing is null, and landed types', () => {
    const {batch} = coerce(struct({a: variant(), b: long()}), [{a: 1, b: 2}, {a: 'x'}], {rescue: false});
    expect(batch.schema.fields.map((field) => field.type)).toEqual(['string', 'long']);
    expect(batch.columns.map((vector) => vector.validity)).toEqual([null, Uint8Array.of(1)]);
  });

  it('tell their size', () => {
    const coercer = createCoercer(struct({a: long(), b: string(), c: array(integer())}), {rescue: false});
    coercer.add({a: 1, b: 'x'.repeat(100), c: [1, 2]});
    expect(coercer.sizeBytes).toBe(8 + 100 + 8 + 8);
    coercer.take();
    expect(coercer.sizeBytes).toBe(0);
  });

  it(`keep text of any kind (seed ${seed})`, () => {
    const text = fc.oneof(fc.string({unit: 'binary'}), fc.string({unit: 'grapheme'}), fc.string());
    fc.assert(
      fc.property(fc.array(text, {maxLength: 60}), (texts) => {
        const {batch} = coerce(
          struct({t: string(), _rescued_data: string()}),
          texts.map((t) => ({t})),
        );
        const rows = rowsOf(batch);
        texts.forEach((t, index) => {
          const fits = Buffer.from(t).toString() === t;
          expect(rows[index]).toEqual({t: fits ? t : null, _rescued_data: fits ? null : JSON.stringify({t})});
        });
      }),
      {seed, interruptAfterTimeLimit: 200, numRuns: 100_000},
    );
  });
});

describe('schemas', () => {
  it.each<[string, () => StructType, Partial<CoercerOptions>]>([
    ['an unknown unit', () => struct({t: timestamp().with({'sluice.epochUnit': 'ns'}), _rescued_data: string()}), {}],
    [
      'an unknown encoding',
      () =>
        struct({
          t: array(binary().with({'sluice.binaryEncoding': 'ascii'})),
          b: binary().with({'sluice.binaryEncoding': 'x'}),
          _rescued_data: string(),
        }),
      {},
    ],
    ['map keys that are no names', () => struct({m: map(double(), long()), _rescued_data: string()}), {}],
    ['no column for rescued data', () => struct({a: long()}), {}],
    ['a key that is no column', () => struct({a: long(), _rescued_data: string()}), {keys: ['a.b']}],
  ])('are refused with %s', (_, schema, options) => {
    let thrown: unknown;
    try {
      coerce(schema(), [], options);
    } catch (error) {
      thrown = error;
    }
    expect(isIngestError(thrown, 'INVALID_SCHEMA')).toBe(true);
  });
});

it('counts unknown names of every record, whether its neighbours have the same ones or not', () => {
  const names = ['id', 'a', 'b', 'c', 'd'];
  fc.assert(
    fc.property(fc.array(fc.subarray(names)), fc.integer({min: 1, max: 5}), (records, every) => {
      const coercer = createCoercer(struct({id: long()}), {rescue: false});
      const found = new Map<string, number>();
      const wanted = new Map<string, number>();
      const take = (): void => {
        for (const [name, count] of coercer.take().unknownFields) found.set(name, (found.get(name) ?? 0) + count);
      };
      for (const [at, record] of records.entries()) {
        coercer.add(Object.fromEntries(record.map((name) => [name, 1])));
        for (const name of record) if (name !== 'id') wanted.set(name, (wanted.get(name) ?? 0) + 1);
        if (at % every === 0) take();
      }
      take();
      expect(found).toEqual(wanted);
    }),
  );
});
