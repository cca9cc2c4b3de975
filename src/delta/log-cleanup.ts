import {isIngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import {readCheckpoint} from './checkpoint-read.ts';
import type {DeltaContext, DeltaTable, TableSnapshot} from './delta-table.ts';
import {hasFeature} from './features.ts';
import {intervalMs} from './interval.ts';
import {logPrefix, parseLogName} from './log-names.ts';
import type {CheckpointRef, LogSegment} from './log-segment.ts';
import {listLog} from './log-segment.ts';

const DEFAULT_RETENTION_MS = 30 * 86_400_000;

/** What became of a log. */
export interface LogCleanUp {
  /** Commits and checkpoints that were removed, or would be. */
  readonly entriesRemoved: number;
  readonly bytesRemoved: number;
  /** The oldest version that can be read from now on, as far as this cleaning knows; null when nothing was to be removed. */
  readonly oldestVersion: number | null;
}

const NOTHING: LogCleanUp = {entriesRemoved: 0, bytesRemoved: 0, oldestVersion: null};

/**
 * Removes commits and checkpoints older than the table's `delta.logRetentionDuration` (default 30 days) that lie before a
 * checkpoint which is that old itself: every version since can still be read. Does nothing when the property
 * `delta.enableExpiredLogCleanup` is false.
 */
export async function cleanUpLog(
  context: DeltaContext,
  table: DeltaTable,
  options: {readonly dryRun: boolean},
  signal: AbortSignal,
): Promise<LogCleanUp> {
  const {configuration} = table.snapshot.metadata;
  if (configuration['delta.enableExpiredLogCleanup']?.toLowerCase() === 'false') return NOTHING;
  const retentionMs = intervalMs(configuration['delta.logRetentionDuration']) ?? DEFAULT_RETENTION_MS;
  const segment = await listLog(context.store, table.root, {fromStart: true});
  if (segment === null) return NOTHING;
  const start = await newestExpired(context, table.root, {segment, cutoffMs: context.clock.nowMs() - retentionMs});
  return start === null || start.version < protectedBefore(table.snapshot)
    ? NOTHING
    : removeBefore(context, {root: table.root, start, dryRun: options.dryRun}, signal);
}

/**
 * Versions before this one go all at once or not at all, 0 when nothing says so: a feature was dropped there, and readers
 * that do not know it must not begin in between.
 */
function protectedBefore({protocol, metadata}: TableSnapshot): number {
  if (!hasFeature(protocol, 'checkpointProtection')) return 0;
  return Number(metadata.configuration['delta.requireCheckpointProtectionBeforeVersion'] ?? 0);
}

/** The newest readable checkpoint whose version, and with it every older one, has expired. */
async function newestExpired(
  context: DeltaContext,
  root: string,
  log: {readonly segment: LogSegment; readonly cutoffMs: number},
): Promise<CheckpointRef | null> {
  const {segment, cutoffMs} = log;
  let firstKept = segment.head;
  for (const [version, writtenAtMs] of segment.commits)
    if (writtenAtMs >= cutoffMs) firstKept = Math.min(firstKept, version);
  for (const checkpoint of segment.checkpoints) {
    // Readers of the first version that is kept may have to start before it.
    if (checkpoint.version > firstKept || checkpoint.modifiedAtMs >= cutoffMs) continue;
    if (await isReadable(context, root, checkpoint)) return checkpoint;
  }
  return null;
}

async function isReadable(context: DeltaContext, root: string, checkpoint: CheckpointRef): Promise<boolean> {
  try {
    const actions = await readCheckpoint(context, {root, checkpoint});
    return actions.some((action) => 'protocol' in action) && actions.some((action) => 'metaData' in action);
  } catch (error) {
    // Readers pass over it, too: what lies before it is still needed.
    if (isIngestError(error, 'CORRUPT_LOG')) return false;
    throw error;
  }
}

/** Ascending, so that a clean-up that is cut off leaves a log without gaps. */
async function removeBefore(
  context: DeltaContext,
  work: {readonly root: string; readonly start: CheckpointRef; readonly dryRun: boolean},
  signal: AbortSignal,
): Promise<LogCleanUp> {
  const prefix = logPrefix(work.root);
  let entriesRemoved = 0;
  let bytesRemoved = 0;
  const names: string[] = [];
  for await (const info of context.store.list(prefix, {shallow: true})) {
    const version = versionOf(info.name.slice(prefix.length));
    if (version === null || version >= work.start.version) continue;
    names.push(info.name);
    entriesRemoved += 1;
    bytesRemoved += info.sizeBytes;
  }
  if (names.length === 0) return NOTHING;
  for (const name of work.dryRun ? [] : names) {
    signal.throwIfAborted();
    await context.store.delete(name);
    failpoint('log-cleanup.entry-removed');
  }
  return {entriesRemoved, bytesRemoved, oldestVersion: work.start.version};
}

/** Checksums of other writers go with their commit; names that nobody knows stay. */
function versionOf(baseName: string): number | null {
  const checksum = /^(\d{20})\.crc$/.exec(baseName);
  return checksum === null ? (parseLogName(baseName)?.version ?? null) : Number(checksum[1]);
}
