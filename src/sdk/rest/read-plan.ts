import type {JsonObject} from '../../core/json-value.ts';
import type {Offset} from '../../core/offset.ts';
import type {ChangePages, Page, Partition, ReadContext, TableOptions} from '../contract.ts';
import type {CursorValue} from '../cursor.ts';
import type {ErrorMatch, HttpClient} from '../http/http-client.ts';
import type {JsonPath, Listing, RequestScope} from './rest-request.ts';

/**
 * How a source writes a cursor: times (`iso` with what precision it has, whole `epoch_seconds`, `epoch_ms`, `date`), or values
 * that are no times (`number`, `text`), for which lag, lookback and `start_timestamp` mean nothing.
 */
export type CursorFormat =
  | 'iso'
  | 'iso_seconds'
  | 'iso_ms'
  | 'epoch_seconds'
  | 'epoch_ms'
  | 'date'
  | 'number'
  | 'text'
  | CustomFormat;

/** Times written in another way. */
export interface CustomFormat {
  /** Microseconds since 1970. @throws when the value is no time. */
  readonly parse: (value: CursorValue) => bigint;
  /** The text or number of the source for microseconds since 1970. */
  readonly print: (micros: bigint) => CursorValue;
}

/** What incremental plans have in common. */
export interface CursorSettings {
  /** Path of the cursor in the record as the source gives it; default: the table's `cursorField`. */
  readonly field?: JsonPath;
  /** Default `iso`. */
  readonly format?: CursorFormat;
  /** Rows younger than this many seconds before the trigger may still be joined by others: the offset never passes them. Default 0; of windows, which end by this machine's clock, 60. */
  readonly lagSeconds?: number;
  /** Seconds that the first call of a trigger reads again. Default 0; the option `lookback_seconds` overrides it. */
  readonly lookbackSeconds?: number;
  /** Where the first read begins, as the format says; the option `start_timestamp` overrides it. Default: at the beginning. */
  readonly start?: CursorValue | ((call: RestCall) => Promise<CursorValue | null>);
  /** Unique path in the record, to tell rows of one cursor value apart; default: the table's primary keys. */
  readonly id?: readonly JsonPath[];
}

/** How the rows of a table are read. */
export type ReadPlan =
  | SnapshotPlan
  | SortedPlan
  | IdPlan
  | WindowPlan
  | DescendingPlan
  | TokenPlan
  | EventLogPlan
  | CustomPlan;

/** The whole table in every trigger. */
export interface SnapshotPlan {
  readonly kind: 'snapshot';
  readonly list: Listing;
}

/** Rows ascending by the cursor from a lower bound on: `scope.cursor` is that bound, itself included. */
export interface SortedPlan extends CursorSettings {
  readonly kind: 'sorted';
  readonly list: Listing;
  /** The source's bound leaves its value out: ask one unit earlier. */
  readonly exclusiveBound?: 'second' | 'millisecond' | 'microsecond';
  /**
   * Asks for the next rows by the cursor of the last row instead of by the next page, so that rows which move while they are
   * read are not missed. Default: true for paginators `page` and `offset`, else false.
   */
  readonly restart?: boolean;
  /** False: pages come in any order of rows (the listing filters, but does not sort): the offset moves at the end only. Default true. */
  readonly isSorted?: boolean;
}

/** New rows by an id that only grows: `scope.cursor` is the last id seen, itself excluded. For append tables whose rows never change. */
export interface IdPlan {
  readonly kind: 'id';
  readonly list: Listing;
  readonly field?: JsonPath;
  /** Default `number`. */
  readonly format?: 'number' | 'text';
  /** An id before which the first read begins. */
  readonly start?: CursorValue;
}

/** Windows of time, [start, end): each is read whole, in any order of rows; `scope.window` has its bounds. */
export interface WindowPlan extends CursorSettings {
  readonly kind: 'window';
  readonly list: Listing;
  /** Length of a window; the option `window_seconds` overrides it. Default: one window from the start to now. */
  readonly stepSeconds?: number;
  /** The source's times have whole units of it: bounds fall on them. Default `second`. */
  readonly granularity?: 'day' | 'second' | 'millisecond' | 'microsecond';
  /** The source's upper bound includes its value: `window.to` is one granule earlier. Default false. */
  readonly inclusiveEnd?: boolean;
  /** The source's lower bound leaves its value out: `window.from` is one granule earlier. Default false. */
  readonly exclusiveStart?: boolean;
  /** Windows read at once. Default 4. */
  readonly concurrency?: number;
}

/** Newest first, until a row older than the bound: the offset moves only when the whole pass is done. */
export interface DescendingPlan extends CursorSettings {
  readonly kind: 'descending';
  readonly list: Listing;
}

/** A feed of changes by token: first everything, then what changed since the token. */
export interface TokenPlan {
  readonly kind: 'token';
  /** Everything that exists. */
  readonly initial: Listing;
  /** What changed since `scope.token`. */
  readonly delta: Listing;
  /** Where the last page says the next token: a path in its body or a header. A token that is a URL is sent as it is. */
  readonly token: {readonly body: JsonPath} | {readonly header: string};
  /** Fetches the token before `initial` is read, for sources whose listing of everything gives none. */
  readonly firstToken?: (call: RestCall) => Promise<string>;
  /** Answers that say that the token has expired: everything is listed again, and what is missing then is deleted. */
  readonly expiredWhen: readonly ErrorMatch[];
}

/** What an event says about an object. */
export interface EventMeaning {
  readonly op: 'upsert' | 'delete';
  /** The object as it is after the event; of a delete at least its key. */
  readonly row: JsonObject;
}

/** Lists first, then the source's log of events. The cursor is the time of the events. */
export interface EventLogPlan {
  readonly kind: 'eventLog';
  /** Every object that exists. */
  readonly backfill: Listing;
  /** Events since `scope.cursor` (included), in any order of time. */
  readonly events: Listing;
  /** Path of the event's time and how it is written. */
  readonly time: {readonly field: JsonPath; readonly format?: CursorFormat};
  /** Path of the event's id. */
  readonly id: JsonPath;
  /** Events come newest first (default) or oldest first. Only the newest event of each object counts. */
  readonly order?: 'newestFirst' | 'oldestFirst';
  /** What the event means; null: nothing for this table. */
  readonly meaning: (event: JsonObject, scope: RequestScope) => EventMeaning | null;
  /** How long the source keeps events, seconds: an older offset reads everything again. */
  readonly horizonSeconds: number;
  /** Seconds that events may come late. Default 60. */
  readonly lagSeconds?: number;
}

/** Anything else: an author's own generator with the contract of `readTable`. */
export interface CustomPlan {
  readonly kind: 'custom';
  /** One micro-batch: yields pages, returns the offset after them; the start where nothing is new. */
  read(start: Offset | null, call: RestReadCall): AsyncGenerator<Page, Offset | null>;
  /** Something in `read` ends a trigger: an upper bound at its start. Default true. */
  readonly bounded?: boolean;
  /** The first read in parts instead. */
  readonly parts?: CustomParts;
  /** What its pages of kind `changes` bring; the table is `cdc` or `append` then. A plan that does not say so yields none. */
  readonly changes?: ChangePages;
  /** Every row as it is now, as it lands, in any order: what verification compares with. Default: what `read` gives from the beginning, if that is rows only. */
  everything?(call: RestCall): AsyncIterable<readonly JsonObject[]>;
}

/**
 * The first read cut into parts, the partitions of the contract: several are read at once, and all up to an end are one commit, so that
 * a run which is killed begins again behind the last one. `read` goes on where the parts end.
 */
export interface CustomParts {
  /** False: with these table options `read` reads from the beginning. Without I/O. Default: always true. */
  readonly when?: (option: TableOptions) => boolean;
  /** Whether the load goes on in parts from this offset: after a kill it begins again at the last one. Without I/O. Default: at null only. */
  readonly isCut?: (start: Offset | null) => boolean;
  /**
   * Where these parts end: the next ones begin there, or `read` goes on; asked before the parts are. What happens from then on must be
   * behind it.
   */
  end(start: Offset | null, call: RestReadCall): Promise<Offset>;
  /** The parts of (start, end]: plain JSON. */
  list(range: {readonly start: Offset | null; readonly end: Offset}, call: RestReadCall): Promise<readonly Partition[]>;
  /** The rows of one part; no changes, and nothing in the ledger, which is not kept. */
  read(part: Partition, call: RestReadCall): AsyncGenerator<Page, void>;
}

/** What functions of a spec get. */
export interface RestCall {
  readonly table: string;
  readonly client: HttpClient;
  /** Options of the connection. */
  readonly config: TableOptions;
  /** Options of the table. */
  readonly option: TableOptions;
  readonly ctx: Pick<ReadContext, 'signal' | 'clock' | 'log' | 'files'>;
  /** All records of a listing, page by page, with all its guards. */
  list(listing: Listing, scope?: Partial<RequestScope>): AsyncGenerator<readonly JsonObject[], void>;
}

/** The same within a read. */
export interface RestReadCall extends RestCall {
  readonly ctx: ReadContext;
  /** Values of the partition that is read, whose offset is its own; empty in a table without partitions. */
  readonly parent: JsonObject;
}
