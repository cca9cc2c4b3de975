import {ExactNumber, type JsonObject, type JsonValue} from '../core/json-value.ts';
import {parseTimestamp} from '../core/time-text.ts';
import type {TimeFormat} from './simulator-spec.ts';

/** What values are compared by: times as microseconds, exact numbers as doubles. */
export type SortKey = null | boolean | number | bigint | string;

/** The names of a dotted path; from an `@` on it is one name. */
export function pathOf(path: string): readonly string[] {
  const at = path.indexOf('@');
  if (at < 0) return path.split('.');
  return [...path.slice(0, at).split('.').slice(0, -1), path.slice(at)];
}

/** The value at a dotted path, undefined when there is none. */
export function valueAt(value: JsonValue | undefined, path: string): JsonValue | undefined {
  if (isObject(value) && value[path] !== undefined) return value[path];
  let current: JsonValue | undefined = value;
  for (const name of pathOf(path)) {
    if (!isObject(current)) return undefined;
    current = current[name];
  }
  return current;
}

/** The object with one value set; the objects on the path are copied. */
export function withValue(value: JsonObject, path: string, set: JsonValue): JsonObject {
  return withNames(value, pathOf(path), set);
}

/** True for a JSON object. */
export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber);
}

/** What a value is compared by. */
export function sortKey(value: JsonValue | undefined): SortKey {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string') return timeKey(value) ?? value;
  if (value instanceof ExactNumber) return Number(value.text);
  return typeof value === 'object' ? JSON.stringify(value) : value;
}

/** Negative, zero or positive; null comes last. */
export function compareKeys(left: SortKey, right: SortKey): number {
  if (left === right) return 0;
  if (left === null) return 1;
  if (right === null) return -1;
  if (isNumeric(left) !== isNumeric(right)) return String(left) < String(right) ? -1 : 1;
  return left < right ? -1 : left > right ? 1 : 0;
}

/** A time as rows write it. */
export function formatTime(ms: number, format: TimeFormat = 'iso'): JsonValue {
  const iso = new Date(ms).toISOString();
  switch (format) {
    case 'iso':
      return iso;
    case 'isoSeconds':
      return `${iso.slice(0, 19)}Z`;
    case 'sqlSeconds':
      return iso.slice(0, 19).replace('T', ' ');
    case 'epochSeconds':
      return Math.floor(ms / 1000);
    case 'epochMs':
      return Math.floor(ms);
  }
}

/** Milliseconds of a time that is written in a format; NaN when it is none. */
export function parseTime(value: string, format: TimeFormat): number {
  if (format === 'epochMs') return Number(value);
  if (format === 'epochSeconds') return Number(value) * 1000;
  const parsed = parseTimestamp(value);
  return parsed === null ? NaN : Number(parsed.micros) / 1000;
}

const TIME = /^\d{4}-\d\d-\d\d/;

function timeKey(value: string): number | bigint | null {
  return TIME.test(value) ? (parseTimestamp(value)?.micros ?? null) : null;
}

function isNumeric(value: SortKey): boolean {
  return typeof value === 'number' || typeof value === 'bigint';
}

function withNames(value: JsonObject, names: readonly string[], set: JsonValue): JsonObject {
  const [name, ...rest] = names;
  if (name === undefined) return value;
  if (rest.length === 0) return {...value, [name]: set};
  const inner = value[name];
  return {...value, [name]: withNames(isObject(inner) ? inner : {}, rest, set)};
}
