import type {ApplyJob, LeftOut} from '../apply/apply-engine.ts';
import type {QuarantinedRow} from '../core/coerce.ts';
import {IngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import {type Offset, offsetsEqual, offsetText} from '../core/offset.ts';
import {alterTable} from '../delta/alter-table.ts';
import type {FlowOffset} from '../delta/batch-file.ts';
import {readBatchFile} from '../delta/batch-files.ts';
import type {PartitionPlan, ReadContext} from '../sdk/contract.ts';
import {createLoopGuard} from '../sdk/loop-guard.ts';
import {backfill, backfillRequested, notFilled, passingLedger, unfillable} from './backfill.ts';
import {BatchReader, emptyBatch, MAX_BATCH_BYTES, MAX_BATCH_ROWS, type ReadBatch} from './batch-reader.ts';
import {createDestination, foreignCommits, openDestination, type Destination} from './destination.ts';
import {FlowSchema} from './evolve-flow.ts';
import type {RowsThen} from './evolve-plan.ts';
import {BACKFILL_PROPERTY, waitingColumns} from './evolve-table.ts';
import type {FlowCounter} from './flow-counter.ts';
import {keyScanDeletes, keyScanIsDue, rememberKeyScan} from './key-scan.ts';
import {openLedger, type OpenLedger} from './ledger.ts';
import {discardOrphans, writeQuarantine} from './quarantine.ts';
import {appendCursorOf, checkToldApart, isChosenOtherwise, isReadAlike, notesOf} from './read-notes.ts';
import {refuseToForget} from './resolve-history.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import type {FlowServices} from './services.ts';
import {keepClustering} from './table-layout.ts';
import {keepPoint, type KeptPoint, type TriggerEnd} from './verify-after.ts';

/** What is asked of one trigger of a flow. */
export interface TriggerRequest {
  readonly fullRefresh: boolean;
  /** It is the source that wants a full refresh: nobody knows any more what changed. Default false. */
  readonly isExpired?: boolean;
  /** Columns to fill for the rows that are there, by their names in the table or in the source. */
  readonly backfill?: readonly string[];
  /** A full refresh begins the history of a table that keeps one anew. Default false. */
  readonly dropHistory?: boolean;
  /** Microseconds since 1970, the same for all flows of an update. */
  readonly triggerStartedAt: bigint;
  readonly signal: AbortSignal;
}

const NOWHERE: FlowOffset = {rows: null, deletes: null};
/** A first load above this gets deletion vectors, where the user lets us choose. */
const VECTORS_FROM_BYTES = 256 * 1024 * 1024;

/** One trigger of one flow: reads micro-batches until nothing is new and commits each with its offset. For one use. */
export class FlowRun {
  readonly #services: FlowServices;
  readonly #schema: FlowSchema;
  readonly #request: TriggerRequest;
  readonly #counter: FlowCounter;
  readonly #ledger: OpenLedger;
  #destination: Destination | null = null;
  /** The table is read from the beginning: what the ledger knows of the reading before does not count. */
  #isAnew = false;
  /** The whole table was read by this trigger, or by one that it goes on from. */
  #readAnew = false;
  /** The source as the partitions read it, for the comparison afterwards. */
  #point: KeptPoint | null = null;

  constructor(
    services: FlowServices,
    flow: ResolvedFlow,
    options: {readonly request: TriggerRequest; readonly counter: FlowCounter},
  ) {
    this.#services = services;
    this.#schema = new FlowSchema(services, flow);
    this.#request = options.request;
    this.#counter = options.counter;
    const {engine, store} = services.context;
    this.#ledger = openLedger({
      engine,
      localPath: (name) => store.localPath(name),
      root: flow.root,
      files: () => (this.#isAnew ? [] : (this.#destination?.batch?.side.ledger ?? [])),
    });
  }

  /** Runs the trigger to its end. @throws what made it stop; everything committed before stays. */
  async run(): Promise<TriggerEnd> {
    try {
      await this.#run();
    } catch (error) {
      await this.#point?.[Symbol.asyncDispose]();
      throw error;
    }
    const point = this.#point;
    return {
      flow: this.#flow,
      readAnew: this.#readAnew,
      point,
      [Symbol.asyncDispose]: async () => point?.[Symbol.asyncDispose](),
    };
  }

  async #run(): Promise<void> {
    const {context, pipelineKey} = this.#services;
    this.#destination = await openDestination(context, this.#flow, pipelineKey, this.#request.fullRefresh);
    if (this.#destination !== null) await this.#welcome(this.#destination);
    if (this.#destination !== null) await this.#prepare(this.#destination);
    this.#services.defined?.(this.#flow);
    this.#noteForgetting();
    this.#counter.setState('RUNNING');
    if (this.#flow.ingestionType === 'snapshot') await this.#runSnapshot();
    else await this.#runIncremental();
  }

  /** The rows are to be read anew: the user says so, or the policy for changes that they cannot stay under. */
  get #isAsked(): boolean {
    return this.#request.fullRefresh || this.#schema.isReloading;
  }

  /** The flow in the table's terms. */
  get #flow(): ResolvedFlow {
    return this.#schema.flow;
  }

  /** What is read anew goes into the history of the rows that are there. */
  get #keepsHistory(): boolean {
    return (this.#flow.target === 'scd2' && !this.#dropsHistory) || this.#keepsChanges;
  }

  /** Changes that are kept as rows stay, unless somebody asks for others in their place. */
  get #keepsChanges(): boolean {
    const {target, changes} = this.#flow;
    const isReplaced = (this.#request.fullRefresh && this.#request.isExpired !== true) || this.#schema.isReloading;
    return target === 'append' && changes !== null && !isReplaced;
  }

  get #dropsHistory(): boolean {
    return this.#request.fullRefresh && this.#request.dropHistory === true;
  }

  #reader(
    other: {readonly flow?: ResolvedFlow; readonly readContext?: (isFirstCall: boolean) => ReadContext} = {},
  ): BatchReader {
    return new BatchReader(this.#services, other.flow ?? this.#flow, {
      ...this.#request,
      counter: this.#counter,
      readContext: other.readContext ?? ((isFirstCall) => this.#readContext(isFirstCall)),
      ensureTable: (estimatedBytes) => this.#ensureTable(estimatedBytes),
      onPlan: (plan, rows) => this.#keepPoint(plan, rows),
      note: (level, code, message) => this.#note(level, code, message),
    });
  }

  /** What becomes of the rows that are there, as far as their schema is concerned. */
  #rowsThen(destination: Destination): RowsThen {
    if (destination.table.snapshot.files.size === 0) return 'replaced';
    // A table with history keeps its rows, whatever is read anew.
    if (this.#keepsHistory) return 'stay';
    if (this.#request.fullRefresh) return 'refreshed';
    if (this.#flow.ingestionType === 'snapshot') return 'replaced';
    return this.#isRefresh(destination) ? 'refreshed' : 'stay';
  }

  #noteForgetting(): void {
    const {configuration, keepTombstones, target, name} = this.#flow;
    const {tombstoneRetentionMs} = configuration;
    if (tombstoneRetentionMs === null || !keepTombstones || target !== 'scd1') return;
    this.#note(
      'WARN',
      'TOMBSTONES_EXPIRE',
      `Deletes of ${name} are forgotten after ${tombstoneRetentionMs / 3_600_000} hours: an older change of the key that comes later than that brings its row back.`,
    );
  }

  async #welcome(destination: Destination): Promise<void> {
    if (!this.#dropsHistory) refuseToForget(this.#flow, destination.table);
    // Before anything is read or written: a type that changed in a way that cannot land stops the flow.
    this.#schema.settle(destination, this.#rowsThen(destination));
    this.#noteForeign(destination.foreign);
    await discardOrphans(this.#services.context, this.#flow, destination);
    const {batch} = destination;
    if (batch === null || batch.inSnapshot) return;
    // Invariant 3: whoever died between commit and acknowledgement left this to us.
    if (batch.end.rows !== null) await this.#acknowledge(batch.end.rows);
    if (this.#flow.ingestionType === 'snapshot' || this.#isRefresh(destination)) return;
    checkToldApart(this.#flow, batch.notes);
    if (isChosenOtherwise(this.#flow, batch.notes)) {
      this.#note(
        'WARN',
        'FILTER_CHANGED',
        `row_filter or deletion_condition is new: rows that ${this.#flow.name} has or lacks by the old one stay so until a full refresh.`,
      );
    }
  }

  async #prepare(destination: Destination): Promise<void> {
    const isReplaced = !this.#keepsHistory && (this.#flow.ingestionType === 'snapshot' || this.#isRefresh(destination));
    await this.#schema.prepare(destination, {isReplaced, backfill: this.#columnsToFill(destination, isReplaced)});
    await keepClustering(this.#flow, destination.table);
  }

  #columnsToFill({table}: Destination, isReplaced: boolean): readonly string[] {
    const asked = backfillRequested(this.#flow, this.#request.backfill ?? []);
    if (isReplaced || table.snapshot.files.size === 0) return [];
    const fresh = this.#flow.configuration.backfillNewColumns ? this.#schema.newColumns : [];
    const reason = unfillable(this.#flow);
    if (fresh.length === 0 || reason === null) return [...new Set([...fresh, ...asked])];
    const {level, code, message} = notFilled(this.#flow, {columns: fresh, reason});
    this.#services.note({level, flow: this.#flow.name, code, message});
    return [];
  }

  /** Fills columns for the rows that were there before them, or goes on with it. */
  async #fill(): Promise<void> {
    const destination = this.#destination;
    if (destination === null || destination.batch === null) return;
    const {table, batch} = destination;
    const waiting = waitingColumns(table.snapshot.metadata.configuration);
    if (waiting === null) return;
    const ledger = passingLedger();
    await backfill({
      flow: this.#flow,
      waiting,
      batch,
      triggerStartedAt: this.#request.triggerStartedAt,
      reader: this.#reader({
        flow: {...this.#flow, ingestionType: 'cdc'},
        readContext: (isFirstCall) => ({...this.#readContext(isFirstCall), ledger}),
      }),
      apply: (read, at, {notes, ...extra}) =>
        this.#apply(this.#flow.target, read, at, {...extra, notes: {...this.#notes(false), ...notes}}),
      note: (level, code, message) => this.#note(level, code, message),
    });
    await alterTable(table, {properties: {[BACKFILL_PROPERTY]: null}});
  }

  #noteForeign(commits: Destination['foreign']): void {
    for (const {version, info} of commits) {
      this.#note(
        'WARN',
        'FOREIGN_WRITE',
        `Version ${version} (${info.operation ?? 'unknown operation'}) was written by ${info.engineInfo ?? 'another writer'}.`,
      );
    }
  }

  async #runIncremental(): Promise<void> {
    const refreshing = this.#isRefresh(this.#destination);
    let start = this.#beginning();
    this.#isAnew = refreshing && sameOffset(start, NOWHERE);
    this.#readAnew = refreshing || sameOffset(start, NOWHERE);
    const guard = createLoopGuard(this.#flow.sourceTable);
    const reader = this.#reader();
    for (let isFirst = true; ; isFirst = false) {
      const {batch, landings} = await reader.read(start, isFirst, !refreshing && this.#isLoading);
      await using _ = landings;
      const moved = !sameOffset(start, batch.end);
      guard.check({...start}, {...batch.end});
      this.#checkAppend(batch, moved, start);
      const last =
        !moved || (!batch.cut && batch.maxCursor !== null && batch.maxCursor >= this.#request.triggerStartedAt);
      if (refreshing) await this.#apply(last ? 'replace' : 'hold', batch, start);
      else if (batch.rows > 0 || moved) await this.#apply(this.#flow.target, batch, start);
      start = batch.end;
      if (last) break;
    }
    await this.#ensureTable(0);
    if (refreshing) return;
    await this.#scanKeys();
    await this.#fill();
  }

  /** True when the rows are read anew and swapped in one commit: on request, to go on with such a read, or when rows are there and nobody knows how far they go. */
  #isRefresh(destination: Destination | null): boolean {
    if (destination === null) return false;
    const isUnknown = destination.batch === null && destination.table.snapshot.files.size > 0;
    return this.#isAsked || destination.batch?.inSnapshot === true || isUnknown;
  }

  /** The table has no rows yet, or most of those that came last were new. */
  get #isLoading(): boolean {
    const counts = this.#destination?.batch?.counts;
    return counts === undefined || counts.inserted >= counts.read / 2;
  }

  /** Where the trigger begins. Rows that are held aside are gone on with only as they were read. */
  #beginning(): FlowOffset {
    const batch = this.#destination?.batch ?? null;
    if (batch === null || this.#isAsked) return NOWHERE;
    if (!batch.inSnapshot) return this.#flow.ingestionType === 'snapshot' ? NOWHERE : batch.end;
    if (isReadAlike(this.#flow, batch.notes)) return batch.end;
    this.#note(
      'WARN',
      'SNAPSHOT_RESTARTED',
      'The interrupted read of the whole table begins anew, because its columns or configuration changed.',
    );
    return NOWHERE;
  }

  async #runSnapshot(): Promise<void> {
    this.#readAnew = true;
    let start = this.#beginning();
    this.#isAnew = sameOffset(start, NOWHERE);
    const guard = createLoopGuard(this.#flow.sourceTable);
    const reader = this.#reader();
    for (let isFirst = true; ; isFirst = false) {
      const {batch, landings, whole} = await reader.read(start, isFirst);
      await using _ = landings;
      const last = whole || (!batch.cut && (batch.end.rows === null || offsetsEqual(batch.end.rows, start.rows)));
      if (!last) guard.check({...start}, {...batch.end});
      await this.#apply(last ? 'replace' : 'hold', batch, start);
      if (last) return;
      start = batch.end;
    }
  }

  /** An append-only flow cannot tell a re-delivered row unless it knows keys or the offset moves. */
  #checkAppend(batch: ReadBatch, moved: boolean, start: FlowOffset): void {
    if (this.#flow.target !== 'append' || moved || batch.rows === 0 || appendCursorOf(this.#flow) !== null) return;
    throw new IngestError(
      'CONTRACT_VIOLATION',
      `Table "${this.#flow.sourceTable}" gave ${batch.rows} rows without moving its offset ${textOf(start)}; appending them could repeat them.`,
      {
        fix: 'Set table_configuration.primary_keys, so that repeated rows are known, or correct the connector.',
        context: {table: this.#flow.sourceTable},
      },
    );
  }

  async #apply(
    mode: ApplyJob['mode'],
    batch: ReadBatch,
    start: FlowOffset,
    extra: Partial<ApplyJob> = {},
  ): Promise<void> {
    const {signal} = this.#request;
    this.#counter.checkLimits(batch.rescuedValues, batch.quarantined.length, this.#flow);
    const destination = await this.#ensureTable(0);
    await this.#lookForOthers(destination);
    if (batch.quarantined.length > 0)
      await writeQuarantine(this.#services.context, this.#flow, {destination, rows: batch.quarantined});
    const result = await this.#services.apply.apply(
      {
        tableRoot: this.#flow.root,
        flowId: destination.flowId,
        previousBatchId: destination.batch?.batchId ?? null,
        mode,
        target: this.#flow.target,
        keys: this.#flow.keys,
        sequence: this.#flow.sequence,
        keysUnique: batch.keysUnique,
        onDuplicateKey: this.#flow.configuration.onDuplicateKey,
        trackedColumns: this.#flow.trackedColumns,
        ignoreNullColumns: this.#flow.ignoreNullColumns,
        snapshotAt: this.#request.triggerStartedAt,
        tombstoneRetentionMs: this.#flow.configuration.tombstoneRetentionMs,
        keepTombstones: this.#flow.keepTombstones,
        dropHistory: this.#dropsHistory,
        keepsChanges: this.#keepsChanges,
        deletesWinTies: false,
        appendCursor: appendCursorOf(this.#flow),
        schema: this.#schema.schema,
        inputs: batch.inputs,
        deletes: batch.deletes,
        start,
        end: batch.end,
        ledger: this.#ledger.take(),
        counts: {read: batch.rows, rescuedValues: batch.rescuedValues, quarantinedRows: batch.quarantined.length},
        notes: this.#notes(mode === 'hold'),
        ...extra,
      },
      signal,
      this.#leftOut(batch),
    );
    failpoint('pipeline.committed');
    if (batch.maxCursor !== null) this.#counter.committedUpTo(batch.maxCursor);
    this.#counter.applied(result);
    if (result.version !== null && mode !== 'hold') this.#schema.announce();
    if (result.version !== null) {
      await this.#schema.committed(destination.table, mode === 'replace');
      await this.#reload(destination, result.batchId);
    }
    if (batch.end.rows !== null && mode !== 'hold') await this.#acknowledge(batch.end.rows);
    failpoint('pipeline.acknowledged');
  }

  #notes(isHeld: boolean): ApplyJob['notes'] {
    return {...notesOf(this.#flow, isHeld), ...this.#schema.notes(this.#destination)};
  }

  /** Others may have written while the batch was read: once ours is committed nobody looks back at them. */
  async #lookForOthers({table, flowId}: Destination): Promise<void> {
    const before = table.snapshot.version;
    const {version} = await table.refresh();
    if (version === before) return;
    this.#schema.checkSame(table.snapshot);
    if (!this.#isAsked)
      this.#noteForeign((await foreignCommits(table, this.#flow, flowId)).filter((commit) => commit.version > before));
  }

  async #acknowledge(offset: Offset): Promise<void> {
    await this.#services.open.connector.acknowledge?.(this.#flow.sourceTable, offset, this.#readContext(false));
  }

  /** Rows that apply leaves out are written down before the table is seen without them. */
  #leftOut({rescuedValues, quarantined}: ReadBatch): LeftOut {
    let count = quarantined.length;
    const path = this.#flow.keys.join(', ');
    const layAside = async (reason: QuarantinedRow['reason'], records: readonly string[]): Promise<void> => {
      count += records.length;
      this.#counter.checkLimits(rescuedValues, count, this.#flow);
      const rows = records.map((record): QuarantinedRow => ({reason, path, record}));
      await writeQuarantine(this.#services.context, this.#flow, {destination: await this.#ensureTable(0), rows});
    };
    return {
      duplicates: (records) => layAside('DUPLICATE_KEY', records),
      incomplete: (records) => layAside('INCOMPLETE_ROW', records),
    };
  }

  async #reload(destination: Destination, batchId: number | null): Promise<void> {
    const batch =
      batchId === null
        ? destination.batch
        : await readBatchFile(this.#services.context.store, this.#flow.root, destination.flowId, batchId);
    this.#destination = {...destination, batch};
    this.#isAnew = false;
    this.#ledger.committed();
  }

  async #ensureTable(estimatedBytes: number): Promise<Destination> {
    if (this.#destination !== null) return this.#destination;
    const {context, pipelineKey} = this.#services;
    this.#destination = await createDestination(context, this.#flow, {
      pipelineKey,
      deletionVectors: choosesVectors(this.#flow, estimatedBytes),
    });
    this.#schema.made(this.#destination);
    return this.#destination;
  }

  /** Deletes rows whose keys the source no longer has, when that is configured and due. */
  async #scanKeys(): Promise<void> {
    const destination = this.#destination;
    const {connector} = this.#services.open;
    if (destination === null || connector.scanKeys === undefined || !(await keyScanIsDue(this.#services, this.#flow)))
      return;
    await using scan = await keyScanDeletes(this.#services, this.#flow, {
      table: destination.table,
      ctx: this.#readContext(false),
    });
    if (scan.count > 0) {
      const end = destination.batch?.end ?? NOWHERE;
      await this.#apply(this.#flow.target, {...emptyBatch(end), deletes: [scan.input]}, end, {deletesWinTies: true});
    }
    await rememberKeyScan(this.#services, this.#flow);
  }

  async #keepPoint(plan: PartitionPlan, rows: number): Promise<void> {
    await this.#point?.[Symbol.asyncDispose]();
    this.#point = await keepPoint(this.#flow, plan, {schema: this.#schema.schema, rows, ctx: this.#readContext(false)});
  }

  #readContext(isFirstCall: boolean): ReadContext {
    const {context, log, files} = this.#services;
    return {
      signal: this.#request.signal,
      clock: context.clock,
      log,
      files,
      progress: (update) => {
        if (update.totalRows !== undefined) this.#counter.setTotal(update.totalRows);
        if (update.note !== undefined) this.#note('INFO', 'SOURCE_NOTE', update.note);
      },
      limits: {maxRows: this.#flow.configuration.maxRecordsPerBatch ?? MAX_BATCH_ROWS, maxBytes: MAX_BATCH_BYTES},
      triggerStartedAt: this.#request.triggerStartedAt,
      isFirstCall,
      ledger: this.#ledger,
    };
  }

  #note(level: 'INFO' | 'WARN', code: string, message: string): void {
    this.#services.note({level, flow: this.#flow.name, code, message});
  }
}

/** Whether a new table gets deletion vectors. */
export function choosesVectors(flow: ResolvedFlow, estimatedBytes: number): boolean {
  if (flow.target === 'append' || flow.keys.length === 0) return false;
  const wanted = flow.configuration.deletionVectors;
  return wanted === 'auto' ? estimatedBytes > VECTORS_FROM_BYTES : wanted === 'true';
}

function sameOffset(left: FlowOffset, right: FlowOffset): boolean {
  return offsetsEqual(left.rows, right.rows) && offsetsEqual(left.deletes, right.deletes);
}

function textOf(offset: FlowOffset): string {
  return `${offsetText(offset.rows)}/${offsetText(offset.deletes)}`;
}
