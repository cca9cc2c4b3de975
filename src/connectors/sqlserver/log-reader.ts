import type {CallContext, LogBatch, LogPoint, LogReader, LogTable} from '../../sdk/index.ts';
import {FrameWriter} from '../../sdk/index.ts';
import type {ChangeFeed, FeedChange, FeedTable, Look} from './feed.ts';
import type {LogPlace} from './log-mark.ts';
import {positionOf, toPoint, transactionName} from './log-mark.ts';

/** What an open log reads from and how. */
export interface LogReaderInit {
  readonly feed: ChangeFeed;
  readonly from: LogPlace;
  /** Milliseconds between two looks. */
  readonly pollMs: number;
  readonly ctx: CallContext;
  /** Changes of one look that are held at a time, over all tables; default 50,000. */
  readonly maxChanges?: number;
  /** A batch is handed out at this size; a transaction may take it to twice that. Default 1 MB. */
  readonly batchBytes?: number;
}

const BATCH_BYTES = 1 << 20;
const MAX_CHANGES = 50_000;
const MIN_CHANGES = 500;

/** Reads changes by looking for them again and again; each version or LSN is a transaction. */
export class PolledLogReader implements LogReader {
  readonly #init: LogReaderInit;
  readonly #writer = new FrameWriter(2 * BATCH_BYTES);
  readonly #batchBytes: number;
  /** Tables as their last schema frames had them, as JSON. */
  readonly #described = new Map<number, string>();
  #shapes: Readonly<Record<string, string>>;
  #mark: bigint;
  #hasMoved = false;
  #hasReset = false;

  constructor(init: LogReaderInit) {
    this.#init = init;
    this.#batchBytes = init.batchBytes ?? BATCH_BYTES;
    this.#mark = init.from.mark;
    this.#shapes = init.from.shapes;
  }

  async *batches(): AsyncGenerator<LogBatch, void> {
    const {ctx, pollMs, feed} = this.#init;
    for (;;) {
      ctx.signal.throwIfAborted();
      const look = await feed.look(this.#mark, this.#shapes);
      const isAtEnd = look === null || (yield* this.#takeAndEnd(look));
      if (this.#writer.length > 0 || this.#hasReset || this.#hasMoved) yield this.#batch();
      if (isAtEnd) await ctx.clock.sleep(pollMs, ctx.signal);
    }
  }

  /** The database keeps changes for a time, whoever reads them. */
  acknowledge(_point: LogPoint): void {
    // Nothing waits for it.
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#init.feed[Symbol.asyncDispose]();
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
    for (const {table, message} of look.resets) {
      this.#writer.reset(table, message);
      this.#hasReset = true;
    }
    const budget = this.#init.maxChanges ?? MAX_CHANGES;
    const limit = Math.max(Math.floor(budget / Math.max(1, look.tables.length)), Math.min(budget, MIN_CHANGES));
    let to = look.to;
    const found: {readonly table: FeedTable; readonly change: FeedChange}[] = [];
    if (look.to > this.#mark) {
      for (const table of look.tables) {
        let count = 0;
        let last = this.#mark;
        for await (const piece of look.read(table, {from: this.#mark, to, limit})) {
          for (const change of piece.changes) found.push({table, change});
          count += piece.rows;
          ({last} = piece);
        }
        // The last transaction of a full read may have more changes.
        if (count >= limit && last - 1n < to) to = last - 1n;
      }
    }
    if (to <= this.#mark && look.to > this.#mark) {
      yield* this.#takeOne(look, this.#mark + 1n);
      return this.#mark === look.to;
    }
    yield* this.#emit(found, to, look);
    this.#moveTo(to, look);
    return to === look.to;
  }

  /** The changes of many transactions, gathered table by table. */
  async *#emit(
    found: readonly {readonly table: FeedTable; readonly change: FeedChange}[],
    to: bigint,
    look: Look,
  ): AsyncGenerator<LogBatch, void> {
    const ordered = found.filter(({change}) => change.mark <= to).toSorted(byMark);
    let open: bigint | null = null;
    for (const {table, change} of ordered) {
      if (open !== change.mark) {
        if (open !== null) this.#commit(open);
        if (this.#writer.length >= this.#batchBytes) yield this.#batch();
        open = change.mark;
        this.#begin(open, change.committedAt ?? look.at);
      }
      this.#change(table, change);
      if (this.#writer.length >= 2 * this.#batchBytes) yield this.#batch();
    }
    if (open !== null) this.#commit(open);
  }

  /** One transaction that has more changes than fit into memory: straight from the server, table by table. */
  async *#takeOne(look: Look, mark: bigint): AsyncGenerator<LogBatch, void> {
    let hasBegun = false;
    for (const table of look.tables) {
      for await (const {changes} of look.read(table, {from: this.#mark, to: mark, limit: null})) {
        for (const change of changes) {
          if (!hasBegun) this.#begin(mark, change.committedAt ?? look.at);
          hasBegun = true;
          this.#change(table, change);
          if (this.#writer.length >= 2 * this.#batchBytes) yield this.#batch();
        }
      }
    }
    if (hasBegun) this.#commit(mark);
    this.#moveTo(mark, look);
  }

  #begin(mark: bigint, committedAt: bigint): void {
    const {method} = this.#init.from;
    // A transaction begins where the one before it may have ended at the latest.
    this.#writer.begin(positionOf(method, mark) - 1n, committedAt, transactionName(method, mark));
  }

  #commit(mark: bigint): void {
    this.#writer.commit();
    this.#mark = mark;
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

  #moveTo(mark: bigint, {tables}: Look): void {
    if (mark !== this.#mark) this.#hasMoved = true;
    this.#mark = mark;
    this.#shapes = Object.fromEntries(tables.map(({table, shape}) => [String(table.id), shape]));
  }

  #batch(): LogBatch {
    const hasEnd = this.#hasMoved;
    this.#hasMoved = false;
    this.#hasReset = false;
    const {method} = this.#init.from;
    return this.#writer.take(hasEnd ? toPoint({method, mark: this.#mark, shapes: this.#shapes}) : null);
  }
}

function byMark(left: {readonly change: FeedChange}, right: {readonly change: FeedChange}): number {
  return left.change.mark < right.change.mark ? -1 : left.change.mark > right.change.mark ? 1 : 0;
}
