import type {Clock} from '../core/clock.ts';
import {seededRandom} from '../core/clock.ts';
import {IngestError} from '../core/errors.ts';
import type {SimulatorAuth} from './auth-spec.ts';
import {checkAuth} from './auth.ts';
import {simulatorAuthority} from './certificates.ts';
import {SimulatedCollection} from './collection.ts';
import {errorReply} from './error-reply.ts';
import {type FaultControl, FaultPlan} from './fault-plan.ts';
import {HttpDoor, type ServedApi} from './http-door.ts';
import {ListMemory, listReply} from './list-reply.ts';
import {loginEndpoints} from './login-endpoints.ts';
import {RateLimits, type RateViolation} from './rate-limits.ts';
import type {AnsweredRequest, SimulatedReply, SimulatedRequest} from './request.ts';
import {type Route, routeOf} from './route.ts';
import {generatedRows} from './row-generator.ts';
import {DEFAULT_START_MS, simulatorClock, type SimulatorClock} from './simulator-clock.ts';
import type {ErrorReplies, ErrorReply, ListEndpoint, SimulatorSpec} from './simulator-spec.ts';
import {type AuthControl, TokenStore} from './token-store.ts';

/** How a simulator is started. */
export interface SimulatorOptions {
  /** Of rows, tokens, faults and orders. Default 1. */
  readonly seed?: number;
  /** Time goes on with this clock; default: it stands still at `startMs` until it is advanced. */
  readonly clock?: Pick<Clock, 'nowMs'>;
  /** Where standing time stands. Default 2025-01-01T00:00:00Z. */
  readonly startMs?: number;
  /** Serves HTTPS with a certificate of an authority of its own, see `caPem`. Default false. */
  readonly https?: boolean;
  /** Default 0: any free port of 127.0.0.1. */
  readonly port?: number;
  /** Real milliseconds before every answer. Default 0. */
  readonly latencyMs?: number;
  /** How many of the last requests `requests` keeps. Default 10,000. */
  readonly keptRequests?: number;
  /** Compresses bodies for clients that accept gzip. Default false. */
  readonly gzip?: boolean;
}

/** What endpoints' functions may use. */
export interface HandlerContext {
  /** @throws INVALID_SPEC when there is no such collection. */
  collection(name: string): SimulatedCollection;
  readonly clock: SimulatorClock;
  /** Seeded. */
  readonly random: () => number;
  readonly auth: AuthControl;
  /** Answers as a declared list would. @throws WrongRequest when the request is wrong. */
  list(request: SimulatedRequest, list: ListEndpoint): SimulatedReply;
  /** The API's answer to a wrong request. */
  error(reply: keyof ErrorReplies | ErrorReply, message: string): SimulatedReply;
}

/** A running API. Closing ends its sockets; closing twice is allowed. */
export interface Simulator extends HandlerContext, AsyncDisposable {
  readonly spec: SimulatorSpec;
  /** `http://127.0.0.1:PORT`, without a path. */
  readonly url: string;
  /** The authority's certificate of an HTTPS simulator, else null. */
  readonly caPem: string | null;
  readonly faults: FaultControl;
  /** The last requests in the order in which they came. */
  readonly requests: readonly AnsweredRequest[];
  /** All requests that ever came. */
  readonly requestCount: number;
  /** Every request that came above a budget. */
  readonly violations: readonly RateViolation[];
  /** Real milliseconds before every answer, from now on. */
  setLatencyMs(ms: number): void;
  /** Forgets requests that were kept. */
  forgetRequests(): void;
  /** Ends all sockets; what hangs is cut. */
  close(): Promise<void>;
}

/**
 * Starts an API on 127.0.0.1. Without `clock` nothing in it follows the machine's time, and equal seeds and requests give equal
 * answers.
 * @throws INVALID_SPEC when an endpoint names a collection that does not exist.
 */
export async function simulate(spec: SimulatorSpec, options: SimulatorOptions = {}): Promise<Simulator> {
  const state = new SimulatorState(spec, options);
  const tls = options.https === true ? simulatorAuthority() : null;
  const door = await HttpDoor.open(state, {
    port: options.port ?? 0,
    tls: tls === null ? null : tls.server,
    latencyMs: options.latencyMs ?? 0,
    keptRequests: options.keptRequests ?? 10_000,
    gzip: options.gzip === true,
  });
  return runningSimulator(state, door, tls?.caPem ?? null);
}

function runningSimulator(state: SimulatorState, door: HttpDoor, caPem: string | null): Simulator {
  const simulator: Simulator = {
    spec: state.spec,
    url: door.url,
    caPem,
    clock: state.clock,
    random: state.random,
    auth: state.auth,
    faults: state.faults,
    collection: (name) => state.collection(name),
    list: (request, list) => state.list(request, list),
    error: (reply, message) => state.error(reply, message),
    get requests() {
      return door.requests;
    },
    get requestCount() {
      return door.requestCount;
    },
    get violations() {
      return state.limits.violations;
    },
    setLatencyMs: (ms) => door.setLatencyMs(ms),
    forgetRequests: () => door.forgetRequests(),
    close: () => door.close(),
    [Symbol.asyncDispose]: () => door.close(),
  };
  state.simulator = simulator;
  return simulator;
}

class SimulatorState implements HandlerContext, ServedApi {
  readonly spec: SimulatorSpec;
  readonly clock: SimulatorClock;
  readonly random: () => number;
  readonly auth: TokenStore;
  readonly faults: FaultPlan;
  readonly limits: RateLimits;
  readonly routes: readonly Route[];
  simulator: Simulator | null = null;
  // Handlers take these out of their context: they must work without it.
  readonly collection = (name: string): SimulatedCollection => {
    const collection = this.#collections.get(name);
    if (collection === undefined) throw new IngestError('INVALID_SPEC', `${this.spec.name} has no collection ${name}.`);
    return collection;
  };
  readonly list = (
    request: SimulatedRequest,
    list: ListEndpoint,
    effects: {readonly repeatsRows: boolean; readonly shufflesRows: boolean} = NO_EFFECTS,
  ): SimulatedReply =>
    listReply(list, request, {
      collection: this.collection(list.list),
      context: this,
      sequence: this.#sequence,
      memory: this.#memory,
      effects,
    });
  readonly error = (reply: keyof ErrorReplies | ErrorReply, message: string): SimulatedReply =>
    errorReply(this.spec.errors ?? {}, reply, message);
  readonly #collections: ReadonlyMap<string, SimulatedCollection>;
  readonly #memory = new ListMemory();
  #sequence = 0;

  constructor(spec: SimulatorSpec, options: SimulatorOptions) {
    const seed = options.seed ?? 1;
    this.spec = spec;
    this.clock = simulatorClock(options.clock, options.startMs ?? DEFAULT_START_MS);
    this.random = seededRandom(seed);
    // Tokens have a sequence of their own, so that logins change no rows and orders.
    this.auth = new TokenStore(this.clock, seededRandom(seed + 0x5eed));
    this.faults = new FaultPlan(seed, spec.faults ?? []);
    this.limits = new RateLimits(spec.rateLimits ?? [], this.clock);
    this.#collections = new Map(Object.keys(spec.collections ?? {}).map((name) => [name, this.#emptyCollection(name)]));
    for (const name of this.#collections.keys()) this.#fill(name);
    const auths = [spec.auth, ...spec.endpoints.map(({auth}) => auth)].filter((auth) => auth !== undefined);
    const logins = loginEndpoints([...new Set<SimulatorAuth>(auths)], this.auth, () => this.clock.nowMs());
    const own = spec.endpoints.map((endpoint) => routeOf(endpoint, spec.basePath ?? ''));
    this.routes = [...logins.map((endpoint) => ({...routeOf(endpoint, ''), isLogin: true})), ...own];
    for (const endpoint of spec.endpoints) checkCollection(endpoint, this.#collections);
  }

  /** Changes with every write to any collection. */
  get version(): number {
    let version = 0;
    for (const collection of this.#collections.values()) version += collection.version;
    return version;
  }

  get isSettled(): boolean {
    return [...this.#collections.values()].every((collection) => collection.isSettled);
  }

  check(auth: SimulatorAuth, request: SimulatedRequest): ReturnType<typeof checkAuth> {
    return checkAuth(auth, request, this.auth, this);
  }

  #emptyCollection(name: string): SimulatedCollection {
    const spec = this.spec.collections?.[name];
    if (spec === undefined) throw new IngestError('INVALID_SPEC', `There is no collection ${name}.`);
    return new SimulatedCollection(name, spec, {
      clock: this.clock,
      random: this.random,
      nextSequence: () => ++this.#sequence,
      changed: (event) => spec.onChange?.(event, this),
    });
  }

  #fill(name: string): void {
    const spec = this.spec.collections?.[name];
    const collection = this.collection(name);
    const context = {nowMs: this.clock.nowMs(), random: this.random};
    if (spec?.rows !== undefined) collection.load(typeof spec.rows === 'function' ? spec.rows(context) : spec.rows);
    if (spec?.generate !== undefined) collection.load(generatedRows(spec.generate, this.random));
  }
}

const NO_EFFECTS = {repeatsRows: false, shufflesRows: false};

function checkCollection(
  endpoint: SimulatorSpec['endpoints'][number],
  collections: ReadonlyMap<string, SimulatedCollection>,
): void {
  const name =
    'list' in endpoint
      ? endpoint.list
      : 'get' in endpoint
        ? endpoint.get
        : 'create' in endpoint
          ? endpoint.create
          : 'update' in endpoint
            ? endpoint.update
            : 'delete' in endpoint
              ? endpoint.delete
              : null;
  if (name === null || collections.has(name)) return;
  throw new IngestError(
    'INVALID_SPEC',
    `The endpoint ${endpoint.path} names a collection that does not exist: ${name}.`,
  );
}
