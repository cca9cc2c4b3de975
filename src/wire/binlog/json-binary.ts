import {ByteReader} from './byte-reader.ts';
import {decimalBytes, readDecimal} from './decimal.ts';
import {dateTimeText, timeText} from './time-values.ts';

/**
 * MySQL's binary JSON as the text that the server itself prints.
 * @see https://dev.mysql.com/doc/dev/mysql-server/latest/json__binary_8h.html
 */
export function jsonText(bytes: Buffer): string {
  // A document without bytes is what an empty value in an old table means.
  return bytes.length === 0 ? 'null' : valueText({bytes, kind: bytes[0] ?? 0, at: 1});
}

/** Where a value of a document is. */
interface Place {
  readonly bytes: Buffer;
  readonly kind: number;
  readonly at: number;
}

const KIND = {
  smallObject: 0,
  largeObject: 1,
  smallArray: 2,
  largeArray: 3,
  literal: 4,
  int16: 5,
  uint16: 6,
  int32: 7,
  uint32: 8,
  int64: 9,
  uint64: 10,
  double: 11,
  string: 12,
  opaque: 15,
} as const;
const LITERALS = ['null', 'true', 'false'];

function valueText({bytes, kind, at}: Place): string {
  switch (kind) {
    case KIND.smallObject:
    case KIND.largeObject:
    case KIND.smallArray:
    case KIND.largeArray:
      return containerText(bytes, kind, at);
    case KIND.literal:
      return LITERALS[bytes[at] ?? 0] ?? 'null';
    case KIND.int16:
      return String(bytes.readInt16LE(at));
    case KIND.uint16:
      return String(bytes.readUInt16LE(at));
    case KIND.int32:
      return String(bytes.readInt32LE(at));
    case KIND.uint32:
      return String(bytes.readUInt32LE(at));
    case KIND.int64:
      return String(bytes.readBigInt64LE(at));
    case KIND.uint64:
      return String(bytes.readBigUInt64LE(at));
    case KIND.double:
      return doubleText(bytes.readDoubleLE(at));
    case KIND.string: {
      const reader = new ByteReader(bytes, at);
      return JSON.stringify(reader.take(variableLength(reader)).toString('utf8'));
    }
    case KIND.opaque:
      return opaqueText(bytes, at);
    default:
      throw new RangeError(`unknown kind ${kind} in a JSON value`);
  }
}

/** Counts, then for objects places of the keys, then values or their places, all relative to the container's begin. */
function containerText(bytes: Buffer, kind: number, base: number): string {
  const isLarge = kind === KIND.largeObject || kind === KIND.largeArray;
  const isObject = kind === KIND.smallObject || kind === KIND.largeObject;
  const width = isLarge ? 4 : 2;
  const read = (at: number): number => (isLarge ? bytes.readUInt32LE(at) : bytes.readUInt16LE(at));
  const count = read(base);
  const keysAt = base + 2 * width;
  const valuesAt = keysAt + (isObject ? count * (width + 2) : 0);
  const parts: string[] = [];
  for (let index = 0; index < count; index++) {
    const valueAt = valuesAt + index * (width + 1);
    const valueKind = bytes[valueAt] ?? 0;
    const at = isInlined(valueKind, isLarge) ? valueAt + 1 : base + read(valueAt + 1);
    const text = valueText({bytes, kind: valueKind, at});
    if (isObject) {
      const keyAt = keysAt + index * (width + 2);
      const start = base + read(keyAt);
      const key = bytes.toString('utf8', start, start + bytes.readUInt16LE(keyAt + width));
      parts.push(`${JSON.stringify(key)}: ${text}`);
    } else parts.push(text);
  }
  return isObject ? `{${parts.join(', ')}}` : `[${parts.join(', ')}]`;
}

function isInlined(kind: number, isLarge: boolean): boolean {
  if (kind === KIND.literal || kind === KIND.int16 || kind === KIND.uint16) return true;
  return isLarge && (kind === KIND.int32 || kind === KIND.uint32);
}

/** Values of SQL types that JSON lacks. */
function opaqueText(bytes: Buffer, at: number): string {
  const type = bytes[at] ?? 0;
  const reader = new ByteReader(bytes, at + 1);
  const value = reader.take(variableLength(reader));
  switch (type) {
    case SQL_TYPE.decimal: {
      const [precision = 0, scale = 0] = value;
      const digits = new ByteReader(value.subarray(2, 2 + decimalBytes(precision, scale)));
      return readDecimal(digits, precision, scale);
    }
    case SQL_TYPE.date:
      return JSON.stringify(packedDateTime(value.readBigInt64LE(0)).slice(0, 10));
    case SQL_TYPE.datetime:
    case SQL_TYPE.timestamp:
      return JSON.stringify(packedDateTime(value.readBigInt64LE(0)));
    case SQL_TYPE.time:
      return JSON.stringify(packedTime(value.readBigInt64LE(0)));
    default:
      return JSON.stringify(`base64:type${type}:${value.toString('base64')}`);
  }
}

const SQL_TYPE = {timestamp: 7, date: 10, time: 11, datetime: 12, decimal: 246} as const;

function packedDateTime(packed: bigint): string {
  return dateTimeText(Number(packed >> 24n), Number(packed & 0xff_ffffn), 6);
}

function packedTime(packed: bigint): string {
  const size = packed < 0n ? -packed : packed;
  return timeText(packed < 0n, Number(size >> 24n), {micros: Number(size & 0xff_ffffn), digits: 6});
}

function variableLength(reader: ByteReader): number {
  let length = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = reader.take(1)[0] ?? 0;
    length += (byte & 0x7f) * 2 ** shift;
    if ((byte & 0x80) === 0) return length;
  }
}

/** The shortest digits that mean the number, in the server's notation: an exponent below 1e-15 and from 1e15 on, `.0` after whole numbers. */
function doubleText(value: number): string {
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [mantissa = '', exponentText = '0'] = Math.abs(value).toExponential().split('e');
  const digits = mantissa.replace('.', '');
  const exponent = Number(exponentText);
  const sign = value < 0 ? '-' : '';
  if (exponent < -15 || exponent > 14) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : '';
    return `${sign}${digits.charAt(0)}${fraction}e${exponent}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return `${sign}${whole}.${digits.slice(exponent + 1) || '0'}`;
}
