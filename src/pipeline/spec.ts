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
  readonly options: Readonly<Record<string, OptionValue>>;
}

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
};
