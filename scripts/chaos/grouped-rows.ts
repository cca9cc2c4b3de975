/** Values (`v`) of rows by key (`k`); a key that occurs twice has two. */
export function groupedRows(
  rows: readonly Readonly<Record<string, unknown>>[],
): ReadonlyMap<string, readonly string[]> {
  const map = new Map<string, string[]>();
  for (const row of rows) {
    const key = String(row['k']);
    map.set(key, [...(map.get(key) ?? []), String(row['v'])]);
  }
  return map;
}
