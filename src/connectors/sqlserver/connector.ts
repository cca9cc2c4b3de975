import type {QueryDatabase, ReadContext} from '../../sdk/index.ts';
import {QueryConnector} from '../../sdk/index.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {describeTable, listSchemas, listTables, numberOf, splitName} from './catalog.ts';
import {typeToJson} from './column-type.ts';
import type {SourceCursor} from './cursor.ts';
import {cursorOf} from './cursor.ts';
import {dialectOf} from './dialect.ts';
import type {ConnectionOptions} from './session.ts';
import {Session} from './session.ts';
import {columnSql} from './snapshot.ts';
import type {Doing} from './source-errors.ts';
import {unknownTable} from './source-errors.ts';
import {landedSchema, readerOf, readFlagged} from './table-reads.ts';
import {settledBound} from './upper-bound.ts';

/** Reads tables of a SQL Server database by queries. */
export type SqlServerConnector = QueryConnector<Session, SourceColumn, SourceTable, SourceCursor>;

/** The connector to one database. Whoever made it closes it. */
export function sqlServerConnector(options: ConnectionOptions): SqlServerConnector {
  return new QueryConnector(databaseOf(options));
}

function databaseOf(options: ConnectionOptions): QueryDatabase<Session, SourceColumn, SourceTable, SourceCursor> {
  return {
    open: (signal) => Session.open(options, signal),
    namespacesOf: listSchemas,
    async tablesOf(session, namespace) {
      const tables = (await listTables(session)).map(({schema, name}) => ({namespace: schema, name}));
      return namespace === null ? tables : tables.filter((table) => table.namespace === namespace);
    },
    async describe(session, table) {
      const found = await describeTable(session, splitName(table), options);
      if (found === null) throw unknownTable(table);
      return found;
    },
    landedSchema,
    typeText: ({type}) => JSON.stringify(typeToJson(type)),
    cursorOf,
    dialectOf,
    columnSql,
    settledBound,
    beginView,
    readerOf,
    readFlagged,
  };
}

const SNAPSHOTS = `select convert(int, snapshot_isolation_state) from sys.databases where database_id = db_id()`;

async function beginView(session: Session, doing: Doing, ctx: Pick<ReadContext, 'log'>): Promise<void> {
  const [row] = await session.query(SNAPSHOTS, doing);
  if (numberOf(row?.[0]) === 1) await session.beginSnapshot(doing);
  else {
    ctx.log.info('The database allows no snapshot isolation: a read may see changes that are made meanwhile.', {
      table: doing.table ?? '',
    });
  }
}
