import type {FixedVector} from '../columns.ts';
import {type JsonTape, TOKEN} from '../json-tape.ts';
import {ExactNumber, type JsonValue} from '../json-value.ts';
import {type ColumnWriter, grown, Presence} from './column-writer.ts';
import {doubleOf, unscaledOf} from './number-text.ts';
import {numberAt} from './token-values.ts';

const TWO_32 = 4_294_967_296;
const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;

/** byte, short and integer: integers in any notation that lose nothing, within range. */
export class IntegerWriter implements ColumnWriter {
  readonly #presence = new Presence();
  readonly #make: (length: number) => Int8Array | Int16Array | Int32Array;
  readonly #limit: number;
  #data: Int8Array | Int16Array | Int32Array;

  constructor(bits: 8 | 16 | 32) {
    this.#make = (length) =>
      bits === 8 ? new Int8Array(length) : bits === 16 ? new Int16Array(length) : new Int32Array(length);
    this.#limit = 2 ** (bits - 1);
    this.#data = this.#make(0);
  }

  write(row: number, value: JsonValue | undefined): boolean {
    const integer = typeof value === 'number' ? value : integerOf(value);
    if (integer >= -this.#limit && integer < this.#limit && Math.floor(integer) === integer) {
      this.#data[row] = integer;
      return this.#presence.present(row);
    }
    this.#presence.absent(row);
    return value === null || value === undefined;
  }

  writeToken(row: number, tape: JsonTape, at: number): boolean {
    const number = numberAt(tape, at);
    return this.write(row, Number.isNaN(number) ? tape.value(at) : number);
  }

  reserve(capacity: number): void {
    if (capacity <= this.#data.length) return;
    this.#data = grown<Int8Array | Int16Array | Int32Array>(this.#make, this.#data, capacity);
    this.#presence.reserve(capacity);
  }

  vector(rowCount: number): FixedVector {
    return {kind: 'fixed', data: this.#data.subarray(0, rowCount), validity: this.#presence.validity(rowCount)};
  }

  clear(): void {
    this.#presence.clear();
  }

  sizeBytes(rowCount: number): number {
    return rowCount * this.#data.BYTES_PER_ELEMENT;
  }
}

/** 64-bit values that mostly are small enough for a double, written as two halves: a BigInt per value would cost more than all the rest. */
export class LongColumn {
  readonly presence: Presence = new Presence();
  #longs = new BigInt64Array(0);
  #halves = new Int32Array(0);

  /** Writes an integer up to 2^53. */
  set(row: number, value: number): true {
    this.#halves[2 * row] = value;
    this.#halves[2 * row + 1] = Math.floor(value / TWO_32);
    return this.presence.present(row);
  }

  /** Writes any 64-bit integer. */
  setBig(row: number, value: bigint): true {
    this.#longs[row] = value;
    return this.presence.present(row);
  }

  reserve(capacity: number): void {
    if (capacity <= this.#longs.length) return;
    this.#longs = grown((length) => new BigInt64Array(length), this.#longs, capacity);
    this.#halves = new Int32Array(this.#longs.buffer);
    this.presence.reserve(capacity);
  }

  vector(rowCount: number): FixedVector {
    return {kind: 'fixed', data: this.#longs.subarray(0, rowCount), validity: this.presence.validity(rowCount)};
  }
}

/**
 * long. A number beyond 2^53 does not fit: a double cannot have carried it safely (a reader that keeps all digits gives a
 * bigint).
 */
export class LongWriter implements ColumnWriter {
  readonly #column = new LongColumn();

  write(row: number, value: JsonValue | undefined): boolean {
    if (typeof value === 'number' && Number.isSafeInteger(value)) return this.#column.set(row, value);
    const integer = bigIntegerOf(value);
    if (integer !== null && integer >= LONG_MIN && integer <= LONG_MAX) return this.#column.setBig(row, integer);
    this.#column.presence.absent(row);
    return value === null || value === undefined;
  }

  writeToken(row: number, tape: JsonTape, at: number): boolean {
    const number = numberAt(tape, at);
    return this.write(row, Number.isNaN(number) ? tape.value(at) : number);
  }

  reserve(capacity: number): void {
    this.#column.reserve(capacity);
  }

  vector(rowCount: number): FixedVector {
    return this.#column.vector(rowCount);
  }

  clear(): void {
    this.#column.presence.clear();
  }

  sizeBytes(rowCount: number): number {
    return rowCount * 8;
  }
}

/** float and double: the nearest value; what would become infinite or zero does not fit. */
export class FloatWriter implements ColumnWriter {
  readonly #presence = new Presence();
  readonly #single: boolean;
  #data: Float32Array | Float64Array;

  constructor(bits: 32 | 64) {
    this.#single = bits === 32;
    this.#data = this.#single ? new Float32Array(0) : new Float64Array(0);
  }

  write(row: number, value: JsonValue | undefined): boolean {
    const number = typeof value === 'number' ? value : floatOf(value);
    if (number !== null && !(this.#single && isOutsideOfSingle(number))) {
      this.#data[row] = number;
      return this.#presence.present(row);
    }
    this.#presence.absent(row);
    return value === null || value === undefined;
  }

  writeToken(row: number, tape: JsonTape, at: number): boolean {
    const number = numberAt(tape, at);
    return this.write(row, Number.isNaN(number) ? tape.value(at) : number);
  }

  reserve(capacity: number): void {
    if (capacity <= this.#data.length) return;
    const make = this.#single
      ? (length: number): Float32Array => new Float32Array(length)
      : (length: number): Float64Array => new Float64Array(length);
    this.#data = grown<Float32Array | Float64Array>(make, this.#data, capacity);
    this.#presence.reserve(capacity);
  }

  vector(rowCount: number): FixedVector {
    return {kind: 'fixed', data: this.#data.subarray(0, rowCount), validity: this.#presence.validity(rowCount)};
  }

  clear(): void {
    this.#presence.clear();
  }

  sizeBytes(rowCount: number): number {
    return rowCount * this.#data.BYTES_PER_ELEMENT;
  }
}

const BOOLEAN_WORDS: ReadonlyMap<string, 0 | 1> = new Map<string, 0 | 1>([
  ...['true', 't', 'yes', 'y', '1'].map((word): [string, 1] => [word, 1]),
  ...['false', 'f', 'no', 'n', '0'].map((word): [string, 0] => [word, 0]),
]);

/** boolean: true and false, 0 and 1, and the words true, t, yes, y, false, f, no, n in any case; nothing else. */
export class BooleanWriter implements ColumnWriter {
  readonly #presence = new Presence();
  #data = new Uint8Array(0);

  write(row: number, value: JsonValue | undefined): boolean {
    const bit = typeof value === 'boolean' ? Number(value) : bitOf(value);
    if (bit !== undefined) {
      this.#data[row] = bit;
      return this.#presence.present(row);
    }
    this.#presence.absent(row);
    return value === null || value === undefined;
  }

  writeToken(row: number, tape: JsonTape, at: number): boolean {
    const kind = tape.kind(at);
    return this.write(row, kind === TOKEN.true ? true : kind === TOKEN.false ? false : tape.value(at));
  }

  reserve(capacity: number): void {
    if (capacity <= this.#data.length) return;
    this.#data = grown((length) => new Uint8Array(length), this.#data, capacity);
    this.#presence.reserve(capacity);
  }

  vector(rowCount: number): FixedVector {
    return {kind: 'fixed', data: this.#data.subarray(0, rowCount), validity: this.#presence.validity(rowCount)};
  }

  clear(): void {
    this.#presence.clear();
  }

  sizeBytes(rowCount: number): number {
    return rowCount;
  }
}

/** The integer that anything but a number says, NaN when it says none or one beyond a double. */
function integerOf(value: JsonValue | undefined): number {
  const integer = bigIntegerOf(value);
  return integer === null ? NaN : Number(integer);
}

function bigIntegerOf(value: JsonValue | undefined): bigint | null {
  if (typeof value === 'string') return unscaledOf(value, 0);
  if (typeof value === 'bigint') return value;
  if (typeof value === 'boolean') return value ? 1n : 0n;
  return value instanceof ExactNumber ? unscaledOf(value.text, 0) : null;
}

function floatOf(value: JsonValue | undefined): number | null {
  if (typeof value === 'string') return doubleOf(value);
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value === 'bigint') return finiteOf(Number(value));
  return value instanceof ExactNumber ? doubleOf(value.text) : null;
}

function finiteOf(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function isOutsideOfSingle(value: number): boolean {
  const single = Math.fround(value);
  return Number.isFinite(value) && (!Number.isFinite(single) || (single === 0 && value !== 0));
}

function bitOf(value: JsonValue | undefined): number | undefined {
  switch (typeof value) {
    case 'string':
      return BOOLEAN_WORDS.get(value.toLowerCase());
    case 'number':
      return value === 0 || value === 1 ? value : undefined;
    case 'bigint':
      return value === 0n || value === 1n ? Number(value) : undefined;
    default:
      return undefined;
  }
}
