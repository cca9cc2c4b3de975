import {IngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import type {Metadata} from '../delta/actions.ts';
import type {BatchFile, FlowOffset, SideFiles} from '../delta/batch-file.ts';
import {batchFileName, decodeBatchFile, writeBatchFile} from '../delta/batch-files.ts';
import type {DeltaContext, DeltaTable, TableSnapshot} from '../delta/delta-table.ts';
import type {VersionDifference} from '../delta/restore-version.ts';
import {differenceTo, missingFiles} from '../delta/restore-version.ts';
import {FLOW_ID_PROPERTY, PIPELINE_PROPERTY} from './destination.ts';
import {discardOrphans, RESTORED_BATCH_NOTE} from './quarantine.ts';

/** A table of ours and where it is to go back to. */
export interface RestoreRequest {
  /** `catalog.schema.table`, for messages. */
  readonly name: string;
  readonly table: DeltaTable;
  readonly version: number;
  /** Only says what would be done. */
  readonly dryRun: boolean;
}

/** What a restore did, or would do. */
export interface RestoreReport {
  readonly restoredVersion: number;
  /** The version before. */
  readonly fromVersion: number;
  /** The version that the restore made; null for a dry run, and when the table is at that version. */
  readonly newVersion: number | null;
  readonly filesRestored: number;
  readonly filesRemoved: number;
  readonly bytesRestored: number;
  readonly bytesRemoved: number;
  readonly metadataRestored: boolean;
  /** The batch that was current at that version; null when the flow had not committed any. */
  readonly restoredBatchId: number | null;
  /** The batch that says so from now on; null as `newVersion`. */
  readonly newBatchId: number | null;
  /** Where the next run goes on from. */
  readonly offset: FlowOffset;
}

const NOWHERE: FlowOffset = {rows: null, deletes: null};
const NO_SIDE_FILES: SideFiles = {
  tombstones: [],
  ledger: [],
  tail: [],
  pending: [],
  hidden: [],
  truncates: [],
  authors: [],
};
const NO_COUNTS = {
  read: 0,
  inserted: 0,
  updated: 0,
  deleted: 0,
  unchanged: 0,
  rescuedValues: 0,
  quarantinedRows: 0,
};

/**
 * Puts a table back to an older version in one commit: its rows and columns, the flow's side state and its offset, so that
 * the next run goes on from there exactly once. The caller holds the leases of the pipeline's runs and of its maintenance.
 * @throws TABLE_NOT_OURS when the table or that version of it belongs to no flow; VERSION_GONE naming files that a vacuum
 * removed; COMMIT_CONFLICT when another writer committed meanwhile; as `DeltaTable.snapshotAt` when there is no such version.
 */
export async function restoreTable(context: DeltaContext, request: RestoreRequest): Promise<RestoreReport> {
  const {table, name, version, dryRun} = request;
  await table.refresh();
  const target = await table.snapshotAt(version);
  const flowId = flowOf(table.snapshot, name);
  const batch = await batchAt(context, request, target);
  const difference = differenceTo(table, target, [FLOW_ID_PROPERTY, PIPELINE_PROPERTY]);
  await refuseMissing(context, request, {difference, side: batch?.side ?? NO_SIDE_FILES});
  failpoint('restore.planned');
  const plan: Plan = {flowId, target, batch, difference};
  if (dryRun || version === table.snapshot.version) return reportOf(table.snapshot, plan, null);
  return restored(context, request, plan);
}

interface Plan {
  readonly flowId: string;
  readonly target: TableSnapshot;
  /** The batch that was current at the target. */
  readonly batch: BatchFile | null;
  readonly difference: VersionDifference;
}

function flowOf(snapshot: TableSnapshot, name: string): string {
  const flowId = snapshot.metadata.configuration[FLOW_ID_PROPERTY];
  if (flowId !== undefined) return flowId;
  throw new IngestError('TABLE_NOT_OURS', `Version ${snapshot.version} of table ${name} belongs to no flow.`, {
    fix: 'Restore it with the engine that wrote it, or choose a version that a pipeline wrote (sluice history).',
    context: {table: name, version: snapshot.version},
  });
}

/** The flow of that time may have had another id, before its state was reset. */
async function batchAt(
  context: DeltaContext,
  {table, name}: RestoreRequest,
  target: TableSnapshot,
): Promise<BatchFile | null> {
  const flowId = flowOf(target, name);
  const txn = target.txns.get(flowId);
  if (txn === undefined) return null;
  const file = batchFileName(table.root, flowId, txn.version);
  const bytes = await context.store.get(file);
  if (bytes === null) throw gone(name, target.version, [file]);
  return decodeBatchFile(bytes);
}

async function refuseMissing(
  context: DeltaContext,
  {table, name, version}: RestoreRequest,
  needed: {readonly difference: VersionDifference; readonly side: SideFiles},
): Promise<void> {
  const {pending, ...lists} = needed.side;
  const missing = await missingFiles(context, table.root, {
    files: [...needed.difference.adds, ...pending.filter((file) => !isSide(file.name)).map(asFile)],
    others: [...Object.values(lists).flat(), ...pending.map((file) => file.name).filter(isSide)],
  });
  if (missing.length > 0) throw gone(name, version, missing);
}

/** Files held for a snapshot lie among the data files, where they are named as in the log, or beside the batch file. */
function isSide(name: string): boolean {
  return name.startsWith('_');
}

function asFile({name, sizeBytes}: SideFiles['pending'][number]): VersionDifference['adds'][number] {
  return {path: name, partitionValues: {}, size: sizeBytes, modificationTime: 0, dataChange: true};
}

const NAMED_FILES = 5;

function gone(name: string, version: number, files: readonly string[]): IngestError {
  const named = files.slice(0, NAMED_FILES).join(', ');
  const more = files.length > NAMED_FILES ? ` and ${files.length - NAMED_FILES} more` : '';
  return new IngestError(
    'VERSION_GONE',
    `Version ${version} of table ${name} cannot be restored: ${files.length} of its files are gone (${named}${more}).`,
    {
      fix: 'Choose a newer version (sluice history), or read the table anew (sluice run --full-refresh-tables). Vacuum keeps files for delta.deletedFileRetentionDuration.',
      context: {table: name, version, missing: files.length},
    },
  );
}

async function restored(context: DeltaContext, {table}: RestoreRequest, plan: Plan): Promise<RestoreReport> {
  const {flowId, target, difference} = plan;
  const before = table.snapshot;
  const batch = await writeRestoredBatch(context, table, plan);
  failpoint('restore.batch-file-written');
  const {metadata, ...actions} = difference;
  // Invariant 1: rows and offset go back in one commit.
  await table.commit({
    base: before,
    operation: 'RESTORE',
    operationParameters: {version: target.version, timestamp: null},
    operationMetrics: metricsOf(target, difference),
    ...actions,
    ...(metadata === undefined ? {} : {metadata: withCreation(metadata, before.metadata)}),
    txn: {appId: flowId, version: batch.batchId},
    blindAppend: false,
  });
  failpoint('restore.committed');
  await discardOrphans(context, table, {table, flowId, batch, foreign: []});
  return reportOf(before, plan, {version: table.snapshot.version, batchId: batch.batchId});
}

function withCreation(metadata: Metadata, {createdTime}: Metadata): Metadata {
  return createdTime === undefined ? metadata : {...metadata, createdTime};
}

/** Ends where the batch of that time ended, with the side files of that time. */
async function writeRestoredBatch(context: DeltaContext, table: DeltaTable, plan: Plan): Promise<BatchFile> {
  const {flowId, target, batch} = plan;
  const current = table.snapshot.txns.get(flowId)?.version ?? null;
  const content: Omit<BatchFile, 'batchId'> = {
    formatVersion: 1,
    flowId,
    previousBatchId: current,
    start: batch?.end ?? NOWHERE,
    end: batch?.end ?? NOWHERE,
    inSnapshot: batch?.inSnapshot ?? false,
    schema: target.schema,
    counts: NO_COUNTS,
    side: batch?.side ?? NO_SIDE_FILES,
    writtenAt: new Date(context.clock.nowMs()).toISOString(),
    notes: {...batch?.notes, [RESTORED_BATCH_NOTE]: batch?.batchId ?? 0},
  };
  return writeBatchFile(context.store, table.root, content, current);
}

function metricsOf(target: TableSnapshot, {adds, removes}: VersionDifference): Readonly<Record<string, string>> {
  return {
    tableSizeAfterRestore: `${bytesOf([...target.files.values()])}`,
    numOfFilesAfterRestore: `${target.files.size}`,
    numRestoredFiles: `${adds.length}`,
    restoredFilesSize: `${bytesOf(adds)}`,
    numRemovedFiles: `${removes.length}`,
    removedFilesSize: `${bytesOf(removes)}`,
  };
}

function bytesOf(files: readonly {readonly size?: number}[]): number {
  return files.reduce((sum, {size = 0}) => sum + size, 0);
}

function reportOf(
  before: TableSnapshot,
  {target, batch, difference}: Plan,
  made: {readonly version: number; readonly batchId: number} | null,
): RestoreReport {
  const {adds, removes, metadata} = difference;
  return {
    restoredVersion: target.version,
    fromVersion: before.version,
    newVersion: made?.version ?? null,
    filesRestored: adds.length,
    filesRemoved: removes.length,
    bytesRestored: bytesOf(adds),
    bytesRemoved: bytesOf(removes),
    metadataRestored: metadata !== undefined,
    restoredBatchId: batch?.batchId ?? null,
    newBatchId: made?.batchId ?? null,
    offset: batch?.end ?? NOWHERE,
  };
}
