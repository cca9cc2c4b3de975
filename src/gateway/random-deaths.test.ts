import {setTimeout as sleep} from 'node:timers/promises';

import {afterEach, describe, it} from 'vitest';

import {seededRandom, systemClock, type Random} from '../core/clock.ts';
import {IngestError} from '../core/errors.ts';
import {installFailpoints} from '../core/failpoint.ts';
import {requestSnapshot} from '../staging/next-read.ts';
import {GATEWAY_FAILPOINTS} from '../testkit/gateway-steps.ts';
import type {ScriptedWrite} from '../testkit/scripted-log.ts';
import {makeGateway, type TestGateway} from './gateway.support.test.ts';
import type {GatewayLimits} from './options.ts';

afterEach(() => installFailpoints(null));

const SEEDS = [1, 2, 3];

describe('a gateway that dies again and again, on a source that changes and a store that fails', () => {
  it.each(SEEDS)('loses and repeats nothing, seed %d', {timeout: 60_000}, async (seed) => {
    const random = seededRandom(seed);
    const upTo = (limit: number): number => Math.floor(random() * limit);
    const isResumable = random() < 0.5;
    await using gateway = await makeGateway({batchFrames: 2 + upTo(10), chunkRows: 2 + upTo(10), isResumable});
    for (const table of ['orders', 'users', 'noise']) gateway.database.createTable(table);
    const writer = new RandomWriter(gateway, random);
    for (let count = 0; count < 40; count++) writer.write();
    const tables = (): Promise<readonly string[]> =>
      Promise.resolve(gateway.database.tables.filter((table) => table !== 'noise'));
    const limits: Partial<GatewayLimits> = {
      cutBytes: 200 + upTo(2000),
      sealBytes: 100 + upTo(3000),
      sealMs: 1 + upTo(10),
      retentionMs: 20,
      minAgeMs: 0,
      parallelTables: 1 + upTo(3),
      parallelChunks: 1 + upTo(4),
      logCompression: random() < 0.3 ? 'brotli' : 'none',
    };
    for (let death = 0; death < 4; death++) {
      const step = dieAtRandom(gateway, random);
      const running = gateway.start({tables, limits});
      for (let count = 0; count < 60 && !step.isDead; count++) {
        await trouble(gateway, writer, random);
        await sleep(1 + upTo(6));
      }
      await gateway.stop().catch((error: unknown) => step.isDead || Promise.reject(error as Error));
      await running.catch(() => undefined);
      await step.bury();
    }
    void gateway.start({tables, limits});
    for (let count = 0; count < 10; count++) writer.write();
    writer.showAll();
    await gateway.settles('orders', 'users');
  });
});

/** Writes what a database may see; some transactions are seen by snapshots only later. */
class RandomWriter {
  readonly #gateway: TestGateway;
  readonly #random: Random;
  #hidden: number[] = [];
  #serial = 0;

  constructor(gateway: TestGateway, random: Random) {
    this.#gateway = gateway;
    this.#random = random;
  }

  write(): void {
    const {database} = this.#gateway;
    const length = this.#random() < 0.1 ? 40 : 1 + Math.floor(this.#random() * 3);
    if (this.#random() < 0.1) {
      // Until it is seen a transaction holds its locks: nobody else writes its rows meanwhile.
      const row = {id: 1000 + this.#serial++, value: 'seen later'};
      this.#hidden.push(database.commitHidden({table: 'orders', op: 'upsert', row}));
      return;
    }
    const changes = Array.from({length}, () => this.#change());
    if (changes.some(({op}) => op === 'truncate') || this.#random() < 0.3) this.showAll();
    database.commit(...changes);
  }

  showAll(): void {
    for (const number of this.#hidden.splice(0)) this.#gateway.database.show(number);
  }

  #change(): ScriptedWrite {
    const table = this.#random() < 0.6 ? 'orders' : this.#random() < 0.8 ? 'users' : 'noise';
    if (this.#random() < 0.01) return {table, op: this.#random() < 0.5 ? 'truncate' : 'reset'};
    const row = {id: Math.floor(this.#random() * 60), value: `${this.#serial++}`};
    return {table, op: this.#random() < 0.8 ? 'upsert' : 'delete', row};
  }
}

/** Something that may happen at any time, mostly a write. */
async function trouble(
  {database, source, store, staging}: TestGateway,
  writer: RandomWriter,
  random: Random,
): Promise<void> {
  const isUnlucky = (share: number): boolean => random() < share;
  const name = /manifest|seg$|snap/;
  const method = isUnlucky(0.5) ? 'putIfAbsent' : 'put';
  if (isUnlucky(0.7)) writer.write();
  if (isUnlucky(0.02)) source.faults.cutAfterFrames = Math.floor(random() * 20);
  if (isUnlucky(0.02)) source.faults.cutChunk = true;
  if (isUnlucky(0.02)) store.inject({fault: {kind: 'lost-answer'}, name, method});
  if (isUnlucky(0.02)) store.inject({fault: {kind: 'fail', systemCode: 'ENOSPC'}, name, method, times: 3});
  if (isUnlucky(0.005)) database.forget();
  if (isUnlucky(0.005)) {
    database.dropTable('users');
    database.createTable('users');
  }
  // Fails once the gateway is dead.
  if (isUnlucky(0.01))
    await requestSnapshot(staging, {name: 'orders', message: 'why', clock: systemClock}).catch(() => undefined);
}

/** From some pass of some step on nothing that the process does reaches the store. */
function dieAtRandom({store, staging}: TestGateway, random: Random): {readonly isDead: boolean; bury(): Promise<void>} {
  const step = GATEWAY_FAILPOINTS[Math.floor(random() * GATEWAY_FAILPOINTS.length)];
  let passes = 1 + Math.floor(random() * 8);
  let isDead = false;
  installFailpoints((name) => {
    if (!isDead && (name !== step || --passes > 0)) return;
    if (!isDead) store.inject({fault: {kind: 'fail', systemCode: 'EIO'}, times: Number.MAX_SAFE_INTEGER});
    isDead = true;
    throw new IngestError('CANCELLED', `died at ${step}`, {class: 'bug'});
  });
  return {
    get isDead(): boolean {
      return isDead;
    },
    async bury(): Promise<void> {
      installFailpoints(null);
      store.heal();
      for await (const {name} of store.list(`${staging.layout.lease}/`)) await store.delete(name);
    },
  };
}
