import type {JsonValue} from '../core/json-value.ts';
import type {SimulatedReply} from './request.ts';
import type {ErrorReplies, ErrorReply} from './simulator-spec.ts';

/** A request is wrong; answered as the API describes. Handlers may throw it. */
export class WrongRequest extends Error {
  /** Which of the API's replies answers. */
  readonly reply: keyof ErrorReplies | ErrorReply;

  constructor(reply: keyof ErrorReplies | ErrorReply, message: string) {
    super(message);
    this.name = 'WrongRequest';
    this.reply = reply;
  }
}

/** The answer to a wrong request. */
export function errorReply(
  replies: ErrorReplies,
  reply: keyof ErrorReplies | ErrorReply,
  message: string,
): SimulatedReply {
  const {status, headers, body} = typeof reply === 'object' ? reply : (replies[reply] ?? DEFAULTS[reply]);
  return {
    status,
    ...(headers === undefined ? {} : {headers}),
    ...(body === undefined ? {} : {body: filled(body, {message})}),
  };
}

/** The value with `{name}` in its texts replaced. */
export function filled(value: JsonValue, texts: Readonly<Record<string, string>>): JsonValue {
  if (typeof value === 'string') return value.replace(/\{(\w+)\}/g, (whole, name: string) => texts[name] ?? whole);
  if (Array.isArray(value)) return value.map((one: JsonValue) => filled(one, texts));
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, inner === undefined ? undefined : filled(inner, texts)]),
  );
}

const body: JsonValue = {error: '{message}'};

const DEFAULTS: Readonly<Record<keyof ErrorReplies, ErrorReply>> = {
  noRoute: {status: 404, body},
  noMethod: {status: 405, body},
  notFound: {status: 404, body},
  badRequest: {status: 400, body},
  conflict: {status: 409, body},
  cursorExpired: {status: 410, body},
};
