import type {Clock} from '../core/clock.ts';
import type {ColumnBatch} from '../core/columns.ts';
import type {JsonObject} from '../core/json-value.ts';
import type {Offset, PlainJson} from '../core/offset.ts';
import type {Predicate} from '../core/predicate.ts';
import type {DataType, StructType} from '../core/types.ts';

/** How a source table gives its data. */
export type IngestionType = 'snapshot' | 'cdc' | 'cdc_with_deletes' | 'append';

/** Table options as the connector's spec types them, defaults filled in; unknown options were refused before. */
export type TableOptions = Readonly<Record<string, OptionValue>>;

/** The value of one option. */
export type OptionValue = string | number | boolean | readonly string[] | undefined;

/** What a connector says of a table. */
export interface TableMetadata {
  /** Top-level columns, or dotted paths into structs; empty when the table has no key. */
  readonly primaryKeys: readonly string[];
  /** Orders the changes; required for cdc and cdc_with_deletes unless every call is given `sequence_by`. */
  readonly cursorField?: string;
  readonly ingestionType: IngestionType;
  /** The source itself enforces `primaryKeys`: one read at one point in time never holds a key twice. */
  readonly keysEnforced?: boolean;
  /** The columns are what the rows so far look like, not what the source declares: `schema_hints` may name others. */
  readonly schemaInferred?: boolean;
  /** A line for people, lands as table comment. */
  readonly comment?: string;
  /** Pages of kind `changes`: what they bring. A table that does not say so yields none. */
  readonly changes?: ChangePages;
  /** What ends a trigger beside a timestamp cursor: the connector's own bound, e.g. an upper bound read at the trigger's start. */
  readonly bounded?: boolean;
}

/** What the changes of a table are like. */
export interface ChangePages {
  /** Type of {@link Change.sequence}: every change has one then, and it orders the changes of a key unless `sequence_by` is set. */
  readonly sequence?: DataType;
  /** True: the changes of a key come in their order, and none is missing. Only then may they leave columns out as unchanged. */
  readonly ordered?: boolean;
}

/** Limits of one micro-batch, as advice: the framework cuts at page offsets in any case. */
export interface ReadLimits {
  readonly maxRows: number;
  readonly maxBytes: number;
}

/** Structured log of a connector: messages without secrets or row values. */
export interface ConnectorLog {
  /** What only a developer of the connector wants to know. */
  debug(message: string, context?: Readonly<Record<string, PlainJson>>): void;
  /** What happened, once in a while. */
  info(message: string, context?: Readonly<Record<string, PlainJson>>): void;
  /** What a user should look at. */
  warn(message: string, context?: Readonly<Record<string, PlainJson>>): void;
}

/**
 * What grows with the source: keys with plain values, made current by the commit of the batch whose pages they came with.
 * A read that begins anew (a full refresh, a snapshot from its start) begins with an empty ledger.
 */
export interface Ledger {
  /** Values of the given keys that are known; absent keys are absent in the map. */
  get(keys: readonly string[]): Promise<ReadonlyMap<string, PlainJson>>;
  /** Remembers a value with the pages yielded after this call. */
  put(key: string, value: PlainJson): void;
}

/** What every call gets. */
export interface CallContext {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: ConnectorLog;
  /** Files under the pipeline's declared inputs. */
  readonly files: SourceFiles;
  /** For `getTableSchema`: the destination's columns, null when there is none yet or its rows are read anew, so that a connector that infers types keeps those that landed. */
  readonly landedSchema?: () => Promise<StructType | null>;
}

/** What a read gets beside. */
export interface ReadContext extends CallContext {
  /** Reports what the framework cannot count itself: rows or bytes that remain, if known. */
  progress(update: {readonly remainingRows?: number; readonly totalRows?: number; readonly note?: string}): void;
  readonly limits: ReadLimits;
  /** Microseconds since 1970: frozen for the whole trigger. */
  readonly triggerStartedAt: bigint;
  /** First call of this trigger: lookback belongs here. */
  readonly isFirstCall: boolean;
  readonly ledger: Ledger;
}

/** A file as {@link SourceFiles.list} gives it. */
export interface SourceFile {
  /** Absolute path or URL. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;
}

/** The formats that the engine reads itself. */
export type FileFormat = 'csv' | 'json' | 'parquet';

/** How files are read. */
export interface FileReadOptions {
  readonly format: FileFormat;
  /** CSV: field separator, default `,`. */
  readonly delimiter?: string;
  /** CSV: first line names the columns, default true. */
  readonly header?: boolean;
  /** CSV: quote character, default `"`. */
  readonly quote?: string;
  /** CSV: text that means NULL, default none: an empty unquoted field is NULL, a quoted one is the empty string. */
  readonly nullText?: string;
  /** JSON: `lines` (default: detected), `array`. */
  readonly jsonShape?: 'lines' | 'array' | 'auto';
}

/** Reading files with the engine; runtime supplies it over storage and engine. */
export interface SourceFiles {
  /** Files under a folder whose path relative to it matches a glob (`**`, `*`, `?`, `{a,b}`), by path. @throws UNKNOWN_TABLE when the folder is not there. */
  list(folder: string, glob: string): Promise<readonly SourceFile[]>;
  /** A schema that holds the sampled files. Columns are nullable; types are the narrowest that fit all sampled values. */
  inferSchema(files: readonly SourceFile[], options: FileReadOptions): Promise<StructType>;
  /** Rows of files as the engine reads them, for verification where nothing else reads the format: its reader is the one that loaded them. */
  openVerify?(files: readonly FileRef[], scope: VerifyScope): Promise<VerifyPoint>;
}

/** A reference to a file of a page. */
export interface FileRef {
  readonly file: SourceFile;
  readonly options: FileReadOptions;
}

/** One change of a change log. */
export interface Change {
  readonly op: 'upsert' | 'delete' | 'truncate';
  /** The row after the change (upsert), or at least its key (delete). */
  readonly row?: JsonObject;
  /** The key before the change when it differs. */
  readonly oldKey?: JsonObject;
  /** Columns of `row` whose value the log left out because it did not change. */
  readonly unchanged?: readonly string[];
  /** Of the type that {@link ChangePages.sequence} declares. */
  readonly sequence?: PlainJson | bigint;
  /** The log says that an upsert made the row. */
  readonly isInsert?: boolean;
}

/** What a read yields. An `offset` says "complete up to here": the batch may end after this page. */
export type Page =
  | readonly JsonObject[]
  | ((
      | {
          readonly kind: 'records';
          readonly rows: readonly JsonObject[];
          /** Where the table has changes: the sequence of all these rows, of the type that {@link ChangePages.sequence} declares. */
          readonly sequence?: PlainJson | bigint;
        }
      | {readonly kind: 'changes'; readonly changes: readonly Change[]}
      | {
          readonly kind: 'columns';
          readonly batch: ColumnBatch;
          readonly rescued?: readonly RescuedCell[];
          /** Where the table has changes: the sequence of all rows of the batch, of the type that {@link ChangePages.sequence} declares. */
          readonly sequence?: PlainJson | bigint;
        }
      | {readonly kind: 'files'; readonly files: readonly FileRef[]}
    ) & {readonly offset?: Offset});

/** A value that a decoder could not give its column's type: the column is NULL in the batch, the text goes to `_rescued_data`. */
export interface RescuedCell {
  /** Row within the batch. */
  readonly row: number;
  readonly column: string;
  readonly text: string;
}

/** The connector contract of Lakeflow, said in TypeScript. */
export interface LakeflowConnect {
  /** Names of the tables that can be ingested, unique. */
  listTables(ctx: CallContext): Promise<readonly string[]>;
  /** The columns of a table: the same for the same arguments while the source keeps them. @throws UNKNOWN_TABLE */
  getTableSchema(table: string, options: TableOptions, ctx: CallContext): Promise<StructType>;
  /** Keys, cursor and ingestion type. @throws UNKNOWN_TABLE */
  readTableMetadata(table: string, options: TableOptions, ctx: CallContext): Promise<TableMetadata>;
  /** One micro-batch: yields pages, returns the offset after them; the start offset when nothing is new. Cleans up in `finally`. */
  readTable(
    table: string,
    start: Offset | null,
    options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<Page, Offset | null>;
  /** Same protocol; required when the ingestion type is `cdc_with_deletes`. Records need the key and the cursor. */
  readTableDeletes?(
    table: string,
    start: Offset | null,
    options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<Page, Offset | null>;
  /** Releases connections. Calling twice is allowed. */
  close?(): Promise<void>;
}

/** One independent part of a read: plain JSON, self-contained. */
export type Partition = {readonly [key: string]: PlainJson};

/** Partitions of one batch; disposing ends what they rest on (for example an exported database snapshot). */
export interface PartitionPlan extends Partial<AsyncDisposable> {
  readonly partitions: readonly Partition[];
  /** They rest on something that dies with this process: a new process plans again instead of reusing them. */
  readonly volatile: boolean;
  /**
   * Partitions that may be read at once on the one instance that planned them, in this process: for sources whose limits all
   * readers of a connection share, such as an HTTP API. Default: partitions are spread over processes, one at a time in each.
   */
  readonly parallelHere?: number;
  /**
   * A key may come in two partitions, or twice in one, though the source enforces keys: rows move while they are read, and no
   * snapshot holds them still. Default false.
   */
  readonly mayRepeat?: boolean;
  /** Rows in all partitions, if known. */
  readonly estimatedRows?: number;
  /** Where the read ends, when that is only known with the plan (for example inside the snapshot it rests on); else the `end` asked for. */
  readonly end?: Offset | null;
  /**
   * A view of the rows that the partitions read, which outlives the plan: opened before the plan is disposed, used after
   * its rows are committed. Its points are `exact`.
   */
  readonly openVerify?: (scope: VerifyScope, ctx: CallContext) => Promise<VerifyPoint>;
}

/** Reads over (start, end] cut into partitions that run in parallel. `null` as start means from the beginning. */
export interface SupportsPartitionedStream {
  /** Every plan says `parallelHere`: no processes are started ahead. Default false. */
  readonly readsPartitionsHere?: boolean;
  /** False: the table is read by `readTable`. May depend on the start: a first load in partitions, then increments by `readTable`. */
  isPartitioned(table: string, start: Offset | null, options: TableOptions): boolean;
  /** Where a read that starts now would end; equal to `start` when nothing is new. Cheap: metadata only. */
  latestOffset(table: string, start: Offset | null, options: TableOptions, ctx: ReadContext): Promise<Offset | null>;
  /** The parts of (start, end]. */
  getPartitions(
    table: string,
    range: {readonly start: Offset | null; readonly end: Offset | null},
    options: TableOptions,
    ctx: ReadContext,
  ): Promise<PartitionPlan>;
  /** Yields the rows of one partition; offsets on pages are ignored. Runs on any instance of the connector. */
  readPartition(
    table: string,
    partition: Partition,
    options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<Page, void>;
}

/** Sources whose tables live in namespaces (database schemas, organisations). */
export interface SupportsNamespaces {
  /** Immediate children of a namespace as full paths; null is the root. */
  listNamespaces(prefix: readonly string[] | null, ctx: CallContext): Promise<readonly (readonly string[])[]>;
  /** Tables directly in a namespace; names without it. */
  listTablesInNamespace(namespace: readonly string[], ctx: CallContext): Promise<readonly string[]>;
}

/** Sources that keep data until told that it is durable. */
export interface SupportsAcknowledge {
  /** Everything up to the offset is committed. May be called again with the same offset. */
  acknowledge(table: string, offset: Offset, ctx: CallContext): Promise<void>;
}

/** Sources that can tell the size of a table. */
export interface SupportsEstimate {
  /** About how many rows and bytes the table has; cheap. */
  estimate(
    table: string,
    options: TableOptions,
    ctx: CallContext,
  ): Promise<{readonly rows?: number; readonly bytes?: number}>;
}

/** Sources without a delete feed that can list the keys that exist. */
export interface SupportsKeyScan {
  /** Yields the keys of all rows that exist, in any order; the framework deletes what is missing. */
  scanKeys(
    table: string,
    keys: readonly string[],
    options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<ColumnBatch, void>;
}

/** A landed column as verification compares it. */
export interface VerifyColumn {
  readonly name: string;
  /** The type that landed. */
  readonly type: StructType['fields'][number]['type'];
}

/** What a range of rows adds up to; sums are additive. Texts are decimal integers. */
export interface RangeSum {
  /** 0-based number of the bucket. */
  readonly bucket: number;
  readonly count: bigint;
  /** Rows whose hash could be computed: must equal `count`. */
  readonly hashed: bigint;
  readonly sum: bigint;
}

/** The rows to compare. */
export interface VerifyScope {
  readonly table: string;
  readonly options: TableOptions;
  readonly columns: readonly VerifyColumn[];
  readonly keys: readonly string[];
  /** Number of buckets, a power of two up to 4096; which rows are in which says `bucketing` of the SDK. */
  readonly buckets: number;
  /** Only rows for which this is true belong to the table. */
  readonly filter?: Predicate;
  /** Rows for which this is true are deleted. */
  readonly deleted?: Predicate;
}

/** A key and the hash of its row (60 bits). Keys are the canonical texts of the key columns. */
export interface KeyHash {
  readonly key: readonly (string | null)[];
  readonly hash: bigint;
}

/** One consistent view of a source table, by the source's own means. Disposing ends it. */
export interface VerifyPoint extends AsyncDisposable {
  /** What the point is, for the report: a snapshot, a position, a time. */
  readonly token: string;
  /** Columns that cannot be compared, with the reason. */
  readonly excluded: readonly {readonly name: string; readonly reason: string}[];
  /** True: these are the rows as the flow read them, so that every difference is a fault. Default: they may have moved since. */
  readonly exact?: boolean;
  /** Count and sum of row hashes of every bucket that has rows. */
  sums(ctx: CallContext): Promise<readonly RangeSum[]>;
  /** Keys and row hashes of the given buckets. */
  keys(buckets: readonly number[], ctx: CallContext): AsyncIterable<readonly KeyHash[]>;
  /** Hash per column of the given keys, in the order of `scope.columns`, by the JSON text of the key; absent keys are left out. */
  columnHashes(
    keys: readonly (readonly (string | null)[])[],
    ctx: CallContext,
  ): Promise<ReadonlyMap<string, readonly (bigint | null)[]>>;
  /** Values, by column, that the column's type cannot hold: they land as NULL and their text in `_rescued_data`. */
  misfits?(ctx: CallContext): Promise<ReadonlyMap<string, bigint>>;
  /** Keys of rows that changed after the flow's end, or may have: about those the comparison says nothing. */
  touched?(buckets: readonly number[], ctx: CallContext): AsyncIterable<readonly (readonly (string | null)[])[]>;
}

/** Sources that can prove what landed. The canonical texts are those of `docs/verify.md`. */
export interface SupportsVerify {
  /** Opens a view of the rows up to `end` (the flow's offset) where the source can tell; else of now. */
  openVerify(scope: VerifyScope, end: Offset | null, ctx: CallContext): Promise<VerifyPoint>;
}

/** Everything that a connector may implement. */
export type Connector = LakeflowConnect &
  Partial<
    SupportsPartitionedStream &
      SupportsNamespaces &
      SupportsAcknowledge &
      SupportsEstimate &
      SupportsKeyScan &
      SupportsVerify
  >;
