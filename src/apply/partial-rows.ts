import type {StructField} from '../core/types.ts';
import type {BatchContext} from './batch-context.ts';
import {WORK} from './column-sql.ts';
import {tellRecords} from './left-out.ts';
import type {EventSource} from './merge-sql.ts';
import {PartialSql} from './partial-sql.ts';

/** Events whose rows are whole. */
export interface WholeEvents {
  /** A SELECT in the form of `MergeSql.events`. */
  readonly events: string;
  /** Events that were laid aside, because nothing knows the values that they left as they were. */
  readonly quarantined: number;
  /** None had to be completed. */
  readonly isAsRead: boolean;
}

/** True when a source may bring events that leave columns as they are. */
export function hasPartialRows(sources: readonly EventSource[]): boolean {
  return sources.some((source) => source.columns.has(WORK.unchanged));
}

/**
 * Completes the events that leave columns as they are: their values are those of the newest older event of the key in the
 * batch, else of the stored row; of the row under the key before where the event changes the key as well. An event whose
 * values nothing knows goes to quarantine, as if it had not come; one that is older than the stored row is left out. Right only
 * for sources that bring the events of a key in order.
 * @param events a SELECT in the form of `MergeSql.partialEvents`.
 * @param stored a SELECT of the stored rows of keys (all columns of the schema), given a relation of keys.
 */
export async function completeRows(
  context: BatchContext,
  events: string,
  stored: (keys: string) => Promise<string>,
): Promise<WholeEvents> {
  const {work, columns} = context;
  const left = await leftColumns(context, events);
  if (left.length === 0) return {events: context.sql.asEvents(events), quarantined: 0, isAsRead: true};
  const sql = new PartialSql(columns, left, context.job.ignoreNullColumns);
  const affected = await work.keep(sql.affected(events));
  let placed = await work.keep(sql.placed(events, affected, await stored(affected)));
  // A row may have changed its key several times: each round looks up the next key of each. The oldest always can be.
  while ((await work.count(sql.unresolved(placed), 'n')) > 0) placed = await work.keep(sql.resolved(placed));
  const completed = await work.keep(sql.completed(placed));
  return {
    events: sql.whole(events, affected, completed),
    quarantined: await tellRecords(context, sql.lacking(completed), (leftOut, records) => leftOut.incomplete(records)),
    isAsRead: false,
  };
}

/**
 * The sources of a batch with whole rows: one source of upserts and deletes where there were incomplete ones, see
 * {@link completeRows}. Truncates are not among them.
 */
export async function wholeSources(
  context: BatchContext,
  sources: readonly EventSource[],
  stored: (keys: string) => Promise<string>,
): Promise<{readonly sources: readonly EventSource[]; readonly quarantined: number}> {
  if (!hasPartialRows(sources)) return {sources, quarantined: 0};
  const {sql, work, job} = context;
  const whole = await completeRows(context, sql.partialEvents(sources), stored);
  const events = await work.keep(sql.asSource(whole.events));
  const columns = new Set([...job.schema.fields.map(({name}) => name), WORK.op, WORK.order]);
  return {sources: [{select: `SELECT * FROM ${events}`, columns, isDelete: false}], quarantined: whole.quarantined};
}

/** Columns that events leave as they are. */
async function leftColumns(context: BatchContext, events: string): Promise<readonly StructField[]> {
  const {job, work, sql} = context;
  const names = new Set((await work.query(sql.leftColumns(events))).map((row) => String(row['name'])));
  return job.schema.fields.filter((field) => names.has(field.name) && !job.keys.includes(field.name));
}
