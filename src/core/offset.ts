import {isDeepStrictEqual} from 'node:util';

import {IngestError} from './errors.ts';

/** Plain JSON, as it is written into a batch file. */
export type PlainJson = null | boolean | number | string | readonly PlainJson[] | {readonly [key: string]: PlainJson};

/** Where a flow stands in its source: plain JSON that only the connector understands, at most 64 KB of text. */
export type Offset = {readonly [key: string]: PlainJson};

/** The largest offset, in bytes of its JSON text. What grows with the source belongs into a ledger. */
export const MAX_OFFSET_BYTES = 65_536;

/** True when both offsets say the same, whatever the order of their keys; null equals only null. */
export function offsetsEqual(left: Offset | null, right: Offset | null): boolean {
  return left === right || isDeepStrictEqual(left, right);
}

/** A text that is equal for equal offsets, for use as a map key. */
export function offsetText(offset: Offset | null): string {
  return JSON.stringify(sorted(offset));
}

/**
 * Checks that a value can be an offset.
 * @throws CONTRACT_VIOLATION when it is no plain JSON object; OFFSET_TOO_LARGE above {@link MAX_OFFSET_BYTES}.
 */
export function checkOffset(offset: unknown, table: string): Offset | null {
  if (offset === null || offset === undefined) return null;
  const text = isPlainJson(offset) ? JSON.stringify(offset) : undefined;
  if (text === undefined || typeof offset !== 'object' || Array.isArray(offset)) {
    throw new IngestError('CONTRACT_VIOLATION', `The offset of table "${table}" is not a plain JSON object.`, {
      fix: 'Return an object of strings, numbers, booleans, nulls, arrays and objects; write a bigint as text.',
      context: {table},
    });
  }
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes > MAX_OFFSET_BYTES) {
    throw new IngestError(
      'OFFSET_TOO_LARGE',
      `The offset of table "${table}" has ${sizeBytes} bytes; at most ${MAX_OFFSET_BYTES} are allowed.`,
      {
        fix: 'Keep what grows with the source in the ledger.',
        context: {table, sizeBytes},
      },
    );
  }
  return offset as Offset;
}

function isPlainJson(value: unknown): value is PlainJson {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (Array.isArray(value)) return value.every(isPlainJson);
  if (typeof value !== 'object') return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return (prototype === Object.prototype || prototype === null) && Object.values(value).every(isPlainJson);
}

function sorted(value: PlainJson): PlainJson {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(sorted);
  const entries = Object.entries(value as Offset).sort(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}
