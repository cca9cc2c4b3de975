import type {CursorOffset, IncrementBatch, IncrementDialect, IncrementReader} from '../../sdk/index.ts';
import {firstLoadCondition} from '../../sdk/index.ts';
import {quoteLiteral} from '../../wire/pg/quote.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {columnName, relationSql} from './catalog.ts';
import type {SourceCursor} from './cursor.ts';
import type {Session} from './session.ts';
import type {Doing} from './source-errors.ts';
import {readBatches} from './table-pages.ts';
import type {Bound} from './upper-bound.ts';

/** What is read within a session's snapshot. */
export interface IncrementScope {
  readonly session: Session;
  readonly source: SourceTable;
  readonly columns: readonly SourceColumn[];
  readonly doing: Doing;
}

/** How increments of a table are written. */
export function dialectOf(table: SourceTable, {column}: SourceCursor): IncrementDialect {
  return {
    cursorValue: (text) => valueSql(column, text),
    keyValue: (index, text) => {
      const key = table.columns.find(({name}) => name === table.keys[index]);
      return key === undefined ? quoteLiteral(text) : valueSql(key, text);
    },
    minusSeconds: (value, seconds) => `${value} - interval '${seconds} seconds'`,
    // The first condition says the same in a way that an index on the cursor alone can use.
    beyond: (columns, values) =>
      `${columns[0] ?? ''} >= ${values[0] ?? ''} and (${columns.join(', ')}) > (${values.join(', ')})`,
  };
}

/** Runs the queries of an increment. */
export function incrementReader(
  {session, source, columns, doing}: IncrementScope,
  cursor: SourceCursor,
): IncrementReader {
  const dialect = dialectOf(source, cursor);
  const table = relationSql(source);
  const keys = source.keys.map(columnName);
  return {
    async *read({where, orderBy, isNew}): AsyncGenerator<IncrementBatch, void> {
      const order = orderBy.length === 0 ? '' : ` order by ${orderBy.join(', ')}`;
      const from = `${table}${where === null ? '' : ` where ${where}`}${order}`;
      const hidden = isNew === null ? [] : [isNew, cursor.sql, ...keys];
      for await (const result of readBatches(session, {from, columns, hidden}, doing)) {
        const {batch, rescued} = result;
        const text = (index: number): string | null => result.hiddenText(index, batch.rowCount - 1);
        const last =
          isNew === null
            ? null
            : {isNew: text(0) === 'true', value: text(1), key: keys.map((_, index) => text(index + 2) ?? '')};
        yield {page: {kind: 'columns', batch, rescued}, rowCount: batch.rowCount, last};
      }
    },
    async count(where) {
      return Number((await session.query(`select count(*) from ${table} where ${where}`, doing))[0]?.[0] ?? 0);
    },
    async compare(value, other) {
      const [left, right] = [dialect.cursorValue(value), dialect.cursorValue(other)];
      const [row] = await session.query(
        `select case when ${left} > ${right} then 'after' when ${left} = ${right} then 'equal' else 'before' end`,
        doing,
      );
      const answer = row?.[0];
      return answer === 'after' || answer === 'equal' ? answer : 'before';
    },
  };
}

/** Rows that an offset has behind it, as an SQL condition that is never true for rows without a cursor. */
export function upToSql(table: SourceTable, cursor: SourceCursor, {value, key}: CursorOffset): string {
  if (value === null) return 'false';
  const dialect = dialectOf(table, cursor);
  const upper = dialect.cursorValue(value);
  if (key === null) return `${cursor.sql} <= ${upper}`;
  const values = table.keys.map((_, index) => dialect.keyValue(index, key[index] ?? ''));
  return `(${[cursor.sql, ...table.keys.map(columnName)].join(', ')}) <= (${[upper, ...values].join(', ')})`;
}

/**
 * The rows of a first load, as an SQL condition; null for all. Rows behind the bound come with the next increment: they have
 * to wait for it where a running transaction may still give them an older time, or where no key tells that they are the same.
 */
export function firstLoadSql(table: SourceTable, cursor: SourceCursor, {upper, future}: Bound): string | null {
  const dialect = dialectOf(table, cursor);
  if (!cursor.keyed || future === null) return firstLoadCondition({cursor, dialect}, upper);
  return `(${firstLoadCondition({cursor: {...cursor, keyed: false}, dialect}, upper) ?? 'true'} or ${future})`;
}

/** A value from its text, in the column's own type: comparisons are the source's. */
function valueSql(column: SourceColumn, text: string): string {
  return `${quoteLiteral(text)}::${column.typeName}`;
}
