/** Who said no: the server, the network, TLS, the log-in, the clock, or a peer that does not speak the protocol. */
export type PgErrorKind = 'server' | 'network' | 'tls' | 'auth' | 'timeout' | 'protocol';

/** A failure of a PostgreSQL connection. Messages hold no passwords and no values of rows. */
export class PgError extends Error {
  readonly kind: PgErrorKind;
  /** Five characters; `08xxx` for failures that the client saw itself. @see https://www.postgresql.org/docs/18/errcodes-appendix.html */
  readonly sqlstate: string;
  /** The session is over. */
  readonly fatal: boolean;

  constructor(kind: PgErrorKind, sqlstate: string, message: string, init: {cause?: unknown; fatal?: boolean} = {}) {
    super(message, init.cause === undefined ? undefined : {cause: init.cause});
    this.name = 'PgError';
    this.fatal = init.fatal ?? kind !== 'server';
    this.kind = kind;
    this.sqlstate = sqlstate;
  }
}

/** The error for a connection that failed (`08001`: while it was made) or ended under us (`08006`). */
export function networkError(cause: (Error & {readonly code?: string}) | null, sqlstate: '08001' | '08006'): PgError {
  if (cause instanceof PgError) return cause;
  const what = sqlstate === '08001' ? 'cannot connect to the server' : 'the connection to the server ended';
  const message = cause?.code === undefined ? what : `${what}: ${cause.code}`;
  return new PgError('network', sqlstate, message, cause === null ? {} : {cause});
}

/**
 * Reads the fields of an ErrorResponse. Detail, context and query are left out, and so is the message of those classes
 * whose messages quote values.
 * @see https://www.postgresql.org/docs/18/protocol-error-fields.html
 */
export function serverError(body: Uint8Array): PgError {
  const fields = new Map<string, string>();
  for (const field of Buffer.from(body).toString('utf8').split('\0')) {
    if (field !== '') fields.set(field.charAt(0), field.slice(1));
  }
  const sqlstate = fields.get('C') ?? 'XX000';
  const message = quotesValues(sqlstate)
    ? 'the server could not process a value'
    : (fields.get('M') ?? 'unknown error');
  const fatal = fields.get('V') !== 'ERROR';
  return new PgError(sqlstate.startsWith('28') ? 'auth' : 'server', sqlstate, `${message} (SQLSTATE ${sqlstate})`, {
    fatal,
  });
}

/** Data exceptions, integrity violations, and whatever functions of the user raise. */
function quotesValues(sqlstate: string): boolean {
  return sqlstate.startsWith('22') || sqlstate.startsWith('23') || sqlstate.startsWith('P0');
}
