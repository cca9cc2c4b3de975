import {
  defineConnector,
  didYouMean,
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

import {ExportClient, type ExportFile} from './client.ts';

const TABLES: Readonly<Record<string, {readonly columns: string; readonly metadata: TableMetadata}>> = {
  events: {
    columns: 'id BIGINT NOT NULL, kind STRING, at TIMESTAMP',
    // Rows are added and never changed; a listing has an end, and so has a run.
    metadata: {primaryKeys: ['id'], ingestionType: 'append', keysEnforced: true, bounded: true},
  },
};

/** Reads the files that My source exports: each once, when it is new. */
export const mySource: ConnectorDefinition = defineConnector({
  name: 'my_source',
  spec: {
    displayName: 'My source',
    description: 'Events of My source, from the files that it exports.',
    connection: {
      base_url: {type: 'string', default: 'https://files.example.com/v1', description: 'Where the exports are.'},
      token: {type: 'string', required: true, secret: true, description: 'A token from the settings page.'},
    },
    table: {},
  },
  create(context): Connector {
    const client = new ExportClient(context);
    return {
      async listTables(ctx): Promise<readonly string[]> {
        // One page: wrong credentials are found where a connection is made.
        for await (const _ of client.pages(ctx)) break;
        return Object.keys(TABLES);
      },
      getTableSchema: async (table) => Promise.resolve(fromDdl(known(table).columns)),
      readTableMetadata: async (table) => Promise.resolve(known(table).metadata),
      readTable(table, start, _options, ctx) {
        known(table);
        return readNewFiles(client, start, ctx);
      },
      close: () => client.close(),
    };
  },
});
export default mySource;

/**
 * Files that the ledger does not know, oldest first. It tells them by name and time, so that a file that appears late, with a
 * time before those read already, is read all the same. The batch may end after any file.
 */
async function* readNewFiles(
  client: ExportClient,
  start: Offset | null,
  ctx: ReadContext,
): AsyncGenerator<Page, Offset | null> {
  const files = await newFiles(client, ctx);
  let offset = start;
  for (const [index, file] of files.entries()) {
    ctx.signal.throwIfAborted();
    ctx.progress({remainingRows: files.slice(index).reduce((sum, {rowCount}) => sum + rowCount, 0)});
    for await (const rows of client.rows(file, ctx)) yield rows;
    ctx.ledger.put(keyOf(file), true);
    offset = {files: Number(offset?.['files'] ?? 0) + 1, newest: file.name};
    yield {kind: 'records', rows: NO_ROWS, offset};
  }
  return offset;
}

const NO_ROWS: readonly JsonObject[] = [];

async function newFiles(client: ExportClient, ctx: ReadContext): Promise<readonly ExportFile[]> {
  const files = new Map<string, ExportFile>();
  for await (const page of client.pages(ctx)) for (const file of page) files.set(keyOf(file), file);
  const read = await ctx.ledger.get([...files.keys()]);
  return [...files]
    .filter(([key]) => !read.has(key))
    .map(([, file]) => file)
    .toSorted((left, right) => (keyOf(left) < keyOf(right) ? -1 : 1));
}

/** Sorts by time; a file that is written anew is another one. */
function keyOf({name, modifiedAt}: ExportFile): string {
  return `${modifiedAt} ${name}`;
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
