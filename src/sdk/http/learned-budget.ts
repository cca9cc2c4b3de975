import type {HttpHeaders} from './http-client.ts';
import type {LearnedRate} from './http-options.ts';
import {parseWait, sourceNowMs} from './wait-from.ts';

/** What the source's own headers say of its budget. */
export interface LearnedBudget {
  /** Milliseconds until one more may be sent; 0 when it may be sent now, Infinity when an answer under way decides. */
  delayMs(nowMs: number): number;
  /** Counts a request that is sent now. */
  sent(): void;
  /** Learns from an answer's headers; null when no answer came. */
  answered(headers: HttpHeaders | null, nowMs: number): void;
}

const SAME_REFILL_MS = 1500;

/**
 * Sends as many as are left for certain: the least that an answer since the last refill told, minus those on their way,
 * which the source may not have counted yet.
 */
export function learnedBudget(rate: LearnedRate): LearnedBudget {
  const reserve = rate.reserve ?? 0;
  let onTheirWay = 0;
  let left = Infinity;
  let whole = Infinity;
  let refillAtMs = -Infinity;

  return {
    delayMs(nowMs) {
      if (nowMs >= refillAtMs) left = whole;
      if (left - onTheirWay - reserve > 0 || (left === Infinity && whole === Infinity)) return 0;
      // After a refill that is not known one request must go, or nothing would ever be learned.
      if (nowMs >= refillAtMs) return onTheirWay === 0 ? 0 : Infinity;
      return left - reserve > 0 ? Infinity : refillAtMs - nowMs;
    },
    sent() {
      onTheirWay++;
    },
    answered(headers, nowMs) {
      onTheirWay--;
      const remaining = numberIn(headers, rate.remaining);
      const reset = headers?.get(rate.reset) ?? null;
      const refillInMs =
        headers === null || reset === null ? null : parseWait(reset, rate.unit, sourceNowMs(headers, nowMs));
      whole = numberIn(headers, rate.limit) ?? whole;
      if (remaining === null || refillInMs === null) return;
      const refillMs = nowMs + refillInMs;
      // Headers count whole seconds, so the same refill is told a little differently every time.
      if (refillMs > refillAtMs + SAME_REFILL_MS) left = remaining;
      else if (refillMs > refillAtMs - SAME_REFILL_MS) left = Math.min(left, remaining);
      refillAtMs = Math.max(refillAtMs, refillMs);
    },
  };
}

function numberIn(headers: HttpHeaders | null, name: string | undefined): number | null {
  const text = name === undefined ? null : (headers?.get(name) ?? null);
  return text === null || !/^\s*\d+/.test(text) ? null : Number.parseInt(text, 10);
}
