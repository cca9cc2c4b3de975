import type {ObjectInfo, Store} from '../storage/store.ts';
import type {CompactedRange, LogName} from './log-names.ts';
import {commitName, lastCheckpointName, logPrefix, paddedVersion, parseLogName} from './log-names.ts';

/** A checkpoint that is there whole. */
export interface CheckpointRef {
  readonly version: number;
  readonly format: 'parquet' | 'json';
  /** Object names of its parts, in order. */
  readonly names: readonly string[];
  readonly modifiedAtMs: number;
}

/** What a listing of the log shows. */
export interface LogSegment {
  /** Complete checkpoints, newest first. */
  readonly checkpoints: readonly CheckpointRef[];
  /** Time of writing by version, ascending. */
  readonly commits: ReadonlyMap<number, number>;
  /** Log compaction files: each spares the reading of its commits. */
  readonly compactions: readonly CompactedRange[];
  /** The newest version that a commit or a checkpoint shows. */
  readonly head: number;
  /** False when older entries may exist that were not listed. */
  readonly fromStart: boolean;
}

/**
 * Lists the log from the checkpoint that `_last_checkpoint` names, or from its start when that hint is missing, unreadable,
 * stale or not wanted; null when there is no entry at all.
 */
export async function listLog(
  store: Store,
  root: string,
  wanted: {readonly fromStart: boolean},
): Promise<LogSegment | null> {
  const hint = wanted.fromStart ? null : await readHint(store, root);
  if (hint !== null) {
    const segment = await listFrom(store, root, hint);
    if (segment !== null && segment.checkpoints.some(({version}) => version >= hint)) return segment;
  }
  const segment = await listFrom(store, root, null);
  if (segment !== null || (await store.get(commitName(root, 0))) === null) return segment;
  // The listing lags behind the first commit.
  return {checkpoints: [], commits: new Map([[0, 0]]), compactions: [], head: 0, fromStart: true};
}

async function readHint(store: Store, root: string): Promise<number | null> {
  const bytes = await store.get(lastCheckpointName(root));
  if (bytes === null) return null;
  try {
    const hint: unknown = JSON.parse(new TextDecoder().decode(bytes));
    const version = typeof hint === 'object' && hint !== null ? (hint as {version?: unknown}).version : null;
    return typeof version === 'number' && Number.isSafeInteger(version) && version >= 0 ? version : null;
  } catch (error) {
    // It is a hint only, and its writer may have died: the listing tells the same.
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

async function listFrom(store: Store, root: string, from: number | null): Promise<LogSegment | null> {
  const prefix = logPrefix(root);
  // Every name of a version is longer than, and so sorts after, the version alone.
  const options = from === null ? {shallow: true} : {shallow: true, after: `${prefix}${paddedVersion(from)}`};
  const commits = new Map<number, number>();
  const compactions: CompactedRange[] = [];
  const checkpoints = new CheckpointCollector();
  for await (const info of store.list(prefix, options)) {
    const name = parseLogName(info.name.slice(prefix.length));
    if (name === null) continue;
    if (name.kind === 'commit') commits.set(name.version, info.modifiedAtMs);
    else if (name.kind === 'compaction') compactions.push({version: name.version, end: name.end});
    else checkpoints.add(info, name);
  }
  const complete = checkpoints.complete();
  const head = Math.max(complete[0]?.version ?? -1, lastKey(commits));
  return head < 0 ? null : {checkpoints: complete, commits, compactions, head, fromStart: from === null};
}

function lastKey(commits: ReadonlyMap<number, number>): number {
  let last = -1;
  for (const version of commits.keys()) last = Math.max(last, version);
  return last;
}

type CheckpointName = Extract<LogName, {readonly kind: 'checkpoint' | 'checkpoint-part'}>;

class CheckpointCollector {
  readonly #whole: CheckpointRef[] = [];
  /** By version and number of parts. */
  readonly #parts = new Map<string, Map<number, ObjectInfo>>();

  add(info: ObjectInfo, name: CheckpointName): void {
    if (name.kind === 'checkpoint') {
      const {version, format} = name;
      this.#whole.push({version, format, names: [info.name], modifiedAtMs: info.modifiedAtMs});
      return;
    }
    const key = `${name.version}/${name.parts}`;
    const parts = this.#parts.get(key) ?? new Map<number, ObjectInfo>();
    this.#parts.set(key, parts.set(name.part, info));
    if (parts.size === name.parts) this.#whole.push(multiPart(name.version, parts));
  }

  complete(): readonly CheckpointRef[] {
    return this.#whole.sort((left, right) => right.version - left.version);
  }
}

function multiPart(version: number, parts: ReadonlyMap<number, ObjectInfo>): CheckpointRef {
  const ordered = Array.from(parts)
    .sort(([left], [right]) => left - right)
    .map(([, info]) => info);
  const modifiedAtMs = Math.max(...ordered.map((info) => info.modifiedAtMs));
  return {version, format: 'parquet', names: ordered.map(({name}) => name), modifiedAtMs};
}
