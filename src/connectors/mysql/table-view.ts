import {isIngestError} from '../../sdk/index.ts';
import {tableSql} from './catalog.ts';
import {filePlace, FIRST_OFFSET, logStatusSql, mariaGtids} from './log-place.ts';
import type {LogPlace} from './log-point.ts';
import {Session} from './session.ts';
import type {ConnectionOptions} from './session.ts';

const OPENING = {what: 'open a view of the tables'};
const BEGIN = 'start transaction with consistent snapshot, read only';
const MARIA_BEGIN = 'start transaction with consistent snapshot';
/** Tries without a lock; each takes the time of one exchange. */
const QUIET_ATTEMPTS = 50;

/**
 * Begins a transaction whose view of the table is known exactly: which transactions of the log it sees. Nothing is written, and
 * nothing is locked but, at the worst, the one table for the time of one exchange.
 */
export async function beginView(
  session: Session,
  table: {readonly database: string; readonly name: string},
  options: ConnectionOptions,
  signal: AbortSignal,
): Promise<LogPlace> {
  if (session.isMariaDb) return beginMariaView(session);
  return (
    (await beginQuietView(session)) ??
    (await beginLockedView(session, {table, options, signal})) ??
    beginLateView(session)
  );
}

/** MariaDB opens views in step with its log, and says where in the log a view is. */
async function beginMariaView(session: Session): Promise<LogPlace> {
  const [, status] = await session.queries(`${MARIA_BEGIN}; show status like 'binlog_snapshot_%'`, OPENING);
  const values = new Map(status?.rows.map(([name, value]) => [(name ?? '').toLowerCase(), value]));
  const row = [values.get('binlog_snapshot_file') ?? null, values.get('binlog_snapshot_position') ?? null];
  const {file, offset} = filePlace(row);
  return {file, offset, gtids: await mariaGtids(session, file, offset)};
}

/**
 * A view that was opened while nothing was written to the log and nothing that was written was still on its way: every transaction
 * in the set is in the view, and no other. A transaction owns its number from before it is in the log until it is in the set.
 */
async function beginQuietView(session: Session): Promise<LogPlace | null> {
  const status = logStatusSql(session);
  const sql = `${status}; select @@global.gtid_owned; ${BEGIN}; ${status}`;
  for (let attempt = 0; attempt < QUIET_ATTEMPTS; attempt++) {
    const [before, owned, , after] = await session.queries(sql, OPENING);
    const [first, second] = [filePlace(before?.rows[0]), filePlace(after?.rows[0])];
    const isQuiet = (owned?.rows[0]?.[0] ?? '') === '' && first.file === second.file && first.offset === second.offset;
    if (isQuiet) return {...first, gtids: gtidsOf(after?.rows[0])};
    await session.query('rollback', OPENING);
  }
  return null;
}

/** Under a read lock of the table no transaction that wrote to it is on its way. Null when the lock is not to be had. */
async function beginLockedView(
  session: Session,
  {
    table,
    options,
    signal,
  }: {
    readonly table: {readonly database: string; readonly name: string};
    readonly options: ConnectionOptions;
    readonly signal: AbortSignal;
  },
): Promise<LogPlace | null> {
  await using lock = await Session.open(options, signal);
  try {
    await lock.query(`set lock_wait_timeout = 1; lock tables ${tableSql(table)} read`, OPENING);
  } catch (error) {
    // Held by somebody for longer, or not allowed.
    if (isIngestError(error)) return null;
    throw error;
  }
  const [, status] = await session.queries(`${BEGIN}; ${logStatusSql(session)}`, OPENING);
  return {...filePlace(status?.rows[0]), gtids: gtidsOf(status?.rows[0])};
}

/** The view sees at least these transactions: those that it sees beside come again in the log, as whole rows. */
async function beginLateView(session: Session): Promise<LogPlace> {
  const [status] = await session.queries(`${logStatusSql(session)}; ${BEGIN}`, OPENING);
  // Transactions that stand in the log before the place may not be in the view yet.
  return {...filePlace(status?.rows[0]), offset: FIRST_OFFSET, gtids: gtidsOf(status?.rows[0])};
}

function gtidsOf(row: readonly (string | null)[] | undefined): string {
  return (row?.[4] ?? '').replaceAll(/\s/g, '');
}
