/** Who said no: the server, the network, TLS, the log-in, the clock, or a peer that does not speak the protocol. */
export type MysqlErrorKind = 'server' | 'network' | 'tls' | 'auth' | 'timeout' | 'protocol';

/** A failure of a connection to MySQL or MariaDB. Messages hold no passwords and no values of rows. */
export class MysqlError extends Error {
  readonly kind: MysqlErrorKind;
  /** The server's error number; 2000 to 2999 for failures that the client saw itself. @see https://dev.mysql.com/doc/mysql-errors/9.4/en/server-error-reference.html */
  readonly number: number;
  readonly sqlstate: string;

  constructor(kind: MysqlErrorKind, number: number, message: string, init: {cause?: unknown; sqlstate?: string} = {}) {
    super(message, init.cause === undefined ? undefined : {cause: init.cause});
    this.name = 'MysqlError';
    this.kind = kind;
    this.number = number;
    this.sqlstate = init.sqlstate ?? 'HY000';
  }
}

/** Numbers of failures that the client sees, those of the C client. */
export const CLIENT_ERROR = {
  cannotConnect: 2003,
  serverGone: 2006,
  lost: 2013,
  tls: 2026,
  malformed: 2027,
  auth: 2059,
} as const;

/** The error for a connection that failed while it was made, or ended under us. */
export function networkError(
  cause: (Error & {readonly code?: string}) | null,
  number: typeof CLIENT_ERROR.cannotConnect | typeof CLIENT_ERROR.lost,
): MysqlError {
  if (cause instanceof MysqlError) return cause;
  const what =
    number === CLIENT_ERROR.cannotConnect ? 'cannot connect to the server' : 'the connection to the server ended';
  const message = cause?.code === undefined ? what : `${what}: ${cause.code}`;
  return new MysqlError('network', number, message, cause === null ? {} : {cause});
}

/** Reads an ERR packet. The message of errors that quote values is left out. */
export function serverError(packet: Buffer): MysqlError {
  const number = packet.length >= 3 ? packet.readUInt16LE(1) : 0;
  const hasState = packet[3] === 0x23;
  const sqlstate = hasState ? packet.toString('latin1', 4, 9) : 'HY000';
  const text = packet.toString('utf8', hasState ? 9 : 3);
  const message = quotesValues(sqlstate, number) ? 'the server could not process a value' : text;
  const kind = sqlstate.startsWith('28') || AUTH_ERRORS.has(number) ? 'auth' : 'server';
  return new MysqlError(kind, number, `${message} (error ${number}, SQLSTATE ${sqlstate})`, {sqlstate});
}

/** Access denied, unknown plugin, account locked, password expired. */
const AUTH_ERRORS = new Set([1045, 1524, 1698, 1862, 3118, 4151]);
/** Incorrect values and truncations that the server files under HY000. */
const VALUE_ERRORS = new Set([1265, 1366, 1411, 1525]);

function quotesValues(sqlstate: string, number: number): boolean {
  return (
    sqlstate.startsWith('22') || sqlstate.startsWith('23') || sqlstate.startsWith('45') || VALUE_ERRORS.has(number)
  );
}
