import {IngestError} from '../core/errors.ts';
import type {SideFiles} from '../delta/batch-file.ts';
import type {BatchContext, TableChange} from './batch-context.ts';
import {liveRows, NO_CHANGE, rowsIn} from './batch-context.ts';
import {eventSources, stagedFiles} from './event-sources.ts';
import {ignoresNulls, leafChange} from './leaf-batch.ts';
import type {EventSource} from './merge-sql.ts';
import {completeRows, hasPartialRows, type WholeEvents} from './partial-rows.ts';
import {replaceRows, writeRows} from './row-removal.ts';
import {type LeftRows, storedRows} from './stored-rows.ts';
import {knownTombstones, withTombstones} from './tombstones.ts';
import {truncatedRows, type Truncation, truncationOf, writeTruncation} from './truncation.ts';
import {addedRows, type AddedRows, writtenRows} from './written-ranges.ts';

/** SCD type 1: the newest event of each key becomes the row, late and repeated ones change nothing. */
export async function keyedBatch(context: BatchContext): Promise<TableChange> {
  const {job} = context;
  if (job.keys.length === 0) {
    throw new IngestError('MISSING_KEY', `Table ${job.tableRoot} has no key to merge by.`, {
      fix: 'Set table_configuration.primary_keys.',
      context: {table: job.tableRoot},
    });
  }
  if (job.inputs.length === 0 && job.deletes.length === 0) return NO_CHANGE;
  const sources = await eventSources(context);
  if (isFirstLoad(context, sources)) return firstLoad(context, sources);
  const truncation = await truncationOf(context, sources);
  const left = {truncation, gone: await truncatedRows(context, truncation)};
  const whole = await wholeEvents(context, sources, {
    truncation,
    stored: async (keys) => storedRows(context, keys, job.schema, left),
  });
  if (ignoresNulls(context)) return leafBatch(context, whole, left);
  const changes = await newestChanges(context, whole.events, eachKeyOnce(context, sources));
  const matched = await context.work.keep(
    context.sql.matched(
      changes,
      await storedRows(context, changes, context.sql.deleteSchema, left),
      job.deletesWinTies,
    ),
  );
  return merged(context, {changes, matched, stale: await staleKeys(context, changes, matched)}, {...whole, left});
}

/** The relations of one merge. */
interface Merge {
  /** The newest event of each key. */
  readonly changes: string;
  /** Live rows of these keys. */
  readonly matched: string;
  /** Keys whose event changes nothing; null when there are none. */
  readonly stale: string | null;
}

/** What a merge is to become, whatever worked it out. */
interface Outcome {
  readonly events: number;
  readonly upserts: number;
  readonly updated: number;
  readonly deleted: number;
  readonly added: AddedRows;
  /** Places of rows that go, as a relation. */
  readonly touched: string;
  readonly quarantined: number;
  readonly left: LeftRows;
  readonly side: TableChange['side'];
}

/**
 * The events of a batch that count, each with its whole row. `stored` gives the stored rows of a relation of keys, as a SELECT.
 */
export async function wholeEvents(
  context: BatchContext,
  sources: readonly EventSource[],
  table: {readonly truncation: Truncation | null; readonly stored: (keys: string) => Promise<string>},
): Promise<WholeEvents> {
  const {sql} = context;
  const isPartial = hasPartialRows(sources);
  const all = isPartial ? sql.partialEvents(sources) : sql.events(sources);
  const events = table.truncation === null ? all : sql.notTruncated(all, table.truncation.watermark);
  if (!isPartial) return {events, quarantined: 0, isAsRead: true};
  return completeRows(context, events, table.stored);
}

/** True when the order of a batch's events cannot matter, because no key occurs twice. */
export function eachKeyOnce(context: BatchContext, sources: readonly EventSource[]): boolean {
  return context.job.keysUnique && sources.every((source) => !source.isDelete && !source.columns.has('__op'));
}

/** The newest event of each key, as a relation of the form of `MergeSql.newest`. */
export async function newestChanges(context: BatchContext, events: string, isOnce: boolean): Promise<string> {
  const {sql, work, columns} = context;
  if (isOnce) return sql.inline(sql.unique(events));
  // To look for keys that repeat costs a tenth of choosing among all rows, and most keys come once: their rows are not copied.
  const repeated = await work.keep(sql.repeatedKeys(events));
  const chosenAmong = await work.count(sql.eventsOf(repeated), 'n');
  if (chosenAmong === 0) return sql.inline(sql.unique(events));
  if (chosenAmong > (await work.count(sql.countOf(events), 'n')) / 2) return work.keep(sql.newest(events));
  const newest = await work.keep(sql.newest(columns.ofKeys(events, repeated)));
  return sql.inline(`${sql.unique(sql.ofOtherKeys(events, repeated))} UNION ALL SELECT * FROM ${newest}`);
}

/** Nothing is there that rows could meet, and they do not meet each other. */
function isFirstLoad(context: BatchContext, sources: readonly EventSource[]): boolean {
  const {tombstones, truncates, authors} = context.before;
  return (
    context.table.snapshot.files.size === 0 &&
    tombstones.length + truncates.length + authors.length === 0 &&
    eachKeyOnce(context, sources)
  );
}

async function firstLoad(context: BatchContext, sources: readonly EventSource[]): Promise<TableChange> {
  const relations = sources.filter((_, at) => context.job.inputs[at]?.kind === 'relation');
  const written = relations.length === 0 ? [] : await writeRows(context, context.sql.rows(relations));
  const adds = [...stagedFiles(context.job.inputs), ...written];
  return {
    ...NO_CHANGE,
    operation: 'MERGE',
    writeMode: null,
    adds,
    blindAppend: false,
    counts: {...NO_CHANGE.counts, inserted: rowsIn(adds)},
  };
}

async function staleKeys(context: BatchContext, changes: string, matched: string): Promise<string | null> {
  const {sql, work, job} = context;
  const verdicts = await work.query(sql.verdicts(matched));
  const parts = verdicts.some((row) => row['verdict'] === 'keep') ? [sql.keptKeys(matched)] : [];
  const files = verdicts.filter((row) => row['verdict'] === 'compare').map((row) => String(row['file']));
  if (files.length > 0) parts.push(sql.equalKeys(changes, matched, await liveRows(context, {files})));
  const tombstones = await knownTombstones(context);
  if (tombstones !== null) parts.push(sql.buriedKeys(changes, tombstones, job.deletesWinTies));
  return parts.length === 0 ? null : work.keep(parts.join(' UNION ALL '));
}

async function merged(
  context: BatchContext,
  merge: Merge,
  {quarantined, isAsRead, left}: Omit<WholeEvents, 'events'> & {readonly left: LeftRows},
): Promise<TableChange> {
  const {sql, work} = context;
  const [summary] = await work.query(sql.summary(merge.changes, merge.matched, merge.stale));
  const count = (name: string): number => Number(summary?.[name] ?? 0);
  const upserts = count('upserts');
  return outcome(context, {
    events: count('events'),
    upserts,
    updated: count('updated'),
    deleted: count('deleted'),
    added: isAsRead
      ? await addedRows(context, merge, upserts)
      : writtenRows(upserts, sql.upserts(merge.changes, merge.stale)),
    touched: merge.stale === null ? merge.matched : await work.keep(sql.touched(merge.matched, merge.stale)),
    quarantined,
    left,
    side: async () => ({
      tombstones: await plainTombstones(context, merge, left),
      truncates: await writeTruncation(context, left.truncation),
      // Rows have the values of their newest event now; what older ones said was not looked at.
      authors: [],
    }),
  });
}

async function leafBatch(context: BatchContext, whole: WholeEvents, left: LeftRows): Promise<TableChange> {
  const change = await leafChange(context, await context.work.keep(whole.events), left);
  return outcome(context, {
    ...change,
    added: writtenRows(change.upserts, change.rows),
    quarantined: whole.quarantined,
    left,
    side: async () => ({
      tombstones: await withTombstones(context, change.tombstones, left.truncation),
      truncates: await writeTruncation(context, left.truncation),
      authors: await change.authors(),
    }),
  });
}

async function outcome(context: BatchContext, end: Outcome): Promise<TableChange> {
  const {sql, work} = context;
  const {events, upserts, updated, deleted, added, left} = end;
  const {gone} = left;
  const touched =
    gone.places === null
      ? end.touched
      : await work.keep(`${sql.placesOf(`SELECT * FROM ${end.touched}`)} UNION ALL ${gone.places}`);
  const movesNothing = updated + deleted + gone.rowCount === 0 && added.others === null;
  const change = movesNothing
    ? {adds: [], removes: [], cdc: []}
    : await replaceRows(context, touched, added.others, {staged: added.inFiles, gone: gone.files});
  return {
    operation: 'MERGE',
    writeMode: null,
    adds: [...change.adds, ...added.files],
    removes: change.removes,
    cdc: change.cdc,
    blindAppend: false,
    side: end.side,
    counts: {
      inserted: upserts - updated,
      updated,
      deleted: deleted + gone.rowCount,
      unchanged: Math.max(0, events - upserts - deleted),
      quarantined: end.quarantined,
    },
  };
}

/** Deletes are remembered where events older than them may still come. A newer upsert need not undo one: its own row outranks what the tombstone bars. */
async function plainTombstones(context: BatchContext, merge: Merge, left: LeftRows): Promise<SideFiles['tombstones']> {
  const known = await knownTombstones(context);
  return withTombstones(context, context.sql.newTombstones(merge.changes, merge.stale, known), left.truncation);
}
