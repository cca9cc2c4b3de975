import type {LogTable, TableReset} from '../../sdk/index.ts';

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

/** One look at what has changed: all its reads see the database at one moment. */
export interface Look extends AsyncDisposable {
  /** The newest mark: all up to it can be read. */
  readonly to: bigint;
  /** When the look was, by the server's clock, in microseconds since 1970. */
  readonly at: bigint;
  readonly resets: readonly TableReset[];
  readonly tables: readonly FeedTable[];
  /** Changes of a table, in pieces. */
  read(table: FeedTable, range: ChangeRange): AsyncGenerator<FeedPiece, void>;
}

/** Looks at a database again and again. */
export interface ChangeFeed extends AsyncDisposable {
  /**
   * A look at what came behind a mark. Null when nothing can have.
   * @param shapes of the tables at the mark, by table number
   * @throws LOG_LOST
   */
  look(from: bigint, shapes: Readonly<Record<string, string>>): Promise<Look | null>;
}
