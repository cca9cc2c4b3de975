import type {JsonValue} from '../../core/json-value.ts';
import {valuesAt} from '../json-path.ts';
import type {HttpHeaders, WaitFrom} from './http-client.ts';

const SAME_TIME_MS = 2000;

/** The unit in which an answer says how long to wait. */
export type WaitUnit = 'seconds' | 'milliseconds' | 'epochSeconds' | 'epochMilliseconds' | 'httpDate';

/** Milliseconds from `nowMs` on that the answer asks to wait: the first of the places that says it; null when none does. */
export function waitMs(
  places: readonly WaitFrom[],
  answer: {readonly headers: HttpHeaders; readonly body: () => JsonValue | undefined},
  nowMs: number,
): number | null {
  for (const place of places) {
    if ('seconds' in place) return place.seconds * 1000;
    const text = 'header' in place ? answer.headers.get(place.header) : textAt(answer.body(), place.body);
    const wait = text === null ? null : parseWait(text, place.unit, nowMs);
    if (wait !== null) return wait;
  }
  return null;
}

/** What a header or field says, as milliseconds from `nowMs` on (never negative); null when it is not in that unit. */
export function parseWait(text: string, unit: WaitUnit, nowMs: number): number | null {
  if (unit === 'httpDate') {
    const at = Date.parse(text);
    return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
  }
  const number = /^\s*\d+(?:\.\d+)?\s*$/.test(text) ? Number(text) : NaN;
  if (!Number.isFinite(number)) return null;
  switch (unit) {
    case 'seconds':
      return number * 1000;
    case 'milliseconds':
      return number;
    case 'epochSeconds':
      return Math.max(0, number * 1000 - nowMs);
    case 'epochMilliseconds':
      return Math.max(0, number - nowMs);
  }
}

/**
 * The source's time when it answered: moments that it names are to be taken by its own clock. Its `Date` counts whole seconds,
 * so the local clock is believed unless it is clearly another.
 */
export function sourceNowMs(headers: HttpHeaders, nowMs: number): number {
  const date = Date.parse(headers.get('date') ?? '');
  return Number.isNaN(date) || Math.abs(date - nowMs) < SAME_TIME_MS ? nowMs : date;
}

/** What the standard header says. @see https://www.rfc-editor.org/rfc/rfc9110#field.retry-after */
export function retryAfterMs(headers: HttpHeaders, nowMs: number): number | null {
  const text = headers.get('retry-after');
  return text === null ? null : (parseWait(text, 'seconds', nowMs) ?? parseWait(text, 'httpDate', nowMs));
}

function textAt(body: JsonValue | undefined, path: string): string | null {
  const [value] = body === undefined ? [] : valuesAt(body, path);
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint' ? String(value) : null;
}
