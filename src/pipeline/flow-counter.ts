import type {ApplyResult} from '../apply/apply-engine.ts';
import type {Clock} from '../core/clock.ts';
import {IngestError} from '../core/errors.ts';
import type {FlowProgress, FlowState} from './events.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import type {Verdict} from './verify-verdict.ts';

const REPORT_EVERY_MS = 200;

/** Counts one flow through one update, over all its attempts, and reports: at once on a change of state, else a few times a second. */
export class FlowCounter {
  readonly #clock: Clock;
  readonly #report: (progress: FlowProgress) => void;
  #startedAtMs: number;
  #progress: FlowProgress;
  #inFlight = 0;
  #lastReportMs = 0;
  #cursorMs: number | null = null;
  /** Null while the flow goes on. */
  #endedAtMs: number | null = null;

  constructor(
    names: {readonly flow: string; readonly sourceTable: string},
    clock: Clock,
    report: (progress: FlowProgress) => void,
  ) {
    this.#clock = clock;
    this.#report = report;
    this.#startedAtMs = clock.nowMs();
    this.#progress = {
      ...names,
      state: 'QUEUED',
      rowsRead: 0,
      rowsInserted: 0,
      rowsUpdated: 0,
      rowsDeleted: 0,
      rescuedValues: 0,
      quarantinedRows: 0,
      bytesWritten: 0,
      batches: 0,
      version: null,
      totalRows: null,
      elapsedMs: 0,
      attempt: 1,
    };
  }

  /** Committed work, plus the rows of the batch being read in `rowsRead`. */
  get progress(): FlowProgress {
    const lag =
      this.#cursorMs === null ? {} : {lagMs: Math.max(0, (this.#endedAtMs ?? this.#clock.nowMs()) - this.#cursorMs)};
    return {
      ...this.#progress,
      ...lag,
      rowsRead: this.#progress.rowsRead + this.#inFlight,
      elapsedMs: (this.#endedAtMs ?? this.#clock.nowMs()) - this.#startedAtMs,
    };
  }

  setState(state: FlowState): void {
    if (state === 'COMPLETED') this.#endedAtMs = this.#clock.nowMs();
    this.#progress = {...this.#progress, state};
    this.#emit();
  }

  /** Rows in all, if the source knows. */
  setTotal(totalRows: number): void {
    this.#progress = {...this.#progress, totalRows: this.#progress.rowsRead + totalRows};
  }

  startAttempt(attempt: number): void {
    this.#inFlight = 0;
    // Time spent in the queue is not the flow's.
    if (attempt === 1) this.#startedAtMs = this.#clock.nowMs();
    this.#progress = {...this.#progress, attempt};
  }

  /** Rows of the batch under way so far. */
  reading(rows: number): void {
    this.#inFlight = rows;
    if (this.#clock.nowMs() - this.#lastReportMs >= REPORT_EVERY_MS) this.#emit();
  }

  applied(result: ApplyResult): void {
    const {counts} = result;
    const before = this.#progress;
    this.#inFlight = 0;
    this.#progress = {
      ...before,
      rowsRead: before.rowsRead + counts.read,
      rowsInserted: before.rowsInserted + counts.inserted,
      rowsUpdated: before.rowsUpdated + counts.updated,
      rowsDeleted: before.rowsDeleted + counts.deleted,
      rescuedValues: before.rescuedValues + counts.rescuedValues,
      quarantinedRows: before.quarantinedRows + counts.quarantinedRows,
      bytesWritten: before.bytesWritten + result.writtenBytes,
      batches: before.batches + (result.version === null ? 0 : 1),
      version: result.version ?? before.version,
    };
    this.#emit();
  }

  /** The largest timestamp cursor that is committed, in microseconds since 1970. */
  committedUpTo(cursorMicros: bigint): void {
    this.#cursorMs = Math.max(this.#cursorMs ?? Number.NEGATIVE_INFINITY, Number(cursorMicros / 1000n));
  }

  /** What a comparison with the source said. */
  verified(verdict: Verdict): void {
    this.#progress = {...this.#progress, verdict};
  }

  failed(
    state: 'FAILED' | 'STOPPED',
    error: {readonly code: string; readonly message: string; readonly fix?: string | undefined},
  ): void {
    this.#inFlight = 0;
    this.#endedAtMs = this.#clock.nowMs();
    this.#progress = {
      ...this.#progress,
      state,
      errorCode: error.code,
      errorMessage: error.message,
      ...(error.fix === undefined ? {} : {errorFix: error.fix}),
    };
    this.#emit();
  }

  /** @throws RESCUE_LIMIT or QUARANTINE_LIMIT when this update would go past what the user set; nothing of the batch is written. */
  checkLimits(rescued: number, quarantined: number, flow: ResolvedFlow): void {
    const {maxRescuedValues, maxQuarantinedRows} = flow.configuration;
    const rescuedInAll = this.#progress.rescuedValues + rescued;
    if (maxRescuedValues !== null && rescuedInAll > maxRescuedValues)
      throw overLimit('RESCUE_LIMIT', `${rescuedInAll} values did not fit their columns`, maxRescuedValues, flow);
    const quarantinedInAll = this.#progress.quarantinedRows + quarantined;
    if (maxQuarantinedRows !== null && quarantinedInAll > maxQuarantinedRows)
      throw overLimit('QUARANTINE_LIMIT', `${quarantinedInAll} rows cannot land`, maxQuarantinedRows, flow);
  }

  #emit(): void {
    this.#lastReportMs = this.#clock.nowMs();
    this.#report(this.progress);
  }
}

function overLimit(
  code: 'RESCUE_LIMIT' | 'QUARANTINE_LIMIT',
  what: string,
  limit: number,
  flow: ResolvedFlow,
): IngestError {
  const option = code === 'RESCUE_LIMIT' ? 'max_rescued_values' : 'max_quarantined_rows';
  return new IngestError(code, `${flow.name}: ${what}, more than ${option}: ${limit}. The batch was not written.`, {
    fix: `Look at the rows with: sluice preview ${flow.sourceTable}, then correct the source, the schema or ${option}.`,
    context: {table: flow.name},
  });
}
