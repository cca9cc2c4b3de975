import type {DuckDBType} from '@duckdb/node-api';

import type {DataType, DecimalType, PrimitiveType, StructType} from '../core/types.ts';
import {duckDb} from './duckdb-api.ts';

const {
  BIGINT,
  BLOB,
  BOOLEAN,
  DATE,
  DECIMAL,
  DOUBLE,
  DuckDBStructType,
  FLOAT,
  INTEGER,
  LIST,
  MAP,
  SMALLINT,
  TIMESTAMP,
  TIMESTAMPTZ,
  TINYINT,
  VARCHAR,
} = duckDb;

/** DuckDB's types of a schema's columns, in order: the same that `sqlType` names. */
export function duckDbTypes(schema: StructType): readonly DuckDBType[] {
  return schema.fields.map((field) => duckDbType(field.type));
}

/** Bytes of one value in a fixed vector, as `core/columns.ts` says; null for types of other vectors. */
export function fixedWidth(type: DataType): 1 | 2 | 4 | 8 | 16 | null {
  if (typeof type === 'string') return PRIMITIVE_WIDTHS[type];
  return type.type === 'decimal' ? decimalWidth(type) : null;
}

function decimalWidth(type: DecimalType): 2 | 4 | 8 | 16 {
  if (type.precision <= 4) return 2;
  if (type.precision <= 9) return 4;
  return type.precision <= 18 ? 8 : 16;
}

function duckDbType(type: DataType): DuckDBType {
  if (typeof type === 'string') return PRIMITIVES[type];
  switch (type.type) {
    case 'decimal':
      return DECIMAL(type.precision, type.scale);
    case 'array':
      return LIST(duckDbType(type.elementType));
    case 'map':
      return MAP(duckDbType(type.keyType), duckDbType(type.valueType));
    case 'struct':
      // Not STRUCT({...}): an object would sort names that look like numbers.
      return new DuckDBStructType(
        type.fields.map((field) => field.name),
        duckDbTypes(type),
      );
  }
}

const PRIMITIVES: Readonly<Record<PrimitiveType, DuckDBType>> = {
  string: VARCHAR,
  variant: VARCHAR,
  long: BIGINT,
  integer: INTEGER,
  short: SMALLINT,
  byte: TINYINT,
  float: FLOAT,
  double: DOUBLE,
  boolean: BOOLEAN,
  binary: BLOB,
  date: DATE,
  timestamp: TIMESTAMPTZ,
  timestamp_ntz: TIMESTAMP,
};

const PRIMITIVE_WIDTHS: Readonly<Record<PrimitiveType, 1 | 2 | 4 | 8 | null>> = {
  string: null,
  variant: null,
  binary: null,
  boolean: 1,
  byte: 1,
  short: 2,
  integer: 4,
  float: 4,
  date: 4,
  long: 8,
  double: 8,
  timestamp: 8,
  timestamp_ntz: 8,
};
