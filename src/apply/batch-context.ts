import type {StructType} from '../core/types.ts';
import type {AddCdcFile, AddFile, RemoveFile} from '../delta/actions.ts';
import type {SideFiles} from '../delta/batch-file.ts';
import type {DeltaContext, DeltaTable} from '../delta/delta-table.ts';
import {recordCount} from '../delta/statistics.ts';
import type {AppendSql} from './append-sql.ts';
import type {ApplyJob, LeftOut} from './apply-engine.ts';
import type {ColumnSql} from './column-sql.ts';
import type {DifferenceSql} from './difference-sql.ts';
import type {MergeSql} from './merge-sql.ts';
import type {SideFileStore} from './side-files.ts';
import type {WorkTables} from './work-tables.ts';

/** What the modes work with while they turn one batch into one change. */
export interface BatchContext {
  readonly delta: DeltaContext;
  readonly table: DeltaTable;
  readonly job: ApplyJob;
  readonly signal: AbortSignal;
  readonly columns: ColumnSql;
  readonly sql: MergeSql;
  readonly append: AppendSql;
  readonly difference: DifferenceSql;
  readonly work: WorkTables;
  readonly side: SideFileStore;
  /** Side files that the batch before made current. */
  readonly before: SideFiles;
  /** Null: rows that are left out are only counted. */
  readonly leftOut: LeftOut | null;
}

/** Rows of a batch by what became of them. */
export interface ChangeCounts {
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  readonly unchanged: number;
  /** Rows that this step left out beside those of the job. */
  readonly quarantined: number;
}

/** What a mode makes of a batch: durable files that are in no version yet, and the side files to make current. */
export interface TableChange {
  /** Delta's name of the operation, and its `mode`. */
  readonly operation: 'WRITE' | 'MERGE';
  readonly writeMode: 'Append' | 'Overwrite' | null;
  readonly adds: readonly AddFile[];
  readonly removes: readonly RemoveFile[];
  /**
   * The changed rows for readers of changes: none, or every row that the commit adds and removes. Empty where they can tell
   * by `adds` and `removes`.
   */
  readonly cdc: readonly AddCdcFile[];
  /** The actions depend on no row of the table. */
  readonly blindAppend: boolean;
  /** Writes the side files, after the data; resolves to lists that replace those of the batch before. */
  readonly side: () => Promise<Partial<SideFiles>>;
  readonly counts: ChangeCounts;
}

/** A change that leaves the rows alone. */
export const NO_CHANGE: TableChange = {
  operation: 'WRITE',
  writeMode: 'Append',
  adds: [],
  removes: [],
  cdc: [],
  blindAppend: true,
  side: () => Promise.resolve({}),
  counts: {inserted: 0, updated: 0, deleted: 0, unchanged: 0, quarantined: 0},
};

/** Which live rows to read. */
export interface LiveRows {
  /** Columns of the job's schema; those that the table does not have yet are NULL. Default all. */
  readonly columns?: StructType;
  /** Default all live files. */
  readonly files?: readonly string[];
}

/** Live rows with the job's types and their places (`__file`, `__pos`), as a SELECT. */
export async function liveRows(context: BatchContext, rows: LiveRows = {}): Promise<string> {
  const columns = rows.columns ?? context.job.schema;
  const stored = context.table.snapshot.schema;
  const known = new Set(stored.fields.map((field) => field.name));
  const select = await context.table.readSql({
    columns: columns.fields.map((field) => field.name).filter((name) => known.has(name)),
    positions: true,
    ...(rows.files === undefined ? {} : {files: rows.files}),
  });
  return context.sql.placed(select, columns, stored);
}

/** Rows in data files, as their statistics say; deletion vectors are taken off. */
export function rowsIn(files: Iterable<AddFile>): number {
  let rows = 0;
  for (const file of files) rows += (recordCount(file.stats) ?? 0) - (file.deletionVector?.cardinality ?? 0);
  return rows;
}

/** Live rows of the table; counted where a file of another writer has no statistics. */
export async function liveRowCount(context: BatchContext): Promise<number> {
  const files = [...context.table.snapshot.files.values()];
  if (files.every((file) => recordCount(file.stats) !== null)) return rowsIn(files);
  return context.work.count(context.sql.countOf(await liveRows(context)), 'n');
}
