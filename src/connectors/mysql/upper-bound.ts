import type {BoundRequest, ReadContext} from '../../sdk/index.ts';
import {isIngestError} from '../../sdk/index.ts';
import {TYPE} from '../../wire/binlog/table-map.ts';
import {quoteLiteral} from '../../wire/mysql/quote.ts';
import type {SourceTable} from './catalog.ts';
import {tableSql} from './catalog.ts';
import type {SourceCursor} from './cursor.ts';
import {keyExpression} from './keyset.ts';
import type {Session} from './session.ts';

/** What a bound is looked for in. */
export type BoundScope = BoundRequest<SourceTable, SourceCursor>;

/**
 * The largest cursor value up to which a view that is opened after this has all rows that will ever be there; null when no row has
 * one. Times are read up to the start of the oldest transaction that runs: what it still commits has no older time. Other values are
 * given out before their rows are committed: the transactions that were writing when the value was read are waited for.
 */
export async function settledBound(session: Session, scope: BoundScope, ctx: ReadContext): Promise<string | null> {
  return scope.cursor.isTime ? timeBound(session, scope, ctx) : boundAfterWriters(session, scope, ctx);
}

async function timeBound(session: Session, scope: BoundScope, ctx: ReadContext): Promise<string | null> {
  const {cursor, table, doing} = scope;
  const ageSeconds = await oldestTransaction(session, scope, ctx);
  if (ageSeconds >= LONG_TRANSACTION_SECONDS)
    ctx.progress({note: `rows newer than a transaction that has been running for ${ageSeconds} s wait for its end`});
  const isUtc = cursor.column.type.code === TYPE.timestamp || cursor.column.type.code === TYPE.timestamp2;
  const zoned = (sql: string): string =>
    isUtc ? sql : `coalesce(convert_tz(${sql}, '+00:00', @@global.time_zone), ${sql})`;
  const [row] = await session.query(
    `select ${zoned('now(6)')}, ${zoned(`now(6) - interval ${ageSeconds} second`)}, now(6) + interval 14 hour`,
    doing,
  );
  const [clock = '', settled = '', latest = ''] = row ?? [];
  const comparison = cursor.coarse && cursor.keyed ? '<=' : '<';
  const below = (operator: string, text: string | null): string =>
    `${cursor.sql} ${operator} ${quoteLiteral(text ?? '')}`;
  // Times that run ahead of the server's clock are written in another zone, none of which is more than 14 hours ahead of UTC.
  const isAhead = !isUtc && (await largest(session, scope, below('>', clock))) !== null;
  const bound = await largest(session, scope, isAhead ? below('<', latest) : below(comparison, settled));
  if (isAhead)
    ctx.log.info('Times of the cursor column run ahead of the server: they are in another time zone.', {
      table: table.name,
    });
  return bound;
}

/** Age of the oldest transaction that writes, in seconds, rounded up; 1 where none does: it may have begun just now. */
async function oldestTransaction(session: Session, {doing, table}: BoundScope, ctx: ReadContext): Promise<number> {
  const sql = `select coalesce(max(timestampdiff(second, convert_tz(trx_started, 'SYSTEM', '+00:00'), now())), 0) + 1
    from information_schema.innodb_trx where trx_mysql_thread_id <> connection_id()`;
  try {
    const [row] = await session.query(sql, doing);
    return Math.max(1, Number(row?.[0] ?? 1));
  } catch (error) {
    if (!isIngestError(error)) throw error;
    tellHidden(table, ctx);
    return 1;
  }
}

async function boundAfterWriters(session: Session, scope: BoundScope, ctx: ReadContext): Promise<string | null> {
  const value = await largest(session, scope, `${scope.cursor.sql} is not null`);
  let writers: readonly string[];
  try {
    writers = await writersNow(session, scope, '');
  } catch (error) {
    if (!isIngestError(error)) throw error;
    tellHidden(scope.table, ctx);
    return value;
  }
  const deadlineMs = ctx.clock.nowMs() + MAX_WAIT_MS;
  for (let pauseMs = 20; writers.length > 0; pauseMs = Math.min(2 * pauseMs, 500)) {
    if (ctx.clock.nowMs() >= deadlineMs) {
      const note = `transactions that began before the bound are still writing after ${MAX_WAIT_MS / 1000} s: rows that they commit late are missed`;
      ctx.progress({note});
      ctx.log.warn(`${note}. A cursor of times does not have this gap.`, {table: scope.table.name});
      break;
    }
    await ctx.clock.sleep(pauseMs, ctx.signal);
    writers = await writersNow(session, scope, ` and trx_id in (${writers.map(quoteLiteral).join(', ')})`);
  }
  return value;
}

async function writersNow(session: Session, {doing}: BoundScope, condition: string): Promise<readonly string[]> {
  const sql = `select trx_id from information_schema.innodb_trx
    where trx_mysql_thread_id <> connection_id() and (trx_rows_modified > 0 or trx_tables_locked > 0)${condition}`;
  return (await session.query(sql, doing)).map(([id]) => id ?? '');
}

async function largest(session: Session, {table, cursor, doing}: BoundScope, where: string): Promise<string | null> {
  const sql = `select cast(${keyExpression(cursor.column)} as char) from ${tableSql(table)} as source
    where ${where} order by ${cursor.sql} desc limit 1`;
  return (await session.query(sql, doing))[0]?.[0] ?? null;
}

function tellHidden(table: SourceTable, ctx: ReadContext): void {
  ctx.log.info(
    'Running transactions are hidden: rows that they commit late are missed unless lookback_seconds covers them. Grant PROCESS to see them.',
    {table: table.name},
  );
}

const LONG_TRANSACTION_SECONDS = 60;
const MAX_WAIT_MS = 10_000;
