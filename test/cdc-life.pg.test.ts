import {readdir, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi} from 'vitest';

import {systemClock} from '../src/core/clock.ts';
import type {GatewayEvent} from '../src/gateway/options.ts';
import {loadPipelines} from '../src/runtime/config/load-pipelines.ts';
import {runContinuously} from '../src/runtime/gateway/continuous.ts';
import {gatewayLag} from '../src/runtime/gateway/inspect-staging.ts';
import {removeGateway, runGatewayHere} from '../src/runtime/gateway/run-gateway.ts';
import {runUpdateHere} from '../src/runtime/update.ts';
import {Shop} from './cdc-shop.ts';
import {startPostgres, type PostgresServer} from './postgres.ts';
import {startCli} from './run-cli.ts';

let server: PostgresServer;
let shop: Shop;

beforeAll(async () => {
  server = await startPostgres();
});
afterAll(async () => {
  await server.close();
});
beforeEach(async () => {
  shop = await Shop.open(server);
});
afterEach(async () => {
  await shop[Symbol.asyncDispose]();
});

describe('a pipeline that is its own gateway', () => {
  test('deletes what it has applied once that is an hour old, and needs none of it', async () => {
    await shop.sql('CREATE TABLE quiet (id int PRIMARY KEY, name text); INSERT INTO quiet VALUES (1, $$one$$)');
    const bundle = shop.bundle({definition: {objects: [{schema: {source_schema: 'public'}}]}});
    await shop.run(bundle);
    await shop.sql(`UPDATE orders SET note = repeat('y', 500)`);
    await shop.run(bundle);
    const before = await stagedFiles();
    expect(before.filter((name) => name.includes('/snap/'))).not.toEqual([]);
    expect(before.filter((name) => name.endsWith('.seg'))).not.toEqual([]);
    await shop.run(bundle);
    expect(await stagedFiles()).toEqual(expect.arrayContaining([...before]));

    const nowMs = systemClock.nowMs.bind(systemClock);
    vi.spyOn(systemClock, 'nowMs').mockImplementation(() => nowMs() + 2 * 3_600_000);
    await shop.sql('UPDATE orders SET total = total + 1 WHERE id < 100');
    await shop.run(bundle);
    const after = await stagedFiles();
    expect(after.filter((name) => before.includes(name) && /\/snap\/|\.seg$/.test(name))).toEqual([]);
    expect(shop.notes.filter((note) => note.includes('GATEWAY_RETIRED'))).toHaveLength(1);
    await shop.sql(`DELETE FROM orders WHERE id = 4; INSERT INTO quiet VALUES (2, 'two')`);
    await shop.run(bundle);
    await shop.expectEqual('orders');
    await shop.expectEqual('quiet');
    expect(shop.notes.filter((note) => /TABLE_RESET|EPOCH_BEGAN/.test(note))).toEqual([]);
  }, 180_000);

  test('of a database that is idle needs nothing that it has deleted, and reads a table anew in the run that is asked to', async () => {
    await shop.sql('CREATE TABLE quiet (id int PRIMARY KEY, name text); INSERT INTO quiet VALUES (1, $$one$$)');
    const bundle = shop.bundle({definition: {objects: [{schema: {source_schema: 'public'}}]}});
    const first = await shop.run(bundle);
    // Compared at the same time: one of them stages for both.
    expect(first.flows.map(({verdict}) => verdict)).toEqual(['equal', 'equal']);
    const nowMs = systemClock.nowMs.bind(systemClock);
    vi.spyOn(systemClock, 'nowMs').mockImplementation(() => nowMs() + 2 * 3_600_000);
    await shop.run(bundle);
    expect((await stagedFiles()).filter((name) => name.includes('/snap/'))).toEqual([]);
    expect((await shop.run(bundle)).flows.map(({rowsRead}) => rowsRead)).toEqual([0, 0]);
    const anew = await shop.run(bundle, {fullRefresh: ['main.shop.quiet']});
    expect(anew.flows.map(({sourceTable, rowsRead}) => `${sourceTable} ${rowsRead}`).toSorted()).toEqual([
      'public.orders 0',
      'public.quiet 1',
    ]);
    await shop.sql(`INSERT INTO quiet VALUES (2, 'two'); DELETE FROM orders WHERE id = 4`);
    await shop.run(bundle);
    await shop.expectEqual('orders');
    await shop.expectEqual('quiet');
    expect(shop.notes.filter((note) => /EPOCH_BEGAN|DAMAGED|EXPIRED/.test(note))).toEqual([]);
  }, 180_000);

  test('keeps its rows up to date without a trigger, and stops cleanly', async () => {
    const {pipelines} = await loadPipelines({
      data: shop.bundle({pipeline: {continuous: true}}),
      variables: {},
      cwd: shop.lake,
      env: {},
    });
    const [spec] = pipelines;
    if (spec === undefined) throw new Error('no pipeline');
    expect(spec.changeLog).toMatchObject({isContinuous: true, isIntegrated: true});
    const stop = new AbortController();
    const options = {
      lake: shop.lake,
      signal: stop.signal,
      tables: [],
      fullRefresh: false,
      onUpdate: shop.note,
    };
    const running = runContinuously(spec, options, runUpdateHere);
    await shop.becomesEqual();
    await shop.sql(
      `UPDATE orders SET total = 0 WHERE id < 50; DELETE FROM orders WHERE id = 7; INSERT INTO orders VALUES (900, 'new', 1, NULL)`,
    );
    await shop.becomesEqual();
    stop.abort(new Error('stopped by hand'));
    await running;
    // The slot is free, and so are the leases: whoever comes next goes on at once.
    expect(await shop.sql('SELECT active FROM pg_replication_slots')).toEqual([{active: false}]);
    await shop.sql('UPDATE orders SET total = 5 WHERE id = 8');
    await shop.run();
    await shop.expectEqual();
  }, 180_000);
});

test('a continuous pipeline ends whole and soon at Ctrl-C', async () => {
  const file = `${shop.lake}.yml`;
  await writeFile(file, JSON.stringify(shop.bundle({pipeline: {continuous: true}})));
  const running = startCli(['run', file, '--lake', shop.lake, '--json']);
  await shop.becomesEqual();
  await shop.sql('UPDATE orders SET total = 0 WHERE id < 50');
  running.kill('SIGINT');
  expect((await running.ended).code).toBe(130);
  expect(await shop.sql('SELECT active FROM pg_replication_slots')).toEqual([{active: false}]);
  await shop.run();
  await shop.expectEqual();
}, 180_000);

test('a run that waits for its tables is no defect when it is stopped', async () => {
  const file = `${shop.lake}.yml`;
  await writeFile(file, JSON.stringify(shop.bundle()));
  const held = shop.sql('BEGIN; LOCK TABLE orders; SELECT pg_sleep(60)').catch(() => undefined);
  const running = startCli(['run', file, '--lake', shop.lake]);
  const waiting = (): Promise<unknown> => shop.sql('SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted');
  await vi.waitFor(async () => expect(await waiting()).toEqual([{n: 1}]), {timeout: 30_000, interval: 100});
  running.kill('SIGINT');
  expect(await running.ended).toMatchObject({code: 130, stderr: expect.stringContaining('[CANCELLED]') as string});
  await shop.sql(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND pid <> pg_backend_pid()`,
  );
  await held;
}, 60_000);

test('a run outside of full_refresh_window goes on with the log and does not wait for what is to be read anew', async () => {
  await shop.sql('CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1)');
  await shop.run(shop.bundle({definition: {objects: [{schema: {source_schema: 'public'}}]}}));
  await shop.sql('ALTER TABLE late ADD COLUMN v int DEFAULT 5');
  await shop.sql('INSERT INTO late VALUES (2, 6); UPDATE orders SET total = 0 WHERE id < 50');
  const closed = (new Date(systemClock.nowMs()).getUTCHours() + 10) % 24;
  const bundle = (start: number): object =>
    shop.bundle({
      definition: {objects: [{schema: {source_schema: 'public'}}], full_refresh_window: {start_hour: start}},
    });
  await shop.run(bundle(closed));
  await shop.expectEqual('orders');
  expect(shop.notes.filter((note) => note.includes('late is read by a run within full_refresh_window'))).toHaveLength(
    1,
  );
  await shop.run(bundle(new Date(systemClock.nowMs()).getUTCHours()));
  await shop.expectEqual('late');
}, 120_000);

describe('a gateway', () => {
  test('that is removed takes its slot, publication and staging along, and nothing of others', async () => {
    await shop.run();
    await shop.sql(`SELECT pg_create_logical_replication_slot('of_somebody_else', 'pgoutput')`);
    await shop.sql('CREATE PUBLICATION of_somebody_else FOR TABLE orders');
    expect(await shop.sql('SELECT slot_name FROM pg_replication_slots')).toHaveLength(2);
    expect(await stagedFiles()).not.toEqual([]);
    await removeGateway(await shop.gateway(), {lake: shop.lake, signal: new AbortController().signal});
    expect(await shop.sql('SELECT slot_name FROM pg_replication_slots')).toEqual([{slot_name: 'of_somebody_else'}]);
    expect(await shop.sql('SELECT pubname FROM pg_publication')).toEqual([{pubname: 'of_somebody_else'}]);
    expect(await stagedFiles()).toEqual([]);
    await shop.expectEqual();
    // A pipeline that comes back reads its tables anew, also what was changed between and stands in no log.
    await shop.sql('DELETE FROM orders WHERE id = 3');
    await shop.run();
    await shop.expectEqual();
    // Nor is it deceived by a staging area that somebody deleted, and another with entries of the same numbers.
    await shop.sql('UPDATE orders SET total = 4 WHERE id = 4');
    await shop.run();
    await rm(join(shop.lake, '_sluice', 'staging'), {recursive: true});
    await shop.dropSlots();
    await shop.sql('DELETE FROM orders WHERE id = 5; UPDATE orders SET total = 6 WHERE id = 6');
    await shop.run();
    await shop.sql('UPDATE orders SET total = 7 WHERE id = 7');
    await shop.run();
    await shop.expectEqual();
  }, 180_000);

  test('that was given a slot and a publication leaves them when it is removed', async () => {
    await shop.sql('CREATE PUBLICATION given FOR TABLE orders');
    await shop.sql(`SELECT pg_create_logical_replication_slot('given', 'pgoutput')`);
    const slots = {slot_config: {slot_name: 'given', publication_name: 'given'}};
    const bundle = shop.bundle({definition: {source_configurations: [{catalog: {postgres: slots}}]}});
    await shop.run(bundle);
    await shop.sql('UPDATE orders SET total = 1 WHERE id = 1');
    await shop.run(bundle);
    await shop.expectEqual();
    await removeGateway(await shop.gateway(bundle), {lake: shop.lake, signal: new AbortController().signal});
    expect(await shop.sql('SELECT slot_name FROM pg_replication_slots')).toEqual([{slot_name: 'given'}]);
    expect(await shop.sql('SELECT pubname FROM pg_publication')).toEqual([{pubname: 'given'}]);
  }, 180_000);

  test('says how many changes are staged that nobody has applied', async () => {
    const bundle = shop.bundle();
    const lag = (): ReturnType<typeof gatewayLag> => gatewayLag({lake: shop.lake, gatewayId: 'shop'});
    await shop.run(bundle);
    expect(await lag()).toMatchObject({lag: {rows: 0}, tables: [{name: 'public.orders', notApplied: 0}]});
    const stop = new AbortController();
    const running = runGatewayHere(await shop.gateway(bundle), {
      lake: shop.lake,
      signal: stop.signal,
      onEvent: () => undefined,
      limits: {sealMs: 20},
    });
    await shop.sql('UPDATE orders SET total = 9 WHERE id <= 9');
    await expect.poll(lag, {timeout: 20_000}).toMatchObject({lag: {rows: 9}, tables: [{notApplied: 9}]});
    stop.abort(new Error('the test goes on'));
    await running;
    await shop.run(bundle);
    expect(await lag()).toMatchObject({lag: {rows: 0}});
  }, 180_000);

  test('works as its settings say: how fast, how much room, and how long it keeps what is applied', async () => {
    const plain = shop.bundle();
    await shop.run(plain);
    const snapshots = async (): Promise<readonly string[]> =>
      (await stagedFiles()).filter((name) => name.includes('/snap/'));
    expect(await snapshots()).not.toEqual([]);
    await removeGateway(await shop.gateway(plain), {lake: shop.lake, signal: new AbortController().signal});
    const [{bytes = 0} = {}] = await shop.sql('SELECT sum(pg_column_size(orders))::int AS bytes FROM orders');
    const megabytes = Number(bytes) / 1e6;
    const settings = {
      snapshot_megabytes_per_second: megabytes / 2,
      staging_keep_hours: 0,
      staging_compression: 'brotli',
    };
    const tuned = shop.bundle({pipeline: {gateway_settings: settings}});
    const startedAt = performance.now();
    await shop.run(tuned);
    expect(performance.now() - startedAt).toBeGreaterThan(1000);
    await shop.sql('UPDATE orders SET total = 8 WHERE id = 8');
    await shop.run(tuned);
    await shop.expectEqual();
    expect(await snapshots()).toEqual([]);
  }, 180_000);

  test('reads no snapshot outside of its window, while the log goes on', async () => {
    // Ten hours from now: the window of five hours is closed, and stays closed.
    const closed = (new Date(systemClock.nowMs()).getUTCHours() + 10) % 24;
    const bundle = shop.bundle({definition: {full_refresh_window: {start_hour: closed, time_zone_id: 'UTC'}}});
    const events: GatewayEvent[] = [];
    const stop = new AbortController();
    let end = 0n;
    const running = runGatewayHere(await shop.gateway(bundle), {
      lake: shop.lake,
      signal: stop.signal,
      onEvent: (event) => events.push(event),
      onState: (state) => {
        end = state.end?.position ?? 0n;
      },
      limits: {sealMs: 20},
    });
    await expect.poll(() => events.map(({type}) => type), {timeout: 20_000}).toContain('streaming');
    const before = end;
    await shop.sql('UPDATE orders SET total = 9 WHERE id <= 9');
    await expect.poll(() => end > before, {timeout: 20_000}).toBe(true);
    expect(events.map(({type}) => type)).not.toContain('snapshot_started');
    // The window opens: what was committed before is seen by the snapshot, and taken once.
    const nowMs = systemClock.nowMs.bind(systemClock);
    vi.spyOn(systemClock, 'nowMs').mockImplementation(() => nowMs() + 10 * 3_600_000);
    await expect.poll(() => events.map(({type}) => type), {timeout: 20_000}).toContain('snapshot_finished');
    stop.abort(new Error('the test is over'));
    await running;
    vi.restoreAllMocks();
    await shop.sql('UPDATE orders SET total = 10 WHERE id = 10');
    await shop.run(bundle);
    await shop.expectEqual();
  }, 180_000);
});

/** Everything in staging but leases. */
async function stagedFiles(): Promise<readonly string[]> {
  const folder = join(shop.lake, '_sluice', 'staging', 'shop');
  const found = await readdir(folder, {recursive: true, withFileTypes: true}).catch(() => []);
  const names = found.filter((entry) => entry.isFile()).map(({parentPath, name}) => join(parentPath, name));
  return names.filter((name) => !name.includes('/lease/'));
}
