import {randomUUID} from 'node:crypto';

import {IngestError, isIngestError, messageOf} from '../core/errors.ts';
import {openDestination} from '../pipeline/destination.ts';
import type {SelectedTable} from '../pipeline/discover.ts';
import {createEventLog} from '../pipeline/event-log.ts';
import {verifyProgressEvent} from '../pipeline/make-event.ts';
import {planningContext, resolveFlow} from '../pipeline/resolve-flow.ts';
import type {PipelineSpec} from '../pipeline/spec.ts';
import {tableRoot} from '../pipeline/table-root.ts';
import {NOT_COMPARED} from '../pipeline/verify-verdict.ts';
import {verifyTable} from '../pipeline/verify.ts';
import {openHints} from '../state/hints.ts';
import {acquireLease} from '../state/lease.ts';
import type {LakeOptions, VerifyReport} from './api.ts';
import {openSession, type Session} from './session.ts';
import {spoolFolder} from './update-events.ts';
import {pipelinePrefix} from './update.ts';

/**
 * Compares the pipeline's tables with their sources, one after the other, and remembers the verdicts. A table that cannot
 * be compared says why; a source that fails is `not_comparable`.
 */
export async function verifyPipeline(
  spec: PipelineSpec,
  options: LakeOptions & {readonly tables: readonly string[]},
): Promise<readonly VerifyReport[]> {
  await using session = await openSession(spec, options);
  const reports: VerifyReport[] = [];
  for (const table of await session.select(options.tables)) reports.push(await verifyOne(session, table));
  await remember(session, reports);
  return reports;
}

async function verifyOne(session: Session, selected: SelectedTable): Promise<VerifyReport> {
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
    const verdict = await verifyTable({
      connector: session.open.connector,
      flow,
      table: destination.table,
      engine: context.engine,
      end: destination.batch?.end.rows ?? null,
      ctx: session.ctx,
    });
    return {flow: selected.flow, ...verdict};
  } catch (error) {
    session.ctx.signal.throwIfAborted();
    return refused(selected.flow, error instanceof IngestError ? `[${error.code}] ${error.message}` : messageOf(error));
  }
}

function refused(flow: string, reason: string): VerifyReport {
  return {...NOT_COMPARED, flow, verdict: 'not_comparable', reason};
}

/** Verdicts for `status`, and for the event log unless a run is writing it now. */
async function remember(session: Session, reports: readonly VerifyReport[]): Promise<void> {
  const {context} = session.bench;
  const {spec} = session;
  const hints = openHints(context.store, `${pipelinePrefix(spec.key)}/verdicts`);
  const loaded = reports.filter((report) => report.destinationVersion !== null);
  for (const report of loaded)
    await hints.put(report.flow, {
      verdict: report.verdict,
      version: report.destinationVersion,
      at: context.clock.nowMs(),
    });
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
    spoolFolder: spoolFolder(context.store.root, spec.key),
    instance: updateId,
  });
  const source = {clock: context.clock, origin: {pipeline_id: spec.key, pipeline_name: spec.name, update_id: updateId}};
  for (const report of reports) {
    const {verdict, mode, sourceRows, destinationRows, destinationVersion, missing, extra, changed} = report;
    await log.emit(
      verifyProgressEvent(
        source,
        {flow: report.flow, sourceTable: report.flow},
        {verdict, mode, sourceRows, destinationRows, destinationVersion, missing, extra, changed},
      ),
    );
  }
  await log.flush();
}
