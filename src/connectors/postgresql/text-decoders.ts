import {isUtf8} from 'node:buffer';

import type {JsonValue} from '../../sdk/index.ts';
import {IngestError} from '../../sdk/index.ts';
import type {SourceType} from './source-type.ts';
import {mapType} from './source-type.ts';

/** A buffer with the slices that Node has and does not declare: without the checks of `toString` a decoder takes a quarter less time. */
export interface SlicedBuffer extends Buffer {
  latin1Slice(start: number, end: number): string;
  utf8Slice(start: number, end: number): string;
}

/** Reads the text that the server prints for a value, `bytes[start, end)`, as the JSON value that lands like its binary form. */
export type TextDecoder = (bytes: SlicedBuffer, start: number, end: number) => JsonValue;

/**
 * The decoder of a column, for the types that {@link mapType} gives. What a column's type cannot hold (NaN in a decimal, infinite
 * times) stays text, which the column refuses, so that it is rescued as the server wrote it.
 */
export function textDecoder(source: SourceType & {readonly checkUtf8: boolean}): TextDecoder {
  switch (mapType(source).decoding) {
    case 'boolean':
      return (bytes, start) => bytes[start] === LETTER_T;
    case 'int2':
    case 'int4':
    case 'int8':
    case 'oid':
      return integer;
    case 'float4':
    case 'float8':
      return float;
    case 'decimal':
      return decimal;
    case 'date':
      return date;
    case 'timestamp':
      return timestamp;
    case 'bytes':
      // Behind `\x`.
      return (bytes, start, end) => bytes.latin1Slice(start + 2, end);
    case 'uuid':
      return (bytes, start, end) => bytes.latin1Slice(start, end);
    case 'text':
    case 'jsonb':
      return source.checkUtf8 ? checkedText : (bytes, start, end) => bytes.utf8Slice(start, end);
  }
}

const LETTER_T = 0x74;
const MINUS = 0x2d;
const ZERO = 0x30;
const POINT = 0x2e;
const POWERS: readonly number[] = Array.from({length: 16}, (_, power) => 10 ** power);
/** Integers and decimals of so many characters are exact in a double. */
const EXACT_LETTERS = 15;

function integer(bytes: SlicedBuffer, start: number, end: number): number | bigint {
  if (end - start > EXACT_LETTERS) return small(BigInt(bytes.latin1Slice(start, end)));
  const isNegative = bytes[start] === MINUS;
  let value = 0;
  for (let at = isNegative ? start + 1 : start; at < end; at++) value = value * 10 + (bytes[at] as number) - ZERO;
  return isNegative ? -value : value;
}

function small(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** The server prints the shortest digits that mean the same value; `-0`, `NaN` and `Infinity` have no JSON number. */
function float(bytes: SlicedBuffer, start: number, end: number): number | string {
  const text = bytes.latin1Slice(start, end);
  const value = Number(text);
  return Number.isFinite(value) && !Object.is(value, -0) ? value : text;
}

function decimal(bytes: SlicedBuffer, start: number, end: number): number | string {
  if (end - start > EXACT_LETTERS) return bytes.latin1Slice(start, end);
  const isNegative = bytes[start] === MINUS;
  let digits = 0;
  let scale = 0;
  for (let at = isNegative ? start + 1 : start; at < end; at++) {
    const digit = (bytes[at] as number) - ZERO;
    if (digit >= 0 && digit <= 9) digits = digits * 10 + digit;
    else if (bytes[at] === POINT && scale === 0) scale = end - at - 1;
    else return bytes.latin1Slice(start, end);
  }
  // Both are exact, so that their quotient is the double next to the decimal.
  const value = digits / (POWERS[scale] as number);
  return isNegative ? -value : value;
}

/** `2024-02-29`. Years with other than four digits and those before our era count days since 1970. */
function date(bytes: SlicedBuffer, start: number, end: number): string | number {
  const text = bytes.latin1Slice(start, end);
  return text.length === 10 && text.charCodeAt(4) === MINUS ? text : (daysOf(text) ?? text);
}

/** `2024-02-29 12:00:00.5`, `...+00` with a zone. Other years count microseconds since 1970. */
function timestamp(bytes: SlicedBuffer, start: number, end: number): string | bigint {
  const text = bytes.latin1Slice(start, end);
  return text.charCodeAt(4) === MINUS && text.charCodeAt(text.length - 1) !== LETTER_C
    ? text
    : (microsOf(text) ?? text);
}

function checkedText(bytes: SlicedBuffer, start: number, end: number): string {
  if (!isUtf8(bytes.subarray(start, end))) {
    throw new IngestError(
      'BAD_RECORD',
      'The log holds a text that is no UTF-8; the database does not check its texts.',
      {
        fix: 'Mend the text, or ingest the table by queries, which rescue such texts.',
      },
    );
  }
  return bytes.utf8Slice(start, end);
}

/** Last letter of `BC`. */
const LETTER_C = 0x43;
const DATE = /^(\d{4,7})-(\d\d)-(\d\d)( BC)?$/;
const TIMESTAMP = /^(\d{4,7}-\d\d-\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:\+00)?( BC)?$/;
const DAY_MICROS = 86_400_000_000n;
const MAX_LONG = 0x7fff_ffff_ffff_ffffn;

function daysOf(text: string): number | null {
  const [, years, months, days, isBefore] = DATE.exec(text) ?? [];
  if (years === undefined) return null;
  // 1 BC is the year 0.
  return dayNumber(isBefore === undefined ? Number(years) : 1 - Number(years), Number(months), Number(days));
}

function microsOf(text: string): bigint | null {
  const [, day, hours, minutes, seconds, fraction = '', era = ''] = TIMESTAMP.exec(text) ?? [];
  const days = day === undefined ? null : daysOf(day + era);
  if (days === null) return null;
  const ofDay = BigInt(Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1_000_000n;
  const micros = BigInt(days) * DAY_MICROS + ofDay + BigInt(fraction.padEnd(6, '0'));
  // The binary form has no value for the largest, either.
  return micros < MAX_LONG ? micros : null;
}

/** Days since 1970-01-01. @see https://howardhinnant.github.io/date_algorithms.html#days_from_civil */
function dayNumber(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
