import type {Clock} from '../core/clock.ts';
import type {PlainJson} from '../core/offset.ts';
import type {StructType} from '../core/types.ts';
import type {Engine} from '../engine/engine.ts';
import type {Store} from '../storage/store.ts';
import type {
  AddCdcFile,
  AddFile,
  CommitInfo,
  DomainMetadata,
  Metadata,
  Protocol,
  RemoveFile,
  TxnAction,
} from './actions.ts';
import type {Background} from './background.ts';

/** What a table works with; shared by all tables of a lake. */
export interface DeltaContext {
  readonly store: Store;
  readonly engine: Engine;
  readonly clock: Clock;
  /** Where checkpoints are written while the next commit is made; without it, commits wait for them. */
  readonly background?: Background;
}

/** A table as of one version: immutable. */
export interface TableSnapshot {
  readonly version: number;
  readonly protocol: Protocol;
  readonly metadata: Metadata;
  readonly schema: StructType;
  /** Live files by path, in no order. */
  readonly files: ReadonlyMap<string, AddFile>;
  /** Last txn by application id. */
  readonly txns: ReadonlyMap<string, TxnAction>;
  readonly domains: ReadonlyMap<string, DomainMetadata>;
  /** Milliseconds of the last commit. */
  readonly timestampMs: number;
}

/** Rows of files to take away, by path of the file: 0-based positions in the file, ascending, each once. */
export type Deletions = ReadonlyMap<string, readonly number[] | Uint32Array>;

/** What goes into one version. */
export interface CommitRequest {
  /** The snapshot that the actions were computed from. */
  readonly base: TableSnapshot;
  /** Delta's operation name: `WRITE`, `MERGE`, `CREATE TABLE`, `DELETE`, ... */
  readonly operation: string;
  readonly operationParameters?: Readonly<Record<string, PlainJson>>;
  readonly operationMetrics?: Readonly<Record<string, string>>;
  readonly adds?: readonly AddFile[];
  readonly removes?: readonly RemoveFile[];
  /** The changed rows, all of them: where a commit has any such file, readers of changes look at no other. */
  readonly cdc?: readonly AddCdcFile[];
  readonly txn?: {readonly appId: string; readonly version: number};
  readonly metadata?: Metadata;
  readonly protocol?: Protocol;
  readonly domains?: readonly DomainMetadata[];
  /** True when the actions do not depend on any row of the base: such a commit is rebased over other writers' data. */
  readonly blindAppend: boolean;
}

/** Which rows to read. */
export interface ReadOptions {
  /** The snapshot to read; default the current one. */
  readonly snapshot?: TableSnapshot;
  /** Columns in the order wanted; default all. */
  readonly columns?: readonly string[];
  /** Only these files (paths); default all live ones. */
  readonly files?: readonly string[];
  /** Adds `__file` (path as in the log, VARCHAR) and `__pos` (BIGINT position in the file) as last columns. */
  readonly positions?: boolean;
}

/** A data file to be: nobody knows of it until a commit adds its `path`. */
export interface NewDataFile {
  /** Path as it goes into the log. */
  readonly path: string;
  /** Absolute path at which nothing is yet, in a folder that exists. */
  readonly localPath: string;
  /** Makes the file durable, once it is written; resolves to its size in bytes. */
  seal(signal: AbortSignal): Promise<number>;
}

/** A commit of the log as history shows it. */
export interface CommitSummary {
  readonly version: number;
  readonly timestampMs: number;
  readonly info: CommitInfo;
  readonly addedFiles: number;
  readonly removedFiles: number;
  readonly addedRows: number | null;
  /** Anything but `dataChange: false` files. */
  readonly dataChange: boolean;
  readonly txns: readonly TxnAction[];
  readonly metadataChanged: boolean;
}

/**
 * One Delta table. Holds no resource but memory; not for concurrent use by several tasks.
 * @throws CORRUPT_LOG, UNSUPPORTED_TABLE_FEATURE, STORAGE_* from every method that touches the store.
 */
export interface DeltaTable {
  /** Name prefix in the store without trailing `/`, for example `main/raw/orders`. */
  readonly root: string;
  /** As of the last open, refresh or commit. */
  readonly snapshot: TableSnapshot;
  /** Reads the log from where the snapshot ends. */
  refresh(): Promise<TableSnapshot>;
  /** Time travel. @throws NOT_A_DELTA_TABLE when the version is gone or not there yet. */
  snapshotAt(version: number): Promise<TableSnapshot>;
  /**
   * The newest version committed at or before a time in milliseconds since 1970: by the commits' own times where the table
   * has in-commit timestamps, else by when the log's files were written.
   * @throws NOT_A_DELTA_TABLE when the log does not go back so far.
   */
  versionAtTime(timestampMs: number): Promise<number>;
  /**
   * Writes the rows of a SELECT (columns = `schema`) as Parquet data files, durable but in no version yet.
   * Returns their add actions (none for no rows).
   */
  writeFiles(
    job: {
      readonly select: string;
      readonly schema: StructType;
      readonly compressionLevel?: 1 | 3;
      /** Where files are cut; default the table's `delta.targetFileSize`, or else 128 MB. */
      readonly targetBytes?: number;
    },
    signal: AbortSignal,
  ): Promise<readonly AddFile[]>;
  /**
   * Writes the rows that a commit changes (columns = `schema`, and `_change_type`) as files for readers of changes, durable
   * but in no version yet. Needs the table feature `changeDataFeed`.
   */
  writeChanges(
    job: {readonly select: string; readonly schema: StructType},
    signal: AbortSignal,
  ): Promise<readonly AddCdcFile[]>;
  /**
   * A SELECT of what the commits of a range did: the table's columns as of its end, `_change_type` (`insert`, `delete`,
   * `update_preimage`, `update_postimage`), `_commit_version` and `_commit_timestamp`. In no order.
   * @throws UNSUPPORTED when the change data feed was off in a part of the range; NOT_A_DELTA_TABLE when the log does not
   * have all of it.
   */
  changesSql(range: {readonly from: number; readonly to?: number}): Promise<string>;
  /** Relative path and absolute local path for a data file that somebody else writes; `seal` makes it durable. */
  newDataFile(): Promise<NewDataFile>;
  /**
   * Writes deletion vectors that take the given positions away in addition to those already gone, durable but in no
   * version yet. A file whose rows are all gone is removed whole. Needs the table feature `deletionVectors`.
   */
  writeDeletions(
    deletions: Deletions,
    signal: AbortSignal,
  ): Promise<{readonly adds: readonly AddFile[]; readonly removes: readonly RemoveFile[]}>;
  /** The remove action of a live file. */
  removeOf(add: AddFile): RemoveFile;
  /** A SELECT statement over live rows: vectors applied, columns that a file lacks as NULL, cast to the table's types. */
  readSql(options?: ReadOptions): Promise<string>;
  /**
   * A SELECT over Parquet files in the store that this table's writers wrote and that are in no version, in the order of
   * the list, with `file_index` and `file_row_number` as last columns: columns of the schema (the table's and those that
   * it is to get) under their names, as far as files have them, other columns as they are.
   */
  looseFilesSql(names: readonly string[], schema: StructType): Promise<string>;
  /** True when every column of such files is one of the schema, with its type. */
  looseFilesFit(names: readonly string[], schema: StructType): Promise<boolean>;
  /**
   * Files whose statistics allow a row in the range [min, max] of a column; bounds are as in {@link EngineRow}. Unknown
   * statistics keep the file.
   */
  filesInRange(column: string, min: unknown, max: unknown): readonly AddFile[];
  /**
   * Commits one version with put-if-absent, durable when it resolves. Lost races are rebased where the winners allow it.
   * Writes a checkpoint when one is due (failing to write it is no error of the commit).
   * @throws COMMIT_CONFLICT when a winner changed metadata, protocol, this txn's application or rows that the actions rest on.
   */
  commit(request: CommitRequest): Promise<TableSnapshot>;
  /** Commits from `after` (exclusive) or the oldest kept, newest first. */
  history(options?: {readonly after?: number; readonly limit?: number}): Promise<readonly CommitSummary[]>;
}

/** How a table is made. */
export interface CreateOptions {
  readonly schema: StructType;
  readonly partitionColumns?: readonly string[];
  /** Columns (dotted names) by which rows are sorted within each write and each optimize; not with partition columns. */
  readonly clusteringColumns?: readonly string[];
  /** Table properties, for example `delta.enableDeletionVectors`, `sluice.flowId`. */
  readonly configuration?: Readonly<Record<string, string>>;
  readonly description?: string;
  /** Switches the table feature on; fixed for the life of the table. */
  readonly deletionVectors?: boolean;
}
