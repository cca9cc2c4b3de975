import type {BoundRequest, ReadContext} from '../../sdk/index.ts';
import {isIngestError} from '../../sdk/index.ts';
import type {SourceTable} from './catalog.ts';
import {numberOf, tableSql, textOf} from './catalog.ts';
import type {ColumnType} from './column-type.ts';
import {keyTextSql, parameterSql} from './column-type.ts';
import type {SourceCursor} from './cursor.ts';
import {quoteLiteral} from './dialect.ts';
import type {Session} from './session.ts';

/** What a bound is looked for in. */
export type BoundScope = BoundRequest<SourceTable, SourceCursor>;

/**
 * The largest cursor value up to which a view that is opened after this has all rows that will ever be there; null when no row has
 * one. A rowversion is read up to the oldest one that a running transaction holds. Times are read up to the start of the oldest
 * transaction that runs. Other values are given out before their rows are committed: rows that are being written are waited for.
 */
export async function settledBound(session: Session, scope: BoundScope, ctx: ReadContext): Promise<string | null> {
  if (scope.cursor.column.type.name === 'timestamp') {
    return largest(session, scope, `${scope.cursor.sql} < min_active_rowversion()`);
  }
  return scope.cursor.isTime ? timeBound(session, scope, ctx) : boundAfterWriters(session, scope, ctx);
}

const CLOCKS = `select convert(varchar(27), sysutcdatetime(), 121), convert(varchar(27), sysdatetime(), 121)`;

async function timeBound(session: Session, scope: BoundScope, ctx: ReadContext): Promise<string | null> {
  const {cursor, doing} = scope;
  const {type} = cursor.column;
  const ageSeconds = await oldestTransaction(session, scope, ctx);
  if (ageSeconds >= LONG_TRANSACTION_SECONDS)
    ctx.progress({note: `rows newer than a transaction that has been running for ${ageSeconds} s wait for its end`});
  const [row] = await session.query(CLOCKS, doing);
  const [utc = '', local = ''] = (row ?? []).map(textOf);
  const comparison = cursor.coarse && cursor.keyed ? '<=' : '<';
  const clocks = type.name === 'datetimeoffset' ? [utc] : [utc, local].toSorted();
  // A column that has no value behind the earlier clock may be written by it: what the later one allows is not settled then.
  for (const clock of clocks) {
    if ((await largest(session, scope, `${cursor.sql} > ${timeSql(type, clock, 0)}`)) === null)
      return largest(session, scope, `${cursor.sql} ${comparison} ${timeSql(type, clock, -ageSeconds)}`);
  }
  // Times that run ahead of the server's clocks are written in another zone, none of which is more than 14 hours ahead of UTC.
  ctx.log.info('Times of the cursor column run ahead of the server: they are in another time zone.', {
    table: scope.table.name,
  });
  return largest(session, scope, `${cursor.sql} < ${timeSql(type, utc, FARTHEST_ZONE_SECONDS)}`);
}

/** A time of the server's clock as a value of the column. */
function timeSql(type: ColumnType, clock: string, seconds: number): string {
  const at = `dateadd(second, ${seconds}, convert(datetime2(7), ${quoteLiteral(clock)}, 121))`;
  const name = type.name === 'datetime2' || type.name === 'datetimeoffset' ? `${type.name}(${type.scale})` : type.name;
  return `convert(${name}, ${at})`;
}

const OLDEST = `select coalesce(datediff(second, min(a.transaction_begin_time), getdate()), 0) + 1
 from sys.dm_tran_active_transactions as a join sys.dm_tran_database_transactions as d on d.transaction_id = a.transaction_id
 join sys.dm_tran_session_transactions as s on s.transaction_id = a.transaction_id
 where d.database_id = db_id() and d.database_transaction_begin_lsn is not null and s.session_id <> @@spid`;

/** Age of the oldest transaction that writes, in seconds, rounded up; 1 where none does: it may have begun just now. */
async function oldestTransaction(session: Session, {doing, table}: BoundScope, ctx: ReadContext): Promise<number> {
  try {
    const [row] = await session.query(OLDEST, doing);
    return Math.max(1, numberOf(row?.[0]));
  } catch (error) {
    if (!isIngestError(error, 'PERMISSION_DENIED')) throw error;
    ctx.log.info(
      'Running transactions are hidden: rows that they commit late are missed unless lookback_seconds covers them. Grant VIEW SERVER STATE to see them.',
      {table: table.name},
    );
    return 1;
  }
}

/** Reads the rows that are new once with locks: those that are being written are waited for. */
async function boundAfterWriters(session: Session, scope: BoundScope, ctx: ReadContext): Promise<string | null> {
  const {cursor, table, start, doing} = scope;
  const lower = start?.value ?? null;
  const {type} = cursor.column;
  const value = await largest(session, scope, `${cursor.sql} is not null`);
  if (value === null) return null;
  const behind = lower === null ? '' : `${cursor.sql} > ${parameterSql(type, quoteLiteral(lower))} and `;
  const where = `${behind}${cursor.sql} <= ${parameterSql(type, quoteLiteral(value))}`;
  try {
    await session.query(`set lock_timeout ${MAX_WAIT_MS}`, doing);
    await session.query(
      `select count_big(*) from ${tableSql(table)} as source with (readcommittedlock) where ${where}`,
      doing,
    );
  } catch (error) {
    if (!isIngestError(error) || error.context['error'] !== LOCK_TIMED_OUT) throw error;
    const note = `rows below the bound are still being written after ${MAX_WAIT_MS / 1000} s: those that are committed late are missed`;
    ctx.progress({note});
    ctx.log.warn(`${note}. A cursor of times or a rowversion does not have this gap.`, {table: table.name});
  } finally {
    if (session.isOpen) await session.query('set lock_timeout -1', doing);
  }
  return value;
}

async function largest(session: Session, {table, cursor, doing}: BoundScope, where: string): Promise<string | null> {
  const sql = `select top (1) ${keyTextSql(cursor.column.type, cursor.sql)} from ${tableSql(table)} as source
 where ${where} order by ${cursor.sql} desc`;
  const [row] = await session.query(sql, doing);
  const value = row?.[0];
  return value === null || value === undefined ? null : textOf(value);
}

const LONG_TRANSACTION_SECONDS = 60;
const MAX_WAIT_MS = 10_000;
const LOCK_TIMED_OUT = 1222;
const FARTHEST_ZONE_SECONDS = 14 * 3600;
