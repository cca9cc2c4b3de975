import {IngestError} from '../core/errors.ts';
import type {PlainJson} from '../core/offset.ts';
import {didYouMean} from '../core/suggest.ts';
import type {OptionValue, TableOptions} from './contract.ts';
import type {AuthMethod, ConnectorSpec, OptionSpec, OptionSpecs} from './define-connector.ts';
import {convertOption} from './option-value.ts';

/**
 * Types and checks what a user wrote for declared options and fills in defaults; null counts as not given. `where` is the
 * place for messages, for example `objects[2].table`. Values never appear in messages.
 * @throws INVALID_OPTION for an option that is unknown, missing, of the wrong type or out of range.
 */
export function resolveOptions(
  specs: OptionSpecs,
  given: Readonly<Record<string, unknown>>,
  where: string,
): TableOptions {
  for (const name of namesGiven(given))
    if (!Object.hasOwn(specs, name)) throw unknownOption(name, Object.keys(specs), where);
  const resolved: Record<string, OptionValue> = {};
  for (const [name, spec] of Object.entries(specs)) {
    const value = resolveOne(name, spec, Object.hasOwn(given, name) ? given[name] : undefined, where);
    if (value !== undefined) resolved[name] = value;
  }
  return resolved;
}

/**
 * {@link resolveOptions} for a connection: the common options and those of exactly one way to log in, which is told by the
 * options that are given.
 * @throws INVALID_OPTION also when options of two ways are mixed, or none of the ways is complete.
 */
export function resolveConnectionOptions(
  spec: ConnectorSpec,
  given: Readonly<Record<string, unknown>>,
  where: string,
): TableOptions {
  const methods = Object.entries(spec.authMethods ?? {});
  if (methods.length === 0) return resolveOptions(spec.connection, given, where);
  const known = Object.assign({}, spec.connection, ...methods.map(([, method]) => method.options)) as OptionSpecs;
  const names = namesGiven(given);
  for (const name of names) if (!Object.hasOwn(known, name)) throw unknownOption(name, Object.keys(known), where);
  const method = chooseMethod(
    methods,
    names.filter((name) => !Object.hasOwn(spec.connection, name)),
    where,
  );
  return resolveOptions({...spec.connection, ...method.options}, given, where);
}

/** The JSON schema of an object with these options, for editors and forms. A `${…}` variable is allowed in any place. */
export function optionsJsonSchema(specs: OptionSpecs): PlainJson {
  const entries = Object.entries(specs);
  return {
    type: 'object',
    properties: Object.fromEntries(entries.map(([name, spec]) => [name, optionSchema(spec)])),
    required: entries.filter(([, spec]) => spec.required === true).map(([name]) => name),
    additionalProperties: false,
  };
}

function namesGiven(given: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.keys(given).filter((name) => given[name] !== undefined && given[name] !== null);
}

function resolveOne(name: string, spec: OptionSpec, given: unknown, where: string): OptionValue {
  const isMissing = given === undefined || given === null || (given === '' && spec.required === true);
  if (isMissing && spec.required !== true) return spec.default;
  if (isMissing) {
    throw invalidOption(
      name,
      `${where}: the option "${name}" is required (${spec.description}).`,
      where,
      `Set ${name}.`,
    );
  }
  const converted = convertOption(spec, given);
  if ('value' in converted) return converted.value;
  const close =
    typeof given === 'string' && spec.secret !== true && spec.enum !== undefined ? didYouMean(given, spec.enum) : null;
  const fix = close === null ? `Correct ${name} (${spec.description}).` : `Did you mean "${close}"?`;
  throw invalidOption(name, `${where}: the option "${name}" must be ${converted.mustBe}.`, where, fix);
}

/** The way to log in whose options are given: no other option, none missing; among several the one with most options given. */
function chooseMethod(
  methods: readonly (readonly [string, AuthMethod])[],
  names: readonly string[],
  where: string,
): AuthMethod {
  const possible = methods.filter(([, method]) => names.every((name) => Object.hasOwn(method.options, name)));
  const complete = possible.filter(([, method]) => missingOf(method, names).length === 0);
  const [best] = complete;
  if (best !== undefined) return best[1];
  const choices = `Ways to log in: ${methods.map(([name, method]) => `${name} (${requiredOf(method).join(', ')})`).join('; ')}.`;
  const [nearest] = possible.toSorted(
    (left, right) => missingOf(left[1], names).length - missingOf(right[1], names).length,
  );
  if (nearest === undefined) {
    throw new IngestError(
      'INVALID_OPTION',
      `${where}: the options ${names.join(', ')} belong to different ways to log in.`,
      {fix: choices, context: {path: where}},
    );
  }
  const missing = missingOf(nearest[1], names);
  if (names.length === 0)
    throw new IngestError('INVALID_OPTION', `${where}: no way to log in is given.`, {
      fix: choices,
      context: {path: where},
    });
  throw invalidOption(
    missing[0] ?? '',
    `${where}: to log in by ${nearest[0]}, ${missing.join(', ')} must be given too.`,
    where,
    choices,
  );
}

function requiredOf(method: AuthMethod): readonly string[] {
  return Object.keys(method.options).filter((name) => method.options[name]?.required === true);
}

function missingOf(method: AuthMethod, names: readonly string[]): readonly string[] {
  return requiredOf(method).filter((name) => !names.includes(name));
}

function unknownOption(name: string, known: readonly string[], where: string): IngestError {
  const close = didYouMean(name, known);
  const choices = known.length === 0 ? 'There are no options here.' : `Options: ${known.join(', ')}.`;
  return invalidOption(
    name,
    `${where}: there is no option "${name}".`,
    where,
    close === null ? choices : `Did you mean "${close}"?`,
  );
}

function invalidOption(option: string, message: string, path: string, fix: string): IngestError {
  return new IngestError('INVALID_OPTION', message, {fix, context: {path, option}});
}

function optionSchema(spec: OptionSpec): PlainJson {
  const common: Record<string, PlainJson> = {description: spec.description};
  if (spec.default !== undefined) common['default'] = spec.default;
  if (spec.secret === true) common['writeOnly'] = true;
  const choices: Record<string, PlainJson> = spec.enum === undefined ? {} : {enum: [...spec.enum]};
  const variable: PlainJson = {type: 'string', pattern: '\\$\\{[^}]+\\}'};
  switch (spec.type) {
    case 'string':
      return {
        ...common,
        ...(spec.enum === undefined ? {type: 'string'} : {anyOf: [{type: 'string', ...choices}, variable]}),
      };
    case 'integer':
    case 'number': {
      const range: Record<string, PlainJson> = {};
      if (spec.min !== undefined) range['minimum'] = spec.min;
      if (spec.max !== undefined) range['maximum'] = spec.max;
      return {...common, anyOf: [{type: spec.type, ...range}, variable]};
    }
    case 'boolean':
      return {...common, anyOf: [{type: 'boolean'}, variable]};
    case 'string[]':
      return {...common, anyOf: [{type: 'array', items: {type: 'string', ...choices}}, variable]};
  }
}
