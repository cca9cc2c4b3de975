import {
  type HttpHeaders,
  type HttpRequest,
  IngestError,
  type JsonObject,
  type JsonValue,
  type Listing,
  type PageReply,
} from '../../sdk/index.ts';

/** Objects of one page: the most that Stripe gives. */
export const PAGE_SIZE = 100;

/** Time as Stripe's answers tell it: the clock by which it stamps objects, whatever this machine's clock says. */
export interface ListingClock {
  /** Takes the time of an answer. */
  note(headers: HttpHeaders): void;
  /** Seconds since 1970 of the last answer; before the first one, of this machine. */
  nowSeconds(): number;
}

/** A clock that goes by answers, and by `fallbackMs` before the first one. */
export function listingClock(fallbackMs: number): ListingClock {
  let nowMs = fallbackMs;
  return {
    note(headers) {
      const at = Date.parse(headers.get('date') ?? '');
      if (!Number.isNaN(at)) nowMs = at;
    },
    nowSeconds: () => Math.floor(nowMs / 1000),
  };
}

/**
 * A list of Stripe: newest first, each page after the last object of the one before.
 * @see https://docs.stripe.com/api/pagination
 */
export function pagedListing(
  {url, query = {}}: Pick<HttpRequest, 'url' | 'query'>,
  onReply: (reply: Omit<PageReply, 'records'>) => void = () => undefined,
): Listing {
  return {
    request: {url, query: {...query, limit: PAGE_SIZE}},
    paginator: {kind: 'cursor', slot: {query: 'starting_after'}, next: {lastRecord: 'id'}, hasMore: 'has_more'},
    records: (reply) => {
      onReply(reply);
      return listOf(reply.body);
    },
  };
}

/** The objects of a page. @throws SOURCE_ERROR when the body is no list. */
export function listOf(body: JsonValue): readonly JsonObject[] {
  const data = typeof body === 'object' && body !== null && !Array.isArray(body) ? (body as JsonObject)['data'] : null;
  if (!Array.isArray(data)) throw new IngestError('SOURCE_ERROR', 'An answer of Stripe that should be a list is none.');
  return data.filter((item): item is JsonObject => typeof item === 'object' && item !== null && !Array.isArray(item));
}
