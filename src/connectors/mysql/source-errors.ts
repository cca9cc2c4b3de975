import type {ErrorCode, IngestErrorInit, SqlDoing} from '../../sdk/index.ts';
import {IngestError, tunnelFailed} from '../../sdk/index.ts';
import {MysqlError} from '../../wire/mysql/mysql-error.ts';
import {TunnelError} from '../../wire/ssh/tunnel.ts';

/** What was being done, for messages: `connect to db.example`, `read "shop.orders"`. */
export type Doing = SqlDoing;

/** The error that the framework understands; errors that are none of the server's or the network's pass unchanged. */
export function sourceError(error: unknown, doing: Doing): unknown {
  if (error instanceof TunnelError) return tunnelFailed(error, doing);
  if (!(error instanceof MysqlError)) return error;
  const {code, ...init} = explain(error);
  return new IngestError(code, `Cannot ${doing.what}: ${error.message}.`, {
    ...init,
    cause: error,
    context: {...(doing.table !== undefined && {table: doing.table}), error: error.number},
  });
}

/** The error for a table that is not there. */
export function unknownTable(table: string): IngestError {
  return new IngestError('UNKNOWN_TABLE', `The server has no table "${table}", or the user may not see it.`, {
    fix: 'Names are database.table; the user needs SELECT on the table.',
    context: {table},
  });
}

/** The error for a log that does not go on where it was left. */
export function logLost(why: string, cause?: unknown): IngestError {
  return new IngestError('LOG_LOST', `The binary log does not go on where it was left: ${why}.`, {
    fix: 'The tables are read anew. Keep the log longer: binlog_expire_logs_seconds, on RDS `binlog retention hours`.',
    cause,
  });
}

type Explanation = {readonly code: ErrorCode} & IngestErrorInit;

function explain(error: MysqlError): Explanation {
  switch (error.kind) {
    case 'network':
    case 'timeout':
      return {code: 'CONNECTION_FAILED', fix: 'Check host, port, firewall and that the server runs.'};
    case 'protocol':
      return {
        code: 'CONNECTION_FAILED',
        class: 'config',
        fix: 'Check that host and port are those of a MySQL or MariaDB server.',
      };
    case 'tls':
      return {
        code: 'CONNECTION_FAILED',
        class: 'config',
        fix: 'Check ssl_mode and the certificates (ssl_ca, ssl_cert, ssl_key).',
      };
    case 'auth':
      return {code: 'AUTH_FAILED', fix: 'Check user and password, and the hosts that the account is allowed from.'};
    case 'server':
      return explainNumber(error);
  }
}

/** @see https://dev.mysql.com/doc/mysql-errors/9.4/en/server-error-reference.html */
function explainNumber({number, sqlstate}: MysqlError): Explanation {
  switch (number) {
    case 1049:
    case 1146:
      return {code: 'UNKNOWN_TABLE', fix: 'Check the name: database.table.'};
    case 1054:
    case 1412:
      return {code: 'SOURCE_SCHEMA_CHANGED', fix: 'Run again: the next attempt reads the new columns.'};
    case 1044:
    case 1142:
    case 1143:
    case 1227:
    case 1370:
      return {
        code: 'PERMISSION_DENIED',
        fix: 'GRANT SELECT on the tables to the user; to follow the log also GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.*',
      };
    case 1040:
    case 1203:
    case 1226:
      return {
        code: 'SOURCE_ERROR',
        fix: 'The server has no connection left: raise max_connections or read fewer tables at once.',
      };
    case 1236:
      return {code: 'LOG_LOST', fix: 'The tables are read anew. Keep the log longer: binlog_expire_logs_seconds.'};
  }
  return sqlstate.startsWith('42')
    ? {code: 'SOURCE_ERROR', class: 'config', fix: "Look for the number in the server's manual of errors."}
    : {code: 'SOURCE_ERROR', fix: 'Usually this passes; else look into the log of the server.'};
}
