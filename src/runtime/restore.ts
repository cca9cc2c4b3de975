import {systemClock} from '../core/clock.ts';
import {IngestError, isIngestError, messageOf} from '../core/errors.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import {openTable} from '../delta/table.ts';
import {PIPELINE_PROPERTY, SOURCE_PROPERTY} from '../pipeline/destination.ts';
import {createEventLog, EVENT_LOG_PROPERTY} from '../pipeline/event-log.ts';
import {noteEvent} from '../pipeline/make-event.ts';
import {restoreTable as restoreFlowTable, type RestoreReport} from '../pipeline/restore.ts';
import {acquireLease} from '../state/lease.ts';
import type {LakeOptions, RestoredTable} from './api.ts';
import {fullName, listLakeTables, openNamed} from './inspect.ts';
import {versionOf, type VersionText} from './table-version.ts';
import {spoolFolder} from './update-events.ts';
import {pipelinePrefix} from './update.ts';
import {openWorkbench, type Workbench} from './workbench.ts';

/**
 * Puts a table back to an older version with the offset of its flow, and says so in the pipeline's event log.
 * @throws CONCURRENT_RUN when the pipeline runs or is maintained; as `restoreTable` of the pipeline.
 */
export async function restoreTable(
  name: string,
  options: LakeOptions & {readonly to: VersionText; readonly dryRun: boolean},
): Promise<RestoredTable> {
  await using bench = await openWorkbench(options);
  const {entry, table} = await openNamed(bench, name);
  const flow = fullName(entry);
  const pipeline = ownerOf(table, flow);
  await using _ = options.dryRun ? null : await bothLeases(bench, pipeline);
  await table.refresh();
  const version = await versionOf(table, options.to);
  const report = await restoreFlowTable(bench.context, {name: flow, table, version, dryRun: options.dryRun});
  const warning = report.newVersion === null ? null : await tell(bench, {pipeline, flow, table, report});
  return {table: flow, pipeline, ...report, warning};
}

function ownerOf(table: DeltaTable, name: string): string {
  const owner = table.snapshot.metadata.configuration[PIPELINE_PROPERTY];
  if (owner !== undefined) return owner;
  throw new IngestError('TABLE_NOT_OURS', `Table ${name} belongs to no pipeline.`, {
    fix: 'Restore it with the engine that wrote it.',
    context: {table: name},
  });
}

/** Neither a run nor a vacuum may be under way: both would count on what is there now. */
async function bothLeases({context}: Workbench, pipeline: string): Promise<AsyncDisposable> {
  const run = await acquireLease(context.store, `${pipelinePrefix(pipeline)}/lease`, systemClock);
  try {
    const maintenance = await acquireLease(context.store, `${pipelinePrefix(pipeline)}/maintenance`, systemClock);
    return {
      async [Symbol.asyncDispose](): Promise<void> {
        await maintenance[Symbol.asyncDispose]();
        await run[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await run[Symbol.asyncDispose]();
    throw error;
  }
}

interface Told {
  readonly pipeline: string;
  readonly flow: string;
  readonly table: DeltaTable;
  readonly report: RestoreReport;
}

/** Null, or why the event log does not have it: the table is restored all the same. */
async function tell(bench: Workbench, told: Told): Promise<string | null> {
  try {
    const root = await eventLogRoot(bench, told.pipeline);
    if (root === null) return 'The pipeline has no event log yet: the restore is not noted in one.';
    await emit(bench, told, root);
    return null;
  } catch (error) {
    return `The event log could not be written: ${messageOf(error)}`;
  }
}

async function eventLogRoot({context}: Workbench, pipeline: string): Promise<string | null> {
  for (const {root} of await listLakeTables(context)) {
    const table = await openTable(context, root).catch(unreadable);
    if (table?.snapshot.metadata.configuration[EVENT_LOG_PROPERTY] === pipeline) return root;
  }
  return null;
}

/** A table of others that we cannot read is no event log. */
function unreadable(error: unknown): null {
  if (isIngestError(error, 'UNSUPPORTED_TABLE_FEATURE')) return null;
  throw error;
}

async function emit(bench: Workbench, {pipeline, flow, table, report}: Told, root: string): Promise<void> {
  await using log = await createEventLog(bench.context, {
    pipelineKey: pipeline,
    root,
    spoolFolder: spoolFolder(bench.localFolder, pipeline),
    instance: 'restore',
  });
  const source = {clock: systemClock, origin: {pipeline_id: pipeline, pipeline_name: pipeline}};
  const sourceTable = table.snapshot.metadata.configuration[SOURCE_PROPERTY] ?? flow;
  const message = `Version ${report.newVersion} is version ${report.restoredVersion} again, with its offset; before it was ${report.fromVersion}.`;
  const origin = {flow, sourceTable, batchId: report.newBatchId};
  await log.emit(noteEvent(source, origin, {level: 'INFO', code: 'RESTORED', message}));
  await log.flush();
}
