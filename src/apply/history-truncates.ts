import {IngestError} from '../core/errors.ts';
import {liveRows} from './batch-context.ts';
import {WORK} from './column-sql.ts';
import type {History} from './history.ts';
import type {EventSource} from './merge-sql.ts';
import {RefreshSql} from './refresh-sql.ts';

/**
 * The sources of a batch without truncates: each of these is, at its place, the delete of every key that it may find, those of open
 * versions and those of events before it in the batch. Right only where events come in their order; else a key that comes later could
 * be older.
 * @throws UNSUPPORTED for truncates of sources whose events come in any order
 */
export async function truncatesAsDeletes(
  history: History,
  sources: readonly EventSource[],
): Promise<readonly EventSource[]> {
  const {context} = history;
  const {job, sql, work, columns} = context;
  const found = sql.truncates(sources);
  if (found === null) return sources;
  const count = await work.count(sql.countOf(found), 'n');
  if (count === 0) return sources;
  const [sequence, ...more] = job.sequence;
  if (history.remembers || sequence === undefined || more.length > 0) {
    throw new IngestError(
      'UNSUPPORTED',
      `Table ${job.tableRoot}: ${count} events are truncates, which SCD type 2 follows only in the log of a database, by its own sequence.`,
      {
        fix: 'Read the table anew, which keeps its history (sluice run --full-refresh-tables), or set scd_type to SCD_TYPE_1.',
        context: {table: job.tableRoot},
      },
    );
  }
  const rows = sources.map((source): EventSource => {
    if (!source.columns.has(WORK.op) || source.isDelete) return source;
    return {...source, select: `SELECT * FROM (${source.select}) AS s WHERE ${WORK.op} IS DISTINCT FROM 'truncate'`};
  });
  const truncates = await work.keep(found);
  const at = columns.quote(sequence);
  const keys = columns.list(job.keys);
  const open = new RefreshSql(history.columns).open(await liveRows(context));
  const ofTable = `SELECT ${keys}, (SELECT min(${at}) FROM ${truncates}) AS ${at} FROM (${open}) AS o`;
  const marked = `SELECT ${keys}, ${at}, FALSE AS is_truncate FROM (${sql.events(rows)}) AS e
    UNION ALL SELECT ${job.keys.map(() => 'NULL').join(', ')}, ${at}, TRUE FROM ${truncates}`;
  const next = `SELECT *, min(CASE WHEN is_truncate THEN ${at} END) OVER (ORDER BY ${at} DESC, is_truncate ROWS UNBOUNDED PRECEDING) AS next FROM (${marked}) AS m`;
  const ofBatch = `SELECT DISTINCT ${keys}, next AS ${at} FROM (${next}) AS n WHERE NOT is_truncate AND next IS NOT NULL`;
  const deletes = await work.keep(`${ofTable} UNION ${ofBatch}`);
  return [...rows, {select: `SELECT * FROM ${deletes}`, columns: new Set([...job.keys, sequence]), isDelete: true}];
}
