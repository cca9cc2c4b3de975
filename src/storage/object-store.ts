import {randomUUID} from 'node:crypto';
import {stat} from 'node:fs/promises';

import {systemClock, type Clock, type Random} from '../core/clock.ts';
import {IngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import {attempt, DEFAULT_RETRIES, NEVER, type RetryPolicy} from './attempts.ts';
import {downloadFile} from './download-file.ts';
import {createGate} from './gate.ts';
import type {Attempts, ListedObject, ListPage, ObjectClient} from './object-client.ts';
import {objectError} from './object-errors.ts';
import {checkObjectName} from './object-name.ts';
import {proveOneWinner} from './race-probe.ts';
import type {ReadCache} from './read-cache.ts';
import type {ObjectInfo, StagedObject, Store} from './store.ts';

/** What an object store is made of. */
export interface ObjectStoreParts {
  readonly client: ObjectClient;
  readonly cache: ReadCache;
  /** URL for messages, without a slash at its end. */
  readonly root: string;
  /** Of all keys; empty, or ends with `/`. */
  readonly keyPrefix: string;
  readonly retries?: RetryPolicy;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** A store over one vendor's client: names, retries, lost answers, listings, and files by way of a cache. */
export function createObjectStore(parts: ObjectStoreParts): Store {
  return new ObjectStore(parts);
}

/** Downloads at a time, each of several ranges that are held in memory. */
const FILES_AT_ONCE = 4;

class ObjectStore implements Store {
  readonly root: string;
  readonly #client: ObjectClient;
  readonly #cache: ReadCache;
  readonly #keyPrefix: string;
  readonly #tools: {readonly policy: RetryPolicy; readonly clock: Clock; readonly random: Random};
  readonly #downloading = createGate(FILES_AT_ONCE);
  /** The proof that this store lets one writer win, once asked for. */
  #proof: Promise<void> | null = null;

  constructor(parts: ObjectStoreParts) {
    this.root = parts.root;
    this.#client = parts.client;
    this.#cache = parts.cache;
    this.#keyPrefix = parts.keyPrefix;
    this.#tools = {
      policy: parts.retries ?? DEFAULT_RETRIES,
      clock: parts.clock ?? systemClock,
      random: parts.random ?? Math.random,
    };
  }

  async get(name: string, range?: {readonly start: number; readonly end: number}): Promise<Uint8Array | null> {
    const key = this.#key(name);
    const attempts = this.#attempts('read', name);
    if (range === undefined) return attempts((signal) => this.#client.get(key, null, signal));
    if (range.end > range.start) return attempts((signal) => this.#client.get(key, range, signal));
    const head = await attempts((signal) => this.#client.head(key, signal));
    return head === null ? null : new Uint8Array();
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    const key = this.#key(name);
    await this.#attempts('write', name)((signal) => this.#client.put(key, bytes, signal));
  }

  async putIfAbsent(name: string, bytes: Uint8Array): Promise<boolean> {
    const key = this.#key(name);
    this.#proof ??= this.#prove();
    await this.#proof;
    const isLogEntry = name.includes('_delta_log/');
    if (isLogEntry) failpoint('delta.commit-staged');
    const won = await this.#putOnce({name, key, bytes});
    if (won && isLogEntry) failpoint('delta.commit-linked');
    return won;
  }

  async *list(
    prefix: string,
    options: {readonly after?: string; readonly shallow?: boolean; readonly temporaries?: boolean} = {},
  ): AsyncGenerator<ObjectInfo> {
    const after = options.after ?? '';
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    const pages = this.#pages(prefix, {delimited: options.shallow ?? false, after});
    for await (const {key, sizeBytes, modifiedAtMs} of this.#ordered(pages, options.shallow ?? false)) {
      const name = key.slice(this.#keyPrefix.length);
      const isShown = name > after && !isHidden(name.slice(folder.length), options.temporaries ?? false);
      if (isShown) yield {name, sizeBytes, modifiedAtMs};
    }
  }

  async prefixes(prefix: string): Promise<readonly string[]> {
    const found = new Set<string>();
    const start = this.#keyPrefix.length + prefix.length;
    for await (const page of this.#pages(prefix, {delimited: true, after: ''})) {
      for (const each of page.prefixes) found.add(each.slice(start, -1));
    }
    return [...found].filter((name) => !name.startsWith('.') && name !== '').sort();
  }

  async delete(name: string): Promise<void> {
    const key = this.#key(name);
    await this.#attempts('delete', name)((signal) => this.#client.delete(key, signal));
    await this.#cache.forget(name);
  }

  async stage(name: string): Promise<StagedObject> {
    const key = this.#key(name);
    const localPath = await this.#cache.stage(name);
    const attempts = this.#attempts('upload', name);
    return {
      name,
      localPath,
      seal: async (signal) => {
        signal.throwIfAborted();
        const {size: sizeBytes} = await stat(localPath);
        await this.#client.upload(key, {path: localPath, sizeBytes}, attempts, signal);
        if (!isRewritten(name)) await this.#cache.keep(name);
        return sizeBytes;
      },
    };
  }

  async localPath(name: string): Promise<string> {
    const key = this.#key(name);
    const known = isRewritten(name) ? null : this.#cache.find(name);
    if (known !== null) return known;
    const attempts = this.#attempts('read', name);
    const head = await attempts((signal) => this.#client.head(key, signal));
    if (head === null) {
      throw new IngestError('STORAGE_FAILED', `${this.root}/${name} does not exist.`, {
        class: 'transient',
        fix: 'Another process removed it, or the table is not complete: run again.',
        context: {path: `${this.root}/${name}`},
      });
    }
    return this.#cache.fill(name, isRewritten(name) ? head.etag : null, (path) =>
      this.#downloading(() => downloadFile({client: this.#client, key, sizeBytes: head.sizeBytes, path}, attempts)),
    );
  }

  #key(name: string): string {
    return this.#keyPrefix + checkObjectName(name);
  }

  #attempts(action: string, name: string, onFailure?: () => void): Attempts {
    const client = this.#client;
    return (call, signal = NEVER, timeoutMs = this.#tools.policy.timeoutMs) =>
      attempt(
        call,
        {
          ...this.#tools,
          policy: {...this.#tools.policy, timeoutMs},
          classify: (error) => client.classify(error),
          failed: (failure) => objectError(failure, {action, path: `${this.root}/${name}`, client}),
          ...(onFailure === undefined ? {} : {onFailure}),
        },
        signal,
      );
  }

  /** A retried put may meet its own first attempt, whose answer was lost: the mark tells it from another writer's. */
  async #putOnce(object: {readonly name: string; readonly key: string; readonly bytes: Uint8Array}): Promise<boolean> {
    const {name, key, bytes} = object;
    const mark = randomUUID();
    let mayBeOurs = false;
    const attempts = this.#attempts('write', name, () => {
      mayBeOurs = true;
    });
    try {
      if (await attempts((signal) => this.#client.putIfAbsent(key, bytes, mark, signal))) return true;
    } catch (error) {
      const found = await this.#attempts('read', name)((signal) => this.#client.head(key, signal)).catch(() => null);
      if (found === null) throw error;
      mayBeOurs = true;
    }
    return mayBeOurs && (await this.#isOurs({name, key, bytes, mark}));
  }

  async #isOurs(object: {
    readonly name: string;
    readonly key: string;
    readonly bytes: Uint8Array;
    readonly mark: string;
  }): Promise<boolean> {
    const attempts = this.#attempts('read', object.name);
    const head = await attempts((signal) => this.#client.head(object.key, signal));
    if (head === null) return false;
    if (head.mark !== null) return head.mark === object.mark;
    // A store that keeps no metadata.
    const stored = await attempts((signal) => this.#client.get(object.key, null, signal));
    return stored !== null && Buffer.compare(stored, object.bytes) === 0;
  }

  #prove(): Promise<void> {
    const proof = proveOneWinner({
      client: this.#client,
      root: this.root,
      keyPrefix: this.#keyPrefix,
      attempts: this.#attempts('probe', 'the store'),
    });
    // One that could not be made is asked for again by the next write; a failed one fails again.
    proof.catch(() => {
      this.#proof = null;
    });
    return proof;
  }

  async *#pages(
    prefix: string,
    options: {readonly delimited: boolean; readonly after: string},
  ): AsyncGenerator<ListPage> {
    const attempts = this.#attempts('list', prefix);
    const after = options.after === '' ? null : this.#keyPrefix + options.after;
    let page: string | null = null;
    do {
      const request = {prefix: this.#keyPrefix + prefix, delimited: options.delimited, after, page};
      const found: ListPage = await attempts((signal) => this.#client.list(request, signal));
      yield found;
      page = found.next;
    } while (page !== null);
  }

  /** The objects of all pages in the order of their keys. */
  async *#ordered(pages: AsyncIterable<ListPage>, isShallow: boolean): AsyncGenerator<ListedObject> {
    if (this.#client.listsInOrder || isShallow) {
      for await (const page of pages) yield* page.objects;
      return;
    }
    const all: ListedObject[] = [];
    for await (const page of pages) all.push(...page.objects);
    yield* all.sort((left, right) => (left.key < right.key ? -1 : 1));
  }
}

/** Names with a leading dot are not of the lake; of files they may be asked for. */
function isHidden(below: string, showTemporaries: boolean): boolean {
  const parts = below.split('/');
  const file = parts.pop() ?? '';
  return (file.startsWith('.') && !showTemporaries) || parts.some((part) => part.startsWith('.'));
}

/** Checkpoints may be written twice, and anew when a table is dropped and made again; all other files have names of their own for ever. */
function isRewritten(name: string): boolean {
  return name.includes('_delta_log/');
}
