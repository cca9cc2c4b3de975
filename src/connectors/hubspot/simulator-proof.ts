import type {JsonObject} from '../../sdk/index.ts';
import type {Fault} from '../../simulator/index.ts';
import {
  simulatedSource,
  type ConnectorProof,
  type ProofFaultSpec,
  type ProofMutations,
  type ProofSource,
  type ProofStart,
  type ProofTable,
  type SimulatedSource,
  spreadOver,
} from '../../testkit/index.ts';
import {hubspot} from './index.ts';
import {associationTypes, pipelineRows} from './simulator-crm.ts';
import type {MarketingName} from './simulator-marketing.ts';
import {type HubspotPortal, type PortalRecord, shownRecord, typeOf} from './simulator-portal.ts';
import {PORTAL_TYPES} from './simulator-types.ts';
import {associationWrites, HUBSPOT_WRITES} from './simulator-writeback.ts';
import {type HubspotSimulator, HUBSPOT_TOKEN, every, hubspotSimulator, submissionsOf} from './simulator.ts';

interface HubspotSource extends SimulatedSource, HubspotSimulator {}

/** Records of a page: few, so that few records make many pages. */
const PAGE = 6;
const RECORDS = 3 * PAGE + 2;
const MANY = 500;
/** How late the search sees changes. */
const SEARCH_LAG_MS = 60_000;
/** Longer than the log of subscriptions stays behind. */
const TIMELINE_LAG_MS = 601_000;

/** Windows since the account's first days would need more requests than ten seconds allow. */
const RECENT = {start_timestamp: '2026-08-01T00:00:00Z'};

const FAULTS: readonly ProofFaultSpec[] = [
  {name: 'a 429 of the secondly policy', fault: limit('SECONDLY')},
  {name: 'a 429 of the ten secondly policy', fault: limit('TEN_SECONDLY_ROLLING')},
  {name: 'a 477 while the account moves', fault: {kind: 'answer', status: 477, headers: {'retry-after': '3'}}},
  {name: 'a 524', fault: {kind: 'answer', status: 524}},
];
/** What handlers of one's own cannot be told to do, what HubSpot does not do, and what needs no proof twice. */
const WITHOUT = [
  '429 with Retry-After',
  '503 with Retry-After',
  'a slow first byte',
  'repeated rows',
  'reordered rows',
  'expired access tokens',
  'an expired page cursor',
];

function limit(policyName: string): Fault {
  return {kind: 'answer', status: 429, body: {status: 'error', errorType: 'RATE_LIMIT', policyName}};
}

async function start({seed, rows = RECORDS, table}: ProofStart): Promise<HubspotSource> {
  // Many records are for measuring: pages as large as HubSpot's, and no limits.
  const size = rows > MANY ? {isUnlimited: true} : {pageCap: PAGE};
  const records = table === undefined ? {records: rows} : {records: RECORDS, recordsOf: {[table]: rows}};
  const options = {seed, searchLagMs: SEARCH_LAG_MS, ...records, ...size};
  const {simulator, portal, marketing} = await hubspotSimulator(options);
  const source = simulatedSource(simulator, {
    connectionOptions: {access_token: HUBSPOT_TOKEN, base_url: simulator.url},
    wrongCredentials: {access_token: 'pat-eu1-wrong-wrong-wrong'},
    faults: FAULTS,
    withoutFaults: WITHOUT,
  });
  return {
    ...source,
    portal,
    marketing,
    // Its 429 does not say how long to wait.
    violations: () => simulator.violations.map(({limit: name, path}) => `${path} came above the budget ${name}`),
  };
}

function sourceOf(source: ProofSource): HubspotSource {
  if ('portal' in source) return source as HubspotSource;
  throw new Error('The source is not that of HubSpot.');
}

function portalOf(source: ProofSource): HubspotPortal {
  return sourceOf(source).portal;
}

function times(count: number, act: (n: number) => void): void {
  for (let n = 0; n < count; n++) act(n);
}

let changes = 0;

/** Values of a property as the table must have them. */
function expectedValue(value: string | null, type: string): string | boolean | null {
  if (value === null || value === '') return null;
  if (type === 'bool') return value === 'true';
  if (type === 'date' && !value.includes('-')) return new Date(Number(value)).toISOString().slice(0, 10);
  return value;
}

function expectedRow(record: PortalRecord, name: string): JsonObject {
  const type = typeOf(name);
  const shown = shownRecord(
    record,
    type,
    type.properties.map((property) => property.name),
  );
  const values = shown['properties'] as Readonly<Record<string, string | null>>;
  return {
    id: record.id,
    createdAt: shown['createdAt'] ?? null,
    updatedAt: shown['updatedAt'] ?? null,
    ...Object.fromEntries(
      type.properties.map(({name: property, type: kind}) => [
        property === 'id' ? 'property_id' : property,
        expectedValue(values[property] ?? null, kind),
      ]),
    ),
  };
}

function objectTable(name: string): ProofTable {
  const merged = typeOf(name).merged;
  return {
    pagingStyle: 'cursor',
    truth: (source) =>
      portalOf(source)
        .list(name)
        .map((record) => expectedRow(record, name)),
    tracksDeletes: true,
    visibleAfterMs: SEARCH_LAG_MS + 1000,
    unfilled: {[merged]: 'nothing is merged in the first records'},
    mutations: {
      insert: (source, count) => times(count, () => portalOf(source).create(name)),
      update: (source, count) => {
        for (const id of spreadOver(portalOf(source).ids(name), count))
          portalOf(source).update(name, id, {amount: String(changes++), hs_tags: ''});
      },
      delete: (source, count) => {
        for (const id of spreadOver(portalOf(source).ids(name), count)) {
          portalOf(source).update(name, id, {amount: '1'});
          portalOf(source).archive(name, id);
        }
      },
      recreate: (source, count) => times(count, () => portalOf(source).restore(name)),
      ties: (source, count) => portalOf(source).createTied(name, count),
    },
  };
}

function associationTable(from: string, to: string): ProofTable {
  const change =
    (isOn: boolean): NonNullable<ProofMutations['insert']> =>
    (source, count) => {
      const portal = portalOf(source);
      const targets = portal.ids(to);
      for (const fromId of spreadOver(portal.ids(from), count)) {
        const known = portal.associated(from, to, fromId).filter((id) => targets.includes(id));
        const toId = isOn ? targets.find((id) => !known.includes(id)) : known[0];
        if (toId !== undefined) portal.associate(from, to, {fromId, toId, isOn});
      }
    };
  return {
    pagingStyle: 'cursor',
    truth: (source) => {
      const portal = portalOf(source);
      const live = new Set(portal.ids(to));
      return portal.ids(from).flatMap((fromId) =>
        portal
          .associated(from, to, fromId)
          .filter((id) => live.has(id))
          .map((toId) => ({from_id: fromId, to_id: toId, association_types: associationTypes()})),
      );
    },
    mutations: {insert: change(true), delete: change(false)},
  };
}

/** A table over rows that are kept as they are. */
function marketingTable(
  name: MarketingName,
  more: Partial<ProofTable> & {
    /** Also changes rows, and takes them away. */
    readonly changes?: 'all' | 'insert';
  } = {},
): ProofTable {
  const {changes: kinds = 'all', ...rest} = more;
  const rowsOf = (source: ProofSource): JsonObject[] => sourceOf(source).marketing[name].rows;
  const insert = (source: ProofSource, count: number): void => {
    const {make} = sourceOf(source).marketing[name];
    times(count, () => rowsOf(source).push(make(10_000 + changes++, sourceOf(source).simulator.clock.stampMs())));
  };
  return {
    pagingStyle: 'cursor',
    truth: rowsOf,
    mutations: {
      insert,
      ...(kinds === 'insert'
        ? {ties: insert}
        : {
            update: (source, count) => {
              const {change} = sourceOf(source).marketing[name];
              const rows = rowsOf(source);
              const atMs = sourceOf(source).simulator.clock.stampMs();
              for (let n = 0; n < Math.min(count, rows.length); n++) {
                const row = rows[n * 2];
                if (row !== undefined && change !== undefined) rows[n * 2] = change(row, atMs, changes++);
              }
            },
            delete: (source, count) => {
              rowsOf(source).splice(1, count);
            },
          }),
    },
    ...rest,
  };
}

/** A table whose rows are seen through a parent. */
function childTable(
  name: MarketingName,
  {
    parents,
    truth,
  }: {
    readonly parents: MarketingName;
    readonly truth: (parent: JsonObject, rows: readonly JsonObject[]) => readonly JsonObject[];
  },
): ProofTable {
  return marketingTable(name, {
    truth: (source) => {
      const {marketing} = sourceOf(source);
      return marketing[parents].rows.flatMap((parent) => truth(parent, marketing[name].rows));
    },
  });
}

/** Types that records of another type are associated with. */
const ASSOCIATED: Readonly<Record<string, readonly string[]>> = {
  contacts: ['companies', 'deals', 'tickets'],
  companies: ['deals', 'tickets'],
  deals: ['tickets', 'line_items', 'quotes'],
  calls: ['contacts', 'companies', 'deals', 'tickets'],
  emails: ['contacts', 'companies', 'deals', 'tickets'],
  meetings: ['contacts', 'companies', 'deals', 'tickets'],
  notes: ['contacts', 'companies', 'deals', 'tickets'],
  tasks: ['contacts', 'companies', 'deals', 'tickets'],
};
const ASSOCIATION_PAIRS = Object.entries(ASSOCIATED).flatMap(([from, all]) => all.map((to) => [from, to] as const));

/** HubSpot's connector against the simulated HubSpot. */
export const hubspotProof: ConnectorProof = {
  definition: hubspot,
  start,
  tables: withWrites({
    ...Object.fromEntries(PORTAL_TYPES.map(({name}) => [name, objectTable(name)])),
    ...Object.fromEntries(ASSOCIATION_PAIRS.map(([from, to]) => [`${from}_to_${to}`, associationTable(from, to)])),
    owners: marketingTable('owners', {isPartitioned: true}),
    pipelines: {
      pagingStyle: 'none',
      isPartitioned: true,
      truth: () =>
        ['deals', 'tickets'].flatMap((type) =>
          pipelineRows(type).map((row) => ({...row, stages: undefined, object_type: type})),
        ),
    },
    pipeline_stages: {
      pagingStyle: 'none',
      isPartitioned: true,
      truth: () =>
        ['deals', 'tickets'].flatMap((type) =>
          pipelineRows(type).flatMap(({id, stages}) =>
            (stages as readonly JsonObject[]).map((stage) => ({...stage, object_type: type, pipeline_id: id ?? null})),
          ),
        ),
    },
    email_events: marketingTable('email_events', {
      pagingStyle: 'window',
      changes: 'insert',
      // Rows that are read again move the offset of a run whose clock went on waiting for the budget.
      options: {...RECENT, lookback_seconds: 0},
      visibleAfterMs: 66_000,
      isPartitioned: true,
    }),
    email_subscription_change: marketingTable('subscription_changes', {
      pagingStyle: 'window',
      changes: 'insert',
      options: RECENT,
      visibleAfterMs: TIMELINE_LAG_MS,
      isPartitioned: true,
    }),
    marketing_emails: {
      ...marketingTable('marketing_emails'),
      truth: (source) => sourceOf(source).marketing.marketing_emails.rows.filter((row) => row['archived'] !== true),
      mutations: {
        ...marketingTable('marketing_emails').mutations,
        delete: (source, count) => {
          const {rows} = sourceOf(source).marketing.marketing_emails;
          const updatedAt = new Date(sourceOf(source).simulator.clock.stampMs()).toISOString();
          const live = rows.flatMap((row, index) => (row['archived'] === true ? [] : [index]));
          for (const index of live.slice(2, 2 + count)) rows[index] = {...rows[index], archived: true, updatedAt};
        },
      },
    },
    email_campaign_list: {
      pagingStyle: 'cursor',
      truth: (source) =>
        sourceOf(source)
          .marketing.marketing_emails.rows.filter((row) => row['archived'] !== true)
          .flatMap(listsOf),
    },
    email_campaigns: marketingTable('email_campaigns'),
    email_subscriptions: marketingTable('email_subscriptions', {pagingStyle: 'none'}),
    forms: marketingTable('forms'),
    form_submissions: marketingTable('form_submissions', {
      changes: 'insert',
      truth: (source) => {
        const {marketing} = sourceOf(source);
        return marketing.forms.rows.flatMap(({id}) =>
          submissionsOf(marketing, String(id)).map((row) => ({...row, form_id: id ?? null})),
        );
      },
    }),
    marketing_campaigns: marketingTable('campaigns', {
      truth: (source) =>
        sourceOf(source).marketing.campaigns.rows.map(({properties, ...row}) => ({
          ...row,
          ...(properties as JsonObject),
        })),
    }),
    marketing_campaign_asset: {
      ...childTable('assets', {
        parents: 'campaigns',
        truth: ({id}, rows) =>
          ['FORM', 'EMAIL'].flatMap((type) =>
            every(rows, String(id)).map((row) => ({...row, campaign_id: id ?? null, asset_type: type})),
          ),
      }),
      isPartitioned: true,
    },
    marketing_campaign_budget: childTable('budget_items', {
      parents: 'campaigns',
      truth: ({id}, rows) => every(rows, String(id)).map((row) => ({...row, campaign_id: id ?? null})),
    }),
    marketing_campaign_spend: childTable('spend_items', {
      parents: 'campaigns',
      truth: ({id}, rows) => every(rows, String(id)).map((row) => ({...row, campaign_id: id ?? null})),
    }),
    marketing_events: marketingTable('marketing_events'),
    marketing_event_list: childTable('event_lists', {
      parents: 'marketing_events',
      truth: ({objectId}, rows) => every(rows, String(objectId)).map((row) => ({...row, event_id: objectId ?? null})),
    }),
  }),
};

function withWrites(tables: ConnectorProof['tables']): ConnectorProof['tables'] {
  const ofPairs = ASSOCIATION_PAIRS.map(([from, to]) => [`${from}_to_${to}`, associationWrites(from, to)] as const);
  const writes = {...HUBSPOT_WRITES, ...Object.fromEntries(ofPairs)};
  return Object.fromEntries(
    Object.entries(tables).map(([name, table]) => {
      const own = writes[name];
      return [name, own === undefined ? table : {...table, writes: own}];
    }),
  );
}

function listsOf(email: JsonObject): readonly JsonObject[] {
  const lists = (email['to'] as JsonObject)['contactIlsLists'] as Readonly<Record<string, readonly string[]>>;
  return Object.entries(lists).flatMap(([kind, ids]) =>
    ids.map((id) => ({email_id: email['id'] ?? null, list_id: id, kind})),
  );
}
