/** Folder of the log below a table's root. */
export const LOG_FOLDER = '_delta_log';

/** What a file in the log folder is, told by its name; null for names that the protocol leaves to others. */
export type LogName =
  | {readonly kind: 'commit'; readonly version: number}
  /** What the commits of a range, both ends in it, came to. */
  | {readonly kind: 'compaction'; readonly version: number; readonly end: number}
  /** A checkpoint of one file, classic or named by UUID. */
  | {readonly kind: 'checkpoint'; readonly version: number; readonly format: 'parquet' | 'json'}
  /** One of several files of a checkpoint; parts count from 1. */
  | {readonly kind: 'checkpoint-part'; readonly version: number; readonly part: number; readonly parts: number};

/** Twenty digits, so that names sort as versions do. */
export function paddedVersion(version: number): string {
  return String(version).padStart(20, '0');
}

/** Name prefix of the log of the table at `root`, with a trailing slash. */
export function logPrefix(root: string): string {
  return `${root}/${LOG_FOLDER}/`;
}

/** Object name of a commit. */
export function commitName(root: string, version: number): string {
  return `${logPrefix(root)}${paddedVersion(version)}.json`;
}

/** Object name of a log compaction file. */
export function compactionName(root: string, range: CompactedRange): string {
  return `${logPrefix(root)}${paddedVersion(range.version)}.${paddedVersion(range.end)}.compacted.json`;
}

/** Versions that a log compaction file stands for, both ends included. */
export interface CompactedRange {
  readonly version: number;
  readonly end: number;
}

/** Object name of a classic checkpoint of one file. */
export function checkpointName(root: string, version: number): string {
  return `${logPrefix(root)}${paddedVersion(version)}.checkpoint.parquet`;
}

/** Object name of the hint that says where the newest checkpoint is. */
export function lastCheckpointName(root: string): string {
  return `${logPrefix(root)}_last_checkpoint`;
}

/** Reads a name without its folder. */
export function parseLogName(baseName: string): LogName | null {
  const commit = COMMIT.exec(baseName);
  if (commit !== null) return {kind: 'commit', version: Number(commit[1])};
  const compaction = COMPACTION.exec(baseName);
  if (compaction !== null) return {kind: 'compaction', version: Number(compaction[1]), end: Number(compaction[2])};
  const single = SINGLE.exec(baseName);
  if (single !== null) {
    return {kind: 'checkpoint', version: Number(single[1]), format: single[2] === 'json' ? 'json' : 'parquet'};
  }
  const part = PART.exec(baseName);
  if (part === null) return null;
  return {kind: 'checkpoint-part', version: Number(part[1]), part: Number(part[2]), parts: Number(part[3])};
}

const COMMIT = /^(\d{20})\.json$/;
const COMPACTION = /^(\d{20})\.(\d{20})\.compacted\.json$/;
const SINGLE = /^(\d{20})\.checkpoint(?:\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})?\.(parquet|json)$/;
const PART = /^(\d{20})\.checkpoint\.(\d{10})\.(\d{10})\.parquet$/;
