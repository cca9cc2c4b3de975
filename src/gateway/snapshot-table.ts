import {randomUUID} from 'node:crypto';

import {failpoint} from '../core/failpoint.ts';
import {LinkedAbort} from '../core/linked-abort.ts';
import {hasReached, type TableSnapshot} from '../sdk/change-log.ts';
import {logFromOf} from '../staging/log-position.ts';
import {
  readPlans,
  removePlan,
  writeChunk,
  writePlan,
  writeSnapshot,
  type SnapshotManifest,
  type SnapshotPlan,
  type StagedChunk,
} from '../staging/snapshot-files.ts';
import {demandOf, type StagedTable} from '../staging/state.ts';
import type {ChunkGate} from './chunk-gate.ts';
import {resetTable} from './follow-tables.ts';
import type {GatewayCore, SnapshotProgress} from './gateway-core.ts';

/** A snapshot of one table. */
export interface SnapshotWork {
  readonly core: GatewayCore;
  readonly gate: ChunkGate;
  /** As the source names it. */
  readonly name: string;
  readonly signal: AbortSignal;
  /** Called once nothing is read any more, and only the log is waited for. */
  readonly onWaiting: () => void;
}

/** How often it is looked whether the log has come to the end of the views. */
const LOOK_MS = 100;

/**
 * Stages a snapshot of a table, or what an earlier process left to do of one, and adds its entry.
 * @throws what the source or the store throws; what is durable by then is not read again where chunks have views of their own
 */
export async function snapshotTable(work: SnapshotWork): Promise<void> {
  const {core, name, signal} = work;
  const {manifest, source} = core;
  const staged = manifest.state.tables.get(name);
  if (staged === undefined) return;
  const earlier = await earlierPlan(work, staged);
  if (earlier !== null && earlier.chunks.length === earlier.plan.chunks.length) return finish(work, earlier);
  await using snapshot = await source.planSnapshot(name, core.context(signal));
  if (snapshot.table.id !== staged.table.id) {
    const {table} = snapshot;
    await resetTable(core, {name, reason: 'recreated', message: 'The source table was made anew.', table});
    return;
  }
  // Chunks that are durable have the columns of their plan: with others there is nothing to go on with.
  const isStale = earlier !== null && JSON.stringify(earlier.plan.table) !== JSON.stringify(snapshot.table);
  if (isStale) await removePlan(manifest.staging, earlier.plan);
  const {plan, chunks} =
    earlier === null || isStale ? {plan: await newPlan(work, staged, snapshot), chunks: []} : earlier;
  tellStart(work, plan, chunks);
  const all = await readMissing(work, {plan, chunks}, snapshot);
  await finish(work, {plan, chunks: all});
}

/** A snapshot that can be gone on with; others that no entry can name are removed. */
async function earlierPlan({core}: SnapshotWork, staged: StagedTable): Promise<SnapshotManifest | null> {
  const {staging, state} = core.manifest;
  let found: SnapshotManifest | null = null;
  for (const each of await readPlans(staging, staged.table.id)) {
    const {plan, chunks, isComplete} = each;
    const isAnswer = plan.demand === demandOf(staged) && plan.name === staged.name;
    const isOfNow = plan.epoch === state.epoch && plan.logFrom > state.retiredThrough && isAnswer;
    // Where all chunks are durable, it does not matter that their view has ended.
    const isUsable = plan.isResumable || chunks.length === plan.chunks.length;
    if (isOfNow && isUsable && found === null && plan.id !== staged.snapshot?.id) found = each;
    else if (!isComplete) await removePlan(staging, plan);
  }
  return found;
}

async function newPlan(
  {core, name}: SnapshotWork,
  staged: StagedTable,
  snapshot: TableSnapshot,
): Promise<SnapshotPlan> {
  const {manifest} = core;
  const {epoch} = manifest.state;
  const {table, token, position, chunks, isResumable, estimatedRows} = snapshot;
  const plan: SnapshotPlan = {
    id: `${epoch}-${manifest.state.n}-${randomUUID().slice(0, 8)}`,
    name,
    table,
    epoch,
    token,
    position,
    chunks,
    isResumable,
    demand: demandOf(staged),
    logFrom: await logFromOf(manifest, position),
    estimatedRows: estimatedRows ?? null,
  };
  await writePlan(manifest.staging, plan);
  return plan;
}

function tellStart({core, name}: SnapshotWork, plan: SnapshotPlan, done: readonly StagedChunk[]): void {
  const rowsBefore = sum(done, ({rows}) => rows);
  const progress: SnapshotProgress = {
    startedAtMs: core.clock.nowMs(),
    chunks: plan.chunks.length,
    chunksDone: done.length,
    rows: rowsBefore,
    bytes: sum(done, ({rawBytes}) => rawBytes),
    estimatedRows: plan.estimatedRows,
    rowsBefore,
  };
  core.facts.snapshots.set(name, progress);
  const text = done.length === 0 ? 'is read' : `goes on behind ${done.length} of ${plan.chunks.length} chunks`;
  core.event(done.length === 0 ? 'snapshot_started' : 'snapshot_resumed', 'info', `The snapshot of ${name} ${text}.`, {
    table: name,
    facts: {chunks: plan.chunks.length, chunks_done: done.length},
  });
}

async function readMissing(
  {core, gate, name, signal}: SnapshotWork,
  {plan, chunks}: {readonly plan: SnapshotPlan; readonly chunks: readonly StagedChunk[]},
  snapshot: TableSnapshot,
): Promise<readonly StagedChunk[]> {
  const done = new Map(chunks.map((chunk) => [chunk.index, chunk]));
  const missing = plan.chunks.flatMap((chunk, index) => (done.has(index) ? [] : [{chunk, index}])).values();
  using leave = new LinkedAbort(signal);
  const inner = leave.signal;
  const context = core.context(inner);
  const {snapshotCompression: compression, parallelChunks} = core.limits;
  const worker = async (): Promise<void> => {
    for (const {chunk, index} of missing) {
      inner.throwIfAborted();
      const staged = await gate.enter(inner, () => {
        const read = gate.throttle(snapshot.readChunk(chunk, context), inner, (bytes) => count(core, name, {bytes}));
        return writeChunk(core.manifest.staging, {plan, index, compression}, read, inner);
      });
      done.set(index, staged);
      count(core, name, {rows: staged.rows, chunksDone: 1});
    }
  };
  const workers = Array.from({length: Math.min(parallelChunks, plan.chunks.length)}, () =>
    leaveOnError(worker, leave.controller),
  );
  // All of them have ended before anybody removes what they write.
  await Promise.allSettled(workers);
  if (inner.aborted) throw inner.reason;
  return [...done.values()].toSorted((left, right) => left.index - right.index);
}

/** The first error is the one to tell; the other workers stop. */
async function leaveOnError(worker: () => Promise<void>, leave: AbortController): Promise<void> {
  try {
    await worker();
  } catch (error) {
    leave.abort(error);
    throw error;
  }
}

function count(
  {facts}: GatewayCore,
  name: string,
  {rows = 0, bytes = 0, chunksDone = 0}: Partial<Pick<SnapshotProgress, 'rows' | 'bytes' | 'chunksDone'>>,
): void {
  const known = facts.snapshots.get(name);
  if (known === undefined) return;
  const sums = {rows: known.rows + rows, bytes: known.bytes + bytes, chunksDone: known.chunksDone + chunksDone};
  facts.snapshots.set(name, {...known, ...sums});
}

/** A position of the log behind all that the views saw: where the source cannot tell it before, once what is sealed has come there. */
async function endOfViews({core, name, signal, onWaiting}: SnapshotWork): Promise<bigint> {
  const {source, manifest, facts, clock} = core;
  const target = await source.currentPosition(core.context(signal), name);
  if (typeof target === 'bigint') return target;
  onWaiting();
  facts.awaited.add(name);
  try {
    for (;;) {
      const {end} = manifest.state;
      if (end !== null && hasReached(end, target)) return end.position;
      await clock.sleep(LOOK_MS, signal);
    }
  } finally {
    facts.awaited.delete(name);
  }
}

async function finish(work: SnapshotWork, snapshot: SnapshotManifest): Promise<void> {
  const {core, name, signal} = work;
  const {manifest, event, clock, facts} = core;
  const {plan, chunks} = snapshot;
  const until = await endOfViews(work);
  const file = await writeSnapshot(manifest.staging, snapshot);
  signal.throwIfAborted();
  const positions = [plan.position, ...chunks.flatMap(({view}) => view?.position ?? [])];
  const rows = sum(chunks, (chunk) => chunk.rows);
  const bytes = sum(chunks, (chunk) => chunk.rawBytes);
  const startedAtMs = facts.snapshots.get(name)?.startedAtMs ?? clock.nowMs();
  await manifest.append({
    kind: 'snapshot',
    epoch: plan.epoch,
    name,
    id: plan.id,
    file,
    table: plan.table,
    logFrom: plan.logFrom,
    demand: plan.demand,
    rows,
    bytes,
    position: positions.reduce((least, each) => (each < least ? each : least)),
    until,
  });
  failpoint('gateway.snapshot-finished');
  // A quiet log reaches the end of the views only when something moves it.
  await core.source.heartbeat?.(core.context(signal)).catch(() => undefined);
  event('snapshot_finished', 'info', `The snapshot of ${name} is staged: ${rows} rows.`, {
    table: name,
    facts: {rows, bytes, milliseconds: clock.nowMs() - startedAtMs},
  });
}

function sum<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0);
}
