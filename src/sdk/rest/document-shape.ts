import {IngestError} from '../../core/errors.ts';
import type {JsonValue} from '../../core/json-value.ts';
import type {PlainJson} from '../../core/offset.ts';
import {didYouMean} from '../../core/suggest.ts';

/** Where a value stands in a document. */
export interface Place {
  /** The document, for messages. */
  readonly where: string;
  /** `tables[0].read.list`; empty at the top. */
  readonly path: string;
}

/** One kind of value: how it is read from a document, and its JSON Schema. */
export interface Shape<Value> {
  /** @throws INVALID_SPEC naming document, place and what must be there. */
  readonly read: (value: unknown, place: Place) => Value;
  /** Definitions that it refers to are put into `defs`. */
  readonly schema: (defs: Record<string, PlainJson>) => PlainJson;
}

/** A field that may be left out. */
export interface OptionalField<Value> {
  readonly optional: Shape<Value>;
}

type Fields = Readonly<Record<string, Shape<unknown> | OptionalField<unknown>>>;

type Simple<Value> = Value extends unknown ? {readonly [Key in keyof Value]: Value[Key]} : never;

/** What an object with these fields is. */
export type ObjectOf<F extends Fields> = Simple<
  {
    readonly [K in keyof F as F[K] extends OptionalField<unknown> ? never : K]: F[K] extends Shape<infer V> ? V : never;
  } & {
    readonly [K in keyof F as F[K] extends OptionalField<unknown> ? K : never]?: F[K] extends OptionalField<infer V>
      ? V
      : never;
  }
>;

/** Marks a field that may be left out. */
export function optional<Value>(shape: Shape<Value>): OptionalField<Value> {
  return {optional: shape};
}

/** Fails at a place. */
export function wrongAt({where, path}: Place, mustBe: string, fix?: string): IngestError {
  return new IngestError('INVALID_SPEC', `${where}: ${path === '' ? 'the document' : path} ${mustBe}.`, {
    ...(fix === undefined ? {} : {fix}),
    context: {path: path === '' ? where : path},
  });
}

/** The place of a field or an element. */
export function inside({where, path}: Place, key: string | number): Place {
  if (typeof key === 'number') return {where, path: `${path}[${key}]`};
  return {where, path: path === '' ? key : `${path}.${key}`};
}

/** A text. */
export const text: Shape<string> = simple('a text', {type: 'string'}, (value) =>
  typeof value === 'string' ? value : undefined,
);

/** A number of any kind. */
export const number: Shape<number> = simple('a number', {type: 'number'}, (value) =>
  typeof value === 'number' && Number.isFinite(value) ? value : undefined,
);

/** A whole number above zero. */
export const count: Shape<number> = simple('a whole number above 0', {type: 'integer', minimum: 1}, (value) =>
  typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : undefined,
);

/** True or false. */
export const flag: Shape<boolean> = simple('true or false', {type: 'boolean'}, (value) =>
  typeof value === 'boolean' ? value : undefined,
);

/** A text or a number. */
export const scalar: Shape<string | number> = simple('a text or a number', {type: ['string', 'number']}, (value) =>
  typeof value === 'string' || (typeof value === 'number' && Number.isFinite(value)) ? value : undefined,
);

/** Any JSON. */
export const json: Shape<JsonValue> = simple('a JSON value', true, (value) =>
  value === undefined ? undefined : (value as JsonValue),
);

/** A value that one function reads: undefined means that it is wrong. */
export function simple<Value>(
  mustBe: string,
  schema: PlainJson,
  read: (value: unknown) => Value | undefined,
): Shape<Value> {
  return {
    read(value, place) {
      const found = read(value);
      if (found === undefined) throw wrongAt(place, `must be ${mustBe}`);
      return found;
    },
    schema: () => schema,
  };
}

/** One of some words. */
export function word<const Word extends string>(words: readonly Word[]): Shape<Word> {
  return {
    read(value, place) {
      const found = words.find((one) => one === value);
      if (found !== undefined) return found;
      const close = typeof value === 'string' ? didYouMean(value, words) : null;
      throw wrongAt(
        place,
        `must be one of ${words.join(', ')}`,
        close === null ? undefined : `Did you mean "${close}"?`,
      );
    },
    schema: () => ({enum: [...words]}),
  };
}

/** A list. */
export function list<Value>(element: Shape<Value>): Shape<readonly Value[]> {
  return {
    read(value, place) {
      if (!Array.isArray(value)) throw wrongAt(place, 'must be a list');
      return value.map((one: unknown, index) => element.read(one, inside(place, index)));
    },
    schema: (defs) => ({type: 'array', items: element.schema(defs)}),
  };
}

/** An object of any names. */
export function record<Value>(element: Shape<Value>): Shape<Readonly<Record<string, Value>>> {
  return {
    read: (value, place) =>
      Object.fromEntries(
        Object.entries(objectAt(value, place)).map(([name, one]) => [name, element.read(one, inside(place, name))]),
      ),
    schema: (defs) => ({type: 'object', additionalProperties: element.schema(defs)}),
  };
}

/** An object of these fields and no others. */
export function object<F extends Fields>(fields: F): Shape<ObjectOf<F>> {
  return {
    read(value, place) {
      const given = objectAt(value, place);
      refuseUnknown(given, Object.keys(fields), place);
      return readFields(fields, given, place) as ObjectOf<F>;
    },
    schema: (defs) => objectSchema(fields, {}, defs),
  };
}

/** One of several objects, told apart by the word in one field. */
export function variants<Value>(tag: string, cases: Readonly<Record<string, Shape<Value>>>): Shape<Value> {
  const names = Object.keys(cases);
  return {
    read(value, place) {
      const given = objectAt(value, place);
      const name = word(names).read(given[tag], inside(place, tag));
      const {[tag]: _, ...rest} = given;
      const chosen = cases[name];
      if (chosen === undefined) throw wrongAt(place, `must have a ${tag}`);
      return chosen.read(rest, place);
    },
    schema: (defs) => ({
      oneOf: names.map((name) => {
        const inner = cases[name]?.schema(defs);
        return tagged(inner, tag, name);
      }),
    }),
  };
}

/** The first of several shapes that a test chooses. */
export function either<Value>(choose: (value: unknown) => number, ...shapes: readonly Shape<Value>[]): Shape<Value> {
  return {
    read(value, place) {
      const shape = shapes[choose(value)];
      if (shape === undefined) throw wrongAt(place, 'has a wrong type');
      return shape.read(value, place);
    },
    schema: (defs) => ({anyOf: shapes.map((shape) => shape.schema(defs))}),
  };
}

/** What comes of a shape's value. */
export function map<From, To>(shape: Shape<From>, make: (value: From, place: Place) => To): Shape<To> {
  return {read: (value, place) => make(shape.read(value, place), place), schema: shape.schema};
}

/** A shape that may hold itself, once in the schema's definitions. */
export function named<Value>(name: string, shape: () => Shape<Value>): Shape<Value> {
  return {
    read: (value, place) => shape().read(value, place),
    schema(defs) {
      if (defs[name] === undefined) {
        defs[name] = true;
        defs[name] = shape().schema(defs);
      }
      return {$ref: `#/$defs/${name}`};
    },
  };
}

/** True for a value that is an object of a document. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function objectAt(value: unknown, place: Place): Readonly<Record<string, unknown>> {
  if (!isObject(value)) throw wrongAt(place, 'must be an object');
  return value;
}

function refuseUnknown(given: Readonly<Record<string, unknown>>, known: readonly string[], place: Place): void {
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    const close = didYouMean(name, known);
    throw wrongAt(
      inside(place, name),
      'is unknown',
      close === null ? `Known here: ${known.join(', ')}.` : `Did you mean "${close}"?`,
    );
  }
}

function readFields(
  fields: Fields,
  given: Readonly<Record<string, unknown>>,
  place: Place,
): Readonly<Record<string, unknown>> {
  const read: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields)) {
    const value = given[name];
    if (value === undefined || value === null) {
      if ('optional' in field) continue;
      throw wrongAt(inside(place, name), 'is missing');
    }
    read[name] = ('optional' in field ? field.optional : field).read(value, inside(place, name));
  }
  return read;
}

function objectSchema(
  fields: Fields,
  extra: Readonly<Record<string, PlainJson>>,
  defs: Record<string, PlainJson>,
): PlainJson {
  const entries = Object.entries(fields);
  return {
    type: 'object',
    properties: {
      ...extra,
      ...Object.fromEntries(
        entries.map(([name, field]) => [name, ('optional' in field ? field.optional : field).schema(defs)]),
      ),
    },
    required: entries.filter(([, field]) => !('optional' in field)).map(([name]) => name),
    additionalProperties: false,
  };
}

function tagged(schema: PlainJson | undefined, tag: string, name: string): PlainJson {
  if (!isObject(schema)) return {type: 'object', properties: {[tag]: {const: name}}, required: [tag]};
  const given = schema as {readonly [key: string]: PlainJson};
  const properties = isObject(given['properties']) ? (given['properties'] as {readonly [key: string]: PlainJson}) : {};
  const required = Array.isArray(given['required']) ? given['required'].map(String) : [];
  return {...given, properties: {[tag]: {const: name}, ...properties}, required: [tag, ...required]};
}
