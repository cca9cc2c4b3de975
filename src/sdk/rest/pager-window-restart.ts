import {IngestError} from '../../core/errors.ts';
import type {JsonObject} from '../../core/json-value.ts';
import type {CursorValue} from '../cursor.ts';
import type {HttpRequest} from '../http/http-client.ts';
import {pathReader} from '../json-path.ts';
import {openFormat} from './cursor-format.ts';
import type {Pager, PagerStart, TakenPage} from './pager.ts';
import type {PageReply, WindowRestartPaginator} from './rest-request.ts';

/**
 * Searches that end after a number of records. Before the cap is reached the search begins again at the newest value seen,
 * whose rows were withheld. When one value alone has more rows than the cap, its rows are drained by id.
 */
export function openWindowRestart(
  paginator: WindowRestartPaginator,
  {first, about}: PagerStart,
  openInner: (first: HttpRequest) => Pager,
): Pager {
  return new WindowRestart(paginator, {first, about, openInner});
}

interface Parts {
  readonly first: HttpRequest;
  readonly about: string;
  readonly openInner: (first: HttpRequest) => Pager;
}

class WindowRestart implements Pager {
  readonly #paginator: WindowRestartPaginator;
  readonly #parts: Parts;
  readonly #valueOf: (record: JsonObject) => CursorValue | null;
  readonly #idOf: (record: JsonObject) => CursorValue | null;
  #inner: Pager;
  /** Records of the search so far. */
  #count = 0;
  /** Where the search began; null: at the first request's own bound. */
  #from: CursorValue | null = null;
  /** Rows at the newest value of the search, not handed on yet. */
  #withheld: JsonObject[] = [];
  /** The value that is drained, and how far. */
  #drained: {readonly value: CursorValue; readonly afterId: CursorValue | null} | null = null;

  constructor(paginator: WindowRestartPaginator, parts: Parts) {
    const {plain} = openFormat('text');
    const [value, id] = [pathReader(paginator.field), pathReader(paginator.id)];
    this.#paginator = paginator;
    this.#parts = parts;
    this.#valueOf = (record) => plain(value(record));
    this.#idOf = (record) => plain(id(record));
    this.#inner = parts.openInner(parts.first);
  }

  request(): HttpRequest {
    return this.#inner.request();
  }

  shrink(): boolean {
    return this.#inner.shrink?.() === true;
  }

  take(reply: PageReply): TakenPage {
    const {records, more} = this.#inner.take(reply);
    this.#count += records.length;
    if (this.#drained !== null) return this.#takeDrained(records, more);
    const ready = this.#withhold(records);
    if (!more) {
      const rest = this.#withheld;
      this.#withheld = [];
      return {records: [...ready, ...rest], more: false};
    }
    if (this.#hasRoom(records.length)) return {records: ready, more: true};
    this.#restart();
    return {records: ready, more: true};
  }

  /** Gives the rows below the newest value, and keeps those at it. */
  #withhold(records: readonly JsonObject[]): readonly JsonObject[] {
    const last = records.at(-1);
    if (last === undefined) return [];
    const newest = this.#valueOf(last);
    const held = this.#withheld[0];
    const all = [...this.#withheld, ...records];
    if (held !== undefined && this.#valueOf(held) === newest) {
      this.#withheld = all;
      return [];
    }
    let border = all.length;
    while (border > 0 && this.#valueOf(all[border - 1] ?? {}) === newest) border--;
    this.#withheld = all.slice(border);
    return all.slice(0, border);
  }

  /** Whether the search gives another page: what is asked for counts, not what comes. */
  #hasRoom(pageRecords: number): boolean {
    const {inner, cap} = this.#paginator;
    return this.#count + Math.max(pageRecords, inner.size?.value ?? 1) <= cap;
  }

  #restart(): void {
    const held = this.#withheld[0];
    const value = held === undefined ? null : this.#valueOf(held);
    if (value === null) throw notSortable(this.#parts.about, this.#paginator.field);
    this.#withheld = [];
    // A search that saw one value only would begin again where it began.
    if (value === this.#from) this.#drain(value, null);
    else this.#search(value);
  }

  #search(from: CursorValue): void {
    this.#from = from;
    this.#count = 0;
    this.#drained = null;
    this.#inner = this.#parts.openInner(this.#paginator.restart(this.#parts.first, from));
  }

  #drain(value: CursorValue, afterId: CursorValue | null): void {
    this.#drained = {value, afterId};
    this.#count = 0;
    this.#inner = this.#parts.openInner(this.#paginator.drain(this.#parts.first, value, afterId));
  }

  #takeDrained(records: readonly JsonObject[], more: boolean): TakenPage {
    const drained = this.#drained;
    if (drained === null) return {records, more};
    if (!more) {
      this.#search(this.#paginator.after(drained.value));
      return {records, more: true};
    }
    if (this.#hasRoom(records.length)) return {records, more: true};
    const last = records.at(-1);
    const id = last === undefined ? null : this.#idOf(last);
    if (id === null || id === drained.afterId) throw notSortable(this.#parts.about, this.#paginator.id);
    this.#drain(drained.value, id);
    return {records, more: true};
  }
}

function notSortable(about: string, field: string): IngestError {
  return new IngestError(
    'CONTRACT_VIOLATION',
    `${about}: the search cannot go on, because its records have no "${field}" that grows.`,
    {
      fix: 'Name the field by which the search sorts, and the id that breaks ties.',
      context: {field},
    },
  );
}
