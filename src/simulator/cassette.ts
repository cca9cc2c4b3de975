import {createHash} from 'node:crypto';
import {readFile} from 'node:fs/promises';

import {IngestError, messageOf} from '../core/errors.ts';
import {parseJson, stringifyJson} from '../core/json-reader.ts';
import type {JsonObject, JsonValue} from '../core/json-value.ts';
import {isObject} from './row-values.ts';
import type {SecretRemoval} from './secret-removal.ts';

/** One recorded request with its answer, secrets removed. The server's address is `{origin}` in all texts. */
export interface Exchange {
  readonly request: {
    readonly method: string;
    /** As it was encoded. */
    readonly path: string;
    /** Decoded, in the order of names and values. */
    readonly query: readonly (readonly [name: string, value: string])[];
    /** Those that shape the answer. */
    readonly headers: Readonly<Record<string, string>>;
    /** Null without a body. */
    readonly body: string | null;
    /** SHA-256 of the body, JSON by what it says; null without one. */
    readonly bodyHash: string | null;
  };
  readonly response: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
    /** The body is base64. */
    readonly isBase64: boolean;
  };
}

/** Stands for scheme, host and port of the recorded server. */
export const ORIGIN = '{origin}';

const HEAD: JsonObject = {format: 'sluice-cassette', version: 1};

/** The first line of a cassette. */
export function cassetteHead(): string {
  return `${stringifyJson(HEAD)}\n`;
}

/** A line of a cassette. */
export function exchangeLine(exchange: Exchange): string {
  return `${JSON.stringify(exchange)}\n`;
}

/** Reads a cassette file. @throws INVALID_SPEC when it is none, naming the line. */
export async function readCassette(file: string): Promise<readonly Exchange[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new IngestError('INVALID_SPEC', `The cassette cannot be read: ${messageOf(error)}`, {cause: error});
  }
  const [head, ...lines] = text.split('\n').filter((line) => line !== '');
  const parsedHead = head === undefined ? null : parsedJson(head);
  if (!isObject(parsedHead) || parsedHead['format'] !== HEAD['format'] || parsedHead['version'] !== HEAD['version'])
    throw new IngestError('INVALID_SPEC', 'This is no cassette of version 1.', {context: {path: file}});
  return lines.map((line, index) => exchangeOf(parsedJson(line) ?? null, index + 2));
}

/** What a recorded request is found by: method, path, sorted query, body. */
export function exchangeKey({method, path, query, bodyHash}: Omit<Exchange['request'], 'headers' | 'body'>): string {
  const params = query.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&');
  return `${method} ${path}${params === '' ? '' : `?${params}`}${bodyHash === null ? '' : ` body ${bodyHash.slice(0, 12)}`}`;
}

/** A request as a cassette writes it. */
export function recordedRequest(
  request: {readonly method: string; readonly target: string; readonly text: string; readonly headers: Headers},
  removal: SecretRemoval,
): Exchange['request'] {
  const [path = '/', search = ''] = request.target.split('?');
  const query = [...new URLSearchParams(search)].map(([name, value]) => [name, removal.param(name, value)] as const);
  const body = cleanBody(request.text, request.headers.get('content-type') ?? '', removal);
  return {
    method: request.method,
    path: removal.text(path),
    query: query.sort(comparePairs),
    headers: shapingHeaders(request.headers),
    body,
    bodyHash: body === null ? null : createHash('sha256').update(body).digest('hex'),
  };
}

/** A text body without secrets, JSON and forms in one order of names; null when it is empty. */
export function cleanBody(text: string, contentType: string, removal: SecretRemoval): string | null {
  if (text === '') return null;
  if (contentType.includes('x-www-form-urlencoded')) {
    const fields = [...new URLSearchParams(text)].map(([name, value]): [string, string] => [
      name,
      removal.param(name, value),
    ]);
    return new URLSearchParams(fields.sort(comparePairs)).toString();
  }
  const value = parsedJson(text);
  if (value === undefined) return removal.text(text);
  const isLogin = isObject(value) && ('grant_type' in value || 'password' in value || 'client_secret' in value);
  return stringifyJson(sorted(removal.json(value, isLogin)));
}

/** The JSON of a text, undefined when it is none. */
export function parsedJson(text: string): JsonValue | undefined {
  try {
    return parseJson(text);
  } catch {
    // Any other form is kept as text.
    return undefined;
  }
}

const SHAPING = /^(?:accept|content-type|prefer)$|version$/;

function shapingHeaders(headers: Headers): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => SHAPING.test(name)));
}

function sorted(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map((one: JsonValue) => sorted(one));
  if (!isObject(value)) return value;
  const names = Object.keys(value).sort();
  return Object.fromEntries(names.map((name) => [name, sorted(value[name] ?? null)]));
}

function comparePairs(left: readonly [string, string], right: readonly [string, string]): number {
  const [a, b] = left[0] === right[0] ? [left[1], right[1]] : [left[0], right[0]];
  return a < b ? -1 : a > b ? 1 : 0;
}

function exchangeOf(value: JsonValue, line: number): Exchange {
  const wrong = (): IngestError => new IngestError('INVALID_SPEC', `Line ${line} of the cassette is no exchange.`);
  if (!isObject(value) || !isObject(value['request']) || !isObject(value['response'])) throw wrong();
  const {request, response} = value;
  const {method, path, query, bodyHash, body} = request;
  if (typeof method !== 'string' || typeof path !== 'string' || !Array.isArray(query)) throw wrong();
  if (typeof response['status'] !== 'number' || typeof response['body'] !== 'string') throw wrong();
  return {
    request: {
      method,
      path,
      query: (query as readonly JsonValue[]).map((pair) => pairOf(pair, wrong)),
      headers: textsOf(request['headers']),
      body: typeof body === 'string' ? body : null,
      bodyHash: typeof bodyHash === 'string' ? bodyHash : null,
    },
    response: {
      status: response['status'],
      headers: textsOf(response['headers']),
      body: response['body'],
      isBase64: response['isBase64'] === true,
    },
  };
}

function pairOf(pair: JsonValue, wrong: () => IngestError): readonly [string, string] {
  if (!Array.isArray(pair)) throw wrong();
  const [name, value] = pair as readonly JsonValue[];
  if (typeof name !== 'string' || typeof value !== 'string') throw wrong();
  return [name, value];
}

function textsOf(value: JsonValue | undefined): Readonly<Record<string, string>> {
  if (!isObject(value)) return {};
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, one]) => (typeof one === 'string' ? [[name, one]] : [])),
  );
}
