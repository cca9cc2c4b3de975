import type {ErrorCode} from '../../core/error-codes.ts';
import type {ErrorClass} from '../../core/errors.ts';
import {parseJson} from '../../core/json-reader.ts';
import type {JsonValue} from '../../core/json-value.ts';
import {ExactNumber} from '../../core/json-value.ts';
import {valuesAt} from '../json-path.ts';
import type {ErrorMatch, ErrorRule, HttpHeaders} from './http-client.ts';

/** An answer as rules see it. */
export interface JudgedAnswer {
  readonly status: number;
  readonly headers: HttpHeaders;
  /** The body's start as text; null when it is not read yet. */
  readonly text: string | null;
  /** The body as JSON; undefined when it is none. */
  readonly json: () => JsonValue | undefined;
}

const RULE_TEXT_CHARS = 65_536;
const TRANSIENT = new Set([408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524]);

/** The first rule that matches; null when none does. */
export function ruleFor(rules: readonly ErrorRule[], answer: JudgedAnswer): ErrorRule | null {
  for (const rule of rules) if (matches(rule.when, answer)) return rule;
  return null;
}

/** What follows from a status that no rule names; null for success. */
export function defaultRule(status: number, headers: HttpHeaders): ErrorRule | null {
  if (status >= 200 && status < 300) return null;
  if (status === 401) return {when: {}, then: 'refreshAuth'};
  if (status === 429) return {when: {}, then: 'rateLimit'};
  if (TRANSIENT.has(status)) return {when: {}, then: headers.get('retry-after') === null ? 'retry' : 'rateLimit'};
  return {when: {}, then: 'fail'};
}

/** The code and class of an answer that fails for good, by its status. */
export function failureOf(status: number): {readonly code: ErrorCode; readonly class?: ErrorClass} {
  if (status === 401) return {code: 'AUTH_FAILED'};
  if (status === 403) return {code: 'PERMISSION_DENIED'};
  if (status === 404) return {code: 'UNKNOWN_TABLE'};
  // The same request gives the same answer: a run that tries again gains nothing.
  return {code: 'SOURCE_ERROR', class: status >= 300 && status < 500 ? 'config' : 'transient'};
}

/** An answer over a body that was read. */
export function judged(status: number, headers: HttpHeaders, text: string): JudgedAnswer {
  let parsed: {readonly value: JsonValue | undefined} | null = null;
  return {
    status,
    headers,
    text,
    json() {
      parsed ??= {value: tryJson(text)};
      return parsed.value;
    },
  };
}

function tryJson(text: string): JsonValue | undefined {
  const start = text.trimStart().charAt(0);
  if (start !== '{' && start !== '[') return undefined;
  try {
    return parseJson(text);
  } catch {
    // An answer that is no JSON matches no rule about JSON.
    return undefined;
  }
}

function matches(when: ErrorMatch, answer: JudgedAnswer): boolean {
  const {status, header, body, text} = when;
  if (status !== undefined) {
    if (typeof status === 'number' ? status !== answer.status : !status.includes(answer.status)) return false;
  }
  if (header !== undefined && !headerMatches(header, answer.headers)) return false;
  if (text !== undefined && (answer.text === null || !text.test(answer.text.slice(0, RULE_TEXT_CHARS)))) return false;
  return body === undefined || bodyMatches(body, answer.json());
}

function headerMatches(header: NonNullable<ErrorMatch['header']>, headers: HttpHeaders): boolean {
  const value = headers.get(header.name);
  if (value === null) return false;
  if (header.equals !== undefined && value !== header.equals) return false;
  return header.matches === undefined || header.matches.test(value);
}

function bodyMatches(body: NonNullable<ErrorMatch['body']>, json: JsonValue | undefined): boolean {
  if (json === undefined) return false;
  return valuesAt(json, body.path).some((value) => {
    const text = typeof value === 'object' && value !== null && !(value instanceof ExactNumber) ? null : String(value);
    if (text === null) return body.equals === undefined && body.matches === undefined;
    if (body.equals !== undefined && !(typeof body.equals === 'string' ? [body.equals] : body.equals).includes(text))
      return false;
    return body.matches === undefined || body.matches.test(text);
  });
}
