import type {JsonObject, Random} from '../../sdk/index.ts';
import {seededRandom} from '../../sdk/index.ts';
import {CONTACT_PROPERTIES} from './simulator-contacts.ts';
import {PORTAL_TYPES, type PortalType} from './simulator-types.ts';

/** What a portal is made with. */
export interface PortalOptions {
  /** Milliseconds since 1970: `nowMs` is what visibility goes by, `stampMs` what is stamped. */
  readonly clock: {nowMs(): number; stampMs(): number};
  readonly seed: number;
  /** Records of each type at the start. */
  readonly records: number;
  /** Of these types another number. */
  readonly recordsOf: Readonly<Record<string, number>>;
  /** How much later the search sees every third change. */
  readonly searchLagMs: number;
}

/** A record as it is kept. */
export interface PortalRecord {
  readonly id: string;
  /** Texts; empty for a property that was cleared. */
  readonly properties: Readonly<Record<string, string | null>>;
  readonly createdMs: number;
  /** Finer than it is shown: the search rounds, answers cut off. */
  readonly updatedMs: number;
  readonly archivedMs: number | null;
}

interface Indexed {
  readonly record: PortalRecord;
  readonly visibleAtMs: number;
}

/** Records in a row of the first ones that were changed in the same millisecond. */
const TIES = 4;
const MINUTE_MS = 60_000;
/** Fractions of a millisecond that changes have in turn. */
const FRACTIONS = [0, 0.3, 0.6, 0.9];

/** The records of a HubSpot account, and what its search knows of them. */
export class HubspotPortal {
  readonly #options: PortalOptions;
  readonly #records = new Map<string, Map<string, PortalRecord>>();
  /** What the search has seen, and will see: the last states of every record, oldest first. */
  readonly #index = new Map<string, Map<string, Indexed[]>>();
  readonly #associations = new Map<string, Map<string, Set<string>>>();
  /** Lists as long as nothing changes. */
  readonly #lists = new Map<string, {readonly version: number; readonly records: readonly PortalRecord[]}>();
  readonly #startMs: number;
  #random: Random = () => 0;
  #changes = 0;
  /** Changes whenever a record does. */
  version = 0;

  constructor(options: PortalOptions) {
    this.#options = options;
    this.#startMs = options.clock.stampMs();
  }

  /** What is stamped now. */
  get nowMs(): number {
    return this.#options.clock.stampMs();
  }

  /** A new record: with these properties and no others, or with some. */
  create(type: string, properties?: PortalRecord['properties']): PortalRecord {
    const all = this.#all(type);
    const made = this.#made(type, String(highest(all) + 1), this.#stamp());
    return this.#put(type, properties === undefined ? made : {...made, properties});
  }

  /** The live record of an id. */
  record(type: string, id: string): PortalRecord | undefined {
    const record = this.#all(type).get(id);
    return record?.archivedMs === null ? record : undefined;
  }

  /** Many records that are changed in one and the same millisecond. */
  createTied(type: string, count: number): void {
    const all = this.#all(type);
    let id = highest(all);
    const atMs = Math.floor(this.#options.clock.stampMs());
    for (let n = 0; n < count; n++) this.#put(type, this.#made(type, String(++id), atMs));
  }

  /** Changes properties. */
  update(type: string, id: string, properties: PortalRecord['properties']): PortalRecord {
    const record = this.#existing(type, id);
    return this.#put(type, {...record, properties: {...record.properties, ...properties}, updatedMs: this.#stamp()});
  }

  /** Moves a record to the recycling bin. */
  archive(type: string, id: string): void {
    this.#put(type, {...this.#existing(type, id), archivedMs: this.#stamp()});
  }

  /** Takes the record that was archived last out of the recycling bin. */
  restore(type: string): void {
    const gone = [...this.#all(type).values()].filter((record) => record.archivedMs !== null);
    const last = gone.sort((left, right) => (left.archivedMs ?? 0) - (right.archivedMs ?? 0)).at(-1);
    if (last === undefined) throw new Error(`nothing of ${type} is archived`);
    this.#put(type, {...last, archivedMs: null, updatedMs: this.#stamp()});
  }

  /** Merges a record into another one: it is gone, without a trace in the recycling bin. */
  merge(type: string, winner: string, loser: string): void {
    const {merged} = typeOf(type);
    const before = this.#existing(type, winner).properties[merged] ?? '';
    const entry = type === 'contacts' ? `${loser}:${Math.floor(this.#options.clock.stampMs())}` : loser;
    this.#all(type).delete(loser);
    this.#index.get(type)?.delete(loser);
    this.version++;
    this.update(type, winner, {[merged]: before === '' ? entry : `${before};${entry}`});
  }

  /** Removes a record for good, as a privacy delete does. */
  purge(type: string, id: string): void {
    this.#all(type).delete(id);
    this.#index.get(type)?.delete(id);
    this.version++;
  }

  /** Live records in the order of their ids; the archived ones instead. */
  list(type: string, isArchived = false): readonly PortalRecord[] {
    const key = `${type} ${isArchived}`;
    const known = this.#lists.get(key);
    if (known?.version === this.version) return known.records;
    const records = [...this.#all(type).values()]
      .filter((record) => (record.archivedMs !== null) === isArchived)
      .sort((left, right) => Number(left.id) - Number(right.id));
    this.#lists.set(key, {version: this.version, records});
    return records;
  }

  /** What the search knows now: live records, some as they were a while ago. */
  searchable(type: string): readonly PortalRecord[] {
    this.#all(type);
    const nowMs = this.#options.clock.nowMs();
    return [...(this.#index.get(type)?.values() ?? [])].flatMap((states) => {
      const seen = states.findLast(({visibleAtMs}) => visibleAtMs <= nowMs);
      return seen === undefined || seen.record.archivedMs !== null ? [] : [seen.record];
    });
  }

  /** Ids of the live records. */
  ids(type: string): readonly string[] {
    return this.list(type).map(({id}) => id);
  }

  /** The ids that a record is associated with. */
  associated(from: string, to: string, id: string): readonly string[] {
    return [...(this.#pair(from, to).get(id) ?? [])];
  }

  /** Associates two records, or ends it. */
  associate(
    from: string,
    to: string,
    pair: {readonly fromId: string; readonly toId: string; readonly isOn: boolean},
  ): void {
    const all = this.#pair(from, to);
    const targets = all.get(pair.fromId) ?? new Set();
    if (pair.isOn) targets.add(pair.toId);
    else targets.delete(pair.toId);
    all.set(pair.fromId, targets);
  }

  #pair(from: string, to: string): Map<string, Set<string>> {
    const key = `${from} ${to}`;
    const known = this.#associations.get(key);
    if (known !== undefined) return known;
    const pairs = new Map<string, Set<string>>();
    this.#associations.set(key, pairs);
    const targets = this.ids(to);
    // Some have none, most one or two, a few very many.
    for (const [index, id] of this.ids(from).entries()) {
      const count = index % 9 === 0 ? 17 : index % 3;
      pairs.set(id, new Set(targets.slice(index % 5, (index % 5) + count)));
    }
    return pairs;
  }

  #put(type: string, record: PortalRecord): PortalRecord {
    const {clock, searchLagMs} = this.#options;
    const nowMs = clock.nowMs();
    this.#all(type).set(record.id, record);
    const states = this.#index.get(type);
    const lag = this.#changes++ % 3 === 2 ? searchLagMs : 0;
    const older = (states?.get(record.id) ?? []).slice(-2);
    // What comes later is never seen before what came earlier.
    const visibleAtMs = Math.max(nowMs + lag, older.at(-1)?.visibleAtMs ?? 0);
    states?.set(record.id, [...older, {record, visibleAtMs}]);
    this.version++;
    return record;
  }

  #made(type: string, id: string, atMs: number): PortalRecord {
    const {properties, modified, merged} = typeOf(type);
    const values: Record<string, string | null> = {};
    for (const {name, type: kind} of properties) {
      if (name === 'hs_object_id' || name === 'createdate' || name === modified) continue;
      const chance = this.#random();
      if (name === merged) values[name] = null;
      else if (chance < 0.15) values[name] = chance < 0.07 ? '' : null;
      else values[name] = valueOf(type, name)?.(Number(id)) ?? sampleOf(kind, Number(id));
    }
    return {id, properties: values, createdMs: atMs, updatedMs: atMs, archivedMs: null};
  }

  #stamp(): number {
    return Math.floor(this.#options.clock.stampMs()) + (FRACTIONS[this.#changes % FRACTIONS.length] ?? 0);
  }

  #all(type: string): Map<string, PortalRecord> {
    const known = this.#records.get(type);
    if (known !== undefined) return known;
    const all = new Map<string, PortalRecord>();
    const states = new Map<string, Indexed[]>();
    this.#records.set(type, all);
    this.#index.set(type, states);
    const {recordsOf, seed} = this.#options;
    const records = recordsOf[type] ?? this.#options.records;
    this.#random = seededRandom(seed + PORTAL_TYPES.findIndex(({name}) => name === type));
    for (let n = 0; n < records; n++) {
      const atMs = this.#startMs - 30 * 86_400_000 + Math.floor(n / TIES) * MINUTE_MS;
      const record = this.#made(type, String(1001 + n), atMs);
      // Some were deleted before anybody looked.
      all.set(record.id, n % 11 === 7 ? {...record, archivedMs: atMs + MINUTE_MS} : record);
      states.set(record.id, [{record: all.get(record.id) ?? record, visibleAtMs: 0}]);
    }
    return all;
  }

  #existing(type: string, id: string): PortalRecord {
    const record = this.#all(type).get(id);
    if (record === undefined) throw new Error(`no ${type} ${id}`);
    return record;
  }
}

function highest(all: ReadonlyMap<string, PortalRecord>): number {
  let found = 0;
  for (const id of all.keys()) found = Math.max(found, Number(id));
  return found;
}

/** A type by its name or its path. */
export function typeOf(name: string): PortalType {
  const type = PORTAL_TYPES.find((candidate) => candidate.name === name || candidate.path === name);
  if (type === undefined) throw new Error(`no type ${name}`);
  return type;
}

/** A record as an answer shows it, with the properties that were asked for. */
export function shownRecord(record: PortalRecord, type: PortalType, properties: readonly string[]): JsonObject {
  const {id, createdMs, updatedMs, archivedMs} = record;
  const [createdAt, updatedAt] = [iso(createdMs), iso(updatedMs)];
  const shown: Record<string, string | null> = {};
  for (const name of shownNames(type, properties)) shown[name] = record.properties[name] ?? null;
  shown['hs_object_id'] = id;
  shown['createdate'] = createdAt;
  shown[type.modified] = updatedAt;
  return {
    id,
    properties: shown,
    createdAt,
    updatedAt,
    archived: archivedMs !== null,
    ...(archivedMs === null ? {} : {archivedAt: iso(archivedMs)}),
  };
}

/** What was asked last of a type: all records of a page are asked for alike. */
const askedLast = new WeakMap<PortalType, {readonly asked: readonly string[]; readonly names: readonly string[]}>();

/** Names of the properties that the type has of those that were asked for, behind those that are always shown. */
function shownNames(type: PortalType, asked: readonly string[]): readonly string[] {
  const last = askedLast.get(type);
  if (last?.asked === asked) return last.names;
  const known = new Set(type.properties.map(({name}) => name));
  const always = ['hs_object_id', 'createdate', type.modified];
  const names = [...new Set([...always, ...asked])].filter((name) => known.has(name));
  askedLast.set(type, {asked, names});
  return names;
}

function iso(ms: number): string {
  return new Date(Math.floor(ms)).toISOString();
}

function valueOf(type: string, property: string): ((number: number) => string) | undefined {
  return type === 'contacts' ? CONTACT_PROPERTIES[property]?.value : undefined;
}

function sampleOf(kind: string, n: number): string {
  switch (kind) {
    case 'number':
      return n % 2 === 0 ? `${n}.25` : String(n);
    case 'date':
      // Days of old records come as milliseconds.
      return n % 4 === 0
        ? String(Date.UTC(2024, n % 12, 1 + (n % 28)))
        : `2025-${String(1 + (n % 12)).padStart(2, '0')}-15`;
    case 'bool':
      return n % 2 === 0 ? 'true' : 'false';
    case 'datetime':
      return new Date(Date.UTC(2026, n % 9, 1 + (n % 28), 8, n % 60)).toISOString();
    case 'enumeration':
      return n % 3 === 0 ? 'first;second' : 'first';
    default:
      return `text ${n}`;
  }
}
