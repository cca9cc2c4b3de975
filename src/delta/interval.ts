/** Milliseconds of a table property such as `interval 30 days`; null when the property is missing or is no interval. */
export function intervalMs(text: string | undefined): number | null {
  const parts = /^(?:interval\s+)?(\d+)\s+(second|minute|hour|day|week)s?$/i.exec(text?.trim() ?? '');
  const unit = UNIT_MS[parts?.[2]?.toLowerCase() ?? ''];
  return parts === null || unit === undefined ? null : Number(parts[1]) * unit;
}

const UNIT_MS: Readonly<Record<string, number>> = {
  second: 1000,
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
  week: 604_800_000,
};
