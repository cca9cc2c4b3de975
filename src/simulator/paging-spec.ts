import type {JsonValue} from '../core/json-value.ts';
import type {Tombstone} from './collection.ts';
import type {ErrorReply} from './simulator-spec.ts';

/** Where a fact about the page stands in the answer: a dotted path of the body (from an `@` on it is one name), or a header. */
export type Place = {readonly body: string} | {readonly header: string};

/** What all styles of paging can say about themselves. */
export interface PagingFacts {
  /** Rows of a page when no `limit` parameter says it. Default 100. */
  readonly pageSize?: number;
  /** The number of rows of all pages. */
  readonly total?: Place;
  /** The number of pages. */
  readonly pages?: Place;
  /** True while there is another page. */
  readonly hasMore?: Place;
  /** True on the last page. */
  readonly isLast?: Place;
  /** The next page: its number, offset, cursor, or address. */
  readonly next?: Place;
  /** Default `value`: what the page's parameter takes (`text`: numbers as texts); else the address of the next page. */
  readonly nextAs?: 'value' | 'text' | 'url' | 'relativeUrl';
  /** How `next` looks on the last page: left out, null, or an empty text. Default `absent`. */
  readonly whenLast?: 'absent' | 'null' | 'empty';
  /** Sends `Link` with rel `next` and, where the style knows them, `first`, `prev` and `last`. Default false. */
  readonly linkHeader?: boolean;
  /** Rows behind this one cannot be reached, whatever page is asked. */
  readonly reach?: {readonly rows: number; readonly reply?: ErrorReply};
}

/** How a list is cut into pages. */
export type PagingSpec =
  | {readonly style: 'none'}
  /** By number: rows that move while a client pages are missed or seen twice, as with the vendor. */
  | ({readonly style: 'page'} & PagingFacts)
  /** By offset; `multiple` refuses offsets that are no multiple of the limit. */
  | ({readonly style: 'offset'; readonly multiple?: boolean} & PagingFacts)
  | CursorPaging
  /** Behind or before a row by its key (`after`, `before`). `whenGone`: that row was deleted; default `continue`. */
  | ({readonly style: 'keyset'; readonly whenGone?: 'continue' | 'error'} & PagingFacts)
  /** `@odata.nextLink`, and `@odata.deltaLink` with `delta`. */
  | ({readonly style: 'odata'} & Omit<CursorPaging, 'style' | 'next' | 'nextAs'>);

/** By opaque cursor. */
export interface CursorPaging extends PagingFacts {
  readonly style: 'cursor';
  /** What the cursor remembers: the last row's place in the order, or how many rows came. Default `key`. */
  readonly remembers?: 'key' | 'offset';
  /** A cursor is refused so many milliseconds of the simulator's clock after it was given. Default: never. */
  readonly expiresAfterMs?: number;
  /** The last page has a cursor too; asking with it later gives what came since. Default false. */
  readonly endless?: boolean;
  readonly delta?: DeltaSpec;
}

/** After the last page: a token that asks for what changed since the first. */
export interface DeltaSpec {
  readonly next: Place;
  /** Default `url`. */
  readonly nextAs?: 'value' | 'url';
  /** The query parameter that takes the token. */
  readonly param: string;
  /** How a deleted row looks. Default: its key fields and `"@removed": {"reason": "deleted"}`. */
  readonly removed?: (tombstone: Tombstone) => JsonValue;
  /** A token is refused so many milliseconds after it was given. Default: never. */
  readonly expiresAfterMs?: number;
}
