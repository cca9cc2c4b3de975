import type {StructType} from '../core/types.ts';
import type {OptionValue} from '../sdk/contract.ts';

/** How a destination table keeps what the source says. */
export type ScdType = 'SCD_TYPE_1' | 'SCD_TYPE_2' | 'APPEND_ONLY';

/** `table_configuration` after the cascade pipeline -> schema -> table: camelCase, defaults filled in. */
export interface TableConfiguration {
  /** Null: SCD_TYPE_1 for keyed tables and APPEND_ONLY for append sources. */
  readonly scdType: ScdType | null;
  /** Empty: the connector's. */
  readonly primaryKeys: readonly string[];
  /** Empty: the connector's cursor field. */
  readonly sequenceBy: readonly string[];
  readonly includeColumns: readonly string[] | null;
  readonly excludeColumns: readonly string[] | null;
  /** Predicate grammar of `core/predicate.ts`. */
  readonly rowFilter: string | null;
  readonly clusteringColumns: readonly string[];
  readonly tableProperties: Readonly<Record<string, string>>;
  readonly deletionVectors: 'auto' | 'true' | 'false';
  /** `query_based_connector_config`. */
  readonly cursorColumns: readonly string[];
  readonly deletionCondition: string | null;
  /** Null: no key scans. */
  readonly hardDeletionSyncMinIntervalSeconds: number | null;
  /** Largest share of the table, in percent, that one key scan may delete; default 20. */
  readonly maxDeletedPercent: number;
  /** Limits that fail the flow; null: none. */
  readonly maxRescuedValues: number | null;
  readonly maxQuarantinedRows: number | null;
  /** Rows of a micro-batch; null: the framework's limit. */
  readonly maxRecordsPerBatch: number | null;
  readonly onDuplicateKey: 'fail' | 'quarantine';
  /** SCD type 2: a change of these columns makes a version. Null: every selected column but the keys. */
  readonly trackHistoryColumns: readonly string[] | null;
  /** SCD type 2: every selected column but the keys and these. */
  readonly trackHistoryExceptColumns: readonly string[] | null;
  /** Columns in which NULL of an update means "as it was". */
  readonly ignoreNullUpdates: IgnoreNull;
  /** Predicate grammar: events that empty the table; SCD type 1 and a sequence only. */
  readonly applyAsTruncates: string | null;
  /** Milliseconds after which a tombstone may be forgotten; null: never. */
  readonly tombstoneRetentionMs: number | null;
  readonly partitionColumns: readonly string[];
  readonly schemaEvolution: SchemaEvolution;
  /** Columns whose type is declared, by dotted path; the rest is the source's. */
  readonly schemaHints: StructType | null;
  /** The table's new column name by the name that it had: the column is renamed instead of added. */
  readonly renamedColumns: Readonly<Record<string, string>>;
  /** A column that is selected anew is filled for the rows that are there already, by reading them again by key. */
  readonly backfillNewColumns: boolean;
  readonly autoFullRefresh: AutoFullRefresh | null;
  readonly autoOptimize: boolean;
  readonly verify: VerifyPolicy;
}

/** Which NULLs of an update are no values. */
export type IgnoreNull =
  | {readonly kind: 'none'}
  | {readonly kind: 'all'}
  | {readonly kind: 'only'; readonly columns: readonly string[]}
  | {readonly kind: 'except'; readonly columns: readonly string[]};

/**
 * What happens when the source's schema is no longer the table's: `evolve` follows it where the rows that are there stay
 * right, `freeze` stops the flow before anything is written, `quarantine` keeps the schema and lays aside the rows that
 * do not fit it.
 */
export type SchemaEvolution = 'evolve' | 'freeze' | 'quarantine';

/** `auto_full_refresh_policy`: a change that rows cannot stay under reloads the table by itself. */
export interface AutoFullRefresh {
  /** Least time between two such reloads. */
  readonly minIntervalHours: number;
}

/** When the rows are compared with the source without being asked. */
export interface VerifyPolicy {
  /** After each snapshot or full refresh, where the connector can; default true. */
  readonly afterSnapshot: boolean;
  /** At the end of an update, when the last comparison is older than this; null: never. */
  readonly intervalHours: number | null;
}

/** One entry of `objects`, with the place in the spec for messages. */
export interface ObjectSpec {
  readonly kind: 'table' | 'schema';
  /** For example `objects[2].table`. */
  readonly path: string;
  readonly sourceCatalog: string | null;
  readonly sourceSchema: string | null;
  /** Null for kind `schema`. */
  readonly sourceTable: string | null;
  readonly destinationCatalog: string;
  readonly destinationSchema: string;
  /** Null: the source table's name in lower case. */
  readonly destinationTable: string | null;
  readonly configuration: TableConfiguration;
  /** The connector's table options as written; the connector's spec types and checks them. */
  readonly options: Readonly<Record<string, OptionValue>>;
}

/** A connection: name, connector and the options of it, secrets resolved. Never logged. */
export interface ConnectionSpec {
  readonly name: string;
  /** The connector's name in lower case. */
  readonly connector: string;
  /** Absent: it is one of the connectors of this package. */
  readonly place?: ConnectorPlace;
  readonly options: Readonly<Record<string, OptionValue>>;
  /** Folder where secrets that change by themselves are kept sealed; absent: nothing is kept. */
  readonly home?: string;
}

/**
 * Where a connector of somebody else lies, by absolute paths: a folder with code, a YAML document or a built file; or an
 * entry of `sluice.connectors.yml` in the folder `project`.
 */
export type ConnectorPlace =
  | {readonly kind: 'path'; readonly path: string}
  | {readonly kind: 'added'; readonly name: string; readonly project: string};

/** One pipeline, resolved from `ingestion_definition` or `pipeline_spec`: what the rest of the system works with. */
export interface PipelineSpec {
  /** Key under `resources.pipelines`, or the file's name. Unique in a lake: owner of its tables. */
  readonly key: string;
  readonly name: string;
  /** Default destination and home of the event log. */
  readonly catalog: string;
  readonly schema: string;
  readonly connection: ConnectionSpec;
  readonly objects: readonly ObjectSpec[];
  /** Name of the event log table; default `event_log_<key>`. */
  readonly eventLogTable: string;
  /** How the database's log is followed; absent: its tables are read by queries. */
  readonly changeLog?: ChangeLogSpec;
}

/** A pipeline that reads what a gateway staged. */
export interface ChangeLogSpec {
  /** The gateway: names its staging area, its lease and what it makes at the source. Lower case letters, digits and "_", at most 40. */
  readonly gatewayId: string;
  /** The pipeline runs its gateway itself, in every update; else somebody runs it all the time. */
  readonly isIntegrated: boolean;
  /** The pipeline goes on until it is stopped. */
  readonly isContinuous: boolean;
  /** A slot and a publication that are there already. */
  readonly slotName: string | null;
  readonly publicationName: string | null;
  /** When snapshots may begin; null: at any time. */
  readonly fullRefreshWindow: RefreshWindow | null;
  /** Of the gateway that the pipeline runs itself. */
  readonly settings: GatewaySettings;
}

/** How a gateway works, where that is not left to it. */
export interface GatewaySettings {
  /** Of all snapshots together. */
  readonly snapshotBytesPerSecond?: number;
  /** Tables whose snapshots are read at once. */
  readonly parallelTables?: number;
  /** Chunks that are read at once, of all tables together. */
  readonly parallelChunks?: number;
  /** What all pipelines applied stays in staging for so long. */
  readonly minAgeMs?: number;
  /** What is not applied after so long is deleted, and its tables are read anew. */
  readonly maxAgeMs?: number;
  readonly logCompression?: 'none' | 'brotli';
  readonly snapshotCompression?: 'none' | 'brotli';
}

/** Five hours on some days of the week. */
export interface RefreshWindow {
  /** 0 to 23. */
  readonly startHour: number;
  /** 0 is Sunday; empty: every day. */
  readonly daysOfWeek: readonly number[];
  readonly timeZone: string;
}

/** `table_configuration` when nobody says anything. */
export const DEFAULT_TABLE_CONFIGURATION: TableConfiguration = {
  scdType: null,
  primaryKeys: [],
  sequenceBy: [],
  includeColumns: null,
  excludeColumns: null,
  rowFilter: null,
  clusteringColumns: [],
  tableProperties: {},
  deletionVectors: 'auto',
  cursorColumns: [],
  deletionCondition: null,
  hardDeletionSyncMinIntervalSeconds: null,
  maxDeletedPercent: 20,
  maxRescuedValues: null,
  maxQuarantinedRows: null,
  maxRecordsPerBatch: null,
  onDuplicateKey: 'fail',
  trackHistoryColumns: null,
  trackHistoryExceptColumns: null,
  ignoreNullUpdates: {kind: 'none'},
  applyAsTruncates: null,
  tombstoneRetentionMs: null,
  partitionColumns: [],
  schemaEvolution: 'evolve',
  schemaHints: null,
  renamedColumns: {},
  backfillNewColumns: false,
  autoFullRefresh: null,
  autoOptimize: true,
  verify: {afterSnapshot: true, intervalHours: null},
};
