import {mkdtemp, readdir, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import fc from 'fast-check';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {isIngestError} from '../core/errors.ts';
import {createLocalStore} from './local-store.ts';
import {storageError} from './storage-error.ts';
import type {ObjectInfo, Store} from './store.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (content: Uint8Array | null): string | null =>
  content === null ? null : new TextDecoder().decode(content);

async function names(store: Store, prefix: string, options?: Parameters<Store['list']>[1]): Promise<string[]> {
  const found: ObjectInfo[] = [];
  for await (const info of store.list(prefix, options)) found.push(info);
  return found.map((info) => info.name);
}

describe('local store', () => {
  let folder: string;
  let store: Store;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-store-'));
    store = createLocalStore(folder);
  });
  afterEach(() => rm(folder, {recursive: true, force: true}));

  it('returns what was put, whole or a range of it, and null for what is not there', async () => {
    await store.put('a/b/c.bin', bytes('0123456789'));
    expect(text(await store.get('a/b/c.bin'))).toBe('0123456789');
    expect(text(await store.get('a/b/c.bin', {start: 2, end: 5}))).toBe('234');
    expect(text(await store.get('a/b/c.bin', {start: 8, end: 50}))).toBe('89');
    expect(text(await store.get('a/b/c.bin', {start: 50, end: 60}))).toBe('');
    expect(await store.get('a/b/nothing')).toBeNull();
    expect(await store.get('a/b/c.bin/below')).toBeNull();
  });

  it('replaces an object whole', async () => {
    await store.put('x', bytes('first and longer'));
    await store.put('x', bytes('second'));
    expect(text(await store.get('x'))).toBe('second');
  });

  it('lets only one of many writers make a name', async () => {
    const wins = await Promise.all(
      Array.from({length: 20}, (_, index) => store.putIfAbsent('t/_delta_log/0.json', bytes(`writer ${index}`))),
    );
    expect(wins.filter((won) => won)).toHaveLength(1);
    expect(text(await store.get('t/_delta_log/0.json'))).toBe(`writer ${wins.indexOf(true)}`);
    expect(await readdir(join(folder, 't/_delta_log'))).toEqual(['0.json']);
  });

  it('lists by prefix at any depth in order of name, without its temporary files', async () => {
    for (const name of ['a/x', 'a-b', 'a/b/y', 'a.c', 'ab/z', 'b']) await store.put(name, bytes(name));
    await writeFile(join(folder, '.hidden'), '');
    expect(await names(store, '')).toEqual(['a-b', 'a.c', 'a/b/y', 'a/x', 'ab/z', 'b']);
    expect(await names(store, 'a/')).toEqual(['a/b/y', 'a/x']);
    expect(await names(store, 'a/', {shallow: true})).toEqual(['a/x']);
    expect(await names(store, 'a/b/y')).toEqual(['a/b/y']);
    expect(await names(store, '', {after: 'a/b/y'})).toEqual(['a/x', 'ab/z', 'b']);
    expect(await names(store, 'nothing/here/')).toEqual([]);
  });

  it('lists any set of names in ascending order and from any point', async () => {
    const part = fc.stringMatching(/^[a-c\-0-9][a-c\-.0-9]{0,2}$/);
    const name = fc.array(part, {minLength: 1, maxLength: 3}).map((parts) => `r/${parts.join('/')}`);
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(name, {maxLength: 8}), name, async (wanted, after) => {
        const fresh = createLocalStore(await mkdtemp(join(folder, 'p-')));
        const made: string[] = [];
        for (const each of wanted) {
          const clashes = made.some((other) => other.startsWith(`${each}/`) || each.startsWith(`${other}/`));
          if (!clashes && (await fresh.putIfAbsent(each, bytes('')))) made.push(each);
        }
        made.sort();
        expect(await names(fresh, 'r/')).toEqual(made);
        expect(await names(fresh, 'r/', {after})).toEqual(made.filter((each) => each > after));
      }),
      {numRuns: 40},
    );
  });

  it('describes what it lists', async () => {
    await store.put('a/x', bytes('12345'));
    for await (const info of store.list('a/')) {
      expect(info.sizeBytes).toBe(5);
      expect(Math.abs(info.modifiedAtMs - Date.now())).toBeLessThan(60_000);
    }
  });

  it('follows links to folders', async () => {
    await store.put('real/x', bytes('x'));
    await symlink(join(folder, 'real'), join(folder, 'linked'));
    expect(await names(store, 'linked/')).toEqual(['linked/x']);
  });

  it('seals what somebody else wrote at the staged path', async () => {
    const staged = await store.stage('t/part-0.parquet');
    await writeFile(staged.localPath, 'data');
    expect(await staged.seal(new AbortController().signal)).toBe(4);
    expect(text(await store.get('t/part-0.parquet'))).toBe('data');
    expect(await store.localPath('t/part-0.parquet')).toBe(staged.localPath);
  });

  it('deletes, also what is not there', async () => {
    await store.put('x', bytes('x'));
    await store.delete('x');
    await store.delete('x');
    expect(await store.get('x')).toBeNull();
  });

  it('writes into folders that were removed after it had made them', async () => {
    await store.put('t/a', bytes('a'));
    await rm(join(folder, 't'), {recursive: true});
    expect(await store.putIfAbsent('t/a', bytes('b'))).toBe(true);
    expect(text(await store.get('t/a'))).toBe('b');
    await rm(join(folder, 't'), {recursive: true});
    const staged = await store.stage('t/c');
    await writeFile(staged.localPath, 'c');
  });

  it.each(['', '/a', 'a/', 'a//b', '../a', 'a/../b', './a', 'a\0b'])('refuses the name %j', async (name) => {
    await expect(store.get(name)).rejects.toSatisfy((error) => isIngestError(error, 'STORAGE_FAILED'));
    await expect(store.put(name, bytes(''))).rejects.toSatisfy((error) => isIngestError(error, 'STORAGE_FAILED'));
  });

  it('names the path and the fix when a file is where a folder must be', async () => {
    await store.put('file', bytes('x'));
    await expect(store.put('file/below', bytes('x'))).rejects.toMatchObject({code: 'STORAGE_FAILED'});
  });
});

describe('storage errors', () => {
  it.each([
    ['ENOSPC', 'STORAGE_FULL'],
    ['EROFS', 'STORAGE_READ_ONLY'],
    ['EACCES', 'STORAGE_READ_ONLY'],
    ['EIO', 'STORAGE_FAILED'],
  ])('maps %s to %s', (systemCode, code) => {
    const cause = Object.assign(new Error('underneath'), {code: systemCode});
    const error = storageError(cause, 'write', '/lake/x');
    expect(error).toMatchObject({code, cause, context: {path: '/lake/x', systemCode}});
    expect(error.message).toContain('/lake/x');
    expect(error.fix).toBeTruthy();
  });
});
