import type {RateBudget, RateOptions} from './http-options.ts';

/** One request that a budget counts, from its sending on. */
export interface BudgetTicket {
  sentMs: number;
  /** Undefined until the answer began or the request failed. */
  answeredMs: number | undefined;
  /** Sent before the connection's usual time was known. */
  readonly cold: boolean;
}

/** A sliding window over requests as the source counts them: by arrival, of which only the bounds are known here. */
export interface SlidingBudget {
  /** Milliseconds until one more may be sent; 0 when it may be sent now. */
  delayMs(nowMs: number): number;
  /** Counts a request that is sent now. */
  take(nowMs: number): BudgetTicket;
  /** The answer began, or none will come. */
  answered(ticket: BudgetTicket, nowMs: number): void;
}

// What was not answered for so long has arrived: a slow report must not hold the budget.
const SURELY_ARRIVED_MS = 5000;
// The source needs some of every round after the request has arrived: half of the fastest round, but no more of the window than this.
const MOST_LATER_OF_WINDOW = 0.05;
const FORGET_FASTEST_MS = 60_000;

/**
 * Never exceeded at the source: a request arrives some time between its sending and its answer, so its place in the window is kept
 * until a window after the answer, less the part of the fastest round that the source needs to answer.
 */
export function slidingBudget(budget: RateBudget): SlidingBudget {
  const windowMs = budget.perSeconds * 1000;
  const tickets: BudgetTicket[] = [];
  let first = 0;
  let fastest = Infinity;
  let recentFastest = Infinity;
  let forgetAtMs = -Infinity;

  const freeAtMs = (ticket: BudgetTicket): number => {
    const {sentMs, answeredMs} = ticket;
    if (answeredMs === undefined) return sentMs + SURELY_ARRIVED_MS + windowMs;
    const usual = ticket.cold ? 0 : Math.min(fastest, recentFastest);
    const later = Math.min(usual / 2, windowMs * MOST_LATER_OF_WINDOW);
    return Math.min(answeredMs - later, sentMs + SURELY_ARRIVED_MS) + windowMs;
  };

  return {
    delayMs(nowMs) {
      while (first < tickets.length && isPast(tickets[first], nowMs)) first++;
      if (first > 1024) {
        tickets.splice(0, first);
        first = 0;
      }
      if (tickets.length - first < budget.requests) return 0;
      // Answers do not come in the order of requests: places are counted one by one once the window looks full.
      const busy = tickets
        .slice(first)
        .map(freeAtMs)
        .filter((at) => at > nowMs);
      if (busy.length < budget.requests) return 0;
      busy.sort((left, right) => left - right);
      const next = (busy[busy.length - budget.requests] ?? nowMs) - nowMs;
      // The place of an unanswered request may be free much earlier than its bound: look again soon.
      return Math.max(1, Math.min(next, Math.max(windowMs / 20, 5)));
    },
    take(nowMs) {
      const ticket: BudgetTicket = {sentMs: nowMs, answeredMs: undefined, cold: fastest === Infinity};
      tickets.push(ticket);
      return ticket;
    },
    answered(ticket, nowMs) {
      ticket.answeredMs = nowMs;
      const roundMs = nowMs - ticket.sentMs;
      if (nowMs > forgetAtMs) {
        if (fastest !== Infinity) fastest = recentFastest;
        recentFastest = Infinity;
        forgetAtMs = nowMs + FORGET_FASTEST_MS;
      }
      fastest = Math.min(fastest, roundMs);
      recentFastest = Math.min(recentFastest, roundMs);
    },
  };

  function isPast(ticket: BudgetTicket | undefined, nowMs: number): boolean {
    return ticket !== undefined && freeAtMs(ticket) <= nowMs;
  }
}

/** All declared budgets, `requestsPerSecond` among them. */
export function declaredBudgets(rate: RateOptions | undefined): readonly RateBudget[] {
  const perSecond = rate?.requestsPerSecond;
  if (perSecond === undefined) return rate?.budgets ?? [];
  const short = Number.isInteger(perSecond)
    ? {requests: perSecond, perSeconds: 1}
    : {requests: 1, perSeconds: 1 / perSecond};
  return [short, ...(rate?.budgets ?? [])];
}
