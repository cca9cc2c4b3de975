import type {QueryDatabase} from '../../sdk/index.ts';
import {QueryConnector} from '../../sdk/index.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {describeTable, listDatabases, listTables, readCollations, splitName} from './catalog.ts';
import {typeToJson} from './column-type.ts';
import type {SourceCursor} from './cursor.ts';
import {cursorOf} from './cursor.ts';
import {dialectOf, incrementReader, readFlagged} from './incremental.ts';
import {columnSql} from './keyset.ts';
import type {ConnectionOptions} from './session.ts';
import {Session} from './session.ts';
import {unknownTable} from './source-errors.ts';
import {landedSchema} from './table-reads.ts';
import {settledBound} from './upper-bound.ts';

/** Reads tables of a MySQL or MariaDB server by queries. */
export type MysqlConnector = QueryConnector<Session, SourceColumn, SourceTable, SourceCursor>;

/** The connector to one server. Whoever made it closes it. */
export function mysqlConnector(options: ConnectionOptions): MysqlConnector {
  return new QueryConnector(databaseOf(options));
}

function databaseOf(options: ConnectionOptions): QueryDatabase<Session, SourceColumn, SourceTable, SourceCursor> {
  let collations: ReadonlyMap<string, number> | null = null;
  return {
    open: (signal) => Session.open(options, signal),
    namespacesOf: listDatabases,
    async tablesOf(session, namespace) {
      const tables = await listTables(session, namespace ?? options.database ?? null);
      return tables.map(({database, name}) => ({namespace: database, name}));
    },
    async describe(session, table) {
      collations ??= await readCollations(session);
      const found = await describeTable(session, splitName(table, options.database), collations);
      if (found === null) throw unknownTable(table);
      return found;
    },
    landedSchema,
    typeText: ({type}) => JSON.stringify(typeToJson(type)),
    cursorOf,
    dialectOf,
    columnSql,
    settledBound,
    async beginView(session, doing) {
      await session.query('start transaction with consistent snapshot', doing);
    },
    readerOf: incrementReader,
    readFlagged,
  };
}
