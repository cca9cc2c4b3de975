import {rowsOf, type Cell} from '../core/cells.ts';
import type {Clock} from '../core/clock.ts';
import {isIngestError} from '../core/errors.ts';
import type {JsonObject} from '../core/json-value.ts';
import {checkOffset, type Offset, offsetsEqual} from '../core/offset.ts';
import type {ResolvedFlow} from '../pipeline/resolved-flow.ts';
import type {CallContext, Connector, Page, ReadContext} from '../sdk/contract.ts';
import {createLoopGuard} from '../sdk/loop-guard.ts';
import {coerceChanges} from './proof-changes.ts';
import {expectThat, type Finding, ProofFailure} from './proof-failure.ts';
import {memoryLedger, type ProofOffset} from './proof-ledger.ts';
import {cellAtPath, coerceRecords, proofRow, type ProofRow} from './proof-rows.ts';
import {ReferenceTable} from './reference-table.ts';

/** Where a target gets its connector, which may be another one after a kill. */
export interface ProofHost {
  readonly connector: Connector;
  readonly clock: Clock;
  callContext(clock: Clock): CallContext;
}

/** How a trigger reads. */
export interface ProofTrigger {
  /** Rows after which a batch is cut at the next offset. Default: never. */
  readonly maxRows?: number;
  /** Cuts at every offset, as a run does when its batch is large or takes long, whatever the connector was told. */
  readonly cutsEverywhere?: boolean;
  /** Called after each page, numbered from 0 through the whole trigger; what it throws kills the run there. */
  readonly onPage?: (page: number) => void | Promise<void>;
  /** Called when partitions are planned, and before any is read. */
  readonly onPlan?: () => void | Promise<void>;
}

/** What one batch brought. */
export interface ProofBatch {
  readonly start: ProofOffset;
  readonly end: ProofOffset;
  readonly cut: boolean;
  /** Rows of each page, of rows and deletes in this order. */
  readonly pages: readonly number[];
  /** Offsets that came with pages. */
  readonly offsets: readonly Offset[];
  readonly records: readonly JsonObject[];
  readonly deletes: readonly JsonObject[];
}

/** What one trigger brought. */
export interface ProofReport {
  readonly batches: readonly ProofBatch[];
  /** Pages of all batches. */
  readonly pages: number;
  /** Rows that the destination has otherwise than before. */
  readonly changed: number;
}

/** Calls after which a trigger must have ended. */
const MAX_CALLS = 20_000;
/** Calls in a row that bring nothing and yet move the offset. */
const MAX_IDLE_CALLS = 400;
const NOWHERE: ProofOffset = {rows: null, deletes: null};
const NEVER_CUT = 1_000_000_000;

interface ReadBatch extends ProofBatch {
  readonly rows: readonly {readonly row: ProofRow; readonly cursor: Cell}[];
  readonly gone: readonly ProofRow[];
  readonly maxCursor: bigint | null;
  /** Partitions brought all there is. */
  readonly whole: boolean;
}

/**
 * A flow into a table in memory: drives the connector as a run does (cuts at page offsets, ends a trigger, goes on from
 * the last committed offset) and applies what comes to a {@link ReferenceTable}. A batch that fails leaves nothing.
 */
export class ProofTarget {
  readonly flow: ResolvedFlow;
  readonly reference: ReferenceTable;
  /** Records of the truth with the rows that they land as. */
  readonly knownTruth: WeakMap<JsonObject, ProofRow> = new WeakMap<JsonObject, ProofRow>();
  readonly #host: ProofHost;
  readonly #clock: Clock;
  readonly #tracksKeyScans: boolean;
  readonly #maxPages: number;
  readonly #hidesRows: boolean;
  readonly #ledger = memoryLedger();
  #offset: ProofOffset = NOWHERE;
  /** Rows of a snapshot that is not complete yet. */
  #held: ProofRow[] | null = null;
  /** Rows of a table that is read anew. */
  #anew: ReferenceTable | null = null;

  constructor(
    host: ProofHost,
    flow: ResolvedFlow,
    options: {
      readonly tracksKeyScans: boolean;
      readonly clock?: Clock;
      /** A call ends at the next offset, a trigger with its batch, after so many pages. Default: they end by themselves. */
      readonly maxPages?: number;
      /** Messages show no values: the rows are those of a real account. Default false. */
      readonly hidesRows?: boolean;
    },
  ) {
    this.#host = host;
    this.flow = flow;
    this.#clock = options.clock ?? host.clock;
    this.#tracksKeyScans = options.tracksKeyScans;
    this.#maxPages = options.maxPages ?? Infinity;
    this.#hidesRows = options.hidesRows ?? false;
    this.reference = new ReferenceTable(flow);
  }

  /** Where the flow stands: the end of the last committed batch. */
  get offset(): ProofOffset {
    return this.#offset;
  }

  /**
   * Runs one trigger to its end; an offset that the source no longer knows makes it read the table anew, once.
   * @throws whatever the connector or `onPage` throws; committed batches stay.
   */
  async trigger(options: ProofTrigger = {}): Promise<ProofReport> {
    try {
      return await this.#trigger(options);
    } catch (error) {
      if (!isIngestError(error, 'OFFSET_EXPIRED')) throw error;
      this.#anew = new ReferenceTable(this.flow);
      this.#offset = NOWHERE;
      this.#held = null;
      return this.#trigger(options);
    }
  }

  async #trigger(options: ProofTrigger): Promise<ProofReport> {
    const triggerStartedAt = this.#clock.nowMicros();
    const isSnapshot = this.flow.ingestionType === 'snapshot';
    const guard = createLoopGuard(this.flow.sourceTable);
    const batches: ProofBatch[] = [];
    let pages = 0;
    let changed = 0;
    let start = isSnapshot && this.#held === null ? NOWHERE : this.#offset;
    if ((isSnapshot || this.#anew !== null) && sameOffset(start, NOWHERE)) this.#ledger.clear();
    const onPage = async (): Promise<void> => {
      const page = pages++;
      await options.onPage?.(page);
    };
    const counted = {...options, onPage};
    let idle = 0;
    for (let call = 0; ; call++) {
      expectThat(call < MAX_CALLS && idle < MAX_IDLE_CALLS, () => endless(this.flow.sourceTable, call));
      const batch = await this.#read(start, {...counted, triggerStartedAt, isFirstCall: call === 0});
      idle = batch.rows.length + batch.gone.length === 0 ? idle + 1 : 0;
      const moved = !sameOffset(start, batch.end);
      const isEnd = isSnapshot
        ? batch.whole || (!batch.cut && (batch.end.rows === null || offsetsEqual(batch.end.rows, start.rows)))
        : !moved || (!batch.cut && batch.maxCursor !== null && batch.maxCursor >= triggerStartedAt);
      if (!isSnapshot || !isEnd) guard.check({...start}, {...batch.end});
      changed += isSnapshot ? this.#hold(batch, isEnd) : this.#apply(batch, moved);
      this.#ledger.commit();
      batches.push(batch);
      start = batch.end;
      this.#offset = start;
      if (isEnd || pages >= this.#maxPages) break;
    }
    if (this.#anew !== null) changed = this.reference.replace(this.#anew.rows);
    this.#anew = null;
    if (this.#tracksKeyScans && !isSnapshot) changed += await this.#scanKeys(triggerStartedAt);
    return {batches, pages, changed};
  }

  /** Reads from an offset to the end of a trigger without keeping anything of it. */
  async readOn(start: ProofOffset): Promise<readonly ProofBatch[]> {
    const batches: ProofBatch[] = [];
    const triggerStartedAt = this.#clock.nowMicros();
    for (let at = start, call = 0; call < MAX_CALLS; call++) {
      const batch = await this.#read(at, {triggerStartedAt, isFirstCall: call === 0});
      batches.push(batch);
      if (batch.whole || batch.end.rows === null || sameOffset(at, batch.end)) break;
      if (batch.maxCursor !== null && batch.maxCursor >= triggerStartedAt) break;
      at = batch.end;
    }
    this.#ledger.rollBack();
    return batches;
  }

  /** Reads one batch from an offset without keeping anything of it. */
  async peek(start: ProofOffset, options: ProofTrigger = {}): Promise<ProofBatch> {
    return this.#read(start, {...options, triggerStartedAt: this.#clock.nowMicros(), isFirstCall: true}).finally(() =>
      this.#ledger.rollBack(),
    );
  }

  /** What a read gets. */
  readContext(call: {
    readonly triggerStartedAt: bigint;
    readonly isFirstCall: boolean;
    readonly maxRows?: number;
  }): ReadContext {
    return {
      ...this.#host.callContext(this.#clock),
      progress: () => undefined,
      limits: {maxRows: call.maxRows ?? 500_000, maxBytes: 128 * 1024 * 1024},
      triggerStartedAt: call.triggerStartedAt,
      isFirstCall: call.isFirstCall,
      ledger: this.#ledger,
    };
  }

  /** Records as the rows that would land. */
  rows(records: readonly JsonObject[]): readonly ProofRow[] {
    return coerceRecords(this.flow, records, 'rows').rows;
  }

  /** A page as the rows that would land. @throws ProofFailure when one would not. */
  rowsOfPage(page: Page): readonly ProofRow[] {
    return this.#take(page, 'rows').rows;
  }

  #hold(batch: ReadBatch, isEnd: boolean): number {
    this.#held = [...(this.#held ?? []), ...batch.rows.map(({row}) => row)];
    if (!isEnd) return 0;
    const rows = this.#held;
    this.#held = null;
    checkUnique(this.flow, rows, this.#hidesRows);
    return this.reference.replace(rows);
  }

  #apply(batch: ReadBatch, moved: boolean): number {
    expectThat(
      this.flow.target !== 'append' || moved || batch.rows.length === 0 || this.flow.cursorField !== null,
      () => ({
        expected: `a new offset with new rows of the append table "${this.flow.sourceTable}"`,
        came: `${batch.rows.length} rows with the offset that the call started at`,
        fix: 'Return an offset that names the rows read so far, or declare a key and a cursor field.',
      }),
    );
    return (this.#anew ?? this.reference).apply(batch.rows, batch.gone);
  }

  async #read(
    start: ProofOffset,
    call: ProofTrigger & {readonly triggerStartedAt: bigint; readonly isFirstCall: boolean},
  ): Promise<ReadBatch> {
    const {connector} = this.#host;
    const {sourceTable, options, ingestionType} = this.flow;
    const ctx = this.readContext(call);
    try {
      if (
        ingestionType !== 'cdc_with_deletes' &&
        connector.readPartition !== undefined &&
        connector.isPartitioned?.(sourceTable, start.rows, options) === true
      )
        return await this.#readPartitions(start, ctx, call);
      const live = await this.#drive(connector.readTable(sourceTable, start.rows, options, ctx), 'rows', call);
      const gone =
        ingestionType === 'cdc_with_deletes' ? await this.#drive(this.#deletePages(start, ctx), 'deletes', call) : null;
      return {
        start,
        end: {rows: live.end, deletes: gone?.end ?? null},
        cut: live.cut || gone?.cut === true,
        pages: [...live.pages, ...(gone?.pages ?? [])],
        offsets: [...live.offsets, ...(gone?.offsets ?? [])],
        records: live.records,
        deletes: gone?.records ?? [],
        rows: live.rows.map((row) => this.#withCursor(row)),
        gone: [...live.gone, ...(gone?.rows ?? [])],
        maxCursor: this.#maxCursor(live.rows),
        whole: false,
      };
    } catch (error) {
      this.#ledger.rollBack();
      throw error;
    }
  }

  #deletePages(start: ProofOffset, ctx: ReadContext): AsyncGenerator<Page, Offset | null> {
    const {sourceTable, options} = this.flow;
    const pages = this.#host.connector.readTableDeletes?.(sourceTable, start.deletes, options, ctx);
    if (pages !== undefined) return pages;
    throw new ProofFailure({
      expected: `readTableDeletes of "${sourceTable}", which is cdc_with_deletes`,
      came: 'a connector without it',
      fix: 'Implement readTableDeletes, or declare the table as cdc.',
    });
  }

  async #readPartitions(start: ProofOffset, ctx: ReadContext, call: ProofTrigger): Promise<ReadBatch> {
    const {connector} = this.#host;
    const {sourceTable, options} = this.flow;
    const wanted = (await connector.latestOffset?.(sourceTable, start.rows, options, ctx)) ?? null;
    const nothing = {cut: false, pages: [], offsets: [], deletes: [], gone: [], maxCursor: null, whole: true};
    if (start.rows !== null && offsetsEqual(start.rows, wanted))
      return {...nothing, start, end: start, records: [], rows: []};
    const plan = await connector.getPartitions?.(sourceTable, {start: start.rows, end: wanted}, options, ctx);
    const pages: number[] = [];
    const records: JsonObject[] = [];
    const rows: ProofRow[] = [];
    try {
      await call.onPlan?.();
      for (const partition of plan?.partitions ?? []) {
        if (pages.length >= this.#maxPages) break;
        // Where they are not read on the instance that planned them, nothing but their JSON gets to another process.
        const isHere = plan?.parallelHere !== undefined;
        const given = isHere ? partition : (JSON.parse(JSON.stringify(partition)) as typeof partition);
        for await (const page of connector.readPartition?.(sourceTable, given, options, ctx) ?? []) {
          const taken = this.#take(page, 'rows');
          pages.push(taken.rows.length);
          records.push(...taken.records);
          rows.push(...taken.rows);
          await call.onPage?.(pages.length - 1);
          if (pages.length >= this.#maxPages) break;
        }
      }
    } finally {
      await plan?.[Symbol.asyncDispose]?.();
    }
    const end = plan?.end ?? wanted;
    return {
      ...nothing,
      pages,
      records,
      start,
      end: {rows: checkOffset(end, sourceTable), deletes: null},
      rows: rows.map((row) => this.#withCursor(row)),
    };
  }

  async #drive(
    generator: AsyncGenerator<Page, Offset | null>,
    kind: 'rows' | 'deletes',
    call: ProofTrigger,
  ): Promise<Driven> {
    const pages: number[] = [];
    const offsets: Offset[] = [];
    const records: JsonObject[] = [];
    const rows: ProofRow[] = [];
    const gone: ProofRow[] = [];
    const driven = {pages, offsets, records, rows, gone};
    let isFinished = false;
    try {
      // Ends with the generator, or when the limit of rows is reached.
      for (;;) {
        const step = await generator.next();
        if (step.done === true) {
          isFinished = true;
          return {...driven, end: checkOffset(step.value, this.flow.sourceTable), cut: false};
        }
        const taken = this.#take(step.value, kind);
        pages.push(taken.rows.length + taken.gone.length);
        records.push(...taken.records);
        rows.push(...taken.rows);
        gone.push(...taken.gone);
        await call.onPage?.(pages.length - 1);
        const offset = checkOffset('offset' in step.value ? step.value.offset : null, this.flow.sourceTable);
        if (offset === null && pages.length >= this.#maxPages) return {...driven, end: null, cut: true};
        if (offset === null) continue;
        offsets.push(offset);
        if (pages.length >= this.#maxPages) return {...driven, end: offset, cut: true};
        if (call.cutsEverywhere === true || rows.length + gone.length >= (call.maxRows ?? NEVER_CUT))
          return {...driven, end: offset, cut: true};
      }
    } finally {
      if (!isFinished) await generator.return(null).catch(() => undefined);
    }
  }

  /** A page as rows; nothing of it may be rescued or laid aside. */
  #take(page: Page, kind: 'rows' | 'deletes'): Taken {
    const {sourceTable} = this.flow;
    if (isRecords(page) || page.kind === 'records') {
      const records = isRecords(page) ? page : page.rows;
      const taken = coerceRecords(this.flow, records, kind);
      checkLands(sourceTable, taken);
      return {records, rows: taken.rows, gone: []};
    }
    if (page.kind === 'columns')
      return {records: [], rows: rowsOf(page.batch).map((row) => proofRow(this.flow, row)), gone: []};
    if (page.kind === 'changes') {
      const {records, taken, gone} = coerceChanges(this.flow, page.changes);
      checkLands(sourceTable, taken);
      return {records, rows: taken.rows, gone};
    }
    throw new ProofFailure({
      expected: `pages of records, changes or columns from "${sourceTable}"`,
      came: `a page of kind "${page.kind}"`,
      fix: 'The proof in memory reads no files; exclude this case and rely on the one that runs into a lake.',
    });
  }

  async #scanKeys(triggerStartedAt: bigint): Promise<number> {
    const {connector} = this.#host;
    const {sourceTable, keys, options} = this.flow;
    const found = new Set<string>();
    const pages = connector.scanKeys?.(
      sourceTable,
      keys,
      options,
      this.readContext({triggerStartedAt, isFirstCall: false}),
    );
    if (pages === undefined) return 0;
    for await (const batch of pages) for (const cells of rowsOf(batch)) found.add(proofRow(this.flow, cells).key);
    return this.reference.retain(found);
  }

  #withCursor(row: ProofRow): {readonly row: ProofRow; readonly cursor: Cell} {
    return {row, cursor: this.flow.cursorField === null ? null : cellAtPath(row.cells, this.flow.cursorField)};
  }

  #maxCursor(rows: readonly ProofRow[]): bigint | null {
    const {cursorField, cursorIsTimestamp} = this.flow;
    if (cursorField === null || !cursorIsTimestamp) return null;
    let max: bigint | null = null;
    for (const row of rows) {
      const cursor = cellAtPath(row.cells, cursorField);
      if (typeof cursor === 'bigint' && (max === null || cursor > max)) max = cursor;
    }
    return max;
  }
}

interface Taken {
  readonly records: readonly JsonObject[];
  readonly rows: readonly ProofRow[];
  /** Deletes among the changes of a page. */
  readonly gone: readonly ProofRow[];
}

interface Driven {
  readonly gone: readonly ProofRow[];
  readonly pages: readonly number[];
  readonly offsets: readonly Offset[];
  readonly records: readonly JsonObject[];
  readonly rows: readonly ProofRow[];
  readonly end: Offset | null;
  readonly cut: boolean;
}

function isRecords(page: Page): page is readonly JsonObject[] {
  return Array.isArray(page);
}

function checkLands(table: string, taken: ReturnType<typeof coerceRecords>): void {
  const [first] = taken.quarantined;
  expectThat(first === undefined, () => ({
    expected: `rows of "${table}" that can all land`,
    came: `${taken.quarantined.length} rows that would be quarantined, the first for ${first?.reason ?? ''} of ${first?.path ?? ''}`,
    fix: 'Give every row its key, and fill required columns, or declare them nullable in the schema.',
  }));
  expectThat(taken.rescuedValues === 0, () => ({
    expected: `values of "${table}" that fit the types of its schema`,
    came: `${taken.rescuedValues} values that would be rescued, of ${rescuedColumns(taken.rescued)}`,
    fix: 'Correct the type of the column in the schema.',
  }));
}

/** Names alone: the rows may be those of a real account. */
function rescuedColumns(rescued: readonly string[]): string {
  const names = new Set(rescued.flatMap((text) => Object.keys(Object(JSON.parse(text)) as object)));
  return [...names].join(', ');
}

function checkUnique(flow: ResolvedFlow, rows: readonly ProofRow[], hidesRows: boolean): void {
  if (flow.target === 'append' || flow.keys.length === 0) return;
  const seen = new Set<string>();
  const twice = rows.find((row) => seen.size === seen.add(row.key).size);
  expectThat(twice === undefined, () => ({
    expected: `a snapshot of "${flow.sourceTable}" that holds each key once`,
    came: `${hidesRows ? 'a key' : `the key ${twice?.key ?? ''}`} more than once`,
    fix: 'Leave rows out that came on an earlier page, or page by something that does not move while it is read.',
  }));
}

function endless(table: string, calls: number): Finding {
  return {
    expected: `a trigger of "${table}" that ends`,
    came: `one that still goes on after ${calls} calls`,
    fix: 'Return the start offset when nothing is new, and stop at what was there when the trigger started (ctx.triggerStartedAt).',
  };
}

function sameOffset(left: ProofOffset, right: ProofOffset): boolean {
  return offsetsEqual(left.rows, right.rows) && offsetsEqual(left.deletes, right.deletes);
}
