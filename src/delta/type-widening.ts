import {IngestError} from '../core/errors.ts';
import type {PlainJson} from '../core/offset.ts';
import {typeToDdl} from '../core/schema-ddl.ts';
import type {DataType, DecimalType, StructField, StructType} from '../core/types.ts';

/** Field metadata: the types that a column had before, oldest first. */
const TYPE_CHANGES = 'delta.typeChanges';

/** The digits that hold every value of a whole-number type. */
const INTEGER_DIGITS: ReadonlyMap<DataType, number> = new Map<DataType, number>([
  ['byte', 10],
  ['short', 10],
  ['integer', 10],
  ['long', 20],
]);

const WIDER: ReadonlyMap<DataType, readonly DataType[]> = new Map<DataType, readonly DataType[]>([
  ['byte', ['short', 'integer', 'long', 'double']],
  ['short', ['integer', 'long', 'double']],
  ['integer', ['long', 'double']],
  ['float', ['double']],
  ['date', ['timestamp_ntz']],
]);

/**
 * True when a column of a Delta table with type widening may change from one type to the other, its files staying as they
 * are. A type does not widen to itself; nested types widen by their parts.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#type-widening
 */
export function canWiden(from: DataType, to: DataType): boolean {
  if (isDecimal(to)) {
    const digits = INTEGER_DIGITS.get(from);
    if (digits !== undefined) return widensDecimal({type: 'decimal', precision: digits, scale: 0}, to, true);
    return isDecimal(from) && widensDecimal(from, to, false);
  }
  return WIDER.get(from)?.includes(to) ?? false;
}

/**
 * The field with a wider type, what changed noted where Delta's readers look for it. `to` may be a nested type whose parts
 * are wider; fields that it lacks stay as they are.
 * @throws INCOMPATIBLE_SCHEMA_CHANGE when Delta has no such widening.
 */
export function widenedField(field: StructField, to: DataType, path: string): StructField {
  const changes: PlainJson[] = [];
  const type = widenedType(field.type, to, {path, inside: [], changes});
  if (changes.length === 0) return {...field, type};
  const before = field.metadata[TYPE_CHANGES];
  const all = [...(Array.isArray(before) ? before : []), ...changes];
  return {...field, type, metadata: {...field.metadata, [TYPE_CHANGES]: all}};
}

interface Place {
  /** Of the column, for people. */
  readonly path: string;
  /** Levels of lists and maps below the field that notes the change. */
  readonly inside: readonly string[];
  readonly changes: PlainJson[];
}

function widenedType(from: DataType, to: DataType, place: Place): DataType {
  const below = (level: string): Place => ({...place, inside: [...place.inside, level]});
  if (typeof from === 'object' && typeof to === 'object') {
    if (from.type === 'struct' && to.type === 'struct') return widenedStruct(from, to, place.path);
    if (from.type === 'array' && to.type === 'array')
      return {...from, elementType: widenedType(from.elementType, to.elementType, below('element'))};
    if (from.type === 'map' && to.type === 'map') {
      return {
        ...from,
        keyType: widenedType(from.keyType, to.keyType, below('key')),
        valueType: widenedType(from.valueType, to.valueType, below('value')),
      };
    }
  }
  if (isSameLeaf(from, to)) return from;
  if (!canWiden(from, to)) throw noWidening(from, to, place.path);
  const fieldPath = place.inside.length === 0 ? {} : {fieldPath: place.inside.join('.')};
  place.changes.push({fromType: typeName(from), toType: typeName(to), ...fieldPath});
  return to;
}

function widenedStruct(from: StructType, to: StructType, path: string): StructType {
  const known = new Set(from.fields.map(({name}) => name));
  const added = to.fields.find(({name}) => !known.has(name));
  if (added !== undefined) throw noWidening(from, to, path);
  return {
    type: 'struct',
    fields: from.fields.map((field) => {
      const target = to.fields.find(({name}) => name === field.name);
      return target === undefined ? field : widenedField(field, target.type, `${path}.${field.name}`);
    }),
  };
}

function widensDecimal(from: DecimalType, to: DecimalType, orSame: boolean): boolean {
  const scale = to.scale - from.scale;
  const precision = to.precision - from.precision;
  return scale >= 0 && precision >= scale && (orSame || precision > 0);
}

function isDecimal(type: DataType): type is DecimalType {
  return typeof type === 'object' && type.type === 'decimal';
}

function isSameLeaf(left: DataType, right: DataType): boolean {
  if (isDecimal(left) && isDecimal(right)) return left.precision === right.precision && left.scale === right.scale;
  return typeof left === 'string' && left === right;
}

/** A leaf type as schemas have it. */
function typeName(type: DataType): string {
  if (typeof type === 'string') return type;
  return isDecimal(type) ? `decimal(${type.precision},${type.scale})` : type.type;
}

function noWidening(from: DataType, to: DataType, path: string): IngestError {
  return new IngestError(
    'INCOMPATIBLE_SCHEMA_CHANGE',
    `Column "${path}" is ${typeToDdl(from)} and cannot become ${typeToDdl(to)}: Delta has no such widening.`,
    {fix: 'Read the table anew with a full refresh.', context: {column: path}},
  );
}
