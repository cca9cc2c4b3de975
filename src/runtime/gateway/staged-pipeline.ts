import {setTimeout as sleep} from 'node:timers/promises';

import {systemClock} from '../../core/clock.ts';
import {IngestError} from '../../core/errors.ts';
import {LinkedAbort} from '../../core/linked-abort.ts';
import type {GatewayEvent} from '../../gateway/options.ts';
import {readStatus, type GatewayStatus} from '../../gateway/status.ts';
import {matchesTable, selectTables} from '../../pipeline/discover.ts';
import {isRefreshed} from '../../pipeline/run-update.ts';
import type {ChangeLogSpec, PipelineSpec} from '../../pipeline/spec.ts';
import {hasReached, type LogTarget} from '../../sdk/change-log.ts';
import type {CallContext, Connector, VerifyPoint, VerifyScope} from '../../sdk/contract.ts';
import {requestSnapshot} from '../../staging/next-read.ts';
import {type BlockedTable, stagedConnector} from '../../staging/staged-connector.ts';
import {catchUp, loadState, type Staging as StagingArea} from '../../staging/staging.ts';
import type {StagingState} from '../../staging/state.ts';
import {leaseHeldSince} from '../../state/lease.ts';
import type {LakeOptions, RunOptions} from '../api.ts';
import {ownGateway} from '../config/resolve-gateway.ts';
import {noFiles} from '../no-files.ts';
import {connectorContext, type OpenedConnector} from '../open-connector.ts';
import {silentLog} from '../read-context.ts';
import {changeLogOf, openChangeLog, openGatewayStaging} from './open-gateway.ts';
import {maySnapshot, runGatewayHere} from './run-gateway.ts';
import {isStagedTo, untilStaged} from './until-staged.ts';

/** A pipeline that reads what a gateway staged. */
export type StagedPipeline = PipelineSpec & {readonly changeLog: ChangeLogSpec};

export function isStaged(spec: PipelineSpec): spec is StagedPipeline {
  return spec.changeLog !== undefined;
}

type StagingPlace = Pick<LakeOptions, 'lake' | 'storeOptions' | 'signal'>;

interface Staging extends StagingPlace {
  /** Told what a gateway within this update does. */
  readonly onEvent: (event: GatewayEvent) => void;
}

/** How the staging of a pipeline is opened for an update. */
export interface StagedOpening extends Staging, Pick<RunOptions, 'tables' | 'fullRefresh'> {}

/**
 * The connector of a pipeline that follows a log: its tables as they are staged. Where the pipeline is its own gateway, that runs first
 * until the log is staged as far as the source had it when this was called.
 */
export async function openStaged(spec: StagedPipeline, opening: StagedOpening): Promise<OpenedConnector> {
  const blocked = new Map<string, BlockedTable>();
  const tell = (event: GatewayEvent): void => {
    // Its flow fails with the reason: once is enough.
    if (event.type === 'table_blocked' && event.table !== undefined) blocked.set(event.table, whyBlocked(event));
    else opening.onEvent(event);
  };
  if (spec.changeLog.isIntegrated) {
    await requestRefreshed(spec, opening);
    await stageUntilNow(spec, {...opening, onEvent: tell});
  }
  // A gateway of its own tells of them while it runs, and nobody may look there.
  else for (const event of await saidByGateway(spec, opening)) tell(event);
  return openStagedTables(spec, {...opening, blocked});
}

/** What is to be read anew is read from the database once more: what is staged of it may be what is doubted. */
async function requestRefreshed(spec: StagedPipeline, opening: StagedOpening): Promise<void> {
  const {fullRefresh, tables, signal} = opening;
  if (fullRefresh === false || (fullRefresh !== true && fullRefresh.length === 0)) return;
  await using area = await openGatewayStaging(opening, spec.changeLog.gatewayId);
  const state = await loadState(area.staging);
  if (state.n === 0) return;
  await using open = await openStagedTables(spec, opening);
  const ctx: CallContext = {signal, clock: systemClock, log: silentLog, files: noFiles};
  for (const table of await selectTables(spec, open, ctx)) {
    const staged = state.tables.get(table.sourceTable);
    const isWanted = matchesTable(table, tables) && isRefreshed(table, fullRefresh);
    if (!isWanted || staged === undefined || staged.snapshot === null || staged.reset !== null) continue;
    const message = 'A full refresh was asked for.';
    await requestSnapshot(area.staging, {name: table.sourceTable, message, clock: systemClock});
  }
}

function whyBlocked({table = '', message, finding}: GatewayEvent): BlockedTable {
  const kind = finding?.isTable === false ? {isTable: false as const} : {};
  if (finding?.fix === undefined) return {message, ...kind};
  return {message: `${table} cannot be followed: ${finding.message}`, fix: finding.fix, ...kind};
}

/** A gateway says every few seconds how it is. */
const SILENT_MS = 120_000;

/** What the pipeline's gateway said last: of itself, where what is staged may be old, and of tables that it cannot follow. */
async function saidByGateway(spec: StagedPipeline, place: StagingPlace): Promise<readonly GatewayEvent[]> {
  const {gatewayId, isContinuous} = spec.changeLog;
  await using opened = await openGatewayStaging(place, gatewayId);
  const status = await readStatus(opened.staging);
  if (status === null) return [];
  // One that was killed does not say so.
  const isHeld = await isRunning(opened.staging);
  const blocked = status.tables
    .filter(({phase}) => phase === 'blocked' || phase === 'failed')
    .map(({name, message, isTable}): GatewayEvent => ({
      type: 'table_blocked',
      level: 'warning',
      table: name,
      message: `${name} is not followed: ${message ?? 'its gateway says no reason'}`,
      ...(isTable === false ? {finding: {level: 'error', code: 'TABLE_KIND', message: message ?? '', isTable}} : {}),
    }));
  // One that runs beside continuous updates tells of itself.
  const trouble = isContinuous ? null : troubleOf(gatewayId, status, isHeld);
  return trouble === null ? blocked : [trouble, ...blocked];
}

/** A run that finds nothing new must not look as if there were nothing. */
function troubleOf(
  gatewayId: string,
  {connection, message, updatedAt}: GatewayStatus,
  isHeld = true,
): GatewayEvent | null {
  const isSilent = !isHeld || systemClock.nowMs() - Date.parse(updatedAt) > SILENT_MS;
  const isWell = connection === 'streaming' || connection === 'starting';
  if (isWell && !isSilent) return null;
  const how = isSilent || connection === 'stopped' ? 'does not run' : `does not follow the log (${connection})`;
  const why = message === null ? '' : `: ${message}`;
  return {
    type: 'health',
    level: 'warning',
    message: `Gateway "${gatewayId}" ${how} since ${updatedAt}${why}. What was committed after that is not in this update.`,
  };
}

/** The tables of a pipeline as they are staged now. */
export async function openStagedTables(
  spec: StagedPipeline,
  place: StagingPlace & {readonly blocked?: ReadonlyMap<string, BlockedTable>},
): Promise<OpenedConnector> {
  const {definition, context} = await connectorContext(spec.connection, {clock: systemClock});
  const database = definition.create(context);
  const codec = await changeLogOf(definition).codec();
  const opened = await openGatewayStaging(place, spec.changeLog.gatewayId);
  // Tables are compared at the same time, and only one gateway may be at work.
  const staged = oneAtATime(() => stagedNow(spec, place));
  return {
    definition,
    connector: stagedConnector({
      staging: opened.staging,
      codec,
      reader: spec.key,
      nowMs: () => systemClock.nowMs(),
      blocked: place.blocked ?? new Map(),
      ...(database.openVerify === undefined
        ? {}
        : {
            database: {
              openVerify: (scope, ctx) => openDatabase(database, scope, ctx),
              staged,
            },
          }),
    }),
    async [Symbol.asyncDispose](): Promise<void> {
      await database.close?.();
      await opened[Symbol.asyncDispose]();
    },
  };
}

/** The rows as queries see them; no flow of queries has an end that this could go by. */
function openDatabase(database: Connector, scope: VerifyScope, ctx: CallContext): Promise<VerifyPoint> {
  if (database.openVerify === undefined) throw new IngestError('UNSUPPORTED', 'This database cannot be compared with.');
  return database.openVerify(scope, null, ctx);
}

/** Calls that come while one is under way share the next one: it begins after they asked. */
function oneAtATime(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> = Promise.resolve();
  let next: Promise<void> | null = null;
  return () =>
    (next ??= running
      .catch(() => undefined)
      .then(() => {
        next = null;
        running = work();
        return running;
      }));
}

/** How long a gateway of its own may take to stage what is committed. */
const LONGEST_LAG_MS = 120_000;

/** Waits until everything that has committed by now is staged. */
async function stagedNow(spec: StagedPipeline, opening: StagingPlace): Promise<void> {
  const quiet = {...opening, onEvent: () => undefined};
  const target = await positionNow(spec, quiet);
  await using opened = await openGatewayStaging(opening, spec.changeLog.gatewayId);
  let state = await loadState(opened.staging);
  if (spec.changeLog.isIntegrated) {
    if (!isStagedTo(state, target)) await stageUntilNow(spec, quiet);
    return;
  }
  const isThere = (): boolean => state.end !== null && hasReached(state.end, target);
  if (isThere()) return;
  const status = await readStatus(opened.staging);
  const trouble = status === null ? null : troubleOf(spec.changeLog.gatewayId, status);
  // Nobody would stage what is waited for.
  if (trouble !== null) throw new IngestError('SOURCE_ERROR', trouble.message, {fix: 'Start it: sluice gateway run'});
  let lookMs = FIRST_LOOK_MS;
  let looksUnheld = 0;
  for (const untilMs = systemClock.nowMs() + LONGEST_LAG_MS; !isThere();) {
    opening.signal.throwIfAborted();
    if (systemClock.nowMs() >= untilMs) {
      throw new IngestError('SOURCE_ERROR', `Gateway "${spec.changeLog.gatewayId}" does not stage what is committed.`, {
        fix: `Start it (sluice gateway run), or see what keeps it: sluice gateway status`,
      });
    }
    await sleep(lookMs, undefined, {signal: opening.signal}).catch(() => undefined);
    // One that was killed does not say so; one that is started again claims its lease soon.
    looksUnheld = (await isRunning(opened.staging)) ? 0 : looksUnheld + 1;
    if (looksUnheld >= LOOKS_UNHELD) throw hasDied(spec.changeLog.gatewayId);
    lookMs = Math.min(LONGEST_LOOK_MS, lookMs * 2);
    state = await catchUp(opened.staging, state);
  }
}

async function isRunning({store, layout}: StagingArea): Promise<boolean> {
  return (await leaseHeldSince(store, layout.lease)) !== null;
}

function hasDied(gatewayId: string): IngestError {
  return new IngestError('SOURCE_ERROR', `Gateway "${gatewayId}" has ended and does not stage what is committed.`, {
    fix: 'Start it: sluice gateway run',
  });
}

/** Looks in a row at which nobody holds the gateway's lease. */
const LOOKS_UNHELD = 4;

/** In an update the log is wanted at once. */
const LIMITS = {sealMs: 100, advanceMs: 100, statusMs: 1000};
/** Between two looks at what a gateway of another process stages: a look lists objects, which stores bill. */
const FIRST_LOOK_MS = 200;
const LONGEST_LOOK_MS = 2000;

/** Runs the pipeline's own gateway until everything that was committed before is staged, and every table has its snapshot. */
async function stageUntilNow(spec: StagedPipeline, opening: Staging): Promise<void> {
  using stop = new LinkedAbort(opening.signal);
  const gateway = ownGateway(spec);
  const mayNow = (): boolean => maySnapshot(gateway, systemClock.nowMs());
  const until = untilStaged(undefined, mayNow);
  const onEvent = (event: GatewayEvent): void => {
    opening.onEvent(event);
    until.onEvent(event);
  };
  let failure: {readonly error: unknown} | null = null;
  let state: StagingState | null = null;
  const onState = (next: StagingState): void => {
    state = next;
    until.onState(next);
  };
  const running = runGatewayHere(gateway, {...opening, signal: stop.signal, onEvent, onState, limits: LIMITS})
    .catch((error: unknown) => {
      failure = {error};
    })
    .finally(until.end);
  try {
    await until.reaches(await positionNow(spec, opening));
  } finally {
    stop.controller.abort(new Error('The log is staged.'));
    await running;
  }
  opening.signal.throwIfAborted();
  const failed = failure as {readonly error: unknown} | null;
  if (failed !== null) throw failed.error;
  if (!mayNow()) tellWaiting(state, opening);
}

/** Tables that are to be read in the window. */
function tellWaiting(state: StagingState | null, {onEvent}: Staging): void {
  for (const {name, snapshot, reset} of state?.tables.values() ?? []) {
    if (snapshot !== null && reset === null) continue;
    const message = `${name} is read by a run within full_refresh_window; until then ${snapshot === null ? 'it has no rows' : 'its rows stay as they are'}.`;
    onEvent({type: 'finding', level: 'warning', table: name, message});
  }
}

async function positionNow(spec: StagedPipeline, {signal}: StagingPlace): Promise<LogTarget> {
  const {source} = await openChangeLog(ownGateway(spec), spec.changeLog);
  const ctx: CallContext = {signal, clock: systemClock, log: silentLog, files: noFiles};
  try {
    return await source.currentPosition(ctx);
  } finally {
    await source.close?.();
  }
}

/** A gateway's event as a line of a run. */
export function eventLevel({level}: GatewayEvent): 'INFO' | 'WARN' | 'ERROR' {
  return level === 'info' ? 'INFO' : level === 'warning' ? 'WARN' : 'ERROR';
}
