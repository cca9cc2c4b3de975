import type {ErrorCode} from '../../core/error-codes.ts';
import {didYouMean} from '../../core/suggest.ts';
import {
  describeNode,
  pathOfKey,
  type ConfigEntry,
  type ConfigMap,
  type ConfigNode,
  type Problem,
} from './config-node.ts';

/** A JSON Schema, or a part of one. */
export type JsonSchema = {readonly [keyword: string]: unknown};

/** What a reader answers when it has reported a problem, or when a reference stands where a value is not known yet. */
export const INVALID: unique symbol = Symbol('invalid');

/** Collects what a reading finds. */
export interface ShapeContext {
  readonly problems: Problem[];
  /** Settings that are accepted and do nothing. */
  readonly warnings: Problem[];
  /** Before interpolation: `${...}` stands for any value. */
  readonly allowReferences: boolean;
}

/** One place that says what a value must look like: it reads and checks the value, and describes it as JSON Schema. */
export interface Shape<T> {
  /** Reads the value, reporting every problem in it. */
  read(node: ConfigNode, path: string, context: ShapeContext): T | typeof INVALID;
  /** The JSON Schema; shared parts are put into `definitions`. */
  describe(definitions: Map<string, JsonSchema>): JsonSchema;
}

/** A key of a mapping. */
export interface Field<T> {
  readonly shape: Shape<T>;
  readonly required: boolean;
  /** False for keys that are never suggested: those that are refused or do nothing. */
  readonly supported: boolean;
}

/** The keys of a mapping by name. */
export type Fields = Readonly<Record<string, Field<unknown>>>;

/** What a mapping reads as. */
export type StructOf<F extends Fields> = {readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never};

const REFERENCE_PATH = '#/$defs/reference';
const REFERENCE = /\$\{[^}]*\}/;

/** Any text but blank. */
export function text(description: string): Shape<string> {
  return scalar({type: 'string', pattern: '\\S', description}, 'text', (value) =>
    typeof value === 'string' && value.trim() !== '' ? value : undefined,
  );
}

/** A number within bounds (both inclusive); text that says one is taken where `fromText` says so. */
export function number(
  description: string,
  limits: {readonly integer: boolean; readonly min: number; readonly max?: number; readonly fromText?: boolean},
): Shape<number> {
  const {integer, min, max = Number.MAX_SAFE_INTEGER} = limits;
  const kind = integer ? 'integer' : 'number';
  const schema: JsonSchema = {
    type: kind,
    minimum: min,
    ...(limits.max === undefined ? {} : {maximum: max}),
    description,
  };
  const expected = `${integer ? 'an integer' : 'a number'} ${limits.max === undefined ? `of at least ${min}` : `from ${min} to ${max}`}`;
  const accept = (value: unknown, loose: boolean): number | undefined => {
    const found =
      typeof value === 'string' && (loose || limits.fromText === true) && /^-?\d+(\.\d+)?$/.test(value)
        ? Number(value)
        : value;
    const fits = typeof found === 'number' && found >= min && found <= max && (!integer || Number.isSafeInteger(found));
    return fits ? found : undefined;
  };
  const described =
    limits.fromText === true
      ? {anyOf: [schema, {type: 'string', pattern: integer ? '^\\d+$' : '^\\d+(\\.\\d+)?$'}], description}
      : schema;
  return scalar(described, expected, accept);
}

/** True or false. */
export function flag(description: string): Shape<boolean> {
  return scalar({type: 'boolean', description}, 'true or false', (value, loose) => {
    if (loose && (value === 'true' || value === 'false')) return value === 'true';
    return typeof value === 'boolean' ? value : undefined;
  });
}

/** One of some words, in any case; reads as the word as it is written here. */
export function word<W extends string>(description: string, words: readonly W[]): Shape<W> {
  const expected = `one of ${words.join(', ')}`;
  const anyCase = words.map((one) =>
    [...one]
      .map((character) =>
        /[a-z]/i.test(character) ? `[${character.toUpperCase()}${character.toLowerCase()}]` : character,
      )
      .join(''),
  );
  return {
    read(node, path, context) {
      if (isReference(node, context)) return INVALID;
      const found = node.kind === 'scalar' ? String(node.value).toLowerCase() : '';
      const match = words.find((candidate) => candidate.toLowerCase() === found);
      return (
        match ??
        wrong(node, path, context, {
          expected,
          shown: node.kind === 'scalar' && node.value !== null ? JSON.stringify(node.value) : describeNode(node),
          suggestion: didYouMean(found.toUpperCase(), words),
        })
      );
    },
    // The exact words first: editors offer them.
    describe: (definitions) => ({
      ...orReference(definitions, {enum: words}, {type: 'string', pattern: `^(${anyCase.join('|')})$`}),
      description,
    }),
  };
}

/** A list of values, at least `minItems` of them. */
export function list<T>(
  item: Shape<T>,
  expected: string,
  limits: {
    readonly minItems?: number;
    readonly maxItems?: number;
    readonly unique?: boolean;
    readonly description?: string;
  } = {},
): Shape<readonly T[]> {
  const {minItems = 0, maxItems = Infinity, unique = false} = limits;
  return {
    read(node, path, context) {
      if (isReference(node, context)) return INVALID;
      if (node.kind !== 'list') return wrong(node, path, context, {expected});
      if (node.items.length < minItems) return wrong(node, path, context, {expected, shown: 'an empty list'});
      if (node.items.length > maxItems)
        return wrong(node, path, context, {expected, shown: `${node.items.length} entries`});
      const values: T[] = [];
      for (const [index, inner] of node.items.entries()) {
        const value = item.read(inner, `${path}[${index}]`, context);
        if (value !== INVALID) values.push(value);
      }
      if (values.length < node.items.length) return INVALID;
      const repeated = unique ? values.findIndex((value, index) => values.indexOf(value) !== index) : -1;
      const culprit = node.items[repeated];
      if (culprit !== undefined)
        return report(culprit, `${path}[${repeated}]`, context, {
          code: 'INVALID_SPEC',
          message: 'the same entry stands in the list twice',
          fix: 'Remove one.',
        });
      return values;
    },
    describe: (definitions) =>
      orReference(definitions, {
        type: 'array',
        items: item.describe(definitions),
        ...(minItems > 0 ? {minItems} : {}),
        ...(maxItems < Infinity ? {maxItems} : {}),
        ...(unique ? {uniqueItems: true} : {}),
        ...(limits.description === undefined ? {} : {description: limits.description}),
      }),
  };
}

/** A mapping with free keys; keys whose value is nothing are left out. */
export function record<T>(item: Shape<T>, expected: string, description = ''): Shape<ReadonlyMap<string, T>> {
  return {
    read(node, path, context) {
      if (isReference(node, context)) return INVALID;
      if (node.kind !== 'map') return wrong(node, path, context, {expected});
      const values = new Map<string, T>();
      let valid = true;
      for (const [key, entry] of node.entries) {
        if (isNothing(entry.node)) continue;
        const value = item.read(entry.node, pathOfKey(path, key), context);
        if (value === INVALID) valid = false;
        else values.set(key, value);
      }
      return valid ? values : INVALID;
    },
    describe: (definitions) =>
      orReference(definitions, {
        type: 'object',
        additionalProperties: orNothing(item.describe(definitions)),
        ...(description === '' ? {} : {description}),
      }),
  };
}

/** A rule over a whole mapping: its sentence for people when broken, and the same for JSON Schema. */
export interface Rule<T> {
  /** The problem, or null. */
  readonly check: (value: T) => {readonly code: ErrorCode; readonly message: string; readonly fix: string} | null;
  readonly schema: JsonSchema;
}

/** How a mapping differs from the plain one. */
export interface StructOptions<T> {
  /** Shared under this name in the JSON Schema. */
  readonly name?: string;
  readonly description?: string;
  readonly rules?: readonly Rule<T>[];
}

/** A mapping with known keys; others are errors. Keys whose value is nothing are absent. */
export function struct<F extends Fields>(fields: F, options: StructOptions<StructOf<F>> = {}): Shape<StructOf<F>> {
  return {
    read(node, path, context) {
      if (isReference(node, context)) return INVALID;
      if (node.kind !== 'map') return wrong(node, path, context, {expected: 'a mapping'});
      const known = reportUnknownKeys(node, fields, path, context);
      const values = readFields(node, fields, path, context);
      if (!known || values === INVALID) return INVALID;
      for (const rule of options.rules ?? []) {
        const broken = rule.check(values);
        if (broken !== null) return report(node, path, context, broken);
      }
      return values;
    },
    describe(definitions) {
      if (options.name === undefined) return orReference(definitions, describeStruct(fields, options, definitions));
      if (!definitions.has(options.name)) {
        definitions.set(options.name, {});
        definitions.set(options.name, describeStruct(fields, options, definitions));
      }
      return orReference(definitions, {$ref: `#/$defs/${options.name}`});
    },
  };
}

/** The same without a reference in its place: for what is read before references are replaced. */
export function literal<T>(shape: Shape<T>): Shape<T> {
  return {
    read(node, path, context) {
      if (!isReference(node, context)) return shape.read(node, path, context);
      return report(node, path, context, {
        code: 'INVALID_SPEC',
        message: 'a reference cannot stand here',
        fix: 'Write the value itself.',
      });
    },
    describe(definitions) {
      const {anyOf, ...annotations} = shape.describe(definitions);
      const [only, ...others] = (anyOf as readonly JsonSchema[]).filter((one) => one['$ref'] !== REFERENCE_PATH);
      return others.length === 0 ? {...annotations, ...only} : {...annotations, anyOf: [only, ...others]};
    },
  };
}

/** A key that must be there. */
export function required<T>(shape: Shape<T>): Field<T> {
  return {shape, required: true, supported: true};
}

/** A key that may be left out. */
export function optional<T>(shape: Shape<T>): Field<T | undefined> {
  return {shape, required: false, supported: true};
}

/** A key that is known and refused, with the reason; `allowed` are values that ask for nothing. */
export function refused(reason: string, allowed: readonly (string | boolean)[] = []): Field<undefined> {
  const shape: Shape<undefined> = {
    read(node, path, context) {
      if (node.kind === 'scalar' && allowed.some((value) => value === node.value)) return undefined;
      if (isReference(node, context)) return INVALID;
      return report(node, path, context, {
        code: 'UNSUPPORTED',
        message: `Sluice does not support this setting: ${reason}`,
        fix: 'Remove it.',
      });
    },
    describe(definitions) {
      const description = `Not supported: ${reason}.`;
      return allowed.length === 0
        ? {enum: [null], description}
        : orReference(definitions, {enum: allowed, description});
    },
  };
  return {shape, required: false, supported: false};
}

/** A key that is accepted and does nothing; it brings a warning unless `quiet`. */
export function ignored(reason: string, quiet = false): Field<undefined> {
  const shape: Shape<undefined> = {
    read(node, path, context) {
      if (!quiet)
        context.warnings.push({code: 'INVALID_SPEC', path, place: node.place, message: `has no effect: ${reason}`});
      return undefined;
    },
    describe: () => ({description: `Has no effect in Sluice: ${reason}.`}),
  };
  return {shape, required: false, supported: false};
}

/** Reports a problem at a value. */
export function report(
  node: ConfigNode,
  path: string,
  context: ShapeContext,
  problem: {readonly code: ErrorCode; readonly message: string; readonly fix?: string},
): typeof INVALID {
  context.problems.push({...problem, path, place: node.place});
  return INVALID;
}

/** Reports that a value is not what was expected, without showing texts. */
export function wrong(
  node: ConfigNode,
  path: string,
  context: ShapeContext,
  found: {readonly expected: string; readonly shown?: string; readonly suggestion?: string | null},
): typeof INVALID {
  const {expected, shown = describeNode(node), suggestion = null} = found;
  const fix = suggestion === null ? fixFor(node, expected) : `Did you mean ${suggestion}?`;
  return report(node, path, context, {code: 'INVALID_SPEC', message: `expected ${expected}, found ${shown}`, fix});
}

/** True for text with a `${...}` where those may still stand. */
export function isReference(node: ConfigNode, context: ShapeContext): boolean {
  return (
    context.allowReferences && node.kind === 'scalar' && typeof node.value === 'string' && REFERENCE.test(node.value)
  );
}

/** One of the schemas, or a `${...}` in its place. */
export function orReference(
  definitions: Map<string, JsonSchema>,
  schema: JsonSchema,
  ...others: readonly JsonSchema[]
): JsonSchema {
  definitions.set('reference', {
    type: 'string',
    pattern: '\\$\\{[^}]*\\}',
    description: 'A reference, for example ${var.name} or ${env.NAME}.',
  });
  const {description, ...rest} = schema;
  return {anyOf: [rest, ...others, {$ref: REFERENCE_PATH}], ...(description === undefined ? {} : {description})};
}

type Accept<T> = (value: string | number | boolean | null, loose: boolean) => T | undefined;

/** A scalar; `loose` is true for text from outside that may mean a number or boolean. */
export function scalar<T>(schema: JsonSchema, expected: string, accept: Accept<T>): Shape<T> {
  return {
    read(node, path, context) {
      if (isReference(node, context)) return INVALID;
      const value = node.kind === 'scalar' ? accept(node.value, node.fromText === true) : undefined;
      if (value !== undefined) return value;
      return wrong(node, path, context, {expected, ...(isBlank(node) ? {shown: 'blank text'} : {})});
    },
    describe: (definitions) => (schema['type'] === 'string' ? schema : orReference(definitions, schema)),
  };
}

function readFields<F extends Fields>(
  node: ConfigMap,
  fields: F,
  path: string,
  context: ShapeContext,
): StructOf<F> | typeof INVALID {
  const values: Record<string, unknown> = {};
  let valid = true;
  for (const [key, field] of Object.entries(fields)) {
    const entry = node.entries.get(key);
    if (entry === undefined || (!field.required && isNothing(entry.node))) {
      values[key] = undefined;
      if (field.required) valid = missing(node, key, path, context);
      continue;
    }
    const value = field.shape.read(entry.node, pathOfKey(path, key), context);
    if (value === INVALID) valid = false;
    values[key] = value;
  }
  // Every field was read by its own shape, so the record has the type that the fields say.
  return valid ? (values as StructOf<F>) : INVALID;
}

function missing(node: ConfigNode, key: string, path: string, context: ShapeContext): false {
  report(node, path, context, {code: 'INVALID_SPEC', message: `"${key}" is missing`, fix: `Add ${key}.`});
  return false;
}

function reportUnknownKeys(node: ConfigMap, fields: Fields, path: string, context: ShapeContext): boolean {
  let known = true;
  for (const [key, entry] of node.entries) {
    if (Object.hasOwn(fields, key)) continue;
    known = false;
    reportUnknownKey(key, entry, fields, {path, context});
  }
  return known;
}

function reportUnknownKey(
  key: string,
  entry: ConfigEntry,
  fields: Fields,
  where: {readonly path: string; readonly context: ShapeContext},
): void {
  const candidates = Object.keys(fields).filter((name) => fields[name]?.supported === true);
  const suggestion = didYouMean(key, candidates);
  const fix = suggestion === null ? `Known here: ${candidates.join(', ')}.` : `Did you mean "${suggestion}"?`;
  where.context.problems.push({
    code: 'INVALID_SPEC',
    path: pathOfKey(where.path, key),
    place: entry.keyPlace,
    message: 'unknown key',
    fix,
  });
}

function describeStruct<F extends Fields>(
  fields: F,
  options: StructOptions<StructOf<F>>,
  definitions: Map<string, JsonSchema>,
): JsonSchema {
  const properties: Record<string, JsonSchema> = {};
  for (const [key, field] of Object.entries(fields)) {
    const schema = field.shape.describe(definitions);
    properties[key] = field.required ? schema : orNothing(schema);
  }
  const requiredKeys = Object.keys(fields).filter((key) => fields[key]?.required === true);
  return {
    type: 'object',
    ...(options.description === undefined ? {} : {description: options.description}),
    properties,
    additionalProperties: false,
    ...(requiredKeys.length > 0 ? {required: requiredKeys} : {}),
    ...(options.rules === undefined ? {} : {allOf: options.rules.map((rule) => rule.schema)}),
  };
}

/** `key:` without a value is as good as no key. */
function orNothing(schema: JsonSchema): JsonSchema {
  if (Object.keys(schema).every((keyword) => keyword === 'description')) return schema;
  if (typeof schema['type'] === 'string') return {...schema, type: [schema['type'], 'null']};
  if (Array.isArray(schema['anyOf'])) return {...schema, anyOf: [...(schema['anyOf'] as unknown[]), {type: 'null'}]};
  if (Array.isArray(schema['enum'])) return {...schema, enum: [...new Set([...(schema['enum'] as unknown[]), null])]};
  return {anyOf: [schema, {type: 'null'}]};
}

function isNothing(node: ConfigNode): boolean {
  return node.kind === 'scalar' && node.value === null;
}

function isBlank(node: ConfigNode): boolean {
  return node.kind === 'scalar' && typeof node.value === 'string' && node.value.trim() === '';
}

function fixFor(node: ConfigNode, expected: string): string {
  if (expected === 'text' && node.kind === 'scalar' && node.value !== null && typeof node.value !== 'string')
    return 'Put it in quotes.';
  if (expected.startsWith('a list') && node.kind === 'scalar' && typeof node.value === 'string')
    return 'Write it as a list: [value].';
  return `Give ${expected}.`;
}
