import {didYouMean} from '../../core/suggest.ts';
import {describeNode, type ConfigNode} from './config-node.ts';
import {INVALID, isReference, orReference, wrong, type JsonSchema, type Shape} from './shape.ts';

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

/** A scalar. */
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

/** Takes a value, or gives undefined; `loose` is true for text from outside that may mean a number or boolean. */
type Accept<T> = (value: string | number | boolean | null, loose: boolean) => T | undefined;

function isBlank(node: ConfigNode): boolean {
  return node.kind === 'scalar' && typeof node.value === 'string' && node.value.trim() === '';
}
