import type {CursorColumn, TableOptions} from '../../sdk/index.ts';
import {configuredKeys, IngestError, namedCursor, qualifiedName} from '../../sdk/index.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {isSortable} from './column-type.ts';
import {columnSql} from './snapshot.ts';

/** The cursor column with its type. */
export interface SourceCursor extends CursorColumn {
  readonly column: SourceColumn;
}

/** The table's cursor column, as the option says; null without one. @throws UNKNOWN_COLUMN, UNSUPPORTED */
export function cursorOf(table: SourceTable, options: TableOptions): SourceCursor | null {
  const where = qualifiedName([table.schema, table.name]);
  const column = namedCursor(where, table.columns, options);
  if (column === null) return null;
  const {name, type, nullable} = column;
  if (!isSortable(type) || type.name === 'uniqueidentifier' || type.name === 'time' || type.name === 'bit') {
    throw new IngestError(
      'UNSUPPORTED',
      `Table "${where}": column "${name}" of type ${type.name} cannot be a cursor.`,
      {
        fix: 'Choose a column of whole numbers, decimals, dates, times, rowversion or short text: others do not keep an exact order.',
        context: {table: where, column: name},
      },
    );
  }
  const isTime = TIMES.has(type.name);
  return {
    column,
    name,
    sql: columnSql(name),
    isNullable: nullable,
    keyed: table.keys.length > 0 || configuredKeys(options).length > 0,
    isTime,
    // A datetime has steps of 3.33 ms.
    coarse: isTime && !(type.name.startsWith('datetime') && type.scale >= 6),
  };
}

const TIMES = new Set(['date', 'datetime', 'smalldatetime', 'datetime2', 'datetimeoffset']);
