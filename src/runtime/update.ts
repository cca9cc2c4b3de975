import {randomUUID} from 'node:crypto';
import {availableParallelism} from 'node:os';

import {systemClock} from '../core/clock.ts';
import type {PlainJson} from '../core/offset.ts';
import type {GatewayEvent} from '../gateway/options.ts';
import type {FlowProgress} from '../pipeline/events.ts';
import {runUpdate, selectForUpdate} from '../pipeline/run-update.ts';
import type {FlowServices} from '../pipeline/services.ts';
import type {PipelineSpec} from '../pipeline/spec.ts';
import {encodeName} from '../pipeline/table-root.ts';
import type {ConnectorLog} from '../sdk/contract.ts';
import {acquireLease} from '../state/lease.ts';
import type {RunOptions, RunResult} from './api.ts';
import {createExtractRunner, type ExtractSetup} from './extract-pool.ts';
import {cleanAfterUpdate} from './gateway/clean-staging.ts';
import {eventLevel, isStaged, openStaged} from './gateway/staged-pipeline.ts';
import {inputFolders} from './input-folders.ts';
import {openConnector} from './open-connector.ts';
import {silentLog} from './read-context.ts';
import {createSourceFiles} from './source-files.ts';
import {openTrace} from './trace-file.ts';
import {openUpdateEvents, type UpdateEvents} from './update-events.ts';
import {DEFAULT_MEMORY_MB, openWorkbench, type Workbench} from './workbench.ts';

/** Flows at a time unless the caller says otherwise. */
const DEFAULT_PARALLEL_FLOWS = 4;

/** Name prefix of what a lake remembers of a pipeline. */
export function pipelinePrefix(key: string): string {
  return `_sluice/pipelines/${encodeName(key)}`;
}

/**
 * Runs one update in this process.
 * @throws INVALID_*, UNKNOWN_* before anything is written; CONCURRENT_RUN when another process runs the pipeline.
 */
export async function runUpdateHere(spec: PipelineSpec, options: RunOptions): Promise<RunResult> {
  const startedAt = systemClock.nowMs();
  const updateId = randomUUID();
  const inputs = inputFolders(spec);
  await using bench = await openWorkbench(options, inputs);
  using trace = options.traceFile === undefined ? null : openTrace(options.traceFile);
  const onGateway = gatewayNote(spec, updateId, options);
  await using open = isStaged(spec)
    ? await openStaged(spec, {...options, onEvent: onGateway})
    : await openConnector(spec.connection, {
        clock: systemClock,
        ...(trace === null ? {} : {trace: trace.trace}),
      });
  const files = createSourceFiles(bench.context.engine, inputs);
  const ctx = {signal: options.signal, clock: systemClock, log: silentLog, files};
  const selected = await selectForUpdate(spec, open, {request: options, ctx});
  await using _ = await acquireLease(bench.context.store, `${pipelinePrefix(spec.key)}/lease`, systemClock);
  await using events = await openUpdateEvents({
    spec,
    updateId,
    context: bench.context,
    localFolder: bench.localFolder,
    onUpdate: options.onUpdate,
  });
  await events.start(options);
  await using extract = extractRunnerOf(bench, {
    open,
    files,
    inputs,
    options,
    log: connectorLog(events),
    gatewayId: spec.changeLog?.gatewayId,
  });
  const services = servicesOf(spec, bench, {open, files, extract, events, options});
  const request = {
    tables: options.tables,
    fullRefresh: options.fullRefresh,
    dropHistory: options.dropHistory === true,
    backfill: options.backfill ?? [],
    maxParallelFlows: options.maxParallelFlows ?? DEFAULT_PARALLEL_FLOWS,
    signal: options.signal,
    onFlow: events.flowResolved,
  };
  const end = await runUpdate(selected, services, request);
  for (const message of (await bench.context.background?.settle()) ?? [])
    events.note({level: 'WARN', flow: null, code: 'CHECKPOINT_FAILED', message});
  if (isStaged(spec)) await cleanAfterUpdate(spec, {...options, onEvent: onGateway});
  await events.finish(end.state, end.flows);
  return {updateId, pipeline: spec.key, state: end.state, flows: end.flows, elapsedMs: systemClock.nowMs() - startedAt};
}

/** What the gateway within an update does, as lines of the run. */
function gatewayNote(spec: PipelineSpec, updateId: string, {onUpdate}: RunOptions): (event: GatewayEvent) => void {
  return (event) =>
    onUpdate({
      kind: 'note',
      updateId,
      pipeline: spec.key,
      level: eventLevel(event),
      flow: null,
      code: `GATEWAY_${event.type.toUpperCase()}`,
      message: event.message,
    });
}

/** Where partitions are read: memory is shared out among this process and those that read. */
function extractRunnerOf(
  bench: Workbench,
  parts: Pick<ServiceParts, 'open' | 'files' | 'options'> & Pick<ExtractSetup, 'inputs' | 'log' | 'gatewayId'>,
): ReturnType<typeof createExtractRunner> {
  const {open, files, inputs, log, options, gatewayId} = parts;
  const workers = Math.min(options.threads ?? availableParallelism(), 4);
  const memoryMb = options.memoryLimitMb ?? DEFAULT_MEMORY_MB;
  return createExtractRunner({
    bench,
    open,
    files,
    log,
    inputs,
    workers,
    traceFile: options.traceFile,
    gatewayId,
    workerMemoryMb: Math.max(128, Math.floor(memoryMb / (workers + 1))),
  });
}

interface ServiceParts {
  readonly open: Awaited<ReturnType<typeof openConnector>>;
  readonly files: FlowServices['files'];
  readonly extract: FlowServices['extract'];
  readonly events: UpdateEvents;
  readonly options: RunOptions;
}

function servicesOf(spec: PipelineSpec, bench: Workbench, parts: ServiceParts): FlowServices {
  const {open, files, extract, events} = parts;
  return {
    pipelineKey: spec.key,
    connection: spec.connection,
    open,
    context: bench.context,
    apply: bench.apply,
    extract,
    files,
    log: connectorLog(events),
    random: Math.random,
    report: (progress: FlowProgress) => events.progress(progress),
    note: (note) => events.note(note),
    defined: (flow) => events.defined(flow),
    verified: (flow, verdict) => events.verified(flow, verdict),
  };
}

function connectorLog(events: UpdateEvents): ConnectorLog {
  const say =
    (level: 'INFO' | 'WARN') =>
    (message: string, context?: Readonly<Record<string, PlainJson>>): void =>
      events.note({
        level,
        flow: null,
        code: 'CONNECTOR',
        message: context === undefined ? message : `${message} ${JSON.stringify(context)}`,
      });
  return {debug: () => undefined, info: say('INFO'), warn: say('WARN')};
}
