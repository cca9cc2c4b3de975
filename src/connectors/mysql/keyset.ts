import {beyondSql as beyond} from '../../sdk/index.ts';
import {BINARY_COLLATION, charsetOf} from '../../wire/binlog/charsets.ts';
import {TYPE} from '../../wire/binlog/table-map.ts';
import {quoteIdentifier, quoteLiteral} from '../../wire/mysql/quote.ts';
import type {SourceColumn} from './catalog.ts';
import {isBytes} from './column-type.ts';

/** A column of a table in a query. */
export function columnSql(name: string): string {
  return `source.${quoteIdentifier(name)}`;
}

/** How a value is read so that {@link keyLiteral} can write it back unchanged. */
export function keyExpression(column: SourceColumn): string {
  const name = columnSql(column.name);
  return isText(column) || isBytes(column.type) ? `hex(${name})` : name;
}

/**
 * A value of the column as a literal: compared with the column it follows the column's own collation and type.
 * @param text what {@link keyExpression} gave.
 */
export function keyLiteral(column: SourceColumn, text: string): string {
  if (isBytes(column.type)) return `x'${text}'`;
  if (isText(column)) return `_${charsetOf(column.type.collation) ?? 'utf8mb4'} x'${text}'`;
  return isNumber(column) ? text : quoteLiteral(text);
}

/** True when the order of the column's values is that of its index and every value can be written exactly. */
export function isSortable(column: SourceColumn): boolean {
  const {code, hidden} = column.type;
  if (hidden !== null) return true;
  const isTime = TIMES.has(code);
  const isWords =
    (code === TYPE.varchar || code === TYPE.string) &&
    (isBytes(column.type) || charsetOf(column.type.collation) !== null);
  return isTime || isWords || isWhole(column) || code === TYPE.decimal;
}

/** True for whole numbers. */
export function isWhole({type}: SourceColumn): boolean {
  return WHOLE.has(type.code);
}

/** Rows behind a key, or up to it. */
export function beyondSql(columns: readonly SourceColumn[], literals: readonly string[], operator: '>' | '<='): string {
  return beyond(
    columns.map(({name}) => columnSql(name)),
    literals,
    operator,
  );
}

const WHOLE = new Set<number>([TYPE.tiny, TYPE.short, TYPE.int24, TYPE.long, TYPE.longlong]);
const TIMES = new Set<number>([TYPE.date, TYPE.datetime, TYPE.datetime2, TYPE.timestamp, TYPE.timestamp2]);

function isNumber(column: SourceColumn): boolean {
  return isWhole(column) || column.type.code === TYPE.decimal || column.type.code === TYPE.year;
}

function isText({type}: SourceColumn): boolean {
  const isWords = type.code === TYPE.varchar || type.code === TYPE.string || type.code === TYPE.blob;
  return isWords && type.hidden === null && type.collation !== BINARY_COLLATION;
}
