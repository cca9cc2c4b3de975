import {createHash} from 'node:crypto';

import type {ColumnVector} from '../core/columns.ts';
import type {DataType} from '../core/types.ts';

/**
 * Changes whenever a canonical text changes, so that sums of two releases are never compared: such a difference would look
 * like one of the data.
 */
export const CANONICAL_VERSION = 1;

/** What a value of a landed type is, for {@link canonicalText}. */
export type CanonicalValue = boolean | number | bigint | string | Uint8Array | null;

/** True for types that have a canonical text: all but arrays, maps and structs. */
export function isComparable(type: DataType): boolean {
  return typeof type === 'string' || type.type === 'decimal';
}

/** True where any text can occur, so that a row's text needs its length; other canonical texts hold no comma. */
export function isFreeText(type: DataType): boolean {
  return type === 'string' || type === 'variant';
}

/**
 * The one text of a value that every engine can compute alike: digits for whole numbers, all digits of a decimal's scale,
 * the 16 hex digits of the IEEE 754 bits for floats, days and microseconds since 1970 for times, lower hex for bytes.
 * Decimals are given as text, dates as days, timestamps as microseconds.
 */
export function canonicalText(value: CanonicalValue, type: DataType): string | null {
  if (value === null) return null;
  switch (type) {
    case 'boolean':
      return value === true ? '1' : '0';
    case 'float':
      return floatBits(Math.fround(Number(value)));
    case 'double':
      return floatBits(Number(value));
    case 'binary':
      return Buffer.from(value as Uint8Array).toString('hex');
    default:
      return String(value);
  }
}

/** The canonical text of a row of a column vector. */
export function canonicalCell(vector: ColumnVector, row: number, type: DataType): string | null {
  const {validity} = vector;
  if (validity !== null && (((validity[row >> 3] ?? 0) >> (row & 7)) & 1) === 0) return null;
  if (vector.kind === 'bytes') {
    const start = vector.starts[row] ?? 0;
    const bytes = Buffer.from(vector.data.subarray(start, start + (vector.lengths[row] ?? 0)));
    return type === 'binary' ? bytes.toString('hex') : bytes.toString('utf8');
  }
  if (vector.kind !== 'fixed') return null;
  const {buffer, byteOffset} = vector.data;
  return fixedText(new DataView(buffer, byteOffset), row, type);
}

/**
 * One text per row that no other row has: free text with its length in bytes before it, everything else with a comma behind
 * it. NULL has neither length nor text, the empty string has length 0.
 */
export function rowText(cells: readonly (string | null)[], types: readonly DataType[]): string {
  return cells
    .map((cell, index) => {
      const type = types[index];
      if (type === undefined || !isFreeText(type)) return `${cell ?? ''},`;
      return cell === null ? ':' : `${Buffer.byteLength(cell)}:${cell}`;
    })
    .join('');
}

/** The first 60 bits of the SHA-256 of a text: as many as every engine holds as a positive 64-bit integer. */
export function hash60(text: string): bigint {
  return BigInt(`0x${createHash('sha256').update(text).digest('hex').slice(0, 15)}`);
}

/** What decides the bucket of a row. */
export type Bucketing =
  /** The remainder of the one key column, a whole number: its absolute value. */
  | 'remainder'
  /** The first 12 bits of the hash of the key's text, modulo the number of buckets. */
  | 'key-hash'
  /** The same of the whole row's text, in tables without a key. */
  | 'row-hash';

/** How the rows of a table are spread over buckets: alike on both sides of a comparison. */
export function bucketing(keyTypes: readonly DataType[]): Bucketing {
  const [first] = keyTypes;
  if (first === undefined) return 'row-hash';
  return keyTypes.length === 1 && WHOLE_NUMBERS.has(first) ? 'remainder' : 'key-hash';
}

/** The bucket of a hash. */
export function bucketOf(hash: bigint, buckets: number): number {
  return Number(hash >> 48n) % buckets;
}

const WHOLE_NUMBERS: ReadonlySet<DataType> = new Set(['byte', 'short', 'integer', 'long']);

/** NaN has many bit patterns and one canonical text. */
function floatBits(value: number): string {
  if (Number.isNaN(value)) return '7ff8000000000000';
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes.toString('hex');
}

function fixedText(view: DataView, row: number, type: DataType): string | null {
  switch (type) {
    case 'boolean':
      return view.getUint8(row) === 0 ? '0' : '1';
    case 'byte':
      return String(view.getInt8(row));
    case 'short':
      return String(view.getInt16(2 * row, true));
    case 'integer':
    case 'date':
      return String(view.getInt32(4 * row, true));
    case 'long':
    case 'timestamp':
    case 'timestamp_ntz':
      return String(view.getBigInt64(8 * row, true));
    case 'float':
      return floatBits(view.getFloat32(4 * row, true));
    case 'double':
      return floatBits(view.getFloat64(8 * row, true));
    default:
      return typeof type === 'object' && type.type === 'decimal' ? decimalText(view, row, type) : null;
  }
}

function decimalText(view: DataView, row: number, type: {readonly precision: number; readonly scale: number}): string {
  const unscaled = unscaledValue(view, row, type.precision);
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(type.scale + 1, '0');
  const point = digits.length - type.scale;
  const sign = unscaled < 0n ? '-' : '';
  return type.scale === 0 ? `${sign}${digits}` : `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

function unscaledValue(view: DataView, row: number, precision: number): bigint {
  if (precision <= 4) return BigInt(view.getInt16(2 * row, true));
  if (precision <= 9) return BigInt(view.getInt32(4 * row, true));
  if (precision <= 18) return view.getBigInt64(8 * row, true);
  return (view.getBigInt64(16 * row + 8, true) << 64n) | view.getBigUint64(16 * row, true);
}
