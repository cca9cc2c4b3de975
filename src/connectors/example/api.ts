import {seededRandom, type Clock, type PlainJson, type Random} from '../../sdk/index.ts';
import {fileState, memoryState, type ApiRow, type ApiState, type PlannedFault} from './api-state.ts';

/** How an {@link ExampleApi} is opened. */
export interface ExampleApiOptions {
  /** APIs of one name in one process share their data. */
  readonly connectionName: string;
  /** Keeps the data, so that other processes see it; default: memory. */
  readonly stateFile?: string;
  /** For the first data and the faults; default 42. */
  readonly seed?: number;
  /** ISO timestamp at which the first data begins; default: an hour ago. */
  readonly baseTime?: string;
  /** Rows in a row of the first data that share a stamp; default 1. */
  readonly ties?: number;
  /** Share of calls that fail with 429, 500 or 503; default 0. */
  readonly faultRate?: number;
  /** Stamps changes; default: the machine's. */
  readonly clock?: ApiClock;
}

/** What tells the API the time. */
export type ApiClock = Pick<Clock, 'nowMs'>;

/** What a call answers. */
export interface ApiResponse {
  readonly status: number;
  readonly body: {readonly [name: string]: PlainJson};
}

/** Parameters of a GET. */
export type ApiParams = Readonly<Record<string, string | number | undefined>>;

interface TableShape {
  readonly key: string;
  /** Null: the table has no stamp. */
  readonly cursor: string | null;
  readonly params: readonly string[];
  readonly pageSize: number;
  /** Not listed, without schema and metadata. */
  readonly hidden?: boolean;
  readonly columns: readonly (readonly [name: string, type: string, nullable: boolean])[];
}

const TABLES: Readonly<Record<string, TableShape>> = {
  products: {
    key: 'product_id',
    cursor: null,
    params: ['category', 'page'],
    pageSize: 20,
    columns: [
      ['product_id', 'string', false],
      ['name', 'string', false],
      ['category', 'string', false],
      ['price', 'double', true],
      ['stock', 'integer', true],
    ],
  },
  events: {
    key: 'event_id',
    cursor: 'created_at',
    params: ['since', 'limit', 'page'],
    pageSize: 50,
    columns: [
      ['event_id', 'string', false],
      ['event_type', 'string', false],
      ['user_id', 'integer', true],
      ['properties', 'struct<page:string,duration_ms:integer>', true],
      ['created_at', 'timestamp', false],
    ],
  },
  users: {
    key: 'user_id',
    cursor: 'updated_at',
    params: ['since', 'page'],
    pageSize: 15,
    columns: [
      ['user_id', 'integer', false],
      ['name', 'string', false],
      ['email', 'string', true],
      ['country', 'string', true],
      ['signed_up_on', 'date', true],
      ['updated_at', 'timestamp', false],
    ],
  },
  orders: {
    key: 'order_id',
    cursor: 'updated_at',
    params: ['since', 'user_id', 'status', 'page'],
    pageSize: 40,
    columns: [
      ['order_id', 'integer', false],
      ['user_id', 'integer', false],
      ['status', 'string', false],
      ['amount', 'decimal(12,2)', true],
      ['items', 'integer', true],
      ['updated_at', 'timestamp', false],
    ],
  },
  metrics: {
    key: 'metric_id',
    cursor: 'updated_at',
    params: ['since', 'until', 'page'],
    pageSize: 100,
    hidden: true,
    columns: [],
  },
};

const MACHINE_CLOCK: ApiClock = {nowMs: () => Date.now()};

const states = new Map<string, {readonly state: ApiState; readonly source: string}>();

/**
 * Opens the API of a connection. Data is made when it is opened for the first time; after that, seed, base time and
 * ties count no more.
 */
export function exampleApi(options: ExampleApiOptions): ExampleApi {
  return new ExampleApi(stateOf(options), options);
}

/** Forgets the data in memory of one connection, or of all. */
export function resetExampleApi(connectionName?: string): void {
  if (connectionName === undefined) states.clear();
  else states.delete(connectionName);
}

function stateOf(options: ExampleApiOptions): ApiState {
  const source = options.stateFile ?? '';
  const known = states.get(options.connectionName);
  if (known !== undefined && known.source === source) return known.state;
  const clock = options.clock ?? MACHINE_CLOCK;
  const baseMs = options.baseTime === undefined ? clock.nowMs() - 3_600_000 : Date.parse(options.baseTime);
  const seed = {seed: options.seed ?? 42, baseMs, ties: options.ties ?? 1};
  const state = options.stateFile === undefined ? memoryState(seed) : fileState(options.stateFile, seed);
  states.set(options.connectionName, {state, source});
  return state;
}

/**
 * A web API in memory with the ways of real ones: pages by number, an exclusive lower and an inclusive upper bound on
 * stamps, ascending order, a feed of deletes, faults. Stamps have milliseconds.
 */
export class ExampleApi {
  readonly #state: ApiState;
  readonly #clock: ApiClock;
  readonly #faultRate: number;
  readonly #random: Random;

  constructor(state: ApiState, options: ExampleApiOptions) {
    this.#state = state;
    this.#clock = options.clock ?? MACHINE_CLOCK;
    this.#faultRate = options.faultRate ?? 0;
    this.#random = seededRandom((options.seed ?? 42) + 1);
  }

  /** `/tables`, `/tables/{t}/schema`, `/tables/{t}/metadata`, `/tables/{t}/records`, `/tables/orders/deleted_records`. */
  get(path: string, params: ApiParams = {}): ApiResponse {
    const fault = this.#fault();
    if (fault !== null) return fault;
    const [root, table = '', what = '', ...rest] = path.split('/').filter((part) => part !== '');
    if (root !== 'tables' || rest.length > 0) return failure(404, `no route ${path}`);
    if (table === '') return answer({tables: Object.keys(TABLES).filter((name) => TABLES[name]?.hidden !== true)});
    const shape = TABLES[table];
    if (shape === undefined) return failure(404, `no table ${table}`);
    if (what === 'records') return this.#page(shape, this.#state.read().tables[table] ?? [], params);
    if (what === 'deleted_records' && table === 'orders')
      return this.#page(shape, this.#state.read().deletedOrders, params);
    if (shape.hidden === true) return failure(404, `no ${what} of ${table}`);
    if (what === 'schema')
      return answer({fields: shape.columns.map(([name, type, nullable]) => ({name, type, nullable}))});
    if (what !== 'metadata') return failure(404, `no route ${path}`);
    const metadata = {
      ...(table === 'events' ? {} : {primary_key: shape.key}),
      ...(shape.cursor === null ? {} : {cursor: shape.cursor}),
    };
    return answer(metadata);
  }

  /** `/tables/{t}/records`: adds a row, or replaces the one with its key; a table with a stamp stamps it with now. */
  post(path: string, row: ApiRow): ApiResponse {
    const fault = this.#fault();
    if (fault !== null) return fault;
    const [root, table = '', what] = path.split('/').filter((part) => part !== '');
    const shape = TABLES[table];
    if (root !== 'tables' || what !== 'records' || shape === undefined) return failure(404, `no route ${path}`);
    const key = row[shape.key];
    if (key === undefined || key === null) return failure(400, `${shape.key} is missing`);
    const data = this.#state.read();
    const rows = data.tables[table] ?? [];
    const stamped = shape.cursor === null ? row : {...row, [shape.cursor]: this.#now()};
    const isKnown = rows.some((other) => other[shape.key] === key);
    const next = [...rows.filter((other) => other[shape.key] !== key), stamped];
    const deletedOrders =
      table === 'orders' ? data.deletedOrders.filter((other) => other[shape.key] !== key) : data.deletedOrders;
    this.#state.write({...data, tables: {...data.tables, [table]: next}, deletedOrders});
    return {status: isKnown ? 200 : 201, body: {record: stamped}};
  }

  /** `/tables/orders/records/{id}`: removes an order and answers with its tombstone. */
  delete(path: string): ApiResponse {
    const fault = this.#fault();
    if (fault !== null) return fault;
    const [root, table, what, id] = path.split('/').filter((part) => part !== '');
    if (root !== 'tables' || table !== 'orders' || what !== 'records' || id === undefined)
      return failure(404, `no route ${path}`);
    const data = this.#state.read();
    const rows = data.tables['orders'] ?? [];
    const found = rows.find((row) => String(row['order_id']) === id);
    if (found === undefined) return failure(404, `no order ${id}`);
    const tombstone = {
      ...Object.fromEntries(Object.keys(found).map((name) => [name, null])),
      order_id: found['order_id'] ?? null,
      updated_at: this.#now(),
    };
    const orders = rows.filter((row) => row !== found);
    this.#state.write({...data, tables: {...data.tables, orders}, deletedOrders: [...data.deletedOrders, tombstone]});
    return answer({record: tombstone});
  }

  /** All rows of a table as they are now: the truth that tests compare with. */
  rows(table: string): readonly ApiRow[] {
    return this.#state.read().tables[table] ?? [];
  }

  #page(shape: TableShape, rows: readonly ApiRow[], params: ApiParams): ApiResponse {
    const given = Object.keys(params).filter((name) => params[name] !== undefined);
    const unknown = given.find((name) => !shape.params.includes(name));
    if (unknown !== undefined) return failure(400, `unsupported parameter ${unknown}`);
    const page = Number(params['page'] ?? 1);
    const limit = Math.min(Number(params['limit'] ?? shape.pageSize), shape.pageSize);
    if (!(page >= 1) || !(limit >= 1)) return failure(400, 'page and limit begin with 1');
    const matching = sorted(rows, shape).filter((row) =>
      given.every((name) => matches(row, shape, name, params[name])),
    );
    const records = matching.slice((page - 1) * limit, page * limit);
    return answer({records, next_page: page * limit < matching.length ? page + 1 : null});
  }

  #now(): string {
    return new Date(this.#clock.nowMs()).toISOString();
  }

  /** Lets calls fail, of this API and of all others of its connection in this process; null: no more. */
  plan(fault: PlannedFault | null): void {
    this.#state.planned = fault;
  }

  /** Puts rows in the place of those with their keys, stamped as they are; for what no write of the API does. */
  load(table: string, rows: readonly ApiRow[]): void {
    const key = TABLES[table]?.key ?? '';
    const data = this.#state.read();
    const keys = new Set(rows.map((row) => row[key]));
    const kept = (data.tables[table] ?? []).filter((row) => !keys.has(row[key]));
    this.#state.write({...data, tables: {...data.tables, [table]: [...kept, ...rows]}});
  }

  #fault(): ApiResponse | null {
    const {planned} = this.#state;
    if (planned !== null) {
      if (planned.after > 0) this.#state.planned = {...planned, after: planned.after - 1};
      else {
        this.#state.planned = planned.times > 1 ? {...planned, times: planned.times - 1} : null;
        return failure(planned.status, 'try again');
      }
    }
    if (this.#faultRate === 0 || this.#random() >= this.#faultRate) return null;
    const status = FAULTS[Math.floor(this.#random() * FAULTS.length)] ?? 500;
    return failure(status, 'try again');
  }
}

const FAULTS = [429, 500, 503];

function sorted(rows: readonly ApiRow[], {cursor, key}: TableShape): readonly ApiRow[] {
  const rank = (row: ApiRow): string =>
    `${cursor === null ? '' : String(row[cursor])} ${String(row[key]).padStart(12, '0')}`;
  return [...rows].sort((left, right) => (rank(left) < rank(right) ? -1 : 1));
}

function matches(row: ApiRow, shape: TableShape, name: string, value: string | number | undefined): boolean {
  if (name === 'page' || name === 'limit') return true;
  if (name !== 'since' && name !== 'until') return String(row[name]) === String(value);
  const stamp = Date.parse(String(row[shape.cursor ?? '']));
  const bound = Date.parse(String(value));
  return name === 'since' ? stamp > bound : stamp <= bound;
}

function answer(body: ApiResponse['body']): ApiResponse {
  return {status: 200, body};
}

function failure(status: number, error: string): ApiResponse {
  return {status, body: {error}};
}
