import type {StructType} from '../core/types.ts';
import type {BatchContext} from './batch-context.ts';
import {liveRows} from './batch-context.ts';
import {filesHit} from './file-choice.ts';
import type {TruncatedRows, Truncation} from './truncation.ts';

/** What a truncate of the batch leaves of the table. */
export interface LeftRows {
  readonly truncation: Truncation | null;
  readonly gone: TruncatedRows;
}

/**
 * Stored rows that may have a key of a relation, by the statistics of the files, with their places; those that a truncate of
 * the batch takes away are not among them.
 */
export async function storedRows(
  context: BatchContext,
  keys: string,
  columns: StructType,
  {truncation, gone}: LeftRows,
): Promise<string> {
  const truncated = new Set(gone.files.map((file) => file.path));
  const files = (await filesOfKeys(context, keys)).filter((path) => !truncated.has(path));
  const rows = await liveRows(context, {columns, files});
  return truncation === null || gone.places === null ? rows : context.sql.rowsOfTruncate(rows, truncation.watermark);
}

/** Live files that may have a row with a key of a relation, by their statistics. */
export async function filesOfKeys(context: BatchContext, keys: string): Promise<readonly string[]> {
  let files = new Set(context.table.snapshot.files.keys());
  if (files.size === 0) return [];
  const [range] = await context.work.query(context.sql.keyRange(keys));
  let hasNan = false;
  context.job.keys.forEach((key, at) => {
    const [min, max] = [range?.[`min_${at}`] ?? null, range?.[`max_${at}`] ?? null];
    // Without a bound there is no event; NaN is no bound.
    if (min === null || max === null) files = new Set();
    hasNan ||= Number.isNaN(min) || Number.isNaN(max);
    if (min === null || max === null || Number.isNaN(min) || Number.isNaN(max)) return;
    const inRange = new Set(context.table.filesInRange(key, min, max).map((file) => file.path));
    files = new Set([...files].filter((path) => inRange.has(path)));
  });
  return [...(hasNan ? files : await filesHit(context, keys, files))];
}
