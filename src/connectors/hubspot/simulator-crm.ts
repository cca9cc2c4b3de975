import type {JsonObject, JsonValue} from '../../sdk/index.ts';
import {json, type SimulatedReply, type SimulatedRequest, type SimulatorSpec} from '../../simulator/index.ts';
import {type HubspotPortal, type PortalRecord, shownRecord, typeOf} from './simulator-portal.ts';
import {failure, refused} from './simulator-replies.ts';
import {PORTAL_TYPES, type PortalType} from './simulator-types.ts';
import {crmWriteEndpoints} from './simulator-writes.ts';

/** What the portal refuses to go beyond. */
export interface CrmLimits {
  readonly pageCap: number;
  readonly searchCap: number;
}

/** Longer addresses are refused. */
const MAX_ADDRESS = 8_000;
/** Associations of one record on one page. */
const ASSOCIATION_PAGE = 5;
const PIPELINES = ['deals', 'tickets'];

/** The endpoints of CRM records, their properties, schemas, associations and pipelines. */
export function crmEndpoints(portal: () => HubspotPortal, limits: CrmLimits): SimulatorSpec['endpoints'] {
  const typed =
    (answer: (type: PortalType, request: SimulatedRequest) => SimulatedReply) =>
    (request: SimulatedRequest): SimulatedReply => {
      const type = PORTAL_TYPES.find(({path}) => path === request.params['type']);
      return type === undefined
        ? json(failure(`Unable to infer object type from: ${request.params['type'] ?? ''}`, 'VALIDATION_ERROR'), {
            status: 400,
          })
        : answer(type, request);
    };
  return [
    ...crmWriteEndpoints(portal),
    {path: '/crm/v3/schemas', handler: () => json({results: schemas()})},
    {
      path: '/crm/v3/properties/{type}',
      handler: typed(({properties}) => json({results: [...properties] as unknown as JsonValue})),
    },
    {path: '/crm/v3/pipelines/{type}', handler: ({params}) => pipelines(params['type'] ?? '')},
    {path: '/crm/v3/objects/{type}', handler: typed((type, request) => listObjects(portal(), type, {request, limits}))},
    {
      method: 'POST',
      path: '/crm/v3/objects/{type}/search',
      handler: typed((type, {body}) => search(portal(), type, {body, limits})),
    },
    {
      method: 'POST',
      path: '/crm/v4/associations/{from}/{to}/batch/read',
      handler: ({params, body}) => associations(portal(), params, body),
    },
  ];
}

interface Question {
  readonly request: SimulatedRequest;
  readonly limits: CrmLimits;
}

function listObjects(portal: HubspotPortal, type: PortalType, {request, limits}: Question): SimulatedReply {
  const {query, target} = request;
  if (target.length > MAX_ADDRESS) return refused('URI too long', 414);
  const limit = Number(query.get('limit') ?? 10);
  if (!(limit >= 1 && limit <= 100)) return refused('limit must be from 1 to 100');
  const after = Number(query.get('after') ?? 0);
  const rest = portal.list(type.name, query.get('archived') === 'true');
  const from = firstBehind(rest, after);
  const page = rest.slice(from, from + Math.min(limit, limits.pageCap));
  const isLast = from + page.length >= rest.length;
  const properties = (query.get('properties') ?? '').split(',');
  return json({
    results: page.map((record) => shownRecord(record, type, properties)),
    ...(isLast ? {} : {paging: {next: {after: page.at(-1)?.id ?? '', link: '…'}}}),
  });
}

/** The index of the first record with a higher id, of records in the order of their ids. */
function firstBehind(records: readonly PortalRecord[], id: number): number {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (Number(records[middle]?.id) > id) high = middle;
    else low = middle + 1;
  }
  return low;
}

interface Filter {
  readonly propertyName: string;
  readonly operator: string;
  readonly value: number;
}

interface Found {
  readonly version: number;
  readonly nowMs: number;
  readonly key: string;
  readonly records: readonly PortalRecord[];
}

/** The search that was asked last: pages of one search see the same. */
const remembered = new WeakMap<HubspotPortal, Found>();

function search(
  portal: HubspotPortal,
  type: PortalType,
  {body, limits}: {readonly body: JsonValue; readonly limits: CrmLimits},
): SimulatedReply {
  if (!isRecord(body)) return refused('Invalid input JSON');
  const filters = filtersOf(body);
  if (filters.length > 6) return refused('Too many filters');
  // The search fails at time zero.
  if (filters.some(({propertyName, value}) => propertyName === type.modified && value === 0))
    return refused('internal error', 500);
  const limit = Number(body['limit'] ?? 10);
  if (!(limit >= 1 && limit <= 200)) return refused('limit must be from 1 to 200');
  const after = Number(body['after'] ?? 0);
  if (after + limit > limits.searchCap)
    return refused('ERROR: The maximum number of results that can be paged is 10,000.');
  const matching = matched(portal, type, {filters, sort: sortOf(body)});
  const page = matching.slice(after, after + Math.min(limit, limits.pageCap));
  const next = after + page.length;
  const properties = Array.isArray(body['properties']) ? body['properties'].map(String) : [];
  return json({
    total: matching.length,
    results: page.map((record) => shownRecord(record, type, properties)),
    ...(next < matching.length ? {paging: {next: {after: String(next)}}} : {}),
  });
}

function matched(
  portal: HubspotPortal,
  type: PortalType,
  {filters, sort}: {readonly filters: readonly Filter[]; readonly sort: string},
): readonly PortalRecord[] {
  const key = JSON.stringify([type.name, filters, sort]);
  const known = remembered.get(portal);
  if (known !== undefined && known.key === key && known.version === portal.version) return known.records;
  const valueOf = (record: PortalRecord): number => (sort === 'hs_object_id' ? Number(record.id) : record.updatedMs);
  const records = portal
    .searchable(type.name)
    .filter((record) => filters.every((filter) => matches(record, type, filter)))
    .sort((left, right) => valueOf(left) - valueOf(right) || Number(left.id) - Number(right.id));
  remembered.set(portal, {key, version: portal.version, nowMs: 0, records});
  return records;
}

function matches(record: PortalRecord, type: PortalType, {propertyName, operator, value}: Filter): boolean {
  // The search knows times rounded to milliseconds.
  const own =
    propertyName === 'hs_object_id'
      ? Number(record.id)
      : propertyName === type.modified
        ? Math.round(record.updatedMs)
        : Number(record.properties[propertyName]);
  switch (operator) {
    case 'GTE':
      return own >= value;
    case 'GT':
      return own > value;
    case 'LTE':
      return own <= value;
    case 'LT':
      return own < value;
    default:
      return own === value;
  }
}

function filtersOf(body: JsonObject): readonly Filter[] {
  const groups = Array.isArray(body['filterGroups']) ? body['filterGroups'] : [];
  const [group] = groups;
  const filters = isRecord(group) && Array.isArray(group['filters']) ? group['filters'].filter(isRecord) : [];
  return filters.map((filter) => ({
    propertyName: String(filter['propertyName']),
    operator: String(filter['operator']),
    value: Number(filter['value']),
  }));
}

function sortOf(body: JsonObject): string {
  const [sort] = Array.isArray(body['sorts']) ? body['sorts'] : [];
  return isRecord(sort) ? String(sort['propertyName']) : 'hs_object_id';
}

function associations(
  portal: HubspotPortal,
  {from = '', to = ''}: Readonly<Record<string, string>>,
  body: JsonValue,
): SimulatedReply {
  const inputs = isRecord(body) && Array.isArray(body['inputs']) ? body['inputs'].filter(isRecord) : [];
  if (inputs.length > 1000) return refused('Too many inputs');
  const [fromType, toType] = [typeOf(from).name, typeOf(to).name];
  const live = new Set(portal.ids(toType));
  const results = inputs.flatMap((input): readonly JsonObject[] => {
    const id = String(input['id']);
    const all = portal.associated(fromType, toType, id).filter((target) => live.has(target));
    const start = Number(input['after'] ?? 0);
    const page = all.slice(start, start + ASSOCIATION_PAGE);
    if (page.length === 0) return [];
    const next = start + page.length;
    return [
      {
        from: {id},
        to: page.map((target) => ({toObjectId: Number(target), associationTypes: associationTypes()})),
        ...(next < all.length ? {paging: {next: {after: String(next), link: '…'}}} : {}),
      },
    ];
  });
  return json({status: 'COMPLETE', results}, {status: results.length < inputs.length ? 207 : 200});
}

/** What every association of the portal is. */
export function associationTypes(): JsonObject[] {
  return [
    {category: 'HUBSPOT_DEFINED', typeId: 1, label: 'Primary'},
    {category: 'HUBSPOT_DEFINED', typeId: 279, label: null},
  ];
}

function pipelines(type: string): SimulatedReply {
  if (!PIPELINES.includes(type)) return json(failure('Not found', 'OBJECT_NOT_FOUND'), {status: 404});
  return json({results: [...pipelineRows(type)]});
}

/** The pipelines of a type. */
export function pipelineRows(type: string): readonly JsonObject[] {
  if (!PIPELINES.includes(type)) return [];
  const times = {createdAt: '2026-01-01T00:00:00Z', updatedAt: '2026-01-02T00:00:00.123Z', archived: false};
  return [0, 1, 2].map((n) => ({
    id: n === 0 ? 'default' : String(700 + n),
    label: `Pipeline ${n} of ${type}`,
    displayOrder: n,
    ...times,
    stages: [0, 1].map((stage) => ({
      id: `${n}-${stage}`,
      label: `Stage ${stage}`,
      displayOrder: stage,
      metadata: {isClosed: 'false', probability: '0.2'},
      writePermissions: 'CRM_PERMISSIONS_ENFORCEMENT',
      ...times,
    })),
  }));
}

function schemas(): JsonObject[] {
  return PORTAL_TYPES.filter(({isCustom}) => isCustom).map(({name, path}) => ({
    id: path,
    objectTypeId: path,
    name,
    fullyQualifiedName: `p62515_${name}`,
    labels: {singular: name, plural: name},
    archived: false,
  }));
}

function isRecord(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
