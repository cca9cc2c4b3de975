import type {ErrorCode, IngestErrorInit, SqlDoing} from '../../sdk/index.ts';
import {IngestError, tunnelFailed} from '../../sdk/index.ts';
import {TunnelError} from '../../wire/ssh/tunnel.ts';

/** What was being done, for messages: `connect to db.example`, `read "shop.orders"`. */
export type Doing = SqlDoing;

/** An error of the driver, of the server or of the network. */
export interface DriverError {
  readonly message: string;
  /** The driver's own code, e.g. ELOGIN, ESOCKET, ETIMEOUT, EREQUEST. */
  readonly code: string;
  /** The server's number; 0 where it said nothing. */
  readonly number: number;
  /** The code of what the driver met, e.g. ECONNREFUSED, SELF_SIGNED_CERT_IN_CHAIN; else empty. */
  readonly causeCode: string;
}

/** The error of the driver in an unknown one; null for anything else. */
export function driverError(error: unknown): DriverError | null {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return null;
  const number = 'number' in error && typeof error.number === 'number' ? error.number : 0;
  const {cause} = error;
  const causeCode = cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
  return {message: error.message, code: error.code, number, causeCode};
}

/** The error that the framework understands; errors that are none of the server's or the network's pass unchanged. */
export function sourceError(error: unknown, doing: Doing): unknown {
  if (error instanceof TunnelError) return tunnelFailed(error, doing);
  const found = driverError(error);
  if (found === null) return error;
  const {code, ...init} = explain(found);
  // Values of rows stand in messages about conversions and keys: the number says what it was.
  const why =
    found.number === 0 ? found.message : SAFE_TEXTS.has(found.number) ? found.message : `error ${found.number}`;
  return new IngestError(code, `Cannot ${doing.what}: ${why.replace(/\.$/, '')}.`, {
    ...init,
    cause: error,
    context: {...(doing.table !== undefined && {table: doing.table}), error: found.number},
  });
}

/** The error for a table that is not there. */
export function unknownTable(table: string): IngestError {
  return new IngestError('UNKNOWN_TABLE', `The database has no table "${table}", or the user may not see it.`, {
    fix: 'Names are schema.table; the user needs SELECT on the table.',
    context: {table},
  });
}

/** The error for a log that does not go on where it was left. */
export function logLost(why: string): IngestError {
  return new IngestError('LOG_LOST', `The changes do not go on where they were left: ${why}.`, {
    fix: 'The tables are read anew.',
  });
}

/** The error for a database that does not track its changes. */
export function notTracked(): IngestError {
  return new IngestError('UNSUPPORTED', 'Change tracking of the database is off.', {
    fix: 'ALTER DATABASE ... SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 7 DAYS, AUTO_CLEANUP = ON)',
  });
}

type Explanation = {readonly code: ErrorCode} & IngestErrorInit;

/** Texts about logins, databases, objects and permissions: they name no values of rows. */
const SAFE_TEXTS = new Set([
  207, 208, 229, 230, 262, 297, 300, 916, 3952, 3960, 3961, 4060, 18_456, 18_470, 18_486, 22_105, 22_117,
]);

/** Codes of certificates that do not prove the server, and of TLS. @see https://nodejs.org/docs/latest-v20.x/api/tls.html#x509-certificate-error-codes */
const TLS_FAILURE = /CERT|HOSTNAME|^UNABLE_TO_|^INVALID_|^ERR_TLS|^ERR_SSL|^EENCRYPT$/;

/** @see https://learn.microsoft.com/en-us/sql/relational-databases/errors-events/database-engine-events-and-errors */
function explain({code, number, causeCode}: DriverError): Explanation {
  switch (number) {
    case 0:
      break;
    case 18_456:
    case 18_470:
    case 18_486:
    case 4060:
      return {code: 'AUTH_FAILED', fix: 'Check user, password and database.'};
    case 208:
      return {code: 'UNKNOWN_TABLE', fix: 'Check the name: schema.table.'};
    case 207:
    case 3961:
      return {code: 'SOURCE_SCHEMA_CHANGED', fix: 'Run again: the next attempt reads the new columns.'};
    case 229:
    case 230:
    case 262:
    case 297:
    case 300:
    case 916:
    case 22_117:
      return {code: 'PERMISSION_DENIED', fix: 'Grant the user what the documentation of the connector lists.'};
    case 3952:
      return {
        code: 'SOURCE_ERROR',
        class: 'config',
        fix: 'ALTER DATABASE ... SET ALLOW_SNAPSHOT_ISOLATION ON.',
      };
    case 1205:
    case 1222:
    case 40_197:
    case 40_501:
    case 40_613:
      return {code: 'SOURCE_ERROR', fix: 'Usually this passes.'};
    default:
      return {
        code: 'SOURCE_ERROR',
        // Statements that the server cannot compile do not get better.
        ...(number < 1000 && {class: 'config' as const}),
        fix: `Look for the number in the server's manual of errors, or in its log.`,
      };
  }
  if (code === 'ELOGIN') return {code: 'AUTH_FAILED', fix: 'Check user, password and database.'};
  if (code === 'EENCRYPT' || TLS_FAILURE.test(causeCode)) {
    return {
      code: 'CONNECTION_FAILED',
      class: 'config',
      fix: 'Check encrypt, ssl_ca and trust_server_certificate: the name and authority of the server are proved.',
    };
  }
  return {code: 'CONNECTION_FAILED', fix: 'Check host, port, firewall and that the server runs.'};
}
