import {existsSync} from 'node:fs';
import {mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile} from 'node:fs/promises';
import {hostname, tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {openReadCache, type ReadCache} from './read-cache.ts';

const HOUR_MS = 3_600_000;

let folder: string;
let nowMs: number;
let cache: ReadCache;
const open: ReadCache[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-cache-'));
  nowMs = 1_000 * HOUR_MS;
  cache = await opened();
});
afterEach(async () => {
  for (const each of open.splice(0)) await each[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

/** A cache as another process of the machine would open it. */
async function opened(maxBytes = 1_000): Promise<ReadCache> {
  const clock = {nowMs: () => nowMs, nowMicros: () => BigInt(nowMs) * 1000n, sleep: () => Promise.resolve()};
  const another = await openReadCache({folder, maxBytes, clock});
  open.push(another);
  return another;
}

const writes =
  (text: string, log: string[] = []) =>
  async (path: string): Promise<void> => {
    log.push(text);
    await writeFile(path, text);
  };

const shared = async (): Promise<readonly string[]> => {
  const entries = await readdir(join(folder, 'files'), {recursive: true, withFileTypes: true});
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort();
};

/** Fills the cache with files of 300 bytes, the first of them the longest unused. */
async function fillWith(target: ReadCache, names: readonly string[]): Promise<void> {
  for (const [index, name] of names.entries()) {
    await target.fill(name, null, writes('x'.repeat(300)));
    const usedAt = new Date(Date.now() - (names.length - index) * 60_000);
    await utimes(join(folder, 'files', name), usedAt, usedAt);
  }
}

describe('a read cache', () => {
  it('takes what another process downloaded', async () => {
    const log: string[] = [];
    await cache.fill('t/a', null, writes('a', log));
    const other = await opened();
    expect(await readFile(await other.fill('t/a', null, writes('b', log)), 'utf8')).toBe('a');
    expect(log).toEqual(['a']);
  });

  it('shows nothing of a download that failed', async () => {
    await expect(
      cache.fill('t/a', null, async (path) => {
        await writeFile(path, 'half');
        throw new Error('broken');
      }),
    ).rejects.toMatchObject({code: 'STORAGE_FAILED'});
    expect(cache.find('t/a')).toBeNull();
    expect(await shared()).toEqual([]);
    expect(await readFile(await cache.fill('t/a', null, writes('whole')), 'utf8')).toBe('whole');
  });

  it('shows a staged file to others only when it was uploaded', async () => {
    const path = await cache.stage('t/a');
    await writeFile(path, 'half');
    expect(cache.find('t/a')).toBeNull();
    expect(await shared()).toEqual([]);
    await cache.keep('t/a');
    expect(cache.find('t/a')).toBe(path);
    expect(await readFile(await (await opened()).fill('t/a', null, writes('b')), 'utf8')).toBe('half');
  });

  it('stages anew what was staged before without touching what others have linked', async () => {
    await writeFile(await cache.stage('t/a'), 'first');
    await cache.keep('t/a');
    const other = await (await opened()).fill('t/a', null, writes('unused'));
    await writeFile(await cache.stage('t/a'), 'second');
    expect(await readFile(other, 'utf8')).toBe('first');
    await cache.keep('t/a');
    expect(await readFile(await (await opened()).fill('t/a', null, writes('unused')), 'utf8')).toBe('second');
  });

  it('does not take a staged file that was never sealed for the object of that name', async () => {
    await (await opened()).fill('t/a', null, writes('whole'));
    await writeFile(await cache.stage('t/a'), 'half');
    expect(await readFile(await cache.fill('t/a', null, writes('unused')), 'utf8')).toBe('whole');
    await writeFile(await cache.stage('t/b'), 'half');
    expect(await readFile(await cache.fill('t/b', null, writes('downloaded')), 'utf8')).toBe('downloaded');
  });

  it('keeps copies of different tags apart', async () => {
    const first = await cache.fill('t/log', 'one', writes('1'));
    const second = await cache.fill('t/log', 'two', writes('2'));
    expect([await readFile(first, 'utf8'), await readFile(second, 'utf8')]).toEqual(['1', '2']);
  });

  it('evicts the longest unused beyond its limit', async () => {
    const writer = await opened(10_000);
    await fillWith(writer, ['a', 'b', 'c', 'd']);
    await writer[Symbol.asyncDispose]();
    await cache.fill('e', null, writes('x'.repeat(100)));
    expect(await shared()).toEqual(['c', 'd', 'e']);
  });

  it('never evicts what a process uses, and its own only after an hour', async () => {
    const user = await opened(10_000);
    await fillWith(user, ['a', 'b', 'c', 'd']);
    await fillWith(cache, ['e']);
    expect(await shared()).toEqual(['a', 'b', 'c', 'd', 'e']);
    await user[Symbol.asyncDispose]();
    const inUse = await cache.fill('f', null, writes('x'.repeat(300)));
    expect(await shared()).toEqual(['d', 'e', 'f']);
    nowMs += 2 * HOUR_MS;
    await fillWith(cache, ['g', 'h']);
    expect((await shared()).length).toBeLessThanOrEqual(3);
    expect(cache.find('e')).toBeNull();
    expect(existsSync(inUse)).toBe(false);
  });

  it('makes room when the disk is full', async () => {
    const writer = await opened(10_000);
    await fillWith(writer, ['a', 'b']);
    await writer[Symbol.asyncDispose]();
    let isFull = true;
    await cache.fill('c', null, async (path) => {
      if (isFull) {
        isFull = false;
        throw Object.assign(new Error('ENOSPC'), {code: 'ENOSPC'});
      }
      await writeFile(path, 'c');
    });
    expect(await shared()).toEqual(['c']);
  });

  it('says what to do when the disk stays full', async () => {
    const full = (): Promise<void> => Promise.reject(Object.assign(new Error('no space'), {code: 'ENOSPC'}));
    await expect(cache.fill('c', null, full)).rejects.toMatchObject({
      code: 'STORAGE_FULL',
      message: expect.stringContaining(folder) as string,
      fix: expect.stringContaining('max_size_gb') as string,
    });
  });

  it('removes the folders of processes that died, here soon and elsewhere after hours', async () => {
    const use = join(folder, 'use');
    const host = encodeURIComponent(hostname());
    const dead = join(use, `${host}.999999999.aaaaaaaa`);
    const elsewhere = join(use, 'another.host.1.bbbbbbbb');
    const silent = join(use, 'another.host.1.cccccccc');
    const alive = join(use, `${host}.${process.pid}.dddddddd`);
    const justDied = join(use, `${host}.999999999.eeeeeeee`);
    for (const each of [dead, elsewhere, silent, alive, justDied]) await mkdir(each);
    const minutesAgo = new Date(Date.now() - HOUR_MS / 3);
    for (const each of [dead, elsewhere, alive]) await utimes(each, minutesAgo, minutesAgo);
    const hoursAgo = new Date(Date.now() - 3 * HOUR_MS);
    await utimes(silent, hoursAgo, hoursAgo);
    await opened();
    const left = [dead, elsewhere, silent, alive, justDied].map((each) => existsSync(each));
    expect(left).toEqual([false, true, false, true, true]);
  });

  it('leaves no links when it is closed', async () => {
    await cache.fill('a', null, writes('a'));
    await cache[Symbol.asyncDispose]();
    expect(await readdir(join(folder, 'use'))).toEqual([]);
    expect(await shared()).toEqual(['a']);
  });
});
