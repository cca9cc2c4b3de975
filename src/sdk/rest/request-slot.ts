import type {JsonValue} from '../../core/json-value.ts';
import type {HttpRequest, QueryValue} from '../http/http-client.ts';
import {isJsonObject, withValueAt} from '../json-path.ts';
import type {RequestSlot} from './rest-request.ts';

/** A request with a value in a slot. A body is made where there is none: JSON. */
export function withSlot(request: HttpRequest, slot: RequestSlot, value: string | number | boolean): HttpRequest {
  if ('query' in slot)
    return {...request, url: withoutParam(request.url, slot.query), query: {...request.query, [slot.query]: value}};
  if ('header' in slot) return {...request, headers: {...request.headers, [slot.header]: String(value)}};
  const {body} = request;
  if (body?.kind === 'form')
    return {...request, body: {...body, fields: {...body.fields, [slot.body]: value as QueryValue}}};
  const json: JsonValue = body?.kind === 'json' ? body.value : {};
  return {...request, body: {kind: 'json', value: withValueAt(isJsonObject(json) ? json : {}, slot.body, value)}};
}

/** The URL of a next page is whole: what the first page's request put into its query is in it already. */
export function withUrl(request: HttpRequest, url: string): HttpRequest {
  const {query: _, ...rest} = request;
  return {...rest, url};
}

/** The value of a query parameter of a URL or a relative one; null when it has none. */
export function paramOf(url: string, name: string): string | null {
  const query = url.split('#')[0]?.split('?')[1];
  return query === undefined ? null : new URLSearchParams(query).get(name);
}

function withoutParam(url: string, name: string): string {
  const at = url.indexOf('?');
  if (at < 0 || paramOf(url, name) === null) return url;
  const params = new URLSearchParams(url.slice(at + 1));
  params.delete(name);
  const rest = params.toString();
  return rest === '' ? url.slice(0, at) : `${url.slice(0, at)}?${rest}`;
}
