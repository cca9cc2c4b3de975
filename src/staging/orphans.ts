import {numberOf} from './layout.ts';
import type {ManifestWriter} from './manifest-writer.ts';
import {readEntryAt} from './staging.ts';

/** Entries that a killed gateway may have been behind with, counted generously. */
const LOOK_BACK = 100;

/** Removes what a killed gateway left: segments that no entry names, and temporary files. Only for who holds the gateway's lease. */
export async function removeOrphans({staging, state}: ManifestWriter): Promise<number> {
  const {store, layout} = staging;
  const after = layout.segment(state.epoch, Math.max(0, state.n - LOOK_BACK), '');
  const folder = after.slice(0, after.lastIndexOf('/') + 1);
  let removed = (await removeTemporaries(staging, layout.manifest)) + (await removeTemporaries(staging, folder));
  for await (const {name} of store.list(folder, {after})) {
    if (await isNamed(staging, name)) continue;
    await store.delete(name);
    removed++;
  }
  return removed;
}

/** Their names begin with a dot and so come before all others. */
async function removeTemporaries({store}: ManifestWriter['staging'], folder: string): Promise<number> {
  let removed = 0;
  for await (const {name} of store.list(folder, {temporaries: true, shallow: true})) {
    if (!name.slice(folder.length).startsWith('.')) break;
    await store.delete(name);
    removed++;
  }
  return removed;
}

/** A segment lies under the number that its entry was to have; entries of others may have come between. */
async function isNamed(staging: ManifestWriter['staging'], file: string): Promise<boolean> {
  for (let n = numberOf(file); ; n++) {
    const entry = await readEntryAt(staging, n);
    if (entry === null) return false;
    if (entry.kind === 'log') return entry.file === file;
  }
}
