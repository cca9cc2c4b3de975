import {afterEach, describe, expect, it} from 'vitest';

import {seededRandom, systemClock} from '../core/clock.ts';
import {IngestError} from '../core/errors.ts';
import {installFailpoints, type FailpointName} from '../core/failpoint.ts';
import {requestSnapshot} from '../staging/next-read.ts';
import {recordProgress, type AppliedTable} from '../staging/staging.ts';
import {GATEWAY_FAILPOINTS} from '../testkit/gateway-steps.ts';
import type {ScriptedWrite} from '../testkit/scripted-log.ts';
import {makeGateway, type TestGateway} from './gateway.support.test.ts';

afterEach(() => installFailpoints(null));

describe('a gateway that dies', () => {
  it.each(GATEWAY_FAILPOINTS)('at %s loses and repeats nothing', async (step) => {
    await using gateway = await makeGateway({batchFrames: 4, chunkRows: 5, isResumable: step.length % 2 === 0});
    const {database} = gateway;
    database.createTable('orders');
    database.createTable('users');
    database.createTable('noise');
    const tables = (): Promise<readonly string[]> => Promise.resolve(['orders', 'users']);
    const write = writer(gateway, step.length);
    for (let count = 0; count < 30; count++) write();

    const died = dieAt(gateway, step);
    const running = gateway.start({tables, limits: {cutBytes: 300, sealMs: 1, retentionMs: 5, minAgeMs: 0}});
    // Machines are busy: what does not come by in hundreds of turns comes by later.
    const untilMs = performance.now() + 20_000;
    for (let count = 0; !died.is && performance.now() < untilMs; count++) {
      // Now and then nothing of ours is in the log.
      if (count % 40 < 30) write();
      else database.commit({table: 'noise', op: 'upsert', row: {id: count}});
      await new Promise((resolve) => setTimeout(resolve, count < 400 ? 4 : 40));
      if (count % 20 === 19) await applyAll(gateway).catch(() => undefined);
    }
    expect(died.is).toBe(true);
    await gateway.stop().catch(() => undefined);
    await running.catch(() => undefined);
    await died.bury();

    void gateway.start({tables, limits: {cutBytes: 300}});
    for (let count = 0; count < 10; count++) write();
    await gateway.settles('orders', 'users');
  });
});

/** Writes some transaction more: short, long, or of both tables. */
function writer({database}: TestGateway, seed: number): () => void {
  const random = seededRandom(seed);
  let serial = 0;
  const change = (): ScriptedWrite => {
    const table = random() < 0.7 ? 'orders' : 'users';
    const row = {id: Math.floor(random() * 40), value: `${serial++}`};
    if (random() < 0.01) return {table, op: 'truncate'};
    return {table, op: random() < 0.8 ? 'upsert' : 'delete', row};
  };
  return () => {
    const length = random() < 0.1 ? 30 : 1 + Math.floor(random() * 3);
    database.commit(...Array.from({length}, change));
  };
}

/** From the step on nothing that the process does reaches the store. */
function dieAt(gateway: TestGateway, step: FailpointName): {readonly is: boolean; bury(): Promise<void>} {
  let isDead = false;
  installFailpoints((name) => {
    if (name !== step && !isDead) return;
    if (!isDead) gateway.store.inject({fault: {kind: 'fail', systemCode: 'EIO'}, times: Number.MAX_SAFE_INTEGER});
    isDead = true;
    throw new IngestError('CANCELLED', `died at ${step}`, {class: 'bug'});
  });
  return {
    get is(): boolean {
      return isDead;
    },
    async bury(): Promise<void> {
      installFailpoints(null);
      gateway.store.heal();
      // A process that was killed holds no lease; this one lives on.
      for await (const {name} of gateway.store.list(`${gateway.staging.layout.lease}/`))
        await gateway.store.delete(name);
    },
  };
}

/** As if a pipeline had applied the last snapshots and asked for new ones: what is older may go. Fails once the gateway is dead. */
async function applyAll(gateway: TestGateway): Promise<void> {
  const {tables} = await gateway.state();
  const applied = new Map<string, AppliedTable>();
  for (const {name, table, snapshot} of tables.values()) {
    if (snapshot === null) continue;
    const {id, n, logFrom} = snapshot;
    applied.set(name, {table: table.id, snapshot: id, snapshotEntry: n, entry: logFrom - 1});
    await requestSnapshot(gateway.staging, {name, message: 'a full refresh', clock: systemClock});
  }
  await recordProgress(gateway.staging, {id: 'daily', updatedAt: 0, tables: applied});
}
