import type {ManifestWriter} from './manifest-writer.ts';
import {readEntryAt} from './staging.ts';

/**
 * The first entry that may hold changes behind a point of this epoch's log: looks back from the last entry, which is quick for a point
 * of now.
 */
export async function logFromOf({staging, state}: ManifestWriter, position: bigint): Promise<number> {
  let first = state.n + 1;
  for (let n = state.n; n > state.retiredThrough; n--) {
    const entry = await readEntryAt(staging, n);
    if (entry === null || entry.kind === 'epoch') return first;
    if (entry.kind === 'advance' && entry.end.position <= position) return first;
    if (entry.kind !== 'log') continue;
    if (entry.end.position > position) first = n;
    else if (entry.tail === null) return first;
    else {
      // A transaction that is longer than a segment ends behind the point.
      first = n;
      if (entry.tail > 0 || entry.open === null) return first;
    }
  }
  return first;
}
