import {randomUUID} from 'node:crypto';
import {rename, rm} from 'node:fs/promises';

import {IngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import type {StructType} from '../core/types.ts';
import type {ParquetFilesJob, WrittenParquet} from '../engine/engine.ts';
import {quoteIdentifier, quoteLiteral} from '../engine/sql-types.ts';
import type {AddFile} from './actions.ts';
import {mappingMode, physicalNames, withKnownMetadata} from './column-mapping.ts';
import type {DeltaContext, NewDataFile, TableSnapshot} from './delta-table.ts';
import {columnsOfSchema, rememberColumns} from './file-columns.ts';
import {inFileNames} from './file-names.ts';
import {encodePath, partitionFolder} from './file-path.ts';
import {clusteringPaths, targetFileBytes} from './layout.ts';
import {DEFAULT_INDEXED_COLUMNS, statisticsJson} from './statistics.ts';
import {storedNameOf} from './stored-name.ts';
import {checkWrittenRows} from './written-rows.ts';

/** Rows to write: columns of the select are those of `schema`. */
export interface WriteJob {
  readonly select: string;
  readonly schema: StructType;
  readonly compressionLevel?: 1 | 3;
  /** Where files are cut; default the table's target size. */
  readonly targetBytes?: number;
}

/** Where files are written to. */
export interface WriteTarget {
  readonly context: DeltaContext;
  readonly root: string;
  readonly snapshot: TableSnapshot;
  /** With a trailing slash, below the root; default the root itself. */
  readonly folder?: string;
}

/** A fresh name in the table's folder or in a folder of its partition. */
export async function stageDataFile(context: DeltaContext, root: string, folder: string): Promise<NewDataFile> {
  const relative = `${folder}part-00000-${randomUUID()}-c000.zstd.parquet`;
  const staged = await context.store.stage(`${root}/${relative}`);
  return {path: encodePath(relative), localPath: staged.localPath, seal: (signal) => staged.seal(signal)};
}

/**
 * Writes the rows of a select as durable data files of the table's target size: sorted by its clustering columns, or apart
 * by its partition columns. The select is read once.
 * @throws BAD_RECORD when a column that is never null has nulls.
 */
export async function writeDataFiles(
  target: WriteTarget,
  job: WriteJob,
  signal: AbortSignal,
): Promise<readonly AddFile[]> {
  const {context, root} = target;
  const {metadata, schema} = target.snapshot;
  const known = {...job, schema: withKnownMetadata(schema, job.schema)};
  const rows = metadata.partitionColumns.length > 0 ? partitionedRows(target, known) : plainRows(target, known);
  return inNewFolder(target, async (folder) => {
    const written = await context.engine.writeParquetFiles({...rows, folder}, signal);
    const adds: AddFile[] = [];
    try {
      for (let at = 0; at < written.length; at += LANDED_AT_ONCE) {
        const some = written.slice(at, at + LANDED_AT_ONCE);
        const ends = await Promise.allSettled(some.map((file) => landed(target, {rows, file}, signal)));
        for (const end of ends) if (end.status === 'fulfilled') adds.push(...end.value);
        for (const end of ends) if (end.status === 'rejected') throw end.reason;
      }
      return adds;
    } catch (error) {
      for (const {path} of adds) await context.store.delete(storedNameOf(context.store, root, path));
      throw error;
    }
  });
}

/** To make a file durable is to wait. */
const LANDED_AT_ONCE = 8;

/** Rows under the names of the table's files, and how they lie there. */
interface RowsToWrite extends Omit<ParquetFilesJob, 'folder'> {
  /** The columns of the files under their names in the table. */
  readonly tableSchema: StructType;
}

function plainRows({snapshot}: WriteTarget, job: WriteJob): RowsToWrite {
  const {select, schema} = inFileNames(job, mappingMode(snapshot.metadata));
  const written = new Set(schema.fields.map(({name}) => name));
  return {
    select,
    schema,
    tableSchema: job.schema,
    targetBytes: job.targetBytes ?? targetFileBytes(snapshot.metadata),
    orderBy: clusteringPaths(snapshot)
      .filter(([name = '']) => written.has(name))
      .map((path) => path.map(quoteIdentifier).join('.')),
    compressionLevel: job.compressionLevel ?? 1,
  };
}

function partitionedRows({snapshot}: WriteTarget, job: WriteJob): RowsToWrite {
  const {metadata} = snapshot;
  const {partitionColumns} = metadata;
  const tableSchema: StructType = {
    type: 'struct',
    fields: job.schema.fields.filter((field) => !partitionColumns.includes(field.name)),
  };
  const names = job.schema.fields.map((field) => quoteIdentifier(field.name));
  const texts = partitionColumns.map((_, index) => `__sluice_text_${index}`);
  const columns = [
    ...tableSchema.fields.map((field) => quoteIdentifier(field.name)),
    ...partitionColumns.map((name, index) => `${partitionText(job.schema, name)} AS ${texts[index]}`),
  ];
  const select = `SELECT ${columns.join(', ')} FROM (${job.select}) AS source(${names.join(', ')})`;
  return {
    ...inFileNames({select, schema: tableSchema}, mappingMode(metadata), texts),
    tableSchema,
    targetBytes: job.targetBytes ?? targetFileBytes(metadata),
    partitions: partitionColumns.length,
    compressionLevel: job.compressionLevel ?? 1,
  };
}

/** A folder that nobody knows of, in the store's place for new files; gone when the work is done. */
async function inNewFolder<T>({context, root}: WriteTarget, work: (folder: string) => Promise<T>): Promise<T> {
  const {localPath} = await context.store.stage(`${root}/part-${randomUUID()}`);
  try {
    return await work(localPath);
  } finally {
    await rm(localPath, {recursive: true, force: true});
  }
}

interface FileOfRows {
  readonly rows: RowsToWrite;
  readonly file: WrittenParquet;
}

/** Moves a written file to its place in the table. One of a partition is cut first when it is far too large. */
async function landed(target: WriteTarget, {rows, file}: FileOfRows, signal: AbortSignal): Promise<readonly AddFile[]> {
  if ((rows.partitions ?? 0) === 0 || file.sizeBytes <= 2 * rows.targetBytes)
    return [await moved(target, {rows, file}, signal)];
  return inNewFolder(target, async (folder) => {
    const select = `SELECT * FROM read_parquet(${quoteLiteral(file.localPath)}, hive_partitioning = false)`;
    const job = {...rows, select, folder, partitions: 0};
    const adds: AddFile[] = [];
    for (const piece of await target.context.engine.writeParquetFiles(job, signal))
      adds.push(await moved(target, {rows, file: {...piece, partition: file.partition}}, signal));
    return adds;
  });
}

async function moved(target: WriteTarget, {rows, file}: FileOfRows, signal: AbortSignal): Promise<AddFile> {
  const {context, root, snapshot} = target;
  refuseNulls(root, {schema: rows.tableSchema, fileSchema: rows.schema, written: file});
  // Files in a folder of their own are no rows of the table.
  if (target.folder === undefined) {
    const {localPath, partition: texts} = file;
    await checkWrittenRows(target, {
      localPath,
      tableSchema: rows.tableSchema,
      fileSchema: rows.schema,
      partition: texts,
    });
  }
  const partition = partitionOf(snapshot, file.partition);
  const staged = await stageDataFile(context, root, `${target.folder ?? ''}${partition.folder}`);
  await rename(file.localPath, staged.localPath);
  rememberColumns(context.engine, staged.localPath, await columnsOfSchema(context.engine, rows.schema));
  const size = await staged.seal(signal).catch(async (error: unknown) => {
    await rm(staged.localPath, {force: true});
    throw error;
  });
  failpoint('delta.data-file-written');
  return {
    path: staged.path,
    partitionValues: partition.values,
    size,
    modificationTime: context.clock.nowMs(),
    dataChange: true,
    stats: statisticsJson({
      rowCount: file.rowCount,
      leaves: file.statistics,
      schema: rows.schema,
      indexedColumns: indexedColumns(snapshot),
    }),
  };
}

function indexedColumns({metadata}: TableSnapshot): number {
  const value = Number(metadata.configuration['delta.dataSkippingNumIndexedCols'] ?? Number.NaN);
  return Number.isInteger(value) ? value : DEFAULT_INDEXED_COLUMNS;
}

/** What a writer must enforce for columns that are not nullable: the statistics tell it for nothing. */
function refuseNulls(
  root: string,
  file: {readonly schema: StructType; readonly fileSchema: StructType; readonly written: WrittenParquet},
): void {
  for (const [index, field] of file.schema.fields.entries()) {
    if (field.nullable) continue;
    const name = file.fileSchema.fields[index]?.name;
    const nulls =
      file.written.statistics.find((leaf) => leaf.path.length === 1 && leaf.path[0] === name)?.nullCount ?? 0;
    if (nulls === 0) continue;
    throw new IngestError(
      'BAD_RECORD',
      `Column "${field.name}" of table ${root} is never null, but ${nulls} rows have no value.`,
      {
        fix: 'Make the column nullable, or quarantine such rows.',
        context: {table: root, column: field.name},
      },
    );
  }
}

interface Partition {
  readonly folder: string;
  readonly values: Readonly<Record<string, string | null>>;
}

function partitionOf({metadata, schema}: TableSnapshot, texts: readonly (string | null)[]): Partition {
  const columns = physicalNames(schema, metadata.partitionColumns, mappingMode(metadata));
  const values = columns.map((name, index): readonly [string, string | null] => [name, texts[index] ?? null]);
  return {
    folder: values.map(([name, value]) => `${partitionFolder(name, value)}/`).join(''),
    values: Object.fromEntries(values),
  };
}

/** A partition value as the protocol writes it; an empty text is null there. */
function partitionText(schema: StructType, name: string): string {
  const column = quoteIdentifier(name);
  const type = schema.fields.find((field) => field.name === name)?.type;
  // Without its zone, other engines take it for a time of theirs.
  if (type === 'timestamp') return `strftime(timezone('UTC', ${column}), '%Y-%m-%dT%H:%M:%S.%fZ')`;
  if (type === 'timestamp_ntz') return `strftime(${column}, '%Y-%m-%d %H:%M:%S.%f')`;
  return `nullif(${column}::VARCHAR, '')`;
}
