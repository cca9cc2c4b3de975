import {createHash, randomUUID} from 'node:crypto';
import {link, mkdir, rename, rm, stat, utimes} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';

import {systemClock, type Clock} from '../core/clock.ts';
import {evict, type CacheFolders} from './cache-eviction.ts';
import {openUseFolder, type UseFolder} from './cache-use-folder.ts';
import {cacheError, systemCode} from './storage-error.ts';

/**
 * Local copies of a remote lake's immutable files, shared by the processes of a machine. A process sees them through a
 * folder of its own with hard links: what it was given stays readable when another process, or this one, evicts it.
 */
export interface ReadCache extends AsyncDisposable {
  /** Where everything below lies: the engine must be allowed to read and write here. */
  readonly folder: string;
  /** A path for a file that will be uploaded under the name; its folder exists, no file is there. */
  stage(name: string): Promise<string>;
  /** Takes an uploaded file over, so that it is not downloaded again. */
  keep(name: string): Promise<void>;
  /** The local path of a file that this process has already; null when it has not. */
  find(name: string): string | null;
  /**
   * The local path of a file, from another process's copy or by `download`, which writes it at the path it is given.
   * With a tag, only a copy of the same tag counts. Calls for one file at a time share one download.
   */
  fill(name: string, tag: string | null, download: (path: string) => Promise<void>): Promise<string>;
  /** Drops a file that was deleted in the store. */
  forget(name: string): Promise<void>;
}

/** Where a cache lies and how much it may hold. */
export interface ReadCacheOptions {
  /** Of this lake alone; made when it is not there. */
  readonly folder: string;
  readonly maxBytes: number;
  readonly clock?: Clock;
}

/** Files of this process that it has not asked for in so long are no longer in use. */
const IN_USE_MS = 3_600_000;

/** Opens a cache; the caller disposes it, which gives up this process's links. */
export async function openReadCache(options: ReadCacheOptions): Promise<ReadCache> {
  try {
    const files = join(options.folder, 'files');
    await mkdir(files, {recursive: true});
    const use = await openUseFolder(join(options.folder, 'use'));
    return new LinkedCache(options, {files, use});
  } catch (error) {
    throw cacheError(error, options.folder);
  }
}

interface Folders {
  /** Complete files by name. */
  readonly files: string;
  readonly use: UseFolder;
}

class LinkedCache implements ReadCache {
  readonly folder: string;
  readonly #files: string;
  readonly #use: UseFolder;
  readonly #maxBytes: number;
  readonly #clock: Clock;
  /** When each file of this process was last asked for, by name within the folders. */
  readonly #usedAt = new Map<string, number>();
  readonly #filling = new Map<string, Promise<string>>();
  #eviction: Promise<void> | null = null;
  /** Added since the files were last counted; counted at the first addition. */
  #uncountedBytes = Number.POSITIVE_INFINITY;

  constructor(options: ReadCacheOptions, {files, use}: Folders) {
    this.folder = options.folder;
    this.#maxBytes = options.maxBytes;
    this.#clock = options.clock ?? systemClock;
    this.#files = files;
    this.#use = use;
  }

  async stage(name: string): Promise<string> {
    const path = this.#own(name);
    return this.#guarded(async () => {
      await mkdir(dirname(path), {recursive: true});
      // Whoever writes there must not write into a file that others have linked.
      this.#usedAt.delete(name);
      await rm(path, {force: true});
      return path;
    });
  }

  async keep(name: string): Promise<void> {
    await this.#guarded(async () => {
      await rm(this.#shared(name), {force: true});
      await this.#share(name);
      this.#usedAt.set(name, this.#clock.nowMs());
      await this.#added(name);
    });
  }

  find(name: string): string | null {
    if (!this.#usedAt.has(name)) return null;
    this.#usedAt.set(name, this.#clock.nowMs());
    return this.#own(name);
  }

  async fill(name: string, tag: string | null, download: (path: string) => Promise<void>): Promise<string> {
    const entry = tag === null ? name : join(dirname(name), `.${hashOf(tag)}`, basename(name));
    const known = this.find(entry);
    if (known !== null) return known;
    const running = this.#filling.get(entry);
    if (running !== undefined) return running;
    const filling = this.#guarded(() => this.#fill(entry, download)).finally(() => this.#filling.delete(entry));
    this.#filling.set(entry, filling);
    return filling;
  }

  async forget(name: string): Promise<void> {
    this.#usedAt.delete(name);
    // A copy that cannot be removed is never asked for again, and evicted in its time.
    await Promise.all(
      [this.#own(name), this.#shared(name)].map((path) => rm(path, {force: true}).catch(() => undefined)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#eviction;
    await this.#use[Symbol.asyncDispose]();
    await this.#evict(0).catch(() => undefined);
  }

  #own(name: string): string {
    return join(this.#use.path, name);
  }

  #shared(name: string): string {
    return join(this.#files, name);
  }

  async #fill(entry: string, download: (path: string) => Promise<void>): Promise<string> {
    const own = this.#own(entry);
    await mkdir(dirname(own), {recursive: true});
    if (await linkIfThere(this.#shared(entry), own)) {
      this.#usedAt.set(entry, this.#clock.nowMs());
      const now = new Date();
      // Links share their times: this is when the file was last used, for all processes.
      await utimes(own, now, now);
      return own;
    }
    const draft = join(dirname(own), `.${randomUUID()}.part`);
    try {
      await this.#withRoom(draft, download);
      await rename(draft, own);
    } catch (error) {
      await rm(draft, {force: true});
      throw error;
    }
    this.#usedAt.set(entry, this.#clock.nowMs());
    await this.#share(entry);
    await this.#added(entry);
    return own;
  }

  /** A full disk may be full of our own copies: they go first. */
  async #withRoom(draft: string, download: (path: string) => Promise<void>): Promise<void> {
    try {
      await download(draft);
    } catch (error) {
      if (systemCode(error) !== 'ENOSPC') throw error;
      await rm(draft, {force: true});
      await this.#evict(this.#maxBytes);
      await download(draft);
    }
  }

  /** Shows a file of this process to the others. */
  async #share(name: string): Promise<void> {
    const shared = this.#shared(name);
    await mkdir(dirname(shared), {recursive: true});
    try {
      await link(this.#own(name), shared);
    } catch (error) {
      // Another process has it, too.
      if (systemCode(error) !== 'EEXIST') throw error;
    }
  }

  async #added(name: string): Promise<void> {
    this.#uncountedBytes += (await stat(this.#own(name))).size;
    if (this.#uncountedBytes < this.#maxBytes / 20) return;
    this.#eviction ??= this.#evict(0).finally(() => {
      this.#eviction = null;
    });
    await this.#eviction;
  }

  /** Brings the files below the limit, or as far below as `bytesToFree` asks; files in use stay. */
  async #evict(bytesToFree: number): Promise<void> {
    this.#uncountedBytes = 0;
    const folders: CacheFolders = {files: this.#files, maxBytes: this.#maxBytes, bytesToFree};
    if (await evict(folders)) return;
    const oldest = this.#clock.nowMs() - IN_USE_MS;
    for (const [name, usedAt] of this.#usedAt) {
      if (usedAt > oldest) continue;
      this.#usedAt.delete(name);
      await rm(this.#own(name), {force: true});
    }
    await evict(folders);
  }

  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw cacheError(error, this.folder);
    }
  }
}

async function linkIfThere(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EEXIST') {
      // A staged file that was never sealed: nobody vouches for it.
      await rm(to, {force: true});
      return linkIfThere(from, to);
    }
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    throw error;
  }
}

function hashOf(tag: string): string {
  return createHash('sha256').update(tag).digest('hex').slice(0, 16);
}
