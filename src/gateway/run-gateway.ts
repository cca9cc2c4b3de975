import {isIngestError} from '../core/errors.ts';
import {LinkedAbort} from '../core/linked-abort.ts';
import {openManifest} from '../staging/manifest-writer.ts';
import {removeOrphans} from '../staging/orphans.ts';
import {retire} from '../staging/retire.ts';
import {acquireLease, type Lease} from '../state/lease.ts';
import {errorText, gatewayCore, mayPass, stopped, type GatewayCore} from './gateway-core.ts';
import {runLogTask} from './log-task.ts';
import type {GatewayOptions} from './options.ts';
import {runSnapshotTask} from './snapshot-task.ts';
import {runStatusTask, writeStatus} from './status.ts';
import {runWatchTask} from './watch-task.ts';

/**
 * Follows a source until its context's signal: copies its log into staging, reads the snapshots that are missing, and acknowledges
 * what is durable. Resolves when it was stopped and everything that ends behind a commit is sealed.
 * @throws CONCURRENT_RUN when another gateway writes into this staging; UNSUPPORTED when the source cannot be followed; what else does
 *   not pass by itself
 */
export async function runGateway(options: GatewayOptions): Promise<void> {
  const {staging, context} = options;
  const lease = await acquireLease(staging.store, staging.layout.lease, context.clock);
  // A claim that a full disk does not let go ends with the process.
  await using _claim = {[Symbol.asyncDispose]: () => release(lease)};
  const manifest = await openManifest(staging, context.clock, options.onState);
  await removeOrphans(manifest);
  using leave = new LinkedAbort(context.signal);
  const core = gatewayCore(options, manifest, leave.signal);
  core.event('started', 'info', `The gateway "${staging.gateway}" has started.`, {facts: {entry: manifest.state.n}});
  try {
    await runAll(core, leave.controller);
  } finally {
    core.facts.connection = 'stopped';
    await writeStatus(core);
    core.event('stopped', 'info', `The gateway "${staging.gateway}" has stopped.`);
  }
}

async function release(lease: Lease): Promise<void> {
  try {
    await lease[Symbol.asyncDispose]();
  } catch (error) {
    if (!isIngestError(error)) throw error;
  }
}

/** Runs the tasks until all have ended; the first that fails ends the others, and its error is told. */
async function runAll(core: GatewayCore, leave: AbortController): Promise<void> {
  const tasks = [runLogTask, runSnapshotTask, runWatchTask, runStatusTask, runRetentionTask];
  let failure: {readonly error: unknown} | null = null;
  await Promise.all(
    tasks.map((task) =>
      task(core).catch((error: unknown) => {
        failure ??= {error};
        leave.abort(stopped());
      }),
    ),
  );
  const failed = failure as {readonly error: unknown} | null;
  if (failed === null) return;
  core.facts.message = errorText(failed.error);
  throw failed.error;
}

async function runRetentionTask(core: GatewayCore): Promise<void> {
  const {clock, limits, signal, manifest, event} = core;
  while (!signal.aborted) {
    await clock.sleep(limits.retentionMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const {files, bytes, resets} = await retire(manifest, {
        nowMs: clock.nowMs(),
        minAgeMs: limits.minAgeMs,
        maxAgeMs: limits.maxAgeMs,
      });
      if (files > 0)
        event('retired', 'info', `${files} files of staging were no longer needed.`, {facts: {files, bytes}});
      for (const name of resets) {
        event('table_reset', 'warning', `${name} is read anew: it was not applied in time.`, {table: name});
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!mayPass(error)) throw error;
      event('retry', 'warning', `Staging could not be cleaned and is tried again. ${errorText(error)}`);
    }
  }
}
