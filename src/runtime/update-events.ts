import {join} from 'node:path';

import {messageOf} from '../core/errors.ts';
import type {DeltaContext} from '../delta/delta-table.ts';
import {createEventLog, type EventLog} from '../pipeline/event-log.ts';
import type {FlowProgress, PipelineEvent, RunUpdate, UpdateState} from '../pipeline/events.ts';
import {
  createUpdateEvent,
  flowDefinitionEvent,
  flowProgressEvent,
  noteEvent,
  updateProgressEvent,
  verifyProgressEvent,
  type EventSource,
  type FlowOrigin,
} from '../pipeline/make-event.ts';
import type {ResolvedFlow} from '../pipeline/resolved-flow.ts';
import type {FlowNote} from '../pipeline/services.ts';
import type {PipelineSpec} from '../pipeline/spec.ts';
import {encodeName, tableRoot} from '../pipeline/table-root.ts';
import type {TableVerdict} from '../pipeline/verify-verdict.ts';
import type {RunOptions} from './api.ts';

/** Tells one update's story twice: to who watches, at once, and to the event log. Disposing stops the timer. */
export interface UpdateEvents extends AsyncDisposable {
  start(options: RunOptions): Promise<void>;
  readonly flowResolved: (flow: ResolvedFlow) => void;
  progress(progress: FlowProgress): void;
  note(note: FlowNote): void;
  /** What the flow lands, in the names and types of its table. */
  defined(flow: ResolvedFlow): void;
  verified(flow: ResolvedFlow, verdict: TableVerdict): void;
  /** Writes the end and commits what is in the spool. A log that cannot be written is a warning: the data is committed. */
  finish(state: UpdateState, flows: readonly FlowProgress[]): Promise<void>;
}

const FLUSH_EVERY_MS = 60_000;

/** Where and about what to tell. */
export interface UpdateEventsScope {
  readonly spec: PipelineSpec;
  readonly updateId: string;
  readonly context: DeltaContext;
  /** Folder of this machine where events wait. */
  readonly localFolder: string;
  readonly onUpdate: (update: RunUpdate) => void;
}

/** Opens the event log of a pipeline whose lease the caller holds. */
export async function openUpdateEvents(scope: UpdateEventsScope): Promise<UpdateEvents> {
  const {spec, updateId, context} = scope;
  const log = await createEventLog(context, {
    pipelineKey: spec.key,
    root: tableRoot(spec.catalog, spec.schema, spec.eventLogTable),
    spoolFolder: spoolFolder(scope.localFolder, spec.key),
    instance: updateId,
  });
  return new RunEvents(scope, log);
}

/** Where the events of a pipeline wait for their commit, in the lake's folder of this machine. */
export function spoolFolder(localFolder: string, pipelineKey: string): string {
  return join(localFolder, '_sluice', 'pipelines', encodeName(pipelineKey), 'spool');
}

class RunEvents implements UpdateEvents {
  readonly #scope: UpdateEventsScope;
  readonly #log: EventLog;
  readonly #source: EventSource;
  readonly #flows = new Map<string, ResolvedFlow>();
  readonly #lastTold = new Map<string, string>();
  readonly #timer: NodeJS.Timeout;
  #pending: Promise<void> = Promise.resolve();

  constructor(scope: UpdateEventsScope, log: EventLog) {
    this.#scope = scope;
    this.#log = log;
    const {spec, updateId, context} = scope;
    this.#source = {
      clock: context.clock,
      origin: {
        pipeline_id: spec.key,
        pipeline_name: spec.name,
        update_id: updateId,
        ingestion_source_connection_name: spec.connection.name,
      },
    };
    this.#timer = setInterval(() => this.#enqueue(() => log.flush()), FLUSH_EVERY_MS);
    this.#timer.unref();
  }

  async start(options: RunOptions): Promise<void> {
    const fullRefreshSelection = typeof options.fullRefresh === 'boolean' ? [] : options.fullRefresh;
    this.#emit(
      createUpdateEvent(this.#source, {
        cause: 'USER_ACTION',
        fullRefresh: options.fullRefresh === true,
        fullRefreshSelection,
        refreshSelection: options.tables,
      }),
    );
    this.#tellState('RUNNING', 'The update is running.');
    await this.#pending;
  }

  readonly flowResolved = (flow: ResolvedFlow): void => {
    this.#flows.set(flow.name, flow);
  };

  defined(flow: ResolvedFlow): void {
    this.#emit(
      flowDefinitionEvent(this.#source, originOf(flow), {schema: flow.tableSchema, flowType: flow.ingestionType}),
    );
  }

  progress(progress: FlowProgress): void {
    const {spec, updateId, onUpdate} = this.#scope;
    onUpdate({kind: 'flow', updateId, pipeline: spec.key, progress});
    const told = `${progress.state}/${progress.version ?? ''}/${progress.batches}`;
    if (this.#lastTold.get(progress.flow) === told || QUIET_STATES.has(progress.state)) return;
    this.#lastTold.set(progress.flow, told);
    const flow = this.#flows.get(progress.flow);
    const origin: FlowOrigin =
      flow === undefined ? {flow: progress.flow, sourceTable: progress.sourceTable} : originOf(flow);
    this.#emit(flowProgressEvent(this.#source, origin, {progress, target: flow?.target ?? 'scd1'}));
  }

  note(note: FlowNote): void {
    const {spec, updateId, onUpdate} = this.#scope;
    onUpdate({
      kind: 'note',
      updateId,
      pipeline: spec.key,
      level: note.level,
      flow: note.flow,
      code: note.code,
      message: note.message,
    });
    const flow = note.flow === null ? undefined : this.#flows.get(note.flow);
    this.#emit(noteEvent(this.#source, flow === undefined ? null : originOf(flow), note));
  }

  verified(flow: ResolvedFlow, verdict: TableVerdict): void {
    this.#emit(verifyProgressEvent(this.#source, originOf(flow), verdict));
  }

  async finish(state: UpdateState, flows: readonly FlowProgress[]): Promise<void> {
    const failed = flows.filter((flow) => flow.state === 'FAILED').length;
    this.#tellState(state, failed === 0 ? `The update is ${state}.` : `${failed} of ${flows.length} flows failed.`);
    await this.#pending;
    this.#enqueue(() => this.#log.flush());
    await this.#pending;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#pending;
    await this.#log[Symbol.asyncDispose]();
  }

  #tellState(state: UpdateState, message: string): void {
    const {spec, updateId, onUpdate} = this.#scope;
    onUpdate({kind: 'update', updateId, pipeline: spec.key, state, message});
    this.#emit(updateProgressEvent(this.#source, state));
  }

  #emit(event: PipelineEvent): void {
    this.#enqueue(() => this.#log.emit(event));
  }

  /** One after the other; a failure is told to who watches and keeps nothing else from happening. */
  #enqueue(work: () => Promise<void>): void {
    const {spec, updateId, onUpdate} = this.#scope;
    this.#pending = this.#pending.then(work).catch((error: unknown) => {
      onUpdate({
        kind: 'note',
        updateId,
        pipeline: spec.key,
        level: 'WARN',
        flow: null,
        code: 'EVENT_LOG',
        message: `The event log could not be written: ${messageOf(error)}`,
      });
    });
  }
}

const QUIET_STATES: ReadonlySet<string> = new Set(['QUEUED', 'STARTING', 'PLANNING']);

function originOf(flow: ResolvedFlow): FlowOrigin {
  return {
    flow: flow.name,
    sourceTable: flow.sourceTable,
    sourceCatalog: flow.object.sourceCatalog,
    sourceSchema: flow.object.sourceSchema,
  };
}
