import type {JsonObject, JsonValue} from '../../sdk/index.ts';
import {json, type SimulatedReply, type SimulatedRequest, type SimulatorSpec} from '../../simulator/index.ts';
import type {MarketingName, MarketingRows} from './simulator-marketing.ts';
import {type HubspotPortal, type PortalRecord, shownRecord, typeOf} from './simulator-portal.ts';
import {failure, refused} from './simulator-replies.ts';
import {PORTAL_TYPES, type PortalType} from './simulator-types.ts';

/** Inputs of one batch. */
const BATCH = 100;

type Properties = PortalRecord['properties'];

/**
 * Creates, changes and archives of CRM records, one by one and in batches, and their associations.
 * @see https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide, https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
 */
export function crmWriteEndpoints(portal: () => HubspotPortal): SimulatorSpec['endpoints'] {
  const typed =
    (answer: (type: PortalType, request: SimulatedRequest) => SimulatedReply) =>
    (request: SimulatedRequest): SimulatedReply => {
      const type = PORTAL_TYPES.find(({path}) => path === request.params['type']);
      return type === undefined ? refused('Unable to infer object type') : answer(type, request);
    };
  const one = '/crm/v3/objects/{type}/{id}';
  const pair = '/crm/v4/objects/{from}/{id}/associations';
  return [
    {
      method: 'POST',
      path: '/crm/v3/objects/{type}/batch/{what}',
      handler: typed((type, request) => batch(portal(), type, request)),
    },
    {
      method: 'POST',
      path: '/crm/v3/objects/{type}',
      handler: typed((type, {body}) => create(portal(), type, propertiesOf(body))),
    },
    {
      path: one,
      handler: typed((type, {params}) => shown(type, portal().record(type.name, params['id'] ?? ''))),
    },
    {
      method: 'PATCH',
      path: one,
      handler: typed((type, {params, body}) => update(portal(), type, {id: params['id'] ?? '', ...propertiesOf(body)})),
    },
    {method: 'DELETE', path: one, handler: typed((type, {params}) => archive(portal(), type, params['id'] ?? ''))},
    {
      method: 'PUT',
      path: `${pair}/default/{to}/{toId}`,
      handler: ({params}) => associate(portal(), params, true),
    },
    {method: 'DELETE', path: `${pair}/{to}/{toId}`, handler: ({params}) => associate(portal(), params, false)},
  ];
}

interface Given {
  readonly properties: Properties;
}

function create(portal: HubspotPortal, type: PortalType, {properties}: Given): SimulatedReply {
  const refusal = unknownProperty(type, properties);
  if (refusal !== null) return refusal;
  const record = portal.create(type.name, properties);
  return json(shownRecord(record, type, Object.keys(properties)), {status: 201});
}

function update(
  portal: HubspotPortal,
  type: PortalType,
  {id, properties}: Given & {readonly id: string},
): SimulatedReply {
  const refusal = unknownProperty(type, properties);
  if (refusal !== null) return refusal;
  if (portal.record(type.name, id) === undefined) return missing();
  return shown(type, portal.update(type.name, id, properties), Object.keys(properties));
}

/** Archiving what is not there is no mistake. */
function archive(portal: HubspotPortal, type: PortalType, id: string): SimulatedReply {
  if (portal.record(type.name, id) !== undefined) portal.archive(type.name, id);
  return {status: 204};
}

function batch(portal: HubspotPortal, type: PortalType, {params, body}: SimulatedRequest): SimulatedReply {
  const given = isRecord(body) && Array.isArray(body['inputs']) ? body['inputs'].filter(isRecord) : [];
  if (given.length > BATCH) return refused('Too many inputs');
  const inputs = given.map((input) => ({id: String(input['id']), ...propertiesOf(input)}));
  if (params['what'] === 'archive') {
    for (const {id} of inputs) archive(portal, type, id);
    return {status: 204};
  }
  const isCreate = params['what'] === 'create';
  if (!isCreate && params['what'] !== 'update') return missing();
  const wrong = inputs.map(({properties}) => unknownProperty(type, properties)).find((refusal) => refusal !== null);
  if (wrong !== undefined && wrong !== null) return wrong;
  const known = isCreate ? inputs : inputs.filter(({id}) => portal.record(type.name, id) !== undefined);
  const results = known.map(({id, properties}) =>
    shownRecord(
      isCreate ? portal.create(type.name, properties) : portal.update(type.name, id, properties),
      type,
      Object.keys(properties),
    ),
  );
  const isWhole = results.length === inputs.length;
  return json({status: 'COMPLETE', results}, {status: isCreate ? 201 : isWhole ? 200 : 207});
}

function associate(
  portal: HubspotPortal,
  {from = '', id = '', to = '', toId = ''}: Readonly<Record<string, string>>,
  isOn: boolean,
): SimulatedReply {
  const types = [from, to].map((path) => PORTAL_TYPES.find((type) => type.path === path));
  if (types.some((type) => type === undefined)) return refused('Unable to infer object type');
  const [fromType, toType] = [typeOf(from).name, typeOf(to).name];
  if (portal.record(fromType, id) === undefined || portal.record(toType, toId) === undefined) return missing();
  portal.associate(fromType, toType, {fromId: id, toId, isOn});
  return isOn ? json({status: 'COMPLETE', results: []}) : {status: 204};
}

/**
 * Creates, changes and deletes of marketing emails and campaigns; a deleted email is in the archive.
 * @see https://developers.hubspot.com/docs/api-reference/marketing-marketing-emails-v3/guide, https://developers.hubspot.com/docs/api-reference/marketing-campaigns-v3/guide
 */
export function marketingWriteEndpoints(
  marketing: Readonly<Record<MarketingName, MarketingRows>>,
  stampMs: () => number,
): SimulatorSpec['endpoints'] {
  const now = (): string => new Date(stampMs()).toISOString();
  return [
    ...rowEndpoints('/marketing/v3/emails', marketing.marketing_emails, {
      make: (body, number) => ({
        ...marketing.marketing_emails.make(number, stampMs()),
        ...body,
        archived: false,
        updatedAt: now(),
      }),
      change: (row, body) => ({...row, ...body, updatedAt: now()}),
      remove: (row) => ({...row, archived: true, updatedAt: now()}),
    }),
    ...rowEndpoints('/marketing/v3/campaigns', marketing.campaigns, {
      make: (body, number) => withProperties(marketing.campaigns.make(number, stampMs()), body, now()),
      change: (row, body) => withProperties(row, body, now()),
    }),
  ];
}

interface RowWrites {
  readonly make: (body: JsonObject, number: number) => JsonObject;
  readonly change: (row: JsonObject, body: JsonObject) => JsonObject;
  /** What is left of a deleted row. Absent: nothing. */
  readonly remove?: (row: JsonObject) => JsonObject;
}

/** Above all rows that are made otherwise. */
const WRITTEN = 900_000;

function rowEndpoints(
  path: string,
  {rows}: MarketingRows,
  {make, change, remove}: RowWrites,
): SimulatorSpec['endpoints'] {
  const at = ({params}: SimulatedRequest): number =>
    rows.findIndex((row) => String(row['id']) === params['id'] && row['archived'] !== true);
  const bodyOf = ({body}: SimulatedRequest): JsonObject => (isRecord(body) ? body : {});
  return [
    {
      method: 'POST',
      path,
      handler: (request) => {
        const row = make(bodyOf(request), WRITTEN + rows.length);
        rows.push(row);
        return json(row, {status: 201});
      },
    },
    {
      method: 'PATCH',
      path: `${path}/{id}`,
      handler: (request) => {
        const row = rows[at(request)];
        if (row === undefined) return missing();
        const changed = change(row, bodyOf(request));
        rows[at(request)] = changed;
        return json(changed);
      },
    },
    {
      method: 'DELETE',
      path: `${path}/{id}`,
      handler: (request) => {
        const index = at(request);
        const row = rows[index];
        if (row === undefined) return missing();
        rows.splice(index, 1, ...(remove === undefined ? [] : [remove(row)]));
        return {status: 204};
      },
    },
  ];
}

function withProperties(row: JsonObject, {properties}: JsonObject, updatedAt: string): JsonObject {
  const [old, given] = [row['properties'], properties].map((value) => (isRecord(value) ? value : {}));
  return {...row, updatedAt, properties: {...old, ...given}};
}

function unknownProperty({properties: known}: PortalType, given: Properties): SimulatedReply | null {
  const unknown = Object.keys(given).find((name) => !known.some((property) => property.name === name));
  return unknown === undefined ? null : refused(`Property "${unknown}" does not exist`);
}

function propertiesOf(body: JsonValue): Given {
  const given = isRecord(body) ? body['properties'] : null;
  if (!isRecord(given)) return {properties: {}};
  return {
    properties: Object.fromEntries(
      Object.entries(given).map(([name, value]) => [name, value === null ? null : String(value)]),
    ),
  };
}

function shown(type: PortalType, record: PortalRecord | undefined, properties: readonly string[] = []): SimulatedReply {
  return record === undefined ? missing() : json(shownRecord(record, type, properties));
}

function missing(): SimulatedReply {
  return json(failure('resource not found', 'OBJECT_NOT_FOUND'), {status: 404});
}

function isRecord(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
