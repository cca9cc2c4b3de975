import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import {
  json,
  type EndpointSpec,
  type HandlerContext,
  type SimulatedCollection,
  type SimulatedReply,
  type SimulatedRequest,
} from '../../simulator/index.ts';

/** What one export gives. */
interface Export {
  readonly collection: string;
  /** Field of the body. */
  readonly records: string;
  /** Seconds at which a row changed. */
  readonly at: (row: JsonObject) => number;
  /** A row on its way out; null hides it. */
  readonly view: (row: JsonObject, request: SimulatedRequest, context: HandlerContext) => JsonObject;
  /** Side-loads beside the rows. */
  readonly beside?: (rows: readonly JsonObject[], request: SimulatedRequest, context: HandlerContext) => JsonObject;
  /** The help center's exports say nothing of the end of the stream. */
  readonly isGuide?: boolean;
}

/** Changes of the last minute are not exported. */
const TOO_YOUNG_SECONDS = 60;
const MAX_PAGE_SIZE = 1000;

const byUpdate = (row: JsonObject): number => Math.floor(Date.parse(String(row['updated_at'])) / 1000);
const plain = (row: JsonObject): JsonObject => visible(row);

/** The incremental exports: by cursor and by time. */
export function exportEndpoints(): readonly EndpointSpec[] {
  const tickets: Export = {
    collection: 'tickets',
    records: 'tickets',
    at: (row) => Number(row['generated_timestamp']),
    view: ticketView,
  };
  const users: Export = {collection: 'users', records: 'users', at: byUpdate, view: plain, beside: identitiesOf};
  return [
    {path: '/api/v2/incremental/tickets/cursor.json', handler: byCursor(tickets)},
    {path: '/api/v2/incremental/users/cursor.json', handler: byCursor(users)},
    {
      path: '/api/v2/incremental/organizations.json',
      handler: byTime({collection: 'organizations', records: 'organizations', at: byUpdate, view: plain}),
    },
    {
      path: '/api/v2/incremental/ticket_events.json',
      handler: byTime({
        collection: 'ticket_events',
        records: 'ticket_events',
        at: (row) => Number(row['timestamp']),
        view: eventView,
      }),
    },
    {
      path: '/api/v2/incremental/ticket_metric_events.json',
      handler: byTime({
        collection: 'ticket_metric_events',
        records: 'ticket_metric_events',
        at: (row) => Math.floor(Date.parse(String(row['time'])) / 1000),
        view: plain,
      }),
    },
    {
      path: '/api/v2/help_center/incremental/articles.json',
      handler: byTime({collection: 'articles', records: 'articles', at: byUpdate, view: plain, isGuide: true}),
    },
  ];
}

/** A row without what only the simulator knows. */
export function visible(row: JsonObject): JsonObject {
  if (!Object.keys(row).some((name) => name.endsWith('_'))) return row;
  return Object.fromEntries(Object.entries(row).filter(([name]) => !name.endsWith('_')));
}

/** An event as it is given: comments have their text only with the side-load `comment_events`. */
export function eventView(row: JsonObject, request: Pick<SimulatedRequest, 'query'>): JsonObject {
  const {comments_: comments, ...event} = row;
  const events = [
    {id: Number(row['id']) + 500_000, event_type: 'Change', via: 'Web form', field_name: 'status', value: 'open'},
  ];
  const withComments = request.query.get('include') === 'comment_events' && Array.isArray(comments);
  return {...event, child_events: withComments ? [...events, ...(comments as readonly JsonValue[])] : events};
}

type Handler = (request: SimulatedRequest, context: HandlerContext) => SimulatedReply;

function byCursor(source: Export): Handler {
  return (request, context) => {
    const cursor = request.query.get('cursor');
    const start = Number(request.query.get('start_time') ?? NaN);
    if (cursor === null && Number.isNaN(start))
      return json({error: 'InvalidValue', description: 'start_time is missing'}, {status: 400});
    if (cursor === null && isTooYoung(start, context)) return tooYoung();
    const place = cursor === null ? null : placeOf(cursor);
    if (cursor !== null && place === null) return json({error: 'InvalidPaginationParameter'}, {status: 400});
    const all = exported(source, context);
    const from = all.firstWhere((row) => (place === null ? source.at(row) >= start : isBehind(source, row, place)));
    const to = Math.min(from + sizeOf(request), all.count);
    const rows = all.rows.slice(from, to);
    const last = rows.at(-1);
    const after = last === undefined ? cursor : cursorOf(source, last);
    return json({
      [source.records]: rows.map((row) => source.view(row, request, context)),
      ...source.beside?.(rows, request, context),
      after_url: after === null ? null : `${request.origin}${request.path}?cursor=${after}`,
      after_cursor: after,
      before_url: null,
      before_cursor: null,
      end_of_stream: to === all.count,
    });
  };
}

function byTime(source: Export): Handler {
  return (request, context) => {
    const start = Number(request.query.get('start_time') ?? NaN);
    if (Number.isNaN(start)) return json({error: 'InvalidValue', description: 'start_time is missing'}, {status: 400});
    if (isTooYoung(start, context)) return tooYoung();
    const all = exported(source, context);
    const from = all.firstWhere((row) => source.at(row) >= start);
    const to = Math.min(from + sizeOf(request), all.count);
    const rows = all.rows.slice(from, to);
    const last = rows.at(-1);
    const end = last === undefined ? null : source.at(last);
    const isEnd = to === all.count;
    const next = `${request.origin}${request.path}?start_time=${end ?? start}`;
    return json({
      [source.records]: rows.map((row) => source.view(row, request, context)),
      ...source.beside?.(rows, request, context),
      count: source.isGuide === true ? all.count - from : rows.length,
      end_time: end,
      ...(source.isGuide === true ? {next_page: isEnd ? null : next} : {next_page: next, end_of_stream: isEnd}),
    });
  };
}

/** Rows of an export, oldest change first. */
interface Exported {
  readonly rows: readonly JsonObject[];
  /** So many of them are old enough. */
  readonly count: number;
  /** The index of the first of those of which a test holds, and then of all behind it. */
  readonly firstWhere: (holds: (row: JsonObject) => boolean) => number;
}

const ordered = new WeakMap<SimulatedCollection, {readonly version: number; readonly rows: readonly JsonObject[]}>();

/** Rows that are old enough, those deleted among them. */
function exported(source: Export, context: HandlerContext): Exported {
  const newest = Math.floor(context.clock.nowMs() / 1000) - TOO_YOUNG_SECONDS;
  const rows = orderedRows(source, context.collection(source.collection));
  const count = firstWhere(rows, rows.length, (row) => source.at(row) > newest);
  return {rows, count, firstWhere: (holds) => firstWhere(rows, count, holds)};
}

/** All rows of an export, ordered once as long as nothing changes. */
function orderedRows({at}: Export, collection: SimulatedCollection): readonly JsonObject[] {
  const known = ordered.get(collection);
  if (known?.version === collection.version) return known.rows;
  const rows = collection
    .visible('all')
    .map((row) => ({row, at: at(row), id: Number(row['id'])}))
    .sort((left, right) => left.at - right.at || left.id - right.id)
    .map(({row}) => row);
  ordered.set(collection, {version: collection.version, rows});
  return rows;
}

function firstWhere(rows: readonly JsonObject[], count: number, holds: (row: JsonObject) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const row = rows[middle];
    if (row === undefined || holds(row)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function sizeOf(request: SimulatedRequest): number {
  return Math.min(Number(request.query.get('per_page') ?? MAX_PAGE_SIZE), MAX_PAGE_SIZE);
}

function cursorOf(source: Export, row: JsonObject): string {
  return Buffer.from(`${source.at(row)}.0||${String(row['id'])}`).toString('base64url');
}

function placeOf(cursor: string): {readonly at: number; readonly id: number} | null {
  const [, at, id] = /^(\d+)\.0\|\|(\d+)$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  return at === undefined || id === undefined ? null : {at: Number(at), id: Number(id)};
}

function isBehind(source: Export, row: JsonObject, place: {readonly at: number; readonly id: number}): boolean {
  const at = source.at(row);
  return at > place.at || (at === place.at && Number(row['id']) > place.id);
}

function isTooYoung(start: number, context: HandlerContext): boolean {
  return start > context.clock.nowMs() / 1000 - TOO_YOUNG_SECONDS;
}

function tooYoung(): SimulatedReply {
  return json(
    {error: 'StartTimeTooRecent', description: 'Too recent start_time. Use a start_time older than 60 seconds'},
    {status: 422},
  );
}

function ticketView(row: JsonObject, request: SimulatedRequest, context: HandlerContext): JsonObject {
  if (request.query.get('include') !== 'metric_sets') return visible(row);
  const metrics = context
    .collection('ticket_metrics')
    .rows()
    .find((one) => one['ticket_id'] === row['id']);
  return metrics === undefined ? visible(row) : {...visible(row), metric_set: visible(metrics)};
}

function identitiesOf(rows: readonly JsonObject[], request: SimulatedRequest, context: HandlerContext): JsonObject {
  if (request.query.get('include') !== 'identities') return {};
  const users = new Set(rows.map((row) => row['id']));
  return {
    identities: context
      .collection('user_identities')
      .rows()
      .filter((row) => users.has(row['user_id']))
      .map(visible),
  };
}
