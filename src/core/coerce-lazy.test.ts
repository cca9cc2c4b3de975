import {deepStrictEqual} from 'node:assert/strict';

import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {jsonText, listText, numberText, objectText, stringText} from '../../test/json-texts.ts';
import {rowsOf} from './cells.ts';
import {type CoercedBatch, type Coercer, type CoercerOptions, createCoercer} from './coerce.ts';
import type {ColumnVector} from './columns.ts';
import {parseJson} from './json-reader.ts';
import type {JsonObject, JsonValue} from './json-value.ts';
import {lazyObject, parseLazily} from './lazy-object.ts';
import {BINARY_ENCODING, EMPTY_IS_NULL, EPOCH_UNIT, long, string, struct, variant, WIDE_TIMES} from './schema.ts';
import type {DataType, PrimitiveType, StructField, StructType} from './types.ts';

const seed = Date.now() % 1_000_000_007;

const NAMES = ['id', 'a', 'b', 'é', 'c d', 'n.x', '0', '12', '__proto__', 'constructor', 'toString', 'x', 'y', 'z'];
const name = fc.constantFrom(...NAMES);

const PRIMITIVES: readonly PrimitiveType[] = [
  ...(['string', 'variant', 'long', 'integer', 'short', 'byte', 'float', 'double', 'boolean'] as const),
  ...(['binary', 'date', 'timestamp', 'timestamp_ntz', 'string', 'variant', 'timestamp'] as const),
];
const decimalType = fc
  .tuple(fc.constantFrom(1, 4, 9, 15, 18, 19, 38), fc.nat({max: 38}))
  .map(([precision, scale]): DataType => ({type: 'decimal', precision, scale: Math.min(scale, precision)}));
const keyType = fc.constantFrom<PrimitiveType>('string', 'string', 'long', 'boolean', 'date');

const metadata: fc.Arbitrary<StructField['metadata']> = fc.oneof(
  {weight: 4, arbitrary: fc.constant({})},
  {
    weight: 1,
    arbitrary: fc.constantFrom<StructField['metadata']>(
      {[EPOCH_UNIT]: 's', [BINARY_ENCODING]: 'hex'},
      {[EPOCH_UNIT]: 'ms', [BINARY_ENCODING]: 'utf8', [EMPTY_IS_NULL]: true},
      {[EPOCH_UNIT]: 'us'},
      {[WIDE_TIMES]: true},
      {[EMPTY_IS_NULL]: true},
    ),
  },
);

const {fields: anyFields} = fc.letrec<{type: DataType; fields: StructType}>((tie) => ({
  type: fc.oneof(
    {maxDepth: 3},
    {weight: 8, arbitrary: fc.constantFrom<DataType>(...PRIMITIVES)},
    {weight: 2, arbitrary: decimalType},
    {
      weight: 2,
      arbitrary: fc
        .tuple(tie('type'), fc.boolean())
        .map(([elementType, containsNull]): DataType => ({type: 'array', elementType, containsNull})),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(keyType, tie('type'), fc.boolean()).map(([key, valueType, valueContainsNull]): DataType => ({
        type: 'map',
        keyType: key,
        valueType,
        valueContainsNull,
      })),
    },
    {weight: 3, arbitrary: tie('fields')},
  ),
  fields: fc
    .uniqueArray(fc.tuple(name, tie('type'), fc.nat({max: 4}), metadata), {
      minLength: 1,
      maxLength: 5,
      selector: ([field]) => field,
    })
    .map((fields): StructType => ({
      type: 'struct',
      fields: fields.map(([field, type, required, hints]) => ({
        name: field,
        type,
        nullable: required > 0,
        metadata: hints,
      })),
    })),
}));

/** Dotted paths of fields that can be keys. */
function keysOf({fields}: StructType): readonly string[] {
  return fields.flatMap(({name: field, type}) =>
    typeof type === 'object' && type.type === 'struct' && !field.includes('.')
      ? [
          field,
          ...keysOf(type)
            .filter((key) => !key.includes('n.x'))
            .map((key) => `${field}.${key}`),
        ]
      : [field],
  );
}

const anyText = jsonText({escapedNames: false});
const word = fc.constantFrom(
  '"true"',
  '"F"',
  '"yes"',
  '"NO"',
  '""',
  '"\\u0079"',
  '"é"',
  '"nan"',
  '"-Infinity"',
  '"ff"',
);
const numberish = fc.oneof(
  numberText,
  fc.integer({min: -200, max: 200}).map(String),
  numberText.map((text) => `"${text}"`),
  fc.constantFrom(
    '"12"',
    '" 12 "',
    '"007"',
    '"-0"',
    '"+5"',
    '"1."',
    '".5"',
    '"1_0"',
    '"-"',
    '"1.50"',
    '"-0.0"',
    '"1-2"',
  ),
);
const dayText = fc.constantFrom(
  '2024-02-29',
  '2023-02-29',
  '0001-01-01',
  '9999-12-31',
  '0000-01-01',
  '1969-12-31',
  '2024-1-5',
);
const timeText = fc.constantFrom(
  '00:00:00',
  '23:59:59',
  '24:00:00',
  '12:60:00',
  '12:30:60',
  '12:30',
  '1:02:03',
  '12:30:4x',
);
const fractionText = fc.constantFrom('', '', '.1', '.123456', '.1234567', '.', ',5', '.000001', '.12 4');
const zoneText = fc.constantFrom('', 'Z', 'Z', 'Z', 'z', '+00:00', '+01:30', ' UTC', '+00', 'ZZ');
const whenText = fc.oneof(
  dayText.map((day) => `"${day}"`),
  fc
    .tuple(dayText, fc.constantFrom('T', 'T', 'T', ' ', 't', '_'), timeText, fractionText, zoneText)
    .map((parts) => `"${parts.join('')}"`),
  fc.constantFrom('"01/31/2024"', '"31-01-2024"', '"2024/01/31 3:04:05"', '"2024-01-31T12:00:00\\u005a"', '"soon"'),
  fc.constantFrom(
    '1700000000',
    '1700000000000',
    '1700000000000000',
    '"1700000000"',
    '1.5',
    '-1',
    '"1700000000.123456"',
  ),
);
const bytesText = fc.constantFrom('"AAEC"', '"AA=="', '"AA"', '"ff00"', '"FF0"', '"text"', '"é"', '""', '"\\u0041AEC"');

function fitting(type: DataType): fc.Arbitrary<string> {
  if (typeof type === 'object') return fittingNested(type);
  switch (type) {
    case 'string':
      return fc.oneof(stringText, stringText, anyText);
    case 'variant':
      return fc.oneof(anyText, anyText, fc.constantFrom('"{}"', '"[1, 2]"', '"1"', '"no json"'));
    case 'boolean':
      return fc.oneof(fc.constantFrom('true', 'false', '0', '1', '1.0'), word);
    case 'binary':
      return bytesText;
    case 'date':
    case 'timestamp':
    case 'timestamp_ntz':
      return whenText;
    default:
      return numberish;
  }
}

function fittingNested(type: Exclude<DataType, string>): fc.Arbitrary<string> {
  switch (type.type) {
    case 'decimal':
      return numberish;
    case 'array':
      return listText(fc.array(valueText(type.elementType), {maxLength: 4}));
    case 'map': {
      const key = type.keyType === 'string' ? name : fc.constantFrom('1', '-20', 'true', '2024-01-31', '01');
      return objectText(
        fc.array(
          fc.tuple(
            key.map((text) => JSON.stringify(text)),
            valueText(type.valueType),
          ),
          {maxLength: 3},
        ),
      );
    }
    case 'struct':
      return recordText(type);
  }
}

function valueText(type: DataType): fc.Arbitrary<string> {
  return fc.oneof(
    {weight: 12, arbitrary: fitting(type)},
    {weight: 1, arbitrary: fc.constantFrom('null', '""', '{}', '[]')},
    {weight: 1, arbitrary: anyText},
  );
}

type Member = readonly [name: string, value: string];

/** Objects with most of the fields of a schema, maybe others and some twice, in most cases in the order of the schema. */
function recordText({fields}: StructType): fc.Arbitrary<string> {
  const known = fc
    .tuple(...fields.map((field) => fc.option(valueText(field.type), {freq: 9, nil: undefined})))
    .map((values) =>
      values.flatMap((value, index): Member[] =>
        value === undefined ? [] : [[JSON.stringify(fields[index]?.name), value]],
      ),
    );
  const others = fc.oneof(
    {weight: 3, arbitrary: fc.constant([])},
    {
      weight: 1,
      arbitrary: fc.array(
        fc.tuple(
          name.map((text) => JSON.stringify(text)),
          fc.oneof(fc.constant('null'), anyText),
        ),
        {maxLength: 2},
      ),
    },
  );
  return objectText(
    fc.tuple(known, others, fc.nat({max: 9})).map(([members, more, turn]) => {
      const all = [...members, ...more];
      return turn < 7 ? all : [...all.slice(turn - 6), ...all.slice(0, turn - 6)];
    }),
  );
}

/** What is done with a record before it is added. */
interface Touch {
  readonly action: 'get' | 'set' | 'setInner' | 'delete' | 'keys';
  readonly name: string;
  readonly value: JsonValue | undefined;
}

interface RecordCase {
  readonly text: string;
  readonly touches: readonly Touch[];
  /** Added as `parseJson` makes it, among others that are lazy. */
  readonly isOrdinary: boolean;
  /** The batch ends behind it. */
  readonly isLast: boolean;
  readonly beside: JsonObject;
}

interface Case {
  readonly schema: StructType;
  readonly options: CoercerOptions;
  /** Batches end where the coercer wants it. */
  readonly givesWay: boolean;
  readonly bodies: readonly (readonly RecordCase[])[];
}

function touch(type: StructType): fc.Arbitrary<Touch> {
  const value = fc.oneof(
    ...type.fields.map((field) => valueText(field.type).map((text): JsonValue | undefined => parseJson(text))),
    fc.constantFrom(undefined, null, ''),
  );
  return fc.record({
    action: fc.constantFrom('get', 'get', 'set', 'set', 'setInner', 'delete', 'keys'),
    name: fc.oneof(fc.constantFrom(...type.fields.map((field) => field.name)), name),
    value,
  });
}

function recordCase(schema: StructType, beside: readonly string[]): fc.Arbitrary<RecordCase> {
  const besides = schema.fields.filter((field) => beside.includes(field.name));
  return fc.record({
    text: recordText(schema),
    touches: fc.oneof(
      {weight: 2, arbitrary: fc.constant([])},
      {weight: 1, arbitrary: fc.array(touch(schema), {maxLength: 3})},
    ),
    isOrdinary: fc.nat({max: 9}).map((turn) => turn === 0),
    isLast: fc.nat({max: 9}).map((turn) => turn === 0),
    beside: fc
      .tuple(...besides.map((field) => fc.option(valueText(field.type), {freq: 9, nil: undefined})))
      .map((values) =>
        Object.fromEntries(
          values.flatMap((value, index) =>
            value === undefined ? [] : [[besides[index]?.name ?? '', parseJson(value)] as const],
          ),
        ),
      ),
  });
}

const options: fc.Arbitrary<(schema: StructType) => CoercerOptions> = fc
  .record({
    rescue: fc.nat({max: 4}).map((turn) => turn > 0),
    rescueUnknown: fc.boolean(),
    ignoredFields: fc.subarray(NAMES, {maxLength: 3}),
    capacity: fc.constantFrom(1, 2, 1024),
    key: fc.nat({max: 20}),
    beside: fc.nat({max: 20}),
  })
  .map(({key, beside, ...rest}) => (schema) => {
    const keys = keysOf(schema);
    return {
      ...rest,
      keys: keys.filter((_, index) => index === key),
      beside: schema.fields.map((field) => field.name).filter((_, index) => index === beside),
    };
  });

const anyCase: fc.Arbitrary<Case> = fc
  .tuple(anyFields, options, fc.boolean())
  .chain(([schema, optionsOf, givesWay]) => {
    const chosen = optionsOf(schema);
    const record = recordCase(schema, chosen.beside ?? []);
    return fc
      .array(fc.array(record, {minLength: 1, maxLength: 5}), {minLength: 1, maxLength: 3})
      .map((bodies) => ({schema, options: chosen, givesWay, bodies}));
  });

function apply(record: JsonValue, {action, name: field, value}: Touch): void {
  if (typeof record !== 'object' || record === null || Array.isArray(record)) return;
  const object = record as Record<string, JsonValue | undefined>;
  const inner = object[field];
  switch (action) {
    case 'get':
      return;
    case 'set':
      object[field] = typeof value === 'object' ? (structuredClone(value) as JsonValue) : value;
      return;
    case 'setInner':
      if (Object.hasOwn(object, field))
        apply(Array.isArray(inner) ? (inner[0] as JsonValue) : (inner ?? null), {action: 'set', name: 'a', value: 1});
      return;
    case 'delete':
      delete object[field];
      return;
    case 'keys':
      Object.keys(object);
  }
}

/** All that a batch says, as values that can be compared. */
function said({batch, rescuedValues, quarantined, unknownFields}: CoercedBatch): unknown {
  for (const column of batch.columns) checkLists(column, batch.rowCount);
  const unknown = [...unknownFields].toSorted(([left], [right]) => (left < right ? -1 : 1));
  return {schema: batch.schema, rows: rowsOf(batch), rescuedValues, quarantined, unknown};
}

/** Ranges of lists are ascending and without gaps. */
function checkLists(vector: ColumnVector, rowCount: number): void {
  if (vector.kind === 'struct') for (const child of vector.children) checkLists(child, rowCount);
  if (vector.kind !== 'list') return;
  let end = 0;
  for (let row = 0; row < rowCount; row++) {
    if (vector.starts[row] !== end) throw new Error(`row ${row} begins at ${vector.starts[row]}, not ${end}`);
    end += vector.lengths[row] ?? 0;
  }
  if (end !== vector.childCount) throw new Error(`${vector.childCount} children, not ${end}`);
  checkLists(vector.child, end);
}

function withRescued(schema: StructType): StructType {
  const rescued: StructField = {name: '_rescued_data', type: 'string', nullable: true, metadata: {}};
  return {type: 'struct', fields: [...schema.fields, rescued]};
}

/** Adds the records of a case to two coercers, as they are read lazily and as `parseJson` makes them, and compares all they say. */
function compare({schema, options: chosen, givesWay, bodies}: Case): void {
  const make = (): Coercer => createCoercer(chosen.rescue ? withRescued(schema) : schema, chosen);
  const [lazily, plainly] = [make(), make()];
  const take = (): void => deepStrictEqual(said(lazily.take()), said(plainly.take()));
  for (const body of bodies) {
    const text = `[${body.map((record) => record.text).join(',')}]`;
    const lazies = parseLazily(Buffer.from(text)) as readonly JsonObject[];
    const plains = parseJson(text) as readonly JsonObject[];
    for (const [index, {touches, isOrdinary, isLast, beside}] of body.entries()) {
      const plain = plains[index] ?? {};
      const lazy = isOrdinary ? (parseJson(body[index]?.text ?? '') as JsonObject) : (lazies[index] ?? {});
      for (const one of touches) for (const record of [lazy, plain]) apply(record, one);
      if (givesWay && lazily.wantsNewBatch(lazy)) take();
      deepStrictEqual(lazily.add(lazy, beside), plainly.add(plain, beside));
      if (isLast) take();
    }
  }
  take();
}

describe('records that are read from their text', () => {
  it(`become the rows that parsed records become (seed ${seed})`, () => {
    fc.assert(fc.property(anyCase, compare), {seed, interruptAfterTimeLimit: 4000, numRuns: 100_000});
  });

  const lazyOf = (text: string): JsonObject =>
    (parseLazily(Buffer.from(`[${text}]`)) as readonly JsonObject[])[0] ?? {};

  it('are not changed by being added', () => {
    const coercer = createCoercer(struct({a: long(), b: variant()}), {rescue: false});
    const record = lazyOf('{"a":1,"b":{"c":[1,2]}}');
    coercer.add(record);
    expect(lazyObject(record)?.hasProperties).toBe(false);
    expect(rowsOf(coercer.take().batch)).toEqual([{a: 1n, b: '{"c":[1,2]}'}]);
  });

  it('do not land without a required column that comes beside them', () => {
    const coercer = createCoercer(struct({a: long(), b: string().notNull()}), {rescue: false, beside: ['b']});
    expect(coercer.add(lazyOf('{"a":1}'), {b: 'x'})).toBe(true);
    expect(coercer.add(lazyOf('{"a":1}'), {b: null})).toBe(false);
    expect(coercer.add(lazyOf('{"a":1}'))).toBe(false);
    expect(coercer.take().quarantined.map(({reason}) => reason)).toEqual(['NULL_REQUIRED', 'NULL_REQUIRED']);
  });
});
