import {
  createHttpClient,
  cursorMicros,
  formatTimestamp,
  restConnector,
  type ConnectorDefinition,
  type JsonObject,
  type Listing,
} from 'sluice/sdk';

/** A list of this API: pages by cursor, records under `data`. */
function list(path: string): Listing {
  return {
    // `cursor` is where an incremental read begins, itself included; null for a first load.
    request: ({cursor}) => ({url: path, query: {updated_since: cursor ?? undefined}}),
    paginator: {
      kind: 'cursor',
      slot: {query: 'cursor'},
      next: {body: 'next_cursor'},
      size: {slot: {query: 'limit'}, value: 100},
    },
    records: 'data',
  };
}

/** Reads My source: labels whole, items as they change, with their deletes. */
export const mySource: ConnectorDefinition = restConnector({
  name: 'my_source',
  displayName: 'My source',
  description: 'Labels and items of My source, over its REST API.',
  connection: {
    base_url: {type: 'string', default: 'https://api.example.com/v1', description: 'Where the API is.'},
    token: {type: 'string', required: true, secret: true, description: 'A token from the settings page.'},
  },
  client: (options, create) =>
    createHttpClient(
      {
        baseUrl: String(options['base_url']),
        auth: {kind: 'bearer', token: String(options['token'])},
        errors: [
          // This API may answer an error with status 200.
          {when: {status: 200, body: {path: 'error.message', matches: /./}}, then: 'retry'},
          // The cursor of a page has expired: the next attempt begins the list anew.
          {when: {status: 410}, then: 'fail', code: 'SOURCE_ERROR'},
        ],
      },
      create,
    ),
  // Asked before tables are listed: wrong credentials are found where a connection is made.
  check: {url: '/labels', query: {limit: 1}},
  tables: [
    {
      name: 'labels',
      description: 'Labels that items may have.',
      primaryKeys: ['id'],
      ingestionType: 'snapshot',
      schema: 'id BIGINT NOT NULL, name STRING, color STRING',
      read: {kind: 'snapshot', list: list('/labels')},
    },
    {
      name: 'items',
      description: 'Items as they are now.',
      primaryKeys: ['id'],
      cursorField: 'updated_at',
      ingestionType: 'cdc_with_deletes',
      schema: 'id BIGINT NOT NULL, title STRING, price DOUBLE, tags ARRAY<STRING>, updated_at TIMESTAMP NOT NULL',
      read: {kind: 'sorted', format: 'iso_ms', list: list('/items')},
      drop: ['is_deleted'],
      deletes: {
        kind: 'log',
        read: {kind: 'sorted', format: 'iso_ms', list: list('/items/deleted')},
        transform: asDelete,
      },
    },
  ],
});
export default mySource;

/** A delete is newer than a change of the same millisecond: nothing changes a row that is gone. */
function asDelete({id = null, updated_at: time}: JsonObject): JsonObject {
  return {id, updated_at: formatTimestamp(cursorMicros(String(time)) + 1n)};
}
