/**
 * Milliseconds of a table property such as `interval 30 days` or `interval 1 day 12 hours`; null when the property is
 * missing. Longer than any table lives when it cannot be read: what nobody understands must not remove anything.
 */
export function intervalMs(text: string | undefined): number | null {
  if (text === undefined) return null;
  const words = text.trim().toLowerCase().split(/\s+/);
  if (words[0] === 'interval') words.shift();
  let sum = words.length === 0 ? FOR_EVER_MS : 0;
  for (let at = 0; at < words.length; at += 2) {
    const [count = '', unit = ''] = words.slice(at, at + 2);
    const unitMs = UNIT_MS[unit.replace(/s$/, '')];
    sum += /^\d+$/.test(count) && unitMs !== undefined ? Number(count) * unitMs : FOR_EVER_MS;
  }
  return Math.min(sum, FOR_EVER_MS);
}

const FOR_EVER_MS = Number.MAX_SAFE_INTEGER;

const UNIT_MS: Readonly<Record<string, number>> = {
  microsecond: 0.001,
  millisecond: 1,
  second: 1000,
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
  week: 604_800_000,
};
