import type {BytesVector, ColumnBatch, ColumnVector, FixedVector, ListVector, StructVector} from './columns.ts';
import type {DataType, DecimalType, StructType} from './types.ts';

/**
 * A value read back from a column: long, timestamp and timestamp_ntz as bigint, decimal as its text with all digits of its
 * scale, date as days since 1970, binary as bytes, array as array, struct as object, map as array of `{key, value}`.
 */
export type Cell =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly Cell[]
  | {readonly [name: string]: Cell};

/** The rows of a batch as objects: for tests and small samples, not for the data path. */
export function rowsOf(batch: ColumnBatch): readonly Readonly<Record<string, Cell>>[] {
  return Array.from({length: batch.rowCount}, (_, row) => fieldsAt(batch.schema, batch.columns, row));
}

/** One value of a column whose type is known. */
export function cellAt(vector: ColumnVector, type: DataType, row: number): Cell {
  if (vector.validity !== null && (((vector.validity[row >> 3] ?? 0) >> (row & 7)) & 1) === 0) return null;
  switch (vector.kind) {
    case 'fixed':
      return fixedAt(vector, type, row);
    case 'bytes':
      return bytesAt(vector, type, row);
    case 'struct':
      return structAt(vector, type, row);
    case 'list':
      return listAt(vector, type, row);
  }
}

const decoder = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true});

function fixedAt(vector: FixedVector, type: DataType, row: number): Cell {
  if (typeof type === 'object' && type.type === 'decimal')
    return decimalText(unscaledAt(vector, type, row), type.scale);
  const value = vector.data[row] ?? 0;
  return type === 'boolean' ? value !== 0 : value;
}

function unscaledAt({data}: FixedVector, {precision}: DecimalType, row: number): bigint {
  if (precision <= 18) return BigInt(data[row] ?? 0);
  return (BigInt(data[2 * row + 1] ?? 0) << 64n) + BigInt.asUintN(64, BigInt(data[2 * row] ?? 0));
}

function decimalText(unscaled: bigint, scale: number): string {
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  const whole = digits.slice(0, digits.length - scale);
  return `${unscaled < 0n ? '-' : ''}${whole}${scale === 0 ? '' : `.${digits.slice(-scale)}`}`;
}

function bytesAt(vector: BytesVector, type: DataType, row: number): Cell {
  const start = vector.starts[row] ?? 0;
  const bytes = vector.data.subarray(start, start + (vector.lengths[row] ?? 0));
  return type === 'binary' ? Uint8Array.from(bytes) : decoder.decode(bytes);
}

function structAt(vector: StructVector, type: DataType, row: number): Cell {
  return typeof type === 'object' && type.type === 'struct' ? fieldsAt(type, vector.children, row) : null;
}

function listAt(vector: ListVector, type: DataType, row: number): Cell {
  const start = vector.starts[row] ?? 0;
  const rows = Array.from({length: vector.lengths[row] ?? 0}, (_, index) => start + index);
  if (typeof type !== 'object') return null;
  if (type.type === 'array') return rows.map((at) => cellAt(vector.child, type.elementType, at));
  if (type.type !== 'map' || vector.child.kind !== 'struct') return null;
  const [keys, values] = vector.child.children;
  if (keys === undefined || values === undefined) return null;
  return rows.map((at) => ({key: cellAt(keys, type.keyType, at), value: cellAt(values, type.valueType, at)}));
}

function fieldsAt(schema: StructType, vectors: readonly ColumnVector[], row: number): Readonly<Record<string, Cell>> {
  const cell = (vector: ColumnVector | undefined, type: DataType): Cell =>
    vector === undefined ? null : cellAt(vector, type, row);
  return Object.fromEntries(schema.fields.map((field, index) => [field.name, cell(vectors[index], field.type)]));
}
