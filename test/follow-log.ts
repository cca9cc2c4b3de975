import type {
  LogBatch,
  LogCodec,
  LogDecoder,
  LogPoint,
  LogReader,
  LogTable,
  SnapshotToken,
} from '../src/sdk/change-log.ts';
import type {Change} from '../src/sdk/contract.ts';
import {FRAME, readBegin, readFrames, readSchema} from '../src/sdk/log-frames.ts';

/** A transaction of the log, decoded. */
export interface FollowedTransaction {
  readonly name: string;
  readonly position: bigint;
  readonly changes: {readonly table: number; readonly change: Change}[];
}

/** Decodes batches of a log as a reader of staging would: transactions whole, in order. */
export class LogFollower {
  readonly transactions: FollowedTransaction[] = [];
  /** Tables as the log last described them. */
  readonly tables: Map<number, LogTable> = new Map();
  readonly resets: string[] = [];
  end: LogPoint | null = null;
  #open: FollowedTransaction | null = null;
  readonly #codec: LogCodec;
  readonly #decoders = new Map<number, LogDecoder>();

  constructor(codec: LogCodec) {
    this.#codec = codec;
  }

  /** A reader that was cut off within a transaction is followed by one that begins it again. */
  restart(): void {
    this.#open = null;
  }

  add(batch: LogBatch): void {
    const bytes = Buffer.from(batch.bytes);
    for (const {message} of batch.resets) this.resets.push(message);
    for (const frame of readFrames(bytes)) {
      switch (frame.kind) {
        case FRAME.begin: {
          const {position, transaction} = readBegin(bytes, frame);
          this.#open = {name: transaction, position, changes: []};
          break;
        }
        case FRAME.schema: {
          const table = readSchema(bytes, frame);
          this.tables.set(table.id, table);
          const decoder = this.#decoders.get(table.id);
          if (decoder === undefined) this.#decoders.set(table.id, this.#codec.createDecoder(table));
          else decoder.describe(table);
          break;
        }
        case FRAME.change: {
          const out: Change[] = [];
          this.#decoders.get(frame.table)?.decode(bytes.subarray(frame.start, frame.end), out);
          for (const change of out) this.#open?.changes.push({table: frame.table, change});
          break;
        }
        case FRAME.truncate:
          this.#open?.changes.push({table: frame.table, change: {op: 'truncate'}});
          break;
        case FRAME.commit:
          if (this.#open === null) throw new Error('a commit without a begin');
          this.transactions.push(this.#open);
          this.#open = null;
          break;
        default:
          break;
      }
    }
    if (batch.end !== null) this.end = batch.end;
  }

  /** Reads until the log stands at or behind a position. */
  async readTo(reader: LogReader, position: bigint): Promise<void> {
    for await (const batch of reader.batches()) {
      this.add(batch);
      if (batch.open === null && this.end !== null && this.end.position >= position) return;
    }
  }
}

/** Applies what not all views of a snapshot saw to its rows, by key. */
export function replay(
  rows: Map<string, Record<string, unknown>>,
  follower: LogFollower,
  {
    table,
    codec,
    views,
    keys,
  }: {table: number; codec: LogCodec; views: readonly SnapshotToken[]; keys: readonly string[]},
): Map<string, Record<string, unknown>> {
  const keyOf = (row: Readonly<Record<string, unknown>>): string => JSON.stringify(keys.map((key) => String(row[key])));
  for (const transaction of follower.transactions) {
    if (views.every((view) => codec.isVisible(transaction.name, view))) continue;
    for (const {table: of, change} of transaction.changes) {
      if (of !== table) continue;
      const {op, row = {}, oldKey, unchanged = []} = change;
      if (op === 'truncate') rows.clear();
      else if (op === 'delete') rows.delete(keyOf(row));
      else {
        const before = rows.get(keyOf(oldKey === undefined ? row : {...row, ...oldKey}));
        if (oldKey !== undefined) rows.delete(keyOf({...row, ...oldKey}));
        const kept = Object.fromEntries(unchanged.map((name) => [name, before?.[name]]));
        rows.set(keyOf(row), {...row, ...kept});
      }
    }
  }
  return rows;
}
