import {describe, expect, it} from 'vitest';

import type {LogReplay} from '../../../test/change-log-replay.ts';
import {replayUntilNow} from '../../../test/change-log-replay.ts';
import {testContext} from '../../../test/read-context.ts';
import {seededRandom} from '../../core/clock.ts';
import type {JsonValue, Random, SnapshotToken} from '../../sdk/index.ts';
import {canonicalCell} from '../../sdk/index.ts';
import {SqlServerChangeLog} from './change-log.ts';
import {sqlServerCodec} from './log-codec.ts';
import {connectionOptions} from './session.ts';
import type {ModelDatabase, ModelRow, ModelWrite} from './simulator-database.ts';
import {startSimulator} from './simulator.ts';

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
    const columns = [
      {name: 'a', type: 'int', nullable: false},
      {name: 'b', type: 'nvarchar', length: 40, nullable: false},
      {name: 'v', type: 'decimal', precision: 20, scale: 2},
    ];
    database.createTable('t', columns, isKeyed ? ['b', 'a'] : []);
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

function rowText({a, b, v}: ModelRow | Record<string, JsonValue | undefined>): string {
  return [a, b, v ?? null].map(String).join(' ');
}

async function writeOnce(database: ModelDatabase, random: Random): Promise<boolean> {
  const pick = (below: number): number => Math.floor(random() * below);
  const rows = [...database.table('t').rows.values()];
  const any = (): ModelRow | undefined => rows[pick(rows.length)];
  const fresh = (): ModelRow => ({a: pick(40), b: `k${pick(12)}`, v: random() < 0.2 ? null : `${pick(100)}.50`});
  const writes = Array.from({length: 1 + pick(3)}, (): ModelWrite | null => {
    const old = any();
    switch (old === undefined ? 0 : pick(5)) {
      case 0:
        return {table: 't', insert: fresh()};
      case 1:
        return old === undefined ? null : {table: 't', delete: old};
      case 2:
        return old === undefined ? null : {table: 't', update: fresh(), old};
      default:
        return old === undefined ? null : {table: 't', update: {...old, v: `${pick(1000)}.25`}, old};
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

function writeUntil(database: ModelDatabase, random: Random): {count: number; stop(): Promise<void>} {
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
      if (await writeOnce(database, random)) state.count++;
      await new Promise((resolve) => setTimeout(resolve, random() * 3));
    }
  })();
  return state;
}

interface Seen {
  readonly rows: readonly Record<string, string | null>[];
  readonly tokens: readonly SnapshotToken[];
}

async function readSnapshot(source: SqlServerChangeLog): Promise<Seen> {
  const ctx = testContext();
  await using snapshot = await source.planSnapshot('dbo.t', ctx);
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
function replayed(replay: LogReplay, {rows, tokens}: Seen, isKeyed: boolean): readonly string[] {
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
