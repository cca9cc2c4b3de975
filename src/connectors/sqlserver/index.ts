import type {ConnectorDefinition, OptionSpecs} from '../../sdk/index.ts';
import {defineConnector, QUERY_OPTIONS, SSH_OPTIONS} from '../../sdk/index.ts';
import {SqlServerChangeLog} from './change-log.ts';
import {sqlServerConnector} from './connector.ts';
import {sqlServerCodec} from './log-codec.ts';
import {connectionOptions} from './session.ts';

const CONNECTION: OptionSpecs = {
  host: {type: 'string', required: true, description: 'Name or address of the server.'},
  port: {type: 'integer', default: 1433, min: 1, max: 65_535, description: 'Port of the server.'},
  instance_name: {
    type: 'string',
    description: 'Named instance; its port is asked of the SQL Server Browser, and `port` is not used.',
  },
  database: {type: 'string', required: true, description: 'Database to read.'},
  user: {type: 'string', required: true, description: 'SQL Server login; what it needs is in the documentation.'},
  password: {type: 'string', required: true, secret: true, description: 'Password of the login.'},
  encrypt: {
    type: 'string',
    default: 'required',
    enum: ['disabled', 'required', 'strict'],
    description: 'TLS: none, from the login on, or from the first byte (TDS 8, SQL Server 2022).',
  },
  trust_server_certificate: {
    type: 'boolean',
    default: false,
    description: 'Do not prove who the server is. Only false proves that the server is the one named.',
  },
  ssl_ca: {type: 'string', description: "PEM text of the authorities to trust; default: the system's."},
  connect_timeout_seconds: {
    type: 'integer',
    default: 15,
    min: 1,
    max: 600,
    description: 'Limit for connecting and logging in.',
  },
  read_only_intent: {
    type: 'boolean',
    default: false,
    description: 'Read from a readable secondary of an availability group, for reads by queries.',
  },
  change_method: {
    type: 'string',
    default: 'auto',
    enum: ['auto', 'change_tracking', 'cdc'],
    description:
      'How a gateway follows tables: each by change tracking where it has a primary key and change tracking is on, else by change data capture (auto); or all of them by one of the two.',
  },
  poll_seconds: {
    type: 'number',
    default: 5,
    min: 0.02,
    max: 3600,
    description: 'Seconds between two looks for changes.',
  },
  hundred_nanoseconds: {
    type: 'string',
    default: 'cut',
    enum: ['cut', 'text'],
    description:
      'What becomes of datetime2(7) and datetimeoffset(7): timestamps without their seventh digit, or texts with it.',
  },
  ...SSH_OPTIONS,
};

/** Tables and views of a SQL Server database, read by queries, by change tracking or by change data capture. */
export const sqlserver: ConnectorDefinition = defineConnector({
  name: 'sqlserver',
  spec: {
    displayName: 'SQL Server',
    description:
      'Tables of a SQL Server or Azure SQL database, read by queries (whole, or by a cursor column), by change tracking or by change data capture. Needs the package tedious.',
    connection: CONNECTION,
    table: QUERY_OPTIONS,
  },
  create: ({options, connectionName}) => sqlServerConnector(connectionOptions(options, connectionName)),
  changeLog: {
    open: ({options, connectionName}, settings) =>
      new SqlServerChangeLog(connectionOptions(options, connectionName), settings),
    codec: () => Promise.resolve(sqlServerCodec),
  },
});

export default sqlserver;
