import {deepStrictEqual} from 'node:assert/strict';

import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {jsonText, numberText, stringText} from '../../test/json-texts.ts';
import {rowsOf} from './cells.ts';
import {type CoercedBatch, type Coercer, type CoercerOptions, createCoercer} from './coerce.ts';
import type {ColumnVector} from './columns.ts';
import {parseJson} from './json-reader.ts';
import type {JsonObject, JsonValue} from './json-value.ts';
import {lazyObject, parseLazily} from './lazy-object.ts';
import {BINARY_ENCODING, EMPTY_IS_NULL, EPOCH_UNIT, long, string, struct, variant, WIDE_TIMES} from './schema.ts';
import type {DataType, PrimitiveType, StructField, StructType} from './types.ts';

const seed = Date.now() % 1_000_000_007;

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

const NAMES = ['id', 'a', 'b', 'é', 'c d', 'n.x', '0', '12', '__proto__', 'constructor', 'toString', 'x', 'y', 'z'];
const PRIMITIVES: readonly PrimitiveType[] = [
  ...(['string', 'variant', 'long', 'integer', 'short', 'byte', 'float', 'double', 'boolean'] as const),
  ...(['binary', 'date', 'timestamp', 'timestamp_ntz', 'string', 'variant', 'timestamp'] as const),
];
const HINTS: readonly StructField['metadata'][] = [
  {[EPOCH_UNIT]: 's', [BINARY_ENCODING]: 'hex'},
  {[EPOCH_UNIT]: 'ms', [BINARY_ENCODING]: 'utf8', [EMPTY_IS_NULL]: true},
  {[EPOCH_UNIT]: 'us'},
  {[WIDE_TIMES]: true},
  {[EMPTY_IS_NULL]: true},
];

/** Texts of values, drawn once: to put records together from them is many times faster than to draw each. */
function drawn(texts: fc.Arbitrary<string>): readonly string[] {
  return fc.sample(texts, {seed, numRuns: 500});
}

const ANY = drawn(jsonText({escapedNames: false}));
const STRINGS = drawn(stringText);
const QUOTED = ['"12"', '" 12 "', '"007"', '"-0"', '"+5"', '"1."', '".5"', '"1_0"', '"-"', '"1.50"', '"-0.0"', '"1-2"'];
const NUMBERS = [...drawn(numberText), ...drawn(numberText.map((text) => `"${text}"`)), ...QUOTED];
const SMALL = ['0', '1', '-1', '12', '127', '-128', '"7"', '5.0', '"100"', 'null', '"-3"', '99', '"0"'];
const DECIMALS = ['0', '1', '1.5', '0.25', '"1.50"', '-0.1', '"12.3"', '3', 'null', '"0.001"', '123.456', '1e1'];
const BOOLEANS = ['true', 'false', 'true', '0', '1', '1.0', '"true"', '"F"', '"yes"', 'null'];
const BYTES = ['"AAEC"', '"AA=="', '""', 'null', '"ff00"'];
const WHENS = [
  '"2024-02-29"',
  '"2024-02-29T12:30:00Z"',
  '"2024-02-28T23:59:59.123456Z"',
  '"1969-12-31T00:00:00.1Z"',
  'null',
];
const ODD_WHENS = [
  ...drawn(
    fc
      .tuple(
        fc.constantFrom('2024-02-29', '2023-02-29', '0001-01-01', '9999-12-31', '0000-01-01', '1969-12-31', '2024-1-5'),
        fc.constantFrom('T', 'T', 'T', ' ', 't', '_'),
        fc.constantFrom('00:00:00', '23:59:59', '24:00:00', '12:60:00', '12:30:60', '12:30', '1:02:03', '12:30:4x'),
        fc.constantFrom('', '', '.1', '.123456', '.1234567', '.', ',5', '.000001', '.12 4'),
        fc.constantFrom('', 'Z', 'Z', 'Z', 'z', '+00:00', '+01:30', ' UTC', '+00', 'ZZ'),
      )
      .map((parts) => `"${parts.join('')}"`),
  ),
  '"01/31/2024"',
  '"31-01-2024"',
  '"2024/01/31 3:04:05"',
  '"2024-01-31T12:00:00\\u005a"',
  '"soon"',
  '1700000000',
  '1700000000000',
  '1700000000000000',
  '"1700000000"',
  '1.5',
  '-1',
  '"1700000000.123456"',
  '12345',
  '1e400',
];
const ODD_WORDS = [
  '"NO"',
  '""',
  '"\\u0079"',
  '"é"',
  '"nan"',
  '"-Infinity"',
  '"inf"',
  '"FF0"',
  '"AA"',
  '"text"',
  '"\\u0041AEC"',
];

/** Texts at the borders of what is read without a parser. */
const EDGES = String.raw`
  "2024-02-29T24:00:00Z" "2024-02-29T12:60:00Z" "2024-02-29T12:30:60Z" "2023-02-29T12:30:00Z"
  "2024-02-29T12:30:00.Z" "2024-02-29T12:30:00.1234567Z" "2024-02-29T12:30:00.123Z0"
  "2024-02-2xT12:30:00Z" "2024-02-29T1:30:000Z" "2024-02-29t12:30:00Z" "2024-02-29T12:30:00.000001Z"
  "0000-12-31T23:59:59Z" "0001-01-01T00:00:00Z" "9999-12-31T23:59:59.999999Z" "2024-00-10T00:00:00Z"
  "2024-13-01T00:00:00Z" -0 -0.0 "-0" "-0.00" "0" "00" "5." ".5" "-.5" "-" "1.2.3" "--1" "1-" ""
  999999999999999 -99999999999999 "999999999999999" 1000000000000000 9007199254740993 0.1 0.30
  0.000000000000001 123456789.12345 9999999999999.9 "0.00000000000001" 1e2 1E-2 "1e2" 128
  0.1234567890123456 9007199254740.9931 "1.7976931348623157" 123456789012.34567 -0.30000000000000004
  "\ude00\ude00" "\ud83d\ud83d" "\ud83d\u0041" "\ud83dx" "\ude00\ud83d" "\ud83d\ude00\ud83d" "\ud83d\ude00"
  "\u0000" "\ufffd\uffff" "é\n" "\b\f\n\r\t\"\\\/" "\u00e9\u20ac\ud83d\ude00é" {"a":"\ud83d\ude00"} {"a":"\/"}
`
  .trim()
  .split(/\s+/);

/** Values that fit most often, and values that may not. */
function pools(type: PrimitiveType | 'decimal'): readonly [fits: readonly string[], odd: readonly string[]] {
  switch (type) {
    case 'string':
      return [STRINGS, ANY];
    case 'variant':
      return [ANY, ['"{}"', '"[1, 2]"', '"1"', '"no json"', '{"a":1,"a":2}', '{"b":1, "a":2}', '{"b":0.10}']];
    case 'boolean':
      return [BOOLEANS, ODD_WORDS];
    case 'binary':
      return [BYTES, ODD_WORDS];
    case 'date':
    case 'timestamp':
    case 'timestamp_ntz':
      return [WHENS, ODD_WHENS];
    case 'decimal':
      return [DECIMALS, NUMBERS];
    default:
      return [SMALL, NUMBERS];
  }
}

/** Puts cases together by the numbers of a seed. */
class Dice {
  #state: number;

  constructor(start: number) {
    this.#state = start;
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % limit;
  }

  /** True once in so many times. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  list<T>(most: number, make: () => T): readonly T[] {
    return Array.from({length: this.below(most + 1)}, make);
  }
}

function anyType(dice: Dice, depth: number): DataType {
  const turn = dice.below(depth > 2 ? 8 : 14);
  if (turn < 7) return dice.of(PRIMITIVES);
  if (turn === 7) {
    const precision = dice.of([1, 4, 9, 15, 18, 19, 38]);
    return {type: 'decimal', precision, scale: Math.min(precision, dice.of([0, 1, 2, 6, 10, 25, 38]))};
  }
  if (turn < 10) return {type: 'array', elementType: anyType(dice, depth + 1), containsNull: dice.once(2)};
  if (turn > 10) return anyStruct(dice, depth + 1);
  const keyType = dice.of<PrimitiveType>(['string', 'string', 'long', 'boolean', 'date']);
  return {type: 'map', keyType, valueType: anyType(dice, depth + 1), valueContainsNull: dice.once(2)};
}

function anyStruct(dice: Dice, depth: number): StructType {
  const names = new Set(Array.from({length: 1 + dice.below(5)}, () => dice.of(NAMES)));
  const field = (name: string): StructField => ({
    name,
    type: anyType(dice, depth),
    nullable: !dice.once(6),
    metadata: dice.once(4) ? dice.of(HINTS) : {},
  });
  return {type: 'struct', fields: [...names].map(field)};
}

/** Dotted paths of fields that can be keys. */
function keysOf({fields}: StructType): readonly string[] {
  return fields.flatMap(({name, type}) => {
    if (typeof type === 'string' || type.type !== 'struct' || name.includes('.')) return [name];
    const inner = keysOf(type).filter((key) => !key.includes('n.x'));
    return [name, ...inner.map((key) => `${name}.${key}`)];
  });
}

/** Texts of one record: some hold nothing but what fits. */
class Texts {
  readonly #dice: Dice;
  readonly #isCalm: boolean;
  readonly #gap: string;

  constructor(dice: Dice) {
    this.#dice = dice;
    this.#isCalm = !dice.once(3);
    this.#gap = dice.once(4) ? dice.of([' ', '\n', '\t']) : '';
  }

  value(type: DataType): string {
    const dice = this.#dice;
    if (!this.#isCalm && dice.once(12)) return dice.once(2) ? dice.of(ANY) : dice.of(['null', '""', '{}', '[]']);
    if (typeof type === 'string') return this.#primitive(type);
    switch (type.type) {
      case 'decimal':
        return this.#primitive('decimal');
      case 'array':
        return this.#list(dice.list(4, () => this.value(type.elementType)));
      case 'map': {
        const keys = type.keyType === 'string' ? NAMES : ['1', '-20', 'true', '2024-01-31', '01'];
        return this.#object(dice.list(3, () => [dice.of(keys), this.value(type.valueType)] as const));
      }
      case 'struct':
        return this.record(type);
    }
  }

  /** Most of the fields of a schema, maybe others and some twice, in most cases in the order of the schema. */
  record({fields}: StructType): string {
    const dice = this.#dice;
    const absent = this.#isCalm ? 20 : 8;
    const members = fields
      .filter(({nullable}) => (this.#isCalm && !nullable) || !dice.once(absent))
      .map(({name, type}) => [name, this.value(type)] as const);
    if (dice.once(this.#isCalm ? 9 : 3)) members.push([dice.of(NAMES), dice.once(3) ? 'null' : dice.of(ANY)]);
    const turn = dice.once(4) ? dice.below(members.length + 1) : 0;
    return this.#object([...members.slice(turn), ...members.slice(0, turn)]);
  }

  #primitive(type: PrimitiveType | 'decimal'): string {
    const [fits, odd] = pools(type);
    return this.#dice.of(this.#isCalm || !this.#dice.once(4) ? fits : odd);
  }

  #list(items: readonly string[]): string {
    return `[${this.#gap}${items.join(`,${this.#gap}`)}${this.#gap}]`;
  }

  #object(members: readonly (readonly [string, string])[]): string {
    const gap = this.#gap;
    return `{${gap}${members.map(([name, value]) => `${JSON.stringify(name)}${gap}:${gap}${value}`).join(`${gap},`)}${gap}}`;
  }
}

function anyOptions(dice: Dice, schema: StructType): CoercerOptions {
  const besides = schema.fields.map(({name}) => name).filter((name) => !(name in Object.prototype));
  return {
    rescue: !dice.once(5),
    rescueUnknown: dice.once(3),
    ignoredFields: dice.list(2, () => dice.of(NAMES)),
    capacity: dice.of([1, 2, 1024]),
    keys: dice.once(4) ? [dice.of(keysOf(schema))] : [],
    beside: besides.length > 0 && dice.once(4) ? [dice.of(besides)] : [],
  };
}

function anyTouch(dice: Dice, {fields}: StructType): Touch {
  const {name, type} = dice.of(fields);
  const value = dice.once(4) ? dice.of([undefined, null, '']) : parseJson(new Texts(dice).value(type));
  const action = dice.of(['get', 'get', 'set', 'set', 'setInner', 'delete', 'keys'] as const);
  return {action, name: dice.once(4) ? dice.of(NAMES) : name, value};
}

function anyRecord(dice: Dice, schema: StructType, beside: readonly string[]): RecordCase {
  const besides = schema.fields.filter(({name}) => beside.includes(name) && !dice.once(8));
  return {
    text: new Texts(dice).record(schema),
    touches: dice.once(3) ? dice.list(3, () => anyTouch(dice, schema)) : [],
    isOrdinary: dice.once(12),
    isLast: dice.once(8),
    beside: Object.fromEntries(besides.map(({name, type}) => [name, parseJson(new Texts(dice).value(type))])),
  };
}

function caseOf(start: number, recordCount: number): Case {
  const dice = new Dice(start);
  const schema = anyStruct(dice, 0);
  const options = anyOptions(dice, schema);
  const givesWay = dice.once(2);
  const bodies: RecordCase[][] = [[]];
  for (let index = 0; index < recordCount; index++) {
    if (dice.once(5)) bodies.push([]);
    bodies.at(-1)?.push(anyRecord(dice, schema, options.beside ?? []));
  }
  return {schema, options, givesWay, bodies};
}

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

function recordOf(text: string): RecordCase {
  return {text, touches: [], isOrdinary: false, isLast: false, beside: {}};
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
function compare({schema, options, givesWay, bodies}: Case): void {
  const make = (): Coercer => createCoercer(options.rescue ? withRescued(schema) : schema, options);
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
    fc.assert(
      fc.property(fc.integer(), fc.integer({min: 1, max: 40}), (start, recordCount) =>
        compare(caseOf(start, recordCount)),
      ),
      {seed, interruptAfterTimeLimit: 3000, numRuns: 100_000},
    );
  });

  const lazyOf = (text: string): JsonObject =>
    (parseLazily(Buffer.from(`[${text}]`)) as readonly JsonObject[])[0] ?? {};

  it('have for each text the value that it has when it is parsed, in columns of every type', () => {
    const some = [STRINGS, ANY, NUMBERS, ODD_WHENS].flatMap((pool) => pool.slice(0, 30));
    const texts = [...some, ...[EDGES, QUOTED, SMALL, DECIMALS, BOOLEANS, BYTES, WHENS, ODD_WORDS].flat()];
    const types: readonly DataType[] = [
      ...new Set(PRIMITIVES),
      ...[1, 9, 18, 38].map((precision): DataType => ({type: 'decimal', precision, scale: precision >> 2})),
    ];
    for (const type of types) {
      for (const metadata of [{}, ...HINTS]) {
        const field: StructField = {name: 'v', type, nullable: true, metadata};
        const records = [...new Set(texts)].map((text) => recordOf(`{"v":${text}}`));
        compare({
          schema: {type: 'struct', fields: [field]},
          options: {rescue: true},
          givesWay: true,
          bodies: [records],
        });
      }
    }
  });

  it('may have any number of names, and each of them twice', () => {
    const names = Array.from({length: 600}, (_, index) => `n${(index * 7919) % 600}`);
    const objectOf = (parts: readonly string[]): string => `{${parts.map((name) => `"${name}":1`).join(',')}}`;
    const texts = [600, ...Array.from({length: 20}, (_, index) => 250 + index)].flatMap((count) => [
      `{"v":${objectOf(names.slice(0, count))}}`,
      `{"v":${objectOf([...names.slice(0, count), names[count - 7] ?? ''])}}`,
    ]);
    const others = Array.from({length: 2200}, (_, index) => `{"v":${index},"x${index}":1,"x1":null}`);
    compare({
      schema: struct({v: variant()}),
      options: {rescue: true},
      givesWay: true,
      bodies: [texts.map(recordOf), others.map(recordOf)],
    });
  });

  it('say the same in each batch', () => {
    const record = {...recordOf('{"s":"a\\n","v":"no json","n":"x"}'), isLast: true};
    const other = recordOf('{"s":"longer than \\n","v":"other","n":1}');
    const schema = struct({s: string(), v: variant(), n: long()});
    compare({
      schema,
      options: {rescue: true},
      givesWay: true,
      bodies: [
        [record, record],
        [other, record, record],
      ],
    });
  });

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
