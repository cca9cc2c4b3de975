import {type JsonTape, TOKEN} from '../json-tape.ts';
import {dayOf} from '../time-text.ts';

const ZERO = 0x30;
const MINUS = 0x2d;
const POINT = 0x2e;
const COLON = 0x3a;
const LETTER_T = 0x54;
const LETTER_Z = 0x5a;
/** Digits whose number, and a power of ten to divide it by, a double holds exactly: the quotient is the nearest double. */
const EXACT_CHARS = 15;
const POWERS_OF_TEN = Array.from({length: EXACT_CHARS + 1}, (_, exponent) => 10 ** exponent);
const SECONDS_PER_DAY = 86_400;
/** `2024-01-31T12:00:00` */
const SECOND_CHARS = 19;
const MAX_FRACTION = 6;

/** The number of a token, or of a text of digits; NaN for one that takes more than a look: with an exponent, of many digits, `-0`. */
export function numberAt(tape: JsonTape, at: number): number {
  const kind = tape.kind(at);
  if (kind !== TOKEN.integer && kind !== TOKEN.number && kind !== TOKEN.string) return NaN;
  const {bytes} = tape;
  const start = tape.start(at);
  const size = tape.sizeBytes(at);
  if (kind === TOKEN.integer && bytes[start] !== MINUS) {
    let value = 0;
    for (let index = start; index < start + size; index++) value = value * 10 + (bytes[index] ?? 0) - ZERO;
    return value;
  }
  const isNegative = bytes[start] === MINUS;
  const first = isNegative ? start + 1 : start;
  const end = start + size;
  if (size > EXACT_CHARS || first === end) return NaN;
  let digits = 0;
  let point = -1;
  for (let index = first; index < end; index++) {
    const byte = bytes[index] ?? 0;
    if (byte >= ZERO && byte <= ZERO + 9) digits = digits * 10 + (byte - ZERO);
    else if (byte === POINT && point < 0 && index > first && index < end - 1) point = index;
    else return NaN;
  }
  if (isNegative && digits === 0) return NaN;
  const value = point < 0 ? digits : digits / (POWERS_OF_TEN[end - point - 1] ?? NaN);
  return isNegative ? -value : value;
}

/** Microseconds since 1970 of a text like `2024-01-31T12:00:00.123Z`; NaN for one of another form. */
export function instantAt(tape: JsonTape, at: number): number {
  if (tape.kind(at) !== TOKEN.string) return NaN;
  const {bytes} = tape;
  const start = tape.start(at);
  const end = start + tape.sizeBytes(at) - 1;
  const second = start + SECOND_CHARS;
  if (end < second || bytes[end] !== LETTER_Z || bytes[start + 10] !== LETTER_T) return NaN;
  if (bytes[start + 13] !== COLON || bytes[start + 16] !== COLON) return NaN;
  const hours = twoDigits(bytes, start + 11);
  const minutes = twoDigits(bytes, start + 14);
  const seconds = twoDigits(bytes, start + 17);
  if (!(hours < 24 && minutes < 60 && seconds < 60)) return NaN;
  const sinceEpoch = dayAt(tape, start) * SECONDS_PER_DAY + hours * 3600 + minutes * 60 + seconds;
  const micros = sinceEpoch * 1_000_000 + fractionAt(bytes, second, end);
  return Number.isSafeInteger(micros) ? micros : NaN;
}

/** Microseconds of `.123` or of nothing. */
function fractionAt(bytes: Uint8Array, from: number, end: number): number {
  if (from === end) return 0;
  const digits = end - from - 1;
  if (bytes[from] !== POINT || digits < 1 || digits > MAX_FRACTION) return NaN;
  let value = 0;
  for (let at = from + 1; at < end; at++) {
    const digit = (bytes[at] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) return NaN;
    value = value * 10 + digit;
  }
  return value * (POWERS_OF_TEN[MAX_FRACTION - digits] ?? NaN);
}

let lastYear = NaN;
let lastMonthAndDay = NaN;
let lastDay = NaN;

/** Days since 1970 of `2024-01-31` at a position; NaN when there is none. Times of one table often share their day. */
function dayAt({bytes}: JsonTape, at: number): number {
  if (bytes[at + 4] !== MINUS || bytes[at + 7] !== MINUS) return NaN;
  const year = twoDigits(bytes, at) * 100 + twoDigits(bytes, at + 2);
  const month = twoDigits(bytes, at + 5);
  const day = twoDigits(bytes, at + 8);
  if (year === lastYear && month * 100 + day === lastMonthAndDay) return lastDay;
  lastYear = year;
  lastMonthAndDay = month * 100 + day;
  lastDay = dayOf(year, month, day);
  return lastDay;
}

/** A number of two digits, NaN when there is none. */
function twoDigits(bytes: Uint8Array, at: number): number {
  const tens = (bytes[at] ?? 0) - ZERO;
  const ones = (bytes[at + 1] ?? 0) - ZERO;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : NaN;
}
