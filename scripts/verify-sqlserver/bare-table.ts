import {SqlServerChangeLog} from '../../src/connectors/sqlserver/change-log.ts';
import {sqlServerCodec} from '../../src/connectors/sqlserver/log-codec.ts';
import {connectionOptions} from '../../src/connectors/sqlserver/session.ts';
import {systemClock} from '../../src/core/clock.ts';
import type {CallContext, JsonValue, SnapshotToken} from '../../src/sdk/index.ts';
import {canonicalCell, hasReached} from '../../src/sdk/index.ts';
import {LogReplay} from '../../test/change-log-replay.ts';
import type {VerifiedServer, WrittenRow} from './verified-server.ts';
import {TABLES} from './verified-server.ts';

/**
 * Joins a first reading of the table without a key with its captured changes, while both tables are written to: there a change that
 * comes twice or not at all shows.
 * @param method `cdc`, or `auto` with the changes of a table that goes by change tracking in the same log
 * @param write writes some transactions to the table
 * @param move writes something elsewhere, so that the log moves on
 */
export async function replayBareTable(
  server: VerifiedServer,
  method: string,
  {write, move}: {readonly write: () => Promise<void>; readonly move: () => Promise<void>},
): Promise<string | null> {
  const stop = new AbortController();
  const ctx = contextOf(stop.signal);
  const options = connectionOptions({...server.options, change_method: method, poll_seconds: 0.5}, 'verify');
  const source = new SqlServerChangeLog(options, {gatewayId: 'verify'});
  try {
    const name = `dbo.${TABLES.bare}`;
    const names = method === 'auto' ? [name, `dbo.${TABLES.keyed}`] : [name];
    const from = await source.prepare(names, ctx);
    const writing = write();
    const seen = await readSnapshot(source, name, ctx);
    await writing;
    const target = await source.currentPosition(ctx);
    const replay = new LogReplay(sqlServerCodec);
    const moving = repeat(move, stop.signal);
    await using reader = await source.openLog(from, names, ctx);
    for await (const batch of reader.batches()) {
      replay.add(batch);
      if (batch.open === null && batch.end !== null && hasReached(batch.end, target)) break;
    }
    stop.abort(new Error('done'));
    await moving;
    return compare(replay, seen, await server.rows(TABLES.bare));
  } finally {
    stop.abort(new Error('done'));
    await source.close();
  }
}

interface Seen {
  readonly rows: readonly string[];
  readonly tokens: readonly SnapshotToken[];
}

async function readSnapshot(source: SqlServerChangeLog, name: string, ctx: CallContext): Promise<Seen> {
  await using snapshot = await source.planSnapshot(name, ctx);
  const rows: string[] = [];
  const tokens: SnapshotToken[] = [];
  for (const chunk of snapshot.chunks) {
    const parts: Uint8Array[] = [];
    const reading = snapshot.readChunk(chunk, ctx);
    let next = await reading.next();
    for (; next.done !== true; next = await reading.next()) parts.push(Uint8Array.from(next.value));
    tokens.push(next.value.view?.token ?? null);
    for await (const {batch} of sqlServerCodec.decodeChunk(snapshot.table, asStream(parts))) {
      for (let row = 0; row < batch.rowCount; row++) {
        const cells = batch.columns.map((column, index) =>
          canonicalCell(column, row, batch.schema.fields[index]?.type ?? 'string'),
        );
        rows.push(cells.map(String).join(' '));
      }
    }
  }
  return {rows, tokens};
}

async function* asStream(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  yield* parts;
}

function compare({changes, resets}: LogReplay, seen: Seen, source: readonly WrittenRow[]): string | null {
  if (resets.length > 0) return `the table would be read anew: ${resets.join('; ')}`;
  const counts = new Map<string, number>();
  const add = (text: string, by: number): void => void counts.set(text, (counts.get(text) ?? 0) + by);
  for (const row of seen.rows) add(row, 1);
  for (const {change, transaction, table} of changes) {
    if (table.name !== TABLES.bare) continue;
    if (seen.tokens.every((token) => sqlServerCodec.isVisible(transaction, token))) continue;
    if (change.oldKey !== undefined) add(textOf(change.oldKey), -1);
    add(textOf(change.row ?? {}), change.op === 'delete' ? -1 : 1);
  }
  for (const {a, b, v} of source) add(textOf({a, b, v}), -1);
  const wrong = [...counts].filter(([, count]) => count !== 0);
  return wrong.length === 0
    ? null
    : `${wrong.length} rows are there too often or too seldom, e.g. ${wrong[0]?.join(': ') ?? ''}`;
}

function textOf({a, b, v}: Readonly<Record<string, JsonValue | undefined>>): string {
  return [a, b, v ?? null].map(String).join(' ');
}

async function repeat(work: () => Promise<void>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await work();
    await systemClock.sleep(500, signal).catch(() => undefined);
  }
}

function contextOf(signal: AbortSignal): CallContext {
  const quiet = (): void => undefined;
  const none = (): Promise<never> => Promise.reject(new Error('A log reads no files.'));
  return {
    signal,
    clock: systemClock,
    log: {debug: quiet, info: quiet, warn: quiet},
    files: {list: none, inferSchema: none},
  };
}
