import {randomUUID} from 'node:crypto';

import {IngestError} from '../core/errors.ts';
import type {StructType} from '../core/types.ts';
import type {EngineRow, WrittenParquet} from '../engine/engine.ts';
import {quoteIdentifier, quoteLiteral} from '../engine/sql-types.ts';
import type {AddFile} from './actions.ts';
import {mappingMode, physicalNames, withKnownMetadata} from './column-mapping.ts';
import type {DeltaContext, NewDataFile, TableSnapshot} from './delta-table.ts';
import {columnsOfSchema, rememberColumns} from './file-columns.ts';
import {inFileNames} from './file-names.ts';
import {encodePath, partitionFolder} from './file-path.ts';
import {DEFAULT_INDEXED_COLUMNS, statisticsJson} from './statistics.ts';

/** Rows to write: columns of the select are those of `schema`. */
export interface WriteJob {
  readonly select: string;
  readonly schema: StructType;
  readonly compressionLevel?: 1 | 3;
}

/** Where files are written to. */
export interface WriteTarget {
  readonly context: DeltaContext;
  readonly root: string;
  readonly snapshot: TableSnapshot;
}

/** A fresh name in the table's folder or in a folder of its partition. */
export async function stageDataFile(context: DeltaContext, root: string, folder: string): Promise<NewDataFile> {
  const relative = `${folder}part-00000-${randomUUID()}-c000.zstd.parquet`;
  const staged = await context.store.stage(`${root}/${relative}`);
  return {path: encodePath(relative), localPath: staged.localPath, seal: (signal) => staged.seal(signal)};
}

/**
 * Writes the rows of a select as durable data files, one per partition that has rows.
 * @throws BAD_RECORD when a column that is never null has nulls.
 */
export async function writeDataFiles(
  target: WriteTarget,
  job: WriteJob,
  signal: AbortSignal,
): Promise<readonly AddFile[]> {
  const {metadata, schema} = target.snapshot;
  const known = {...job, schema: withKnownMetadata(schema, job.schema)};
  if (metadata.partitionColumns.length > 0) return writePartitions(target, known, signal);
  const add = await writeOne(target, known, {folder: '', values: {}}, signal);
  return add === null ? [] : [add];
}

interface Partition {
  readonly folder: string;
  readonly values: Readonly<Record<string, string | null>>;
}

async function writeOne(
  target: WriteTarget,
  job: WriteJob,
  partition: Partition,
  signal: AbortSignal,
): Promise<AddFile | null> {
  const {context, root} = target;
  const file = await stageDataFile(context, root, partition.folder);
  const {select, schema} = inFileNames(job, mappingMode(target.snapshot.metadata));
  const written = await context.engine.writeParquet(
    {select, schema, localPath: file.localPath, compressionLevel: job.compressionLevel ?? 1},
    signal,
  );
  if (written === null) return null;
  refuseNulls(root, {schema: job.schema, fileSchema: schema, written});
  rememberColumns(context.engine, file.localPath, await columnsOfSchema(context.engine, schema));
  return {
    path: file.path,
    partitionValues: partition.values,
    size: await file.seal(signal),
    modificationTime: context.clock.nowMs(),
    dataChange: true,
    stats: statisticsJson({
      rowCount: written.rowCount,
      leaves: written.statistics,
      schema,
      indexedColumns: indexedColumns(target.snapshot),
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

async function writePartitions(target: WriteTarget, job: WriteJob, signal: AbortSignal): Promise<readonly AddFile[]> {
  const {engine} = target.context;
  const {metadata} = target.snapshot;
  const {partitionColumns} = metadata;
  const physical = physicalNames(job.schema, partitionColumns, mappingMode(metadata));
  const names = job.schema.fields.map((field) => quoteIdentifier(field.name));
  const rows = quoteIdentifier(engine.uniqueName('sluice_partitions'));
  const dataSchema: StructType = {
    type: 'struct',
    fields: job.schema.fields.filter((field) => !partitionColumns.includes(field.name)),
  };
  // Read once: the select may be costly, or not give the same rows twice.
  await engine.run(`CREATE TABLE ${rows} AS SELECT * FROM (${job.select}) AS source(${names.join(', ')})`, signal);
  try {
    const keys = partitionColumns.map((name, index) => `${partitionText(job.schema, name)} AS "k${index}"`);
    const found = await engine.query(`SELECT DISTINCT ${keys.join(', ')} FROM ${rows} ORDER BY ALL`, signal);
    const adds: AddFile[] = [];
    for (const key of found) {
      const partition = partitionOf(physical, key);
      const where = partitionColumns.map((name, index) => {
        const value = partition.values[physical[index] ?? ''] ?? null;
        return `${partitionText(job.schema, name)} IS NOT DISTINCT FROM ${value === null ? 'NULL' : quoteLiteral(value)}`;
      });
      const select = `SELECT ${dataSchema.fields.map(({name}) => quoteIdentifier(name)).join(', ')} FROM ${rows} WHERE ${where.join(' AND ')}`;
      const add = await writeOne(target, {...job, select, schema: dataSchema}, partition, signal);
      if (add !== null) adds.push(add);
    }
    return adds;
  } finally {
    await engine.run(`DROP TABLE IF EXISTS ${rows}`);
  }
}

function partitionOf(columns: readonly string[], key: EngineRow): Partition {
  const values = columns.map((name, index): readonly [string, string | null] => {
    const value = key[`k${index}`] ?? null;
    return [name, typeof value === 'string' ? value : null];
  });
  return {
    folder: values.map(([name, value]) => `${partitionFolder(name, value)}/`).join(''),
    values: Object.fromEntries(values),
  };
}

/** A partition value as the protocol writes it; an empty text is null there. */
function partitionText(schema: StructType, name: string): string {
  const column = quoteIdentifier(name);
  const type = schema.fields.find((field) => field.name === name)?.type;
  if (type === 'timestamp' || type === 'timestamp_ntz') return `strftime(${column}, '%Y-%m-%d %H:%M:%S.%f')`;
  return `nullif(${column}::VARCHAR, '')`;
}
