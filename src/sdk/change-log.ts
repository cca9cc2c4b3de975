import type {ColumnBatch} from '../core/columns.ts';
import type {PlainJson} from '../core/offset.ts';
import type {StructType} from '../core/types.ts';
import type {CallContext, Change, RescuedCell} from './contract.ts';

/** Where a change log stands between two transactions. */
export interface LogPoint {
  /**
   * Orders the points of one epoch: unsigned 64 bits. PostgreSQL: the LSN behind the commit. MySQL: file number and offset. SQL Server: a
   * count of the reader.
   */
  readonly position: bigint;
  /** What the source needs to go on behind this point, at most 64 KB of JSON text. */
  readonly token: PlainJson;
}

/**
 * Where a log must have come to. A position, where positions are the source's own; else, where its reader counts them because the source
 * has several clocks, a test of the points that the log comes to: nobody knows their positions before.
 */
export type LogTarget = bigint | ReachTest;

/** Tells where a log stands from where it must come to. */
export interface ReachTest {
  /** Whether a log that stands at a point has come there. Pure, and stays true for all points behind. */
  readonly isReachedBy: (end: LogPoint) => boolean;
}

/** Whether a log that stands at a point has come to a target. */
export function hasReached(end: LogPoint, target: LogTarget): boolean {
  return typeof target === 'bigint' ? end.position >= target : target.isReachedBy(end);
}

/** Tables by their numbers, as they are known now. */
export type KnownTables = (id: number) => LogTable | undefined;

/** Which server this is. Positions of different identities cannot be compared: a change begins a new epoch. */
export interface LogIdentity {
  /** The server's own name of itself, e.g. PostgreSQL's system identifier, MySQL's server UUID. */
  readonly server: string;
  /** Grows when positions may have gone back on the same server: a timeline; else 0. */
  readonly timeline: number;
}

/** A column as the log describes it. */
export interface LogColumn {
  readonly name: string;
  /** The source's type, plain JSON that only the codec understands. */
  readonly type: PlainJson;
  /** Part of the key by which the log names rows. */
  readonly isKey: boolean;
  readonly isNullable: boolean;
}

/** A table as the log describes it from some point on. Plain JSON: it is written into schema frames and manifests. */
export interface LogTable {
  /** Number of the table in the log, unsigned 32 bits; the same as long as the table is the same. */
  readonly id: number;
  /** The namespaces above, e.g. database and schema. */
  readonly namespace: readonly string[];
  readonly name: string;
  readonly columns: readonly LogColumn[];
  /** What the log says of a row that changed: its key, all of it, or nothing. */
  readonly identity: 'key' | 'full' | 'none';
}

/** Transactions or changes that a snapshot saw: plain JSON that only `isVisible` of the codec understands. */
export type SnapshotToken = PlainJson;

/** A table that must be read anew, and why. */
export interface TableReset {
  readonly table: number;
  /** Why, for people. */
  readonly message: string;
}

/** Whole frames, in the layout of `log-frames.ts`, in the log's order. The bytes are the reader's until it asks for the next batch. */
export interface LogBatch {
  readonly bytes: Uint8Array;
  readonly frames: number;
  /** Changes per table number. */
  readonly changes: ReadonlyMap<number, number>;
  /** Tables whose schema frames are in the batch, as they stand at its end. */
  readonly tables: readonly LogTable[];
  /** Tables of which the log does not tell all any more, e.g. after a change that it cannot carry: they are read anew. */
  readonly resets: readonly TableReset[];
  /** Where the log stands behind the last commit of the batch, or behind what was left out; null when the batch holds no commit. */
  readonly end: LogPoint | null;
  /** The transaction that goes on in the next batch: how much of it is at the end of this one. Null behind a commit. */
  readonly open: {readonly frames: number; readonly bytes: number} | null;
  /** When the last transaction committed, in microseconds since 1970 by the source's clock; null without one. */
  readonly committedAt: bigint | null;
}

/** An open log. Disposing closes its connection and loses nothing: what was not acknowledged comes again. */
export interface LogReader extends AsyncDisposable {
  /**
   * Batches of up to about 1 MB that end behind a commit where they can. A quiet log yields empty batches with a moved `end` now and
   * then. The source is slowed down by not asking. Ends only by an error or the signal.
   * A transaction comes whole and once, behind the point that the log was opened from; where a connection is cut in the middle of one,
   * the next reader begins it again. The schema of a table comes before the first change of it that a reader gives.
   * @throws LOG_LOST when the source no longer has what comes next
   */
  batches(): AsyncIterable<LogBatch>;
  /** Everything up to the point is durable elsewhere: the source may forget it. Also called while `batches` waits. */
  acknowledge(point: LogPoint): void;
}

/** One part of a snapshot: plain JSON. */
export interface SnapshotChunk {
  readonly [key: string]: PlainJson;
}

/** A consistent view of a table and how it is read. Disposing ends the view. */
export interface TableSnapshot extends AsyncDisposable {
  readonly table: LogTable;
  /** What the view sees, for `isVisible`. Null where every chunk has its own. */
  readonly token: SnapshotToken | null;
  /** A point of the log before the view: what commits at or before it is in the view. */
  readonly position: bigint;
  readonly chunks: readonly SnapshotChunk[];
  /** Chunks have views of their own: those read before a restart stay good, and later snapshots of the table can read the others. */
  readonly isResumable: boolean;
  readonly estimatedRows?: number;
  /** The bytes of one chunk, raw, as `LogCodec.decodeChunk` reads them. Chunks may be read at once. */
  readChunk(chunk: SnapshotChunk, ctx: CallContext): AsyncGenerator<Uint8Array, ChunkEnd>;
}

/** What is known when a chunk has been read. */
export interface ChunkEnd {
  readonly rows: number;
  /** Where chunks have views of their own: what this one saw, and a point of the log before it. */
  readonly view?: {readonly token: SnapshotToken; readonly position: bigint};
}

/** How grave a finding is: `error` keeps a table or the gateway from running. */
export type FindingLevel = 'error' | 'warning' | 'info';

/** One finding of a preflight. */
export interface Finding {
  readonly level: FindingLevel;
  /** Upper snake case, e.g. WAL_LEVEL, REPLICA_IDENTITY. */
  readonly code: string;
  readonly message: string;
  /** What to do, with the statement to run where there is one. */
  readonly fix?: string;
  /** The table that it is about; absent: the whole source. */
  readonly table?: string;
  /** What bears the name is no table, such as a view: who asks for all tables does not mean it. Default true. */
  readonly isTable?: false;
}

/** How well the source keeps the log for us. */
export interface LogHealth {
  readonly state: 'ok' | 'at_risk' | 'lost' | 'missing';
  /** Bytes of log that the source keeps for this reader. */
  readonly retainedBytes?: number;
  /** Bytes until the source throws the log away; absent: never, or unknown. */
  readonly bytesToDanger?: number;
  readonly message?: string;
}

/** A database whose changes can be read from its log. Tables are named as by `listTables`. */
export interface ChangeLogSource {
  /** Names the {@link LogCodec} and the version of its frames, e.g. `pgoutput/1`. */
  readonly codec: string;
  /** @throws CONNECTION_FAILED and its like */
  identify(ctx: CallContext): Promise<LogIdentity>;
  /** Whether these tables can be followed. Changes nothing at the source. */
  preflight(tables: readonly string[], ctx: CallContext): Promise<readonly Finding[]>;
  /** The tables as they stand now, by the names asked for; those that are not there are left out. */
  describe(tables: readonly string[], ctx: CallContext): Promise<ReadonlyMap<string, LogTable>>;
  /**
   * Prepares the source for these tables (slot, publication) where it is not yet; what was lost is made anew. Called again whenever the
   * tables change. A point at which a first reading may begin.
   */
  prepare(tables: readonly string[], ctx: CallContext): Promise<LogPoint>;
  /**
   * Opens the log behind a point.
   * @param known a table, by its number, as what is staged of it shows it: where the log does not say that a table was altered, the source
   *   compares with that; default: nothing is known
   * @throws LOG_LOST when the source no longer has all that comes behind it, also when `prepare` made anew what keeps it
   */
  openLog(from: LogPoint, tables: readonly string[], ctx: CallContext, known?: KnownTables): Promise<LogReader>;
  /**
   * Opens a view of a table while the log is read. What the view does not see comes in the log: where transactions that began before
   * `prepare` could be missing there, it waits for their end first.
   * @throws UNKNOWN_TABLE
   */
  planSnapshot(table: string, ctx: CallContext): Promise<TableSnapshot>;
  /**
   * What is behind everything that has committed by now: a view opened before sees nothing that commits behind it.
   * @param table only what this table needs; default: all
   */
  currentPosition(ctx: CallContext, table?: string): Promise<LogTarget>;
  /** How much log the source keeps for us. */
  health(ctx: CallContext): Promise<LogHealth>;
  /** Writes something small into the log so that an idle source moves on; nothing where that is not needed. */
  heartbeat?(ctx: CallContext): Promise<void>;
  /** Removes what `prepare` made. Twice is allowed. */
  release(ctx: CallContext): Promise<void>;
  /** Releases connections. Calling twice is allowed. */
  close?(): Promise<void>;
}

/** Decodes the frames of one table, in order. */
export interface LogDecoder {
  /** From here on rows look like this. */
  describe(table: LogTable): void;
  /**
   * Adds the changes of one frame, without their sequences, in order. Rows have the fields of the table as last described.
   * @throws BAD_RECORD
   */
  decode(payload: Uint8Array, out: Change[]): void;
}

/** Gives frames and chunks their types. Pure: it talks to no source. */
export interface LogCodec {
  readonly name: string;
  /** The columns of a table as they land, and its key. */
  schemaOf(table: LogTable): {readonly schema: StructType; readonly primaryKeys: readonly string[]};
  /** True when a snapshot saw this transaction: its changes are in the rows already. */
  isVisible(transaction: string, snapshot: SnapshotToken): boolean;
  /** Begins with a table as it is described before its first frame. */
  createDecoder(table: LogTable): LogDecoder;
  /** Rows of one chunk of a snapshot, with the columns of {@link schemaOf}. */
  decodeChunk(
    table: LogTable,
    bytes: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<{readonly batch: ColumnBatch; readonly rescued?: readonly RescuedCell[]}, void>;
}
