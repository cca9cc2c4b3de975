import {IngestError, isIngestError} from '../../core/errors.ts';
import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import {ruleFor} from '../http/error-rules.ts';
import type {
  ErrorMatch,
  ErrorRule,
  HttpClient,
  HttpContext,
  HttpHead,
  HttpReply,
  HttpRequest,
} from '../http/http-client.ts';
import {isJsonObject, pathReader, valueAt} from '../json-path.ts';
import {relayRecords} from './pager-relay.ts';
import type {Pager} from './pager.ts';
import type {Listing, PageReply} from './rest-request.ts';

/** What a listing needs of its call. */
export interface ListEnv {
  readonly table: string;
  readonly client: HttpClient;
  readonly ctx: HttpContext;
  /** Answers that are no error, but that the caller wants to see, for example an expired token. */
  readonly accept?: readonly ErrorMatch[];
}

/** Thrown for an answer that the caller asked to see. */
export class AcceptedAnswer extends Error {
  readonly head: HttpHead;
  readonly body: JsonValue;

  constructor(head: HttpHead, body: JsonValue) {
    super(`The source answered ${head.status}.`);
    this.head = head;
    this.body = body;
  }
}

const TOO_LARGE: ErrorMatch = {status: [413, 504]};

/** Fetches the next page of a pager, with a smaller page where the source cannot give one of this size; null when there are no records here. */
export async function fetchPage(
  env: ListEnv,
  listing: Listing,
  pager: Pager,
  isFirst: boolean,
): Promise<PageReply | null> {
  for (;;) {
    const request = pager.request();
    const reply = await send(env, listing, request, pager.shrink !== undefined).catch((error: unknown) => {
      if (isTimeout(error) && pager.shrink?.() === true) return null;
      throw error;
    });
    if (reply === null) continue;
    if (answers(listing.emptyWhen, reply)) {
      if (isFirst) return null;
      throw new IngestError(
        'SOURCE_ERROR',
        `${env.table}: the source answered ${reply.status} in the middle of a list.`,
        {
          class: 'transient',
          context: {table: env.table, status: reply.status},
        },
      );
    }
    if (answers(env.accept, reply)) throw new AcceptedAnswer(reply, reply.body);
    if (pager.shrink !== undefined && answers([TOO_LARGE], reply)) {
      if (pager.shrink()) continue;
      const last = await send(env, listing, request, false);
      return pageOf(env, listing, request, last);
    }
    return pageOf(env, listing, request, reply);
  }
}

/** The rules of a listing's requests: what it wants to see itself, then its own. */
export function listingRules(env: ListEnv, listing: Listing, seesTooLarge: boolean): readonly ErrorRule[] {
  const seen = [...(listing.emptyWhen ?? []), ...(env.accept ?? []), ...(seesTooLarge ? [TOO_LARGE] : [])];
  return [...seen.map((when): ErrorRule => ({when, then: 'accept'})), ...(listing.errors ?? [])];
}

/** True when an answer is one of those. */
export function answers(
  matches: readonly ErrorMatch[] | undefined,
  {status, headers, body}: HttpReply<JsonValue>,
): boolean {
  if (matches === undefined || matches.length === 0) return false;
  const rules = matches.map((when): ErrorRule => ({when, then: 'accept'}));
  return ruleFor(rules, {status, headers, text: null, json: () => body}) !== null;
}

function send(
  env: ListEnv,
  listing: Listing,
  request: HttpRequest,
  seesTooLarge: boolean,
): Promise<HttpReply<JsonValue>> {
  const errors = [...(request.errors ?? []), ...listingRules(env, listing, seesTooLarge)];
  return env.client.json({...request, errors, about: request.about ?? env.table}, env.ctx);
}

function pageOf(env: ListEnv, listing: Listing, request: HttpRequest, reply: HttpReply<JsonValue>): PageReply {
  const bare = {head: reply, body: reply.body, request};
  return {...bare, records: recordsOf(env, listing, bare)};
}

/** The records of a body. @throws SOURCE_ERROR when they are not where they should be. */
export function recordsOf(
  env: Pick<ListEnv, 'table'>,
  listing: Listing,
  reply: Omit<PageReply, 'records'>,
): readonly JsonObject[] {
  const {records, paginator} = listing;
  if (typeof records === 'function') return records(reply);
  if (records === undefined) {
    if (paginator?.kind === 'graphqlRelay')
      return relayRecords(paginator, reply) ?? nothingAt(env, paginator.connection, reply.body);
    if (paginator?.kind === 'odata') return objectsOf(env, valueAt(reply.body, 'value') ?? null);
    if (reply.body === null) return [];
    return objectsOf(env, reply.body);
  }
  const found = pathReader(records)(reply.body);
  if (found !== undefined && found !== null) return objectsOf(env, found);
  if (listing.recordsOptional === true || (found === null && reply.head.status < 300)) return [];
  return nothingAt(env, records, reply.body);
}

function nothingAt({table}: Pick<ListEnv, 'table'>, path: string, body: JsonValue): never {
  // Names of fields only: where an API uses values of rows as keys, they rarely look like names.
  const names = isJsonObject(body) ? Object.keys(body).filter((name) => /^[A-Za-z_][\w-]{0,39}$/.test(name)) : [];
  const has = names.length === 0 ? '' : ` It has ${names.slice(0, 8).join(', ')}.`;
  throw new IngestError('SOURCE_ERROR', `${table}: the answer of the source has nothing at "${path}".${has}`, {
    class: 'transient',
    fix: 'In a new connector: correct the path of the records. Else run again; if it stays so, the source changed its answers, or it reports an error as a success: add an error rule.',
    context: {table, path},
  });
}

/** A list as it is where all its elements are objects; other elements become `{value}`; one object is a list of it. */
function objectsOf(env: Pick<ListEnv, 'table'>, found: JsonValue): readonly JsonObject[] {
  if (isJsonObject(found)) return [found];
  if (!Array.isArray(found)) {
    throw new IngestError('SOURCE_ERROR', `${env.table}: the source gave no list of records.`, {
      class: 'transient',
      fix: 'In a new connector: correct the path of the records. Else run again.',
      context: {table: env.table},
    });
  }
  const list = found as readonly JsonValue[];
  return list.every(isJsonObject) ? list : list.map((one) => (isJsonObject(one) ? one : {value: one}));
}

function isTimeout(error: unknown): boolean {
  const reason = isIngestError(error, 'CONNECTION_FAILED') ? error.context['reason'] : null;
  return reason === 'UND_ERR_HEADERS_TIMEOUT' || reason === 'UND_ERR_BODY_TIMEOUT';
}
