import {seededRandom, type Clock, type Random} from '../core/clock.ts';
import {resolveFlow} from '../pipeline/resolve-flow.ts';
import type {ResolvedFlow} from '../pipeline/resolved-flow.ts';
import {DEFAULT_TABLE_CONFIGURATION, type ObjectSpec} from '../pipeline/spec.ts';
import type {CallContext, Connector, ConnectorLog, OptionValue, SourceFiles} from '../sdk/contract.ts';
import type {CreateContext, SecretStore, TraceEntry} from '../sdk/define-connector.ts';
import {resolveConnectionOptions} from '../sdk/options.ts';
import type {ConnectorProof, ProofApi, ProofSource, ProofTable} from './connector-proof.ts';
import {type OpenProofApi, proofApi} from './proof-api.ts';
import {ProofFailure} from './proof-failure.ts';
import {ProofTarget} from './proof-target.ts';

/** What a bench is opened with. */
export interface BenchOptions {
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly rows?: number;
  /** Told of every exchange over HTTP. */
  readonly trace?: (entry: TraceEntry) => void;
}

/** One source and a connector at work on it; disposing closes both. */
export class ProofBench implements AsyncDisposable {
  readonly proof: ConnectorProof;
  readonly source: ProofSource;
  readonly seed: number;
  readonly random: Random;
  /** Keys that the truth of a table has ever held, by table: rows of tables that do not track deletes may keep them. */
  readonly everTrue: Map<string, Set<string>> = new Map<string, Set<string>>();
  readonly #secrets: SecretStore;
  readonly #name: string;
  readonly #options: BenchOptions;
  #connector: Connector;
  #api: OpenProofApi | null = null;

  private constructor(proof: ConnectorProof, source: ProofSource, options: BenchOptions) {
    this.proof = proof;
    this.source = source;
    this.seed = options.seed;
    this.#options = options;
    this.random = seededRandom(options.seed);
    this.#secrets = source.secrets ?? memorySecrets();
    this.#name = source.connectionName ?? `proof-${benchCount++}`;
    this.#connector = this.create();
  }

  /** Opens a fresh source and connects to it. */
  static async open(proof: ConnectorProof, options: BenchOptions): Promise<ProofBench> {
    const source = await proof.start({
      seed: options.seed,
      ...(options.rows === undefined ? {} : {rows: options.rows}),
    });
    try {
      return new ProofBench(proof, source, options);
    } catch (error) {
      await source[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The connector as it is now. */
  get connector(): Connector {
    return this.#connector;
  }

  /** The source's clock, which the connector goes by as well. */
  get clock(): ProofSource['clock'] {
    return this.source.clock;
  }

  /** The signal of all calls. */
  get signal(): AbortSignal {
    return this.#options.signal;
  }

  /** A further instance of the connector; the caller closes it. */
  create(other: {readonly options?: Readonly<Record<string, OptionValue>>; readonly clock?: Clock} = {}): Connector {
    return this.proof.definition.create(this.#createContext(other));
  }

  /** The source as writes of the proof reach it; closed with the bench. */
  get api(): ProofApi {
    this.#api ??= proofApi(this.proof.definition, {
      create: this.#createContext({}),
      context: this.callContext(),
      seed: this.seed,
    });
    return this.#api;
  }

  #createContext(other: {
    readonly options?: Readonly<Record<string, OptionValue>>;
    readonly clock?: Clock;
  }): CreateContext {
    const given = other.options ?? this.source.connectionOptions;
    return {
      options: resolveConnectionOptions(this.proof.definition.spec, given, 'connection "proof"'),
      clock: other.clock ?? this.source.clock,
      random: seededRandom(this.seed),
      connectionName: this.#name,
      secrets: this.#secrets,
      ...(this.source.proxies === undefined ? {} : {proxies: this.source.proxies}),
      // Telling of every exchange costs more than most cases do.
      ...(this.#options.trace === undefined ? {} : {trace: this.#options.trace}),
    };
  }

  /** Drops the connector, as the death of its process would, and makes another; tokens that were kept are kept. */
  async reopen(clock?: Clock): Promise<void> {
    const old = this.#connector;
    this.#connector = this.create(clock === undefined ? {} : {clock});
    await old.close?.();
  }

  /** The proof of a table. */
  table(name: string): ProofTable {
    const table = this.proof.tables[name];
    if (table !== undefined) return table;
    throw new ProofFailure({
      expected: `a proof of table "${name}"`,
      came: `proofs of ${Object.keys(this.proof.tables).join(', ')}`,
      fix: 'Add the table to `tables` of the connector proof.',
    });
  }

  /** A new, empty destination in memory for a table; of a real source it reads the first pages, unless it is told to be whole. */
  async target(
    name: string,
    {clock, isWhole = false}: {readonly clock?: Clock; readonly isWhole?: boolean} = {},
  ): Promise<ProofTarget> {
    const flow = await this.flow(name);
    const isLive = this.source.isLive === true;
    return new ProofTarget(this, flow, {
      ...(isLive ? {hidesRows: true} : {}),
      ...(isLive && !isWhole ? {maxPages: LIVE_PAGES} : {}),
      tracksKeyScans: this.table(name).configuration?.hardDeletionSyncMinIntervalSeconds != null,
      ...(clock === undefined ? {} : {clock}),
    });
  }

  /** Everything decided about a table, as a run decides it. */
  flow(name: string): Promise<ResolvedFlow> {
    const open = {definition: this.proof.definition, connector: this.#connector};
    return resolveFlow(open, objectOf(name, this.table(name)), name, this.callContext());
  }

  /** What calls without rows get. */
  callContext(clock: Clock = this.clock): CallContext {
    return {signal: this.#options.signal, clock, log: SILENT, files: NO_FILES};
  }

  /** Lets time pass so that what was written can be read: at once by a clock that can be set, truly at a real source. */
  async settle(name: string): Promise<void> {
    const waitMs = this.settleMs(name);
    if (this.source.isLive === true) await this.clock.sleep(waitMs, this.signal);
    else this.clock.advance(waitMs);
  }

  /** Milliseconds after which what was written can be read. */
  settleMs(name: string): number {
    return (this.table(name).visibleAfterMs ?? 0) + SETTLE_MS;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#api?.[Symbol.asyncDispose]();
      await this.#connector.close?.();
    } finally {
      await this.source[Symbol.asyncDispose]();
    }
  }
}

/** Pages that are read of a table of a real source. */
const LIVE_PAGES = 5;
/** Longer than a stamp's precision in most sources, which is a second. */
const SETTLE_MS = 2_500;

let benchCount = 0;

function objectOf(name: string, table: ProofTable): ObjectSpec {
  return {
    kind: 'table',
    path: `tables.${name}`,
    sourceCatalog: null,
    sourceSchema: null,
    sourceTable: name,
    destinationCatalog: 'main',
    destinationSchema: 'proof',
    destinationTable: null,
    configuration: {...DEFAULT_TABLE_CONFIGURATION, ...table.configuration},
    options: table.options ?? {},
  };
}

/** Secrets that are forgotten with the process. */
export function memorySecrets(): SecretStore {
  const values = new Map<string, string>();
  return {
    get: (name) => Promise.resolve(values.get(name) ?? null),
    replace(name, expected, value) {
      if ((values.get(name) ?? null) !== expected) return Promise.resolve(false);
      values.set(name, value);
      return Promise.resolve(true);
    },
  };
}

/** A log that nobody reads. */
export const SILENT: ConnectorLog = {debug: () => undefined, info: () => undefined, warn: () => undefined};

/** No files: a proof has none. */
export const NO_FILES: SourceFiles = {
  list: () => Promise.reject(new Error('A proof has no files.')),
  inferSchema: () => Promise.reject(new Error('A proof has no files.')),
};
