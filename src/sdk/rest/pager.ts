import {IngestError} from '../../core/errors.ts';
import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import type {PlainJson} from '../../core/offset.ts';
import type {HttpRequest} from '../http/http-client.ts';
import {pathReader} from '../json-path.ts';
import {withSlot} from './request-slot.ts';
import type {PageReply, PageSize} from './rest-request.ts';

/** What a pager takes from an answer. */
export interface TakenPage {
  readonly records: readonly JsonObject[];
  /** There is another page: `request` makes its request. */
  readonly more: boolean;
}

/** The way through one listing. */
export interface Pager {
  /** The request of the next page. */
  request(): HttpRequest;
  take(reply: PageReply): TakenPage;
  /** Halves the page size; false when it cannot. */
  shrink?(): boolean;
  /** Where the next page is, as plain JSON, where that outlives the listing. */
  position?(): PlainJson;
}

/** What a pager begins with. */
export interface PagerStart {
  /** For messages. */
  readonly about: string;
  /** The request of the first page. */
  readonly first: HttpRequest;
  /** A `position` to go on from. */
  readonly from?: PlainJson;
  /** The page size of an earlier listing, with what was learned of it. */
  readonly size?: OpenSize;
}

/** How many records a page has. */
export function countOf({records, recordCount}: PageReply): number {
  return recordCount ?? records.length;
}

/** The error of a source that says that there is more, but not where. */
export function leadsNowhere(about: string, what: string): IngestError {
  return new IngestError('SOURCE_ERROR', `${about}: the source says that there are more records and gives ${what}.`, {
    class: 'transient',
    fix: 'Run again; if it stays so, the paginator reads the wrong place for the next page.',
  });
}

/** A page size that can be halved. */
export interface OpenSize {
  readonly value: number;
  apply(request: HttpRequest): HttpRequest;
  shrink(): boolean;
  /** A page of so many records may be followed by another. */
  isFull(records: number): boolean;
}

/** Opens the size of a page; null where none is asked for. */
export function openSize(size: PageSize | undefined): OpenSize | null {
  if (size === undefined) return null;
  let {value} = size;
  return {
    get value(): number {
      return value;
    },
    apply: (request) => withSlot(request, size.slot, value),
    shrink() {
      const smaller = Math.max(size.min ?? 1, Math.floor(value / 2));
      if (smaller === value) return false;
      value = smaller;
      return true;
    },
    // Sources cap sizes, and some leave rows out of a page after they have counted it off: a short page says nothing, an empty one does.
    isFull: (records) => (size.isExact === true ? records >= value : records > 0),
  };
}

/**
 * Stops a listing whose source names its pages in a circle. Memory does not grow with it (Brent): one name is kept, of page 1, 2, 4, 8 and so on, so
 * that a circle is found within twice its length.
 */
export function createRepeatGuard(about: string): (next: string) => void {
  let kept: string | null = null;
  let [steps, border] = [0, 1];
  return (next) => {
    if (next === kept)
      throw new IngestError('SOURCE_ERROR', `${about}: the source names the same next page twice.`, {
        class: 'transient',
        fix: 'Run again; if it stays so, the paginator reads the wrong place for the next page.',
      });
    if (++steps < border) return;
    kept = next;
    steps = 0;
    border *= 2;
  };
}

/** A value as the text of a cursor or URL; null for nothing: absent, null, false or empty. */
export function textOf(value: JsonValue | undefined): string | null {
  if (value === undefined || value === null || value === '' || value === false) return null;
  return typeof value === 'object' && !('text' in value) ? null : String(value);
}

/** True, also as the text `true` or a number above zero. */
export function isTrue(value: JsonValue | undefined): boolean {
  return value === true || value === 'true' || value === 'True' || (typeof value === 'number' && value > 0);
}

/** A number in a body; null when there is none. */
export function numberAt(body: JsonValue, path: string | undefined): number | null {
  if (path === undefined) return null;
  const value = pathReader(path)(body);
  const number = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : null;
}
