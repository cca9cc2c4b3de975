import {IngestError} from './errors.ts';
import type {PlainJson} from './offset.ts';
import type {DataType, DecimalType, MapType, PrimitiveType, StructField, StructType} from './types.ts';

/** Field metadata: the unit of epoch numbers of a timestamp column, `s`, `ms` or `us`; without it the unit is told by magnitude. */
export const EPOCH_UNIT = 'sluice.epochUnit';
/** Field metadata: how a binary column is written in JSON, `base64` (the default), `hex` or `utf8`. */
export const BINARY_ENCODING = 'sluice.binaryEncoding';
/**
 * Field metadata, true: numbers of a date column count days, integers (bigint) of a timestamp column microseconds since 1970, and years
 * are not limited to 1 to 9999: for databases, whose calendars are longer.
 */
export const WIDE_TIMES = 'sluice.wideTimes';

/** Field metadata, true: an empty text is no value. Many sources that write every value as text mean that. */
export const EMPTY_IS_NULL = 'sluice.emptyIsNull';

/** A type on its way to become a field: nullable until told otherwise. Every method returns a new value. */
export interface Column {
  readonly type: DataType;
  readonly nullable: boolean;
  readonly metadata: Readonly<Record<string, PlainJson>>;
  /** Never null: a record without it is quarantined. */
  notNull(): Column;
  /** A line for people, lands as column comment. */
  comment(text: string): Column;
  /** Numbers in this timestamp column count `unit` since 1970. */
  epochUnit(unit: 's' | 'ms' | 'us'): Column;
  /** How this binary column is written in JSON. */
  binaryEncoding(encoding: 'base64' | 'hex' | 'utf8'): Column;
  /** An empty text in this column is no value. */
  emptyIsNull(): Column;
  /** Adds metadata. */
  with(metadata: Readonly<Record<string, PlainJson>>): Column;
}

/** What the builders take as a type: a {@link Column} with its nullability, or a bare type, which is nullable. */
export type TypeLike = DataType | Column;

/** A type as a {@link Column}, for example `column(struct({a: long()})).notNull()`. */
export function column(type: DataType): Column {
  return makeColumn(type, true, {});
}

/** UTF-8 text. */
export const string = (): Column => column('string');
/** 64-bit integer. */
export const long = (): Column => column('long');
/** 32-bit integer. */
export const integer = (): Column => column('integer');
/** 16-bit integer. */
export const short = (): Column => column('short');
/** 8-bit integer. */
export const byte = (): Column => column('byte');
/** 32-bit floating point. */
export const float = (): Column => column('float');
/** 64-bit floating point. */
export const double = (): Column => column('double');
/** True or false. */
export const boolean = (): Column => column('boolean');
/** Bytes; in JSON base64 unless told otherwise. */
export const binary = (): Column => column('binary');
/** A day. */
export const date = (): Column => column('date');
/** An instant, in microseconds. */
export const timestamp = (): Column => column('timestamp');
/** A wall-clock time without zone, in microseconds. */
export const timestampNtz = (): Column => column('timestamp_ntz');
/** Any JSON; lands as a string of JSON text. */
export const variant = (): Column => column('variant');

/** An exact number of `precision` digits, `scale` of them after the point. @throws INVALID_SCHEMA outside of 1 <= precision <= 38, 0 <= scale <= precision. */
export function decimal(precision: number, scale: number): Column {
  const type: DecimalType = {type: 'decimal', precision, scale};
  checkDecimal(type, 'decimal');
  return column(type);
}

/** A list; `array(string().notNull())` has no null elements. */
export function array(element: TypeLike): Column {
  const {type, nullable} = asColumn(element);
  return column({type: 'array', elementType: type, containsNull: nullable});
}

/** A map; JSON objects whose names are keys. */
export function map(key: TypeLike, value: TypeLike): Column {
  const {type, nullable} = asColumn(value);
  return column({type: 'map', keyType: asColumn(key).type, valueType: type, valueContainsNull: nullable});
}

/** Named fields in the order written: the schema of a table, or a nested type. */
export function struct(fields: Readonly<Record<string, TypeLike>>): StructType {
  const build = ([name, like]: [string, TypeLike]): StructField => {
    const {type, nullable, metadata} = asColumn(like);
    return {name, type, nullable, metadata};
  };
  return {type: 'struct', fields: Object.entries(fields).map(build)};
}

/** True for a struct, array or map. */
export function isNested(type: DataType): type is Exclude<DataType, PrimitiveType | DecimalType> {
  return typeof type === 'object' && type.type !== 'decimal';
}

/** True when both are the same type, down to nullability and names; metadata does not count. */
export function typesEqual(left: DataType, right: DataType): boolean {
  if (typeof left === 'string' || typeof right === 'string') return left === right;
  switch (left.type) {
    case 'decimal':
      return right.type === 'decimal' && left.precision === right.precision && left.scale === right.scale;
    case 'array':
      return (
        right.type === 'array' &&
        left.containsNull === right.containsNull &&
        typesEqual(left.elementType, right.elementType)
      );
    case 'map':
      return right.type === 'map' && mapsEqual(left, right);
    case 'struct':
      return right.type === 'struct' && structsEqual(left, right);
  }
}

/** The type that a source type has in a Delta table: `variant` becomes `string` at any depth. */
export function landedType(type: DataType): DataType {
  if (typeof type === 'string') return type === 'variant' ? 'string' : type;
  switch (type.type) {
    case 'decimal':
      return type;
    case 'array':
      return {...type, elementType: landedType(type.elementType)};
    case 'map':
      return {...type, keyType: landedType(type.keyType), valueType: landedType(type.valueType)};
    case 'struct':
      return landedSchema(type);
  }
}

/** {@link landedType} of a whole schema. */
export function landedSchema(schema: StructType): StructType {
  return {type: 'struct', fields: schema.fields.map((field) => ({...field, type: landedType(field.type)}))};
}

/** The field at a dotted path into structs, case-sensitive. A top-level name that contains dots is found by its full name. */
export function fieldAt(schema: StructType, path: string): StructField | undefined {
  const whole = schema.fields.find((field) => field.name === path);
  if (whole !== undefined) return whole;
  const dot = path.indexOf('.');
  if (dot < 0) return undefined;
  const parent = schema.fields.find((field) => field.name === path.slice(0, dot));
  if (parent === undefined || typeof parent.type === 'string' || parent.type.type !== 'struct') return undefined;
  return fieldAt(parent.type, path.slice(dot + 1));
}

/** Names that occur twice in the same struct when case is ignored, as dotted paths; `[]` stands for list and map levels. */
export function duplicateNames(schema: StructType): readonly string[] {
  const found: string[] = [];
  walkStructs(schema, '', (type, path) => {
    const seen = new Set<string>();
    for (const {name} of type.fields) {
      const folded = name.toLowerCase();
      if (seen.has(folded)) found.push(path + name);
      seen.add(folded);
    }
  });
  return found;
}

/**
 * Checks that a schema can become a table.
 * @throws INVALID_SCHEMA when it or a nested struct has no columns, a blank name, or names that differ in case only, or a decimal out of range.
 */
export function checkSchema(schema: StructType, table: string): void {
  walkStructs(schema, '', (type, path) => {
    if (type.fields.length === 0)
      throw invalid(table, path === '' ? 'it has no columns' : `"${path.slice(0, -1)}" has no fields`);
    for (const field of type.fields) {
      if (field.name.trim() === '')
        throw invalid(table, `a field${path === '' ? '' : ` of "${path.slice(0, -1)}"`} has no name`);
      for (const leaf of decimalsOf(field.type)) checkDecimal(leaf, path + field.name);
    }
  });
  const [duplicate] = duplicateNames(schema);
  if (duplicate !== undefined) throw invalid(table, `"${duplicate}" occurs twice (case is ignored)`);
}

/** @throws INVALID_SCHEMA unless 1 <= precision <= 38 and 0 <= scale <= precision. */
export function checkDecimal({precision, scale}: DecimalType, path: string): void {
  const fits =
    Number.isInteger(precision) &&
    Number.isInteger(scale) &&
    precision >= 1 &&
    precision <= 38 &&
    scale >= 0 &&
    scale <= precision;
  if (fits) return;
  throw new IngestError(
    'INVALID_SCHEMA',
    `"${path}" has the type decimal(${precision},${scale}), which does not exist.`,
    {
      fix: 'Use a precision of 1 to 38 and a scale from 0 to the precision.',
      context: {path},
    },
  );
}

function makeColumn(type: DataType, nullable: boolean, metadata: Readonly<Record<string, PlainJson>>): Column {
  const add = (more: Readonly<Record<string, PlainJson>>): Column => makeColumn(type, nullable, {...metadata, ...more});
  return {
    type,
    nullable,
    metadata,
    notNull: () => makeColumn(type, false, metadata),
    comment: (text) => add({comment: text}),
    epochUnit: (unit) => add({[EPOCH_UNIT]: unit}),
    binaryEncoding: (encoding) => add({[BINARY_ENCODING]: encoding}),
    emptyIsNull: () => add({[EMPTY_IS_NULL]: true}),
    with: add,
  };
}

function asColumn(like: TypeLike): Column {
  return typeof like === 'object' && 'notNull' in like ? like : column(like);
}

function mapsEqual(left: MapType, right: MapType): boolean {
  return (
    left.valueContainsNull === right.valueContainsNull &&
    typesEqual(left.keyType, right.keyType) &&
    typesEqual(left.valueType, right.valueType)
  );
}

function structsEqual(left: StructType, right: StructType): boolean {
  return (
    left.fields.length === right.fields.length &&
    left.fields.every((field, index) => {
      const other = right.fields[index];
      return (
        other !== undefined &&
        field.name === other.name &&
        field.nullable === other.nullable &&
        typesEqual(field.type, other.type)
      );
    })
  );
}

function walkStructs(type: DataType, path: string, visit: (type: StructType, path: string) => void): void {
  if (typeof type === 'string') return;
  switch (type.type) {
    case 'decimal':
      return;
    case 'array':
      return walkStructs(type.elementType, `${path.slice(0, -1)}[].`, visit);
    case 'map':
      walkStructs(type.keyType, `${path.slice(0, -1)}[].`, visit);
      return walkStructs(type.valueType, `${path.slice(0, -1)}[].`, visit);
    case 'struct':
      visit(type, path);
      for (const field of type.fields) walkStructs(field.type, `${path}${field.name}.`, visit);
  }
}

function decimalsOf(type: DataType): readonly DecimalType[] {
  if (typeof type === 'string') return [];
  switch (type.type) {
    case 'decimal':
      return [type];
    case 'array':
      return decimalsOf(type.elementType);
    case 'map':
      return [...decimalsOf(type.keyType), ...decimalsOf(type.valueType)];
    case 'struct':
      return [];
  }
}

function invalid(table: string, what: string): IngestError {
  return new IngestError('INVALID_SCHEMA', `The schema of "${table}" cannot be used: ${what}.`, {context: {table}});
}
