import {describe, expect, it} from 'vitest';

import {LogReplay, replayUntilNow} from '../../../test/change-log-replay.ts';
import {testContext} from '../../../test/read-context.ts';
import {seededRandom} from '../../core/clock.ts';
import type {JsonValue, Random, SnapshotToken} from '../../sdk/index.ts';
import {canonicalCell} from '../../sdk/index.ts';
import {SqlServerChangeLog} from './change-log.ts';
import {sqlServerCodec} from './log-codec.ts';
import {connectionOptions} from './session.ts';
import type {ModelDatabase, ModelRow, ModelWrite} from './simulator-database.ts';
import {startSimulator} from './simulator.ts';

const COLUMNS = [
  {name: 'a', type: 'int', nullable: false},
  {name: 'b', type: 'nvarchar', length: 40, nullable: false},
  {name: 'v', type: 'decimal', precision: 20, scale: 2},
];

const VARIANTS = [
  {method: 'change_tracking', isKeyed: true, chunkRows: 1000},
  {method: 'change_tracking', isKeyed: true, chunkRows: 20},
  {method: 'cdc', isKeyed: true, chunkRows: 20},
  {method: 'cdc', isKeyed: false, chunkRows: 1000},
] as const;

describe.each(VARIANTS)('random writers by $method, keyed: $isKeyed, chunks of $chunkRows', (variant) => {
  it.each([1, 2, 3])('seed %i: a snapshot and the changes make the rows of the source', async (seed) => {
    await using simulator = await startSimulator();
    const {database} = simulator;
    const {method, isKeyed, chunkRows} = variant;
    database.createTable('t', COLUMNS, isKeyed ? ['b', 'a'] : []);
    if (method === 'cdc') database.enableCapture('t', 'dbo_t');
    const random = seededRandom(seed);
    for (let count = 0; count < 60; count++) await writeOnce(database, random);
    const options = connectionOptions({...simulator.options, change_method: method}, 'test');
    const source = new SqlServerChangeLog(options, {gatewayId: 'writers', chunkRows, maxChanges: 40});
    const from = await source.prepare(['dbo.t'], testContext());
    const writing = writeUntil(database, random);
    const seen = await readSnapshot(source);
    await writing.stop();
    database.isCapturing = true;
    database.capture();
    const {replay} = await replayUntilNow(source, sqlServerCodec, {from, tables: ['dbo.t']});
    await source.close();
    expect(simulator.unknown).toEqual([]);
    expect(replay.resets).toEqual([]);
    expect(writing.count).toBeGreaterThan(20);
    const rows = [...database.table('t').rows.values()].map(rowText).toSorted();
    expect(replayed(replay, seen, isKeyed)).toEqual(rows);
  });
});

/** A key and change tracking; no key and a capture instance. */
const BOTH = ['t', 'l'];

describe('random writers on tables of both kinds, in one log', () => {
  it.each([1, 2, 3, 4])(
    'seed %i: first readings and the changes make the rows of the source, over restarts',
    async (seed) => {
      await using simulator = await startSimulator();
      const {database} = simulator;
      database.createTable('t', COLUMNS, ['b', 'a']);
      database.createTable('l', COLUMNS);
      database.enableCapture('l', 'dbo_l');
      const random = seededRandom(seed);
      for (let count = 0; count < 60; count++) await writeOnce(database, random, BOTH);
      const options = connectionOptions(simulator.options, 'test');
      const names = BOTH.map((name) => `dbo.${name}`);
      const open = (): SqlServerChangeLog =>
        new SqlServerChangeLog(options, {gatewayId: 'writers', chunkRows: 20, maxChanges: 30, batchBytes: 500});
      const first = open();
      let point = await first.prepare(names, testContext());
      const writing = writeUntil(database, random, BOTH);
      const seen = new Map<string, Seen>();
      for (const name of BOTH) seen.set(name, await readSnapshot(first, `dbo.${name}`));
      await first.close();
      const replay = new LogReplay(sqlServerCodec);
      // Each reader is another process: it goes on behind the last commit that the one before gave.
      for (let restart = 0; restart < 6; restart++) {
        const source = open();
        const reader = await source.openLog(point, names, testContext());
        const iterator = reader.batches()[Symbol.asyncIterator]();
        let isOpen = true;
        for (let batches = 1 + Math.floor(random() * 5); batches > 0 || isOpen; batches--) {
          const {value} = await iterator.next();
          if (value === undefined) throw new Error('the log has ended');
          isOpen = value.open !== null;
          replay.add(value);
          if (value.end !== null) point = value.end;
          await writeOnce(database, random, BOTH);
        }
        await reader[Symbol.asyncDispose]();
        await source.close();
      }
      await writing.stop();
      database.isCapturing = true;
      database.capture();
      const last = open();
      await replayUntilNow(last, sqlServerCodec, {from: point, tables: names, replay});
      await last.close();
      expect(simulator.unknown).toEqual([]);
      expect(replay.resets).toEqual([]);
      const positions = replay.changes.map(({position}) => position);
      expect(positions).toEqual(positions.toSorted((left, right) => (left < right ? -1 : left > right ? 1 : 0)));
      for (const name of BOTH) {
        const rows = [...database.table(name).rows.values()].map(rowText).toSorted();
        const own = {changes: replay.changes.filter(({table}) => table.name === name)};
        const {rows: read, tokens} = seen.get(name) ?? {rows: [], tokens: []};
        expect(replayed(own, {rows: read, tokens}, name === 't')).toEqual(rows);
      }
    },
  );
});

function rowText({a, b, v}: ModelRow | Record<string, JsonValue | undefined>): string {
  return [a, b, v ?? null].map(String).join(' ');
}

async function writeOnce(database: ModelDatabase, random: Random, tables: readonly string[] = ['t']): Promise<boolean> {
  const pick = (below: number): number => Math.floor(random() * below);
  const fresh = (): ModelRow => ({a: pick(40), b: `k${pick(12)}`, v: random() < 0.2 ? null : `${pick(100)}.50`});
  const writes = Array.from({length: 1 + pick(3)}, (): ModelWrite | null => {
    const table = tables[pick(tables.length)] ?? '';
    const rows = [...database.table(table).rows.values()];
    const old = rows[pick(rows.length)];
    switch (old === undefined ? 0 : pick(5)) {
      case 0:
        return {table, insert: fresh()};
      case 1:
        return old === undefined ? null : {table, delete: old};
      case 2:
        return old === undefined ? null : {table, update: fresh(), old};
      default:
        return old === undefined ? null : {table, update: {...old, v: `${pick(1000)}.25`}, old};
    }
  });
  try {
    await database.write(...writes.filter((write) => write !== null));
    return true;
  } catch {
    // Keys that are there twice, and rows that another statement took: the transaction is rolled back.
    return false;
  }
}

function writeUntil(
  database: ModelDatabase,
  random: Random,
  tables?: readonly string[],
): {count: number; stop(): Promise<void>} {
  let isStopped = false;
  const state = {
    count: 0,
    async stop(): Promise<void> {
      isStopped = true;
      await writing;
    },
  };
  const writing = (async (): Promise<void> => {
    while (!isStopped || state.count < 25) {
      database.isCapturing = random() < 0.5;
      if (await writeOnce(database, random, tables)) state.count++;
      await new Promise((resolve) => setTimeout(resolve, random() * 3));
    }
  })();
  return state;
}

interface Seen {
  readonly rows: readonly Record<string, string | null>[];
  readonly tokens: readonly SnapshotToken[];
}

async function readSnapshot(source: SqlServerChangeLog, name = 'dbo.t'): Promise<Seen> {
  const ctx = testContext();
  await using snapshot = await source.planSnapshot(name, ctx);
  const rows: Record<string, string | null>[] = [];
  const tokens: SnapshotToken[] = [];
  for (const chunk of snapshot.chunks) {
    const parts: Uint8Array[] = [];
    const reading = snapshot.readChunk(chunk, ctx);
    let next = await reading.next();
    for (; next.done !== true; next = await reading.next()) parts.push(Uint8Array.from(next.value));
    tokens.push(next.value.view?.token ?? null);
    for await (const {batch} of sqlServerCodec.decodeChunk(snapshot.table, whole(parts))) {
      for (let row = 0; row < batch.rowCount; row++) {
        const cells = batch.schema.fields.map(({name, type}, index): [string, string | null] => {
          const column = batch.columns[index];
          return [name, column === undefined ? null : canonicalCell(column, row, type)];
        });
        rows.push(Object.fromEntries(cells));
      }
    }
  }
  return {rows, tokens};
}

async function* whole(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  yield* parts;
}

/** Applies what no view saw. Without a key every change must find its row, and no row may come twice by itself. */
function replayed(replay: Pick<LogReplay, 'changes'>, {rows, tokens}: Seen, isKeyed: boolean): readonly string[] {
  const keyOf = (row: Readonly<Record<string, JsonValue | undefined>>): string =>
    isKeyed ? `${String(row['a'])} ${String(row['b']).toLowerCase()}` : rowText(row);
  const table = new Map<string, string[]>();
  const add = (key: string, text: string): void =>
    void table.set(key, isKeyed ? [text] : [...(table.get(key) ?? []), text]);
  const remove = (key: string): void => {
    const known = table.get(key) ?? [];
    if (!isKeyed && known.length === 0) throw new Error(`no row ${key}`);
    if (known.length <= 1) table.delete(key);
    else table.set(key, known.slice(1));
  };
  for (const row of rows) add(keyOf(row), rowText(row));
  for (const {change, transaction} of replay.changes) {
    if (tokens.every((token) => sqlServerCodec.isVisible(transaction, token))) continue;
    const {op, row = {}, oldKey} = change;
    if (oldKey !== undefined) remove(keyOf(oldKey));
    if (op === 'delete') remove(keyOf(row));
    else add(keyOf(row), rowText(row));
  }
  return [...table.values()].flat().toSorted();
}
