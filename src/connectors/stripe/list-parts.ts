import {
  type CustomParts,
  formatTimestamp,
  type HttpQuery,
  isJsonObject,
  type JsonObject,
  type Offset,
  type Partition,
  type RestCall,
} from '../../sdk/index.ts';
import {beforeList} from './evented-reader.ts';
import type {EventedTable} from './evented-table.ts';
import {listedRows, listSequence} from './object-changes.ts';
import {listObjects, startSeconds} from './object-list.ts';
import {BEGINNING, type ListingPosition, parsePosition, positionOffset} from './position.ts';
import {listingClock, listOf, PAGE_SIZE} from './stripe-list.ts';

/** Stripe has no objects that are older. */
const FIRST_SECOND = Date.UTC(2011, 0, 1) / 1000;
/** How exactly the oldest object is looked for. */
const GRAIN_SECONDS = 30 * 86_400;
/** A part is about so many pages. */
const PAGES_A_PART = 8;
/** Parts that are read before they are committed: so much is read again after a kill. */
const PARTS_A_ROUND = 64;
/** Of one list, however long it is. */
const MAX_PARTS = 16_384;

/**
 * The first read of a table by stretches of the time of creation, which never changes: no object moves from one to another. They go
 * back from the newest one, which is open, some of them to a commit, so that together they are the whole list, as one pass over it is;
 * what happens to its objects meanwhile comes by the log of events, from before the first part on. Children are not read in parts: which
 * of them a parent had stands in the ledger.
 */
export function listParts(table: EventedTable): CustomParts {
  const {passes = [{}]} = table;
  const stretches = (at: ListingPosition, call: RestCall): Promise<readonly Stretch[]> =>
    stretchesOf(table, {filter: passes[at.pass] ?? {}, before: at.before}, call);
  return {
    isCut(start) {
      const listing = start === null ? BEGINNING : parsePosition(start).listing;
      // In the middle of a list that is read page by page.
      return listing !== null && listing.after === null;
    },
    async end(start, call) {
      const clock = listingClock(call.ctx.clock.nowMs());
      const position = start === null ? await beforeList({table, call, clock}) : parsePosition(start);
      if (start !== null && position.listing === null) return start;
      const at = placeOf(start);
      const last = (await stretches(at, call))[PARTS_A_ROUND - 1]?.gte ?? null;
      const next = last === null ? {...BEGINNING, pass: at.pass + 1} : {...at, before: last};
      return positionOffset({...position, listing: next.pass < passes.length ? next : null});
    },
    async list({start, end}, call) {
      const {since, listing} = parsePosition(end);
      const at = placeOf(start);
      const all = await stretches(at, call);
      const until = listing?.pass === at.pass ? listing.before : null;
      const wanted = until === null ? all : all.filter(({lt}) => lt === null || lt > until);
      return wanted.map(({gte, lt}, index): Partition => {
        const isLast = index === wanted.length - 1;
        return {pass: at.pass, since, gte: isLast ? until : gte, lt};
      });
    },
    async *read({pass, since, gte, lt}, call) {
      const filter = passes[Number(pass)] ?? {};
      const sequence = formatTimestamp(listSequence(Number(since)));
      const part = {filter, gte: numberOf(gte), lt: numberOf(lt)};
      for await (const {objects} of listObjects(table, part, call))
        yield {kind: 'records', rows: await listedRows(table, objects, call), sequence};
    },
  };
}

function placeOf(start: Offset | null): ListingPosition {
  return (start === null ? null : parsePosition(start).listing) ?? BEGINNING;
}

/** Seconds since 1970 just before the oldest object of a list, to within a month; null when it has none before `until`. */
export async function oldestSecond(
  path: string,
  {filter = {}, until}: {readonly filter?: HttpQuery; readonly until: number},
  call: RestCall,
): Promise<number | null> {
  const isBefore = async (second: number): Promise<boolean> =>
    (await firstObjects(path, {...filter, limit: 1, 'created[lt]': second}, call)).length > 0;
  if (!(await isBefore(until))) return null;
  let low = 0;
  let high = Math.ceil((until - FIRST_SECOND) / GRAIN_SECONDS);
  // Halves what is left in every turn: nothing is older than `low`, something than `high`.
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await isBefore(FIRST_SECOND + middle * GRAIN_SECONDS)) high = middle;
    else low = middle;
  }
  return FIRST_SECOND + low * GRAIN_SECONDS;
}

interface Stretch {
  /** The first second; null: from the oldest object. */
  readonly gte: number | null;
  /** The second after the last; null: to the newest object. */
  readonly lt: number | null;
}

/** What is left of a list, newest first, in stretches that are as long as the newest page lets expect; one where that is all. */
async function stretchesOf(
  {path, created = 'created'}: EventedTable,
  {filter, before}: {readonly filter: HttpQuery; readonly before: number | null},
  call: RestCall,
): Promise<readonly Stretch[]> {
  const start = startSeconds(call);
  const query = {...filter, 'created[gte]': start, 'created[lt]': before ?? undefined, limit: PAGE_SIZE};
  const {body} = await call.client.json({url: path, query, about: call.table}, call.ctx);
  const page = listOf(body);
  const [newest, last] = [page[0], page.at(-1)].map((object) => Number(object?.[created]));
  const whole = [{gte: null, lt: before}];
  if (!isJsonObject(body) || body['has_more'] !== true || newest === undefined || last === undefined) return whole;
  const until = newest + 1;
  const oldest = start ?? (await oldestSecond(path, {filter, until}, call));
  if (oldest === null || !(oldest < until)) return whole;
  const pages = (until - oldest) / Math.max(1, until - last);
  const size = Math.ceil((until - oldest) / Math.min(MAX_PARTS, Math.max(1, Math.ceil(pages / PAGES_A_PART))));
  const borders: number[] = [];
  for (let at = until - size; at > oldest; at -= size) borders.push(at);
  return [...borders, null].map((gte, index) => ({gte, lt: index === 0 ? before : (borders[index - 1] ?? null)}));
}

async function firstObjects(
  path: string,
  query: HttpQuery,
  {client, ctx, table}: RestCall,
): Promise<readonly JsonObject[]> {
  return listOf((await client.json({url: path, query, about: table}, ctx)).body);
}

function numberOf(value: Partition[string] | undefined): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
