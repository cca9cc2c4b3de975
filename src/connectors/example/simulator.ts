import type {JsonObject, PlainJson} from '../../sdk/index.ts';
import {standingClock} from '../../testkit/index.ts';
import type {ConnectorProof, ProofFault, ProofMutations, ProofSource, ProofTable} from '../../testkit/index.ts';
import type {ApiRow} from './api-state.ts';
import {exampleApi, resetExampleApi, type ExampleApi} from './api.ts';
import {example} from './index.ts';

const START_MS = Date.parse('2026-01-31T12:00:00Z');
/** Early enough that no row of the first data lies ahead. */
const BASE_TIME = '2026-01-31T06:00:00Z';

/** The example API with its state at hand. */
interface ExampleSource extends ProofSource {
  readonly api: ExampleApi;
}

const KEYS: Readonly<Record<string, string>> = {
  products: 'product_id',
  events: 'event_id',
  users: 'user_id',
  orders: 'order_id',
  metrics: 'metric_id',
};

let sources = 0;

function start(seed: number): ExampleSource {
  const connectionName = `example-proof-${sources++}`;
  const clock = standingClock(START_MS);
  const api = exampleApi({connectionName, clock, seed, baseTime: BASE_TIME, ties: 4});
  return {
    api,
    connectionName,
    connectionOptions: {username: 'u', password: 'correct horse', seed, fault_rate: 0},
    clock,
    faults: [429, 500, 503].map((status) => planned(api, status)),
    [Symbol.asyncDispose]: () => {
      resetExampleApi(connectionName);
      return Promise.resolve();
    },
  };
}

function planned(api: ExampleApi, status: number): ProofFault {
  return {
    name: `status ${status}`,
    inject: ({after, times}) => api.plan({status, after, times}),
    clear: () => api.plan(null),
  };
}

function apiOf(source: ProofSource): ExampleApi {
  if ('api' in source) return (source as ExampleSource).api;
  throw new Error('The source is not that of the example.');
}

/** The rows as the API has them. */
function rowsOf(source: ProofSource, table: string): readonly ApiRow[] {
  return apiOf(source).rows(table);
}

function keyed(table: string, id: number): PlainJson {
  if (table === 'products') return `P-${String(id).padStart(4, '0')}`;
  if (table === 'events') return `E-${String(id).padStart(6, '0')}`;
  return id;
}

/** A row like the first one, with a key of its own. */
function newRow(source: ProofSource, table: string, id: number): ApiRow {
  return {...rowsOf(source, table)[0], [KEYS[table] ?? '']: keyed(table, id)};
}

function post(source: ProofSource, table: string, row: ApiRow): void {
  apiOf(source).post(`/tables/${table}/records`, row);
}

let fresh = 10_000;

function mutations(
  table: string,
  changed: {readonly field: string; readonly value: (n: number) => PlainJson} | null,
): ProofMutations {
  const many = (count: number, act: (n: number) => void): void => {
    for (let n = 0; n < count; n++) act(n);
  };
  const update: ProofMutations['update'] = (source, count) => {
    if (changed === null) return;
    const rows = rowsOf(source, table);
    const step = Math.max(1, Math.floor(rows.length / count));
    many(Math.min(count, rows.length), (n) =>
      post(source, table, {...rows[n * step], [changed.field]: changed.value(fresh++)}),
    );
  };
  return {
    ...(changed === null ? {} : {update}),
    insert: (source, count) => many(count, () => post(source, table, newRow(source, table, fresh++))),
    ties: (source, count) => many(count, () => post(source, table, newRow(source, table, fresh++))),
  };
}

function table(name: string, pagingStyle: string, changed: Parameters<typeof mutations>[1]): ProofTable {
  return {
    pagingStyle,
    truth: (source): readonly JsonObject[] => rowsOf(source, name),
    mutations: mutations(name, changed),
  };
}

function deletable(proof: ProofTable): ProofTable {
  const gone: ApiRow[] = [];
  return {
    ...proof,
    mutations: {
      ...proof.mutations,
      delete: (source, count) => {
        for (const row of rowsOf(source, 'orders').slice(3, 3 + count)) {
          gone.push(row);
          apiOf(source).delete(`/tables/orders/records/${String(row['order_id'])}`);
        }
      },
      recreate: (source, count) => {
        for (const row of gone.splice(0, count)) post(source, 'orders', row);
      },
    },
    writes: {
      insert: (source) => {
        const row = newRow(source, 'orders', fresh++);
        post(source, 'orders', row);
        return Promise.resolve({order_id: row['order_id'] ?? null});
      },
      update: (source, key) => {
        const row = rowsOf(source, 'orders').find((each) => each['order_id'] === key['order_id']);
        post(source, 'orders', {...row, status: 'returned'});
        return Promise.resolve({status: 'returned'});
      },
      delete: (source, key) => {
        apiOf(source).delete(`/tables/orders/records/${String(key['order_id'])}`);
        return Promise.resolve();
      },
    },
  };
}

/** The example proves itself against its own API in memory. */
export const exampleProof: ConnectorProof = {
  definition: example,
  start: ({seed}) => Promise.resolve(start(seed)),
  tables: {
    products: table('products', 'page', {field: 'stock', value: (n) => n}),
    events: table('events', 'keyset', null),
    users: table('users', 'keyset', {field: 'name', value: (n) => `Renamed ${n}`}),
    orders: deletable(table('orders', 'keyset', {field: 'items', value: (n) => n})),
    metrics: {...table('metrics', 'window', {field: 'host', value: (n) => `h${n}`}), isPartitioned: true},
  },
  exclude: {
    'generic: refuses wrong credentials with AUTH_FAILED and shows no secret':
      'the API in memory accepts any name and password',
  },
};
