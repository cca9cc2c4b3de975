import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {expect} from 'vitest';

import {seededRandom, systemClock} from '../core/clock.ts';
import type {CallContext} from '../sdk/contract.ts';
import {loadState, openStaging, type Staging} from '../staging/staging.ts';
import type {StagingState} from '../staging/state.ts';
import {createLocalStore} from '../storage/local-store.ts';
import {createFaultStore, type FaultStore} from '../testkit/fault-store.ts';
import {ScriptedDatabase} from '../testkit/scripted-log.ts';
import {readRows, scriptedCodec, ScriptedSource, type ScriptedSourceOptions} from '../testkit/scripted-source.ts';
import {replayTable} from '../testkit/staged-replay.ts';
import type {GatewayEvent, GatewayLimits, GatewayOptions} from './options.ts';
import {runGateway} from './run-gateway.ts';

/** Everything happens at once. */
export const QUICK: Partial<GatewayLimits> = {
  sealMs: 5,
  advanceMs: 5,
  tablesMs: 30,
  healthMs: 20,
  statusMs: 50,
  heartbeatMs: 60_000,
  retryMs: 5,
  maxRetryMs: 20,
};

/** A gateway on a scripted database. */
export interface TestGateway extends AsyncDisposable {
  readonly database: ScriptedDatabase;
  readonly source: ScriptedSource;
  readonly staging: Staging;
  readonly store: FaultStore;
  readonly events: readonly GatewayEvent[];
  /** Starts it; the promise of how it ends. */
  start(options?: Partial<GatewayOptions>): Promise<void>;
  /** Stops it and waits for its end. */
  stop(): Promise<void>;
  state(): Promise<StagingState>;
  /** Waits until all that is in the log is sealed. */
  sealsAll(): Promise<void>;
  /** Waits until the table's replay equals its rows in the database. */
  settles(...tables: readonly string[]): Promise<void>;
}

export async function makeGateway(
  options: ScriptedSourceOptions & {readonly database?: ScriptedDatabase} = {},
): Promise<TestGateway> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-gateway-'));
  const database = options.database ?? new ScriptedDatabase();
  const store = createFaultStore(createLocalStore(folder));
  return new Fixture(folder, {database, source: new ScriptedSource(database, options), store});
}

class Fixture implements TestGateway {
  readonly database: ScriptedDatabase;
  readonly source: ScriptedSource;
  readonly store: FaultStore;
  readonly staging: Staging;
  readonly events: GatewayEvent[] = [];
  readonly #folder: string;
  #stop: AbortController = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(
    folder: string,
    parts: {readonly database: ScriptedDatabase; readonly source: ScriptedSource; readonly store: FaultStore},
  ) {
    this.#folder = folder;
    this.database = parts.database;
    this.source = parts.source;
    this.store = parts.store;
    this.staging = openStaging(parts.store, 'gw');
  }

  start(options: Partial<GatewayOptions> = {}): Promise<void> {
    this.#stop = new AbortController();
    const running = runGateway({
      source: this.source,
      staging: this.staging,
      tables: () => Promise.resolve(this.database.tables),
      context: contextOf(this.#stop.signal),
      random: seededRandom(1),
      onEvent: (event) => this.events.push(event),
      ...options,
      limits: {...QUICK, ...options.limits},
    });
    this.#running = running;
    // Tests that expect a failure await it themselves.
    running.catch(() => undefined);
    return running;
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error('the test stops the gateway'));
    await this.#running;
  }

  state(): Promise<StagingState> {
    return loadState(this.staging);
  }

  async sealsAll(): Promise<void> {
    const sealed = async (): Promise<bigint> => (await this.state()).end?.position ?? 0n;
    await expect.poll(sealed, {timeout: 8000, interval: 10}).toBe(this.database.position);
  }

  async settles(...tables: readonly string[]): Promise<void> {
    for (const table of tables) {
      const wanted = sortedRows(this.database.rows(table).values());
      await expect
        .poll(async () => sortedOrNull(await this.#replay(table)), {timeout: 8000, interval: 10})
        .toEqual(wanted);
    }
  }

  async #replay(table: string): Promise<Iterable<unknown> | null> {
    const replayed = await replayTable(this.staging, table, {codec: scriptedCodec, rowsOf: readRows});
    return replayed?.rows.values() ?? null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the test is over'));
    await this.#running.catch(() => undefined);
    await rm(this.#folder, {recursive: true, force: true});
  }
}

function sortedOrNull(rows: Iterable<unknown> | null): readonly unknown[] | null {
  return rows === null ? null : sortedRows(rows);
}

function sortedRows(rows: Iterable<unknown>): readonly unknown[] {
  return [...rows].map((row) => JSON.stringify(row)).toSorted();
}

export function contextOf(signal: AbortSignal): CallContext {
  const quiet = (): void => undefined;
  const none = (): Promise<never> => Promise.reject(new Error('A gateway reads no files.'));
  return {
    signal,
    clock: systemClock,
    log: {debug: quiet, info: quiet, warn: quiet},
    files: {list: none, inferSchema: none},
  };
}
