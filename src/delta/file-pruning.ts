import type {DataType, StructField, StructType} from '../core/types.ts';
import {quoteLiteral} from '../engine/sql-types.ts';
import type {AddFile} from './actions.ts';
import {mappingMode, physicalName} from './column-mapping.ts';
import type {TableSnapshot} from './delta-table.ts';
import {parsedStatistics} from './statistics.ts';

/** What is known of one column in one file; a bound that is null is unknown. */
export interface Bounds {
  readonly min: Comparable | null;
  readonly max: Comparable | null;
  readonly allNull: boolean;
}

/** Values of one column compare among themselves: whole numbers exactly, others as doubles, texts as their UTF-8 bytes. */
export type Comparable = bigint | number | Uint8Array;

const PARSED = new WeakMap<AddFile, Readonly<Record<string, unknown>>>();

/**
 * Files that may have a row whose column is in [min, max]; both as in `EngineRow`, null for no bound. What cannot be
 * compared or is not known keeps the file.
 */
export function filesInRange(
  snapshot: TableSnapshot,
  column: string,
  range: {readonly min: unknown; readonly max: unknown},
): readonly AddFile[] {
  const files = [...snapshot.files.values()];
  const type = fieldsAt(snapshot.schema, column).at(-1)?.type;
  if (type === undefined) return files;
  const boundsOf = boundsOfColumn(snapshot, column);
  const min = comparableOf(range.min, type);
  const max = comparableOf(range.max, type);
  return files.filter((add) => {
    const bounds = boundsOf(add);
    if (bounds.allNull) return false;
    return !isBelow(bounds.max, min) && !isBelow(max, bounds.min);
  });
}

/** What files of a snapshot say of a column, a dotted name; nothing of one that is not there. */
export function boundsOfColumn(snapshot: TableSnapshot, column: string): (add: AddFile) => Bounds {
  const fields = fieldsAt(snapshot.schema, column);
  const type = fields.at(-1)?.type;
  if (type === undefined) return () => UNKNOWN;
  const mode = mappingMode(snapshot.metadata);
  const path = fields.map((field) => physicalName(field, mode));
  const isRounded = JSON.stringify(fields.at(-1)?.metadata['delta.typeChanges'] ?? []).includes('"float"');
  const isPartition = snapshot.metadata.partitionColumns.includes(column);
  if (isPartition) return (add) => partitionBounds(add, path.join('.'), type);
  return (add) => {
    const bounds = statisticsBounds(add, path, type);
    return isRounded ? {...bounds, min: roundedFloat(bounds.min, -1), max: roundedFloat(bounds.max, 1)} : bounds;
  };
}

/** A bound of a float that is a double now, moved outward by what the shorter text of a float may have lost. */
function roundedFloat(bound: Comparable | null, outward: -1 | 1): Comparable | null {
  return typeof bound === 'number' ? bound + outward * Math.abs(bound) * 2 ** -23 : bound;
}

/**
 * A bound as SQL, and a column such that both compare as the bounds do; null where they cannot. What is known only nearly
 * is compared as doubles.
 */
export function comparableSql(
  type: DataType,
): {readonly literal: (bound: Comparable) => string | null; readonly column: (sql: string) => string} | null {
  if (typeof type === 'object')
    return type.type === 'decimal' ? {literal: doubleSql, column: (sql) => `CAST(${sql} AS DOUBLE)`} : null;
  switch (type) {
    case 'long':
    case 'integer':
    case 'short':
    case 'byte':
      return {literal: (bound) => `${String(bound)}::HUGEINT`, column: (sql) => `CAST(${sql} AS HUGEINT)`};
    case 'float':
    case 'double':
      return {literal: doubleSql, column: (sql) => `CAST(${sql} AS DOUBLE)`};
    case 'string':
      return {literal: textSql, column: (sql) => sql};
    case 'date':
      return {literal: (bound) => `(DATE '1970-01-01' + ${String(bound)}::INTEGER)`, column: (sql) => sql};
    case 'timestamp':
      return {literal: (bound) => `make_timestamptz(${String(bound)}::BIGINT)`, column: (sql) => sql};
    case 'timestamp_ntz':
      return {literal: (bound) => `make_timestamp(${String(bound)}::BIGINT)`, column: (sql) => sql};
    case 'boolean':
    case 'binary':
    case 'variant':
      return null;
  }
}

function doubleSql(bound: Comparable): string {
  return `${String(bound)}::DOUBLE`;
}

function textSql(bound: Comparable): string | null {
  if (!(bound instanceof Uint8Array)) return null;
  const text = Buffer.from(bound).toString();
  return text.includes('\0') ? null : quoteLiteral(text);
}

/** True only when both are known and comparable, and the first is less. */
export function isBelow(left: Comparable | null, right: Comparable | null): boolean {
  if (left === null || right === null) return false;
  if (left instanceof Uint8Array || right instanceof Uint8Array) {
    return left instanceof Uint8Array && right instanceof Uint8Array && Buffer.compare(left, right) < 0;
  }
  return left < right;
}

/** A value of a row of the engine. */
function comparableOf(value: unknown, type: DataType): Comparable | null {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isNaN(value) ? null : value;
  if (typeof value !== 'string') return null;
  if (type === 'string') return Buffer.from(value);
  // Decimals come as text.
  const parsed = Number(value);
  return value.trim() === '' || Number.isNaN(parsed) ? null : parsed;
}

/** The fields from a column to the one at a dotted path; a top-level name that has dots is found by its full name. */
function fieldsAt(schema: StructType, path: string): readonly StructField[] {
  const whole = schema.fields.find((field) => field.name === path);
  if (whole !== undefined) return [whole];
  const dot = path.indexOf('.');
  const parent = dot < 0 ? undefined : schema.fields.find((field) => field.name === path.slice(0, dot));
  if (parent === undefined || typeof parent.type === 'string' || parent.type.type !== 'struct') return [];
  const rest = fieldsAt(parent.type, path.slice(dot + 1));
  return rest.length === 0 ? [] : [parent, ...rest];
}

function statisticsBounds(add: AddFile, path: readonly string[], type: DataType): Bounds {
  if (add.stats === undefined) return UNKNOWN;
  const stats = PARSED.get(add) ?? parsedStatistics(add.stats);
  PARSED.set(add, stats);
  const nullCount = valueAt(stats['nullCount'], path);
  return {
    min: boundOf(valueAt(stats['minValues'], path), type, -1),
    max: boundOf(valueAt(stats['maxValues'], path), type, 1),
    // Deleted rows are counted in both: the equality holds for the rows that are left, too.
    allNull: typeof nullCount === 'number' && nullCount === stats['numRecords'],
  };
}

const UNKNOWN: Bounds = {min: null, max: null, allNull: false};

function valueAt(values: unknown, path: readonly string[]): unknown {
  let found = values;
  for (const name of path) {
    if (typeof found !== 'object' || found === null) return undefined;
    found = (found as Readonly<Record<string, unknown>>)[name];
  }
  return found;
}

function partitionBounds(add: AddFile, name: string, type: DataType): Bounds {
  const text = add.partitionValues[name] ?? '';
  if (text === '') return {min: null, max: null, allNull: true};
  const isNumber = typeof type === 'object' || NUMERIC.has(type);
  const value = isNumber ? Number(text) : text.replace(' ', type === 'string' ? ' ' : 'T');
  return {min: boundOf(value, type, -1), max: boundOf(value, type, 1), allNull: false};
}

const NUMERIC: ReadonlySet<DataType> = new Set<DataType>(['long', 'integer', 'short', 'byte', 'float', 'double']);

/** A bound of the statistics, moved outward by what its form in JSON may have lost. */
function boundOf(value: unknown, type: DataType, outward: -1 | 1): Comparable | null {
  if (typeof value === 'number') return numberBound(value, type, outward);
  if (typeof value !== 'string') return null;
  switch (type) {
    case 'string':
      return Buffer.from(value);
    case 'date': {
      const millis = /^\d{4}-\d{2}-\d{2}$/.test(value) ? Date.parse(value) : Number.NaN;
      return Number.isNaN(millis) ? null : millis / 86_400_000;
    }
    case 'timestamp':
    case 'timestamp_ntz':
      return timestampBound(value, outward);
    default:
      return null;
  }
}

function numberBound(value: number, type: DataType, outward: -1 | 1): Comparable | null {
  if (type === 'float' || type === 'double') return value;
  // As a double, a long is off by up to half of 2048, and a decimal in its last digits.
  if (Number.isSafeInteger(value) && typeof type === 'string') return value;
  if (typeof type === 'string') return Number.isInteger(value) ? BigInt(value) + BigInt(outward * 2048) : null;
  return value + outward * Math.max(Math.abs(value) * 1e-15, Number.MIN_VALUE);
}

/** Microseconds; some writers cut maxima to whole milliseconds. */
function timestampBound(value: string, outward: -1 | 1): bigint | null {
  const hasZone = /(?:Z|[+-]\d{2}:?\d{2})$/.test(value);
  const millis = Date.parse(hasZone ? value : `${value}Z`);
  return Number.isNaN(millis) ? null : BigInt(millis) * 1000n + (outward > 0 ? 1000n : 0n);
}
