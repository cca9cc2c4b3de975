import type {Socket} from 'node:net';
import {connect, createServer} from 'node:net';

import pg from 'pg';
import {afterAll, beforeAll, expect, it} from 'vitest';

import {LogFollower} from '../../../test/follow-log.ts';
import type {TestDatabase} from '../../../test/pg-database.ts';
import {createDatabase} from '../../../test/pg-database.ts';
import type {PostgresServer} from '../../../test/postgres.ts';
import {startPostgres} from '../../../test/postgres.ts';
import {testContext} from '../../../test/read-context.ts';
import {systemClock} from '../../core/clock.ts';
import {isIngestError, isRetryable} from '../../sdk/index.ts';
import {parseLsn} from '../../wire/pg/replication.ts';
import {PostgresChangeLog} from './change-log.ts';
import {pgCodec} from './log-codec.ts';
import {connectionOptions} from './session.ts';

const SENDER_TIMEOUT_MS = 1000;
const TABLE = ['public.t'];
let server: PostgresServer;
let database: TestDatabase;
let count = 0;

beforeAll(async () => {
  // Small segments, so that a slot falls behind its limit soon.
  server = await startPostgres({
    wal_sender_timeout: `${SENDER_TIMEOUT_MS}ms`,
    max_slot_wal_keep_size: '64MB',
    max_wal_size: '64MB',
    min_wal_size: '32MB',
  });
  database = await createDatabase(server.url, 'pg_faults');
  await database.run('create table t (id serial primary key, v text)');
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await server.close();
});

function source(
  options: {readonly port?: number; readonly gatewayId?: string} = {},
): PostgresChangeLog & AsyncDisposable {
  const {port = server.port, gatewayId = `fault_${++count}`} = options;
  const log = new PostgresChangeLog(connectionOptions({...database.options, port}, 'test'), {gatewayId});
  return Object.assign(log, {
    [Symbol.asyncDispose]: async () => {
      await database.run(
        `select pg_terminate_backend(active_pid) from pg_replication_slots where active_pid is not null`,
      );
      await expect
        .poll(() =>
          log.release(testContext()).then(
            () => true,
            () => false,
          ),
        )
        .toBe(true);
      await log.close();
    },
  });
}

async function now(): Promise<bigint> {
  const [row] = await database.texts('select pg_current_wal_insert_lsn()');
  return parseLsn(row?.[0] ?? '') ?? 0n;
}

async function insert(rows: number, length = 200): Promise<void> {
  await database.run(
    `insert into t (v) select repeat(md5(i::text), ${Math.ceil(length / 32)}) from generate_series(1, ${rows}) i`,
  );
}

async function errorOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => null,
    (error: unknown) => error,
  );
}

/** A relay that can be cut after so many bytes of the server, or fall silent. */
async function relay(): Promise<AsyncDisposable & {readonly port: number; cutAfter: number; isSilent: boolean}> {
  const sockets = new Set<Socket>();
  const state = {port: 0, cutAfter: Infinity, isSilent: false};
  const listener = createServer((client) => {
    const upstream = connect(server.port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        if (state.isSilent) return;
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', (bytes) => state.isSilent || upstream.write(bytes));
    upstream.on('data', (bytes) => {
      if (state.isSilent) return;
      state.cutAfter -= bytes.length;
      if (state.cutAfter >= 0) client.write(bytes);
      else client.end(bytes.subarray(0, bytes.length + state.cutAfter), () => client.destroy());
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  state.port = typeof address === 'object' && address !== null ? address.port : 0;
  return Object.assign(state, {
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  });
}

it('a slow reader keeps its connection, while it reads and while it waits', async () => {
  await using log = source();
  const from = await log.prepare(TABLE, testContext());
  await insert(40_000);
  const end = await now();
  await using reader = await log.openLog(from, TABLE, testContext());
  const follower = new LogFollower(pgCodec);
  let pauses = 0;
  for await (const batch of reader.batches()) {
    follower.add(batch);
    if (pauses++ < 2) await new Promise((resolve) => setTimeout(resolve, 2 * SENDER_TIMEOUT_MS));
    if (follower.end !== null && follower.end.position >= end) break;
  }
  expect(follower.transactions[0]?.changes).toHaveLength(40_000);
});

it('an idle log stays open for longer than the timeout', async () => {
  await using log = source();
  const from = await log.prepare(TABLE, testContext());
  await using reader = await log.openLog(from, TABLE, testContext());
  const follower = new LogFollower(pgCodec);
  setTimeout(() => void insert(1), 3 * SENDER_TIMEOUT_MS);
  for await (const batch of reader.batches()) {
    follower.add(batch);
    if (follower.transactions.length > 0) break;
  }
});

it('a network that is cut in mid-frame fails so that a retry helps, and nothing is missing or twice then', async () => {
  await using network = await relay();
  await using log = source({port: network.port});
  const from = await log.prepare(TABLE, testContext());
  for (let round = 0; round < 20; round++) await insert(50);
  const end = await now();
  const follower = new LogFollower(pgCodec);
  let cuts = 0;
  for (let attempt = 0; ; attempt++) {
    network.cutAfter = attempt > 12 ? Infinity : 30_011 * (attempt + 1);
    const reading = async (): Promise<void> => {
      const start = follower.end ?? from;
      await using reader = await log.openLog(start, TABLE, testContext());
      follower.restart();
      await follower.readTo(reader, end);
    };
    const error = await errorOf(reading());
    if (error === null) break;
    expect(isRetryable(error), String(error)).toBe(true);
    cuts++;
  }
  expect(cuts).toBeGreaterThan(3);
  expect(follower.transactions.map(({changes}) => changes.length)).toEqual(Array.from({length: 20}, () => 50));
});

it('a server that falls silent is given up after twice its timeout', async () => {
  await using network = await relay();
  await using log = source({port: network.port});
  const from = await log.prepare(TABLE, testContext());
  await using reader = await log.openLog(from, TABLE, testContext());
  network.isSilent = true;
  const startedAt = Date.now();
  const error = await errorOf(new LogFollower(pgCodec).readTo(reader, 2n ** 60n));
  network.isSilent = false;
  expect(String(error)).toContain('silent');
  expect(isIngestError(error, 'CONNECTION_FAILED') && isRetryable(error), String(error)).toBe(true);
  expect(Date.now() - startedAt).toBeGreaterThan(1.5 * SENDER_TIMEOUT_MS);
  expect(Date.now() - startedAt).toBeLessThan(6 * SENDER_TIMEOUT_MS);
});

it('a sender that the server ends can be opened again', async () => {
  await using log = source();
  const from = await log.prepare(TABLE, testContext());
  await insert(3);
  await using reader = await log.openLog(from, TABLE, testContext());
  const follower = new LogFollower(pgCodec);
  await follower.readTo(reader, await now());
  const failing = errorOf(follower.readTo(reader, 2n ** 60n));
  await database.run('select pg_terminate_backend(active_pid) from pg_replication_slots where active_pid is not null');
  expect(isRetryable(await failing)).toBe(true);
  await insert(2);
  await using second = await log.openLog(follower.end ?? from, TABLE, testContext());
  await follower.readTo(second, await now());
  expect(follower.transactions.map(({changes}) => changes.length)).toEqual([3, 2]);
});

it.each(['fast', 'immediate'] as const)('a server that is restarted (%s) goes on where the reader was', async (how) => {
  await using own = await startPostgres({fsync: 'on'});
  const client = new pg.Client(own.url);
  client.on('error', () => undefined);
  await client.connect();
  await client.query('create table t (id serial primary key)');
  const options = {host: own.host, port: own.port, database: 'postgres', user: 'postgres'};
  const log = new PostgresChangeLog(connectionOptions(options, 'test'), {gatewayId: 'restarted'});
  const from = await log.prepare(TABLE, testContext());
  await client.query('insert into t default values');
  const follower = new LogFollower(pgCodec);
  await using reader = await log.openLog(from, TABLE, testContext());
  const reading = errorOf(
    (async () => {
      for await (const batch of reader.batches()) {
        follower.add(batch);
        // A server that is asked to stop waits until its log is acknowledged.
        if (batch.end !== null) reader.acknowledge(batch.end);
      }
    })(),
  );
  await expect.poll(() => follower.transactions.length).toBe(1);
  const startedAt = Date.now();
  await own.restart(how);
  expect(Date.now() - startedAt).toBeLessThan(10_000);
  const error = await reading;
  expect(isRetryable(error), String(error)).toBe(true);
  const second = new pg.Client(own.url);
  await second.connect();
  await second.query('insert into t default values');
  const {rows} = await second.query<{lsn: string}>('select pg_current_wal_insert_lsn() as lsn');
  await second.end();
  await using next = await log.openLog(follower.end ?? from, TABLE, testContext());
  await follower.readTo(next, parseLsn(rows[0]?.lsn ?? '') ?? 0n);
  expect(follower.transactions.map(({changes}) => changes.length)).toEqual([1, 1]);
  await log.close();
});

it('says who reads from the slot when it is taken, and opens it when that one has gone', async () => {
  await using log = source();
  const from = await log.prepare(TABLE, testContext());
  const first = await log.openLog(from, TABLE, testContext());
  const [row] = await database.texts('select active_pid from pg_replication_slots where active_pid is not null');
  const hurried = {...systemClock, sleep: () => Promise.resolve()};
  const error = await errorOf(log.openLog(from, TABLE, testContext({clock: hurried})));
  expect(isIngestError(error, 'CONCURRENT_RUN') && error.context['pid']).toBe(Number(row?.[0]));
  setTimeout(() => void first[Symbol.asyncDispose](), 300);
  await using second = await log.openLog(from, TABLE, testContext());
  await insert(1);
  await new LogFollower(pgCodec).readTo(second, await now());
});

it('a slot that is gone, ahead of us, or made anew is a lost log', async () => {
  await using log = source();
  const ctx = testContext();
  const from = await log.prepare(TABLE, ctx);
  const slot = `sluice_fault_${count}`;
  const lost = async (): Promise<boolean> => isIngestError(await errorOf(log.openLog(from, TABLE, ctx)), 'LOG_LOST');
  expect(await lost()).toBe(false);
  await database.run('select pg_terminate_backend(active_pid) from pg_replication_slots where active_pid is not null');
  await expect
    .poll(() => database.texts(`select active::text from pg_replication_slots where slot_name = '${slot}'`))
    .toEqual([['false']]);
  await insert(10);
  await database.run(`select pg_replication_slot_advance('${slot}', pg_current_wal_lsn())`);
  expect(await lost()).toBe(true);
  await database.run(`select pg_drop_replication_slot('${slot}')`);
  expect(await lost()).toBe(true);
  expect((await log.health(ctx)).state).toBe('missing');
  expect((await log.prepare(TABLE, ctx)).position).toBeGreaterThan(from.position);
  expect(await lost()).toBe(true);
  // Without its publication the slot is of no use: the server would read the log as if nothing was published.
  const again = await log.prepare(TABLE, ctx);
  await database.run(`drop publication ${slot}`);
  await insert(1);
  const anew = await log.prepare(TABLE, ctx);
  expect(anew.position).toBeGreaterThan(again.position);
  await using reader = await log.openLog(anew, TABLE, ctx);
  await insert(1);
  const follower = new LogFollower(pgCodec);
  await follower.readTo(reader, await now());
  expect(follower.transactions).toHaveLength(1);
});

it('tells how far a slot is from losing its log, and that it has', async () => {
  await using log = source();
  const ctx = testContext();
  const from = await log.prepare(TABLE, ctx);
  const first = await log.health(ctx);
  expect(first).toMatchObject({state: 'ok', bytesToDanger: expect.any(Number) as number});
  const seen = new Set<string>();
  for (let round = 0; round < 12 && !seen.has('lost'); round++) {
    await insert(100, 100_000);
    await database.run('select pg_switch_wal(); checkpoint');
    seen.add((await log.health(ctx)).state);
  }
  expect([...seen].at(-1)).toBe('lost');
  expect(isIngestError(await errorOf(log.openLog(from, TABLE, ctx)), 'LOG_LOST')).toBe(true);
  const findings = await log.preflight([], ctx);
  expect(findings.map(({code}) => code)).toEqual(['SLOT', 'SLOT_WAL_LIMIT']);
  const anew = await log.prepare(TABLE, ctx);
  expect(anew.position).toBeGreaterThan(from.position);
  expect((await log.health(ctx)).state).toBe('ok');
});
