import type {DataType, DecimalType, StructField, StructType} from '../core/types.ts';

/** Columns in order; a null type is that of a column without values. */
export type InferredSchema = readonly {readonly name: string; readonly type: DataType | null}[];

/** The narrowest type that holds the values of both; null stands for a column without values. */
export function mergeTypes(left: DataType | null, right: DataType | null): DataType | null {
  if (left === null) return right;
  if (right === null || left === right) return left;
  if (isNumber(left) && isNumber(right)) return mergeNumbers(left, right);
  if (isTime(left) && isTime(right))
    return left === 'timestamp' || right === 'timestamp' ? 'timestamp' : 'timestamp_ntz';
  if (typeof left === 'string' || typeof right === 'string') return 'string';
  if (left.type === 'array' && right.type === 'array') {
    return {
      type: 'array',
      elementType: mergeTypes(left.elementType, right.elementType) ?? 'string',
      containsNull: true,
    };
  }
  if (left.type === 'struct' && right.type === 'struct') return mergeSchemas(left, right);
  if (left.type === 'map' && right.type === 'map') {
    const keyType = mergeTypes(left.keyType, right.keyType) ?? 'string';
    return {
      type: 'map',
      keyType,
      valueType: mergeTypes(left.valueType, right.valueType) ?? 'string',
      valueContainsNull: true,
    };
  }
  return 'string';
}

/** Fields of both by name, in the order in which they were first seen. Names that differ in case only are left out after the first. */
export function mergeSchemas(left: StructType, right: StructType): StructType {
  const fields = new Map<string, StructField>(left.fields.map((field) => [field.name.toLowerCase(), field]));
  for (const field of right.fields) {
    const known = fields.get(field.name.toLowerCase());
    if (known === undefined) fields.set(field.name.toLowerCase(), field);
    else if (known.name === field.name)
      fields.set(field.name.toLowerCase(), {...known, type: mergeTypes(known.type, field.type) ?? 'string'});
  }
  return {type: 'struct', fields: [...fields.values()]};
}

const INTEGERS: readonly string[] = ['byte', 'short', 'integer', 'long'];
const INTEGER_DIGITS: Readonly<Record<string, number>> = {byte: 3, short: 5, integer: 10, long: 19};

function isNumber(type: DataType): boolean {
  return typeof type === 'string'
    ? INTEGERS.includes(type) || type === 'float' || type === 'double'
    : type.type === 'decimal';
}

function isTime(type: DataType): boolean {
  return type === 'date' || type === 'timestamp' || type === 'timestamp_ntz';
}

function mergeNumbers(left: DataType, right: DataType): DataType {
  const [leftRank, rightRank] = [INTEGERS.indexOf(String(left)), INTEGERS.indexOf(String(right))];
  if (leftRank >= 0 && rightRank >= 0) return leftRank > rightRank ? left : right;
  const [leftDecimal, rightDecimal] = [asDecimal(left), asDecimal(right)];
  if (leftDecimal === null || rightDecimal === null) return 'double';
  const scale = Math.max(leftDecimal.scale, rightDecimal.scale);
  const precision =
    Math.max(leftDecimal.precision - leftDecimal.scale, rightDecimal.precision - rightDecimal.scale) + scale;
  return precision > 38 ? 'double' : {type: 'decimal', precision, scale};
}

function asDecimal(type: DataType): DecimalType | null {
  if (typeof type !== 'string') return type.type === 'decimal' ? type : null;
  const precision = INTEGER_DIGITS[type];
  return precision === undefined ? null : {type: 'decimal', precision, scale: 0};
}
