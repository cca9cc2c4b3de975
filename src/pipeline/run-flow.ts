import {IngestError, isIngestError, isRetryable, messageOf} from '../core/errors.ts';
import {autoOptimize} from './auto-optimize.ts';
import type {FlowCounter} from './flow-counter.ts';
import {FlowRun, type TriggerRequest} from './flow-run.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import type {FlowServices} from './services.ts';
import {verifyAfter} from './verify-after.ts';

const MAX_ATTEMPTS = 6;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 60_000;
/** A source that asks for a longer pause, for example until its day ends, is for the next run. */
const LONGEST_PAUSE_MS = 900_000;

/** How one flow is run. */
export interface FlowTask {
  /** Asks the source what the flow is; called for every attempt, because the source may have changed meanwhile. */
  readonly resolve: () => Promise<ResolvedFlow>;
  readonly request: TriggerRequest;
  readonly counter: FlowCounter;
}

/**
 * Runs one flow to its end, trying again where that may help: transient failures with full jitter, throttling as told,
 * lost commits soon. Never throws: the counter says how it ended, so that a failing flow does not stop its neighbours.
 */
export async function runFlow(services: FlowServices, name: string, task: FlowTask): Promise<void> {
  const {counter} = task;
  let {request} = task;
  counter.setState('STARTING');
  for (let attempt = 1; ; attempt++) {
    counter.startAttempt(attempt);
    try {
      request.signal.throwIfAborted();
      counter.setState('PLANNING');
      await runOnce(services, {...task, request});
      counter.setState('COMPLETED');
      return;
    } catch (error) {
      if (isIngestError(error, 'OFFSET_EXPIRED') && !request.fullRefresh) {
        // The changes that were missed cannot be had any more: only all rows together say what the table is.
        request = {...request, fullRefresh: true, isExpired: true};
        services.note({
          level: 'WARN',
          flow: name,
          code: error.code,
          message: `${error.message} The table is read anew.`,
        });
        continue;
      }
      const waitMs = request.signal.aborted ? null : retryWaitMs(error, attempt, services);
      if (waitMs === null) {
        counter.failed(request.signal.aborted ? 'STOPPED' : 'FAILED', describe(error, request.signal));
        return;
      }
      services.note({
        level: 'WARN',
        flow: name,
        code: codeOf(error),
        message: `Attempt ${attempt} failed, trying again in ${Math.round(waitMs)} ms: ${messageOf(error)}`,
      });
      // An abort ends the wait; the next attempt sees it.
      await services.context.clock.sleep(waitMs, request.signal).catch(() => undefined);
    }
  }
}

async function runOnce(services: FlowServices, task: FlowTask): Promise<void> {
  const {counter, request} = task;
  await using end = await new FlowRun(services, await task.resolve(), task).run();
  const verdict = await verifyAfter(services, end.flow, {end, signal: request.signal});
  if (verdict !== null) counter.verified(verdict.verdict);
  // A run that has committed nothing has made no file small.
  if (counter.progress.batches > 0) await autoOptimize(services, end.flow, request.signal);
}

/** How long to wait before the next attempt; null: do not try again. */
function retryWaitMs(error: unknown, attempt: number, services: FlowServices): number | null {
  if (attempt >= MAX_ATTEMPTS) return null;
  if (isIngestError(error, 'COMMIT_CONFLICT')) return services.random() * FIRST_WAIT_MS;
  if (!isRetryable(error)) return null;
  if (error instanceof IngestError && error.retryAfterMs !== undefined)
    return error.retryAfterMs > LONGEST_PAUSE_MS ? null : error.retryAfterMs;
  return services.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt);
}

/** What is said of a failure: code, message, fix. */
export function describe(
  error: unknown,
  signal: AbortSignal,
): {readonly code: string; readonly message: string; readonly fix?: string | undefined} {
  if (signal.aborted)
    return {
      code: 'CANCELLED',
      message: 'The run was asked to stop; what was committed stays, the next run goes on from there.',
    };
  if (error instanceof IngestError) return {code: error.code, message: error.message, fix: error.fix};
  return {
    code: 'BUG',
    message: messageOf(error),
    fix: 'This is a fault of Sluice or of the connector; please report it with the event log.',
  };
}

function codeOf(error: unknown): string {
  return error instanceof IngestError ? error.code : 'BUG';
}
