import assert from 'node:assert/strict';
import {readFile, writeFile} from 'node:fs/promises';

import {seededRandom} from '../core/clock.ts';
import {isIngestError} from '../core/errors.ts';
import type {ListOptions} from '../storage/local-list.ts';
import type {Store} from '../storage/store.ts';

/** A store that is proved. */
export interface StoreUnderTest {
  readonly store: Store;
  /** The same place opened once more, with nothing remembered or copied. */
  readonly other: Store;
}

/** One thing that every store must do; cases use names of their own, so they may share a store. */
export interface StoreCase {
  readonly name: string;
  /** Resolves when the store does it; rejects with what it did instead. */
  run(stores: StoreUnderTest): Promise<void>;
}

/** How much work the large cases are. */
export interface StoreCaseSizes {
  /** Objects of the long listing; more than a page of the store. Default 1100. */
  readonly listed?: number;
  /** Bytes of the large object; more than one part of an upload. Default 20,000,000. */
  readonly largeBytes?: number;
}

/** What a store must do to hold a lake: the contract of `Store`, as cases to run one by one. */
export function storeConformance(sizes: StoreCaseSizes = {}): readonly StoreCase[] {
  const {listed = 1_100, largeBytes = 20_000_000} = sizes;
  return [
    {name: 'returns what was put, whole or a range of it, and null for what is not there', run: getsRanges},
    {name: 'replaces an object whole', run: replaces},
    {name: 'lets an object be made once', run: putsOnce},
    {name: 'lets exactly one of eight writers win, in every race', run: racesToOneWinner},
    {name: 'keeps empty objects', run: keepsEmptyObjects},
    {name: 'lists by prefix at any depth, in order, from any point', run: lists},
    {name: `lists ${listed} objects by pages`, run: (stores) => listsPages(stores, listed)},
    {name: 'names what is one level below', run: namesPrefixes},
    {name: 'deletes, also what is not there', run: deletes},
    {name: 'seals what was written at a staged path, and reads it back by a local path', run: seals},
    {name: `keeps ${largeBytes} bytes`, run: (stores) => sealsLarge(stores, largeBytes)},
    {name: 'seals nothing that was aborted', run: sealsNothingAborted},
    {name: 'keeps unusual names', run: keepsUnusualNames},
    {name: 'refuses names that lead elsewhere', run: refusesNames},
  ];
}

async function getsRanges({store, other}: StoreUnderTest): Promise<void> {
  await store.put('get/a/b.bin', bytes('0123456789'));
  for (const each of [store, other]) {
    assert.equal(text(await each.get('get/a/b.bin')), '0123456789');
    assert.equal(text(await each.get('get/a/b.bin', {start: 2, end: 5})), '234');
    assert.equal(text(await each.get('get/a/b.bin', {start: 8, end: 50})), '89');
    assert.equal(text(await each.get('get/a/b.bin', {start: 4, end: 4})), '');
    assert.equal(text(await each.get('get/a/b.bin', {start: 50, end: 60})), '');
    assert.equal(await each.get('get/a/nothing'), null);
    assert.equal(await each.get('get/a/nothing', {start: 0, end: 4}), null);
  }
}

async function replaces({store, other}: StoreUnderTest): Promise<void> {
  await store.put('replace/x', bytes('first and longer'));
  await store.put('replace/x', bytes('second'));
  assert.equal(text(await other.get('replace/x')), 'second');
}

async function putsOnce({store, other}: StoreUnderTest): Promise<void> {
  assert.equal(await store.putIfAbsent('once/x', bytes('first')), true);
  assert.equal(await store.putIfAbsent('once/x', bytes('second')), false);
  assert.equal(await other.putIfAbsent('once/x', bytes('first')), false, 'equal bytes are no excuse');
  assert.equal(text(await other.get('once/x')), 'first');
  await store.delete('once/x');
  assert.equal(await other.putIfAbsent('once/x', bytes('third')), true);
}

async function racesToOneWinner({store, other}: StoreUnderTest): Promise<void> {
  for (let round = 0; round < 20; round++) {
    const name = `race/${round}`;
    const wins = await Promise.all(
      Array.from({length: 8}, (_, writer) =>
        (writer % 2 === 0 ? store : other).putIfAbsent(name, bytes(`writer ${writer}`)),
      ),
    );
    assert.equal(wins.filter((won) => won).length, 1, `winners of round ${round}`);
    assert.equal(text(await other.get(name)), `writer ${wins.indexOf(true)}`);
  }
}

async function keepsEmptyObjects({store, other}: StoreUnderTest): Promise<void> {
  assert.equal(await store.putIfAbsent('empty/put', bytes('')), true);
  const staged = await store.stage('empty/staged');
  await writeFile(staged.localPath, '');
  assert.equal(await staged.seal(NEVER), 0);
  for (const name of ['empty/put', 'empty/staged']) {
    assert.equal((await other.get(name))?.length, 0);
    assert.equal((await readFile(await other.localPath(name))).length, 0);
  }
}

async function lists({store, other}: StoreUnderTest): Promise<void> {
  const all = ['a-b', 'a.c', 'a/b/y', 'a/x', 'ab/z', 'b'];
  for (const name of all) await store.put(`list/${name}`, bytes(name));
  await store.put('list/.hidden', bytes(''));
  const names = async (prefix: string, options?: ListOptions): Promise<readonly string[]> => {
    const found: string[] = [];
    for await (const info of other.list(`list/${prefix}`, options)) found.push(info.name.slice('list/'.length));
    return found;
  };
  assert.deepEqual(await names(''), all);
  assert.deepEqual(await names('', {temporaries: true}), ['.hidden', ...all]);
  assert.deepEqual(await names('', {shallow: true}), ['a-b', 'a.c', 'b']);
  assert.deepEqual(await names('a/'), ['a/b/y', 'a/x']);
  assert.deepEqual(await names('a/', {shallow: true}), ['a/x']);
  assert.deepEqual(await names('a/b/y'), ['a/b/y']);
  assert.deepEqual(await names('', {after: 'list/a/b/y'}), ['a/x', 'ab/z', 'b']);
  assert.deepEqual(await names('', {after: 'list/a.c', shallow: true}), ['b']);
  assert.deepEqual(await names('nothing/here/'), []);
  for await (const info of other.list('list/a/x')) {
    assert.equal(info.sizeBytes, 3);
    assert.ok(Math.abs(info.modifiedAtMs - Date.now()) < 120_000, `modified at ${info.modifiedAtMs}`);
  }
}

async function listsPages({store, other}: StoreUnderTest, count: number): Promise<void> {
  const names = Array.from({length: count}, (_, index) => `pages/${String(index).padStart(6, '0')}`);
  for (let at = 0; at < count; at += 50) {
    await Promise.all(names.slice(at, at + 50).map((name) => store.put(name, bytes('x'))));
  }
  await store.put('pages/below/one', bytes('x'));
  const found = async (options: ListOptions): Promise<readonly string[]> => {
    const listed: string[] = [];
    for await (const {name} of other.list('pages/', options)) listed.push(name);
    return listed;
  };
  assert.deepEqual(await found({shallow: true}), names);
  assert.deepEqual(await found({}), [...names, 'pages/below/one']);
  assert.deepEqual(await found({after: names[count - 3] ?? '', shallow: true}), names.slice(count - 2));
  assert.deepEqual(await other.prefixes('pages/'), ['below']);
}

async function namesPrefixes({store, other}: StoreUnderTest): Promise<void> {
  for (const name of ['b/1', 'a/1', 'a/2/3', 'a.x/1', 'file', '.hidden/1'])
    await store.put(`prefixes/${name}`, bytes('x'));
  assert.deepEqual(await other.prefixes('prefixes/'), ['a', 'a.x', 'b']);
  assert.deepEqual(await other.prefixes('prefixes/a/'), ['2']);
  assert.deepEqual(await other.prefixes('prefixes/nothing/'), []);
  assert.ok((await other.prefixes('')).includes('prefixes'));
}

async function deletes({store, other}: StoreUnderTest): Promise<void> {
  await store.put('delete/x', bytes('x'));
  await store.delete('delete/x');
  await store.delete('delete/x');
  assert.equal(await other.get('delete/x'), null);
}

async function seals({store, other}: StoreUnderTest): Promise<void> {
  const name = 'seal/t/part-0.parquet';
  const staged = await store.stage(name);
  await writeFile(staged.localPath, 'data');
  assert.equal(await staged.seal(NEVER), 4);
  assert.equal(text(await other.get(name)), 'data');
  for (const each of [store, other]) {
    const localPath = await each.localPath(name);
    assert.equal(await readFile(localPath, 'utf8'), 'data');
    // Paths that end as the names do let the engine be asked for them without a map.
    assert.ok(localPath.endsWith(name), localPath);
  }
}

async function sealsLarge({store, other}: StoreUnderTest, sizeBytes: number): Promise<void> {
  const random = seededRandom(sizeBytes);
  const content = Buffer.alloc(sizeBytes);
  for (let at = 0; at + 4 <= sizeBytes; at += 4) content.writeUInt32LE(Math.floor(random() * 2 ** 32), at);
  const staged = await store.stage('large/object');
  await writeFile(staged.localPath, content);
  assert.equal(await staged.seal(NEVER), sizeBytes);
  const end = sizeBytes - 3;
  const middle = await other.get('large/object', {start: end - 100, end});
  assert.ok(middle !== null && content.subarray(end - 100, end).equals(middle), 'a range of it');
  assert.ok(content.equals(await readFile(await other.localPath('large/object'))), 'all of it');
  for await (const info of other.list('large/')) assert.equal(info.sizeBytes, sizeBytes);
}

async function sealsNothingAborted({store, other}: StoreUnderTest): Promise<void> {
  const staged = await store.stage('aborted/x');
  await writeFile(staged.localPath, 'data');
  const reason = new Error('stop');
  await assert.rejects(staged.seal(AbortSignal.abort(reason)), reason);
  const names: string[] = [];
  if (other.root.includes('://')) for await (const {name} of other.list('aborted/')) names.push(name);
  assert.deepEqual(names, []);
}

async function keepsUnusualNames({store, other}: StoreUnderTest): Promise<void> {
  const names = [
    'a b',
    'a%20b',
    'a%2Fb',
    'a+b',
    'a=b&c',
    'a\'b"c',
    'a#b',
    'a?b=c',
    'a[b]{c}',
    'a:b;c,d@e!f$g(h)*',
    'naïve ☃ 日本',
    'x'.repeat(180),
    `at=2026-01-01 00%3A00%3A00/part-0`,
  ].map((name) => `names/${name}`);
  for (const name of names) assert.equal(await store.putIfAbsent(name, bytes(name)), true, name);
  const listed: string[] = [];
  for await (const {name} of other.list('names/')) listed.push(name);
  assert.deepEqual(listed, [...names].sort());
  for (const name of names) {
    assert.equal(text(await other.get(name)), name);
    assert.equal(await readFile(await other.localPath(name), 'utf8'), name);
    await store.delete(name);
    assert.equal(await other.get(name), null);
  }
}

async function refusesNames({store}: StoreUnderTest): Promise<void> {
  const isRefusal = (error: unknown): boolean => isIngestError(error, 'STORAGE_FAILED');
  for (const name of ['', '/a', 'a/', 'a//b', '../a', 'a/../b', './a', 'a\0b']) {
    await assert.rejects(store.get(name), isRefusal, JSON.stringify(name));
    await assert.rejects(store.put(name, bytes('')), isRefusal, JSON.stringify(name));
  }
}

const NEVER = new AbortController().signal;

function bytes(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function text(content: Uint8Array | null): string | null {
  return content === null ? null : new TextDecoder().decode(content);
}
