import {randomUUID} from 'node:crypto';

import {IngestError} from '../core/errors.ts';
import type {BatchFile} from '../delta/batch-file.ts';
import {currentBatch} from '../delta/batch-files.ts';
import {isOverwrite} from '../delta/conflict.ts';
import type {CommitSummary, DeltaContext, DeltaTable} from '../delta/delta-table.ts';
import {createTable, openTable} from '../delta/table.ts';
import {PRIMARY_KEYS_PROPERTY} from './describe-table.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import {checkPartitions, layoutOf} from './table-layout.ts';

/** Table property that names the flow which writes a table. */
export const FLOW_ID_PROPERTY = 'sluice.flowId';
/** Table property that names the pipeline which owns a table. */
export const PIPELINE_PROPERTY = 'sluice.pipeline';
/** Table property that names the source table, for people. */
export const SOURCE_PROPERTY = 'sluice.sourceTable';

/** A destination that exists and is ours, with the batch that it stands at. */
export interface Destination {
  readonly table: DeltaTable;
  readonly flowId: string;
  readonly batch: BatchFile | null;
  /** Commits of others since our last one that changed data but leave our state right. */
  readonly foreign: readonly CommitSummary[];
}

/**
 * Opens the destination of a flow; null when it is not there yet.
 * @param rewrite every row will be read again: what others wrote does not matter.
 * @throws TABLE_NOT_OURS when it exists without our mark or with another pipeline's; TABLE_CHANGED_OUTSIDE after RESTORE, REPLACE
 * or an overwrite; UNSUPPORTED when it is partitioned otherwise.
 */
export async function openDestination(
  context: DeltaContext,
  flow: ResolvedFlow,
  pipelineKey: string,
  rewrite = false,
): Promise<Destination | null> {
  const table = await openTable(context, flow.root);
  if (table === null) return null;
  const {configuration} = table.snapshot.metadata;
  const flowId = configuration[FLOW_ID_PROPERTY];
  const owner = configuration[PIPELINE_PROPERTY];
  if (flowId === undefined || owner !== pipelineKey) {
    throw new IngestError(
      'TABLE_NOT_OURS',
      `Table ${flow.name} exists and belongs to ${owner === undefined ? 'nobody' : `pipeline "${owner}"`}.`,
      {
        fix: `Choose another destination_table, or hand it over with: sluice state adopt ${flow.name}`,
        context: {table: flow.name},
      },
    );
  }
  checkPartitions(flow, table);
  const foreign = rewrite ? [] : await foreignCommits(table, flow, flowId);
  return {table, flowId, batch: await currentBatch(context.store, table, flowId), foreign};
}

/** Makes the destination, marked as the flow's. */
export async function createDestination(
  context: DeltaContext,
  flow: ResolvedFlow,
  options: {readonly pipelineKey: string; readonly deletionVectors: boolean},
): Promise<Destination> {
  const flowId = randomUUID();
  const table = await createTable(context, flow.root, {
    schema: flow.tableSchema,
    ...layoutOf(flow),
    configuration: {
      ...flow.configuration.tableProperties,
      [FLOW_ID_PROPERTY]: flowId,
      [PIPELINE_PROPERTY]: options.pipelineKey,
      [SOURCE_PROPERTY]: flow.sourceTable,
      ...(flow.keys.length === 0 ? {} : {[PRIMARY_KEYS_PROPERTY]: JSON.stringify(flow.keys)}),
    },
    deletionVectors: options.deletionVectors,
    ...(flow.comment === null ? {} : {description: flow.comment}),
  });
  return {table, flowId, batch: null, foreign: []};
}

/**
 * Commits after the flow's last one that changed data.
 * @throws TABLE_CHANGED_OUTSIDE as {@link openDestination}.
 */
export async function foreignCommits(
  table: DeltaTable,
  flow: ResolvedFlow,
  flowId: string,
): Promise<readonly CommitSummary[]> {
  const found: CommitSummary[] = [];
  let limit = 1;
  for (;;) {
    const commits = await table.history({limit});
    const ours = commits.findIndex((commit) => commit.txns.some((txn) => txn.appId === flowId) || commit.version === 0);
    if (ours >= 0 || commits.length < limit) {
      found.push(...commits.slice(0, ours < 0 ? commits.length : ours));
      break;
    }
    limit *= 8;
  }
  const changing = found.filter((commit) => commit.dataChange);
  // The oldest: before it the rows were those that our batches left.
  const overwrite = changing.findLast((commit) => isOverwrite(commit.info));
  if (overwrite !== undefined) {
    throw new IngestError(
      'TABLE_CHANGED_OUTSIDE',
      `Table ${flow.name} was changed by ${overwrite.info.operation ?? 'another writer'} in version ${overwrite.version}, after our last batch.`,
      {
        fix: `Put it back to what it was before, rows and the place in the source together (sluice restore ${flow.name} --version ${overwrite.version - 1}), read it anew (sluice run --full-refresh-tables ${flow.name}), accept it as it is (sluice state adopt ${flow.name}), or move it away and let the next run make a new one.`,
        context: {table: flow.name, version: overwrite.version},
      },
    );
  }
  return changing;
}
