import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import type {StructType} from '../../core/types.ts';
import type {IngestionType, TableOptions} from '../contract.ts';
import type {AuthMethod, CreateContext, OAuthEndpoints, OptionSpecs} from '../define-connector.ts';
import type {HttpClient} from '../http/http-client.ts';
import type {ReadPlan, RestCall} from './read-plan.ts';
import type {JsonPath, Listing, RequestScope, RequestTemplate} from './rest-request.ts';

/** A connector to a REST API, declared: `restConnector` makes it one. The same shape in YAML is read by `parseRestDocument`. */
export interface RestConnectorSpec {
  /** Lower case. */
  readonly name: string;
  readonly displayName: string;
  readonly description: string;
  /** Options of the connection. */
  readonly connection: OptionSpecs;
  /** Ways to log in, if there is more than one. */
  readonly authMethods?: Readonly<Record<string, AuthMethod>>;
  readonly oauth?: OAuthEndpoints;
  /** Options that every table takes, beside those of the framework. */
  readonly table?: OptionSpecs;
  /** Makes the client of a connection, called once: `createHttpClient({baseUrl, auth, ...}, create)`. */
  client(options: TableOptions, create: CreateContext): HttpClient;
  readonly tables: readonly RestTable[] | DynamicTables;
  readonly namespaces?: RestNamespaces;
  /** Sent before tables are listed, so that wrong credentials are found where a connection is made. */
  readonly check?: RequestTemplate;
}

/** Tables that the source names. */
export interface DynamicTables {
  /** Options that some of the tables take; each names its own in {@link RestTable.options}. */
  readonly options?: OptionSpecs;
  /** Names of all tables, unique. */
  list(call: RestCall): Promise<readonly string[]>;
  /** The table of a name that is not fixed, null when there is none. Asked again after five minutes. */
  get(name: string, call: RestCall): Promise<RestTable | null>;
  /** Tables of the list that are known without asking. Only they are read in partitions of the contract, which is decided without I/O. */
  readonly fixed?: readonly RestTable[];
}

/** Namespaces of the source, for example organisations and repositories. Names of tables are then qualified: `org.repo.issues`. */
export interface RestNamespaces {
  /** Immediate children as full paths; null is the root. */
  list(prefix: readonly string[] | null, call: RestCall): Promise<readonly (readonly string[])[]>;
  /** Names of the tables in a namespace, without it. */
  tables(namespace: readonly string[], call: RestCall): Promise<readonly string[]>;
  /** Table options that a namespace stands for, for example `{owner, repo}`. */
  options(namespace: readonly string[]): Readonly<Record<string, string>>;
}

/** One table of an API. */
export interface RestTable {
  readonly name: string;
  readonly description?: string;
  /** Columns of the landed record; empty without a key. */
  readonly primaryKeys: readonly string[];
  /** Column of the landed record that orders its changes. */
  readonly cursorField?: string;
  readonly ingestionType: IngestionType;
  /** The source never has a key twice at one point in time. Default true where there are keys. */
  readonly keysEnforced?: boolean;
  readonly schema: SchemaSource;
  /** Further options that this table takes; others refuse them. */
  readonly options?: OptionSpecs;
  /** The table once for each of these, each with its own offset. */
  readonly partitions?: Partitions;
  readonly read: ReadPlan;
  /** Turns every record that is read into its children: see {@link Expand}. */
  readonly expand?: Expand;
  /** Steps from the source's record to the landed one, in this order: lift, set, drop, transform. */
  readonly lift?: readonly JsonPath[];
  /** Columns made from others: constants, or from record and scope. */
  readonly set?: Readonly<Record<string, FieldMaker>>;
  readonly drop?: readonly string[];
  /** Anything else that becomes of a record: another one, none, or several. */
  readonly transform?: (record: JsonObject, scope: RequestScope) => JsonObject | null | readonly JsonObject[];
  readonly deletes?: DeletesPlan;
  /** About how many rows there are; cheap. */
  readonly estimate?: (call: RestCall) => Promise<number | null>;
  /** Requests of partitions and expansions at once. Default 8; the client's budget decides the speed. */
  readonly concurrency?: number;
  /** Verification: columns that change without moving the cursor (counters, computed fields) with the reason; they are not compared. */
  readonly volatileColumns?: Readonly<Record<string, string>>;
}

/** A column's value, or how it is made. */
export type FieldMaker = JsonValue | ((record: JsonObject, scope: RequestScope) => JsonValue | undefined);

/** The columns of a table. */
export type SchemaSource =
  | StructType
  /** DDL: `id BIGINT NOT NULL, name STRING`. */
  | string
  /** Asked of the source. */
  | ((call: RestCall) => Promise<StructType>)
  /** From the first records that the source gives (default 1,000) and what landed before. */
  | {readonly infer: {readonly records?: number; readonly hints?: string}};

/** The parts of a table that are read one by one, each with its own offset. */
export type Partitions =
  /** One for every row of another listing. */
  | {
      readonly kind: 'parent';
      readonly list: Listing | string;
      /** Values of the parent that make the partition, as `scope.parent`, by name: paths in the parent's record. */
      readonly values: Readonly<Record<string, JsonPath>>;
      /** Names among `values` that identify it; default: all. */
      readonly key?: readonly string[];
      /** Parents for which it is false are left out. */
      readonly filter?: (parent: JsonObject, scope: RequestScope) => boolean;
      /** More parents than this is an error. Default 100,000. */
      readonly maxParents?: number;
      /** Parents of one request: `scope.parents` has them all. Default 1; more not in append tables. A new parent makes other groups, which are read anew. */
      readonly groupSize?: number;
    }
  /** One for every value: a constant list, or a table option of type `string[]`. */
  | {
      readonly kind: 'list';
      readonly name: string;
      readonly values: readonly (string | number)[] | {readonly option: string};
    }
  /** One for every combination of others, none of them in groups: a parent's listing sees what those before it chose as `scope.parent`. */
  | {readonly kind: 'product'; readonly of: readonly Partitions[]}
  /** One for every day from a date to today (UTC). */
  | {readonly kind: 'dates'; readonly name: string; readonly from: string | {readonly option: string}}
  | {
      readonly kind: 'custom';
      /** Values of every partition, as `scope.parent`. */
      list(call: RestCall): AsyncIterable<JsonObject>;
      readonly key: readonly string[];
    };

/**
 * Children of every record that the plan reads: its request sees the parent as `scope.parent` (or a group of them as
 * `scope.parents`). The offset is that of the parents. `embedded` children come with their parent, and `more` lists those that it
 * left out.
 */
export interface Expand {
  /** Lists the children of a parent or group; null: this parent has none. */
  readonly list?: Listing;
  /** Parents that have no children are not asked. */
  readonly filter?: (parent: JsonObject) => boolean;
  /** Parents of one request. Default 1. */
  readonly groupSize?: number;
  /** Path of children within the parent. */
  readonly embedded?: JsonPath;
  /** With `embedded`: true for a parent whose children are not all embedded; its children are then listed by `list`. */
  readonly hasMore?: JsonPath;
  /** Values of the parent that the child gets, by column: paths in the parent. */
  readonly include?: Readonly<Record<string, JsonPath>>;
}

/** How a table learns of deletes. */
export type DeletesPlan =
  /** Deleted rows come with the others and are known by a condition on the record as the source gives it. */
  | {
      readonly kind: 'stream';
      /** True for a record that says that its row is gone. */
      readonly isDeleted: (record: JsonObject) => boolean;
    }
  /** A list of deletes of its own (`cdc_with_deletes`), read by a plan; records need the key and the cursor. */
  | {
      readonly kind: 'log';
      readonly read: ReadPlan;
      /** The key and the cursor of a record; null: it is none of this table. */
      readonly transform?: (record: JsonObject, scope: RequestScope) => JsonObject | null;
    }
  /** A list of everything that is deleted, read whole in every trigger (`cdc_with_deletes`): rows that are new in it are deletes. */
  | {
      readonly kind: 'archived';
      readonly list: Listing;
      /** Path whose value differs when the row was restored and deleted again, for example `archivedAt`. */
      readonly version?: JsonPath;
      /** The key and the cursor of a record; null: it is none of this table. */
      readonly transform?: (record: JsonObject, scope: RequestScope) => JsonObject | null;
    }
  /** Keys are listed when the user's `hard_deletion_sync_min_interval_in_seconds` says so. Default listing: everything that the plan lists. */
  | {readonly kind: 'keyScan'; readonly list?: Listing}
  /** The table is read whole: what is missing is deleted. */
  | {readonly kind: 'snapshotDiff'};
