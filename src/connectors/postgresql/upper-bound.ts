import type {ReadContext} from '../../sdk/index.ts';
import {quoteLiteral} from '../../wire/pg/quote.ts';
import type {SourceTable} from './catalog.ts';
import {relationSql} from './catalog.ts';
import type {SourceCursor} from './cursor.ts';
import type {Session} from './session.ts';
import type {Doing} from './source-errors.ts';

/** What a bound is looked for in. */
export interface BoundScope {
  readonly table: SourceTable;
  readonly cursor: SourceCursor;
  readonly doing: Doing;
}

/** Up to where a cursor can be read. */
export interface Bound {
  /**
   * The largest value up to which a snapshot that is taken after this has all rows that will ever be there, as the server's
   * text; null when no row has one. Infinities and NaN are no values: nothing after them would ever be read.
   */
  readonly upper: string | null;
  /** SQL condition of rows whose time is still to come: no transaction of now writes such; null where values are no times. */
  readonly future: string | null;
}

/** Finds the bound. To be called before the snapshot that is read. Says in `ctx` what delays rows, or may lose them. */
export async function settledBound(session: Session, scope: BoundScope, ctx: ReadContext): Promise<Bound> {
  const {cursor, doing} = scope;
  const finite = finiteSql(cursor, session.facts.versionNumber);
  if (!cursor.isTime || session.facts.isStandby) {
    return {upper: await boundAfterWriters(session, {...scope, where: finite}, ctx), future: null};
  }
  const horizon = await readHorizon(session, doing);
  tellHorizon(horizon, scope.table, ctx);
  const {settled, future} = await horizonSql(session, scope, horizon);
  return {upper: await largest(session, {...scope, where: `${finite} and ${settled}`}), future};
}

/** What is known of transactions that may still commit rows with older times. */
interface Horizon {
  /** The server's clock, as text. */
  readonly clock: string;
  /** Start of the oldest transaction that runs, at most `clock`. */
  readonly oldest: string;
  /** How long that transaction has been running. */
  readonly ageSeconds: number;
  /** Sessions whose transactions this user may not see. */
  readonly hidden: number;
}

/** Looks at the transactions that run now. Those that are not there start later, and so are the times that they write. */
async function readHorizon(session: Session, doing: Doing): Promise<Horizon> {
  // Sessions of this connector only read. Of other users' sessions a user without rights sees neither state nor times.
  const sql = `with other as (
      select * from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
        and not (usename = current_user and application_name = current_setting('application_name'))),
    seen as (select clock_timestamp() as clock, least(
        (select min(xact_start) from other where coalesce(backend_type, '') not in ('autovacuum worker', 'walsender')),
        (select min(prepared) from pg_prepared_xacts where database = current_database())) as started)
    select clock::text, least(started, clock)::text, extract(epoch from clock - least(started, clock))::int::text,
      (select count(*) from other where state is null and backend_type is null)::text from seen`;
  const [row] = await session.query(sql, doing);
  return {
    clock: row?.[0] ?? '',
    oldest: row?.[1] ?? '',
    ageSeconds: Number(row?.[2] ?? 0),
    hidden: Number(row?.[3] ?? 0),
  };
}

function tellHorizon({hidden, ageSeconds}: Horizon, table: SourceTable, ctx: ReadContext): void {
  if (ageSeconds >= LONG_TRANSACTION_SECONDS) {
    ctx.progress({note: `rows newer than a transaction that has been running for ${ageSeconds} s wait for its end`});
  }
  if (hidden === 0) return;
  const what =
    'Transactions of other users are hidden: rows that they commit late are missed unless lookback_seconds covers them.';
  ctx.log.info(`${what} Grant pg_read_all_stats to see them.`, {table: table.name, sessions: hidden});
}

/**
 * Values that are no times are given out before their rows are committed: so the largest value is read first, and then the
 * transactions that were writing at that moment are waited for. On a standby nobody knows when they began, so that times are
 * treated alike.
 */
async function boundAfterWriters(
  session: Session,
  scope: BoundScope & {readonly where: string},
  ctx: ReadContext,
): Promise<string | null> {
  const value = await largest(session, scope);
  // After the value: whoever took a smaller value is among these, or has committed.
  const areGone = await writersSql(session, scope);
  const deadlineMs = ctx.clock.nowMs() + MAX_WAIT_MS;
  for (
    let pauseMs = 20;
    (await session.query(areGone, scope.doing))[0]?.[0] !== 'true';
    pauseMs = Math.min(2 * pauseMs, 500)
  ) {
    if (ctx.clock.nowMs() >= deadlineMs) {
      const note = `transactions that began before the bound are still writing after ${MAX_WAIT_MS / 1000} s: rows that they commit late are missed`;
      ctx.progress({note});
      ctx.log.warn(`${note}. A cursor of times does not have this gap.`, {table: scope.table.name});
      break;
    }
    await ctx.clock.sleep(pauseMs, ctx.signal);
  }
  return value;
}

/**
 * A query that is true once the transactions are gone that write now. Who writes a table has locked it before any value is
 * given out; it may have no transaction id yet. Of views, and on a standby, only transaction ids are known.
 */
async function writersSql(session: Session, {table, doing}: BoundScope): Promise<string> {
  if (session.facts.isStandby || table.kind === 'v' || table.kind === 'f') {
    const [row] = await session.query('select txid_snapshot_xmax(txid_current_snapshot())::text', doing);
    return `select (txid_snapshot_xmin(txid_current_snapshot()) >= ${row?.[0] ?? '0'})::text`;
  }
  const rows = await session.query(
    `with recursive tree as (select ${table.oid}::oid as oid union select i.inhrelid from pg_inherits i join tree t on i.inhparent = t.oid)
     select distinct virtualtransaction from pg_locks where locktype = 'relation' and relation in (select oid from tree)
       and database = (select oid from pg_database where datname = current_database())
       and mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`,
    doing,
  );
  const writers = rows.map((row) => quoteLiteral(row[0] ?? ''));
  if (writers.length === 0) return `select 'true'`;
  return `select (not exists (select from pg_locks where virtualtransaction in (${writers.join(', ')})))::text`;
}

const LONG_TRANSACTION_SECONDS = 60;
const MAX_WAIT_MS = 10_000;

async function largest(
  session: Session,
  {table, cursor, where, doing}: BoundScope & {readonly where: string},
): Promise<string | null> {
  // Not max(): not every type that has an order has it, and both use an index alike.
  const sql = `select (${cursor.sql})::text from ${relationSql(table)} where ${where} order by ${cursor.sql} desc limit 1`;
  return (await session.query(sql, doing))[0]?.[0] ?? null;
}

function finiteSql({column, sql}: SourceCursor, versionNumber: number): string {
  switch (column.source.name) {
    case 'numeric':
      return versionNumber >= 140_000 ? `${sql} < 'Infinity'` : `${sql} <> 'NaN'`;
    case 'date':
    case 'timestamp':
    case 'timestamptz':
      return `isfinite(${sql})`;
    default:
      return `${sql} is not null`;
  }
}

/**
 * Which values are settled: those of a transaction that runs are at least its start, rounded to what the type keeps. Where
 * rows are read again at the lower bound (keyed and coarse), the value that is still filling may be included.
 */
async function horizonSql(
  session: Session,
  scope: BoundScope,
  horizon: Horizon,
): Promise<{readonly settled: string; readonly future: string}> {
  const {sql, column, coarse, keyed} = scope.cursor;
  const comparison = coarse && keyed ? '<=' : '<';
  const zone = column.source.name === 'timestamptz' ? '' : ` at time zone ${quoteLiteral(session.facts.timeZone)}`;
  const at = (text: string, later = '0 s'): string =>
    `((${quoteLiteral(text)}::timestamptz + interval '${later}')${zone})::${column.typeName}`;
  const settled = `${sql} ${comparison} ${at(horizon.oldest)}`;
  // Transactions begin while we look: so what is to come begins a little later.
  const future = `${sql} > ${at(horizon.clock, '1 minute')}`;
  if (zone === '') return {settled, future};
  // Times without a zone that run ahead of the server's own clock are written in another zone: nobody knows which, but
  // none is more than 14 hours ahead of UTC. Values behind that (mistakes, the year 9999) must not become the bound.
  const ahead = await largest(session, {...scope, where: `isfinite(${sql}) and ${sql} > ${at(horizon.clock)}`});
  if (ahead === null) return {settled, future};
  const latest = `(${quoteLiteral(horizon.clock)}::timestamptz at time zone 'UTC' + interval '14 hours')::${column.typeName}`;
  return {settled: `${sql} < ${latest}`, future: `${sql} >= ${latest}`};
}
