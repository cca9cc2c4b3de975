/** `1,234,567`. */
export function countText(count: number | bigint): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `12.3 MB`, in powers of 1000. */
export function sizeText(sizeBytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = sizeBytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[unit] ?? ''}`;
}

/** `850 ms`, `12.3 s`, `4:05`, `1:02:03`. */
export function durationText(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 59_950) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  return hours === 0 ? `${minutes}:${two(seconds % 60)}` : `${hours}:${two(minutes)}:${two(seconds % 60)}`;
}

/** `850/s`, `12.3k/s`, `1.2M/s`. */
export function rateText(rowsPerSecond: number): string {
  if (rowsPerSecond < 1000) return `${Math.round(rowsPerSecond)}/s`;
  if (rowsPerSecond < 999_950) return `${(rowsPerSecond / 1000).toFixed(1)}k/s`;
  return `${(rowsPerSecond / 1_000_000).toFixed(1)}M/s`;
}
