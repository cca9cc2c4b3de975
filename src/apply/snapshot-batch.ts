import {IngestError} from '../core/errors.ts';
import {typesEqual} from '../core/schema.ts';
import {CHANGE_TYPE_COLUMN, SEQUENCE_COLUMN} from '../core/types.ts';
import type {AddFile} from '../delta/actions.ts';
import type {PendingFile} from '../delta/batch-file.ts';
import {storedNameOf} from '../delta/stored-name.ts';
import type {EngineRow} from '../engine/engine.ts';
import {refuseDeletes, tailColumns, writeTail} from './append-batch.ts';
import type {ApplyJob} from './apply-engine.ts';
import type {BatchContext, ChangeCounts, TableChange} from './batch-context.ts';
import {liveRowCount, liveRows, NO_CHANGE, rowsIn} from './batch-context.ts';
import {changeFiles, tellsChanges} from './change-data.ts';
import {eventSource, eventSources, parquetSource, relationsOf, stagedFiles} from './event-sources.ts';
import {refreshedHistory} from './history-refresh.ts';
import {eachKeyOnce, newestChanges} from './keyed-batch.ts';
import {tellRecords} from './left-out.ts';
import type {EventSource} from './merge-sql.ts';
import {heldEvents, needsEvents, type RefreshedEvents, refreshedEvents, rememberedDeletes} from './refresh-events.ts';
import {hasVectors, replaceRows, writeRows} from './row-removal.ts';

/** Part of a snapshot or full refresh: its rows and deletes are kept in files that no version shows. */
export async function heldBatch(context: BatchContext): Promise<TableChange> {
  const {job, before} = context;
  if (job.target === 'append' || job.keys.length === 0) refuseDeletes(context);
  const rows = await heldRelations(context);
  const deletes: PendingFile[] = [];
  for (const input of job.deletes) {
    const changes = await context.work.keep(
      context.sql.newest(context.sql.events([await eventSource(context, input, true)])),
    );
    deletes.push(...(await heldDeletes(context, context.sql.deleteRows(changes))));
  }
  const pending = [...before.pending, ...rows.files, ...stagedFiles(job.inputs).map(pendingOf), ...deletes];
  return {
    ...NO_CHANGE,
    side: () => Promise.resolve({pending}),
    counts: {...NO_CHANGE.counts, quarantined: rows.quarantined},
  };
}

/** The end of a snapshot or full refresh: pending files and this batch's rows become the table. */
export async function replacingBatch(context: BatchContext): Promise<TableChange> {
  const {job} = context;
  if (job.target === 'append' || job.keys.length === 0) refuseDeletes(context);
  const sources = [...(await pendingSources(context)), ...(await eventSources(context))];
  const rows = await finalRows(context, sources);
  if (job.target === 'scd2') return replacedHistory(context, rows);
  const change = (await behindChanges(context, rows)) ?? (await differenceOrAll(context, rows));
  const side: TableChange['side'] = async () => ({
    truncates: [],
    authors: [],
    hidden: [],
    ...(rows.side === undefined ? {tombstones: await refreshedTombstones(context, rows)} : await rows.side()),
    tail: await refreshedTail(context, rows),
    pending: [],
  });
  return {...change, side, counts: {...change.counts, quarantined: rows.quarantined}};
}

async function replacedHistory(context: BatchContext, rows: FinalRows): Promise<TableChange> {
  const {side, ...change} = await refreshedHistory(context, rows);
  return {
    ...change,
    side: async () => ({...(await side()), tombstones: [], pending: []}),
    counts: {...change.counts, quarantined: rows.quarantined},
  };
}

/** Files that keep a batch's relations aside. */
interface Held {
  readonly files: readonly PendingFile[];
  readonly quarantined: number;
}

/** What the table is to hold. */
interface FinalRows {
  /** The rows as a SELECT. */
  readonly select: string;
  /** Sources whose rows are the final ones as they are; null when rows were chosen among them. */
  readonly sources: readonly EventSource[] | null;
  /** The work table that the rows were chosen into. */
  readonly chosen: string | null;
  /** Writes the side state of rows that were worked out of events; else their deletes are all there is. */
  readonly side?: RefreshedEvents['side'];
  /** How many they are, if that is known. */
  readonly count: number | null;
  readonly quarantined: number;
}

async function heldRelations(context: BatchContext): Promise<Held> {
  const {job, sql, work} = context;
  const sources: EventSource[] = [];
  for (const input of relationsOf(job.inputs)) sources.push(await eventSource(context, input, false));
  if (sources.length === 0) return {files: [], quarantined: 0};
  if (await needsEvents(context, sources)) return {files: await heldEvents(context, sources), quarantined: 0};
  const hasDeletes = bringsDeletes(sources);
  const isOrdered = job.target !== 'append' && (job.sequence.length > 0 || hasDeletes) && job.keys.length > 0;
  if (!isOrdered) return {files: await heldRows(context, sql.rows(sources)), quarantined: 0};
  const [found] = job.sequence.length > 0 ? [] : await work.query(sql.repeats(sql.rows(sources), job.keys));
  const quarantined = checkDuplicates(context, repeatedOf(found));
  // The order of arrival is lost in a file, so ties are decided before.
  const changes = await newestChanges(context, sql.events(sources), eachKeyOnce(context, sources));
  const deletes = hasDeletes ? await heldDeletes(context, sql.deleteRows(changes)) : [];
  return {files: [...(await heldRows(context, sql.upsertRows(changes))), ...deletes], quarantined};
}

async function heldRows(context: BatchContext, select: string): Promise<readonly PendingFile[]> {
  // A data file of a partitioned table lacks the partition's columns: it could not be read before it is added.
  if (context.table.snapshot.metadata.partitionColumns.length === 0)
    return (await writeRows(context, select)).map(pendingOf);
  const file = await context.side.write('rows', select, context.job.schema);
  return file === null ? [] : [{kind: 'rows', ...file, stats: null}];
}

async function heldDeletes(context: BatchContext, select: string): Promise<readonly PendingFile[]> {
  const file = await context.side.write('deletes', select, context.sql.deleteSchema);
  return file === null ? [] : [{kind: 'deletes', ...file, stats: null}];
}

function pendingOf(add: AddFile): PendingFile {
  return {kind: 'rows', name: add.path, rowCount: rowsIn([add]), sizeBytes: add.size, stats: add.stats ?? null};
}

async function pendingSources(context: BatchContext): Promise<readonly EventSource[]> {
  const sources: EventSource[] = [];
  for (const file of context.before.pending) {
    sources.push(
      await parquetSource(
        context,
        [storedNameOf(context.delta.store, context.table.root, file.name)],
        file.kind === 'deletes',
      ),
    );
  }
  return sources;
}

async function finalRows(context: BatchContext, sources: readonly EventSource[]): Promise<FinalRows> {
  const {job, sql, work} = context;
  const plain: FinalRows = {select: sql.rows(sources), sources, chosen: null, count: null, quarantined: 0};
  if (sources.length === 0) return {...plain, select: sql.nothing(), count: 0};
  const columns = job.target === 'append' ? tailColumns(context) : job.keys;
  if (columns === null || columns.length === 0) return plain;
  if (!isPlainLoad(context, sources) && (await needsEvents(context, sources)))
    return {...(await refreshedEvents(context, sources)), sources: null, count: null};
  const hasDeletes = bringsDeletes(sources);
  if (!hasDeletes && isPlainLoad(context, sources)) return plain;
  const isSnapshot = job.target !== 'append' && job.sequence.length === 0;
  if (hasDeletes && !isSnapshot) return chosenRows(context, sql.newest(sql.events(sources)));
  const [found] = await work.query(sql.repeats(plain.select, columns));
  const repeated = repeatedOf(found);
  if (repeated.keys === 0 && !hasDeletes) return {...plain, count: Number(found?.['n'] ?? 0)};
  if (!isSnapshot)
    return chosenRows(
      context,
      job.target === 'append' ? sql.first(sql.events(sources), columns) : sql.newest(sql.events(sources)),
    );
  const quarantined = checkDuplicates(context, repeated);
  const events = sql.events(sources);
  if (hasDeletes) return {...(await chosenRows(context, sql.newest(events))), quarantined};
  await tellRecords(context, sql.afterFirst(events, columns), (leftOut, records) => leftOut.duplicates(records));
  return {...(await chosenRows(context, sql.first(events, columns))), quarantined};
}

/** The only rows there are, each key once. */
function isPlainLoad(context: BatchContext, sources: readonly EventSource[]): boolean {
  return eachKeyOnce(context, sources) && context.before.pending.length === 0;
}

async function chosenRows(context: BatchContext, select: string): Promise<FinalRows> {
  const chosen = await context.work.keep(select);
  return {select: context.sql.upsertRows(chosen), sources: null, chosen, count: null, quarantined: 0};
}

function bringsDeletes(sources: readonly EventSource[]): boolean {
  return sources.some((source) => source.isDelete || source.columns.has('__op'));
}

interface Repeated {
  readonly keys: number;
  /** Rows beyond the first of each key. */
  readonly rows: number;
}

function repeatedOf(row: EngineRow | undefined): Repeated {
  return {keys: Number(row?.['repeated'] ?? 0), rows: Number(row?.['extra'] ?? 0)};
}

/** Rows of a snapshot that go to quarantine because their key came before. @throws DUPLICATE_KEY where the job says so. */
function checkDuplicates({job}: BatchContext, repeated: Repeated): number {
  if (repeated.keys > 0 && job.onDuplicateKey === 'fail') throw duplicateKeys(job, repeated.keys);
  return repeated.rows;
}

function duplicateKeys(job: ApplyJob, count: number): IngestError {
  const names = job.keys
    .slice(0, 5)
    .map((key) => `"${key}"`)
    .join(', ');
  return new IngestError(
    'DUPLICATE_KEY',
    `The snapshot of ${job.tableRoot} holds ${count} keys (${names}) more than once.`,
    {
      fix: 'Correct table_configuration.primary_keys or the source, or set on_duplicate_key to quarantine.',
      context: {table: job.tableRoot, keys: job.keys.join(', '), duplicates: count},
    },
  );
}

/** A table smaller than this is written whole rather than collecting deletion vectors. */
const SMALL_TABLE_BYTES = 16 * 1024 * 1024;

async function differenceOrAll(context: BatchContext, rows: FinalRows): Promise<TableChange> {
  const {table, job, work} = context;
  const live = [...table.snapshot.files.values()];
  if (live.length === 0) return overwrite(context, rows, null);
  if (!sameTypes(context)) return overwrite(context, rows, null);
  if (job.keys.length === 0 || job.target === 'append') {
    const [now, then] = await Promise.all(
      [rows.select, await liveRows(context)].map(async (select) => work.query(context.difference.fingerprint(select))),
    );
    const isSame = now?.[0]?.['n'] === then?.[0]?.['n'] && now?.[0]?.['fingerprint'] === then?.[0]?.['fingerprint'];
    return isSame
      ? {...NO_CHANGE, counts: {...NO_CHANGE.counts, unchanged: Number(now?.[0]?.['n'] ?? 0)}}
      : overwrite(context, rows, null);
  }
  return keyedDifference(context, rows, live);
}

/**
 * The rows behind the changes that are kept, and between them a truncate: who replays the table in the order of its sequence comes to
 * what the source has. Null where that order would be another one, or nothing is kept.
 */
async function behindChanges(context: BatchContext, rows: FinalRows): Promise<TableChange | null> {
  const {job, table, work, columns} = context;
  const names = job.schema.fields.map(({name}) => name);
  const isKept = job.keepsChanges === true && names.includes(SEQUENCE_COLUMN) && names.includes(CHANGE_TYPE_COLUMN);
  if (!isKept || table.snapshot.files.size === 0) return null;
  const at = columns.quote(SEQUENCE_COLUMN);
  const bounds = await work.keep(
    `SELECT (SELECT max(${at}) FROM (${await liveRows(context)}) AS t) AS last, (SELECT min(${at}) FROM (${rows.select}) AS r) AS first`,
  );
  if ((await work.count(`SELECT count(*) AS n FROM ${bounds} WHERE first <= last`, 'n')) > 0) return null;
  const values = job.schema.fields.map((field) => {
    const value =
      field.name === SEQUENCE_COLUMN
        ? 'coalesce(first - 1, last + 1)'
        : field.name === CHANGE_TYPE_COLUMN
          ? "'truncate'"
          : 'NULL';
    return `CAST(${value} AS ${columns.dialect.type(field.type)}) AS ${columns.quote(field.name)}`;
  });
  const truncate = await writeRows(context, `SELECT ${values.join(', ')} FROM ${bounds}`);
  const fresh =
    rows.sources === null ? await writeRows(context, rows.select) : await sourceFiles(context, rows.sources);
  const adds = [...truncate, ...fresh];
  return {...NO_CHANGE, blindAppend: false, adds, counts: {...NO_CHANGE.counts, inserted: rowsIn(fresh)}};
}

async function keyedDifference(context: BatchContext, rows: FinalRows, live: readonly AddFile[]): Promise<TableChange> {
  const {sql, work} = context;
  const stored = await liveRows(context);
  const difference = await work.keep(context.difference.difference(rows.select, stored));
  const kinds = new Map(
    (await work.query(context.difference.differenceCounts(difference))).map((row) => [
      String(row['kind']),
      Number(row['n']),
    ]),
  );
  const [inserted, updated, deleted] = [kinds.get('insert') ?? 0, kinds.get('update') ?? 0, kinds.get('delete') ?? 0];
  const finalCount = rows.count ?? (await work.count(sql.countOf(rows.select), 'n'));
  const storedCount = await liveRowCount(context);
  const counts: ChangeCounts = {inserted, updated, deleted, unchanged: finalCount - inserted - updated, quarantined: 0};
  // Somebody made a key twice in the table: its rows cannot be told by key.
  const hasTwins = finalCount - inserted !== storedCount - deleted;
  if (inserted + updated + deleted === 0 && !hasTwins) return {...NO_CHANGE, counts};
  const sizeBytes = live.reduce((sum, file) => sum + file.size, 0);
  const isSmall = sizeBytes < SMALL_TABLE_BYTES || updated + deleted > storedCount / 2;
  const overwrites = hasTwins || isSmall || !hasVectors(context);
  if (overwrites && (hasTwins || !tellsChanges(context))) return overwrite(context, rows, counts);
  const touched = await work.keep(context.difference.differentPlaces(difference));
  const come = inserted + updated === 0 ? null : context.difference.differentRows(rows.select, difference);
  // All files change, but readers of changes want to know of the rows that do.
  if (overwrites) return {...(await overwrite(context, rows, counts)), cdc: await changeFiles(context, touched, come)};
  const files = await replaceRows(context, touched, come);
  return {...NO_CHANGE, operation: 'MERGE', writeMode: null, blindAppend: false, ...files, counts};
}

/** The new rows in place of all old ones. Files that hold them already are added as they are. */
async function overwrite(context: BatchContext, rows: FinalRows, counts: ChangeCounts | null): Promise<TableChange> {
  const {table} = context;
  const live = [...table.snapshot.files.values()];
  const adds = rows.sources === null ? await writeRows(context, rows.select) : await sourceFiles(context, rows.sources);
  return {
    operation: 'WRITE',
    writeMode: live.length === 0 ? 'Append' : 'Overwrite',
    adds,
    removes: live.map((file) => table.removeOf(file)),
    cdc: [],
    blindAppend: false,
    side: NO_CHANGE.side,
    counts: counts ?? {...NO_CHANGE.counts, inserted: rowsIn(adds), deleted: rowsIn(live)},
  };
}

async function sourceFiles(context: BatchContext, sources: readonly EventSource[]): Promise<readonly AddFile[]> {
  const {job, before, sql, delta} = context;
  const isPartitioned = context.table.snapshot.metadata.partitionColumns.length > 0;
  const adds: AddFile[] = [];
  const rewritten: EventSource[] = [];
  for (const [at, source] of sources.entries()) {
    const pending = before.pending[at];
    const input = job.inputs[at - before.pending.length];
    if (pending !== undefined && !isPartitioned && (await fits(context, pending))) {
      adds.push({
        path: pending.name,
        partitionValues: {},
        size: pending.sizeBytes,
        modificationTime: delta.clock.nowMs(),
        dataChange: true,
        ...(pending.stats === null ? {} : {stats: pending.stats}),
      });
    } else if (pending === undefined && input?.kind === 'staged') adds.push(...input.files);
    else rewritten.push(source);
  }
  if (rewritten.length > 0) adds.push(...(await writeRows(context, sql.rows(rewritten))));
  return adds;
}

/** True when a file written earlier in the snapshot has columns and types of the schema as it is now. */
function fits({table, delta, job}: BatchContext, {name}: PendingFile): Promise<boolean> {
  return table.looseFilesFit([storedNameOf(delta.store, table.root, name)], job.schema);
}

/** True when no column that is there changes its type: else stored rows cannot stay beside new ones. */
function sameTypes({table, job}: BatchContext): boolean {
  const types = new Map(job.schema.fields.map((field) => [field.name, field.type]));
  return table.snapshot.schema.fields.every((field) => {
    const type = types.get(field.name);
    return type !== undefined && typesEqual(field.type, type);
  });
}

async function refreshedTombstones(context: BatchContext, {chosen}: FinalRows): Promise<readonly string[]> {
  if (context.job.target === 'append' || chosen === null) return [];
  return rememberedDeletes(context, context.sql.deleteRows(chosen));
}

async function refreshedTail(context: BatchContext, rows: FinalRows): Promise<readonly string[]> {
  const columns = context.job.target === 'append' ? tailColumns(context) : null;
  return columns === null ? [] : writeTail(context, [rows.select], columns);
}
