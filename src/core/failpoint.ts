/**
 * Named steps at which the crash tests kill the process or make it fail. In production nothing is installed and a step
 * costs one comparison.
 */
export const FAILPOINTS = [
  'read.page',
  'read.finished',
  'extract.partition-written',
  'apply.data-written',
  'apply.side-files-written',
  'apply.batch-file-written',
  'delta.commit-staged',
  'delta.commit-linked',
  'delta.commit-written',
  'delta.checkpoint-written',
  'delta.last-checkpoint-written',
  'optimize.bin-written',
  'vacuum.file-removed',
  'log-cleanup.entry-removed',
  'quarantine.committed',
  'restore.planned',
  'restore.batch-file-written',
  'restore.committed',
  'pipeline.committed',
  'pipeline.acknowledged',
  'events.spooled',
  'events.committed',
  'delta.data-file-written',
  'delta.deletion-vectors-written',
  'delta.change-files-written',
  'lease.taken',
  'lease.released',
  'verify.remembered',
  'staging.segment-written',
  'staging.entry-written',
  'staging.checkpoint-written',
  'staging.plan-written',
  'gateway.prepared',
  'gateway.sealed',
  'gateway.acknowledged',
  'gateway.advanced',
  'gateway.snapshot-finished',
  'staging.chunk-written',
  'staging.chunk-described',
  'staging.snapshot-described',
  'staging.file-retired',
] as const;

/** The name of a step. */
export type FailpointName = (typeof FAILPOINTS)[number];

let installed: ((name: FailpointName) => void) | null = null;

/** Marks a step. @throws whatever the installed handler throws. */
export function failpoint(name: FailpointName): void {
  if (installed !== null) installed(name);
}

/** Installs the handler that every step calls; null removes it. For crash tests only. */
export function installFailpoints(handler: ((name: FailpointName) => void) | null): void {
  installed = handler;
}
