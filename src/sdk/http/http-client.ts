import type {ErrorCode} from '../../core/error-codes.ts';
import type {JsonValue} from '../../core/json-value.ts';
import type {CallContext} from '../contract.ts';

/** Methods that sources understand. */
export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'HEAD';

/** One value of a query parameter; undefined leaves the parameter out. */
export type QueryValue = string | number | boolean | bigint | undefined;

/** Query parameters by name; a list repeats the name. */
export type HttpQuery = Readonly<Record<string, QueryValue | readonly QueryValue[]>>;

/** The body of a request. */
export type HttpBody =
  | {readonly kind: 'json'; readonly value: JsonValue}
  | {readonly kind: 'form'; readonly fields: HttpQuery}
  | {readonly kind: 'text'; readonly text: string; readonly contentType: string};

/** Limits of waiting, in milliseconds. */
export interface HttpTimeouts {
  /** Until the connection stands. Default 10,000; that of a single request does not count. */
  readonly connectMs: number;
  /** Until the headers of the answer are there. Default 60,000. */
  readonly headersMs: number;
  /** Between two pieces of the body. Default 60,000. */
  readonly bodyIdleMs: number;
}

/** One request. */
export interface HttpRequest {
  /** Default GET. */
  readonly method?: HttpMethod;
  /** Absolute, or appended to the client's base URL, with or without a leading `/`; resolve a relative link of an answer against {@link HttpHead.url}. Credentials go only to the base URL's origin and the allowed ones. */
  readonly url: string;
  readonly query?: HttpQuery;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly body?: HttpBody;
  /** Trying again does no harm. Default: every method but POST and PATCH. A POST that only reads (a search) says true. */
  readonly isIdempotent?: boolean;
  /** Remembers the answer's ETag and body and asks with `If-None-Match`; a 304 gives the remembered body. Default false. */
  readonly conditional?: boolean;
  /** Sends no credentials. */
  readonly anonymous?: boolean;
  readonly timeouts?: Partial<HttpTimeouts>;
  /** Asked before the client's own rules; the first that matches decides. */
  readonly errors?: readonly ErrorRule[];
  /** For messages and traces: what the request is about, for example a table. */
  readonly about?: string;
}

/** Headers of an answer, names in any case. */
export interface HttpHeaders {
  /** The value, several joined by `, `; null when absent. */
  get(name: string): string | null;
  /** Names in lower case with their values. */
  entries(): readonly (readonly [string, string])[];
}

/** The head of an answer. */
export interface HttpHead {
  readonly status: number;
  readonly headers: HttpHeaders;
  /** Where the answer came from, redirects followed. */
  readonly url: string;
  /** A 304 was answered from memory. */
  readonly notModified: boolean;
}

/** An answer whose body is read whole. */
export interface HttpReply<T> extends HttpHead {
  readonly body: T;
  /** Bytes of the body after decompression. */
  readonly sizeBytes: number;
}

/** An answer whose body is read piece by piece; must be read to its end or disposed. */
export interface HttpStream extends HttpHead, AsyncDisposable {
  readonly body: AsyncIterable<Uint8Array>;
}

/** What an error rule looks at: everything that is given must match. */
export interface ErrorMatch {
  readonly status?: number | readonly number[];
  readonly header?: {readonly name: string; readonly matches?: RegExp; readonly equals?: string};
  /** A value in the JSON body by its path, for example `error.code`; `*` stands for every element of a list. */
  readonly body?: {readonly path: string; readonly equals?: string | readonly string[]; readonly matches?: RegExp};
  /** The body as text, its first 64 KB. */
  readonly text?: RegExp;
}

/** Where an answer says how long to wait. */
export type WaitFrom =
  | {
      readonly header: string;
      readonly unit: 'seconds' | 'milliseconds' | 'epochSeconds' | 'epochMilliseconds' | 'httpDate';
    }
  | {readonly body: string; readonly unit: 'seconds' | 'milliseconds' | 'epochSeconds'}
  | {readonly seconds: number};

/**
 * What follows from an answer. `retry`: again with jitter. `rateLimit`: all workers of the connection wait as told, then again.
 * `refreshAuth`: new credentials, then again, once. `accept`: no error; the caller looks at the status. `fail`: an error of
 * the given code.
 */
export interface ErrorRule {
  readonly when: ErrorMatch;
  readonly then: 'retry' | 'rateLimit' | 'refreshAuth' | 'accept' | 'fail';
  /** For `rateLimit` and `retry`: tried in order; default: Retry-After, then backoff. */
  readonly wait?: readonly WaitFrom[];
  /** For `rateLimit`: the least wait in seconds when the answer does not say. */
  readonly minWaitSeconds?: number;
  /** For `rateLimit`: how long a wait may be before the run is stopped as throttled instead. Default 900 seconds. */
  readonly maxWaitSeconds?: number;
  /** For `fail`: default by status (401 AUTH_FAILED, 403 PERMISSION_DENIED, 404 UNKNOWN_TABLE, else SOURCE_ERROR). */
  readonly code?: ErrorCode;
  readonly message?: string;
  readonly fix?: string;
}

/** Requests over HTTP for one connection: credentials, limits, retries, traces. Shared by all its readers; closing ends its sockets. */
export interface HttpClient extends AsyncDisposable {
  readonly baseUrl: string;
  /** Reads a JSON body without loss. An empty body is null. @throws by the error rules; SOURCE_ERROR for malformed JSON after retries. */
  json(request: HttpRequest, ctx: HttpContext): Promise<HttpReply<JsonValue>>;
  /** Reads a body as text. */
  text(request: HttpRequest, ctx: HttpContext): Promise<HttpReply<string>>;
  /** Opens a body to be read in pieces, compression undone; rules about the body see only answers that are no success: retried until the first piece, afterwards a failure is the caller's to resume. */
  stream(request: HttpRequest, ctx: HttpContext): Promise<HttpStream>;
}

/** What a request needs of its call. */
export type HttpContext = Pick<CallContext, 'signal' | 'clock' | 'log'>;
