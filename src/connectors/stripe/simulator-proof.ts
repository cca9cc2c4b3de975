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
import {stripe} from './index.ts';
import type {StripeAccount} from './simulator-account.ts';
import {STRIPE_KINDS} from './simulator-kinds.ts';
import {STRIPE_WRITES} from './simulator-writeback.ts';
import {STRIPE_KEY, stripeSimulator} from './simulator.ts';

/** Objects of a page: few, so that few objects make many pages. */
const PAGE = 6;
const OBJECTS = 3 * PAGE + 2;
const MANY = 500;

interface StripeSource extends SimulatedSource {
  readonly account: StripeAccount;
}

/** Longer than events are late, and than windows of time stay behind. */
const VISIBLE_AFTER_MS = 125_000;

const FAULTS: readonly ProofFaultSpec[] = [
  {
    name: 'a 429 of the rate limiter',
    fault: {kind: 'answer', status: 429, body: {error: {code: 'rate_limit', type: 'invalid_request_error'}}},
  },
  {
    name: 'a 429 of a lock',
    fault: {kind: 'answer', status: 429, body: {error: {code: 'lock_timeout', type: 'invalid_request_error'}}},
  },
];
/** What handlers of one's own cannot be told to do, what Stripe does not do, and what needs no proof twice. */
const WITHOUT = [
  '429 with Retry-After',
  'a slow first byte',
  'repeated rows',
  'reordered rows',
  'expired access tokens',
  'an expired page cursor',
];

async function start({seed, rows = OBJECTS, table}: ProofStart): Promise<StripeSource> {
  // Many objects are for measuring: pages as large as Stripe's, and no limit.
  const size = rows > MANY ? {requestsPerSecond: Infinity} : {pageCap: PAGE};
  const objects = table === undefined ? {objects: rows} : {objects: OBJECTS, objectsOf: {[table]: rows}};
  const {simulator, account} = await stripeSimulator({seed, ...objects, ...size});
  const source = simulatedSource(simulator, {
    connectionOptions: {api_key: STRIPE_KEY, base_url: simulator.url},
    wrongCredentials: {api_key: 'sk_live_wrongwrongwrong'},
    faults: FAULTS,
    withoutFaults: WITHOUT,
  });
  return {
    ...source,
    account,
    // Its 429 does not say how long to wait.
    violations: () => simulator.violations.map(({limit: name, path}) => `${path} came above the budget ${name}`),
  };
}

function accountOf(source: ProofSource): StripeAccount {
  if ('account' in source) return (source as StripeSource).account;
  throw new Error('The source is not that of Stripe.');
}

function times(count: number, act: (n: number) => void): void {
  for (let n = 0; n < count; n++) act(n);
}

let changes = 0;

function eventedMutations(kind: string): ProofMutations {
  const {updated, deleted} = STRIPE_KINDS[kind] ?? {};
  const update: ProofMutations['update'] = (source, count) => {
    for (const id of spreadOver(accountOf(source).ids(kind), count)) {
      // Twice in one second: the later event is the one that counts.
      accountOf(source).update(kind, id, {metadata: {change: String(changes++)}});
      accountOf(source).update(kind, id, {metadata: {change: String(changes++)}});
    }
  };
  const insert = (source: ProofSource, count: number): void => times(count, () => accountOf(source).create(kind));
  return {
    insert,
    ties: insert,
    ...(updated === null || updated === undefined ? {} : {update}),
    ...(deleted === undefined
      ? {}
      : {
          delete: (source, count) => {
            for (const id of spreadOver(accountOf(source).ids(kind), count)) {
              if (updated !== null) accountOf(source).update(kind, id, {metadata: {change: 'last'}});
              accountOf(source).remove(kind, id);
            }
          },
          recreate: (source, count) => times(count, () => accountOf(source).recreate(kind)),
        }),
  };
}

function evented(kind: string, more: Partial<ProofTable> = {}): ProofTable {
  return {
    pagingStyle: 'cursor',
    truth: (source) => accountOf(source).rows(kind),
    mutations: eventedMutations(kind),
    tracksDeletes: true,
    visibleAfterMs: VISIBLE_AFTER_MS,
    ...more,
  };
}

/** A table of children: its rows change with their parents. */
function children(kind: string, parent: string): ProofTable {
  const change =
    (what: 'add' | 'update' | 'remove'): ProofMutations['insert'] =>
    (source, count) => {
      const account = accountOf(source);
      const ids = account.ids(parent).filter((id) => what === 'add' || account.children(id).length > 0);
      for (const id of spreadOver(ids, count)) account.changeChildren(parent, id, what);
    };
  return evented(kind, {
    mutations: {
      insert: (source, count) => change('add')?.(source, count),
      update: (source, count) => change('update')?.(source, count),
      delete: (source, count) => change('remove')?.(source, count),
    },
  });
}

function withWrites(tables: ConnectorProof['tables']): ConnectorProof['tables'] {
  return Object.fromEntries(
    Object.entries(tables).map(([name, table]) => {
      const writes = STRIPE_WRITES[name];
      return [name, writes === undefined ? table : {...table, writes}];
    }),
  );
}

const EVENTED = Object.keys(STRIPE_KINDS).filter((kind) => kind !== 'balance_transactions');

/** Stripe's connector against the simulated Stripe. */
export const stripeProof: ConnectorProof = {
  definition: stripe,
  start,
  tables: withWrites({
    ...Object.fromEntries(EVENTED.map((kind) => [kind, evented(kind, {isPartitioned: true})])),
    subscription_items: children('subscription_items', 'subscriptions'),
    invoice_lines: children('invoice_lines', 'invoices'),
    balance_transactions: {
      pagingStyle: 'window',
      truth: (source) => accountOf(source).rows('balance_transactions'),
      mutations: {
        insert: (source, count) => times(count, () => accountOf(source).create('balance_transactions')),
        ties: (source, count) => times(count, () => accountOf(source).create('balance_transactions')),
        late: (source, count) => times(count, () => accountOf(source).createLate('balance_transactions', 3600)),
      },
      visibleAfterMs: VISIBLE_AFTER_MS,
      isPartitioned: true,
    },
    events: {
      pagingStyle: 'window',
      truth: (source) => accountOf(source).visibleEvents(),
      mutations: {
        insert: (source, count) => times(count, () => accountOf(source).create('customers')),
        ties: (source, count) => times(count, () => accountOf(source).create('customers')),
      },
      visibleAfterMs: VISIBLE_AFTER_MS,
      isPartitioned: true,
    },
  }),
};
