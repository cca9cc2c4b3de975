import type {Clock} from '../../core/clock.ts';
import {IngestError} from '../../core/errors.ts';
import {adaptiveConcurrency} from './concurrency.ts';
import type {HttpHeaders} from './http-client.ts';
import type {BudgetedRequest, RateOptions} from './http-options.ts';
import {type LearnedBudget, learnedBudget} from './learned-budget.ts';
import {type BudgetTicket, declaredBudgets, type SlidingBudget, slidingBudget} from './rate-budget.ts';

/** The right to send one request. */
export interface Permit {
  /** The answer began (null: none will come): teaches the budgets. */
  answered(headers: HttpHeaders | null): void;
  /** The source asked to slow down. */
  throttled(): void;
  /** Gives the place to the next; `succeeded` lets concurrency grow. Calling twice is allowed. */
  release(succeeded: boolean): void;
}

/** The one door that all requests of a connection pass: pauses, budgets, places. */
export interface Admission {
  /**
   * Waits until a request may be sent. @throws THROTTLED when the source's pause lasts longer than it may; the signal's
   * reason when it aborts.
   */
  enter(request: BudgetedRequest, signal: AbortSignal): Promise<Permit>;
  /** Nobody sends before the pause ends. A pause that ends earlier than the one under way changes nothing. */
  pause(pause: Pause): void;
}

/** A pause of the whole connection. */
export interface Pause {
  readonly untilMs: number;
  /** Whoever would wait longer is refused. */
  readonly maxWaitMs: number;
  /** The error of that refusal. */
  refusal(waitMs: number): IngestError;
}

interface Limit<B> {
  readonly budget: B;
  readonly matches: ((request: BudgetedRequest) => boolean) | undefined;
}

/** How the door of a connection is made. */
export interface AdmissionOptions {
  readonly clock: Clock;
  readonly maxConcurrency: number;
  readonly rate: RateOptions | undefined;
  /** For waits that a learned budget asks for. */
  readonly maxWaitMs: number;
}

/** Makes the door. Nothing is sent past a pause, a full window or an empty budget, whoever asks. */
export function createAdmission(options: AdmissionOptions): Admission {
  const {clock} = options;
  const places = adaptiveConcurrency(options.maxConcurrency);
  const declared = declaredBudgets(options.rate).map((rate) => ({budget: slidingBudget(rate), matches: rate.matches}));
  const learned = (options.rate?.learnFrom ?? []).map((rate) => ({budget: learnedBudget(rate), matches: rate.matches}));
  const answers = announcer();
  let paused: Pause = {untilMs: -Infinity, maxWaitMs: 0, refusal: throttledError};

  const delayMs = (mine: {declared: readonly SlidingBudget[]; learned: readonly LearnedBudget[]}): number => {
    const wallMs = clock.nowMs();
    if (paused.untilMs > wallMs) return patient(paused.untilMs - wallMs, paused);
    let delay = 0;
    for (const budget of mine.learned) delay = Math.max(delay, budget.delayMs(wallMs));
    if (delay > 0)
      return delay === Infinity ? delay : patient(delay, {maxWaitMs: options.maxWaitMs, refusal: throttledError});
    const nowMs = mine.declared.length === 0 ? 0 : steadyMs(clock);
    for (const budget of mine.declared) delay = Math.max(delay, budget.delayMs(nowMs));
    return delay;
  };

  return {
    async enter(request, signal) {
      const mine = {declared: applying(declared, request), learned: applying(learned, request)};
      for (;;) {
        // No place is held while a budget is waited for: another kind of request may use it.
        for (let delay = delayMs(mine); delay > 0; delay = delayMs(mine)) {
          await (delay === Infinity ? answers.next(signal) : clock.sleep(delay, signal));
        }
        signal.throwIfAborted();
        await places.acquire(signal);
        if (delayMs(mine) > 0) {
          places.release();
          continue;
        }
        const nowMs = steadyMs(clock);
        const tickets = mine.declared.map((budget): [SlidingBudget, BudgetTicket] => [budget, budget.take(nowMs)]);
        for (const budget of mine.learned) budget.sent();
        return permit(tickets, mine.learned, nowMs);
      }
    },
    pause(pause) {
      if (pause.untilMs > paused.untilMs) paused = pause;
    },
  };

  function permit(
    tickets: readonly (readonly [SlidingBudget, BudgetTicket])[],
    learnedBudgets: readonly LearnedBudget[],
    sentMs: number,
  ): Permit {
    let isAnswered = false;
    let isReleased = false;
    const answered = (headers: HttpHeaders | null): void => {
      if (isAnswered) return;
      isAnswered = true;
      const nowMs = tickets.length === 0 ? 0 : steadyMs(clock);
      for (const [budget, ticket] of tickets) budget.answered(ticket, nowMs);
      for (const budget of learnedBudgets) budget.answered(headers, clock.nowMs());
      if (learnedBudgets.length > 0) answers.announce();
    };
    return {
      answered,
      throttled: () => places.throttled(sentMs, steadyMs(clock)),
      release(succeeded) {
        if (isReleased) return;
        isReleased = true;
        answered(null);
        if (succeeded) places.succeeded();
        places.release();
      },
    };
  }
}

/** The error of a wait that is longer than a run should wait. `what` and `fix` are what is known of the limit. */
export function throttledError(waitMs: number, what = 'The source has a limit.', fix?: string): IngestError {
  const seconds = Math.ceil(waitMs / 1000);
  return new IngestError('THROTTLED', `${what} The next request may be sent in ${seconds} s.`, {
    retryAfterMs: Math.ceil(waitMs),
    context: {waitSeconds: seconds},
    fix: fix ?? 'Run again after that time; what was committed stays, and the next run goes on there.',
  });
}

/** Tells all who wait that an answer came. */
function announcer(): {next(signal: AbortSignal): Promise<void>; announce(): void} {
  let waiting = new Set<() => void>();
  return {
    next: (signal) =>
      new Promise((resolve, reject) => {
        const stop = (): void => {
          waiting.delete(wake);
          reject(signal.reason as Error);
        };
        const wake = (): void => {
          signal.removeEventListener('abort', stop);
          resolve();
        };
        waiting.add(wake);
        signal.addEventListener('abort', stop, {once: true});
      }),
    announce() {
      const woken = waiting;
      waiting = new Set();
      for (const wake of woken) wake();
    },
  };
}

function patient(waitMs: number, {maxWaitMs, refusal}: Pick<Pause, 'maxWaitMs' | 'refusal'>): number {
  if (waitMs > maxWaitMs) throw refusal(waitMs);
  return waitMs;
}

function applying<B>(limits: readonly Limit<B>[], request: BudgetedRequest): readonly B[] {
  return limits.flatMap(({budget, matches}) => (matches === undefined || matches(request) ? [budget] : []));
}

/** Milliseconds with fractions, of a clock that never steps back. */
function steadyMs(clock: Clock): number {
  return Number(clock.nowMicros()) / 1000;
}
