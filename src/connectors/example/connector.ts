import {
  createCursorTracker,
  cursorMicros,
  formatTimestamp,
  fromDdl,
  IngestError,
  offsetsEqual,
  windows,
  withLookback,
  type CallContext,
  type Connector,
  type CreateContext,
  type JsonObject,
  type Offset,
  type OptionValue,
  type Page,
  type ReadContext,
  type StructType,
  type TableMetadata,
  type TableOptions,
  type VerifyScope,
  refuseIdleOptions,
} from '../../sdk/index.ts';
import {exampleApi, type ApiParams} from './api.ts';
import {ExampleClient} from './client.ts';
import {TABLE_OPTIONS, TAKEN} from './table-options.ts';
import {openExampleVerify} from './verify.ts';

/** What the API hides of its table `metrics`. */
const METRICS = 'metrics';
const METRICS_SCHEMA =
  'metric_id BIGINT NOT NULL, host STRING NOT NULL, value STRUCT<count: BIGINT, label: STRING, measure: DOUBLE>, updated_at TIMESTAMP NOT NULL';
const MICROS_PER_MS = 1000n;
/** Read once more at the beginning of a trigger, for rows that were stamped by a clock behind ours. */
const LOOKBACK_SECONDS = 60;

/** Reads the example API: one way of reading per table, each safe against ties, faults and rows that move while being paged. */
export function createExampleConnector(context: CreateContext): Connector {
  const client = new ExampleClient(openApi(context), context.random);
  return {
    listTables: async (ctx) => [...(await client.tables(ctx)), METRICS],
    getTableSchema: (table, _options, ctx) => tableSchema(client, table, ctx),
    async readTableMetadata(table, options, ctx) {
      const metadata = await tableMetadata(client, table, ctx);
      refuseIdleOptions(table, options, {taken: TAKEN[table] ?? [], declared: TABLE_OPTIONS});
      return metadata;
    },
    readTable(table, start, options, ctx) {
      switch (table) {
        case 'products':
          return readProducts(client, options, ctx);
        case 'events':
          return readEvents(client, start, {options, ctx});
        case METRICS:
          return readMetrics(client, start, {options, ctx});
        default:
          return readChanges(client, start, {table, path: `/tables/${table}/records`, options, ctx});
      }
    },
    openVerify(scope, end, ctx) {
      const rows = (during: CallContext): AsyncIterable<readonly JsonObject[]> => allRows(client, scope, during);
      return Promise.resolve(openExampleVerify(scope, end, {rows, nowMs: ctx.clock.nowMs()}));
    },
    readTableDeletes: (table, start, options, ctx) =>
      readChanges(client, start, {table, path: `/tables/${table}/deleted_records`, options, ctx}),
    readsPartitionsHere: true,
    // The first load only: few windows follow it, and `readTable` goes on where it ends.
    isPartitioned: (table, start) => table === METRICS && isBeginning(start),
    async latestOffset(table, start, options, ctx) {
      if (table !== METRICS || !isBeginning(start)) return start;
      const from = await windowStart(client, null, {options, ctx});
      return from === null || from >= untilOf(ctx) ? null : {until: formatTimestamp(untilOf(ctx))};
    },
    async getPartitions(_table, {start, end}, options, ctx) {
      const until = textOf(end?.['until']);
      const from = offsetsEqual(start, end) ? null : await windowStart(client, start, {options, ctx});
      if (until === undefined || from === null) return {partitions: [], volatile: false};
      const parts = [...windows(from, cursorMicros(until), windowSeconds(options))];
      return {
        partitions: parts.map((part) => ({after: formatTimestamp(part.start), until: formatTimestamp(part.end)})),
        volatile: false,
        // The API lives in this process.
        parallelHere: 4,
      };
    },
    async *readPartition(_table, {after, until}, _options, ctx) {
      const window = {after: cursorMicros(String(after)), until: cursorMicros(String(until))};
      for await (const rows of metricsWithin(client, window, ctx)) yield {kind: 'records', rows};
    },
  };
}

function openApi({options, connectionName, clock}: CreateContext): ReturnType<typeof exampleApi> {
  const {state_file: stateFile, base_time: baseTime} = options;
  return exampleApi({
    connectionName,
    clock,
    seed: numberOf(options['seed']) ?? 42,
    ties: numberOf(options['ties']) ?? 1,
    faultRate: numberOf(options['fault_rate']) ?? 0,
    ...(typeof stateFile === 'string' ? {stateFile} : {}),
    ...(typeof baseTime === 'string' ? {baseTime} : {}),
  });
}

async function tableSchema(client: ExampleClient, table: string, ctx: CallContext): Promise<StructType> {
  if (table === METRICS) return fromDdl(METRICS_SCHEMA);
  const fields = await client.fields(table, ctx);
  return fromDdl(
    fields.map(({name, type, nullable}) => `${name} ${ddlType(type)}${nullable ? '' : ' NOT NULL'}`).join(', '),
  );
}

/** The API says `integer` for numbers of any size. */
function ddlType(type: string): string {
  return type.replaceAll('integer', 'long');
}

async function tableMetadata(client: ExampleClient, table: string, ctx: CallContext): Promise<TableMetadata> {
  if (table === METRICS)
    return {primaryKeys: ['metric_id'], cursorField: 'updated_at', ingestionType: 'cdc', keysEnforced: true};
  const {key, cursor} = await client.metadata(table, ctx);
  const keys = {
    primaryKeys: key === null ? [] : [key],
    ...(cursor === null ? {} : {cursorField: cursor}),
    keysEnforced: key !== null,
  };
  if (table === 'events') return {...keys, ingestionType: 'append'};
  if (table === 'orders') return {...keys, ingestionType: 'cdc_with_deletes'};
  return {...keys, ingestionType: cursor === null ? 'snapshot' : 'cdc'};
}

/** Snapshot: all pages in one call. */
async function* readProducts(
  client: ExampleClient,
  options: TableOptions,
  ctx: ReadContext,
): AsyncGenerator<Page, null> {
  // Ends with the last page of the API.
  for (let page: number | null = 1; page !== null;) {
    const {rows, nextPage} = await client.records(
      '/tables/products/records',
      {category: textOf(options['category']), page},
      ctx,
    );
    yield rows;
    page = nextPage;
  }
  return null;
}

interface ReadParts {
  readonly options: TableOptions;
  readonly ctx: ReadContext;
}

/**
 * Changes in the order of `updated_at`. The tracker gives an inclusive lower bound, which the exclusive `since` of the API
 * is made to be; a batch ends only where the stamp changes, so rows that share one are never parted.
 */
async function* readChanges(
  client: ExampleClient,
  start: Offset | null,
  parts: ReadParts & {readonly table: string; readonly path: string},
): AsyncGenerator<Page, Offset | null> {
  const {table, path, options, ctx} = parts;
  const tracker = createCursorTracker({table, field: 'updated_at', kind: 'timestamp'}, start);
  const cap = ctx.limits.maxRows;
  const key = `${table.slice(0, -1)}_id`;
  const filters =
    table === 'orders' && !path.endsWith('deleted_records')
      ? {user_id: numberOf(options['user_id']), status: textOf(options['status'])}
      : {};
  let count = 0;
  let offset: Offset | undefined;
  const from =
    tracker.from === null ? startFrom(options) : lookedBack(String(tracker.from), lookbackOf(options, 0), ctx);
  for await (const rows of rowsFrom(client, {path, filters, key, from}, ctx)) {
    offset = tracker.page(rows);
    count += rows.length;
    yield {kind: 'records', rows, ...(offset === undefined ? {} : {offset})};
    if (count >= cap && offset !== undefined) return offset;
  }
  return tracker.end();
}

/** Append: `limit` keeps pages small, and the offset names the rows already read of its stamp. */
async function* readEvents(
  client: ExampleClient,
  start: Offset | null,
  {options, ctx}: ReadParts,
): AsyncGenerator<Page, Offset | null> {
  const cap = ctx.limits.maxRows;
  let stamp = textOf(start?.['created_at']) ?? null;
  let ids: readonly string[] = Array.isArray(start?.['event_ids']) ? start['event_ids'].map(String) : [];
  let offset = start;
  let count = 0;
  const known = (row: JsonObject): boolean => row['created_at'] === stamp && ids.includes(String(row['event_id']));
  for await (const page of rowsFrom(
    client,
    {
      path: '/tables/events/records',
      filters: {limit: numberOf(options['limit'])},
      key: 'event_id',
      from: stamp ?? startFrom(options),
    },
    ctx,
  )) {
    const rows = page.filter((row) => !known(row));
    const last = rows.at(-1);
    if (last === undefined) continue;
    const newest = String(last['created_at']);
    const sharing = rows.filter((row) => row['created_at'] === newest).map((row) => String(row['event_id']));
    ids = newest === stamp ? [...ids, ...sharing] : sharing;
    stamp = newest;
    offset = {created_at: stamp, event_ids: ids};
    count += rows.length;
    yield {kind: 'records', rows, offset};
    if (count >= cap) return offset;
  }
  return offset;
}

/** Every row that the options ask for, as it is now. */
async function* allRows(
  client: ExampleClient,
  {table, options}: VerifyScope,
  ctx: CallContext,
): AsyncGenerator<readonly JsonObject[], void> {
  const path = `/tables/${table}/records`;
  if (table === 'products' || table === METRICS) {
    const filters = table === METRICS ? {since: startBound(options)} : {category: textOf(options['category'])};
    // Ends with the last page of the API.
    for (let page: number | null = 1; page !== null;) {
      const answer: Awaited<ReturnType<ExampleClient['records']>> = await client.records(path, {...filters, page}, ctx);
      yield answer.rows;
      page = answer.nextPage;
    }
    return;
  }
  const filters = table === 'orders' ? {user_id: numberOf(options['user_id'])} : {};
  yield* rowsFrom(client, {path, filters, key: `${table.slice(0, -1)}_id`, from: startFrom(options)}, ctx);
}

/** Rows of one API path from a stamp on, itself included. */
interface RowsRequest {
  readonly path: string;
  readonly filters: ApiParams;
  /** Unique field of the rows. */
  readonly key: string;
  readonly from: string | null;
}

/**
 * Pages by stamp instead of by number where it can: a row that changes moves to the end, and all rows behind it move up by
 * one, so that the next page by number would leave one out. Only within one stamp pages are taken by number. Rows seen
 * already are left out.
 */
async function* rowsFrom(
  client: ExampleClient,
  {path, filters, key, from}: RowsRequest,
  ctx: CallContext,
): AsyncGenerator<readonly JsonObject[], void> {
  let bound = from;
  let page = 1;
  let seen = new Set<string>();
  const identity = (row: JsonObject): string => `${String(row[key])} ${stampOf(row)}`;
  // Ends: every turn moves the bound or the page number, and the last page has no next one.
  for (;;) {
    const {rows, nextPage} = await client.records(
      path,
      {...filters, since: bound === null ? undefined : before(bound), page},
      ctx,
    );
    const fresh = rows.filter((row) => !seen.has(identity(row)));
    if (fresh.length > 0) yield fresh;
    if (nextPage === null) return;
    const newest = stampOf(rows.at(-1));
    if (newest === bound || newest === null) {
      page = nextPage;
      for (const row of rows) seen.add(identity(row));
    } else {
      bound = newest;
      page = 1;
      seen = new Set(rows.filter((row) => stampOf(row) === newest).map(identity));
    }
  }
}

/** Sliding windows (start, end]: drained whole, up to the millisecond before the trigger began. */
async function* readMetrics(
  client: ExampleClient,
  start: Offset | null,
  {options, ctx}: ReadParts,
): AsyncGenerator<Page, Offset | null> {
  const untilMicros = untilOf(ctx);
  const windowMicros = BigInt(windowSeconds(options)) * 1_000_000n;
  const cap = ctx.limits.maxRows;
  let from = await windowStart(client, start, {options, ctx});
  if (from === null || from >= untilMicros) return start;
  // What a clock behind ours stamped at the last end and before: once per trigger, and never in the offset.
  let lower = start === null ? from : withLookback(from, lookbackOf(options, LOOKBACK_SECONDS), ctx);
  let count = 0;
  let offset = start;
  while (from < untilMicros) {
    const end: bigint = from + windowMicros < untilMicros ? from + windowMicros : untilMicros;
    offset = {until: formatTimestamp(end)};
    for await (const rows of metricsWithin(client, {after: lower, until: end}, ctx)) {
      count += rows.length;
      yield {kind: 'records', rows};
    }
    yield {kind: 'records', rows: [], offset};
    if (count >= cap) return offset;
    from = end;
    lower = end;
  }
  return offset;
}

/** The rows of a window: after `after`, up to `until`. */
function metricsWithin(
  client: ExampleClient,
  {after, until}: {readonly after: bigint; readonly until: bigint},
  ctx: CallContext,
): AsyncGenerator<readonly JsonObject[], void> {
  const from = formatTimestamp(after + MICROS_PER_MS);
  const filters = {until: formatTimestamp(until)};
  return rowsFrom(client, {path: '/tables/metrics/records', filters, key: 'metric_id', from}, ctx);
}

/** The millisecond before the trigger began: in its own, rows may still be joined by others. */
function untilOf({triggerStartedAt}: ReadContext): bigint {
  return triggerStartedAt - (triggerStartedAt % MICROS_PER_MS) - MICROS_PER_MS;
}

function windowSeconds(options: TableOptions): number {
  return numberOf(options['window_seconds']) ?? 3600;
}

function isBeginning(offset: Offset | null): boolean {
  return offset === null || Object.keys(offset).length === 0;
}

/** Exclusive start of the next window: the offset, the option, or the millisecond before the oldest row; null without rows. */
async function windowStart(
  client: ExampleClient,
  start: Offset | null,
  {options, ctx}: ReadParts,
): Promise<bigint | null> {
  const committed = textOf(start?.['until']);
  if (committed !== undefined) return cursorMicros(committed);
  const bound = startBound(options);
  if (bound !== undefined) return cursorMicros(bound);
  const {rows} = await client.records('/tables/metrics/records', {page: 1}, ctx);
  const oldest = stampOf(rows[0]);
  return oldest === null ? null : cursorMicros(oldest) - MICROS_PER_MS;
}

/** Where the first window begins, exclusive; undefined: at the oldest row. */
function startBound(options: TableOptions): string | undefined {
  const wanted = textOf(options['start_timestamp']);
  return wanted === undefined ? undefined : formatTimestamp(startOption(wanted) - MICROS_PER_MS);
}

/** The first stamp that is wanted; null: all. */
function startFrom(options: TableOptions): string | null {
  const wanted = textOf(options['start_timestamp']);
  return wanted === undefined ? null : formatTimestamp(startOption(wanted));
}

function startOption(text: string): bigint {
  try {
    return cursorMicros(text);
  } catch (cause) {
    throw new IngestError('INVALID_OPTION', 'The table option "start_timestamp" is no timestamp.', {
      fix: 'Write it like 2026-01-31T12:00:00Z.',
      context: {option: 'start_timestamp'},
      cause,
    });
  }
}

function lookbackOf(options: TableOptions, byDefault: number): number {
  return numberOf(options['lookback_seconds']) ?? byDefault;
}

/** A stamp so many seconds earlier in the first call of a trigger; the stamp itself later. */
function lookedBack(stamp: string, seconds: number, ctx: ReadContext): string {
  return seconds === 0 || !ctx.isFirstCall ? stamp : formatTimestamp(withLookback(cursorMicros(stamp), seconds, ctx));
}

/** The last bound that excludes nothing at the stamp: stamps have milliseconds. */
function before(stamp: string): string {
  return formatTimestamp(cursorMicros(stamp) - MICROS_PER_MS);
}

function stampOf(row: JsonObject | undefined): string | null {
  const stamp = row?.['updated_at'] ?? row?.['created_at'];
  return typeof stamp === 'string' ? stamp : null;
}

function numberOf(value: OptionValue): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
