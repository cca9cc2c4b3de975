import {randomUUID} from 'node:crypto';

import {systemClock} from '../core/clock.ts';
import {IngestError} from '../core/errors.ts';
import {currentBatch} from '../delta/batch-files.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import {openTable} from '../delta/table.ts';
import {FLOW_ID_PROPERTY, PIPELINE_PROPERTY} from '../pipeline/destination.ts';
import {matchesTable} from '../pipeline/discover.ts';
import type {PipelineSpec} from '../pipeline/spec.ts';
import {acquireLease} from '../state/lease.ts';
import type {FlowStateReport, LakeOptions} from './api.ts';
import {listLakeTables} from './inspect.ts';
import {pipelinePrefix} from './update.ts';
import {openWorkbench, type Workbench} from './workbench.ts';

interface FoundTable {
  readonly flow: string;
  readonly table: DeltaTable;
}

/** Where the flows of a pipeline stand. */
export async function showState(
  spec: PipelineSpec,
  tables: readonly string[],
  options: LakeOptions,
): Promise<readonly FlowStateReport[]> {
  await using bench = await openWorkbench(options);
  const found = await findTables(bench, tables);
  return await Promise.all(found.filter((entry) => ownerOf(entry.table) === spec.key).map((entry) => report(bench, entry)));
}

/** Forgets where flows stand. The rows stay readable; the next run reads the tables anew and swaps them in one commit. */
export async function resetState(
  spec: PipelineSpec,
  tables: readonly string[],
  options: LakeOptions,
): Promise<readonly FlowStateReport[]> {
  return changeTables(spec, tables, {
    options,
    change: async (entry, bench) => {
      if (ownerOf(entry.table) === spec.key) await giveNewFlow(entry.table, spec);
      else if (tables.length > 0)
        throw new IngestError('TABLE_NOT_OURS', `Table ${entry.flow} belongs to another pipeline.`, {
          fix: `Take it over first: sluice state adopt ${entry.flow}`,
        });
      else return null;
      return report(bench, entry);
    },
  });
}

/**
 * Takes tables over. One that is this pipeline's already is accepted as others left it: the flow goes on where it stood.
 * Any other becomes this pipeline's, and the next run reads it anew and swaps it in one commit.
 */
export async function adoptTables(
  spec: PipelineSpec,
  tables: readonly string[],
  options: LakeOptions,
): Promise<readonly FlowStateReport[]> {
  if (tables.length === 0)
    throw new IngestError('INVALID_SPEC', 'state adopt needs the names of the tables.', {
      fix: 'sluice state adopt catalog.schema.table',
    });
  return changeTables(spec, tables, {
    options,
    change: async (entry, bench) => {
      if (ownerOf(entry.table) === spec.key) await acceptAsItIs(entry.table);
      else await giveNewFlow(entry.table, spec);
      return report(bench, entry);
    },
  });
}

async function changeTables(
  spec: PipelineSpec,
  tables: readonly string[],
  request: {
    readonly options: LakeOptions;
    readonly change: (entry: FoundTable, bench: Workbench) => Promise<FlowStateReport | null>;
  },
): Promise<readonly FlowStateReport[]> {
  await using bench = await openWorkbench(request.options);
  await using _ = await acquireLease(bench.context.store, `${pipelinePrefix(spec.key)}/lease`, systemClock);
  const reports: FlowStateReport[] = [];
  for (const entry of await findTables(bench, tables)) {
    const changed = await request.change(entry, bench);
    if (changed !== null) reports.push(changed);
  }
  return reports;
}

/** A new flow id has no txn: whatever was known of the old flow no longer counts. */
async function giveNewFlow(table: DeltaTable, spec: PipelineSpec): Promise<void> {
  const {snapshot} = table;
  const configuration = {
    ...snapshot.metadata.configuration,
    [FLOW_ID_PROPERTY]: randomUUID(),
    [PIPELINE_PROPERTY]: spec.key,
  };
  await table.commit({
    base: snapshot,
    operation: 'SET TBLPROPERTIES',
    metadata: {...snapshot.metadata, configuration},
    blindAppend: false,
  });
}

/** Writes the flow's txn once more, so that what others committed lies before it. */
async function acceptAsItIs(table: DeltaTable): Promise<void> {
  const flowId = table.snapshot.metadata.configuration[FLOW_ID_PROPERTY];
  const txn = flowId === undefined ? undefined : table.snapshot.txns.get(flowId);
  if (txn === undefined) return;
  await table.commit({
    base: table.snapshot,
    operation: 'ADOPT',
    txn: {appId: txn.appId, version: txn.version},
    blindAppend: false,
  });
}

async function findTables(bench: Workbench, names: readonly string[]): Promise<readonly FoundTable[]> {
  const found: FoundTable[] = [];
  for (const entry of await listLakeTables(bench.context)) {
    const flow = `${entry.catalog}.${entry.schema}.${entry.table}`;
    if (!matchesTable({flow, sourceTable: entry.table}, names)) continue;
    const table = await openTable(bench.context, entry.root);
    if (table !== null && (names.length > 0 || ownerOf(table) !== undefined)) found.push({flow, table});
  }
  const [first] = names;
  if (found.length === 0 && first !== undefined)
    throw new IngestError('UNKNOWN_TABLE', `The lake has no table "${first}".`, {
      fix: 'See the tables with: sluice status',
    });
  return found;
}

function ownerOf(table: DeltaTable): string | undefined {
  return table.snapshot.metadata.configuration[PIPELINE_PROPERTY];
}

async function report(bench: Workbench, entry: FoundTable): Promise<FlowStateReport> {
  const {snapshot} = entry.table;
  const flowId = snapshot.metadata.configuration[FLOW_ID_PROPERTY] ?? null;
  const batch = flowId === null ? null : await currentBatch(bench.context.store, entry.table, flowId);
  return {
    flow: entry.flow,
    flowId,
    pipeline: ownerOf(entry.table) ?? null,
    batchId: batch?.batchId ?? null,
    version: snapshot.version,
    offset: batch?.end ?? null,
    inSnapshot: batch?.inSnapshot ?? false,
    sideFiles: {
      tombstones: batch?.side.tombstones.length ?? 0,
      ledger: batch?.side.ledger.length ?? 0,
      tail: batch?.side.tail.length ?? 0,
      pending: batch?.side.pending.length ?? 0,
    },
  };
}
