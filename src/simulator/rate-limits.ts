import {filled} from './error-reply.ts';
import type {SimulatedReply} from './request.ts';
import {matchesPath} from './route.ts';
import type {SimulatorClock} from './simulator-clock.ts';
import type {ErrorReply} from './simulator-spec.ts';

/**
 * A budget of requests. In texts of `headers` and of the refusal, `{limit}`, `{remaining}`, `{used}`, `{resetSeconds}` (from now),
 * `{resetMs}`, `{resetEpochSeconds}` and `{windowMs}` stand for the budget's state.
 */
export interface RateLimitSpec {
  readonly name: string;
  /** Paths it counts, `*` for any text, a method may stand in front (`POST /search/*`). Default: everything but logins. */
  readonly paths?: readonly string[];
  /** Counts only endpoints that name it in `limits`. Default false. */
  readonly byName?: boolean;
  /** `fixed` windows begin at multiples of their length; a `sliding` one ends now. Default `sliding`. */
  readonly window?: 'fixed' | 'sliding';
  readonly windowMs?: number;
  /** Requests in one window. */
  readonly max?: number;
  /** Requests at once. */
  readonly concurrency?: number;
  /** A budget for each who asks, or one for all. Default `all`. */
  readonly per?: 'all' | 'principal';
  /** Headers of every answer that it counts. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: 429 with `Retry-After` in seconds. */
  readonly exceeded?: ErrorReply;
  /** After a refusal everything is refused for so long. Default 0. */
  readonly penaltyMs?: number;
  /** An answer 304 costs nothing. Default false. */
  readonly notModifiedIsFree?: boolean;
}

/** A request that came when a budget was spent: the client's fault. */
export interface RateViolation {
  /** The budget's name. */
  readonly limit: string;
  readonly path: string;
  readonly atMs: number;
  /** What was exceeded. */
  readonly of: 'window' | 'concurrency' | 'penalty';
}

/** What a request costs; give `release` when it is answered. */
export interface RateTicket {
  readonly headers: Readonly<Record<string, string>>;
  readonly refused: SimulatedReply | null;
  /** @param status of the answer. */
  release(status: number): void;
}

/** What budgets ask about a request. */
export interface RatedRequest {
  readonly method: string;
  readonly path: string;
  readonly principal: string | null;
  readonly names: readonly string[];
}

interface Budget {
  /** Times of the requests that count, oldest first from `head` on. */
  times: number[];
  head: number;
  inFlight: number;
  penaltyUntilMs: number;
}

/** The budgets of one simulator. */
export class RateLimits {
  readonly #specs: readonly RateLimitSpec[];
  readonly #clock: Pick<SimulatorClock, 'nowMs' | 'stampMs'>;
  readonly #budgets = new Map<string, Budget>();
  readonly #violations: RateViolation[] = [];

  constructor(specs: readonly RateLimitSpec[], clock: Pick<SimulatorClock, 'nowMs' | 'stampMs'>) {
    this.#specs = specs;
    this.#clock = clock;
  }

  /** Every request that came above a budget. */
  get violations(): readonly RateViolation[] {
    return this.#violations;
  }

  /** Counts a request; above any budget it is refused and counts nowhere. */
  take(request: RatedRequest): RateTicket {
    const nowMs = this.#clock.nowMs();
    const moment = {nowMs, skewMs: this.#clock.stampMs() - nowMs};
    const counted = this.#specs.filter((spec) => counts(spec, request));
    const budgets = counted.map((spec) => ({spec, budget: this.#budgetOf(spec, request)}));
    for (const {spec, budget} of budgets) {
      expire(spec, budget, nowMs);
      const of = excess(spec, budget, nowMs);
      if (of === null) continue;
      this.#violations.push({limit: spec.name, path: request.path, atMs: nowMs, of});
      if (spec.penaltyMs !== undefined && of !== 'penalty') budget.penaltyUntilMs = nowMs + spec.penaltyMs;
      return refusal(spec, budget, moment);
    }
    for (const {budget} of budgets) {
      budget.times.push(nowMs);
      budget.inFlight++;
    }
    const headers = Object.assign({}, ...budgets.map(({spec, budget}) => stateHeaders(spec, budget, moment))) as Record<
      string,
      string
    >;
    return {
      headers,
      refused: null,
      release(status) {
        for (const {spec, budget} of budgets) {
          budget.inFlight--;
          if (status !== 304 || spec.notModifiedIsFree !== true) continue;
          const at = budget.times.lastIndexOf(nowMs);
          if (at >= budget.head) budget.times.splice(at, 1);
        }
      },
    };
  }

  #budgetOf(spec: RateLimitSpec, request: RatedRequest): Budget {
    const key = JSON.stringify([spec.name, spec.per === 'principal' ? request.principal : null]);
    const known = this.#budgets.get(key);
    if (known !== undefined) return known;
    const budget: Budget = {times: [], head: 0, inFlight: 0, penaltyUntilMs: -Infinity};
    this.#budgets.set(key, budget);
    return budget;
  }
}

/** Now, and how much the stamps of answers differ from it. */
interface Moment {
  readonly nowMs: number;
  readonly skewMs: number;
}

function counts(spec: RateLimitSpec, request: RatedRequest): boolean {
  if (request.names.includes(spec.name)) return true;
  if (spec.byName === true) return false;
  return spec.paths?.some((path) => matchesPath(path, request.method, request.path)) ?? true;
}

function expire(spec: RateLimitSpec, budget: Budget, nowMs: number): void {
  const from = windowStart(spec, nowMs);
  while (budget.head < budget.times.length && (budget.times[budget.head] ?? Infinity) < from) budget.head++;
  if (budget.head < 4096) return;
  budget.times = budget.times.slice(budget.head);
  budget.head = 0;
}

function windowStart({window, windowMs = 1000}: RateLimitSpec, nowMs: number): number {
  // Of a sliding window the request exactly one length ago no longer counts.
  return window === 'fixed' ? Math.floor(nowMs / windowMs) * windowMs : nowMs - windowMs + Number.EPSILON * nowMs;
}

function excess(spec: RateLimitSpec, budget: Budget, nowMs: number): RateViolation['of'] | null {
  if (nowMs < budget.penaltyUntilMs) return 'penalty';
  if (spec.max !== undefined && budget.times.length - budget.head >= spec.max) return 'window';
  return spec.concurrency !== undefined && budget.inFlight >= spec.concurrency ? 'concurrency' : null;
}

function refusal(spec: RateLimitSpec, budget: Budget, moment: Moment): RateTicket {
  const facts = stateOf(spec, budget, moment);
  const {status, headers, body} = spec.exceeded ?? TOO_MANY;
  const texts = {...facts, message: `The limit ${spec.name} is exceeded.`};
  const all = {...stateHeaders(spec, budget, moment), ...(filled(headers ?? {}, texts) as Record<string, string>)};
  const refused = {status, headers: all, ...(body === undefined ? {} : {body: filled(body, texts)})};
  return {headers: {}, refused, release: () => undefined};
}

const TOO_MANY: ErrorReply = {
  status: 429,
  headers: {'retry-after': '{resetSeconds}'},
  body: {error: 'too_many_requests', message: '{message}'},
};

function stateHeaders(spec: RateLimitSpec, budget: Budget, moment: Moment): Record<string, string> {
  return filled(spec.headers ?? {}, stateOf(spec, budget, moment)) as Record<string, string>;
}

function stateOf(spec: RateLimitSpec, budget: Budget, {nowMs, skewMs}: Moment): Readonly<Record<string, string>> {
  const windowMs = spec.windowMs ?? 1000;
  const used = budget.times.length - budget.head;
  const oldest = budget.times[budget.head] ?? nowMs;
  const windowEnd = spec.window === 'fixed' ? windowStart(spec, nowMs) + windowMs : oldest + windowMs;
  const resetAtMs = Math.max(windowEnd, budget.penaltyUntilMs);
  const limit = spec.max ?? spec.concurrency ?? 0;
  return {
    limit: String(limit),
    used: String(used),
    remaining: String(Math.max(limit - used, 0)),
    resetSeconds: String(Math.max(Math.ceil((resetAtMs - nowMs) / 1000), 1)),
    resetMs: String(Math.max(Math.ceil(resetAtMs - nowMs), 1)),
    resetEpochSeconds: String(Math.ceil((resetAtMs + skewMs) / 1000)),
    windowMs: String(windowMs),
  };
}
