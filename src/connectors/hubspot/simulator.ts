import type {JsonObject, JsonValue} from '../../sdk/index.ts';
import {
  json,
  type RateLimitSpec,
  simulate,
  type SimulatedReply,
  type SimulatedRequest,
  type Simulator,
  type SimulatorAuth,
  type SimulatorSpec,
} from '../../simulator/index.ts';
import {crmEndpoints} from './simulator-crm.ts';
import {type MarketingName, marketingRows, type MarketingRows} from './simulator-marketing.ts';
import {HubspotPortal} from './simulator-portal.ts';
import {afterPage, failure} from './simulator-replies.ts';
import {marketingWriteEndpoints} from './simulator-writes.ts';

/** A simulated HubSpot with its account at hand. */
export interface HubspotSimulator {
  readonly simulator: Simulator;
  readonly portal: HubspotPortal;
  readonly marketing: Readonly<Record<MarketingName, MarketingRows>>;
}

/** How a simulated HubSpot is started. */
export interface HubspotSimulatorOptions {
  readonly seed?: number;
  /** Records of each type at the start. Default 230. */
  readonly records?: number;
  /** Of these types another number. */
  readonly recordsOf?: Readonly<Record<string, number>>;
  /** How much later the search sees every third change. Default 60,000. */
  readonly searchLagMs?: number;
  /** Records of a page at most, whatever is asked for. Default as HubSpot: 100 of a list, 200 of a search. */
  readonly pageCap?: number;
  /** Records that one search gives. Default 10,000. */
  readonly searchCap?: number;
  /** Requests of a day; then 429 of the policy DAILY. Default: none. */
  readonly daily?: number;
  /** No limits at all. Default false. */
  readonly isUnlimited?: boolean;
  readonly latencyMs?: number;
}

/** More would need more requests than two windows of ten seconds allow. */
const MARKETING_ROWS = 7;

/** The access token of the private app that the simulated HubSpot knows. */
export const HUBSPOT_TOKEN = 'pat-eu1-11111111-2222-3333-4444-555555555555';
/** Client and refresh token of the OAuth app that it knows. */
export const HUBSPOT_OAUTH: {
  readonly client_id: string;
  readonly client_secret: string;
  readonly refresh_token: string;
} = {
  client_id: 'client-1',
  client_secret: 'secret-of-client-1',
  refresh_token: 'refresh-token-1',
};

/** Starts a HubSpot: lists by id, a search that ends at 10,000 records and sees changes late, limits by policy. */
export async function hubspotSimulator(options: HubspotSimulatorOptions = {}): Promise<HubspotSimulator> {
  let portal: HubspotPortal | null = null;
  const opened = (): HubspotPortal => {
    if (portal === null) throw new Error('The account is not open yet.');
    return portal;
  };
  const records = options.records ?? 230;
  const marketing = marketingRows(Math.min(records, MARKETING_ROWS));
  const simulator = await simulate(hubspotSpec(opened, marketing, options), {
    seed: options.seed ?? 1,
    startMs: Date.UTC(2026, 10, 1, 12),
    latencyMs: options.latencyMs ?? 0,
  });
  portal = new HubspotPortal({
    clock: simulator.clock,
    seed: options.seed ?? 1,
    records,
    recordsOf: options.recordsOf ?? {},
    searchLagMs: options.searchLagMs ?? 60_000,
  });
  return {simulator, portal, marketing};
}

function hubspotSpec(
  portal: () => HubspotPortal,
  marketing: HubspotSimulator['marketing'],
  options: HubspotSimulatorOptions,
): SimulatorSpec {
  return {
    name: 'HubSpot',
    auth: AUTH,
    rateLimits: options.isUnlimited === true ? [] : limits(options),
    errors: {
      noRoute: {status: 404, body: failure('Resource not found', 'OBJECT_NOT_FOUND')},
      badRequest: {status: 400, body: failure('{message}', 'VALIDATION_ERROR')},
    },
    endpoints: [
      ...crmEndpoints(portal, {pageCap: options.pageCap ?? Infinity, searchCap: options.searchCap ?? 10_000}),
      ...marketingWriteEndpoints(marketing, () => portal().nowMs),
      ...marketingEndpoints(marketing, options.pageCap ?? Infinity),
    ],
  };
}

const UNAUTHORIZED = {status: 401, body: failure('Authentication credentials not found.', 'INVALID_AUTHENTICATION')};

const AUTH: SimulatorAuth = {
  kind: 'any',
  of: [
    {kind: 'bearer', tokens: [HUBSPOT_TOKEN], unauthorized: UNAUTHORIZED},
    {
      kind: 'oauth2',
      tokenPath: '/oauth/v1/token',
      clients: [{id: HUBSPOT_OAUTH.client_id, secret: HUBSPOT_OAUTH.client_secret}],
      grants: ['refresh_token'],
      refreshTokens: [HUBSPOT_OAUTH.refresh_token],
      lifetimeSeconds: 1800,
      unauthorized: UNAUTHORIZED,
      expired: {status: 401, body: failure('This oauth-token is expired!', 'EXPIRED_AUTHENTICATION')},
    },
  ],
};

function limits({daily}: HubspotSimulatorOptions): readonly RateLimitSpec[] {
  const refused = (policyName: string, message: string): NonNullable<RateLimitSpec['exceeded']> => ({
    status: 429,
    body: {status: 'error', message, errorType: 'RATE_LIMIT', correlationId: 'c', policyName},
  });
  return [
    {
      name: 'ten seconds',
      max: 110,
      windowMs: 10_000,
      headers: {
        'x-hubspot-ratelimit-interval-milliseconds': '10000',
        'x-hubspot-ratelimit-max': '{limit}',
        'x-hubspot-ratelimit-remaining': '{remaining}',
      },
      exceeded: refused('TEN_SECONDLY_ROLLING', 'You have reached your ten_secondly_rolling limit.'),
    },
    {
      name: 'search',
      paths: ['POST */search'],
      max: 4,
      windowMs: 1000,
      exceeded: refused('SECONDLY', 'You have reached your secondly limit.'),
    },
    ...(daily === undefined
      ? []
      : [
          {
            name: 'daily',
            max: daily,
            windowMs: 86_400_000,
            exceeded: refused('DAILY', 'You have reached your daily limit.'),
          },
        ]),
  ];
}

function marketingEndpoints(marketing: HubspotSimulator['marketing'], pageCap: number): SimulatorSpec['endpoints'] {
  const list = (path: string, rows: (request: SimulatedRequest) => readonly JsonObject[]) => ({
    path,
    handler: (request: SimulatedRequest): SimulatedReply => afterPage(request, rows(request), {pageCap, max: 500}),
  });
  const all = (name: MarketingName): readonly JsonObject[] => marketing[name].rows;
  return [
    list('/crm/v3/owners', ({query}) =>
      all('owners').filter((owner) => owner['archived'] === (query.get('archived') === 'true')),
    ),
    {
      path: '/email/public/v1/events',
      handler: (request) => timeline(request, all('email_events'), 'events', 'created'),
    },
    {
      path: '/email/public/v1/subscriptions/timeline',
      handler: (request) => timeline(request, all('subscription_changes'), 'timeline', 'timestamp'),
    },
    list('/marketing/v3/emails', ({query}) => marketingEmails(all('marketing_emails'), query)),
    {
      path: '/email/public/v1/campaigns/by-id',
      handler: (request) => campaignIds(request, all('email_campaigns'), pageCap),
    },
    {
      path: '/email/public/v1/campaigns/{id}',
      handler: ({params}) => found(all('email_campaigns').find(({id}) => String(id) === params['id'])),
    },
    {
      path: '/communication-preferences/v3/definitions',
      handler: () => json({subscriptionDefinitions: [...all('email_subscriptions')]}),
    },
    list('/marketing/v3/forms', () => all('forms')),
    list('/form-integrations/v1/submissions/forms/{form}', ({params}) =>
      submissionsOf(marketing, params['form'] ?? ''),
    ),
    list('/marketing/v3/campaigns', () => all('campaigns')),
    list('/marketing/v3/campaigns/{id}/assets/{type}', ({params}) =>
      params['type'] === 'FORM' || params['type'] === 'EMAIL' ? every(all('assets'), params['id'] ?? '') : [],
    ),
    {
      path: '/marketing/v3/campaigns/{id}/budget/totals',
      handler: ({params}) =>
        json({
          currencyCode: 'EUR',
          budgetItems: [...every(all('budget_items'), params['id'] ?? '')],
          spendItems: [...every(all('spend_items'), params['id'] ?? '')],
        }),
    },
    list('/marketing/v3/marketing-events', () => all('marketing_events')),
    {
      path: '/marketing/v3/marketing-events/associations/{id}/lists',
      handler: ({params}) => json({results: [...every(all('event_lists'), params['id'] ?? '')]}),
    },
  ];
}

/** The rows that belong to a parent: spread over all of them by their numbers. */
export function every(rows: readonly JsonObject[], parent: string): readonly JsonObject[] {
  const number = Number(parent.replace(/\D+/g, '')) % 3;
  return rows.filter((_, index) => index % 3 === number);
}

/** Submissions of one form, newest first. */
export function submissionsOf(marketing: HubspotSimulator['marketing'], form: string): readonly JsonObject[] {
  const forms = marketing.forms.rows.map(({id}) => String(id));
  const at = forms.indexOf(form);
  return marketing.form_submissions.rows
    .filter((_, index) => index % 4 === at)
    .toSorted((left, right) => Number(right['submittedAt']) - Number(left['submittedAt']));
}

function marketingEmails(rows: readonly JsonObject[], query: URLSearchParams): readonly JsonObject[] {
  const after = Date.parse(query.get('updatedAfter') ?? '1970-01-01T00:00:00Z');
  const isArchived = query.get('archived') === 'true';
  return rows
    .filter((row) => (row['archived'] === true) === isArchived && Date.parse(String(row['updatedAt'])) > after)
    .toSorted((left, right) => Date.parse(String(left['updatedAt'])) - Date.parse(String(right['updatedAt'])));
}

/** Newest first within both bounds; the offset is good for the same question only. */
function timeline(request: SimulatedRequest, rows: readonly JsonObject[], field: string, time: string): SimulatedReply {
  const {query} = request;
  const [start, end] = [Number(query.get('startTimestamp') ?? 0), Number(query.get('endTimestamp') ?? Infinity)];
  const limit = Math.min(Number(query.get('limit') ?? 10), 1000);
  const from = Number(query.get('offset') ?? 0);
  const matching = rows
    .filter((row) => Number(row[time]) >= start && Number(row[time]) <= end)
    .toSorted((left, right) => Number(right[time]) - Number(left[time]));
  const page = matching.slice(from, from + limit);
  return json({[field]: page, hasMore: from + page.length < matching.length, offset: String(from + page.length)});
}

function campaignIds(request: SimulatedRequest, rows: readonly JsonObject[], pageCap: number): SimulatedReply {
  const from = Number(request.query.get('offset') ?? 0);
  const limit = Math.min(Number(request.query.get('limit') ?? 10), 1000, pageCap);
  const campaigns: JsonValue = rows.slice(from, from + limit).map(({id, appId, appName}) => ({
    id: id ?? null,
    appId: appId ?? null,
    appName: appName ?? null,
    lastUpdatedTime: 1,
  }));
  return json({campaigns, hasMore: from + limit < rows.length, offset: String(from + limit)});
}

function found(row: JsonObject | undefined): SimulatedReply {
  return row === undefined ? json(failure('Not found', 'OBJECT_NOT_FOUND'), {status: 404}) : json(row);
}
