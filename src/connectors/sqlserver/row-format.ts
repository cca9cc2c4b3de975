import {IngestError} from '../../sdk/index.ts';
import type {Cell} from './session.ts';

/** A value that the log left out because it did not change. */
export const UNCHANGED: unique symbol = Symbol('unchanged');

/** A value of a row before it is written. */
export type RowValue = Cell | typeof UNCHANGED;

/** What a change payload begins with. */
export const CHANGE = {insert: 1, update: 2, delete: 3, updateWithOld: 4} as const;

const NULL_CODE = 0;
const UNCHANGED_CODE = 1;
/** A length is written with this added. */
const LENGTH_OFFSET = 2;
/** The longest form of a length: 5 times 7 bits. */
const MAX_LENGTH_BYTES = 5;

/**
 * Writes rows: per column the length of its value (7 bits a byte, low ones first, plus 2), then the value as UTF-8 text or bytes.
 * Lengths 0 and 1 mean NULL and unchanged.
 */
export class RowWriter {
  #bytes: Buffer;
  #length = 0;

  /** @param capacity first size, in bytes; it grows. */
  constructor(capacity: number = 64 << 10) {
    this.#bytes = Buffer.allocUnsafe(capacity);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written so far; overwritten after `clear`. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  /** The values of one row, without a length before it. */
  row(values: readonly RowValue[]): void {
    for (const value of values) this.#value(value);
  }

  /** A row of a chunk: its length (u32, little-endian), then its values. */
  chunkRow(values: readonly RowValue[]): void {
    this.#reserve(4);
    const at = this.#length;
    this.#length += 4;
    this.row(values);
    this.#bytes.writeUInt32LE(this.#length - at - 4, at);
  }

  #value(value: RowValue): void {
    if (value === null || value === UNCHANGED) {
      this.byte(value === null ? NULL_CODE : UNCHANGED_CODE);
      return;
    }
    if (typeof value === 'string' || !Buffer.isBuffer(value)) {
      const text = typeof value === 'string' ? value : scalarText(value);
      const size = Buffer.byteLength(text);
      this.#reserve(size + MAX_LENGTH_BYTES);
      this.#size(size);
      this.#length += this.#bytes.write(text, this.#length);
      return;
    }
    this.#reserve(value.length + MAX_LENGTH_BYTES);
    this.#size(value.length);
    value.copy(this.#bytes, this.#length);
    this.#length += value.length;
  }

  #size(size: number): void {
    let rest = size + LENGTH_OFFSET;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
  }

  #reserve(size: number): void {
    const end = this.#length + size;
    if (end <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(end, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

/** Reads values that {@link RowWriter} wrote. After `next`, `start` and `end` bound a value that is there. */
export class RowReader {
  readonly bytes: Buffer;
  at: number;
  start = 0;
  end = 0;

  constructor(bytes: Uint8Array, at: number = 0) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
  }

  /** Goes to the next value and says whether there is one. @throws RangeError when the bytes end within it */
  next(): 'value' | 'null' | 'unchanged' {
    let code = 0;
    let factor = 1;
    for (;;) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new RangeError('a row ends too early');
      code += (byte & 0x7f) * factor;
      if (byte < 0x80) break;
      factor *= 0x80;
    }
    if (code === NULL_CODE) return 'null';
    if (code === UNCHANGED_CODE) return 'unchanged';
    this.start = this.at;
    this.end = this.at + code - LENGTH_OFFSET;
    if (this.end > this.bytes.length) throw new RangeError('a row ends too early');
    this.at = this.end;
    return 'value';
  }

  /** The value as text that is known to hold ASCII alone, which is quicker. */
  ascii(): string {
    return this.bytes.toString('latin1', this.start, this.end);
  }

  /** The value as text. */
  text(): string {
    return this.bytes.toString('utf8', this.start, this.end);
  }
}

/** The error for bytes that are no rows of the table. */
export function badRecord(table: string, cause: unknown): IngestError {
  return new IngestError('BAD_RECORD', `What was staged of table "${table}" cannot be read.`, {
    cause,
    fix: 'Refresh the table in full.',
  });
}

function scalarText(value: number | boolean): string {
  if (typeof value === 'boolean') return value ? '1' : '0';
  return Object.is(value, -0) ? '-0' : String(value);
}
