import {createHash} from 'node:crypto';

import {IngestError} from '../core/errors.ts';
import {type Offset, offsetText} from '../core/offset.ts';

/** Watches the offsets of one trigger. */
export interface LoopGuard {
  /**
   * Takes the offsets of one call that was committed; true when the trigger is done, because the call ended where it
   * started or, in a snapshot, at null. Calling again with the same offsets (a batch that was tried again) is allowed.
   * @throws OFFSET_LOOP when the call ended where an earlier call of this trigger had started.
   */
  check(start: Offset | null, end: Offset | null): boolean;
}

/** A guard for one trigger of one table; `isSnapshot` says that null ends the trigger instead of leading back to its start. */
export function createLoopGuard(
  table: string,
  options: {readonly isSnapshot: boolean} = {isSnapshot: false},
): LoopGuard {
  const starts = new Set<string>();
  return {
    check(start, end) {
      const [from, to] = [fingerprint(start), fingerprint(end)];
      if (from === to || (options.isSnapshot && end === null)) return true;
      starts.add(from);
      if (!starts.has(to)) return false;
      // Invariant 7: a trigger ends.
      throw new IngestError(
        'OFFSET_LOOP',
        `The offsets of table "${table}" went round in circles: a call ended where an earlier call of the same trigger had started.`,
        {
          fix: 'A call must end at its own start when nothing is new, and at an offset that was never there before when something is.',
          context: {table},
        },
      );
    },
  };
}

/** Short for offsets of any size: a long trigger keeps one for every call. */
function fingerprint(offset: Offset | null): string {
  return createHash('sha256').update(offsetText(offset)).digest('base64');
}
