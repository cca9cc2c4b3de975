import {IngestError} from '../core/errors.ts';
import {CHANGE_TYPE_COLUMN} from '../core/types.ts';
import type {BatchContext, TableChange} from './batch-context.ts';
import {NO_CHANGE, rowsIn} from './batch-context.ts';
import {eventSources, stagedFiles} from './event-sources.ts';
import type {EventSource} from './merge-sql.ts';
import {writeRows} from './row-removal.ts';
import {namesOf} from './side-files.ts';

/** Adds all rows, without those that are known from the last cursor where the job names one. */
export async function appendBatch(context: BatchContext): Promise<TableChange> {
  const {job} = context;
  refuseDeletes(context);
  const sources = await eventSources(context);
  if (sources.length === 0) return NO_CHANGE;
  const columns = tailColumns(context);
  const change = columns === null ? await allRows(context, sources) : await unknownRows(context, sources, columns);
  const inserted = rowsIn(change.adds);
  return {
    ...NO_CHANGE,
    ...change,
    counts: {
      ...NO_CHANGE.counts,
      inserted,
      unchanged: Math.max(0, job.counts.read - job.counts.quarantinedRows - inserted),
    },
  };
}

/** What tells rows of an append-only flow apart: keys and cursor; null when the job names no cursor. */
export function tailColumns({job}: BatchContext): readonly string[] | null {
  if (job.appendCursor === null) return null;
  // A change and the delete after it may have one cursor.
  const kind = job.schema.fields.filter(({name}) => name === CHANGE_TYPE_COLUMN).map(({name}) => name);
  if (job.keys.length > 0) return [...job.keys.filter((key) => key !== job.appendCursor), ...kind, job.appendCursor];
  throw new IngestError('MISSING_KEY', `Table ${job.tableRoot} has no key to know repeated rows by.`, {
    fix: 'Set table_configuration.primary_keys.',
    context: {table: job.tableRoot},
  });
}

/** Writes which rows are at the last cursor, of the rows added and of those known before. */
export async function writeTail(
  context: BatchContext,
  rows: readonly string[],
  columns: readonly string[],
): Promise<readonly string[]> {
  const {job, append, side} = context;
  const fields = columns.flatMap((name) => job.schema.fields.filter((field) => field.name === name));
  return namesOf(
    await side.write('tail', append.tail(rows, columns, job.appendCursor ?? ''), {type: 'struct', fields}),
  );
}

/** @throws UNSUPPORTED for deletes, which an append-only table cannot follow. */
export function refuseDeletes({job}: BatchContext): void {
  if (job.deletes.length === 0) return;
  throw new IngestError('UNSUPPORTED', `Table ${job.tableRoot} only grows; deletes cannot be applied to it.`, {
    fix: 'Set scd_type to SCD_TYPE_1, or give the deletes as rows.',
    context: {table: job.tableRoot},
  });
}

type Added = Pick<TableChange, 'adds' | 'side'>;

async function allRows(context: BatchContext, sources: readonly EventSource[]): Promise<Added> {
  const relations = sources.filter((_, at) => context.job.inputs[at]?.kind === 'relation');
  const written = relations.length === 0 ? [] : await writeRows(context, context.sql.rows(relations));
  return {adds: [...stagedFiles(context.job.inputs), ...written], side: NO_CHANGE.side};
}

async function unknownRows(
  context: BatchContext,
  sources: readonly EventSource[],
  columns: readonly string[],
): Promise<Added> {
  const {sql, work} = context;
  const known = await knownRows(context, columns);
  const all = sql.events(sources);
  const fresh = known === null ? all : context.append.unknown(all, known, columns);
  // Rows are told apart within the batch as they are across batches, so that its cut does not matter.
  const [found] = await work.query(sql.repeats(fresh, columns));
  const [repeats, freshCount] = [Number(found?.['repeated'] ?? 0), Number(found?.['n'] ?? 0)];
  const isWhole = repeats === 0 && (known === null || freshCount === (await work.count(sql.countOf(all), 'n')));
  const rows = isWhole
    ? sql.rows(sources)
    : sql.upsertRows(await work.keep(repeats === 0 ? sql.unique(fresh) : sql.first(fresh, columns)));
  const {adds} = isWhole ? await allRows(context, sources) : {adds: await writeRows(context, rows)};
  if (adds.length === 0) return {adds, side: NO_CHANGE.side};
  return {adds, side: async () => ({tail: await writeTail(context, known === null ? [rows] : [rows, known], columns)})};
}

/** Rows at the last cursor. Tables of version 0.1 did not say which kind of change they were: that is NULL. */
async function knownRows({side, work, before}: BatchContext, columns: readonly string[]): Promise<string | null> {
  if (before.tail.length === 0) return null;
  const known = await side.read(before.tail);
  const there = new Set((await work.query(`DESCRIBE ${known}`)).map((row) => String(row['column_name'])));
  if (!columns.includes(CHANGE_TYPE_COLUMN) || there.has(CHANGE_TYPE_COLUMN)) return known;
  return `SELECT *, CAST(NULL AS VARCHAR) AS ${CHANGE_TYPE_COLUMN} FROM (${known}) AS k`;
}
