import {createHash} from 'node:crypto';
import {readFile} from 'node:fs/promises';

import {failureOfNetwork, failureOfStatus} from './network-failure.ts';
import type {ClientFailure, ListPage, ListRequest, LocalFile, ObjectClient, ObjectHead} from './object-client.ts';

/** One call of a client, as a fault sees it. */
export interface ClientCall {
  readonly method: 'get' | 'head' | 'put' | 'putIfAbsent' | 'list' | 'delete' | 'upload';
  readonly key: string;
}

/** What goes wrong with a call: it fails before its work, or after it. */
export type ClientFault = {readonly when: 'before' | 'after'; readonly error: Error} | null;

/** A failure with the status of an HTTP answer. */
export function httpError(status: number): Error {
  return Object.assign(new Error(`status ${status}`), {status});
}

/** A broken connection. */
export function networkError(code = 'ECONNRESET'): Error {
  return Object.assign(new Error('broken'), {code});
}

interface Stored {
  readonly bytes: Uint8Array;
  readonly mark: string | null;
  readonly modifiedAtMs: number;
}

/** An object store in memory whose calls fail as told. */
export class MemoryClient implements ObjectClient {
  readonly identity = 'memory/bucket';
  readonly rights = 'all of them.';
  readonly credentials = 'Give credentials.';
  readonly listsInOrder: boolean;
  readonly objects: Map<string, Stored> = new Map<string, Stored>();
  readonly calls: ClientCall[] = [];
  fault: (call: ClientCall) => ClientFault = () => null;
  /** Between looking and writing; a store that is atomic has none. */
  pause: (() => Promise<void>) | null = null;
  keepsMarks: boolean = true;

  constructor(listsInOrder = true) {
    this.listsInOrder = listsInOrder;
  }

  get(key: string, range: {readonly start: number; readonly end: number} | null): Promise<Uint8Array | null> {
    return this.#call({method: 'get', key}, () => {
      const found = this.objects.get(key)?.bytes ?? null;
      return found === null || range === null ? found : found.slice(range.start, range.end);
    });
  }

  head(key: string): Promise<ObjectHead | null> {
    return this.#call({method: 'head', key}, () => {
      const found = this.objects.get(key);
      if (found === undefined) return null;
      const etag = createHash('md5').update(found.bytes).digest('hex');
      return {sizeBytes: found.bytes.length, etag, mark: this.keepsMarks ? found.mark : null};
    });
  }

  put(key: string, bytes: Uint8Array): Promise<void> {
    return this.#call({method: 'put', key}, () => {
      this.objects.set(key, {bytes, mark: null, modifiedAtMs: Date.now()});
    });
  }

  async putIfAbsent(key: string, bytes: Uint8Array, mark: string): Promise<boolean> {
    return this.#call({method: 'putIfAbsent', key}, async () => {
      if (this.objects.has(key)) return false;
      await this.pause?.();
      this.objects.set(key, {bytes, mark, modifiedAtMs: Date.now()});
      return true;
    });
  }

  list(request: ListRequest): Promise<ListPage> {
    return this.#call({method: 'list', key: request.prefix}, () => {
      const keys = [...this.objects.keys()].filter((key) => key.startsWith(request.prefix)).sort();
      if (!this.listsInOrder) keys.reverse();
      const below = (key: string): number => key.indexOf('/', request.prefix.length);
      const prefixes = new Set(
        request.delimited ? keys.filter((key) => below(key) >= 0).map((key) => key.slice(0, below(key) + 1)) : [],
      );
      const shown = keys.filter((key) => !request.delimited || below(key) < 0);
      const start = Number(request.page ?? 0);
      return {
        objects: shown.slice(start, start + 3).map((key) => ({
          key,
          sizeBytes: this.objects.get(key)?.bytes.length ?? 0,
          modifiedAtMs: this.objects.get(key)?.modifiedAtMs ?? 0,
        })),
        prefixes: [...prefixes],
        next: start + 3 < shown.length ? String(start + 3) : null,
      };
    });
  }

  delete(key: string): Promise<void> {
    return this.#call({method: 'delete', key}, () => {
      this.objects.delete(key);
    });
  }

  upload(key: string, file: LocalFile): Promise<void> {
    return this.#call({method: 'upload', key}, async () => {
      this.objects.set(key, {bytes: await readFile(file.path), mark: null, modifiedAtMs: Date.now()});
    });
  }

  classify(error: unknown): ClientFailure {
    const {status} = error as {readonly status?: number};
    const message = error instanceof Error ? error.message : String(error);
    return (
      failureOfNetwork(error) ??
      failureOfStatus(status, `HTTP ${status}`, message) ?? {kind: 'refused', code: 'X', message}
    );
  }

  close(): void {
    // Nothing is open.
  }

  async #call<T>(call: ClientCall, work: () => T | Promise<T>): Promise<T> {
    this.calls.push(call);
    const fault = this.fault(call);
    await new Promise((resolve) => setImmediate(resolve));
    if (fault?.when === 'before') throw fault.error;
    const result = await work();
    if (fault?.when === 'after') throw fault.error;
    return result;
  }
}
