import {describe, expect, it} from 'vitest';

import {readPlans} from '../staging/snapshot-files.ts';
import {startWriter} from '../staging/staging.support.test.ts';
import type {ScriptedWrite} from '../testkit/scripted-log.ts';
import {contextOf, makeGateway, type TestGateway} from './gateway.support.test.ts';
import {runGateway} from './run-gateway.ts';
import {readStatus} from './status.ts';

describe('a gateway', () => {
  it('stages the rows that are there and every change after them', async () => {
    await using gateway = await makeGateway({chunkRows: 3});
    const {database} = gateway;
    database.createTable('orders');
    for (let id = 1; id <= 10; id++) database.commit({table: 'orders', op: 'upsert', row: {id, value: 'before'}});
    void gateway.start();
    await gateway.settles('orders');
    database.commit(
      {table: 'orders', op: 'upsert', row: {id: 3, value: 'changed'}},
      {table: 'orders', op: 'delete', row: {id: 4}},
    );
    database.commit({table: 'orders', op: 'upsert', row: {id: 11, value: 'new'}});
    await gateway.settles('orders');
    await gateway.stop();
    expect(gateway.events.map(({type}) => type)).toEqual([
      'started',
      'table_added',
      'streaming',
      'snapshot_started',
      'snapshot_finished',
      'stopped',
    ]);
  });

  it('acknowledges nothing that the manifest does not hold', async () => {
    await using gateway = await makeGateway();
    const {database, source, store} = gateway;
    database.createTable('orders');
    void gateway.start();
    await gateway.settles('orders');
    const before = database.position;
    store.inject({fault: {kind: 'slow', ms: 60}, method: 'put', name: /\.seg$/});
    database.commit({table: 'orders', op: 'upsert', row: {id: 1, value: 'a'}});
    await expect.poll(() => store.injected.length, {interval: 1}).toBe(1);
    expect(source.acknowledged.every((position) => position <= before)).toBe(true);
    await gateway.sealsAll();
    await expect.poll(() => source.acknowledged.at(-1)).toBe(database.position);
  });

  it('goes on where it stopped, and reads nothing twice', async () => {
    await using gateway = await makeGateway();
    const {database, source} = gateway;
    database.createTable('orders');
    database.commit({table: 'orders', op: 'upsert', row: {id: 1, value: 'a'}});
    void gateway.start();
    await gateway.settles('orders');
    await gateway.stop();
    const {end, epoch} = await gateway.state();
    database.commit({table: 'orders', op: 'upsert', row: {id: 2, value: 'b'}});
    void gateway.start();
    await gateway.settles('orders');
    expect(source.opened.at(-1)).toBe(end?.position);
    expect(source.chunksRead).toEqual(['orders/null']);
    expect((await gateway.state()).epoch).toBe(epoch);
  });

  it('hands over by visibility: a commit that the log told before snapshots saw it is neither lost nor taken twice', async () => {
    await using gateway = await makeGateway();
    const {database} = gateway;
    database.createTable('orders');
    let isPaused = true;
    void gateway.start({maySnapshot: () => !isPaused});
    await expect.poll(() => gateway.events.map(({type}) => type)).toContain('streaming');
    database.commit(upsert('orders', 1));
    const hidden = database.commitHidden(upsert('orders', 2));
    database.commit(upsert('orders', 3));
    await gateway.sealsAll();
    isPaused = false;
    await expect.poll(async () => (await gateway.state()).tables.get('orders')?.snapshot?.rows).toBe(2);
    database.show(hidden);
    await gateway.settles('orders');
  });

  it('goes on after a connection that was cut in the middle of a transaction of several segments', async () => {
    await using gateway = await makeGateway({batchFrames: 5});
    const {database, source} = gateway;
    database.createTable('orders');
    void gateway.start({limits: {cutBytes: 200}});
    await gateway.settles('orders');
    source.faults.cutAfterFrames = 40;
    database.commit(...Array.from({length: 60}, (_, id) => upsert('orders', id)));
    database.commit(upsert('orders', 100));
    await gateway.settles('orders');
    expect(gateway.events.map(({type}) => type)).toContain('retry');
  });

  it('waits while the staging is full, keeps the log at the source, and goes on when there is room', async () => {
    await using gateway = await makeGateway();
    const {database, source, store} = gateway;
    database.createTable('orders');
    void gateway.start();
    await gateway.settles('orders');
    const before = source.acknowledged.at(-1);
    store.inject({fault: {kind: 'fail', systemCode: 'ENOSPC'}, method: 'put', name: /\.seg$/, times: 1000});
    for (let id = 1; id <= 20; id++) database.commit(upsert('orders', id));
    await expect.poll(() => gateway.events.filter(({type}) => type === 'storage_full')).toHaveLength(1);
    expect(source.acknowledged.at(-1)).toBe(before);
    store.heal();
    await gateway.settles('orders');
    await expect.poll(() => gateway.events.map(({type}) => type)).toContain('storage_recovered');
  });

  it('takes up a table and stops, though staging is full', async () => {
    await using gateway = await makeGateway();
    const {database, store} = gateway;
    database.createTable('orders');
    const running = gateway.start({limits: {retryMs: 500, maxRetryMs: 500}});
    await gateway.settles('orders');
    store.inject({fault: {kind: 'fail', systemCode: 'ENOSPC'}, method: 'put', name: /\.seg$/, times: 1000});
    database.commit(upsert('orders', 1));
    await expect.poll(() => gateway.events.map(({type}) => type)).toContain('storage_full');
    database.createTable('users');
    await expect.poll(() => gateway.events.filter(({type}) => type === 'table_added')).toHaveLength(2);
    await gateway.stop();
    await running;
  });

  it('begins a new epoch when the log is lost: tables are read anew, and old snapshots stay until then', async () => {
    await using gateway = await makeGateway();
    const {database} = gateway;
    database.createTable('orders');
    database.commit(upsert('orders', 1));
    void gateway.start();
    await gateway.settles('orders');
    await gateway.stop();
    const before = await gateway.state();
    database.commit(upsert('orders', 2));
    database.forget();
    void gateway.start();
    await expect.poll(async () => (await gateway.state()).epoch).toBe(before.epoch + 1);
    await gateway.settles('orders');
    expect(gateway.events.find(({type}) => type === 'epoch_began')?.message).toContain('is gone');
    expect((await gateway.state()).tables.get('orders')?.reset).toBeNull();
  });

  it('begins a new epoch when the source is another server', async () => {
    await using gateway = await makeGateway();
    const {database} = gateway;
    database.createTable('orders');
    void gateway.start();
    await gateway.settles('orders');
    await gateway.stop();
    database.becomes({server: 'scripted', timeline: 1});
    void gateway.start();
    await expect.poll(async () => (await gateway.state()).epoch).toBe(2);
    await gateway.settles('orders');
  });

  it('takes up new tables, reads recreated ones anew and drops what is gone', async () => {
    await using gateway = await makeGateway();
    const {database} = gateway;
    database.createTable('orders');
    database.createTable('old');
    database.commit(upsert('orders', 1));
    void gateway.start();
    await gateway.settles('orders', 'old');
    database.createTable('users');
    database.commit(upsert('users', 7), upsert('orders', 2));
    await gateway.settles('users', 'orders');
    database.dropTable('orders');
    database.createTable('orders');
    database.dropTable('old');
    database.commit(upsert('orders', 9));
    await expect.poll(async () => [...(await gateway.state()).tables.keys()]).toEqual(['orders', 'users']);
    await gateway.settles('users', 'orders');
  });

  it('reads a table anew after a change that the log cannot tell', async () => {
    await using gateway = await makeGateway();
    const {database} = gateway;
    database.createTable('orders');
    void gateway.start();
    await gateway.settles('orders');
    const first = (await gateway.state()).tables.get('orders')?.snapshot?.n ?? 0;
    database.commit({table: 'orders', op: 'reset'}, upsert('orders', 1));
    await expect.poll(async () => (await gateway.state()).tables.get('orders')?.snapshot?.n).toBeGreaterThan(first);
    await gateway.settles('orders');
    expect(gateway.events.map(({type}) => type)).toContain('table_reset');
  });

  it('follows the others when a table is refused, and tells why', async () => {
    await using gateway = await makeGateway({refused: ['secret']});
    const {database} = gateway;
    database.createTable('orders');
    database.createTable('secret');
    void gateway.start();
    await gateway.settles('orders');
    await expect
      .poll(async () => await readStatus(gateway.staging))
      .toMatchObject({
        tables: [
          {name: 'orders', phase: 'streaming'},
          {name: 'secret', phase: 'blocked', message: 'secret cannot be followed.'},
        ],
      });
    expect(gateway.events.filter(({type}) => type === 'table_blocked')).toHaveLength(1);
  });

  it('reads no chunk twice that is durable, where chunks have views of their own', async () => {
    await using gateway = await makeGateway({isResumable: true, chunkRows: 2});
    const {database, source} = gateway;
    database.createTable('orders');
    for (let id = 0; id < 10; id++) database.commit(upsert('orders', id));
    let isPaused = true;
    const maySnapshot = (): boolean => !isPaused || source.chunksRead.length < 2;
    void gateway.start({maySnapshot, limits: {parallelChunks: 1}});
    // That a chunk was read does not say yet that it is durable.
    const durable = async (): Promise<number> => {
      const {table} = (await gateway.state()).tables.get('orders') ?? {};
      const [plan] = table === undefined ? [] : await readPlans(gateway.staging, table.id);
      return plan?.chunks.length ?? 0;
    };
    await expect.poll(durable).toBe(2);
    await gateway.stop();
    database.commit(upsert('orders', 1));
    isPaused = false;
    void gateway.start({maySnapshot});
    await gateway.settles('orders');
    expect(source.chunksRead.toSorted()).toEqual(['null', '2', '4', '6', '8'].map((id) => `orders/${id}`).toSorted());
    expect(gateway.events.map(({type}) => type)).toContain('snapshot_resumed');
  });

  it('starts a table again whose view ended with the process', async () => {
    await using gateway = await makeGateway({chunkRows: 2});
    const {database, source} = gateway;
    database.createTable('orders');
    for (let id = 0; id < 6; id++) database.commit(upsert('orders', id));
    source.faults.cutChunk = true;
    void gateway.start();
    await gateway.settles('orders');
    expect(gateway.events.filter(({type}) => type === 'snapshot_failed')).toHaveLength(1);
    const files: string[] = [];
    for await (const {name} of gateway.store.list(`${gateway.staging.layout.snapshots}16384/`)) files.push(name);
    expect(new Set(files.map((file) => file.split('/')[3])).size).toBe(1);
  });

  it('stops when another gateway writes into its staging', async () => {
    await using gateway = await makeGateway();
    const {database, store} = gateway;
    database.createTable('orders');
    const running = gateway.start();
    await gateway.settles('orders');
    await expect(runSecond(gateway)).rejects.toMatchObject({code: 'CONCURRENT_RUN'});
    // A lease that was taken away by hand, for example from a machine that was thought dead.
    const {manifest} = await startWriter(gateway.staging);
    await manifest.append({kind: 'advance', epoch: 1, end: {position: database.position, token: null}});
    database.commit(upsert('orders', 1));
    await expect(running).rejects.toMatchObject({code: 'CONCURRENT_RUN'});
    expect(store.injected).toEqual([]);
  });

  it('reads snapshots no faster than it may', async () => {
    await using gateway = await makeGateway({chunkRows: 5});
    const {database} = gateway;
    database.createTable('orders');
    database.commit(...Array.from({length: 40}, (_, id) => upsert('orders', id)));
    const startedAt = performance.now();
    void gateway.start({limits: {snapshotBytesPerSecond: 4000}});
    await gateway.settles('orders');
    const {bytes = 0} = (await gateway.state()).tables.get('orders')?.snapshot ?? {};
    expect(performance.now() - startedAt).toBeGreaterThan((bytes / 4000) * 1000 - 100);
    expect(bytes).toBeGreaterThan(800);
  });

  it('tells when the source is about to throw the log away, once, with the time that is left', async () => {
    await using gateway = await makeGateway();
    const {database, source} = gateway;
    database.createTable('orders');
    let bytesToDanger = 1_000_000;
    source.health = () => {
      bytesToDanger -= 1000;
      return Promise.resolve({state: bytesToDanger < 998_000 ? 'at_risk' : 'ok', retainedBytes: 5, bytesToDanger});
    };
    void gateway.start();
    await expect
      .poll(() => gateway.events.find(({type}) => type === 'health'))
      .toMatchObject({
        level: 'warning',
        facts: {retained_bytes: 5, seconds_to_danger: expect.any(Number) as number},
      });
    await gateway.stop();
    expect(gateway.events.filter(({type}) => type === 'health')).toHaveLength(1);
  });

  it('stops for good where the source as a whole cannot be followed, and waits where it does not answer', async () => {
    await using gateway = await makeGateway();
    const {database, source} = gateway;
    database.createTable('orders');
    source.faults.down = true;
    void gateway.start();
    await expect.poll(() => gateway.events.filter(({type}) => type === 'retry').length).toBeGreaterThan(2);
    source.faults.down = false;
    await gateway.settles('orders');
    await gateway.stop();
    source.preflight = () => Promise.resolve([{level: 'error', code: 'WAL_LEVEL', message: 'wal_level is replica'}]);
    await expect(gateway.start()).rejects.toMatchObject({code: 'UNSUPPORTED', context: {finding: 'WAL_LEVEL'}});
  });

  it('keeps an idle source alive and writes its progress down', async () => {
    await using gateway = await makeGateway();
    const {database, source} = gateway;
    database.createTable('orders');
    database.createTable('noise');
    void gateway.start({tables: () => Promise.resolve(['orders']), limits: {heartbeatMs: 20}});
    await gateway.settles('orders');
    for (let id = 1; id < 5; id++) database.commit(upsert('noise', id));
    await gateway.sealsAll();
    await expect.poll(() => source.acknowledged.at(-1)).toBe(database.position);
    await expect.poll(() => source.heartbeats).toBeGreaterThan(1);
  });
});

function upsert(table: string, id: number): ScriptedWrite {
  return {table, op: 'upsert', row: {id, value: `v${id}`}};
}

function runSecond(gateway: TestGateway): Promise<void> {
  return runGateway({
    source: gateway.source,
    staging: gateway.staging,
    tables: () => Promise.resolve([]),
    context: contextOf(new AbortController().signal),
    random: () => 0.5,
    onEvent: () => undefined,
  });
}
