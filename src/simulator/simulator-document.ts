import {z} from 'zod';

import {IngestError} from '../core/errors.ts';
import {ExactNumber, type JsonObject, type JsonValue} from '../core/json-value.ts';
import {didYouMean} from '../core/suggest.ts';
import {authSchema} from './document-auth.ts';
import {faultRuleSchema} from './document-faults.ts';
import {pagingSchema} from './document-paging.ts';
import {paramSchema} from './document-params.ts';
import {jsonSchema, methodSchema, objectSchema, replySchema, textsSchema, timeFormatSchema} from './document-parts.ts';
import type {EndpointSpec, GeneratedField, SimulatorSpec} from './simulator-spec.ts';

/**
 * Checks a document (of YAML or JSON) with the names of {@link SimulatorSpec}; what is a function there has no form here.
 * @param where names the document in messages.
 * @throws INVALID_SPEC naming the place, with what was probably meant for an unknown name.
 */
export function parseSimulatorDocument(value: unknown, where: string): SimulatorSpec {
  const document = checked(documentSchema, value, where, []);
  const endpoints = document.endpoints.map((endpoint, index) => endpointOf(endpoint, where, ['endpoints', index]));
  return {...document, endpoints};
}

const generatedField: z.ZodType<GeneratedField> = z.lazy(() => {
  const nulls = z.number().min(0).max(1).exactOptional();
  return z.discriminatedUnion('kind', [
    z.strictObject({
      nulls,
      kind: z.literal('sequence'),
      start: z.number().exactOptional(),
      step: z.number().exactOptional(),
    }),
    z.strictObject({nulls, kind: z.literal('text'), template: z.string()}),
    z.strictObject({
      nulls,
      kind: z.literal('time'),
      start: z.iso.datetime({offset: true}),
      stepMs: z.number(),
      ties: z.int().min(1).exactOptional(),
      format: timeFormatSchema.exactOptional(),
    }),
    z.strictObject({nulls, kind: z.literal('choice'), of: z.array(jsonSchema).min(1)}),
    z.strictObject({
      nulls,
      kind: z.literal('number'),
      min: z.number(),
      max: z.number(),
      decimals: z.int().min(0).max(15).exactOptional(),
    }),
    z.strictObject({nulls, kind: z.literal('boolean')}),
    z.strictObject({nulls, kind: z.literal('constant'), value: jsonSchema}),
    z.strictObject({nulls, kind: z.literal('object'), fields: z.record(z.string(), generatedField)}),
  ]);
});

const stampSchema = z.strictObject({field: z.string(), format: timeFormatSchema.exactOptional()});

const collectionSchema = z.strictObject({
  key: z.union([z.string(), z.array(z.string()).min(1)]),
  rows: z.array(objectSchema).exactOptional(),
  generate: z.strictObject({count: z.int().min(0), fields: z.record(z.string(), generatedField)}).exactOptional(),
  updatedAt: stampSchema.exactOptional(),
  createdAt: stampSchema.exactOptional(),
  deletes: z
    .union([
      z.literal('hard'),
      z.strictObject({field: z.string(), value: jsonSchema.exactOptional(), at: stampSchema.exactOptional()}),
    ])
    .exactOptional(),
  visibleAfterMs: z.number().min(0).exactOptional(),
  newKey: z.union([z.enum(['integer', 'uuid']), z.strictObject({prefix: z.string()})]).exactOptional(),
  defaults: objectSchema.exactOptional(),
});

const rateLimitSchema = z.strictObject({
  name: z.string(),
  paths: z.array(z.string()).exactOptional(),
  byName: z.boolean().exactOptional(),
  window: z.enum(['fixed', 'sliding']).exactOptional(),
  windowMs: z.number().positive().exactOptional(),
  max: z.int().min(1).exactOptional(),
  concurrency: z.int().min(1).exactOptional(),
  per: z.enum(['all', 'principal']).exactOptional(),
  headers: textsSchema.exactOptional(),
  exceeded: replySchema.exactOptional(),
  penaltyMs: z.number().min(0).exactOptional(),
  notModifiedIsFree: z.boolean().exactOptional(),
});

const documentSchema = z.strictObject({
  name: z.string(),
  basePath: z.string().regex(/^\//, 'must begin with /').exactOptional(),
  collections: z.record(z.string(), collectionSchema).exactOptional(),
  endpoints: z.array(objectSchema),
  auth: authSchema.exactOptional(),
  rateLimits: z.array(rateLimitSchema).exactOptional(),
  faults: z.array(faultRuleSchema).exactOptional(),
  headers: textsSchema.exactOptional(),
  errors: z
    .strictObject({
      noRoute: replySchema.exactOptional(),
      noMethod: replySchema.exactOptional(),
      notFound: replySchema.exactOptional(),
      badRequest: replySchema.exactOptional(),
      conflict: replySchema.exactOptional(),
      cursorExpired: replySchema.exactOptional(),
    })
    .exactOptional(),
});

const common = {
  method: z.union([methodSchema, z.array(methodSchema).min(1)]).exactOptional(),
  path: z.string().regex(/^\//, 'must begin with /'),
  auth: authSchema.exactOptional(),
  limits: z.array(z.string()).exactOptional(),
  latencyMs: z.number().min(0).exactOptional(),
  headers: textsSchema.exactOptional(),
  cache: z.boolean().exactOptional(),
  etag: z.boolean().exactOptional(),
};
const wrap = z
  .strictObject({
    records: z.string().exactOptional(),
    extras: objectSchema.exactOptional(),
    as: z.enum(['json', 'ndjson', 'csv']).exactOptional(),
  })
  .exactOptional();
const scope = z.record(z.string(), z.string());
const sort = z.array(z.strictObject({field: z.string(), descending: z.boolean().exactOptional()}));

/** The schema of an endpoint by the name that says what it does. */
const endpointSchemas = {
  list: z.strictObject({
    ...common,
    list: z.string(),
    of: z.enum(['rows', 'deleted', 'all', 'events']).exactOptional(),
    scope: scope.exactOptional(),
    params: z.record(z.string(), paramSchema).exactOptional(),
    strict: z.boolean().exactOptional(),
    sort: sort.exactOptional(),
    paging: pagingSchema.exactOptional(),
    wrap,
  }),
  get: z.strictObject({...common, get: z.string(), scope, wrap}),
  create: z.strictObject({
    ...common,
    create: z.string(),
    scope: scope.exactOptional(),
    from: z.string().exactOptional(),
    upsert: z.boolean().exactOptional(),
    status: z.int().exactOptional(),
    wrap,
  }),
  update: z.strictObject({...common, update: z.string(), scope, from: z.string().exactOptional(), wrap}),
  delete: z.strictObject({...common, delete: z.string(), scope, status: z.int().exactOptional()}),
} satisfies Readonly<Record<string, z.ZodType<EndpointSpec>>>;

type Place = readonly (string | number)[];

function endpointOf(endpoint: JsonObject, where: string, place: Place): EndpointSpec {
  const kinds = Object.keys(endpointSchemas) as (keyof typeof endpointSchemas)[];
  const found = kinds.filter((kind) => kind in endpoint);
  const [kind] = found;
  if (kind === undefined || found.length > 1)
    throw invalid(where, place, `needs one of ${kinds.join(', ')} with the name of a collection`);
  return checked<EndpointSpec>(endpointSchemas[kind], endpoint, where, place);
}

function checked<T>(schema: z.ZodType<T>, value: unknown, where: string, place: Place): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = deepest(result.error.issues);
  const path = [...place, ...issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))];
  throw invalid(where, path, problemOf(issue, schema, value));
}

type Issue = z.core.$ZodIssue;

/** Of the forms that a value may have, the problem of the one that it came nearest to. */
function deepest(issues: readonly Issue[]): Issue {
  const [first] = issues;
  if (first === undefined) throw new IngestError('INVALID_SPEC', 'The document is wrong.');
  if (first.code !== 'invalid_union' || first.errors.length === 0) return first;
  const inner = first.errors.flatMap((one) => (one.length === 0 ? [] : [deepest(one)]));
  const nearest = inner.toSorted((left, right) => right.path.length - left.path.length)[0];
  return nearest === undefined ? first : {...nearest, path: [...first.path, ...nearest.path]};
}

function problemOf(issue: Issue, schema: z.ZodType, value: unknown): string {
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys;
    const meant = didYouMean(key, knownNames(schema));
    return `has no ${key}${meant === null ? '' : `; did you mean ${meant}?`}`;
  }
  if (issue.code === 'invalid_union' && issue.discriminator !== undefined && isJson(value))
    return `needs a ${issue.discriminator} that is known`;
  return issue.message.startsWith('must') ? issue.message : `is wrong: ${issue.message}`;
}

/** All names of properties of a schema, for suggestions. */
function knownNames(schema: z.ZodType): readonly string[] {
  const names = new Set<string>();
  const seen = new Set<unknown>();
  const visit = (one: unknown): void => {
    if (typeof one !== 'object' || one === null || seen.has(one)) return;
    seen.add(one);
    const {properties, ...rest} = one as {readonly properties?: Readonly<Record<string, unknown>>};
    for (const name of Object.keys(properties ?? {})) names.add(name);
    for (const inner of [...Object.values(properties ?? {}), ...Object.values(rest)]) visit(inner);
  };
  visit(z.toJSONSchema(schema, {unrepresentable: 'any'}));
  return [...names];
}

function isJson(value: unknown): value is JsonValue {
  return (
    value === null || value instanceof ExactNumber || ['string', 'number', 'boolean', 'object'].includes(typeof value)
  );
}

function invalid(where: string, place: Place, problem: string): IngestError {
  const path = place.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
    '',
  );
  return new IngestError('INVALID_SPEC', `${where}: ${path === '' ? 'the document' : path} ${problem}.`, {
    context: {path},
  });
}
