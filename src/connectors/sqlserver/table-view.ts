import {IngestError} from '../../sdk/index.ts';
import type {SourceTable} from './catalog.ts';
import {tableSql} from './catalog.ts';
import {currentVersion} from './change-tracking.ts';
import type {ChangeMethod} from './log-mark.ts';
import type {ConnectionOptions} from './session.ts';
import {Session} from './session.ts';
import {notTracked} from './source-errors.ts';

const OPENING = {what: 'open a view of the tables'};
const LOCK_TIMEOUT_MS = 5000;

/** How a view is opened. */
export interface ViewContext {
  readonly options: ConnectionOptions;
  readonly method: ChangeMethod;
  readonly signal: AbortSignal;
}

/**
 * Begins a transaction that sees the database at one moment, and tells the mark of that moment: of the changes of this table, those
 * up to the mark are in the view, and no others.
 */
export async function beginView(
  session: Session,
  table: SourceTable,
  {options, method, signal}: ViewContext,
): Promise<bigint> {
  if (method === 'cdc') return beginLockedView(session, table, {options, signal});
  await session.beginSnapshot(OPENING);
  const {version} = await currentVersion(session);
  if (version === null) throw notTracked();
  return version;
}

const LOG_END = `select log_end_lsn from sys.dm_db_log_stats(db_id())`;

/**
 * The log that change data capture reads runs behind the tables: while a shared lock keeps writers away from the table for the time
 * of two exchanges, what has committed to it is in the view, and lies before the end of the log.
 */
async function beginLockedView(
  session: Session,
  table: SourceTable,
  {options, signal}: {readonly options: ConnectionOptions; readonly signal: AbortSignal},
): Promise<bigint> {
  await using lock = await Session.open(options, signal);
  await lock.query(`set lock_timeout ${LOCK_TIMEOUT_MS}; begin transaction`, OPENING);
  await lock.query(`select top (1) 1 from ${tableSql(table)} with (tablock, holdlock)`, OPENING);
  await session.beginSnapshot(OPENING);
  // The first read is the moment of the view.
  await session.query(`select top (1) 1 from ${tableSql(table)}`, OPENING);
  return await logEnd(lock);
}

/** The end of the transaction log: an LSN behind everything that has committed. @throws PERMISSION_DENIED */
export async function logEnd(session: Session): Promise<bigint> {
  const [row] = await session.query(LOG_END, OPENING);
  const cell = row?.[0];
  const lsn = lsnOfText(cell);
  if (lsn !== null) return lsn;
  if (typeof cell === 'string')
    throw new IngestError('UNSUPPORTED', 'The server writes the end of its transaction log in an unknown form.');
  throw new IngestError('PERMISSION_DENIED', 'The end of the transaction log cannot be read.', {
    fix: 'GRANT VIEW DATABASE STATE TO the user; SQL Server 2016 SP2 or later.',
  });
}

/** An LSN as `0000002a:00000180:0003`, in hex. */
function lsnOfText(cell: unknown): bigint | null {
  if (typeof cell !== 'string' || !/^[0-9a-f]{8}:[0-9a-f]{8}:[0-9a-f]{4}$/i.test(cell)) return null;
  return BigInt(`0x${cell.replaceAll(':', '')}`);
}
