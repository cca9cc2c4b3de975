import {IngestError, isIngestError} from '../core/errors.ts';
import {readCheckpoint} from './checkpoint-read.ts';
import type {Commit, LogSource} from './commit-file.ts';
import {readCommit, readCompaction} from './commit-file.ts';
import {ownTime} from './commit-times.ts';
import type {DeltaContext, TableSnapshot} from './delta-table.ts';
import {hasInCommitTimestamps} from './features.ts';
import type {CompactedRange} from './log-names.ts';
import {commitName} from './log-names.ts';
import type {CheckpointRef, LogSegment} from './log-segment.ts';
import {listLog} from './log-segment.ts';
import {Replay} from './replay.ts';

/** A snapshot, and the newest checkpoint at or before it that could be read. */
export interface LoadedLog {
  readonly snapshot: TableSnapshot;
  readonly checkpoint: CheckpointRef | null;
}

/** Commits are small: this many are read at once. */
const READ_AHEAD = 16;

/**
 * Reads a table's log up to its head or to one version; null when there is no log, or none that goes back to `version`.
 * A checkpoint that cannot be read is passed over where an older one or the entries from the start make up for it.
 * @throws CORRUPT_LOG naming the entry that is missing or unreadable.
 */
export async function loadLog(context: DeltaContext, root: string, version: number | null): Promise<LoadedLog | null> {
  const listed = await listLog(context.store, root, {fromStart: version !== null});
  if (listed === null || (version !== null && version > listed.head)) return null;
  const failures: unknown[] = [];
  let wanted: Wanted = {root, segment: listed, version};
  let start = await newestReadable(context, wanted, failures);
  if (start === null && !listed.fromStart) {
    wanted = {root, segment: (await listLog(context.store, root, {fromStart: true})) ?? listed, version};
    start = await newestReadable(context, wanted, failures);
  }
  if (start === null && wanted.segment.commits.has(0)) start = {replay: new Replay(null), from: 0, checkpoint: null};
  if (start !== null) return {snapshot: await replayed(context, wanted, start), checkpoint: start.checkpoint};
  if (failures.length > 0) throw failures[0];
  if (version !== null) return null;
  throw missing(context, root, 0);
}

/** The commits after the snapshot, as far as they are there, applied to it. The snapshot itself when there is none. */
export async function advance(
  context: DeltaContext,
  root: string,
  state: {readonly snapshot: TableSnapshot; readonly onCommit?: (commit: Commit) => void},
): Promise<TableSnapshot> {
  const commits: Commit[] = [];
  for (let next = state.snapshot.version + 1; ; next++) {
    const commit = await readCommit({store: context.store, clock: context.clock, root}, next);
    if (commit === null) break;
    state.onCommit?.(commit);
    commits.push(commit);
  }
  return withCommits(context, state.snapshot, {root, commits});
}

/** The snapshot after further commits, which follow it without a gap. */
export function withCommits(
  context: DeltaContext,
  snapshot: TableSnapshot,
  next: {readonly root: string; readonly commits: readonly Commit[]},
): TableSnapshot {
  if (next.commits.length === 0) return snapshot;
  const replay = new Replay(snapshot);
  for (const {version, actions} of next.commits) replay.apply(version, actions, context.clock.nowMs());
  return snapshotOf(context, next.root, replay);
}

/** The snapshot after the first commit of a table. */
export function firstSnapshot(context: DeltaContext, root: string, {version, actions}: Commit): TableSnapshot {
  const replay = new Replay(null);
  replay.apply(version, actions, context.clock.nowMs());
  return snapshotOf(context, root, replay);
}

interface Wanted {
  readonly root: string;
  readonly segment: LogSegment;
  readonly version: number | null;
}

/** Where a replay starts: after a checkpoint, or before the first commit. */
interface Start {
  readonly replay: Replay;
  readonly from: number;
  readonly checkpoint: CheckpointRef | null;
}

/** The newest checkpoint that can be read; those that cannot are noted in `failures`. */
async function newestReadable(context: DeltaContext, wanted: Wanted, failures: unknown[]): Promise<Start | null> {
  const {root, segment, version} = wanted;
  for (const checkpoint of segment.checkpoints) {
    if (version !== null && checkpoint.version > version) continue;
    try {
      const actions = await readCheckpoint(context, {root, checkpoint});
      const replay = new Replay(null);
      replay.apply(checkpoint.version, actions, segment.commits.get(checkpoint.version) ?? checkpoint.modifiedAtMs);
      return {replay, from: checkpoint.version + 1, checkpoint};
    } catch (error) {
      if (!isIngestError(error, 'CORRUPT_LOG')) throw error;
      failures.push(error);
    }
  }
  return null;
}

/** Applies the commits of the segment from `start.from`, and those that came since it was listed. */
async function replayed(context: DeltaContext, wanted: Wanted, start: Start): Promise<TableSnapshot> {
  const {root, segment} = wanted;
  const source = {store: context.store, clock: context.clock, root};
  const last = wanted.version ?? segment.head;
  let next = start.from;
  for (const compaction of compactionsBetween(segment, next, last)) {
    const actions = await readCompaction(source, compaction);
    if (actions === null) continue;
    await replayCommits(context, wanted, {replay: start.replay, from: next, to: compaction.version - 1});
    start.replay.apply(compaction.end, actions, segment.commits.get(compaction.end) ?? 0);
    next = compaction.end + 1;
  }
  await replayCommits(context, wanted, {replay: start.replay, from: next, to: last});
  const plain = snapshotOf(context, root, start.replay);
  const snapshot = next > last ? await withOwnTime(source, plain) : plain;
  // A listing may be older than the log.
  return wanted.version === null ? advance(context, root, {snapshot}) : snapshot;
}

/** Compactions within a range that do not overlap, ascending; of those that begin at one version the longest. */
function compactionsBetween({compactions}: LogSegment, from: number, to: number): readonly CompactedRange[] {
  const chosen: CompactedRange[] = [];
  let next = from;
  for (const range of compactions.toSorted((a, b) => a.version - b.version || b.end - a.end)) {
    if (range.version < next || range.end > to || range.end <= range.version) continue;
    chosen.push(range);
    next = range.end + 1;
  }
  return chosen;
}

async function replayCommits(
  context: DeltaContext,
  {root, segment}: Wanted,
  range: {readonly replay: Replay; readonly from: number; readonly to: number},
): Promise<void> {
  const source = {store: context.store, clock: context.clock, root};
  for (let version = range.from; version <= range.to; version += READ_AHEAD) {
    const versions = Array.from({length: Math.min(READ_AHEAD, range.to - version + 1)}, (_, index) => version + index);
    const commits = await Promise.all(versions.map((each) => readCommit(source, each)));
    commits.forEach((commit, index) => {
      const at = version + index;
      if (commit === null) throw missing(context, root, at);
      range.replay.apply(at, commit.actions, segment.commits.get(at) ?? 0);
    });
  }
}

/** Neither checkpoints nor compactions say when a commit was made; the next one must be later. */
async function withOwnTime(source: LogSource, snapshot: TableSnapshot): Promise<TableSnapshot> {
  if (!hasInCommitTimestamps(snapshot)) return snapshot;
  const commit = await readCommit(source, snapshot.version);
  const timestampMs = commit === null ? undefined : ownTime(commit);
  return timestampMs === undefined ? snapshot : {...snapshot, timestampMs};
}

function snapshotOf(context: DeltaContext, root: string, replay: Replay): TableSnapshot {
  const snapshot = replay.snapshot();
  if (snapshot !== null) return snapshot;
  throw new IngestError('CORRUPT_LOG', `The log of ${context.store.root}/${root} has no protocol or no metadata.`, {
    fix: 'Its first entry or its checkpoint is damaged: restore it from a backup.',
    context: {table: root},
  });
}

function missing(context: DeltaContext, root: string, version: number): IngestError {
  const name = commitName(root, version);
  return new IngestError(
    'CORRUPT_LOG',
    `The log entry ${context.store.root}/${name} is missing, though later ones exist.`,
    {
      fix: 'Restore the file from a backup; without it the table has no defined content.',
      context: {name},
    },
  );
}
