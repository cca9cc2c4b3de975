import type {ApplyInput} from '../apply/apply-engine.ts';
import type {QuarantinedRow} from '../core/coerce.ts';
import {IngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import {type Offset, offsetsEqual} from '../core/offset.ts';
import {RESCUED_COLUMN} from '../core/types.ts';
import type {AddFile} from '../delta/actions.ts';
import type {FlowOffset} from '../delta/batch-file.ts';
import {mappingMode, physicalNames} from '../delta/column-mapping.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import type {PartitionPlan, ReadContext} from '../sdk/contract.ts';
import type {Destination} from './destination.ts';
import {EarlyFiles} from './early-files.ts';
import type {FlowCounter} from './flow-counter.ts';
import {
  deletesSelect,
  deletesShape,
  Landing,
  makesDeletes,
  maxCursorSql,
  movedKeysSelect,
  rowsSelect,
  rowsShape,
} from './landing.ts';
import {driveStream, type BatchBudget, type StreamEnd} from './read-stream.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import type {FlowServices} from './services.ts';
import {stageRows, writeRows} from './stage-rows.ts';

/** What one micro-batch brought. */
export interface ReadBatch {
  readonly inputs: readonly ApplyInput[];
  readonly deletes: readonly ApplyInput[];
  readonly end: FlowOffset;
  readonly rows: number;
  readonly rescuedValues: number;
  readonly quarantined: readonly QuarantinedRow[];
  /** Each key is in it once, because the source says so. */
  readonly keysUnique: boolean;
  readonly cut: boolean;
  /** Largest timestamp cursor, microseconds since 1970. */
  readonly maxCursor: bigint | null;
}

/** Rows of a micro-batch, unless the configuration says otherwise. */
export const MAX_BATCH_ROWS = 500_000;
/** Bytes of a micro-batch. */
export const MAX_BATCH_BYTES: number = 128 * 1024 * 1024;
const MAX_BATCH_MS = 60_000;
/** Rows of a snapshot that wait in the engine's table before they become data files. */
const HAND_OVER_BYTES = 24 * 1024 * 1024;

/** What a reader needs of the trigger that it reads for. */
export interface ReaderOptions {
  readonly signal: AbortSignal;
  /** Microseconds since 1970. */
  readonly triggerStartedAt: bigint;
  readonly counter: FlowCounter;
  readonly readContext: (isFirstCall: boolean) => ReadContext;
  /** The destination, made when it is first needed; the estimate is of the bytes that come first. */
  readonly ensureTable: (estimatedBytes: number) => Promise<Destination>;
  /** A plan whose partitions were read, before it is disposed; the number is that of its rows. */
  readonly onPlan: (plan: PartitionPlan, rows: number) => Promise<void>;
  readonly note: (level: 'INFO' | 'WARN', code: string, message: string) => void;
}

/** Reads the micro-batches of one trigger from the connector into the engine. */
export class BatchReader {
  readonly #services: FlowServices;
  readonly #flow: ResolvedFlow;
  readonly #options: ReaderOptions;

  constructor(services: FlowServices, flow: ResolvedFlow, options: ReaderOptions) {
    this.#services = services;
    this.#flow = flow;
    this.#options = options;
  }

  /**
   * Reads one micro-batch, in partitions or by one call. `whole`: partitions brought all there is, and no more of them follow.
   * @param isLoad its rows are likely to be new, each of them, and are written while those after them are read.
   */
  async read(
    start: FlowOffset,
    isFirst: boolean,
    isLoad = false,
  ): Promise<{readonly batch: ReadBatch; readonly landings: AsyncDisposable; readonly whole: boolean}> {
    const {connector} = this.#services.open;
    const ctx = this.#options.readContext(isFirst);
    // Partitions become data files at once: where a row may turn into the delete of an older one, it must be looked at first.
    const isFirstOfItsKey = start.rows === null && this.#flow.keysEnforced;
    const canPartition =
      (isFirstOfItsKey || !makesDeletes(this.#flow)) &&
      this.#flow.truncateCondition === null &&
      this.#flow.ingestionType !== 'cdc_with_deletes' &&
      connector.readPartition !== undefined;
    const isPartitioned = (from: Offset | null): boolean =>
      connector.isPartitioned?.(this.#flow.sourceTable, from, this.#flow.options) === true;
    if (canPartition && isPartitioned(start.rows)) {
      const batch = await this.#readPartitions(start, ctx);
      const whole = this.#flow.ingestionType === 'snapshot' || !isPartitioned(batch.end.rows);
      return {batch, landings: NOTHING_TO_DROP, whole};
    }
    return {...(await this.#readCall(start, ctx, isLoad)), whole: false};
  }

  async #readPartitions(start: FlowOffset, ctx: ReadContext): Promise<ReadBatch> {
    const {connector} = this.#services.open;
    const {sourceTable, options} = this.#flow;
    const estimate = start.rows === null ? await connector.estimate?.(sourceTable, options, ctx) : undefined;
    if (start.rows === null && connector.readsPartitionsHere !== true)
      this.#services.extract.warm?.(estimate?.rows ?? null);
    const end = (await connector.latestOffset?.(sourceTable, start.rows, options, ctx)) ?? null;
    if (start.rows !== null && offsetsEqual(start.rows, end)) return emptyBatch(start);
    if (estimate?.rows !== undefined) this.#options.counter.setTotal(estimate.rows);
    await this.#options.ensureTable(estimate?.bytes ?? 0);
    const plan = await connector.getPartitions?.(sourceTable, {start: start.rows, end}, options, ctx);
    if (plan === undefined)
      throw new IngestError(
        'CONTRACT_VIOLATION',
        `Connector "${this.#services.open.definition.name}" is partitioned but has no getPartitions.`,
      );
    const files: AddFile[] = [];
    const quarantined: QuarantinedRow[] = [];
    let rows = 0;
    let rescuedValues = 0;
    try {
      const job = {
        connection: this.#services.connection,
        flow: this.#flow,
        schema: this.#flow.tableSchema,
        partitions: plan.partitions,
        parallelHere: plan.parallelHere ?? null,
        estimatedRows: plan.estimatedRows ?? estimate?.rows ?? null,
        triggerStartedAt: this.#options.triggerStartedAt,
      };
      for await (const done of this.#services.extract.run(job, this.#options.signal)) {
        files.push(...done.files);
        quarantined.push(...done.quarantined);
        rows += done.rows;
        rescuedValues += done.rescuedValues;
        this.#options.counter.reading(rows);
      }
      await this.#options.onPlan(plan, rows);
    } finally {
      await plan[Symbol.asyncDispose]?.();
    }
    const inputs: ApplyInput[] = files.length === 0 ? [] : [{kind: 'staged', files}];
    return {
      inputs,
      deletes: [],
      end: {rows: plan.end ?? end, deletes: null},
      rows,
      rescuedValues,
      quarantined,
      keysUnique: this.#flow.keysEnforced && start.rows === null && plan.mayRepeat !== true,
      cut: false,
      maxCursor: null,
    };
  }

  async #readCall(
    start: FlowOffset,
    ctx: ReadContext,
    isLoad: boolean,
  ): Promise<{readonly batch: ReadBatch; readonly landings: AsyncDisposable}> {
    const {connector} = this.#services.open;
    const {sourceTable, options} = this.#flow;
    const {engine} = this.#services.context;
    const landing = new Landing(engine, rowsShape(this.#flow));
    const deletes =
      this.#flow.ingestionType === 'cdc_with_deletes' ? new Landing(engine, deletesShape(this.#flow)) : null;
    const early = isLoad && this.#mayWriteEarly() ? this.#earlyFiles(landing) : null;
    const landings = disposeAll([early, landing, deletes].filter((each) => each !== null));
    try {
      const drive = {
        table: sourceTable,
        budget: this.#budget(),
        ctx,
        onPage: (): void => this.#options.counter.reading(landing.counts.rows + (deletes?.counts.rows ?? 0)),
      };
      const written: AddFile[] = [];
      const rowsEnd = await driveStream(connector.readTable(sourceTable, start.rows, options, ctx), landing, {
        ...drive,
        ...(this.#mayHandOver() ? {afterPage: async () => this.#handOver(landing, written, HAND_OVER_BYTES)} : {}),
        ...(early === null ? {} : {afterPage: async () => this.#writeEarly(landing, early)}),
      });
      // In files or not, but not both: rows that are chosen among must be in one place.
      if (written.length > 0) await this.#handOver(landing, written, 0);
      const deletesEnd = deletes === null ? null : await this.#driveDeletes(start, deletes, drive);
      failpoint('read.finished');
      const batch = await this.#landed(landing, deletes, {rowsEnd, deletesEnd, written, early});
      return {batch, landings};
    } catch (error) {
      await landings[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Rows of a snapshot are all of one moment and one kind: they may become data files before the last of them is read. */
  #mayHandOver(): boolean {
    const {ingestionType, changes, configuration} = this.#flow;
    return (
      ingestionType === 'snapshot' &&
      changes === null &&
      !makesDeletes(this.#flow) &&
      this.#flow.truncateCondition === null &&
      configuration.onDuplicateKey === 'fail'
    );
  }

  async #handOver(landing: Landing, written: AddFile[], fromBytes: number): Promise<void> {
    if (landing.waitingBytes < fromBytes) return;
    const {table} = await this.#options.ensureTable(landing.counts.bytes);
    const job = {table, flow: this.#flow, schema: this.#flow.tableSchema, signal: this.#options.signal};
    await landing.handOver(async (select) => {
      written.push(...(await writeRows(job, select)));
    });
  }

  /** Rows that may become rows of the table as they are; where files are cut by more than their size, they are written together. */
  #mayWriteEarly(): boolean {
    const {ingestionType, target, ignoreNullColumns, configuration} = this.#flow;
    const {partitionColumns, clusteringColumns} = configuration;
    return (
      ingestionType !== 'snapshot' &&
      target === 'scd1' &&
      ignoreNullColumns.length + partitionColumns.length + clusteringColumns.length === 0
    );
  }

  #earlyFiles(landing: Landing): EarlyFiles {
    return new EarlyFiles(landing, async (select) => {
      const {table} = await this.#options.ensureTable(landing.counts.bytes);
      return writeRows({table, flow: this.#flow, schema: this.#flow.tableSchema, signal: this.#options.signal}, select);
    });
  }

  async #writeEarly(landing: Landing, early: EarlyFiles): Promise<void> {
    if (!early.isDue) return;
    // Here, lest two make it at once.
    await this.#options.ensureTable(landing.counts.bytes);
    early.begin();
  }

  async #driveDeletes(
    start: FlowOffset,
    deletes: Landing,
    drive: Parameters<typeof driveStream>[2],
  ): Promise<StreamEnd> {
    const {connector, definition} = this.#services.open;
    const pages = connector.readTableDeletes?.(this.#flow.sourceTable, start.deletes, this.#flow.options, drive.ctx);
    if (pages === undefined) {
      throw new IngestError(
        'CONTRACT_VIOLATION',
        `Connector "${definition.name}" declares cdc_with_deletes for "${this.#flow.sourceTable}" but has no readTableDeletes.`,
      );
    }
    return driveStream(pages, deletes, drive);
  }

  async #landed(
    landing: Landing,
    deletes: Landing | null,
    ends: {
      readonly rowsEnd: StreamEnd;
      readonly deletesEnd: StreamEnd | null;
      readonly written: readonly AddFile[];
      readonly early: EarlyFiles | null;
    },
  ): Promise<ReadBatch> {
    const rows = await this.#rowInputs(landing, ends.early);
    const gone = await this.#deleteInputs(deletes);
    const {rowsEnd, deletesEnd} = ends;
    for (const [field, count] of landing.counts.unknownFields) {
      this.#options.note(
        'INFO',
        'UNKNOWN_FIELD',
        `${count} records have a field "${field}" that the schema of "${this.#flow.sourceTable}" does not have.`,
      );
    }
    return {
      inputs: [
        ...(ends.written.length === 0 ? [] : [{kind: 'staged' as const, files: ends.written}]),
        ...rows.inputs,
        ...gone.asRows,
      ],
      deletes: gone.deletes,
      end: {rows: rowsEnd.offset, deletes: deletesEnd?.offset ?? null},
      rows: landing.counts.rows + rows.fileRows + (deletes?.counts.rows ?? 0),
      rescuedValues: landing.counts.rescuedValues + rows.fileRescued + (deletes?.counts.rescuedValues ?? 0),
      quarantined: [...landing.counts.quarantined, ...(deletes?.counts.quarantined ?? [])],
      keysUnique: false,
      cut: rowsEnd.cut || deletesEnd?.cut === true,
      maxCursor: rows.maxCursor,
    };
  }

  async #rowInputs(
    landing: Landing,
    early: EarlyFiles | null,
  ): Promise<{
    readonly inputs: readonly ApplyInput[];
    readonly fileRows: number;
    readonly fileRescued: number;
    readonly maxCursor: bigint | null;
  }> {
    const landed = await landing.finish({
      // Among changes the order of arrival counts.
      filesToo: makesDeletes(this.#flow) || this.#flow.changes !== null,
    });
    const inputs: ApplyInput[] = [];
    let maxCursor: bigint | null = null;
    if (landed.table !== null) {
      const moved = movedKeysSelect(this.#flow, landed.table);
      if (moved !== null) inputs.push({kind: 'relation', select: moved});
      const written = (await early?.finish()) ?? [];
      inputs.push({
        kind: 'relation',
        select: rowsSelect(this.#flow, landed.table, {ordered: true}),
        ...(written.length === 0 ? {} : {written}),
      });
      const sql = maxCursorSql(this.#flow, landed.table);
      const value =
        sql === null ? null : (await this.#services.context.engine.query(sql, this.#options.signal))[0]?.['m'];
      if (typeof value === 'bigint') maxCursor = value;
    }
    if (landed.files.length === 0) return {inputs, fileRows: 0, fileRescued: 0, maxCursor};
    const staged = await this.#stageFiles(landing, landed.files);
    inputs.push({kind: 'staged', files: staged});
    const {table} = await this.#options.ensureTable(0);
    return {inputs, ...countStaged(staged, storedName(table, RESCUED_COLUMN)), maxCursor};
  }

  /** Rows of files go straight into data files: apply adds them as they are where the mode allows it. */
  async #stageFiles(landing: Landing, selects: readonly string[]): Promise<readonly AddFile[]> {
    const {table} = await this.#options.ensureTable(landing.counts.bytes);
    const files: AddFile[] = [];
    const job = {table, flow: this.#flow, schema: this.#flow.tableSchema, signal: this.#options.signal};
    for (const select of selects) files.push(...(await stageRows(job, landing, select)));
    return files;
  }

  async #deleteInputs(
    deletes: Landing | null,
  ): Promise<{readonly asRows: readonly ApplyInput[]; readonly deletes: readonly ApplyInput[]}> {
    const landed = await deletes?.finish();
    if (landed === undefined || landed.table === null) return {asRows: [], deletes: []};
    const input: ApplyInput = {kind: 'relation', select: deletesSelect(this.#flow, landed.table)};
    return this.#flow.target === 'append' ? {asRows: [input], deletes: []} : {asRows: [], deletes: [input]};
  }

  #budget(): BatchBudget {
    const {clock} = this.#services.context;
    return {
      maxRows: this.#flow.configuration.maxRecordsPerBatch ?? MAX_BATCH_ROWS,
      maxBytes: MAX_BATCH_BYTES,
      deadlineMs: clock.nowMs() + MAX_BATCH_MS,
    };
  }
}

const NOTHING_TO_DROP: AsyncDisposable = {[Symbol.asyncDispose]: () => Promise.resolve()};

function disposeAll(resources: readonly AsyncDisposable[]): AsyncDisposable {
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      for (const resource of resources) await resource[Symbol.asyncDispose]();
    },
  };
}

/** A batch that brought nothing. */
export function emptyBatch(end: FlowOffset): ReadBatch {
  return {
    inputs: [],
    deletes: [],
    end,
    rows: 0,
    rescuedValues: 0,
    quarantined: [],
    keysUnique: false,
    cut: false,
    maxCursor: null,
  };
}

/** The name of a column in statistics. */
function storedName({snapshot}: DeltaTable, name: string): string {
  return physicalNames(snapshot.schema, [name], mappingMode(snapshot.metadata))[0] ?? name;
}

function countStaged(
  files: readonly AddFile[],
  rescued: string,
): {readonly fileRows: number; readonly fileRescued: number} {
  let fileRows = 0;
  let fileRescued = 0;
  for (const file of files) {
    const stats = JSON.parse(file.stats ?? '{}') as {numRecords?: number; nullCount?: Record<string, number>};
    const rows = stats.numRecords ?? 0;
    fileRows += rows;
    fileRescued += rows - (stats.nullCount?.[rescued] ?? rows);
  }
  return {fileRows, fileRescued};
}
