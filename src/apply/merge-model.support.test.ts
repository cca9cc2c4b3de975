/** A value of a column: a leaf, or a struct of leaves. */
export type ModelValue = string | null | {readonly [name: string]: string | null};

/** The columns of a row beside its key. */
export type ModelRow = Readonly<Record<string, ModelValue>>;

/** An event as the model knows it; a truncate has no key. */
export interface MergeEvent {
  readonly op: 'upsert' | 'delete' | 'truncate';
  readonly key: string;
  /** Compared value by value, null lowest. */
  readonly at: readonly (number | null)[];
  readonly values: ModelRow;
  /** Columns that the event leaves as they are. */
  readonly unchanged: readonly string[];
  /** The key before the event; null when it is the same. */
  readonly oldKey: string | null;
}

/** A row with the place of its newest upsert. */
export interface StandingRow {
  readonly at: MergeEvent['at'];
  readonly values: ModelRow;
}

/** Which place comes first. */
export function compareAt(left: MergeEvent['at'], right: MergeEvent['at']): number {
  for (const [index, l] of left.entries()) {
    const r = right[index] ?? null;
    if (l === r) continue;
    if (l === null) return -1;
    return r === null || l > r ? 1 : -1;
  }
  return 0;
}

/**
 * SCD type 1 as the specification says it: events one after the other in the order of their sequence. An upsert is the row, but
 * for columns that it leaves and for NULLs that say nothing; a delete forgets the row with all its values, a truncate all rows.
 * At one sequence deletes and truncates come before upserts, and of upserts the later arrival is the last.
 */
export function standingRows(
  events: readonly MergeEvent[],
  ignoreNullColumns: readonly string[],
): ReadonlyMap<string, StandingRow> {
  const rows = new Map<string, StandingRow>();
  const strength = (event: MergeEvent): number => (event.op === 'upsert' ? 1 : 0);
  const inOrder = events
    .map((event, arrival) => ({event, arrival}))
    .toSorted(
      (left, right) =>
        compareAt(left.event.at, right.event.at) ||
        strength(left.event) - strength(right.event) ||
        left.arrival - right.arrival,
    );
  for (const {event} of inOrder) {
    const before = rows.get(event.oldKey ?? event.key)?.values ?? null;
    if (event.op === 'truncate') rows.clear();
    if (event.op === 'delete') rows.delete(event.key);
    if (event.oldKey !== null) rows.delete(event.oldKey);
    if (event.op !== 'upsert') continue;
    const base = event.oldKey === null ? before : (rows.get(event.key)?.values ?? null);
    const left = Object.fromEntries(event.unchanged.map((name) => [name, before?.[name] ?? null]));
    const values = {...event.values, ...left};
    for (const name of ignoreNullColumns) values[name] = laidOver(base?.[name] ?? null, values[name] ?? null);
    rows.set(event.key, {at: event.at, values});
  }
  return rows;
}

function laidOver(below: ModelValue, above: ModelValue): ModelValue {
  const isStruct = (value: ModelValue): value is Exclude<ModelValue, string | null> =>
    typeof value === 'object' && value !== null;
  if (!isStruct(below) && !isStruct(above)) return above ?? below;
  const [old, fresh] = [isStruct(below) ? below : {}, isStruct(above) ? above : {}];
  const names = [...new Set([...Object.keys(old), ...Object.keys(fresh)])].toSorted();
  const merged = Object.fromEntries(names.map((name) => [name, fresh[name] ?? old[name] ?? null]));
  // A struct without a value is none.
  return Object.values(merged).every((value) => value === null) ? null : merged;
}
