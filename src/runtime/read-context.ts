import type {Clock} from '../core/clock.ts';
import type {ConnectorLog, Ledger, ReadContext, SourceFiles} from '../sdk/contract.ts';

/** What a read outside a flow needs: partitions in threads, previews. */
export interface ReadContextParts {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: ConnectorLog;
  readonly files: SourceFiles;
  readonly triggerStartedAt: bigint;
  /** Default 500,000. */
  readonly maxRows?: number;
}

/** A read context without a ledger: what is put into it is forgotten. */
export function readContextOf(parts: ReadContextParts): ReadContext {
  return {
    signal: parts.signal,
    clock: parts.clock,
    log: parts.log,
    files: parts.files,
    triggerStartedAt: parts.triggerStartedAt,
    isFirstCall: true,
    limits: {maxRows: parts.maxRows ?? 500_000, maxBytes: 128 * 1024 * 1024},
    ledger: FORGETFUL,
    progress: () => undefined,
  };
}

const FORGETFUL: Ledger = {get: () => Promise.resolve(new Map()), put: () => undefined};

/** A log that nobody reads. */
export const silentLog: ConnectorLog = {debug: () => undefined, info: () => undefined, warn: () => undefined};
