import type {Clock, Random} from '../core/clock.ts';
import {LinkedAbort} from '../core/linked-abort.ts';
import type {ClientFailure} from './object-client.ts';

/** How often and how patiently a call is tried. */
export interface RetryPolicy {
  readonly tries: number;
  /** Of the first pause, in milliseconds; doubles with each. */
  readonly baseMs: number;
  readonly maxPauseMs: number;
  /** After which one attempt counts as failed. */
  readonly timeoutMs: number;
}

/** About half a minute of pauses in all: longer troubles are for the run to be told of. */
export const DEFAULT_RETRIES: RetryPolicy = {tries: 8, baseMs: 100, maxPauseMs: 10_000, timeoutMs: 120_000};

/** What the attempts need beside the policy. */
export interface RetryTools {
  readonly policy: RetryPolicy;
  readonly clock: Clock;
  readonly random: Random;
  readonly classify: (error: unknown) => ClientFailure;
  /** Makes the error of the last failure. */
  readonly failed: (failure: ClientFailure) => Error;
  /** Told of every failed attempt. */
  readonly onFailure?: (failure: ClientFailure) => void;
}

/**
 * Calls until it works, with pauses of full jitter after failures that may pass.
 * @throws what `failed` makes of the last failure, or the signal's reason.
 */
export async function attempt<T>(
  call: (signal: AbortSignal) => Promise<T>,
  tools: RetryTools,
  signal: AbortSignal = NEVER,
): Promise<T> {
  const {policy} = tools;
  for (let tried = 1; ; tried++) {
    signal.throwIfAborted();
    try {
      return await withTimeout(call, policy.timeoutMs, signal);
    } catch (error) {
      signal.throwIfAborted();
      const failure = tools.classify(error);
      tools.onFailure?.(failure);
      if (tried >= policy.tries || !PASSING.has(failure.kind)) throw tools.failed(failure);
      const ceiling = Math.min(policy.maxPauseMs, policy.baseMs * 2 ** (tried - 1));
      await tools.clock.sleep(Math.max(failure.retryAfterMs ?? 0, tools.random() * ceiling), signal);
    }
  }
}

/** A signal that never aborts. */
export const NEVER: AbortSignal = new AbortController().signal;

const PASSING: ReadonlySet<ClientFailure['kind']> = new Set(['transient', 'throttled', 'unreachable', 'busy']);

/** Not every client heeds a signal: the wait ends all the same. */
async function withTimeout<T>(
  call: (signal: AbortSignal) => Promise<T>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<T> {
  using linked = new LinkedAbort(signal);
  const both = linked.signal;
  const expired = Object.assign(new Error(`no answer within ${timeoutMs} ms`), {code: 'ETIMEDOUT'});
  const timeout = setTimeout(() => linked.controller.abort(expired), timeoutMs);
  let stop = (): void => undefined;
  try {
    const aborted = new Promise<never>((_, reject) => {
      stop = (): void => reject(both.reason as Error);
      both.addEventListener('abort', stop, {once: true});
    });
    return await Promise.race([call(both), aborted]);
  } finally {
    clearTimeout(timeout);
    both.removeEventListener('abort', stop);
  }
}
