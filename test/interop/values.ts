import type {DataType, StructType} from '../../src/core/types.ts';
import {quoteIdentifier, sqlType} from '../../src/engine/sql-types.ts';
import type {CanonicalTable, CanonicalValue} from './foreign-readers.ts';

/**
 * A value to write and to find again: as `read_delta.py` prints it, but floats as numbers. Maps are lists of pairs.
 */
export type Value = null | boolean | string | number | readonly Value[] | {readonly [name: string]: Value};

/** A row by column name; absent columns are null. */
export type Row = Readonly<Record<string, Value>>;

/** The table that every right reader must see. */
export function expectedTable(schema: StructType, rows: readonly Row[]): CanonicalTable {
  return {
    columns: schema.fields.map(({name, type}) => [name, typeName(type)] as const),
    rows: rows.map((row) =>
      Object.fromEntries(schema.fields.map(({name, type}) => [name, canonical(type, row[name] ?? null)])),
    ),
  };
}

/** A SELECT for the engine that yields the rows, written from the values without any decoder of ours. */
export function selectRows(schema: StructType, rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const cells = schema.fields.map(
      ({name, type}) =>
        `CAST(${duckdbLiteral(type, row[name] ?? null)} AS ${sqlType(type)}) AS ${quoteIdentifier(name)}`,
    );
    return `SELECT ${cells.join(', ')}`;
  });
  return lines.join('\nUNION ALL ');
}

/** The Delta name of a type as `read_delta.py` prints it, nullability left out. */
export function typeName(type: DataType): string {
  if (typeof type === 'string') return type;
  switch (type.type) {
    case 'decimal':
      return `decimal(${type.precision},${type.scale})`;
    case 'array':
      return `array<${typeName(type.elementType)}>`;
    case 'map':
      return `map<${typeName(type.keyType)},${typeName(type.valueType)}>`;
    case 'struct':
      return `struct<${type.fields.map((field) => `${field.name}:${typeName(field.type)}`).join(',')}>`;
  }
}

function canonical(type: DataType, value: Value): CanonicalValue {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number') return floatBits(type, value);
  if (isArray(value)) {
    if (typeof type === 'object' && type.type === 'array') {
      return value.map((item) => canonical(type.elementType, item));
    }
    return value
      .map((pair) => canonicalPair(type, pair))
      .sort((left, right) => (JSON.stringify(left) < JSON.stringify(right) ? -1 : 1));
  }
  const fields = typeof type === 'object' && type.type === 'struct' ? type.fields : [];
  return Object.fromEntries(fields.map((field) => [field.name, canonical(field.type, value[field.name] ?? null)]));
}

function canonicalPair(type: DataType, pair: Value): CanonicalValue {
  if (typeof type !== 'object' || type.type !== 'map' || !isArray(pair))
    throw new TypeError('a map is a list of pairs');
  return [canonical(type.keyType, pair[0] ?? null), canonical(type.valueType, pair[1] ?? null)];
}

function floatBits(type: DataType, value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  const bytes = Buffer.alloc(type === 'float' ? 4 : 8);
  if (type === 'float') bytes.writeFloatBE(value);
  else bytes.writeDoubleBE(value);
  return bytes.toString('hex');
}

/** A constant expression of DuckDB. */
function duckdbLiteral(type: DataType, value: Value): string {
  if (value === null) return 'NULL';
  if (typeof type === 'string') return duckdbPrimitive(type, value);
  if (type.type === 'decimal') return `'${textOf(value)}'`;
  if (type.type === 'struct') {
    const inner = value as Readonly<Record<string, Value>>;
    const cells = type.fields.map(
      (field) =>
        `${quoteIdentifier(field.name)} := CAST(${duckdbLiteral(field.type, inner[field.name] ?? null)} AS ${sqlType(field.type)})`,
    );
    return `struct_pack(${cells.join(', ')})`;
  }
  const items = value as readonly Value[];
  if (type.type === 'array') return `[${items.map((item) => duckdbLiteral(type.elementType, item)).join(', ')}]`;
  const [keys, values] = [0, 1].map((at) => items.map((pair) => (pair as readonly Value[])[at] ?? null));
  return `MAP([${(keys ?? []).map((key) => duckdbLiteral(type.keyType, key)).join(', ')}]::${sqlType(type.keyType)}[], [${(values ?? []).map((item) => duckdbLiteral(type.valueType, item)).join(', ')}]::${sqlType(type.valueType)}[])`;
}

function duckdbPrimitive(type: string, value: Value): string {
  const text = textOf(value);
  switch (type) {
    case 'string':
      return `decode(from_hex('${Buffer.from(text).toString('hex')}'))`;
    case 'binary':
      return `from_hex('${text}')`;
    case 'date':
      return `(DATE '1970-01-01' + CAST(${text} AS INTEGER))`;
    case 'timestamp':
    case 'timestamp_ntz':
      return `make_timestamp(${text})`;
    case 'float':
    case 'double':
      return Object.is(value, -0) ? `'-0.0'::DOUBLE` : `'${text}'::DOUBLE`;
    default:
      return `'${text}'`;
  }
}

/** A constant expression of Spark for a value of a type without parts; null where Spark cannot write it exactly. */
export function sparkLiteral(type: DataType, value: Value): string | null {
  const text = textOf(value);
  if (typeof type === 'object') return type.type === 'decimal' ? `cast('${text}' as ${typeName(type)})` : null;
  switch (type) {
    case 'string':
      return `cast(unhex('${Buffer.from(text).toString('hex')}') as string)`;
    case 'binary':
      return `unhex('${text}')`;
    case 'date':
      return `date_from_unix_date(${text})`;
    case 'timestamp':
      return `timestamp_micros(${text})`;
    case 'timestamp_ntz':
      return `cast(timestamp_micros(${text}) as timestamp_ntz)`;
    default:
      return `cast('${text}' as ${SPARK_NAMES[type] ?? type})`;
  }
}

const SPARK_NAMES: Readonly<Record<string, string>> = {
  long: 'bigint',
  integer: 'int',
  short: 'smallint',
  byte: 'tinyint',
};

function isArray(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

/** The text of a value without parts. */
function textOf(value: Value): string {
  if (typeof value === 'object') throw new TypeError('a value with parts has no text');
  return String(value);
}
