import {IngestError} from '../core/errors.ts';
import type {Commit} from './commit-file.ts';
import {readCommit} from './commit-file.ts';
import type {DeltaContext, TableSnapshot} from './delta-table.ts';
import {hasInCommitTimestamps} from './features.ts';
import {logPrefix, paddedVersion, parseLogName} from './log-names.ts';

/** Table property: the first version whose commit carries its own time, when that is not the first of the table. */
export const TIMESTAMPS_SINCE_VERSION = 'delta.inCommitTimestampEnablementVersion';
/** Table property: the time of that version in milliseconds since 1970. */
export const TIMESTAMPS_SINCE_TIME = 'delta.inCommitTimestampEnablementTimestamp';

/** When versions were committed. */
export interface CommitTimes {
  /** Milliseconds since 1970 of a commit that was read, later than that of the version before. */
  of(commit: Commit): number;
}

/**
 * The times of commits from a version on: as they say themselves where the table has in-commit timestamps, else when
 * their files were written, each at least a millisecond after the one before, as Spark tells them.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#reader-requirements-for-in-commit-timestamps
 */
export async function commitTimes(
  context: DeltaContext,
  root: string,
  range: {readonly snapshot: TableSnapshot; readonly from: number},
): Promise<CommitTimes> {
  const since = timedSince(range.snapshot);
  const written = since !== null && range.from >= since.version ? [] : await writeTimes(context, root, range.from);
  const byVersion = new Map(written.map(({version, timestampMs}) => [version, timestampMs]));
  return {
    of: (commit) => {
      const isTimed = since !== null && commit.version >= since.version;
      return (isTimed ? ownTime(commit) : undefined) ?? byVersion.get(commit.version) ?? infoTime(commit);
    },
  };
}

/**
 * The newest version that was committed at or before a time, in milliseconds since 1970.
 * @throws NOT_A_DELTA_TABLE when the log goes back to no version that old.
 */
export async function versionAtTime(
  context: DeltaContext,
  root: string,
  wanted: {readonly snapshot: TableSnapshot; readonly timestampMs: number},
): Promise<number> {
  const {snapshot, timestampMs} = wanted;
  const written = (await writeTimes(context, root, 0)).filter(({version}) => version <= snapshot.version);
  const since = timedSince(snapshot);
  const untimed = since === null ? written : written.filter(({version}) => version < since.version);
  const timed = since === null ? [] : written.filter(({version}) => version >= since.version);
  const inTimed =
    since === null || timestampMs < since.timestampMs ? null : await newestTimed({context, root, timestampMs}, timed);
  const found = inTimed ?? untimed.findLast((each) => each.timestampMs <= timestampMs)?.version ?? null;
  if (found !== null) return found;
  const [oldest] = written;
  throw new IngestError(
    'NOT_A_DELTA_TABLE',
    `Table ${root} has no version as old as ${new Date(timestampMs).toISOString()}.`,
    {
      ...(oldest === undefined ? {} : {fix: `The oldest that its log knows is ${oldest.version}.`}),
      context: {table: root},
    },
  );
}

interface VersionTime {
  readonly version: number;
  readonly timestampMs: number;
}

/** Since when commits carry their own time; null when they do not. */
function timedSince(snapshot: TableSnapshot): VersionTime | null {
  if (!hasInCommitTimestamps(snapshot)) return null;
  const {configuration} = snapshot.metadata;
  const [version, timestampMs] = [TIMESTAMPS_SINCE_VERSION, TIMESTAMPS_SINCE_TIME].map((name) =>
    Number(configuration[name] ?? 0),
  );
  return {version: version ?? 0, timestampMs: timestampMs ?? 0};
}

/** When the store got the commits from a version on, ascending, made to rise. */
async function writeTimes(context: DeltaContext, root: string, from: number): Promise<readonly VersionTime[]> {
  const prefix = logPrefix(root);
  const found: VersionTime[] = [];
  let previousMs = 0;
  // Every name of a version is longer than, and so sorts after, the version alone.
  for await (const info of context.store.list(prefix, {shallow: true, after: `${prefix}${paddedVersion(from)}`})) {
    const name = parseLogName(info.name.slice(prefix.length));
    if (name?.kind !== 'commit') continue;
    previousMs = Math.max(Math.floor(info.modifiedAtMs), previousMs + 1);
    found.push({version: name.version, timestampMs: previousMs});
  }
  return found;
}

/** By halves, because every look is a read; own times rise with the version. */
async function newestTimed(
  wanted: {readonly context: DeltaContext; readonly root: string; readonly timestampMs: number},
  timed: readonly VersionTime[],
): Promise<number | null> {
  const {context, root, timestampMs} = wanted;
  let [low, high] = [0, timed.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const at = timed[middle];
    const commit =
      at === undefined ? null : await readCommit({store: context.store, clock: context.clock, root}, at.version);
    if (commit !== null && (ownTime(commit) ?? 0) <= timestampMs) low = middle + 1;
    else high = middle;
  }
  return timed[low - 1]?.version ?? null;
}

/** What a commit says of its time where the table has in-commit timestamps. */
export function ownTime({actions}: Commit): number | undefined {
  for (const action of actions) if ('commitInfo' in action) return action.commitInfo.inCommitTimestamp;
  return undefined;
}

function infoTime({actions}: Commit): number {
  for (const action of actions) if ('commitInfo' in action) return action.commitInfo.timestamp ?? 0;
  return 0;
}
