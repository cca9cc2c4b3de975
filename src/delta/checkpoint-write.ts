import {randomUUID} from 'node:crypto';
import {readFile, rm, writeFile} from 'node:fs/promises';

import {failpoint} from '../core/failpoint.ts';
import {quoteList, quoteLiteral} from '../engine/sql-types.ts';
import type {Action, RemoveFile} from './actions.ts';
import {readCommit} from './commit-file.ts';
import type {DeltaContext, TableSnapshot} from './delta-table.ts';
import {hasFeature} from './features.ts';
import {intervalMs} from './interval.ts';
import type {LoadedLog} from './load-log.ts';
import {checkpointName, lastCheckpointName, logPrefix} from './log-names.ts';
import type {CheckpointRef} from './log-segment.ts';
import {vectorId} from './replay.ts';

const DEFAULT_INTERVAL = 10;
const DEFAULT_RETENTION_MS = 7 * 24 * 3_600_000;
const LINES_PER_WRITE = 2000;
/** A checkpoint may take so long every time. */
const CHEAP_MS = 500;
/** One that takes longer must be worth it: this much of it per commit since the one before. */
const WORTH_MS_PER_COMMIT = 25;

/** The checkpoint before, and how long it took to write when this process did so. */
export interface CheckpointState {
  readonly newest: CheckpointRef | null;
  readonly writtenInMs: number;
}

/**
 * True when a checkpoint should be written at this version: as often as the table's properties ask, or else every 10
 * commits, and more rarely where the table is so large that its commits would wait for little else.
 */
export function isCheckpointDue({version, metadata, protocol}: TableSnapshot, state: CheckpointState): boolean {
  // Such tables want checkpoints in a form that we read but do not write.
  if (version === 0 || hasFeature(protocol, 'v2Checkpoint')) return false;
  const wanted = Number(metadata.configuration['delta.checkpointInterval'] ?? Number.NaN);
  if (Number.isInteger(wanted) && wanted > 0) return version % wanted === 0;
  const commitCount = version - (state.newest?.version ?? 0);
  const isWorthIt = state.writtenInMs <= Math.max(CHEAP_MS, commitCount * WORTH_MS_PER_COMMIT);
  return version % DEFAULT_INTERVAL === 0 && isWorthIt;
}

/**
 * Writes the checkpoint of a snapshot, then the hint that names it. `log` is where its tombstones are: in the checkpoint
 * before it and in the commits since.
 */
export async function writeCheckpoint(context: DeltaContext, root: string, log: LoadedLog): Promise<CheckpointRef> {
  const {snapshot} = log;
  const {bytes, rowCount} = await checkpointBytes(context, root, log);
  const name = checkpointName(root, snapshot.version);
  await context.store.put(name, bytes);
  failpoint('delta.checkpoint-written');
  const hint = {
    version: snapshot.version,
    size: rowCount,
    sizeInBytes: bytes.length,
    numOfAddFiles: snapshot.files.size,
  };
  await context.store.put(lastCheckpointName(root), new TextEncoder().encode(JSON.stringify(hint)));
  failpoint('delta.last-checkpoint-written');
  return {version: snapshot.version, format: 'parquet', names: [name], modifiedAtMs: context.clock.nowMs()};
}

function snapshotActions(snapshot: TableSnapshot): readonly Action[] {
  return [
    {protocol: snapshot.protocol},
    {metaData: snapshot.metadata},
    ...Array.from(snapshot.txns.values(), (txn) => ({txn})),
    ...Array.from(snapshot.domains.values(), (domainMetadata) => ({domainMetadata})),
    ...Array.from(snapshot.files.values(), (add) => ({add: {...add, dataChange: false}})),
  ];
}

/** What became of files since the checkpoint before: kept as long as readers of older versions may need the files. */
interface Tombstones {
  readonly removes: readonly RemoveFile[];
  /** Logical files that were added since, and thus are no tombstones any more. */
  readonly added: ReadonlySet<string>;
  readonly oldestMs: number;
}

async function tombstonesSince(context: DeltaContext, root: string, log: LoadedLog): Promise<Tombstones> {
  const {snapshot, checkpoint} = log;
  const oldestMs = context.clock.nowMs() - retentionMs(snapshot);
  const removes = new Map<string, RemoveFile>();
  const added = new Set<string>();
  for (let version = (checkpoint?.version ?? -1) + 1; version <= snapshot.version; version++) {
    const commit = await readCommit({store: context.store, clock: context.clock, root}, version);
    if (commit === null)
      throw new RangeError(`Version ${version} of ${root} was cleaned up since the checkpoint before.`);
    for (const action of commit.actions) {
      if ('remove' in action) removes.set(logicalFile(action.remove), {...action.remove, dataChange: false});
      if (!('add' in action)) continue;
      removes.delete(logicalFile(action.add));
      added.add(logicalFile(action.add));
    }
  }
  const kept = [...removes.values()].filter((remove) => (remove.deletionTimestamp ?? 0) >= oldestMs);
  return {removes: kept, added, oldestMs};
}

function logicalFile(file: Pick<RemoveFile, 'path' | 'deletionVector'>): string {
  return `${file.path}\n${vectorId(file.deletionVector)}`;
}

function retentionMs({metadata}: TableSnapshot): number {
  return intervalMs(metadata.configuration['delta.deletedFileRetentionDuration']) ?? DEFAULT_RETENTION_MS;
}

/**
 * The engine knows Parquet, and JSON is how actions get into it; older tombstones, which may be many, go from Parquet to
 * Parquet. Both local files are temporary: they start with a dot.
 */
async function checkpointBytes(
  context: DeltaContext,
  root: string,
  log: LoadedLog,
): Promise<{readonly bytes: Uint8Array; readonly rowCount: number}> {
  const id = randomUUID();
  const lines = await context.store.stage(`${logPrefix(root)}.checkpoint-${id}.json`);
  const parquet = await context.store.stage(`${logPrefix(root)}.checkpoint-${id}.parquet`);
  try {
    const since = await tombstonesSince(context, root, log);
    const actions = [...snapshotActions(log.snapshot), ...since.removes.map((remove) => ({remove}))];
    await writeFile(lines.localPath, jsonChunks(actions));
    const columns = Object.entries(COLUMNS).map(([name, type]) => `${name}: ${quoteLiteral(type)}`);
    const source = `FROM read_json(${quoteLiteral(lines.localPath)}, format = 'newline_delimited', columns = {${columns.join(', ')}})`;
    const older = log.checkpoint === null ? null : await olderTombstones(context, log.checkpoint, since);
    const select = older === null ? source : `${source} UNION ALL BY NAME ${older}`;
    const [row] = await context.engine.query(
      `COPY (${select}) TO ${quoteLiteral(parquet.localPath)} (FORMAT parquet, COMPRESSION snappy)`,
    );
    return {bytes: await readFile(parquet.localPath), rowCount: Number(row?.['Count'])};
  } finally {
    await rm(lines.localPath, {force: true});
    await rm(parquet.localPath, {force: true});
  }
}

/** Tombstones of the checkpoint before that are young enough and not live again. */
async function olderTombstones(context: DeltaContext, checkpoint: CheckpointRef, since: Tombstones): Promise<string> {
  const paths = await Promise.all(checkpoint.names.map((name) => context.store.localPath(name)));
  const vector = 'remove.deletionVector';
  const id = `coalesce(${vector}.storageType || ${vector}.pathOrInlineDv || coalesce('@' || ${vector}."offset", ''), '')`;
  const revived =
    since.added.size === 0 ? '' : ` AND NOT list_contains(${quoteList([...since.added])}, concat(path, chr(10), id))`;
  const rows = `SELECT CAST(remove AS ${COLUMNS.remove}) AS remove, remove.path AS path, ${id} AS id FROM read_parquet(${quoteList(paths)}, union_by_name = true, hive_partitioning = false) WHERE remove.deletionTimestamp >= ${since.oldestMs}`;
  return `SELECT remove FROM (${rows}) WHERE true${revived}`;
}

function* jsonChunks(actions: readonly Action[]): Generator<string> {
  for (let at = 0; at < actions.length; at += LINES_PER_WRITE) {
    yield actions
      .slice(at, at + LINES_PER_WRITE)
      .map((action) => `${JSON.stringify(action)}\n`)
      .join('');
  }
}

const TEXTS = 'MAP(VARCHAR, VARCHAR)';
const VECTOR =
  'STRUCT(storageType VARCHAR, pathOrInlineDv VARCHAR, "offset" INTEGER, sizeInBytes INTEGER, cardinality BIGINT)';

/** @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#checkpoint-schema */
const COLUMNS = {
  txn: 'STRUCT(appId VARCHAR, "version" BIGINT, lastUpdated BIGINT)',
  add: `STRUCT(path VARCHAR, partitionValues ${TEXTS}, size BIGINT, modificationTime BIGINT, dataChange BOOLEAN, tags ${TEXTS}, deletionVector ${VECTOR}, baseRowId BIGINT, defaultRowCommitVersion BIGINT, clusteringProvider VARCHAR, stats VARCHAR)`,
  remove: `STRUCT(path VARCHAR, deletionTimestamp BIGINT, dataChange BOOLEAN, extendedFileMetadata BOOLEAN, partitionValues ${TEXTS}, size BIGINT, deletionVector ${VECTOR})`,
  metaData: `STRUCT(id VARCHAR, "name" VARCHAR, description VARCHAR, format STRUCT(provider VARCHAR, options ${TEXTS}), schemaString VARCHAR, partitionColumns VARCHAR[], configuration ${TEXTS}, createdTime BIGINT)`,
  protocol:
    'STRUCT(minReaderVersion INTEGER, minWriterVersion INTEGER, readerFeatures VARCHAR[], writerFeatures VARCHAR[])',
  domainMetadata: 'STRUCT("domain" VARCHAR, configuration VARCHAR, removed BOOLEAN)',
};
