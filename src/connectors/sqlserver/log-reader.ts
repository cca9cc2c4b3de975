import type {CallContext, LogBatch, LogPoint, LogReader, LogTable} from '../../sdk/index.ts';
import {FrameWriter} from '../../sdk/index.ts';
import type {Feed, FeedChange, FeedTable, Look} from './feed.ts';
import type {ChangeMethod, FollowedAs, LogPlace, Marks, WantedMethod} from './log-mark.ts';
import {fromPoint, leastPosition, toPoint, transactionName} from './log-mark.ts';

/** What an open log reads from and how. */
export interface LogReaderInit {
  /** Looks at what came behind a place; owned by the reader. */
  readonly rounds: AsyncDisposable & {look(place: LogPlace): Promise<Look>};
  readonly from: LogPlace;
  readonly wanted: WantedMethod;
  /** Told what is durable. */
  readonly onDurable: (place: LogPlace) => void;
  /** Milliseconds between two looks. */
  readonly pollMs: number;
  readonly ctx: CallContext;
  /** Changes of one look that are held at a time, over all tables of a method; default 50,000. */
  readonly maxChanges?: number;
  /** A batch is handed out at this size; a transaction may take it to twice that. Default 1 MB. */
  readonly batchBytes?: number;
}

const BATCH_BYTES = 1 << 20;
const MAX_CHANGES = 50_000;
const MIN_CHANGES = 500;

/**
 * Reads changes by looking for them again and again; each version or LSN is a transaction. Where tables are followed by both methods, a
 * look gives the versions first, then the LSNs: each kind in its own order, in one log that counts its transactions.
 */
export class PolledLogReader implements LogReader {
  readonly #init: LogReaderInit;
  readonly #writer = new FrameWriter(2 * BATCH_BYTES);
  readonly #batchBytes: number;
  /** Tables as their last schema frames had them, as JSON. */
  readonly #described = new Map<number, string>();
  #marks: Marks;
  #tables: ReadonlyMap<number, FollowedAs>;
  #position: bigint;
  /** Where the transaction ends that has begun. */
  #opened: {readonly marks: Marks; readonly position: bigint} | null = null;
  /** The place is another one than the last batch said, or than its position says. */
  #hasMoved = false;
  #isAhead = false;
  /** A position that is durable. */
  #durable: bigint;

  constructor(init: LogReaderInit) {
    this.#init = init;
    this.#batchBytes = init.batchBytes ?? BATCH_BYTES;
    ({marks: this.#marks, tables: this.#tables, position: this.#position} = init.from);
    this.#durable = init.from.position;
  }

  async *batches(): AsyncGenerator<LogBatch, void> {
    const {ctx, pollMs, rounds} = this.#init;
    for (;;) {
      ctx.signal.throwIfAborted();
      const isAtEnd = yield* this.#takeAndEnd(await rounds.look(this.#place));
      // Of a quiet database no look may ever say more: the place is told until it is durable.
      if (this.#position > this.#durable) this.#hasMoved = true;
      if (this.#writer.length > 0 || this.#hasMoved) yield this.#batch();
      if (isAtEnd) await ctx.clock.sleep(pollMs, ctx.signal);
    }
  }

  /** The database keeps changes for a time, whoever reads them. */
  acknowledge(point: LogPoint): void {
    this.#durable = point.position;
    this.#init.onDurable(fromPoint(point));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#init.rounds[Symbol.asyncDispose]();
  }

  get #place(): LogPlace {
    return {position: this.#position, marks: this.#marks, tables: this.#tables};
  }

  async *#takeAndEnd(look: Look): AsyncGenerator<LogBatch, boolean> {
    try {
      return yield* this.#take(look);
    } finally {
      await look[Symbol.asyncDispose]();
    }
  }

  /** Takes what a look shows, or as much of it as fits into memory: false when there is more. */
  async *#take(look: Look): AsyncGenerator<LogBatch, boolean> {
    if (look.resets.length > 0) {
      for (const {table, message} of look.resets) this.#writer.reset(table, message);
      // Alone: that tables are read anew must be durable before the place is behind what they lack.
      yield this.#writer.take(null);
    }
    this.#begins(look);
    let isAtEnd = true;
    for (const feed of look.feeds) isAtEnd = (yield* this.#takeFeed(feed, look.at)) && isAtEnd;
    return isAtEnd;
  }

  /** Which tables are followed, and by which methods, is part of the place. */
  #begins({feeds}: Look): void {
    const markOf = (method: ChangeMethod): bigint | null => feeds.find((feed) => feed.method === method)?.from ?? null;
    const marks = {change_tracking: markOf('change_tracking'), cdc: markOf('cdc')};
    const tables = new Map(
      feeds.flatMap(({method, tables: own}) => own.map(({table, shape}) => [table.id, {method, shape}] as const)),
    );
    const isSame =
      marks.change_tracking === this.#marks.change_tracking &&
      marks.cdc === this.#marks.cdc &&
      areSame(tables, this.#tables);
    if (isSame) return;
    this.#marks = marks;
    this.#tables = tables;
    this.#moved();
  }

  async *#takeFeed(feed: Feed, at: bigint): AsyncGenerator<LogBatch, boolean> {
    const {method, from, tables} = feed;
    const budget = this.#init.maxChanges ?? MAX_CHANGES;
    const limit = Math.max(Math.floor(budget / Math.max(1, tables.length)), Math.min(budget, MIN_CHANGES));
    let {to} = feed;
    const found: {readonly table: FeedTable; readonly change: FeedChange}[] = [];
    if (to > from) {
      for (const table of tables) {
        let count = 0;
        let last = from;
        for await (const piece of feed.read(table, {from, to, limit})) {
          for (const change of piece.changes) found.push({table, change});
          count += piece.rows;
          ({last} = piece);
        }
        // The last transaction of a full read may have more changes.
        if (count >= limit && last - 1n < to) to = last - 1n;
      }
    }
    if (to <= from && feed.to > from) {
      yield* this.#takeOne(feed, from + 1n, at);
      return from + 1n === feed.to;
    }
    yield* this.#emit(found, {method, to, at});
    this.#moveTo(method, to);
    return to === feed.to;
  }

  /** The changes of many transactions, gathered table by table. */
  async *#emit(
    found: readonly {readonly table: FeedTable; readonly change: FeedChange}[],
    {method, to, at}: {readonly method: ChangeMethod; readonly to: bigint; readonly at: bigint},
  ): AsyncGenerator<LogBatch, void> {
    const ordered = found.filter(({change}) => change.mark <= to).toSorted(byMark);
    let open: bigint | null = null;
    for (const {table, change} of ordered) {
      if (open !== change.mark) {
        if (open !== null) this.#commit();
        if (this.#writer.length >= this.#batchBytes) yield this.#batch();
        open = change.mark;
        this.#begin(method, open, change.committedAt ?? at);
      }
      this.#change(table, change);
      if (this.#writer.length >= 2 * this.#batchBytes) yield this.#batch();
    }
    if (open !== null) this.#commit();
  }

  /** One transaction that has more changes than fit into memory: straight from the server, table by table. */
  async *#takeOne(feed: Feed, mark: bigint, at: bigint): AsyncGenerator<LogBatch, void> {
    let hasBegun = false;
    for (const table of feed.tables) {
      for await (const {changes} of feed.read(table, {from: feed.from, to: mark, limit: null})) {
        for (const change of changes) {
          if (!hasBegun) this.#begin(feed.method, mark, change.committedAt ?? at);
          hasBegun = true;
          this.#change(table, change);
          if (this.#writer.length >= 2 * this.#batchBytes) yield this.#batch();
        }
      }
    }
    if (hasBegun) this.#commit();
    this.#moveTo(feed.method, mark);
  }

  #begin(method: ChangeMethod, mark: bigint, committedAt: bigint): void {
    this.#settle();
    const marks = {...this.#marks, [method]: mark};
    const position = this.#behind(marks);
    this.#opened = {marks, position};
    // A transaction begins where the one before it may have ended at the latest.
    this.#writer.begin(position - 1n, committedAt, transactionName(method, mark));
  }

  #commit(): void {
    this.#writer.commit();
    if (this.#opened !== null) ({marks: this.#marks, position: this.#position} = this.#opened);
    this.#opened = null;
    this.#hasMoved = true;
  }

  #change({table}: FeedTable, {payload}: FeedChange): void {
    this.#describe(table);
    this.#writer.change(table.id, payload, 0, payload.length);
  }

  /** Writes a schema frame unless the last one says the same. */
  #describe(table: LogTable): void {
    const text = JSON.stringify(table);
    if (this.#described.get(table.id) === text) return;
    this.#described.set(table.id, text);
    this.#writer.schema(table);
  }

  #moveTo(method: ChangeMethod, mark: bigint): void {
    if (mark === this.#marks[method]) return;
    this.#marks = {...this.#marks, [method]: mark};
    this.#moved();
  }

  /** The place has moved, and no transaction with it. */
  #moved(): void {
    this.#isAhead = true;
    this.#hasMoved = true;
  }

  #settle(): void {
    if (this.#isAhead) this.#position = this.#behind(this.#marks);
    this.#isAhead = false;
  }

  /** The next position. */
  #behind(marks: Marks): bigint {
    const least = leastPosition(marks, this.#init.wanted);
    return least > this.#position ? least : this.#position + 1n;
  }

  #batch(): LogBatch {
    const hasEnd = this.#hasMoved;
    this.#settle();
    this.#hasMoved = false;
    return this.#writer.take(hasEnd ? toPoint(this.#place) : null);
  }
}

function areSame(left: ReadonlyMap<number, FollowedAs>, right: ReadonlyMap<number, FollowedAs>): boolean {
  if (left.size !== right.size) return false;
  return [...left].every(([id, {method, shape}]) => {
    const other = right.get(id);
    return other?.method === method && other.shape === shape;
  });
}

function byMark(left: {readonly change: FeedChange}, right: {readonly change: FeedChange}): number {
  return left.change.mark < right.change.mark ? -1 : left.change.mark > right.change.mark ? 1 : 0;
}
