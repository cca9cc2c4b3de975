import {randomUUID} from 'node:crypto';

import {IngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import {schemaFromJson} from '../core/schema-json.ts';
import type {Action, CommitInfo, Metadata} from './actions.ts';
import {checkChangeColumns} from './change-files.ts';
import type {Commit} from './commit-file.ts';
import {encodeCommit, readCommit} from './commit-file.ts';
import {TIMESTAMPS_SINCE_TIME, TIMESTAMPS_SINCE_VERSION} from './commit-times.ts';
import {checkConflict, isOurs} from './conflict.ts';
import type {CommitRequest, DeltaContext, TableSnapshot} from './delta-table.ts';
import {checkCovered, checkWritable, hasFeature, hasInCommitTimestamps} from './features.ts';
import {advance, withCommits} from './load-log.ts';
import {commitName} from './log-names.ts';

/** Races that one commit may lose: every one of them is somebody else's progress. */
const MAX_ATTEMPTS = 500;

/** Writer name in the history of tables. */
export const ENGINE_INFO = 'sluice';

/**
 * Commits a request as the version after the newest, and returns the snapshot with it. `known` is the newest snapshot at
 * hand, at or after the request's base.
 * @throws COMMIT_CONFLICT when a version since the base contradicts the request.
 */
export async function commitVersion(
  context: DeltaContext,
  root: string,
  work: {readonly request: CommitRequest; readonly known: TableSnapshot},
): Promise<TableSnapshot> {
  const {request} = work;
  const txnId = randomUUID();
  const onCommit = (winner: Commit): void => checkConflict(root, request, winner);
  let head = work.known;
  await checkBetween(context, root, {from: request.base.version + 1, to: head.version, onCommit});
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    checkRequest(root, request, head);
    const commit = {version: head.version + 1, actions: actionsOf(context, request, {txnId, head})};
    const won = await put(context, root, commit, txnId);
    if (won !== null) {
      failpoint('delta.commit-written');
      // The log is the truth: what is there may be an attempt of ours that a retrying store has written.
      return withCommits(context, head, {root, commits: [won]});
    }
    const before = head.version;
    head = await advance(context, root, {snapshot: head, onCommit});
    if (head.version === before) throw vanished(context, root, commit.version);
  }
  throw new IngestError('COMMIT_CONFLICT', `Table ${root}: ${MAX_ATTEMPTS} other commits came first.`, {
    fix: 'Fewer writers at once on this table.',
    context: {table: root},
  });
}

/** Writes the commit; null when somebody else has the version. */
async function put(context: DeltaContext, root: string, commit: Commit, txnId: string): Promise<Commit | null> {
  const name = commitName(root, commit.version);
  let failure: unknown = null;
  try {
    // Invariant 5: a version is put if absent.
    if (await context.store.putIfAbsent(name, encodeCommit(commit.actions))) return commit;
  } catch (error) {
    failure = error;
  }
  // Lost the race, or only the answer: the id inside tells.
  const written = await readCommit({store: context.store, clock: context.clock, root}, commit.version);
  if (written !== null) return isOurs(written, txnId) ? written : null;
  if (failure !== null) throw failure;
  throw vanished(context, root, commit.version);
}

async function checkBetween(
  context: DeltaContext,
  root: string,
  range: {readonly from: number; readonly to: number; readonly onCommit: (commit: Commit) => void},
): Promise<void> {
  for (let version = range.from; version <= range.to; version++) {
    const commit = await readCommit({store: context.store, clock: context.clock, root}, version);
    if (commit === null) throw vanished(context, root, version);
    range.onCommit(commit);
  }
}

function actionsOf(
  context: DeltaContext,
  request: CommitRequest,
  attempt: {readonly txnId: string; readonly head: TableSnapshot},
): readonly Action[] {
  const {txnId, head} = attempt;
  const nowMs = context.clock.nowMs();
  const {metadata, inCommitTimestamp} = timed(request, head, nowMs);
  const commitInfo: CommitInfo = {
    ...(inCommitTimestamp === null ? {} : {inCommitTimestamp}),
    timestamp: inCommitTimestamp ?? nowMs,
    operation: request.operation,
    operationParameters: request.operationParameters ?? {},
    readVersion: request.base.version,
    isolationLevel: request.blindAppend ? 'WriteSerializable' : 'Serializable',
    isBlindAppend: request.blindAppend && (request.removes ?? []).length === 0,
    ...(request.operationMetrics === undefined ? {} : {operationMetrics: request.operationMetrics}),
    engineInfo: ENGINE_INFO,
    txnId,
  };
  return [
    {commitInfo},
    ...(request.protocol === undefined ? [] : [{protocol: request.protocol}]),
    ...(metadata === undefined ? [] : [{metaData: metadata}]),
    ...(request.txn === undefined ? [] : [{txn: {...request.txn, lastUpdated: nowMs}}]),
    ...(request.domains ?? []).map((domainMetadata) => ({domainMetadata})),
    ...(request.removes ?? []).map((remove) => ({remove})),
    ...(request.adds ?? []).map((add) => ({add})),
    ...(request.cdc ?? []).map((cdc) => ({cdc})),
  ];
}

/**
 * The commit's own time where the table keeps it, later than that of the head whatever the clock says, and the metadata
 * action, which says since when if this commit switches it on.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#writer-requirements-for-in-commit-timestamps
 */
function timed(
  request: CommitRequest,
  head: TableSnapshot,
  nowMs: number,
): {readonly metadata: Metadata | undefined; readonly inCommitTimestamp: number | null} {
  const {metadata} = request;
  const protocol = request.protocol ?? head.protocol;
  if (!hasInCommitTimestamps({protocol, metadata: metadata ?? head.metadata}))
    return {metadata, inCommitTimestamp: null};
  const inCommitTimestamp = Math.max(nowMs, head.timestampMs + 1);
  if (metadata === undefined || hasInCommitTimestamps(head)) return {metadata, inCommitTimestamp};
  const configuration = {
    ...metadata.configuration,
    [TIMESTAMPS_SINCE_VERSION]: `${head.version + 1}`,
    [TIMESTAMPS_SINCE_TIME]: `${inCommitTimestamp}`,
  };
  return {metadata: {...metadata, configuration}, inCommitTimestamp};
}

/** What a writer must honour, checked against the newest version before every attempt. */
function checkRequest(root: string, request: CommitRequest, head: TableSnapshot): void {
  checkWritable(head, root);
  const protocol = request.protocol ?? head.protocol;
  const metadata = request.metadata ?? head.metadata;
  if (request.metadata !== undefined || request.protocol !== undefined) {
    const schema = schemaFromJson(metadata.schemaString);
    checkCovered({protocol, metadata, schema}, root);
    checkChangeColumns(root, {metadata, schema});
  }
  const needs = [
    ...((request.domains ?? []).length > 0 ? ['domainMetadata'] : []),
    ...((request.cdc ?? []).length > 0 ? ['changeDataFeed'] : []),
    ...((request.adds ?? []).some((add) => add.deletionVector !== undefined) ? ['deletionVectors'] : []),
  ];
  for (const feature of needs) if (!hasFeature(protocol, feature)) throw lacking(root, feature);
  const isAppendOnly = metadata.configuration['delta.appendOnly']?.toLowerCase() === 'true';
  if (isAppendOnly && (request.removes ?? []).some((remove) => remove.dataChange)) {
    throw new IngestError(
      'UNSUPPORTED',
      `Table ${root} is append-only (delta.appendOnly), but a commit removes rows.`,
      {
        fix: 'Unset the property, or load the table with an append-only flow.',
        context: {table: root},
      },
    );
  }
}

function lacking(root: string, feature: string): IngestError {
  return new IngestError('UNSUPPORTED_TABLE_FEATURE', `Table ${root} was made without the Delta feature ${feature}.`, {
    fix: 'A feature is fixed when a table is made: make the table again with it, or do without it.',
    context: {table: root, feature},
  });
}

function vanished(context: DeltaContext, root: string, version: number): IngestError {
  const name = commitName(root, version);
  return new IngestError('CORRUPT_LOG', `The log entry ${context.store.root}/${name} was there and is gone.`, {
    fix: 'Somebody removes files of the log: stop that, and look whether the table is complete.',
    context: {name},
  });
}
