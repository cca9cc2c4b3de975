import type {DataType, StructField, StructType} from '../core/types.ts';
import type {SqlDialect} from './sql-dialect.ts';

/** The values that a column is made of, as paths: itself, or those of the fields of a struct. */
export function leafPaths(field: StructField): readonly (readonly string[])[] {
  if (!isStruct(field.type)) return [[field.name]];
  return field.type.fields.flatMap((child) => leafPaths(child).map((path) => [field.name, ...path]));
}

/** A column put together of its leaves. A struct without a value is NULL. */
export function ofLeaves(dialect: SqlDialect, field: StructField, leaf: (path: readonly string[]) => string): string {
  return built([field.name], field.type).value;

  function built(
    path: readonly string[],
    type: DataType,
  ): {readonly value: string; readonly leaves: readonly string[]} {
    if (!isStruct(type)) return {value: leaf(path), leaves: [leaf(path)]};
    const parts = type.fields.map((child) => ({name: child.name, ...built([...path, child.name], child.type)}));
    const leaves = parts.flatMap((part) => part.leaves);
    const packed = dialect.struct(parts.map((part) => [part.name, part.value]));
    return {
      value: `CASE WHEN ${leaves.map((value) => `${value} IS NOT NULL`).join(' OR ')} THEN ${packed} END`,
      leaves,
    };
  }
}

function isStruct(type: DataType): type is StructType {
  return typeof type === 'object' && type.type === 'struct';
}
