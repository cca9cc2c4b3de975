import type {CursorColumn, TableOptions} from '../../sdk/index.ts';
import {configuredKeys, IngestError, namedCursor} from '../../sdk/index.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {columnName} from './catalog.ts';
import {canBeCursor, timeDigits} from './source-type.ts';

/** The cursor column with its type. */
export interface SourceCursor extends CursorColumn {
  readonly column: SourceColumn;
}

/** The table's cursor column, as the option says; null without one. @throws UNKNOWN_COLUMN, UNSUPPORTED */
export function cursorOf(table: SourceTable, options: TableOptions): SourceCursor | null {
  const where = `${table.schema}.${table.name}`;
  const column = namedCursor(where, table.columns, options);
  if (column === null) return null;
  const {name, nullable, source, typeName} = column;
  if (!canBeCursor(source)) {
    throw new IngestError('UNSUPPORTED', `Table "${where}": column "${name}" of type ${typeName} cannot be a cursor.`, {
      fix: 'Choose a column of whole numbers, numeric, dates, timestamps or text: others do not keep an exact order.',
      context: {table: table.name, column: name},
    });
  }
  const isTime = TIMES.has(source.name);
  return {
    column,
    name,
    sql: columnName(name),
    isNullable: nullable,
    keyed: table.keys.length > 0 || configuredKeys(options).length > 0,
    isTime,
    coarse: isTime && timeDigits(source) < 6,
  };
}

const TIMES = new Set(['date', 'timestamp', 'timestamptz']);
