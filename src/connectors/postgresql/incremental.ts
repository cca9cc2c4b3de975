import type {Offset, Page, ReadContext, TableOptions} from '../../sdk/index.ts';
import {IngestError} from '../../sdk/index.ts';
import {quoteLiteral} from '../../wire/pg/quote.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {columnName, relationSql} from './catalog.ts';
import type {CursorColumn, CursorOffset} from './cursor.ts';
import {cursorOffset} from './cursor.ts';
import type {Session} from './session.ts';
import type {Doing} from './source-errors.ts';
import {pageOf, readBatches} from './table-pages.ts';
import type {Bound} from './upper-bound.ts';
import {isTime} from './upper-bound.ts';

/** One increment of a table: rows after `start` up to `upper`. */
export interface Increment {
  readonly table: SourceTable;
  readonly columns: readonly SourceColumn[];
  readonly cursor: CursorColumn;
  readonly start: CursorOffset;
  /** The server's text of the last value to read; null when no row has one. */
  readonly upper: string | null;
  /** How far behind `start` the first call of a trigger reads again. */
  readonly lookbackSeconds: number;
  readonly doing: Doing;
}

/**
 * Reads an increment within the session's snapshot. Rows come in the order of cursor and key where the source enforces a
 * key, so that a page can say where it ends, also among rows of one cursor value; else only the end has an offset.
 */
export async function* readIncrement(
  session: Session,
  increment: Increment,
  ctx: ReadContext,
): AsyncGenerator<Page, Offset> {
  const {table, columns, cursor, start, upper, doing} = increment;
  if (ctx.isFirstCall) yield* readWithoutCursor(session, increment, ctx);
  const place = await compareToStart(session, increment);
  const again = ctx.isFirstCall && (increment.lookbackSeconds > 0 || (cursor.coarse && cursor.keyed));
  const moves = place === 'after' || (place === 'equal' && start.key !== null);
  if (upper === null || !(moves || again)) return cursorOffset(cursor, start);
  const keys = table.keys.map(columnName);
  const order = keys.length === 0 ? '' : ` order by ${[cursor.sql, ...keys].join(', ')}`;
  const from = `${relationSql(table)} where ${lowerSql(increment, ctx.isFirstCall)} and ${cursor.sql} <= ${valueSql(cursor.column, upper)}${order}`;
  const hidden = keys.length === 0 ? [] : [isNewSql(increment), cursor.sql, ...keys];
  for await (const batch of readBatches(session, {from, columns, hidden}, doing)) {
    const last = batch.batch.rowCount - 1;
    // Among rows that are read again an offset would go backwards.
    if (keys.length === 0 || batch.hiddenText(0, last) !== 'true') {
      yield pageOf(batch);
      continue;
    }
    const key = keys.map((_, index) => batch.hiddenText(index + 2, last) ?? '');
    const offset = cursorOffset(cursor, {value: batch.hiddenText(1, last), key});
    yield {kind: 'columns', batch: batch.batch, rescued: batch.rescued, offset};
  }
  return cursorOffset(cursor, moves ? {value: upper, key: null} : start);
}

/** Rows that an offset has behind it, as an SQL condition that is never true for rows without a cursor. */
export function upToSql(table: SourceTable, cursor: CursorColumn, {value, key}: CursorOffset): string {
  if (value === null) return 'false';
  const upper = valueSql(cursor.column, value);
  if (key === null) return `${cursor.sql} <= ${upper}`;
  const values = table.keys.map((name, index) => keySql(table, name, key[index] ?? ''));
  return `(${[cursor.sql, ...table.keys.map(columnName)].join(', ')}) <= (${[upper, ...values].join(', ')})`;
}

/**
 * The rows of a first load, as an SQL condition; null for all. Rows behind the bound come with the next increment: they have
 * to wait for it where a running transaction may still give them an older time, or where no key tells that they are the same.
 */
export function firstLoadCondition(cursor: CursorColumn, {upper, future}: Bound): string | null {
  if (cursor.keyed && future === null) return null;
  const conditions = [`${cursor.sql} is null`];
  if (upper !== null) conditions.push(`${cursor.sql} <= ${valueSql(cursor.column, upper)}`);
  if (cursor.keyed && future !== null) conditions.push(future);
  return `(${conditions.join(' or ')})`;
}

/** The option `lookback_seconds`. @throws INVALID_OPTION where it cannot work. */
export function lookbackOf(options: TableOptions, cursor: CursorColumn, doing: Doing): number {
  const seconds = options['lookback_seconds'];
  if (typeof seconds !== 'number' || seconds === 0) return 0;
  if (isTime(cursor) && cursor.keyed) return seconds;
  const reason = cursor.keyed ? 'its cursor is no time' : 'it has no key, so that rows read again would be there twice';
  throw new IngestError(
    'INVALID_OPTION',
    `Cannot ${doing.what}: lookback_seconds does not fit this table, ${reason}.`,
    {
      fix: 'Remove lookback_seconds, or name primary_keys and a cursor column of dates or timestamps.',
      context: doing.table === undefined ? {} : {table: doing.table},
    },
  );
}

/** Rows whose cursor is NULL (or no value that can be a bound) belong to no increment: every run reads them again. */
async function* readWithoutCursor(
  session: Session,
  {table, columns, cursor, doing}: Increment,
  ctx: ReadContext,
): AsyncGenerator<Page, void> {
  const from = `${relationSql(table)} where ${cursor.sql} is null`;
  let rows = 0;
  if (cursor.keyed) {
    for await (const batch of readBatches(session, {from, columns}, doing)) {
      rows += batch.batch.rowCount;
      yield pageOf(batch);
    }
  } else {
    rows = Number((await session.query(`select count(*) from ${from}`, doing))[0]?.[0] ?? 0);
  }
  if (rows === 0) return;
  const what = cursor.keyed
    ? 'they are read in every run'
    : 'without a key they cannot be read again, only a full refresh sees new ones';
  ctx.progress({note: `${rows} rows have no value in cursor column "${cursor.column.name}": ${what}`});
  if (!cursor.keyed)
    ctx.log.warn(`Rows without a cursor value in a table without a key: ${what}.`, {table: table.name, rows});
}

/** Where the bound is, seen from the offset; the source compares. */
export async function compareToStart(
  session: Session,
  {cursor, start, upper, doing}: Pick<Increment, 'cursor' | 'start' | 'upper' | 'doing'>,
): Promise<'after' | 'equal' | 'before'> {
  if (upper === null) return 'before';
  if (start.value === null) return 'after';
  const [left, right] = [valueSql(cursor.column, upper), valueSql(cursor.column, start.value)];
  const [row] = await session.query(
    `select case when ${left} > ${right} then 'after' when ${left} = ${right} then 'equal' else 'before' end`,
    doing,
  );
  const answer = row?.[0];
  return answer === 'after' || answer === 'equal' ? answer : 'before';
}

function lowerSql({table, cursor, start, lookbackSeconds}: Increment, isFirstCall: boolean): string {
  if (start.value === null) return `${cursor.sql} is not null`;
  const value = valueSql(cursor.column, start.value);
  if (isFirstCall && lookbackSeconds > 0) return `${cursor.sql} > ${value} - interval '${lookbackSeconds} seconds'`;
  if (start.key !== null) {
    const names = table.keys.map(columnName);
    const values = table.keys.map((name, index) => keySql(table, name, start.key?.[index] ?? ''));
    // The first condition says the same in a way that an index on the cursor alone can use.
    return `${cursor.sql} >= ${value} and (${[cursor.sql, ...names].join(', ')}) > (${[value, ...values].join(', ')})`;
  }
  return `${cursor.sql} ${isFirstCall && cursor.coarse && cursor.keyed ? '>=' : '>'} ${value}`;
}

function isNewSql({cursor, start}: Increment): string {
  return start.value === null
    ? 'true'
    : `${cursor.sql} ${start.key === null ? '>' : '>='} ${valueSql(cursor.column, start.value)}`;
}

function keySql(table: SourceTable, name: string, text: string): string {
  const column = table.columns.find((candidate) => candidate.name === name);
  return column === undefined ? quoteLiteral(text) : valueSql(column, text);
}

/** A value from its text, in the column's own type: comparisons are the source's. */
function valueSql(column: SourceColumn, text: string): string {
  return `${quoteLiteral(text)}::${column.typeName}`;
}
