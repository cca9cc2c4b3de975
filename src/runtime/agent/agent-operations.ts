/** What an agent is told of an error; the words of the ingestion-agent interface. */
export type AgentErrorCode =
  | 'auth_failed'
  | 'not_found'
  | 'permission_denied'
  | 'rate_limited'
  | 'bad_request'
  | 'unsupported'
  | 'internal_error'
  | 'connection_failed';

/** A parameter of an operation. */
export interface AgentParameter {
  /** `options`: a mapping of option names to values. */
  readonly type: 'string' | 'integer' | 'string[]' | 'options';
  readonly description: string;
  readonly required?: boolean;
  readonly default?: number;
  readonly min?: number;
  readonly max?: number;
}

/** Names of the operations. */
export type AgentOperationName =
  | 'list_operations'
  | 'validate_connection'
  | 'list_objects'
  | 'get_object_metadata'
  | 'read_table';

/** An operation: what it takes, and the columns of the rows that it gives. */
export interface AgentOperation {
  readonly name: AgentOperationName;
  readonly description: string;
  readonly kind: 'metadata' | 'data';
  readonly parameters: Readonly<Record<string, AgentParameter>>;
  /** Null: the table's own. */
  readonly result: Readonly<Record<string, 'string' | 'integer'>> | null;
}

/** Most rows of one answer. */
export const MAX_AGENT_ROWS = 1000;

const connection: AgentParameter = {
  type: 'string',
  description: 'Name of the connection; may be left out when there is only one.',
};
const path: AgentParameter = {
  type: 'string[]',
  description: 'Namespace, from the outside in, for sources whose tables live in namespaces, for example ["public"].',
};
const options: AgentParameter = {
  type: 'options',
  description: 'Options of the table, as the connector documents them.',
};

/** All operations, in the order in which they are listed. */
export const AGENT_OPERATIONS: readonly AgentOperation[] = [
  {
    name: 'list_operations',
    description: 'Lists the operations with their parameters. Asks no source.',
    kind: 'metadata',
    parameters: {},
    result: {
      name: 'string',
      description: 'string',
      kind: 'string',
      parameters_json: 'string',
      result_schema_json: 'string',
    },
  },
  {
    name: 'validate_connection',
    description:
      'Tries a connection: its options, the list of its tables, a page of one table. Without a name: lists the connections and tries none when there are several.',
    kind: 'metadata',
    parameters: {connection},
    result: {connection: 'string', connector: 'string', status: 'string', detail: 'string', tables: 'integer'},
  },
  {
    name: 'list_objects',
    description: 'Lists the tables and namespaces of a connection, by name.',
    kind: 'metadata',
    parameters: {
      connection,
      path,
      search: {
        type: 'string',
        description: 'Regular expression that names must match, in any case; at most 200 characters.',
      },
      limit: {type: 'integer', description: 'Most objects to give.', default: 200, min: 1, max: MAX_AGENT_ROWS},
    },
    result: {name: 'string', type: 'string', full_path: 'string'},
  },
  {
    name: 'get_object_metadata',
    description: 'Keys, cursor, ingestion type and columns of a table, as key and value.',
    kind: 'metadata',
    parameters: {
      connection,
      name: {
        type: 'string',
        description: 'The table: its full_path as list_objects gives it, or its name with path.',
        required: true,
      },
      path,
      metadata_key: {type: 'string', description: 'Only this key, in any case, for example primary_key.'},
      options,
    },
    result: {key: 'string', value: 'string'},
  },
  {
    name: 'read_table',
    description: 'The first rows of a table, typed as they would land in the lake. Writes nothing.',
    kind: 'data',
    parameters: {
      connection,
      table_name: {type: 'string', description: 'The table: its full_path as list_objects gives it.', required: true},
      schema_name: {type: 'string', description: 'Namespace of the table, where it is not part of table_name.'},
      catalog_name: {type: 'string', description: 'Namespace around schema_name, for sources that have two.'},
      columns: {type: 'string[]', description: 'Only these columns; default: all.'},
      options,
      limit: {type: 'integer', description: 'Most rows to give.', default: 50, min: 1, max: MAX_AGENT_ROWS},
    },
    result: null,
  },
];
