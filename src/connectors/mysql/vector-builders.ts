import type {ColumnVector, FixedVector} from '../../sdk/index.ts';
import {dayOf} from '../../sdk/index.ts';
import {BINARY_COLLATION, charsetOf, collationDecode, type TextDecode} from '../../wire/binlog/charsets.ts';
import {TYPE} from '../../wire/binlog/table-map.ts';
import {dateText, fractionText} from '../../wire/binlog/time-values.ts';
import type {ColumnType} from './column-type.ts';
import {landedType} from './column-type.ts';

/** Gathers the values of one column from rows in binary form. */
export interface VectorBuilder {
  /** Text of the value that was added last and has no place in the vector; whoever reads it sets it to null. */
  misfit: string | null;
  /** Begins a batch of rows in these bytes. */
  begin(bytes: Buffer): void;
  addNull(row: number): void;
  /** Reads the value at `at`; says where the next one is. */
  add(at: number, row: number): number;
  /** Good until the next `begin`. */
  vector(rowCount: number): ColumnVector;
}

/** The builder of a column, for batches of at most `rows` rows. */
export function vectorBuilder(type: ColumnType, rows: number): VectorBuilder {
  const {code, meta, isUnsigned} = type;
  switch (code) {
    case TYPE.tiny:
      return new Numbers(new Int16Array(rows), 1, isUnsigned ? (b, at) => b[at] ?? 0 : (b, at) => b.readInt8(at));
    case TYPE.short:
      return isUnsigned
        ? new Numbers(new Int32Array(rows), 2, (b, at) => b.readUInt16LE(at))
        : new Numbers(new Int16Array(rows), 2, (b, at) => b.readInt16LE(at));
    case TYPE.int24:
      return new Numbers(new Int32Array(rows), 4, (b, at) => b.readInt32LE(at));
    case TYPE.long:
      return isUnsigned
        ? new Longs(rows, 4, (b, at) => BigInt(b.readUInt32LE(at)))
        : new Numbers(new Int32Array(rows), 4, (b, at) => b.readInt32LE(at));
    case TYPE.longlong:
      return isUnsigned ? new WideUnsigned(rows) : new Longs(rows, 8, (b, at) => b.readBigInt64LE(at));
    case TYPE.float:
      return new Numbers(new Float32Array(rows), 4, (b, at) => b.readFloatLE(at));
    case TYPE.double:
      return new Numbers(new Float64Array(rows), 8, (b, at) => b.readDoubleLE(at));
    case TYPE.decimal: {
      const landed = landedType(type);
      return typeof landed === 'object' && landed.type === 'decimal'
        ? new Decimals(rows, landed.precision, landed.scale)
        : new Slices(rows);
    }
    case TYPE.date:
      return new Dates(rows);
    case TYPE.datetime:
    case TYPE.datetime2:
    case TYPE.timestamp:
    case TYPE.timestamp2:
      return new Moments(rows, meta);
    case TYPE.time:
    case TYPE.time2:
      return new Texts(rows, (b, at) => timeAt(b, at, meta));
    case TYPE.year:
      return new Texts(rows, (b, at) => ({text: String(b.readUInt16LE(at)).padStart(4, '0'), next: at + 2}));
    case TYPE.bit:
      return meta === 1 ? new Bits(rows) : new Slices(rows);
    default:
      return bytesBuilder(type, rows);
  }
}

/** Texts in UTF-8 and bytes are not touched. */
function bytesBuilder({collation, hidden}: ColumnType, rows: number): VectorBuilder {
  const charset = charsetOf(collation) ?? 'utf8mb4';
  const isPlain = hidden !== null || collation === 0 || collation === BINARY_COLLATION || charset.startsWith('utf8mb');
  return isPlain || charset === 'ascii' ? new Slices(rows) : new Texts(rows, decoded(collationDecode(collation)));
}

function decoded(decode: TextDecode): (bytes: Buffer, at: number) => {readonly text: string; readonly next: number} {
  return (bytes, at) => {
    const width = lengthWidth(bytes, at);
    const next = at + width + lengthAt(bytes, at);
    return {text: decode(bytes, at + width, next), next};
  };
}

abstract class Builder implements VectorBuilder {
  misfit: string | null = null;
  protected bytes: Buffer = EMPTY;
  readonly #validity: Uint8Array;
  #hasNulls = false;

  constructor(rows: number) {
    this.#validity = new Uint8Array((rows + 7) >> 3);
  }

  begin(bytes: Buffer): void {
    this.bytes = bytes;
    this.#validity.fill(0xff);
    this.#hasNulls = false;
  }

  addNull(row: number): void {
    this.#hasNulls = true;
    const byte = row >> 3;
    this.#validity[byte] = (this.#validity[byte] ?? 0) & ~(1 << (row & 7));
  }

  protected get validity(): Uint8Array | null {
    return this.#hasNulls ? this.#validity : null;
  }

  abstract add(at: number, row: number): number;
  abstract vector(rowCount: number): ColumnVector;
}

type FixedArray = FixedVector['data'];

class Numbers extends Builder {
  readonly #data: Int16Array | Int32Array | Float32Array | Float64Array;
  readonly #width: number;
  readonly #read: (bytes: Buffer, at: number) => number;

  constructor(
    data: Int16Array | Int32Array | Float32Array | Float64Array,
    width: number,
    read: (bytes: Buffer, at: number) => number,
  ) {
    super(data.length);
    this.#data = data;
    this.#width = width;
    this.#read = read;
  }

  add(at: number, row: number): number {
    this.#data[row] = this.#read(this.bytes, at);
    return at + this.#width;
  }

  vector(): ColumnVector {
    return fixed(this.#data, this.validity);
  }
}

class Longs extends Builder {
  readonly #data: BigInt64Array;
  readonly #width: number;
  readonly #read: (bytes: Buffer, at: number) => bigint;

  constructor(rows: number, width: number, read: (bytes: Buffer, at: number) => bigint) {
    super(rows);
    this.#data = new BigInt64Array(rows);
    this.#width = width;
    this.#read = read;
  }

  add(at: number, row: number): number {
    this.#data[row] = this.#read(this.bytes, at);
    return at + this.#width;
  }

  vector(): ColumnVector {
    return fixed(this.#data, this.validity);
  }
}

/** BIGINT UNSIGNED as a decimal of 20 digits. */
class WideUnsigned extends Builder {
  readonly #data: BigInt64Array;

  constructor(rows: number) {
    super(rows);
    this.#data = new BigInt64Array(rows * 2);
  }

  add(at: number, row: number): number {
    this.#data[2 * row] = this.bytes.readBigInt64LE(at);
    return at + 8;
  }

  vector(): ColumnVector {
    return fixed(this.#data, this.validity);
  }
}

/** Decimals come as text. */
class Decimals extends Builder {
  readonly #data: Int16Array | Int32Array | BigInt64Array;
  readonly #precision: number;
  readonly #scale: number;

  constructor(rows: number, precision: number, scale: number) {
    super(rows);
    this.#precision = precision;
    this.#scale = scale;
    if (precision <= 4) this.#data = new Int16Array(rows);
    else if (precision <= 9) this.#data = new Int32Array(rows);
    else this.#data = new BigInt64Array(precision <= 18 ? rows : rows * 2);
  }

  add(at: number, row: number): number {
    const {bytes} = this;
    const start = at + lengthWidth(bytes, at);
    const next = start + lengthAt(bytes, at);
    if (this.#data instanceof BigInt64Array) this.#addLarge(bytes, {start, next, row});
    else this.#data[row] = smallNumber(bytes, start, next, this.#scale);
    return next;
  }

  vector(): ColumnVector {
    return fixed(this.#data, this.validity);
  }

  #addLarge(
    bytes: Buffer,
    {start, next, row}: {readonly start: number; readonly next: number; readonly row: number},
  ): void {
    const data = this.#data as BigInt64Array;
    const value =
      next - start <= SAFE_DIGITS
        ? BigInt(smallNumber(bytes, start, next, this.#scale))
        : largeNumber(bytes.toString('latin1', start, next), this.#scale);
    if (this.#precision <= 18) data[row] = value;
    else {
      data[2 * row] = BigInt.asIntN(64, value);
      data[2 * row + 1] = value >> 64n;
    }
  }
}

class Dates extends Builder {
  readonly #data: Int32Array;

  constructor(rows: number) {
    super(rows);
    this.#data = new Int32Array(rows);
  }

  add(at: number, row: number): number {
    const {bytes} = this;
    const length = bytes[at] ?? 0;
    const [year, month, day] =
      length === 0 ? ZERO_DAY : [bytes.readUInt16LE(at + 1), bytes[at + 3] ?? 0, bytes[at + 4] ?? 0];
    const days = dayOf(year, month, day);
    if (Number.isNaN(days)) {
      this.addNull(row);
      this.misfit = dateText(year, month, day);
    } else this.#data[row] = days;
    return at + 1 + length;
  }

  vector(): ColumnVector {
    return fixed(this.#data, this.validity);
  }
}

/** DATETIME and TIMESTAMP, which a session in UTC gets in UTC. */
class Moments extends Builder {
  readonly #data: BigInt64Array;
  readonly #digits: number;

  constructor(rows: number, digits: number) {
    super(rows);
    this.#data = new BigInt64Array(rows);
    this.#digits = digits;
  }

  add(at: number, row: number): number {
    const {bytes} = this;
    const length = bytes[at] ?? 0;
    const [year, month, day] =
      length === 0 ? ZERO_DAY : [bytes.readUInt16LE(at + 1), bytes[at + 3] ?? 0, bytes[at + 4] ?? 0];
    const [hours, minutes, seconds] =
      length < 7 ? ZERO_DAY : [bytes[at + 5] ?? 0, bytes[at + 6] ?? 0, bytes[at + 7] ?? 0];
    const micros = length < 11 ? 0 : bytes.readUInt32LE(at + 8);
    const days = dayOf(year, month, day);
    if (Number.isNaN(days)) {
      this.addNull(row);
      const time = [hours, minutes, seconds].map((part) => String(part).padStart(2, '0')).join(':');
      this.misfit = `${dateText(year, month, day)} ${time}${fractionText(micros, this.#digits)}`;
    } else {
      const total = days * 86_400 + hours * 3600 + minutes * 60 + seconds;
      this.#data[row] = BigInt(total) * 1_000_000n + BigInt(micros);
    }
    return at + 1 + length;
  }

  vector(): ColumnVector {
    return fixed(this.#data, this.validity);
  }
}

class Bits extends Builder {
  readonly #data: Uint8Array;

  constructor(rows: number) {
    super(rows);
    this.#data = new Uint8Array(rows);
  }

  add(at: number, row: number): number {
    this.#data[row] = this.bytes[at + 1] === 1 ? 1 : 0;
    return at + 2;
  }

  vector(): ColumnVector {
    return fixed(this.#data, this.validity);
  }
}

/** Texts and bytes where they are. */
class Slices extends Builder {
  readonly #starts: Uint32Array;
  readonly #lengths: Uint32Array;

  constructor(rows: number) {
    super(rows);
    this.#starts = new Uint32Array(rows);
    this.#lengths = new Uint32Array(rows);
  }

  override addNull(row: number): void {
    super.addNull(row);
    this.#starts[row] = 0;
    this.#lengths[row] = 0;
  }

  add(at: number, row: number): number {
    const {bytes} = this;
    const start = at + lengthWidth(bytes, at);
    const length = lengthAt(bytes, at);
    this.#starts[row] = start;
    this.#lengths[row] = length;
    return start + length;
  }

  vector(): ColumnVector {
    return {kind: 'bytes', data: this.bytes, starts: this.#starts, lengths: this.#lengths, validity: this.validity};
  }
}

/** Values that become text of another form. */
class Texts extends Builder {
  readonly #read: (bytes: Buffer, at: number) => {readonly text: string; readonly next: number};
  readonly #starts: Uint32Array;
  readonly #lengths: Uint32Array;
  #data: Buffer = Buffer.allocUnsafe(1 << 16);
  #length = 0;

  constructor(rows: number, read: (bytes: Buffer, at: number) => {readonly text: string; readonly next: number}) {
    super(rows);
    this.#read = read;
    this.#starts = new Uint32Array(rows);
    this.#lengths = new Uint32Array(rows);
  }

  override begin(bytes: Buffer): void {
    super.begin(bytes);
    this.#length = 0;
  }

  override addNull(row: number): void {
    super.addNull(row);
    this.#starts[row] = 0;
    this.#lengths[row] = 0;
  }

  add(at: number, row: number): number {
    const {text, next} = this.#read(this.bytes, at);
    const most = text.length * 3;
    if (this.#length + most > this.#data.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#data.length * 2, this.#length + most));
      this.#data.copy(larger, 0, 0, this.#length);
      this.#data = larger;
    }
    const length = this.#data.write(text, this.#length);
    this.#starts[row] = this.#length;
    this.#lengths[row] = length;
    this.#length += length;
    return next;
  }

  vector(): ColumnVector {
    return {kind: 'bytes', data: this.#data, starts: this.#starts, lengths: this.#lengths, validity: this.validity};
  }
}

const EMPTY = Buffer.alloc(0);
const ZERO_DAY = [0, 0, 0] as const;
/** Digits, point and sign that make a number which a double holds. */
const SAFE_DIGITS = 15;

function fixed(data: FixedArray, validity: Uint8Array | null): ColumnVector {
  return {kind: 'fixed', data, validity};
}

/** Bytes of a length that is written with 1 to 9 bytes. */
function lengthWidth(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0xfb) return 1;
  return first === 0xfc ? 3 : first === 0xfd ? 4 : 9;
}

function lengthAt(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0xfb) return first;
  if (first === 0xfc) return bytes.readUInt16LE(at + 1);
  return first === 0xfd ? bytes.readUIntLE(at + 1, 3) : Number(bytes.readBigUInt64LE(at + 1));
}

/** A decimal text of up to 15 characters as a number of its last digits. */
function smallNumber(bytes: Buffer, start: number, end: number, scale: number): number {
  const isNegative = bytes[start] === MINUS;
  let value = 0;
  let digits = -1;
  for (let at = isNegative ? start + 1 : start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === POINT) digits = 0;
    else {
      value = value * 10 + byte - ZERO;
      if (digits >= 0) digits++;
    }
  }
  for (let missing = scale - Math.max(digits, 0); missing > 0; missing--) value *= 10;
  return isNegative ? -value : value;
}

function largeNumber(text: string, scale: number): bigint {
  const [whole = '0', fraction = ''] = text.split('.');
  return BigInt(whole + fraction.padEnd(scale, '0'));
}

const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;

/** Sign, days, hours, minutes, seconds and micros, in 0, 8 or 12 bytes. */
function timeAt(bytes: Buffer, at: number, digits: number): {readonly text: string; readonly next: number} {
  const length = bytes[at] ?? 0;
  const next = at + 1 + length;
  if (length === 0) return {text: `00:00:00${fractionText(0, digits)}`, next};
  const hours = bytes.readUInt32LE(at + 2) * 24 + (bytes[at + 6] ?? 0);
  const parts = [hours, bytes[at + 7] ?? 0, bytes[at + 8] ?? 0].map((part) => String(part).padStart(2, '0'));
  const micros = length < 12 ? 0 : bytes.readUInt32LE(at + 9);
  return {text: `${bytes[at + 1] === 1 ? '-' : ''}${parts.join(':')}${fractionText(micros, digits)}`, next};
}
