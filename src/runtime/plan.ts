import {typeToDdl} from '../core/schema-ddl.ts';
import type {StructType} from '../core/types.ts';
import {clusteringColumnsOf} from '../delta/layout.ts';
import {openDestination, type Destination} from '../pipeline/destination.ts';
import type {SelectedTable} from '../pipeline/discover.ts';
import {checkReload} from '../pipeline/evolve-flow.ts';
import {changeText} from '../pipeline/evolve-notes.ts';
import {settleFlow, type RowsThen, type SettledFlow} from '../pipeline/evolve-plan.ts';
import {choosesVectors} from '../pipeline/flow-run.ts';
import {checkToldApart} from '../pipeline/read-notes.ts';
import {planningContext, resolveFlow} from '../pipeline/resolve-flow.ts';
import {refuseToForget} from '../pipeline/resolve-history.ts';
import type {ResolvedFlow} from '../pipeline/resolved-flow.ts';
import {describe} from '../pipeline/run-flow.ts';
import type {PipelineSpec} from '../pipeline/spec.ts';
import {layoutOf} from '../pipeline/table-layout.ts';
import type {LakeOptions, PlannedTable} from './api.ts';
import {openSession, type Session} from './session.ts';

/** What a run would create, change or reload. Writes nothing; a table that cannot be planned says why. */
export async function planPipeline(
  spec: PipelineSpec,
  options: LakeOptions & {readonly tables: readonly string[]},
): Promise<readonly PlannedTable[]> {
  await using session = await openSession(spec, options);
  const planned: PlannedTable[] = [];
  for (const table of await session.select(options.tables)) planned.push(await planTable(session, table));
  return planned;
}

async function planTable(session: Session, table: SelectedTable): Promise<PlannedTable> {
  try {
    const flow = await resolveFlow(
      session.open,
      table.object,
      table.sourceTable,
      planningContext(session.bench.context, table, session.ctx),
    );
    const destination = await openDestination(session.bench.context, flow, session.spec.key);
    const estimate =
      destination === null
        ? await session.open.connector.estimate?.(flow.sourceTable, flow.options, session.ctx)
        : undefined;
    if (destination !== null) checkGoesOn(flow, destination, session.bench.context.clock.nowMs());
    return planned(flow, destination, estimate ?? {});
  } catch (error) {
    const {code, message, fix} = describe(error, session.ctx.signal);
    return {
      ...NOTHING,
      flow: table.flow,
      sourceTable: table.sourceTable,
      action: 'blocked',
      error: {code, message, ...(fix === undefined ? {} : {fix})},
    };
  }
}

const NOTHING: Omit<PlannedTable, 'flow' | 'sourceTable' | 'action'> = {
  ingestionType: '',
  scdType: '',
  keys: [],
  sequence: [],
  columns: [],
  trackedColumns: [],
  partitionColumns: [],
  clusteringColumns: [],
  schemaEvolution: 'evolve',
  deletionVectors: false,
  readers: {can: [], cannot: []},
  estimatedRows: null,
  notes: [],
};

function planned(
  asked: ResolvedFlow,
  destination: Destination | null,
  estimate: {readonly rows?: number; readonly bytes?: number},
): PlannedTable {
  const settled = settle(asked, destination);
  const {flow} = settled;
  const layout = layoutOf(flow);
  const vectors = destination === null ? choosesVectors(flow, estimate.bytes ?? 0) : hasVectors(destination);
  return {
    flow: flow.name,
    sourceTable: flow.sourceTable,
    action: actionOf(settled, destination),
    ingestionType: flow.ingestionType,
    scdType: SCD_TYPES[flow.target],
    keys: flow.keys,
    sequence: flow.sequence,
    columns: columnsOf(flow, destination?.table.snapshot.schema ?? null),
    trackedColumns: flow.trackedColumns,
    partitionColumns: destination?.table.snapshot.metadata.partitionColumns ?? layout.partitionColumns ?? [],
    clusteringColumns:
      destination === null || flow.configuration.clusteringColumns.length > 0
        ? (layout.clusteringColumns ?? [])
        : clusteringColumnsOf(destination.table.snapshot),
    schemaEvolution: flow.configuration.schemaEvolution,
    deletionVectors: vectors,
    readers: vectors ? WITH_VECTORS : WITHOUT_VECTORS,
    estimatedRows: estimate.rows ?? null,
    notes: [...(destination === null ? [] : settled.changes.map(changeText)), ...notesOf(flow, destination)],
  };
}

/** @throws what would stop the flow before it reads. */
function checkGoesOn(asked: ResolvedFlow, destination: Destination, nowMs: number): void {
  const {batch, table} = destination;
  refuseToForget(asked, table);
  const settled = settle(asked, destination);
  if (settled.refused.length > 0) checkReload(settled, batch, nowMs);
  else if (batch !== null && !batch.inSnapshot && asked.ingestionType !== 'snapshot')
    checkToldApart(settled.flow, batch.notes);
}

function settle(flow: ResolvedFlow, destination: Destination | null): SettledFlow {
  if (destination === null) return settleFlow(flow, null, 'replaced');
  const {schema, metadata} = destination.table.snapshot;
  return settleFlow(flow, {schema, configuration: metadata.configuration}, rowsThen(flow, destination));
}

/** As the run decides it, without a full refresh. */
function rowsThen({ingestionType, target}: ResolvedFlow, {batch, table}: Destination): RowsThen {
  if (table.snapshot.files.size === 0) return 'replaced';
  if (target === 'scd2') return 'stay';
  if (ingestionType === 'snapshot') return 'replaced';
  return batch === null || batch.inSnapshot ? 'refreshed' : 'stay';
}

function actionOf({refused, changes}: SettledFlow, destination: Destination | null): PlannedTable['action'] {
  if (destination === null) return 'create';
  if (refused.length > 0) return 'reload';
  return changes.length > 0 ? 'evolve' : 'continue';
}

const SCD_TYPES = {append: 'APPEND_ONLY', scd1: 'SCD_TYPE_1', scd2: 'SCD_TYPE_2'} as const;

/** Who reads tables with deletion vectors: Spark and delta-rs as the interop tests run them, the others by their own documentation. */
const WITH_VECTORS: PlannedTable['readers'] = {
  can: ['Sluice', 'Spark with Delta 3 or later', 'Databricks', 'delta-rs 1 (its SQL reader)', 'DuckDB delta'],
  cannot: ['delta-rs to_pyarrow and what builds on it (pandas, older Polars)', 'readers of Delta protocol 1 and 2'],
};
const WITHOUT_VECTORS: PlannedTable['readers'] = {can: ['every reader of Delta protocol 1 and later'], cannot: []};

function hasVectors(destination: Destination): boolean {
  return destination.table.snapshot.metadata.configuration['delta.enableDeletionVectors'] === 'true';
}

function columnsOf(flow: ResolvedFlow, current: StructType | null): PlannedTable['columns'] {
  const known = new Set(current?.fields.map((field) => field.name));
  const wanted = new Set(flow.tableSchema.fields.map((field) => field.name));
  const columns: PlannedTable['columns'][number][] = flow.tableSchema.fields.map((field) => ({
    name: field.name,
    type: typeToDdl(field.type),
    change: current === null || !known.has(field.name) ? 'new' : 'same',
  }));
  for (const field of current?.fields ?? [])
    if (!wanted.has(field.name)) columns.push({name: field.name, type: typeToDdl(field.type), change: 'dropped'});
  return columns;
}

function notesOf(flow: ResolvedFlow, destination: Destination | null): readonly string[] {
  const notes: string[] = [];
  if (flow.ignoredColumns.length > 0) notes.push(`not selected: ${flow.ignoredColumns.join(', ')}`);
  if (destination?.batch?.inSnapshot === true)
    notes.push('a snapshot or full refresh goes on where it was interrupted');
  for (const commit of destination?.foreign ?? [])
    notes.push(
      `version ${commit.version} was written by another writer (${commit.info.operation ?? 'unknown operation'})`,
    );
  if (
    flow.ingestionType === 'cdc' &&
    flow.target !== 'append' &&
    flow.changes === null &&
    flow.configuration.hardDeletionSyncMinIntervalSeconds === null &&
    flow.deletionCondition === null
  ) {
    notes.push('deletes in the source are not seen (no delete feed, key scan or deletion_condition)');
  }
  return notes;
}
