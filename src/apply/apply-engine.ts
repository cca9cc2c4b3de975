import type {StructType} from '../core/types.ts';
import type {AddFile} from '../delta/actions.ts';
import type {BatchCounts, FlowOffset} from '../delta/batch-file.ts';

/** Rows that a batch brings. Columns are those of the job's schema; see {@link ApplyJob.inputs} for the technical ones. */
export type ApplyInput =
  /** A table of the engine or any SELECT over files; read once or more. Some of its rows may be in data files already. */
  | {readonly kind: 'relation'; readonly select: string; readonly written?: readonly RowsInFiles[]}
  /** Parquet data files already under the table's root, with statistics: added as they are where the mode allows it. */
  | {readonly kind: 'staged'; readonly files: readonly AddFile[]};

/**
 * Upserts of a relation that are in data files as well, as they are: all whose `__ord` is at least `from` and below `to`. The files are
 * added in their place where each of them becomes a row of the table.
 */
export interface RowsInFiles {
  readonly from: number;
  readonly to: number;
  readonly files: readonly AddFile[];
}

/** How rows and deletes of a batch change the table. */
export type ApplyMode =
  /** Add all rows. */
  | 'append'
  /** SCD type 1: newest sequence per key wins; late and repeated rows change nothing. */
  | 'scd1'
  /** SCD type 2: every version of a key, from `__START_AT` (inclusive) to `__END_AT` (exclusive). */
  | 'scd2'
  /** Keep the rows aside: part of a snapshot or full refresh; nothing becomes visible. */
  | 'hold'
  /** The end of a snapshot or full refresh: pending rows and these inputs become the table, in one commit. */
  | 'replace';

/** One batch for one table: plain data, so that it can cross a process border. */
export interface ApplyJob {
  /** The table's name prefix in the store. The table exists. */
  readonly tableRoot: string;
  readonly flowId: string;
  /** The txn version of this flow that the batch was read after; null when there is none. Anything else at commit time is a conflict. */
  readonly previousBatchId: number | null;
  readonly mode: ApplyMode;
  /** What `replace` and `hold` refresh: keyed rows with or without a sequence, or an append-only flow. Equals `mode` else. */
  readonly target: 'append' | 'scd1' | 'scd2';
  /** Key columns (top level), empty when the table has no key. */
  readonly keys: readonly string[];
  /**
   * Columns that order the changes of one key, lexicographically, NULL lowest; empty when the source has no order (then
   * the later arrival wins). May be `_sluice_sequence`.
   */
  readonly sequence: readonly string[];
  /** True when the source guarantees that the rows of this batch hold each key once. */
  readonly keysUnique: boolean;
  /** SCD type 2: columns whose change begins a new version; a change of any other goes into the current one. Empty otherwise. */
  readonly trackedColumns: readonly string[];
  /** Columns in which a NULL of an upsert declines to say anything: the newest value of an older event stays. */
  readonly ignoreNullColumns: readonly string[];
  /**
   * When a snapshot was read, microseconds since 1970: where the versions that it begins and ends begin and end, if
   * nothing else orders them (`sequence` empty).
   */
  readonly snapshotAt: bigint;
  /** SCD type 2: a `replace` begins the history anew instead of going on with it. */
  readonly dropHistory?: boolean;
  /**
   * An append-only flow that keeps changes: a `replace` brings its rows behind those that are there, with a truncate between, where all of
   * them have greater sequences. Default false.
   */
  readonly keepsChanges?: boolean;
  /** A snapshot that holds a key twice: fail with DUPLICATE_KEY, or quarantine all but the first by sequence. */
  readonly onDuplicateKey: 'fail' | 'quarantine';
  /** Deletes of rows with an older sequence must be remembered (source not ordered across batches). */
  readonly keepTombstones: boolean;
  /** Milliseconds after which a tombstone is forgotten; null: never. */
  readonly tombstoneRetentionMs: number | null;
  /** For `append`: rows whose (keys) are known for the last values of this cursor column are dropped. */
  readonly appendCursor: string | null;
  /** The table's schema after this batch: a superset of the current one (new columns last, before technical ones). */
  readonly schema: StructType;
  /**
   * Rows. Relations have the columns of `schema` by name (missing ones are NULL) and may have `__ord` (BIGINT, order of
   * arrival within the input; later wins ties), `__op` (VARCHAR 'upsert' | 'delete' | 'truncate'; without it all are
   * upserts; a truncate has a sequence and no key), `__unchanged` (VARCHAR[]: columns whose value the event leaves as it
   * is, NULL in the row; only of sources that bring the events of a key in order) and `__old_key` (STRUCT of the key columns:
   * the key before the event where that was another one, whose row goes). Inputs arrived in the order of the list, deletes
   * after them.
   */
  readonly inputs: readonly ApplyInput[];
  /** Deletes: relations with the key columns, the sequence columns and maybe `__ord`. */
  readonly deletes: readonly ApplyInput[];
  /**
   * What a delete does to a stored row of the same sequence: false (change feeds): the row stays, upsert wins ties; true
   * (key scans): the row goes, because the scan saw exactly that row missing. NULL sequences compare as equal lowest.
   */
  readonly deletesWinTies: boolean;
  /** Where the batch began. For `hold` and `replace`, null in both begins anew: older pending files are dropped. */
  readonly start: FlowOffset;
  readonly end: FlowOffset;
  /** Ledger entries to make current with this batch, later ones win. */
  readonly ledger: readonly {readonly key: string; readonly value: string}[];
  readonly counts: Pick<BatchCounts, 'read' | 'rescuedValues' | 'quarantinedRows'>;
  readonly notes: Readonly<Record<string, string | number | boolean | null>>;
}

/** What became of a batch. */
export interface ApplyResult {
  /** The version that the commit made; null when nothing changed and no version was made. */
  readonly version: number | null;
  /** The txn's version afterwards (unchanged without a commit). */
  readonly batchId: number | null;
  readonly counts: BatchCounts;
  readonly writtenBytes: number;
  readonly milliseconds: number;
}

/** Where rows go that a batch leaves out of the table. */
export interface LeftOut {
  /**
   * Rows of a snapshot whose key came before, as JSON texts; asked for when the job says `quarantine`. Called, maybe more
   * than once, before anything of the batch is committed.
   */
  duplicates(records: readonly string[]): Promise<void>;
  /**
   * Updates that leave columns as they were where nothing says how they were, as JSON texts. Called as `duplicates` is.
   */
  incomplete(records: readonly string[]): Promise<void>;
}

/**
 * Where merges run. One call is one Delta commit: data files, deletion vectors or rewritten files, side files, batch file
 * and txn become visible together or not at all. A call that lost its answer is told by its batch id in the log and not
 * written again.
 */
export interface ApplyEngine {
  readonly kind: 'duckdb';
  /** @throws COMMIT_CONFLICT when another writer won (nothing visible; reload and retry); DUPLICATE_KEY; the signal's reason. */
  apply(job: ApplyJob, signal: AbortSignal, leftOut?: LeftOut): Promise<ApplyResult>;
}
