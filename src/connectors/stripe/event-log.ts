import {
  type JsonObject,
  type JsonValue,
  type Listing,
  type PageReply,
  type RestReadCall,
  isJsonObject,
} from '../../sdk/index.ts';
import type {EventedTable} from './evented-table.ts';
import {type ListingClock, listOf, pagedListing} from './stripe-list.ts';

/** What an event says about an object. */
export interface ObjectEvent {
  /** Seconds since 1970. */
  readonly created: number;
  /** Tells the events of one object in one second apart: 0 for the first. */
  readonly rank: number;
  readonly objectId: string;
  readonly isDelete: boolean;
  /** The object after the event; null when the event shows it in another version of the API than the one asked for. */
  readonly object: JsonObject | null;
}

/** Events of a stretch of time. */
export interface EventStretch {
  /** Oldest first, whole seconds; empty unless `isWhole`. */
  readonly events: readonly ObjectEvent[];
  /** Time of the newest event; null when there is none. */
  readonly newest: number | null;
  /** False: there were more than `limit`, none is given. */
  readonly isWhole: boolean;
}

/** The stretch to read: [from, to), in seconds; null: to the newest event. */
export interface StretchBounds {
  readonly from: number;
  readonly to: number | null;
  /** Events to hold in memory. */
  readonly limit: number;
}

/** Time of the newest event about a table; null when Stripe keeps none. */
export async function newestEvent(
  table: EventedTable,
  call: RestReadCall,
  clock: ListingClock,
): Promise<number | null> {
  const {body, headers} = await call.client.json({url: '/v1/events', query: {...typesOf(table), limit: 1}}, call.ctx);
  clock.note(headers);
  const [event] = listOf(body);
  return event === undefined ? null : timeOf(event);
}

/**
 * Reads a stretch of the log. Stripe lists events newest first, so that a stretch is held until its oldest event is there;
 * a stretch of more than one second is given up when it is too long.
 */
export async function readStretch(
  table: EventedTable,
  {from, to, limit}: StretchBounds,
  {call, clock}: {readonly call: RestReadCall; readonly clock: ListingClock},
): Promise<EventStretch> {
  const bounds = {'created[gte]': from, 'created[lt]': to ?? undefined};
  const note = (reply: Omit<PageReply, 'records'>): void => clock.note(reply.head.headers);
  const listing: Listing = pagedListing({url: '/v1/events', query: {...typesOf(table), ...bounds}}, note);
  const found = new Map<string, JsonObject>();
  let newest: number | null = null;
  for await (const page of call.list(listing)) {
    for (const event of page) found.set(String(event['id']), event);
    newest ??= page[0] === undefined ? null : timeOf(page[0]);
    const end = to ?? (newest ?? from) + 1;
    if (found.size > limit && end - from > 1) return {events: [], newest, isWhole: false};
  }
  // Of one second the list is in the order of arrival, newest first; sorting keeps that.
  const events = [...found.values()].reverse().sort((left, right) => timeOf(left) - timeOf(right));
  return {events: ranked(events, table, String(call.config['api_version'])), newest, isWhole: true};
}

function ranked(events: readonly JsonObject[], table: EventedTable, version: string): readonly ObjectEvent[] {
  const counts = new Map<string, number>();
  const deletes = new Set(table.deletes);
  return events.flatMap((event) => {
    const object = fieldOf(event['data'], 'object');
    const objectId = fieldOf(object, 'id');
    if (!isJsonObject(object) || typeof objectId !== 'string') return [];
    const created = timeOf(event);
    const second = `${created} ${objectId}`;
    const rank = counts.get(second) ?? 0;
    counts.set(second, rank + 1);
    const isReadable = event['api_version'] === null || event['api_version'] === version;
    const isDelete = deletes.has(String(event['type']));
    return [{created, rank, objectId, isDelete, object: isReadable ? object : null}];
  });
}

function typesOf({events, deletes = []}: EventedTable): {readonly 'types[]': readonly string[]} {
  return {'types[]': [...events, ...deletes]};
}

function timeOf(event: JsonObject): number {
  return Number(event['created']);
}

function fieldOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return isJsonObject(value) ? value[name] : undefined;
}
