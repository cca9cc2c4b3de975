import {IngestError} from '../../core/errors.ts';
import type {JsonObject} from '../../core/json-value.ts';
import type {PlainJson} from '../../core/offset.ts';
import {decodeBody} from './body-decoders.ts';
import {answers, listingRules, type ListEnv} from './fetch-page.ts';
import {pageGuard} from './page-guard.ts';
import type {Pager} from './pager.ts';
import type {Listing, PageReply} from './rest-request.ts';

/** A piece of a streamed listing. */
export interface StreamedPage {
  readonly records: readonly JsonObject[];
  readonly reply: null;
  readonly position?: PlainJson;
  readonly isLast: boolean;
}

/**
 * Lists records whose bodies are read piece by piece. A body that breaks off fails as transient: its records so far are given, and no
 * offset is passed.
 * @param holdsPages the pager decides about single records: a page is held until its end, and its answer counted whole.
 */
export async function* streamPages(
  env: ListEnv,
  listing: Listing,
  {pager, holdsPages}: {readonly pager: Pager; readonly holdsPages: boolean},
): AsyncGenerator<StreamedPage, void> {
  checkUnseen(env, listing);
  const decode = listing.decode ?? {kind: 'json'};
  const guard = pageGuard(env, listing);
  let more = true;
  for (let isFirst = true; more; isFirst = false) {
    const request = pager.request();
    const errors = [...(request.errors ?? []), ...listingRules(env, listing, false)];
    await using stream = await env.client.stream({...request, errors, about: request.about ?? env.table}, env.ctx);
    if (
      answers(listing.emptyWhen, {
        status: stream.status,
        headers: stream.headers,
        body: null,
        url: stream.url,
        notModified: false,
        sizeBytes: 0,
      })
    ) {
      if (isFirst) return;
      throw new IngestError(
        'SOURCE_ERROR',
        `${env.table}: the source answered ${stream.status} in the middle of a list.`,
        {class: 'transient'},
      );
    }
    const records = typeof listing.records === 'string' ? listing.records : '';
    let last: readonly JsonObject[] = [];
    let recordCount = 0;
    for await (const piece of decodeBody(decode, stream.body, records)) {
      if (last.length > 0 && !holdsPages) yield {records: last, reply: null, isLast: false};
      last = holdsPages ? [...last, ...piece] : piece;
      recordCount += piece.length;
    }
    const reply: PageReply = {head: stream, body: null, records: last, recordCount, request};
    const taken = pager.take(reply);
    more = taken.more;
    guard(last, recordCount, more);
    yield {records: taken.records, reply: null, isLast: !more};
  }
}

/** @throws INVALID_SPEC for a listing that needs the whole body, which a streaming decoder never has. */
function checkUnseen({table}: ListEnv, {paginator, fieldChunks}: Listing): void {
  if (fieldChunks === undefined && !readsBody(paginator)) return;
  const what = fieldChunks === undefined ? 'paginator reads its body' : 'fields come in several requests';
  throw new IngestError('INVALID_SPEC', `Table "${table}" decodes its answers piece by piece, but the ${what}.`, {
    fix: 'Decode as json, or page by a header, a key, a number or an offset.',
    context: {table},
  });
}

function readsBody(paginator: Listing['paginator']): boolean {
  switch (paginator?.kind) {
    case 'page':
      return [paginator.totalPages, paginator.total, paginator.hasMore].some((path) => path !== undefined);
    case 'offset':
      return paginator.total !== undefined || paginator.hasMore !== undefined;
    case 'cursor':
      return 'body' in paginator.next || paginator.hasMore !== undefined || paginator.isLast !== undefined;
    case 'nextUrl':
      return (
        (typeof paginator.from === 'object' && 'body' in paginator.from) ||
        paginator.hasMore !== undefined ||
        paginator.isLast !== undefined
      );
    case 'odata':
    case 'graphqlRelay':
    case 'windowRestart':
      return true;
    default:
      return false;
  }
}
