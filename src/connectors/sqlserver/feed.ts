import type {LogTable, TableReset} from '../../sdk/index.ts';
import type {ChangeMethod} from './log-mark.ts';

/** A change of a table, encoded, with what orders it. */
export interface FeedChange {
  readonly mark: bigint;
  /** Microseconds since 1970; null where only the time of the look is known. */
  readonly committedAt: bigint | null;
  readonly payload: Buffer;
}

/** Changes that came together. */
export interface FeedPiece {
  readonly changes: readonly FeedChange[];
  /** Rows of the server that they were made of: these are what a limit counts. */
  readonly rows: number;
  /** Mark of the last of these rows. */
  readonly last: bigint;
}

/** A table as the changes of a look have it. */
export interface FeedTable {
  readonly table: LogTable;
  /** Changes with it, see `shapeOf`. */
  readonly shape: string;
}

/** Which changes of a table are wanted: behind `from` up to `to`, in their order, at most `limit` rows. */
export interface ChangeRange {
  readonly from: bigint;
  readonly to: bigint;
  /** Of rows of the server; null: all. */
  readonly limit: number | null;
}

/** What a look shows of the tables that are followed by one method. */
export interface Feed {
  readonly method: ChangeMethod;
  /** Where it begins: the mark of the place, or of now where no table was followed by the method. */
  readonly from: bigint;
  /** The newest mark: all up to it can be read. */
  readonly to: bigint;
  readonly tables: readonly FeedTable[];
  /** Changes of a table, in pieces. */
  read(table: FeedTable, range: ChangeRange): AsyncGenerator<FeedPiece, void>;
}

/** One look at what has changed: all its reads see the database at one moment. */
export interface Look extends AsyncDisposable {
  /** When the look was, by the server's clock, in microseconds since 1970. */
  readonly at: bigint;
  readonly resets: readonly TableReset[];
  /** Of the methods by which a table is followed. */
  readonly feeds: readonly Feed[];
}
