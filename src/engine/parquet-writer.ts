import {rm} from 'node:fs/promises';

import type {DataType, StructField, StructType} from '../core/types.ts';
import type {EngineRow, LeafStatistics, ParquetJob, WrittenParquet} from './engine.ts';
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
    const [row] = await query(copyStatement(job));
    const written = row === undefined ? null : writtenParquet(job, row);
    if (written === null) await rm(job.localPath, {force: true});
    return written;
  } catch (error) {
    await rm(job.localPath, {force: true});
    throw error;
  }
}

function copyStatement(job: ParquetJob): string {
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
    ...fieldIds(job.schema),
  ];
  return `COPY (SELECT ${casts.join(', ')} FROM (${job.select}) AS source(${names.join(', ')})) TO ${quoteLiteral(job.localPath)} (${options.join(', ')})`;
}

/** The Parquet field ids of Delta's column mapping, where the schema's top-level fields all have one. */
function fieldIds(schema: StructType): readonly string[] {
  const entries = schema.fields.map((field) => fieldIdOf(field));
  if (entries.includes(null)) return [];
  return [`FIELD_IDS {${entries.join(', ')}}`];
}

function fieldIdOf(field: StructField): string | null {
  const id = field.metadata['delta.columnMapping.id'];
  if (typeof id !== 'number') return null;
  const children = structChildren(field.type)
    .map(fieldIdOf)
    .filter((child) => child !== null);
  const name = quoteIdentifier(field.name);
  return children.length === 0 ? `${name}: ${id}` : `${name}: {__duckdb_field_id: ${id}, ${children.join(', ')}}`;
}

function structChildren(type: DataType): readonly StructField[] {
  return typeof type === 'object' && type.type === 'struct' ? type.fields : [];
}

function writtenParquet(job: ParquetJob, row: EngineRow): WrittenParquet | null {
  const rowCount = Number(row['count']);
  if (rowCount === 0) return null;
  return {
    localPath: job.localPath,
    rowCount,
    sizeBytes: Number(row['file_size_bytes']),
    statistics: leafStatistics(job.schema, row['column_statistics'] as readonly StatisticsEntry[]),
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
