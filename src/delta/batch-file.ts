import type {Offset} from '../core/offset.ts';
import type {StructType} from '../core/types.ts';

/** Both offsets of a flow: of `readTable` and, for cdc_with_deletes, of `readTableDeletes`. */
export interface FlowOffset {
  readonly rows: Offset | null;
  readonly deletes: Offset | null;
}

/** Rows of one batch, counted. */
export interface BatchCounts {
  readonly read: number;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  /** Late or repeated rows that change nothing. */
  readonly unchanged: number;
  readonly rescuedValues: number;
  readonly quarantinedRows: number;
}

/**
 * Side files that a commit makes current: names relative to the table's root, all Parquet, all immutable. A list replaces
 * the list of the batch before.
 */
export interface SideFiles {
  /** Keys and sequences of deletes that no newer upsert has undone. */
  readonly tombstones: readonly string[];
  /** The connector's ledger: key, value (JSON text), later files win. */
  readonly ledger: readonly string[];
  /** Keys of the rows at the last cursor of an append-only flow. */
  readonly tail: readonly string[];
  /** Files of a snapshot or full refresh under way, not visible yet: upserts and deletes in order of arrival. */
  readonly pending: readonly PendingFile[];
  /** SCD type 2: events that no version of the table shows, tombstones among them. */
  readonly hidden: readonly string[];
  /** Sequences of truncates: nothing older than the newest of them counts. */
  readonly truncates: readonly string[];
  /** Ignored NULLs: which event each value of a row comes from. */
  readonly authors: readonly string[];
}

/** A file of a snapshot under way. */
export interface PendingFile {
  /** `events`: upserts, deletes and truncates as they came, where only all of them together say what the rows are. */
  readonly kind: 'rows' | 'deletes' | 'events';
  readonly name: string;
  readonly rowCount: number;
  readonly sizeBytes: number;
  /** JSON text of Delta statistics, so that the file can be added as it is. */
  readonly stats: string | null;
}

/** `<table>/_sluice/<flow id>/<batch id>.json`: where a batch ended. Immutable; counts only when a txn of the table names it. */
export interface BatchFile {
  readonly formatVersion: 1;
  readonly flowId: string;
  readonly batchId: number;
  /** The batch that the table's txn named before this one; null for the first. */
  readonly previousBatchId: number | null;
  readonly start: FlowOffset;
  readonly end: FlowOffset;
  /** A snapshot or full refresh is under way and continues at `end`. */
  readonly inSnapshot: boolean;
  readonly schema: StructType;
  readonly counts: BatchCounts;
  readonly side: SideFiles;
  /** ISO 8601, UTC. */
  readonly writtenAt: string;
  /** What the pipeline wants to remember with this batch, for example when the last key scan ran; plain JSON. */
  readonly notes: Readonly<Record<string, string | number | boolean | null>>;
}
