import type {IncrementBatch, IncrementDialect, IncrementReader} from '../../sdk/index.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {tableSql} from './catalog.ts';
import type {SourceCursor} from './cursor.ts';
import {keyExpression, keyLiteral} from './keyset.ts';
import type {Session} from './session.ts';
import type {Doing} from './source-errors.ts';
import {readBatches} from './table-reads.ts';

/** What is read in a view. */
export interface IncrementScope {
  readonly session: Session;
  readonly source: SourceTable;
  readonly columns: readonly SourceColumn[];
  readonly doing: Doing;
}

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

/** Runs the queries of an increment in a view. */
export function incrementReader(
  {session, source, columns, doing}: IncrementScope,
  cursor: SourceCursor,
): IncrementReader {
  const dialect = dialectOf(source, cursor);
  const keys = keyColumns(source);
  const table = `${tableSql(source)} as source`;
  return {
    async *read({where, orderBy, isNew}): AsyncGenerator<IncrementBatch, void> {
      const order = orderBy.length === 0 ? '' : ` order by ${orderBy.join(', ')}`;
      const hidden = isNew === null ? [] : [isNew, keyExpression(cursor.column), ...keys.map(keyExpression)];
      for await (const result of readBatches(
        session,
        {from: `${table} where ${where}${order}`, columns, hidden},
        doing,
      )) {
        const {rowCount} = result.batch;
        const text = (index: number): string | null => result.hiddenText(index, rowCount - 1);
        const last =
          isNew === null
            ? null
            : {isNew: text(0) === '1', value: text(1), key: keys.map((_, index) => text(index + 2) ?? '')};
        yield {page: {kind: 'columns', batch: result.batch, rescued: result.rescued}, rowCount, last};
      }
    },
    async count(where) {
      return Number((await session.query(`select count(*) from ${table} where ${where}`, doing))[0]?.[0] ?? 0);
    },
    async compare(value, other) {
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

/** The columns of the key that the source enforces, in its order. */
export function keyColumns(table: SourceTable): readonly SourceColumn[] {
  return table.keys.flatMap((name) => table.columns.filter((column) => column.name === name));
}
