import type {DataType, StructField, StructType} from '../core/types.ts';

/**
 * A schema with one field changed, at a dotted path into structs, list elements (`element`) and maps (`key`, `value`). A
 * column whose name has dots is found by its full name; the schema itself when there is no such field.
 */
export function changeFieldAt(
  schema: StructType,
  path: string,
  change: (field: StructField) => StructField,
): StructType {
  return replacedAt(schema, path, (field) => [change(field)]);
}

/** A schema without the field at a path. */
export function dropFieldAt(schema: StructType, path: string): StructType {
  return replacedAt(schema, path, () => []);
}

/** True when there is a field at a path. */
export function hasFieldAt(schema: StructType, path: string): boolean {
  let found = false;
  replacedAt(schema, path, (field) => {
    found = true;
    return [field];
  });
  return found;
}

type Replace = (field: StructField) => readonly StructField[];

function replacedAt(schema: StructType, path: string, replace: Replace): StructType {
  if (schema.fields.some(({name}) => name === path)) {
    return {type: 'struct', fields: schema.fields.flatMap((field) => (field.name === path ? replace(field) : [field]))};
  }
  return {
    type: 'struct',
    fields: schema.fields.map((field) => {
      const isParent = path.startsWith(`${field.name}.`);
      return isParent ? {...field, type: insideOf(field.type, path.slice(field.name.length + 1), replace)} : field;
    }),
  };
}

function insideOf(type: DataType, path: string, replace: Replace): DataType {
  if (typeof type === 'string') return type;
  const below = (level: string, child: DataType): DataType =>
    path.startsWith(`${level}.`) ? insideOf(child, path.slice(level.length + 1), replace) : child;
  switch (type.type) {
    case 'decimal':
      return type;
    case 'array':
      return {...type, elementType: below('element', type.elementType)};
    case 'map':
      return {...type, keyType: below('key', type.keyType), valueType: below('value', type.valueType)};
    case 'struct':
      return replacedAt(type, path, replace);
  }
}
