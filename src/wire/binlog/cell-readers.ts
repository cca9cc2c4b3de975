import {inflateRawSync, inflateSync} from 'node:zlib';

import type {ByteReader} from './byte-reader.ts';
import {BINARY_COLLATION, collationDecode} from './charsets.ts';
import {decimalBytes, readDecimal} from './decimal.ts';
import {jsonText} from './json-binary.ts';
import type {BinlogColumn} from './table-map.ts';
import {TYPE} from './table-map.ts';
import {dateText, dateTimeText, fractionText, timestampText, timeText} from './time-values.ts';

/**
 * What a column of a row says. Whole numbers beyond 2^53 are bigint; decimals, dates, times and texts are text as the servers
 * print it (TIMESTAMP in UTC); bytes are a view of the log.
 */
export type Cell = number | bigint | string | Buffer;

/** Reads the values of one column from the row images of the log. */
export interface CellReader {
  read(row: ByteReader): Cell;
  /** Passes over a value. */
  skip(row: ByteReader): void;
}

/** How values of a column are read. @throws RangeError for a type that is not known */
export function cellReader(column: BinlogColumn): CellReader {
  const {type, meta, isUnsigned} = column;
  switch (type) {
    case TYPE.tiny:
      return fixed(1, isUnsigned ? (b, at) => b[at] ?? 0 : (b, at) => b.readInt8(at));
    case TYPE.short:
      return fixed(2, isUnsigned ? (b, at) => b.readUInt16LE(at) : (b, at) => b.readInt16LE(at));
    case TYPE.int24:
      return fixed(3, isUnsigned ? (b, at) => b.readUIntLE(at, 3) : (b, at) => b.readIntLE(at, 3));
    case TYPE.long:
      return fixed(4, isUnsigned ? (b, at) => b.readUInt32LE(at) : (b, at) => b.readInt32LE(at));
    case TYPE.longlong:
      return fixed(8, isUnsigned ? unsignedLong : signedLong);
    case TYPE.float:
      return fixed(4, (b, at) => b.readFloatLE(at));
    case TYPE.double:
      return fixed(8, (b, at) => b.readDoubleLE(at));
    case TYPE.year:
      return fixed(1, (b, at) => (b[at] === 0 ? '0000' : String(1900 + (b[at] ?? 0))));
    case TYPE.decimal:
      return decimals(meta >> 8, meta & 0xff);
    case TYPE.bit:
      return fixed((meta + 7) >> 3, (b, at) => b.subarray(at, at + ((meta + 7) >> 3)));
    case TYPE.enum:
      return fixed(meta, (b, at) => enumLabel(column, b.readUIntLE(at, meta)));
    case TYPE.set:
      return fixed(meta, (b, at) => setLabels(column, b, at));
    case TYPE.varchar:
      return texts(meta > 0xff ? 2 : 1, column);
    case TYPE.string:
      return column.collation === BINARY_COLLATION ? paddedBytes(meta) : texts(meta > 0xff ? 2 : 1, column);
    case TYPE.blob:
    case TYPE.geometry:
    case TYPE.vector:
      return texts(meta, column);
    case TYPE.json:
      return lengthed(meta, (b, start, end) => jsonText(b.subarray(start, end)));
    case TYPE.blobCompressed:
    case TYPE.varcharCompressed:
      return compressed(column);
    default:
      return temporal(column);
  }
}

function temporal({name, type, meta}: BinlogColumn): CellReader {
  const extra = (meta + 1) >> 1;
  switch (type) {
    case TYPE.date:
      return fixed(3, (b, at) => {
        const value = b.readUIntLE(at, 3);
        return dateText(value >> 9, (value >> 5) & 15, value & 31);
      });
    case TYPE.timestamp2:
      return fixed(4 + extra, (b, at) => timestampText(b.readUInt32BE(at), microsAt(b, at + 4, extra), meta));
    case TYPE.datetime2:
      return fixed(5 + extra, (b, at) => {
        const packed = b.readUIntBE(at, 5) - 0x80_0000_0000;
        return dateTimeText(packed, microsAt(b, at + 5, extra), meta);
      });
    case TYPE.time2:
      return fixed(3 + extra, (b, at) => time2(b, at, meta));
    case TYPE.timestamp:
      return fixed(4, (b, at) => timestampText(b.readUInt32LE(at), 0, 0));
    case TYPE.datetime:
      return fixed(8, (b, at) => oldDateTime(b.readBigUInt64LE(at)));
    case TYPE.time:
      return fixed(3, (b, at) => oldTime(b.readIntLE(at, 3)));
    default:
      throw new RangeError(`column "${name}" has type ${type}, which is not known`);
  }
}

function fixed(width: number, read: (bytes: Buffer, at: number) => Cell): CellReader {
  return {
    read(row) {
      const {at} = row;
      row.at = at + width;
      return read(row.bytes, at);
    },
    skip(row) {
      row.at += width;
    },
  };
}

/** A value with its length in `width` bytes before it. */
function lengthed(width: number, read: (bytes: Buffer, start: number, end: number) => Cell): CellReader {
  return {
    read(row) {
      const start = row.at + width;
      row.at = start + lengthAt(row.bytes, row.at, width);
      return read(row.bytes, start, row.at);
    },
    skip(row) {
      row.at += width + lengthAt(row.bytes, row.at, width);
    },
  };
}

function lengthAt(bytes: Buffer, at: number, width: number): number {
  if (width === 1) return bytes[at] ?? 0;
  return width === 2 ? bytes.readUInt16LE(at) : bytes.readUIntLE(at, width);
}

function texts(width: number, {collation}: BinlogColumn): CellReader {
  if (collation === BINARY_COLLATION || collation === 0)
    return lengthed(width, (b, start, end) => b.subarray(start, end));
  return lengthed(width, collationDecode(collation));
}

/** BINARY(n): the log leaves trailing zeros out. */
function paddedBytes(size: number): CellReader {
  return lengthed(size > 0xff ? 2 : 1, (b, start, end) => {
    if (end - start === size) return b.subarray(start, end);
    const whole = Buffer.alloc(size);
    b.copy(whole, 0, start, end);
    return whole;
  });
}

function decimals(precision: number, scale: number): CellReader {
  const width = decimalBytes(precision, scale);
  return {
    read: (row) => readDecimal(row, precision, scale),
    skip(row) {
      row.at += width;
    },
  };
}

/** MariaDB's COMPRESSED: a byte that says whether and how, the width of a length, the length, the stream. */
function compressed(column: BinlogColumn): CellReader {
  const {type, meta, collation} = column;
  const width = type === TYPE.blobCompressed ? meta : meta > 0xff ? 2 : 1;
  const decode = collation === BINARY_COLLATION ? null : collationDecode(collation);
  const plain = (bytes: Buffer): Buffer => {
    const method = bytes[0] ?? 0;
    if (bytes.length === 0 || method >> 4 === 0) return bytes.subarray(1);
    // Bits of the byte: four for the method (8: zlib), one for a stream without header of its own, three for the width of the length.
    const stream = bytes.subarray(1 + (method & 0x07));
    return (method & 0x08) === 0 ? inflateSync(stream) : inflateRawSync(stream);
  };
  return lengthed(width, (b, start, end) => {
    const bytes = plain(b.subarray(start, end));
    return decode === null ? bytes : decode(bytes, 0, bytes.length);
  });
}

function signedLong(bytes: Buffer, at: number): number | bigint {
  const high = bytes.readInt32LE(at + 4);
  return high < SAFE_HIGH && high >= -SAFE_HIGH
    ? high * 4_294_967_296 + bytes.readUInt32LE(at)
    : bytes.readBigInt64LE(at);
}

function unsignedLong(bytes: Buffer, at: number): number | bigint {
  const high = bytes.readUInt32LE(at + 4);
  return high < SAFE_HIGH ? high * 4_294_967_296 + bytes.readUInt32LE(at) : bytes.readBigUInt64LE(at);
}

/** High words below this make numbers that a double holds exactly. */
const SAFE_HIGH = 0x20_0000;

function enumLabel({labels}: BinlogColumn, index: number): string {
  // 0 stands for a value that was none of the labels.
  return index === 0 ? '' : (labels[index - 1] ?? '');
}

function setLabels({labels, meta}: BinlogColumn, bytes: Buffer, at: number): string {
  let text = '';
  for (let index = 0; index < labels.length && index < meta * 8; index++) {
    if ((((bytes[at + (index >> 3)] ?? 0) >> (index & 7)) & 1) === 0) continue;
    text += text === '' ? (labels[index] ?? '') : `,${labels[index] ?? ''}`;
  }
  return text;
}

/** Hundredths, ten-thousandths or millionths, in one, two or three bytes. */
function microsAt(bytes: Buffer, at: number, width: number): number {
  if (width === 0) return 0;
  return bytes.readUIntBE(at, width) * (width === 1 ? 10_000 : width === 2 ? 100 : 1);
}

/** Packed into 24 bits and a fraction together, negative values below the middle. */
function time2(bytes: Buffer, at: number, digits: number): string {
  const extra = (digits + 1) >> 1;
  const value = bytes.readUIntBE(at, 3 + extra) - 2 ** (8 * (3 + extra) - 1);
  const size = Math.abs(value);
  const unit = 2 ** (8 * extra);
  const packed = Math.floor(size / unit);
  const micros = (size % unit) * (extra === 1 ? 10_000 : extra === 2 ? 100 : 1);
  return timeText(value < 0, packed, {micros, digits});
}

/** Decimal digits YYYYMMDDhhmmss. */
function oldDateTime(value: bigint): string {
  const text = value.toString().padStart(14, '0');
  const date = `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6, 8)}`;
  return `${date} ${text.slice(8, 10)}:${text.slice(10, 12)}:${text.slice(12, 14)}${fractionText(0, 0)}`;
}

/** Decimal digits hhhmmss. */
function oldTime(value: number): string {
  const size = Math.abs(value);
  const hours = Math.floor(size / 10_000);
  const packed = (hours << 12) | ((Math.floor(size / 100) % 100) << 6) | (size % 100);
  return timeText(value < 0, packed, {micros: 0, digits: 0});
}
