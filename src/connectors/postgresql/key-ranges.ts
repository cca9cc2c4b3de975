import type {PlainJson, SnapshotChunk} from '../../sdk/index.ts';
import {quoteLiteral} from '../../wire/pg/quote.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {columnName, relationSql} from './catalog.ts';
import type {FollowedTable} from './log-table.ts';
import type {Session} from './session.ts';
import type {Doing} from './source-errors.ts';

/** From which size on tables are read in ranges, and how much a range holds about. */
export interface RangeSizes {
  readonly tableBytes: number;
  readonly rangeBytes: number;
}

/** Below this a table is read anew sooner than its ranges pay. */
export const RANGE_SIZES: RangeSizes = {tableBytes: 4 * 2 ** 30, rangeBytes: 256 << 20};
const MAX_RANGES = 4096;
/** Sampled rows per range. */
const SAMPLES = 30;
/** Sampled blocks per range. */
const SAMPLED_BLOCKS = 4;
/** Before the first ANALYZE nobody knows how long rows are. */
const UNKNOWN_ROW_BYTES = 100;

/**
 * Ranges of a large table by its key, each to be read under a view of its own; null where it is read under one view. That is where it
 * has no key, and where rows could be lost: a change that moves a row from a range which is yet to be read into one that was read, and
 * leaves a large value out, would find that value nowhere. So its large values have to be in the log, or it has none.
 */
export async function planRanges(
  session: Session,
  {source, table}: FollowedTable,
  {sizes, doing}: {readonly sizes: RangeSizes; readonly doing: Doing},
): Promise<readonly SnapshotChunk[] | null> {
  const key = keyOf(source);
  if (key.length === 0 || source.kind !== 'r') return null;
  const [facts] = await session.query(
    `select pg_relation_size(oid)::text, (reltoastrelid = 0)::text, reltuples::bigint::text from pg_class where oid = ${source.oid}`,
    doing,
  );
  const bytes = Number(facts?.[0] ?? 0);
  if (bytes < sizes.tableBytes || (table.identity !== 'full' && facts?.[1] !== 'true')) return null;
  const count = Math.min(MAX_RANGES, Math.ceil(bytes / sizes.rangeBytes));
  const rows = Number(facts?.[2] ?? 0) > 0 ? Number(facts?.[2]) : bytes / UNKNOWN_ROW_BYTES;
  const blocks = Math.max(1, bytes / session.facts.blockBytes);
  // Whole blocks are sampled.
  const percent = Math.min(100, 100 * count * Math.max(SAMPLES / rows, SAMPLED_BLOCKS / blocks));
  const names = key.map(({name}) => columnName(name));
  const sample = await session.query(
    `select ${names.map((name) => `${name}::text`).join(', ')} from ${relationSql(source)} tablesample system (${percent}) order by ${names.join(', ')}`,
    doing,
  );
  const step = Math.max(1, Math.ceil(sample.length / count));
  const bounds = sample.filter((_, index) => index % step === step - 1).map((row) => row.map((text) => text ?? ''));
  return [null, ...bounds].map((after, index) => ({after, upTo: bounds[index] ?? null}));
}

/** True for a chunk of {@link planRanges}. */
export function isRange(chunk: SnapshotChunk): boolean {
  return Object.hasOwn(chunk, 'upTo');
}

/** The rows of a range as SQL after FROM. */
export function rangeSql(source: SourceTable, chunk: SnapshotChunk): string {
  const key = keyOf(source);
  const names = key.map(({name}) => columnName(name)).join(', ');
  const conditions = [
    ['>', textsOf(chunk['after'])],
    ['<=', textsOf(chunk['upTo'])],
  ].flatMap(([operator, texts]) => {
    if (texts === null || texts === undefined || typeof texts === 'string') return [];
    const literals = key.map(({typeName}, index) => `${quoteLiteral(texts[index] ?? '')}::${typeName}`);
    return [`(${names}) ${String(operator)} (${literals.join(', ')})`];
  });
  return `${relationSql(source)}${conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`}`;
}

function keyOf(source: SourceTable): readonly SourceColumn[] {
  return source.keys.flatMap((name) => source.columns.filter((column) => column.name === name));
}

function textsOf(json: PlainJson | undefined): readonly string[] | null {
  return Array.isArray(json) ? json.map(String) : null;
}
