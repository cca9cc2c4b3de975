import type {ErrorCode} from './error-codes.ts';

/**
 * How the framework answers an error: `transient` is retried with jitter, `throttled` waits as told, `config` stops and
 * names the path, `data` is quarantined or stops the flow, `conflict` reloads and retries or stops the run, `bug` stops.
 */
export type ErrorClass = 'transient' | 'throttled' | 'config' | 'data' | 'conflict' | 'bug';

/** What an {@link IngestError} is made of. */
export interface IngestErrorInit {
  /** Decides retry, see {@link ErrorClass}; default: the class that `error-codes.ts` gives the code. */
  readonly class?: ErrorClass;
  /** What the user can do about it, one sentence. */
  readonly fix?: string;
  /** Where it happened, as plain data: path, table, option. Never secrets or row values. */
  readonly context?: Readonly<Record<string, string | number | boolean | null>>;
  /** The error underneath. */
  readonly cause?: unknown;
  /** For class `throttled`: how long the source asked us to wait, in milliseconds. */
  readonly retryAfterMs?: number;
}

/** The one error type that Sluice throws on purpose: a code of the manual, what happened, and how to fix it. */
export class IngestError extends Error {
  readonly code: ErrorCode;
  readonly class: ErrorClass;
  readonly fix: string | undefined;
  readonly context: Readonly<Record<string, string | number | boolean | null>>;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, init: IngestErrorInit = {}) {
    super(message, init.cause === undefined ? undefined : {cause: init.cause});
    this.name = 'IngestError';
    this.code = code;
    this.class = init.class ?? DEFAULT_CLASS[code] ?? 'bug';
    this.fix = init.fix;
    this.context = init.context ?? {};
    this.retryAfterMs = init.retryAfterMs;
  }
}

/** Narrows an unknown thrown value to an {@link IngestError}, optionally with one code. */
export function isIngestError(error: unknown, code?: ErrorCode): error is IngestError {
  return error instanceof IngestError && (code === undefined || error.code === code);
}

/** True when trying again may help without anybody changing anything. */
export function isRetryable(error: unknown): boolean {
  return error instanceof IngestError && (error.class === 'transient' || error.class === 'throttled');
}

/** The text of any thrown value, for a message of ours. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const DEFAULT_CLASS: Readonly<Record<ErrorCode, ErrorClass>> = {
  INVALID_SPEC: 'config',
  INVALID_OPTION: 'config',
  INVALID_PREDICATE: 'config',
  INVALID_SCHEMA: 'config',
  UNKNOWN_CONNECTOR: 'config',
  INVALID_CONNECTOR: 'config',
  UNKNOWN_TABLE: 'config',
  UNKNOWN_COLUMN: 'config',
  MISSING_SECRET: 'config',
  MISSING_KEY: 'config',
  MISSING_SEQUENCE: 'config',
  UNBOUNDED_TABLE: 'config',
  UNSUPPORTED: 'config',
  CONNECTION_FAILED: 'transient',
  AUTH_FAILED: 'config',
  PERMISSION_DENIED: 'config',
  SOURCE_ERROR: 'transient',
  THROTTLED: 'throttled',
  SOURCE_SCHEMA_CHANGED: 'transient',
  CONTRACT_VIOLATION: 'bug',
  OFFSET_LOOP: 'bug',
  OFFSET_EXPIRED: 'config',
  LOG_LOST: 'config',
  NOT_STAGED: 'config',
  STAGING_DAMAGED: 'config',
  OFFSET_TOO_LARGE: 'bug',
  DUPLICATE_KEY: 'data',
  BAD_RECORD: 'data',
  CONSTRAINT_VIOLATION: 'data',
  RESCUE_LIMIT: 'data',
  QUARANTINE_LIMIT: 'data',
  INCOMPATIBLE_SCHEMA_CHANGE: 'data',
  TOO_MANY_DELETES: 'data',
  TABLE_NOT_OURS: 'config',
  TABLE_CHANGED_OUTSIDE: 'config',
  UNSUPPORTED_TABLE_FEATURE: 'config',
  NOT_A_DELTA_TABLE: 'config',
  VERSION_GONE: 'config',
  CORRUPT_LOG: 'bug',
  COMMIT_CONFLICT: 'conflict',
  CONCURRENT_RUN: 'conflict',
  STORE_UNSAFE: 'config',
  STORAGE_FAILED: 'transient',
  STORAGE_FULL: 'config',
  STORAGE_READ_ONLY: 'config',
  ENGINE_FAILED: 'bug',
  OUT_OF_MEMORY: 'config',
  CANCELLED: 'config',
  VERIFY_FAILED: 'data',
};
