import type {LogHealth} from '../sdk/change-log.ts';
import type {StagedTable} from '../staging/state.ts';
import type {GatewayCore} from './gateway-core.ts';

/** How a table stands in a gateway. */
export interface TableStatus {
  readonly name: string;
  readonly phase: 'waiting' | 'snapshot' | 'streaming' | 'blocked' | 'failed';
  /** Of its snapshot; null where that is not known. */
  readonly percent: number | null;
  readonly rows: number;
  readonly estimatedRows: number | null;
  readonly etaSeconds: number | null;
  /** Why it waits, is blocked or failed. */
  readonly message: string | null;
  /** It is no table, such as a view. Default true. */
  readonly isTable?: false;
}

/** How a gateway stands, for `sluice gateway status`. */
export interface GatewayStatus {
  readonly gateway: string;
  readonly connection: string;
  readonly message: string | null;
  readonly updatedAt: string;
  readonly pid: number;
  readonly epoch: number;
  /** Of the last entry. */
  readonly entry: number;
  /** Decimal text; null before the log was opened. */
  readonly position: string | null;
  readonly lag: {
    /** Log that the source keeps for this gateway. */
    readonly bytes: number | null;
    /** Since the commit of the last sealed change while newer ones wait; 0 when none do. */
    readonly seconds: number;
    readonly unsealedBytes: number;
  };
  readonly health: LogHealth | null;
  readonly tables: readonly TableStatus[];
}

/** Writes the status down until the gateway ends, and once more then. */
export async function runStatusTask(core: GatewayCore): Promise<void> {
  const {clock, limits, signal} = core;
  while (!signal.aborted) {
    await writeStatus(core);
    await clock.sleep(limits.statusMs, signal).catch(() => undefined);
  }
}

/** Writes the status down. Never fails: nothing rests on it. */
export async function writeStatus(core: GatewayCore): Promise<void> {
  const {store, layout} = core.manifest.staging;
  const bytes = new TextEncoder().encode(`${JSON.stringify(statusOf(core))}\n`);
  await store.put(layout.status, bytes).catch(() => undefined);
}

/** How the gateway stands now. */
export function statusOf(core: GatewayCore): GatewayStatus {
  const {manifest, facts, clock} = core;
  const {state} = manifest;
  const sealedAt = state.lastLog?.committedAt ?? null;
  const isBehind = facts.unsealedBytes > 0 || facts.connection !== 'streaming';
  const seconds = sealedAt === null || !isBehind ? 0 : Math.max(0, (clock.nowMs() - Number(sealedAt / 1000n)) / 1000);
  return {
    gateway: manifest.staging.gateway,
    connection: facts.connection,
    message: facts.message,
    updatedAt: new Date(clock.nowMs()).toISOString(),
    pid: process.pid,
    epoch: state.epoch,
    entry: state.n,
    position: state.end?.position.toString() ?? null,
    lag: {bytes: facts.health?.retainedBytes ?? null, seconds, unsealedBytes: facts.unsealedBytes},
    health: facts.health,
    tables: [
      ...[...state.tables.values()].map((table) => tableStatus(core, table)),
      ...[...facts.blocked]
        .filter(([name]) => !state.tables.has(name))
        .map(([name, message]): TableStatus => ({
          ...EMPTY,
          name,
          phase: 'blocked',
          message,
          ...(facts.noTables.has(name) ? {isTable: false} : {}),
        })),
    ],
  };
}

const EMPTY = {percent: null, rows: 0, estimatedRows: null, etaSeconds: null};

function tableStatus({facts, clock}: GatewayCore, {name, snapshot, reset}: StagedTable): TableStatus {
  const blocked = facts.blocked.get(name);
  if (blocked !== undefined) return {...EMPTY, name, phase: 'blocked', message: blocked};
  const running = facts.snapshots.get(name);
  if (running !== undefined) {
    const {rows, rowsBefore, estimatedRows, chunks, chunksDone, startedAtMs} = running;
    const share = chunks === 0 ? 0 : chunksDone / chunks;
    const perSecond = (rows - rowsBefore) / Math.max(0.001, (clock.nowMs() - startedAtMs) / 1000);
    const left = estimatedRows === null ? null : Math.max(0, estimatedRows - rows);
    const etaSeconds = left === null || perSecond === 0 ? null : Math.round(left / perSecond);
    const percent = Math.round(share * 1000) / 10;
    return {name, phase: 'snapshot', percent, rows, estimatedRows, etaSeconds, message: reset?.message ?? null};
  }
  if (snapshot !== null && reset === null) {
    return {...EMPTY, name, phase: 'streaming', percent: 100, rows: snapshot.rows, message: null};
  }
  const failure = facts.failures.get(name);
  if (failure !== undefined) return {...EMPTY, name, phase: 'failed', message: failure};
  return {...EMPTY, name, phase: 'waiting', message: reset?.message ?? null};
}

/** The status that a gateway wrote last; null when there is none or it cannot be read. */
export async function readStatus(staging: GatewayCore['manifest']['staging']): Promise<GatewayStatus | null> {
  const bytes = await staging.store.get(staging.layout.status);
  if (bytes === null) return null;
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as GatewayStatus;
  } catch {
    // One that was torn says nothing.
    return null;
  }
}
