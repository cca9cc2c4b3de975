import {END_COLUMN, START_COLUMN} from '../core/types.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import type {Engine} from '../engine/engine.ts';
import {quoteIdentifier} from '../engine/sql-types.ts';

/** What the versions of a table with history look like among themselves; the source has no part in it. */
export interface HistoryCheck {
  readonly versions: number;
  readonly keys: number;
  /** Versions that begin before the one before them of the same key ends. */
  readonly overlaps: number;
  /** Times between two versions of a key in which it had none: right where the key was deleted and came back. */
  readonly gaps: number;
  /** Keys with more than one version that has not ended. */
  readonly openTwice: number;
  /** Versions that do not begin before they end. */
  readonly backwards: number;
}

/** Counts what may not be in a history, and gaps, which may. One pass over keys and interval ends, in the engine. */
export async function checkHistory(
  engine: Engine,
  table: DeltaTable,
  {keys, signal}: {readonly keys: readonly string[]; readonly signal: AbortSignal},
): Promise<HistoryCheck> {
  const {snapshot} = table;
  const select = await table.readSql({snapshot, columns: [...keys, START_COLUMN, END_COLUMN]});
  const key = keys.map(quoteIdentifier).join(', ');
  const [start, end] = [quoteIdentifier(START_COLUMN), quoteIdentifier(END_COLUMN)];
  // An open version that another follows overlaps it; where both are open, that is told as a key that is open twice.
  const sql = `WITH versions AS (
      SELECT ${key}, ${start} AS begins, ${end} AS ends,
        lead(${start}) OVER own AS next_begins, lead(${end}) OVER own AS next_ends, lead(1) OVER own AS has_next
      FROM (${select}) AS landed WINDOW own AS (PARTITION BY ${key} ORDER BY ${start} NULLS FIRST, ${end} NULLS LAST)
    ), per_key AS (SELECT count(*) FILTER (WHERE ends IS NULL) AS open FROM versions GROUP BY ${key})
    SELECT count(*) AS versions,
      count(*) FILTER (WHERE has_next = 1 AND (next_begins < ends OR (ends IS NULL AND next_ends IS NOT NULL))) AS overlaps,
      count(*) FILTER (WHERE next_begins > ends) AS gaps,
      count(*) FILTER (WHERE ends <= begins) AS backwards,
      (SELECT count(*) FROM per_key) AS keys,
      (SELECT count(*) FROM per_key WHERE open > 1) AS open_twice
    FROM versions`;
  const [row] = await engine.query(sql, signal);
  const count = (name: string): number => Number(row?.[name] ?? 0);
  return {
    versions: count('versions'),
    keys: count('keys'),
    overlaps: count('overlaps'),
    gaps: count('gaps'),
    openTwice: count('open_twice'),
    backwards: count('backwards'),
  };
}
