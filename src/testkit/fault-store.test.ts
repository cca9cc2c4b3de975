import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {seededRandom} from '../core/clock.ts';
import {createLocalStore} from '../storage/local-store.ts';
import type {Store} from '../storage/store.ts';
import {createFaultStore} from './fault-store.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (content: Uint8Array | null): string | null =>
  content === null ? null : new TextDecoder().decode(content);

async function names(store: Store): Promise<string[]> {
  const found: string[] = [];
  for await (const {name} of store.list('')) found.push(name);
  return found;
}

describe('a faulty store', () => {
  let folder: string;
  let inner: Store;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-fault-'));
    inner = createLocalStore(folder);
  });
  afterEach(() => rm(folder, {recursive: true, force: true}));

  it('does what the inner store does where no rule applies', async () => {
    const store = createFaultStore(inner, {rules: [{name: /other/, fault: {kind: 'fail', systemCode: 'EIO'}}]});
    await store.put('a/b', bytes('x'));
    expect(text(await store.get('a/b'))).toBe('x');
    expect(await store.putIfAbsent('a/b', bytes('y'))).toBe(false);
    expect(await store.prefixes('')).toEqual(['a']);
    expect(await store.localPath('a/b')).toBe(join(folder, 'a/b'));
    expect(store.root).toBe(folder);
    await store.delete('a/b');
    expect(await names(store)).toEqual([]);
    expect(store.injected).toEqual([]);
  });

  it('fails the calls that a rule names: method, name, how many pass first, how many fail', async () => {
    const fault = {kind: 'fail', systemCode: 'ENOSPC'} as const;
    const store = createFaultStore(inner, {rules: [{method: 'put', name: /x$/, after: 1, times: 2, fault}]});
    await store.put('1x', bytes(''));
    await store.put('y', bytes(''));
    await expect(store.put('2x', bytes(''))).rejects.toMatchObject({code: 'STORAGE_FULL'});
    await expect(store.put('3x', bytes(''))).rejects.toMatchObject({code: 'STORAGE_FULL'});
    await store.put('4x', bytes(''));
    expect(await names(store)).toEqual(['1x', '4x', 'y']);
    expect(store.injected.map(({name}) => name)).toEqual(['2x', '3x']);
  });

  it('loses answers, tears writes, and heals', async () => {
    const store = createFaultStore(inner);
    store.inject({method: 'putIfAbsent', fault: {kind: 'lost-answer'}});
    await expect(store.putIfAbsent('a', bytes('whole'))).rejects.toMatchObject({code: 'STORAGE_FAILED'});
    expect(text(await store.get('a'))).toBe('whole');
    store.inject({method: 'put', fault: {kind: 'torn', keptBytes: 2}});
    await expect(store.put('b', bytes('whole'))).rejects.toMatchObject({code: 'STORAGE_FAILED'});
    expect(text(await store.get('b'))).toBe('wh');
    store.inject({times: 100, fault: {kind: 'fail', systemCode: 'EROFS'}});
    await expect(store.stage('c')).rejects.toMatchObject({code: 'STORAGE_READ_ONLY'});
    store.heal();
    expect(text(await store.get('a'))).toBe('whole');
  });

  it('shows listings that lag behind or repeat themselves', async () => {
    const store = createFaultStore(inner);
    for (const name of ['a', 'b', 'c']) await store.put(name, bytes(''));
    store.inject({method: 'list', fault: {kind: 'stale', count: 2}});
    expect(await names(store)).toEqual(['a']);
    store.inject({method: 'list', fault: {kind: 'duplicate'}});
    expect(await names(store)).toEqual(['a', 'a', 'b', 'b', 'c', 'c']);
    expect(await names(store)).toEqual(['a', 'b', 'c']);
  });

  it('fails seals of staged files', async () => {
    const store = createFaultStore(inner, {rules: [{method: 'seal', fault: {kind: 'fail', systemCode: 'EIO'}}]});
    const staged = await store.stage('x');
    await expect(staged.seal(new AbortController().signal)).rejects.toMatchObject({code: 'STORAGE_FAILED'});
  });

  it('fails by chance, and the same way for the same seed', async () => {
    const run = async (seed: number): Promise<readonly string[]> => {
      const random = seededRandom(seed);
      const store = createFaultStore(inner, {chance: {random, probability: 0.3, faults: [{kind: 'lost-answer'}]}});
      for (let index = 0; index < 30; index++) await store.get(`n${index}`).catch(() => undefined);
      return store.injected.map(({name}) => name);
    };
    const first = await run(1);
    expect(first.length).toBeGreaterThan(0);
    expect(first.length).toBeLessThan(30);
    expect(await run(1)).toEqual(first);
    expect(await run(2)).not.toEqual(first);
  });

  it('tears by chance what is being sealed only: objects are put whole or not at all', async () => {
    const chance = {random: seededRandom(1), probability: 1, faults: [{kind: 'torn', keptBytes: 1}]} as const;
    const store = createFaultStore(inner, {chance});
    expect(await store.putIfAbsent('a', bytes('whole'))).toBe(true);
    await store.put('b', bytes('whole'));
    expect([text(await store.get('a')), text(await store.get('b'))]).toEqual(['whole', 'whole']);
    const staged = await store.stage('c');
    await writeFile(staged.localPath, 'whole');
    await expect(staged.seal(new AbortController().signal)).rejects.toMatchObject({code: 'STORAGE_FAILED'});
    expect(text(await inner.get('c'))).toBe('w');
  });

  it('cuts the file that is being sealed', async () => {
    const store = createFaultStore(inner, {rules: [{method: 'seal', fault: {kind: 'torn', keptBytes: 3}}]});
    const staged = await store.stage('torn');
    await writeFile(staged.localPath, 'whole');
    await expect(staged.seal(new AbortController().signal)).rejects.toMatchObject({code: 'STORAGE_FAILED'});
    expect(text(await store.get('torn'))).toBe('who');
  });

  it('shows a delete some calls later, and never takes away what was written since', async () => {
    const store = createFaultStore(inner);
    await store.put('gone', bytes('1'));
    await store.put('again', bytes('1'));
    store.inject({method: 'delete', times: 2, fault: {kind: 'late-delete', calls: 3}});
    await store.delete('gone');
    await store.delete('again');
    expect(await names(store)).toContain('gone');
    await store.put('again', bytes('2'));
    expect(await store.get('gone')).toBeNull();
    expect(text(await store.get('again'))).toBe('2');
  });
});
