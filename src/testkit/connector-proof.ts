import type {Clock} from '../core/clock.ts';
import type {JsonObject, JsonValue} from '../core/json-value.ts';
import type {TableConfiguration} from '../pipeline/spec.ts';
import type {OptionValue} from '../sdk/contract.ts';
import type {ConnectorDefinition, ProxyOptions, SecretStore, TraceEntry} from '../sdk/define-connector.ts';
import type {HttpRequest} from '../sdk/http/http-client.ts';

/**
 * Everything that the suites need to prove a connector: its definition, a source to prove it against, and for each table
 * what the source holds and how to change it. A proof is plain data; `connectorCases` makes cases of it.
 */
export interface ConnectorProof {
  readonly definition: ConnectorDefinition;
  /** Opens a fresh source: equal seeds give equal data. The cases dispose it. */
  start(options: ProofStart): Promise<ProofSource>;
  /** Tables that are proved, by their names; every table that the connector lists should be here. */
  readonly tables: Readonly<Record<string, ProofTable>>;
  /** Cases that do not apply, by name (all tables) or `name: table`, with the reason. */
  readonly exclude?: Readonly<Record<string, string>>;
}

/** How a source is opened. */
export interface ProofStart {
  readonly seed: number;
  /** Rows per table that the source should have, about; default: whatever shows at least three pages of the connector's page size. */
  readonly rows?: number;
  /** Only this table has so many `rows`, the others as many as by default, so that a large source starts soon. Default: all have them. */
  readonly table?: string;
}

/** A running source with everything needed to connect to it. */
export interface ProofSource extends AsyncDisposable {
  /** Options of the connection with credentials that work. */
  readonly connectionOptions: Readonly<Record<string, OptionValue>>;
  /** Name of the connection. Default: one of its own for each source. */
  readonly connectionName?: string;
  /** Where tokens that rotate are kept, shared by all who log in. Default: by each connector and those that follow it. */
  readonly secrets?: SecretStore;
  /** On the way to a real source. Default: none. */
  readonly proxies?: ProxyOptions;
  /** What changes `connectionOptions` so that the source refuses them; absent where every credential works. */
  readonly wrongCredentials?: Readonly<Record<string, OptionValue>>;
  /** The clock of source and connector alike. */
  readonly clock: ProofClock;
  /** Faults that the source can be told to have. Absent: the fault cases are excluded. */
  readonly faults?: readonly ProofFault[];
  /** Real data: messages name columns, but show no values. Default false. */
  readonly isLive?: boolean;
  /** What went wrong in the connector's behaviour so far, as the source saw it: budgets exceeded, credentials sent elsewhere. */
  violations?(): readonly string[];
  /** Requests that the source has answered. */
  requestCount?(): number;
}

/** A clock that a suite can set; waiting for it takes no time of the machine. */
export interface ProofClock extends Clock {
  /** Moves on; never back. */
  advance(ms: number): void;
}

/** One kind of fault. */
export interface ProofFault {
  /** Name in the case, for example `a 429 with Retry-After`. */
  readonly name: string;
  /** Makes the next requests fail: the first one is request number `after` from now (0: the very next one), `times` in a row. */
  inject(options: {readonly after: number; readonly times: number}): void;
  /** Ends the fault; requests work again. */
  clear(): void;
  /**
   * What must follow. `hidden`: rows and offsets as if nothing had been. `reported`: a clear error that may be tried
   * again, and then as if nothing had been. Default: either of them.
   */
  readonly outcome?: 'hidden' | 'reported';
}

/** How a proof shows pages: cases that depend on it run for one table of each style in full. */
export type PagingStyle =
  | 'none'
  | 'page'
  | 'offset'
  | 'cursor'
  | 'link'
  | 'keyset'
  | 'window'
  | 'token'
  | (string & {});

/** One table of a proof. */
export interface ProofTable {
  /** Rows of a page; more rows than that are made to share a cursor value. Default 100. */
  readonly pageSize?: number;
  /** Table options for all cases. */
  readonly options?: Readonly<Record<string, OptionValue>>;
  /** Configuration of the table for runs into a lake. */
  readonly configuration?: Partial<TableConfiguration>;
  readonly pagingStyle: PagingStyle;
  /**
   * The rows that the destination must hold now, as raw records; the suite coerces both sides and compares every column of
   * the schema. Live rows only. For an append table: everything ever written. Absent: exactness is not proved.
   */
  truth?(source: ProofSource): readonly JsonObject[] | Promise<readonly JsonObject[]>;
  /** Ways to change the source; each leaves the truth changed. Absent ones exclude their cases. */
  readonly mutations?: ProofMutations;
  /** Columns of the schema that no row of the source ever fills, with the reason. */
  readonly unfilled?: Readonly<Record<string, string>>;
  /** False: a delete at the source need not reach the destination. Default: true for snapshot, cdc_with_deletes and key scans. */
  readonly tracksDeletes?: boolean;
  /** Milliseconds that must pass before a change can be read, for sources that export with a delay. Default 0. */
  readonly visibleAfterMs?: number;
  /** Clock skew that the table must tolerate, in milliseconds, either way. Default 5,000; 0: none. */
  readonly skewMs?: number;
  /** True when the connector reads the table in partitions: its partition cases run. Default false. */
  readonly isPartitioned?: boolean;
  /** Writing through the source's own write endpoints. */
  readonly writes?: ProofWrites;
}

/** Changes of the source, made on the simulator's state; all stamp with the source's clock unless they say otherwise. */
export interface ProofMutations {
  /** New rows. */
  insert?(source: ProofSource, count: number): void | Promise<void>;
  /** Changes rows that exist: some of every page. */
  update?(source: ProofSource, count: number): void | Promise<void>;
  /** Removes rows that exist, as users of the source do. */
  delete?(source: ProofSource, count: number): void | Promise<void>;
  /** Makes rows with keys that were deleted before. */
  recreate?(source: ProofSource, count: number): void | Promise<void>;
  /** Makes `count` rows that share one cursor value; more than a page of them, so that a page border falls among them. */
  ties?(source: ProofSource, count: number): void | Promise<void>;
  /** Makes rows that become visible now but bear a stamp of the past, within the table's lookback. */
  late?(source: ProofSource, count: number): void | Promise<void>;
}

/**
 * Write endpoints of the source, as `writeback` cases use them: by nothing but the connection, so that the same functions write to
 * the simulator and to a real account.
 */
export interface ProofWrites {
  /** Writes a new row; gives columns that it must have when it is read, its key among them. */
  insert?(source: ProofSource, api: ProofApi): Promise<JsonObject>;
  /** Changes the row that `insert` gave; gives the columns that it must have afterwards. */
  update?(source: ProofSource, row: JsonObject, api: ProofApi): Promise<JsonObject>;
  /** Deletes the row that `insert` gave. A table that does not follow deletes says `tracksDeletes: false`: only what was written to a real account is deleted then. */
  delete?(source: ProofSource, row: JsonObject, api: ProofApi): Promise<void>;
  /** Removes what `insert` made beside its row; called at the end of every case against a real account, after the row was deleted. */
  cleanUp?(source: ProofSource, row: JsonObject, api: ProofApi): Promise<void>;
}

/** The source over HTTP as its connector reaches it: login, limits and retries of the connection. */
export interface ProofApi {
  /** Options of the connection, defaults filled in. */
  readonly options: Readonly<Record<string, OptionValue>>;
  /** A text that nothing at the source holds yet, for names and addresses of what is written: `sluice-test-` and letters. */
  mark(): string;
  /**
   * Sends a request and gives the object of its answer, an empty one when the body is none.
   * @throws by the connector's rules of errors; Error when the definition of the connector opens no client.
   */
  send(request: HttpRequest): Promise<JsonObject>;
  /** The same for an answer that is a list; empty when the body is none. */
  list(request: HttpRequest): Promise<readonly JsonValue[]>;
}

/** The suites. */
export type ConnectorSuite = 'generic' | 'exactness' | 'faults' | 'resume' | 'writeback' | 'partition';

/** Which cases are made. */
export interface ConnectorCaseOptions {
  /** `generic` brings exactness and resume along, as it proves reads. Default `all`. */
  readonly suite?: 'generic' | 'writeback' | 'partition' | 'faults' | 'all';
  /** For the data and everything that is sampled; printed in the names of failures. Default 1. */
  readonly seed?: number;
  /** Only these tables. Default: all. */
  readonly tables?: readonly string[];
  /** Nothing is sampled. Default false. */
  readonly full?: boolean;
  /** Told of every exchange of the connector over HTTP, secrets removed. */
  readonly trace?: (entry: TraceEntry) => void;
  /** Ends the cases that run. */
  readonly signal?: AbortSignal;
}

/** One thing that every connector must do. */
export interface ConnectorCase {
  /** `suite: what is expected [: table]`. */
  readonly name: string;
  readonly suite: ConnectorSuite;
  readonly table?: string;
  /** Why the case does not apply; `run` does nothing then. */
  readonly excluded?: string;
  /** Resolves when the connector does it; rejects with what was expected, what came and how to correct it. */
  readonly run: () => Promise<void>;
}
