/** Texts of 0 to 99 with two digits. */
const TWO: readonly string[] = Array.from({length: 100}, (_, value) => String(value).padStart(2, '0'));
const SECONDS_PER_DAY = 86_400;

/** Digits after the point with it; empty without digits. */
export function fractionText(micros: number, digits: number): string {
  if (digits === 0) return '';
  const hundreds = Math.floor(micros / 100);
  const tenThousands = Math.floor(micros / 10_000);
  const text = `.${TWO[tenThousands] ?? ''}${TWO[hundreds - tenThousands * 100] ?? ''}${TWO[micros - hundreds * 100] ?? ''}`;
  return digits === 6 ? text : text.slice(0, digits + 1);
}

/** A day from its parts, as the servers print it: also days that do not exist. */
export function dateText(year: number, month: number, day: number): string {
  const century = Math.floor(year / 100);
  return `${TWO[century] ?? ''}${TWO[year - century * 100] ?? ''}-${TWO[month] ?? ''}-${TWO[day] ?? ''}`;
}

/** @param packed year and month as 13 * year + month, then 5 bits of day, 5 of hour, 6 of minute, 6 of second. */
export function dateTimeText(packed: number, micros: number, digits: number): string {
  const time = packed % 131_072;
  const days = (packed - time) / 131_072;
  const day = days & 31;
  const months = (days - day) / 32;
  const month = months % 13;
  const date = dateText((months - month) / 13, month, day);
  return `${date} ${TWO[time >> 12] ?? ''}:${TWO[(time >> 6) & 63] ?? ''}:${TWO[time & 63] ?? ''}${fractionText(micros, digits)}`;
}

/** @param packed 10 bits of hours, 6 of minutes, 6 of seconds. */
export function timeText(
  isNegative: boolean,
  packed: number,
  {micros, digits}: {readonly micros: number; readonly digits: number},
): string {
  const hours = (packed >> 12) & 0x3ff;
  const clock = `${TWO[hours] ?? String(hours)}:${TWO[(packed >> 6) & 63] ?? ''}:${TWO[packed & 63] ?? ''}`;
  return `${isNegative ? '-' : ''}${clock}${fractionText(micros, digits)}`;
}

/** Seconds since 1970 as a time of UTC; 0 is what the servers store for `0000-00-00 00:00:00`. */
export function timestampText(seconds: number, micros: number, digits: number): string {
  if (seconds === 0 && micros === 0) return `0000-00-00 00:00:00${fractionText(0, digits)}`;
  const days = Math.floor(seconds / SECONDS_PER_DAY);
  const clock = seconds - days * SECONDS_PER_DAY;
  if (days !== lastDay.days) lastDay = {days, text: dayText(days)};
  const minutes = Math.floor(clock / 60);
  const hours = Math.floor(minutes / 60);
  const time = `${TWO[hours] ?? ''}:${TWO[minutes - hours * 60] ?? ''}:${TWO[clock - minutes * 60] ?? ''}`;
  return `${lastDay.text} ${time}${fractionText(micros, digits)}`;
}

/** Rows that follow each other are often of one day. */
let lastDay = {days: 0, text: '1970-01-01'};

/** The day that is so many days after 1970-01-01. Years begin in March, which puts the leap day last. */
function dayText(days: number): string {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return dateText(year, month, dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1);
}
