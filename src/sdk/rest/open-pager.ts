import {IngestError} from '../../core/errors.ts';
import type {PlainJson} from '../../core/offset.ts';
import {valueAt} from '../json-path.ts';
import {openKeyset} from './pager-keyset.ts';
import {openRelay} from './pager-relay.ts';
import {openWindowRestart} from './pager-window-restart.ts';
import {
  countOf,
  createRepeatGuard,
  isTrue,
  leadsNowhere,
  numberAt,
  openSize,
  textOf,
  type Pager,
  type PagerStart,
} from './pager.ts';
import {paramOf, withSlot, withUrl} from './request-slot.ts';
import type {
  CursorPaginator,
  CustomPaginator,
  NextUrlPaginator,
  OffsetPaginator,
  PagePaginator,
  PageReply,
  Paginator,
} from './rest-request.ts';

/** Opens a paginator for one listing. */
export function openPager(paginator: Exclude<Paginator, {kind: 'asyncJob'}>, start: PagerStart): Pager {
  switch (paginator.kind) {
    case 'none':
      return {request: () => start.first, take: ({records}) => ({records, more: false})};
    case 'page':
      return openPages(paginator, start);
    case 'offset':
      return openOffsets(paginator, start);
    case 'cursor':
      return openCursor(paginator, start);
    case 'nextUrl':
      return openNextUrl(paginator, start);
    case 'odata':
      return openNextUrl({kind: 'nextUrl', from: {body: '["@odata.nextLink"]'}}, withODataSize(start, paginator.size));
    case 'keyset':
      return openKeyset(paginator, start);
    case 'windowRestart':
      return openWindowRestart(paginator, start, (first) => openPager(paginator.inner, {...start, first}));
    case 'graphqlRelay':
      return openRelay(paginator, start);
    case 'custom':
      return openCustom(paginator, start);
  }
}

function openPages(paginator: PagePaginator, {first, from, about, ...given}: PagerStart): Pager {
  const size = given.size ?? openSize(paginator.size);
  const firstPage = paginator.first ?? 1;
  let page = typeof from === 'number' ? from : firstPage;
  let skip = 0;
  let count = 0;
  return {
    request: () => withSlot(size === null ? first : size.apply(first), paginator.slot, page),
    take(reply) {
      const pages = numberAt(reply.body, paginator.totalPages);
      const more = hasMore(paginator, reply, {
        known: pages === null ? null : page - firstPage + 1 < pages,
        isFull: size === null ? countOf(reply) > 0 : size.isFull(countOf(reply)),
      });
      const records = skip === 0 ? reply.records : reply.records.slice(skip);
      count += countOf(reply) - skip;
      skip = 0;
      page++;
      if (!more && from === undefined) checkTotal(reply, paginator.total, {count, about});
      return {records, more};
    },
    shrink() {
      if (size === null) return false;
      const done = (page - firstPage) * size.value;
      if (!size.shrink()) return false;
      page = firstPage + Math.floor(done / size.value);
      skip = done % size.value;
      return true;
    },
    position: () => page,
  };
}

function openOffsets(paginator: OffsetPaginator, {first, from, about, ...given}: PagerStart): Pager {
  const size = given.size ?? openSize(paginator.size);
  let offset = typeof from === 'number' ? from : 0;
  return {
    request: () => withSlot(size?.apply(first) ?? first, paginator.slot, offset),
    take(reply) {
      offset += countOf(reply);
      const total = numberAt(reply.body, paginator.total);
      const more = hasMore(paginator, reply, {
        known: total === null ? null : offset < total && countOf(reply) > 0,
        isFull: size?.isFull(countOf(reply)) ?? countOf(reply) > 0,
      });
      if (!more) checkTotal(reply, paginator.total, {count: offset, about});
      return {records: reply.records, more};
    },
    shrink: () => size?.shrink() === true,
    position: () => offset,
  };
}

/** What the answer says of further pages, by the strongest sign: a flag, a number, the `Link` header, an empty page (or a smaller one, where sizes are exact). */
function hasMore(
  paginator: {readonly hasMore?: string; readonly linkHeader?: boolean},
  reply: PageReply,
  signs: {readonly known: boolean | null; readonly isFull: boolean},
): boolean {
  if (paginator.hasMore !== undefined) return isTrue(valueAt(reply.body, paginator.hasMore));
  if (paginator.linkHeader === true) return nextLink(reply.head.headers.get('link')) !== null;
  return signs.known ?? signs.isFull;
}

function openCursor(paginator: CursorPaginator, {first, from, about, ...given}: PagerStart): Pager {
  const size = given.size ?? openSize(paginator.size);
  const seen = createRepeatGuard(about);
  let cursor = typeof from === 'string' ? from : null;
  return {
    request() {
      const sized = size === null ? first : size.apply(first);
      return cursor === null ? sized : withSlot(sized, paginator.slot, cursor);
    },
    take(reply) {
      const {records} = reply;
      const next = cursorOf(paginator, reply);
      const isFull = size?.isFull(countOf(reply)) ?? countOf(reply) > 0;
      if (endsHere(paginator, reply, {next, isFull})) return {records, more: false};
      if (next === null) throw leadsNowhere(about, 'no cursor');
      seen(next);
      cursor = next;
      return {records, more: true};
    },
    shrink: () => size?.shrink() === true,
    ...('lastRecord' in paginator.next ? {position: (): PlainJson => cursor} : {}),
  };
}

function cursorOf({next}: CursorPaginator, {body, head, records}: PageReply): string | null {
  if ('header' in next) return textOf(head.headers.get(next.header) ?? undefined);
  if ('lastRecord' in next) return textOf(valueAt(records.at(-1), next.lastRecord));
  return textOf(valueAt(body, next.body));
}

function endsHere(
  paginator: Pick<CursorPaginator, 'hasMore' | 'isLast'> & {readonly next?: CursorPaginator['next']},
  {body}: PageReply,
  {next, isFull}: {readonly next: string | null; readonly isFull: boolean},
): boolean {
  const isLast = paginator.isLast === undefined ? undefined : valueAt(body, paginator.isLast);
  if (isTrue(isLast)) return true;
  if (isLast === false && paginator.hasMore === undefined) return false;
  if (paginator.hasMore !== undefined) return !isTrue(valueAt(body, paginator.hasMore));
  const byRecord = paginator.next !== undefined && 'lastRecord' in paginator.next;
  return next === null || (byRecord && !isFull);
}

function openNextUrl(paginator: NextUrlPaginator, {first, about}: PagerStart): Pager {
  const size = openSize(paginator.size);
  const seen = createRepeatGuard(about);
  const sized = size === null ? first : size.apply(first);
  let request = sized;
  return {
    request: () => request,
    take(reply) {
      const {records} = reply;
      const url = urlOf(paginator, reply);
      if (endsHere(paginator, reply, {next: url, isFull: true})) return {records, more: false};
      if (url === null) throw leadsNowhere(about, 'no URL');
      seen(url);
      if (paginator.onlyParam === undefined) request = withUrl(sized, url);
      else {
        const value = paramOf(url, paginator.onlyParam);
        if (value === null) throw leadsNowhere(about, `a URL without "${paginator.onlyParam}"`);
        request = withSlot(sized, {query: paginator.onlyParam}, value);
      }
      return {records, more: true};
    },
  };
}

function urlOf({from}: NextUrlPaginator, {body, head}: PageReply): string | null {
  if (from === 'link') return nextLink(head.headers.get('link'));
  return textOf('header' in from ? (head.headers.get(from.header) ?? undefined) : valueAt(body, from.body));
}

/** The target of `rel="next"` in a `Link` header; null when there is none. */
export function nextLink(header: string | null): string | null {
  if (header === null) return null;
  for (const [, url, params = ''] of header.matchAll(/<([^>]*)>((?:\s*;\s*[^,;=]+(?:=(?:"[^"]*"|[^,;]*))?)*)/g)) {
    if (url !== undefined && /;\s*rel\s*=\s*(?:"[^"]*\bnext\b[^"]*"|next\b)/i.test(params)) return url;
  }
  return null;
}

function openCustom(paginator: CustomPaginator, {first, from}: PagerStart): Pager {
  let state: PlainJson = from ?? null;
  return {
    request: () => paginator.request(first, state),
    take(reply) {
      state = paginator.next(reply, state);
      return {records: reply.records, more: state !== null};
    },
  };
}

/** `Prefer: odata.maxpagesize=…` beside what the request prefers already. */
function withODataSize(start: PagerStart, size: number | undefined): PagerStart {
  if (size === undefined) return start;
  const {headers} = start.first;
  const prefer = [headers?.['Prefer'], `odata.maxpagesize=${size}`].filter((one) => one !== undefined).join(',');
  return {...start, first: {...start.first, headers: {...headers, Prefer: prefer}}};
}

/** Fewer records than the source counts were missed while pages moved: another run must read them. */
function checkTotal(
  reply: PageReply,
  path: string | undefined,
  {count, about}: {readonly count: number; readonly about: string},
): void {
  const total = numberAt(reply.body, path);
  if (total === null || count >= total) return;
  throw new IngestError('SOURCE_ERROR', `${about}: the source counts ${total} records and listed ${count}.`, {
    class: 'transient',
    fix: 'Run again; rows may have moved between pages. If it stays so, page by a cursor or a key instead.',
    context: {total, count},
  });
}
