import {type JsonObject, type JsonValue, type Random, seededRandom} from '../../sdk/index.ts';
import {BILLING_SAMPLES} from './simulator-billing-samples.ts';
import {CATALOG_SAMPLES} from './simulator-catalog-samples.ts';
import {chargeSample} from './simulator-charges.ts';
import {STRIPE_KINDS, type StripeChildren, type StripeKind} from './simulator-kinds.ts';
import {PAYMENTS_SAMPLES} from './simulator-payments-samples.ts';

/** Fields of an object as Stripe gives it. */
export interface ObjectSample {
  readonly required: JsonObject;
  /** Absent or null in some objects. */
  readonly optional: JsonObject;
}

/** What an account is made with. */
export interface AccountOptions {
  /** Milliseconds since 1970: `nowMs` is what expiry and visibility go by, `stampMs` what is stamped. */
  readonly clock: {nowMs(): number; stampMs(): number};
  readonly seed: number;
  /** Objects of each kind, created before the account's log begins. */
  readonly objects: number;
  /** Of these kinds another number. */
  readonly objectsOf?: Readonly<Record<string, number>>;
  /** In which events are written. */
  readonly apiVersion: string;
  /** Every third event becomes visible so many milliseconds after the others. */
  readonly eventLagMs: number;
  /** Objects of a page at most. */
  readonly pageCap: number;
}

/** Which objects of a list. Times are seconds since 1970. */
export interface ListQuery {
  readonly gte?: number | undefined;
  readonly lte?: number | undefined;
  readonly lt?: number | undefined;
  readonly startingAfter?: string | undefined;
  readonly limit: number;
  readonly where?: (object: JsonObject) => boolean;
}

/** A page of a list; null when the object to start after does not exist. */
export type ListPage = {readonly data: readonly JsonObject[]; readonly hasMore: boolean} | null;

const SAMPLES = {...CATALOG_SAMPLES, ...BILLING_SAMPLES, ...PAYMENTS_SAMPLES};
/** Kinds whose objects are made one by one and are all of one version. */
const MADE: Readonly<Record<string, (number: number) => JsonObject>> = {charges: chargeSample};
const EVENT_DAYS = 30;
const DAY_MS = 86_400_000;
/** Objects in a row of the first ones that were created in the same second. */
const TIES = 3;
/** However small the pages of lists are. */
const EVENTS_PER_PAGE = 25;
/** Numbers of the ids of objects that come later. */
const LATER_IDS = 1_000_000;

/** The objects of a Stripe account and the log of their changes. */
export class StripeAccount {
  readonly #options: AccountOptions;
  readonly #objects = new Map<string, Map<string, JsonObject>>();
  /** By the parent's id. */
  readonly #children = new Map<string, JsonObject[]>();
  readonly #events: {readonly event: JsonObject; readonly visibleAtMs: number}[] = [];
  /** Newest first, as long as nothing of the kind changes. */
  readonly #sorted = new Map<string, ListedObjects>();
  readonly #deleted = new Map<string, JsonObject[]>();
  readonly #startSeconds: number;
  /** The kind whose first objects are being made. */
  #random: Random = () => 0;
  #count = 0;

  constructor(options: AccountOptions) {
    this.#options = options;
    this.#startSeconds = Math.floor(options.clock.stampMs() / 1000);
    for (let n = options.objects; n > 0; n--) this.#emitBalance(this.#startSeconds - 3600 * Math.ceil(n / TIES));
  }

  /** Creates an object as now; `children` are those that it has, else it has some. An event tells of it, unless it is null. */
  create(
    kind: string,
    fields: JsonObject = {},
    {
      event = kindOf(kind).created,
      children,
    }: {readonly event?: string | null; readonly children?: readonly JsonObject[]} = {},
  ): JsonObject {
    this.#all(kind);
    const object = this.#make(kind, this.#nowSeconds(), fields);
    const spec = kindOf(kind).children;
    const id = String(object['id']);
    if (children !== undefined && spec !== undefined)
      this.#children.set(
        id,
        children.map((child) => this.#makeChild(spec, id, child)),
      );
    this.#emit(event, kind, object);
    return this.#shown(kind, object);
  }

  /** Creates an object with an id that another one had. */
  recreate(kind: string): void {
    const old = this.#deleted.get(kind)?.pop();
    if (old === undefined) throw new Error(`nothing of ${kind} was deleted`);
    this.create(kind, {id: old['id'] ?? null});
  }

  /** Changes fields of an object; an event tells of it, unless it is null. */
  update(kind: string, id: string, fields: JsonObject, event: string | null = kindOf(kind).updated): JsonObject {
    const object = {...this.#existing(kind, id), ...fields};
    this.#all(kind).set(id, object);
    this.#sorted.delete(kind);
    this.#emit(event, kind, object);
    return this.#shown(kind, object);
  }

  /** Deletes an object. */
  remove(kind: string, id: string): void {
    const object = this.#existing(kind, id);
    this.#all(kind).delete(id);
    this.#sorted.delete(kind);
    this.#deleted.get(kind)?.push(object);
    this.#emit(kindOf(kind).deleted ?? null, kind, object);
    this.#children.delete(id);
  }

  /** Adds, changes or removes a child of an object, which the object's own event tells. */
  changeChildren(kind: string, parentId: string, change: 'add' | 'update' | 'remove'): void {
    const {children} = kindOf(kind);
    const items = [...(this.#children.get(parentId) ?? [])];
    if (children === undefined) return;
    if (change === 'add') items.unshift(this.#makeChild(children, parentId));
    if (change === 'remove') items.pop();
    const [first] = items;
    if (change === 'update' && first !== undefined) items[0] = {...first, metadata: {version: String(this.#count++)}};
    this.#children.set(parentId, items);
    this.update(kind, parentId, {});
  }

  /** Adds a child to an object, which the object's own event tells. */
  addChild(kind: string, parentId: string, fields: JsonObject): JsonObject {
    const {children} = kindOf(kind);
    if (children === undefined) throw new Error(`${kind} have no children`);
    const child = this.#makeChild(children, parentId, fields);
    this.#children.set(parentId, [child, ...this.children(parentId)]);
    this.update(kind, parentId, {});
    return child;
  }

  /** Changes or removes (null) the child of an id, which its parent's event tells; undefined when there is none. */
  changeChild(kind: string, childId: string, fields: JsonObject | null): JsonObject | undefined {
    for (const parentId of this.ids(kind)) {
      const items = this.children(parentId);
      const old = items.find((item) => item['id'] === childId);
      if (old === undefined) continue;
      const child = {...old, ...fields};
      const changed = items.flatMap((item) => (item !== old ? [item] : fields === null ? [] : [child]));
      this.#children.set(parentId, changed);
      this.update(kind, parentId, {});
      return child;
    }
    return undefined;
  }

  /** Every field that an object of a kind can have, with a value of its type. */
  sample(kind: string): JsonObject {
    const sample = SAMPLES[kind];
    return sample === undefined ? (MADE[kind]?.(0) ?? {}) : {...sample.optional, ...sample.required};
  }

  /** Ids of the objects of a kind, oldest first. */
  ids(kind: string): readonly string[] {
    return [...this.#all(kind).keys()];
  }

  /** Everything of a kind as it is now, children included: kinds of children are given by their own name. */
  rows(kind: string): readonly JsonObject[] {
    const parent = Object.entries(STRIPE_KINDS).find(([, {children}]) => children?.kind === kind)?.[0];
    if (parent === undefined) return [...this.#all(kind).values()].map((object) => this.#shown(kind, object));
    return this.ids(parent).flatMap((id) => this.children(id));
  }

  /** A page of the children of an object. */
  childList(parentId: string, query: ListQuery): ListPage {
    const items = this.children(parentId);
    const {startingAfter, limit} = this.#capped(query);
    const from = startingAfter === undefined ? 0 : items.findIndex((item) => item['id'] === startingAfter) + 1;
    if (startingAfter !== undefined && from === 0) return null;
    return {data: items.slice(from, from + limit), hasMore: items.length > from + limit};
  }

  /** The children of an object, newest first. */
  children(parentId: string): readonly JsonObject[] {
    return this.#children.get(parentId) ?? [];
  }

  /** One object as a request sees it. */
  object(kind: string, id: string): JsonObject | undefined {
    const object = this.#all(kind).get(id);
    return object === undefined ? undefined : this.#shown(kind, object);
  }

  /** True for an id that an object had which is gone. */
  wasDeleted(kind: string, id: string): boolean {
    return this.#deleted.get(kind)?.some((object) => object['id'] === id) === true;
  }

  /** A page of a list, newest first. */
  list(kind: string, query: ListQuery): ListPage {
    const created = kindOf(kind).createdField ?? 'created';
    const all = this.#newestFirst(kind, created);
    const page = pageOf(all, this.#capped(query), created);
    return page === null ? null : {...page, data: page.data.map((object) => this.#shown(kind, object))};
  }

  #newestFirst(kind: string, created: string): ListedObjects {
    const known = this.#sorted.get(kind);
    if (known !== undefined) return known;
    const all = [...this.#all(kind).values()]
      .reverse()
      .sort((left, right) => timeOf(right, created) - timeOf(left, created));
    const sorted = listedObjects(all, true);
    this.#sorted.set(kind, sorted);
    return sorted;
  }

  /** A page of the log, newest first: of the last 30 days, as far as it is visible. */
  events(types: readonly string[], query: ListQuery): ListPage {
    // By their writing: a clock that is set back makes later ones older.
    return pageOf(listedObjects(this.visibleEvents().toReversed(), false), {
      ...this.#capped(query, EVENTS_PER_PAGE),
      where: (event) => types.length === 0 || types.includes(String(event['type'])),
    });
  }

  /** The log, oldest first. */
  visibleEvents(): readonly JsonObject[] {
    const nowMs = this.#options.clock.nowMs();
    const oldest = (nowMs - EVENT_DAYS * DAY_MS) / 1000;
    return this.#events
      .filter(({event, visibleAtMs}) => visibleAtMs <= nowMs && timeOf(event, 'created') >= oldest)
      .map(({event}) => event);
  }

  /** Writes an object that becomes visible now but was created earlier. */
  createLate(kind: string, secondsAgo: number): void {
    this.#make(kind, this.#nowSeconds() - secondsAgo, {});
  }

  /** The first objects of a kind, made when they are first asked for. */
  #seed(kind: string): void {
    const {seed} = this.#options;
    const objects = this.#options.objectsOf?.[kind] ?? this.#options.objects;
    this.#random = seededRandom(seed + Object.keys(STRIPE_KINDS).indexOf(kind));
    this.#count = 0;
    for (let n = 0; n < objects; n++) {
      const minutesAgo = Math.ceil((objects - n) / TIES) * 7;
      const created = this.#startSeconds - EVENT_DAYS * 86_400 - minutesAgo * 60;
      this.#make(kind, created, kind === 'subscriptions' && n % 4 === 0 ? {status: 'canceled'} : {});
    }
    this.#count = Math.max(this.#count, LATER_IDS);
  }

  #make(kind: string, created: number, fields: JsonObject): JsonObject {
    const {prefix, createdField = 'created', children} = kindOf(kind);
    const {pageCap} = this.#options;
    const id = typeof fields['id'] === 'string' ? fields['id'] : this.#newId(prefix);
    const active = kind === 'prices' ? {active: this.#count % 3 !== 0} : {};
    const status = kind === 'subscriptions' ? {status: 'active'} : {};
    const object = {...this.#sample(kind), ...active, ...status, [createdField]: created, ...fields, id};
    this.#all(kind).set(id, object);
    this.#sorted.delete(kind);
    // Some have more children than come with them.
    const count = children === undefined ? 0 : this.#count % 10 === 0 ? 2 * pageCap + 3 : this.#count % 3;
    if (children !== undefined)
      this.#children.set(
        id,
        Array.from({length: count}, () => this.#makeChild(children, id)),
      );
    return object;
  }

  #makeChild({kind, prefix, parentField}: StripeChildren, parentId: string, fields: JsonObject = {}): JsonObject {
    return {id: this.#newId(prefix), ...this.#sample(kind), ...fields, [parentField]: parentId};
  }

  #sample(kind: string): JsonObject {
    const made = MADE[kind];
    if (made !== undefined) return made(this.#count);
    const sample = SAMPLES[kind];
    if (sample === undefined) throw new Error(`no sample of ${kind}`);
    // Every tenth is as an older version wrote it: without some fields. Else all are there, as in the API, though some are null.
    const isOld = this.#random() < 0.1;
    const optional = Object.entries(sample.optional).flatMap(
      ([name, value], index): [string, JsonValue | undefined][] =>
        isOld && index % 3 === this.#count % 3 ? [] : [[name, this.#random() < 0.15 ? null : value]],
    );
    const metadata = {plan: 'gold', number: String(this.#count)};
    return {...sample.required, ...Object.fromEntries(optional), ...('metadata' in sample.required ? {metadata} : {})};
  }

  #shown(kind: string, object: JsonObject): JsonObject {
    const {children} = kindOf(kind);
    if (children === undefined) return object;
    const id = String(object['id']);
    const all = this.children(id);
    const data = all.slice(0, children.embedded);
    return {...object, [children.field]: {object: 'list', data, has_more: all.length > data.length, url: '/v1/…'}};
  }

  #emit(type: string | null, kind: string, object: JsonObject): void {
    if (type === null) return;
    const {clock, eventLagMs} = this.#options;
    this.#events.push({
      visibleAtMs: clock.nowMs() + (this.#events.length % 3 === 2 ? eventLagMs : 0),
      event: this.#event(type, this.#nowSeconds(), this.#written(kind, object)),
    });
  }

  /** An event about something that is no table. */
  #emitBalance(created: number): void {
    const number = this.#events.length;
    const object = {object: 'balance', available: [{amount: number, currency: 'usd'}], livemode: true};
    const event = this.#event('balance.available', created, object);
    this.#events.push({visibleAtMs: 0, event});
  }

  #event(type: string, created: number, object: JsonObject): JsonObject {
    const number = this.#events.length;
    return {
      id: `evt_${String(number).padStart(8, '0')}`,
      object: 'event',
      account: 'acct_1',
      api_version: this.#options.apiVersion,
      context: 'acct_1',
      created,
      data: {object},
      livemode: true,
      pending_webhooks: 0,
      request: {id: `req_${number}`, idempotency_key: null},
      type,
    };
  }

  /** An object as an event shows it: in the version of the account, which may have other fields. */
  #written(kind: string, object: JsonObject): JsonObject {
    const shown = this.#shown(kind, object);
    if (this.#options.apiVersion >= '2025') return shown;
    return {id: shown['id'] ?? null, object: shown['object'] ?? null, created: shown['created'] ?? null, legacy: true};
  }

  #capped(query: ListQuery, atLeast = 1): ListQuery {
    return {...query, limit: Math.min(query.limit, Math.max(this.#options.pageCap, atLeast))};
  }

  #newId(prefix: string): string {
    return `${prefix}_${String(this.#count++).padStart(10, '0')}`;
  }

  #nowSeconds(): number {
    return Math.floor(this.#options.clock.stampMs() / 1000);
  }

  #all(kind: string): Map<string, JsonObject> {
    const known = this.#objects.get(kind);
    if (known !== undefined) return known;
    const all = new Map<string, JsonObject>();
    this.#objects.set(kind, all);
    this.#deleted.set(kind, []);
    this.#seed(kind);
    return all;
  }

  #existing(kind: string, id: string): JsonObject {
    const object = this.#all(kind).get(id);
    if (object === undefined) throw new Error(`no ${kind} ${id}`);
    return object;
  }
}

function kindOf(name: string): StripeKind {
  const kind = STRIPE_KINDS[name];
  if (kind === undefined) throw new Error(`no kind ${name}`);
  return kind;
}

/** Objects newest first, and where each of them stands. */
interface ListedObjects {
  readonly objects: readonly JsonObject[];
  /** In the order of their times. */
  readonly isByTime: boolean;
  readonly placeOf: (id: string) => number | undefined;
}

function listedObjects(objects: readonly JsonObject[], isByTime: boolean): ListedObjects {
  let places: Map<string, number> | null = null;
  return {
    objects,
    isByTime,
    placeOf(id) {
      places ??= new Map(objects.map((object, index) => [String(object['id']), index]));
      return places.get(id);
    },
  };
}

/** A page of objects; only those are looked at that it may hold. */
function pageOf({objects, isByTime, placeOf}: ListedObjects, query: ListQuery, created = 'created'): ListPage {
  const {gte = -Infinity, lte = Infinity, lt = Infinity, startingAfter, limit, where = () => true} = query;
  const anchor = startingAfter === undefined ? -1 : placeOf(startingAfter);
  if (anchor === undefined) return null;
  const data: JsonObject[] = [];
  const isOldEnough = (object: JsonObject): boolean => timeOf(object, created) <= lte && timeOf(object, created) < lt;
  const newest = isByTime ? firstWhere(objects, isOldEnough) : 0;
  for (let index = Math.max(anchor + 1, newest); index < objects.length; index++) {
    const object = objects[index] ?? {};
    const isTooOld = timeOf(object, created) < gte;
    if (isTooOld && isByTime) break;
    if (isTooOld || !isOldEnough(object) || !where(object)) continue;
    if (data.length === limit) return {data, hasMore: true};
    data.push(object);
  }
  return {data, hasMore: false};
}

/** The index of the first object of which a test holds, and then of all behind it. */
function firstWhere(objects: readonly JsonObject[], holds: (object: JsonObject) => boolean): number {
  let low = 0;
  let high = objects.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const object = objects[middle];
    if (object === undefined || holds(object)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function timeOf(object: JsonObject, field: string): number {
  return Number(object[field]);
}
