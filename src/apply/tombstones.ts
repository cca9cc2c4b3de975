import type {StructField, StructType} from '../core/types.ts';
import type {BatchContext} from './batch-context.ts';
import {isLong, namesOf} from './side-files.ts';
import type {Truncation} from './truncation.ts';

/** Milliseconds since 1970 at which a tombstone was written; files of version 0.1 do not have it. */
const WRITTEN_AT: StructField = {name: '__sluice_written_at', type: 'long', nullable: true, metadata: {}};

/** The tombstones that count, as a SELECT of keys and sequence; null when there are none. */
export async function knownTombstones(context: BatchContext): Promise<string | null> {
  const {before, job} = context;
  if (before.tombstones.length === 0 || job.sequence.length === 0) return null;
  return counting(context, await readTombstones(context, before.tombstones));
}

/**
 * The list of tombstone files after new tombstones (a SELECT of keys and sequence). What a truncate outranks and what is
 * older than the job lets it be goes when files are written anew; a file of nothing else goes at once.
 */
export async function withTombstones(
  context: BatchContext,
  added: string,
  truncation: Truncation | null,
): Promise<readonly string[]> {
  const {sql, side, before, job} = context;
  if (!job.keepTombstones || job.sequence.length === 0) return before.tombstones;
  const names = [...(await withoutExpired(context, before.tombstones)), ...(await writeTombstones(context, added))];
  if (names.length === 0 || (truncation?.isNew !== true && !isLong(names))) return names;
  const all = counting(context, await readTombstones(context, names));
  const left = truncation === null ? all : sql.rowsOfTruncate(all, truncation.watermark);
  const newest = sql.newestTombstones(left, [WRITTEN_AT.name]);
  return namesOf(await side.write('tombstones', dated(context, newest), schemaOf(context)));
}

/** Writes tombstones, as of now. */
export async function writeTombstones(context: BatchContext, tombstones: string): Promise<readonly string[]> {
  const undated = `SELECT *, CAST(NULL AS BIGINT) AS ${WRITTEN_AT.name} FROM (${tombstones}) AS d`;
  return namesOf(await context.side.write('tombstones', dated(context, undated), schemaOf(context)));
}

async function readTombstones({side, sql, work, columns}: BatchContext, names: readonly string[]): Promise<string> {
  const files = await side.read(names);
  const isDated = (await work.query(`DESCRIBE ${files}`)).some((row) => row['column_name'] === WRITTEN_AT.name);
  const list = [
    ...sql.deleteSchema.fields.map((field) => columns.cast(field, true)),
    columns.cast(WRITTEN_AT, isDated),
  ];
  return `SELECT ${list.join(', ')}, file_index FROM (${files}) AS f`;
}

function counting(context: BatchContext, tombstones: string): string {
  const cutoff = cutoffOf(context);
  return cutoff === null
    ? tombstones
    : `SELECT * FROM (${tombstones}) AS d WHERE coalesce(${WRITTEN_AT.name} > ${cutoff}, TRUE)`;
}

async function withoutExpired(context: BatchContext, names: readonly string[]): Promise<readonly string[]> {
  const cutoff = cutoffOf(context);
  if (cutoff === null || names.length === 0) return names;
  const newest = await context.work.query(
    `SELECT file_index AS file, bool_and(coalesce(${WRITTEN_AT.name} <= ${cutoff}, FALSE)) AS expired FROM (${await readTombstones(context, names)}) AS d GROUP BY 1`,
  );
  const expired = new Set(newest.filter((row) => row['expired'] === true).map((row) => Number(row['file'])));
  return names.filter((_, at) => !expired.has(at));
}

/** Tombstones whose time nobody knows count from now on. */
function dated({delta}: BatchContext, tombstones: string): string {
  return `SELECT * REPLACE (coalesce(${WRITTEN_AT.name}, CAST(${delta.clock.nowMs()} AS BIGINT)) AS ${WRITTEN_AT.name}) FROM (${tombstones}) AS d`;
}

function schemaOf({sql}: BatchContext): StructType {
  return {type: 'struct', fields: [...sql.deleteSchema.fields, WRITTEN_AT]};
}

function cutoffOf({job, delta}: BatchContext): number | null {
  return job.tombstoneRetentionMs === null ? null : delta.clock.nowMs() - job.tombstoneRetentionMs;
}
