import {
  type CustomParts,
  formatTimestamp,
  type HttpQuery,
  isJsonObject,
  type JsonObject,
  type Partition,
  type RestCall,
} from '../../sdk/index.ts';
import {beforeList} from './evented-reader.ts';
import type {EventedTable} from './evented-table.ts';
import {listedRows, listSequence} from './object-changes.ts';
import {listObjects, startSeconds} from './object-list.ts';
import {parsePosition, positionOffset} from './position.ts';
import {listingClock, listOf, PAGE_SIZE} from './stripe-list.ts';

/** Stripe has no objects that are older. */
const FIRST_SECOND = Date.UTC(2011, 0, 1) / 1000;
/** How exactly the oldest object is looked for. */
const GRAIN_SECONDS = 30 * 86_400;
/** Stretches of time that a list is cut into at most. */
const PARTS = 32;

/**
 * The first read of a table by stretches of the time of creation, which never changes: no object moves from one to another. The
 * newest one is open, so that the parts are the whole list, as one pass over it is; what happens to its objects meanwhile comes by the
 * log of events, from before the first part on. Children are not read in parts: which of them a parent had stands in the ledger.
 */
export function listParts(table: EventedTable): CustomParts {
  return {
    async end(call) {
      return positionOffset(await beforeList({table, call, clock: listingClock(call.ctx.clock.nowMs())}));
    },
    async list(end, call) {
      const {since} = parsePosition(end);
      const {passes = [{}]} = table;
      const parts: Partition[] = [];
      for (const [pass, filter] of passes.entries()) {
        const stretches = await stretchesOf(table.path, {filter, until: since}, call);
        parts.push(...stretches.map(({gte, lt}) => ({pass, since, gte, lt})));
      }
      return parts;
    },
    async *read({pass, since, gte, lt}, call) {
      const {passes = [{}]} = table;
      const filter = passes[Number(pass)] ?? {};
      const sequence = formatTimestamp(listSequence(Number(since)));
      const part = {filter, gte: numberOf(gte), lt: numberOf(lt)};
      for await (const {objects} of listObjects(table, part, call))
        yield {kind: 'records', rows: await listedRows(table, objects, call), sequence};
    },
  };
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

/** A list of one page is one stretch; a longer one is cut evenly. */
async function stretchesOf(
  path: string,
  {filter, until}: {readonly filter: HttpQuery; readonly until: number},
  call: RestCall,
): Promise<readonly Stretch[]> {
  const whole = [{gte: null, lt: null}];
  const start = startSeconds(call);
  const bound = start === undefined ? {} : {'created[gte]': start};
  if (!(await hasMore(path, {...filter, ...bound, limit: PAGE_SIZE}, call))) return whole;
  const oldest = start ?? (await oldestSecond(path, {filter, until}, call));
  if (oldest === null || oldest >= until) return whole;
  const size = Math.ceil((until - oldest) / PARTS);
  const borders: number[] = [];
  for (let at = oldest + size; at < until; at += size) borders.push(at);
  return [...borders, null].map((lt, index) => ({gte: index === 0 ? null : (borders[index - 1] ?? null), lt}));
}

async function hasMore(path: string, query: HttpQuery, {client, ctx, table}: RestCall): Promise<boolean> {
  const {body} = await client.json({url: path, query, about: table}, ctx);
  listOf(body);
  return isJsonObject(body) && body['has_more'] === true;
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
