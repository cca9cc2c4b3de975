import {
  IngestError,
  isIngestError,
  type JsonObject,
  type Offset,
  type Page,
  type RestCall,
  type RestReadCall,
} from '../../sdk/index.ts';
import {newestEvent, readStretch} from './event-log.ts';
import type {EventedTable} from './evented-table.ts';
import {eventChanges, listedChanges, listedRows, listSequence} from './object-changes.ts';
import {type ListingPosition, parsePosition, type Position, positionOffset} from './position.ts';
import {listingClock, type ListingClock, pagedListing} from './stripe-list.ts';

/** Events may become visible later than their time says: so many seconds are read again by every trigger, unless the option says otherwise. */
export const OVERLAP_SECONDS = 120;
/** Events that are held until the oldest of them is there. */
const EVENTS_HELD = 5_000;
/** Stripe keeps events for 30 days; a day is left for clocks and long runs. */
const HORIZON_SECONDS = 29 * 86_400;
/** A quiet table writes down so often that its log was looked at. */
const CHECK_SECONDS = 86_400 / 2;

/** A call, and what it knows of Stripe's time. */
interface Reading {
  readonly table: EventedTable;
  readonly call: RestReadCall;
  readonly clock: ListingClock;
}

/**
 * Reads a table: first the whole list, then every change of the log of events since just before the list was begun, so that
 * nothing that happened meanwhile is lost. Rows of the list have a sequence below all those events; an event about an object that
 * was listed later than it happened is followed by the events that it lacks.
 */
export async function* readEvented(
  table: EventedTable,
  start: Offset | null,
  call: RestReadCall,
): AsyncGenerator<Page, Offset | null> {
  const reading: Reading = {table, call, clock: listingClock(call.ctx.clock.nowMs())};
  let position = start === null ? await firstPosition(reading) : parsePosition(start);
  const {listing} = position;
  if (listing === null && position.isDrained && !call.ctx.isFirstCall) return start;
  if (listing !== null) position = yield* readLists(position, listing, reading);
  const overlap = listing === null && call.ctx.isFirstCall ? overlapOf(call) : 0;
  return yield* readEvents(position, position.since - overlap, reading);
}

function overlapOf({option}: RestReadCall): number {
  const seconds = option['lookback_seconds'];
  return typeof seconds === 'number' ? seconds : OVERLAP_SECONDS;
}

/** Every row of a table as it is now. */
export async function* everyRow(table: EventedTable, call: RestCall): AsyncGenerator<readonly JsonObject[], void> {
  for (const filter of table.passes ?? [{}]) {
    const listing = listingFrom({pass: 0, after: null, created: null}, false, {table, filter, call});
    for await (const objects of call.list(listing)) yield await listedRows(table, objects, call);
  }
}

/** Before the list is read: events from here on are read after it. */
async function firstPosition({table, call, clock}: Reading): Promise<Position> {
  const newest = await newestEvent(table, call, clock);
  return {
    since: (newest ?? clock.nowSeconds()) - OVERLAP_SECONDS,
    checked: clock.nowSeconds(),
    isDrained: false,
    listing: {pass: 0, after: null, created: null},
  };
}

async function* readLists(
  position: Position,
  listing: ListingPosition,
  reading: Reading,
): AsyncGenerator<Page, Position> {
  const {passes = [{}]} = reading.table;
  for (let at = listing; at.pass < passes.length; at = {pass: at.pass + 1, after: null, created: null})
    yield* readList(position, at, {...reading, filter: passes[at.pass] ?? {}});
  return {...position, listing: null};
}

/** One pass over the list. Goes on from the time of the last object when the object itself has been deleted meanwhile. */
async function* readList(
  position: Position,
  from: ListingPosition,
  reading: Reading & {readonly filter: Readonly<Record<string, string>>},
): AsyncGenerator<Page, void> {
  const {table, call, filter} = reading;
  const sequence = listSequence(position.since);
  let at = from;
  let isGone = false;
  // Ends: a list that is begun again goes on at or below the last time of creation, and only after a page.
  for (;;) {
    const before = at;
    try {
      for await (const objects of call.list(listingFrom(at, isGone, {table, filter, call}))) {
        // An offset that does not move would end the trigger.
        if (objects.length === 0) continue;
        const next = lastOf(objects, table, at);
        if (next.after === at.after) throw stuck(table);
        const changes = await listedChanges(table, objects, {call, sequence});
        at = next;
        yield {kind: 'changes', changes, offset: positionOffset({...position, listing: at})};
      }
      return;
    } catch (error) {
      if (!isIngestError(error, 'OFFSET_EXPIRED') || at.after === null || (isGone && at.after === before.after))
        throw error;
      isGone = true;
    }
  }
}

function listingFrom(
  {after, created}: ListingPosition,
  isGone: boolean,
  {
    table,
    filter,
    call,
  }: {
    readonly table: EventedTable;
    readonly filter: Readonly<Record<string, string>>;
    readonly call: RestCall;
  },
): ReturnType<typeof pagedListing> {
  const query = {
    ...filter,
    ...startBound(call),
    ...(isGone ? {'created[lte]': created ?? undefined} : {starting_after: after ?? undefined}),
  };
  return {
    ...pagedListing({url: table.path, query}),
    errors: [
      {
        when: {status: [400, 404], body: {path: 'error.param', equals: 'starting_after'}},
        then: 'fail',
        code: 'OFFSET_EXPIRED',
      },
    ],
  };
}

/** A list that gives again what comes before the place that was asked for. */
function stuck({name}: EventedTable): IngestError {
  return new IngestError('SOURCE_ERROR', `A page of table "${name}" ends at the object that it should begin after.`, {
    class: 'transient',
    context: {table: name},
  });
}

function startBound({option}: RestCall): {readonly 'created[gte]'?: number} {
  const text = option['start_timestamp'];
  if (typeof text !== 'string') return {};
  const at = Date.parse(text);
  if (Number.isNaN(at)) {
    throw new IngestError('INVALID_OPTION', 'The table option "start_timestamp" is no timestamp.', {
      fix: 'Write it like 2026-01-31T12:00:00Z.',
      context: {option: 'start_timestamp'},
    });
  }
  return {'created[gte]': Math.floor(at / 1000)};
}

function lastOf(objects: readonly JsonObject[], table: EventedTable, at: ListingPosition): ListingPosition {
  const last = objects.at(-1);
  if (last === undefined) return at;
  return {...at, after: String(last['id']), created: Number(last[table.created ?? 'created'])};
}

/** Reads the log from a second on in stretches that fit into memory, oldest first. */
async function* readEvents(position: Position, from: number, reading: Reading): AsyncGenerator<Page, Offset> {
  const {table, call, clock} = reading;
  let at = from;
  let width = Infinity;
  let until: number | null = null;
  // Ends: every turn moves `at` up to `until`, or halves a stretch that is longer than a second.
  for (;;) {
    const to: number | null = until === null ? null : Math.min(at + width, until);
    const stretch = await readStretch(table, {from: at, to, limit: EVENTS_HELD}, reading);
    checkHorizon(position, reading);
    until ??= stretch.newest === null ? at : stretch.newest + 1;
    const end = to ?? until;
    if (!stretch.isWhole) {
      width = Math.max(1, Math.floor((end - at) / 2));
      continue;
    }
    const changes = await eventChanges(table, stretch.events, call);
    const offset = {...position, since: Math.max(end, position.since), listing: null, isDrained: false};
    if (changes.length > 0) yield {kind: 'changes', changes, ...(end < until ? {offset: positionOffset(offset)} : {})};
    if (end >= until) break;
    if (stretch.events.length < EVENTS_HELD / 4) width *= 2;
    at = end;
  }
  // The newest second may still grow: it is read again.
  return positionOffset(drained(position, Math.max(until - 1, position.since), clock));
}

/** The end of a trigger. A table in which nothing happens keeps its offset, but for a note now and then that it was looked at. */
function drained(position: Position, since: number, clock: ListingClock): Position {
  const now = clock.nowSeconds();
  const isStale = since !== position.since || !position.isDrained || now - position.checked > CHECK_SECONDS;
  return {since, checked: isStale ? now : position.checked, isDrained: true, listing: null};
}

function checkHorizon({checked}: Position, {table, clock}: Reading): void {
  if (clock.nowSeconds() - checked <= HORIZON_SECONDS) return;
  throw new IngestError(
    'OFFSET_EXPIRED',
    `The events of table "${table.name}" were last read more than 29 days ago, and Stripe keeps them for 30.`,
    {fix: 'Run the pipeline at least once a week.', context: {table: table.name}},
  );
}
