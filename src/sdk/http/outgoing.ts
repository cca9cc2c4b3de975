import {stringifyJson} from '../../core/json-reader.ts';
import type {HttpBody, HttpRequest} from './http-client.ts';
import type {HttpClientOptions} from './http-options.ts';
import {ACCEPTED_ENCODINGS} from './read-body.ts';
import {queryPairs, queryText} from './request-url.ts';
import type {OutgoingRequest} from './transport.ts';
import type {Target} from './verdict.ts';

// What another origin gets to see beside its own address.
const HARMLESS = new Set(['accept', 'accept-language', 'range']);

/** A request as it goes over the wire, without credentials. Another origin gets none of the connection's headers. */
export function outgoingRequest(options: HttpClientOptions, request: HttpRequest, target: Target): OutgoingRequest {
  const headers: Record<string, string> = {
    'accept-encoding': ACCEPTED_ENCODINGS,
    'user-agent': options.userAgent ?? 'sluice',
  };
  if (!target.isForeign) add(headers, options.headers, false);
  add(headers, request.headers, target.wasRedirected);
  headers['accept'] ??= '*/*';
  const body = target.hasBody ? request.body : undefined;
  if (body !== undefined) headers['content-type'] ??= contentType(body);
  return {
    method: target.method,
    url: target.url,
    headers,
    body: body === undefined ? undefined : textOf(body),
    form: body?.kind === 'form' ? queryPairs(body.fields) : undefined,
  };
}

function add(
  headers: Record<string, string>,
  more: Readonly<Record<string, string | undefined>> | undefined,
  onlyHarmless: boolean,
): void {
  if (more === undefined) return;
  for (const name in more) {
    const value = more[name];
    const lower = name.toLowerCase();
    if (value !== undefined && (!onlyHarmless || HARMLESS.has(lower))) headers[lower] = value;
  }
}

function contentType(body: HttpBody): string {
  switch (body.kind) {
    case 'json':
      return 'application/json';
    case 'form':
      return 'application/x-www-form-urlencoded';
    case 'text':
      return body.contentType;
  }
}

function textOf(body: HttpBody): string {
  switch (body.kind) {
    case 'json':
      return stringifyJson(body.value);
    case 'form':
      return queryText(body.fields).replaceAll('%20', '+');
    case 'text':
      return body.text;
  }
}
