import {IngestError, messageOf} from '../core/errors.ts';
import {LinkedAbort} from '../core/linked-abort.ts';
import {offsetsEqual, type Offset} from '../core/offset.ts';
import type {StructType} from '../core/types.ts';
import type {FlowOffset} from '../delta/batch-file.ts';
import {currentBatch} from '../delta/batch-files.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import {openTable} from '../delta/table.ts';
import type {CallContext, PartitionPlan, VerifyPoint, VerifyScope} from '../sdk/contract.ts';
import {FLOW_ID_PROPERTY} from './destination.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import type {FlowServices} from './services.ts';
import {openUnderLandedNames} from './verify-names.ts';
import {verifyRecords, type VerifyRecord} from './verify-record.ts';
import {NOT_COMPARED, type TableVerdict} from './verify-verdict.ts';
import {comparableColumns, verifyScope, verifyTable} from './verify.ts';

/** A view of the source as the flow read it, kept from the read until the rows are committed. */
export interface KeptPoint extends AsyncDisposable {
  readonly view: VerifyPoint;
  readonly scope: VerifyScope;
  /** The offset that the rows of the view reach. */
  readonly end: Offset | null;
}

/** How a trigger ended, as far as a comparison wants to know. Disposing lets go of the view. */
export interface TriggerEnd extends AsyncDisposable {
  /** As it landed: in the table's terms. */
  readonly flow: ResolvedFlow;
  /** The whole table was read: a snapshot, a full refresh, or a first load. */
  readonly readAnew: boolean;
  readonly point: KeptPoint | null;
}

/** After so many comparisons in a row that moving rows kept from proving anything, the next one waits for its time. */
const MAX_ROUNDS = 3;
/** A comparison that nobody waits for must not hold up the pipeline for ever. */
const LONGEST_MS = 30 * 60_000;

/**
 * Compares the table of a flow with its source, when its configuration says that it is time: after the table was read as a
 * whole, when the last comparison is too old, or again when rows moved during the last one. What is found is remembered
 * and told; it never fails the flow, whose rows are committed. @returns null when it is not time.
 */
export async function verifyAfter(
  services: FlowServices,
  flow: ResolvedFlow,
  trigger: {readonly end: TriggerEnd; readonly signal: AbortSignal},
): Promise<TableVerdict | null> {
  const {context, pipelineKey} = services;
  const {connector} = services.open;
  if (connector.openVerify === undefined) {
    if (flow.configuration.verify.intervalHours !== null) noteUnable(services, flow);
    return null;
  }
  const records = verifyRecords(context.store, pipelineKey);
  if (!isDue(flow, trigger.end.readAnew, {last: await records.last(flow.name), nowMs: context.clock.nowMs()}))
    return null;
  const verdict = await compareNow(services, flow, trigger);
  if (verdict === null || trigger.signal.aborted) return null;
  await records.remember(flow.name, verdict, context.clock.nowMs());
  services.verified?.(flow, verdict);
  if (verdict.verdict === 'different') {
    services.note({
      level: 'ERROR',
      flow: flow.name,
      code: 'VERIFY_DIFFERENT',
      message: `Version ${verdict.destinationVersion} differs from its source: ${verdict.reason}. See the keys with: sluice verify --table ${flow.name}`,
    });
  }
  return verdict;
}

/** Asked for in so many words, so it is said. */
function noteUnable({note, open}: FlowServices, flow: ResolvedFlow): void {
  note({
    level: 'WARN',
    flow: flow.name,
    code: 'VERIFY_UNSUPPORTED',
    message: `verify_interval_hours has no effect: connector "${open.definition.name}" cannot compute sums. Compare by reading the source once more: sluice verify --mode reread`,
  });
}

function isDue(
  flow: ResolvedFlow,
  readAnew: boolean,
  {last, nowMs}: {readonly last: VerifyRecord | null; readonly nowMs: number},
): boolean {
  const {afterSnapshot, intervalHours} = flow.configuration.verify;
  // Without a record the first load was not compared, maybe because its process died.
  if (afterSnapshot && (readAnew || last === null || isRepeated(last))) return true;
  if (intervalHours === null) return false;
  if (last === null) return true;
  // A time that has not come yet was written by a clock that has been put right since.
  return nowMs - last.atMs >= intervalHours * 3_600_000 || last.atMs > nowMs || isRepeated(last);
}

function isRepeated({verdict, rounds}: VerifyRecord): boolean {
  return verdict === 'unproven' && rounds < MAX_ROUNDS;
}

async function compareNow(
  services: FlowServices,
  flow: ResolvedFlow,
  {end, signal}: {readonly end: TriggerEnd; readonly signal: AbortSignal},
): Promise<TableVerdict | null> {
  const {context, files, log} = services;
  using budget = limitedTo(LONGEST_MS, signal);
  const ctx: CallContext = {signal: budget.signal, clock: context.clock, log, files};
  let table: DeltaTable | null = null;
  try {
    table = await openTable(context, flow.root);
    if (table === null) return null;
    const batch = await currentBatch(
      context.store,
      table,
      table.snapshot.metadata.configuration[FLOW_ID_PROPERTY] ?? '',
    );
    if (batch === null || batch.inSnapshot) return null;
    const {connector} = services.open;
    const request = {connector, flow, table, engine: context.engine, end: batch.end.rows, ctx, automatic: true};
    return await verifyTable({...request, ...pointAt(end.point, batch.end)});
  } catch (error) {
    if (signal.aborted) return null;
    const reason = budget.signal.aborted
      ? `it took longer than ${LONGEST_MS / 60_000} minutes; run: sluice verify`
      : error instanceof IngestError
        ? `[${error.code}] ${error.message}`
        : messageOf(error);
    services.note({level: 'WARN', flow: flow.name, code: 'VERIFY_FAILED', message: `Could not be compared: ${reason}`});
    const destinationVersion = table?.snapshot.version ?? null;
    return {...NOT_COMPARED, destinationVersion, verdict: 'not_comparable', reason};
  }
}

/** Aborts with its parent or when the time is over; the timer ends with it. */
function limitedTo(milliseconds: number, parent: AbortSignal): LinkedAbort {
  const limit = new LinkedAbort(parent);
  if (limit.signal.aborted) return limit;
  const timer = setTimeout(() => limit.controller.abort(), milliseconds);
  limit.signal.addEventListener('abort', () => clearTimeout(timer), {once: true});
  return limit;
}

/** The kept view, unless the flow has read on since. */
function pointAt(
  kept: KeptPoint | null,
  end: FlowOffset,
): {readonly point?: {readonly view: VerifyPoint; readonly scope: VerifyScope; readonly level: 'source_sums'}} {
  if (kept === null || !offsetsEqual(kept.end, end.rows)) return {};
  return {point: {view: kept.view, scope: kept.scope, level: 'source_sums'}};
}

/**
 * Opens a view of the rows that a plan reads, before the plan is disposed; null where the connector has none, or where the
 * table will not be what the plan reads. A view that cannot be opened is none: the comparison then uses one of later.
 */
export async function keepPoint(
  flow: ResolvedFlow,
  plan: PartitionPlan,
  {schema, rows, ctx}: {readonly schema: StructType; readonly rows: number; readonly ctx: CallContext},
): Promise<KeptPoint | null> {
  const {configuration, ingestionType} = flow;
  const scansKeys = ingestionType !== 'snapshot' && configuration.hardDeletionSyncMinIntervalSeconds !== null;
  if (plan.openVerify === undefined || !configuration.verify.afterSnapshot || scansKeys) return null;
  const {columns} = comparableColumns(schema, flow);
  if (columns.length === 0) return null;
  const scope = verifyScope(flow, columns, rows);
  try {
    const {openVerify} = plan;
    const view = await openUnderLandedNames(flow, scope, (asked) => openVerify(asked, ctx));
    return {view, scope, end: plan.end ?? null, [Symbol.asyncDispose]: () => view[Symbol.asyncDispose]()};
  } catch (error) {
    ctx.signal.throwIfAborted();
    ctx.log.debug('The read cannot be compared at its own snapshot.', {reason: messageOf(error)});
    return null;
  }
}
