import type {PlainJson} from '../core/offset.ts';
import type {Verdict} from './verify-verdict.ts';

/** Lakeflow's flow states. */
export type FlowState =
  | 'QUEUED'
  | 'STARTING'
  | 'PLANNING'
  | 'RUNNING'
  | 'COMPLETED'
  | 'IDLE'
  | 'SKIPPED'
  | 'STOPPED'
  | 'EXCLUDED'
  | 'FAILED';

/** Lakeflow's update states. */
export type UpdateState =
  | 'QUEUED'
  | 'CREATED'
  | 'INITIALIZING'
  | 'RESETTING'
  | 'SETTING_UP_TABLES'
  | 'RUNNING'
  | 'STOPPING'
  | 'COMPLETED'
  | 'FAILED'
  | 'CANCELED';

/** One row of the event log, in Lakeflow's shape; see `facts` in docs/event-log.md. */
export interface PipelineEvent {
  /** UUID. */
  readonly id: string;
  /** Microseconds since 1970. */
  readonly timestampMicros: bigint;
  readonly level: 'INFO' | 'WARN' | 'ERROR' | 'METRICS';
  readonly eventType: string;
  readonly message: string;
  readonly origin: Readonly<Record<string, string | number | null>>;
  readonly details: PlainJson;
  readonly error?: {
    readonly fatal: boolean;
    readonly exceptions: readonly {
      readonly className: string;
      readonly message: string;
      readonly stack: readonly string[];
    }[];
  };
}

/** What a run tells about a flow while it goes on. */
export interface FlowProgress {
  /** `catalog.schema.table` of the destination: the flow's name. */
  readonly flow: string;
  readonly sourceTable: string;
  readonly state: FlowState;
  readonly rowsRead: number;
  readonly rowsInserted: number;
  readonly rowsUpdated: number;
  readonly rowsDeleted: number;
  readonly rescuedValues: number;
  readonly quarantinedRows: number;
  readonly bytesWritten: number;
  readonly batches: number;
  /** Delta version after the last commit of this run; null when nothing was committed. */
  readonly version: number | null;
  /** Rows in all, if the source knows. */
  readonly totalRows: number | null;
  readonly elapsedMs: number;
  /** How far the newest timestamp cursor that is committed lies behind now, in milliseconds; absent when nobody knows. */
  readonly lagMs?: number;
  /** Attempt of this run, 1 for the first. */
  readonly attempt: number;
  /** Of a comparison with the source that this run made. */
  readonly verdict?: Verdict;
  readonly errorCode?: string;
  readonly errorMessage?: string;
  readonly errorFix?: string;
}

/** What a run says, in order. */
export type RunUpdate =
  | {
      readonly kind: 'update';
      readonly updateId: string;
      readonly pipeline: string;
      readonly state: UpdateState;
      readonly message: string;
    }
  | {readonly kind: 'flow'; readonly updateId: string; readonly pipeline: string; readonly progress: FlowProgress}
  | {
      readonly kind: 'note';
      readonly updateId: string;
      readonly pipeline: string;
      readonly level: 'INFO' | 'WARN' | 'ERROR';
      readonly flow: string | null;
      readonly code: string;
      readonly message: string;
    };
