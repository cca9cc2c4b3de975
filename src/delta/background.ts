import {messageOf} from '../core/errors.ts';

/** Work on tables that nobody waits for. Its failures are kept until somebody asks. */
export class Background {
  readonly #running = new Set<Promise<void>>();
  #failures: string[] = [];

  /** Takes work that has begun; `what` names it in failures. */
  add(what: string, work: Promise<void>): void {
    const noted = work
      .catch((error: unknown) => {
        this.#failures.push(`${what}: ${messageOf(error)}`);
      })
      .finally(() => this.#running.delete(noted));
    this.#running.add(noted);
  }

  /** Resolves once all work has ended, and returns what has failed since it was last asked. */
  async settle(): Promise<readonly string[]> {
    while (this.#running.size > 0) await Promise.all(this.#running);
    const failures = this.#failures;
    this.#failures = [];
    return failures;
  }
}
