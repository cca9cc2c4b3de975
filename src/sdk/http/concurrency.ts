/** How many requests run at once: halved when the source throttles, one more after every window of successes. */
export interface Concurrency {
  /** How many may run now. */
  readonly limit: number;
  /** Takes a place, in the order of asking. @throws the signal's reason when it aborts first. */
  acquire(signal: AbortSignal): Promise<void>;
  /** Gives the place back. */
  release(): void;
  /** A request succeeded. */
  succeeded(): void;
  /** A request was throttled that was sent at `sentMs`; counted once for all that were under way together. */
  throttled(sentMs: number, nowMs: number): void;
}

interface Waiter {
  readonly wake: () => void;
}

/** Places for requests, between 1 and `max`; begins at `max`. */
export function adaptiveConcurrency(max: number): Concurrency {
  let limit = Math.max(1, Math.floor(max));
  const most = limit;
  let running = 0;
  let successes = 0;
  let halvedAtMs = -Infinity;
  const waiters = new Set<Waiter>();

  const wakeNext = (): void => {
    for (const waiter of waiters) {
      if (running >= limit) return;
      waiters.delete(waiter);
      running++;
      waiter.wake();
    }
  };

  return {
    get limit() {
      return limit;
    },
    acquire(signal) {
      if (running < limit && waiters.size === 0) {
        running++;
        return Promise.resolve();
      }
      return new Promise<void>((resolve, reject) => {
        const stop = (): void => {
          waiters.delete(waiter);
          reject(signal.reason as Error);
        };
        const waiter: Waiter = {
          wake() {
            signal.removeEventListener('abort', stop);
            resolve();
          },
        };
        waiters.add(waiter);
        signal.addEventListener('abort', stop, {once: true});
      });
    },
    release() {
      running--;
      wakeNext();
    },
    succeeded() {
      if (limit >= most || ++successes < limit) return;
      successes = 0;
      limit++;
      wakeNext();
    },
    throttled(sentMs, nowMs) {
      successes = 0;
      if (sentMs < halvedAtMs) return;
      halvedAtMs = nowMs;
      limit = Math.max(1, Math.floor(limit / 2));
    },
  };
}
