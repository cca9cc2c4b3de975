import {
  createCursorTracker,
  defineConnector,
  didYouMean,
  fromDdl,
  IngestError,
  keysetPages,
  messageOf,
  type Connector,
  type ConnectorDefinition,
  type JsonObject,
  type Offset,
  type Page,
  type ReadContext,
} from 'sluice/sdk';

import {DatabaseError, type Database, type Select} from './driver.ts';
import {openDatabase} from './memory-database.ts';
import {TABLES, type TableInfo} from './tables.ts';

/** Rows of one query. */
const PAGE_ROWS = 500;

/** Reads tables by queries: those with a cursor column incrementally, the others whole. */
export const mySource: ConnectorDefinition = defineConnector({
  name: 'my_source',
  spec: {
    displayName: 'My source',
    description: 'Tables of My source, read by queries.',
    connection: {
      url: {type: 'string', required: true, description: 'Where the database is, for example memory:demo.'},
      password: {type: 'string', required: true, secret: true, description: 'Password of the user that reads.'},
    },
    table: {
      page_rows: {type: 'integer', min: 1, max: 100_000, default: PAGE_ROWS, description: 'Rows of one query.'},
    },
  },
  create: ({options}) => createConnector(openDatabase(String(options['url']), String(options['password']))),
});
export default mySource;

function createConnector(database: Database): Connector {
  return {
    async listTables(): Promise<readonly string[]> {
      // One row of one table: wrong credentials are found where a connection is made.
      await select(database, {table: 'countries', orderBy: ['id'], limit: 1});
      return Object.keys(TABLES);
    },
    getTableSchema: (table) => attempt(() => fromDdl(tableInfo(table).columns)),
    readTableMetadata: (table) =>
      attempt(() => {
        const {key, cursor} = tableInfo(table);
        return {
          primaryKeys: [key],
          ...(cursor === undefined ? {} : {cursorField: cursor}),
          ingestionType: cursor === undefined ? 'snapshot' : 'cdc',
          keysEnforced: true,
        };
      }),
    readTable(table, start, options, ctx) {
      const info = tableInfo(table);
      const read = {table, start, pageRows: Number(options['page_rows'])};
      return info.cursor === undefined
        ? readWhole(database, info, read)
        : readChanges(database, {...info, cursor: info.cursor}, {...read, ctx});
    },
    close: () => database.close(),
  };
}

interface TableRead {
  readonly table: string;
  readonly start: Offset | null;
  readonly pageRows: number;
}

/** The whole table by its key: rows that come and go in between shift nothing. */
function readWhole(database: Database, {key}: TableInfo, read: TableRead): AsyncGenerator<Page, Offset | null> {
  return keysetPages(read.start, {
    table: read.table,
    fields: [key],
    pageSize: read.pageRows,
    fetch: (after) =>
      select(database, {
        table: read.table,
        orderBy: [key],
        limit: read.pageRows,
        ...(after === null ? {} : {after: [after[key] ?? null]}),
      }),
  });
}

/**
 * Rows from the last cursor on, itself included: another row may have got the same value since. Within a call, pages go by
 * (cursor, key), so that a page border among equal values loses nothing.
 */
async function* readChanges(
  database: Database,
  {key, cursor}: Required<TableInfo>,
  {table, start, pageRows, ctx}: TableRead & {readonly ctx: ReadContext},
): AsyncGenerator<Page, Offset | null> {
  const tracker = createCursorTracker({table, field: cursor, kind: 'timestamp'}, start);
  let last: JsonObject | undefined;
  // Ends: every page moves the last row forward, and one that is not full is the last.
  for (;;) {
    ctx.signal.throwIfAborted();
    const rows = await select(database, {
      table,
      orderBy: [cursor, key],
      limit: pageRows,
      ...(last === undefined
        ? tracker.from === null
          ? {}
          : {from: {column: cursor, value: tracker.from}}
        : {after: [last[cursor] ?? null, last[key] ?? null]}),
    });
    const offset = tracker.page(rows);
    if (rows.length > 0) yield {kind: 'records', rows, ...(offset === undefined ? {} : {offset})};
    if (rows.length < pageRows) return tracker.end();
    last = rows.at(-1);
  }
}

/** Runs a query; the database's errors become errors that say whether trying again may help. */
async function select(database: Database, query: Select): Promise<readonly JsonObject[]> {
  try {
    return await database.select(query);
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    const code = {auth: 'AUTH_FAILED', lost: 'CONNECTION_FAILED', other: 'SOURCE_ERROR'} as const;
    throw new IngestError(code[error.code], `My source: ${messageOf(error)}.`, {
      ...(error.code === 'auth' ? {fix: 'Correct password of the connection.'} : {}),
      cause: error,
    });
  }
}

function tableInfo(table: string): TableInfo {
  const info = TABLES[table];
  if (info !== undefined) return info;
  const close = didYouMean(table, Object.keys(TABLES));
  throw new IngestError('UNKNOWN_TABLE', `My source has no table "${table}".`, {
    fix: close === null ? `It has ${Object.keys(TABLES).join(', ')}.` : `Did you mean "${close}"?`,
    context: {table},
  });
}

/** A value as a promise, and what throws as one that rejects. */
async function attempt<T>(make: () => T): Promise<T> {
  return await new Promise<T>((resolve) => resolve(make()));
}
