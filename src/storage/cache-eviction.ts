import {readdir, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';

/** What to bring below a limit. */
export interface CacheFolders {
  readonly files: string;
  readonly maxBytes: number;
  /** At least so much is to go, however much there is. */
  readonly bytesToFree: number;
}

interface CachedFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly usedAtMs: number;
  /** True when some process has a link of its own. */
  readonly isInUse: boolean;
}

/** Room that is made beyond the limit, so that not every new file evicts one. */
const TARGET = 0.9;

/**
 * Removes the copies that were not used for the longest time until the rest is below nine tenths of the limit; true when it
 * came so far. Copies that a process has linked stay: removing them would free nothing.
 */
export async function evict({files, maxBytes, bytesToFree}: CacheFolders): Promise<boolean> {
  const found = await filesBelow(files);
  const total = found.reduce((sum, file) => sum + file.sizeBytes, 0);
  if (total <= maxBytes && bytesToFree === 0) return true;
  const target = Math.min(maxBytes * TARGET, total - bytesToFree);
  let left = total;
  for (const file of found.filter((each) => !each.isInUse).sort((a, b) => a.usedAtMs - b.usedAtMs)) {
    if (left <= target) break;
    await rm(file.path, {force: true});
    left -= file.sizeBytes;
  }
  return left <= target;
}

async function filesBelow(folder: string): Promise<readonly CachedFile[]> {
  const found: CachedFile[] = [];
  for (const entry of await readdir(folder, {recursive: true, withFileTypes: true})) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    try {
      const {size, mtimeMs, nlink} = await stat(path);
      found.push({path, sizeBytes: size, usedAtMs: mtimeMs, isInUse: nlink > 1});
    } catch {
      // Another process evicted it since the folder was read.
    }
  }
  return found;
}
