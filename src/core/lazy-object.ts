import {stringifyJson} from './json-reader.ts';
import {type JsonTape, TOKEN, TOKEN_WORDS} from './json-tape.ts';
import type {JsonObject, JsonValue} from './json-value.ts';
import {NameBytes} from './name-bytes.ts';
import {readTape} from './read-tape.ts';

const LAZY: unique symbol = Symbol('lazy');
/** Objects around a list that are looked through for it. */
const MOST_LEVELS = 8;

/** The names of one object, and what was read of it or set in it. */
type Properties = Record<PropertyKey, unknown>;

/**
 * A JSON value whose objects in lists are read from the text when they are looked at; undefined for a text that `parseJson` must read.
 * They behave as what `parseJson` gives in all but three ways: `structuredClone` refuses them, `console.log` shows what was read of them
 * only, and the text is held as long as one of them is. Who wants values only, as the coercer does, takes them from the text: see
 * {@link lazyObject}.
 */
export function parseLazily(bytes: Buffer): JsonValue | undefined {
  const tape = readTape(bytes);
  return tape === null ? undefined : valueWithLists(tape, 0, MOST_LEVELS);
}

/** The lazy object behind a value while its text says what it is; undefined for any other value. */
export function lazyObject(value: JsonValue | undefined): LazyObject | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const lazy = (value as unknown as Properties)[LAZY] as LazyObject | undefined;
  return lazy?.isWhole === false ? lazy : undefined;
}

/** An object with all its values read: for who looks at most of them, for each look at a lazy one walks its members. */
export function wholeObject(object: JsonObject): JsonObject {
  return lazyObject(object)?.whole() ?? object;
}

/** The JSON text of an object: as it came, while it is as it came. */
export function jsonText(object: JsonObject): string {
  const lazy = lazyObject(object);
  if (lazy === undefined || lazy.hasProperties) return stringifyJson(object);
  const {tape, at} = lazy;
  return tape.text(tape.start(at), tape.end(at));
}

/** Objects around lists as they are, the objects in the lists lazily. */
function valueWithLists(tape: JsonTape, at: number, levels: number): JsonValue {
  const kind = tape.kind(at);
  if (kind === TOKEN.array) return listOf(tape, at);
  if (kind !== TOKEN.object || levels === 0) return tape.value(at);
  const object: Record<string, JsonValue> = {};
  const end = tape.next(at) - TOKEN_WORDS;
  for (let name = at + TOKEN_WORDS; name < end; name = tape.next(name + TOKEN_WORDS))
    define(object, tape.value(name) as string, valueWithLists(tape, name + TOKEN_WORDS, levels - 1));
  return object;
}

function listOf(tape: JsonTape, list: number): JsonValue {
  const values: JsonValue[] = [];
  const end = tape.next(list) - TOKEN_WORDS;
  for (let at = list + TOKEN_WORDS; at < end; at = tape.next(at))
    values.push(tape.kind(at) === TOKEN.object ? objectAt(tape, at) : tape.value(at));
  return values;
}

function objectAt(tape: JsonTape, at: number): JsonObject {
  const lazy = new LazyObject(tape, at);
  return new Proxy(lazy.properties, lazy) as JsonObject;
}

/** Own names that every object inherits are no assignments. */
function define(object: Properties, name: string | symbol, value: unknown): void {
  if (name === '__proto__')
    Object.defineProperty(object, name, {value, writable: true, enumerable: true, configurable: true});
  else object[name] = value;
}

/** An object of a text. While it is not whole, what is set in it stands beside the text, and so do objects and lists that were read from it. */
export class LazyObject implements ProxyHandler<Properties> {
  readonly tape: JsonTape;
  /** The object's token. */
  readonly at: number;
  /** What counts instead of the text's members. */
  readonly properties: Properties = {};
  /** Something stands in `properties`. */
  hasProperties = false;
  /** All names were read: `properties` is the object. */
  isWhole = false;

  constructor(tape: JsonTape, at: number) {
    this.tape = tape;
    this.at = at;
  }

  get(properties: Properties, name: string | symbol): unknown {
    if (typeof name === 'symbol') return name === LAZY ? this : properties[name];
    const own = this.own(name);
    return own === undefined ? properties[name] : own;
  }

  /** The value of an own name; undefined when there is none. */
  own(name: string): unknown {
    const {properties} = this;
    if (this.isWhole || (this.hasProperties && Object.hasOwn(properties, name)))
      return Object.hasOwn(properties, name) ? properties[name] : undefined;
    const at = this.#member(name);
    if (at < 0) return undefined;
    const value = this.#valueAt(at);
    // The same object whenever it is asked for, for it may be changed.
    if (typeof value === 'object' && value !== null) this.#put(name, value);
    return value;
  }

  set(_: Properties, name: string | symbol, value: unknown): boolean {
    // The prototype has a setter of this name, which does not count where the object has the name itself.
    if (this.isWhole || name === '__proto__') return Reflect.set(this.whole(), name, value);
    this.#put(name, value);
    return true;
  }

  has(properties: Properties, name: string | symbol): boolean {
    return name in properties || (!this.isWhole && typeof name === 'string' && this.#member(name) >= 0);
  }

  getOwnPropertyDescriptor(properties: Properties, name: string | symbol): PropertyDescriptor | undefined {
    const isInText = !this.isWhole && typeof name === 'string' && !Object.hasOwn(properties, name);
    if (!isInText) return Object.getOwnPropertyDescriptor(properties, name);
    if (this.#member(name) < 0) return undefined;
    return {value: this.get(properties, name), writable: true, enumerable: true, configurable: true};
  }

  defineProperty(_: Properties, name: string | symbol, descriptor: PropertyDescriptor): boolean {
    return Reflect.defineProperty(this.whole(), name, descriptor);
  }

  deleteProperty(_: Properties, name: string | symbol): boolean {
    return Reflect.deleteProperty(this.whole(), name);
  }

  ownKeys(): (string | symbol)[] {
    return Reflect.ownKeys(this.whole());
  }

  preventExtensions(): boolean {
    return Reflect.preventExtensions(this.whole());
  }

  /** The object with all its names, in the order of the text. */
  whole(): JsonObject {
    const {properties} = this;
    if (this.isWhole) return properties as JsonObject;
    const beside = Object.entries(properties);
    for (const [name] of beside) Reflect.deleteProperty(properties, name);
    for (const [name, value] of Object.entries(this.tape.value(this.at) as JsonObject)) define(properties, name, value);
    for (const [name, value] of beside) define(properties, name, value);
    this.isWhole = true;
    return properties as JsonObject;
  }

  #valueAt(at: number): JsonValue {
    const kind = this.tape.kind(at);
    if (kind === TOKEN.object) return objectAt(this.tape, at);
    return kind === TOKEN.array ? listOf(this.tape, at) : this.tape.value(at);
  }

  #put(name: string | symbol, value: unknown): void {
    define(this.properties, name, value);
    this.hasProperties = true;
  }

  #member(name: string): number {
    return this.tape.member(this.at, bytesOf(name));
  }
}

const KEPT_NAMES = 1000;
const bytesOfNames = new Map<string, NameBytes>();

function bytesOf(name: string): NameBytes {
  const known = bytesOfNames.get(name);
  if (known !== undefined) return known;
  const bytes = new NameBytes(name);
  if (bytesOfNames.size < KEPT_NAMES) bytesOfNames.set(name, bytes);
  return bytes;
}
