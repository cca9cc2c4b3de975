import type {Offset} from '../../core/offset.ts';
import type {Page, ReadContext} from '../contract.ts';
import {beyondSql} from './beyond.ts';
import type {CursorColumn, CursorOffset} from './cursor-column.ts';
import {cursorOffset} from './cursor-column.ts';

/** How a database writes what increments need; values are texts that it gave itself. */
export interface IncrementDialect {
  /** A value of the cursor column as SQL, of the column's own type. */
  cursorValue(text: string): string;
  /** A value of a column of the key as SQL. @param index place in the key */
  keyValue(index: number, text: string): string;
  /** The time `seconds` before the time that `value` is, as SQL. */
  minusSeconds(value: string, seconds: number): string;
  /** Condition for the rows behind a place: columns and values as SQL, in the order of the key. Default: {@link beyondSql}. */
  beyond?(columns: readonly string[], values: readonly string[]): string;
}

/** One increment of a table: rows after `start` up to `upper`. */
export interface Increment {
  readonly cursor: CursorColumn;
  /** Columns of the key that the source enforces, as SQL; empty without one. */
  readonly key: readonly string[];
  readonly dialect: IncrementDialect;
  readonly start: CursorOffset;
  /** The last value to read; null when no row has one. */
  readonly upper: string | null;
  /** How far behind `start` the first call of a trigger reads again. */
  readonly lookbackSeconds: number;
}

/** Rows of a query. */
export interface IncrementBatch {
  /** Without an offset. */
  readonly page: Exclude<Page, readonly unknown[]>;
  readonly rowCount: number;
  /** Of the last row: whether the condition `isNew` holds, its cursor's value and its key; null where they were not asked for. */
  readonly last: {readonly isNew: boolean; readonly value: string | null; readonly key: readonly string[]} | null;
}

/** What is read. */
export interface IncrementQuery {
  /** SQL condition; null: all rows. */
  readonly where: string | null;
  /** SQL expressions, ascending; empty: any order. */
  readonly orderBy: readonly string[];
  /** SQL condition that tells rows behind the offset from those that are read again; null: nothing of the last row is asked for. */
  readonly isNew: string | null;
}

/** Runs the queries of an increment, all in one view of the database. */
export interface IncrementReader {
  /** The rows of a query, in its order. */
  read(query: IncrementQuery): AsyncIterable<IncrementBatch>;
  /** How many rows a condition has. */
  count(where: string): Promise<number>;
  /** Where a value of the cursor column is, seen from another: the source compares. */
  compare(value: string, other: string): Promise<'after' | 'equal' | 'before'>;
}

/**
 * Reads an increment. Rows come in the order of cursor and key where the source enforces a key, so that a page can say where it
 * ends, also among rows of one cursor value; else only the end has an offset.
 */
export async function* readIncrement(
  reader: IncrementReader,
  increment: Increment,
  ctx: ReadContext,
): AsyncGenerator<Page, Offset> {
  const {cursor, key, dialect, start, upper} = increment;
  if (ctx.isFirstCall) yield* readWithoutCursor(reader, cursor, ctx);
  const place = await compareToStart(reader, increment);
  const again = ctx.isFirstCall && (increment.lookbackSeconds > 0 || (cursor.coarse && cursor.keyed));
  const moves = place === 'after' || (place === 'equal' && start.key !== null);
  if (upper === null || !(moves || again)) return cursorOffset(cursor, start);
  const hasKey = key.length > 0;
  const query: IncrementQuery = {
    where: `${lowerSql(increment, ctx.isFirstCall)} and ${cursor.sql} <= ${dialect.cursorValue(upper)}`,
    orderBy: hasKey ? [cursor.sql, ...key] : [],
    isNew: hasKey ? isNewSql(increment) : null,
  };
  for await (const {page, last} of reader.read(query)) {
    // Among rows that are read again an offset would go backwards.
    if (last === null || !last.isNew) yield page;
    else yield {...page, offset: cursorOffset(cursor, {value: last.value, key: last.key})};
  }
  return cursorOffset(cursor, moves ? {value: upper, key: null} : start);
}

/**
 * The rows of a first load, as an SQL condition; null for all. Rows behind the bound come with the next increment: they wait for it
 * where no key tells that they are the same.
 */
export function firstLoadCondition(
  {cursor, dialect}: Pick<Increment, 'cursor' | 'dialect'>,
  upper: string | null,
): string | null {
  if (cursor.keyed) return null;
  const conditions = [`${cursor.sql} is null`];
  if (upper !== null) conditions.push(`${cursor.sql} <= ${dialect.cursorValue(upper)}`);
  return `(${conditions.join(' or ')})`;
}

/** Where the bound is, seen from the offset. */
export async function compareToStart(
  reader: Pick<IncrementReader, 'compare'>,
  {start, upper}: Pick<Increment, 'start' | 'upper'>,
): Promise<'after' | 'equal' | 'before'> {
  if (upper === null) return 'before';
  return start.value === null ? 'after' : reader.compare(upper, start.value);
}

/** Rows whose cursor is NULL belong to no increment: every run reads them again. */
async function* readWithoutCursor(
  reader: IncrementReader,
  {isNullable, keyed, name, sql}: CursorColumn,
  ctx: ReadContext,
): AsyncGenerator<Page, void> {
  if (!isNullable) return;
  const where = `${sql} is null`;
  let rows = 0;
  if (keyed) {
    for await (const {page, rowCount} of reader.read({where, orderBy: [], isNew: null})) {
      rows += rowCount;
      yield page;
    }
  } else rows = await reader.count(where);
  if (rows === 0) return;
  const what = keyed
    ? 'they are read in every run'
    : 'without a key they cannot be read again, only a full refresh sees new ones';
  const note = `${rows} rows have no value in cursor column "${name}": ${what}`;
  ctx.progress({note});
  if (!keyed) ctx.log.warn(note);
}

function lowerSql({cursor, key, dialect, start, lookbackSeconds}: Increment, isFirstCall: boolean): string {
  if (start.value === null) return `${cursor.sql} is not null`;
  const value = dialect.cursorValue(start.value);
  if (isFirstCall && lookbackSeconds > 0) return `${cursor.sql} > ${dialect.minusSeconds(value, lookbackSeconds)}`;
  if (start.key !== null) {
    const values = key.map((_, index) => dialect.keyValue(index, start.key?.[index] ?? ''));
    const place = [
      [cursor.sql, ...key],
      [value, ...values],
    ] as const;
    return `(${dialect.beyond?.(...place) ?? beyondSql(...place, '>')})`;
  }
  return `${cursor.sql} ${isFirstCall && cursor.coarse && cursor.keyed ? '>=' : '>'} ${value}`;
}

function isNewSql({cursor, dialect, start}: Increment): string {
  return start.value === null
    ? '1 = 1'
    : `${cursor.sql} ${start.key === null ? '>' : '>='} ${dialect.cursorValue(start.value)}`;
}
