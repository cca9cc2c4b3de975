import type {Clock} from '../core/clock.ts';
import {IngestError, messageOf} from '../core/errors.ts';
import type {Store} from '../storage/store.ts';
import type {Action} from './actions.ts';
import type {CompactedRange} from './log-names.ts';
import {commitName, compactionName} from './log-names.ts';
import {parseActions} from './parse-action.ts';

/** A commit as read from the log. */
export interface Commit {
  readonly version: number;
  readonly actions: readonly Action[];
}

/** Where commits are read from. */
export interface LogSource {
  readonly store: Store;
  readonly clock: Clock;
  readonly root: string;
}

/** How often and how long to wait for the end of an entry that another writer may still be writing. */
const TORN_READS = 4;
const TORN_WAIT_MS = 50;

/** The bytes of a commit: one action per line, commitInfo first. */
export function encodeCommit(actions: readonly Action[]): Uint8Array {
  return new TextEncoder().encode(actions.map((action) => `${JSON.stringify(action)}\n`).join(''));
}

/**
 * Reads one commit; null when there is none of that version. An entry that does not parse is read again for a moment:
 * there are writers that create the file before they fill it.
 * @throws CORRUPT_LOG naming the file when it stays unreadable.
 */
export async function readCommit(source: LogSource, version: number): Promise<Commit | null> {
  const name = commitName(source.root, version);
  for (let read = 1; ; read++) {
    const bytes = await source.store.get(name);
    if (bytes === null) return null;
    try {
      return {version, actions: decodeCommit(bytes)};
    } catch (error) {
      if (read === TORN_READS) throw corrupt(source, name, error);
    }
    await source.clock.sleep(TORN_WAIT_MS, new AbortController().signal);
  }
}

/**
 * The actions that a log compaction file holds; null when it cannot be used: it is gone, or not whole. The commits that it
 * stands for say the same.
 */
export async function readCompaction(
  {store, root}: Pick<LogSource, 'store' | 'root'>,
  range: CompactedRange,
): Promise<readonly Action[] | null> {
  const bytes = await store.get(compactionName(root, range));
  if (bytes === null) return null;
  try {
    return decodeCommit(bytes);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return null;
    throw error;
  }
}

function decodeCommit(bytes: Uint8Array): readonly Action[] {
  const lines = new TextDecoder('utf-8', {fatal: true}).decode(bytes).split('\n');
  const actions = lines.filter((line) => line.trim() !== '').flatMap((line) => parseActions(JSON.parse(line)));
  if (lines.length <= 1 && actions.length === 0) throw new SyntaxError('The file is empty');
  return actions;
}

function corrupt(source: LogSource, name: string, cause: unknown): IngestError {
  return new IngestError(
    'CORRUPT_LOG',
    `The log entry ${source.store.root}/${name} cannot be read: ${messageOf(cause)}`,
    {
      fix: 'If it is the newest entry and its writer died while writing it, move the file away; else restore it from a backup.',
      cause,
      context: {name},
    },
  );
}
