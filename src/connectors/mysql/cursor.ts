import type {CursorColumn, TableOptions} from '../../sdk/index.ts';
import {configuredKeys, IngestError, namedCursor} from '../../sdk/index.ts';
import {TYPE} from '../../wire/binlog/table-map.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {columnSql, isSortable} from './keyset.ts';

/** The cursor column with its type. */
export interface SourceCursor extends CursorColumn {
  readonly column: SourceColumn;
}

/** The table's cursor column, as the option says; null without one. @throws UNKNOWN_COLUMN, UNSUPPORTED */
export function cursorOf(table: SourceTable, options: TableOptions): SourceCursor | null {
  const where = `${table.database}.${table.name}`;
  const column = namedCursor(where, table.columns, options);
  if (column === null) return null;
  const {name, nullable} = column;
  if (!isSortable(column)) {
    throw new IngestError(
      'UNSUPPORTED',
      `Table "${where}": column "${name}" of type ${column.typeName} cannot be a cursor.`,
      {
        fix: 'Choose a column of whole numbers, DECIMAL, dates, times or short text: others do not keep an exact order.',
        context: {table: table.name, column: name},
      },
    );
  }
  const {code, meta} = column.type;
  const isTime = TIMES.has(code);
  return {
    column,
    name,
    sql: columnSql(name),
    isNullable: nullable,
    keyed: table.keys.length > 0 || configuredKeys(options).length > 0,
    isTime,
    coarse: isTime && (code === TYPE.date || meta < 6),
  };
}

const TIMES = new Set<number>([TYPE.date, TYPE.datetime, TYPE.datetime2, TYPE.timestamp, TYPE.timestamp2]);
