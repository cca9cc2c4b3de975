/**
 * Lets a fixed number of statements run at once; the rest wait in order of arrival. Each running statement holds a
 * thread of libuv's pool, which file access needs too.
 */
export class StatementGate {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(limit: number) {
    this.#free = limit;
  }

  /** Runs the work when it is its turn. @throws the reason of a signal that aborts while waiting; what the work throws. */
  async pass<T>(work: () => Promise<T>, signals: readonly AbortSignal[]): Promise<T> {
    await this.#enter(signals);
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  async #enter(signals: readonly AbortSignal[]): Promise<void> {
    for (const signal of signals) signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const go = (): void => {
        forget();
        resolve();
      };
      const forget = onAbort(signals, (reason) => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1);
        reject(reason);
      });
      this.#waiting.push(go);
    });
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}

/**
 * Calls the listener once when the first of the signals aborts; the result stops listening. In place of
 * `AbortSignal.any`, whose signals stay in memory as long as the longest-lived source on Node 20.
 */
export function onAbort(signals: readonly AbortSignal[], listener: (reason: Error) => void): () => void {
  const entries = signals.map((signal) => ({
    signal,
    handler: (): void => {
      forget();
      listener(signal.reason as Error);
    },
  }));
  const forget = (): void => {
    for (const {signal, handler} of entries) signal.removeEventListener('abort', handler);
  };
  for (const {signal, handler} of entries) signal.addEventListener('abort', handler, {once: true});
  return forget;
}
