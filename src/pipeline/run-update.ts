import {IngestError} from '../core/errors.ts';
import type {CallContext} from '../sdk/contract.ts';
import {matchesTable, selectTables, type SelectedTable} from './discover.ts';
import type {FlowProgress, UpdateState} from './events.ts';
import {FlowCounter} from './flow-counter.ts';
import {checkObject, planningContext, resolveFlow, type OpenConnector} from './resolve-flow.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import {runFlow} from './run-flow.ts';
import type {FlowServices} from './services.ts';
import type {PipelineSpec} from './spec.ts';

/** What is asked of one update. */
export interface UpdateRequest {
  /** Globs on source or destination names; empty: all. */
  readonly tables: readonly string[];
  readonly fullRefresh: boolean | readonly string[];
  /** What is read anew begins the history of tables that keep one anew. Default false. */
  readonly dropHistory?: boolean;
  /** Columns to fill for the rows that are there. */
  readonly backfill?: readonly BackfillRequest[];
  readonly maxParallelFlows: number;
  readonly signal: AbortSignal;
  /** A flow was resolved, in the source's terms: for the event log, that it knows whose events come. */
  readonly onFlow: (flow: ResolvedFlow) => void;
}

/** Columns of tables whose rows are to be read again. */
export interface BackfillRequest {
  /** A glob on source or destination names. */
  readonly table: string;
  readonly columns: readonly string[];
}

/** How an update ended. */
export interface UpdateEnd {
  readonly state: UpdateState;
  readonly flows: readonly FlowProgress[];
}

/**
 * The tables that an update is about. Everything about the spec that can be checked without the tables themselves is
 * checked here, before anything is written.
 * @throws INVALID_OPTION, INVALID_PREDICATE, INVALID_SPEC, UNKNOWN_TABLE
 */
export async function selectForUpdate(
  pipeline: PipelineSpec,
  open: OpenConnector,
  options: {readonly request: Pick<UpdateRequest, 'tables' | 'fullRefresh' | 'backfill'>; readonly ctx: CallContext},
): Promise<readonly SelectedTable[]> {
  for (const object of pipeline.objects) checkObject(open.definition, object);
  const all = await selectTables(pipeline, open, options.ctx);
  const selected = all.filter((table) => matchesTable(table, options.request.tables));
  checkSelection(all, selected, options.request);
  return selected;
}

/** Runs flows, some at a time. What concerns one flow fails that flow and no other. */
export async function runUpdate(
  selected: readonly SelectedTable[],
  services: FlowServices,
  request: UpdateRequest,
): Promise<UpdateEnd> {
  const {clock} = services.context;
  const ctx: CallContext = {signal: request.signal, clock, log: services.log, files: services.files};
  const triggerStartedAt = clock.nowMicros();
  const counters = selected.map(
    (table) => new FlowCounter({flow: table.flow, sourceTable: table.sourceTable}, clock, services.report),
  );
  for (const counter of counters) counter.setState('QUEUED');
  await forEachLimited(selected, request.maxParallelFlows, async (table, index) => {
    const counter = counters[index];
    if (counter === undefined) return;
    const isAnew = isRefreshed(table, request.fullRefresh);
    const resolve = async (): Promise<ResolvedFlow> => {
      const flow = await resolveFlow(
        services.open,
        table.object,
        table.sourceTable,
        isAnew ? ctx : planningContext(services.context, table, ctx),
      );
      request.onFlow(flow);
      return flow;
    };
    const trigger = {
      fullRefresh: isAnew,
      dropHistory: request.dropHistory === true,
      backfill: (request.backfill ?? [])
        .filter((one) => matchesTable(table, [one.table]))
        .flatMap((one) => one.columns),
      triggerStartedAt,
      signal: request.signal,
    };
    await runFlow(services, table.flow, {resolve, counter, request: trigger});
  });
  const flows = counters.map((counter) => counter.progress);
  return {flows, state: endState(flows, request.signal)};
}

/** True when a table is among those that an update reads anew. */
export function isRefreshed(table: SelectedTable, fullRefresh: boolean | readonly string[]): boolean {
  return typeof fullRefresh === 'boolean' ? fullRefresh : matchesTable(table, fullRefresh) && fullRefresh.length > 0;
}

function checkSelection(
  all: readonly SelectedTable[],
  selected: readonly SelectedTable[],
  request: Pick<UpdateRequest, 'tables' | 'fullRefresh' | 'backfill'>,
): void {
  const known = all.map((table) => table.flow).join(', ');
  if (selected.length === 0) {
    throw new IngestError(
      'UNKNOWN_TABLE',
      request.tables.length === 0 ? 'The pipeline selects no table.' : `No table matches ${request.tables.join(', ')}.`,
      {fix: `Its tables are ${known || 'none'}.`},
    );
  }
  const named = [
    ...(typeof request.fullRefresh === 'boolean' ? [] : request.fullRefresh.map((name) => ['Full refresh', name])),
    ...(request.backfill ?? []).map(({table}) => ['Back-fill', table]),
  ];
  for (const [what, name = ''] of named) {
    if (!selected.some((table) => matchesTable(table, [name]))) {
      throw new IngestError('UNKNOWN_TABLE', `${what} names "${name}", which this run does not have.`, {
        fix: `Its tables are ${known}.`,
      });
    }
  }
}

function endState(flows: readonly FlowProgress[], signal: AbortSignal): UpdateState {
  if (flows.some((flow) => flow.state === 'FAILED')) return 'FAILED';
  return signal.aborted && flows.some((flow) => flow.state === 'STOPPED') ? 'CANCELED' : 'COMPLETED';
}

/** Runs a task for every item, at most `limit` at once. Tasks do not throw. */
async function forEachLimited<Item>(
  items: readonly Item[],
  limit: number,
  task: (item: Item, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index];
      if (item !== undefined) await task(item, index);
    }
  };
  await Promise.all(Array.from({length: Math.min(limit, items.length)}, worker));
}
