import type {Random} from '../core/clock.ts';
import type {PlainJson} from '../core/offset.ts';
import type {ChangeLogSource, Finding} from '../sdk/change-log.ts';
import type {CallContext} from '../sdk/contract.ts';
import type {Compression} from '../staging/block-file.ts';
import type {StateListener} from '../staging/manifest-writer.ts';
import type {Staging} from '../staging/staging.ts';

/** What a gateway is made of. */
export interface GatewayOptions {
  readonly source: ChangeLogSource;
  readonly staging: Staging;
  /** Names of the tables that are wanted, as the source's `listTables` gives them; asked again and again. */
  readonly tables: (signal: AbortSignal) => Promise<readonly string[]>;
  /** For the source. Its signal stops the gateway: what was read is sealed first. */
  readonly context: CallContext;
  readonly random: Random;
  readonly onEvent: (event: GatewayEvent) => void;
  /** Told what staging holds, behind every entry: nobody in this process needs to look for it. */
  readonly onState?: StateListener;
  readonly limits?: Partial<GatewayLimits>;
  /**
   * False while no snapshot may be read: paused, or outside of `full_refresh_window`. Asked with milliseconds since 1970 before a
   * snapshot and before each of its chunks. Default: always true.
   */
  readonly maySnapshot?: (nowMs: number) => boolean;
}

/** How much and how often. */
export interface GatewayLimits {
  /** A segment is sealed behind the commit that makes it so large; raw bytes, 8 to 64 MB. */
  readonly sealBytes: number;
  /** A segment is sealed in the middle of a transaction when it is so large. */
  readonly cutBytes: number;
  /** A segment is sealed behind a commit when its first change is so old. */
  readonly sealMs: number;
  /** The log is not read on while so much is not sealed. */
  readonly maxUnsealedBytes: number;
  /** How often a quiet log's progress is written down. */
  readonly advanceMs: number;
  readonly tablesMs: number;
  readonly healthMs: number;
  readonly statusMs: number;
  readonly heartbeatMs: number;
  readonly retentionMs: number;
  readonly parallelTables: number;
  /** Of all tables together. */
  readonly parallelChunks: number;
  /** Of all snapshots together; 0 is no limit. */
  readonly snapshotBytesPerSecond: number;
  readonly logCompression: Compression;
  readonly snapshotCompression: Compression;
  /** The first and the longest wait before something is tried again. */
  readonly retryMs: number;
  readonly maxRetryMs: number;
  /** What all pipelines applied is kept for so long. */
  readonly minAgeMs: number;
  /** After so long it is deleted all the same, and the tables that were not applied are read anew. */
  readonly maxAgeMs: number;
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** What holds where nothing else is said. */
export const DEFAULT_LIMITS: GatewayLimits = {
  sealBytes: 8 << 20,
  cutBytes: 16 << 20,
  sealMs: 1000,
  maxUnsealedBytes: 48 << 20,
  advanceMs: 10_000,
  tablesMs: 30_000,
  healthMs: 30_000,
  statusMs: 5000,
  heartbeatMs: 5 * MINUTE_MS,
  retentionMs: 10 * MINUTE_MS,
  parallelTables: 2,
  parallelChunks: 4,
  snapshotBytesPerSecond: 0,
  logCompression: 'none',
  snapshotCompression: 'none',
  retryMs: 1000,
  maxRetryMs: MINUTE_MS,
  minAgeMs: 60 * MINUTE_MS,
  maxAgeMs: 30 * DAY_MS,
};

/** What happened in a gateway. */
export interface GatewayEvent {
  readonly type:
    | 'started'
    | 'stopped'
    | 'finding'
    | 'epoch_began'
    | 'streaming'
    | 'table_added'
    | 'table_removed'
    | 'table_reset'
    | 'table_blocked'
    | 'snapshot_started'
    | 'snapshot_resumed'
    | 'snapshot_finished'
    | 'snapshot_failed'
    | 'storage_full'
    | 'storage_recovered'
    | 'retry'
    | 'health'
    | 'retired';
  readonly level: 'info' | 'warning' | 'error';
  readonly message: string;
  /** As the source names it. */
  readonly table?: string;
  /** Plain facts: bytes, rows, positions; no secrets, no values of rows. `standstill`: nothing is staged until this has passed. */
  readonly facts?: Readonly<Record<string, PlainJson>>;
  readonly finding?: Finding;
}
