import {IngestError} from '../../core/errors.ts';
import type {JsonValue} from '../../core/json-value.ts';
import {formatTimestamp, parseDate} from '../../core/time-text.ts';
import {compareCursors, cursorMicros, type CursorKind, type CursorValue} from '../cursor.ts';
import type {CursorFormat} from './read-plan.ts';

/** A cursor format at work. */
export interface OpenFormat {
  /** Values are times: lag, lookback and a start time mean something. */
  readonly isTime: boolean;
  /** For comparing and for the tracker. */
  readonly kind: CursorKind;
  /** A value as it can stand in an offset; null for null. @throws CONTRACT_VIOLATION when it is neither number nor text. */
  readonly plain: (value: JsonValue | undefined) => CursorValue | null;
  compare(left: CursorValue, right: CursorValue): number;
  /** Microseconds since 1970. @throws CONTRACT_VIOLATION when it is no time. */
  micros(value: CursorValue): bigint;
  /** The greatest value that is not above the instant. */
  print(micros: bigint): CursorValue;
}

const MICROS = 1_000_000n;
const DAY = 86_400n * MICROS;

/** Opens a format, default `iso`. */
export function openFormat(format: CursorFormat = 'iso'): OpenFormat {
  if (typeof format === 'object') {
    const {parse, print} = format;
    const compare = (left: CursorValue, right: CursorValue): number => compareNumbers(parse(left), parse(right));
    return {isTime: true, kind: 'timestamp', plain, compare, micros: parse, print};
  }
  const kind = kindOf(format);
  const compare = (left: CursorValue, right: CursorValue): number => compareCursors(kind, left, right);
  const isTime = format !== 'number' && format !== 'text';
  return {
    isTime,
    kind,
    plain,
    compare,
    micros: (value) => microsOf(format, value),
    print: (micros) => printed(format, micros),
  };
}

/** The unit in which a format counts, in microseconds. */
export function granule(unit: 'day' | 'second' | 'millisecond' | 'microsecond'): bigint {
  switch (unit) {
    case 'day':
      return DAY;
    case 'second':
      return MICROS;
    case 'millisecond':
      return 1000n;
    case 'microsecond':
      return 1n;
  }
}

function kindOf(format: Exclude<CursorFormat, object>): CursorKind {
  switch (format) {
    case 'iso':
    case 'iso_seconds':
    case 'iso_ms':
      return 'timestamp';
    case 'date':
      return 'date';
    case 'epoch_seconds':
    case 'epoch_ms':
    case 'number':
      return 'number';
    case 'text':
      return 'text';
  }
}

function plain(value: JsonValue | undefined): CursorValue | null {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' || typeof value === 'number') return value;
  if (typeof value === 'bigint') return value.toString();
  throw notATime();
}

function microsOf(format: Exclude<CursorFormat, object>, value: CursorValue): bigint {
  switch (format) {
    case 'epoch_seconds':
      return scaled(value, 1_000_000);
    case 'epoch_ms':
      return scaled(value, 1000);
    case 'date': {
      const day = parseDate(String(value));
      if (day === null) throw notATime();
      return BigInt(day) * DAY;
    }
    case 'number':
    case 'text':
      throw notATime();
    default:
      return cursorMicros(String(value));
  }
}

function scaled(value: CursorValue, factor: number): bigint {
  const number = Number(value);
  if (!Number.isFinite(number) || value === '') throw notATime();
  return Number.isInteger(number) ? BigInt(number) * BigInt(factor) : BigInt(Math.round(number * factor));
}

function printed(format: Exclude<CursorFormat, object>, micros: bigint): CursorValue {
  switch (format) {
    case 'epoch_seconds':
      return Number(floorTo(micros, MICROS) / MICROS);
    case 'epoch_ms':
      return Number(floorTo(micros, 1000n) / 1000n);
    case 'date':
      return formatTimestamp(micros).slice(0, 10);
    case 'iso_seconds':
      return `${formatTimestamp(micros).slice(0, 19)}Z`;
    case 'iso_ms':
      return `${formatTimestamp(micros).slice(0, 23)}Z`;
    case 'iso':
      return formatTimestamp(micros);
    case 'number':
    case 'text':
      throw notATime();
  }
}

/** The greatest multiple of a unit that is not above a time, also before 1970. */
export function floorTo(micros: bigint, unit: bigint): bigint {
  const rest = micros % unit;
  return micros - (rest < 0n ? rest + unit : rest);
}

function compareNumbers(left: bigint, right: bigint): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function notATime(): IngestError {
  return new IngestError('CONTRACT_VIOLATION', 'The value of a cursor field is not of the declared format.', {
    fix: 'Declare the format in which the source writes the cursor field.',
  });
}
