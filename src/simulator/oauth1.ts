import {createHmac, timingSafeEqual} from 'node:crypto';

import type {JsonObject} from '../core/json-value.ts';
import type {OAuth1Auth} from './auth-spec.ts';
import type {SimulatedRequest} from './request.ts';
import {isObject} from './row-values.ts';
import type {TokenStore} from './token-store.ts';

const FIVE_MINUTES_SECONDS = 300;

/**
 * What is wrong with the OAuth 1.0a signature of a request; null when nothing is. The nonce is spent.
 * @see https://www.rfc-editor.org/rfc/rfc5849#section-3.2
 */
export function oauth1Problem(
  auth: OAuth1Auth,
  request: SimulatedRequest,
  tokens: TokenStore,
  nowMs: number,
): string | null {
  const given = authorizationParams(request.headers['authorization'] ?? '');
  if (given === null) return 'The OAuth header is missing.';
  const method = given.get('oauth_signature_method') ?? '';
  const allowed: readonly string[] = auth.signatures ?? ['HMAC-SHA1', 'HMAC-SHA256'];
  if (!allowed.includes(method)) return 'The signature method is not supported.';
  if (given.get('oauth_consumer_key') !== auth.consumerKey) return 'The consumer key is not known.';
  if (given.get('oauth_token') !== auth.token) return 'The token is not known.';
  if (auth.realm !== undefined && given.get('realm') !== auth.realm) return 'The realm is not known.';
  const age = Math.abs(Number(given.get('oauth_timestamp')) - nowMs / 1000);
  if (!(age <= FIVE_MINUTES_SECONDS)) return 'The timestamp is too far from now.';
  const key = `${encode(auth.consumerSecret)}&${encode(auth.tokenSecret)}`;
  const hash = method === 'HMAC-SHA1' ? 'sha1' : 'sha256';
  const expected = createHmac(hash, key).update(signatureBase(request, given)).digest();
  const signature = Buffer.from(given.get('oauth_signature') ?? '', 'base64');
  if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) return 'The signature is wrong.';
  const nonce = given.get('oauth_nonce') ?? '';
  return nonce !== '' && tokens.takeNonce(nonce) ? null : 'The nonce was used before.';
}

function authorizationParams(header: string): ReadonlyMap<string, string> | null {
  if (!/^OAuth /i.test(header)) return null;
  const found = new Map<string, string>();
  for (const match of header.slice(6).matchAll(/([^\s=,]+)="([^"]*)"/g))
    found.set(match[1] ?? '', decodeURIComponent(match[2] ?? ''));
  return found;
}

function signatureBase(request: SimulatedRequest, given: ReadonlyMap<string, string>): string {
  const params: [string, string][] = [...request.query.entries()];
  for (const [name, value] of given) if (name !== 'realm' && name !== 'oauth_signature') params.push([name, value]);
  const isForm = (request.headers['content-type'] ?? '').includes('x-www-form-urlencoded');
  if (isForm && isObject(request.body)) params.push(...formParams(request.body));
  const sorted = params.map(([name, value]) => [encode(name), encode(value)] as const).sort(compareParams);
  const joined = sorted.map(([name, value]) => `${name}=${value}`).join('&');
  const url = `${request.origin.toLowerCase()}${request.target.split('?')[0] ?? ''}`;
  return [request.method, encode(url), encode(joined)].join('&');
}

function formParams(body: JsonObject): [string, string][] {
  return Object.entries(body).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one): [string, string] => [name, String(one)]),
  );
}

function compareParams(left: readonly [string, string], right: readonly [string, string]): number {
  const [a, b] = left[0] === right[0] ? [left[1], right[1]] : [left[0], right[0]];
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Percent encoding with the few letters of RFC 3986 left as they are. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
}
