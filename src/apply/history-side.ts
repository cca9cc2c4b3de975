import {storedNameOf} from '../delta/stored-name.ts';
import {quoteList} from '../engine/sql-types.ts';
import type {BatchContext} from './batch-context.ts';
import {parquetSource} from './event-sources.ts';
import type {HistoryColumns} from './history-columns.ts';
import type {HistorySql} from './history-sql.ts';
import type {EventSource} from './merge-sql.ts';
import {isLong, namesOf} from './side-files.ts';

/** What reads and writes hidden events. */
export interface HiddenScope {
  readonly context: BatchContext;
  readonly columns: HistoryColumns;
  readonly sql: HistorySql;
}

/** Hidden events that the events of a batch may meet, in a work table; null when there are none. */
export interface FoundHidden {
  readonly table: string;
  readonly count: number;
}

/** Reads the hidden events of the keys in `bounds` from where `old`, their versions, begins. */
export async function foundHidden(
  {context, sql}: HiddenScope,
  near: {readonly bounds: string; readonly least: string | null; readonly old: string},
): Promise<FoundHidden | null> {
  const {work, before} = context;
  if (before.hidden.length === 0) return null;
  const floors = await work.keep(sql.floors(near.bounds, near.old));
  // Events that are newer than all that is shown meet no older one: its files are passed over.
  const least = (await work.count(sql.lowFloors(floors), 'n')) > 0 ? null : near.least;
  const files = await sourceOf(context, before.hidden);
  const table = await work.keep(sql.hidden(files, floors, {least, forgotten: forgottenBefore(context)}));
  const count = await work.count(`SELECT count(*) AS n FROM ${table}`, 'n');
  return count === 0 ? null : {table, count};
}

/** Adds entries (a SELECT) to the files of hidden events; resolves to the files then current. */
export async function addHidden(
  scope: HiddenScope,
  before: readonly string[],
  entries: string,
): Promise<readonly string[]> {
  const {context, columns} = scope;
  const added = namesOf(await context.side.write('hidden', entries, columns.hiddenSchema));
  const names = [...before, ...added];
  return added.length === 0 || !isLong(names) ? names : fewer(scope, names);
}

/** Writes the newest files anew as one, as many as are no more than twice as large as those after them together: each entry is written a few times only. */
async function fewer({context, columns, sql}: HiddenScope, names: readonly string[]): Promise<readonly string[]> {
  const counts = await rowCounts(context, names);
  let from = names.length - 1;
  for (let sum = counts[from] ?? 0; from > 0 && (counts[from - 1] ?? 0) <= 2 * sum; from -= 1)
    sum += counts[from - 1] ?? 0;
  if (from === names.length - 1) return names;
  const files = await sourceOf(context, names.slice(from));
  const merged = sql.merged(files, {isWhole: from === 0, forgotten: forgottenBefore(context)});
  return [...names.slice(0, from), ...namesOf(await context.side.write('hidden', merged, columns.hiddenSchema))];
}

async function rowCounts({delta, table, work}: BatchContext, names: readonly string[]): Promise<readonly number[]> {
  const paths = await Promise.all(names.map((name) => delta.store.localPath(`${table.root}/${name}`)));
  const rows = await work.query(`SELECT file_name, num_rows AS n FROM parquet_file_metadata(${quoteList(paths)})`);
  const byPath = new Map(rows.map((row) => [String(row['file_name']), Number(row['n'])]));
  return paths.map((path) => byPath.get(path) ?? 0);
}

async function sourceOf(context: BatchContext, names: readonly string[]): Promise<EventSource> {
  const {store} = context.delta;
  return parquetSource(
    context,
    names.map((name) => storedNameOf(store, context.table.root, name)),
    false,
  );
}

function forgottenBefore({job, delta}: BatchContext): number | null {
  return job.tombstoneRetentionMs === null ? null : Math.floor(delta.clock.nowMs() - job.tombstoneRetentionMs);
}
