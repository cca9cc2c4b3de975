import type {IncrementDialect} from '../../sdk/index.ts';
import {keyColumns} from '../../sdk/index.ts';
import type {SourceTable} from './catalog.ts';
import {parameterSql} from './column-type.ts';
import type {SourceCursor} from './cursor.ts';

/** A text as SQL. */
export function quoteLiteral(text: string): string {
  return `N'${text.replaceAll("'", "''")}'`;
}

/** How increments of a table are written. */
export function dialectOf(table: SourceTable, {column}: SourceCursor): IncrementDialect {
  const keys = keyColumns(table);
  return {
    cursorValue: (text) => parameterSql(column.type, quoteLiteral(text)),
    keyValue: (index, text) => {
      const key = keys[index];
      return key === undefined ? 'null' : parameterSql(key.type, quoteLiteral(text));
    },
    minusSeconds: (value, seconds) =>
      column.type.name === 'date'
        ? `dateadd(day, -${Math.ceil(seconds / DAY_SECONDS)}, ${value})`
        : `dateadd(second, -${seconds}, ${value})`,
  };
}

const DAY_SECONDS = 86_400;
