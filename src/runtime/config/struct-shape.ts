import type {ErrorCode} from '../../core/error-codes.ts';
import {didYouMean} from '../../core/suggest.ts';
import {pathOfKey, type ConfigEntry, type ConfigMap, type ConfigNode} from './config-node.ts';
import {
  INVALID,
  isNothing,
  isReference,
  orNothing,
  orReference,
  report,
  wrong,
  type JsonSchema,
  type Shape,
  type ShapeContext,
} from './shape.ts';

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
