import {LinkedAbort} from '../../core/linked-abort.ts';
import type {HttpContext} from '../http/http-client.ts';

/** Asks for a page; the context ends when no page is wanted any more. */
export type AskPage<P> = (ctx: HttpContext) => Promise<P>;

/**
 * Pages each of which tells how to ask for the next one, or null for the last. The next one is under way while one is used; leaving early
 * ends that request.
 * @throws what asking throws, when its page is due.
 */
export async function* pagesAhead<P>(
  ctx: HttpContext,
  first: AskPage<P>,
  nextOf: (page: P) => AskPage<P> | null,
): AsyncGenerator<P, void> {
  using abort = new LinkedAbort(ctx.signal);
  const inner = {...ctx, signal: abort.signal};
  let due: Promise<P> | null = first(inner);
  while (due !== null) {
    const page: P = await due;
    due = nextOf(page)?.(inner) ?? null;
    // It is awaited in the next turn; if there is none, its failure is of nobody's interest.
    due?.catch(() => undefined);
    // One turn of the event loop sends the request before this page is used: its answer comes meanwhile.
    if (due !== null) await new Promise(setImmediate);
    yield page;
  }
}
