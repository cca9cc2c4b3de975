import {IngestError} from '../../core/errors.ts';
import type {JsonObject} from '../../core/json-value.ts';
import type {CursorValue} from '../cursor.ts';
import type {HttpRequest} from '../http/http-client.ts';
import type {OpenFormat} from './cursor-format.ts';
import type {Pager, TakenPage} from './pager.ts';
import type {PageReply} from './rest-request.ts';

/** A list that is sorted ascending by a cursor and filtered from a bound on. */
export interface RestartOptions {
  /** Opens the list from a bound on, at its first page. */
  readonly open: (bound: CursorValue | null) => Pager;
  readonly from: CursorValue | null;
  readonly format: OpenFormat;
  readonly valueOf: (record: JsonObject) => CursorValue | null;
  readonly idOf: (record: JsonObject) => string;
}

/** A record, its cursor and its identity. */
interface Row {
  readonly record: JsonObject;
  readonly value: CursorValue | null;
  readonly id: string;
}

/** Passes over the pages of one bound, at most: each but the first looks for rows that moved while the one before was read. */
const MAX_PASSES = 10;

/**
 * Asks for the next rows by the value of the last row instead of by the next page: rows that are changed while they are listed move to
 * the end, and all behind them move up, so that the next page by number would leave some out. Only where more rows than a page share
 * the bound pages are taken by number; they are then listed again until a pass brings nothing new. Rows seen already are left
 * out.
 */
export function openRestart(options: RestartOptions): Pager {
  return new Restart(options);
}

class Restart implements Pager {
  readonly #options: RestartOptions;
  #bound: CursorValue | null;
  #pager: Pager;
  /** Pages with records in this pass. */
  #pages = 0;
  #passes = 1;
  /** Rows at the bound that this pass listed, and the one before. */
  #listed = new Set<string>();
  #listedBefore: ReadonlySet<string> | null = null;
  /** The least value above the bound, of this pass and the one before. */
  #next: CursorValue | null = null;
  /** Identity and value of rows that the next request may bring again. */
  readonly #seen = new Map<string, CursorValue | null>();

  constructor(options: RestartOptions) {
    this.#options = options;
    this.#bound = options.from;
    this.#pager = options.open(options.from);
  }

  request(): HttpRequest {
    return this.#pager.request();
  }

  shrink(): boolean {
    return this.#pager.shrink?.() === true;
  }

  take(reply: PageReply): TakenPage {
    const taken = this.#pager.take(reply);
    const {more} = taken;
    const rows = taken.records.map((record) => this.#rowOf(record));
    if (rows.length > 0) this.#pages++;
    const isSingle = this.#pages <= 1 && this.#passes === 1;
    const fresh = rows
      .filter((row) => (isSingle || !this.#isBeyond(row)) && this.#isFresh(row))
      .map(({record}) => record);
    this.#note(rows);
    const last = rows.findLast(({value}) => value !== null)?.value ?? null;
    const isBeyond = last !== null && this.#compare(last) > 0;
    if (more && !isBeyond) return {records: fresh, more: true};
    if (isSingle) {
      if (more) this.#open(last);
      return {records: fresh, more};
    }
    if (!this.#isClean()) this.#listAgain();
    else if (this.#next === null) return {records: fresh, more: false};
    else this.#open(this.#next);
    return {records: fresh, more: true};
  }

  #rowOf(record: JsonObject): Row {
    const {valueOf, idOf} = this.#options;
    return {record, value: valueOf(record), id: idOf(record)};
  }

  #note(rows: readonly Row[]): void {
    const {format} = this.#options;
    for (const {value, id} of rows) {
      if (value === null || this.#compare(value) <= 0) this.#listed.add(id);
      else if (this.#next === null || format.compare(value, this.#next) < 0) this.#next = value;
    }
  }

  /**
   * Two passes listed the same rows at the bound. A row that was missed in both would have moved up because another one left the list
   * between two pages of the first pass, and that one would be missing in the second.
   */
  #isClean(): boolean {
    const before = this.#listedBefore;
    return before !== null && before.size === this.#listed.size && [...this.#listed].every((id) => before.has(id));
  }

  #listAgain(): void {
    if (this.#passes >= MAX_PASSES) {
      throw new IngestError('SOURCE_ERROR', 'Rows that share a cursor value change faster than they can be listed.', {
        class: 'transient',
        fix: 'Run again later, or ask for larger pages.',
      });
    }
    const [listed, next] = [this.#listed, this.#next];
    this.#begin(this.#bound, this.#passes + 1);
    this.#listedBefore = listed;
    this.#next = next;
  }

  #open(bound: CursorValue | null): void {
    this.#forgetBefore(bound);
    this.#begin(bound, 1);
  }

  #begin(bound: CursorValue | null, passes: number): void {
    this.#bound = bound;
    this.#passes = passes;
    this.#pages = 0;
    this.#listed = new Set();
    this.#listedBefore = null;
    this.#next = null;
    this.#pager = this.#options.open(bound);
  }

  /** Rows above the bound are left to the next one until it is sure that no row at the bound is missing. */
  #isBeyond({value}: Row): boolean {
    return value !== null && this.#compare(value) > 0;
  }

  #compare(value: CursorValue): number {
    return this.#bound === null ? 1 : this.#options.format.compare(value, this.#bound);
  }

  #isFresh({value, id}: Row): boolean {
    const identity = `${value} ${id}`;
    if (this.#seen.has(identity)) return false;
    this.#seen.set(identity, value);
    return true;
  }

  /** Bounds may reach back by the granule of the source's filter: a day is more than any. */
  #forgetBefore(bound: CursorValue | null): void {
    if (bound === null || this.#seen.size < FORGET_FROM) return;
    const {format} = this.#options;
    const border = format.isTime ? format.print(format.micros(bound) - 1_000_000n) : bound;
    for (const [identity, value] of this.#seen) {
      if (value !== null && format.compare(value, border) < 0) this.#seen.delete(identity);
    }
  }
}

const FORGET_FROM = 1000;
