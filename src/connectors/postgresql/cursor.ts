import type {Offset, TableOptions} from '../../sdk/index.ts';
import {didYouMean, IngestError} from '../../sdk/index.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {columnName} from './catalog.ts';
import {canBeCursor, timeDigits} from './source-type.ts';

/** The column that orders the changes of a table. */
export interface CursorColumn {
  readonly column: SourceColumn;
  /** The column as SQL. */
  readonly sql: string;
  /** Rows are known by a key, so that reading one again changes nothing. */
  readonly keyed: boolean;
  /** Several commits share a value as a matter of course: seconds, days. */
  readonly coarse: boolean;
}

/** The table's cursor column, as the option says; null without one. @throws UNKNOWN_COLUMN, UNSUPPORTED */
export function cursorOf(table: SourceTable, options: TableOptions): CursorColumn | null {
  const name = options['cursor_column'];
  if (typeof name !== 'string') return null;
  const column = table.columns.find((candidate) => candidate.name === name);
  const where = `Table "${table.schema}.${table.name}"`;
  if (column === undefined) {
    const names = table.columns.map((candidate) => candidate.name);
    const close = didYouMean(name, names);
    throw new IngestError('UNKNOWN_COLUMN', `${where} has no column "${name}" to be its cursor.`, {
      fix: close === null ? `Its columns are ${names.join(', ')}.` : `Did you mean "${close}"?`,
      context: {table: table.name, column: name},
    });
  }
  if (!canBeCursor(column.source)) {
    throw new IngestError('UNSUPPORTED', `${where}: column "${name}" of type ${column.typeName} cannot be a cursor.`, {
      fix: 'Choose a column of whole numbers, numeric, dates, timestamps or text: others do not keep an exact order.',
      context: {table: table.name, column: name},
    });
  }
  const isTime = TIMES.has(column.source.name);
  const keyed = table.keys.length > 0 || configuredKeys(options).length > 0;
  return {column, sql: columnName(name), keyed, coarse: isTime && timeDigits(column.source) < 6};
}

/** Keys that the user named. */
export function configuredKeys(options: TableOptions): readonly string[] {
  const keys = options['primary_keys'];
  return Array.isArray(keys) ? (keys as readonly string[]) : [];
}

/** Where a table with a cursor stands: everything up to the value, or up to the row with value and key. */
export interface CursorOffset {
  /** The server's text of the value; null when no row had one yet. */
  readonly value: string | null;
  /** Texts of the table's own key in the last row read; null when all rows with `value` were read. */
  readonly key: readonly string[] | null;
}

/** Reads an offset. @throws INVALID_OPTION when it was made with another cursor column. */
export function parseOffset(offset: Offset, cursor: CursorColumn, table: string): CursorOffset {
  const {column, value, key} = offset;
  if (column !== cursor.column.name) {
    throw new IngestError(
      'INVALID_OPTION',
      `Table "${table}" was read by cursor column "${String(column)}", now it is "${cursor.column.name}".`,
      {
        fix: 'Refresh the table fully, or put the old cursor column back.',
        context: {table},
      },
    );
  }
  return {
    value: typeof value === 'string' ? value : null,
    key: Array.isArray(key) ? key.map(String) : null,
  };
}

/** Writes an offset. */
export function cursorOffset(cursor: CursorColumn, {value, key}: CursorOffset): Offset {
  return {column: cursor.column.name, value, ...(key !== null && {key})};
}

const TIMES = new Set(['date', 'timestamp', 'timestamptz']);
