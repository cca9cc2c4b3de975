import type {CommitInfo} from '../delta/actions.ts';
import type {BatchCounts} from '../delta/batch-file.ts';
import type {LogCleanUp} from '../delta/log-cleanup.ts';
import type {OptimizeReport} from '../delta/optimize.ts';
import type {VacuumedFile} from '../delta/vacuum.ts';
import type {EngineRow} from '../engine/engine.ts';
import type {FlowProgress, RunUpdate, UpdateState} from '../pipeline/events.ts';
import type {RestoreReport} from '../pipeline/restore.ts';
import type {BackfillRequest} from '../pipeline/run-update.ts';
import type {PipelineSpec, TableConfiguration} from '../pipeline/spec.ts';
import type {TableVerdict} from '../pipeline/verify-verdict.ts';
import type {StoreOptions} from '../storage/store-options.ts';

export type {FlowProgress, FlowState, RunUpdate, UpdateState} from '../pipeline/events.ts';
export type {PipelineSpec} from '../pipeline/spec.ts';
export type {StoreOptions} from '../storage/store-options.ts';

/** Where and how a pipeline works; common to all commands. */
export interface LakeOptions {
  /** The lake: a folder, made when it is not there (commands that only read do not make it), or `s3://`, `abfss://`, `gs://` with bucket and prefix. */
  readonly lake: string;
  /** How to reach a lake in an object store, and its local cache; default: the vendor's chains of credentials. */
  readonly storeOptions?: StoreOptions;
  readonly signal: AbortSignal;
  /** Engine memory in MB; default 1024 (the whole process takes about 300 MB more). */
  readonly memoryLimitMb?: number;
  /** Engine threads; default: the machine's cores. */
  readonly threads?: number;
  /** Every exchange with the source over HTTP is appended to this file, a line of JSON each, secrets removed. */
  readonly traceFile?: string;
}

/** Options of one run. */
export interface RunOptions extends LakeOptions {
  /** Globs on source or destination table names; empty: all. */
  readonly tables: readonly string[];
  /** All selected tables, or the named ones, are read anew. */
  readonly fullRefresh: boolean | readonly string[];
  /** With `fullRefresh`: tables of SCD type 2 begin their history anew. Default false: it goes on. */
  readonly dropHistory?: boolean;
  /** Columns to fill for the rows that are there, by reading their source again. */
  readonly backfill?: readonly BackfillRequest[];
  /** What the run says while it goes on; called in order. */
  readonly onUpdate: (update: RunUpdate) => void;
  /** Flows at a time; default 4. */
  readonly maxParallelFlows?: number;
}

/** The end of a run. */
export interface RunResult {
  readonly updateId: string;
  readonly pipeline: string;
  readonly state: UpdateState;
  readonly flows: readonly FlowProgress[];
  readonly elapsedMs: number;
}

/** What `plan` says of one table. */
export interface PlannedTable {
  readonly flow: string;
  readonly sourceTable: string;
  readonly action: 'create' | 'continue' | 'evolve' | 'reload' | 'blocked';
  readonly ingestionType: string;
  readonly scdType: string;
  readonly keys: readonly string[];
  readonly sequence: readonly string[];
  readonly columns: readonly {
    readonly name: string;
    readonly type: string;
    readonly change: 'new' | 'kept' | 'dropped' | 'same';
  }[];
  /** SCD type 2: columns whose change begins a version. */
  readonly trackedColumns: readonly string[];
  readonly partitionColumns: readonly string[];
  readonly clusteringColumns: readonly string[];
  readonly schemaEvolution: TableConfiguration['schemaEvolution'];
  readonly deletionVectors: boolean;
  /** Engines that can read the table as planned, and those that cannot. */
  readonly readers: {readonly can: readonly string[]; readonly cannot: readonly string[]};
  readonly estimatedRows: number | null;
  readonly notes: readonly string[];
  readonly error?: {readonly code: string; readonly message: string; readonly fix?: string};
}

/** What `status` says of one table. */
export interface TableStatus {
  readonly flow: string;
  /** `?` for a table whose log cannot be read; `recommendation` says why. */
  readonly pipeline: string;
  /** -1 when it cannot be read. */
  readonly version: number;
  readonly rows: number | null;
  readonly sizeBytes: number;
  readonly files: number;
  readonly lastCommitAt: string;
  readonly lastBatchId: number | null;
  readonly inSnapshot: boolean;
  readonly rescuedValues: number;
  readonly quarantinedRows: number;
  /** The last comparison with the source; null when there was none. */
  readonly lastVerification: LastVerification | null;
  readonly recommendation: string | null;
}

/** The last comparison of a table with its source. */
export interface LastVerification {
  readonly verdict: TableVerdict['verdict'];
  readonly at: string;
  readonly ageMs: number;
  /** Version that was compared; the table may have newer ones. */
  readonly version: number;
  readonly level: string;
  readonly reason: string | null;
}

/** A state of a flow as `state show` prints it. */
export interface FlowStateReport {
  readonly flow: string;
  readonly flowId: string | null;
  readonly pipeline: string | null;
  readonly batchId: number | null;
  readonly version: number;
  readonly offset: unknown;
  readonly inSnapshot: boolean;
  readonly sideFiles: {
    readonly tombstones: number;
    readonly ledger: number;
    readonly tail: number;
    readonly pending: number;
  };
}

/** How `verify` looks at the source: by sums that it computes, by reading it once more, or by sums where it can. */
export type VerifyMode = 'auto' | 'full' | 'reread';

/** What `verify` says of one table. */
export interface VerifyReport extends TableVerdict {
  readonly flow: string;
}

/** Result of `query` and `preview`. */
export interface TableResult {
  readonly columns: readonly string[];
  readonly rows: readonly EngineRow[];
  readonly truncated: boolean;
  /** The engine's type of each column, for example `TIMESTAMP WITH TIME ZONE`; absent when unknown. */
  readonly types?: readonly string[];
}

/** Options of maintenance. */
export interface MaintenanceOptions extends LakeOptions {
  /** Globs on destination table names; empty: all of the pipeline. */
  readonly tables: readonly string[];
}

/** Options of `optimize`. */
export interface OptimizeTablesOptions extends MaintenanceOptions {
  /** Only says what would be done. */
  readonly dryRun?: boolean;
  /** Writes every file anew that has a deletion vector, however few rows it hides. */
  readonly purge?: boolean;
}

/** Options of `vacuum`. */
export interface VacuumTablesOptions extends MaintenanceOptions {
  /** Hours that files of older versions are kept; null: as the tables' properties say, else 168. */
  readonly retainHours: number | null;
  readonly dryRun: boolean;
  /** Allows less than one hour. */
  readonly force: boolean;
}

/** Why the maintenance of a table failed. */
export interface TableFailure {
  readonly code: string;
  readonly message: string;
  readonly fix?: string;
}

/** What `optimize` did to one table. */
export interface OptimizedTable {
  readonly flow: string;
  /** Null when it failed. */
  readonly report: OptimizeReport | null;
  readonly error: TableFailure | null;
  readonly elapsedMs: number;
}

/** What `vacuum` removed of one table, or would remove. */
export interface VacuumedTable {
  readonly flow: string;
  /** Files that no kept version names. */
  readonly files: readonly VacuumedFile[];
  readonly log: LogCleanUp;
  readonly error: TableFailure | null;
}

/** What `history` says of one version. */
export interface TableVersion {
  readonly version: number;
  /** ISO 8601. */
  readonly timestamp: string;
  readonly operation: string;
  readonly parameters: NonNullable<CommitInfo['operationParameters']>;
  /** Counts as the writer named them. */
  readonly metrics: NonNullable<CommitInfo['operationMetrics']>;
  /** Who wrote it; null when that is not said. */
  readonly engine: string | null;
  readonly rowsAdded: number | null;
  readonly filesAdded: number;
  readonly filesRemoved: number;
  /** False when it only moved rows, or touched none. */
  readonly dataChange: boolean;
  readonly metadataChanged: boolean;
  readonly txns: readonly {readonly appId: string; readonly version: number}[];
  /** The batch of the table's own flow. */
  readonly batchId: number | null;
}

/** What `restore` did, or would do. */
export interface RestoredTable extends RestoreReport {
  readonly table: string;
  readonly pipeline: string;
  /** What else went wrong, the table being restored; null for nothing. */
  readonly warning: string | null;
}

/** What `describe` says of one table of the lake. */
export interface TableDescription {
  readonly table: string;
  /** Folder of the table. */
  readonly location: string;
  readonly description: string | null;
  readonly version: number;
  readonly createdAt: string | null;
  readonly lastCommitAt: string;
  readonly columns: readonly {
    readonly name: string;
    readonly type: string;
    readonly nullable: boolean;
    readonly comment: string | null;
  }[];
  readonly partitionColumns: readonly string[];
  readonly clusteringColumns: readonly string[];
  /** CHECK constraints by name. */
  readonly constraints: Readonly<Record<string, string>>;
  /** Live rows; null when a file has no statistics. */
  readonly rows: number | null;
  readonly files: number;
  readonly sizeBytes: number;
  /** Files that have a deletion vector. */
  readonly filesWithVectors: number;
  /** Rows that deletion vectors hide. */
  readonly hiddenRows: number;
  readonly minReaderVersion: number;
  readonly minWriterVersion: number;
  readonly features: readonly string[];
  readonly properties: Readonly<Record<string, string>>;
  readonly pipeline: string | null;
  readonly sourceTable: string | null;
  readonly flowId: string | null;
  readonly lastBatch: {
    readonly batchId: number;
    readonly writtenAt: string;
    readonly inSnapshot: boolean;
    readonly counts: BatchCounts;
  } | null;
}

/** The functions that `cli` calls; `runtime/index.ts` exports them. */
export interface RuntimeApi {
  runPipeline(spec: PipelineSpec, options: RunOptions): Promise<RunResult>;
  planPipeline(
    spec: PipelineSpec,
    options: LakeOptions & {readonly tables: readonly string[]},
  ): Promise<readonly PlannedTable[]>;
  listSourceTables(
    spec: PipelineSpec,
    options: LakeOptions,
  ): Promise<readonly {readonly name: string; readonly selected: boolean}[]>;
  previewTable(
    spec: PipelineSpec,
    table: string,
    options: LakeOptions & {readonly limit: number},
  ): Promise<TableResult>;
  status(specs: readonly PipelineSpec[], options: LakeOptions): Promise<readonly TableStatus[]>;
  showState(spec: PipelineSpec, tables: readonly string[], options: LakeOptions): Promise<readonly FlowStateReport[]>;
  resetState(spec: PipelineSpec, tables: readonly string[], options: LakeOptions): Promise<readonly FlowStateReport[]>;
  adoptTables(spec: PipelineSpec, tables: readonly string[], options: LakeOptions): Promise<readonly FlowStateReport[]>;
  /** `at`: tables as of older versions, by name. */
  queryLake(
    sql: string,
    options: LakeOptions & {
      readonly limit: number;
      readonly at?: readonly {readonly table: string; readonly at: string}[];
    },
  ): Promise<TableResult>;
  /** `from` and `to`: a version or a time; `to` null: the newest version. */
  tableChanges(
    table: string,
    options: LakeOptions & {readonly from: string; readonly to: string | null; readonly limit: number},
  ): Promise<TableResult>;
  /** `to`: a version or a time. */
  restoreTable(
    table: string,
    options: LakeOptions & {readonly to: string; readonly dryRun: boolean},
  ): Promise<RestoredTable>;
  tableHistory(table: string, options: LakeOptions & {readonly limit: number}): Promise<readonly TableVersion[]>;
  verifyPipeline(
    spec: PipelineSpec,
    options: LakeOptions & {readonly tables: readonly string[]; readonly mode?: VerifyMode},
  ): Promise<readonly VerifyReport[]>;
  optimizeTables(spec: PipelineSpec, options: OptimizeTablesOptions): Promise<readonly OptimizedTable[]>;
  vacuumTables(spec: PipelineSpec, options: VacuumTablesOptions): Promise<readonly VacuumedTable[]>;
  describeTable(table: string, options: LakeOptions): Promise<TableDescription>;
}
