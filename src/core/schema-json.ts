import {IngestError} from './errors.ts';
import type {PlainJson} from './offset.ts';
import {checkDecimal} from './schema.ts';
import type {DataType, DecimalType, PrimitiveType, StructField, StructType} from './types.ts';

/** A schema as Spark and Delta write it, for `metaData.schemaString`. */
export function schemaToJson(schema: StructType): string {
  return JSON.stringify(toPlain(schema));
}

/**
 * Reads a schema as Spark and Delta write it; metadata is kept.
 * @throws INVALID_SCHEMA naming the path of a field whose type is unknown or whose form is not Spark's.
 */
export function schemaFromJson(text: string): StructType {
  let plain: unknown;
  try {
    plain = JSON.parse(text);
  } catch (error) {
    throw new IngestError('INVALID_SCHEMA', 'A schema is not valid JSON.', {cause: error});
  }
  const type = fromPlain(plain, '');
  if (typeof type === 'string' || type.type !== 'struct') throw malformed('', 'is no struct');
  return type;
}

const PRIMITIVES: ReadonlySet<string> = new Set<PrimitiveType>([
  'string',
  'long',
  'integer',
  'short',
  'byte',
  'float',
  'double',
  'boolean',
  'binary',
  'date',
  'timestamp',
  'timestamp_ntz',
  'variant',
]);

function toPlain(type: DataType): PlainJson {
  if (typeof type === 'string') return type;
  switch (type.type) {
    case 'decimal':
      return `decimal(${type.precision},${type.scale})`;
    case 'array':
      return {type: 'array', elementType: toPlain(type.elementType), containsNull: type.containsNull};
    case 'map':
      return {
        type: 'map',
        keyType: toPlain(type.keyType),
        valueType: toPlain(type.valueType),
        valueContainsNull: type.valueContainsNull,
      };
    case 'struct':
      return {type: 'struct', fields: type.fields.map((field) => ({...field, type: toPlain(field.type)}))};
  }
}

function fromPlain(plain: unknown, path: string): DataType {
  if (typeof plain === 'string') return namedType(plain, path);
  const parts = record(plain, path);
  switch (parts['type']) {
    case 'array':
      return {
        type: 'array',
        elementType: fromPlain(parts['elementType'], `${path}[]`),
        containsNull: flag(parts['containsNull'], path),
      };
    case 'map':
      return {
        type: 'map',
        keyType: fromPlain(parts['keyType'], `${path}[key]`),
        valueType: fromPlain(parts['valueType'], `${path}[]`),
        valueContainsNull: flag(parts['valueContainsNull'], path),
      };
    case 'struct':
      return structFrom(parts['fields'], path);
    default:
      throw malformed(path, `has the unknown type ${JSON.stringify(parts['type'] ?? null)}`);
  }
}

function structFrom(fields: unknown, path: string): StructType {
  if (!Array.isArray(fields)) throw malformed(path, 'is a struct without a list of fields');
  return {type: 'struct', fields: fields.map((field: unknown) => fieldFrom(field, path))};
}

function fieldFrom(plain: unknown, parent: string): StructField {
  const parts = record(plain, parent);
  const {name, metadata} = parts;
  if (typeof name !== 'string') throw malformed(parent, 'has a field without a name');
  const path = parent === '' ? name : `${parent}.${name}`;
  return {
    name,
    type: fromPlain(parts['type'], path),
    nullable: flag(parts['nullable'], path),
    metadata: metadata === undefined || metadata === null ? {} : (record(metadata, path) as Record<string, PlainJson>),
  };
}

function namedType(text: string, path: string): DataType {
  if (PRIMITIVES.has(text)) return text as PrimitiveType;
  const match = /^decimal(?:\((\d+), ?(-?\d+)\))?$/.exec(text);
  if (match === null) throw malformed(path, `has the unknown type "${text}"`);
  // Spark writes a bare "decimal" for its default, decimal(10,0).
  const type: DecimalType = {type: 'decimal', precision: Number(match[1] ?? 10), scale: Number(match[2] ?? 0)};
  checkDecimal(type, path);
  return type;
}

function record(plain: unknown, path: string): Record<string, unknown> {
  if (typeof plain === 'object' && plain !== null && !Array.isArray(plain)) return plain as Record<string, unknown>;
  throw malformed(path, 'is neither a type name nor an object');
}

function flag(plain: unknown, path: string): boolean {
  if (typeof plain === 'boolean') return plain;
  throw malformed(path, 'lacks a true or false for nullability');
}

function malformed(path: string, what: string): IngestError {
  const where = path === '' ? 'The schema' : `The schema's field "${path}"`;
  return new IngestError('INVALID_SCHEMA', `${where} ${what}.`, {context: {path}});
}
