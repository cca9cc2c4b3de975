import {quoteLiteral} from '../../wire/pg/quote.ts';
import type {SourceTable} from './catalog.ts';
import {relationSql} from './catalog.ts';
import type {CursorColumn} from './cursor.ts';
import type {Session} from './session.ts';
import type {Doing} from './source-errors.ts';

/** What is known of transactions that may still commit rows with older times. */
export interface Horizon {
  /** The server's clock, as text. */
  readonly clock: string;
  /** Start of the oldest transaction that runs, at most `clock`. */
  readonly oldest: string;
  /** How long that transaction has been running. */
  readonly ageSeconds: number;
  /** Sessions whose transactions this user may not see. */
  readonly hidden: number;
}

/**
 * Looks at the transactions that run now. To be called before the snapshot is taken: a transaction that is in neither
 * starts later, and so are the times that it writes.
 */
export async function readHorizon(session: Session, doing: Doing): Promise<Horizon> {
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

/** What a bound is looked for in. */
export interface BoundScope {
  readonly table: SourceTable;
  readonly cursor: CursorColumn;
  /** Null where time says nothing about commits: cursors that are no times. */
  readonly horizon: Horizon | null;
}

/**
 * The largest cursor value of the session's snapshot below which no row can appear any more, as the server's text; null
 * when no row has one. Infinities and NaN are no values: everything after them would never be read.
 */
export async function upperBound(session: Session, scope: BoundScope, doing: Doing): Promise<string | null> {
  const {table, cursor, horizon} = scope;
  const conditions = [finiteSql(cursor, session.facts.versionNumber)];
  if (horizon !== null) conditions.push(await horizonSql(session, {...scope, horizon}, doing));
  return largest(session, {table, cursor, where: conditions.join(' and ')}, doing);
}

/** True when the column's values are times, so that running transactions bound them. */
export function isTime(cursor: CursorColumn): boolean {
  return cursor.column.source.name.startsWith('timestamp') || cursor.column.source.name === 'date';
}

async function largest(
  session: Session,
  {table, cursor, where}: {readonly table: SourceTable; readonly cursor: CursorColumn; readonly where: string},
  doing: Doing,
): Promise<string | null> {
  // Not max(): not every type that has an order has it, and both use an index alike.
  const sql = `select (${cursor.sql})::text from ${relationSql(table)} where ${where} order by ${cursor.sql} desc limit 1`;
  return (await session.query(sql, doing))[0]?.[0] ?? null;
}

function finiteSql({column, sql}: CursorColumn, versionNumber: number): string {
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
 * Values of a transaction that runs are at least its start, rounded to what the type keeps. Where rows are re-read at the
 * lower bound (keyed and coarse), the value that is still filling may be included.
 */
async function horizonSql(
  session: Session,
  {table, cursor, horizon}: BoundScope & {readonly horizon: Horizon},
  doing: Doing,
): Promise<string> {
  const {sql, column, coarse, keyed} = cursor;
  const comparison = coarse && keyed ? '<=' : '<';
  const instant = (text: string): string => `${quoteLiteral(text)}::timestamptz`;
  if (column.source.name === 'timestamptz')
    return `${sql} ${comparison} ${instant(horizon.oldest)}::${column.typeName}`;
  const local = (text: string): string =>
    `(${instant(text)} at time zone ${quoteLiteral(session.facts.timeZone)})::${column.typeName}`;
  // Times without a zone that run ahead of the server's own clock are written in another zone: nobody knows which, but
  // none is more than 14 hours ahead of UTC. Values behind that (mistakes, the year 9999) must not become the bound.
  const ahead = await largest(
    session,
    {table, cursor, where: `isfinite(${sql}) and ${sql} > ${local(horizon.clock)}`},
    doing,
  );
  if (ahead === null) return `${sql} ${comparison} ${local(horizon.oldest)}`;
  return `${sql} < (${instant(horizon.clock)} at time zone 'UTC' + interval '14 hours')::${column.typeName}`;
}
