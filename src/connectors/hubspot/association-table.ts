import {
  type HttpRequest,
  type JsonObject,
  type JsonValue,
  type Listing,
  type PageReply,
  type PlainJson,
  type RestTable,
  isJsonObject,
  objectsAt,
} from '../../sdk/index.ts';
import {resultsOf} from './after-paging.ts';
import {objectList} from './object-listings.ts';
import type {ObjectType} from './object-types.ts';

/** Pairs of types that are listed as tables; every other pair can be read by its name. */
export const ASSOCIATIONS: readonly (readonly [from: string, to: string])[] = [
  ['contacts', 'companies'],
  ['contacts', 'deals'],
  ['contacts', 'tickets'],
  ['companies', 'deals'],
  ['companies', 'tickets'],
  ['deals', 'tickets'],
  ['deals', 'line_items'],
  ['deals', 'quotes'],
  ...['calls', 'emails', 'meetings', 'notes', 'tasks'].flatMap((from) =>
    ['contacts', 'companies', 'deals', 'tickets'].map((to) => [from, to] as const),
  ),
];

/** Records of one request. */
const GROUP_SIZE = 100;

/** Name of the table of a pair. */
export function associationName(from: string, to: string): string {
  return `${from}_to_${to}`;
}

/**
 * Who is associated with whom, read whole: associations come and go without a change of the records.
 * @see https://developers.hubspot.com/docs/api-reference/crm-associations-v4/batch/post-crm-v4-associations-fromObjectType-toObjectType-batch-read
 */
export function associationTable(from: ObjectType, to: ObjectType): RestTable {
  return {
    name: associationName(from.name, to.name),
    description: `Associations of ${from.name} with ${to.name}.`,
    primaryKeys: ['from_id', 'to_id'],
    ingestionType: 'snapshot',
    schema: `from_id STRING NOT NULL, to_id STRING NOT NULL,
      association_types ARRAY<STRUCT<category: STRING, typeId: BIGINT, label: STRING>>`,
    read: {kind: 'snapshot', list: objectList(from, ['hs_object_id'], {after: null})},
    expand: {list: associationList(from, to), groupSize: GROUP_SIZE},
  };
}

function associationList(from: ObjectType, to: ObjectType): Listing {
  const url = `/crm/v4/associations/${encodeURIComponent(from.path)}/${encodeURIComponent(to.path)}/batch/read`;
  return {
    request: ({parents}) =>
      request(
        url,
        parents.map(({id}) => ({id: id ?? null})),
      ),
    paginator: {
      kind: 'custom',
      request: (first, state) => (state === null ? first : request(url, inputsOf(state))),
      next: ({body}) => moreOf(body),
    },
    records: associationsOf,
  };
}

function request(url: string, inputs: readonly JsonObject[]): HttpRequest {
  return {method: 'POST', url, isIdempotent: true, body: {kind: 'json', value: {inputs}}};
}

/** A record with many associations has them on several pages, each asked for by itself. */
function moreOf(body: JsonValue): PlainJson {
  const more = objectsAt(body, 'results').flatMap(
    ({from, paging}): readonly {readonly id: string; readonly after: string}[] => {
      const next = isJsonObject(paging) ? paging['next'] : null;
      const after = isJsonObject(next) ? next['after'] : null;
      return isJsonObject(from) && typeof after === 'string' ? [{id: String(from['id']), after}] : [];
    },
  );
  return more.length === 0 ? null : more;
}

function inputsOf(state: PlainJson): readonly JsonObject[] {
  return Array.isArray(state) ? (state as readonly JsonObject[]) : [];
}

function associationsOf({body}: Omit<PageReply, 'records'>): readonly JsonObject[] {
  return resultsOf(body).flatMap(({from, to}) => {
    const fromId = isJsonObject(from) ? String(from['id']) : null;
    const targets = Array.isArray(to) ? to : [];
    return targets.filter(isJsonObject).map((target) => ({
      from_id: fromId,
      to_id: String(target['toObjectId']),
      association_types: target['associationTypes'] ?? null,
    }));
  });
}
