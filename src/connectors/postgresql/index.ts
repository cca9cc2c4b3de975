import type {ConnectorDefinition} from '../../sdk/index.ts';
import {defineConnector, QUERY_OPTIONS, SSH_OPTIONS} from '../../sdk/index.ts';
import {PostgresChangeLog} from './change-log.ts';
import {PostgresConnector} from './connector.ts';
import {pgCodec} from './log-codec.ts';
import {connectionOptions} from './session.ts';

/** Tables, views and foreign tables of a PostgreSQL database, read by queries: whole, or by a cursor column. */
export const postgresql: ConnectorDefinition = defineConnector({
  name: 'postgresql',
  spec: {
    displayName: 'PostgreSQL',
    description:
      'Tables and views of a PostgreSQL database (version 11 or later), read by queries: whole, or by a cursor column.',
    connection: {
      host: {
        type: 'string',
        required: true,
        description: 'Name or address of the server, or the folder of its Unix socket.',
      },
      port: {type: 'integer', default: 5432, min: 1, max: 65_535, description: 'Port of the server.'},
      database: {type: 'string', required: true, description: 'Database to read.'},
      user: {
        type: 'string',
        required: true,
        description: 'User to log in as; needs USAGE on schemas and SELECT on tables.',
      },
      password: {type: 'string', secret: true, description: 'Password, for SCRAM-SHA-256, md5 or clear-text log-in.'},
      sslmode: {
        type: 'string',
        default: 'prefer',
        enum: ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'],
        description: "What TLS must prove, in libpq's words. Only verify-full proves that the server is the one named.",
      },
      sslrootcert: {type: 'string', description: "PEM text of the authorities to trust; default: the system's."},
      sslcert: {type: 'string', description: "PEM text of the client's certificate."},
      sslkey: {type: 'string', secret: true, description: "PEM text of the client certificate's key."},
      connect_timeout_seconds: {
        type: 'integer',
        default: 15,
        min: 1,
        max: 600,
        description: 'Limit for connecting and logging in.',
      },
      application_name: {
        type: 'string',
        description: 'Name shown in pg_stat_activity; default: "sluice <connection>".',
      },
      ...SSH_OPTIONS,
    },
    table: QUERY_OPTIONS,
  },
  create: ({options, connectionName}) => new PostgresConnector(connectionOptions(options, connectionName)),
  changeLog: {
    open: ({options, connectionName}, settings) =>
      new PostgresChangeLog(connectionOptions(options, connectionName), settings),
    codec: () => Promise.resolve(pgCodec),
  },
});

export default postgresql;
