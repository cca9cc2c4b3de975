import type {SideFiles} from '../delta/batch-file.ts';
import type {BatchContext} from './batch-context.ts';
import {LeafSql} from './leaf-sql.ts';
import {isLong, namesOf} from './side-files.ts';
import {type LeftRows, storedRows} from './stored-rows.ts';
import {knownTombstones} from './tombstones.ts';

/** What becomes of the keys of a batch whose upserts may say nothing of some columns. */
export interface LeafChange {
  readonly events: number;
  readonly upserts: number;
  readonly updated: number;
  readonly deleted: number;
  /** Rows to add, as a SELECT. */
  readonly rows: string;
  /** Places of rows that go, as a relation. */
  readonly touched: string;
  /** New tombstones, as a SELECT. */
  readonly tombstones: string;
  /** Writes whose values the rows have. */
  readonly authors: () => Promise<readonly string[]>;
}

/** True when a NULL of an upsert may say nothing. */
export function ignoresNulls({job}: BatchContext): boolean {
  return job.ignoreNullColumns.length > 0;
}

/**
 * Lays the events of a batch over the stored rows, value by value.
 * @param events a relation in the form of `MergeSql.events`.
 */
export async function leafChange(context: BatchContext, events: string, left: LeftRows): Promise<LeafChange> {
  const {columns, work, side, before, job} = context;
  const sql = new LeafSql(columns, job.ignoreNullColumns, job.deletesWinTies);
  const isOrdered = job.sequence.length > 0;
  const watermark = isOrdered ? (left.truncation?.watermark ?? null) : null;
  const entries = isOrdered && before.authors.length > 0 ? await side.read(before.authors) : null;
  const keys = await work.keep(sql.keys(events, entries, left.truncation?.isNew === true ? watermark : null));
  const stored = await work.keep(columns.ofKeys(await storedRows(context, keys, job.schema, left), keys));
  const authors = entries === null ? null : await work.keep(sql.authors(keys, entries));
  const known = await knownTombstones(context);
  const tombstones = known === null ? null : await work.keep(sql.tombstones(keys, known));
  const said = await work.keep(sql.said(events, tombstones));
  const rows = await work.keep(sql.rows({keys, said, stored, authors, tombstones, watermark}));
  const equal = await work.keep(sql.equal(rows, stored));
  const [summary] = await work.query(sql.summary(rows, equal));
  const count = (name: string): number => Number(summary?.[name] ?? 0);
  return {
    events: count('events'),
    upserts: count('upserts'),
    updated: count('updated'),
    deleted: count('deleted'),
    rows: sql.upserts(rows, equal),
    touched: await work.keep(sql.touched(stored, equal)),
    tombstones: sql.newTombstones(rows, tombstones),
    authors: () => writeAuthors(context, {sql, rows, known: before.authors, left}),
  };
}

/** The rows that the events of a whole table say, as a SELECT, with their side state; there is nothing stored. */
export async function leafRows(
  context: BatchContext,
  events: string,
  left: LeftRows,
): Promise<{readonly rows: string; readonly tombstones: string; readonly authors: () => Promise<readonly string[]>}> {
  const {columns, work, job, sql: merge} = context;
  const sql = new LeafSql(columns, job.ignoreNullColumns, job.deletesWinTies);
  const keys = await work.keep(sql.keys(events, null, null));
  const stored = await work.keep(merge.placeless(merge.nothing()));
  const said = await work.keep(sql.said(events, null));
  const watermark = job.sequence.length > 0 ? (left.truncation?.watermark ?? null) : null;
  const rows = await work.keep(sql.rows({keys, said, stored, authors: null, tombstones: null, watermark}));
  return {
    rows: sql.alive(rows),
    tombstones: sql.newTombstones(rows, null),
    authors: () => writeAuthors(context, {sql, rows, known: [], left}),
  };
}

async function writeAuthors(
  {job, side}: BatchContext,
  parts: {
    readonly sql: LeafSql;
    readonly rows: string;
    readonly known: SideFiles['authors'];
    readonly left: LeftRows;
  },
): Promise<readonly string[]> {
  const {sql, rows, known, left} = parts;
  if (job.sequence.length === 0) return [];
  const names = [...known, ...namesOf(await side.write('authors', sql.newAuthors(rows), sql.authorSchema))];
  const {truncation} = left;
  if (names.length === 0 || (truncation?.isNew !== true && !isLong(names))) return names;
  const newest = sql.newestAuthors(await side.read(names), truncation?.watermark ?? null);
  return namesOf(await side.write('authors', newest, sql.authorSchema));
}
