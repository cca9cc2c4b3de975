import {createCoercer} from '../../core/coerce.ts';
import type {ColumnBatch} from '../../core/columns.ts';
import {IngestError} from '../../core/errors.ts';
import type {JsonObject} from '../../core/json-value.ts';
import type {Offset} from '../../core/offset.ts';
import {offsetsEqual} from '../../core/offset.ts';
import {fromDdl} from '../../core/schema-ddl.ts';
import {didYouMean} from '../../core/suggest.ts';
import type {StructType} from '../../core/types.ts';
import type {
  CallContext,
  Connector,
  Page,
  Partition,
  PartitionPlan,
  ReadContext,
  TableMetadata,
  TableOptions,
  VerifyPoint,
  VerifyScope,
} from '../contract.ts';
import type {CreateContext} from '../define-connector.ts';
import type {HttpClient} from '../http/http-client.ts';
import {parseQualifiedName} from '../names.ts';
import {inferSchema} from './infer-schema.ts';
import {listPages} from './listing.ts';
import {listingOf} from './partition-list.ts';
import {partsOfTable} from './parts-of-table.ts';
import type {PlanCall, PlanPage, PlanPages} from './plan-call.ts';
import {readArchived} from './read-archived.ts';
import {readPartitions} from './read-partitions.ts';
import type {ReadPlan, RestCall, RestReadCall} from './read-plan.ts';
import {readPlan} from './read-plans.ts';
import {dropRepeated, type RepeatedRows} from './repeated-rows.ts';
import type {RequestScope} from './rest-request.ts';
import type {RestConnectorSpec, RestTable} from './rest-spec.ts';
import {openRestVerify} from './rest-verify.ts';
import {recordShape, type RecordShape} from './shape-records.ts';
import {notingClient, SourceTime} from './source-time.ts';
import {checkTableOptions, isFixed, knownTable} from './table-options.ts';
import {expanded, type TableParts} from './table-parts.ts';

const TABLE_MEMORY_MS = 300_000;
const INFERRED_RECORDS = 1000;
const KEY_BATCH_ROWS = 5000;
/** Parts of a read that are read at once; the client's budget decides the speed. */
const PARTS_AT_ONCE = 8;

/** A connector at work: one client for all its tables. */
export class RestSource implements Connector {
  readonly #spec: RestConnectorSpec;
  readonly #context: CreateContext;
  #client: HttpClient | null = null;
  #isChecked = false;
  /** All workers of a connection share its client, and with it the limits of the source. */
  readonly readsPartitionsHere = true;
  /** What the parts of one plan share: rows that moved from one to another come once. */
  readonly #ofPlan = new WeakMap<Partition, RepeatedRows>();
  readonly #tables = new Map<string, {readonly table: Promise<RestTable | null>; readonly untilMs: number}>();
  readonly listNamespaces?: NonNullable<Connector['listNamespaces']>;
  readonly listTablesInNamespace?: NonNullable<Connector['listTablesInNamespace']>;

  constructor(spec: RestConnectorSpec, context: CreateContext) {
    this.#spec = spec;
    this.#context = context;
    const {namespaces} = spec;
    if (namespaces === undefined) return;
    this.listNamespaces = (prefix, ctx) => namespaces.list(prefix, this.#call('', {}, ctx));
    this.listTablesInNamespace = (namespace, ctx) => namespaces.tables(namespace, this.#call('', {}, ctx));
  }

  async listTables(ctx: CallContext): Promise<readonly string[]> {
    await this.#check(ctx);
    const {tables} = this.#spec;
    return isFixed(tables) ? tables.map(({name}) => name) : tables.list(this.#call('', {}, ctx));
  }

  async getTableSchema(name: string, options: TableOptions, ctx: CallContext): Promise<StructType> {
    const {table, options: all} = await this.#resolve(name, options, ctx);
    const {schema} = table;
    if (typeof schema === 'string') return fromDdl(schema);
    if (typeof schema === 'function') return schema(this.#call(name, all, ctx));
    if ('infer' in schema) return this.#infer(table, name, {all, ctx, infer: schema.infer});
    return schema;
  }

  async readTableMetadata(name: string, options: TableOptions, ctx: CallContext): Promise<TableMetadata> {
    const {table} = await this.#resolve(name, options, ctx);
    const {primaryKeys, cursorField, ingestionType, description, schema} = table;
    const ordersItself = table.read.kind === 'token' || table.read.kind === 'eventLog';
    const ownChanges = table.read.kind === 'custom' ? table.read.changes : undefined;
    const isBounded = table.read.kind !== 'custom' || table.read.bounded !== false;
    return {
      primaryKeys,
      ingestionType,
      keysEnforced: table.keysEnforced ?? primaryKeys.length > 0,
      ...(cursorField === undefined || ordersItself ? {} : {cursorField}),
      ...(description === undefined ? {} : {comment: description}),
      ...(typeof schema === 'object' && 'infer' in schema ? {schemaInferred: true} : {}),
      ...(ordersItself ? {changes: {sequence: 'timestamp' as const}} : {}),
      ...(ownChanges === undefined ? {} : {changes: ownChanges}),
      ...(!ordersItself && table.deletes?.kind === 'stream' ? {changes: {}} : {}),
      ...(ingestionType === 'snapshot' ? {} : {bounded: isBounded}),
    };
  }

  async *readTable(
    name: string,
    start: Offset | null,
    options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<Page, Offset | null> {
    const {table, options: all} = await this.#resolve(name, options, ctx);
    return yield* this.#read(
      {table, plan: table.read, shape: recordShape(table, table.read.kind !== 'custom')},
      start,
      this.#planCall(name, table, {all, ctx}),
    );
  }

  async *readTableDeletes(
    name: string,
    start: Offset | null,
    options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<Page, Offset | null> {
    const {table, options: all} = await this.#resolve(name, options, ctx);
    const {deletes} = table;
    if (deletes?.kind !== 'log' && deletes?.kind !== 'archived')
      throw new IngestError('CONTRACT_VIOLATION', `Table "${name}" has no list of deletes.`, {context: {table: name}});
    const call = this.#planCall(name, table, {all, ctx, ledgerPrefix: 'deletes:'});
    const {transform} = deletes;
    const shape = recordShape(transform === undefined ? table : {transform});
    if (deletes.kind === 'archived') return yield* readArchived(deletes, start, {call, shape});
    return yield* this.#read({table: asOneList(table), plan: deletes.read, shape}, start, call);
  }

  isPartitioned(name: string, start: Offset | null, options: TableOptions): boolean {
    const {namespaces, tables} = this.#spec;
    const own = namespaces === undefined ? name : (parseQualifiedName(name).at(-1) ?? name);
    const table = knownTable(tables, own);
    const parts = table === null ? null : partsOfTable(table);
    return parts?.isCut(beginning(start), {option: options, nowMicros: this.#context.clock.nowMicros()}) === true;
  }

  async latestOffset(
    name: string,
    start: Offset | null,
    options: TableOptions,
    ctx: ReadContext,
  ): Promise<Offset | null> {
    const {parts, call} = await this.#parts(name, options, ctx);
    const begin = beginning(start);
    // What is not read in partitions from here on is read by `readTable`.
    if (!parts.isCut(begin, {option: options, nowMicros: this.#context.clock.nowMicros()})) return start;
    const end = await parts.end(begin, call);
    return begin !== null && offsetsEqual(end, begin) ? start : end;
  }

  async getPartitions(
    name: string,
    {start, end}: {readonly start: Offset | null; readonly end: Offset | null},
    options: TableOptions,
    ctx: ReadContext,
  ): Promise<PartitionPlan> {
    const {table, parts, call} = await this.#parts(name, options, ctx);
    const range = {start: beginning(start), end: beginning(end)};
    const isIdle = range.start !== null && offsetsEqual(range.start, range.end);
    const partitions = isIdle ? [] : await parts.list(range, call, (other) => this.#find(other, ctx));
    const unique = table.ingestionType === 'snapshot' ? dropRepeated(table) : null;
    if (unique !== null) for (const partition of partitions) this.#ofPlan.set(partition, unique);
    return {
      partitions,
      volatile: false,
      parallelHere: table.concurrency ?? PARTS_AT_ONCE,
      mayRepeat: true,
      [Symbol.asyncDispose]: () => Promise.resolve(unique?.report(ctx)),
    };
  }

  async *readPartition(
    name: string,
    partition: Partition,
    options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<Page, void> {
    const {table, parts, call} = await this.#parts(name, options, ctx);
    const shape = recordShape(table, table.read.kind !== 'custom');
    const unique = this.#ofPlan.get(partition) ?? (table.ingestionType === 'snapshot' ? dropRepeated(table) : null);
    for await (const {offset: _, ...pages} of drained(parts.read(partition, call))) {
      const page = shape.page(pages);
      if (isEmpty(page)) continue;
      yield unique === null || !('kind' in page) || page.kind !== 'records'
        ? page
        : {...page, rows: unique.fresh(page.rows)};
    }
  }

  async *scanKeys(
    name: string,
    keys: readonly string[],
    options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<ColumnBatch, void> {
    const {table, options: all} = await this.#resolve(name, options, ctx);
    const schema = await this.getTableSchema(name, options, ctx);
    const fields = schema.fields.filter((field) => keys.includes(field.name));
    const coercer = createCoercer({type: 'struct', fields}, {rescue: false, keys});
    for await (const rows of this.#everything(name, table, {all, ctx})) {
      for (const row of rows) coercer.add(row);
      if (coercer.rowCount >= KEY_BATCH_ROWS) yield coercer.take().batch;
    }
    if (coercer.rowCount > 0) yield coercer.take().batch;
  }

  async estimate(name: string, options: TableOptions, ctx: CallContext): Promise<{readonly rows?: number}> {
    const {table, options: all} = await this.#resolve(name, options, ctx);
    const rows = await table.estimate?.(this.#call(name, all, ctx));
    return rows === undefined || rows === null ? {} : {rows};
  }

  async openVerify(scope: VerifyScope, end: Offset | null, ctx: CallContext): Promise<VerifyPoint> {
    const {table, options: all} = await this.#resolve(scope.table, scope.options, ctx);
    const schema = await this.getTableSchema(scope.table, scope.options, ctx);
    const isListed =
      listingOf(table) !== null || (table.deletes?.kind === 'keyScan' && table.deletes.list !== undefined);
    const {read: plan} = table;
    const rows = (during: CallContext): AsyncIterable<readonly JsonObject[]> => {
      if (plan.kind === 'custom' && plan.everything !== undefined)
        return plan.everything(this.#call(scope.table, all, during));
      const read = readContext(during);
      return isListed ? this.#everything(scope.table, table, {all, ctx: read}) : this.#readAnew(scope, read);
    };
    return openRestVerify(scope, end, {table, schema, rows, nowMicros: ctx.clock.nowMicros()});
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    await client?.[Symbol.asyncDispose]();
  }

  /** Reads a table; the offset of a whole read remembers its trigger, so that the call which would only find nothing new asks for nothing. */
  async *#read(
    {table, plan, shape}: {readonly table: RestTable; readonly plan: ReadPlan; readonly shape: RecordShape},
    start: Offset | null,
    call: PlanCall,
  ): AsyncGenerator<Page, Offset | null> {
    const trigger = String(call.ctx.triggerStartedAt);
    if (!call.ctx.isFirstCall && start?.['done'] === trigger) return start;
    const begin = withoutDone(start);
    const unique = table.ingestionType === 'snapshot' ? dropRepeated(table) : null;
    const pages = this.#pages({table, plan}, begin, call);
    let end: Offset | null | undefined;
    try {
      for (;;) {
        const step = await pages.next();
        if (step.done === true) {
          end = step.value;
          break;
        }
        const page = shape.page(step.value);
        const {offset} = step.value;
        if (isEmpty(page) && offset === undefined) continue;
        yield unique === null || !('kind' in page) || page.kind !== 'records'
          ? page
          : {...page, rows: unique.fresh(page.rows)};
      }
      unique?.report(call.ctx);
    } finally {
      if (end === undefined) await pages.return(null);
    }
    if (end === null || (plan.kind === 'custom' && table.partitions === undefined)) return end;
    return offsetsEqual(end, begin) ? start : {...end, done: trigger};
  }

  #pages(
    {table, plan}: {readonly table: RestTable; readonly plan: ReadPlan},
    start: Offset | null,
    call: PlanCall,
  ): PlanPages {
    const one = (from: Offset | null, inner: PlanCall): PlanPages =>
      expanded(table.expand, (own) => readPlan(plan, from, own), inner);
    if (table.partitions === undefined) return one(start, call);
    return readPartitions(table.partitions, start, call, {find: (name) => this.#find(name, call.ctx), read: one});
  }

  /** Every row that the listing of a table gives, as it lands, in any order. */
  async *#everything(
    name: string,
    table: RestTable,
    {all, ctx}: {readonly all: TableOptions; readonly ctx: ReadContext},
  ): AsyncGenerator<readonly JsonObject[], void> {
    const {deletes, read} = table;
    const own = deletes?.kind === 'keyScan' ? deletes.list : undefined;
    const listing = own ?? listingOf(table);
    if (listing === null) {
      throw new IngestError('UNSUPPORTED', `The rows of table "${name}" cannot be listed beside its plan.`, {
        fix: 'Give the table deletes: {kind: "keyScan", list}.',
        context: {table: name},
      });
    }
    const call = this.#planCall(name, {...table, ingestionType: 'snapshot'}, {all, ctx});
    const shape = recordShape(table);
    const givesChanges = read.kind === 'token' || read.kind === 'eventLog';
    const plan: ReadPlan = own !== undefined || givesChanges ? {kind: 'snapshot', list: listing} : read;
    const deleted = deletes?.kind === 'stream' ? deletes.isDeleted : null;
    const pages = this.#pages({table: own === undefined ? table : asOneList(table), plan}, null, call);
    for await (const page of drained(pages)) {
      const rows = deleted === null ? page.records : page.records.filter((row) => !deleted(row));
      yield shape.records(rows, page.scope);
    }
  }

  /** Every row that a custom plan gives from its beginning, call after call. */
  async *#readAnew({table, options}: VerifyScope, ctx: ReadContext): AsyncGenerator<readonly JsonObject[], void> {
    let start: Offset | null = null;
    // Ends: a source that is read again from its beginning stands still at its end.
    for (let isFirstCall = true; ; isFirstCall = false) {
      const pages = this.readTable(table, start, options, {...ctx, isFirstCall});
      let step = await pages.next();
      for (; step.done !== true; step = await pages.next()) yield pageRows(step.value, table);
      if (step.value === null || offsetsEqual(step.value, start)) return;
      start = step.value;
    }
  }

  async #infer(
    table: RestTable,
    name: string,
    {
      all,
      ctx,
      infer,
    }: {
      readonly all: TableOptions;
      readonly ctx: CallContext;
      readonly infer: {readonly records?: number; readonly hints?: string};
    },
  ): Promise<StructType> {
    const wanted = infer.records ?? INFERRED_RECORDS;
    const sample: JsonObject[] = [];
    for await (const rows of this.#everything(name, table, {all, ctx: readContext(ctx)})) {
      sample.push(...rows);
      if (sample.length >= wanted) break;
    }
    const landed = (await ctx.landedSchema?.()) ?? null;
    return inferSchema(sample.slice(0, wanted), {landed, ...(infer.hints === undefined ? {} : {hints: infer.hints})});
  }

  #planCall(
    name: string,
    table: RestTable,
    {
      all,
      ctx,
      ledgerPrefix = '',
    }: {readonly all: TableOptions; readonly ctx: ReadContext; readonly ledgerPrefix?: string},
  ): PlanCall {
    const scope = this.#scope(name, all, ctx.triggerStartedAt);
    const call: RestReadCall = {...this.#call(name, all, ctx), ctx, parent: {}};
    const sourceTime = new SourceTime();
    const env = {table: name, client: notingClient(this.#open(), sourceTime), ctx};
    return {table, env, sourceTime, ctx, scope, call, isAppend: table.ingestionType === 'append', ledgerPrefix};
  }

  async #parts(
    name: string,
    options: TableOptions,
    ctx: ReadContext,
  ): Promise<{readonly table: RestTable; readonly parts: TableParts; readonly call: PlanCall}> {
    const {table, options: all} = await this.#resolve(name, options, ctx);
    const parts = partsOfTable(table);
    if (parts !== null) return {table, parts, call: this.#planCall(name, table, {all, ctx})};
    throw new IngestError('CONTRACT_VIOLATION', `Table "${name}" is not read in partitions.`, {context: {table: name}});
  }

  #call(name: string, option: TableOptions, ctx: CallContext): RestCall {
    const client = this.#open();
    const base = this.#scope(name, option, ctx.clock.nowMicros());
    return {
      table: name,
      client,
      config: this.#context.options,
      option,
      ctx,
      async *list(listing, scope = {}): AsyncGenerator<readonly JsonObject[], void> {
        for await (const {records} of listPages({table: name, client, ctx}, listing, {...base, ...scope}))
          yield records;
      },
    };
  }

  #scope(table: string, option: TableOptions, triggerStartedAt: bigint): RequestScope {
    const config = this.#context.options;
    return {
      table,
      config,
      option,
      parent: {},
      parents: [],
      cursor: null,
      window: null,
      token: null,
      fields: [],
      triggerStartedAt,
    };
  }

  #open(): HttpClient {
    this.#client ??= this.#spec.client(this.#context.options, this.#context);
    return this.#client;
  }

  async #check(ctx: CallContext): Promise<void> {
    const {check} = this.#spec;
    if (check === undefined || this.#isChecked) return;
    const request = typeof check === 'function' ? check(this.#scope('', {}, ctx.clock.nowMicros())) : check;
    await this.#open().text(request, ctx);
    this.#isChecked = true;
  }

  async #resolve(
    name: string,
    options: TableOptions,
    ctx: CallContext,
  ): Promise<{readonly table: RestTable; readonly options: TableOptions}> {
    const {namespaces} = this.#spec;
    const parts = namespaces === undefined ? [name] : parseQualifiedName(name);
    const own = parts.at(-1) ?? name;
    const table = await this.#find(own, ctx);
    if (table === null) throw await this.#unknown(name, ctx);
    checkTableOptions(this.#spec, table, options);
    const given = namespaces === undefined || parts.length < 2 ? {} : namespaces.options(parts.slice(0, -1));
    return {table, options: {...options, ...given}};
  }

  #find(name: string, ctx: CallContext): Promise<RestTable | null> {
    const {tables} = this.#spec;
    const fixed = knownTable(tables, name);
    if (fixed !== null || isFixed(tables)) return Promise.resolve(fixed);
    const nowMs = ctx.clock.nowMs();
    const known = this.#tables.get(name);
    if (known !== undefined && known.untilMs > nowMs) return known.table;
    const table = tables.get(name, this.#call(name, {}, ctx));
    this.#tables.set(name, {table, untilMs: nowMs + TABLE_MEMORY_MS});
    // A failure is not remembered.
    table.catch(() => this.#tables.delete(name));
    return table;
  }

  async #unknown(name: string, ctx: CallContext): Promise<IngestError> {
    const names = await this.listTables(ctx);
    const close = didYouMean(name, names);
    return new IngestError('UNKNOWN_TABLE', `The source has no table "${name}".`, {
      fix: close === null ? `Tables: ${names.slice(0, 50).join(', ')}.` : `Did you mean "${close}"?`,
      context: {table: name},
    });
  }
}

/** The table as one list of its own rows. */
function asOneList(table: RestTable): RestTable {
  const {expand: _, partitions: __, ...rest} = table;
  return rest;
}

async function* drained(pages: PlanPages): AsyncGenerator<PlanPage, void> {
  let isDone = false;
  try {
    for (;;) {
      const step = await pages.next();
      isDone = step.done === true;
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    if (!isDone) await pages.return(null);
  }
}

/** Rows of a page as they are after it; deletes leave what was read before, which the comparison then cannot tell apart. */
function pageRows(page: Page, table: string): readonly JsonObject[] {
  if (!('kind' in page)) return page;
  if (page.kind === 'records') return page.rows;
  if (page.kind === 'changes' && page.changes.every(({op}) => op === 'upsert'))
    return page.changes.flatMap(({row}) => (row === undefined ? [] : [row]));
  throw new IngestError('UNSUPPORTED', `Table "${table}" gives more than rows when it is read from its beginning.`, {
    fix: 'Compare it with: sluice verify --mode reread.',
    context: {table},
  });
}

function isEmpty(page: Page): boolean {
  if (!('kind' in page)) return page.length === 0;
  return (page.kind === 'records' && page.rows.length === 0) || (page.kind === 'changes' && page.changes.length === 0);
}

/** An offset that says nothing is none. */
function beginning(offset: Offset | null): Offset | null {
  const begin = withoutDone(offset);
  return begin === null || Object.keys(begin).length === 0 ? null : begin;
}

function withoutDone(offset: Offset | null): Offset | null {
  if (offset === null) return null;
  const {done: _, ...rest} = offset;
  return rest;
}

/** The context of a read that lands nowhere. */
function readContext(ctx: CallContext): ReadContext {
  return {
    ...ctx,
    progress: () => undefined,
    limits: {maxRows: Infinity, maxBytes: Infinity},
    triggerStartedAt: ctx.clock.nowMicros(),
    isFirstCall: true,
    ledger: {get: () => Promise.resolve(new Map()), put: () => undefined},
  };
}
