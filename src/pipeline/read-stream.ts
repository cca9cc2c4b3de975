import {failpoint} from '../core/failpoint.ts';
import {checkOffset, type Offset} from '../core/offset.ts';
import type {Page, ReadContext} from '../sdk/contract.ts';
import type {Landing} from './landing.ts';

/** When a micro-batch is full. */
export interface BatchBudget {
  readonly maxRows: number;
  readonly maxBytes: number;
  /** Milliseconds since 1970 after which the batch ends at the next offset. */
  readonly deadlineMs: number;
}

/** How one call of a connector ended. */
export interface StreamEnd {
  readonly offset: Offset | null;
  /** The batch was cut at a page's offset: the call had more to say. */
  readonly cut: boolean;
}

/**
 * Drives one generator of a connector into a landing table: `next()` until it returns its end offset, or until the budget
 * is used up at a page that carries an offset. The generator is always finished, so that its `finally` runs.
 * @throws CONTRACT_VIOLATION, OFFSET_TOO_LARGE and whatever the connector throws.
 */
export async function driveStream(
  pages: AsyncGenerator<Page, Offset | null>,
  landing: Landing,
  options: {
    readonly table: string;
    readonly budget: BatchBudget;
    readonly ctx: ReadContext;
    readonly onPage: (landing: Landing) => void;
    /** What landed may be handed over here. */
    readonly afterPage?: () => Promise<void>;
  },
): Promise<StreamEnd> {
  const {table, budget, ctx} = options;
  let finished = false;
  try {
    for (;;) {
      const step = await pages.next();
      ctx.signal.throwIfAborted();
      if (step.done === true) {
        finished = true;
        return {offset: checkOffset(step.value, table), cut: false};
      }
      failpoint('read.page');
      await landing.add(step.value);
      options.onPage(landing);
      await options.afterPage?.();
      const offset = offsetOf(step.value);
      if (offset !== undefined && isFull(landing, budget, ctx)) return {offset: checkOffset(offset, table), cut: true};
    }
  } finally {
    if (!finished) await pages.return(null).catch(ignoreAfterFailure);
  }
}

function ignoreAfterFailure(): void {
  // The generator failed while cleaning up after we gave it up; what we gave it up for is already on its way.
}

function offsetOf(page: Page): Offset | undefined {
  return 'offset' in page ? page.offset : undefined;
}

function isFull(landing: Landing, budget: BatchBudget, ctx: ReadContext): boolean {
  const {rows, bytes} = landing.counts;
  return rows >= budget.maxRows || bytes >= budget.maxBytes || ctx.clock.nowMs() >= budget.deadlineMs;
}
