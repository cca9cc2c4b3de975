import {systemClock} from '../../core/clock.ts';
import type {GatewayEvent, GatewayLimits, GatewayOptions} from '../../gateway/options.ts';
import {runGateway} from '../../gateway/run-gateway.ts';
import type {RefreshWindow} from '../../pipeline/spec.ts';
import type {Finding} from '../../sdk/change-log.ts';
import type {CallContext} from '../../sdk/contract.ts';
import {parseQualifiedName} from '../../sdk/names.ts';
import {hasClaimedSource, type Staging} from '../../staging/staging.ts';
import {acquireLease} from '../../state/lease.ts';
import type {LakeOptions} from '../api.ts';
import type {GatewaySpec} from '../config/resolve-gateway.ts';
import {noFiles} from '../no-files.ts';
import {silentLog} from '../read-context.ts';
import {openChangeLog, openGatewayStaging, type SourceSettings, wantedTables} from './open-gateway.ts';

/** How a gateway is run. */
export interface GatewayRun extends Pick<LakeOptions, 'lake' | 'storeOptions' | 'signal'> {
  readonly onEvent: (event: GatewayEvent) => void;
  readonly onState?: GatewayOptions['onState'];
  readonly limits?: Partial<GatewayLimits>;
}

/**
 * Runs a gateway in this process until the signal: follows the source's log into the lake's staging area.
 * @throws CONCURRENT_RUN when it runs elsewhere; UNSUPPORTED for connectors without a change log; what keeps it from running at all
 */
export async function runGatewayHere(gateway: GatewaySpec, run: GatewayRun): Promise<void> {
  await using opened = await openGatewayStaging(run, gateway.gatewayId);
  const {source} = await openChangeLog(gateway, await settingsOf(gateway, opened.staging));
  const context: CallContext = {signal: run.signal, clock: systemClock, log: silentLog, files: noFiles};
  try {
    await runGateway({
      source,
      staging: opened.staging,
      tables: wantedTables(gateway, gateway.connection, context),
      context,
      random: Math.random,
      onEvent: run.onEvent,
      limits: {...gateway.settings, ...run.limits},
      ...(run.onState === undefined ? {} : {onState: run.onState}),
      maySnapshot: (nowMs) => maySnapshot(gateway, nowMs),
    });
  } finally {
    await source.close?.();
  }
}

/** True where a gateway may read snapshots now: one of its pipelines has an open window, or none has any. */
export function maySnapshot({pipelines}: Pick<GatewaySpec, 'pipelines'>, nowMs: number): boolean {
  const windows = pipelines.flatMap(({changeLog}) => changeLog?.fullRefreshWindow ?? []);
  return windows.length === 0 || windows.some((window) => isOpen(window, nowMs));
}

const WINDOW_HOURS = 5;
const HOUR_MS = 3_600_000;

/** True within five hours from a window's start. */
export function isOpen({startHour, daysOfWeek, timeZone}: RefreshWindow, nowMs: number): boolean {
  const format = new Intl.DateTimeFormat('en-US', {timeZone, weekday: 'short', hour: 'numeric', hourCycle: 'h23'});
  // A window that began yesterday may still be open: its day is that of its start.
  for (let back = 0; back < WINDOW_HOURS; back++) {
    const parts = format.formatToParts(nowMs - back * HOUR_MS);
    const hour = Number(parts.find(({type}) => type === 'hour')?.value);
    const day = WEEKDAYS.indexOf(parts.find(({type}) => type === 'weekday')?.value ?? '');
    if (hour === startHour) return daysOfWeek.length === 0 || daysOfWeek.includes(day);
  }
  return false;
}

const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

/** Whether the tables of a gateway can be followed; changes nothing at the source. */
export async function checkGateway(
  gateway: GatewaySpec,
  {signal, ...place}: Pick<GatewayRun, 'lake' | 'storeOptions' | 'signal'>,
): Promise<{readonly tables: readonly string[]; readonly findings: readonly Finding[]}> {
  await using opened = await openGatewayStaging(place, gateway.gatewayId);
  const {source} = await openChangeLog(gateway, await settingsOf(gateway, opened.staging));
  const context: CallContext = {signal, clock: systemClock, log: silentLog, files: noFiles};
  try {
    const tables = await wantedTables(gateway, gateway.connection, context)(signal);
    const findings = await source.preflight(tables, context);
    const left = new Set(findings.flatMap((found) => (isMeant(found, gateway) ? [] : [found.table])));
    return {
      tables: tables.filter((name) => !left.has(name)),
      findings: findings.filter(({table}) => table === undefined || !left.has(table)),
    };
  } finally {
    await source.close?.();
  }
}

/** False for what is no table and comes only because all tables of a schema are wanted: it is left out. */
function isMeant({table, isTable}: Finding, {pipelines}: GatewaySpec): boolean {
  if (isTable !== false || table === undefined) return true;
  const last = parseQualifiedName(table).at(-1);
  return pipelines.some(({objects}) => objects.some(({kind, sourceTable}) => kind === 'table' && sourceTable === last));
}

/**
 * Removes what a gateway made at the source (slot, publication) and its staging area. Tables in the lake stay.
 * @throws CONCURRENT_RUN while it runs
 */
export async function removeGateway(
  gateway: GatewaySpec,
  run: Pick<GatewayRun, 'lake' | 'storeOptions' | 'signal'>,
): Promise<void> {
  await using opened = await openGatewayStaging(run, gateway.gatewayId);
  const {store, layout} = opened.staging;
  {
    await using _ = await acquireLease(store, layout.lease, systemClock);
    const {source} = await openChangeLog(gateway, await settingsOf(gateway, opened.staging));
    const context: CallContext = {signal: run.signal, clock: systemClock, log: silentLog, files: noFiles};
    try {
      await source.release(context);
    } finally {
      await source.close?.();
    }
    // Without its manifest the rest means nothing; the lease is the last to go.
    for (const prefix of [layout.manifest, layout.checkpoints, layout.log, layout.snapshots, layout.pipelines])
      for await (const {name} of store.list(prefix)) await store.delete(name);
    for (const name of [layout.source, layout.status]) await store.delete(name);
  }
}

async function settingsOf(gateway: GatewaySpec, staging: Staging): Promise<SourceSettings> {
  const named = gateway.pipelines.find(
    ({changeLog}) => changeLog !== undefined && (changeLog.slotName !== null || changeLog.publicationName !== null),
  );
  const {slotName = null, publicationName = null} = named?.changeLog ?? {};
  return {slotName, publicationName, isNew: !(await hasClaimedSource(staging))};
}
