import {IngestError} from '../core/errors.ts';
import type {BatchContext, TableChange} from './batch-context.ts';
import {liveRows, NO_CHANGE, rowsIn} from './batch-context.ts';
import {eventSources, relationsOf, stagedFiles} from './event-sources.ts';
import type {EventSource} from './merge-sql.ts';
import {replaceRows, writeRows} from './row-removal.ts';
import {isLong, namesOf} from './side-files.ts';

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
  const changes = await newestChanges(context, sources);
  const matched = await context.work.keep(
    context.sql.matched(changes, await candidates(context, changes), job.deletesWinTies),
  );
  return merged(context, {changes, matched, stale: await staleKeys(context, changes, matched)});
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

/** True when the order of a batch's events cannot matter, because no key occurs twice. */
export function eachKeyOnce(context: BatchContext, sources: readonly EventSource[]): boolean {
  return context.job.keysUnique && sources.every((source) => !source.isDelete);
}

/** The newest event of each key, as a relation of the form of `MergeSql.newest`. */
export async function newestChanges(context: BatchContext, sources: readonly EventSource[]): Promise<string> {
  const {sql, work, job} = context;
  const events = sql.events(sources);
  // To count keys costs a tenth of choosing among their rows, and most batches hold each key once: they are not copied.
  const once = eachKeyOnce(context, sources) || (await work.count(sql.repeats(events, job.keys), 'repeated')) === 0;
  return once ? sql.inline(sql.unique(events)) : work.keep(sql.newest(events));
}

/** Nothing is there that rows could meet, and they do not meet each other. */
function isFirstLoad(context: BatchContext, sources: readonly EventSource[]): boolean {
  const hasDeletes = sources.some((source) => source.isDelete || source.columns.has('__op'));
  return (
    context.table.snapshot.files.size === 0 &&
    context.before.tombstones.length === 0 &&
    !hasDeletes &&
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

/** Live rows that may have a key of the batch: keys, sequence and place. */
async function candidates(context: BatchContext, changes: string): Promise<string> {
  return liveRows(context, {columns: context.sql.deleteSchema, files: await filesOfKeys(context, changes)});
}

/** Live files that may have a row with a key of `changes`, by their statistics. */
export async function filesOfKeys(context: BatchContext, changes: string): Promise<readonly string[]> {
  const {keys} = context.job;
  const [range] = await context.work.query(context.sql.keyRange(changes));
  let files = new Set(context.table.snapshot.files.keys());
  keys.forEach((key, at) => {
    const [min, max] = [range?.[`min_${at}`] ?? null, range?.[`max_${at}`] ?? null];
    // Without a bound there is no event; NaN is no bound.
    if (min === null || max === null) files = new Set();
    if (min === null || max === null || Number.isNaN(min) || Number.isNaN(max)) return;
    const inRange = new Set(context.table.filesInRange(key, min, max).map((file) => file.path));
    files = new Set([...files].filter((path) => inRange.has(path)));
  });
  return [...files];
}

async function staleKeys(context: BatchContext, changes: string, matched: string): Promise<string | null> {
  const {sql, work, job, before} = context;
  const verdicts = await work.query(sql.verdicts(matched));
  const parts = verdicts.some((row) => row['verdict'] === 'keep') ? [sql.keptKeys(matched)] : [];
  const files = verdicts.filter((row) => row['verdict'] === 'compare').map((row) => String(row['file']));
  if (files.length > 0) parts.push(sql.equalKeys(changes, matched, await liveRows(context, {files})));
  if (job.sequence.length > 0 && before.tombstones.length > 0) {
    parts.push(sql.buriedKeys(changes, await context.side.read(before.tombstones), job.deletesWinTies));
  }
  return parts.length === 0 ? null : work.keep(parts.join(' UNION ALL '));
}

async function merged(context: BatchContext, merge: Merge): Promise<TableChange> {
  const {sql, work, job} = context;
  const [summary] = await work.query(sql.summary(merge.changes, merge.matched, merge.stale));
  const count = (name: string): number => Number(summary?.[name] ?? 0);
  const [events, upserts, updated, deleted] = [count('events'), count('upserts'), count('updated'), count('deleted')];
  const touched = merge.stale === null ? merge.matched : await work.keep(sql.touched(merge.matched, merge.stale));
  const staged = stagedFiles(job.inputs);
  // Where every row of the staged files wins, they need not be written again.
  const asTheyAre =
    staged.length > 0 && job.deletes.length === 0 && relationsOf(job.inputs).length === 0 && upserts === rowsIn(staged);
  const winners = upserts === 0 ? null : sql.upserts(merge.changes, merge.stale);
  const rows = asTheyAre ? null : winners;
  const change =
    updated + deleted === 0 && rows === null
      ? {adds: [], removes: [], cdc: []}
      : await replaceRows(context, touched, rows, winners);
  return {
    operation: 'MERGE',
    writeMode: null,
    adds: asTheyAre ? [...change.adds, ...staged] : change.adds,
    removes: change.removes,
    cdc: change.cdc,
    blindAppend: false,
    side: () => tombstones(context, merge),
    counts: {inserted: upserts - updated, updated, deleted, unchanged: events - upserts - deleted, quarantined: 0},
  };
}

/** Deletes are remembered where events older than them may still come. A newer upsert need not undo one: its own row outranks what the tombstone bars. */
async function tombstones(context: BatchContext, merge: Merge): ReturnType<TableChange['side']> {
  const {sql, side, job, before} = context;
  if (!job.keepTombstones || job.sequence.length === 0) return {};
  const known = before.tombstones.length === 0 ? null : await side.read(before.tombstones);
  const added = namesOf(
    await side.write('tombstones', sql.newTombstones(merge.changes, merge.stale, known), sql.deleteSchema),
  );
  if (added.length === 0) return {};
  const names = [...before.tombstones, ...added];
  if (!isLong(names)) return {tombstones: names};
  return {
    tombstones: namesOf(await side.write('tombstones', sql.newestTombstones(await side.read(names)), sql.deleteSchema)),
  };
}
