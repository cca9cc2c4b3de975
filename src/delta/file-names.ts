import type {DataType, StructType} from '../core/types.ts';
import {quoteIdentifier, quoteLiteral, sqlType} from '../engine/sql-types.ts';
import type {MappingMode} from './column-mapping.ts';
import {physicalSchema} from './column-mapping.ts';

/** Rows to write, with the names that the file is to have. */
export interface NamedRows {
  readonly select: string;
  readonly schema: StructType;
}

/** Rows with the columns of `schema`, under the names of the table's files. Columns that come after them, `more`, stay as they are. */
export function inFileNames(rows: NamedRows, mode: MappingMode, more: readonly string[] = []): NamedRows {
  const schema = physicalSchema(rows.schema, mode);
  if (mode === 'none') return rows;
  const names = rows.schema.fields.map(({name}) => quoteIdentifier(name));
  const columns = rows.schema.fields.map((field, index) => {
    const target = schema.fields[index] ?? field;
    const name = names[index] ?? '';
    const typed = sqlType(field.type) === sqlType(target.type) ? name : `CAST(${name} AS ${sqlType(field.type)})`;
    return `${renamedSql(typed, field.type, target.type)} AS ${quoteIdentifier(target.name)}`;
  });
  const select = `SELECT ${[...columns, ...more].join(', ')} FROM (${rows.select}) AS named(${[...names, ...more].join(', ')})`;
  return {select, schema};
}

/** An expression of the type `from` as one of the type `to`, which differs in the names of nested fields only. */
export function renamedSql(sql: string, from: DataType, to: DataType): string {
  return sqlType(from) === sqlType(to) ? sql : `remap_struct(${sql}, NULL::${sqlType(to)}, ${names(from, to)}, NULL)`;
}

/** What `remap_struct` calls a mapping: new name to old one, or to the pair of it and the mapping inside. */
function names(from: DataType, to: DataType): string {
  const entries: string[] = [];
  const add = (name: string, old: string, types: readonly [from: DataType, to: DataType]): void => {
    const isNested = sqlType(types[0]) !== sqlType(types[1]);
    const source = quoteLiteral(old);
    entries.push(`${quoteLiteral(name)}: ${isNested ? `(${source}, ${names(...types)})` : source}`);
  };
  if (isKind(from, 'array') && isKind(to, 'array')) add('list', 'list', [from.elementType, to.elementType]);
  if (isKind(from, 'map') && isKind(to, 'map')) {
    add('key', 'key', [from.keyType, to.keyType]);
    add('value', 'value', [from.valueType, to.valueType]);
  }
  if (isKind(from, 'struct') && isKind(to, 'struct')) {
    to.fields.forEach((field, index) => {
      const old = from.fields[index];
      if (old !== undefined) add(field.name, old.name, [old.type, field.type]);
    });
  }
  return `{${entries.join(', ')}}`;
}

function isKind<K extends 'array' | 'map' | 'struct'>(
  type: DataType,
  kind: K,
): type is Extract<DataType, {readonly type: K}> {
  return typeof type === 'object' && type.type === kind;
}
