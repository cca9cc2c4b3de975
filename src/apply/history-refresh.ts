import {END_COLUMN, START_COLUMN, type StructType} from '../core/types.ts';
import type {BatchContext, TableChange} from './batch-context.ts';
import {liveRows, NO_CHANGE, rowsIn} from './batch-context.ts';
import {addHidden} from './history-side.ts';
import {History} from './history.ts';
import type {EventSource} from './merge-sql.ts';
import {RefreshSql} from './refresh-sql.ts';
import {writeRows} from './row-removal.ts';

/** What a source holds now. */
export interface RefreshedRows {
  /** Each key once, as a SELECT. */
  readonly select: string;
  /** A work table with rows and deletes that these were chosen of; null: there were no deletes. */
  readonly chosen: string | null;
}

/**
 * A snapshot or full refresh of a table that keeps versions: what differs from the open ones becomes events, and the history goes
 * on. Rows begin at their sequence, those of snapshots when they were read; keys that are gone end above all that is known.
 */
export async function refreshedHistory(context: BatchContext, rows: RefreshedRows): Promise<TableChange> {
  const {job, table} = context;
  const history = new History(context);
  if (job.dropHistory === true || table.snapshot.files.size === 0) return anew(history, rows);
  const sql = new RefreshSql(history.columns);
  const open = sql.open(await liveRows(context));
  const difference = await context.work.keep(sql.difference(rows.select, open));
  const kinds = new Map(
    (await context.work.query(sql.counts(difference))).map((row) => [String(row['kind']), Number(row['n'])]),
  );
  const rowCount = await context.work.count(context.sql.countOf(rows.select), 'n');
  const unchanged = rowCount - (kinds.get('insert') ?? 0) - (kinds.get('update') ?? 0);
  const deletes = job.sequence.length === 0 || rows.chosen === null ? null : context.sql.deleteRows(rows.chosen);
  if (kinds.size === 0 && deletes === null) return {...NO_CHANGE, counts: {...NO_CHANGE.counts, unchanged}};
  const place = await placeOf(history, sql, rows.select);
  const isSnapshot = job.sequence.length === 0;
  const events = [
    history.sql.upserts(sql.differing(rows.select, difference), isSnapshot ? history.columns.lead(place) : null),
    history.sql.removals(sql.missing(difference), 'closed', history.columns.lead(place)),
    ...(deletes === null ? [] : [history.sql.removals(deletes, 'delete', null)]),
  ];
  const change = await corrected(history, events, place);
  return {...change, counts: {...change.counts, unchanged}};
}

/** Rows that a key scan did not find: their open versions end, where they still are as they were seen. */
export async function seenMissing(history: History, sources: readonly EventSource[]): Promise<TableChange> {
  const {context, columns} = history;
  const sql = new RefreshSql(columns);
  const open = sql.open(await liveRows(context, {columns: boundsOf(history)}));
  const keys = sources.map(
    ({select}) => `SELECT ${columns.columns.named(context.sql.deleteSchema.fields)} FROM (${select}) AS s`,
  );
  const place = await placeOf(history, sql, context.sql.nothing());
  const missing = sql.stillSeen(keys.join(' UNION ALL '), open);
  return corrected(history, [history.sql.removals(missing, 'closed', columns.lead(place))], place);
}

async function corrected(history: History, events: readonly string[], place: string): Promise<TableChange> {
  const {work, sql} = history.context;
  const all = events.join(' UNION ALL ');
  const fresh = await work.keep(history.sql.fresh(all, false));
  const met = await history.meet(fresh);
  const count = await work.count(sql.countOf(`SELECT * FROM ${fresh}`), 'n');
  if (!history.columns.isSequenced) return history.change(fresh, met, count);
  const known = `SELECT * FROM ${met.stored} UNION ALL ${history.timeline.ends(met.stored)}`;
  const moved = await work.keep(new RefreshSql(history.columns).moved(fresh, known, place));
  return history.change(moved, met, count);
}

/** The leading value above all that table and rows know, as text. */
async function placeOf(history: History, sql: RefreshSql, rows: string): Promise<string> {
  const {context} = history;
  const live = await liveRows(context, {columns: boundsOf(history)});
  const [row] = await context.work.query(
    history.columns.isSequenced ? sql.above([live, rows]) : sql.snapshotPlace(live, context.job.snapshotAt),
  );
  return String(row?.['place']);
}

/** Keys, sequence and the two columns that say when. */
function boundsOf({context}: History): StructType {
  const names = new Set([...context.job.keys, ...context.job.sequence, START_COLUMN, END_COLUMN]);
  return {type: 'struct', fields: context.job.schema.fields.filter(({name}) => names.has(name))};
}

/** The rows as a table that begins now. */
async function anew(history: History, rows: RefreshedRows): Promise<TableChange> {
  const {context, sql, columns} = history;
  const {table, job} = context;
  const live = [...table.snapshot.files.values()];
  const start = columns.isSequenced ? null : `make_timestamptz(${job.snapshotAt})`;
  const adds = await writeRows(context, sql.opened(rows.select, start));
  const deletes = rows.chosen === null || !history.remembers ? null : context.sql.deleteRows(rows.chosen);
  return {
    operation: 'WRITE',
    writeMode: live.length === 0 ? 'Append' : 'Overwrite',
    adds,
    removes: live.map((file) => table.removeOf(file)),
    cdc: [],
    blindAppend: false,
    side: async () => ({
      tombstones: [],
      hidden: deletes === null ? [] : await addHidden(history, [], sql.tombstones(deletes, history.nowMs)),
    }),
    counts: {...NO_CHANGE.counts, inserted: rowsIn(adds), deleted: rowsIn(live)},
  };
}
