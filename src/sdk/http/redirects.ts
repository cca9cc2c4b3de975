import {IngestError} from '../../core/errors.ts';
import type {Exchange} from './exchange-parts.ts';
import type {HttpHead, HttpRequest} from './http-client.ts';
import type {Target, Verdict} from './verdict.ts';

const STATUSES = new Set([301, 302, 303, 307, 308]);

/**
 * Where a redirect leads; null when the answer is none. Credentials stay behind when it leads to an origin that may not
 * see them. @throws SOURCE_ERROR when following it would repeat a write, send a body to strangers or give up encryption.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-15.4
 */
export function redirectTarget(
  {request, target}: {readonly request: HttpRequest; readonly target: Target},
  head: HttpHead,
  shared: Exchange,
): Extract<Verdict, {kind: 'redirect'}> | null {
  const location = STATUSES.has(head.status) ? head.headers.get('location') : null;
  if (location === null) return null;
  const url = URL.canParse(location, target.url.href) ? new URL(location, target.url.href) : null;
  const refuse = (why: string): IngestError =>
    new IngestError(
      'SOURCE_ERROR',
      `${target.method} ${target.url.origin}${target.url.pathname} was redirected (${head.status}) ${why}.`,
      {
        class: 'config',
        context: {status: head.status},
      },
    );
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) throw refuse('to no http or https URL');
  if (target.url.protocol === 'https:' && url.protocol === 'http:') throw refuse('from https to http');
  const isForeign = !shared.origins.has(url.origin);
  const next = nextRequest(target, head.status);
  if (next === null) throw refuse('in a way that would lose its body');
  if (next.hasBody && request.isIdempotent !== true && next.method !== 'PUT')
    throw refuse('and would have to be sent twice, which is not known to be harmless');
  if (next.hasBody && isForeign) throw refuse(`with its body to another origin, ${url.origin}`);
  return {
    kind: 'redirect',
    target: {url, ...next, isForeign, wasRedirected: isForeign || target.wasRedirected},
    failure: refuse('again and again'),
  };
}

/** The method after a redirect; null when only a request that does something else could follow it. */
function nextRequest(target: Target, status: number): Pick<Target, 'method' | 'hasBody'> | null {
  const {method, hasBody} = target;
  if (status === 307 || status === 308) return {method, hasBody};
  if (method === 'GET' || method === 'HEAD') return {method, hasBody: false};
  return status === 303 ? {method: 'GET', hasBody: false} : null;
}
