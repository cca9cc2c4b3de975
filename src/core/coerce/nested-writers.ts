import type {ListVector, StructVector} from '../columns.ts';
import {type JsonTape, TOKEN, TOKEN_WORDS} from '../json-tape.ts';
import {ExactNumber, type JsonObject, type JsonValue} from '../json-value.ts';
import {lazyObject} from '../lazy-object.ts';
import {type ColumnWriter, grown, Presence} from './column-writer.ts';
import type {FieldLoop} from './field-loop.ts';
import {type Misfits, pathPart} from './misfits.ts';
import type {TokenLoop} from './token-loop.ts';

const FIRST_ROOM = 1024;

/** What a list or map holds. */
export interface Element {
  readonly writer: ColumnWriter;
  readonly nullable: boolean;
}

/**
 * struct: a JSON object, `{}` included; names are case-sensitive. A field that does not fit becomes null and is
 * rescued by its path; where it must not be null the struct does not fit as a whole.
 */
export class StructWriter implements ColumnWriter {
  readonly #presence = new Presence();
  readonly #children: readonly ColumnWriter[];
  readonly #loop: FieldLoop;
  readonly #tokens: TokenLoop;
  readonly #misfits: Misfits;

  constructor(
    children: readonly ColumnWriter[],
    {loop, tokens}: {readonly loop: FieldLoop; readonly tokens: TokenLoop},
    misfits: Misfits,
  ) {
    this.#children = children;
    this.#loop = loop;
    this.#tokens = tokens;
    this.#misfits = misfits;
  }

  write(row: number, value: JsonValue | undefined): boolean {
    if (isObject(value)) {
      const before = this.#misfits.length;
      const lazy = lazyObject(value);
      if (lazy !== undefined && this.#tokens.write(row, lazy) && this.#misfits.length === before)
        return this.#presence.present(row);
      this.#misfits.truncate(before);
      if (this.#loop.write(row, value) < 0) return this.#presence.present(row);
      this.#misfits.truncate(before);
    }
    this.#setNull(row);
    return value === null || value === undefined;
  }

  writeToken(row: number, tape: JsonTape, at: number): boolean {
    const kind = tape.kind(at);
    if (kind === TOKEN.object) return this.#tokens.writeMembers(row, tape, at) && this.#presence.present(row);
    if (kind !== TOKEN.null) return false;
    this.#setNull(row);
    return true;
  }

  #setNull(row: number): void {
    for (const child of this.#children) child.write(row, null);
    this.#presence.absent(row);
  }

  reserve(capacity: number): void {
    this.#presence.reserve(capacity);
    for (const child of this.#children) child.reserve(capacity);
  }

  vector(rowCount: number): StructVector {
    return {
      kind: 'struct',
      children: this.#children.map((child) => child.vector(rowCount)),
      validity: this.#presence.validity(rowCount),
    };
  }

  clear(): void {
    this.#presence.clear();
    for (const child of this.#children) child.clear();
  }

  sizeBytes(rowCount: number): number {
    return this.#children.reduce((sum, child) => sum + child.sizeBytes(rowCount), 0);
  }
}

/**
 * array: a JSON array. An element that does not fit becomes null and is rescued as `[index]`; where elements must not be
 * null the array does not fit as a whole.
 */
export class ListWriter implements ColumnWriter {
  readonly #ranges = new Ranges();
  readonly #element: Element;
  readonly #misfits: Misfits;

  constructor(element: Element, misfits: Misfits) {
    this.#element = element;
    this.#misfits = misfits;
  }

  write(row: number, value: JsonValue | undefined): boolean {
    if (!Array.isArray(value)) {
      this.#ranges.setNull(row);
      return value === null || value === undefined;
    }
    const before = this.#misfits.length;
    const start = this.#ranges.startOf(row);
    if (this.#ranges.needsRoom(start + value.length)) this.#element.writer.reserve(this.#ranges.room);
    for (let index = 0; index < value.length; index++) {
      if (this.#writeElement(start + index, index, value[index] as JsonValue | undefined)) continue;
      this.#misfits.truncate(before);
      this.#ranges.setNull(row);
      return false;
    }
    return this.#ranges.set(row, value.length);
  }

  writeToken(row: number, tape: JsonTape, list: number): boolean {
    if (tape.kind(list) !== TOKEN.array) return this.write(row, tape.value(list));
    const {writer, nullable} = this.#element;
    const start = this.#ranges.startOf(row);
    const end = tape.next(list) - TOKEN_WORDS;
    let count = 0;
    for (let at = list + TOKEN_WORDS; at < end; at = tape.next(at), count++) {
      if (this.#ranges.needsRoom(start + count + 1)) writer.reserve(this.#ranges.room);
      if ((!nullable && tape.kind(at) === TOKEN.null) || !writer.writeToken(start + count, tape, at)) return false;
    }
    return this.#ranges.set(row, count);
  }

  #writeElement(row: number, index: number, value: JsonValue | undefined): boolean {
    const {writer, nullable} = this.#element;
    const before = this.#misfits.length;
    if (!writer.write(row, value)) {
      if (nullable) this.#misfits.add(`[${index}]`, value ?? null);
      return nullable;
    }
    if (this.#misfits.length > before) this.#misfits.prefix(before, `[${index}]`);
    return nullable || (value !== null && value !== undefined);
  }

  reserve(capacity: number): void {
    this.#ranges.reserve(capacity);
  }

  vector(rowCount: number): ListVector {
    const childCount = this.#ranges.startOf(rowCount);
    return {...this.#ranges.vectors(rowCount), child: this.#element.writer.vector(childCount), childCount};
  }

  clear(): void {
    this.#ranges.clear();
    this.#element.writer.clear();
  }

  sizeBytes(rowCount: number): number {
    return rowCount * 8 + this.#element.writer.sizeBytes(this.#ranges.startOf(rowCount));
  }
}

/**
 * map: a JSON object whose names are keys. A value that does not fit becomes null and is rescued by its key; a key that
 * does not fit, or a value that must not be null, makes the map a misfit as a whole.
 */
export class MapWriter implements ColumnWriter {
  readonly #ranges = new Ranges();
  readonly #key: MapKey;
  readonly #value: Element;
  readonly #misfits: Misfits;

  constructor(key: MapKey, value: Element, misfits: Misfits) {
    this.#key = key;
    this.#value = value;
    this.#misfits = misfits;
  }

  write(row: number, value: JsonValue | undefined): boolean {
    if (!isObject(value)) {
      this.#ranges.setNull(row);
      return value === null || value === undefined;
    }
    const before = this.#misfits.length;
    const start = this.#ranges.startOf(row);
    const names = Object.keys(value).filter((name) => value[name] !== undefined);
    if (this.#ranges.needsRoom(start + names.length)) {
      this.#key.writer.reserve(this.#ranges.room);
      this.#value.writer.reserve(this.#ranges.room);
    }
    for (const [index, name] of names.entries()) {
      if (this.#writeEntry(start + index, name, value[name])) continue;
      this.#misfits.truncate(before);
      this.#ranges.setNull(row);
      return false;
    }
    return this.#ranges.set(row, names.length);
  }

  writeToken(row: number, tape: JsonTape, at: number): boolean {
    return this.write(row, tape.value(at));
  }

  #writeEntry(row: number, name: string, value: JsonValue | undefined): boolean {
    // Two names must not become one key: only the usual notation of a key is taken.
    if (!this.#key.isCanonical(name) || !this.#key.writer.write(row, name)) return false;
    const before = this.#misfits.length;
    const {writer, nullable} = this.#value;
    if (!writer.write(row, value)) {
      if (nullable) this.#misfits.add(pathPart(name), value ?? null);
      return nullable;
    }
    if (this.#misfits.length > before) this.#misfits.prefix(before, pathPart(name));
    return nullable || value !== null;
  }

  reserve(capacity: number): void {
    this.#ranges.reserve(capacity);
  }

  vector(rowCount: number): ListVector {
    const childCount = this.#ranges.startOf(rowCount);
    const children = [this.#key.writer.vector(childCount), this.#value.writer.vector(childCount)];
    return {...this.#ranges.vectors(rowCount), child: {kind: 'struct', children, validity: null}, childCount};
  }

  clear(): void {
    this.#ranges.clear();
    this.#key.writer.clear();
    this.#value.writer.clear();
  }

  sizeBytes(rowCount: number): number {
    const childCount = this.#ranges.startOf(rowCount);
    return rowCount * 8 + this.#key.writer.sizeBytes(childCount) + this.#value.writer.sizeBytes(childCount);
  }
}

/** The key of a map. */
export interface MapKey {
  readonly writer: ColumnWriter;
  /** True for the one text of a key that counts as this key. */
  readonly isCanonical: (name: string) => boolean;
}

/** Where the elements of each row lie. */
class Ranges {
  readonly #presence = new Presence();
  #starts = new Uint32Array(0);
  #lengths = new Uint32Array(0);
  #room = 0;

  /** Elements that have room. */
  get room(): number {
    return this.#room;
  }

  /** True when there is no room for so many elements; `room` is then what should be there, at least twice of what was. */
  needsRoom(count: number): boolean {
    if (count <= this.#room) return false;
    this.#room = Math.max(count, this.#room * 2, FIRST_ROOM);
    return true;
  }

  /** The element after those of the rows before. */
  startOf(row: number): number {
    return row === 0 ? 0 : (this.#starts[row - 1] ?? 0) + (this.#lengths[row - 1] ?? 0);
  }

  set(row: number, length: number): true {
    this.#starts[row] = this.startOf(row);
    this.#lengths[row] = length;
    return this.#presence.present(row);
  }

  setNull(row: number): void {
    this.#starts[row] = this.startOf(row);
    this.#lengths[row] = 0;
    this.#presence.absent(row);
  }

  reserve(capacity: number): void {
    if (capacity <= this.#starts.length) return;
    this.#starts = grown((length) => new Uint32Array(length), this.#starts, capacity);
    this.#lengths = grown((length) => new Uint32Array(length), this.#lengths, capacity);
    this.#presence.reserve(capacity);
  }

  vectors(rowCount: number): Pick<ListVector, 'kind' | 'starts' | 'lengths' | 'validity'> {
    const starts = this.#starts.subarray(0, rowCount);
    return {
      kind: 'list',
      starts,
      lengths: this.#lengths.subarray(0, rowCount),
      validity: this.#presence.validity(rowCount),
    };
  }

  clear(): void {
    this.#presence.clear();
  }
}

/** True for a JSON object: no null, array or exact number. */
export function isObject(value: JsonValue | undefined): value is JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  // Not `instanceof`, which walks the prototypes of every record.
  return value.constructor !== ExactNumber;
}
