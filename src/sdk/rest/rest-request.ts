import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import type {PlainJson} from '../../core/offset.ts';
import type {TableOptions} from '../contract.ts';
import type {CursorValue} from '../cursor.ts';
import type {ErrorMatch, ErrorRule, HttpHead, HttpRequest} from '../http/http-client.ts';

/** Half a stretch of time, [start, end): what a window asks for. */
export interface WindowBounds {
  /** Microseconds since 1970, included. */
  readonly start: bigint;
  /** Microseconds since 1970, excluded, even where the source's own upper bound is inclusive. */
  readonly end: bigint;
  /** `start` as the source writes times (the plan's `format`). */
  readonly from: CursorValue;
  /** `end` as the source writes times; one granule earlier where the source's upper bound is inclusive. */
  readonly to: CursorValue;
}

/** What a request is made from. */
export interface RequestScope {
  readonly table: string;
  /** Options of the connection. */
  readonly config: TableOptions;
  /** Options of the table. */
  readonly option: TableOptions;
  /** Values of the partition, or the record of the parent; empty without any. */
  readonly parent: JsonObject;
  /** Where parents are grouped: all of the group; else the one, or none. */
  readonly parents: readonly JsonObject[];
  /** Lower bound of an incremental read, itself included, as the source writes it; null: from the beginning. */
  readonly cursor: CursorValue | null;
  /** The window of a read by windows, else null. */
  readonly window: WindowBounds | null;
  /** The delta token of a read by tokens, else null. */
  readonly token: string | null;
  /** Fields of this chunk, where a listing has `fieldChunks`; else empty. */
  readonly fields: readonly string[];
  /** Microseconds since 1970: frozen for the whole trigger. */
  readonly triggerStartedAt: bigint;
}

/** A request, or how it is made. Its URL is a path below the client's base URL; encode parts of it with `encodeURIComponent`. */
export type RequestTemplate = HttpRequest | ((scope: RequestScope) => HttpRequest);

/** Fields on the way to a value: `data.items`, `links[0].href`; `*` is every element of a list or every value of an object. A key that holds a point stands in brackets: `["@odata.nextLink"]`. */
export type JsonPath = string;

/** Where in a request a value goes. */
export type RequestSlot =
  | {readonly query: string}
  | {readonly header: string}
  /** In the JSON or form body; a path makes objects on its way. */
  | {readonly body: JsonPath};

/** How many records a page has, and where the request says so. */
export interface PageSize {
  readonly slot: RequestSlot;
  /** Asked for at first; halved (down to `min`, default 1) when the source answers 413 or 504 or does not answer in time. */
  readonly value: number;
  readonly min?: number;
  /**
   * The source gives as many as asked while it has them: a smaller page is the last. Default false: sources cap sizes, or leave rows out
   * of a page, so that only an empty page ends the listing where nothing else says that a page is the last.
   */
  readonly isExact?: boolean;
}

/** The answer to the request of one page. */
export interface PageReply {
  readonly head: HttpHead;
  /** The decoded body; null where the decoder streams records. */
  readonly body: JsonValue;
  /** The records of the page as the source gave them, before any transform; the last ones where the decoder streams records. */
  readonly records: readonly JsonObject[];
  /** How many records the page has, where the decoder streams them. */
  readonly recordCount?: number;
  /** The request that it answers. */
  readonly request: HttpRequest;
}

/** How a listing goes on from page to page. */
export type Paginator =
  | {readonly kind: 'none'}
  | PagePaginator
  | OffsetPaginator
  | CursorPaginator
  | NextUrlPaginator
  | KeysetPaginator
  | WindowRestartPaginator
  | {readonly kind: 'odata'; readonly size?: number}
  | RelayPaginator
  | AsyncJobPaginator
  | CustomPaginator;

/** Pages by number. Rows that move while they are listed can be missed: a sorted plan restarts at its cursor instead of counting on. */
export interface PagePaginator {
  readonly kind: 'page';
  readonly slot: RequestSlot;
  /** Default 1. */
  readonly first?: number;
  readonly size?: PageSize;
  /** Number of pages in the body. */
  readonly totalPages?: JsonPath;
  /** Number of records in the body; a listing that ends with fewer is read again. */
  readonly total?: JsonPath;
  /** True in the body while there are more pages. */
  readonly hasMore?: JsonPath;
  /** The `Link` header says whether there are more pages. */
  readonly linkHeader?: boolean;
}

/**
 * Pages by offset: as {@link PagePaginator}. Without `total` and `hasMore` an empty page is the last, unless sizes are exact. The offset
 * moves by the records that came, so that nothing is skipped where the source caps sizes; where it leaves rows out of a page, the
 * next page repeats some.
 */
export interface OffsetPaginator {
  readonly kind: 'offset';
  readonly slot: RequestSlot;
  readonly size: PageSize;
  readonly total?: JsonPath;
  readonly hasMore?: JsonPath;
}

/** The answer names the cursor of the next page; none, null or an empty text ends the listing. */
export interface CursorPaginator {
  readonly kind: 'cursor';
  readonly slot: RequestSlot;
  readonly next: {readonly body: JsonPath} | {readonly header: string} | {readonly lastRecord: JsonPath};
  /** True in the body while there are more pages: false ends the listing though there is a cursor. Needed with `lastRecord`, or a page size. */
  readonly hasMore?: JsonPath;
  /** True in the body at the end, for sources that always give a cursor (`end_of_stream`). */
  readonly isLast?: JsonPath;
  readonly size?: PageSize;
}

/** The answer holds the URL of the next page: in the body, in the `Link` header (`rel="next"`), or in another header. */
export interface NextUrlPaginator {
  readonly kind: 'nextUrl';
  readonly from: {readonly body: JsonPath} | 'link' | {readonly header: string};
  /** True in the body while there are more pages: false ends the listing though there is a URL. */
  readonly hasMore?: JsonPath;
  readonly isLast?: JsonPath;
  /** Takes only this query parameter of the URL and sends it with the first page's request; for gateways whose next links are not theirs. */
  readonly onlyParam?: string;
  readonly size?: PageSize;
}

/** Records strictly after the last one of the page before, sorted by unique fields: nothing is lost or repeated when rows come and go. */
export interface KeysetPaginator {
  readonly kind: 'keyset';
  /** Unique together, never null, in sort order; paths in the record. */
  readonly fields: readonly JsonPath[];
  /** Where the value of each field goes; or `request` makes the whole request. */
  readonly slots?: readonly RequestSlot[];
  /** The request of the page after the values of `fields`. */
  readonly request?: (request: HttpRequest, after: readonly CursorValue[]) => HttpRequest;
  readonly size: PageSize;
}

/**
 * For searches that end after `cap` records, sorted ascending by a field: the search restarts at the newest value seen, whose
 * rows are withheld until then. More than `cap` rows of one value are drained by `drain`.
 */
export interface WindowRestartPaginator {
  readonly kind: 'windowRestart';
  /** Pages within one search. */
  readonly inner: OffsetPaginator | CursorPaginator | PagePaginator;
  /** Records that one search gives at most, for example 10,000. */
  readonly cap: number;
  /** Sorted by it, ascending; a path in the record. */
  readonly field: JsonPath;
  /** Unique; a path in the record. */
  readonly id: JsonPath;
  /** The search from a value on, itself included, sorted ascending. */
  readonly restart: (request: HttpRequest, from: CursorValue) => HttpRequest;
  /** The search for rows of exactly this value whose id is above `afterId` (null: all), sorted by id. */
  readonly drain: (request: HttpRequest, value: CursorValue, afterId: CursorValue | null) => HttpRequest;
  /** The first value after one: for timestamps in milliseconds, one millisecond later. */
  readonly after: (value: CursorValue) => CursorValue;
}

/** Connections of GraphQL: `pageInfo {hasNextPage endCursor}` beside the records. The request's body has `query` and `variables`. */
export interface RelayPaginator {
  readonly kind: 'graphqlRelay';
  /** The connection in the body, for example `data.repository.issues`; its `nodes` (or `edges.*.node`) are the records. */
  readonly connection: JsonPath;
  /** The variable that takes the cursor, default `after`. */
  readonly variable?: string;
}

/** A job that the source runs first: created, asked until it is done, then its results are listed. */
export interface AsyncJobPaginator {
  readonly kind: 'asyncJob';
  /** The listing's own request creates the job. Path of its id in the answer. */
  readonly id: JsonPath;
  /** The request that asks how the job stands. */
  readonly poll: (id: string, scope: RequestScope) => HttpRequest;
  /** Path of the state in the poll's answer. */
  readonly state: JsonPath;
  readonly done: readonly string[];
  readonly failed: readonly string[];
  /** The request of the first page of results; `poll` is the answer that said done. */
  readonly results: (id: string, poll: JsonValue, scope: RequestScope) => HttpRequest;
  /** Pages of the results. */
  readonly pages?: CursorPaginator | NextUrlPaginator | PagePaginator | OffsetPaginator | {readonly kind: 'none'};
  /** Sent when the results are read, and when they are not. */
  readonly cleanup?: (id: string, scope: RequestScope) => HttpRequest;
  /** First wait between polls, milliseconds, doubled up to `maxPollMs`. Default 500. */
  readonly pollMs?: number;
  /** Default 30,000. */
  readonly maxPollMs?: number;
  /** Seconds until a job that is not done fails as SOURCE_ERROR. Default 7,200. */
  readonly timeoutSeconds?: number;
  /** Path in the poll's answer of the number of records that the results must have. */
  readonly total?: JsonPath;
}

/** Any other way: the state is plain JSON; null ends the listing. */
export interface CustomPaginator {
  readonly kind: 'custom';
  /** The request of a page; state null is the first. */
  request(first: HttpRequest, state: PlainJson): HttpRequest;
  /** The state of the page after this one; null when there is none. */
  next(reply: PageReply, state: PlainJson): PlainJson;
}

/** What a body is. Streaming decoders give records before the body has ended; with them no paginator reads the body. */
export type Decoder =
  | {readonly kind: 'json'}
  /** A JSON body too large to hold: the items of the list at `records` come one by one. */
  | {readonly kind: 'jsonItems'}
  | {readonly kind: 'ndjson'}
  /** All values are texts; the first line names them unless `columns` does. An empty cell is null unless it is quoted. */
  | {
      readonly kind: 'csv';
      readonly delimiter?: string;
      readonly columns?: readonly string[];
      readonly nullText?: string;
    }
  /**
   * The elements of this name (`parent/element` where it is not enough) are the records; attributes have `@` before their name, text beside
   * them is `#text`. An answer without any is empty where it has the `container` (default: the parent), else an error.
   */
  | {readonly kind: 'xml'; readonly element: string; readonly container?: string; readonly lists?: readonly string[]}
  | {readonly kind: 'gzip'; readonly inner: Decoder}
  /** Every file of the archive whose name ends so (default all). */
  | {readonly kind: 'zip'; readonly inner: Decoder; readonly suffix?: string};

/** Splits the fields of wide records over several requests, whose records are merged by key. */
export interface FieldChunks {
  /** All fields that are wanted. */
  readonly fields: readonly string[] | ((scope: RequestScope) => readonly string[]);
  /** Fields of one request; at least one of both limits. */
  readonly maxCount?: number;
  /** Bytes of the names of one request, separators included. */
  readonly maxBytes?: number;
  /** Path that merges records. */
  readonly key: JsonPath;
  /** Path whose value must be the same in all chunks: a record that changed in between is asked again. */
  readonly version?: JsonPath;
  /** Path of the object that is merged (for example `properties`); default: the whole record. */
  readonly merge?: JsonPath;
}

/** A list of records behind an API: request, pages, decoder, errors. */
export interface Listing {
  readonly request: RequestTemplate;
  /** Default `none`: one answer has all. */
  readonly paginator?: Paginator;
  /** Where the records are; default: the body itself, if it is a list, else a single record. Missing: an error, unless `recordsOptional`. */
  readonly records?: JsonPath | ((reply: Omit<PageReply, 'records'>) => readonly JsonObject[]);
  /** An answer without the path has no records. */
  readonly recordsOptional?: boolean;
  readonly decode?: Decoder;
  /** Asked before the client's rules; rules for status 200 see the body too. */
  readonly errors?: readonly ErrorRule[];
  /** Answers that mean "no records here", for example 404 of a parent that is gone. */
  readonly emptyWhen?: readonly ErrorMatch[];
  readonly fieldChunks?: FieldChunks;
  /** Pages of one listing at most; more is an error. Default 100,000. */
  readonly maxPages?: number;
  /** An empty page does not end a listing whose paginator says that there is more. Default: allowed ten times in a row. */
  readonly maxEmptyPages?: number;
  /** Path of the number of all records in the body, for estimates and progress. */
  readonly total?: JsonPath;
}
