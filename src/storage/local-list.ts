import type {Dirent} from 'node:fs';
import {readdir, stat} from 'node:fs/promises';
import {join} from 'node:path';

import {storageError, systemCode} from './storage-error.ts';
import type {ObjectInfo} from './store.ts';

/** What to list: see {@link Store.list}. */
export interface ListOptions {
  readonly after?: string;
  readonly shallow?: boolean;
  readonly temporaries?: boolean;
}

/** The files under `root` whose name starts with `prefix`, in ascending order of name; names with a leading dot are left out unless wanted. */
export async function* listLocal(root: string, prefix: string, options: ListOptions): AsyncGenerator<ObjectInfo> {
  const slash = prefix.lastIndexOf('/') + 1;
  yield* listFolder(
    {
      root,
      prefix,
      after: options.after ?? '',
      shallow: options.shallow ?? false,
      temporaries: options.temporaries ?? false,
    },
    prefix.slice(0, slash),
  );
}

/** Names of the folders directly in `prefix`, ascending; dot-folders are left out. */
export async function listFolders(root: string, prefix: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const entry of await readFolder(join(root, prefix))) {
    if (!entry.name.startsWith('.') && (await isFolder(root, prefix + entry.name, entry))) found.push(entry.name);
  }
  return found.sort();
}

interface Listing {
  readonly root: string;
  readonly prefix: string;
  readonly after: string;
  readonly shallow: boolean;
  readonly temporaries: boolean;
}

async function* listFolder(listing: Listing, folder: string): AsyncGenerator<ObjectInfo> {
  for (const name of await wantedEntries(listing, folder)) {
    if (name.endsWith('/')) yield* listFolder(listing, name);
    else {
      const info = await describe(listing.root, name);
      if (info !== null) yield info;
    }
  }
}

/** Names in one folder, subfolders with a trailing slash: sorted so, depth first equals the order of whole names. */
async function wantedEntries(listing: Listing, folder: string): Promise<readonly string[]> {
  const names: string[] = [];
  for (const entry of await readFolder(join(listing.root, folder))) {
    if (entry.name.startsWith('.') && !(listing.temporaries && entry.isFile())) continue;
    const name = folder + entry.name;
    const isWanted = name > listing.after && name.startsWith(listing.prefix);
    // A log has many entries, and few of them are asked for.
    if (!isWanted && entry.isFile()) continue;
    if (await isFolder(listing.root, name, entry)) {
      if (!listing.shallow && mayHold(`${name}/`, listing)) names.push(`${name}/`);
    } else if (isWanted) names.push(name);
  }
  return names.sort();
}

function mayHold(folder: string, listing: Listing): boolean {
  const isWanted = folder.startsWith(listing.prefix) || listing.prefix.startsWith(folder);
  return isWanted && (folder > listing.after || listing.after.startsWith(folder));
}

async function isFolder(root: string, name: string, entry: Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  try {
    return (await stat(join(root, name))).isDirectory();
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw storageError(error, 'list', join(root, name));
  }
}

async function readFolder(path: string): Promise<readonly Dirent[]> {
  try {
    return await readdir(path, {withFileTypes: true});
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw storageError(error, 'list', path);
  }
}

async function describe(root: string, name: string): Promise<ObjectInfo | null> {
  try {
    const found = await stat(join(root, name));
    return {name, sizeBytes: found.size, modifiedAtMs: Math.trunc(found.mtimeMs)};
  } catch (error) {
    // Deleted since the folder was read.
    if (systemCode(error) === 'ENOENT') return null;
    throw storageError(error, 'list', join(root, name));
  }
}
