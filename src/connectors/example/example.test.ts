import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import fc from 'fast-check';
import {afterEach, describe, expect, it} from 'vitest';

import {
  isRetryable,
  offsetsEqual,
  seededRandom,
  type Connector,
  type Offset,
  type Page,
  type PlainJson,
  type ReadContext,
  type TableOptions,
} from '../../sdk/index.ts';
import {exampleApi, resetExampleApi, type ExampleApi} from './api.ts';
import {example} from './index.ts';

const NOW = Date.parse('2026-01-31T12:00:00Z');

/** A clock that only moves when somebody waits. */
function testClock(): {
  nowMs: () => number;
  nowMicros: () => bigint;
  sleep: (ms: number) => Promise<void>;
  advance: (ms: number) => void;
} {
  let now = NOW;
  return {
    nowMs: () => now,
    nowMicros: () => BigInt(now) * 1000n,
    sleep: (ms) => {
      now += Math.ceil(ms);
      return Promise.resolve();
    },
    advance: (ms) => {
      now += ms;
    },
  };
}

interface Bench {
  readonly connectionName: string;
  readonly connector: Connector;
  readonly api: ExampleApi;
  readonly clock: ReturnType<typeof testClock>;
  context(maxRows: number): ReadContext;
}

let benches = 0;

function bench(options: Readonly<Record<string, string | number>> = {}): Bench {
  const clock = testClock();
  const connectionName = `test-${benches++}`;
  const all = {
    username: 'u',
    password: 'p',
    seed: 42,
    ties: 1,
    fault_rate: 0,
    base_time: '2026-01-31T07:00:00Z',
    ...options,
  };
  const connector = example.create({options: all, clock, random: seededRandom(1), connectionName});
  const stateFile = options['state_file'];
  const api = exampleApi({connectionName, clock, ...(typeof stateFile === 'string' ? {stateFile} : {})});
  const context = (maxRows: number): ReadContext => ({
    signal: new AbortController().signal,
    clock,
    log: {debug: () => undefined, info: () => undefined, warn: () => undefined},
    files: {list: () => Promise.resolve([]), inferSchema: () => Promise.reject(new Error('no files'))},
    progress: () => undefined,
    limits: {maxRows, maxBytes: 1 << 20},
    triggerStartedAt: clock.nowMicros(),
    isFirstCall: true,
    ledger: {get: () => Promise.resolve(new Map()), put: () => undefined},
  });
  return {connector, api, clock, context, connectionName};
}

type Row = Readonly<Record<string, unknown>>;
type Read = (start: Offset | null, ctx: ReadContext) => AsyncGenerator<Page, Offset | null>;

/** What the framework does: reads until nothing is new, tries again after passing errors, ends a batch at a page's offset when `cut` says so. */
async function readAll(
  read: Read,
  context: () => ReadContext,
  start: Offset | null,
  cut: () => boolean = () => false,
): Promise<{rows: Row[]; end: Offset | null; offsets: (Offset | null)[]}> {
  const rows: Row[] = [];
  const offsets: (Offset | null)[] = [start];
  let offset = start;
  for (let calls = 0; calls < 2000; calls++) {
    const batch = await readBatch(read(offset, context()), cut).catch((error: unknown) => {
      if (isRetryable(error)) return null;
      throw error;
    });
    if (batch === null) continue;
    rows.push(...batch.rows);
    if (batch.end === null || offsetsEqual(batch.end, offset)) return {rows, end: batch.end ?? offset, offsets};
    offset = batch.end;
    offsets.push(offset);
  }
  throw new Error('the read does not end');
}

async function readBatch(
  generator: ReturnType<Read>,
  cut: () => boolean,
): Promise<{readonly rows: readonly Row[]; readonly end: Offset | null}> {
  const rows: Row[] = [];
  for (;;) {
    const step = await generator.next();
    if (step.done === true) return {rows, end: step.value};
    rows.push(...rowsOf(step.value));
    const offset = Array.isArray(step.value) ? undefined : (step.value as {readonly offset?: Offset}).offset;
    if (offset === undefined || !cut()) continue;
    await generator.return(offset);
    return {rows, end: offset};
  }
}

function rowsOf(page: Page): readonly Row[] {
  if (Array.isArray(page)) return page as readonly Row[];
  const kinded = page as Exclude<Page, readonly unknown[]>;
  return kinded.kind === 'records' ? kinded.rows : [];
}

function byKey(rows: readonly Row[], key: string): Map<unknown, Row> {
  const merged = new Map<unknown, Row>();
  for (const row of rows) {
    const known = merged.get(row[key]);
    if (known === undefined || String(known['updated_at']) <= String(row['updated_at'])) merged.set(row[key], row);
  }
  return merged;
}

function sortedRows(rows: Iterable<Row>, key: string): readonly Row[] {
  return [...rows].sort((left, right) => (String(left[key]) < String(right[key]) ? -1 : 1));
}

const KEYS = {
  products: 'product_id',
  users: 'user_id',
  orders: 'order_id',
  metrics: 'metric_id',
  events: 'event_id',
} as const;

afterEach(() => {
  resetExampleApi();
});

describe('the example connector', () => {
  it('lists five tables, the hidden one among them, with schema and metadata', async () => {
    const {connector, context} = bench();
    const ctx = context(100);
    expect(await connector.listTables(ctx)).toEqual(['products', 'events', 'users', 'orders', 'metrics']);
    const types: Record<string, string> = {};
    for (const table of Object.keys(KEYS)) {
      expect((await connector.getTableSchema(table, {}, ctx)).fields.length).toBeGreaterThan(3);
      types[table] = (await connector.readTableMetadata(table, {}, ctx)).ingestionType;
    }
    expect(types).toEqual({
      products: 'snapshot',
      users: 'cdc',
      orders: 'cdc_with_deletes',
      metrics: 'cdc',
      events: 'append',
    });
  });

  it('refuses a table that is not there and says which is meant', async () => {
    const {connector, context} = bench();
    await expect(connector.getTableSchema('user', {}, context(10))).rejects.toMatchObject({
      code: 'UNKNOWN_TABLE',
      fix: 'Did you mean "users"?',
    });
  });

  it('gives equal data for equal seeds', () => {
    expect(bench({seed: 7}).api.rows('orders')).toEqual(bench({seed: 7}).api.rows('orders'));
    expect(bench({seed: 7}).api.rows('orders')).not.toEqual(bench({seed: 8}).api.rows('orders'));
  });

  it('delivers every row of every table, whatever the faults, ties, batch sizes and cuts', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          table: fc.constantFrom('products', 'users', 'orders', 'metrics', 'events'),
          seed: fc.integer({min: 0, max: 1000}),
          ties: fc.constantFrom(1, 2, 10, 16, 60, 1000),
          faultRate: fc.constantFrom(0, 0.03, 0.2),
          maxRows: fc.constantFrom(1, 2, 7, 15, 40, 1000),
          limit: fc.constantFrom(1, 7, 50),
          windowSeconds: fc.constantFrom(60, 1000, 100_000),
        }),
        async ({table, seed, ties, faultRate, maxRows, limit, windowSeconds}) => {
          const {connector, api, context} = bench({seed, ties, fault_rate: faultRate});
          const random = seededRandom(seed);
          const options: TableOptions = {limit, window_seconds: windowSeconds};
          const {rows} = await readAll(
            (start, ctx) => connector.readTable(table, start, options, ctx),
            () => context(maxRows),
            null,
            () => random() < 0.3,
          );
          const key = KEYS[table as keyof typeof KEYS];
          const truth = api
            .rows(table)
            .filter((row) => table !== 'metrics' || Date.parse(String(row['updated_at'])) < NOW);
          const got = table === 'events' || table === 'products' ? rows : [...byKey(rows, key).values()];
          expect(sortedRows(got, key)).toEqual(sortedRows(truth, key));
        },
      ),
      {numRuns: 40},
    );
  });

  it('continues from every offset without losing what is left', async () => {
    for (const table of ['users', 'orders', 'metrics', 'events'] as const) {
      const {connector, api, context} = bench({ties: 10});
      const read: Read = (start, ctx) => connector.readTable(table, start, {limit: 7, window_seconds: 600}, ctx);
      const whole = await readAll(read, () => context(5), null);
      const truth = sortedRows(api.rows(table), KEYS[table]);
      expect(sortedRows(byKey(whole.rows, KEYS[table]).values(), KEYS[table])).toEqual(truth);
      for (const offset of whole.offsets) {
        const rest = await readAll(read, () => context(9), offset);
        expect(rest.end).toEqual(whole.end);
        const before = stampOf(offset);
        const later = truth.filter((row) => stampOfRow(row) > before);
        const delivered = new Set(rest.rows.map((row) => row[KEYS[table]]));
        expect(later.every((row) => delivered.has(row[KEYS[table]]))).toBe(true);
      }
    }
  });

  it('sees changes and new rows of a later trigger, also with the stamp that was read last', async () => {
    const {connector, api, clock, context} = bench();
    const read: Read = (start, ctx) => connector.readTable('users', start, {}, ctx);
    api.post('/tables/users/records', {user_id: 100, name: 'first'});
    const first = await readAll(read, () => context(10), null);
    api.post('/tables/users/records', {user_id: 101, name: 'same millisecond'});
    const second = await readAll(read, () => context(10), first.end);
    expect(second.rows.map((row) => row['user_id'])).toContain(101);
    clock.advance(5);
    api.post('/tables/users/records', {user_id: 1, name: 'renamed'});
    const third = await readAll(read, () => context(10), second.end);
    expect(third.rows.map((row) => row['name'])).toContain('renamed');
  });

  it('delivers no event twice and none too few when events share the stamp read last', async () => {
    const {connector, api, context} = bench();
    const read: Read = (start, ctx) => connector.readTable('events', start, {limit: 3}, ctx);
    for (let id = 0; id < 5; id++) api.post('/tables/events/records', {event_id: `N-${id}`, event_type: 'login'});
    const first = await readAll(read, () => context(4), null);
    for (let id = 5; id < 9; id++) api.post('/tables/events/records', {event_id: `N-${id}`, event_type: 'login'});
    const second = await readAll(read, () => context(4), first.end);
    expect(second.rows.map((row) => row['event_id'])).toEqual(['N-5', 'N-6', 'N-7', 'N-8']);
    expect((await readAll(read, () => context(4), second.end)).rows).toEqual([]);
  });

  it('gives tombstones of deleted orders until they come back', async () => {
    const {connector, api, clock, context} = bench();
    const deletes: Read = (start, ctx) => {
      if (connector.readTableDeletes === undefined) throw new Error('no deletes');
      return connector.readTableDeletes('orders', start, {}, ctx);
    };
    expect((await readAll(deletes, () => context(2), null)).rows).toEqual([]);
    for (const id of [3, 5, 8]) expect(api.delete(`/tables/orders/records/${id}`).status).toBe(200);
    const first = await readAll(deletes, () => context(2), null);
    expect([...byKey(first.rows, 'order_id').keys()]).toEqual([3, 5, 8]);
    expect(first.rows.every((row) => row['status'] === null && row['updated_at'] === new Date(NOW).toISOString())).toBe(
      true,
    );
    clock.advance(1);
    api.post('/tables/orders/records', {order_id: 5, user_id: 1, status: 'open', amount: '1.00', items: 1});
    const rows = await readAll(
      (start, ctx) => connector.readTable('orders', start, {}, ctx),
      () => context(40),
      null,
    );
    expect(byKey(rows.rows, 'order_id').has(5)).toBe(true);
    expect(byKey(rows.rows, 'order_id').has(3)).toBe(false);
    expect((await readAll(deletes, () => context(2), first.end)).rows.map((row) => row['order_id'])).toEqual(
      [8, 3].sort(),
    );
  });

  it('leaves rows of the future for later triggers', async () => {
    const {connector, api, clock, context} = bench({base_time: '2026-01-31T11:00:00Z'});
    const read: Read = (start, ctx) => connector.readTable('metrics', start, {}, ctx);
    const first = await readAll(read, () => context(1000), null);
    expect(first.rows.length).toBeLessThan(api.rows('metrics').length);
    clock.advance(24 * 3_600_000);
    const second = await readAll(read, () => context(1000), first.end);
    const ids = new Set([...first.rows, ...second.rows].map((row) => row['metric_id']));
    expect(ids.size).toBe(api.rows('metrics').length);
  });

  it('starts metrics at the wanted time, itself included', async () => {
    const {connector, api, context} = bench();
    const from = String(api.rows('metrics')[20]?.['updated_at']);
    const {rows} = await readAll(
      (start, ctx) => connector.readTable('metrics', start, {start_timestamp: from}, ctx),
      () => context(1000),
      null,
    );
    expect(rows.length).toBe(api.rows('metrics').length - 20);
  });

  it('reads again as far as lookback_seconds says, and refuses options that do nothing for a table', async () => {
    for (const [table, key] of [
      ['users', 'user_id'],
      ['metrics', 'metric_id'],
    ] as const) {
      const {connector, api, clock, context, connectionName} = bench();
      const read = async (start: Offset | null, options: TableOptions): ReturnType<typeof readAll> =>
        readAll(
          (at, ctx) => connector.readTable(table, at, options, ctx),
          () => context(1000),
          start,
        );
      clock.advance(3_600_000);
      api.post(`/tables/${table}/records`, {...api.rows(table)[0], [key]: 900});
      clock.advance(1_000);
      const {end} = await read(null, {});
      const behind = exampleApi({connectionName, clock: {nowMs: () => clock.nowMs() - 600_000}});
      behind.post(`/tables/${table}/records`, {...api.rows(table)[0], [key]: 901});
      clock.advance(5_000);
      const ids = async (options: TableOptions): Promise<readonly unknown[]> =>
        (await read(end, options)).rows.map((row) => row[key]);
      expect(await ids({})).not.toContain(901);
      expect(await ids({lookback_seconds: 1200})).toContain(901);
      await expect(connector.readTableMetadata(table, {status: 'paid'}, context(1))).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        context: {table, option: 'status'},
      });
    }
  });

  it('filters on the side of the source', async () => {
    const {connector, api, context} = bench();
    const products = await readAll(
      (start, ctx) => connector.readTable('products', start, {category: 'toys'}, ctx),
      () => context(10),
      null,
    );
    expect(products.rows.length).toBe(api.rows('products').filter((row) => row['category'] === 'toys').length);
    const orders = await readAll(
      (start, ctx) => connector.readTable('orders', start, {status: 'paid', user_id: 3}, ctx),
      () => context(10),
      null,
    );
    const wanted = api.rows('orders').filter((row) => row['status'] === 'paid' && row['user_id'] === 3);
    expect(byKey(orders.rows, 'order_id').size).toBe(wanted.length);
  });

  it('gives up after five faults in a row with an error that may be tried again', async () => {
    const {connector, context} = bench({fault_rate: 1});
    const [error] = await Promise.allSettled([connector.listTables(context(1))]);
    expect(error).toMatchObject({
      status: 'rejected',
      reason: {class: expect.stringMatching(/transient|throttled/) as unknown},
    });
  });

  it('shares its data with other processes through a file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-example-'));
    try {
      const stateFile = join(folder, 'shop.json');
      const {connector, context} = bench({state_file: stateFile});
      const read: Read = (start, ctx) => connector.readTable('orders', start, {}, ctx);
      const first = await readAll(read, () => context(100), null);
      // Another name stands for another process.
      const elsewhere = exampleApi({connectionName: 'elsewhere', stateFile, clock: {nowMs: () => NOW + 60_000}});
      elsewhere.post('/tables/orders/records', {order_id: 1000, user_id: 1, status: 'open', amount: null, items: null});
      const second = await readAll(read, () => context(100), first.end);
      expect(second.rows.map((row) => row['order_id'])).toContain(1000);
    } finally {
      rmSync(folder, {recursive: true, force: true});
    }
  });
});

function stampOf(offset: Offset | null): string {
  const stamp: PlainJson | undefined = offset?.['cursor'] ?? offset?.['until'] ?? offset?.['created_at'];
  return typeof stamp === 'string' ? stamp : '';
}

function stampOfRow(row: Row): string {
  return String(row['updated_at'] ?? row['created_at']);
}
