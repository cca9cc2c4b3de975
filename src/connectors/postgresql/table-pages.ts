import type {ColumnBatch, Page, TableOptions} from '../../sdk/index.ts';
import {IngestError, schemaChanged, selectedColumns} from '../../sdk/index.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {columnName, describeTable, relationSql, shapeOf} from './catalog.ts';
import type {CopyBatch, CopyColumn} from './copy-decoder.ts';
import {CopyDecoder} from './copy-decoder.ts';
import type {Session} from './session.ts';
import type {Doing} from './source-errors.ts';
import {sourceError} from './source-errors.ts';
import {mapType} from './source-type.ts';

/** What is read of a table, and how the rows are chosen. */
export interface TableRead {
  /** SQL after FROM: the table, conditions, order. */
  readonly from: string;
  readonly columns: readonly SourceColumn[];
  /** SQL expressions whose texts are read along, see {@link CopyBatch.hiddenText}. */
  readonly hidden?: readonly string[];
}

/** Describes a table anew and checks that its columns are still those of the plan. @throws SOURCE_SCHEMA_CHANGED, UNKNOWN_TABLE */
export async function describeAgain(
  session: Session,
  {table, options, shape}: {readonly table: string; readonly options: TableOptions; readonly shape: string | undefined},
  doing: Doing,
): Promise<{readonly source: SourceTable; readonly columns: readonly SourceColumn[]}> {
  const source = await describeTable(session, table);
  const columns = selectedColumns(source.columns, options, doing);
  if (shape !== undefined && shapeOf(columns) !== shape) throw schemaChanged(doing);
  if (source.kind === 'm') await checkNotRefreshed(session, source, doing);
  return {source, columns};
}

/** A materialized view that was filled anew after our snapshot is empty in it, and cannot be locked before. */
async function checkNotRefreshed(session: Session, source: SourceTable, doing: Doing): Promise<void> {
  const sql = `select from ${relationSql(source)} limit 0;
    select pg_relation_filenode(oid) = relfilenode from pg_class where oid = ${source.oid}`;
  const [row] = await session.query(sql, doing);
  if (row?.[0] === 't') return;
  throw new IngestError('SOURCE_ERROR', `Cannot ${doing.what}: the materialized view is being refreshed.`, {
    fix: 'The next attempt reads it.',
    context: {table: source.name},
  });
}

/** Reads rows as column batches, straight from the wire. A batch is overwritten when the next is asked for. */
export async function* readBatches(session: Session, read: TableRead, doing: Doing): AsyncGenerator<CopyBatch, void> {
  const hidden = read.hidden ?? [];
  const columns: CopyColumn[] = read.columns.map(({name, mapping, nullable}) => ({name, mapping, nullable}));
  for (const name of hidden) columns.push({name, mapping: TEXT, nullable: true, hidden: true});
  const decoder = new CopyDecoder(columns, {checkUtf8: session.facts.checkUtf8});
  const list = [...read.columns.map(fieldSql), ...hidden.map((sql) => `(${sql})::text`)];
  try {
    for await (const range of session.copyBinary(`select ${list.join(', ')} from ${read.from}`))
      yield* decoder.decode(range);
  } catch (error) {
    throw sourceError(error, doing);
  }
}

/** A page without an offset. */
export function pageOf({batch, rescued}: CopyBatch): Page {
  return {kind: 'columns', batch, rescued};
}

/** Only the column batches. */
export async function* batchesOf(batches: AsyncIterable<CopyBatch>): AsyncGenerator<ColumnBatch, void> {
  for await (const {batch} of batches) yield batch;
}

const TEXT = mapType({name: 'text', builtIn: true, isEnum: false, modifier: -1});

/**
 * A column as it is sent. Types without a known binary form are sent as the text that the server prints: concat() calls
 * the type's output function, which a cast to text does not always (inet, bpchar).
 */
export function fieldSql({name, mapping}: Pick<SourceColumn, 'name' | 'mapping'>): string {
  const sql = columnName(name);
  return mapping.asText ? `case when num_nonnulls(${sql}) = 1 then pg_catalog.concat(${sql}) end` : sql;
}
