import {randomUUID} from 'node:crypto';
import {existsSync} from 'node:fs';
import {link, mkdir, open, readFile, rename, rm, unlink} from 'node:fs/promises';
import {basename, dirname, join, resolve, sep} from 'node:path';

import {IngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import type {ListOptions} from './local-list.ts';
import {listFolders, listLocal} from './local-list.ts';
import {checkObjectName} from './object-name.ts';
import {storageError, systemCode} from './storage-error.ts';
import type {ObjectInfo, StagedObject, Store} from './store.ts';

/**
 * A store in a folder of this machine. Nothing is created before the first write. Needs a file system with hard links,
 * which are how putIfAbsent lets only one writer win; files whose name starts with a dot are its own and listed only as `temporaries`.
 */
export function createLocalStore(rootFolder: string): Store {
  return new LocalStore(resolve(rootFolder));
}

class LocalStore implements Store {
  readonly root: string;
  /** Folders whose entry in their parent is known to be durable. */
  readonly #durableFolders = new Set<string>();

  constructor(root: string) {
    this.root = root;
  }

  async get(name: string, range?: {readonly start: number; readonly end: number}): Promise<Uint8Array | null> {
    const path = this.#path(name);
    try {
      return range === undefined ? await readFile(path) : await readRange(path, range);
    } catch (error) {
      if (isAbsent(error)) return null;
      throw storageError(error, 'read', path);
    }
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    const path = this.#path(name);
    await this.#guarded('write', path, async () => {
      const temporary = await this.#writeTemporary(path, bytes);
      await discardOnError(temporary, () => rename(temporary, path));
      await syncFolder(dirname(path));
    });
  }

  async putIfAbsent(name: string, bytes: Uint8Array): Promise<boolean> {
    const path = this.#path(name);
    return this.#guarded('write', path, async () => {
      const temporary = await this.#writeTemporary(path, bytes);
      const isLogEntry = name.includes('_delta_log/');
      if (isLogEntry) failpoint('delta.commit-staged');
      const won = await discardOnError(temporary, () => linkIfAbsent(temporary, path));
      if (won && isLogEntry) failpoint('delta.commit-linked');
      if (won) await syncFolder(dirname(path));
      await unlink(temporary);
      return won;
    });
  }

  list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    return listLocal(this.root, prefix, options);
  }

  prefixes(prefix: string): Promise<readonly string[]> {
    return listFolders(this.root, prefix);
  }

  async delete(name: string): Promise<void> {
    const path = this.#path(name);
    try {
      await unlink(path);
    } catch (error) {
      if (!isAbsent(error)) throw storageError(error, 'delete', path);
    }
  }

  async stage(name: string): Promise<StagedObject> {
    const localPath = this.#path(name);
    const folder = dirname(localPath);
    // Nobody tells us when a table's folder is dropped, and the engine that writes there cannot make it again.
    if (!existsSync(folder)) this.#durableFolders.clear();
    await this.#guarded('create the folder of', localPath, () => this.#ensureFolder(folder));
    return {
      name,
      localPath,
      seal: async (signal) => {
        signal.throwIfAborted();
        return this.#guarded('make durable', localPath, () => sealFile(localPath));
      },
    };
  }

  localPath(name: string): Promise<string> {
    return Promise.resolve(this.#path(name));
  }

  #path(name: string): string {
    return join(this.root, checkObjectName(name));
  }

  async #guarded<T>(action: string, path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw storageError(error, action, path);
    }
  }

  /** Writes a durable file beside `path` that no list shows. */
  async #writeTemporary(path: string, bytes: Uint8Array): Promise<string> {
    const folder = dirname(path);
    const temporary = join(folder, `.${basename(path).slice(0, 100)}.${randomUUID()}.tmp`);
    await this.#ensureFolder(folder);
    try {
      await writeDurably(temporary, bytes);
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
      // Somebody removed the folder after we had seen it, for example to drop the table.
      this.#durableFolders.clear();
      await this.#ensureFolder(folder);
      await writeDurably(temporary, bytes);
    }
    return temporary;
  }

  /** Makes the folder and its missing parents, each durable in its own parent. */
  async #ensureFolder(folder: string): Promise<void> {
    if (this.#durableFolders.has(folder)) return;
    const isInside = folder === this.root || folder.startsWith(this.root + sep);
    if (isInside && folder !== this.root) await this.#ensureFolder(dirname(folder));
    const created = await makeFolders(folder);
    // Inside the root another process may have made the folder a moment ago without having synced it yet.
    if (folder !== this.root) await syncFolder(dirname(folder));
    else if (created !== undefined) await syncParents(folder, created);
    this.#durableFolders.add(folder);
  }
}

/** On a read-only file system Node reports ENOENT for a recursive mkdir: making one folder by itself tells the reason. */
async function makeFolders(folder: string): Promise<string | undefined> {
  try {
    return await mkdir(folder, {recursive: true});
  } catch (error) {
    if (systemCode(error) === 'ENOENT') await mkdir(firstMissing(folder));
    throw error;
  }
}

function firstMissing(folder: string): string {
  const parent = dirname(folder);
  return parent === folder || existsSync(parent) ? folder : firstMissing(parent);
}

async function linkIfAbsent(temporary: string, path: string): Promise<boolean> {
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EEXIST') return false;
    if (code === null || !WITHOUT_HARD_LINKS.has(code)) throw error;
    throw new IngestError('STORAGE_FAILED', `Cannot link ${path}: the file system has no hard links (${code}).`, {
      class: 'config',
      fix: 'Put the lake on a file system with hard links, such as ext4, xfs, btrfs, APFS or NTFS.',
      cause: error,
      context: {path},
    });
  }
}

const WITHOUT_HARD_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV']);

async function discardOnError<T>(temporary: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // The first error tells the story; a temporary file that stays is invisible.
    await rm(temporary, {force: true}).catch(() => undefined);
    throw error;
  }
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  await discardOnError(path, async () => {
    await using file = await open(path, 'wx', 0o666);
    await file.writeFile(bytes);
    await file.sync();
  });
}

async function sealFile(path: string): Promise<number> {
  const sizeBytes = await syncFile(path);
  await syncFolder(dirname(path));
  return sizeBytes;
}

async function syncFile(path: string): Promise<number> {
  await using file = await open(path, 'r+');
  await file.sync();
  return (await file.stat()).size;
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}

/** Syncs every folder from the parent of `first`, the outermost that was made, to the parent of `last`. */
async function syncParents(last: string, first: string): Promise<void> {
  for (let folder = dirname(last); folder.length >= dirname(first).length; folder = dirname(folder)) {
    await syncFolder(folder);
    if (folder === dirname(folder)) return;
  }
}

async function readRange(path: string, range: {readonly start: number; readonly end: number}): Promise<Uint8Array> {
  await using file = await open(path, 'r');
  const end = Math.min(range.end, (await file.stat()).size);
  const bytes = new Uint8Array(Math.max(0, end - range.start));
  let filled = 0;
  while (filled < bytes.length) {
    const {bytesRead} = await file.read(bytes, filled, bytes.length - filled, range.start + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

function isAbsent(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}
