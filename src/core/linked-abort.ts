import {setMaxListeners} from 'node:events';

/**
 * Aborts with its parent, or when it is disposed, which ends what is under way and lets go of the parent. Any number of requests may
 * wait with its signal. In place of `AbortSignal.any`, whose signals stay in memory as long as their parent on Node 20: a run has one
 * for each listing.
 */
export class LinkedAbort implements Disposable {
  readonly controller: AbortController = new AbortController();
  readonly #parent: AbortSignal;
  readonly #follow = (): void => {
    this.controller.abort(this.#parent.reason);
  };

  constructor(parent: AbortSignal) {
    this.#parent = parent;
    // Not 0, which means the same: `getMaxListeners` of Node 20 takes a signal with 0 for no emitter, and so `fetch` refuses it.
    setMaxListeners(Infinity, parent, this.signal);
    if (parent.aborted) this.#follow();
    else parent.addEventListener('abort', this.#follow, {once: true});
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Lets go of the parent and ends nothing: for what outlives the wait. */
  release(): void {
    this.#parent.removeEventListener('abort', this.#follow);
  }

  [Symbol.dispose](): void {
    this.release();
    this.controller.abort();
  }
}
