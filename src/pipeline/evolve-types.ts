import {isNested, typesEqual} from '../core/schema.ts';
import type {DataType, StructField, StructType} from '../core/types.ts';
import {canWiden} from '../delta/type-widening.ts';

/** How a type at a path differs from what the table has. */
export interface TypeChange {
  /**
   * `added`, `dropped`: a field of a struct. `widened`: the source's values no longer fit, and every value that is there
   * fits the source's type. `incompatible`: rows cannot stay under the source's type.
   */
  readonly kind: 'added' | 'dropped' | 'widened' | 'incompatible';
  /** Dotted path from the column; `[]` stands for the elements of a list, the values of a map, `{}` for its keys. */
  readonly path: string;
  /** Null for a field that was added. */
  readonly from: DataType | null;
  /** Null for a field that was dropped. */
  readonly to: DataType | null;
}

/** A type that holds the rows of the table and the values of the source. */
export interface MergedType {
  readonly type: DataType;
  readonly changes: readonly TypeChange[];
}

/** Where a type stands, and what may happen to it. */
export interface MergePlace {
  /** Of the column, or of the part of it. */
  readonly path: string;
  /** The table's type may become a wider one. */
  readonly mayWiden: boolean;
}

/**
 * Lays the source's type over the table's: fields of structs, at any depth, are added at the end of their struct and kept
 * when they are gone, what may be null on one side may be null; a wider source type wins, a narrower one changes nothing.
 * Incompatible parts keep the table's type.
 */
export function mergeTypes(table: DataType, source: DataType, at: MergePlace): MergedType {
  if (typesEqual(table, source)) return {type: table, changes: []};
  if (typeof table === 'object' && typeof source === 'object') {
    if (table.type === 'struct' && source.type === 'struct') return mergeStructs(table, source, at);
    if (table.type === 'array' && source.type === 'array') {
      const {type, changes} = mergeTypes(table.elementType, source.elementType, {...at, path: `${at.path}[]`});
      return {type: {...table, elementType: type, containsNull: table.containsNull || source.containsNull}, changes};
    }
    if (table.type === 'map' && source.type === 'map') {
      const key = mergeTypes(table.keyType, source.keyType, {...at, path: `${at.path}{}`});
      const value = mergeTypes(table.valueType, source.valueType, {...at, path: `${at.path}[]`});
      const valueContainsNull = table.valueContainsNull || source.valueContainsNull;
      return {
        type: {...table, keyType: key.type, valueType: value.type, valueContainsNull},
        changes: [...key.changes, ...value.changes],
      };
    }
  }
  if (!isNested(table) && !isNested(source)) {
    if (canWiden(source, table)) return {type: table, changes: []};
    if (at.mayWiden && canWiden(table, source))
      return {type: source, changes: [{kind: 'widened', path: at.path, from: table, to: source}]};
  }
  return {type: table, changes: [{kind: 'incompatible', path: at.path, from: table, to: source}]};
}

function mergeStructs(table: StructType, source: StructType, at: MergePlace): MergedType {
  const changes: TypeChange[] = [];
  const given = new Map(source.fields.map((field) => [field.name, field]));
  const pathOf = (name: string): string => `${at.path}.${name}`;
  const kept = table.fields.map((field): StructField => {
    const now = given.get(field.name);
    if (now === undefined) {
      changes.push({kind: 'dropped', path: pathOf(field.name), from: field.type, to: null});
      return {...field, nullable: true};
    }
    const merged = mergeTypes(field.type, now.type, {...at, path: pathOf(field.name)});
    changes.push(...merged.changes);
    const metadata = commented(field.metadata, now.metadata);
    return {...field, type: merged.type, nullable: field.nullable || now.nullable, metadata};
  });
  const folded = new Map(table.fields.map((field) => [field.name.toLowerCase(), field]));
  const added: StructField[] = [];
  for (const field of source.fields) {
    if (table.fields.some(({name}) => name === field.name)) continue;
    const twin = folded.get(field.name.toLowerCase());
    // No reader tells two fields of a struct apart by the case of their names, and a field cannot be renamed here.
    if (twin !== undefined)
      changes.push({kind: 'incompatible', path: pathOf(field.name), from: twin.type, to: field.type});
    else {
      changes.push({kind: 'added', path: pathOf(field.name), from: null, to: field.type});
      added.push({...field, nullable: true});
    }
  }
  return {type: {type: 'struct', fields: [...kept, ...added]}, changes};
}

/** What a table knows of a column, with what the source says of it to people. */
export function commented(table: StructField['metadata'], source: StructField['metadata']): StructField['metadata'] {
  return typeof source['comment'] === 'string' ? {...table, comment: source['comment']} : table;
}
