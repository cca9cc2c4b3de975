import {IngestError, isIngestError, type JsonObject, type RestCall} from '../../sdk/index.ts';
import type {EventedTable} from './evented-table.ts';
import {BEGINNING, type ListingPosition} from './position.ts';
import {pagedListing} from './stripe-list.ts';

/** Which objects of a list. */
export interface ListPart {
  /** What the list is filtered by. */
  readonly filter: Readonly<Record<string, string>>;
  /** Created at or after this second. Default: the option `start_timestamp`, which counts in any case. */
  readonly gte?: number | undefined;
  /** Created before this second. */
  readonly lt?: number | undefined;
  /** Where to go on. Default: at the newest object. */
  readonly from?: ListingPosition;
}

/** Objects of a page, and the place behind them. */
export interface ListedPage {
  readonly objects: readonly JsonObject[];
  readonly at: ListingPosition;
}

/** The objects of a list, newest first. Goes on from the time of the last object when the object itself has been deleted meanwhile. */
export async function* listObjects(
  table: EventedTable,
  part: ListPart,
  call: RestCall,
): AsyncGenerator<ListedPage, void> {
  let at = part.from ?? BEGINNING;
  let isGone = false;
  // Ends: a list that is begun again goes on at or below the last time of creation, and only after a page.
  for (;;) {
    const before = at;
    try {
      for await (const objects of call.list(listingFrom(at, isGone, {table, part, call}))) {
        // An offset that does not move would end the trigger.
        if (objects.length === 0) continue;
        const next = lastOf(objects, table, at);
        if (next.after === at.after) throw stuck(table);
        at = next;
        yield {objects, at};
      }
      return;
    } catch (error) {
      if (!isIngestError(error, 'OFFSET_EXPIRED') || at.after === null || (isGone && at.after === before.after))
        throw error;
      isGone = true;
    }
  }
}

/** Seconds since 1970 of the option `start_timestamp`; undefined without it. @throws INVALID_OPTION when it is no timestamp. */
export function startSeconds({option}: RestCall): number | undefined {
  const text = option['start_timestamp'];
  if (typeof text !== 'string') return undefined;
  const at = Date.parse(text);
  if (Number.isNaN(at)) {
    throw new IngestError('INVALID_OPTION', 'The table option "start_timestamp" is no timestamp.', {
      fix: 'Write it like 2026-01-31T12:00:00Z.',
      context: {option: 'start_timestamp'},
    });
  }
  return Math.floor(at / 1000);
}

function listingFrom(
  {after, created}: ListingPosition,
  isGone: boolean,
  {table, part, call}: {readonly table: EventedTable; readonly part: ListPart; readonly call: RestCall},
): ReturnType<typeof pagedListing> {
  const {filter, gte = -Infinity, lt} = part;
  const oldest = Math.max(gte, startSeconds(call) ?? -Infinity);
  const query = {
    ...filter,
    'created[gte]': Number.isFinite(oldest) ? oldest : undefined,
    'created[lt]': lt,
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

function lastOf(objects: readonly JsonObject[], table: EventedTable, at: ListingPosition): ListingPosition {
  const last = objects.at(-1);
  if (last === undefined) return at;
  return {...at, after: String(last['id']), created: Number(last[table.created ?? 'created'])};
}
