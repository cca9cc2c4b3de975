/** The first microsecond of year 1 and the last of year 9999: what timestamps of Delta readers agree on. */
export const MIN_MICROS: bigint = -62_135_596_800_000_000n;
/** See {@link MIN_MICROS}. */
export const MAX_MICROS: bigint = 253_402_300_799_999_999n;

/** How a text states its zone. */
export type ZoneKind = 'none' | 'utc' | 'offset';

/** An instant: microseconds since 1970 as a number while a double holds them exactly, else as a bigint. */
export interface TimestampText {
  readonly micros: number | bigint;
  readonly zone: ZoneKind;
}

/**
 * Days since 1970-01-01 of a date text, null when it is none. Tried in order: `2024-01-31`, `01/31/2024` (month first),
 * `31-01-2024` (day first), `2024/01/31`, then the date as written of an ISO timestamp, whose zone does not count.
 * Months and days may have one digit.
 */
export function parseDate(text: string): number | null {
  if (text.length === 10 && text.charCodeAt(4) === DASH && text.charCodeAt(7) === DASH)
    return numberOrNull(isoDay(text));
  for (const {form, order} of DATE_FORMS) {
    const match = form.exec(text);
    if (match === null) continue;
    const [year, month, day] = order.map((group) => Number(match[group]));
    return numberOrNull(dayOf(year ?? NaN, month ?? NaN, day ?? NaN));
  }
  return parseTimestamp(text) === null ? null : numberOrNull(dayAsWritten(text));
}

/**
 * An ISO 8601 timestamp, null when the text is none: date alone (midnight) or with `T` or a blank and hours, minutes,
 * maybe seconds and 1 to 9 digits of fraction, then maybe `Z`, `UTC` or an offset (`+01`, `+0130`, `+01:30`), with or without a
 * blank. Without a zone it is UTC. Digits beyond microseconds are cut off. `2024/01/31 3:04:05` and `2024-1-31 3:04:05` work too.
 * Years 1 to 9999 in UTC.
 */
export function parseTimestamp(text: string): TimestampText | null {
  const day = text.charCodeAt(4) === DASH && text.charCodeAt(7) === DASH ? isoDay(text) : NaN;
  if (Number.isNaN(day)) return parseLooseTimestamp(text);
  if (text.length === 10) return timestampText(day * SECONDS_PER_DAY, 0, 'none');
  const separator = text.charCodeAt(10);
  const isTimeNext = separator === LETTER_T || separator === BLANK || separator === LETTER_T + TO_LOWER;
  const minutes = twoDigits(text, 11) * 60 + (text.charCodeAt(13) === COLON ? twoDigits(text, 14) : NaN);
  if (!isTimeNext || !(twoDigits(text, 11) < 24 && twoDigits(text, 14) < 60 && minutes >= 0))
    return parseLooseTimestamp(text);
  const hasSeconds = text.charCodeAt(16) === COLON;
  const seconds = hasSeconds ? twoDigits(text, 17) : 0;
  if (!(seconds < 60)) return null;
  return afterSeconds(text, hasSeconds ? 19 : 16, day * SECONDS_PER_DAY + minutes * 60 + seconds);
}

/** Days since 1970-01-01 of a day of the proleptic Gregorian calendar; NaN when there is no such day in the years 1 to 9999. */
export function dayOf(year: number, month: number, day: number): number {
  const isReal = year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth(year, month);
  if (!isReal) return NaN;
  // Years that begin in March put the leap day last.
  const shiftedYear = month <= 2 ? year - 1 : year;
  const shiftedMonth = (month + 9) % 12;
  const era = Math.floor(shiftedYear / 400);
  const yearOfEra = shiftedYear - era * 400;
  const dayOfYear = Math.floor((153 * shiftedMonth + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

/** Microseconds as {@link TimestampText.micros} from whole seconds since 1970 and microseconds within the second; null outside of the years 1 to 9999. */
export function microsOf(seconds: number, micros: number): number | bigint | null {
  if (seconds < MIN_SECONDS || seconds > MAX_SECONDS) return null;
  const total = seconds * 1_000_000 + micros;
  return Number.isSafeInteger(total) ? total : BigInt(seconds) * 1_000_000n + BigInt(micros);
}

/** `2024-01-31T12:00:00.123456Z` of microseconds since 1970, always with six digits of fraction. */
export function formatTimestamp(micros: bigint): string {
  const seconds = (micros - (((micros % 1_000_000n) + 1_000_000n) % 1_000_000n)) / 1_000_000n;
  const fraction = String(micros - seconds * 1_000_000n).padStart(6, '0');
  // Years below 100 and the milliseconds come out right from Date, which knows all seconds of the years 1 to 9999.
  return new Date(Number(seconds) * 1000).toISOString().replace(/\.\d+Z$/, `.${fraction}Z`);
}

const DASH = 0x2d;
const COLON = 0x3a;
const BLANK = 0x20;
const POINT = 0x2e;
const COMMA = 0x2c;
const LETTER_T = 0x54;
const LETTER_Z = 0x5a;
const TO_LOWER = 0x20;
const SECONDS_PER_DAY = 86_400;
const MIN_SECONDS = -62_135_596_800;
const MAX_SECONDS = 253_402_300_799;

const DATE_FORMS: readonly {
  readonly form: RegExp;
  readonly order: readonly [year: number, month: number, day: number];
}[] = [
  {form: /^(\d{4})-(\d{1,2})-(\d{1,2})$/, order: [1, 2, 3]},
  {form: /^(\d{1,2})\/(\d{1,2})\/(\d{4})$/, order: [3, 1, 2]},
  {form: /^(\d{1,2})-(\d{1,2})-(\d{4})$/, order: [3, 2, 1]},
  {form: /^(\d{4})\/(\d{1,2})\/(\d{1,2})$/, order: [1, 2, 3]},
];
const LOOSE_TIMESTAMP = /^(\d{4})([-/])(\d{1,2})\2(\d{1,2}) (\d{1,2}):(\d{1,2}):(\d{1,2})$/;
const ZONE = /^ ?(?:(z|utc)|([+-])(\d{2})(?::?(\d{2}))?)$/i;

function parseLooseTimestamp(text: string): TimestampText | null {
  const match = LOOSE_TIMESTAMP.exec(text);
  if (match === null) return null;
  const [year, , month, day, hour, minute, second] = match.slice(1).map(Number);
  if (hour === undefined || minute === undefined || second === undefined || hour > 23 || minute > 59 || second > 59)
    return null;
  const days = dayOf(year ?? NaN, month ?? NaN, day ?? NaN);
  return Number.isNaN(days)
    ? null
    : timestampText(days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second, 0, 'none');
}

/** What follows the seconds: fraction and zone. */
function afterSeconds(text: string, from: number, seconds: number): TimestampText | null {
  let at = from;
  let micros = 0;
  const mark = text.charCodeAt(at);
  if (mark === POINT || mark === COMMA) {
    let digits = 0;
    for (at++; digits < 10; at++, digits++) {
      const digit = text.charCodeAt(at) - 0x30;
      if (!(digit >= 0 && digit <= 9)) break;
      if (digits < 6) micros = micros * 10 + digit;
    }
    if (digits === 0 || digits > 9) return null;
    for (let missing = digits; missing < 6; missing++) micros *= 10;
  }
  if (at === text.length) return timestampText(seconds, micros, 'none');
  if (at === text.length - 1 && text.charCodeAt(at) === LETTER_Z) return timestampText(seconds, micros, 'utc');
  if (at === text.length - 3 && text.endsWith('+00')) return timestampText(seconds, micros, 'utc');
  const zone = ZONE.exec(text.slice(at));
  if (zone === null) return null;
  const [, utc, sign, hours = '0', minutes = '0'] = zone;
  const offsetMinutes = Number(hours) * 60 + Number(minutes);
  if (Number(hours) > 23 || Number(minutes) > 59) return null;
  const isUtc = utc !== undefined || offsetMinutes === 0;
  return timestampText(seconds - (sign === '-' ? -60 : 60) * offsetMinutes, micros, isUtc ? 'utc' : 'offset');
}

function timestampText(seconds: number, micros: number, zone: ZoneKind): TimestampText | null {
  const total = microsOf(seconds, micros);
  return total === null ? null : {micros: total, zone};
}

/** Day of a text that begins with `2024-01-31`; NaN when it is none. */
function isoDay(text: string): number {
  return dayOf(twoDigits(text, 0) * 100 + twoDigits(text, 2), twoDigits(text, 5), twoDigits(text, 8));
}

/** The day that a text which is a timestamp begins with. */
function dayAsWritten(text: string): number {
  const [year, month, day] = (/^(\d{4})[-/](\d{1,2})[-/](\d{1,2})/.exec(text) ?? []).slice(1).map(Number);
  return dayOf(year ?? NaN, month ?? NaN, day ?? NaN);
}

/** A number of two digits, NaN when there is none. */
function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at) - 0x30;
  const ones = text.charCodeAt(at + 1) - 0x30;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : NaN;
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

function numberOrNull(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}
