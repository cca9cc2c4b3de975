import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, inject, it} from 'vitest';

import {openStore, type OpenedStore} from '../src/storage/open-store.ts';
import {createFaultStore} from '../src/testkit/fault-store.ts';
import {storeConformance} from '../src/testkit/store-conformance.ts';
import {needStore} from './need-store.ts';

describe.each(inject('stores'))('$name', (provided) => {
  let folder: string;
  const opened: OpenedStore[] = [];
  const open = async (url: string, cache: string): Promise<OpenedStore['store']> => {
    const {storeOptions} = provided;
    const store = await openStore(`${url}/conformance`, {...storeOptions, cache: {folder: join(folder, cache)}});
    opened.push(store);
    return store.store;
  };
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-conformance-'));
  });
  afterAll(async () => {
    for (const each of opened) await each[Symbol.asyncDispose]();
    await rm(folder, {recursive: true, force: true});
  });

  it.for(storeConformance())('$name', async (each, context) => {
    const url = needStore(context, provided);
    await each.run({store: createFaultStore(await open(url, 'one')), other: await open(url, 'other')});
  });
});
