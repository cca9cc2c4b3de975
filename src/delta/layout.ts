import {IngestError} from '../core/errors.ts';
import {fieldAt} from '../core/schema.ts';
import type {DataType, StructField, StructType} from '../core/types.ts';
import type {DomainMetadata, Metadata} from './actions.ts';
import type {TableSnapshot} from './delta-table.ts';
import {DEFAULT_INDEXED_COLUMNS} from './statistics.ts';

/** Size that data files are cut at, and packed to, where the table does not say. */
const DEFAULT_TARGET_FILE_BYTES = 128 * 1024 * 1024;
/** Table property of that size: bytes, or a number with `kb`, `mb` or `gb`. */
const TARGET_FILE_SIZE = 'delta.targetFileSize';

/** Who clusters: other implementations leave our files alone, and we theirs. */
export const CLUSTERING_PROVIDER = 'sluice';

const CLUSTERING_DOMAIN = 'delta.clustering';
/** Delta's own limit. */
const MAX_CLUSTERING_COLUMNS = 4;
const PHYSICAL_NAME = 'delta.columnMapping.physicalName';

/** Bytes that a data file of the table should have. A property of somebody else's that is no size counts as none. */
export function targetFileBytes({configuration}: Pick<Metadata, 'configuration'>): number {
  return sizeBytes(configuration[TARGET_FILE_SIZE]) ?? DEFAULT_TARGET_FILE_BYTES;
}

/** @throws INVALID_OPTION when a property of a new table is no size. */
export function checkTargetFileSize({configuration}: Pick<Metadata, 'configuration'>): void {
  const text = configuration[TARGET_FILE_SIZE];
  if (text === undefined || sizeBytes(text) !== null) return;
  throw new IngestError('INVALID_OPTION', `${TARGET_FILE_SIZE} is ${JSON.stringify(text)}, which is no size.`, {
    fix: 'Write bytes, or a number with kb, mb or gb, for example 128mb.',
    context: {property: TARGET_FILE_SIZE},
  });
}

function sizeBytes(text: string | undefined): number | null {
  const parts = /^\s*(\d{1,15})\s*(b|kb?|mb?|gb?)?\s*$/i.exec(text ?? '');
  const bytes = Number(parts?.[1] ?? 0) * (UNITS[parts?.[2]?.[0]?.toLowerCase() ?? 'b'] ?? 1);
  return bytes > 0 ? bytes : null;
}

const UNITS: Readonly<Record<string, number>> = {b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3};

/**
 * Columns that rows of the table are clustered by, as dotted names of its schema; none when the table is not clustered.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#clustered-table
 */
export function clusteringColumnsOf(snapshot: Pick<TableSnapshot, 'domains' | 'schema'>): readonly string[] {
  return clusteringPaths(snapshot).map((path) => logicalName(snapshot.schema, path) ?? '');
}

/** The same columns under their names in data files, part by part. A column that is gone clusters nothing. */
export function clusteringPaths(snapshot: Pick<TableSnapshot, 'domains' | 'schema'>): readonly (readonly string[])[] {
  const configuration = snapshot.domains.get(CLUSTERING_DOMAIN)?.configuration;
  if (configuration === undefined) return [];
  return physicalPaths(configuration).filter((path) => logicalName(snapshot.schema, path) !== null);
}

/** The domain metadata that declares a table clustered. The columns exist: see {@link checkClustering}. */
export function clusteringDomain(schema: StructType, columns: readonly string[]): DomainMetadata {
  const clusteringColumns = columns.map((name) => physicalPath(schema, name));
  return {
    domain: CLUSTERING_DOMAIN,
    configuration: JSON.stringify({clusteringColumns, domainName: CLUSTERING_DOMAIN}),
    removed: false,
  };
}

/**
 * Checks that a table can be clustered by columns.
 * @throws INVALID_OPTION naming the column and what can be done.
 */
export function checkClustering(
  root: string,
  metadata: Pick<Metadata, 'configuration' | 'partitionColumns'>,
  wanted: {readonly schema: StructType; readonly columns: readonly string[]},
): void {
  const {schema, columns} = wanted;
  if (columns.length === 0) return;
  if (metadata.partitionColumns.length > 0)
    throw refused(root, 'a table is partitioned or clustered, not both', 'Leave out partition_columns.');
  if (columns.length > MAX_CLUSTERING_COLUMNS)
    throw refused(root, `${columns.length} columns are too many`, `Name at most ${MAX_CLUSTERING_COLUMNS}.`);
  const indexed = indexedLeaves(schema, metadata);
  for (const name of columns) {
    const field = fieldAt(schema, name);
    if (field === null || field === undefined)
      throw refused(root, `there is no column "${name}"`, 'Correct clustering_columns.');
    if (!isOrdered(field.type))
      throw refused(root, `"${name}" has a type without bounds`, 'Choose numbers, texts, dates or timestamps.');
    if (!indexed.has(name))
      throw refused(
        root,
        `"${name}" comes after the columns that get statistics`,
        'Move it to the front, or raise the table property delta.dataSkippingNumIndexedCols.',
      );
  }
}

function isOrdered(type: DataType): boolean {
  if (typeof type !== 'string') return type.type === 'decimal';
  return type !== 'binary' && type !== 'boolean' && type !== 'variant';
}

/** Dotted names of the leaves that get bounds. */
function indexedLeaves(schema: StructType, {configuration}: Pick<Metadata, 'configuration'>): ReadonlySet<string> {
  const limit = Number(configuration['delta.dataSkippingNumIndexedCols'] ?? DEFAULT_INDEXED_COLUMNS);
  const leaves = leafNames(schema, '');
  return new Set(limit < 0 ? leaves : leaves.slice(0, limit));
}

function leafNames(schema: StructType, parent: string): readonly string[] {
  return schema.fields.flatMap((field) =>
    typeof field.type === 'object' && field.type.type === 'struct'
      ? leafNames(field.type, `${parent}${field.name}.`)
      : [parent + field.name],
  );
}

/** Other writers write a column as the list of its parts, the protocol's example as one text. */
function physicalPaths(configuration: string): readonly (readonly string[])[] {
  try {
    const {clusteringColumns} = JSON.parse(configuration) as {readonly clusteringColumns?: unknown};
    if (!Array.isArray(clusteringColumns)) return [];
    return clusteringColumns.map((column: unknown) => (Array.isArray(column) ? column.map(String) : [String(column)]));
  } catch (error) {
    // How rows lie is advice: a table is right without it.
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

function physicalPath(schema: StructType, name: string): readonly string[] {
  const whole = schema.fields.find((field) => field.name === name);
  if (whole !== undefined) return [physicalNameOf(whole)];
  const dot = name.indexOf('.');
  const parent = schema.fields.find((field) => field.name === name.slice(0, dot));
  if (dot < 0 || parent === undefined || typeof parent.type !== 'object' || parent.type.type !== 'struct')
    throw new RangeError(`There is no column ${name}.`);
  return [physicalNameOf(parent), ...physicalPath(parent.type, name.slice(dot + 1))];
}

function logicalName(schema: StructType, path: readonly string[]): string | null {
  const field = schema.fields.find((each) => physicalNameOf(each) === path[0]);
  if (field === undefined) return null;
  if (path.length === 1) return field.name;
  if (typeof field.type !== 'object' || field.type.type !== 'struct') return null;
  const rest = logicalName(field.type, path.slice(1));
  return rest === null ? null : `${field.name}.${rest}`;
}

function physicalNameOf({name, metadata}: StructField): string {
  const physical = metadata[PHYSICAL_NAME];
  return typeof physical === 'string' ? physical : name;
}

function refused(root: string, what: string, fix: string): IngestError {
  return new IngestError('INVALID_OPTION', `Table ${root} cannot be clustered: ${what}.`, {
    fix,
    context: {table: root},
  });
}
