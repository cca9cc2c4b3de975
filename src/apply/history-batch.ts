import type {BatchContext, TableChange} from './batch-context.ts';
import {liveRows, NO_CHANGE, rowsIn} from './batch-context.ts';
import {WORK} from './column-sql.ts';
import {eventSources, stagedFiles} from './event-sources.ts';
import {seenMissing} from './history-refresh.ts';
import {truncatesAsDeletes} from './history-truncates.ts';
import {History} from './history.ts';
import type {EventSource} from './merge-sql.ts';
import {wholeSources} from './partial-rows.ts';
import {RefreshSql} from './refresh-sql.ts';
import {writeRows} from './row-removal.ts';
import {filesOfKeys} from './stored-rows.ts';

/** SCD type 2: the versions of each key that the events of a batch touch are worked out anew. */
export async function historyBatch(context: BatchContext): Promise<TableChange> {
  const {job, work} = context;
  const history = new History(context);
  if (job.inputs.length === 0 && job.deletes.length === 0) return NO_CHANGE;
  const given = await truncatesAsDeletes(history, await eventSources(context));
  if (job.deletesWinTies) return seenMissing(history, given);
  const {sources, quarantined} = await wholeSources(context, given, async (keys) =>
    new RefreshSql(history.columns).open(await liveRows(context, {files: await filesOfKeys(context, keys)})),
  );
  if (isFirstLoad(context, sources)) return firstLoad(history, sources);
  const events = await standing(context, history.sql.events(sources));
  const [found] = await work.query(context.sql.repeats(events, history.sql.identity));
  const isOnce = Number(found?.['repeated'] ?? 0) === 0;
  const known = await takenOver(history);
  const fresh = await work.keep(
    known === null ? history.sql.fresh(events, isOnce) : history.sql.fresh(`${events} UNION ALL ${known}`, false),
  );
  const change = await history.change(fresh, await history.meet(fresh), Number(found?.['n'] ?? 0));
  return {
    ...change,
    side: async () => ({...(await change.side()), tombstones: []}),
    counts: {...change.counts, quarantined},
  };
}

/** Events without those that a truncate barred while the table kept no versions. */
async function standing({before, sql, side}: BatchContext, events: string): Promise<string> {
  if (before.truncates.length === 0) return events;
  return sql.notTruncated(events, sql.inline(sql.storedTruncate(await side.read(before.truncates))));
}

/** Deletes that SCD type 1 remembered, taken over by the first batch; its rows outrank them at equal sequences. */
async function takenOver({context, sql}: History): Promise<string | null> {
  const {tombstones} = context.before;
  if (tombstones.length === 0 || context.job.sequence.length === 0) return null;
  return sql.removals(await context.side.read(tombstones), 'closed', null);
}

/** Nothing is there that rows could meet, and they do not meet each other. */
function isFirstLoad({table, before, job}: BatchContext, sources: readonly EventSource[]): boolean {
  const hasDeletes = sources.some((source) => source.isDelete || source.columns.has(WORK.op));
  return (
    table.snapshot.files.size === 0 &&
    before.hidden.length + before.tombstones.length + before.truncates.length === 0 &&
    !hasDeletes &&
    job.keysUnique
  );
}

/** Staged files say themselves since when their rows hold. */
async function firstLoad({context, sql}: History, sources: readonly EventSource[]): Promise<TableChange> {
  const relations = sources.filter((_, at) => context.job.inputs[at]?.kind === 'relation');
  const rows = relations.length === 0 ? null : sql.opened(context.sql.rows(relations), null);
  const adds = [...stagedFiles(context.job.inputs), ...(rows === null ? [] : await writeRows(context, rows))];
  const counts = {...NO_CHANGE.counts, inserted: rowsIn(adds)};
  return {...NO_CHANGE, operation: 'MERGE', writeMode: null, blindAppend: false, adds, counts};
}
