const DAY_MICROS = 86_400_000_000n;
const DAYS_TO_2000 = 10_957;

/** A date as PostgreSQL prints it (ISO), from its binary form: days since 2000-01-01. */
export function dateText(days: number): string {
  if (days === 0x7fff_ffff) return 'infinity';
  if (days === -0x8000_0000) return '-infinity';
  const {date, suffix} = civil(days + DAYS_TO_2000);
  return `${date}${suffix}`;
}

/** A timestamp as PostgreSQL prints it (ISO, zone UTC), from its binary form: microseconds since 2000-01-01. */
export function timestampText(micros: bigint, zoned: boolean): string {
  if (micros === 0x7fff_ffff_ffff_ffffn) return 'infinity';
  if (micros === -0x8000_0000_0000_0000n) return '-infinity';
  const rest = ((micros % DAY_MICROS) + DAY_MICROS) % DAY_MICROS;
  const {date, suffix} = civil(Number((micros - rest) / DAY_MICROS) + DAYS_TO_2000);
  const seconds = Number(rest / 1_000_000n);
  const fraction = String(rest % 1_000_000n)
    .padStart(6, '0')
    .replace(/0+$/, '');
  const clock = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map((part) =>
    String(Math.floor(part)).padStart(2, '0'),
  );
  return `${date} ${clock.join(':')}${fraction === '' ? '' : `.${fraction}`}${zoned ? '+00' : ''}${suffix}`;
}

/** Year, month and day of a day since 1970-01-01. @see https://howardhinnant.github.io/date_algorithms.html#civil_from_days */
function civil(days: number): {readonly date: string; readonly suffix: string} {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const leaps = Math.floor(dayOfEra / 1460) - Math.floor(dayOfEra / 36_524) + Math.floor(dayOfEra / 146_096);
  const yearOfEra = Math.floor((dayOfEra - leaps) / 365);
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1;
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const shown = String(year > 0 ? year : 1 - year).padStart(4, '0');
  const date = `${shown}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`;
  return {date, suffix: year > 0 ? '' : ' BC'};
}
