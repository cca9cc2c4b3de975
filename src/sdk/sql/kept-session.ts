import type {CallContext} from '../contract.ts';

/** A session that can be kept. */
export interface KeepableSession<S> extends AsyncDisposable {
  /** False once it broke or was closed. */
  readonly isOpen: boolean;
  /** The same session under another signal. */
  withSignal(signal: AbortSignal): S;
}

/** One session for questions to the catalog, opened when it is needed and again when it broke; closing it lets it be opened again. */
export class KeptSession<S extends KeepableSession<S>> {
  readonly #open: (signal: AbortSignal) => Promise<S>;
  #session: S | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  /** @param open Opens a session, which the signal ends. */
  constructor(open: (signal: AbortSignal) => Promise<S>) {
    this.#open = open;
  }

  /** Runs one piece of work at a time. @throws the signal's reason, and what opening and the work throw */
  run<T>(ctx: Pick<CallContext, 'signal'>, work: (session: S) => Promise<T>): Promise<T> {
    const turn = this.#turn.then(async () => {
      ctx.signal.throwIfAborted();
      if (this.#session?.isOpen !== true) this.#session = await this.#open(ctx.signal);
      return work(this.#session.withSignal(ctx.signal));
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Closes the session that is kept. Calling twice is allowed. */
  async close(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    await session?.[Symbol.asyncDispose]();
  }
}
