import type {StructType} from '../core/types.ts';
import {quoteIdentifier} from '../engine/sql-types.ts';

/** The column that a path begins at: a name with dots in it is one column where the schema has it. */
export function columnOf(schema: StructType, path: string): string {
  if (schema.fields.some((field) => field.name === path)) return path;
  return path.split('.', 1)[0] ?? path;
}

/** A path into structs as the engine's SQL. */
export function pathSql(schema: StructType, path: string): string {
  const names = columnOf(schema, path) === path ? [path] : path.split('.');
  return names.map(quoteIdentifier).join('.');
}
