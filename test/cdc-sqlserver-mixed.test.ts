import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';

import {afterEach, describe, expect, it} from 'vitest';

import {SqlServerChangeLog} from '../src/connectors/sqlserver/change-log.ts';
import {sqlServerCodec} from '../src/connectors/sqlserver/log-codec.ts';
import {connectionOptions} from '../src/connectors/sqlserver/session.ts';
import type {ModelDatabase, ModelRow, ModelWrite} from '../src/connectors/sqlserver/simulator-database.ts';
import type {SqlServerSimulator} from '../src/connectors/sqlserver/simulator.ts';
import {startSimulator} from '../src/connectors/sqlserver/simulator.ts';
import {seededRandom, type Random} from '../src/core/clock.ts';
import {IngestError} from '../src/core/errors.ts';
import {installFailpoints} from '../src/core/failpoint.ts';
import type {GatewayEvent, GatewayLimits} from '../src/gateway/options.ts';
import {runGateway} from '../src/gateway/run-gateway.ts';
import {canonicalCell, type Change, type JsonValue} from '../src/sdk/index.ts';
import {markBehindSnapshot, openLogView} from '../src/staging/read-log.ts';
import {readChunk, readSnapshot} from '../src/staging/snapshot-files.ts';
import {loadState, openStaging, type Staging} from '../src/staging/staging.ts';
import {createLocalStore} from '../src/storage/local-store.ts';
import {createFaultStore, type FaultStore} from '../src/testkit/fault-store.ts';
import {GATEWAY_FAILPOINTS} from '../src/testkit/gateway-steps.ts';
import {testContext} from './read-context.ts';

afterEach(() => installFailpoints(null));

const QUICK: Partial<GatewayLimits> = {
  sealMs: 5,
  advanceMs: 5,
  tablesMs: 30,
  healthMs: 20,
  statusMs: 50,
  retryMs: 5,
  maxRetryMs: 20,
};
/** A key and change tracking; a key, and at first only a capture instance; no key. */
const TABLES = ['tracked', 'either', 'bare'] as const;
type Table = (typeof TABLES)[number];

/** Several lives of a gateway, each a process of its own as far as it can tell. */
describe('a gateway on a scripted SQL Server whose tables tell their changes in two ways', () => {
  it.each([1, 2, 3, 4, 5, 6])(
    'loses and repeats nothing, however often it dies, seed %d',
    {timeout: 120_000},
    async (seed) => {
      const random = seededRandom(seed);
      const upTo = (limit: number): number => Math.floor(random() * limit);
      await using simulator = await startSimulator();
      const {database} = simulator;
      makeTables(database);
      for (let count = 0; count < 60; count++) await write(database, random);
      const folder = await mkdtemp(join(tmpdir(), 'sluice-mixed-'));
      const store = createFaultStore(createLocalStore(folder));
      const staging = openStaging(store, 'gw');
      const events: GatewayEvent[] = [];
      const limits: Partial<GatewayLimits> = {
        ...QUICK,
        sealBytes: 100 + upTo(3000),
        cutBytes: 200 + upTo(2000),
        parallelTables: 1 + upTo(3),
        parallelChunks: 1 + upTo(4),
      };
      const begin = (method: string): Life => live(simulator, method, {staging, limits, random, events});
      for (let death = 0; death < 4; death++) {
        const step = dieAtRandom(store, staging, random);
        // A gateway that knows one method only keeps its place for one that knows both.
        const life = begin(random() < 0.3 ? 'change_tracking' : 'auto');
        for (let count = 0; count < 60 && !step.isDead; count++) {
          await trouble(simulator, random);
          await sleep(1 + upTo(6));
        }
        await life.end();
        await step.bury();
      }
      const life = begin('auto');
      database.isCapturing = true;
      database.capture();
      for (let count = 0; count < 10; count++) await write(database, random);
      for (const table of TABLES) {
        const rows = [...database.table(table).rows.values()].map(textOf).toSorted();
        await expect
          .poll(() => replay(staging, table), {timeout: 60_000, interval: 20, message: `${table}, ${told(events)}`})
          .toEqual(rows);
      }
      await life.end();
      await rm(folder, {recursive: true, force: true});
      expect(simulator.unknown).toEqual([]);
      expect(events.filter(({type, message}) => type === 'epoch_began' && message !== '')).toEqual([]);
    },
  );
});

function told(events: readonly GatewayEvent[]): string {
  return events
    .map(({type, message}) => `${type}: ${message}`)
    .slice(-12)
    .join('; ');
}

function makeTables(database: ModelDatabase): void {
  const columns = [
    {name: 'id', type: 'int', nullable: false},
    {name: 'v', type: 'nvarchar', length: 40},
  ];
  database.createTable('tracked', columns, ['id']);
  database.createTable('either', columns, ['id']).tracking = null;
  database.createTable('bare', columns);
  database.enableCapture('either', 'dbo_either');
  database.enableCapture('bare', 'dbo_bare');
}

async function write(database: ModelDatabase, random: Random): Promise<void> {
  const pick = <T>(values: readonly T[]): T | undefined => values[Math.floor(random() * values.length)];
  const writes = Array.from({length: 1 + Math.floor(random() * 4)}, (): ModelWrite => {
    const table = pick(TABLES) ?? 'bare';
    const old = pick([...database.table(table).rows.values()]);
    const id = random() < 0.8 && old !== undefined ? Number(old['id']) : Math.floor(random() * 80);
    const row = {id, v: `v${Math.floor(random() * 5)}`};
    if (old === undefined || random() < 0.4) return {table, insert: {...row, id: Math.floor(random() * 80)}};
    return random() < 0.3 ? {table, delete: old} : {table, update: row, old};
  });
  // Keys that are there twice, and rows that another statement took: the transaction is rolled back.
  await database.write(...writes).catch(() => undefined);
}

/** Something that may happen at any time, mostly a write. */
async function trouble(simulator: SqlServerSimulator, random: Random): Promise<void> {
  const {database} = simulator;
  const isUnlucky = (share: number): boolean => random() < share;
  if (isUnlucky(0.8)) await write(database, random);
  if (isUnlucky(0.2)) database.isCapturing = isUnlucky(0.6);
  if (database.isCapturing) database.capture();
  if (isUnlucky(0.02)) simulator.cut();
  if (isUnlucky(0.03)) {
    const either = database.table('either');
    either.tracking = either.tracking === null ? {minValid: database.version ?? 0n, changes: []} : null;
  }
  if (isUnlucky(0.01)) database.truncate('tracked');
  if (isUnlucky(0.01)) {
    database.dropCapture('dbo_bare');
    database.enableCapture('bare', 'dbo_bare');
  }
}

interface Life {
  end(): Promise<void>;
}

function live(
  {options}: SqlServerSimulator,
  method: string,
  how: {
    readonly staging: Staging;
    readonly limits: Partial<GatewayLimits>;
    readonly random: Random;
    readonly events: GatewayEvent[];
  },
): Life {
  const {staging, limits, random, events} = how;
  const stop = new AbortController();
  const settings = {gatewayId: 'gw', chunkRows: 8, maxChanges: 20, batchBytes: 400};
  const source = new SqlServerChangeLog(connectionOptions({...options, change_method: method}, 'test'), settings);
  const running = runGateway({
    source,
    staging,
    tables: () => Promise.resolve(TABLES.map((table) => `dbo.${table}`)),
    context: {...testContext(), signal: stop.signal},
    random,
    onEvent: (event) => events.push(event),
    limits,
  }).catch(() => undefined);
  return {
    async end() {
      stop.abort(new Error('the life is over'));
      await running;
      await source.close();
    },
  };
}

/** From some pass of some step on nothing that the process does reaches the store. */
function dieAtRandom(
  store: FaultStore,
  staging: Staging,
  random: Random,
): {readonly isDead: boolean; bury(): Promise<void>} {
  const step = GATEWAY_FAILPOINTS[Math.floor(random() * GATEWAY_FAILPOINTS.length)];
  let passes = 1 + Math.floor(random() * 8);
  let isDead = false;
  installFailpoints((name) => {
    if (!isDead && (name !== step || --passes > 0)) return;
    if (!isDead) store.inject({fault: {kind: 'fail', systemCode: 'EIO'}, times: Number.MAX_SAFE_INTEGER});
    isDead = true;
    throw new IngestError('CANCELLED', `died at ${step}`, {class: 'bug'});
  });
  return {
    get isDead(): boolean {
      return isDead;
    },
    async bury(): Promise<void> {
      installFailpoints(null);
      store.heal();
      for await (const {name} of store.list(`${staging.layout.lease}/`)) await store.delete(name);
    },
  };
}

function textOf({id, v}: ModelRow | Readonly<Record<string, JsonValue | undefined>>): string {
  return `${String(id)} ${String(v ?? null)}`;
}

/** A row with the place in the log that it is from. */
interface Landed {
  readonly text: string;
  readonly position: bigint;
}

/**
 * The rows that staging leads to, as a pipeline lands them: what all views saw is left out, what is older than a row does not replace it.
 * Null while the table is to be read anew. Without a key every change must find its row.
 */
async function replay(staging: Staging, table: Table): Promise<readonly string[] | null> {
  const state = await loadState(staging);
  const staged = state.tables.get(`dbo.${table}`);
  if (staged === undefined || staged.snapshot === null || staged.reset !== null) return null;
  const {snapshot} = staged;
  if (state.end === null || state.end.position < snapshot.until)
    throw new Error('a snapshot is staged before the log behind it');
  const {chunks, plan} = await readSnapshot(staging, snapshot);
  const keyOf = (row: Readonly<Record<string, JsonValue | undefined>>): string =>
    table === 'bare' ? textOf(row) : String(row['id']);
  const rows = new Map<string, Landed[]>();
  for (const chunk of chunks) {
    for await (const {batch} of sqlServerCodec.decodeChunk(plan.table, readChunk(staging, chunk))) {
      for (let index = 0; index < batch.rowCount; index++) {
        const [id = null, v = null] = batch.columns.map((column, place) =>
          canonicalCell(column, index, batch.schema.fields[place]?.type ?? 'string'),
        );
        const known = rows.get(keyOf({id, v})) ?? [];
        if (known.length > 0 && table !== 'bare') throw new Error(`row ${id} is in two chunks`);
        rows.set(keyOf({id, v}), [...known, {text: textOf({id, v}), position: chunk.view?.position ?? 0n}]);
      }
    }
  }
  const tokens = chunks.map(({view}) => view?.token ?? null);
  const mark = markBehindSnapshot(snapshot);
  const view = await openLogView(staging, {state, from: mark.entry});
  const decoder = sqlServerCodec.createDecoder(staged.table);
  let last = {position: -1n, ordinal: -1};
  for await (const {runs} of view.readTable(staged.table.id, mark, new AbortController().signal)) {
    for (const {position, transaction, bytes, frames} of runs) {
      const isSeen = tokens.every((token) => sqlServerCodec.isVisible(transaction, token));
      if (isSeen && position > snapshot.until) throw new Error(`${transaction} was seen, and is behind all views`);
      for (const frame of frames) {
        const isLater = position > last.position || (position === last.position && frame.ordinal > last.ordinal);
        if (!isLater) throw new Error(`${transaction}.${frame.ordinal} comes twice or out of order`);
        last = {position, ordinal: frame.ordinal};
        if (frame.kind === 'schema') decoder.describe(frame.table);
        if (frame.kind !== 'change' || isSeen) continue;
        const changes: Change[] = [];
        decoder.decode(bytes.subarray(frame.start, frame.end), changes);
        for (const change of changes) apply(rows, change, {keyOf, position, isCounted: table === 'bare'});
      }
    }
  }
  return [...rows.values()].flatMap((landed) => landed.map(({text}) => text)).toSorted();
}

function apply(
  rows: Map<string, Landed[]>,
  {op, row = {}, oldKey}: Change,
  at: {
    readonly keyOf: (row: Readonly<Record<string, JsonValue | undefined>>) => string;
    readonly position: bigint;
    readonly isCounted: boolean;
  },
): void {
  const {keyOf, position, isCounted} = at;
  const remove = (key: string): void => {
    const [first, ...others] = rows.get(key) ?? [];
    if (isCounted && first === undefined) throw new Error(`there is no row ${key}`);
    if (first !== undefined && first.position > position) return;
    if (others.length > 0) rows.set(key, others);
    else rows.delete(key);
  };
  if (oldKey !== undefined) remove(keyOf(oldKey));
  const key = keyOf(row);
  if (op === 'delete') return remove(key);
  const known = rows.get(key) ?? [];
  const landed = {text: textOf(row), position};
  if (isCounted) rows.set(key, [...known, landed]);
  else if (known.every((each) => each.position <= position)) rows.set(key, [landed]);
}
