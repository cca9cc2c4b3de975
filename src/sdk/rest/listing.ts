import type {JsonObject} from '../../core/json-value.ts';
import {LinkedAbort} from '../../core/linked-abort.ts';
import type {PlainJson} from '../../core/offset.ts';
import type {HttpRequest} from '../http/http-client.ts';
import {runJob} from './async-job.ts';
import {streamPages} from './decode.ts';
import {fetchPage, type ListEnv} from './fetch-page.ts';
import {chunksOf, mergeChunks} from './field-chunks.ts';
import {openPager} from './open-pager.ts';
import {pageGuard} from './page-guard.ts';
import {countOf, type Pager} from './pager.ts';
import {type AskPage, pagesAhead} from './pages-ahead.ts';
import type {Listing, PageReply, Paginator, RequestScope} from './rest-request.ts';

/** One page of a listing. */
export interface ListedPage {
  readonly records: readonly JsonObject[];
  /** The answer; null for records of a stream. */
  readonly reply: PageReply | null;
  /** Where the page after this one is, where the paginator can go on from there later. */
  readonly position?: PlainJson;
  readonly isLast: boolean;
}

/** How a listing is run. */
export interface ListOptions {
  /** A position to go on from. */
  readonly from?: PlainJson;
  /** Another pager than the paginator's own, over requests made with changes of the scope. It sees every record of a page, also where a decoder streams them. */
  readonly pager?: (make: (change?: Partial<RequestScope>) => HttpRequest) => Pager;
}

/**
 * Lists records page by page; the next page is fetched while one is used. Leaving early ends the request under way.
 * @throws what the client throws, and SOURCE_ERROR when pages repeat, never end, or lack their records.
 */
export async function* listPages(
  env: ListEnv,
  listing: Listing,
  scope: RequestScope,
  options: ListOptions = {},
): AsyncGenerator<ListedPage, void> {
  using abort = new LinkedAbort(env.ctx.signal);
  const inner: ListEnv = {...env, ctx: {...env.ctx, signal: abort.signal}};
  const make = (change: Partial<RequestScope> = {}): HttpRequest => requestOf(listing, {...scope, ...change});
  if (listing.paginator?.kind === 'asyncJob')
    yield* runJob(inner, {listing, job: listing.paginator, first: make(), scope}, listPages);
  else if (isStreamed(listing))
    yield* streamPages(inner, listing, {
      pager: options.pager?.(make) ?? openPager(pagerOf(listing), startOf(env, make(), options)),
      holdsPages: options.pager !== undefined,
    });
  else yield* pages(inner, listing, openPagers(env, listing, scope, {make, options}));
}

/** The request of a listing's first page. */
export function requestOf({request}: Listing, scope: RequestScope): HttpRequest {
  return typeof request === 'function' ? request(scope) : request;
}

function pagerOf({paginator}: Listing): Exclude<Paginator, {kind: 'asyncJob'}> {
  return paginator === undefined || paginator.kind === 'asyncJob' ? {kind: 'none'} : paginator;
}

function startOf(env: ListEnv, first: HttpRequest, {from}: ListOptions): Parameters<typeof openPager>[1] {
  return {about: `Table "${env.table}"`, first, ...(from === undefined ? {} : {from})};
}

function isStreamed({decode}: Listing): boolean {
  return decode !== undefined && decode.kind !== 'json';
}

/** One pager for each chunk of fields, which go on side by side; one without chunks. */
function openPagers(
  env: ListEnv,
  listing: Listing,
  scope: RequestScope,
  {make, options}: {readonly make: (change?: Partial<RequestScope>) => HttpRequest; readonly options: ListOptions},
): readonly Pager[] {
  const open = (change: Partial<RequestScope>): Pager =>
    options.pager?.((further) => make({...change, ...further})) ??
    openPager(pagerOf(listing), startOf(env, make(change), options));
  if (listing.fieldChunks === undefined) return [open({})];
  return chunksOf(listing.fieldChunks, scope).map((fields) => open({fields}));
}

async function* pages(env: ListEnv, listing: Listing, pagers: readonly Pager[]): AsyncGenerator<ListedPage, void> {
  const guard = pageGuard(env, listing);
  const take =
    (isFirst: boolean): AskPage<Taken> =>
    (ctx) =>
      takePage({...env, ctx}, listing, pagers, isFirst);
  let position: PlainJson | undefined;
  const nextOf = ({reply, more}: Taken): AskPage<Taken> | null => {
    guard(reply?.records ?? [], reply === null ? 0 : countOf(reply), more);
    // Before the next page is taken, which moves it.
    position = pagers[0]?.position?.();
    return more ? take(false) : null;
  };
  for await (const taken of pagesAhead(env.ctx, take(true), nextOf)) {
    yield {
      records: taken.records,
      reply: taken.reply,
      isLast: !taken.more,
      ...(position === undefined ? {} : {position}),
    };
  }
}

interface Taken {
  readonly records: readonly JsonObject[];
  readonly reply: PageReply | null;
  readonly more: boolean;
}

async function takePage(env: ListEnv, listing: Listing, pagers: readonly Pager[], isFirst: boolean): Promise<Taken> {
  const [pager] = pagers;
  if (pager === undefined) return {records: [], reply: null, more: false};
  if (listing.fieldChunks !== undefined && pagers.length > 1) {
    const merged = await mergeChunks({env, listing, chunks: listing.fieldChunks, pagers, isFirst});
    return merged ?? {records: [], reply: null, more: false};
  }
  const reply = await fetchPage(env, listing, pager, isFirst);
  return reply === null ? {records: [], reply: null, more: false} : {...pager.take(reply), reply};
}
