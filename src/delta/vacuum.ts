import {IngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import type {ObjectInfo} from '../storage/store.ts';
import {CHANGE_FOLDER} from './change-files.ts';
import type {DeltaContext, DeltaTable} from './delta-table.ts';
import {intervalMs} from './interval.ts';
import {LOG_FOLDER, parseLogName} from './log-names.ts';
import {namedFiles} from './named-files.ts';

/** How much is kept. */
export interface VacuumOptions {
  /**
   * Files that only versions older than this name are removed. Default: the table's
   * `delta.deletedFileRetentionDuration`, else 7 days.
   */
  readonly retentionMs?: number;
  /**
   * Since when a writer has been at work, milliseconds since 1970; null when none is: nothing written at or after that time is
   * removed. Asked after the files have been listed, so that every writer of a listed file is either still at work then
   * or has committed.
   */
  readonly writingSince?: () => Promise<number | null>;
  /** Only says what would be removed. */
  readonly dryRun?: boolean;
  /** Allows a retention under one hour. */
  readonly force?: boolean;
}

/** What a file was for. */
export type VacuumedKind = 'data' | 'change-data' | 'deletion-vector' | 'side' | 'temporary';

/** A file that was removed, or would be. */
export interface VacuumedFile {
  /** Object name in the store. */
  readonly name: string;
  readonly kind: VacuumedKind;
  readonly sizeBytes: number;
}

const DEFAULT_RETENTION_MS = 7 * 86_400_000;
const LEAST_RETENTION_MS = 3_600_000;

/**
 * Removes files below the table that no version inside the retention names: data files, change data files, deletion vectors,
 * batch files and what they name, and temporary files of writers that were killed. Files of other kinds and in other folders that start
 * with `_` are left alone. Only removes what nothing names, so it may be killed and repeated at any time.
 * @throws INVALID_OPTION when the retention is under one hour without `force`; CORRUPT_LOG when a current batch file cannot
 * be read, before anything is removed.
 */
export async function vacuumTable(
  context: DeltaContext,
  table: DeltaTable,
  options: VacuumOptions,
  signal: AbortSignal,
): Promise<readonly VacuumedFile[]> {
  const retainedMs = cutoffOf(context, table, options);
  // Listed before the log is read: what is committed meanwhile is known then.
  const listing = await listFiles(context, table.root, signal);
  const cutoffMs = Math.min(retainedMs, (await options.writingSince?.()) ?? Number.POSITIVE_INFINITY);
  await table.refresh();
  const named = await namedFiles(context, table, {
    sinceMs: cutoffMs,
    flowIds: listing.flowIds,
    commitTimes: listing.commitTimes,
  });
  const unnamed = listing.files.filter((file) => file.modifiedAtMs < cutoffMs && !named.has(table.root, file.name));
  for (const {name} of options.dryRun === true ? [] : unnamed) {
    signal.throwIfAborted();
    await context.store.delete(name);
    failpoint('vacuum.file-removed');
  }
  return unnamed.map(({name, kind, sizeBytes}) => ({name, kind, sizeBytes}));
}

function cutoffOf(context: DeltaContext, table: DeltaTable, options: VacuumOptions): number {
  const {configuration} = table.snapshot.metadata;
  const property = intervalMs(configuration['delta.deletedFileRetentionDuration']);
  const retentionMs = options.retentionMs ?? property ?? DEFAULT_RETENTION_MS;
  if (!(retentionMs >= LEAST_RETENTION_MS) && options.force !== true) {
    throw new IngestError(
      'INVALID_OPTION',
      `A retention of ${retentionMs / LEAST_RETENTION_MS} hours is less than one hour.`,
      {
        fix: 'Runs and readers under way need files of that age: keep them longer, or use --force when nothing else uses the table.',
        context: {table: table.root},
      },
    );
  }
  return context.clock.nowMs() - retentionMs;
}

interface FoundFile extends ObjectInfo {
  readonly kind: VacuumedKind;
}

interface Listing {
  /** Files that a vacuum may remove. */
  readonly files: readonly FoundFile[];
  /** Flows that have batch files or side files here. */
  readonly flowIds: ReadonlySet<string>;
  /** When the entries of the log were written, by version. */
  readonly commitTimes: ReadonlyMap<number, number>;
}

async function listFiles(context: DeltaContext, root: string, signal: AbortSignal): Promise<Listing> {
  const files: FoundFile[] = [];
  const flowIds = new Set<string>();
  const inner = new Set<string>();
  const commitTimes = new Map<number, number>();
  const prefix = `${root}/`;
  for await (const info of context.store.list(prefix, {temporaries: true})) {
    signal.throwIfAborted();
    const relative = info.name.slice(prefix.length);
    const log = relative.indexOf(`/${LOG_FOLDER}/`);
    if (log >= 0) inner.add(`${prefix}${relative.slice(0, log)}/`);
    const [folder, second = '', third] = relative.split('/');
    if (folder === SIDE_FOLDER && third !== undefined) flowIds.add(second);
    const entry = folder === LOG_FOLDER ? parseLogName(second) : null;
    if (entry?.kind === 'commit') commitTimes.set(entry.version, info.modifiedAtMs);
    const kind = kindOf(relative);
    if (kind !== null) files.push({...info, kind});
  }
  // A table inside of this one's folder is none of our business.
  const own = files.filter(({name}) => [...inner].every((other) => !name.startsWith(other)));
  return {files: own, flowIds, commitTimes};
}

const SIDE_FOLDER = '_sluice';

/** What a file is, by its name relative to the table; null for what is never removed. */
function kindOf(relative: string): VacuumedKind | null {
  const folders = relative.split('/');
  const base = folders.pop() ?? '';
  const isHidden = folders.some((folder) => /^[_.]/.test(folder) && !folder.includes('='));
  if (TEMPORARY.test(base)) return !isHidden || OWN_FOLDERS.has(folders[0] ?? '') ? 'temporary' : null;
  if (/^[_.]/.test(base)) return null;
  if (folders[0] === SIDE_FOLDER) return folders.length === 2 && SIDE_FILE.test(base) ? 'side' : null;
  if (folders[0] === CHANGE_FOLDER) return base.endsWith('.parquet') ? 'change-data' : null;
  if (isHidden) return null;
  if (/^deletion_vector_.*\.bin$/.test(base)) return 'deletion-vector';
  return base.endsWith('.parquet') ? 'data' : null;
}

const OWN_FOLDERS: ReadonlySet<string> = new Set([SIDE_FOLDER, LOG_FOLDER, CHANGE_FOLDER]);
const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
/** Objects on their way into a local store, and checkpoints on theirs out of the engine. */
const TEMPORARY = new RegExp(`^\\.(?:.+\\.${UUID}\\.tmp|checkpoint-${UUID}\\.(?:json|parquet))$`);
const SIDE_FILE = new RegExp(`^(?:\\d+\\.json|[a-z]+-${UUID}\\.parquet)$`);
