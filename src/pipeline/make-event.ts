import {randomUUID} from 'node:crypto';

import type {Clock} from '../core/clock.ts';
import {IngestError} from '../core/errors.ts';
import type {PlainJson} from '../core/offset.ts';
import {schemaToJson} from '../core/schema-json.ts';
import type {StructType} from '../core/types.ts';
import {CANONICAL_VERSION} from '../sdk/canonical.ts';
import type {OriginKey} from './event-schema.ts';
import type {FlowProgress, PipelineEvent, UpdateState} from './events.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import type {TableVerdict} from './verify-verdict.ts';

/** Origin fields of an event. */
export type EventOrigin = Readonly<Partial<Record<OriginKey, string | number | null>>>;

/** What all events of an update have in common. */
export interface EventSource {
  readonly clock: Clock;
  /** At least `pipeline_id`, `pipeline_name` and `update_id`. */
  readonly origin: EventOrigin;
}

/** What is asked of an update, as Lakeflow's StartUpdate says it. */
export interface UpdateRequestDetails {
  /** For example USER_ACTION or API_CALL. */
  readonly cause: string;
  readonly fullRefresh: boolean;
  readonly fullRefreshSelection: readonly string[];
  readonly refreshSelection: readonly string[];
}

/** A flow as events name it. */
export interface FlowOrigin {
  /** `catalog.schema.table` of the destination. */
  readonly flow: string;
  readonly sourceTable: string;
  readonly sourceCatalog?: string | null;
  readonly sourceSchema?: string | null;
  readonly flowId?: string | null;
  readonly batchId?: number | null;
}

/** An update was asked for. */
export function createUpdateEvent(source: EventSource, request: UpdateRequestDetails): PipelineEvent {
  const details = {
    cause: request.cause,
    full_refresh: request.fullRefresh,
    full_refresh_selection: request.fullRefreshSelection,
    refresh_selection: request.refreshSelection,
    validate_only: false,
    explore_only: false,
  };
  return makeEvent(source, {
    eventType: 'create_update',
    message: `Update ${String(source.origin.update_id)} started by ${request.cause}.`,
    details: {create_update: details},
  });
}

/** An update changed its state. `error` is what ended it. */
export function updateProgressEvent(source: EventSource, state: UpdateState, error?: unknown): PipelineEvent {
  return makeEvent(source, {
    level: state === 'FAILED' ? 'ERROR' : 'INFO',
    eventType: 'update_progress',
    message: `Update ${String(source.origin.update_id)} is ${state}.`,
    details: {update_progress: {state}},
    ...(error === undefined ? {} : {error: errorOf(error)}),
  });
}

/** A flow was resolved: what it lands in, with which columns. */
export function flowDefinitionEvent(
  source: EventSource,
  flow: FlowOrigin,
  definition: {readonly schema: StructType; readonly flowType: string},
): PipelineEvent {
  const schema = definition.schema.fields.map((field) => ({path: [field.name], nullable: field.nullable}));
  const details = {
    output_dataset: flow.flow,
    flow_type: definition.flowType,
    schema,
    schema_json: schemaToJson(definition.schema),
  };
  return makeEvent(source, {
    eventType: 'flow_definition',
    message: `Flow ${flow.flow} defined.`,
    origin: flowOrigin(flow),
    details: {flow_definition: details},
  });
}

/**
 * A flow changed its state or committed a batch. Rows of append-only flows count as output, those of keyed ones as
 * upserted: the three row counters never count a row twice.
 */
export function flowProgressEvent(
  source: EventSource,
  flow: FlowOrigin,
  report: {readonly progress: FlowProgress; readonly target: ResolvedFlow['target']},
): PipelineEvent {
  const {progress, target} = report;
  const isAppend = target === 'append';
  const metrics = {
    num_output_rows: isAppend ? progress.rowsInserted : 0,
    num_upserted_rows: isAppend ? 0 : progress.rowsInserted + progress.rowsUpdated,
    num_deleted_rows: progress.rowsDeleted,
    num_read_rows: progress.rowsRead,
    num_rescued_values: progress.rescuedValues,
    num_output_bytes: progress.bytesWritten,
    executor_time_ms: progress.elapsedMs,
    ...(progress.totalRows === null ? {} : {backlog_records: Math.max(0, progress.totalRows - progress.rowsRead)}),
  };
  const details = {
    status: progress.state,
    metrics,
    data_quality: {dropped_records: progress.quarantinedRows},
    attempt: progress.attempt,
    version: progress.version,
  };
  const failed = progress.state === 'FAILED';
  const error = coded(progress.errorCode ?? 'ENGINE_FAILED', progress.errorMessage ?? 'The flow failed.');
  return makeEvent(source, {
    level: failed ? 'ERROR' : progress.state === 'RUNNING' ? 'METRICS' : 'INFO',
    eventType: 'flow_progress',
    message: failed ? `Flow ${flow.flow} failed: ${error}` : `Flow ${flow.flow} is ${progress.state}.`,
    origin: flowOrigin(flow),
    details: {flow_progress: details},
    ...(failed ? {error: {fatal: false, exceptions: [{className: 'IngestError', message: error, stack: []}]}} : {}),
  });
}

/** How far a long operation is, for example a snapshot. */
export interface OperationDetails {
  /** For example CDC_SNAPSHOT, KEY_SCAN. */
  readonly type: string;
  readonly status: 'STARTED' | 'IN_PROGRESS' | 'COMPLETED' | 'FAILED' | 'CANCELED';
  readonly durationMs: number;
  /** From 0 to 100; null when the size is unknown. */
  readonly progressPercent: number | null;
  /** Null when unknown. */
  readonly remainingMs: number | null;
}

/** A long operation of a flow goes on. */
export function operationProgressEvent(
  source: EventSource,
  flow: FlowOrigin,
  operation: OperationDetails,
): PipelineEvent {
  const details = {
    type: operation.type,
    status: operation.status,
    duration_ms: operation.durationMs,
    cdc_snapshot: {
      table_name: flow.sourceTable,
      target_table_name: flow.flow,
      progress_percent: operation.progressPercent,
      estimated_remaining_ms: operation.remainingMs,
    },
  };
  return makeEvent(source, {
    level: operation.status === 'IN_PROGRESS' ? 'METRICS' : operation.status === 'FAILED' ? 'ERROR' : 'INFO',
    eventType: 'operation_progress',
    message: `${operation.type} of ${flow.flow} is ${operation.status}.`,
    origin: flowOrigin(flow),
    details: {operation_progress: details},
  });
}

/** A table was compared with its source. Neither keys nor values are in it. */
export function verifyProgressEvent(source: EventSource, flow: FlowOrigin, found: TableVerdict): PipelineEvent {
  const {history} = found;
  const details = {
    verdict: found.verdict,
    mode: found.mode,
    level: found.level,
    reason: found.reason,
    canonical_version: CANONICAL_VERSION,
    hash: 'sha256/60',
    collision_bound: found.collisionBound,
    source_point: found.sourcePoint,
    destination_version: found.destinationVersion,
    source_rows: found.sourceRows,
    destination_rows: found.destinationRows,
    ranges_total: found.bucketsTotal,
    ranges_different: found.bucketsDifferent,
    missing: found.missing,
    extra: found.extra,
    extra_reason: found.extraReason,
    changed: found.changed,
    unproven: found.unproven,
    columns_compared: found.columnsCompared,
    columns_excluded: found.excluded.map(({name}) => name),
    columns_different: Object.fromEntries(found.columnsDifferent.map(({name, keys}) => [name, keys])),
    null_by_rescue: Object.fromEntries(found.rescued.map(({name, destination}) => [name, destination])),
    history: history === null ? null : {...history},
    elapsed_ms: found.elapsedMs,
  };
  return makeEvent(source, {
    level: found.verdict === 'different' ? 'ERROR' : found.verdict === 'equal' ? 'INFO' : 'WARN',
    eventType: 'verify_progress',
    message: `Flow ${flow.flow} is ${VERDICT_TEXT[found.verdict]}.`,
    origin: flowOrigin(flow),
    details: {verify_progress: details},
  });
}

const VERDICT_TEXT: Readonly<Record<TableVerdict['verdict'], string>> = {
  equal: 'equal to its source',
  different: 'different from its source',
  unproven: 'not proven equal to its source',
  not_comparable: 'not comparable with its source',
};

/** Something worth telling that is no progress; `code` stands in brackets, as monitoring looks for it. */
export function noteEvent(
  source: EventSource,
  flow: FlowOrigin | null,
  note: {readonly level: 'INFO' | 'WARN' | 'ERROR'; readonly code: string; readonly message: string},
): PipelineEvent {
  return makeEvent(source, {
    level: note.level,
    eventType: 'note',
    message: coded(note.code, note.message),
    ...(flow === null ? {} : {origin: flowOrigin(flow)}),
    details: {note: {code: note.code}},
  });
}

interface EventParts {
  readonly level?: PipelineEvent['level'];
  readonly eventType: string;
  readonly message: string;
  readonly origin?: EventOrigin;
  readonly details: PlainJson;
  readonly error?: PipelineEvent['error'];
}

function makeEvent(source: EventSource, parts: EventParts): PipelineEvent {
  return {
    id: randomUUID(),
    timestampMicros: source.clock.nowMicros(),
    level: parts.level ?? 'INFO',
    eventType: parts.eventType,
    message: parts.message,
    origin: {...source.origin, ...parts.origin},
    details: parts.details,
    ...(parts.error === undefined ? {} : {error: parts.error}),
  };
}

function flowOrigin(flow: FlowOrigin): EventOrigin {
  return {
    dataset_name: flow.flow,
    flow_name: flow.flow,
    flow_id: flow.flowId ?? null,
    batch_id: flow.batchId ?? null,
    ingestion_source_table_name: flow.sourceTable,
    ingestion_source_schema_name: flow.sourceSchema ?? null,
    ingestion_source_catalog_name: flow.sourceCatalog ?? null,
  };
}

/** The thrown value with its causes, outermost first; the codes stand in brackets. */
function errorOf(error: unknown): NonNullable<PipelineEvent['error']> {
  const exceptions: NonNullable<PipelineEvent['error']>['exceptions'][number][] = [];
  let current = error;
  while (current instanceof Error && exceptions.length < MAX_CAUSES) {
    const message = current instanceof IngestError ? coded(current.code, current.message) : current.message;
    const stack = (current.stack ?? '')
      .split('\n')
      .filter((line) => /^\s+at /.test(line))
      .map((line) => line.trim());
    exceptions.push({className: current.name, message, stack});
    current = current.cause;
  }
  return {fatal: true, exceptions};
}

/** Causes may form a circle. */
const MAX_CAUSES = 5;

/** As monitoring looks for it. */
function coded(code: string, message: string): string {
  return `[${code}] ${message}`;
}
