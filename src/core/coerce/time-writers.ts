import type {FixedVector} from '../columns.ts';
import type {JsonTape} from '../json-tape.ts';
import {ExactNumber, type JsonValue} from '../json-value.ts';
import {MAX_MICROS, MIN_MICROS, parseDate, parseTimestamp} from '../time-text.ts';
import {type ColumnWriter, grown, Presence} from './column-writer.ts';
import {unscaledOf} from './number-text.ts';
import {LongColumn} from './number-writers.ts';
import {instantAt} from './token-values.ts';

/** What the numbers of a timestamp column count since 1970. */
export type EpochUnit = 's' | 'ms' | 'us';

/** date: text, see {@link parseDate}; in a wide column days since 1970, too. */
export class DateWriter implements ColumnWriter {
  readonly #presence = new Presence();
  readonly #isWide: boolean;
  #data = new Int32Array(0);

  constructor(isWide: boolean) {
    this.#isWide = isWide;
  }

  write(row: number, value: JsonValue | undefined): boolean {
    const day = typeof value === 'string' ? parseDate(value) : this.#isWide ? wholeDays(value) : null;
    if (day !== null) {
      this.#data[row] = day;
      return this.#presence.present(row);
    }
    this.#presence.absent(row);
    return value === null || value === undefined;
  }

  writeToken(row: number, tape: JsonTape, at: number): boolean {
    return this.write(row, tape.value(at));
  }

  reserve(capacity: number): void {
    if (capacity <= this.#data.length) return;
    this.#data = grown((length) => new Int32Array(length), this.#data, capacity);
    this.#presence.reserve(capacity);
  }

  vector(rowCount: number): FixedVector {
    return {kind: 'fixed', data: this.#data.subarray(0, rowCount), validity: this.#presence.validity(rowCount)};
  }

  clear(): void {
    this.#presence.clear();
  }

  sizeBytes(rowCount: number): number {
    return rowCount * 4;
  }
}

/**
 * timestamp and timestamp_ntz: ISO text, see {@link parseTimestamp}, or numbers of the declared unit. Without a unit a number
 * below 1e11 counts seconds, below 1e14 milliseconds, else microseconds; text of digits only counts with a declared unit.
 * In a wide column a bigint counts microseconds over all of 64 bits. A wall-clock column (ntz) takes no text with an offset other than UTC: it could not say which clock is meant.
 */
export class TimestampWriter implements ColumnWriter {
  readonly #column = new LongColumn();
  readonly #unit: EpochUnit | null;
  readonly #isWallClock: boolean;
  readonly #isWide: boolean;

  constructor(unit: EpochUnit | null, options: {readonly isWallClock: boolean; readonly isWide: boolean}) {
    this.#unit = unit;
    this.#isWallClock = options.isWallClock;
    this.#isWide = options.isWide;
  }

  write(row: number, value: JsonValue | undefined): boolean {
    const micros = typeof value === 'string' ? this.#microsOfText(value) : this.#microsOfNumber(value);
    if (typeof micros === 'number') return this.#column.set(row, micros);
    if (micros !== null) return this.#column.setBig(row, micros);
    this.#column.presence.absent(row);
    return value === null || value === undefined;
  }

  #microsOfText(text: string): number | bigint | null {
    const timestamp = parseTimestamp(text);
    if (timestamp === null) return this.#unit === null ? null : inRange(microsOfDecimal(text, this.#unit));
    return this.#isWallClock && timestamp.zone === 'offset' ? null : timestamp.micros;
  }

  #microsOfNumber(value: JsonValue | undefined): number | bigint | null {
    if (typeof value === 'bigint' && this.#isWide) return BigInt.asIntN(64, value) === value ? value : null;
    if (typeof value === 'bigint') return inRange(value * MICROS_PER_UNIT[this.#unit ?? 'us']);
    if (value instanceof ExactNumber)
      return inRange(microsOfDecimal(value.text, this.#unit ?? unitOf(Number(value.text))));
    if (typeof value !== 'number' || !Number.isFinite(value)) return null;
    // Rounding undoes the error of a fraction in a double; what it could not undo is below half a microsecond anyway.
    const micros = Math.round(value * Number(MICROS_PER_UNIT[this.#unit ?? unitOf(value)]));
    return Number.isSafeInteger(micros)
      ? micros
      : inRange(BigInt(Math.trunc(value)) * MICROS_PER_UNIT[this.#unit ?? unitOf(value)]);
  }

  writeToken(row: number, tape: JsonTape, at: number): boolean {
    const micros = instantAt(tape, at);
    return Number.isNaN(micros) ? this.write(row, tape.value(at)) : this.#column.set(row, micros);
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

function wholeDays(value: JsonValue | undefined): number | null {
  return typeof value === 'number' && (value | 0) === value ? value : null;
}

const MICROS_PER_UNIT: Readonly<Record<EpochUnit, bigint>> = {s: 1_000_000n, ms: 1000n, us: 1n};
const FRACTION_DIGITS: Readonly<Record<EpochUnit, number>> = {s: 6, ms: 3, us: 0};
const SECONDS_BELOW = 1e11;
const MILLIS_BELOW = 1e14;

/** The unit that puts a number into the years 1973 to 5138; smaller ones are seconds. */
function unitOf(value: number): EpochUnit {
  const size = Math.abs(value);
  return size < SECONDS_BELOW ? 's' : size < MILLIS_BELOW ? 'ms' : 'us';
}

/** Microseconds of a decimal text in a unit; digits beyond microseconds are cut off. */
function microsOfDecimal(text: string, unit: EpochUnit): bigint | null {
  const scale = FRACTION_DIGITS[unit];
  const [, whole, fraction = ''] = /^\s*([+-]?\d+)\.(\d+)\s*$/.exec(text) ?? [];
  return unscaledOf(whole === undefined ? text : `${whole}.${fraction.slice(0, scale)}`, scale);
}

function inRange(micros: bigint | null): bigint | null {
  return micros !== null && micros >= MIN_MICROS && micros <= MAX_MICROS ? micros : null;
}
