import {
  type AskPage,
  cursorMicros,
  IngestError,
  type Change,
  type CustomPlan,
  type DataType,
  type ErrorRule,
  type HttpContext,
  type HttpQuery,
  type HttpReply,
  type JsonObject,
  type JsonValue,
  type Offset,
  type Page,
  type RestReadCall,
  isJsonObject,
  pagesAhead,
} from '../../sdk/index.ts';

/** What an export gives and what becomes of it. */
export interface ExportSource {
  /** Path below the base URL. */
  readonly path: string;
  /** Field of the body that holds the items. */
  readonly records: string;
  /** Side-loads. */
  readonly include?: string;
  /** Rows of a page, from its items and body. Default: the items. */
  readonly rows?: (
    items: readonly JsonObject[],
    body: JsonObject,
    call: RestReadCall,
  ) => readonly JsonObject[] | Promise<readonly JsonObject[]>;
  /** For rows that say that they were deleted: they leave the table unless the option `keep_deleted` is true. */
  readonly deletes?: {
    readonly isDeleted: (row: JsonObject) => boolean;
    /** Column that orders the changes of a row, and its type. */
    readonly sequence: {readonly column: string; readonly type: DataType};
  };
}

/** An export by time, which cannot go on where more items than a page share one second. */
export interface TimeExportSource extends ExportSource {
  /** Gives at least every item of that second in another way. Without it such a second is an error. */
  readonly drain?: (second: number, call: RestReadCall) => AsyncIterable<readonly JsonObject[]>;
}

/** Items younger than a minute are left out by the vendor; it refuses to begin there. */
const TOO_YOUNG_SECONDS = 60;
/** Pages of this size are not made smaller when the vendor does not answer in time. */
const MIN_PAGE_SIZE = 25;

/**
 * Reads an export by cursor: each answer has the cursor behind its last item, good for ever, so any page may be the end of a
 * batch. Ends with `end_of_stream`.
 * @see https://developer.zendesk.com/documentation/ticketing/managing-tickets/using-the-incremental-export-api/#cursor-based-incremental-exports
 */
export function cursorExport(source: ExportSource): CustomPlan {
  return readOncePerTrigger(source, async function* (start, call) {
    const pages = openPages(source, call);
    const began = typeof start?.['cursor'] === 'string' ? start['cursor'] : null;
    const ask =
      (from: string | null): AskPage<CursorPage> =>
      async (ctx) => {
        const body = await pages.ask(from === null ? {start_time: startSeconds(call)} : {cursor: from}, ctx);
        return cursorPage(body, from, call);
      };
    let offset = start;
    // Ends with the vendor's end of the stream; a cursor that stands still is an error.
    for await (const {body, cursor} of pagesAhead(call.ctx, ask(began), (page) =>
      page.isLast ? null : ask(page.cursor),
    )) {
      if (cursor !== null) offset = {cursor};
      if (body !== null) yield pageOf(await pages.rows(body), {source, call, offset});
    }
    return offset;
  });
}

/** An answer of an export by cursor. */
interface CursorPage {
  /** Null: the time asked for is too young, nothing is given yet. */
  readonly body: JsonObject | null;
  /** Behind the last item; null: nowhere yet. */
  readonly cursor: string | null;
  readonly isLast: boolean;
}

function cursorPage(body: JsonObject | null, from: string | null, call: RestReadCall): CursorPage {
  if (body === null) return {body, cursor: from, isLast: true};
  const next = body['after_cursor'];
  const isLast = body['end_of_stream'] === true || typeof next !== 'string';
  if (!isLast && next === from) throw stuck(call, 'the cursor of the next page is that of this one');
  return {body, cursor: typeof next === 'string' ? next : from, isLast};
}

/**
 * Reads an export by time: the next start is the newest time of this page, itself included, so its items come twice. More items in one
 * second than a page holds would come for ever: they are read in another way.
 * @see https://developer.zendesk.com/documentation/ticketing/managing-tickets/using-the-incremental-export-api/#time-based-incremental-exports
 */
export function timeExport(source: TimeExportSource): CustomPlan {
  return readOncePerTrigger(source, async function* (start, call) {
    const pages = openPages(source, call);
    const committed = typeof start?.['start_time'] === 'number' ? start['start_time'] : null;
    let time = committed === null ? startSeconds(call) : Math.max(0, committed - lookbackSeconds(call));
    // What was read so far: an empty page, or a time that is too young, takes none of it back.
    let reached = start;
    // Ends with the vendor's end of the stream: the time of a page that is not the last moves on, or is drained.
    for (;;) {
      if (call.ctx.clock.nowMs() / 1000 - time < TOO_YOUNG_SECONDS) return reached;
      const body = await pages.ask({start_time: time});
      if (body === null) return reached;
      const items = itemsOf(body, source, call);
      const end = body['end_time'];
      const isEnd = items.length === 0 || isLastPage(body, items.length);
      const next = typeof end === 'number' && end > time ? end : time;
      const isStuck = !isEnd && next === time;
      if (isStuck) yield* drained(source, {second: time, call});
      // What is read again takes nothing of the offset back.
      if (items.length > 0) reached = {start_time: Math.max(committed ?? 0, isStuck ? time + 1 : next)};
      // An offset that does not move would end the trigger.
      const offset = reached?.['start_time'] === committed ? null : reached;
      yield pageOf(await pages.rows(body), {source, call, offset});
      if (isEnd) return reached;
      time = isStuck ? time + 1 : next;
    }
  });
}

/** The end of a time export; exports of the help center have no `end_of_stream`, but no next page. */
function isLastPage(body: JsonObject, count: number): boolean {
  if (typeof body['end_of_stream'] === 'boolean') return body['end_of_stream'];
  return body['next_page'] === null || (typeof body['count'] === 'number' && count >= body['count']);
}

async function* drained(
  source: TimeExportSource,
  {second, call}: {readonly second: number; readonly call: RestReadCall},
): AsyncGenerator<Page, void> {
  if (source.drain === undefined) throw stuck(call, 'more items than a page holds share one second');
  call.ctx.log.info('more items than a page holds share one second; they are listed in another way', {
    table: call.table,
  });
  for await (const rows of source.drain(second, call)) yield pageOf(rows, {source, call, offset: null});
}

interface ExportPages {
  /** One answer; null when the time asked for is too young. Pages are made smaller while the vendor does not answer in time. */
  ask(query: HttpQuery, ctx?: HttpContext): Promise<JsonObject | null>;
  rows(body: JsonObject): Promise<readonly JsonObject[]>;
}

function openPages(source: ExportSource, call: RestReadCall): ExportPages {
  let size = Number(call.config['export_page_size']);
  return {
    async ask(query, ctx = call.ctx) {
      // Ends: the size is halved in every turn.
      for (;;) {
        const reply = await request(source, {...call, ctx}, {...query, per_page: size});
        if (reply.status === 422) return null;
        if (reply.status !== 504) return bodyOf(reply, call);
        size = Math.max(MIN_PAGE_SIZE, Math.floor(size / 2));
      }
    },
    async rows(body) {
      const items = itemsOf(body, source, call);
      return (await source.rows?.(items, body, call)) ?? items;
    },
  };
}

function request(
  {path, include}: ExportSource,
  {client, ctx, table}: Pick<RestReadCall, 'client' | 'table'> & {readonly ctx: HttpContext},
  query: HttpQuery & {readonly per_page: number},
): Promise<HttpReply<JsonValue>> {
  const accept = (when: ErrorRule['when']): ErrorRule => ({when, then: 'accept'});
  return client.json(
    {
      url: path,
      query: include === undefined ? query : {...query, include},
      about: table,
      errors: [
        ...(query.per_page > MIN_PAGE_SIZE ? [accept({status: 504})] : []),
        accept({status: 422, text: /StartTimeTooRecent|too recent/i}),
      ],
    },
    ctx,
  );
}

function bodyOf({body}: HttpReply<JsonValue>, call: RestReadCall): JsonObject {
  if (isJsonObject(body)) return body;
  throw unexpected(call);
}

/** The items of an answer. */
function itemsOf(body: JsonObject, source: ExportSource, call: RestReadCall): readonly JsonObject[] {
  const items = body[source.records];
  if (Array.isArray(items) && items.every(isJsonObject)) return items;
  throw unexpected(call);
}

function pageOf(
  rows: readonly JsonObject[],
  {source, call, offset}: {readonly source: ExportSource; readonly call: RestReadCall; readonly offset: Offset | null},
): Page {
  const at = offset === null ? {} : {offset};
  const {deletes} = source;
  if (deletes === undefined) return {kind: 'records', rows, ...at};
  const isKept = call.option['keep_deleted'] === true;
  const changes = rows.map((row): Change => {
    const op = !isKept && deletes.isDeleted(row) ? 'delete' : 'upsert';
    return {op, row, sequence: sequenceOf(row[deletes.sequence.column])};
  });
  return {kind: 'changes', changes, ...at};
}

function sequenceOf(value: JsonValue | undefined): string | number {
  return typeof value === 'number' || typeof value === 'string' ? value : String(value ?? 0);
}

/**
 * A trigger reads an export once: its budget is ten requests a minute, and what changes meanwhile is too young to be given
 * anyway. The call after the one that was through gets its own offset back.
 */
function readOncePerTrigger(
  source: ExportSource,
  read: (start: Offset | null, call: RestReadCall) => AsyncGenerator<Page, Offset | null>,
): CustomPlan {
  const finished = new WeakMap<object, Map<string, string>>();
  return {
    kind: 'custom',
    ...(source.deletes === undefined ? {} : {changes: {sequence: source.deletes.sequence.type}}),
    async *read(start, call) {
      const {ctx, client, table, option} = call;
      const flow = JSON.stringify([table, option]);
      const through = (offset: Offset | null): string => `${ctx.triggerStartedAt} ${JSON.stringify(offset)}`;
      if (!ctx.isFirstCall && finished.get(client)?.get(flow) === through(start)) return start;
      const end = yield* read(start, call);
      finished.set(client, (finished.get(client) ?? new Map<string, string>()).set(flow, through(end)));
      return end;
    },
  };
}

/** Seconds since 1970 at which the first read begins: the table's `start_timestamp`, else the connection's `start_date`, else 0. */
export function startSeconds(call: Pick<RestReadCall, 'option' | 'config'>): number {
  const text = call.option['start_timestamp'] ?? call.config['start_date'];
  return typeof text === 'string' && text !== '' ? Number(cursorMicros(text) / 1_000_000n) : 0;
}

function lookbackSeconds({option, ctx}: RestReadCall): number {
  const seconds = option['lookback_seconds'];
  return ctx.isFirstCall && typeof seconds === 'number' ? seconds : 0;
}

function stuck(call: RestReadCall, why: string): IngestError {
  return new IngestError('SOURCE_ERROR', `The export of ${call.table} cannot go on: ${why}.`, {
    class: 'config',
    fix: 'Set start_timestamp of the table behind that second, or read ticket_audits, which has no such limit.',
    context: {table: call.table},
  });
}

function unexpected(call: RestReadCall): IngestError {
  return new IngestError(
    'SOURCE_ERROR',
    `Zendesk answered a request for ${call.table} in another form than documented.`,
    {
      context: {table: call.table},
    },
  );
}
