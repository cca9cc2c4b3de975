import {randomUUID} from 'node:crypto';

import {IngestError, isIngestError, messageOf} from '../core/errors.ts';
import {openDestination, type Destination} from '../pipeline/destination.ts';
import type {SelectedTable} from '../pipeline/discover.ts';
import {createEventLog} from '../pipeline/event-log.ts';
import {settleFlow} from '../pipeline/evolve-plan.ts';
import {verifyProgressEvent} from '../pipeline/make-event.ts';
import {planningContext, resolveFlow} from '../pipeline/resolve-flow.ts';
import type {ResolvedFlow} from '../pipeline/resolved-flow.ts';
import type {PipelineSpec} from '../pipeline/spec.ts';
import {tableRoot} from '../pipeline/table-root.ts';
import {verifyRecords} from '../pipeline/verify-record.ts';
import {openReread} from '../pipeline/verify-reread.ts';
import {NOT_COMPARED, type TableVerdict} from '../pipeline/verify-verdict.ts';
import {comparableColumns, verifyScope, verifyTable, type VerifyRequest} from '../pipeline/verify.ts';
import {acquireLease} from '../state/lease.ts';
import type {LakeOptions, VerifyMode, VerifyReport} from './api.ts';
import {rowsOf} from './inspect.ts';
import {readContextOf} from './read-context.ts';
import {openSession, type Session} from './session.ts';
import {spoolFolder} from './update-events.ts';
import {pipelinePrefix} from './update.ts';

/**
 * Compares the pipeline's tables with their sources, one after the other, and remembers the verdicts. A table that cannot
 * be compared says why; a source that fails is `not_comparable`.
 */
export async function verifyPipeline(
  spec: PipelineSpec,
  options: LakeOptions & {readonly tables: readonly string[]; readonly mode?: VerifyMode},
): Promise<readonly VerifyReport[]> {
  await using session = await openSession(spec, options);
  const reports: VerifyReport[] = [];
  for (const table of await session.select(options.tables))
    reports.push(await verifyOne(session, table, options.mode ?? 'auto'));
  await remember(session, reports);
  return reports;
}

async function verifyOne(session: Session, selected: SelectedTable, mode: VerifyMode): Promise<VerifyReport> {
  const {context} = session.bench;
  try {
    const flow = await resolveFlow(
      session.open,
      selected.object,
      selected.sourceTable,
      planningContext(context, selected, session.ctx),
    );
    const destination = await openDestination(context, flow, session.spec.key);
    if (destination === null) return refused(selected.flow, 'the table was not loaded yet');
    if (destination.batch?.inSnapshot === true)
      return refused(selected.flow, 'a snapshot or full refresh is under way');
    const {connector} = session.open;
    const request = {
      connector,
      flow: landing(flow, destination),
      table: destination.table,
      engine: context.engine,
      end: destination.batch?.end.rows ?? null,
      ctx: session.ctx,
    };
    const reads = mode === 'reread' || (mode === 'auto' && connector.openVerify === undefined);
    const verdict = reads ? await verifyByReading(session, request) : await verifyTable(request);
    return {flow: selected.flow, ...verdict};
  } catch (error) {
    session.ctx.signal.throwIfAborted();
    return refused(selected.flow, error instanceof IngestError ? `[${error.code}] ${error.message}` : messageOf(error));
  }
}

/** The flow in the names and types of its table. */
function landing(flow: ResolvedFlow, {table}: Destination): ResolvedFlow {
  const {schema, metadata} = table.snapshot;
  return settleFlow(flow, {schema, configuration: metadata.configuration}, 'stay').flow;
}

/** Reads the whole table again, as a first load would. */
async function verifyByReading(session: Session, request: VerifyRequest): Promise<TableVerdict> {
  const {flow, table, connector, engine} = request;
  const {columns} = comparableColumns(table.snapshot.schema, flow);
  const scope = verifyScope(flow, columns, rowsOf(table) ?? 0);
  const triggerStartedAt = session.ctx.clock.nowMicros();
  await using view = await openReread(scope, {
    connector,
    flow,
    table,
    engine,
    read: (isFirstCall) => ({...readContextOf({...session.ctx, triggerStartedAt}), isFirstCall}),
  });
  return await verifyTable({...request, point: {view, scope, level: 'reread'}});
}

function refused(flow: string, reason: string): VerifyReport {
  return {...NOT_COMPARED, flow, verdict: 'not_comparable', reason};
}

/** Verdicts for `status`, and for the event log unless a run is writing it now. */
async function remember(session: Session, reports: readonly VerifyReport[]): Promise<void> {
  const {context} = session.bench;
  const {spec} = session;
  const records = verifyRecords(context.store, spec.key);
  const loaded = reports.filter((report) => report.destinationVersion !== null);
  for (const report of loaded) await records.remember(report.flow, report, context.clock.nowMs());
  if (loaded.length === 0) return;
  try {
    await using _ = await acquireLease(context.store, `${pipelinePrefix(spec.key)}/lease`, context.clock);
    await logVerdicts(session, loaded);
  } catch (error) {
    if (!isIngestError(error, 'CONCURRENT_RUN')) throw error;
  }
}

async function logVerdicts(session: Session, reports: readonly VerifyReport[]): Promise<void> {
  const {context} = session.bench;
  const {spec} = session;
  const updateId = randomUUID();
  await using log = await createEventLog(context, {
    pipelineKey: spec.key,
    root: tableRoot(spec.catalog, spec.schema, spec.eventLogTable),
    spoolFolder: spoolFolder(session.bench.localFolder, spec.key),
    instance: updateId,
  });
  const source = {clock: context.clock, origin: {pipeline_id: spec.key, pipeline_name: spec.name, update_id: updateId}};
  for (const report of reports) {
    await log.emit(verifyProgressEvent(source, {flow: report.flow, sourceTable: report.flow}, report));
  }
  await log.flush();
}
