import type {ConnectorDefinition} from '../../sdk/index.ts';
import {defineConnector} from '../../sdk/index.ts';
import {PostgresConnector} from './connector.ts';
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
      ssh_host: {type: 'string', description: 'Host to tunnel through by SSH; needs the package ssh2.'},
      ssh_port: {type: 'integer', default: 22, min: 1, max: 65_535, description: 'Port of the SSH host.'},
      ssh_user: {type: 'string', description: 'User of the SSH host.'},
      ssh_host_key: {
        type: 'string',
        description: 'The one host key that is accepted: SHA256:... or a line of known_hosts.',
      },
      ssh_private_key: {
        type: 'string',
        secret: true,
        description: 'Private key for the SSH host, PEM or OpenSSH text.',
      },
      ssh_password: {type: 'string', secret: true, description: 'Password for the SSH host.'},
    },
    table: {
      cursor_column: {
        type: 'string',
        description: 'Column that grows with every change of a row; without one the table is read whole in every run.',
      },
      lookback_seconds: {
        type: 'integer',
        default: 0,
        min: 0,
        max: 31_536_000,
        description:
          'How far behind the last value rows are read again, for rows that are committed late. Needs a time as cursor and a key.',
      },
      columns: {type: 'string[]', description: 'Columns to read; default: all.'},
      primary_keys: {type: 'string[]', description: 'Columns that identify a row, where the database declares none.'},
    },
  },
  create: ({options, connectionName}) => new PostgresConnector(connectionOptions(options, connectionName)),
});

export default postgresql;
