import {IngestError} from '../../core/errors.ts';
import type {Offset} from '../../core/offset.ts';
import {didYouMean} from '../../core/suggest.ts';
import type {TableOptions} from '../contract.ts';

/** The column that orders the changes of a table, for reads by queries. */
export interface CursorColumn {
  readonly name: string;
  /** The column as SQL. */
  readonly sql: string;
  readonly isNullable: boolean;
  /** Rows are known by a key, so that reading one again changes nothing. */
  readonly keyed: boolean;
  readonly isTime: boolean;
  /** Several commits share a value as a matter of course: seconds, days. */
  readonly coarse: boolean;
}

/** Where a table with a cursor stands: everything up to the value, or up to the row with value and key. */
export interface CursorOffset {
  /** The value as the source's own text; null when no row had one yet. */
  readonly value: string | null;
  /** Of the table's own key in the last row read; null when all rows with `value` were read. */
  readonly key: readonly string[] | null;
}

/** What is being done, for messages: `read table "dbo.orders"`. */
export interface SqlDoing {
  readonly what: string;
  readonly table?: string;
}

/** The column that the option `cursor_column` names; null without the option. @throws UNKNOWN_COLUMN */
export function namedCursor<C extends {readonly name: string}>(
  table: string,
  columns: readonly C[],
  options: TableOptions,
): C | null {
  const name = options['cursor_column'];
  if (typeof name !== 'string') return null;
  const column = columns.find((candidate) => candidate.name === name);
  if (column !== undefined) return column;
  const names = columns.map((candidate) => candidate.name);
  const close = didYouMean(name, names);
  throw new IngestError('UNKNOWN_COLUMN', `Table "${table}" has no column "${name}" to be its cursor.`, {
    fix: close === null ? `Its columns are ${names.join(', ')}.` : `Did you mean "${close}"?`,
    context: {table, column: name},
  });
}

/** The keys that the option `primary_keys` names; empty without it. */
export function configuredKeys(options: TableOptions): readonly string[] {
  const keys = options['primary_keys'];
  return Array.isArray(keys) ? keys.map(String) : [];
}

/** The option `lookback_seconds`; a table without a cursor is read whole. @throws INVALID_OPTION where it cannot work. */
export function lookbackOf(
  options: TableOptions,
  cursor: Pick<CursorColumn, 'isTime' | 'keyed'> | null,
  {what, table}: SqlDoing,
): number {
  const seconds = options['lookback_seconds'];
  if (typeof seconds !== 'number' || seconds === 0) return 0;
  if (cursor?.isTime === true && cursor.keyed) return seconds;
  const reason =
    cursor === null
      ? 'which has no cursor column and is read whole'
      : cursor.keyed
        ? 'its cursor is no time'
        : 'it has no key, so that rows read again would be there twice';
  throw new IngestError('INVALID_OPTION', `Cannot ${what}: lookback_seconds does not fit this table, ${reason}.`, {
    fix: 'Remove lookback_seconds, or name primary_keys and a cursor column of dates or times.',
    context: table === undefined ? {} : {table},
  });
}

/** Reads an offset. @throws INVALID_OPTION when it was made with another cursor column. */
export function parseCursorOffset(offset: Offset, cursor: Pick<CursorColumn, 'name'>, table: string): CursorOffset {
  const {column, value, key} = offset;
  if (column !== cursor.name) {
    throw new IngestError(
      'INVALID_OPTION',
      `Table "${table}" was read by cursor column "${String(column)}", now it is "${cursor.name}".`,
      {fix: 'Refresh the table fully, or put the old cursor column back.', context: {table}},
    );
  }
  return {
    value: typeof value === 'string' ? value : null,
    key: Array.isArray(key) ? key.map(String) : null,
  };
}

/** Writes an offset. */
export function cursorOffset(cursor: Pick<CursorColumn, 'name'>, {value, key}: CursorOffset): Offset {
  return {column: cursor.name, value, ...(key !== null && {key})};
}
