import {
  createHttpClient,
  type ConnectorDefinition,
  type ErrorRule,
  frameworkOptions,
  type OptionValue,
  type RestCall,
  restConnector,
  type RestTable,
} from '../../sdk/index.ts';
import {BILLING_COLUMNS} from './billing-columns.ts';
import {CATALOG_COLUMNS} from './catalog-columns.ts';
import {everyRow, readEvented} from './evented-reader.ts';
import {EVENTED_TABLES, type EventedTable} from './evented-table.ts';
import {listParts, oldestSecond} from './list-parts.ts';
import {PAYMENTS_COLUMNS} from './payments-columns.ts';
import {pagedListing} from './stripe-list.ts';
import {epochSchema} from './table-schema.ts';

const COLUMNS = {...CATALOG_COLUMNS, ...BILLING_COLUMNS, ...PAYMENTS_COLUMNS};
/** The version that the columns are those of. */
const API_VERSION = '2026-10-28.endive';
const DAY_SECONDS = 86_400;
/** Stripe keeps events for 30 days; one more for clocks. */
const EVENT_DAYS = 31;

/** Stripe: lists once, then its log of events; two tables that have no events by windows of time. */
export const stripe: ConnectorDefinition = restConnector({
  name: 'stripe',
  displayName: 'Stripe',
  description:
    'Customers, products, subscriptions, invoices, payments and the balance of a Stripe account, with every change and delete of them.',
  connection: {
    api_key: {
      type: 'string',
      required: true,
      secret: true,
      description: 'Secret key, or a restricted key that may read the chosen tables and events.',
    },
    account: {
      type: 'string',
      description: 'Id of a connected account (acct_...) to read instead of the account of the key.',
    },
    api_version: {
      type: 'string',
      default: API_VERSION,
      description:
        'Version of the API that is asked for. Fields that other versions add or lack are not columns or NULL.',
    },
    base_url: {type: 'string', default: 'https://api.stripe.com', description: 'Where the API is.'},
    requests_per_second: {
      type: 'integer',
      min: 1,
      description: "Requests per second; default: Stripe's own limits, 100 with a live key, 25 with a test key.",
    },
  },
  client: (options, create) =>
    createHttpClient(
      {
        baseUrl: String(options['base_url']),
        auth: {kind: 'bearer', token: String(options['api_key'])},
        headers: {
          'stripe-version': String(options['api_version']),
          ...(typeof options['account'] === 'string' ? {'stripe-account': options['account']} : {}),
        },
        errors: ERRORS,
        rate: {requestsPerSecond: requestsPerSecond(options)},
      },
      create,
    ),
  check: {url: '/v1/events', query: {limit: 1}},
  table: {
    start_timestamp: {
      type: 'string',
      description:
        'Only objects that were created since this time, like 2026-01-31T12:00:00Z, and those that change later.',
    },
  },
  tables: [...EVENTED_TABLES.map(eventedTable), balanceTransactions(), events()],
});

/** @see https://docs.stripe.com/error-low-level, https://docs.stripe.com/rate-limits */
const ERRORS: readonly ErrorRule[] = [
  {when: {status: 429, body: {path: 'error.code', equals: 'lock_timeout'}}, then: 'retry'},
  {when: {status: 429}, then: 'rateLimit', minWaitSeconds: 1},
  {when: {status: 409, header: {name: 'stripe-should-retry', equals: 'true'}}, then: 'retry'},
  {
    when: {status: 401},
    then: 'fail',
    code: 'AUTH_FAILED',
    fix: 'Correct the option "api_key" of the connection: Dashboard, Developers, API keys.',
  },
  {
    when: {status: 403},
    then: 'fail',
    code: 'PERMISSION_DENIED',
    fix: 'Give the restricted key "read" for this resource and for events, or check the option "account".',
  },
];

function eventedTable(table: EventedTable): RestTable {
  const {name, description, path, passes = [], children, volatile} = table;
  const [only = {}] = passes;
  return {
    name,
    description,
    primaryKeys: ['id'],
    ingestionType: 'cdc',
    schema: epochSchema(COLUMNS[name] ?? ''),
    options: frameworkOptions(['lookback_seconds']),
    ...(volatile === undefined ? {} : {volatileColumns: volatile}),
    read: {
      kind: 'custom',
      read: (start, call) => readEvented(table, start, call),
      changes: {sequence: 'timestamp'},
      everything: (call) => everyRow(table, call),
      ...(children === undefined ? {parts: listParts(table)} : {}),
    },
    ...(children === undefined && passes.length <= 1
      ? {deletes: {kind: 'keyScan', list: pagedListing({url: path, query: only})}}
      : {}),
  };
}

/** Has no events; only `status` and `available_on` change, within days: they are read again. */
function balanceTransactions(): RestTable {
  return {
    name: 'balance_transactions',
    description: 'Everything that moved the balance.',
    primaryKeys: ['id'],
    cursorField: 'created',
    ingestionType: 'cdc',
    schema: epochSchema(COLUMNS['balance_transactions'] ?? ''),
    read: {
      kind: 'window',
      format: 'epoch_seconds',
      lagSeconds: 60,
      lookbackSeconds: 7 * DAY_SECONDS,
      start: async (call) => {
        const until = nowSeconds(call);
        return (await oldestSecond('/v1/balance_transactions', {until}, call)) ?? until;
      },
      stepSeconds: 7 * DAY_SECONDS,
      list: windowListing('/v1/balance_transactions'),
    },
  };
}

function events(): RestTable {
  return {
    name: 'events',
    description: 'The log of events; Stripe keeps 30 days of it.',
    primaryKeys: ['id'],
    cursorField: 'created',
    ingestionType: 'append',
    schema: epochSchema(COLUMNS['events'] ?? ''),
    read: {
      kind: 'window',
      format: 'epoch_seconds',
      lagSeconds: 120,
      start: (call) => Promise.resolve(nowSeconds(call) - EVENT_DAYS * DAY_SECONDS),
      stepSeconds: DAY_SECONDS,
      list: windowListing('/v1/events'),
    },
  };
}

function windowListing(path: string): ReturnType<typeof pagedListing> {
  return {
    ...pagedListing({url: path}),
    request: ({window}) => ({
      url: path,
      query: {limit: 100, 'created[gte]': window?.from, 'created[lt]': window?.to},
    }),
  };
}

function nowSeconds({ctx}: RestCall): number {
  return Math.floor(ctx.clock.nowMs() / 1000);
}

function requestsPerSecond(options: Readonly<Record<string, OptionValue>>): number {
  const given = options['requests_per_second'];
  if (typeof given === 'number') return given;
  return /^[a-z]+_test_/.test(String(options['api_key'])) ? 25 : 100;
}
