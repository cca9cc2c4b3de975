import {createHmac} from 'node:crypto';

import type {OAuth1Spec} from './auth.ts';

/** A name with its value, not encoded. */
export type Parameter = readonly [string, string];

/** Percent-encoding as the signature wants it: everything but letters, digits and `-._~`. @see https://www.rfc-editor.org/rfc/rfc5849#section-3.6 */
export function percentEncode(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/**
 * What is signed: method, address without query, and all parameters in the order of their encoded names and values.
 * `parameters` are those of the form and of the header; those of the query are taken from the URL.
 * @see https://www.rfc-editor.org/rfc/rfc5849#section-3.4.1
 */
export function signatureBaseString(method: string, url: URL, parameters: readonly Parameter[]): string {
  const encoded = [...queryParameters(url), ...parameters].map(([name, value]): Parameter => [
    percentEncode(name),
    percentEncode(value),
  ]);
  encoded.sort((left, right) => compare(left[0], right[0]) || compare(left[1], right[1]));
  const text = encoded.map(([name, value]) => `${name}=${value}`).join('&');
  // `URL` leaves default ports out and writes scheme and host in lower case, as the rule wants.
  return [method.toUpperCase(), percentEncode(url.origin + url.pathname), percentEncode(text)].join('&');
}

/** The Authorization header of one request. `form` are the fields of a form body; `once` is a nonce and a timestamp in seconds. */
export function oauth1Header(
  spec: OAuth1Spec,
  request: {readonly method: string; readonly url: URL; readonly form: readonly Parameter[] | undefined},
  once: {readonly nonce: string; readonly timestampSeconds: number},
): string {
  const method = spec.signature ?? 'HMAC-SHA256';
  const protocol: Parameter[] = [
    ['oauth_consumer_key', spec.consumerKey],
    ['oauth_nonce', once.nonce],
    ['oauth_signature_method', method],
    ['oauth_timestamp', String(once.timestampSeconds)],
    ['oauth_token', spec.token],
    ['oauth_version', '1.0'],
  ];
  const base = signatureBaseString(request.method, request.url, [...protocol, ...(request.form ?? [])]);
  const key = `${percentEncode(spec.consumerSecret)}&${percentEncode(spec.tokenSecret)}`;
  const signature = createHmac(method === 'HMAC-SHA1' ? 'sha1' : 'sha256', key)
    .update(base)
    .digest('base64');
  const realm: Parameter[] = spec.realm === undefined ? [] : [['realm', spec.realm]];
  const fields: readonly Parameter[] = [...realm, ...protocol, ['oauth_signature', signature]];
  return `OAuth ${fields.map(([name, value]) => `${name}="${percentEncode(value)}"`).join(', ')}`;
}

/** The query's parameters as a form: `+` is a blank. */
function queryParameters(url: URL): readonly Parameter[] {
  return [...url.searchParams];
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
