import type {ModelColumn, ModelValue} from './simulator-database.ts';
import type {WireType} from './simulator-tds.ts';

/** How a value of a column must be asked for, and what comes back. */
export interface GoldenValue {
  readonly sql: string;
  readonly type: WireType;
}

/**
 * The expression by which each type is read without loss, written down apart from the connector. A value of the model is what this
 * expression gives.
 * @param sql the column as SQL
 */
export function goldenValue(column: Pick<ModelColumn, 'type' | 'length'>, sql: string): GoldenValue {
  const {type, length} = column;
  switch (type) {
    case 'bit':
    case 'tinyint':
    case 'smallint':
    case 'int':
    case 'bigint':
    case 'real':
    case 'float':
      return {sql, type};
    case 'uniqueidentifier':
      return {sql, type: 'guid'};
    case 'decimal':
    case 'numeric':
      return {sql: `convert(varchar(41), ${sql})`, type: 'varchar'};
    case 'money':
    case 'smallmoney':
      return {sql: `convert(varchar(22), ${sql}, 2)`, type: 'varchar'};
    case 'date':
      return {sql: `convert(char(10), ${sql}, 23)`, type: 'varchar'};
    case 'time':
      return {sql: `convert(varchar(16), ${sql}, 121)`, type: 'varchar'};
    case 'smalldatetime':
      return {sql: `convert(varchar(19), ${sql}, 120)`, type: 'varchar'};
    case 'datetime':
      return {sql: `convert(varchar(23), ${sql}, 121)`, type: 'varchar'};
    case 'datetime2':
      return {sql: `convert(varchar(27), ${sql}, 121)`, type: 'varchar'};
    case 'datetimeoffset':
      return {sql: `convert(varchar(34), ${sql}, 121)`, type: 'varchar'};
    case 'nchar':
    case 'nvarchar':
      return {sql, type: length === -1 ? 'nvarchar(max)' : 'nvarchar'};
    case 'char':
    case 'varchar':
      return length === -1 || length > 4000
        ? {sql: `convert(nvarchar(max), ${sql})`, type: 'nvarchar(max)'}
        : {sql: `convert(nvarchar(${length}), ${sql})`, type: 'nvarchar'};
    case 'text':
    case 'ntext':
    case 'xml':
    case 'json':
      return {sql: `convert(nvarchar(max), ${sql})`, type: 'nvarchar(max)'};
    case 'binary':
      return {sql, type: 'varbinary'};
    case 'varbinary':
      return {sql, type: length === -1 ? 'varbinary(max)' : 'varbinary'};
    case 'image':
    case 'geometry':
    case 'geography':
      return {sql: `convert(varbinary(max), ${sql})`, type: 'varbinary(max)'};
    case 'timestamp':
      return {sql: `convert(binary(8), ${sql})`, type: 'binary'};
    case 'hierarchyid':
      return {sql: `${sql}.ToString()`, type: 'nvarchar'};
    case 'sql_variant':
      return {sql: goldenVariant(sql), type: 'nvarchar'};
    default:
      throw new Error(`the model knows no type ${type}`);
  }
}

function goldenVariant(sql: string): string {
  const cases: readonly (readonly [base: string, type: string, style: number])[] = [
    ['float', 'float', 3],
    ['real', 'real', 3],
    ['money', 'money', 2],
    ['smallmoney', 'money', 2],
    ['datetime', 'datetime', 121],
    ['smalldatetime', 'smalldatetime', 120],
    ['datetime2', 'datetime2', 121],
    ['datetimeoffset', 'datetimeoffset', 121],
    ['date', 'date', 23],
    ['time', 'time', 121],
    ['binary', 'varbinary(8000)', 1],
    ['varbinary', 'varbinary(8000)', 1],
  ];
  const whens = cases.map(
    ([base, type, style]) => `when '${base}' then convert(nvarchar(4000), convert(${type}, ${sql}), ${style})`,
  );
  return `case convert(sysname, sql_variant_property(${sql}, 'BaseType')) ${whens.join(' ')} else convert(nvarchar(4000), ${sql}) end`;
}

/** How a value of a key must be asked for as one text. */
export function goldenKeyText(column: ModelColumn, sql: string): string {
  switch (column.type) {
    case 'bit':
    case 'tinyint':
    case 'smallint':
    case 'int':
    case 'bigint':
      return `convert(varchar(20), ${sql})`;
    case 'uniqueidentifier':
      return `convert(char(36), ${sql})`;
    case 'binary':
    case 'varbinary':
    case 'timestamp':
      return `convert(varchar(max), convert(varbinary(8000), ${sql}), 1)`;
    default:
      return goldenValue(column, sql).sql;
  }
}

/** How such a text must be turned back into a value of the column. */
export function goldenParameter({type, length, precision, scale, collation}: ModelColumn, parameter: string): string {
  switch (type) {
    case 'decimal':
    case 'numeric':
      return `convert(${type}(${precision}, ${scale}), ${parameter})`;
    case 'datetime2':
    case 'datetimeoffset':
    case 'time':
      return `convert(${type}(${scale}), ${parameter}, 121)`;
    case 'datetime':
      return `convert(datetime, ${parameter}, 121)`;
    case 'smalldatetime':
      return `convert(smalldatetime, ${parameter}, 120)`;
    case 'date':
      return `convert(date, ${parameter}, 23)`;
    case 'money':
    case 'smallmoney':
      return `convert(${type}, ${parameter})`;
    case 'char':
    case 'varchar':
      return `convert(${type}(${length}), ${parameter} collate ${collation ?? ''})`;
    case 'nchar':
    case 'nvarchar':
      return `convert(${type}(${length / 2}), ${parameter} collate ${collation ?? ''})`;
    case 'binary':
    case 'varbinary':
      return `convert(${type}(${length}), ${parameter}, 1)`;
    case 'timestamp':
      return `convert(binary(8), ${parameter}, 1)`;
    default:
      return `convert(${type}, ${parameter})`;
  }
}

/** A value of the model as the text of a key. */
export function keyTextOf(value: ModelValue): string {
  if (Buffer.isBuffer(value)) return `0x${value.toString('hex').toUpperCase()}`;
  return typeof value === 'boolean' ? (value ? '1' : '0') : String(value);
}

/** The order of two key texts of a column; texts without regard to case. */
export function compareTexts({type}: ModelColumn, left: string, right: string): number {
  switch (type) {
    case 'bit':
    case 'tinyint':
    case 'smallint':
    case 'int':
    case 'bigint': {
      const [a, b] = [BigInt(left), BigInt(right)];
      return a < b ? -1 : a > b ? 1 : 0;
    }
    case 'decimal':
    case 'numeric':
    case 'money':
      return Number(left) - Number(right);
    default: {
      const [a, b] = [left.toLowerCase(), right.toLowerCase()];
      return a < b ? -1 : a > b ? 1 : 0;
    }
  }
}
