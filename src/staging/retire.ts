import {failpoint} from '../core/failpoint.ts';
import {numberOf} from './layout.ts';
import type {ManifestWriter} from './manifest-writer.ts';
import {readPlans, removePlan, type SnapshotPlan} from './snapshot-files.ts';
import {readEntries, readEntryAt, readProgress, type AppliedTable, type PipelineProgress} from './staging.ts';
import type {StagedTable} from './state.ts';

/** When files may go. */
export interface RetirePolicy {
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  /** Younger ones stay, though all pipelines have applied them. */
  readonly minAgeMs: number;
  /** Older ones go, applied or not; default 30 days. */
  readonly maxAgeMs?: number;
}

/** What went. */
export interface Retired {
  readonly files: number;
  readonly bytes: number;
  /** Tables that must be read anew, because what was not applied went. */
  readonly resets: readonly string[];
}

const DEFAULT_MAX_AGE_MS = 30 * 24 * 3_600_000;

/**
 * Deletes what every known pipeline has applied and is old enough, and what is too old. Tables that were not applied in time are
 * marked to be read anew before anything goes. May be killed anywhere and called again.
 */
export async function retire(manifest: ManifestWriter, policy: RetirePolicy): Promise<Retired> {
  const {staging} = manifest;
  const state = await manifest.catchUp();
  const pipelines = await readProgress(staging);
  const maxAgeMs = policy.maxAgeMs ?? DEFAULT_MAX_AGE_MS;
  const applied = await unneededThrough(manifest, pipelines);
  let through = state.retiredThrough;
  let forced = 0;
  for await (const entry of readEntries(staging, state.retiredThrough, state.n)) {
    // What the last segment does not end may still be gone on with.
    if (entry.n >= state.n || (entry.kind === 'log' && entry.tail !== null && entry.n === state.lastLog?.n)) break;
    const ageMs = policy.nowMs - Number(entry.sealedAt / 1000n);
    const isApplied = entry.n <= applied && ageMs >= policy.minAgeMs;
    if (!isApplied && ageMs < maxAgeMs) break;
    if (entry.n > applied) forced = entry.n;
    through = entry.n;
  }
  const resets = forced === 0 ? [] : await resetUnapplied(manifest, pipelines, forced);
  // Marked before it goes: whoever needs it learns so, and is not left with a gap.
  if (through > state.retiredThrough) await manifest.append({kind: 'retired', through});
  const logs = await removeFiles(manifest);
  const snapshots = await removeSnapshots(manifest, pipelines);
  return {files: logs.files + snapshots, bytes: logs.bytes, resets};
}

/** The last entry that nobody needs any more. */
async function unneededThrough(
  {staging, state}: ManifestWriter,
  pipelines: readonly PipelineProgress[],
): Promise<number> {
  if (pipelines.length === 0) return 0;
  let needed = state.n + 1;
  for (const table of state.tables.values()) {
    const {name, snapshot, reset} = table;
    const readers = pipelines.flatMap((pipeline) => pipeline.tables.get(name) ?? []);
    for (const applied of readers) needed = Math.min(needed, neededFrom(table, applied));
    // One that no pipeline reads yet will be read from its snapshot on.
    if (readers.length === 0 && snapshot !== null) needed = Math.min(needed, snapshot.logFrom);
    if (snapshot !== null && reset === null) continue;
    for (const {plan} of await readPlans(staging, table.table.id)) {
      if (plan.epoch === state.epoch) needed = Math.min(needed, plan.logFrom);
    }
  }
  return needed - 1;
}

/** The first entry that a pipeline needs for a table: behind what it applied, or behind a snapshot that it has still to read. */
function neededFrom({snapshot, broken}: StagedTable, applied: AppliedTable): number {
  if (applied.snapshotEntry > broken) return applied.entry + 1;
  return snapshot !== null && snapshot.n > broken ? snapshot.logFrom : Number.MAX_SAFE_INTEGER;
}

async function resetUnapplied(
  manifest: ManifestWriter,
  pipelines: readonly PipelineProgress[],
  through: number,
): Promise<readonly string[]> {
  const resets: string[] = [];
  for (const table of manifest.state.tables.values()) {
    const {name, snapshot, broken} = table;
    if (snapshot === null || snapshot.n <= broken) continue;
    const readers = pipelines.flatMap((pipeline) => pipeline.tables.get(name) ?? []);
    const needed = readers.length === 0 ? [snapshot.logFrom] : readers.map((applied) => neededFrom(table, applied));
    if (Math.min(...needed) > through) continue;
    await manifest.append({
      kind: 'reset',
      name,
      reason: 'not_applied',
      message: 'Its changes were not applied before staging had to delete them.',
      table: null,
    });
    resets.push(name);
  }
  return resets;
}

/** Also what an earlier call was killed before it removed. */
async function removeFiles({
  staging,
  state,
}: ManifestWriter): Promise<{readonly files: number; readonly bytes: number}> {
  const {store, layout} = staging;
  const checkpointed = await lastCheckpoint(staging);
  let [files, bytes] = [0, 0];
  for await (const {name} of store.list(layout.manifest)) {
    const n = numberOf(name);
    if (n > state.retiredThrough) break;
    const entry = await readEntryAt(staging, n);
    if (entry?.kind === 'log' && (await isThere(staging, entry.file))) {
      await store.delete(entry.file);
      failpoint('staging.file-retired');
      files++;
      bytes += entry.bytes;
    }
    // An entry goes once its file is gone and a checkpoint says what it said.
    if (n <= checkpointed) await store.delete(name);
  }
  return {files, bytes};
}

async function isThere({store}: ManifestWriter['staging'], name: string): Promise<boolean> {
  return (await store.get(name, {start: 0, end: 1})) !== null;
}

async function lastCheckpoint({store, layout}: ManifestWriter['staging']): Promise<number> {
  let last = 0;
  for await (const {name} of store.list(layout.checkpoints)) {
    last = numberOf(name);
  }
  return last;
}

/** A complete snapshot goes when the log behind it is gone or a newer one is complete, and no pipeline still reads it. */
async function removeSnapshots(
  {staging, state}: ManifestWriter,
  pipelines: readonly PipelineProgress[],
): Promise<number> {
  const tables = new Map([...state.tables.values()].map((table) => [table.table.id, table]));
  let removed = 0;
  for (const folder of await staging.store.prefixes(staging.layout.snapshots)) {
    const snapshot = tables.get(Number(folder))?.snapshot ?? null;
    for (const {plan, isComplete} of await readPlans(staging, Number(folder))) {
      const isLedOn = plan.logFrom > state.retiredThrough;
      // One that no entry names yet may be about to be named.
      const isLast = snapshot === null || plan.id === snapshot.id || plan.demand > snapshot.demand;
      if (!isComplete || (isLedOn && isLast) || isRead(pipelines, plan)) continue;
      await removePlan(staging, plan);
      removed++;
    }
  }
  return removed;
}

function isRead(pipelines: readonly PipelineProgress[], {name, id, logFrom}: SnapshotPlan): boolean {
  return pipelines.some(({tables}) => {
    const applied = tables.get(name);
    // Up to its entry of the manifest its views may still be asked.
    return applied !== undefined && applied.snapshot === id && applied.entry < Math.max(logFrom, applied.snapshotEntry);
  });
}
