import {IngestError} from '../core/errors.ts';
import type {JsonObject, JsonValue} from '../core/json-value.ts';
import {compareKeys, formatTime, sortKey, valueAt, withValue} from './row-values.ts';
import type {SimulatorClock} from './simulator-clock.ts';
import type {CollectionSpec, StampSpec} from './simulator-spec.ts';

/** What identifies a row: the value of its key field, or those of several in order. */
export type RowKey = string | number | bigint | readonly (string | number | bigint)[];

/** What is left of a deleted row. */
export interface Tombstone {
  /** The key fields. */
  readonly key: JsonObject;
  /** The row as it last was; of a soft delete, with the field set. */
  readonly row: JsonObject;
  /** By the stamps' clock. */
  readonly deletedAtMs: number;
}

/** One write, in the order of writes. */
export interface ChangeEvent {
  /** From 1, without gaps, over all collections. */
  readonly sequence: number;
  readonly collection: string;
  readonly kind: 'insert' | 'update' | 'delete';
  readonly row: JsonObject;
  /** The row before; null for an insert. */
  readonly before: JsonObject | null;
  /** By the stamps' clock. */
  readonly atMs: number;
}

/** A row in the order of its last change; `isDeleted` for what is gone. */
export interface ChangedRow {
  readonly sequence: number;
  readonly row: JsonObject;
  readonly isDeleted: boolean;
  readonly atMs: number;
}

/** What a collection needs of its simulator. */
export interface CollectionHost {
  readonly clock: SimulatorClock;
  /** Seeded. */
  readonly random: () => number;
  /** Gives the next sequence. */
  nextSequence(): number;
  /** Told of every write. */
  changed(event: ChangeEvent): void;
}

interface Version {
  readonly row: JsonObject;
  readonly isDeleted: boolean;
  readonly sequence: number;
  readonly writtenAtMs: number;
  readonly stampMs: number;
}

/** A named set of rows with state. What tests do here and what requests do over HTTP is the same. */
export class SimulatedCollection {
  readonly name: string;
  /** The key's fields. */
  readonly keyFields: readonly string[];
  readonly #spec: CollectionSpec;
  readonly #host: CollectionHost;
  /** Versions by key, oldest first; those that no listing can see any more are dropped at the next write. */
  readonly #entries = new Map<string, Version[]>();
  readonly #events: ChangeEvent[] = [];
  readonly #tombstones: Tombstone[] = [];
  #lastWriteMs = -Infinity;
  #version = 0;
  #highestKey: number | null = null;

  constructor(name: string, spec: CollectionSpec, host: CollectionHost) {
    this.name = name;
    this.keyFields = typeof spec.key === 'string' ? [spec.key] : spec.key;
    this.#spec = spec;
    this.#host = host;
  }

  /** Changes with every write. */
  get version(): number {
    return this.#version;
  }

  /** False while a write is not yet visible to listings. */
  get isSettled(): boolean {
    return this.#host.clock.nowMs() - this.#lastWriteMs >= this.#visibleAfterMs;
  }

  /** The rows as they truly are, in the order of their creation; soft-deleted ones are not among them. */
  rows(): readonly JsonObject[] {
    return this.#latest((version) => !version.isDeleted);
  }

  /** The rows that listings show now, see `visibleAfterMs`. */
  visible(things: 'rows' | 'deleted' | 'all'): readonly JsonObject[] {
    const limit = this.isSettled ? Infinity : this.#host.clock.nowMs() - this.#visibleAfterMs;
    const found: JsonObject[] = [];
    for (const versions of this.#entries.values()) {
      const version = limit === Infinity ? versions.at(-1) : versions.findLast((one) => one.writtenAtMs <= limit);
      if (version === undefined) continue;
      if (things === 'all' || version.isDeleted === (things === 'deleted')) found.push(version.row);
    }
    return found;
  }

  /** The row of a key as it truly is; undefined when there is none or it is deleted. */
  get(key: RowKey): JsonObject | undefined {
    const version = this.#entries.get(keyText(key))?.at(-1);
    return version === undefined || version.isDeleted ? undefined : version.row;
  }

  /** Every deleted row that was not created again, in the order of the deletes. */
  tombstones(): readonly Tombstone[] {
    return this.#tombstones.filter((one) => this.get(this.keyOf(one.row)) === undefined);
  }

  /** Every write since the simulator started. */
  events(): readonly ChangeEvent[] {
    return this.#events;
  }

  /** Rows that changed after a sequence, each once with its last state. */
  changedSince(sequence: number): readonly ChangedRow[] {
    const changed: ChangedRow[] = [];
    for (const versions of this.#entries.values()) {
      const last = versions.at(-1);
      if (last === undefined || last.sequence <= sequence) continue;
      changed.push({sequence: last.sequence, row: last.row, isDeleted: last.isDeleted, atMs: last.stampMs});
    }
    return changed.sort((left, right) => left.sequence - right.sequence);
  }

  /** The key of a row. @throws BAD_RECORD when a key field is missing. */
  keyOf(row: JsonObject): RowKey {
    const values = this.keyFields.map((field) => {
      const value = valueAt(row, field);
      if (typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint') return value;
      throw new IngestError('BAD_RECORD', `A row of ${this.name} has no key ${field}.`);
    });
    return values;
  }

  /** Puts rows as they are: no stamps, no events. */
  load(rows: Iterable<JsonObject>): void {
    for (const row of rows) {
      const key = this.keyOf(row);
      const soft = this.#spec.deletes;
      const isDeleted = typeof soft === 'object' && valueAt(row, soft.field) === (soft.value ?? true);
      const stampMs = this.#host.clock.stampMs();
      this.#entries.set(keyText(key), [{row, isDeleted, sequence: 0, writtenAtMs: -Infinity, stampMs}]);
      this.#noteKey(key);
    }
    this.#version++;
  }

  /** Creates a row, stamped; without a key it gets a new one. @throws DUPLICATE_KEY when the key exists. */
  insert(row: JsonObject): JsonObject {
    const full = this.#withKey({...this.#spec.defaults, ...row});
    if (this.get(this.keyOf(full)) !== undefined)
      throw new IngestError('DUPLICATE_KEY', `${this.name} has a row of this key.`);
    const created = this.#spec.createdAt;
    const isStamped = created === undefined || valueAt(full, created.field) !== undefined;
    return this.#write('insert', this.#stamped(isStamped ? full : this.#stamp(full, created)), null);
  }

  /** Changes fields of a row (nested objects are merged), stamped. @throws UNKNOWN_TABLE when there is no such row. */
  update(key: RowKey, fields: JsonObject): JsonObject {
    const before = this.#existing(key);
    const row = this.#stamped(merge(before, fields));
    if (keyText(this.keyOf(row)) !== keyText(key))
      throw new IngestError('BAD_RECORD', `A key of ${this.name} cannot change.`);
    return this.#write('update', row, before);
  }

  /** Creates the row, or changes the one of its key. */
  upsert(row: JsonObject): JsonObject {
    const hasKey = this.keyFields.every((field) => valueAt(row, field) !== undefined);
    if (!hasKey || this.get(this.keyOf(row)) === undefined) return this.insert(row);
    return this.update(this.keyOf(row), row);
  }

  /** Deletes a row. @throws UNKNOWN_TABLE when there is no such row. */
  delete(key: RowKey): Tombstone {
    const before = this.#existing(key);
    const soft = this.#spec.deletes;
    let row = before;
    if (typeof soft === 'object') {
      row = this.#stamped(withValue(row, soft.field, soft.value ?? true));
      if (soft.at !== undefined) row = this.#stamp(row, soft.at);
    }
    this.#write('delete', row, before);
    const keys = this.keyFields.map((field) => [field, valueAt(row, field) ?? null] as const);
    const tombstone = {key: Object.fromEntries(keys), row, deletedAtMs: this.#host.clock.stampMs()};
    this.#tombstones.push(tombstone);
    return tombstone;
  }

  get #visibleAfterMs(): number {
    return this.#spec.visibleAfterMs ?? 0;
  }

  #latest(wanted: (version: Version) => boolean): JsonObject[] {
    const found: JsonObject[] = [];
    for (const versions of this.#entries.values()) {
      const last = versions.at(-1);
      if (last !== undefined && wanted(last)) found.push(last.row);
    }
    return found;
  }

  #existing(key: RowKey): JsonObject {
    const row = this.get(key);
    if (row === undefined) throw new IngestError('UNKNOWN_TABLE', `${this.name} has no row of this key.`);
    return row;
  }

  #write(kind: ChangeEvent['kind'], row: JsonObject, before: JsonObject | null): JsonObject {
    const {clock} = this.#host;
    const sequence = this.#host.nextSequence();
    const writtenAtMs = clock.nowMs();
    const key = keyText(this.keyOf(row));
    const version = {row, isDeleted: kind === 'delete', sequence, writtenAtMs, stampMs: clock.stampMs()};
    const older = this.#entries.get(key) ?? [];
    const firstNeeded = older.findLastIndex((one) => one.writtenAtMs <= writtenAtMs - this.#visibleAfterMs);
    // A row that is created again comes last, as with a vendor.
    if (kind === 'insert') this.#entries.delete(key);
    this.#entries.set(key, [...older.slice(Math.max(firstNeeded, 0)), version]);
    this.#noteKey(this.keyOf(row));
    this.#lastWriteMs = writtenAtMs;
    this.#version++;
    const event = {sequence, collection: this.name, kind, row, before, atMs: clock.stampMs()};
    this.#events.push(event);
    this.#host.changed(event);
    return row;
  }

  #stamped(row: JsonObject): JsonObject {
    return this.#spec.updatedAt === undefined ? row : this.#stamp(row, this.#spec.updatedAt);
  }

  #stamp(row: JsonObject, {field, format}: StampSpec): JsonObject {
    return withValue(row, field, formatTime(this.#host.clock.stampMs(), format));
  }

  #noteKey(key: RowKey): void {
    const [value] = typeof key === 'object' ? key : [key];
    const number = Number(value);
    if (Number.isSafeInteger(number) && number > (this.#highestKey ?? 0)) this.#highestKey = number;
  }

  #withKey(row: JsonObject): JsonObject {
    const missing = this.keyFields.find((field) => valueAt(row, field) === undefined);
    return missing === undefined ? row : this.#withKey(withValue(row, missing, this.#newKey()));
  }

  #newKey(): JsonValue {
    const kind = this.#spec.newKey ?? 'integer';
    if (kind === 'integer') return (this.#highestKey ?? 0) + 1;
    const digits = Array.from({length: 32}, () => Math.floor(this.#host.random() * 16).toString(16)).join('');
    if (typeof kind === 'object') return `${kind.prefix}${digits.slice(0, 24)}`;
    return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join(
      '-',
    );
  }
}

/** One text per key: `1` and `"1"` are the same, as they are in an address. */
export function keyText(key: RowKey): string {
  return typeof key === 'object' ? JSON.stringify(key.map(String)) : JSON.stringify([String(key)]);
}

/** Orders rows by their key. */
export function compareRowKeys(left: JsonObject, right: JsonObject, fields: readonly string[]): number {
  for (const field of fields) {
    const order = compareKeys(sortKey(valueAt(left, field)), sortKey(valueAt(right, field)));
    if (order !== 0) return order;
  }
  return 0;
}

function merge(before: JsonObject, fields: JsonObject): JsonObject {
  const merged: Record<string, JsonValue | undefined> = {...before};
  for (const [name, value] of Object.entries(fields)) {
    const old = merged[name];
    const isNested = isPlainObject(old) && isPlainObject(value);
    merged[name] = isNested ? merge(old, value) : value;
  }
  return merged;
}

function isPlainObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
