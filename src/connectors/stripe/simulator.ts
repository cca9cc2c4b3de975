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
import {type ListPage, type ListQuery, StripeAccount} from './simulator-account.ts';
import {STRIPE_KINDS, type StripeKind} from './simulator-kinds.ts';
import {writeEndpoints} from './simulator-writes.ts';

/** A simulated Stripe with its account at hand. */
export interface StripeSimulator {
  readonly simulator: Simulator;
  readonly account: StripeAccount;
}

/** How a simulated Stripe is started. */
export interface StripeSimulatorOptions {
  readonly seed?: number;
  /** Objects of each kind at the start. Default 230: three pages. */
  readonly objects?: number;
  /** Of these kinds another number. */
  readonly objectsOf?: Readonly<Record<string, number>>;
  /** Version in which events are written. Default: the one that the connector asks for. */
  readonly eventVersion?: string;
  /** How much later every third event can be seen. Default 20,000. */
  readonly eventLagMs?: number;
  /** Requests in a second. Default 100. */
  readonly requestsPerSecond?: number;
  readonly latencyMs?: number;
  /** Objects of a page at most, whatever is asked for: small ones make many pages of few objects. Default 100. */
  readonly pageCap?: number;
}

/** The key that the simulated Stripe knows. */
export const STRIPE_KEY = 'sk_live_4eC39HqLyjWDarjtT1zdp7dc';

const MAX_LIMIT = 100;
const PARAMS = new Set([
  'limit',
  'starting_after',
  'created[gte]',
  'created[lte]',
  'created[lt]',
  'active',
  'status',
  'types[]',
  'subscription',
]);

/** Starts a Stripe: lists newest first with `starting_after`, events for 30 days, some of them visible late. */
export async function stripeSimulator(options: StripeSimulatorOptions = {}): Promise<StripeSimulator> {
  let account: StripeAccount | null = null;
  const opened = (): StripeAccount => {
    if (account === null) throw new Error('The account is not open yet.');
    return account;
  };
  const simulator = await simulate(stripeSpec(opened, options), {
    seed: options.seed ?? 1,
    startMs: Date.UTC(2026, 10, 1, 12),
    latencyMs: options.latencyMs ?? 0,
  });
  account = new StripeAccount({
    clock: simulator.clock,
    seed: options.seed ?? 1,
    objects: options.objects ?? 230,
    objectsOf: options.objectsOf ?? {},
    apiVersion: options.eventVersion ?? '2026-10-28.endive',
    eventLagMs: options.eventLagMs ?? 20_000,
    pageCap: options.pageCap ?? MAX_LIMIT,
  });
  return {simulator, account};
}

function stripeSpec(account: () => StripeAccount, options: StripeSimulatorOptions): SimulatorSpec {
  const kinds = Object.entries(STRIPE_KINDS);
  return {
    name: 'Stripe',
    basePath: '/v1',
    auth: AUTH,
    rateLimits: [rateLimit(options.requestsPerSecond ?? 100)],
    errors: {
      noRoute: {status: 404, body: errorBody('Unrecognized request URL.', {})},
      badRequest: {status: 400, body: errorBody('{message}', {})},
    },
    endpoints: [
      ...writeEndpoints(account),
      {path: '/events', handler: (request) => eventList(account(), request)},
      {
        path: '/subscription_items',
        handler: (request) => childList(account(), request, request.query.get('subscription')),
      },
      {path: '/invoices/{id}/lines', handler: (request) => childList(account(), request, request.params['id'] ?? null)},
      ...kinds.map(([name, kind]) => ({
        path: `/${kind.path}`,
        handler: (request: SimulatedRequest) => objectList(account(), {name, kind}, request),
      })),
      ...kinds.map(([name, kind]) => ({
        path: `/${kind.path}/{id}`,
        handler: (request: SimulatedRequest) => oneObject(account(), name, request.params['id'] ?? ''),
      })),
    ],
  };
}

const AUTH: SimulatorAuth = {
  kind: 'bearer',
  tokens: [STRIPE_KEY],
  unauthorized: {status: 401, body: errorBody('Invalid API Key provided: sk_live_****', {})},
};

function rateLimit(max: number): RateLimitSpec {
  return {
    name: 'requests',
    max,
    windowMs: 1000,
    exceeded: {status: 429, body: errorBody('Request rate limit exceeded.', {code: 'rate_limit'})},
  };
}

function objectList(
  account: StripeAccount,
  {name, kind}: {readonly name: string; readonly kind: StripeKind},
  request: SimulatedRequest,
): SimulatedReply {
  return listed(request, (query) => account.list(name, {...query, where: shownBy(kind, request)}));
}

function eventList(account: StripeAccount, request: SimulatedRequest): SimulatedReply {
  const types = request.query.getAll('types[]');
  if (types.length > 20) return wrong('You may pass up to 20 types.', 'types');
  return listed(request, (query) => account.events(types, query));
}

function childList(account: StripeAccount, request: SimulatedRequest, parent: string | null): SimulatedReply {
  if (parent === null) return wrong('Missing required param: subscription.', 'subscription');
  return listed(request, (query) => account.childList(parent, query));
}

function oneObject(account: StripeAccount, kind: string, id: string): SimulatedReply {
  const object = account.object(kind, id);
  if (object !== undefined) return json(object);
  if (kind === 'customers' && account.wasDeleted(kind, id)) return json({id, object: 'customer', deleted: true});
  return json(errorBody(`No such object: '${id}'`, {code: 'resource_missing', param: 'id'}), {status: 404});
}

function listed(request: SimulatedRequest, list: (query: ListQuery) => ListPage): SimulatedReply {
  const {query} = request;
  const unknown = [...query.keys()].find((name) => !PARAMS.has(name));
  if (unknown !== undefined) return wrong(`Received unknown parameter: ${unknown}`, unknown, 'parameter_unknown');
  const limit = Number(query.get('limit') ?? 10);
  if (!(limit >= 1 && limit <= MAX_LIMIT)) return wrong('Invalid integer: limit must be from 1 to 100.', 'limit');
  const page = list({
    limit,
    gte: numberOf(query, 'created[gte]'),
    lte: numberOf(query, 'created[lte]'),
    lt: numberOf(query, 'created[lt]'),
    startingAfter: query.get('starting_after') ?? undefined,
  });
  if (page === null) return wrong('No such object.', 'starting_after', 'resource_missing');
  return json({object: 'list', data: page.data, has_more: page.hasMore, url: request.path});
}

function shownBy({shown}: StripeKind, {query}: SimulatedRequest): (object: JsonObject) => boolean {
  if (shown === undefined) return () => true;
  const wanted = query.get(shown.field);
  if (wanted === 'all') return () => true;
  const values = wanted === null ? shown.values : [wanted === 'true' ? true : wanted === 'false' ? false : wanted];
  return (object) => values.includes(object[shown.field]);
}

function wrong(message: string, param: string, code = 'parameter_invalid'): SimulatedReply {
  return json(errorBody(message, {code, param}), {status: 400});
}

function errorBody(message: string, more: Readonly<Record<string, string>>): JsonValue {
  return {error: {message, type: 'invalid_request_error', ...more}};
}

function numberOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  return text === null ? undefined : Number(text);
}
