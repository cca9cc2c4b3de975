import type {JsonObject, JsonValue} from '../core/json-value.ts';
import {WrongRequest} from './error-reply.ts';
import {compareKeys, formatTime, parseTime, sortKey, type SortKey, valueAt} from './row-values.ts';
import type {FilterOperator, TimeFormat} from './simulator-spec.ts';

/** One condition on rows, its values as the request gave them. */
export interface Condition {
  readonly field: string;
  readonly op: FilterOperator;
  readonly values: readonly JsonValue[];
  /** How the request writes times. */
  readonly as?: TimeFormat;
}

/** True for rows that meet all conditions. Null and absent values meet `ne` only. */
export function rowFilter(conditions: readonly Condition[]): (row: JsonObject) => boolean {
  const tests = conditions.map(testOf);
  return (row) => tests.every((test) => test(row));
}

function testOf({field, op, values, as}: Condition): (row: JsonObject) => boolean {
  const milliseconds = as === undefined ? null : values.map((value) => millisecondsOf(value, as));
  return (row) => {
    const value = valueAt(row, field);
    if (value === undefined || value === null) return op === 'ne';
    if (op === 'prefix') return String(value).startsWith(String(values[0] ?? ''));
    if (op === 'contains')
      return String(value)
        .toLowerCase()
        .includes(String(values[0] ?? '').toLowerCase());
    const actual = sortKey(value);
    const wanted = milliseconds?.map((ms) => timeLike(value, ms)) ?? values.map((one) => keyLike(value, one));
    return holds(op, actual, wanted);
  };
}

function holds(op: FilterOperator, actual: SortKey, wanted: readonly SortKey[]): boolean {
  const order = compareKeys(actual, wanted[0] ?? null);
  switch (op) {
    case 'eq':
      return order === 0;
    case 'ne':
      return order !== 0;
    case 'gt':
      return order > 0;
    case 'gte':
      return order >= 0;
    case 'lt':
      return order < 0;
    case 'lte':
      return order <= 0;
    case 'in':
      return wanted.some((one) => compareKeys(actual, one) === 0);
    case 'between':
      return order >= 0 && compareKeys(actual, wanted[1] ?? null) <= 0;
    default:
      return false;
  }
}

/** What the request says, as a value of the kind that the row has. */
export function keyLike(value: JsonValue, said: JsonValue): SortKey {
  if (typeof said !== 'string') return typeof value === 'string' ? sortKey(String(said)) : sortKey(said);
  if (typeof value === 'boolean') return said === 'true' || said === '1';
  if (typeof value === 'string') return sortKey(said);
  const number = Number(said);
  return said === '' || Number.isNaN(number) ? said : number;
}

function millisecondsOf(value: JsonValue, format: TimeFormat): number {
  const ms = parseTime(String(value), format);
  if (Number.isNaN(ms)) throw new WrongRequest('badRequest', 'A time is not written as it must be.');
  return ms;
}

/** A time as the row writes it: epoch seconds when its number is that small. */
function timeLike(value: JsonValue, ms: number): SortKey {
  if (typeof value === 'string') return sortKey(formatTime(ms));
  return Number(value) < 1e11 ? ms / 1000 : ms;
}
