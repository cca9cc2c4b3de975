import {
  type Change,
  cursorMicros,
  formatTimestamp,
  IngestError,
  type JsonObject,
  type JsonValue,
  type Offset,
  type Page,
  type RestCall,
  type RestReadCall,
  isJsonObject,
} from '../../sdk/index.ts';
import {type PropertyColumn, rowMaker} from './object-columns.ts';
import {archivedList, millis, modifiedAt, objectList, objectSearch} from './object-listings.ts';
import {objectOffset, type ObjectPosition, parseObjectOffset, START} from './object-position.ts';
import type {ObjectType} from './object-types.ts';

/** The search refuses time zero. */
const FIRST_MS = 1000;
/** A change may be found by the search later than its time says: so much is read again by every trigger, unless the option says otherwise. */
export const LOOKBACK_SECONDS = 900;

/** A table of CRM records and one call for it. */
export interface ObjectReading {
  readonly type: ObjectType;
  /** Properties that become columns. */
  readonly properties: readonly PropertyColumn[];
  readonly call: RestReadCall;
}

/**
 * Reads a type: first the list, then what changed since just before it was begun, by search; deletes by the list of archived
 * records, and of records that were merged into others. A row's sequence is its time of change, a delete's that of the delete.
 */
export async function* readObjects(start: Offset | null, reading: ObjectReading): AsyncGenerator<Page, Offset | null> {
  const {call} = reading;
  let position = start === null ? firstPosition(call) : parseObjectOffset(start);
  if (position.isDrained && !call.ctx.isFirstCall) return start;
  if (position.listAfter !== undefined) position = yield* readList(position, reading);
  position = yield* readChanged(position, reading);
  yield* readArchived(position, reading);
  return objectOffset({...position, isDrained: true});
}

/** Before anything is read: the whole list, or what changed since `start_timestamp`. */
function firstPosition(call: RestCall): ObjectPosition {
  const since = startOf(call);
  return since === null ? START : {loadedFrom: since, since, isDrained: false, listAfter: undefined};
}

/** Milliseconds since 1970 of the option `start_timestamp`; null without it. */
function startOf({option}: RestCall): number | null {
  const text = option['start_timestamp'];
  if (typeof text !== 'string' || text === '') return null;
  try {
    return Number(cursorMicros(text) / 1000n);
  } catch (cause) {
    throw new IngestError('INVALID_OPTION', 'The table option "start_timestamp" is no timestamp.', {
      fix: 'Write it like 2026-01-31T12:00:00Z.',
      context: {option: 'start_timestamp'},
      cause,
    });
  }
}

/** Every record of a type as it is now: of those that the table has, which begin at `start_timestamp`. */
export async function* everyRecord({
  type,
  properties,
  call,
}: Omit<ObjectReading, 'call'> & {readonly call: RestCall}): AsyncGenerator<readonly JsonObject[], void> {
  const names = [...new Set([...properties.map(({property}) => property), type.modified])];
  const since = startOf(call);
  const rowOf = rowMaker(properties);
  for await (const records of call.list(objectList(type, names, {after: null})))
    yield records.filter((record) => since === null || modifiedAt(record, type) >= since).map(rowOf);
}

async function* readList(position: ObjectPosition, reading: ObjectReading): AsyncGenerator<Page, ObjectPosition> {
  const {type, call} = reading;
  let {loadedFrom} = position;
  // By the last record of a page: the page after it is on its way while this one is used.
  const afters = new Map<string, string | null>();
  const listing = objectList(type, wantedProperties(reading), {
    after: position.listAfter ?? null,
    onPage: ({head, body}, last) => {
      afters.set(last, nextOf(body));
      loadedFrom ??= serverMs(head.headers.get('date')) ?? call.ctx.clock.nowMs();
    },
  });
  let before = position.listAfter;
  for await (const records of call.list(listing)) {
    const last = records.at(-1);
    if (last === undefined) continue;
    const listAfter = afters.get(idOf(last)) ?? null;
    if (listAfter !== null && listAfter === before) throw stuck(type);
    before = listAfter;
    afters.clear();
    yield {
      kind: 'changes',
      changes: upserts(records, reading),
      // Without a next page the list is complete, which the offset after the search says.
      ...(listAfter === null ? {} : {offset: objectOffset({...position, loadedFrom, listAfter})}),
    };
  }
  const from = loadedFrom ?? call.ctx.clock.nowMs();
  return {loadedFrom: from, since: from, isDrained: false, listAfter: undefined};
}

/** A list that gives again what comes before the place that was asked for. */
function stuck({name}: ObjectType): IngestError {
  return new IngestError('SOURCE_ERROR', `A page of table "${name}" leads to itself.`, {
    class: 'transient',
    context: {table: name},
  });
}

/** What changed, up to the start of the trigger. */
async function* readChanged(position: ObjectPosition, reading: ObjectReading): AsyncGenerator<Page, ObjectPosition> {
  const {type, call} = reading;
  const to = Number(call.ctx.triggerStartedAt / 1000n);
  const lookbackMs = call.ctx.isFirstCall ? lookback(call) * 1000 : 0;
  const from = Math.max(FIRST_MS, startOf(call) ?? 0, position.since - lookbackMs);
  let {since} = position;
  if (to < from) return position;
  for (const bounds of searchWindows({from, to}, call)) {
    for await (const records of call.list(objectSearch(type, wantedProperties(reading), bounds))) {
      if (records.length === 0) continue;
      const newest = Math.max(...records.map((record) => modifiedAt(record, type)));
      // Rows of the newest time may go on on the next page: it is read again, and a page of that time only moves nothing.
      const moved = newest > since;
      since = Math.max(since, newest);
      yield {
        kind: 'changes',
        changes: upserts(records, reading),
        ...(moved ? {offset: objectOffset({...position, since, isDrained: false})} : {}),
      };
    }
  }
  return {...position, since};
}

interface Bounds {
  /** Milliseconds since 1970, both included. */
  readonly from: number;
  readonly to: number;
}

/** A stretch of time in parts of `window_seconds`; without the option as it is. */
function* searchWindows({from, to}: Bounds, {option}: RestReadCall): Generator<Bounds, void> {
  const seconds = option['window_seconds'];
  const sizeMs = typeof seconds === 'number' ? seconds * 1000 : Infinity;
  for (let at = from; at <= to; at += sizeMs) yield {from: at, to: Math.min(at + sizeMs - 1, to)};
}

async function* readArchived(position: ObjectPosition, {type, call}: ObjectReading): AsyncGenerator<Page, void> {
  const oldest = (position.loadedFrom ?? 0) - LOOKBACK_SECONDS * 1000;
  for await (const records of call.list(archivedList(type))) {
    const recent = records.filter((record) => millis(textOf(record['archivedAt'])) >= oldest);
    const known = await call.ctx.ledger.get(recent.map(idOf));
    const fresh = recent.filter((record) => known.get(idOf(record)) !== textOf(record['archivedAt']));
    if (fresh.length === 0) continue;
    for (const record of fresh) call.ctx.ledger.put(idOf(record), textOf(record['archivedAt']));
    const changes = fresh.map((record) => deletion(idOf(record), textOf(record['archivedAt'])));
    yield {kind: 'changes', changes, offset: objectOffset({...position, isDrained: false})};
  }
}

function upserts(records: readonly JsonObject[], {type, properties}: ObjectReading): readonly Change[] {
  const rowOf = rowMaker(properties);
  return records.flatMap((record): readonly Change[] => {
    const updatedAt = textOf(record['updatedAt']);
    const upsert: Change = {op: 'upsert', row: rowOf(record), sequence: updatedAt};
    const losers = mergedIds(record, type).filter((id) => id !== idOf(record));
    return losers.length === 0 ? [upsert] : [upsert, ...losers.map((id) => deletion(id, updatedAt))];
  });
}

/** After a change of the same millisecond: nothing changes once it is gone. */
function deletion(id: string, at: string): Change {
  return {op: 'delete', row: {id}, sequence: formatTimestamp(cursorMicros(at) + 1n)};
}

/** Ids of the records that were merged into one: `1;2`, for contacts `1:1700000000000;2:1700000000001`. */
function mergedIds({properties}: JsonObject, {merged}: ObjectType): readonly string[] {
  const value = isJsonObject(properties) ? properties[merged] : null;
  if (typeof value !== 'string' || value === '') return [];
  return value.split(';').map((part) => part.split(':')[0] ?? part);
}

/** Properties to ask for: those of the columns, and those that tell of changes and merges. */
function wantedProperties({type, properties}: ObjectReading): readonly string[] {
  return [...new Set([...properties.map(({property}) => property), type.modified, type.merged, 'hs_object_id'])];
}

function lookback({option}: RestReadCall): number {
  const seconds = option['lookback_seconds'];
  return typeof seconds === 'number' ? seconds : LOOKBACK_SECONDS;
}

function nextOf(body: JsonValue): string | null {
  const paging = isJsonObject(body) ? body['paging'] : null;
  const next = isJsonObject(paging) ? paging['next'] : null;
  const after = isJsonObject(next) ? next['after'] : null;
  return typeof after === 'string' ? after : null;
}

function serverMs(date: string | null): number | null {
  const ms = Date.parse(date ?? '');
  return Number.isNaN(ms) ? null : ms;
}

function idOf(record: JsonObject): string {
  return String(record['id']);
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}
