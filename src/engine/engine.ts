import type {ColumnBatch} from '../core/columns.ts';
import type {StructType} from '../core/types.ts';

/** A row of a small result: BIGINT and HUGEINT as bigint, DECIMAL as its text, DATE as days, TIMESTAMP(TZ) as bigint microseconds, BLOB as Uint8Array, LIST as array, STRUCT as object, MAP as array of {key, value}. */
export type EngineRow = Readonly<Record<string, unknown>>;

/** Statistics of one leaf column of a Parquet file; values are DuckDB's text. Absent bounds are unknown. */
export interface LeafStatistics {
  /** Names from the column to the leaf, without list or map levels (leaves under lists and maps have none of these). */
  readonly path: readonly string[];
  readonly min?: string;
  readonly max?: string;
  readonly nullCount?: number;
  /** The leaf holds a NaN: `max` ignores it. */
  readonly hasNan: boolean;
}

/** A Parquet file that the engine wrote. */
export interface WrittenParquet {
  readonly localPath: string;
  readonly rowCount: number;
  readonly sizeBytes: number;
  readonly statistics: readonly LeafStatistics[];
  /** Values of the partition columns, as the select gave them; empty without. */
  readonly partition: readonly (string | null)[];
}

/** One Parquet file to write. */
export interface ParquetJob {
  /** A SELECT whose columns are those of `schema`, in order and with its types (the writer casts what Delta lacks). */
  readonly select: string;
  readonly schema: StructType;
  /** Absolute path; the folder exists and the file does not. */
  readonly localPath: string;
  /** zstd level: 1 for landing (default), 3 at compaction. */
  readonly compressionLevel?: 1 | 3;
  /** Rows per row group; default 122,880. */
  readonly rowGroupRows?: number;
}

/** Parquet files to write in one pass. */
export interface ParquetFilesJob {
  /** A SELECT whose columns are those of `schema`, then the partition columns. */
  readonly select: string;
  readonly schema: StructType;
  /** Absolute path of the folder to make; what it is in exists. */
  readonly folder: string;
  /** A file ends with the row group that reaches this size; files of partitions are as large as these are. */
  readonly targetBytes: number;
  /** How many text columns follow those of the schema: each combination has files of its own, and no file has the columns. */
  readonly partitions?: number;
  /** SQL over columns of the select: rows are sorted by it within and across files. Default: as they come. */
  readonly orderBy?: readonly string[];
  /** zstd level: 1 for landing (default), 3 at compaction. */
  readonly compressionLevel?: 1 | 3;
}

/** Takes column batches into a table of the engine. Not for concurrent use. */
export interface Appender {
  /** Copies the batch and returns the bytes that it holds, about; its schema must equal the appender's. Synchronous on purpose: the arrays may be reused right after. */
  append(batch: ColumnBatch): number;
  /** Makes the rows visible; the appender is closed. Closing twice is allowed. */
  close(): void;
}

/**
 * The embedded SQL engine: bounded memory and threads, UTC, no network, no extension downloads. At most two statements
 * run at once; more wait. Statements are interrupted when their signal aborts.
 * All methods throw ENGINE_FAILED, OUT_OF_MEMORY, STORAGE_FULL or the signal's reason.
 */
export interface Engine extends AsyncDisposable {
  readonly kind: 'duckdb';
  /** Runs statements without a result. */
  run(sql: string, signal?: AbortSignal): Promise<void>;
  /** Runs one statement and returns all its rows: for small results. */
  query(sql: string, signal?: AbortSignal): Promise<readonly EngineRow[]>;
  /** Runs one statement and yields its rows in chunks: for results of any size. */
  stream(sql: string, signal?: AbortSignal): AsyncIterable<readonly EngineRow[]>;
  /** Creates an empty temporary table with the engine's types for the schema's fields. Replaces one of that name. */
  createTable(name: string, schema: StructType): Promise<void>;
  /** Drops a table if it exists. */
  dropTable(name: string): Promise<void>;
  /** Opens an appender to a table made by {@link createTable} with the same schema. */
  appender(name: string, schema: StructType): Promise<Appender>;
  /** Writes one Parquet file. The caller makes it durable. Resolves to null, leaving no file, when the select has no row. */
  writeParquet(job: ParquetJob, signal?: AbortSignal): Promise<WrittenParquet | null>;
  /** Writes Parquet files into a folder of their own. The caller moves them, makes them durable and removes the folder. */
  writeParquetFiles(job: ParquetFilesJob, signal?: AbortSignal): Promise<readonly WrittenParquet[]>;
  /** A name that no other caller of this engine uses. */
  uniqueName(prefix: string): string;
}
