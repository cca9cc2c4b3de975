import type {DataType, StructField, StructType} from '../core/types.ts';
import type {TableSnapshot} from '../delta/delta-table.ts';
import {rememberedName, SOURCE_NAME} from './column-names.ts';
import {inactiveColumns, TECHNICAL_COLUMNS} from './evolve-plan.ts';

/** The columns of a table that its source fills, under the source's names and without what only tables know of columns. */
export function landedSchema({schema, metadata}: TableSnapshot): StructType {
  const inactive = new Set(inactiveColumns(metadata));
  const fields = schema.fields.filter(({name}) => !TECHNICAL_COLUMNS.includes(name) && !inactive.has(name));
  return {type: 'struct', fields: fields.map((field) => plainField({...field, name: rememberedName(field)}))};
}

function plainField(field: StructField): StructField {
  const kept = Object.entries(field.metadata).filter(([key]) => !key.startsWith('delta.') && key !== SOURCE_NAME);
  return {...field, type: plainType(field.type), metadata: Object.fromEntries(kept)};
}

function plainType(type: DataType): DataType {
  if (typeof type === 'string') return type;
  switch (type.type) {
    case 'decimal':
      return type;
    case 'array':
      return {...type, elementType: plainType(type.elementType)};
    case 'map':
      return {...type, keyType: plainType(type.keyType), valueType: plainType(type.valueType)};
    case 'struct':
      return {type: 'struct', fields: type.fields.map(plainField)};
  }
}
