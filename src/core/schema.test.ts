import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {isIngestError} from './errors.ts';
import {fromDdl, toDdl, typeToDdl} from './schema-ddl.ts';
import {schemaFromJson, schemaToJson} from './schema-json.ts';
import {
  array,
  checkSchema,
  column,
  decimal,
  duplicateNames,
  EPOCH_UNIT,
  fieldAt,
  integer,
  landedSchema,
  long,
  map,
  string,
  struct,
  timestamp,
  typesEqual,
  variant,
} from './schema.ts';
import type {DataType, StructType} from './types.ts';

const seed = Date.now() % 1_000_000_007;

const orders = struct({
  id: long().notNull(),
  'line items': array(struct({sku: string().notNull().comment("the article's number"), price: decimal(10, 2)})),
  tags: map(string(), array(string().notNull())),
  at: timestamp().epochUnit('ms'),
  address: column(struct({zip: string()})).notNull(),
});

const ORDERS_JSON =
  '{"type":"struct","fields":[' +
  '{"name":"id","type":"long","nullable":false,"metadata":{}},' +
  '{"name":"line items","type":{"type":"array","elementType":{"type":"struct","fields":[' +
  '{"name":"sku","type":"string","nullable":false,"metadata":{"comment":"the article\'s number"}},' +
  '{"name":"price","type":"decimal(10,2)","nullable":true,"metadata":{}}]},"containsNull":true},"nullable":true,"metadata":{}},' +
  '{"name":"tags","type":{"type":"map","keyType":"string","valueType":{"type":"array","elementType":"string","containsNull":false},"valueContainsNull":true},"nullable":true,"metadata":{}},' +
  '{"name":"at","type":"timestamp","nullable":true,"metadata":{"sluice.epochUnit":"ms"}},' +
  '{"name":"address","type":{"type":"struct","fields":[{"name":"zip","type":"string","nullable":true,"metadata":{}}]},"nullable":false,"metadata":{}}]}';

const name = fc.oneof(
  fc.stringMatching(/^[a-z][a-z0-9_]{0,6}$/),
  fc.string({minLength: 1, maxLength: 6}).filter((text) => text.trim() !== ''),
);
const {type} = fc.letrec<{type: DataType; fields: StructType}>((tie) => ({
  type: fc.oneof(
    {maxDepth: 3},
    fc.constantFrom<DataType>(
      'string',
      'long',
      'integer',
      'short',
      'byte',
      'float',
      'double',
      'boolean',
      'binary',
      'date',
      'timestamp',
      'timestamp_ntz',
      'variant',
    ),
    fc
      .integer({min: 1, max: 38})
      .chain((precision) =>
        fc.integer({min: 0, max: precision}).map((scale): DataType => ({type: 'decimal', precision, scale})),
      ),
    fc
      .tuple(tie('type'), fc.boolean())
      .map(([elementType, containsNull]): DataType => ({type: 'array', elementType, containsNull})),
    fc.tuple(tie('type'), tie('type'), fc.boolean()).map(([keyType, valueType, valueContainsNull]): DataType => ({
      type: 'map',
      keyType,
      valueType,
      valueContainsNull,
    })),
    tie('fields'),
  ),
  fields: fc
    .uniqueArray(fc.tuple(name, tie('type'), fc.boolean(), fc.option(fc.string())), {
      minLength: 1,
      maxLength: 4,
      selector: ([key]) => key,
    })
    .map((fields): StructType => ({
      type: 'struct',
      fields: fields.map(([key, inner, nullable, comment]) => ({
        name: key,
        type: inner,
        nullable,
        metadata: comment === null ? {} : {comment},
      })),
    })),
}));
const schema = fc.tuple(type, fc.boolean()).map(([inner, nullable]): StructType => ({
  type: 'struct',
  fields: [{name: 'c', type: inner, nullable, metadata: {}}],
}));

/** DDL cannot say that lists and maps hold no nulls. */
function withNulls(inner: DataType): DataType {
  if (typeof inner === 'string') return inner;
  switch (inner.type) {
    case 'decimal':
      return inner;
    case 'array':
      return {...inner, elementType: withNulls(inner.elementType), containsNull: true};
    case 'map':
      return {
        ...inner,
        keyType: withNulls(inner.keyType),
        valueType: withNulls(inner.valueType),
        valueContainsNull: true,
      };
    case 'struct':
      return {type: 'struct', fields: inner.fields.map((field) => ({...field, type: withNulls(field.type)}))};
  }
}

describe('the JSON form', () => {
  it('is that of Spark and Delta', () => {
    expect(schemaToJson(orders)).toBe(ORDERS_JSON);
    expect(schemaFromJson(ORDERS_JSON)).toEqual(orders);
  });

  it(`comes back as it was (seed ${seed})`, () => {
    fc.assert(
      fc.property(schema, (value) => {
        const back = schemaFromJson(schemaToJson(value));
        expect(back).toEqual(value);
        expect(typesEqual(back, value)).toBe(true);
      }),
      {seed, interruptAfterTimeLimit: 200, numRuns: 100_000},
    );
  });

  it("takes Spark's default decimal and absent metadata", () => {
    expect(schemaFromJson('{"type":"struct","fields":[{"name":"d","type":"decimal","nullable":true}]}')).toEqual(
      struct({d: decimal(10, 0)}),
    );
  });

  it.each([
    ['{"type":"struct","fields":[{"name":"a","type":"interval","nullable":true,"metadata":{}}]}', 'a'],
    ['{"type":"struct","fields":[{"name":"a","type":"decimal(39,0)","nullable":true,"metadata":{}}]}', 'a'],
    [
      '{"type":"struct","fields":[{"name":"a","type":{"type":"array","elementType":{"type":"udt"},"containsNull":true},"nullable":true,"metadata":{}}]}',
      'a[]',
    ],
    [
      '{"type":"struct","fields":[{"name":"a","type":{"type":"struct","fields":[{"name":"b","type":"long"}]},"nullable":true,"metadata":{}}]}',
      'a.b',
    ],
    ['{"type":"struct"}', ''],
    ['"long"', ''],
    ['{"type":"struct","fields":[{}]}', ''],
  ])('refuses %s and names the place', (text, path) => {
    let thrown: unknown;
    try {
      schemaFromJson(text);
    } catch (error) {
      thrown = error;
    }
    expect(isIngestError(thrown, 'INVALID_SCHEMA') && thrown.context['path']).toBe(path);
  });
});

describe('the DDL form', () => {
  it('is that of Spark SQL', () => {
    expect(toDdl(orders)).toBe(
      "id BIGINT NOT NULL, `line items` ARRAY<STRUCT<sku: STRING NOT NULL COMMENT 'the article\\'s number', price: DECIMAL(10,2)>>, " +
        'tags MAP<STRING, ARRAY<STRING>>, at TIMESTAMP, address STRUCT<zip: STRING> NOT NULL',
    );
    expect(typeToDdl('timestamp_ntz')).toBe('TIMESTAMP_NTZ');
  });

  it('takes other cases and words', () => {
    expect(fromDdl('a int, b array < long >, `c``d` numeric(5), e struct<f string not null>')).toEqual(
      struct({a: integer(), b: array(long()), 'c`d': decimal(5, 0), e: struct({f: string().notNull()})}),
    );
  });

  it(`comes back as it was, but for lists and maps without nulls (seed ${seed})`, () => {
    fc.assert(
      fc.property(schema, (value) => {
        expect(fromDdl(toDdl(value))).toEqual(withNulls(value));
      }),
      {seed, interruptAfterTimeLimit: 200, numRuns: 100_000},
    );
  });

  it.each([
    ['', 1],
    ['a', 2],
    ['a whatever', 3],
    ['a int b int', 7],
    ['a array<int', 12],
    ['a int not', 10],
    ['a decimal(50)', 3],
    ['a int; drop', 6],
    ['a int,', 7],
  ])('refuses %j at its place', (text, position) => {
    let thrown: unknown;
    try {
      fromDdl(text);
    } catch (error) {
      thrown = error;
    }
    expect(isIngestError(thrown, 'INVALID_SCHEMA')).toBe(true);
    expect(String(thrown)).toContain(`position ${position}`);
  });
});

describe('schemas', () => {
  it('keep hints as metadata', () => {
    expect(fieldAt(orders, 'at')?.metadata).toEqual({[EPOCH_UNIT]: 'ms'});
  });

  it('find fields by dotted path and full name', () => {
    const dotted: StructType = {
      type: 'struct',
      fields: [...orders.fields, {name: 'a.b', type: 'long', nullable: true, metadata: {}}],
    };
    expect(fieldAt(dotted, 'address.zip')?.type).toBe('string');
    expect(fieldAt(dotted, 'a.b')?.type).toBe('long');
    expect(fieldAt(dotted, 'Address.zip')).toBeUndefined();
    expect(fieldAt(dotted, 'id.x')).toBeUndefined();
  });

  it('tell types apart by everything but metadata', () => {
    expect(typesEqual(struct({a: long()}), struct({a: long().comment('x')}))).toBe(true);
    expect(typesEqual(struct({a: long()}), struct({a: long().notNull()}))).toBe(false);
    expect(typesEqual(struct({a: long(), b: long()}), struct({b: long(), a: long()}))).toBe(false);
    expect(typesEqual(array(long()).type, array(long().notNull()).type)).toBe(false);
    expect(typesEqual(decimal(5, 2).type, decimal(5, 1).type)).toBe(false);
  });

  it('land variants as strings at any depth', () => {
    const source = struct({v: variant(), l: array(struct({v: map(string(), variant())}))});
    expect(landedSchema(source)).toEqual(struct({v: string(), l: array(struct({v: map(string(), string())}))}));
  });

  it('name duplicates whatever their case', () => {
    const twice = struct({a: long(), A: long(), s: array(struct({x: long(), X: long()}))});
    expect(duplicateNames(twice)).toEqual(['A', 's[].X']);
    expect(() => checkSchema(twice, 't')).toThrow('"A" occurs twice');
  });

  it.each<[string, StructType]>([
    ['no columns', struct({})],
    ['"s" has no fields', struct({s: struct({})})],
    ['has no name', struct({' ': long()})],
    ['decimal(3,4)', struct({d: {type: 'decimal', precision: 3, scale: 4}})],
  ])('are refused: %s', (problem, refused) => {
    expect(() => checkSchema(refused, 't')).toThrow(problem);
  });
});
