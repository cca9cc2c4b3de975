import type {AddFile} from '../delta/actions.ts';
import type {ApplyInput} from './apply-engine.ts';
import type {BatchContext} from './batch-context.ts';
import {rowsIn} from './batch-context.ts';
import type {EventRange} from './merge-sql.ts';

/** Rows that a batch adds, by where they are. */
export interface AddedRows {
  /** Files of which every row is added. */
  readonly files: readonly AddFile[];
  /** Their rows, as a SELECT; null when there are none. */
  readonly inFiles: string | null;
  /** The rows that are to be written, as a SELECT; null when there are none. */
  readonly others: string | null;
}

/**
 * Finds files of the batch that can be added as they are: those with as many rows as the batch adds of them.
 * @param changes the newest events, with their places in the batch as they came; a file has no other row than one of an upsert.
 * @param count of rows that the batch adds.
 */
export async function addedRows(
  {job, work, sql}: BatchContext,
  {changes, stale}: {readonly changes: string; readonly stale: string | null},
  count: number,
): Promise<AddedRows> {
  const ranges = rangesOf(job.inputs);
  const [found] = ranges.length === 0 ? [] : await work.query(sql.countsOfRanges(changes, stale, ranges));
  const whole = ranges.filter(({files}, at) => Number(found?.[`n_${at}`]) === rowsIn(files));
  const files = whole.flatMap((range) => range.files);
  return {
    files,
    inFiles: files.length === 0 ? null : sql.upserts(changes, stale, sql.inRanges(whole)),
    others:
      count === rowsIn(files)
        ? null
        : sql.upserts(changes, stale, files.length === 0 ? null : `NOT ${sql.inRanges(whole)}`),
  };
}

/** Rows of which none is in a file that could be added. */
export function writtenRows(count: number, rows: string): AddedRows {
  return {files: [], inFiles: null, others: count === 0 ? null : rows};
}

interface WrittenRange extends EventRange {
  readonly files: readonly AddFile[];
}

function rangesOf(inputs: readonly ApplyInput[]): readonly WrittenRange[] {
  return inputs.flatMap((input, source): readonly WrittenRange[] =>
    input.kind === 'staged'
      ? [{source, orders: null, files: input.files}]
      : (input.written ?? []).map(({from, to, files}) => ({source, orders: [from, to], files})),
  );
}
