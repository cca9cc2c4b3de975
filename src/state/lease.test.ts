import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest';

import {systemClock, type Clock} from '../core/clock.ts';
import {createLocalStore} from '../storage/local-store.ts';
import type {Store} from '../storage/store.ts';
import type {Lease} from './lease.ts';
import {acquireLease, leaseHeldSince} from './lease.ts';

const MINUTE_MS = 60_000;
const NAME = '_sluice/pipelines/p/lease';

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-lease-'));
  store = createLocalStore(folder);
});
afterEach(async () => {
  vi.useRealTimers();
  await rm(folder, {recursive: true, force: true});
});

const later = (ms: number): Clock => ({...systemClock, nowMs: () => Date.now() + ms});

/** Another machine takes the lease now. */
async function takenElsewhere(): Promise<void> {
  const entry = {host: 'elsewhere', pid: 1, processStart: null, acquiredAt: new Date().toISOString(), released: false};
  await store.putIfAbsent(`${NAME}/000000000001.json`, new TextEncoder().encode(JSON.stringify(entry)));
}

describe('a lease', () => {
  it('is held since the store saw it, where the clock of its holder was ahead', async () => {
    await using _ = await acquireLease(store, NAME, later(72 * 60 * MINUTE_MS));
    expect(await leaseHeldSince(store, NAME)).toBeLessThan(Date.now() + MINUTE_MS);
  });

  it('is had by one process at a time, and again after it was released', async () => {
    const lease = await acquireLease(store, NAME, systemClock);
    await expect(acquireLease(store, NAME, systemClock)).rejects.toMatchObject({code: 'CONCURRENT_RUN'});
    expect(await leaseHeldSince(store, NAME)).not.toBeNull();
    await lease[Symbol.asyncDispose]();
    expect(await leaseHeldSince(store, NAME)).toBeNull();
    await (await acquireLease(store, NAME, systemClock))[Symbol.asyncDispose]();
  });

  it('of another host is respected, and taken over when that host was silent for a quarter of an hour', async () => {
    await takenElsewhere();
    await expect(acquireLease(store, NAME, later(14 * MINUTE_MS))).rejects.toMatchObject({
      code: 'CONCURRENT_RUN',
      fix: expect.stringContaining('quarter of an hour') as string,
    });
    expect(await leaseHeldSince(store, NAME, later(14 * MINUTE_MS))).not.toBeNull();
    expect(await leaseHeldSince(store, NAME, later(16 * MINUTE_MS))).toBeNull();
    await using _ = await acquireLease(store, NAME, later(16 * MINUTE_MS));
    await expect(acquireLease(store, NAME, later(16 * MINUTE_MS))).rejects.toMatchObject({code: 'CONCURRENT_RUN'});
  });

  it('of another host lasts as long as that host gives signs of life', async () => {
    await takenElsewhere();
    const acquiredLongAgo = (await store.get(`${NAME}/000000000001.json`)) ?? new Uint8Array();
    const text = new TextDecoder()
      .decode(acquiredLongAgo)
      .replace(/"acquiredAt":"[^"]*"/, '"acquiredAt":"2020-01-01T00:00:00Z"');
    await store.put(`${NAME}/000000000001.json`, new TextEncoder().encode(text));
    await store.put(`${NAME}/sign-of-life`, new Uint8Array());
    await expect(acquireLease(store, NAME, systemClock)).rejects.toMatchObject({code: 'CONCURRENT_RUN'});
    await store.delete(`${NAME}/sign-of-life`);
    await (await acquireLease(store, NAME, systemClock))[Symbol.asyncDispose]();
  });

  it('is not won by who came late: others took it, released it and took it again meanwhile', async () => {
    await (await acquireLease(store, NAME, systemClock))[Symbol.asyncDispose]();
    let others: Lease | null = null;
    const slow = createLocalStore(folder);
    vi.spyOn(slow, 'putIfAbsent').mockImplementation(async (name, bytes) => {
      if (others === null) {
        await (await acquireLease(store, NAME, systemClock))[Symbol.asyncDispose]();
        others = await acquireLease(store, NAME, systemClock);
      }
      return store.putIfAbsent(name, bytes);
    });
    await expect(acquireLease(slow, NAME, systemClock)).rejects.toMatchObject({code: 'CONCURRENT_RUN'});
    await (others as Lease | null)?.[Symbol.asyncDispose]();
    expect(await leaseHeldSince(store, NAME)).toBeNull();
  });

  it('gives a sign of life every minute until it is released', async () => {
    vi.useFakeTimers({toFake: ['setInterval', 'clearInterval']});
    const put = vi.spyOn(store, 'put');
    const lease = await acquireLease(store, NAME, systemClock);
    vi.advanceTimersByTime(2 * MINUTE_MS);
    expect(put.mock.calls.map(([name]) => name)).toEqual([`${NAME}/sign-of-life`, `${NAME}/sign-of-life`]);
    await lease[Symbol.asyncDispose]();
    vi.advanceTimersByTime(5 * MINUTE_MS);
    expect(put).toHaveBeenCalledTimes(2);
  });
});
