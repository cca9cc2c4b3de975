import {IngestError} from '../core/errors.ts';
import {fieldAt} from '../core/schema.ts';
import {didYouMean} from '../core/suggest.ts';
import type {DataType, StructField, StructType} from '../core/types.ts';

/** Whose schema gets hints, for messages. */
export interface HintedTable {
  /** Place of the object in the spec. */
  readonly path: string;
  readonly sourceTable: string;
  /** The schema is what the rows so far look like: a hint may name a column that none of them has. */
  readonly isInferred: boolean;
}

/**
 * The source's schema with the declared types. A hint names a column, or by a dotted path a field inside of one; a hint of a
 * struct, also in a list or a map, declares the fields that it names and leaves the others. What may be null stays the source's.
 * @throws UNKNOWN_COLUMN for a name that the source does not have.
 */
export function withHints(schema: StructType, hints: StructType, table: HintedTable): StructType {
  return hints.fields.reduce((hinted, hint) => hintedAt(hinted, hint, table), schema);
}

function hintedAt(schema: StructType, hint: StructField, table: HintedTable): StructType {
  const column = schema.fields.find((field) => field.name === hint.name);
  if (column !== undefined) return replaced(schema, hintedField(column, hint, table));
  const [head = '', ...rest] = hint.name.split('.');
  const parent = schema.fields.find((field) => field.name === head);
  if (rest.length > 0 && parent !== undefined && fieldAt(schema, hint.name) !== undefined) {
    const inner: StructField = {...hint, name: rest.join('.')};
    const {type} = parent;
    if (typeof type === 'object' && type.type === 'struct')
      return replaced(schema, {...parent, type: hintedAt(type, inner, table)});
  }
  if (!table.isInferred) throw unknownColumn(schema, hint.name, table);
  return {type: 'struct', fields: [...schema.fields, {...hint, nullable: true}]};
}

function replaced(schema: StructType, field: StructField): StructType {
  return {type: 'struct', fields: schema.fields.map((each) => (each.name === field.name ? field : each))};
}

function hintedField(field: StructField, hint: StructField, table: HintedTable): StructField {
  return {...field, type: hintedType(field.type, hint.type, table), metadata: {...field.metadata, ...hint.metadata}};
}

function hintedType(type: DataType, hint: DataType, table: HintedTable): DataType {
  if (typeof type === 'string' || typeof hint === 'string') return hint;
  if (type.type === 'struct' && hint.type === 'struct') return withHints(type, hint, table);
  if (type.type === 'array' && hint.type === 'array')
    return {...type, elementType: hintedType(type.elementType, hint.elementType, table)};
  if (type.type === 'map' && hint.type === 'map') {
    return {
      ...type,
      keyType: hintedType(type.keyType, hint.keyType, table),
      valueType: hintedType(type.valueType, hint.valueType, table),
    };
  }
  return hint;
}

function unknownColumn(schema: StructType, name: string, table: HintedTable): IngestError {
  const names = schema.fields.map((field) => field.name);
  const close = didYouMean(name, names);
  return new IngestError(
    'UNKNOWN_COLUMN',
    `${table.path}: schema_hints names "${name}", which table "${table.sourceTable}" does not have.`,
    {
      fix: close === null ? `Its columns are ${names.join(', ')}.` : `Did you mean "${close}"?`,
      context: {path: table.path, table: table.sourceTable, column: name},
    },
  );
}
