import type {ErrorCode, IngestErrorInit, SqlDoing} from '../../sdk/index.ts';
import {IngestError, schemaChanged, tunnelFailed} from '../../sdk/index.ts';
import {PgError} from '../../wire/pg/pg-error.ts';
import {TunnelError} from '../../wire/ssh/tunnel.ts';
import {WidthError} from './column-decoders.ts';
import {CopyMismatchError} from './copy-decoder.ts';

/** What was being done, for messages: `connect to db.example:5432`, `read table "public.orders"`. */
export type Doing = SqlDoing;

/** The error that the framework understands; errors that are no PostgreSQL errors pass unchanged. */
export function sourceError(error: unknown, doing: Doing): unknown {
  const context = doing.table === undefined ? {} : {table: doing.table};
  if (error instanceof CopyMismatchError || error instanceof WidthError) return schemaChanged(doing, error);
  if (error instanceof TunnelError) return tunnelFailed(error, doing);
  if (!(error instanceof PgError)) return error;
  if (error.sqlstate === '42703') return schemaChanged(doing, error);
  const {code, ...init} = explain(error);
  return new IngestError(code, `Cannot ${doing.what}: ${error.message}.`, {
    ...init,
    cause: error,
    context: {...context, sqlstate: error.sqlstate},
  });
}

type Explanation = {readonly code: ErrorCode} & IngestErrorInit;

function explain(error: PgError): Explanation {
  switch (error.kind) {
    case 'network':
    case 'timeout':
      return {code: 'CONNECTION_FAILED', fix: 'Check host, port, firewall and that the server runs.'};
    case 'protocol':
      return {
        code: 'CONNECTION_FAILED',
        class: 'config',
        fix: 'Check that host and port are those of a PostgreSQL server.',
      };
    case 'tls':
      return {
        code: 'CONNECTION_FAILED',
        class: 'config',
        fix: 'Check sslmode and the certificates (sslrootcert, sslcert, sslkey).',
      };
    case 'auth':
      return {code: 'AUTH_FAILED', fix: "Check user and password, and the server's pg_hba.conf."};
    case 'server':
      return explainState(error.sqlstate);
  }
}

/** @see https://www.postgresql.org/docs/18/errcodes-appendix.html */
function explainState(sqlstate: string): Explanation {
  switch (sqlstate) {
    case '3D000':
      return {code: 'INVALID_OPTION', fix: 'Check the option database.'};
    case '42P01':
    case '3F000':
      return {code: 'UNKNOWN_TABLE', fix: 'Check the name; schema and table are case-sensitive.'};
    case '42501':
      return {
        code: 'PERMISSION_DENIED',
        fix: 'Grant SELECT on the table and USAGE on its schema to the user; to follow the log also: alter role ... with replication',
      };
    case '57014':
      return {
        code: 'SOURCE_ERROR',
        fix: 'The statement was cancelled in the server: by somebody, or by a timeout there.',
      };
    case '22023':
    case '42704':
    case '55000':
      return {code: 'SOURCE_ERROR', fix: 'The database snapshot has ended; the next attempt takes a new one.'};
    case '55P03':
      return {
        code: 'SOURCE_SCHEMA_CHANGED',
        fix: 'Somebody waits to alter the table, which goes first; the next attempt reads the new columns.',
      };
    case '53300':
      return {
        code: 'SOURCE_ERROR',
        fix: 'The server has no connection left: raise max_connections or read fewer tables at once.',
      };
    case '40001':
      return {code: 'SOURCE_ERROR', fix: 'On a standby, raise max_standby_streaming_delay or read from the primary.'};
  }
  if (sqlstate.startsWith('28'))
    return {code: 'AUTH_FAILED', fix: "Check user and password, and the server's pg_hba.conf."};
  // Wrong statements and unsupported features do not heal by themselves; nearly everything else may.
  const permanent = /^(0A|22|42|2201)/.test(sqlstate);
  return permanent
    ? {code: 'SOURCE_ERROR', class: 'config', fix: 'Look for the SQLSTATE in the manual of PostgreSQL.'}
    : {code: 'SOURCE_ERROR', fix: 'Usually this passes; else look into the log of the server.'};
}
