import {readFileSync} from 'node:fs';

import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {parse} from 'yaml';

import {ACCEPTED, REFUSED} from './config-cases.support.test.ts';
import {configurationSchema} from './json-schema.ts';
import {loadPipelines} from './load-pipelines.ts';
import type {JsonSchema} from './shape.ts';

const published = JSON.parse(
  readFileSync(new URL('../../../schema/sluice.schema.json', import.meta.url), 'utf8'),
) as JsonSchema;

describe('the published JSON Schema', () => {
  it('is current: otherwise run node --import tsx scripts/write-json-schema.ts', () => {
    expect(published).toEqual(JSON.parse(JSON.stringify(configurationSchema())));
  });

  it.each(ACCEPTED)('accepts $name', ({text}) => {
    expect(accepts(published, parse(text))).toBe(true);
  });

  it.each(REFUSED)('answers $name as it should', ({text, schemaAccepts = false}) => {
    expect(accepts(published, parse(text))).toBe(schemaAccepts);
  });

  it('accepts whatever the loader accepts, and the loader throws nothing but what it means to', async () => {
    const seed = Date.now() % 1_000_000;
    const odd = fc.oneof(
      fc.constantFrom<unknown>(
        null,
        '',
        ' ',
        'x',
        '5',
        0,
        1,
        -1,
        1.5,
        true,
        false,
        [],
        {},
        ['x'],
        ['x', 'x'],
        [1],
        {x: 1},
        '${var.x}',
        'a ${env.X} b',
        'SCD_TYPE_2',
        'QUARANTINE',
        'auto',
      ),
      fc.jsonValue({maxDepth: 2}),
    );
    const one = fc.record({
      text: fc.constantFrom(...ACCEPTED.map(({text}) => text)),
      at: fc.nat(),
      how: fc.constantFrom('replace', 'remove', 'rename'),
      value: odd,
    });
    const property = fc.asyncProperty(one, async ({text, at, how, value}) => {
      const data = mutated(parse(text), {at, how, value});
      const refused = await loadPipelines({data, variables: {}, cwd: '/nowhere', env: {X: 'y'}}).then(
        () => null,
        (error: unknown) => error,
      );
      if (refused === null) expect(accepts(published, data)).toBe(true);
      else expect(refused).toMatchObject({name: 'IngestError', class: 'config', context: {at: expect.any(String)}});
    });
    await fc.assert(property, {seed, numRuns: 300});
  });

  it('uses no keyword that this test does not check', () => {
    const found = new Set<string>();
    collectKeywords(published, found);
    expect([...found].filter((keyword) => !(keyword in CHECKS) && !ANNOTATIONS.has(keyword))).toEqual([]);
  });
});

/** A copy of a configuration with one value replaced or removed, or its key renamed. */
function mutated(data: unknown, change: {readonly at: number; readonly how: string; readonly value: unknown}): object {
  const copy = structuredClone(data) as object;
  const places: {readonly owner: Record<string, unknown>; readonly key: string}[] = [];
  const visit = (owner: unknown): void => {
    if (typeof owner !== 'object' || owner === null) return;
    for (const key of Object.keys(owner)) {
      places.push({owner: owner as Record<string, unknown>, key});
      visit((owner as Record<string, unknown>)[key]);
    }
  };
  visit(copy);
  const {owner, key} = places[change.at % places.length] ?? {owner: {}, key: ''};
  const old = owner[key];
  if (Array.isArray(owner)) owner[Number(key)] = change.value;
  else delete owner[key];
  if (change.how === 'replace') owner[key] = change.value;
  if (change.how === 'rename' && !Array.isArray(owner)) owner[`${key}x`] = old;
  return copy;
}

const ANNOTATIONS = new Set(['$schema', '$defs', 'title', 'description']);

type Check = (argument: never, value: unknown, schema: JsonSchema) => boolean;

/** The keywords of JSON Schema that ours uses. */
const CHECKS: Readonly<Record<string, Check>> = {
  $ref: (path: string, value) =>
    accepts((published['$defs'] as Record<string, JsonSchema>)[path.replace('#/$defs/', '')] ?? {}, value),
  anyOf: (schemas: readonly JsonSchema[], value) => schemas.some((schema) => accepts(schema, value)),
  oneOf: (schemas: readonly JsonSchema[], value) => schemas.filter((schema) => accepts(schema, value)).length === 1,
  allOf: (schemas: readonly JsonSchema[], value) => schemas.every((schema) => accepts(schema, value)),
  not: (schema: JsonSchema, value) => !accepts(schema, value),
  enum: (values: readonly unknown[], value) => values.includes(value),
  type: (types: string | readonly string[], value) => [types].flat().some((type) => isType(type, value)),
  pattern: (pattern: string, value) => typeof value !== 'string' || new RegExp(pattern, 'u').test(value),
  minimum: (least: number, value) => typeof value !== 'number' || value >= least,
  maximum: (most: number, value) => typeof value !== 'number' || value <= most,
  minItems: (least: number, value) => !Array.isArray(value) || value.length >= least,
  maxItems: (most: number, value) => !Array.isArray(value) || value.length <= most,
  uniqueItems: (_: boolean, value) =>
    !Array.isArray(value) || new Set(value.map((item) => JSON.stringify(item))).size === value.length,
  items: (schema: JsonSchema, value) => !Array.isArray(value) || value.every((item) => accepts(schema, item)),
  required: (keys: readonly string[], value) => !isObject(value) || keys.every((key) => key in value),
  properties: (properties: Record<string, JsonSchema>, value) =>
    !isObject(value) ||
    Object.entries(properties).every(([key, schema]) => !(key in value) || accepts(schema, value[key])),
  additionalProperties: (schema: JsonSchema | boolean, value, owner) => {
    if (!isObject(value)) return true;
    const others = Object.keys(value).filter((key) => !(key in ((owner['properties'] ?? {}) as object)));
    return typeof schema === 'boolean'
      ? schema || others.length === 0
      : others.every((key) => accepts(schema, value[key]));
  },
};

function accepts(schema: JsonSchema, value: unknown): boolean {
  return Object.entries(schema).every(
    ([keyword, argument]) => CHECKS[keyword]?.(argument as never, value, schema) ?? true,
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isType(type: string, value: unknown): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isObject(value);
  if (type === 'integer') return Number.isInteger(value);
  return typeof value === type;
}

/** Keywords of a schema and of those within it. */
function collectKeywords(schema: JsonSchema, found: Set<string>): void {
  for (const [keyword, argument] of Object.entries(schema)) {
    found.add(keyword);
    if (keyword === 'properties' || keyword === '$defs')
      for (const inner of Object.values(argument as Record<string, JsonSchema>)) collectKeywords(inner, found);
    else if (Array.isArray(argument)) for (const inner of argument) collectWithin(inner, found);
    else collectWithin(argument, found);
  }
}

function collectWithin(value: unknown, found: Set<string>): void {
  if (isObject(value)) collectKeywords(value, found);
}
