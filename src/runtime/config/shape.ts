import type {ErrorCode} from '../../core/error-codes.ts';
import {describeNode, type ConfigNode, type Problem} from './config-node.ts';

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

const REFERENCE_PATH = '#/$defs/reference';

const REFERENCE = /\$\{[^}]*\}/;

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

/** `key:` without a value is as good as no key. */
export function orNothing(schema: JsonSchema): JsonSchema {
  if (Object.keys(schema).every((keyword) => keyword === 'description')) return schema;
  if (typeof schema['type'] === 'string') return {...schema, type: [schema['type'], 'null']};
  if (Array.isArray(schema['anyOf'])) return {...schema, anyOf: [...(schema['anyOf'] as unknown[]), {type: 'null'}]};
  if (Array.isArray(schema['enum'])) return {...schema, enum: [...new Set([...(schema['enum'] as unknown[]), null])]};
  return {anyOf: [schema, {type: 'null'}]};
}

/** True for a key without a value. */
export function isNothing(node: ConfigNode): boolean {
  return node.kind === 'scalar' && node.value === null;
}

function fixFor(node: ConfigNode, expected: string): string {
  if (expected === 'text' && node.kind === 'scalar' && node.value !== null && typeof node.value !== 'string')
    return 'Put it in quotes.';
  if (expected.startsWith('a list') && node.kind === 'scalar' && typeof node.value === 'string')
    return 'Write it as a list: [value].';
  return `Give ${expected}.`;
}
