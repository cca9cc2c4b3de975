import {IngestError} from '../../core/errors.ts';
import type {GatewayEvent} from '../../gateway/options.ts';
import {hasReached, type LogTarget} from '../../sdk/change-log.ts';
import type {StagingState} from '../../staging/state.ts';

/** Waits for a gateway of this process by what it tells, without a look at its staging. */
export interface UntilStaged {
  readonly onEvent: (event: GatewayEvent) => void;
  readonly onState: (state: StagingState) => void;
  /** The gateway has ended: there is nothing more to wait for. */
  readonly end: () => void;
  /**
   * Resolves once the log is staged up to a target and every table that can be has its snapshot, or at the end.
   * @throws SOURCE_ERROR or STORAGE_FULL when the gateway has stood still for too long
   */
  reaches(target: LogTarget): Promise<void>;
}

/** A server may restart or fail over, and somebody may make room, while an update waits. */
const LONGEST_STANDSTILL_MS = 10 * 60_000;

/**
 * Hears a gateway from its start on.
 * @param maySnapshot false while it may read no snapshot: tables that lack one are not waited for
 */
export function untilStaged(
  longestStandstillMs: number = LONGEST_STANDSTILL_MS,
  maySnapshot: () => boolean = () => true,
): UntilStaged {
  const givenUp = new Set<string>();
  let isStreaming = false;
  let hasEnded = false;
  let state: StagingState | null = null;
  let failure: IngestError | null = null;
  let standstill: NodeJS.Timeout | null = null;
  let look = (): void => undefined;
  const isReached = (target: LogTarget): boolean =>
    hasEnded ||
    (isStreaming &&
      state !== null &&
      isStagedTo(state, target, maySnapshot() ? givenUp : new Set(state.tables.keys())));
  const moves = (): void => {
    if (standstill !== null) clearTimeout(standstill);
    standstill = null;
  };
  const standsStill = (event: GatewayEvent): void => {
    standstill ??= setTimeout(() => {
      failure = stoodStill(event);
      look();
    }, longestStandstillMs);
  };
  return {
    onEvent(event) {
      const {type, level, table, facts} = event;
      if (type === 'streaming') isStreaming = true;
      if (type === 'streaming' || type === 'storage_recovered') moves();
      if (facts?.['standstill'] === true) standsStill(event);
      if (table !== undefined) {
        if (type === 'table_blocked' || (type === 'snapshot_failed' && level === 'error')) givenUp.add(table);
        if (type === 'snapshot_started' || type === 'table_added') givenUp.delete(table);
      }
      look();
    },
    onState(next) {
      state = next;
      moves();
      look();
    },
    end: () => {
      hasEnded = true;
      moves();
      look();
    },
    reaches: (target) =>
      new Promise((resolve, reject) => {
        look = () => {
          if (isReached(target)) resolve();
          else if (failure !== null) reject(failure);
        };
        look();
      }),
  };
}

function stoodStill({type, message}: GatewayEvent): IngestError {
  return new IngestError(type === 'storage_full' ? 'STORAGE_FULL' : 'SOURCE_ERROR', message, {
    fix: 'See to what the message says, then run again: it goes on where this run has ended.',
  });
}

/** The log is there up to a target, and every table but those that were given up has a snapshot that the log behind it completes. */
export function isStagedTo(
  {end, tables}: StagingState,
  target: LogTarget,
  givenUp: ReadonlySet<string> = new Set(),
): boolean {
  if (end === null || !hasReached(end, target)) return false;
  return [...tables.values()].every(
    ({name, snapshot, reset}) =>
      givenUp.has(name) || (snapshot !== null && reset === null && snapshot.until <= end.position),
  );
}
