import {parseJson} from '../core/json-reader.ts';
import type {JsonValue} from '../core/json-value.ts';

/** A request as an endpoint sees it. */
export interface SimulatedRequest {
  readonly method: string;
  /** Scheme, host and port as the client wrote them. */
  readonly origin: string;
  /** Decoded path without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Path and query as they came. */
  readonly target: string;
  /** By name in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The endpoint's path parameters. */
  readonly params: Readonly<Record<string, string>>;
  /** The body's text; empty when there is none. */
  readonly text: string;
  /** The body as JSON, a form's fields as an object of texts; null when it is neither. */
  readonly body: JsonValue;
  /** Who asks: user name, client id, or token; null on public endpoints. */
  readonly principal: string | null;
}

/** An answer. */
export interface SimulatedReply {
  /** Default 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON unless it is bytes; {@link text} makes other texts. Default: none. */
  readonly body?: JsonValue | Uint8Array;
}

/** A request that the simulator has answered. */
export interface AnsweredRequest {
  readonly method: string;
  readonly path: string;
  /** Without the question mark. */
  readonly query: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The body's text. */
  readonly text: string;
  /** Zero when the connection was cut before any status. */
  readonly status: number;
  /** When it came, by the simulator's clock. */
  readonly atMs: number;
  /** The endpoint's path pattern; null when there is none. */
  readonly route: string | null;
  /** The kinds of faults that it met. */
  readonly faults: readonly string[];
}

/** An answer in JSON. */
export function json(body: JsonValue, init: Omit<SimulatedReply, 'body'> = {}): SimulatedReply {
  return {...init, body};
}

/** An answer in any text form. */
export function text(body: string, contentType: string, status = 200): SimulatedReply {
  return {status, headers: {'content-type': contentType}, body: Buffer.from(body)};
}

/** The body of a request: JSON or a form's fields (repeated names as lists), null when it is neither. */
export function parseBody(body: string, contentType: string): JsonValue {
  if (body === '') return null;
  if (contentType.includes('x-www-form-urlencoded')) return formFields(new URLSearchParams(body));
  try {
    return parseJson(body);
  } catch {
    // Foreign bodies (XML, CSV) are the handler's to read from the text.
    return null;
  }
}

function formFields(form: URLSearchParams): JsonValue {
  const fields: Record<string, JsonValue> = {};
  for (const name of new Set(form.keys())) {
    const values = form.getAll(name);
    fields[name] = values.length === 1 ? (values[0] ?? '') : values;
  }
  return fields;
}
