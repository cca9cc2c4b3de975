import type {DataType, PlainJson} from '../../sdk/index.ts';
import {IngestError} from '../../sdk/index.ts';

/** What values of a column are: all that reading rows of the log and of snapshots takes. */
export interface ColumnType {
  /** Name of the base type in `sys.types`, e.g. `decimal`; a rowversion is `timestamp` there. */
  readonly name: string;
  /** Bytes, or -1 for max; of texts and bytes. */
  readonly length: number;
  readonly precision: number;
  readonly scale: number;
  readonly collation: string | null;
  /** Times of 100 ns land as text, which keeps the seventh digit. */
  readonly isWideText: boolean;
}

/** The type as it is kept in schema frames; what is usual is left out. */
export function typeToJson(type: ColumnType): PlainJson {
  return {
    name: type.name,
    ...(type.length !== 0 && {length: type.length}),
    ...(type.precision !== 0 && {precision: type.precision}),
    ...(type.scale !== 0 && {scale: type.scale}),
    ...(type.collation !== null && {collation: type.collation}),
    ...(type.isWideText && {wide: 'text'}),
  };
}

/** Reads what {@link typeToJson} wrote. @throws STAGING_DAMAGED when it is something else */
export function typeFromJson(json: PlainJson): ColumnType {
  const fields = typeof json === 'object' && json !== null && !Array.isArray(json) ? json : {};
  const {name, length = 0, precision = 0, scale = 0, collation = null, wide} = fields as Record<string, PlainJson>;
  const isCollation = collation === null || typeof collation === 'string';
  if (
    typeof name === 'string' &&
    typeof length === 'number' &&
    typeof precision === 'number' &&
    typeof scale === 'number' &&
    isCollation
  ) {
    return {name, length, precision, scale, collation, isWideText: wide === 'text'};
  }
  throw new IngestError('STAGING_DAMAGED', 'The type of a staged column cannot be read.', {
    fix: 'Refresh the table in full.',
  });
}

/** What a column lands as. */
export function landedType({name, precision, scale, isWideText}: ColumnType): DataType {
  switch (name) {
    case 'bit':
      return 'boolean';
    case 'tinyint':
    case 'smallint':
      return 'short';
    case 'int':
      return 'integer';
    case 'bigint':
      return 'long';
    case 'decimal':
    case 'numeric':
      return {type: 'decimal', precision, scale};
    case 'money':
      return {type: 'decimal', precision: 19, scale: 4};
    case 'smallmoney':
      return {type: 'decimal', precision: 10, scale: 4};
    case 'float':
      return 'double';
    case 'real':
      return 'float';
    case 'date':
      return 'date';
    case 'datetime':
    case 'smalldatetime':
      return 'timestamp_ntz';
    case 'datetime2':
      return isWideText ? 'string' : 'timestamp_ntz';
    case 'datetimeoffset':
      return isWideText ? 'string' : 'timestamp';
    default:
      return isBytes(name) ? 'binary' : 'string';
  }
}

/** True where values travel as bytes. */
export function isBytes(name: string): boolean {
  return BYTES.has(name);
}

const BYTES = new Set(['binary', 'varbinary', 'image', 'timestamp', 'geometry', 'geography']);

/**
 * How a value is read: as exact text, as bytes, or in a form that the driver keeps exact. The same for snapshots and changes.
 * @param sql the column as SQL
 * @see https://learn.microsoft.com/en-us/sql/t-sql/functions/cast-and-convert-transact-sql
 */
export function valueSql(type: ColumnType, sql: string): string {
  switch (type.name) {
    case 'decimal':
    case 'numeric':
      return `convert(varchar(41), ${sql})`;
    case 'money':
    case 'smallmoney':
      return `convert(varchar(22), ${sql}, 2)`;
    case 'date':
      return `convert(char(10), ${sql}, 23)`;
    case 'datetime':
      return `convert(varchar(23), ${sql}, 121)`;
    case 'smalldatetime':
      return `convert(varchar(19), ${sql}, 120)`;
    case 'datetime2':
      return `convert(varchar(27), ${sql}, 121)`;
    case 'datetimeoffset':
      return `convert(varchar(34), ${sql}, 121)`;
    case 'time':
      return `convert(varchar(16), ${sql}, 121)`;
    case 'char':
    case 'varchar':
      return `convert(nvarchar(${type.length > 0 && type.length <= 4000 ? type.length : 'max'}), ${sql})`;
    case 'text':
    case 'ntext':
    case 'xml':
    case 'json':
    case 'vector':
      return `convert(nvarchar(max), ${sql})`;
    case 'image':
    case 'geometry':
    case 'geography':
      return `convert(varbinary(max), ${sql})`;
    case 'timestamp':
      return `convert(binary(8), ${sql})`;
    case 'hierarchyid':
      return `${sql}.ToString()`;
    case 'sql_variant':
      return variantSql(sql);
    default:
      return sql;
  }
}

/** Floats, money and times have no exact text without a style of their own. */
function variantSql(sql: string): string {
  const base = `convert(sysname, sql_variant_property(${sql}, 'BaseType'))`;
  const text = (type: string, style: number): string => `convert(nvarchar(4000), convert(${type}, ${sql}), ${style})`;
  return (
    `case ${base} when 'float' then ${text('float', 3)} when 'real' then ${text('real', 3)}` +
    ` when 'money' then ${text('money', 2)} when 'smallmoney' then ${text('money', 2)}` +
    ` when 'datetime' then ${text('datetime', 121)} when 'smalldatetime' then ${text('smalldatetime', 120)}` +
    ` when 'datetime2' then ${text('datetime2', 121)} when 'datetimeoffset' then ${text('datetimeoffset', 121)}` +
    ` when 'date' then ${text('date', 23)} when 'time' then ${text('time', 121)}` +
    ` when 'binary' then ${text('varbinary(8000)', 1)} when 'varbinary' then ${text('varbinary(8000)', 1)}` +
    ` else convert(nvarchar(4000), ${sql}) end`
  );
}

/** True when values of the type can be cut into ranges, and each can be written exactly. */
export function isSortable({name, length}: ColumnType): boolean {
  return SORTABLE.has(name) && length !== -1;
}

const SORTABLE = new Set([
  'bit',
  'tinyint',
  'smallint',
  'int',
  'bigint',
  'decimal',
  'numeric',
  'money',
  'smallmoney',
  'date',
  'datetime',
  'smalldatetime',
  'datetime2',
  'datetimeoffset',
  'time',
  'char',
  'varchar',
  'nchar',
  'nvarchar',
  'uniqueidentifier',
  'binary',
  'varbinary',
  'timestamp',
]);

/** A value as one text, which {@link parameterSql} turns back into the very same value. */
export function keyTextSql(type: ColumnType, sql: string): string {
  if (isBytes(type.name)) return `convert(varchar(max), convert(varbinary(8000), ${sql}), 1)`;
  if (WHOLE.has(type.name)) return `convert(varchar(20), ${sql})`;
  if (type.name === 'uniqueidentifier') return `convert(char(36), ${sql})`;
  return valueSql(type, sql);
}

/** The value of a text parameter that {@link keyTextSql} gave, in the column's own type and collation. */
export function parameterSql(type: ColumnType, parameter: string): string {
  const {name, length, precision, scale, collation} = type;
  const collate = collation === null ? '' : ` collate ${collation}`;
  switch (name) {
    case 'decimal':
    case 'numeric':
      return `convert(${name}(${precision}, ${scale}), ${parameter})`;
    case 'money':
    case 'smallmoney':
      return `convert(${name}, ${parameter})`;
    case 'date':
    case 'datetime':
      return `convert(${name}, ${parameter}, ${name === 'date' ? 23 : 121})`;
    case 'smalldatetime':
      return `convert(${name}, ${parameter}, 120)`;
    case 'datetime2':
    case 'datetimeoffset':
    case 'time':
      return `convert(${name}(${scale}), ${parameter}, 121)`;
    case 'char':
    case 'varchar':
      return `convert(${name}(${length}), ${parameter}${collate})`;
    case 'nchar':
    case 'nvarchar':
      return `convert(${name}(${length / 2}), ${parameter}${collate})`;
    case 'binary':
    case 'varbinary':
      return `convert(${name}(${length}), ${parameter}, 1)`;
    case 'timestamp':
      return `convert(binary(8), ${parameter}, 1)`;
    default:
      return `convert(${name}, ${parameter})`;
  }
}

/** True for whole numbers. */
export function isWhole({name}: ColumnType): boolean {
  return WHOLE.has(name);
}

const WHOLE = new Set(['bit', 'tinyint', 'smallint', 'int', 'bigint']);
