import {ExactNumber, type JsonObject, type JsonValue} from '../../core/json-value.ts';
import {fromDdl} from '../../core/schema-ddl.ts';
import type {DataType, StructField, StructType} from '../../core/types.ts';
import {isJsonObject} from '../json-path.ts';

/** What values of one place look like so far; null: nothing but nulls. */
type Seen = DataType | null;

const TIMESTAMP = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)$/;
const DATE = /^\d{4}-\d\d-\d\d$/;

/**
 * The narrowest schema that holds sampled records: numbers are BIGINT or DOUBLE, texts that all are dates or timestamps with a zone
 * are those, objects are structs, lists arrays; what agrees on nothing, and nulls only, is STRING. Columns that landed before keep
 * their type; hints (DDL) decide.
 */
export function inferSchema(
  records: readonly JsonObject[],
  {landed, hints}: {readonly landed?: StructType | null; readonly hints?: string} = {},
): StructType {
  const fields = new Map<string, Seen>();
  for (const record of records) addFields(fields, record);
  const given = [...(landed?.fields ?? []), ...(hints === undefined ? [] : fromDdl(hints).fields)];
  for (const {name, type} of given) fields.set(name, type);
  return {type: 'struct', fields: [...fields].map(([name, seen]) => field(name, seen ?? 'string'))};
}

function addFields(fields: Map<string, Seen>, record: JsonObject): void {
  for (const [name, value] of Object.entries(record)) {
    const known = fields.get(name);
    const seen = typeOf(value ?? null);
    fields.set(name, known === undefined ? seen : merged(known, seen));
  }
}

function typeOf(value: JsonValue): Seen {
  switch (typeof value) {
    case 'boolean':
      return 'boolean';
    case 'number':
      return Number.isInteger(value) ? 'long' : 'double';
    case 'bigint':
      return value >= -(2n ** 63n) && value < 2n ** 63n ? 'long' : 'string';
    case 'string':
      return TIMESTAMP.test(value) ? 'timestamp' : DATE.test(value) ? 'date' : 'string';
    default:
      return nestedType(value);
  }
}

function nestedType(value: JsonValue): Seen {
  if (value instanceof ExactNumber) return 'double';
  if (Array.isArray(value)) {
    const element = (value as readonly JsonValue[]).reduce<Seen>((seen, one) => merged(seen, typeOf(one)), null);
    return {type: 'array', elementType: element ?? 'string', containsNull: true};
  }
  if (!isJsonObject(value)) return null;
  const inner = new Map<string, Seen>();
  addFields(inner, value);
  return inner.size === 0
    ? 'variant'
    : {type: 'struct', fields: [...inner].map(([name, seen]) => field(name, seen ?? 'string'))};
}

function merged(left: Seen, right: Seen): Seen {
  if (left === null) return right;
  if (right === null || left === right) return left;
  if (isNumber(left) && isNumber(right)) return 'double';
  if (typeof left === 'object' && typeof right === 'object') {
    if (left.type === 'array' && right.type === 'array')
      return {...left, elementType: merged(left.elementType, right.elementType) ?? 'string'};
    if (left.type === 'struct' && right.type === 'struct') return mergedStructs(left, right);
  }
  if (left === 'variant' && typeof right === 'object') return right;
  if (right === 'variant' && typeof left === 'object') return left;
  return 'string';
}

function mergedStructs(left: StructType, right: StructType): StructType {
  const fields = new Map<string, Seen>(left.fields.map(({name, type}) => [name, type]));
  for (const {name, type} of right.fields) fields.set(name, merged(fields.get(name) ?? null, type));
  return {type: 'struct', fields: [...fields].map(([name, seen]) => field(name, seen ?? 'string'))};
}

function isNumber(type: Seen): boolean {
  return type === 'long' || type === 'double';
}

function field(name: string, type: DataType): StructField {
  return {name, type, nullable: true, metadata: {}};
}
