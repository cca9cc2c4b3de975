import {IngestError} from '../../core/errors.ts';
import type {JsonObject} from '../../core/json-value.ts';
import type {Offset} from '../../core/offset.ts';
import type {CursorValue} from '../cursor.ts';
import {pathReader, type PathReader} from '../json-path.ts';
import type {OpenFormat} from './cursor-format.ts';
import {cursorPath, formatOf, lookbackSeconds, upperBound, type PlanCall} from './plan-call.ts';
import type {CursorSettings} from './read-plan.ts';
import {RecentKeys} from './recent-keys.ts';
import {planIdentity, versionOf} from './record-identity.ts';

/** Ids that stand in an offset; further ones go to the ledger. */
const IDS_IN_OFFSET = 200;

/** How rows come. */
export type RowOrder = 'ascending' | 'descending' | 'any';

/**
 * Follows the cursor through the rows of one call. What it keeps: the newest value that the offset may name, and in append tables
 * the ids of the rows that have it, so that none of them is appended twice and none that joins them later is lost.
 */
export class CursorState {
  readonly format: OpenFormat;
  /** Where the last call ended; null: nowhere. */
  readonly committed: CursorValue | null;
  /** Where rows are read from, lookback included; null: from the beginning. */
  readonly from: CursorValue | null;
  readonly valueOf: (record: JsonObject) => CursorValue | null;
  readonly idOf: (record: JsonObject) => string;
  /** Rows beyond the upper bound of an append table wait for a later trigger. */
  sawWithheld = false;

  readonly #call: PlanCall;
  readonly #settings: CursorSettings;
  #upper: bigint | null = null;
  readonly #order: RowOrder;
  readonly #looksBack: boolean;
  #last: CursorValue | null = null;
  #newest: CursorValue | null;
  #newestIds: string[];
  #newestOverflows: boolean;
  #complete: Offset | undefined;
  #moved = false;
  #overflow = 0;
  /** Ids that were appended with the committed value. */
  readonly #committedIds: ReadonlySet<string>;
  readonly #committedOverflows: boolean;
  /** What this call appended last, where its rows do not ascend: a row that comes twice moved from one page to the next. */
  readonly #appended = new RecentKeys();

  constructor(
    settings: CursorSettings,
    call: PlanCall,
    {
      start,
      first,
      order,
    }: {readonly start: Offset | null; readonly first: CursorValue | null; readonly order: RowOrder},
  ) {
    this.#call = call;
    this.#order = order;
    this.format = formatOf(settings);
    const read: PathReader = pathReader(cursorPath(settings, call.table));
    const {plain} = this.format;
    this.valueOf = (record) => plain(read(record));
    this.idOf = planIdentity(settings.id, call.table);
    this.committed = cursorIn(start);
    const lookback = this.committed === null || !call.ctx.isFirstCall ? 0 : lookbackSeconds(settings, call);
    this.#looksBack = call.isAppend && lookbackSeconds(settings, call) > 0;
    this.from = this.#lookedBack(this.committed ?? first, first, lookback);
    this.#settings = settings;
    this.#newest = this.committed;
    this.#newestIds = idsIn(start);
    this.#newestOverflows = start?.['more'] === true;
    this.#overflow = typeof start?.['ties'] === 'number' ? start['ties'] : 0;
    this.#committedIds = new Set(this.#newestIds);
    this.#committedOverflows = this.#newestOverflows;
  }

  /**
   * Takes the rows of a page and gives those that are to be yielded: in keyed tables all of them, untouched.
   * @throws CONTRACT_VIOLATION when the rows are not in the declared order.
   */
  async take(rows: readonly JsonObject[]): Promise<readonly JsonObject[]> {
    const known = this.#call.isAppend ? await this.#knownVersions(rows) : null;
    this.#upper ??= this.format.isTime ? upperBound(this.#settings, this.#call) : null;
    const fresh: JsonObject[] = [];
    for (const row of rows) {
      const value = this.valueOf(row);
      if (value !== null && value !== this.#last) this.#checkOrder(value);
      const isBeyond = value !== null && this.#upper !== null && this.format.micros(value) > this.#upper;
      if (known !== null) {
        if (isBeyond) {
          this.sawWithheld = true;
          continue;
        }
        const id = this.idOf(row);
        const version = versionOf(value, id);
        if (known.has(version)) continue;
        fresh.push(row);
        if (this.#order !== 'ascending') this.#appended.isNew(version);
        if (value === null || this.#looksBack) this.#call.ctx.ledger.put(this.#ledgerKey('id', version), true);
        if (value !== null) this.#follow(value, id);
      } else if (!isBeyond && value !== null) this.#follow(value, null);
    }
    return known === null ? rows : fresh;
  }

  /**
   * The offset that a page may carry now; undefined while there is none. In an append table it holds every row of the page, because a
   * batch that ends here has appended them all; in a keyed one it is behind the last value whose rows are all there.
   */
  pageOffset(): Offset | undefined {
    if (this.#order !== 'ascending') return undefined;
    if (!this.#call.isAppend) return this.#complete;
    return this.#moved ? this.#offset() : undefined;
  }

  /** The offset after the last page: the start when nothing moved. */
  end(start: Offset | null): Offset | null {
    return this.#moved ? this.#offset() : start;
  }

  #lookedBack(bound: CursorValue | null, first: CursorValue | null, seconds: number): CursorValue | null {
    if (bound === null || seconds === 0 || !this.format.isTime) return bound;
    const earlier = this.format.print(this.format.micros(bound) - BigInt(Math.round(seconds * 1_000_000)));
    return first !== null && this.format.compare(earlier, first) < 0 ? first : earlier;
  }

  #checkOrder(value: CursorValue): void {
    const last = this.#last;
    this.#last = value;
    if (last === null || this.#order === 'any') return;
    const compared = this.format.compare(value, last);
    if (this.#order === 'ascending' ? compared >= 0 : compared <= 0) return;
    const {name} = this.#call.table;
    throw new IngestError('CONTRACT_VIOLATION', `The rows of table "${name}" are not ${this.#order} by the cursor.`, {
      class: 'transient',
      fix: 'Run again. If it stays so, ask the source to sort by the cursor field, declare isSorted: false, or read by time windows.',
      context: {table: name},
    });
  }

  #follow(value: CursorValue, id: string | null): void {
    const compared = this.#newest === null ? 1 : this.format.compare(value, this.#newest);
    if (compared < 0) return;
    if (compared > 0) {
      if (this.#moved && this.#order === 'ascending') this.#complete = this.#offset();
      this.#newest = value;
      this.#newestIds = [];
      this.#newestOverflows = false;
      this.#overflow = 0;
      this.#moved = true;
    }
    if (id === null) return;
    this.#moved = true;
    if (this.#newestIds.length < IDS_IN_OFFSET) this.#newestIds.push(id);
    else {
      this.#newestOverflows = true;
      this.#overflow++;
      this.#call.ctx.ledger.put(this.#ledgerKey('tie', versionOf(value, id)), true);
    }
  }

  #offset(): Offset {
    const cursor = this.#newest ?? '';
    if (!this.#call.isAppend) return {cursor};
    return {cursor, ids: [...this.#newestIds], ...(this.#newestOverflows ? {more: true, ties: this.#overflow} : {})};
  }

  /** Which of the rows were appended before. A row that is there again with another value of the cursor is another one. */
  async #knownVersions(rows: readonly JsonObject[]): Promise<ReadonlySet<string>> {
    const known = new Set<string>();
    const asked = new Map<string, string>();
    const atNewest = new Set(this.#newestIds);
    for (const row of rows) {
      const value = this.valueOf(row);
      const id = this.idOf(row);
      const version = versionOf(value, id);
      if (this.#appended.has(version)) known.add(version);
      if (this.#looksBack || value === null) asked.set(this.#ledgerKey('id', version), version);
      else if (this.#isBeforeStart(value)) known.add(version);
      if (this.#isAt(value, this.committed)) {
        if (this.#committedIds.has(id)) known.add(version);
        else if (this.#committedOverflows) asked.set(this.#ledgerKey('tie', version), version);
      }
      if (this.#isAt(value, this.#newest)) {
        if (atNewest.has(id)) known.add(version);
        else if (this.#newestOverflows) asked.set(this.#ledgerKey('tie', version), version);
      }
    }
    if (asked.size === 0) return known;
    for (const key of (await this.#call.ctx.ledger.get([...asked.keys()])).keys()) known.add(asked.get(key) ?? '');
    return known;
  }

  #isAt(value: CursorValue | null, other: CursorValue | null): boolean {
    return value !== null && other !== null && (value === other || this.format.compare(value, other) === 0);
  }

  /** Rows below the committed cursor were appended before. */
  #isBeforeStart(value: CursorValue): boolean {
    return this.committed !== null && this.format.compare(value, this.committed) < 0;
  }

  #ledgerKey(kind: string, id: string): string {
    return `${this.#call.ledgerPrefix}${kind}:${id}`;
  }
}

function cursorIn(offset: Offset | null): CursorValue | null {
  const cursor = offset?.['cursor'];
  return typeof cursor === 'string' || typeof cursor === 'number' ? cursor : null;
}

function idsIn(offset: Offset | null): string[] {
  const ids = offset?.['ids'];
  return Array.isArray(ids) ? ids.map(String) : [];
}
