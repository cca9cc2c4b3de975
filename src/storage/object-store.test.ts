import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {isIngestError} from '../core/errors.ts';
import {
  httpError,
  MemoryClient,
  networkError,
  type ClientCall,
  type ClientFault,
} from './memory-client.support.test.ts';
import {createObjectStore} from './object-store.ts';
import {openReadCache, type ReadCache} from './read-cache.ts';
import type {Store} from './store.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const NEVER = new AbortController().signal;

let folder: string;
let cache: ReadCache;
let client: MemoryClient;
let store: Store;
/** Pauses that were asked for, in milliseconds. */
let pauses: number[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-objects-'));
  cache = await openReadCache({folder, maxBytes: 1e6});
  client = new MemoryClient();
  pauses = [];
  store = storeOver(client);
});
afterEach(async () => {
  await cache[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

function storeOver(over: MemoryClient): Store {
  return createObjectStore({
    client: over,
    cache,
    root: 's3://bucket/lake',
    keyPrefix: 'lake/',
    retries: {tries: 4, baseMs: 100, maxPauseMs: 300, timeoutMs: 1_000},
    random: () => 1,
    clock: {
      nowMs: () => Date.now(),
      nowMicros: () => BigInt(Date.now()) * 1000n,
      sleep: (ms) => {
        pauses.push(ms);
        return Promise.resolve();
      },
    },
  });
}

/** The first `times` calls of a method on the object fail. */
function fails(method: ClientCall['method'], fault: NonNullable<ClientFault>, times = 1): void {
  let left = times;
  client.fault = (call) => (call.method === method && call.key.endsWith('/x') && left-- > 0 ? fault : null);
}

describe('a conditional put', () => {
  it('is won although its answer was lost, and the retry met its own object', async () => {
    fails('putIfAbsent', {when: 'after', error: networkError()});
    expect(await store.putIfAbsent('x', bytes('mine'))).toBe(true);
  });

  it('is lost when the answer was lost and somebody else has the name', async () => {
    await storeOver(client).putIfAbsent('x', bytes('mine'));
    fails('putIfAbsent', {when: 'before', error: httpError(500)});
    expect(await store.putIfAbsent('x', bytes('mine'))).toBe(false);
  });

  it('is told from another by its bytes where the store keeps no metadata', async () => {
    client.keepsMarks = false;
    fails('putIfAbsent', {when: 'after', error: networkError()});
    expect(await store.putIfAbsent('x', bytes('mine'))).toBe(true);
    fails('putIfAbsent', {when: 'before', error: networkError()});
    expect(await store.putIfAbsent('x', bytes('other'))).toBe(false);
  });

  it('is won when every answer was lost but the object is there', async () => {
    fails('putIfAbsent', {when: 'after', error: networkError()}, 4);
    expect(await store.putIfAbsent('x', bytes('mine'))).toBe(true);
  });

  it('fails when nothing tells what became of it', async () => {
    fails('putIfAbsent', {when: 'before', error: networkError()}, 4);
    await expect(store.putIfAbsent('x', bytes('mine'))).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      class: 'transient',
      message: expect.stringContaining('s3://bucket/lake/x') as string,
    });
  });
});

describe('retries', () => {
  it('wait with full jitter below a doubling ceiling', async () => {
    client.objects.set('lake/x', {bytes: bytes('x'), mark: null, modifiedAtMs: 0});
    fails('get', {when: 'before', error: httpError(503)}, 3);
    expect(await store.get('x')).toEqual(bytes('x'));
    expect(pauses).toEqual([100, 200, 300]);
  });

  it.each([
    [400, 'STORAGE_FAILED'],
    [401, 'AUTH_FAILED'],
    [403, 'PERMISSION_DENIED'],
  ])('are not made after status %i', async (status, code) => {
    fails('get', {when: 'before', error: httpError(status)}, 9);
    await expect(store.get('x')).rejects.toSatisfy(
      (error) => isIngestError(error) && error.code === code && error.class === 'config' && error.fix !== undefined,
    );
    expect(client.calls.filter(({method}) => method === 'get')).toHaveLength(1);
  });

  it('end an attempt that never answers', async () => {
    const slow = new MemoryClient();
    slow.get = () => new Promise(() => undefined);
    const waiting = createObjectStore({
      client: slow,
      cache,
      root: 's3://b',
      keyPrefix: '',
      retries: {tries: 2, baseMs: 1, maxPauseMs: 1, timeoutMs: 20},
    });
    await expect(waiting.get('x')).rejects.toMatchObject({code: 'STORAGE_FAILED', context: {storeCode: 'ETIMEDOUT'}});
  });

  it('keep signatures out of messages', async () => {
    const error = Object.assign(new Error('GET https://h/b?sig=SECRET&se=1 failed: token=SECRET'), {status: 400});
    fails('get', {when: 'before', error});
    await expect(store.get('x')).rejects.toSatisfy(
      (thrown) => thrown instanceof Error && !thrown.message.includes('SECRET') && thrown.cause === undefined,
    );
  });
});

describe('the race probe', () => {
  it('refuses a store that looks before it writes, again and again', async () => {
    client.pause = () => new Promise((resolve) => setImmediate(resolve));
    for (let time = 0; time < 2; time++) {
      await expect(store.putIfAbsent('x', bytes('x'))).rejects.toMatchObject({
        code: 'STORE_UNSAFE',
        fix: expect.stringContaining('If-None-Match') as string,
      });
    }
    expect([...client.objects.keys()]).toEqual([]);
  });

  it('is made once for a lake, and again when its address changes', async () => {
    await store.putIfAbsent('x', bytes('x'));
    const marker = 'lake/_sluice/store-probe.json';
    expect([...client.objects.keys()].sort()).toEqual([marker, 'lake/x']);
    const probes = (): number => client.calls.filter(({key}) => key.includes('store-probe-')).length;
    const made = probes();
    await storeOver(client).putIfAbsent('y', bytes('y'));
    expect(probes()).toBe(made);
    await client.put(marker, bytes('{"address":"elsewhere"}'));
    await storeOver(client).putIfAbsent('z', bytes('z'));
    expect(probes()).toBe(made * 2);
  });

  it('does not count rounds whose answers were lost', async () => {
    let left = 10;
    client.fault = ({method}) =>
      method === 'putIfAbsent' && left-- > 0 ? {when: 'after', error: networkError()} : null;
    expect(await store.putIfAbsent('x', bytes('x'))).toBe(true);
  });

  it('is not needed to read', async () => {
    await store.get('x');
    await store.put('x', bytes('x'));
    expect(client.calls.filter(({key}) => key.includes('probe'))).toEqual([]);
  });
});

describe('files', () => {
  it('are not downloaded by who uploaded them', async () => {
    const staged = await store.stage('t/part-0.parquet');
    await writeFile(staged.localPath, 'data');
    await staged.seal(NEVER);
    expect(await readFile(await store.localPath('t/part-0.parquet'), 'utf8')).toBe('data');
    expect(client.calls.map(({method}) => method)).toEqual(['upload']);
  });

  it('are downloaded once, however many ask', async () => {
    await client.put('lake/t/f', bytes('data'));
    const paths = await Promise.all(Array.from({length: 8}, () => store.localPath('t/f')));
    expect(new Set(paths).size).toBe(1);
    expect(await readFile(paths[0] ?? '', 'utf8')).toBe('data');
    expect(client.calls.filter(({method}) => method === 'get')).toHaveLength(1);
  });

  it('of the log are looked at again, for a table may be dropped and made anew', async () => {
    const name = 't/_delta_log/00000000000000000010.checkpoint.parquet';
    await store.put(name, bytes('old'));
    expect(await readFile(await store.localPath(name), 'utf8')).toBe('old');
    await store.put(name, bytes('new'));
    expect(await readFile(await store.localPath(name), 'utf8')).toBe('new');
  });

  it('that are not there are named', async () => {
    await expect(store.localPath('t/f')).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: 's3://bucket/lake/t/f does not exist.',
    });
  });

  it('that came short are asked for again', async () => {
    await client.put('lake/x', bytes('0123456789'));
    const whole = client.get.bind(client);
    let short = true;
    client.get = async (key, range) => {
      const found = await whole(key, range);
      const cut = short ? (found?.slice(0, 4) ?? null) : found;
      short = false;
      return cut;
    };
    expect(await readFile(await store.localPath('x'), 'utf8')).toBe('0123456789');
  });

  it('that were deleted are gone', async () => {
    await store.put('t/f', bytes('data'));
    await store.localPath('t/f');
    await store.delete('t/f');
    await expect(store.localPath('t/f')).rejects.toMatchObject({code: 'STORAGE_FAILED'});
  });
});

it('puts the objects of a store without order in order', async () => {
  const unordered = new MemoryClient(false);
  const names = ['a', 'a-b', 'a/b', 'b', 'c/d/e', 'c/f', 'd'];
  for (const name of names) await unordered.put(`lake/${name}`, bytes(''));
  const listed: string[] = [];
  for await (const {name} of storeOver(unordered).list('')) listed.push(name);
  expect(listed).toEqual([...names].sort());
});
