import type {ChangeMethod, LogPlace} from './log-mark.ts';

/**
 * How far the log of this process is durable: every log that is read from now on begins there or behind, also after a failure. What is
 * read beside the log rests on that.
 */
export class LogProgress {
  #place: LogPlace | null = null;
  #isOpened = false;
  readonly #waiting = new Set<() => void>();

  /** A position that every change is behind that has not committed yet. */
  get position(): bigint {
    return this.#place?.position ?? 0n;
  }

  /** The methods by which tables are followed; null before the log is known. */
  get place(): LogPlace | null {
    return this.#place;
  }

  /** A log may begin here. One that was opened knows better. */
  prepared(place: LogPlace): void {
    if (!this.#isOpened) this.#become(place);
  }

  /** The log is read from here, where it is durable. */
  opened(place: LogPlace): void {
    this.#isOpened = true;
    this.#become(place);
  }

  /** All up to here is durable. */
  acknowledged(place: LogPlace): void {
    this.#become(place);
  }

  /** Whether it is durable that a table is followed by a method: its changes come from then on, whatever happens. */
  isFollowed(table: number, method: ChangeMethod): boolean {
    return this.#place === null || this.#place.tables.get(table)?.method === method;
  }

  /** Waits for {@link isFollowed}. @throws the signal's reason */
  async untilFollowed(table: number, method: ChangeMethod, signal: AbortSignal): Promise<void> {
    while (!this.isFollowed(table, method)) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener('abort', wake, {once: true});
      });
    }
  }

  #become(place: LogPlace): void {
    this.#place = place;
    for (const wake of this.#waiting) wake();
  }
}
