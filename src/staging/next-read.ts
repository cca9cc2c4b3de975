import type {Clock} from '../core/clock.ts';
import type {ResetReason, SnapshotEntry} from './entry.ts';
import {openManifest} from './manifest-writer.ts';
import type {LogMark} from './read-log.ts';
import type {Staging} from './staging.ts';
import type {StagedTable, StagingState} from './state.ts';

/** How far a pipeline has come with a table. */
export interface ReadPoint {
  /** Entry of the snapshot that its rows rest on. */
  readonly snapshotEntry: number;
  readonly mark: LogMark;
}

/** What a pipeline does next with a table. */
export type NextRead =
  /** Goes on in the log. */
  | {readonly kind: 'log'; readonly mark: LogMark}
  /** Reads the snapshot in full and then the log behind it; its rows are replaced. */
  | {readonly kind: 'snapshot'; readonly snapshot: SnapshotEntry}
  /** There is nothing new to read: the gateway has to stage a snapshot first. Old rows stay. */
  | {readonly kind: 'wait'; readonly reason: ResetReason | 'first_snapshot'; readonly message: string}
  /** The log behind the last snapshot is gone: a new one must be asked for, see {@link requestSnapshot}. */
  | {readonly kind: 'request'};

/** Says what a pipeline does next with a table: `at` is null when it has no rows, or wants all of them anew. */
export function nextRead(state: StagingState, table: StagedTable, at: ReadPoint | null): NextRead {
  const {snapshot, reset, broken} = table;
  const isGone = at !== null && at.mark.entry <= state.retiredThrough;
  if (at !== null && !isGone && at.snapshotEntry > broken) return {kind: 'log', mark: at.mark};
  if (snapshot !== null && snapshot.n > broken && snapshot.logFrom > state.retiredThrough) {
    return {kind: 'snapshot', snapshot};
  }
  if (reset !== null) return {kind: 'wait', reason: reset.reason, message: reset.message};
  if (snapshot === null)
    return {kind: 'wait', reason: 'first_snapshot', message: 'Its first snapshot is not complete.'};
  return {kind: 'request'};
}

/**
 * Asks the gateway for a new snapshot of a table. Asked for as `requested`, other pipelines that read the table go on as they are; as
 * `damaged`, they read it anew, too. The gateway notices within its `tablesMs`. Returns the number of the demand: a snapshot whose
 * entry has a higher number answers it.
 */
export async function requestSnapshot(
  staging: Staging,
  request: {
    readonly name: string;
    readonly message: string;
    readonly clock: Clock;
    readonly reason?: 'requested' | 'damaged';
  },
): Promise<number> {
  const manifest = await openManifest(staging, request.clock);
  const {name, message, reason = 'requested'} = request;
  const entry = await manifest.append({kind: 'reset', name, reason, message, table: null});
  return entry.n;
}
