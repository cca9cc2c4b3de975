import type {AddFile} from '../delta/actions.ts';
import type {BatchContext} from './batch-context.ts';
import {liveRows, rowsIn} from './batch-context.ts';
import type {EventSource} from './merge-sql.ts';
import {namesOf} from './side-files.ts';

/** The newest truncate that a table or a batch knows: nothing older than it counts. */
export interface Truncation {
  /** A relation of one row: the sequence. */
  readonly watermark: string;
  /** The batch brought it: stored rows may be older. */
  readonly isNew: boolean;
}

/** The watermark of a table after the truncates of a batch; null when there never was one. */
export async function truncationOf(context: BatchContext, sources: readonly EventSource[]): Promise<Truncation | null> {
  const {sql, work, side, before, job} = context;
  const isStored = before.truncates.length > 0 && job.sequence.length > 0;
  const stored = isStored ? [sql.storedTruncate(await side.read(before.truncates))] : [];
  const brought = sql.truncates(sources);
  if (brought === null && !isStored) return null;
  const watermark = await work.keep(sql.newestTruncate([...stored, ...(brought === null ? [] : [brought])]));
  const [newest] = await work.query(sql.truncateSource(watermark));
  return newest === undefined ? null : {watermark, isNew: Number(newest['source']) >= 0};
}

/** Stored rows that a truncate takes away. */
export interface TruncatedRows {
  /** Files of which nothing is left. */
  readonly files: readonly AddFile[];
  /** Places in other files, as a SELECT; null when there are none. */
  readonly places: string | null;
  readonly rowCount: number;
}

/** The stored rows that are older than a truncate of this batch. */
export async function truncatedRows(context: BatchContext, truncation: Truncation | null): Promise<TruncatedRows> {
  if (truncation?.isNew !== true) return {files: [], places: null, rowCount: 0};
  const {sql, work, table} = context;
  const gone = sql.rowsOfTruncate(await liveRows(context, {columns: sql.deleteSchema}), truncation.watermark, true);
  const counts = await work.query(sql.touchedFiles(sql.inline(gone)));
  const files: AddFile[] = [];
  const others: string[] = [];
  let rowCount = 0;
  for (const row of counts) {
    const file = table.snapshot.files.get(String(row['file']));
    rowCount += Number(row['n']);
    if (file !== undefined && rowsIn([file]) === Number(row['n'])) files.push(file);
    else others.push(String(row['file']));
  }
  if (others.length === 0) return {files, places: null, rowCount};
  const rest = sql.rowsOfTruncate(
    await liveRows(context, {columns: sql.deleteSchema, files: others}),
    truncation.watermark,
    true,
  );
  return {files, places: sql.placesOf(rest), rowCount};
}

/** Writes the watermark down, when it is new; resolves to the list of its files. */
export async function writeTruncation(
  context: BatchContext,
  truncation: Truncation | null,
): Promise<readonly string[]> {
  const {sql, columns, side, before, job} = context;
  if (truncation?.isNew !== true || job.sequence.length === 0) return before.truncates;
  const fields = columns.sequenceFields;
  return namesOf(await side.write('truncates', sql.sequenceOf(truncation.watermark), {type: 'struct', fields}));
}
