import {rm} from 'node:fs/promises';

import type {DataType, StructField, StructType} from '../core/types.ts';
import type {EngineRow, LeafStatistics, ParquetFilesJob, ParquetJob, WrittenParquet} from './engine.ts';
import {quoteIdentifier, quoteLiteral, sqlType} from './sql-types.ts';

const DEFAULT_ROW_GROUP_ROWS = 122_880;

/**
 * Writes the rows of a job's select as one Parquet file, cast to the schema's types; null and no file when there are
 * none. `query` runs one statement. A file left by a failed statement is removed.
 */
export async function writeParquetFile(
  job: ParquetJob,
  query: (sql: string) => Promise<readonly EngineRow[]>,
): Promise<WrittenParquet | null> {
  try {
    const [row] = await query(copyStatement(job, {to: job.localPath, texts: [], orderBy: [], options: []}));
    const written = row === undefined ? null : writtenParquet(job.schema, row);
    if (written === null) await rm(job.localPath, {force: true});
    return written;
  } catch (error) {
    await rm(job.localPath, {force: true});
    throw error;
  }
}

/**
 * Writes the rows of a job's select as Parquet files in a folder that it makes: cut at a size, or apart by partitions.
 * `query` runs one statement. Nothing is left of a statement that failed.
 */
export async function writeParquetFolder(
  job: ParquetFilesJob,
  query: (sql: string) => Promise<readonly EngineRow[]>,
): Promise<readonly WrittenParquet[]> {
  const {partitions = 0, targetBytes} = job;
  const texts = Array.from({length: partitions}, (_, index) => `${PARTITION}${index}`);
  // Rows of a partition come together: else many partitions would have a file each for every part of the rows.
  const orderBy = [...texts, ...(job.orderBy ?? [])];
  const options =
    partitions > 0
      ? [`PARTITION_BY (${texts.join(', ')})`, 'WRITE_PARTITION_COLUMNS false', `FILENAME_PATTERN 'part-{uuid}'`]
      : [`FILE_SIZE_BYTES ${targetBytes}`];
  const rowGroupRows = Math.min(DEFAULT_ROW_GROUP_ROWS, Math.max(LEAST_ROW_GROUP_ROWS, Math.floor(targetBytes / 64)));
  try {
    const rows = await query(copyStatement({...job, rowGroupRows}, {to: job.folder, texts, orderBy, options}));
    return rows.map((row) => writtenParquet(job.schema, row)).filter((written) => written !== null);
  } catch (error) {
    await rm(job.folder, {recursive: true, force: true});
    throw error;
  }
}

const PARTITION = '__sluice_partition_';
/** Files are cut between row groups: those of small files must be small, too. */
const LEAST_ROW_GROUP_ROWS = 2048;

/** Where rows go: `texts` are columns of the select beside those of the schema, which become no column of a file. */
interface CopyTarget {
  readonly to: string;
  readonly texts: readonly string[];
  readonly orderBy: readonly string[];
  readonly options: readonly string[];
}

function copyStatement(job: Omit<ParquetJob, 'localPath'>, target: CopyTarget): string {
  const names = job.schema.fields.map((field) => quoteIdentifier(field.name));
  const casts = job.schema.fields.map(
    (field, index) => `CAST(${names[index]} AS ${sqlType(field.type)}) AS ${names[index]}`,
  );
  const options = [
    'FORMAT parquet',
    'COMPRESSION zstd',
    `COMPRESSION_LEVEL ${job.compressionLevel ?? 1}`,
    `ROW_GROUP_SIZE ${job.rowGroupRows ?? DEFAULT_ROW_GROUP_ROWS}`,
    'RETURN_STATS true',
    ...target.options,
    ...fieldIds(job.schema),
  ];
  const columns = [...names, ...target.texts].join(', ');
  return `COPY (SELECT ${[...casts, ...target.texts].join(', ')} FROM (${job.select}) AS source(${columns})${ordered(target)}) TO ${quoteLiteral(target.to)} (${options.join(', ')})`;
}

/** Without a limit, threads write the parts of the sorted rows side by side, and files that are cut at a size overlap. */
function ordered({orderBy}: CopyTarget): string {
  return orderBy.length === 0 ? '' : ` ORDER BY ${orderBy.join(', ')} LIMIT 9223372036854775807`;
}

/** The Parquet field ids of Delta's column mapping, for the fields that have one. */
function fieldIds(schema: StructType): readonly string[] {
  const ids = idsInside(schema, null);
  return ids === null ? [] : [`FIELD_IDS ${ids}`];
}

function columnId(field: StructField): number | null {
  const id = field.metadata['delta.columnMapping.id'];
  return typeof id === 'number' ? id : null;
}

/** The ids of a type and of the fields inside, `id` being its own; null when there are none. Levels of lists and maps have none. */
function idsInside(type: DataType, id: number | null): string | null {
  const children = childrenOf(type).flatMap(([name, child, childId]) => {
    const ids = idsInside(child, childId);
    return ids === null ? [] : [`${quoteIdentifier(name)}: ${ids}`];
  });
  if (children.length === 0) return id === null ? null : String(id);
  return `{${[...(id === null ? [] : [`__duckdb_field_id: ${id}`]), ...children].join(', ')}}`;
}

function childrenOf(type: DataType): readonly (readonly [name: string, type: DataType, id: number | null])[] {
  if (typeof type === 'string') return [];
  switch (type.type) {
    case 'decimal':
      return [];
    case 'array':
      return [['element', type.elementType, null]];
    case 'map':
      return [
        ['key', type.keyType, null],
        ['value', type.valueType, null],
      ];
    case 'struct':
      return type.fields.map((field) => [field.name, field.type, columnId(field)] as const);
  }
}

function writtenParquet(schema: StructType, row: EngineRow): WrittenParquet | null {
  const rowCount = Number(row['count']);
  if (rowCount === 0) return null;
  const keys = row['partition_keys'] as readonly {readonly key: string; readonly value: string | null}[] | null;
  return {
    localPath: String(row['filename']),
    rowCount,
    sizeBytes: Number(row['file_size_bytes']),
    statistics: leafStatistics(schema, row['column_statistics'] as readonly StatisticsEntry[]),
    partition: (keys ?? []).map(({value}) => value),
  };
}

/** One entry of DuckDB's `column_statistics`: the quoted path of a leaf and what is known of it, as texts. */
interface StatisticsEntry {
  readonly key: string;
  readonly value: readonly {readonly key: string; readonly value: string | null}[];
}

function leafStatistics(schema: StructType, entries: readonly StatisticsEntry[]): readonly LeafStatistics[] {
  const leaves = new Set(structLeaves(schema, []).map((path) => path.map(quoteIdentifier).join('.')));
  return entries
    .filter((entry) => leaves.has(entry.key))
    .map((entry) => {
      const known = new Map(entry.value.map(({key, value}) => [key, value ?? undefined]));
      const [min, max, nullCount] = [known.get('min'), known.get('max'), known.get('null_count')];
      return {
        path: splitPath(entry.key),
        ...(min === undefined ? {} : {min}),
        ...(max === undefined ? {} : {max}),
        ...(nullCount === undefined ? {} : {nullCount: Number(nullCount)}),
        hasNan: known.get('has_nan') === 'true',
      };
    });
}

/** Paths of the leaves that are under no list and no map. */
function structLeaves(schema: StructType, parent: readonly string[]): readonly (readonly string[])[] {
  return schema.fields.flatMap((field) => {
    const path = [...parent, field.name];
    if (typeof field.type === 'string' || field.type.type === 'decimal') return [path];
    return field.type.type === 'struct' ? structLeaves(field.type, path) : [];
  });
}

function splitPath(quoted: string): readonly string[] {
  return Array.from(quoted.matchAll(/"((?:[^"]|"")*)"/gu), (match) => (match[1] ?? '').replaceAll('""', '"'));
}
