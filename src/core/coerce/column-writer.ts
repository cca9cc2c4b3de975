import type {ColumnVector, Validity} from '../columns.ts';
import type {JsonTape} from '../json-tape.ts';
import type {JsonValue} from '../json-value.ts';

/** Takes raw JSON values into one column. Rows are written in order; the last one may be written again. */
export interface ColumnWriter {
  /** Makes room for rows below `capacity` and keeps what is written. */
  reserve(capacity: number): void;
  /** Writes a row: null for null and undefined. False when the value does not fit; the row is null then. */
  write(row: number, value: JsonValue | undefined): boolean;
  /** As `write` of the value of a token, but false also for what only `write` can decide about. */
  writeToken(row: number, tape: JsonTape, at: number): boolean;
  /** The first `rowCount` rows. The arrays are used again by the next `write`. */
  vector(rowCount: number): ColumnVector;
  /** Forgets all rows and keeps the memory. */
  clear(): void;
  /** About how many bytes the first `rowCount` rows take. */
  sizeBytes(rowCount: number): number;
}

/** Which rows are there: a byte per row while rows are written, packed to bits on demand. */
export class Presence {
  #bytes = new Uint8Array(0);
  #hasNull = false;

  reserve(capacity: number): void {
    if (capacity <= this.#bytes.length) return;
    const larger = new Uint8Array(capacity);
    larger.set(this.#bytes);
    this.#bytes = larger;
  }

  present(row: number): true {
    this.#bytes[row] = 1;
    return true;
  }

  absent(row: number): void {
    this.#bytes[row] = 0;
    this.#hasNull = true;
  }

  /** Null when every row is there. */
  validity(rowCount: number): Validity {
    if (!this.#hasNull) return null;
    const bytes = this.#bytes;
    const bits = new Uint8Array(Math.ceil(rowCount / 8));
    for (let row = 0; row < rowCount; row++) bits[row >> 3] = (bits[row >> 3] ?? 0) | ((bytes[row] ?? 0) << (row & 7));
    return bits;
  }

  clear(): void {
    this.#hasNull = false;
  }
}

/** A fixed-width array of at least `length`, with the old content: the way every writer grows. */
export function grown<T extends {readonly length: number; set(from: T): void}>(
  make: (length: number) => T,
  old: T,
  length: number,
): T {
  const larger = make(length);
  larger.set(old);
  return larger;
}
