import {fieldAt} from '../core/schema.ts';
import type {AddFile} from '../delta/actions.ts';
import {boundsOfColumn, comparableSql} from '../delta/file-pruning.ts';
import {quoteIdentifier} from '../engine/sql-types.ts';
import type {ApplyJob} from './apply-engine.ts';
import type {BatchContext} from './batch-context.ts';

/** To look closer at fewer files costs more than to read them. */
const LEAST_FILES = 8;
/** So many keys show whether keys are everywhere. */
const SAMPLED_KEYS = 2000;

/** What is needed of a batch. */
export interface KeyedWork extends Pick<BatchContext, 'table' | 'work'> {
  readonly job: Pick<ApplyJob, 'keys'>;
}

/**
 * Of files whose ranges lie between the least and the greatest key of a batch, those that a key falls into: keys that come
 * in clumps leave most files between them alone. Files whose range is not known stay, and so do all where keys are spread
 * over most of them.
 * @param changes a relation with the job's keys, as what may stand after FROM.
 */
export async function filesHit(
  context: KeyedWork,
  changes: string,
  files: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  let left = files;
  for (const key of context.job.keys) {
    if (left.size < LEAST_FILES) return left;
    left = await filesHitBy(context, {changes, key}, left);
  }
  return left;
}

async function filesHitBy(
  context: KeyedWork,
  keys: {readonly changes: string; readonly key: string},
  files: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  const known = knownRanges(context, keys.key, files);
  const type = fieldAt(context.table.snapshot.schema, keys.key)?.type;
  const sql = type === undefined ? null : comparableSql(type);
  if (known.length < LEAST_FILES || sql === null) return files;
  const column = quoteIdentifier(keys.key);
  const hit = async (sample: string): Promise<ReadonlySet<string>> => {
    const values = known.map(({low, high}, at) => `(${at}, ${low}, ${high})`);
    const given = `SELECT ${sql.column(column)} AS k FROM (SELECT ${column} FROM ${keys.changes} AS c WHERE ${column} IS NOT NULL) AS n${sample}`;
    // Per file the least key at or above its lower bound: it is in the file's range, or none is.
    const rows = await context.work.query(
      `SELECT f.i FROM (VALUES ${values.join(', ')}) AS f(i, low, high) ASOF JOIN (${given}) AS k ON f.low <= k.k WHERE k.k <= f.high`,
    );
    return new Set(rows.map(({i}) => known[Number(i)]?.path ?? ''));
  };
  const sampled = await hit(` USING SAMPLE ${SAMPLED_KEYS} ROWS`);
  if (sampled.size > known.length / 2) return files;
  const found = await hit('');
  const tested = new Set(known.map(({path}) => path));
  return new Set([...files].filter((path) => !tested.has(path) || found.has(path)));
}

interface KnownRange {
  readonly path: string;
  /** SQL literals. */
  readonly low: string;
  readonly high: string;
}

function knownRanges(context: KeyedWork, key: string, files: ReadonlySet<string>): readonly KnownRange[] {
  const {snapshot} = context.table;
  const type = fieldAt(snapshot.schema, key)?.type;
  const sql = type === undefined ? null : comparableSql(type);
  if (sql === null) return [];
  const boundsOf = boundsOfColumn(snapshot, key);
  return [...files].flatMap((path) => {
    const add: AddFile | undefined = snapshot.files.get(path);
    if (add === undefined) return [];
    const {min, max} = boundsOf(add);
    const low = min === null ? null : sql.literal(min);
    const high = max === null ? null : sql.literal(max);
    return low === null || high === null ? [] : [{path, low, high}];
  });
}
