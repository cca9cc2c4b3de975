import type {ColumnVector, DataType, FixedVector} from '../../sdk/index.ts';
import {parseDate, parseTimestamp} from '../../sdk/index.ts';
import type {RowReader} from './row-format.ts';

/** Gathers the values of one column. */
export interface VectorBuilder {
  /** Begins a batch whose values lie in these bytes. */
  begin(bytes: Buffer): void;
  addNull(row: number): void;
  /** Takes the value that the reader stands at; false where the type cannot hold it: it is NULL then. */
  add(reader: RowReader, row: number): boolean;
  /** Good until the next `begin`. */
  vector(): ColumnVector;
}

/** The builder of a landed type, for batches of at most `rows` rows. */
export function vectorBuilder(type: DataType, rows: number): VectorBuilder {
  switch (type) {
    case 'boolean':
      return new Fixed(new Uint8Array(rows), (text) => (text === '1' ? 1 : 0));
    case 'short':
      return new Fixed(new Int16Array(rows), Number);
    case 'integer':
      return new Fixed(new Int32Array(rows), Number);
    case 'long':
      return new Fixed(new BigInt64Array(rows), (text) => BigInt(text.length <= SAFE_DIGITS ? Number(text) : text));
    case 'float':
      return new Fixed(new Float32Array(rows), Number);
    case 'double':
      return new Fixed(new Float64Array(rows), Number);
    case 'date':
      return new Fixed(new Int32Array(rows), parseDate);
    case 'timestamp':
    case 'timestamp_ntz':
      return new Fixed(new BigInt64Array(rows), (text) => {
        const found = parseTimestamp(text);
        return found === null ? null : BigInt(found.micros);
      });
    default:
      return typeof type === 'object' && type.type === 'decimal'
        ? decimals(type.precision, type.scale, rows)
        : new Slices(rows);
  }
}

/** Values of one width, from their texts. */
class Fixed<T extends FixedVector['data']> implements VectorBuilder {
  readonly #data: T;
  readonly #validity: Uint8Array;
  readonly #parse: (text: string) => T[number] | null;

  constructor(data: T, parse: (text: string) => T[number] | null) {
    this.#data = data;
    this.#validity = new Uint8Array((data.length + 7) >> 3);
    this.#parse = parse;
  }

  begin(_bytes: Buffer): void {
    this.#validity.fill(0xff);
  }

  addNull(row: number): void {
    clearBit(this.#validity, row);
  }

  add(reader: RowReader, row: number): boolean {
    const value = this.#parse(reader.ascii());
    if (value === null) this.addNull(row);
    else this.#data[row] = value;
    return value !== null;
  }

  vector(): ColumnVector {
    return {kind: 'fixed', data: this.#data, validity: this.#validity};
  }
}

/** Texts and bytes stay where they are. */
class Slices implements VectorBuilder {
  readonly #starts: Uint32Array;
  readonly #lengths: Uint32Array;
  readonly #validity: Uint8Array;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(rows: number) {
    this.#starts = new Uint32Array(rows);
    this.#lengths = new Uint32Array(rows);
    this.#validity = new Uint8Array((rows + 7) >> 3);
  }

  begin(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#validity.fill(0xff);
  }

  addNull(row: number): void {
    this.#starts[row] = 0;
    this.#lengths[row] = 0;
    clearBit(this.#validity, row);
  }

  add({start, end}: RowReader, row: number): boolean {
    this.#starts[row] = start;
    this.#lengths[row] = end - start;
    return true;
  }

  vector(): ColumnVector {
    return {
      kind: 'bytes',
      data: this.#bytes,
      starts: this.#starts,
      lengths: this.#lengths,
      validity: this.#validity,
    };
  }
}

/** Digits and sign that make a number which a double holds; short texts are quicker that way. */
const SAFE_DIGITS = 15;

function decimals(precision: number, scale: number, rows: number): VectorBuilder {
  const unscaled = (text: string): bigint => {
    const point = text.indexOf('.');
    const digits = point === -1 ? text : text.slice(0, point) + text.slice(point + 1);
    const missing = point === -1 ? scale : scale - (text.length - point - 1);
    const all = missing === 0 ? digits : digits + '0'.repeat(missing);
    return BigInt(all.length <= SAFE_DIGITS ? Number(all) : all);
  };
  if (precision <= 4) return new Fixed(new Int16Array(rows), (text) => Number(unscaled(text)));
  if (precision <= 9) return new Fixed(new Int32Array(rows), (text) => Number(unscaled(text)));
  if (precision <= 18) return new Fixed(new BigInt64Array(rows), unscaled);
  return new WideDecimals(rows, unscaled);
}

/** Two words a value, low one first. */
class WideDecimals implements VectorBuilder {
  readonly #data: BigInt64Array;
  readonly #validity: Uint8Array;
  readonly #parse: (text: string) => bigint;

  constructor(rows: number, parse: (text: string) => bigint) {
    this.#data = new BigInt64Array(2 * rows);
    this.#validity = new Uint8Array((rows + 7) >> 3);
    this.#parse = parse;
  }

  begin(_bytes: Buffer): void {
    this.#validity.fill(0xff);
  }

  addNull(row: number): void {
    clearBit(this.#validity, row);
  }

  add(reader: RowReader, row: number): boolean {
    const value = this.#parse(reader.ascii());
    this.#data[2 * row] = BigInt.asIntN(64, value);
    this.#data[2 * row + 1] = value >> 64n;
    return true;
  }

  vector(): ColumnVector {
    return {kind: 'fixed', data: this.#data, validity: this.#validity};
  }
}

function clearBit(bits: Uint8Array, row: number): void {
  bits[row >> 3] = (bits[row >> 3] ?? 0) & ~(1 << (row & 7));
}
