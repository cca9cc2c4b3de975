import type {JsonObject} from '../core/json-value.ts';
import {cursorText, readCursor} from './cursor-text.ts';
import {WrongRequest} from './error-reply.ts';
import type {ListQuery} from './list-query.ts';
import type {CursorPaging, PagingFacts, PagingSpec} from './paging-spec.ts';
import type {RowOrder} from './row-order.ts';

/** A cut of an ordered list. */
export interface PageCut {
  readonly from: number;
  readonly to: number;
  /** What the page's parameter takes for other pages; null when there is no such page or the style does not know it. */
  readonly next: string | number | null;
  readonly previous: string | number | null;
  readonly first: string | number | null;
  readonly last: string | number | null;
  readonly hasMore: boolean;
  readonly pages: number;
}

/** What cutting needs. */
export interface CutContext {
  readonly rows: readonly JsonObject[];
  readonly query: ListQuery;
  readonly order: RowOrder;
  readonly nowMs: number;
  /** Number of the last change. */
  readonly sequence: number;
  /** Finds the place of a row by its key; null when nobody knows it. */
  readonly placeOf: (key: string) => {readonly row: JsonObject; readonly isGone: boolean} | null;
}

/** Cuts the page that a request asks for. @throws WrongRequest when it cannot be reached. */
export function cutPage(paging: PagingSpec, context: CutContext): PageCut {
  switch (paging.style) {
    case 'none':
      return {...NOWHERE, from: 0, to: context.rows.length};
    case 'page':
      return cutByNumber(paging, context);
    case 'offset':
      return cutByOffset(paging, context);
    case 'keyset':
      return cutByKey(paging, context);
    case 'cursor':
    case 'odata':
      return cutByCursor(paging, context);
  }
}

const NOWHERE = {next: null, previous: null, first: null, last: null, hasMore: false, pages: 1};

function cutByNumber(paging: PagingFacts, {rows, query}: CutContext): PageCut {
  const size = pageSize(paging, query);
  const from = query.page * size;
  const to = Math.min(from + size, rows.length);
  checkReach(paging, from + size);
  const pages = Math.ceil(rows.length / size);
  const hasMore = from + size < rows.length;
  return {
    from: Math.min(from, rows.length),
    to: Math.max(to, Math.min(from, rows.length)),
    next: hasMore ? query.page + 1 : null,
    previous: query.page > 0 ? query.page - 1 : null,
    first: 0,
    last: Math.max(pages - 1, 0),
    hasMore,
    pages,
  };
}

function cutByOffset(paging: PagingFacts & {readonly multiple?: boolean}, {rows, query}: CutContext): PageCut {
  const size = pageSize(paging, query);
  const {offset} = query;
  if (paging.multiple === true && offset % size !== 0)
    throw new WrongRequest('badRequest', 'The offset is no multiple of the limit.');
  checkReach(paging, offset + size);
  const hasMore = offset + size < rows.length;
  return {
    from: Math.min(offset, rows.length),
    to: Math.min(offset + size, rows.length),
    next: hasMore ? offset + size : null,
    previous: offset > 0 ? Math.max(offset - size, 0) : null,
    first: 0,
    last: Math.max(Math.ceil(rows.length / size) - 1, 0) * size,
    hasMore,
    pages: Math.ceil(rows.length / size),
  };
}

function cutByKey(
  paging: PagingFacts & {readonly whenGone?: 'continue' | 'error'},
  {rows, query, order, placeOf}: CutContext,
): PageCut {
  const size = pageSize(paging, query);
  const pages = Math.ceil(rows.length / size);
  const find = (key: string): JsonObject => {
    const place = placeOf(key);
    if (place === null || (place.isGone && paging.whenGone === 'error'))
      throw new WrongRequest('badRequest', 'There is no row of this key.');
    return place.row;
  };
  if (query.before !== null) {
    const to = order.firstBehind(rows, order.positionOf(find(query.before)), true);
    return {...NOWHERE, from: Math.max(to - size, 0), to, hasMore: to > size, pages};
  }
  const from = query.after === null ? 0 : order.firstBehind(rows, order.positionOf(find(query.after)));
  const to = Math.min(from + size, rows.length);
  return {...NOWHERE, from, to, next: to < rows.length ? `${to - 1}` : null, hasMore: to < rows.length, pages};
}

function cutByCursor(
  paging: Omit<CursorPaging, 'style' | 'next' | 'nextAs'>,
  {rows, query, order, nowMs, sequence}: CutContext,
): PageCut {
  const size = pageSize(paging, query);
  const state = query.cursor === null ? null : readCursor(query.cursor, nowMs, paging.expiresAfterMs);
  const byPlace = state?.position === undefined ? 0 : order.firstBehind(rows, state.position);
  const from = Math.min(state?.offset ?? byPlace, rows.length);
  checkReach(paging, from + size);
  const to = Math.min(from + size, rows.length);
  const last = rows[to - 1];
  const position = to > from && last !== undefined ? order.positionOf(last) : state?.position;
  const known = {issuedAtMs: nowMs, sequence: state?.sequence ?? sequence};
  const remembered = paging.remembers === 'offset' || position === undefined ? {offset: to} : {position};
  const hasMore = to < rows.length;
  const next = hasMore || paging.endless === true ? cursorText({...known, ...remembered}) : null;
  return {...NOWHERE, from, to, next, hasMore, pages: Math.ceil(rows.length / size)};
}

/** Rows of a page. */
export function pageSize(paging: Pick<PagingFacts, 'pageSize'>, query: ListQuery): number {
  return query.limit ?? paging.pageSize ?? 100;
}

function checkReach({reach}: Pick<PagingFacts, 'reach'>, last: number): void {
  if (reach === undefined || last <= reach.rows) return;
  throw new WrongRequest(reach.reply ?? 'badRequest', `Only the first ${reach.rows} rows can be reached.`);
}
