import {isDeepStrictEqual} from 'node:util';

import {IngestError, isIngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import {offsetsEqual} from '../core/offset.ts';
import {schemaToJson} from '../core/schema-json.ts';
import {typesEqual} from '../core/schema.ts';
import type {Metadata} from '../delta/actions.ts';
import type {BatchCounts, BatchFile, FlowOffset, SideFiles} from '../delta/batch-file.ts';
import {currentBatch, writeBatchFile} from '../delta/batch-files.ts';
import {withColumnMetadata, withMaxColumnId} from '../delta/column-mapping.ts';
import type {CommitRequest, DeltaContext, DeltaTable} from '../delta/delta-table.ts';
import {openTable} from '../delta/table.ts';
import {appendBatch} from './append-batch.ts';
import {AppendSql} from './append-sql.ts';
import type {ApplyEngine, ApplyInput, ApplyJob, ApplyMode, ApplyResult, LeftOut} from './apply-engine.ts';
import type {BatchContext, TableChange} from './batch-context.ts';
import {ColumnSql} from './column-sql.ts';
import {DifferenceSql} from './difference-sql.ts';
import {duckDbDialect} from './duckdb-dialect.ts';
import {historyBatch} from './history-batch.ts';
import {keyedBatch} from './keyed-batch.ts';
import {MergeSql} from './merge-sql.ts';
import {SideFileStore} from './side-files.ts';
import {heldBatch, replacingBatch} from './snapshot-batch.ts';
import {WorkTables} from './work-tables.ts';

/** Runs merges in the context's embedded engine. Jobs of different tables may run at once; those of one table must not. */
export function createDuckDbApply(context: DeltaContext): ApplyEngine {
  return new DuckDbApply(context);
}

const MODES: Readonly<Record<ApplyMode, (context: BatchContext) => Promise<TableChange>>> = {
  append: appendBatch,
  scd1: keyedBatch,
  scd2: historyBatch,
  hold: heldBatch,
  replace: replacingBatch,
};

const NO_SIDE_FILES: SideFiles = {
  tombstones: [],
  ledger: [],
  tail: [],
  pending: [],
  hidden: [],
  truncates: [],
  authors: [],
};
const NOWHERE: FlowOffset = {rows: null, deletes: null};

/** The last commit that was tried for a flow; its outcome may not have been seen. */
interface Attempt {
  readonly batch: BatchFile;
  /** Without a version: that of the commit was not seen. */
  readonly result: ApplyResult;
}

class DuckDbApply implements ApplyEngine {
  readonly kind = 'duckdb';
  readonly #context: DeltaContext;
  readonly #tables = new Map<string, DeltaTable>();
  readonly #attempts = new Map<string, Attempt>();

  constructor(context: DeltaContext) {
    this.#context = context;
  }

  async apply(given: ApplyJob, signal: AbortSignal, leftOut: LeftOut | null = null): Promise<ApplyResult> {
    const job: ApplyJob = {...given, inputs: given.inputs.filter(hasFiles), deletes: given.deletes.filter(hasFiles)};
    const startedAtMs = this.#context.clock.nowMs();
    try {
      const table = await this.#open(job.tableRoot);
      return this.#answered(job, table) ?? (await this.#run(job, {table, signal, startedAtMs, leftOut}));
    } catch (error) {
      // What the log holds now is not known: the next job reads it.
      this.#tables.delete(job.tableRoot);
      throw error;
    }
  }

  async #open(root: string): Promise<DeltaTable> {
    const known = this.#tables.get(root);
    if (known !== undefined) {
      await known.refresh();
      return known;
    }
    const table = await openTable(this.#context, root);
    if (table === null)
      throw new IngestError('NOT_A_DELTA_TABLE', `There is no table at ${root}.`, {context: {table: root}});
    this.#tables.set(root, table);
    return table;
  }

  /**
   * The result of an earlier call with this job whose commit is in the log, whether its answer was lost or not; null when the
   * job is to be run. @throws CONCURRENT_RUN when somebody else moved the flow.
   */
  #answered(job: ApplyJob, table: DeltaTable): ApplyResult | null {
    const committed = table.snapshot.txns.get(job.flowId)?.version ?? null;
    if (committed === job.previousBatchId) return null;
    const attempt = this.#attempts.get(attemptKey(job));
    const isOurs = attempt?.batch.batchId === committed && attempt.batch.previousBatchId === job.previousBatchId;
    if (
      attempt !== undefined &&
      isOurs &&
      sameOffsets(attempt.batch.start, job.start) &&
      sameOffsets(attempt.batch.end, job.end)
    ) {
      return {...attempt.result, version: attempt.result.version ?? table.snapshot.version};
    }
    throw concurrentRun(job, committed);
  }

  async #run(
    given: ApplyJob,
    run: {
      readonly table: DeltaTable;
      readonly signal: AbortSignal;
      readonly startedAtMs: number;
      readonly leftOut: LeftOut | null;
    },
  ): Promise<ApplyResult> {
    const {table, signal} = run;
    const previous = await currentBatch(this.#context.store, table, given.flowId);
    const job = withTableColumns(given, table, previous);
    const metadata = changedMetadata(job, table);
    await using work = new WorkTables(this.#context.engine, signal);
    const context = this.#batchContext(job, {table, signal, work, previous, leftOut: run.leftOut});
    const change = await MODES[job.mode](context);
    failpoint('apply.data-written');
    const side = await this.#sideFiles(context, change);
    failpoint('apply.side-files-written');
    const counts = countsOf(job, change);
    const changesRows = change.adds.length + change.removes.length > 0;
    if (!changesRows && metadata === null && !isNews(job, previous, side)) {
      return {
        version: null,
        batchId: job.previousBatchId,
        counts,
        writtenBytes: 0,
        milliseconds: this.#context.clock.nowMs() - run.startedAtMs,
      };
    }
    const batch = await this.#writeBatch(job, counts, side);
    failpoint('apply.batch-file-written');
    const result: ApplyResult = {
      version: null,
      batchId: batch.batchId,
      counts,
      writtenBytes: newBytes(table, change),
      milliseconds: 0,
    };
    this.#attempts.set(attemptKey(job), {batch, result});
    const version = await this.#commit(job, table, commitRequest(table, {job, change, batch, metadata}));
    const seen = {...result, version, milliseconds: this.#context.clock.nowMs() - run.startedAtMs};
    this.#attempts.set(attemptKey(job), {batch, result: seen});
    return seen;
  }

  #batchContext(
    job: ApplyJob,
    run: {
      readonly table: DeltaTable;
      readonly signal: AbortSignal;
      readonly work: WorkTables;
      readonly previous: BatchFile | null;
      readonly leftOut: LeftOut | null;
    },
  ): BatchContext {
    const {table, signal, work, previous, leftOut} = run;
    const goesOn = previous?.inSnapshot === true && !sameOffsets(job.start, NOWHERE);
    const before = previous?.side ?? NO_SIDE_FILES;
    const columns = new ColumnSql(duckDbDialect, job);
    return {
      delta: this.#context,
      table,
      job,
      signal,
      columns,
      sql: new MergeSql(columns),
      append: new AppendSql(columns),
      difference: new DifferenceSql(columns),
      work,
      side: new SideFileStore(this.#context, {table, flowId: job.flowId, schema: job.schema}, signal),
      before: goesOn ? before : {...before, pending: [], ...(isWhole(job) ? {ledger: []} : {})},
      leftOut,
    };
  }

  async #sideFiles(context: BatchContext, change: TableChange): Promise<SideFiles> {
    const {job, before, side} = context;
    const changed = await change.side();
    return {
      tombstones: changed.tombstones ?? before.tombstones,
      ledger: await side.appendLedger(before.ledger, job.ledger),
      tail: changed.tail ?? before.tail,
      pending: changed.pending ?? [],
      hidden: changed.hidden ?? before.hidden,
      truncates: changed.truncates ?? before.truncates,
      authors: changed.authors ?? before.authors,
    };
  }

  async #writeBatch(job: ApplyJob, counts: BatchCounts, side: SideFiles): Promise<BatchFile> {
    const {store, clock} = this.#context;
    const content: Omit<BatchFile, 'batchId'> = {
      formatVersion: 1,
      flowId: job.flowId,
      previousBatchId: job.previousBatchId,
      start: job.start,
      end: job.end,
      inSnapshot: job.mode === 'hold',
      schema: job.schema,
      counts,
      side,
      writtenAt: new Date(clock.nowMs()).toISOString(),
      notes: job.notes,
    };
    // Invariant 4: every attempt has a fresh batch id; one that another attempt took is passed over.
    return writeBatchFile(store, job.tableRoot, content, job.previousBatchId);
  }

  async #commit(job: ApplyJob, table: DeltaTable, request: CommitRequest): Promise<number> {
    try {
      return (await table.commit(request)).version;
    } catch (error) {
      if (!isIngestError(error, 'COMMIT_CONFLICT')) throw error;
      this.#attempts.delete(attemptKey(job));
      const {txns} = await table.refresh();
      const committed = txns.get(job.flowId)?.version ?? null;
      if (committed !== job.previousBatchId) throw concurrentRun(job, committed, error);
      throw error;
    }
  }
}

/** True for a read of the whole table: one that begins anew drops what was held, and what the ledger knew, of the one before. */
function isWhole({mode}: ApplyJob): boolean {
  return mode === 'hold' || mode === 'replace';
}

/** False for staged inputs without a file: there is nothing to read. */
function hasFiles(input: ApplyInput): boolean {
  return input.kind === 'relation' || input.files.length > 0;
}

function attemptKey(job: ApplyJob): string {
  return `${job.tableRoot} ${job.flowId}`;
}

function sameOffsets(left: FlowOffset, right: FlowOffset): boolean {
  return offsetsEqual(left.rows, right.rows) && offsetsEqual(left.deletes, right.deletes);
}

function concurrentRun(job: ApplyJob, committed: number | null, cause?: unknown): IngestError {
  const [expected, found] = [job.previousBatchId ?? 'none', committed ?? 'none'];
  return new IngestError(
    'CONCURRENT_RUN',
    `Another run committed to ${job.tableRoot}: the last batch is ${found}, this run went on from ${expected}.`,
    {
      fix: 'Let one run at a time write the table; this one goes on from the new batch when started again.',
      context: {table: job.tableRoot},
      ...(cause === undefined ? {} : {cause}),
    },
  );
}

/** The metadata action of a batch whose schema is new; null when the table's schema stays. Held rows are not visible, nor is their schema. */
function changedMetadata(job: ApplyJob, table: DeltaTable): Metadata | null {
  const {schema, metadata} = table.snapshot;
  if (job.mode === 'hold' || schemaToJson(schema) === schemaToJson(job.schema)) return null;
  if (job.mode !== 'replace' || keepsHistory(job)) refuseRewrite(job, table);
  return withMaxColumnId({...metadata, schemaString: schemaToJson(job.schema)}, job.schema);
}

/** True for a refresh that leaves the versions or changes before it. */
function keepsHistory({target, dropHistory, keepsChanges}: ApplyJob): boolean {
  return (target === 'scd2' && dropHistory !== true) || keepsChanges === true;
}

/** The job with what the table knows of its columns; new ones have their names in files, those of held rows the same as there. */
function withTableColumns(job: ApplyJob, {snapshot}: DeltaTable, previous: BatchFile | null): ApplyJob {
  const known = previous?.inSnapshot === true ? [snapshot.schema, previous.schema] : [snapshot.schema];
  return {...job, schema: withColumnMetadata(snapshot.metadata, known, job.schema)};
}

/** @throws INCOMPATIBLE_SCHEMA_CHANGE when rows that stay do not fit the job's schema. */
function refuseRewrite(job: ApplyJob, table: DeltaTable): void {
  if (table.snapshot.files.size === 0) return;
  const types = new Map(job.schema.fields.map((field) => [field.name, field.type]));
  for (const field of table.snapshot.schema.fields) {
    const type = types.get(field.name);
    if (type !== undefined && typesEqual(type, field.type)) continue;
    throw new IngestError(
      'INCOMPATIBLE_SCHEMA_CHANGE',
      `Column "${field.name}" of ${job.tableRoot} ${type === undefined ? 'is missing in' : 'has another type in'} the batch.`,
      {
        fix: keepsHistory(job)
          ? 'Read the table anew with a full refresh that drops the history.'
          : 'Read the table anew with a full refresh.',
        context: {table: job.tableRoot, column: field.name},
      },
    );
  }
}

/** True when a batch that changes no row must be written down all the same. */
function isNews(job: ApplyJob, previous: BatchFile | null, side: SideFiles): boolean {
  const moved = !sameOffsets(job.end, previous?.end ?? NOWHERE);
  const inSnapshot = previous?.inSnapshot ?? false;
  return (
    moved ||
    inSnapshot !== (job.mode === 'hold') ||
    !isDeepStrictEqual(side, previous?.side ?? NO_SIDE_FILES) ||
    !isDeepStrictEqual(job.notes, previous?.notes ?? {})
  );
}

function countsOf(job: ApplyJob, change: TableChange): BatchCounts {
  const {quarantined, ...rows} = change.counts;
  return {...rows, ...job.counts, quarantinedRows: job.counts.quarantinedRows + quarantined};
}

/** Bytes of files that were not live before: those that only got a deletion vector are not new. */
function newBytes(table: DeltaTable, change: TableChange): number {
  return change.adds.reduce((sum, file) => (table.snapshot.files.has(file.path) ? sum : sum + file.size), 0);
}

function commitRequest(
  table: DeltaTable,
  content: {
    readonly job: ApplyJob;
    readonly change: TableChange;
    readonly batch: BatchFile;
    readonly metadata: Metadata | null;
  },
): CommitRequest {
  const {job, change, batch, metadata} = content;
  const {inserted, updated, deleted} = change.counts;
  return {
    base: table.snapshot,
    operation: change.operation,
    ...(change.writeMode === null ? {} : {operationParameters: {mode: change.writeMode}}),
    operationMetrics: {
      numTargetRowsInserted: `${inserted}`,
      numTargetRowsUpdated: `${updated}`,
      numTargetRowsDeleted: `${deleted}`,
      numOutputBytes: `${newBytes(table, change)}`,
    },
    adds: change.adds,
    removes: change.removes,
    cdc: change.cdc,
    txn: {appId: job.flowId, version: batch.batchId},
    ...(metadata === null ? {} : {metadata}),
    blindAppend: change.blindAppend,
  };
}
