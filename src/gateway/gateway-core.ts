import type {Clock} from '../core/clock.ts';
import {IngestError, isIngestError, isRetryable, messageOf} from '../core/errors.ts';
import type {ChangeLogSource, LogHealth} from '../sdk/change-log.ts';
import type {CallContext} from '../sdk/contract.ts';
import type {ManifestWriter} from '../staging/manifest-writer.ts';
import {DEFAULT_LIMITS, type GatewayEvent, type GatewayLimits, type GatewayOptions} from './options.ts';

/** How a table's snapshot stands, while one is read. */
export interface SnapshotProgress {
  readonly startedAtMs: number;
  readonly chunks: number;
  readonly chunksDone: number;
  readonly rows: number;
  readonly bytes: number;
  readonly estimatedRows: number | null;
  /** Rows of chunks that an earlier process has read. */
  readonly rowsBefore: number;
}

/** What the tasks of a gateway share and its status shows. Changed by the task that it is about, and by no other. */
export interface GatewayFacts {
  connection: 'starting' | 'streaming' | 'waiting' | 'storage_full' | 'stopped';
  /** Why it waits. */
  message: string | null;
  /** Tables that are followed now, as the source names them. */
  followed: ReadonlySet<string>;
  /** Tables that cannot be followed, and why. */
  readonly blocked: Map<string, string>;
  /** Those of them that are no tables, such as views. */
  readonly noTables: Set<string>;
  /** Findings that were told, as JSON text. */
  readonly findings: Set<string>;
  readonly snapshots: Map<string, SnapshotProgress>;
  /** Why a table's last snapshot failed. */
  readonly failures: Map<string, string>;
  /** Tables whose snapshots wait for the sealed log to come to the end of their views. */
  readonly awaited: Set<string>;
  health: LogHealth | null;
  unsealedBytes: number;
  logBytes: number;
  /** By this gateway's clock; null before the first. */
  lastBatchAtMs: number | null;
  lastChangeAtMs: number;
}

/** Tells what happened: type, level, a message for people, and what else there is to say. */
export type TellEvent = (
  type: GatewayEvent['type'],
  level: GatewayEvent['level'],
  message: string,
  more?: Partial<GatewayEvent>,
) => void;

/** What all tasks of a gateway work with. */
export interface GatewayCore {
  readonly source: ChangeLogSource;
  readonly manifest: ManifestWriter;
  readonly options: GatewayOptions;
  readonly limits: GatewayLimits;
  readonly clock: Clock;
  readonly facts: GatewayFacts;
  /** Ends all tasks: the gateway was stopped, or one of them failed for good. */
  readonly signal: AbortSignal;
  /** The context of the source's calls under a signal. */
  readonly context: (signal: AbortSignal) => CallContext;
  readonly event: TellEvent;
}

/** Puts together what the tasks share. */
export function gatewayCore(options: GatewayOptions, manifest: ManifestWriter, signal: AbortSignal): GatewayCore {
  const {clock} = options.context;
  return {
    source: options.source,
    manifest,
    options,
    limits: {...DEFAULT_LIMITS, ...options.limits},
    clock,
    facts: {
      connection: 'starting',
      message: null,
      followed: new Set(),
      blocked: new Map(),
      noTables: new Set(),
      findings: new Set(),
      snapshots: new Map(),
      failures: new Map(),
      awaited: new Set(),
      health: null,
      unsealedBytes: 0,
      logBytes: 0,
      lastBatchAtMs: null,
      lastChangeAtMs: clock.nowMs(),
    },
    signal,
    context: (inner) => ({...options.context, signal: inner}),
    event: (type, level, message, more = {}) => options.onEvent({type, level, message, ...more}),
  };
}

/** Waits longer with every failure in a row, by half of that at random, so that gateways do not return all at once. */
export class Backoff {
  readonly #core: GatewayCore;
  #failures = 0;

  constructor(core: GatewayCore) {
    this.#core = core;
  }

  /** It worked: the next wait is the first again. */
  reset(): void {
    this.#failures = 0;
  }

  /** Waits before the next try; a source that asked for longer is given it. @throws the signal's reason */
  async wait(error: unknown, signal: AbortSignal): Promise<void> {
    const {limits, options, clock} = this.#core;
    const full = Math.min(limits.maxRetryMs, limits.retryMs * 2 ** Math.min(this.#failures, 20));
    this.#failures++;
    const asked = isIngestError(error) ? (error.retryAfterMs ?? 0) : 0;
    await clock.sleep(Math.max(asked, full / 2 + (options.random() * full) / 2), signal);
  }
}

/** Trying again may help, without anybody or after somebody has made room. */
export function mayPass(error: unknown): boolean {
  return isRetryable(error) || isIngestError(error, 'STORAGE_FULL');
}

/** The text of an error with what to do about it. */
export function errorText(error: unknown): string {
  return isIngestError(error) && error.fix !== undefined ? `${error.message} ${error.fix}` : messageOf(error);
}

/** What ends a task that another task has ended. */
export function stopped(): IngestError {
  return new IngestError('CANCELLED', 'The gateway was asked to stop.');
}
