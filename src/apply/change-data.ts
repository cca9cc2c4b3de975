import {CHANGE_TYPE_COLUMN, START_COLUMN} from '../core/types.ts';
import type {AddCdcFile} from '../delta/actions.ts';
import {hasChangeFeed} from '../delta/features.ts';
import type {BatchContext} from './batch-context.ts';
import {liveRows} from './batch-context.ts';
import {WORK} from './column-sql.ts';

/** True when commits that change rows must tell readers of changes which. */
export function tellsChanges({table}: BatchContext): boolean {
  return hasChangeFeed(table.snapshot);
}

/**
 * Writes down, for readers of changes, that the live rows at the places of `touched` go and the rows of `added` (a SELECT,
 * read more than once; null: none) come. Rows that have their identity on the other side are updates: the key, and in SCD
 * type 2 where the version begins. All that the commit does must be in one call.
 */
export async function changeFiles(
  context: BatchContext,
  touched: string,
  added: string | null,
): Promise<readonly AddCdcFile[]> {
  const {columns, work, job, signal} = context;
  const files = await work.query(context.sql.touchedFiles(touched));
  const live = await liveRows(context, {files: files.map((row) => String(row['file']))});
  const samePlace = `t.${WORK.file} = d.${WORK.file} AND t.${WORK.position} = d.${WORK.position}`;
  const gone = await work.keep(
    `SELECT ${columns.all('t')} FROM (${live}) AS t ${columns.dialect.semiJoin} ${touched} AS d ON ${samePlace}`,
  );
  const come = added === null ? null : context.sql.inline(added);
  const select =
    come === null
      ? `SELECT ${columns.all('r')}, 'delete' AS ${CHANGE_TYPE_COLUMN} FROM ${gone} AS r`
      : [
          labelled(context, gone, {other: come, changed: 'update_preimage', unmatched: 'delete'}),
          labelled(context, come, {other: gone, changed: 'update_postimage', unmatched: 'insert'}),
        ].join(' UNION ALL ');
  return context.table.writeChanges({select, schema: job.schema}, signal);
}

function labelled(
  {columns, job}: BatchContext,
  rows: string,
  kinds: {readonly other: string; readonly changed: string; readonly unmatched: string},
): string {
  const identity = [...job.keys, ...(job.target === 'scd2' ? [START_COLUMN] : [])];
  const on = identity.map((name) => `r.${columns.quote(name)} IS NOT DISTINCT FROM o.${columns.quote(name)}`);
  const others = `SELECT DISTINCT ${columns.list(identity)}, TRUE AS ${WORK.kind} FROM ${kinds.other} AS k`;
  const kind = `CASE WHEN o.${WORK.kind} THEN '${kinds.changed}' ELSE '${kinds.unmatched}' END`;
  return `SELECT ${columns.all('r')}, ${kind} AS ${CHANGE_TYPE_COLUMN} FROM ${rows} AS r LEFT JOIN (${others}) AS o ON ${on.join(' AND ')}`;
}
