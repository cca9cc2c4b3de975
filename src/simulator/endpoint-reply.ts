import {isIngestError} from '../core/errors.ts';
import type {JsonObject, JsonValue} from '../core/json-value.ts';
import type {RowKey, SimulatedCollection} from './collection.ts';
import {WrongRequest} from './error-reply.ts';
import type {SimulatedReply, SimulatedRequest} from './request.ts';
import {rowFilter} from './row-filter.ts';
import {isObject, valueAt, withValue} from './row-values.ts';
import type {
  CreateEndpoint,
  DeleteEndpoint,
  EndpointSpec,
  GetEndpoint,
  ListEndpoint,
  UpdateEndpoint,
} from './simulator-spec.ts';
import type {HandlerContext} from './simulator.ts';

/** Answers a request at an endpoint; `list` answers lists. @throws WrongRequest when the request is wrong. */
export async function endpointReply(
  endpoint: EndpointSpec,
  request: SimulatedRequest,
  context: HandlerContext,
  list: (list: ListEndpoint) => SimulatedReply,
): Promise<SimulatedReply> {
  try {
    if ('handler' in endpoint) return await endpoint.handler(request, context);
    if ('list' in endpoint) return list(endpoint);
    if ('get' in endpoint) return getReply(endpoint, request, context);
    if ('create' in endpoint) return createReply(endpoint, request, context);
    if ('update' in endpoint) return updateReply(endpoint, request, context);
    return deleteReply(endpoint, request, context);
  } catch (error) {
    if (isIngestError(error, 'DUPLICATE_KEY')) throw new WrongRequest('conflict', error.message);
    if (isIngestError(error, 'UNKNOWN_TABLE')) throw new WrongRequest('notFound', error.message);
    if (isIngestError(error, 'BAD_RECORD')) throw new WrongRequest('badRequest', error.message);
    throw error;
  }
}

function getReply(endpoint: GetEndpoint, request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const collection = context.collection(endpoint.get);
  return {body: wrapped(endpoint, found(collection, endpoint.scope, request), request, context)};
}

function createReply(endpoint: CreateEndpoint, request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const collection = context.collection(endpoint.create);
  let row = bodyRow(endpoint.from, request);
  for (const [name, field] of Object.entries(endpoint.scope ?? {}))
    row = withValue(row, field, scopeValue(collection, field, request.params[name] ?? ''));
  const isNew = endpoint.upsert !== true || !exists(collection, row);
  const made = endpoint.upsert === true ? collection.upsert(row) : collection.insert(row);
  return {status: endpoint.status ?? (isNew ? 201 : 200), body: wrapped(endpoint, made, request, context)};
}

function updateReply(endpoint: UpdateEndpoint, request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const collection = context.collection(endpoint.update);
  const key = collection.keyOf(found(collection, endpoint.scope, request));
  const row = collection.update(key, bodyRow(endpoint.from, request));
  return {body: wrapped(endpoint, row, request, context)};
}

function deleteReply(endpoint: DeleteEndpoint, request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const collection = context.collection(endpoint.delete);
  const tombstone = collection.delete(collection.keyOf(found(collection, endpoint.scope, request)));
  if (endpoint.body === undefined) return {status: endpoint.status ?? 204};
  return {status: endpoint.status ?? 200, body: endpoint.body(tombstone)};
}

function found(
  collection: SimulatedCollection,
  scope: Readonly<Record<string, string>>,
  request: SimulatedRequest,
): JsonObject {
  const row = byKey(collection, scope, request) ?? byScan(collection, scope, request);
  if (row === undefined) throw new WrongRequest('notFound', 'There is no such row.');
  return row;
}

/** The row when the scope names all of its key. */
function byKey(
  collection: SimulatedCollection,
  scope: Readonly<Record<string, string>>,
  request: SimulatedRequest,
): JsonObject | undefined {
  const fields = Object.entries(scope);
  if (fields.length !== collection.keyFields.length) return undefined;
  const key: RowKey = collection.keyFields.map((field) => {
    const name = fields.find(([, one]) => one === field)?.[0];
    return name === undefined ? '' : (request.params[name] ?? '');
  });
  return collection.get(key);
}

function byScan(
  collection: SimulatedCollection,
  scope: Readonly<Record<string, string>>,
  request: SimulatedRequest,
): JsonObject | undefined {
  const conditions = Object.entries(scope).map(([name, field]) => ({
    field,
    op: 'eq' as const,
    values: [request.params[name] ?? ''],
  }));
  return collection.rows().find(rowFilter(conditions));
}

/** A path parameter as the collection's rows have it: a number where they have numbers. */
function scopeValue(collection: SimulatedCollection, field: string, text: string): JsonValue {
  const known = collection.rows().find((row) => valueAt(row, field) !== undefined);
  const isNumber = known !== undefined && typeof valueAt(known, field) === 'number';
  return isNumber && text !== '' && !Number.isNaN(Number(text)) ? Number(text) : text;
}

function exists(collection: SimulatedCollection, row: JsonObject): boolean {
  const hasKey = collection.keyFields.every((field) => valueAt(row, field) !== undefined);
  return hasKey && collection.get(collection.keyOf(row)) !== undefined;
}

function bodyRow(from: string | undefined, request: SimulatedRequest): JsonObject {
  const row = from === undefined ? request.body : valueAt(request.body, from);
  if (!isObject(row)) throw new WrongRequest('badRequest', 'The body is no object.');
  return row;
}

function wrapped(
  {wrap, map}: Pick<GetEndpoint, 'wrap' | 'map'>,
  row: JsonObject,
  request: SimulatedRequest,
  context: HandlerContext,
): JsonValue {
  const record = map === undefined ? row : map(row, request, context);
  const {records, extras} = wrap ?? {};
  if (records === undefined) return record;
  const facts = {rows: [row], total: 1, hasMore: false, request, context};
  const more = typeof extras === 'function' ? extras(facts) : (extras ?? {});
  return withValue({...more}, records, record);
}
