import type {JsonObject, JsonValue} from '../core/json-value.ts';
import type {OptionValue} from '../sdk/contract.ts';
import type {
  AnsweredRequest,
  Fault,
  RowKey,
  SimulatedCollection,
  SimulatedRequest,
  Simulator,
} from '../simulator/index.ts';
import type {ProofFault, ProofMutations, ProofSource, ProofTable} from './connector-proof.ts';
import {proofClock} from './proof-clock.ts';

/** What the injected 429 asks for. */
const RETRY_AFTER_MS = 7_000;
const LASTING = 6;

/** A source that is a running simulator. */
export interface SimulatedSource extends ProofSource {
  readonly simulator: Simulator;
}

/** How a connector finds a simulator and what goes wrong with it. */
export interface SimulatedSourceOptions {
  readonly connectionOptions: Readonly<Record<string, OptionValue>>;
  readonly wrongCredentials?: Readonly<Record<string, OptionValue>>;
  /** Faults of the vendor's own, beside those that every API can have. */
  readonly faults?: readonly ProofFaultSpec[];
  /** Names of faults that this API cannot have, for example `repeated rows`. */
  readonly withoutFaults?: readonly string[];
  /** True: also connections that hang; they take the client's timeouts in real time. Default false. */
  readonly hangs?: boolean;
}

/** A fault with its name. */
export interface ProofFaultSpec {
  readonly name: string;
  /** A function is asked when it happens. */
  readonly fault: Fault | (() => Fault);
  /** Paths that it happens to, `*` for any text. Default: all. */
  readonly path?: string;
  /** Requests that it happens to. Default: all. */
  readonly where?: (request: SimulatedRequest) => boolean;
  readonly outcome?: ProofFault['outcome'];
  /** It happens to several requests in a row at least, as chance may make one of them harmless. Default false. */
  readonly lasts?: boolean;
}

/** Makes a source of a proof from a running simulator; disposing it closes the simulator. */
export function simulatedSource(simulator: Simulator, options: SimulatedSourceOptions): SimulatedSource {
  const wanted = [...commonFaults(options.hangs === true), ...(options.faults ?? [])].filter(
    ({name}) => options.withoutFaults?.includes(name) !== true,
  );
  return {
    simulator,
    connectionOptions: options.connectionOptions,
    ...(options.wrongCredentials === undefined ? {} : {wrongCredentials: options.wrongCredentials}),
    clock: proofClock(simulator.clock),
    faults: wanted.map((spec) => simulatedFault(simulator, spec)),
    violations: () => [
      ...simulator.violations.map(({limit, of, path}) => `${path} came above the budget ${limit} (${of})`),
      ...impatience(simulator.requests),
    ],
    requestCount: () => simulator.requestCount,
    [Symbol.asyncDispose]: () => simulator.close(),
  };
}

/** The simulator of a source. @throws Error when the source is another one. */
export function simulatorOf(source: ProofSource): Simulator {
  if ('simulator' in source) return (source as SimulatedSource).simulator;
  throw new Error('This source is no simulator.');
}

function commonFaults(hangs: boolean): readonly ProofFaultSpec[] {
  const answer = (status: number, headers: Readonly<Record<string, string>> = {}): Fault => ({
    kind: 'answer',
    status,
    headers,
    body: {error: 'temporarily unavailable'},
  });
  return [
    {name: '429 with Retry-After', fault: answer(429, {'retry-after': String(RETRY_AFTER_MS / 1000)})},
    {name: '500', fault: answer(500)},
    {name: '503 with Retry-After', fault: answer(503, {'retry-after': '3'})},
    {name: 'a reset connection', fault: {kind: 'reset', when: 'beforeHeaders'}},
    {name: 'a reset inside a body', fault: {kind: 'reset', when: 'midBody'}},
    {name: 'a slow first byte', fault: {kind: 'slow', firstByteMs: 20}, outcome: 'hidden'},
    {name: 'a truncated body', fault: {kind: 'truncate'}},
    {name: 'a malformed body', fault: {kind: 'malformed'}},
    {name: '200 with an error', fault: {kind: 'answer', status: 200, body: {error: {message: 'internal error'}}}},
    {name: 'an empty body', fault: {kind: 'answer', status: 200}},
    {name: 'repeated rows', fault: {kind: 'repeatRows'}, lasts: true},
    {name: 'a page that does not move on', fault: {kind: 'stuckPage'}, where: asksBehindAPage},
    {name: 'reordered rows', fault: {kind: 'shuffleRows'}, lasts: true},
    {name: 'expired access tokens', fault: {kind: 'expireTokens'}, outcome: 'hidden'},
    {name: 'an expired page cursor', fault: {kind: 'expireCursor'}},
    ...(hangs
      ? ([
          {name: 'a connection that hangs', fault: {kind: 'hang'}},
          {name: 'a body that stalls', fault: {kind: 'stall'}},
        ] as const)
      : []),
  ];
}

/** The same page again can be noticed where the next one is asked for by what this one said, and only there. */
function asksBehindAPage({query}: SimulatedRequest): boolean {
  return [...query.keys()].some((name) => /cursor|after|token|next/i.test(name));
}

/** A fault of a proof that a running simulator has. */
export function simulatedFault(
  simulator: Simulator,
  {name, fault, path, where, outcome, lasts}: ProofFaultSpec,
): ProofFault {
  return {
    name,
    ...(outcome === undefined ? {} : {outcome}),
    inject({after, times}) {
      const until = after + (lasts === true ? Math.max(times, LASTING) : times);
      let seen = 0;
      const isHit = (request: SimulatedRequest): boolean => {
        if (where?.(request) === false) return false;
        seen++;
        return seen > after && seen <= until;
      };
      const made = typeof fault === 'function' ? fault() : fault;
      simulator.faults.add({fault: made, times: Infinity, where: isHit, ...(path === undefined ? {} : {path})});
    },
    clear: () => simulator.faults.clear(),
  };
}

/** Requests that came before a Retry-After had passed; those that were on their way already do not count. */
function impatience(requests: readonly AnsweredRequest[]): readonly string[] {
  const found: string[] = [];
  let refused: AnsweredRequest | null = null;
  for (const request of requests) {
    const waitedMs = refused === null ? Infinity : request.atMs - refused.atMs;
    const isAgain = request.path === refused?.path && request.query === refused.query;
    if (waitedMs < RETRY_AFTER_MS && (waitedMs > 0 || isAgain))
      found.push(`${request.path} came ${waitedMs} ms after an answer that asked for ${RETRY_AFTER_MS} ms`);
    if (request.status === 429 && request.faults.includes('answer')) refused = request;
  }
  return found;
}

/** How a table of a proof follows from a collection of the simulator. */
export interface CollectionTableOptions {
  readonly collection: string;
  readonly pagingStyle: ProofTable['pagingStyle'];
  /** Rows of a page. Default 100. */
  readonly pageSize?: number;
  /** A row as the connector's raw record should be; null leaves it out. Default: as it is. */
  readonly record?: (row: JsonObject, source: SimulatedSource) => JsonObject | null;
  /** Fields of a new row; `n` differs for each. The simulator fills key and stamps. Absent: rows are copied from the first one without its key. */
  readonly create?: (n: number, source: SimulatedSource) => JsonObject;
  /** Fields that an update sets; `n` differs for each. Absent: rows never change. */
  readonly change?: (n: number, row: JsonObject) => JsonObject;
  /** False: rows are never deleted. Default true. */
  readonly deletes?: boolean;
  /** True: a deleted key can be made again. Default false. */
  readonly recreates?: boolean;
  /** Everything else of the table. */
  readonly table?: Omit<ProofTable, 'pagingStyle' | 'truth' | 'mutations'>;
  /** Put before the mutations made from the collection. */
  readonly mutations?: ProofMutations;
}

/** A table of a proof whose truth and changes are those of a collection of the simulator. */
export function collectionTable(options: CollectionTableOptions): ProofTable {
  const {record = (row: JsonObject): JsonObject => row} = options;
  return {
    pagingStyle: options.pagingStyle,
    ...(options.pageSize === undefined ? {} : {pageSize: options.pageSize}),
    ...options.table,
    truth: (source) => {
      const simulated = source as SimulatedSource;
      const rows = simulatorOf(source).collection(options.collection).rows();
      return rows.flatMap((row) => {
        const made = record(row, simulated);
        return made === null ? [] : [made];
      });
    },
    mutations: {...collectionMutations(options), ...options.mutations},
  };
}

function collectionMutations(options: CollectionTableOptions): ProofMutations {
  const {change} = options;
  const of = (source: ProofSource): SimulatedCollection => simulatorOf(source).collection(options.collection);
  const insert = (source: ProofSource, count: number): void => {
    for (let at = 0; at < count; at++) of(source).insert(newRow(options, source as SimulatedSource));
  };
  const update = (source: ProofSource, count: number): void => {
    const collection = of(source);
    for (const row of spread(collection.rows(), count))
      collection.update(collection.keyOf(row), change?.(nextNumber(), row) ?? {});
  };
  return {
    insert,
    ties: insert,
    ...(change === undefined ? {} : {update}),
    ...(options.deletes === false ? {} : {delete: (source, count) => removeRows(of(source), count)}),
    ...(options.recreates === true ? {recreate: (source, count) => recreateRows(of(source), count)} : {}),
  };
}

let numbers = 100_000;

function nextNumber(): number {
  return numbers++;
}

function newRow({create}: CollectionTableOptions, source: SimulatedSource): JsonObject {
  const n = nextNumber();
  if (create !== undefined) return create(n, source);
  throw new Error('Give `create` to make new rows of this collection.');
}

/** Rows from everywhere in the collection. */
function spread(rows: readonly JsonObject[], count: number): readonly JsonObject[] {
  const step = Math.max(1, Math.floor(rows.length / Math.max(count, 1)));
  return rows.filter((_, index) => index % step === 0).slice(0, count);
}

function removeRows(collection: SimulatedCollection, count: number): void {
  const keys: RowKey[] = spread(collection.rows(), count).map((row) => collection.keyOf(row));
  for (const key of keys) collection.delete(key);
}

function recreateRows(collection: SimulatedCollection, count: number): void {
  for (const {row} of collection.tombstones().slice(-count)) collection.insert(withoutNothing(row));
}

function withoutNothing(row: JsonObject): Record<string, JsonValue | undefined> {
  return {...row};
}

/** Ids spread over all pages of a list: at most `count`. */
export function spreadOver(ids: readonly string[], count: number): readonly string[] {
  const step = Math.max(1, Math.floor(ids.length / count));
  return ids.filter((_, index) => index % step === 0).slice(0, count);
}
