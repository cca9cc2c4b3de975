import {
  type CursorValue,
  type HttpRequest,
  IngestError,
  type JsonObject,
  type Listing,
  type PageReply,
} from '../../sdk/index.ts';
import {resultsOf} from './after-paging.ts';
import type {ObjectType} from './object-types.ts';

/** Records of a page of a list, and of a search. */
const LIST_LIMIT = 100;
const SEARCH_LIMIT = 200;
/** Records that one search gives at most. */
const SEARCH_CAP = 10_000;
/** Names of properties in one URL. */
const PROPERTY_BYTES = 5_000;

/**
 * All records of a type, in the order of their ids. A record that changes while its properties are asked for in parts is asked
 * for again.
 * @see https://developers.hubspot.com/docs/api/crm/understanding-the-crm
 */
export function objectList(
  type: ObjectType,
  properties: readonly string[],
  options: {
    readonly after: string | null;
    /** Told of every page that came, with the id of its last record. */
    readonly onPage?: (reply: Omit<PageReply, 'records'>, last: string) => void;
  },
): Listing {
  const url = objectUrl(type);
  const {after, onPage} = options;
  return {
    request: ({fields}) => ({
      url,
      query: {limit: LIST_LIMIT, archived: false, after: after ?? undefined, properties: fields.join(',')},
    }),
    paginator: {kind: 'cursor', slot: {query: 'after'}, next: {body: 'paging.next.after'}},
    records: (reply) => {
      const records = resultsOf(reply.body);
      onPage?.(reply, String(records.at(-1)?.['id'] ?? ''));
      return records;
    },
    fieldChunks: {fields: properties, maxBytes: PROPERTY_BYTES, key: 'id', version: 'updatedAt', merge: 'properties'},
  };
}

/** Archived records of a type. HubSpot keeps them for 90 days. */
export function archivedList(type: ObjectType): Listing {
  return {
    request: {url: objectUrl(type), query: {limit: LIST_LIMIT, archived: true, properties: 'hs_object_id'}},
    paginator: {kind: 'cursor', slot: {query: 'after'}, next: {body: 'paging.next.after'}},
    records: 'results',
  };
}

/**
 * Records that changed within a stretch of time (milliseconds, both included), oldest first, across the cap of a search.
 * @see https://developers.hubspot.com/docs/api/crm/search
 */
export function objectSearch(
  type: ObjectType,
  properties: readonly string[],
  {from, to}: {readonly from: number; readonly to: number},
): Listing {
  const search = (filters: readonly JsonObject[], sortBy: string): HttpRequest => ({
    method: 'POST',
    url: `${objectUrl(type)}/search`,
    isIdempotent: true,
    body: {
      kind: 'json',
      value: {
        filterGroups: [{filters}],
        sorts: [{propertyName: sortBy, direction: 'ASCENDING'}],
        properties,
      },
    },
  });
  const filter = (operator: string, ms: number): JsonObject => ({
    propertyName: type.modified,
    operator,
    value: String(ms),
  });
  const until = filter('LTE', to);
  return {
    request: search([filter('GTE', from), until], type.modified),
    paginator: {
      kind: 'windowRestart',
      inner: {
        kind: 'cursor',
        slot: {body: 'after'},
        next: {body: 'paging.next.after'},
        size: {slot: {body: 'limit'}, value: SEARCH_LIMIT},
      },
      cap: SEARCH_CAP,
      field: `properties.${type.modified}`,
      id: 'id',
      restart: (_, value) => search([filter('GTE', millis(value)), until], type.modified),
      drain: (_, value, afterId) =>
        search(
          [
            filter('EQ', millis(value)),
            ...(afterId === null ? [] : [{propertyName: 'hs_object_id', operator: 'GT', value: String(afterId)}]),
          ],
          'hs_object_id',
        ),
      after: (value) => new Date(millis(value) + 1).toISOString(),
    },
    records: 'results',
  };
}

/** The time of change of a record that a search gave, in milliseconds. */
export function modifiedAt(record: JsonObject, type: ObjectType): number {
  const properties = record['properties'];
  const value =
    typeof properties === 'object' && properties !== null ? (properties as JsonObject)[type.modified] : undefined;
  return millis(typeof value === 'string' ? value : String(record['updatedAt']));
}

/** A time as HubSpot writes it: ISO, or milliseconds since 1970. */
export function millis(value: CursorValue): number {
  const ms = /^-?\d+$/.test(String(value)) ? Number(value) : Date.parse(String(value));
  if (Number.isFinite(ms)) return ms;
  throw new IngestError('SOURCE_ERROR', 'A record of HubSpot has a time of change that is none.');
}

function objectUrl({path}: ObjectType): string {
  return `/crm/v3/objects/${encodeURIComponent(path)}`;
}
