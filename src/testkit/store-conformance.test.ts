import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, describe, expect, it} from 'vitest';

import {createLocalStore} from '../storage/local-store.ts';
import type {Store} from '../storage/store.ts';
import {createFaultStore} from './fault-store.ts';
import {storeConformance} from './store-conformance.ts';

const folder = await mkdtemp(join(tmpdir(), 'sluice-conformance-'));
afterAll(() => rm(folder, {recursive: true, force: true}));

const local = (name: string): Store => createLocalStore(join(folder, name));

describe.each([
  {kind: 'a local store', stores: {store: local('local'), other: local('local')}},
  {
    kind: 'a store without faults in a fault store',
    stores: {store: createFaultStore(local('faults')), other: createFaultStore(local('faults'))},
  },
])('$kind', ({stores}) => {
  it.each(storeConformance({listed: 60, largeBytes: 100_000}))('$name', async (each) => {
    await each.run(stores);
  });
});

describe('the conformance suite', () => {
  const broken = async (change: (inner: Store) => Partial<Store>): Promise<readonly string[]> => {
    const inner = local(`broken-${Math.random()}`);
    const store = new Proxy(inner, {
      get: (target, key) => {
        const changed = Reflect.get(change(inner), key) as unknown;
        const value: unknown = changed ?? Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const failed: string[] = [];
    for (const each of storeConformance({listed: 20, largeBytes: 1_000})) {
      await each.run({store, other: store}).catch(() => failed.push(each.name));
    }
    return failed;
  };

  it('finds a store that looks before it writes', async () => {
    const failed = await broken((inner) => ({
      putIfAbsent: async (name, bytes) => {
        if ((await inner.get(name)) !== null) return false;
        await inner.put(name, bytes);
        return true;
      },
    }));
    expect(failed).toEqual(['lets exactly one of eight writers win, in every race']);
  });

  it('finds a listing that stops after its first page', async () => {
    const failed = await broken((inner) => ({
      list: async function* (prefix, options) {
        let count = 0;
        for await (const info of inner.list(prefix, options)) if (count++ < 15) yield info;
      },
    }));
    expect(failed).toEqual(['lists 20 objects by pages']);
  });
});
