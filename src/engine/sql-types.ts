import {IngestError} from '../core/errors.ts';
import type {DataType, StructType} from '../core/types.ts';

/** The engine's SQL text of a type, nested types included: what `CAST` and `CREATE TABLE` take. `variant` is VARCHAR (JSON text). @throws INVALID_SCHEMA for a struct without fields. */
export function sqlType(type: DataType): string {
  if (typeof type === 'string') return PRIMITIVE_TYPES[type];
  switch (type.type) {
    case 'decimal':
      return `DECIMAL(${type.precision}, ${type.scale})`;
    case 'array':
      return `${sqlType(type.elementType)}[]`;
    case 'map':
      return `MAP(${sqlType(type.keyType)}, ${sqlType(type.valueType)})`;
    case 'struct':
      return structType(type);
  }
}

/** A name as a quoted identifier. @throws INVALID_SCHEMA for a name with a NUL character, which SQL text cannot hold. */
export function quoteIdentifier(name: string): string {
  if (name.includes('\0')) {
    throw new IngestError('INVALID_SCHEMA', 'A column name holds a NUL character.', {
      fix: 'Leave the column out, or rename it in the source.',
    });
  }
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text as a string literal; NUL characters, which end SQL text, become `chr(0)`. */
export function quoteLiteral(text: string): string {
  const parts = text.split('\0').map((part) => `'${part.replaceAll("'", "''")}'`);
  return parts.length === 1 ? `${parts[0]}` : `(${parts.join(' || chr(0) || ')})`;
}

/** Texts as a list literal of strings: what `read_parquet` takes. */
export function quoteList(texts: readonly string[]): string {
  return `[${texts.map(quoteLiteral).join(', ')}]`;
}

function structType(type: StructType): string {
  if (type.fields.length === 0) {
    throw new IngestError('INVALID_SCHEMA', 'A struct has no fields.', {
      fix: 'Leave the column out, or read it as a string.',
    });
  }
  return `STRUCT(${type.fields.map((field) => `${quoteIdentifier(field.name)} ${sqlType(field.type)}`).join(', ')})`;
}

const PRIMITIVE_TYPES = {
  string: 'VARCHAR',
  long: 'BIGINT',
  integer: 'INTEGER',
  short: 'SMALLINT',
  byte: 'TINYINT',
  float: 'FLOAT',
  double: 'DOUBLE',
  boolean: 'BOOLEAN',
  binary: 'BLOB',
  date: 'DATE',
  timestamp: 'TIMESTAMPTZ',
  timestamp_ntz: 'TIMESTAMP',
  variant: 'VARCHAR',
} as const;
