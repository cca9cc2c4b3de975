import {IngestError} from '../../sdk/index.ts';
import {quoteLiteral} from '../../wire/mysql/quote.ts';
import type {LogPlace} from './log-point.ts';
import type {Session} from './session.ts';

const LOOKING = {what: 'look where the binary log stands'};
const LOG_STATUS = {mariadb: 'show master status', old: 'show master status', new: 'show binary log status'} as const;
const ATTEMPTS = 50;

/** The statement that says where the log stands: its name changed in MySQL 8.2. */
export function logStatusSql(session: Session): string {
  if (session.isMariaDb) return LOG_STATUS.mariadb;
  const [major = 0, minor = 0] = session.version.split('.').map(Number);
  return major > 8 || (major === 8 && minor >= 2) ? LOG_STATUS.new : LOG_STATUS.old;
}

/** Where the log stands; the set of transactions is the one before this place. @throws LOG_LOST without a log */
export async function currentPlace(session: Session): Promise<LogPlace> {
  if (session.isMariaDb) {
    const [row] = await session.query(logStatusSql(session), LOOKING);
    const {file, offset} = filePlace(row);
    return {file, offset, gtids: await mariaGtids(session, file, offset)};
  }
  // Transactions that are in the log and not yet in the set own their number meanwhile.
  for (let attempt = 0; ; attempt++) {
    const [status, owned] = await session.queries(`${logStatusSql(session)}; select @@global.gtid_owned`, LOOKING);
    const {file, offset} = filePlace(status?.rows[0]);
    const gtids = (status?.rows[0]?.[4] ?? '').replaceAll(/\s/g, '');
    if ((owned?.rows[0]?.[0] ?? '') === '') return {file, offset, gtids};
    if (attempt >= ATTEMPTS) return {file, offset: FIRST_OFFSET, gtids};
  }
}

/** Where the log ends now: everything that has committed is before it. @throws LOG_LOST without a log */
export async function endOfLog(session: Session): Promise<{readonly file: string; readonly offset: number}> {
  const [row] = await session.query(logStatusSql(session), LOOKING);
  return filePlace(row);
}

/** Behind the magic number of a file. */
export const FIRST_OFFSET = 4;

/** The last transactions of each domain before a place. */
export async function mariaGtids(session: Session, file: string, offset: number): Promise<string> {
  const [row] = await session.query(`select binlog_gtid_pos(${quoteLiteral(file)}, ${offset})`, LOOKING);
  return row?.[0] ?? '';
}

/** File and offset of a row of the log's status. @throws UNSUPPORTED when there is none */
export function filePlace(row: readonly (string | null)[] | undefined): {
  readonly file: string;
  readonly offset: number;
} {
  const [file, offset] = row ?? [];
  if (file === null || file === undefined || file === '') {
    throw new IngestError('UNSUPPORTED', 'The server writes no binary log.', {
      fix: 'Set log_bin and restart the server; on RDS, switch automatic backups on.',
    });
  }
  return {file, offset: Number(offset ?? 0)};
}
