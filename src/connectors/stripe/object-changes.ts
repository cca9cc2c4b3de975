import {
  type Change,
  formatTimestamp,
  type JsonObject,
  type RestCall,
  type RestReadCall,
  isJsonObject,
} from '../../sdk/index.ts';
import type {ObjectEvent} from './event-log.ts';
import type {ChildList, EventedTable} from './evented-table.ts';
import {mapParallel} from './parallel.ts';
import {listOf, pagedListing} from './stripe-list.ts';

/** Requests for single objects and children at once; the budget of the client decides the speed. */
const PARALLEL = 8;
const MICROS_PER_SECOND = 1_000_000n;

/** What orders changes: microseconds since 1970. */
export type Sequence = bigint;

/** The sequence of an event: its second, and within it the place among the events of its object. */
export function eventSequence({created, rank}: Pick<ObjectEvent, 'created' | 'rank'>): Sequence {
  return BigInt(created) * MICROS_PER_SECOND + BigInt(rank);
}

/** The sequence of rows that were listed when all events before a second were known: below every event from then on. */
export function listSequence(second: number): Sequence {
  return BigInt(second) * MICROS_PER_SECOND - 1n;
}

/** Rows of objects that were listed. */
export async function listedChanges(
  table: EventedTable,
  objects: readonly JsonObject[],
  {call, sequence}: {readonly call: RestReadCall; readonly sequence: Sequence},
): Promise<readonly Change[]> {
  const {children} = table;
  if (children === undefined) return objects.map((object) => upsert(withoutOmitted(object, table), sequence));
  const found = await mapParallel(objects, PARALLEL, (object) => allChildren(object, children, call));
  const families = objects.map((parent, index) => ({parent, items: found[index] ?? [], sequence}));
  return familyChanges(families, children, call);
}

/** Rows of objects as they are now. */
export async function listedRows(
  table: EventedTable,
  objects: readonly JsonObject[],
  call: RestCall,
): Promise<readonly JsonObject[]> {
  const {children} = table;
  if (children === undefined) return objects.map((object) => withoutOmitted(object, table));
  const found = await mapParallel(objects, PARALLEL, (object) => allChildren(object, children, call));
  return objects.flatMap((parent, index) =>
    (found[index] ?? []).map((item) => ({...item, [children.parent]: idOf(parent)})),
  );
}

/** Rows and deletes of events, in their order. */
export async function eventChanges(
  table: EventedTable,
  events: readonly ObjectEvent[],
  call: RestReadCall,
): Promise<readonly Change[]> {
  const current = await currentObjects(table, events, call);
  const last = new Map(events.map((event, index) => [event.objectId, index]));
  const known = events.flatMap((event, index) => {
    const isLast = last.get(event.objectId) === index;
    const object = event.object ?? (isLast ? current.get(event.objectId) : undefined);
    return object === undefined && !event.isDelete ? [] : [{event, isLast, object: object ?? {id: event.objectId}}];
  });
  const {children} = table;
  if (children === undefined) {
    return known.map(({event, object}) =>
      event.isDelete
        ? {op: 'delete', row: {id: event.objectId}, sequence: sequenceText(eventSequence(event))}
        : upsert(withoutOmitted(object, table), eventSequence(event)),
    );
  }
  const families = await mapParallel(known, PARALLEL, async ({event, isLast, object}): Promise<Family | null> => {
    const sequence = eventSequence(event);
    if (event.isDelete) return {parent: object, items: [], sequence};
    // Children beyond the first ones are listed as they are now: once is enough.
    if (!isLast && hasMore(object, children)) return null;
    return {parent: object, items: await allChildren(object, children, call), sequence};
  });
  return familyChanges(
    families.filter((family) => family !== null),
    children,
    call,
  );
}

interface Family {
  readonly parent: JsonObject;
  /** All children of the parent, as they are known at the sequence; null: the parent is gone, its delete is yet to come. */
  readonly items: readonly JsonObject[] | null;
  readonly sequence: Sequence;
}

/** Children as rows, and deletes of those that their parent no longer has: which it had, the ledger knows. */
async function familyChanges(
  families: readonly Family[],
  children: ChildList,
  {ctx}: RestReadCall,
): Promise<readonly Change[]> {
  const before = new Map(await ctx.ledger.get([...new Set(families.map(({parent}) => idOf(parent)))]));
  const changes: Change[] = [];
  for (const {parent, items, sequence} of families) {
    if (items === null) continue;
    const parentId = idOf(parent);
    const ids = items.map(idOf);
    const stay = new Set(ids);
    const old = before.get(parentId);
    const gone = (Array.isArray(old) ? old.map(String) : []).filter((id) => !stay.has(id));
    for (const id of gone) changes.push({op: 'delete', row: {id}, sequence: sequenceText(sequence)});
    for (const item of items) changes.push(upsert({...item, [children.parent]: parentId}, sequence));
    if (Array.isArray(old) && old.length === ids.length && gone.length === 0) continue;
    before.set(parentId, ids);
    ctx.ledger.put(parentId, ids);
  }
  return changes;
}

/** All children of an object: those that came with it, or all of them listed when there are more. */
async function allChildren(
  parent: JsonObject,
  children: ChildList,
  call: RestCall,
): Promise<readonly JsonObject[] | null> {
  const list = parent[children.field];
  if (isJsonObject(list) && list['has_more'] !== true) return listOf(list);
  const {path, query} = children.list(idOf(parent));
  const items: JsonObject[] = [];
  const listing = {...pagedListing({url: path, query}), emptyWhen: [{status: 404}]};
  for await (const page of call.list(listing)) items.push(...page);
  return items;
}

function hasMore(parent: JsonObject, {field}: ChildList): boolean {
  const list = parent[field];
  return !isJsonObject(list) || list['has_more'] === true;
}

/**
 * The objects, as they are now, of events that show them in another version of the API: an event is written in the version
 * that the account had when it happened, whatever version is asked for.
 * @see https://docs.stripe.com/api/events/list
 */
async function currentObjects(
  {path, name}: EventedTable,
  events: readonly ObjectEvent[],
  {client, ctx}: RestReadCall,
): Promise<ReadonlyMap<string, JsonObject>> {
  const last = new Map(events.map((event) => [event.objectId, event]));
  const wanted = [...last.values()].filter(({object, isDelete}) => object === null && !isDelete);
  const found = new Map<string, JsonObject>();
  if (wanted.length === 0) return found;
  ctx.log.info(
    'Events are written in another version of the API than "api_version": objects are asked for one by one.',
    {
      table: name,
      objects: wanted.length,
    },
  );
  await mapParallel(wanted, PARALLEL, async ({objectId}) => {
    const url = `${path}/${encodeURIComponent(objectId)}`;
    const errors = [{when: {status: 404}, then: 'accept'} as const];
    const {status, body} = await client.json({url, errors, about: name}, ctx);
    if (status === 200 && isJsonObject(body) && body['deleted'] !== true) found.set(objectId, body);
  });
  return found;
}

function upsert(row: JsonObject, sequence: Sequence): Change {
  return {op: 'upsert', row, sequence: sequenceText(sequence)};
}

let lastText: {readonly sequence: Sequence; readonly text: string} | null = null;

/** All objects of a list have one sequence, so the last text is remembered. */
function sequenceText(sequence: Sequence): string {
  if (lastText?.sequence !== sequence) lastText = {sequence, text: formatTimestamp(sequence)};
  return lastText.text;
}

function withoutOmitted(object: JsonObject, {omit = []}: EventedTable): JsonObject {
  if (omit.every((name) => object[name] === undefined)) return object;
  return Object.fromEntries(Object.entries(object).filter(([name]) => !omit.includes(name)));
}

function idOf(object: JsonObject): string {
  return String(object['id']);
}
