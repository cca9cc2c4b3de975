import {
  compareCursors,
  createCursorTracker,
  cursorMicros,
  defineConnector,
  didYouMean,
  formatTimestamp,
  fromDdl,
  IngestError,
  type Connector,
  type ConnectorDefinition,
  type JsonObject,
  type Offset,
  type Page,
  type ReadContext,
  type TableMetadata,
} from 'sluice/sdk';

import {MySourceClient, openHttp} from './client.ts';

/** What is known of the tables. */
const TABLES: Readonly<Record<string, {readonly columns: string; readonly metadata: TableMetadata}>> = {
  labels: {
    columns: 'id BIGINT NOT NULL, name STRING, color STRING',
    metadata: {primaryKeys: ['id'], ingestionType: 'snapshot', keysEnforced: true},
  },
  items: {
    columns: 'id BIGINT NOT NULL, title STRING, price DOUBLE, tags ARRAY<STRING>, updated_at TIMESTAMP NOT NULL',
    metadata: {
      primaryKeys: ['id'],
      cursorField: 'updated_at',
      ingestionType: 'cdc_with_deletes',
      keysEnforced: true,
    },
  },
};

/** Reads My source by hand: one way of reading per table. */
export const mySource: ConnectorDefinition = defineConnector({
  name: 'my_source',
  spec: {
    displayName: 'My source',
    description: 'Labels and items of My source, over its REST API.',
    connection: {
      base_url: {type: 'string', default: 'https://api.example.com/v1', description: 'Where the API is.'},
      token: {type: 'string', required: true, secret: true, description: 'A token from the settings page.'},
    },
    table: {},
  },
  client: openHttp,
  create(context): Connector {
    const client = new MySourceClient(context);
    return {
      async listTables(ctx): Promise<readonly string[]> {
        // One page: wrong credentials are found where a connection is made.
        for await (const _ of client.pages('/labels', {}, ctx)) break;
        return Object.keys(TABLES);
      },
      getTableSchema: async (table) => Promise.resolve(fromDdl(known(table).columns)),
      readTableMetadata: async (table) => Promise.resolve(known(table).metadata),
      readTable(table, start, _options, ctx) {
        known(table);
        return table === 'labels'
          ? readLabels(client, ctx)
          : readChanges(client, '/items', {start, ctx, land: withoutMark});
      },
      readTableDeletes: (_table, start, _options, ctx) =>
        readChanges(client, '/items/deleted', {start, ctx, land: asDelete}),
      close: () => client.close(),
    };
  },
});
export default mySource;

/** The whole table, every time; it shows when it is complete. Rows that move while they are paged come once. */
async function* readLabels(client: MySourceClient, ctx: ReadContext): AsyncGenerator<Page, Offset | null> {
  const seen = new Set<JsonObject[string]>();
  for await (const rows of client.pages('/labels', {}, ctx)) {
    const fresh = rows.filter((row) => !seen.has(row['id']));
    for (const row of fresh) seen.add(row['id']);
    yield fresh;
  }
  return null;
}

/**
 * What changed since the offset, itself included: another row may have got the same time since. A page carries an offset only
 * when no row of that time can follow, so that nothing is lost when the batch ends there.
 */
async function* readChanges(
  client: MySourceClient,
  path: string,
  {start, ctx, land}: ChangesRead,
): AsyncGenerator<Page, Offset | null> {
  const tracker = createCursorTracker({table: path, field: 'updated_at', kind: 'timestamp'}, start);
  let newest: JsonObject[string];
  const query = tracker.from === null ? {} : {updated_since: String(tracker.from)};
  for await (const page of client.pages(path, query, ctx)) {
    const rows = page.toSorted((left, right) => byTime(left['updated_at'], right['updated_at']));
    // Rows of earlier pages that come again, as they do when others move, say nothing new about the time.
    const offset = tracker.page(rows.filter((row) => byTime(row['updated_at'], newest) >= 0));
    newest = rows.at(-1)?.['updated_at'] ?? newest;
    yield {kind: 'records', rows: rows.map(land), ...(offset === undefined ? {} : {offset})};
  }
  return tracker.end();
}

interface ChangesRead {
  readonly start: Offset | null;
  readonly ctx: ReadContext;
  /** The record as it lands. */
  readonly land: (row: JsonObject) => JsonObject;
}

function byTime(left: JsonObject[string], right: JsonObject[string]): number {
  return compareCursors('timestamp', left, right);
}

/** `is_deleted` is told by the list, not by a column. */
function withoutMark({is_deleted: _, ...row}: JsonObject): JsonObject {
  return row;
}

/** A delete is newer than a change of the same millisecond: nothing changes a row that is gone. */
function asDelete({id, updated_at: time}: JsonObject): JsonObject {
  return {id, updated_at: formatTimestamp(cursorMicros(String(time)) + 1n)};
}

function known(table: string): {readonly columns: string; readonly metadata: TableMetadata} {
  const found = TABLES[table];
  if (found !== undefined) return found;
  const close = didYouMean(table, Object.keys(TABLES));
  throw new IngestError('UNKNOWN_TABLE', `My source has no table "${table}".`, {
    fix: close === null ? `It has ${Object.keys(TABLES).join(', ')}.` : `Did you mean "${close}"?`,
    context: {table},
  });
}
