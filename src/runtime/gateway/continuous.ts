import {systemClock} from '../../core/clock.ts';
import {IngestError} from '../../core/errors.ts';
import type {PipelineSpec} from '../../pipeline/spec.ts';
import type {RunOptions, RunResult} from '../api.ts';
import {ownGateway} from '../config/resolve-gateway.ts';
import {runGatewayHere} from './run-gateway.ts';
import {eventLevel, isStaged} from './staged-pipeline.ts';

/** From the beginning of one update to that of the next, at least. */
const UPDATE_EVERY_MS = 5000;

/**
 * Runs updates of a pipeline one after the other until the signal, its gateway beside them where it is its own. Resolves to the last
 * update; a full refresh is for the first.
 * @throws what ends the gateway, or keeps an update from beginning
 */
export async function runContinuously(
  spec: PipelineSpec,
  options: RunOptions,
  runOnce: (spec: PipelineSpec, options: RunOptions) => Promise<RunResult>,
): Promise<RunResult> {
  const stop = new AbortController();
  const leave = (): void => stop.abort(options.signal.reason);
  options.signal.addEventListener('abort', leave, {once: true});
  let failure: {readonly error: unknown} | null = null;
  const gateway = followBeside(spec, {...options, signal: stop.signal}).catch((error: unknown) => {
    failure = {error};
    stop.abort(error);
  });
  try {
    return await updates(beside(spec), {...options, signal: stop.signal}, runOnce);
  } finally {
    options.signal.removeEventListener('abort', leave);
    stop.abort(new Error('The pipeline has stopped.'));
    await gateway;
    const failed = failure as {readonly error: unknown} | null;
    // oxlint-disable-next-line no-unsafe-finally -- why the gateway ended says more than that the update was stopped
    if (failed !== null) throw failed.error;
  }
}

async function updates(
  spec: PipelineSpec,
  options: RunOptions,
  runOnce: (spec: PipelineSpec, options: RunOptions) => Promise<RunResult>,
): Promise<RunResult> {
  let isFirst = true;
  let last: RunResult | null = null;
  for (;;) {
    const startedAt = systemClock.nowMs();
    try {
      const result = await runOnce(spec, isFirst ? options : {...options, fullRefresh: false});
      isFirst = false;
      // A flow that failed is tried again; the run ends when it is stopped, and says how the last update went.
      if (options.signal.aborted) return result;
      last = result;
    } catch (error) {
      // Its gateway has not read the tables yet.
      if (!(error instanceof IngestError) || error.code !== 'NOT_STAGED' || options.signal.aborted) throw error;
    }
    const leftMs = Math.max(0, startedAt + UPDATE_EVERY_MS - systemClock.nowMs());
    await systemClock.sleep(leftMs, options.signal).catch(() => undefined);
    if (options.signal.aborted && last !== null) return last;
  }
}

/** The gateway runs here, not within the updates. */
function beside(spec: PipelineSpec): PipelineSpec {
  return isStaged(spec) ? {...spec, changeLog: {...spec.changeLog, isIntegrated: false}} : spec;
}

async function followBeside(spec: PipelineSpec, options: RunOptions): Promise<void> {
  if (spec.changeLog?.isIntegrated !== true) return;
  await runGatewayHere(ownGateway(spec), {
    ...options,
    onEvent: (event) =>
      options.onUpdate({
        kind: 'note',
        updateId: '',
        pipeline: spec.key,
        level: eventLevel(event),
        flow: null,
        code: `GATEWAY_${event.type.toUpperCase()}`,
        message: event.message,
      }),
  });
}
