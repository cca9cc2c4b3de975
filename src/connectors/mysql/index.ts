import type {ConnectorDefinition, OptionSpecs} from '../../sdk/index.ts';
import {defineConnector, QUERY_OPTIONS, SSH_OPTIONS} from '../../sdk/index.ts';
import {MysqlChangeLog} from './change-log.ts';
import {mysqlConnector} from './connector.ts';
import {binlogCodec} from './log-codec.ts';
import {connectionOptions} from './session.ts';

const CONNECTION: OptionSpecs = {
  host: {type: 'string', required: true, description: 'Name or address of the server, or the path of its Unix socket.'},
  port: {type: 'integer', default: 3306, min: 1, max: 65_535, description: 'Port of the server.'},
  database: {type: 'string', description: 'Database of tables that are named without one.'},
  user: {
    type: 'string',
    required: true,
    description:
      'User to log in as; needs SELECT on tables, and for change logs REPLICATION SLAVE and REPLICATION CLIENT.',
  },
  password: {type: 'string', secret: true, description: 'Password of the user.'},
  ssl_mode: {
    type: 'string',
    default: 'preferred',
    enum: ['disabled', 'preferred', 'required', 'verify_ca', 'verify_identity'],
    description:
      "What TLS must prove, in the words of MySQL's client. Only verify_identity proves that the server is the one named.",
  },
  ssl_ca: {type: 'string', description: "PEM text of the authorities to trust; default: the system's."},
  ssl_cert: {type: 'string', description: "PEM text of the client's certificate."},
  ssl_key: {type: 'string', secret: true, description: "PEM text of the client certificate's key."},
  connect_timeout_seconds: {
    type: 'integer',
    default: 15,
    min: 1,
    max: 600,
    description: 'Limit for connecting and logging in.',
  },
  ...SSH_OPTIONS,
};

/** Tables and views of a MySQL or MariaDB server, read by queries or from the binary log. */
export const mysql: ConnectorDefinition = defineConnector({
  name: 'mysql',
  spec: {
    displayName: 'MySQL and MariaDB',
    description:
      'Tables of a MySQL (8 or later) or MariaDB (10.6 or later) server, read by queries (whole, or by a cursor column) or from the binary log.',
    connection: CONNECTION,
    table: QUERY_OPTIONS,
  },
  create: ({options, connectionName}) => mysqlConnector(connectionOptions(options, connectionName)),
  changeLog: {
    open: ({options, connectionName}, settings) =>
      new MysqlChangeLog(connectionOptions(options, connectionName), settings),
    codec: () => Promise.resolve(binlogCodec),
  },
});

export default mysql;
