import type {FixedVector} from '../columns.ts';
import type {JsonTape} from '../json-tape.ts';
import {ExactNumber, type JsonValue} from '../json-value.ts';
import type {DecimalType} from '../types.ts';
import {type ColumnWriter, grown, Presence} from './column-writer.ts';
import {unscaledOf} from './number-text.ts';
import {numberAt} from './token-values.ts';

type Unscaled = Int16Array | Int32Array | BigInt64Array;

const EXACT_DIGITS = 1e15;
const TWO_32 = 4_294_967_296;
const MAX_EXACT_POWER = 22;

/**
 * decimal: the exact number of a text, bigint, exact number or double (the shortest text of which is meant). A digit
 * that the scale would drop must be zero, and the precision must hold the rest, else the value does not fit.
 */
export class DecimalWriter implements ColumnWriter {
  readonly #presence = new Presence();
  readonly #scale: number;
  readonly #factor: number;
  readonly #bigFactor: bigint;
  readonly #limit: bigint;
  readonly #numberLimit: number;
  readonly #make: (length: number) => Unscaled;
  /** Elements of the data per row: 2 for decimals of 16 bytes. */
  readonly #stride: 1 | 2;
  #data: Unscaled;
  #halves: Int32Array | null = null;
  #capacity = 0;

  constructor({precision, scale}: DecimalType) {
    this.#scale = scale;
    this.#factor = 10 ** scale;
    this.#bigFactor = 10n ** BigInt(scale);
    this.#limit = 10n ** BigInt(precision);
    // Below 15 digits a double has one shortest decimal, so that dividing back proves that nothing was lost.
    this.#numberLimit = scale > MAX_EXACT_POWER ? 0 : Math.min(EXACT_DIGITS, 10 ** precision);
    this.#make = (length) =>
      precision <= 4 ? new Int16Array(length) : precision <= 9 ? new Int32Array(length) : new BigInt64Array(length);
    this.#stride = precision > 18 ? 2 : 1;
    this.#data = this.#make(0);
  }

  write(row: number, value: JsonValue | undefined): boolean {
    if (typeof value === 'number') {
      const unscaled = Math.round(value * this.#factor);
      if (Math.abs(unscaled) < this.#numberLimit && unscaled / this.#factor === value) return this.#set(row, unscaled);
    }
    const unscaled = typeof value === 'bigint' && this.#scale === 0 ? value : this.#unscaledOf(value);
    if (unscaled !== null && unscaled < this.#limit && unscaled > -this.#limit) return this.#setBig(row, unscaled);
    this.#presence.absent(row);
    return value === null || value === undefined;
  }

  #unscaledOf(value: JsonValue | undefined): bigint | null {
    switch (typeof value) {
      case 'string':
        return unscaledOf(value, this.#scale);
      case 'bigint':
        return value * this.#bigFactor;
      case 'number':
        return Number.isInteger(value) && !Number.isSafeInteger(value) ? null : unscaledOf(String(value), this.#scale);
      default:
        return value instanceof ExactNumber ? unscaledOf(value.text, this.#scale) : null;
    }
  }

  #set(row: number, unscaled: number): true {
    if (this.#halves === null) {
      this.#data[row] = unscaled as never;
      return this.#presence.present(row);
    }
    const at = 2 * this.#stride * row;
    const high = Math.floor(unscaled / TWO_32);
    this.#halves[at] = unscaled;
    this.#halves[at + 1] = high;
    if (this.#stride === 2) {
      const sign = high < 0 ? -1 : 0;
      this.#halves[at + 2] = sign;
      this.#halves[at + 3] = sign;
    }
    return this.#presence.present(row);
  }

  #setBig(row: number, unscaled: bigint): true {
    if (!(this.#data instanceof BigInt64Array)) {
      this.#data[row] = Number(unscaled);
    } else if (this.#stride === 1) {
      this.#data[row] = unscaled;
    } else {
      this.#data[2 * row] = BigInt.asIntN(64, unscaled);
      this.#data[2 * row + 1] = unscaled >> 64n;
    }
    return this.#presence.present(row);
  }

  writeToken(row: number, tape: JsonTape, at: number): boolean {
    const number = numberAt(tape, at);
    return this.write(row, Number.isNaN(number) ? tape.value(at) : number);
  }

  reserve(capacity: number): void {
    if (capacity <= this.#capacity) return;
    this.#capacity = capacity;
    this.#data = grown<Unscaled & {set(from: Unscaled): void}>(
      this.#make as never,
      this.#data as never,
      capacity * this.#stride,
    );
    if (this.#data instanceof BigInt64Array) this.#halves = new Int32Array(this.#data.buffer);
    this.#presence.reserve(capacity);
  }

  vector(rowCount: number): FixedVector {
    return {
      kind: 'fixed',
      data: this.#data.subarray(0, rowCount * this.#stride),
      validity: this.#presence.validity(rowCount),
    };
  }

  clear(): void {
    this.#presence.clear();
  }

  sizeBytes(rowCount: number): number {
    return rowCount * this.#stride * this.#data.BYTES_PER_ELEMENT;
  }
}
