import type {FlaggedRows, IncrementBatch, IncrementDialect, IncrementReader, QueryView} from '../../sdk/index.ts';
import {keyColumns} from '../../sdk/index.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {tableSql} from './catalog.ts';
import type {SourceCursor} from './cursor.ts';
import {keyExpression, keyLiteral} from './keyset.ts';
import type {Session} from './session.ts';
import {readBatches} from './table-reads.ts';

/** How increments of a table are written. */
export function dialectOf(table: SourceTable, {column}: SourceCursor): IncrementDialect {
  const keys = keyColumns(table);
  return {
    cursorValue: (text) => keyLiteral(column, text),
    keyValue: (index, text) => {
      const key = keys[index];
      return key === undefined ? 'null' : keyLiteral(key, text);
    },
    minusSeconds: (value, seconds) => `${value} - interval ${seconds} second`,
  };
}

/** Runs queries in a view. */
export function incrementReader(
  {session, source, columns, doing}: QueryView<Session, SourceColumn, SourceTable>,
  cursor: SourceCursor | null,
): IncrementReader {
  const keys = keyColumns(source);
  const table = `${tableSql(source)} as source`;
  return {
    async *read({where, orderBy, isNew}): AsyncGenerator<IncrementBatch, void> {
      const rows = where === null ? table : `${table} where ${where}`;
      const from = orderBy.length === 0 ? rows : `${rows} order by ${orderBy.join(', ')}`;
      const hidden =
        isNew === null || cursor === null ? [] : [isNew, keyExpression(cursor.column), ...keys.map(keyExpression)];
      for await (const result of readBatches(session, {from, columns, hidden}, doing)) {
        const {rowCount} = result.batch;
        const text = (index: number): string | null => result.hiddenText(index, rowCount - 1);
        const last =
          hidden.length === 0
            ? null
            : {isNew: text(0) === '1', value: text(1), key: keys.map((_, index) => text(index + 2) ?? '')};
        yield {page: {kind: 'columns', batch: result.batch, rescued: result.rescued}, rowCount, last};
      }
    },
    async count(where) {
      return Number((await session.query(`select count(*) from ${table} where ${where}`, doing))[0]?.[0] ?? 0);
    },
    async compare(value, other) {
      if (cursor === null) return 'before';
      const dialect = dialectOf(source, cursor);
      const [left, right] = [dialect.cursorValue(value), dialect.cursorValue(other)];
      // The row that has the value: so the comparison is that of the column.
      const [row] = await session.query(
        `select case when ${cursor.sql} > ${right} then 'after' when ${cursor.sql} = ${right} then 'equal' else 'before' end
      from ${table} where ${cursor.sql} = ${left} limit 1`,
        doing,
      );
      const answer = row?.[0];
      return answer === 'after' || answer === 'equal' ? answer : 'before';
    },
  };
}

/** All rows of a view, and for which of them a condition holds. */
export async function* readFlagged(
  {session, source, columns, doing}: QueryView<Session, SourceColumn, SourceTable>,
  condition: string | null,
): AsyncGenerator<FlaggedRows, void> {
  const hidden = condition === null ? [] : [condition];
  const from = `${tableSql(source)} as source`;
  for await (const {batch, rescued, hiddenText} of readBatches(session, {from, columns, hidden}, doing))
    yield {batch, rescued, holds: (row) => condition === null || hiddenText(0, row) !== '0'};
}
