import {numberOf} from './layout.ts';
import {loadState, readProgress, type PipelineProgress, type Staging} from './staging.ts';
import type {StagingState} from './state.ts';

/** What lies in a staging, for people. */
export interface StagingReport {
  readonly state: StagingState;
  readonly pipelines: readonly PipelineProgress[];
  readonly entries: {readonly count: number; readonly first: number | null};
  readonly segments: FileSums;
  readonly snapshots: FileSums;
}

/** Files of one kind. */
export interface FileSums {
  readonly files: number;
  readonly bytes: number;
  /** Milliseconds since 1970, by the store's clock; null without files. */
  readonly oldestAtMs: number | null;
}

/** Names of gateways that have a staging in a store. */
export async function listStagings(store: Staging['store']): Promise<readonly string[]> {
  const found: string[] = [];
  for (const folder of await store.prefixes('')) {
    for await (const _ of store.list(`${folder}/manifest/`)) {
      found.push(decodeURIComponent(folder));
      break;
    }
  }
  return found;
}

/** Looks at a staging; changes nothing. @throws STAGING_DAMAGED */
export async function inspectStaging(staging: Staging): Promise<StagingReport> {
  const {store, layout} = staging;
  let count = 0;
  let first: number | null = null;
  for await (const {name} of store.list(layout.manifest)) {
    first ??= numberOf(name);
    count++;
  }
  return {
    state: await loadState(staging),
    pipelines: await readProgress(staging),
    entries: {count, first},
    segments: await sumsOf(staging, layout.log),
    snapshots: await sumsOf(staging, layout.snapshots),
  };
}

async function sumsOf({store}: Staging, prefix: string): Promise<FileSums> {
  let [files, bytes] = [0, 0];
  let oldestAtMs: number | null = null;
  for await (const {sizeBytes, modifiedAtMs} of store.list(prefix)) {
    files++;
    bytes += sizeBytes;
    oldestAtMs = Math.min(oldestAtMs ?? modifiedAtMs, modifiedAtMs);
  }
  return {files, bytes, oldestAtMs};
}

/**
 * Deletes all that was staged; the gateway's next run begins anew and reads every table. Only while no gateway holds the lease, which
 * stays. May be killed and called again.
 */
export async function purgeStaging({
  store,
  layout,
}: Staging): Promise<{readonly files: number; readonly bytes: number}> {
  let [files, bytes] = [0, 0];
  // What the manifest names goes last, so that nothing is left that nobody would find again.
  for (const prefix of [layout.pipelines, layout.log, layout.snapshots, layout.checkpoints, layout.manifest]) {
    for await (const {name, sizeBytes} of store.list(prefix, {temporaries: true})) {
      await store.delete(name);
      files++;
      bytes += sizeBytes;
    }
  }
  // What was made at the source stays ours.
  await store.delete(layout.status);
  return {files, bytes};
}
