import {stringifyJson} from '../core/json-reader.ts';
import type {JsonObject, JsonValue} from '../core/json-value.ts';
import {keyText, type SimulatedCollection, type Tombstone} from './collection.ts';
import {cursorText, readCursor} from './cursor-text.ts';
import {type ListQuery, paramsOf, paramWithRole, readListQuery} from './list-query.ts';
import {ListView, splitRanges} from './list-view.ts';
import {cutPage, type PageCut, pageSize} from './page-cut.ts';
import type {DeltaSpec, PagingSpec, Place} from './paging-spec.ts';
import type {SimulatedReply, SimulatedRequest} from './request.ts';
import {type Condition, rowFilter} from './row-filter.ts';
import {RowOrder} from './row-order.ts';
import {isObject, valueAt, withValue} from './row-values.ts';
import type {ListEndpoint, PageFacts, SortField} from './simulator-spec.ts';
import type {HandlerContext} from './simulator.ts';

/** What a list knows beside its request. */
export interface ListState {
  readonly collection: SimulatedCollection;
  readonly context: HandlerContext;
  /** Number of the last change. */
  readonly sequence: number;
  readonly memory: ListMemory;
  /** What faults do to the page. */
  readonly effects: ListEffects;
}

/** What faults do to a page. */
export interface ListEffects {
  readonly repeatsRows: boolean;
  readonly shufflesRows: boolean;
}

/** Ordered lists of requests that differ in their page or in where they begin and end only, and the rows of each list's last page. */
export class ListMemory {
  readonly #ordered = new Map<string, ListView>();
  readonly #lastPages = new WeakMap<ListEndpoint, readonly JsonObject[]>();
  #nextId = 0;
  readonly #ids = new WeakMap<ListEndpoint, number>();

  /** A number for each list. */
  idOf(list: ListEndpoint): number {
    const id = this.#ids.get(list) ?? this.#nextId++;
    this.#ids.set(list, id);
    return id;
  }

  /** Remembers up to 16 lists. */
  ordered(key: string, make: () => ListView): ListView {
    const view = this.#ordered.get(key) ?? make();
    this.#ordered.delete(key);
    this.#ordered.set(key, view);
    const [oldest] = this.#ordered.keys();
    if (this.#ordered.size > 16 && oldest !== undefined) this.#ordered.delete(oldest);
    return view;
  }

  /** The rows of the page before, and those of this one for the next time. */
  turn(list: ListEndpoint, rows: readonly JsonObject[]): readonly JsonObject[] {
    const before = this.#lastPages.get(list) ?? [];
    this.#lastPages.set(list, rows);
    return before;
  }
}

/** Answers a list. @throws WrongRequest when the request is wrong. */
export function listReply(list: ListEndpoint, request: SimulatedRequest, state: ListState): SimulatedReply {
  const paging = list.paging ?? {style: 'none'};
  const delta = deltaOf(paging);
  const token = delta === null ? null : request.query.get(delta.param);
  const query = readListQuery(list, request);
  if (delta !== null && token !== null) return deltaReply({list, request, state, query, delta, paging}, token);
  const sort = sortOf(list, request, query);
  const order = new RowOrder(sort, query.things === 'events' ? ['sequence'] : state.collection.keyFields);
  const rows = orderedRows({list, request, state, query, order, sort});
  const cut = cutPage(paging, {
    rows,
    query,
    order,
    nowMs: state.context.clock.nowMs(),
    sequence: state.sequence,
    placeOf: (key) => placeOf(state.collection, query, key),
  });
  const page = affected(list, rows.slice(cut.from, cut.to), state);
  const next = paging.style === 'keyset' && cut.next !== null ? keyAt(state.collection, rows[cut.to - 1]) : cut.next;
  return render({list, request, state, query, paging, cut: {...cut, next}, page, total: rows.length});
}

interface Listing {
  readonly list: ListEndpoint;
  readonly request: SimulatedRequest;
  readonly state: ListState;
  readonly query: ListQuery;
}

function sortOf(list: ListEndpoint, request: SimulatedRequest, query: ListQuery): readonly SortField[] {
  if (query.sort !== null) return query.sort;
  const sort = typeof list.sort === 'function' ? list.sort(request) : list.sort;
  return sort ?? (query.things === 'events' ? [{field: 'sequence'}] : []);
}

interface Ordered extends Listing {
  readonly order: RowOrder;
  readonly sort: readonly SortField[];
}

function orderedRows({list, request, state, query, order, sort}: Ordered): readonly JsonObject[] {
  const {collection, context} = state;
  // What a list is asked from and to mostly changes with every page: it is cut out of one that is ordered once.
  const {ranges, others} = splitRanges(query.conditions, sort);
  const make = (): ListView => {
    const isWanted = rowFilter(others);
    const where = list.where?.(request, context);
    const found = thingsOf(collection, query).filter((row) => isWanted(row) && (where === undefined || where(row)));
    return new ListView(order.sort(found), sort);
  };
  const key = memoryKey({list, request, state, query}, sort, others);
  const view = collection.isSettled ? state.memory.ordered(key, make) : make();
  return view.within(ranges);
}

function thingsOf(collection: SimulatedCollection, {things}: ListQuery): readonly JsonObject[] {
  if (things !== 'events') return collection.visible(things);
  return collection.events().map(({sequence, kind, atMs, row}) => ({sequence, kind, at: atMs, row}));
}

const PAGE_ROLES = new Set(['limit', 'page', 'offset', 'cursor', 'after', 'before', 'fields', 'ignore']);

/** The same for requests of one collection, unchanged, that ask for the same rows in the same order. */
function memoryKey(listing: Listing, sort: readonly SortField[], conditions: readonly Condition[]): string {
  const {list, state, query} = listing;
  const {version, name} = state.collection;
  const asked = conditions.map(({field, op, values, as = ''}): JsonValue => [field, op, as, ...values]);
  const orders = sort.map(({field, descending = false}): JsonValue => [field, descending]);
  const said = stringifyJson([name, version, state.memory.idOf(list), query.things, orders, asked]);
  return list.where === undefined ? said : `${said}${requestKey(listing)}`;
}

/** The same for requests that differ in their page only; a filter of the endpoint's own may look at anything else. */
function requestKey({list, request, state}: Listing): string {
  const params = Object.entries(paramsOf(list));
  const pageNames = params.filter(([, param]) => PAGE_ROLES.has(param.role));
  const names = new Set(pageNames.filter(([, {in: place = 'query'}]) => place === 'query').map(([name]) => name));
  const asked = [...request.query].filter(([name]) => !names.has(name));
  let {body} = request;
  for (const [name, param] of pageNames) if (param.in === 'body' && isObject(body)) body = withValue(body, name, null);
  const headers = params
    .filter(([, param]) => param.in === 'header')
    .map(([name]) => request.headers[name.toLowerCase()] ?? null);
  return stringifyJson([request.path, asked, headers, state.context.clock.nowMs(), body]);
}

function placeOf(
  collection: SimulatedCollection,
  query: ListQuery,
  key: string,
): {readonly row: JsonObject; readonly isGone: boolean} | null {
  if (query.things === 'events') return {row: {sequence: Number(key)}, isGone: false};
  const row = collection.get(key);
  if (row !== undefined) return {row, isGone: false};
  const text = keyText(key);
  const gone = collection.tombstones().findLast((one) => keyText(collection.keyOf(one.row)) === text);
  return gone === undefined ? null : {row: gone.row, isGone: query.things === 'rows'};
}

function keyAt(collection: SimulatedCollection, row: JsonObject | undefined): string | number | null {
  const value = row === undefined ? null : valueAt(row, collection.keyFields[0] ?? '');
  return typeof value === 'number' ? value : value === undefined || value === null ? null : String(value);
}

function affected(
  list: ListEndpoint,
  page: readonly JsonObject[],
  {memory, effects, context}: ListState,
): readonly JsonObject[] {
  const before = memory.turn(list, page);
  const rows = effects.repeatsRows ? [...before, ...page] : page;
  return effects.shufflesRows ? shuffled(rows, context.random) : rows;
}

function shuffled(rows: readonly JsonObject[], random: () => number): readonly JsonObject[] {
  const drawn = rows.map((row) => ({row, at: random()}));
  drawn.sort((left, right) => left.at - right.at);
  return drawn.map(({row}) => row);
}

function deltaOf(paging: PagingSpec): DeltaSpec | null {
  return (paging.style === 'cursor' || paging.style === 'odata' ? paging.delta : undefined) ?? null;
}

interface Delta extends Listing {
  readonly delta: DeltaSpec;
  readonly paging: PagingSpec;
}

/** What changed after a delta token, deletes as the API shows them, in the order of the changes. */
function deltaReply({list, request, state, query, delta, paging}: Delta, token: string): SimulatedReply {
  const {collection, context} = state;
  const nowMs = context.clock.nowMs();
  const begun = readCursor(token, nowMs, delta.expiresAfterMs);
  // Pages go on by the number of the change: a row that changes meanwhile moves behind the others and shifts none of them.
  const since = (query.cursor === null ? begun : readCursor(query.cursor, nowMs)).sequence ?? 0;
  const isWanted = rowFilter(query.conditions);
  const scope = new Set(Object.values(list.scope ?? {}));
  const isInScope = rowFilter(query.conditions.filter(({field}) => scope.has(field)));
  const changed = collection.changedSince(since).filter(({row, isDeleted}) => (isDeleted ? isInScope : isWanted)(row));
  const to = Math.min(pageSize(paging.style === 'none' ? {} : paging, query), changed.length);
  const hasMore = to < changed.length;
  const last = changed[to - 1]?.sequence ?? since;
  const removed = delta.removed ?? ((one: Tombstone): JsonValue => ({...one.key, '@removed': {reason: 'deleted'}}));
  const records = changed.slice(0, to).map(({row, isDeleted, atMs}) => {
    if (!isDeleted) return recordOf({list, request, state, query}, row);
    const key = Object.fromEntries(collection.keyFields.map((field) => [field, valueAt(row, field)]));
    return removed({key, row, deletedAtMs: atMs});
  });
  const cut: PageCut = {
    from: 0,
    to,
    next: hasMore ? cursorText({issuedAtMs: nowMs, sequence: last}) : null,
    previous: null,
    first: null,
    last: null,
    hasMore,
    pages: 1,
  };
  const listing = {list, request, state, query, paging, cut, records};
  return render({...listing, page: [], total: changed.length, sequence: state.sequence});
}

interface Rendered extends Listing {
  readonly paging: PagingSpec;
  readonly cut: PageCut;
  readonly page: readonly JsonObject[];
  readonly total: number;
  /** Instead of the page's rows. */
  readonly records?: readonly JsonValue[];
  /** The change up to which a delta went. */
  readonly sequence?: number;
}

function render(rendered: Rendered): SimulatedReply {
  const {list, request, state, cut, page, total} = rendered;
  const records = rendered.records ?? page.map((row) => recordOf(rendered, row));
  const {records: path, extras, as = 'json'} = list.wrap ?? {};
  if (as !== 'json') return linesReply(as, records, pageHeaders(rendered));
  if (path === undefined) return {body: records, headers: pageHeaders(rendered)};
  const facts: PageFacts = {rows: page, total, hasMore: cut.hasMore, request, context: state.context};
  let body: JsonObject = withValue({}, path, records);
  body = {...body, ...(typeof extras === 'function' ? extras(facts) : extras)};
  if (valueAt(body, path) === undefined) body = withValue(body, path, records);
  for (const [place, value] of placedFacts(rendered)) if ('body' in place) body = withValue(body, place.body, value);
  return {body, headers: pageHeaders(rendered)};
}

function recordOf({list, request, state, query}: Listing, row: JsonObject): JsonValue {
  const record = list.map === undefined ? row : list.map(row, request, state.context);
  if (query.fields === null || !isObject(record)) return record;
  const {names, under} = query.fields;
  const wanted = new Set(under === null ? [...names, ...state.collection.keyFields] : names);
  const chosen = under === null ? record : (valueAt(record, under) ?? {});
  if (!isObject(chosen)) return record;
  const kept = Object.fromEntries(Object.entries(chosen).filter(([name]) => wanted.has(name)));
  return under === null ? kept : withValue(record, under, kept);
}

/** Facts about the page with their places, those without a value left out. */
function placedFacts(rendered: Rendered): readonly (readonly [Place, JsonValue])[] {
  const {paging, cut, total} = rendered;
  if (paging.style === 'none') return [];
  const facts: (readonly [Place, JsonValue])[] = [];
  const put = (place: Place | undefined, value: JsonValue): void => {
    if (place !== undefined) facts.push([place, value]);
  };
  put(paging.total, total);
  put(paging.pages, cut.pages);
  put(paging.hasMore, cut.hasMore);
  put(paging.isLast, !cut.hasMore);
  const nextPlace = paging.style === 'odata' ? {body: '@odata.nextLink'} : paging.next;
  const next = nextValue(rendered);
  if (next !== null) put(nextPlace, next);
  else if (paging.whenLast === 'null') put(nextPlace, null);
  else if (paging.whenLast === 'empty') put(nextPlace, '');
  const delta = deltaOf(paging);
  if (delta !== null && !cut.hasMore) put(delta.next, deltaValue(rendered, delta));
  return facts;
}

function nextValue(rendered: Rendered): string | number | null {
  const {paging, cut, list} = rendered;
  if (cut.next === null) return null;
  const as = paging.style === 'odata' ? 'url' : paging.style === 'none' ? 'value' : (paging.nextAs ?? 'value');
  const value = paging.style === 'page' ? Number(cut.next) + firstPage(list) : cut.next;
  if (as === 'value') return value;
  if (as === 'text') return String(value);
  const url = pageUrl(rendered, value);
  return as === 'url' ? url : url.slice(rendered.request.origin.length);
}

function deltaValue(rendered: Rendered, delta: DeltaSpec): string {
  const {request, state} = rendered;
  const cursor = rendered.query.cursor;
  const begun = cursor === null ? state.sequence : (readCursor(cursor, 0).sequence ?? state.sequence);
  const token = cursorText({issuedAtMs: state.context.clock.nowMs(), sequence: rendered.sequence ?? begun});
  if (delta.nextAs === 'value') return token;
  const query = new URLSearchParams(request.query);
  query.delete(paramWithRole(rendered.list, 'cursor') ?? 'cursor');
  query.set(delta.param, token);
  return `${request.origin}${request.target.split('?')[0] ?? ''}?${query.toString()}`;
}

function pageHeaders(rendered: Rendered): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [place, value] of placedFacts(rendered))
    if ('header' in place && value !== null) headers[place.header.toLowerCase()] = String(value);
  const {paging, cut, list} = rendered;
  if (paging.style === 'none' || paging.linkHeader !== true) return headers;
  const shift = paging.style === 'page' ? firstPage(list) : 0;
  const links = (['first', 'previous', 'next', 'last'] as const).flatMap((name) => {
    const value = cut[name];
    // On the one page of a list there is nowhere to go.
    if (value === null || (cut.next === null && cut.previous === null)) return [];
    const page = typeof value === 'number' && paging.style === 'page' ? value + shift : value;
    return [`<${pageUrl(rendered, page)}>; rel="${name === 'previous' ? 'prev' : name}"`];
  });
  return links.length === 0 ? headers : {...headers, link: links.join(', ')};
}

function firstPage(list: ListEndpoint): number {
  const param = Object.values(paramsOf(list)).find(({role}) => role === 'page');
  return param?.role === 'page' ? (param.first ?? 1) : 1;
}

const PAGE_PARAM = {
  page: 'page',
  offset: 'offset',
  keyset: 'after',
  cursor: 'cursor',
  odata: 'cursor',
  none: 'ignore',
} as const;

function pageUrl({list, paging, request}: Rendered, value: string | number): string {
  const role = PAGE_PARAM[paging.style];
  const query = new URLSearchParams(request.query);
  query.set(paramWithRole(list, role) ?? role, String(value));
  return `${request.origin}${request.target.split('?')[0] ?? ''}?${query.toString()}`;
}

function linesReply(
  as: 'ndjson' | 'csv',
  records: readonly JsonValue[],
  headers: Readonly<Record<string, string>>,
): SimulatedReply {
  const type = as === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson';
  const lines = as === 'csv' ? csvLines(records) : records.map((record) => stringifyJson(record));
  return {headers: {...headers, 'content-type': type}, body: Buffer.from(lines.map((line) => `${line}\n`).join(''))};
}

function csvLines(records: readonly JsonValue[]): readonly string[] {
  const rows = records.filter(isObject);
  const names = Object.keys(rows[0] ?? {});
  const cell = (value: JsonValue | undefined): string => {
    const text =
      value === undefined || value === null ? '' : typeof value === 'object' ? stringifyJson(value) : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [names.map((name) => cell(name)), ...rows.map((row) => names.map((name) => cell(row[name])))].map((cells) =>
    cells.join(','),
  );
}
