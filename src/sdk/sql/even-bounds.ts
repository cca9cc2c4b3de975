/** What is known of a key of whole numbers, and how it is to be cut. */
export interface EvenCut {
  /** The least and the greatest key. */
  readonly low: bigint;
  readonly high: bigint;
  readonly estimatedRows: number | null;
  /** Wanted in one range. */
  readonly rows: number;
  readonly maxRanges: number;
}

/** The last keys of ranges that are equally long, but for the last range, which is open; null where most numbers are no keys. */
export function evenBounds({low, high, estimatedRows, rows, maxRanges}: EvenCut): readonly string[] | null {
  const span = high - low + 1n;
  if (span > BigInt(Math.max(estimatedRows ?? 0, rows)) * 3n) return null;
  const least = span / BigInt(maxRanges);
  const step = BigInt(rows) > least ? BigInt(rows) : least + 1n;
  const bounds: string[] = [];
  for (let bound = low + step - 1n; bound < high; bound += step) bounds.push(String(bound));
  return bounds;
}
