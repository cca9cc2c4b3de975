import {IngestError} from '../core/errors.ts';
import type {JsonObject, JsonValue} from '../core/json-value.ts';
import type {Offset} from '../core/offset.ts';
import {parseDate, parseTimestamp} from '../core/time-text.ts';

/** How the values of a cursor field compare: as instants, days, numbers, or texts by their code units. */
export type CursorKind = 'timestamp' | 'date' | 'number' | 'text';

/** A cursor as the source writes it. */
export type CursorValue = string | number;

/**
 * Below zero, zero or above for the order of two cursor values; null is lowest. Timestamps compare as microseconds,
 * whatever their precision and offset: `…:00Z` and `…:00.000+00:00` are equal, though their texts are not.
 * @throws CONTRACT_VIOLATION when a value is not of the kind.
 */
export function compareCursors(kind: CursorKind, left: JsonValue | undefined, right: JsonValue | undefined): number {
  const [a, b] = [comparable(kind, left), comparable(kind, right)];
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A timestamp text as microseconds since 1970; without a zone it is UTC. @throws CONTRACT_VIOLATION when it is none. */
export function cursorMicros(text: string): bigint {
  const timestamp = parseTimestamp(text);
  if (timestamp === null) throw notOfKind('timestamp');
  return BigInt(timestamp.micros);
}

/** What a tracker follows. */
export interface CursorTrackerOptions {
  /** For messages. */
  readonly table: string;
  /** Field of the records that orders them, ascending. */
  readonly field: string;
  readonly kind: CursorKind;
}

/** Follows an ascending cursor through the pages of one call, safe where several rows share one value. */
export interface CursorTracker {
  /** Lower bound to read from, itself included; null: from the beginning. Rows at the bound are read again on purpose. */
  readonly from: CursorValue | null;
  /**
   * Takes the rows of the next page. Returns an offset that this page may carry: the newest value of which no further row can
   * come, because a greater one has been seen. Undefined while there is none beyond the start.
   * @throws CONTRACT_VIOLATION when the rows are not ascending.
   */
  page(rows: readonly JsonObject[]): Offset | undefined;
  /** The offset after the last page of the source: equal to the start when nothing newer came. */
  end(): Offset | null;
}

/**
 * Makes a tracker that goes on from an offset of an earlier one (`{cursor}`). The bound is inclusive, so that a row which gets the
 * same value later than its neighbours is not lost; rows delivered twice change nothing. A page that ends in the middle of
 * equal values never carries their value as offset.
 */
export function createCursorTracker(options: CursorTrackerOptions, start: Offset | null): CursorTracker {
  const {table, field, kind} = options;
  const from = cursorOf(start);
  let newest = from;
  let complete: CursorValue | null = null;
  let last: CursorValue | null = null;
  return {
    from,
    page(rows) {
      for (const row of rows) {
        const value = plainCursor(row[field]);
        if (value === null) continue;
        if (last !== null && compareCursors(kind, value, last) < 0) throw notAscending(table, field);
        last = value;
        if (newest !== null && compareCursors(kind, value, newest) <= 0) continue;
        if (newest !== null && newest !== from) complete = newest;
        newest = value;
      }
      return complete === null ? undefined : {cursor: complete};
    },
    end: () => (newest === null || newest === from ? start : {cursor: newest}),
  };
}

function cursorOf(offset: Offset | null): CursorValue | null {
  const cursor = offset?.['cursor'];
  return typeof cursor === 'string' || typeof cursor === 'number' ? cursor : null;
}

/** A value as it can stand in an offset; 64-bit integers as text. */
function plainCursor(value: JsonValue | undefined): CursorValue | null {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' || typeof value === 'number') return value;
  if (typeof value === 'bigint') return value.toString();
  throw notOfKind('number or text');
}

function comparable(kind: CursorKind, value: JsonValue | undefined): bigint | number | string | null {
  if (value === null || value === undefined) return null;
  if (kind === 'text') return typeof value === 'string' ? value : String(plainCursor(value));
  if (kind === 'number') return numberOf(value);
  // Instants and days may come as numbers of one unit, which compare as they are.
  if (typeof value === 'number' || typeof value === 'bigint') return value;
  if (typeof value !== 'string') throw notOfKind(kind);
  if (kind === 'timestamp') return cursorMicros(value);
  const day = parseDate(value);
  if (day === null) throw notOfKind(kind);
  return day;
}

function numberOf(value: JsonValue): bigint | number {
  if (typeof value === 'number' || typeof value === 'bigint') return value;
  const text = String(value);
  if (/^-?\d+$/.test(text)) return BigInt(text);
  const number = text.trim() === '' ? NaN : Number(text);
  if (Number.isNaN(number)) throw notOfKind('number');
  return number;
}

function notOfKind(kind: string): IngestError {
  return new IngestError('CONTRACT_VIOLATION', `The value of a cursor field is no ${kind}.`, {
    fix: 'Declare the kind of cursor that the source has, or choose another cursor field.',
  });
}

function notAscending(table: string, field: string): IngestError {
  return new IngestError('CONTRACT_VIOLATION', `The rows of table "${table}" are not ascending by "${field}".`, {
    fix: 'Ask the source to sort by the cursor field, or read by time windows.',
    context: {table, field},
  });
}
