import {join} from 'node:path';

import {expect} from 'vitest';

import {seededRandom, systemClock} from '../src/core/clock.ts';
import type {GatewayEvent, GatewayLimits} from '../src/gateway/options.ts';
import {runGateway} from '../src/gateway/run-gateway.ts';
import type {GatewaySpec} from '../src/runtime/config/resolve-gateway.ts';
import {openChangeLog, wantedTables} from '../src/runtime/gateway/open-gateway.ts';
import {hasReached, type LogTarget} from '../src/sdk/change-log.ts';
import type {CallContext} from '../src/sdk/contract.ts';
import {openStaging} from '../src/staging/staging.ts';
import type {StagingState} from '../src/staging/state.ts';
import {createLocalStore} from '../src/storage/local-store.ts';
import {createFaultStore, type FaultStore} from '../src/testkit/fault-store.ts';

/** A gateway of a lake on disk, in this process, with a store that may be told to fail; it tries again soon. */
export interface RunningGateway extends AsyncDisposable {
  readonly store: FaultStore;
  readonly events: readonly GatewayEvent[];
  readonly state: StagingState | null;
  /** How often an event came. */
  count(type: GatewayEvent['type']): number;
  /** Waits until an event has come so often. */
  told(type: GatewayEvent['type'], times?: number): Promise<void>;
  /** Waits until everything that has committed by now is staged, every table with its snapshot. */
  staged(): Promise<void>;
  /** Stops it and waits for its end. */
  stop(): Promise<void>;
}

const LIMITS: Partial<GatewayLimits> = {
  sealMs: 30,
  advanceMs: 50,
  tablesMs: 300,
  healthMs: 300,
  statusMs: 500,
  retryMs: 50,
  maxRetryMs: 200,
};
const LONGEST_MS = 40_000;

/** Starts a gateway; a lease of one that was stopped is free. */
export async function startGateway(
  gateway: GatewaySpec,
  lake: string,
  limits: Partial<GatewayLimits> = {},
): Promise<RunningGateway> {
  const stop = new AbortController();
  const store = createFaultStore(createLocalStore(join(lake, '_sluice', 'staging')));
  const {source} = await openChangeLog(gateway);
  const context = contextOf(stop.signal);
  const events: GatewayEvent[] = [];
  let state: StagingState | null = null;
  const running = runGateway({
    source,
    staging: openStaging(store, gateway.gatewayId),
    tables: wantedTables(gateway, gateway.connection, context),
    context,
    random: seededRandom(1),
    onEvent: (event) => events.push(event),
    onState: (next) => {
      state = next;
    },
    limits: {...LIMITS, ...limits},
  }).finally(() => void source.close?.());
  // Awaited by `stop`; a test that fails before does not end the process.
  running.catch(() => undefined);
  const count = (type: GatewayEvent['type']): number => events.filter((event) => event.type === type).length;
  return {
    store,
    events,
    get state() {
      return state;
    },
    count,
    told: (type, times = 1) =>
      expect.poll(() => count(type), {timeout: LONGEST_MS, message: type}).toBeGreaterThanOrEqual(times),
    async staged() {
      const position = await positionNow(gateway);
      const isStaged = (): boolean => {
        const end = state?.end ?? null;
        const tables = [...(state?.tables.values() ?? [])];
        if (end === null || tables.length === 0 || !hasReached(end, position)) return false;
        // A snapshot is taken up when the log is sealed behind all that it saw.
        return tables.every(
          ({snapshot, reset}) => snapshot !== null && reset === null && end.position >= snapshot.until,
        );
      };
      await expect
        .poll(isStaged, {
          timeout: LONGEST_MS,
          message: JSON.stringify(
            events.map(({message}) => message),
            null,
            1,
          ),
        })
        .toBe(true);
    },
    async stop() {
      stop.abort(new Error('the test stops the gateway'));
      await running;
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the test is over'));
      await running.catch(() => undefined);
    },
  };
}

async function positionNow(gateway: GatewaySpec): Promise<LogTarget> {
  const {source} = await openChangeLog(gateway);
  try {
    return await source.currentPosition(contextOf(new AbortController().signal));
  } finally {
    await source.close?.();
  }
}

function contextOf(signal: AbortSignal): CallContext {
  const quiet = (): void => undefined;
  const none = (): Promise<never> => Promise.reject(new Error('A gateway reads no files.'));
  return {
    signal,
    clock: systemClock,
    log: {debug: quiet, info: quiet, warn: quiet},
    files: {list: none, inferSchema: none},
  };
}
