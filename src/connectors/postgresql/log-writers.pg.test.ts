import pg from 'pg';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';

import {describePostgres} from '../../../test/describe-postgres.ts';
import {LogFollower, replay} from '../../../test/follow-log.ts';
import type {TestDatabase} from '../../../test/pg-database.ts';
import {createDatabase} from '../../../test/pg-database.ts';
import {POSTGRES_VERSIONS} from '../../../test/postgres-versions.ts';
import type {PostgresServer} from '../../../test/postgres.ts';
import {startPostgres} from '../../../test/postgres.ts';
import {testContext} from '../../../test/read-context.ts';
import {seededRandom} from '../../core/clock.ts';
import type {LogTable, SnapshotToken} from '../../sdk/index.ts';
import {canonicalCell, isIngestError} from '../../sdk/index.ts';
import {parseLsn} from '../../wire/pg/replication.ts';
import {PostgresChangeLog} from './change-log.ts';
import {pgCodec} from './log-codec.ts';
import {connectionOptions} from './session.ts';

const SEED = 20_261_128;
const WRITERS = 4;
const WRITING_MS = 3500;
/** Tables are read in ranges from one block on, where that is safe. */
const SIZES = {tableBytes: 1, rangeBytes: 32_768};
const COLUMNS = ['id', 'v', 'pad', 'big'];
/** With a primary key; with all of the old row; in parts, whose rows move. */
const TABLES = ['plain', 'whole', 'parts'];

/** What a view saw, and a point of the log before it. */
interface View {
  readonly token: SnapshotToken;
  readonly position: bigint;
}

/** What a snapshot saw, and its rows by key. */
interface Seen {
  readonly table: LogTable;
  readonly views: readonly View[];
  readonly rows: Map<string, Record<string, unknown>>;
}

describePostgres('random writers', POSTGRES_VERSIONS, (version) => {
  let server: PostgresServer | null = null;
  let database: TestDatabase;

  beforeAll(async () => {
    if (version !== 18) server = await startPostgres({}, {version});
    database = await createDatabase(server?.url ?? inject('pgUrl'), 'pg_log_writers');
  });
  afterAll(async () => {
    await database[Symbol.asyncDispose]();
    await server?.close();
  });

  it('snapshots and the log behind them give the rows of the source', async () => {
    const columns = `id int primary key, junk text, v int, pad text, big text`;
    await database.run(`
      create table plain (${columns}); create table whole (${columns}); create table parts (${columns}) partition by range (id);
      alter table whole replica identity full;
      create table parts_1 partition of parts for values from (minvalue) to (100); create table parts_2 (big text, ${columns.replace(', big text', '')});
      alter table parts attach partition parts_2 for values from (100) to (maxvalue);
      alter table plain alter big set storage external; alter table whole alter big set storage external;
      alter table parts_1 alter big set storage external; alter table parts_2 alter big set storage external`);
    for (const table of TABLES)
      await database.run(
        `insert into ${table} (id, v, pad) select i, 0, repeat('p', 500) from generate_series(0, 160) i`,
      );
    const names = TABLES.map((table) => `public.${table}`);
    const ctx = testContext();
    const log = new PostgresChangeLog(
      connectionOptions(database.options, 'test'),
      {gatewayId: `writers_${version}`},
      SIZES,
    );
    const from = await log.prepare(names, ctx);
    const until = Date.now() + WRITING_MS;
    const writers = Array.from({length: WRITERS}, (_, index) => write(database, SEED + index, until));
    const seen: Seen[] = [];
    const snapshots = names.map(async (name) => {
      do {
        try {
          seen.push(await takeSnapshot(log, name));
        } catch (error) {
          // Who alters the table goes first.
          if (!isIngestError(error, 'SOURCE_SCHEMA_CHANGED')) throw error;
        }
      } while (Date.now() < until - 500);
    });
    const changes = alterTables(database, until);
    const counts = await Promise.all(writers);
    await Promise.all([...snapshots, changes]);
    const [now] = await database.texts('select pg_current_wal_insert_lsn()');
    const follower = new LogFollower(pgCodec);
    const reader = await log.openLog(from, names, ctx);
    await follower.readTo(reader, parseLsn(now?.[0] ?? '') ?? 0n);
    await reader[Symbol.asyncDispose]();
    expect(follower.resets).toEqual([]);
    for (const {table, views, rows} of seen) {
      // What committed at or before the position of a view is in it.
      for (const {token, position} of views) {
        const early = follower.transactions.filter((transaction) => transaction.position < position);
        expect(early.filter((transaction) => !pgCodec.isVisible(transaction.name, token))).toEqual([]);
      }
      const tokens = views.map(({token}) => token);
      replay(rows, follower, {table: table.id, codec: pgCodec, views: tokens, keys: ['id']});
      const source = await database.texts(`select ${COLUMNS.join(', ')} from ${table.name}`);
      const expected = new Map(source.map((row) => [row[0] ?? '', row]));
      const actual = new Map(
        [...rows.values()].map((row) => [String(row['id']), COLUMNS.map((name) => textOf(row[name]))]),
      );
      const wrong = [...new Set([...expected.keys(), ...actual.keys()])].filter(
        (id) => JSON.stringify(expected.get(id)) !== JSON.stringify(actual.get(id)),
      );
      expect({seed: SEED, table: table.name, wrong}).toEqual({seed: SEED, table: table.name, wrong: []});
    }
    expect(seen.length).toBeGreaterThan(2);
    expect(seen.some(({table, views}) => table.name === 'whole' && views.length > 1)).toBe(true);
    expect(seen.every(({table, views}) => table.name === 'whole' || views.length === 1)).toBe(true);
    expect(counts.reduce((sum, count) => sum + count)).toBeGreaterThan(20);
    await log.release(ctx);
    await log.close();
  });
});

function textOf(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value);
}

async function takeSnapshot(log: PostgresChangeLog, name: string): Promise<Seen> {
  const ctx = testContext();
  await using snapshot = await log.planSnapshot(name, ctx);
  const {table, token, position} = snapshot;
  const views: View[] = token === null ? [] : [{token, position}];
  const rows = new Map<string, Record<string, unknown>>();
  for (const chunk of snapshot.chunks) {
    const bytes = snapshot.readChunk(chunk, ctx);
    const pieces: Uint8Array[] = [];
    for (let step = await bytes.next(); ; step = await bytes.next()) {
      if (step.done !== true) pieces.push(Uint8Array.from(step.value));
      else {
        if (step.value.view !== undefined) views.push(step.value.view);
        break;
      }
    }
    for await (const {batch} of pgCodec.decodeChunk(table, inPieces(pieces))) {
      for (let row = 0; row < batch.rowCount; row++) {
        const values = Object.fromEntries(
          batch.schema.fields.map(({name: field, type}, index) => {
            const vector = batch.columns[index];
            return [field, vector === undefined ? null : canonicalCell(vector, row, type)];
          }),
        );
        rows.set(JSON.stringify([String(values['id'])]), values);
      }
    }
  }
  return {table, views, rows};
}

/** The same bytes, cut elsewhere. */
async function* inPieces(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  const bytes = Buffer.concat(parts);
  for (let at = 0; at < bytes.length; at += 777) yield await Promise.resolve(bytes.subarray(at, at + 777));
}

/** Columns come and go while all the others write. */
async function alterTables(database: TestDatabase, until: number): Promise<void> {
  for (let step = 0; Date.now() < until - 300; step++) {
    // A table in ranges would begin anew with every change of its columns.
    const table = step % 4 < 2 ? 'plain' : 'parts';
    const statement = step % 2 === 0 ? 'drop column if exists junk' : 'add column if not exists junk text';
    await database.run(`alter table ${table} ${statement}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/** Transactions of a few changes: inserts, updates with and without the large value, key changes, deletes, undone parts, truncates. */
async function write(database: TestDatabase, seed: number, until: number): Promise<number> {
  const random = seededRandom(seed);
  const client = new pg.Client(database.options);
  await client.connect();
  // Writers that wait for each other write nothing.
  await client.query(`set deadlock_timeout = '20ms'`);
  const some = (below: number): number => Math.floor(random() * below);
  const statement = (): string => {
    const table = TABLES[some(TABLES.length)] ?? '';
    const id = some(200);
    const kind = random();
    if (kind < 0.35)
      return `insert into ${table} (id, v, pad, big) values (${id}, ${some(1000)}, 'ä€', repeat('${String.fromCharCode(97 + some(26))}', ${some(2) * 9000})) on conflict (id) do update set v = excluded.v`;
    if (kind < 0.65) return `update ${table} set v = v + 1, pad = nullif(pad, 'x') where id = ${id}`;
    if (kind < 0.75) return `update ${table} set big = repeat('z', ${3000 + some(3000)}) where id = ${id}`;
    if (kind < 0.87) return `update ${table} set id = ${some(200)} where id = ${id}`;
    if (kind < 0.998) return `delete from ${table} where id = ${id}`;
    return `truncate ${table}`;
  };
  let count = 0;
  for (; Date.now() < until; count++) {
    try {
      await client.query('begin');
      for (let left = 1 + some(5); left > 0; left--) {
        await client.query('savepoint s');
        try {
          await client.query(statement());
          if (random() < 0.2) await client.query('rollback to s');
        } catch {
          // A key that is taken, or a deadlock: undone, and the writer goes on.
          await client.query('rollback to s');
        }
      }
      if (random() < 0.3) await new Promise((resolve) => setTimeout(resolve, some(30)));
      await client.query(random() < 0.15 ? 'rollback' : 'commit');
    } catch {
      await client.query('rollback');
    }
  }
  await client.end();
  return count;
}
