import type {DataType} from '../core/types.ts';
import type {Engine, EngineRow} from './engine.ts';
import {textValue} from './text-values.ts';

/**
 * The narrowest types that hold all texts of some columns of a relation, by the columns' order; null for a column
 * without texts. A number with leading zeros or a plus sign is text (a postcode, a phone number); one with more digits
 * than a double keeps is a decimal; times without a zone are UTC.
 */
export async function inferTextTypes(
  engine: Engine,
  columns: readonly string[],
  from: string,
  signal?: AbortSignal,
): Promise<readonly (DataType | null)[]> {
  if (columns.length === 0) return [];
  const kinds = columns.map((column, index) => `bit_or(${kindOf(column)}) AS k${index}`);
  const [row] = await engine.query(`SELECT ${kinds.join(', ')} FROM ${from}`, signal);
  const masks = columns.map((_, index) => Number(row?.[`k${index}`] ?? 0));
  const exact = masks.flatMap((mask, index) => (isExact(mask) ? [index] : []));
  const digits =
    exact.length === 0
      ? undefined
      : (
          await engine.query(
            `SELECT ${exact.flatMap((index) => digitCounts(columns[index] ?? '', index)).join(', ')} FROM ${from}`,
            signal,
          )
        )[0];
  return masks.map((mask, index) => (isExact(mask) ? decimalFor(digits, index) : typeOf(mask)));
}

/** What a text may be, as bits, from the narrowest. */
const LONG = 1;
/** An integer beyond 64 bits. */
const BIG = 2;
const DOUBLE = 4;
/** A number with more digits than a double keeps. */
const EXACT = 8;
/** `nan` and `inf`. */
const NO_NUMBER = 16;
const BOOLEAN = 32;
const DATE = 64;
const TIMESTAMP = 128;
const TEXT = 256;

/** Digits that every double keeps, and those that printing one may give. */
const DOUBLE_DIGITS = 17;

/** Each test is made only where those before it failed. */
function kindOf(text: string): string {
  const value = (type: DataType): string => `${textValue({type, metadata: {}}, text).value} IS NOT NULL`;
  const matches = (pattern: string): string => `regexp_full_match(${text}, '\\s*(?:${pattern})\\s*')`;
  const significant = `length(ltrim(regexp_replace(${text}, '[^0-9]', '', 'g'), '0'))`;
  return `CASE WHEN ${text} IS NULL THEN NULL
    WHEN CAST(TRY_CAST(${text} AS BIGINT) AS VARCHAR) = trim(${text}) THEN ${LONG}
    WHEN ${matches('-?[1-9]\\d*')} THEN ${BIG}
    WHEN ${matches('-?(?:(?:0|[1-9]\\d*)(?:\\.\\d*)?|\\.\\d+)(?:[eE][+-]?\\d+)?')} THEN
      CASE WHEN length(${text}) > ${DOUBLE_DIGITS} AND ${significant} > ${DOUBLE_DIGITS} AND NOT contains(lower(${text}), 'e') THEN ${EXACT} ELSE ${DOUBLE} END
    WHEN ${matches('[Nn]a[Nn]|-?[Ii]nf(?:inity)?')} THEN ${NO_NUMBER}
    WHEN lower(trim(${text})) IN ('true', 'false') THEN ${BOOLEAN}
    WHEN ${matches('\\d{4}-\\d{2}-\\d{2}')} AND ${value('date')} THEN ${DATE}
    WHEN ${matches('\\d{4}-.*')} AND ${value('timestamp')} THEN ${TIMESTAMP}
    ELSE ${TEXT} END`;
}

function isExact(mask: number): boolean {
  return (mask & (BIG | EXACT)) !== 0 && within(mask, LONG | BIG | DOUBLE | EXACT);
}

function typeOf(mask: number): DataType | null {
  if (mask === 0) return null;
  if (within(mask, LONG)) return 'long';
  if (within(mask, LONG | DOUBLE | NO_NUMBER) && mask !== NO_NUMBER) return 'double';
  if (within(mask, BOOLEAN)) return 'boolean';
  if (within(mask, DATE)) return 'date';
  return within(mask, DATE | TIMESTAMP) ? 'timestamp' : 'string';
}

function within(mask: number, allowed: number): boolean {
  return mask !== 0 && (mask & ~allowed) === 0;
}

function digitCounts(text: string, index: number): readonly string[] {
  return [
    `max(length(split_part(trim(${text}), '.', 2))) AS s${index}`,
    `max(length(ltrim(split_part(trim(${text}), '.', 1), '-'))) AS w${index}`,
    `bool_or(contains(lower(${text}), 'e')) AS e${index}`,
  ];
}

/** As wide as decimals are, for numbers larger than those seen. */
function decimalFor(row: EngineRow | undefined, index: number): DataType {
  const [scale, whole] = [Number(row?.[`s${index}`] ?? 0), Number(row?.[`w${index}`] ?? 0)];
  if (row?.[`e${index}`] === true) return 'double';
  return whole + scale > 38 ? 'string' : {type: 'decimal', precision: 38, scale};
}
