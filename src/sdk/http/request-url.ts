import {IngestError} from '../../core/errors.ts';
import type {HttpQuery} from './http-client.ts';

const ABSOLUTE = /^[a-z][a-z0-9+.-]*:/i;

/**
 * The address of a request: absolute as it is, else appended to the base URL. `query` is added to the query that it has.
 * @throws CONTRACT_VIOLATION when it is no http(s) URL.
 */
export function requestUrl(baseUrl: string, url: string, query?: HttpQuery): URL {
  const text = ABSOLUTE.test(url) || url.startsWith('//') ? url : joined(baseUrl, url);
  const resolved = parsed(text.startsWith('//') ? new URL(baseUrl).protocol + text : text);
  const added = query === undefined ? '' : queryText(query);
  if (added !== '') resolved.search = resolved.search === '' ? added : `${resolved.search}&${added}`;
  return resolved;
}

/** Query parameters as text, without `?`: blanks are `%20`, so that every server reads them alike. */
export function queryText(query: HttpQuery): string {
  let text = '';
  for (const [name, value] of queryPairs(query))
    text += `${text === '' ? '' : '&'}${encodeURIComponent(name)}=${encodeURIComponent(value)}`;
  return text;
}

/** Query parameters one by one: lists unfolded, undefined ones left out. */
export function queryPairs(query: HttpQuery): readonly (readonly [string, string])[] {
  const pairs: [string, string][] = [];
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) pairs.push([name, String(one)]);
  }
  return pairs;
}

function joined(baseUrl: string, url: string): string {
  const end = url === '' || url.startsWith('?') || url.startsWith('/') ? url : `/${url}`;
  return baseUrl.replace(/\/+$/, '') + end;
}

function parsed(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && (url.protocol === 'https:' || url.protocol === 'http:')) return url;
  throw new IngestError('CONTRACT_VIOLATION', 'The connector made a request whose address is no http or https URL.');
}
