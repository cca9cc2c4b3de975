import {
  IngestError,
  type JsonObject,
  type Offset,
  type Page,
  type RestCall,
  type RestReadCall,
} from '../../sdk/index.ts';
import {newestEvent, readStretch} from './event-log.ts';
import type {EventedTable} from './evented-table.ts';
import {eventChanges, listedChanges, listedRows, listSequence} from './object-changes.ts';
import {listObjects} from './object-list.ts';
import {BEGINNING, type ListingPosition, parsePosition, type Position, positionOffset} from './position.ts';
import {listingClock, type ListingClock} from './stripe-list.ts';

/** Events may become visible later than their time says: so many seconds are read again by every trigger, unless the option says otherwise. */
export const OVERLAP_SECONDS = 120;
/** Events that are held until the oldest of them is there. */
const EVENTS_HELD = 5_000;
/** Stripe keeps events for 30 days; a day is left for clocks and long runs. */
const HORIZON_SECONDS = 29 * 86_400;
/** A quiet table writes down so often that its log was looked at. */
const CHECK_SECONDS = 86_400 / 2;

/** A call, and what it knows of Stripe's time. */
export interface Reading {
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
    for await (const {objects} of listObjects(table, {filter}, call)) yield await listedRows(table, objects, call);
  }
}

/** Before the list is read: events from here on are read after it. */
async function firstPosition(reading: Reading): Promise<Position> {
  return {...(await beforeList(reading)), listing: BEGINNING};
}

/** Where the log of events is gone on with once the whole list is read. */
export async function beforeList({table, call, clock}: Reading): Promise<Position> {
  const newest = await newestEvent(table, call, clock);
  return {
    since: (newest ?? clock.nowSeconds()) - OVERLAP_SECONDS,
    checked: clock.nowSeconds(),
    isDrained: false,
    listing: null,
  };
}

async function* readLists(
  position: Position,
  listing: ListingPosition,
  reading: Reading,
): AsyncGenerator<Page, Position> {
  const {passes = [{}]} = reading.table;
  for (let at = listing; at.pass < passes.length; at = {...BEGINNING, pass: at.pass + 1})
    yield* readList(position, at, {...reading, filter: passes[at.pass] ?? {}});
  return {...position, listing: null};
}

async function* readList(
  position: Position,
  from: ListingPosition,
  {table, call, filter}: Reading & {readonly filter: Readonly<Record<string, string>>},
): AsyncGenerator<Page, void> {
  const sequence = listSequence(position.since);
  for await (const {objects, at} of listObjects(table, {filter, from, lt: from.before ?? undefined}, call)) {
    const changes = await listedChanges(table, objects, {call, sequence});
    yield {kind: 'changes', changes, offset: positionOffset({...position, listing: at})};
  }
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
