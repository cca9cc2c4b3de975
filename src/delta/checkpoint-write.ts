import {randomUUID} from 'node:crypto';
import {readFile, rm, writeFile} from 'node:fs/promises';

import {failpoint} from '../core/failpoint.ts';
import {quoteLiteral} from '../engine/sql-types.ts';
import type {Action, RemoveFile} from './actions.ts';
import {TOMBSTONE_KINDS, readCheckpoint} from './checkpoint-read.ts';
import {readCommit} from './commit-file.ts';
import type {DeltaContext, TableSnapshot} from './delta-table.ts';
import {hasFeature} from './features.ts';
import type {LoadedLog} from './load-log.ts';
import {checkpointName, lastCheckpointName, logPrefix} from './log-names.ts';
import type {CheckpointRef} from './log-segment.ts';
import {vectorId} from './replay.ts';

const DEFAULT_INTERVAL = 10;
const DEFAULT_RETENTION_MS = 7 * 24 * 3_600_000;
const LINES_PER_WRITE = 2000;

/** True when the table's properties ask for a checkpoint at this version. */
export function isCheckpointDue({version, metadata, protocol}: TableSnapshot): boolean {
  // Such tables want checkpoints in a form that we read but do not write.
  if (hasFeature(protocol, 'v2Checkpoint')) return false;
  const interval = Number(metadata.configuration['delta.checkpointInterval'] ?? DEFAULT_INTERVAL);
  return version > 0 && version % (Number.isInteger(interval) && interval > 0 ? interval : DEFAULT_INTERVAL) === 0;
}

/**
 * Writes the checkpoint of a snapshot, then the hint that names it. `log` is where its tombstones are: in the checkpoint
 * before it and in the commits since.
 */
export async function writeCheckpoint(context: DeltaContext, root: string, log: LoadedLog): Promise<CheckpointRef> {
  const {snapshot} = log;
  const actions = [...snapshotActions(snapshot), ...(await tombstones(context, root, log)).map((remove) => ({remove}))];
  const bytes = await parquetOf(context, root, actions);
  const name = checkpointName(root, snapshot.version);
  await context.store.put(name, bytes);
  failpoint('delta.checkpoint-written');
  const hint = {
    version: snapshot.version,
    size: actions.length,
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

/** Files that left the table so recently that readers of older versions may still need them; VACUUM goes by these. */
async function tombstones(context: DeltaContext, root: string, log: LoadedLog): Promise<readonly RemoveFile[]> {
  const {snapshot, checkpoint} = log;
  const found = new Map<string, RemoveFile>();
  const key = (file: Pick<RemoveFile, 'path' | 'deletionVector'>): string =>
    `${file.path}\n${vectorId(file.deletionVector)}`;
  const apply = (action: Action): void => {
    if ('remove' in action) found.set(key(action.remove), action.remove);
    else if ('add' in action) found.delete(key(action.add));
  };
  if (checkpoint !== null) (await readCheckpoint(context, {root, checkpoint}, TOMBSTONE_KINDS)).forEach(apply);
  for (let version = (checkpoint?.version ?? -1) + 1; version <= snapshot.version; version++) {
    const commit = await readCommit({store: context.store, clock: context.clock, root}, version);
    for (const action of commit?.actions ?? []) apply(action);
  }
  const oldestMs = context.clock.nowMs() - retentionMs(snapshot);
  return [...found.values()]
    .filter((remove) => (remove.deletionTimestamp ?? 0) >= oldestMs)
    .map((remove) => ({...remove, dataChange: false}));
}

function retentionMs({metadata}: TableSnapshot): number {
  const text = metadata.configuration['delta.deletedFileRetentionDuration'] ?? '';
  const parts = /^(?:interval\s+)?(\d+)\s+(second|minute|hour|day|week)s?$/i.exec(text.trim());
  const unit = UNIT_MS[parts?.[2]?.toLowerCase() ?? ''];
  return parts === null || unit === undefined ? DEFAULT_RETENTION_MS : Number(parts[1]) * unit;
}

const UNIT_MS: Readonly<Record<string, number>> = {
  second: 1000,
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
  week: 604_800_000,
};

/** The engine knows Parquet, and JSON is how actions get into it. Both files are temporary: they start with a dot. */
async function parquetOf(context: DeltaContext, root: string, actions: readonly Action[]): Promise<Uint8Array> {
  const id = randomUUID();
  const lines = await context.store.stage(`${logPrefix(root)}.checkpoint-${id}.json`);
  const parquet = await context.store.stage(`${logPrefix(root)}.checkpoint-${id}.parquet`);
  try {
    await writeFile(lines.localPath, jsonChunks(actions));
    const source = `read_json(${quoteLiteral(lines.localPath)}, format = 'newline_delimited', columns = {${COLUMNS}})`;
    await context.engine.run(
      `COPY (FROM ${source}) TO ${quoteLiteral(parquet.localPath)} (FORMAT parquet, COMPRESSION snappy)`,
    );
    return await readFile(parquet.localPath);
  } finally {
    await rm(lines.localPath, {force: true});
    await rm(parquet.localPath, {force: true});
  }
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
const COLUMNS = Object.entries({
  txn: 'STRUCT(appId VARCHAR, "version" BIGINT, lastUpdated BIGINT)',
  add: `STRUCT(path VARCHAR, partitionValues ${TEXTS}, size BIGINT, modificationTime BIGINT, dataChange BOOLEAN, tags ${TEXTS}, deletionVector ${VECTOR}, baseRowId BIGINT, defaultRowCommitVersion BIGINT, clusteringProvider VARCHAR, stats VARCHAR)`,
  remove: `STRUCT(path VARCHAR, deletionTimestamp BIGINT, dataChange BOOLEAN, extendedFileMetadata BOOLEAN, partitionValues ${TEXTS}, size BIGINT, deletionVector ${VECTOR})`,
  metaData: `STRUCT(id VARCHAR, "name" VARCHAR, description VARCHAR, format STRUCT(provider VARCHAR, options ${TEXTS}), schemaString VARCHAR, partitionColumns VARCHAR[], configuration ${TEXTS}, createdTime BIGINT)`,
  protocol:
    'STRUCT(minReaderVersion INTEGER, minWriterVersion INTEGER, readerFeatures VARCHAR[], writerFeatures VARCHAR[])',
  domainMetadata: 'STRUCT("domain" VARCHAR, configuration VARCHAR, removed BOOLEAN)',
})
  .map(([name, type]) => `${name}: '${type}'`)
  .join(', ');
