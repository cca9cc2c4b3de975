import {describe, expect, inject, it} from 'vitest';

import {replayUntilNow} from '../../../test/change-log-replay.ts';
import type {MysqlDatabase} from '../../../test/mysql-database.ts';
import {createMysqlDatabase} from '../../../test/mysql-database.ts';
import {mysqlKinds, needMysql} from '../../../test/mysql.ts';
import {testContext} from '../../../test/read-context.ts';
import {seededRandom} from '../../core/clock.ts';
import type {JsonValue, Random, SnapshotToken} from '../../sdk/index.ts';
import {canonicalCell} from '../../sdk/index.ts';
import {MysqlChangeLog} from './change-log.ts';
import {binlogCodec} from './log-codec.ts';
import {connectionOptions} from './session.ts';

const WRITERS = 3;
const ROWS = 600;

/** Rows by key, each as one text. */
type Table = Map<string, string>;

/** What a snapshot gave. */
interface Seen {
  readonly rows: Table;
  readonly views: readonly {readonly token: SnapshotToken; readonly position: bigint}[];
}

for (const kind of mysqlKinds()) {
  describe(`${kind} under random writers`, () => {
    it('joins a snapshot in one view and the log without a row twice, early or late', async (context) => {
      needMysql(context, kind);
      const {seen, writes, read, database, source} = await underWriters(kind, 100_000);
      expect(seen.views).toHaveLength(1);
      const anomalies: string[] = [];
      const rows = await replayed(read, seen, (problem) => anomalies.push(problem));
      expect(anomalies).toEqual([]);
      expect(rows).toEqual(await sourceRows(database));
      expect(writes.count).toBeGreaterThan(200);
      await source.close();
      await database[Symbol.asyncDispose]();
    });

    it('joins chunks with views of their own and the log to the rows of the source', async (context) => {
      needMysql(context, kind);
      const {seen, read, database, source} = await underWriters(kind, 50);
      expect(seen.views.length).toBeGreaterThan(5);
      expect(await replayed(read, seen, () => undefined)).toEqual(await sourceRows(database));
      await source.close();
      await database[Symbol.asyncDispose]();
    });
  });
}

type Replay = Awaited<ReturnType<typeof replayUntilNow>>['replay'];

/** Reads a snapshot while writers write, then the log behind the point where all began. */
async function underWriters(kind: 'mariadb' | 'mysql', chunkRows: number) {
  const url = inject('mysqlUrls')[kind] ?? '';
  const database = await createMysqlDatabase(url, 'log_writers');
  const settings = {gatewayId: `writers_${kind}`, chunkRows};
  const source = new MysqlChangeLog(connectionOptions(database.options, 'test'), settings);
  await database.run(
    `create table t (a int, b varchar(20) collate utf8mb4_bin, v int, pad varchar(80), primary key (a, b))`,
  );
  const values = Array.from({length: ROWS}, (_, index) => `(${index % 97}, 'k${index}', 0, repeat('p', 60))`);
  await database.run(`insert into t values ${values.join(', ')}; analyze table t`);
  const from = await source.prepare(['log_writers.t'], testContext());
  const writes = {count: 0, isStopped: false};
  const writers = Array.from({length: WRITERS}, (_, index) => write(database, seededRandom(index + 1), writes));
  await until(() => writes.count > 50);
  const seen = await readSnapshot(source);
  const enough = writes.count + 150;
  await until(() => writes.count > enough);
  writes.isStopped = true;
  await Promise.all(writers);
  const {replay} = await replayUntilNow(source, binlogCodec, {from, tables: ['log_writers.t']});
  return {seen, writes, read: replay, database, source};
}

async function write(
  database: MysqlDatabase,
  random: Random,
  writes: {count: number; isStopped: boolean},
): Promise<void> {
  await using session = await database.connect();
  const signal = new AbortController().signal;
  const pick = (below: number): number => Math.floor(random() * below);
  const row = (): string => `a = ${pick(97)} and b = 'k${pick(ROWS)}'`;
  while (!writes.isStopped) {
    const statements = Array.from({length: 1 + pick(4)}, () => {
      switch (pick(6)) {
        case 0:
          return `insert ignore into t values (${pick(97)}, 'k${pick(ROWS)}', 1, 'new')`;
        case 1:
          return `delete from t where ${row()}`;
        case 2:
          return `update ignore t set a = ${pick(97)}, v = v + 1 where b = 'k${pick(ROWS)}'`;
        case 3:
          return `delete from t where a = ${pick(97)} limit 2`;
        default:
          return `update t set v = v + 1 where a = ${pick(97)} limit 3`;
      }
    });
    const end = pick(10) === 0 ? 'rollback' : 'commit';
    try {
      await session.queries(`begin; ${statements.join('; ')}; ${end}`, signal);
      writes.count++;
    } catch {
      // Deadlocks and duplicate keys are part of the game.
      await session.queries('rollback', signal);
    }
  }
}

async function readSnapshot(source: MysqlChangeLog): Promise<Seen> {
  const ctx = testContext();
  await using snapshot = await source.planSnapshot('log_writers.t', ctx);
  const rows: Table = new Map();
  const views: Seen['views'][number][] = [];
  for (const chunk of snapshot.chunks) {
    const parts: Uint8Array[] = [];
    const reading = snapshot.readChunk(chunk, ctx);
    for (let next = await reading.next(); ; next = await reading.next()) {
      if (next.done === true) {
        if (next.value.view !== undefined) views.push(next.value.view);
        break;
      }
      parts.push(next.value);
    }
    for await (const {batch} of binlogCodec.decodeChunk(snapshot.table, pieces(parts))) {
      for (let row = 0; row < batch.rowCount; row++) {
        const cells = batch.columns.map((column, index) =>
          canonicalCell(column, row, batch.schema.fields[index]?.type ?? 'string'),
        );
        rows.set(`${cells[0]} ${cells[1]}`, cells.join(' '));
      }
    }
  }
  return {rows, views};
}

async function* pieces(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  for (const part of parts) {
    // Staging gives bytes back as it likes.
    for (let at = 0; at < part.length; at += 1000) yield part.subarray(at, at + 1000);
  }
}

/** Applies what no view saw. */
async function replayed(read: Replay, {rows, views}: Seen, complain: (problem: string) => void): Promise<Table> {
  const table = new Map(rows);
  for (const {change, transaction} of read.changes) {
    if (views.every(({token}) => binlogCodec.isVisible(transaction, token))) continue;
    const {op, row = {}, oldKey, isInsert} = change;
    const key = keyOf(row);
    const before = oldKey === undefined ? key : keyOf(oldKey);
    if (isInsert === true ? table.has(key) : !table.has(before)) complain(`${op} of ${before} in ${transaction}`);
    table.delete(before);
    if (op === 'upsert') table.set(key, [row['a'], row['b'], row['v'], row['pad']].map(String).join(' '));
  }
  return sorted(table);
}

function keyOf(row: Readonly<Record<string, JsonValue | undefined>>): string {
  return `${String(row['a'])} ${String(row['b'])}`;
}

async function sourceRows(database: MysqlDatabase): Promise<Table> {
  const rows = await database.texts('select a, b, v, pad from t');
  return sorted(new Map(rows.map((row) => [`${row[0]} ${row[1]}`, row.join(' ')])));
}

function sorted(table: Table): Table {
  return new Map([...table].toSorted(([left], [right]) => (left < right ? -1 : 1)));
}

async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 5));
}
