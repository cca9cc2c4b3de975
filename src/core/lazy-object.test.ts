import {deepStrictEqual} from 'node:assert/strict';

import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {jsonText, listText} from '../../test/json-texts.ts';
import {parseJson, stringifyJson} from './json-reader.ts';
import {ExactNumber, type JsonObject, type JsonValue} from './json-value.ts';
import {jsonText as textOf, parseLazily} from './lazy-object.ts';

const seed = Date.now() % 1_000_000_007;

type Objects = Record<PropertyKey, unknown>;

/** Something that is done with one object of a value; its outcome is what can be seen of it. */
interface Step {
  /** Which member to go into, level by level; an index beyond the last stays where it is. */
  readonly path: readonly number[];
  readonly action: string;
  readonly name: string;
  readonly value: JsonValue | undefined;
}

const ACTIONS: Readonly<Record<string, (object: Objects, step: Step) => unknown>> = {
  get: (object, {name}) => seen(object[name]),
  in: (object, {name}) => name in object,
  hasOwn: (object, {name}) => Object.hasOwn(object, name),
  keys: (object) => Object.keys(object),
  names: (object) => Reflect.ownKeys(object),
  entries: (object) => Object.entries(object).map(([name, value]) => [name, seen(value)]),
  forIn: (object) => {
    const names: string[] = [];
    for (const name in object) names.push(name);
    return names;
  },
  spread: (object, {name, value}) => stringifyJson({...object, [name]: value} as JsonValue),
  stringify: (object) => text(() => JSON.stringify(object)),
  stringifyJson: (object) => stringifyJson(object as JsonValue),
  same: (object, {name}) => object[name] === object[name],
  descriptor: (object, {name}) => {
    const {value, ...rest} = Object.getOwnPropertyDescriptor(object, name) ?? {};
    return [seen(value), rest];
  },
  set: (object, step) => seen((object[step.name] = given(step))),
  setTwice: (object, step) => {
    object[step.name] = 1;
    object[step.name] = given(step);
  },
  reflectSet: (object, step) => Reflect.set(object, step.name, given(step)),
  setSymbol: (object) => {
    object[MARK] = 1;
    return MARK in object && object[MARK];
  },
  assign: (object, step) => Object.assign(object, {b: 1, [step.name]: given(step)}) === object,
  delete: (object, {name}) => delete object[name],
  define: (object, step) =>
    Object.defineProperty(object, step.name, {
      value: given(step),
      writable: true,
      enumerable: true,
      configurable: true,
    }) === object,
  redefine: (object, {name}) => Object.defineProperty(object, name, {enumerable: false}) === object,
  defineFixed: (object, {name}) => Object.defineProperty(object, name, {value: 1, enumerable: true}) === object,
  defineGetter: (object, {name}) =>
    Object.defineProperty(object, name, {get: five, enumerable: true, configurable: true}) === object,
  freeze: (object) => Object.freeze(object) === object,
  seal: (object) => Object.isSealed(Object.seal(object)),
  preventExtensions: (object) => Object.isExtensible(Object.preventExtensions(object)),
  isFrozen: (object) => Object.isFrozen(object),
  prototype: (object) => Object.getPrototypeOf(object) === Object.prototype,
  string: (object) => text(() => `${object as unknown as string}`),
};
const MARK = Symbol('mark');
const five = (): number => 5;
const PROTOTYPE: JsonObject = Object.freeze({b: 2});

/** Enough of a value to tell it from others, without looking into it: what was looked at is no longer lazy. */
function seen(value: unknown): unknown {
  if (typeof value === 'function') return 'function';
  if (typeof value !== 'object' || value === null) return value;
  return Array.isArray(value) ? ['list', value.length] : 'object';
}

/** What a step sets: each of the two values gets an object of its own, but one prototype is theirs. */
function given({name, value}: Step): JsonValue | undefined {
  if (typeof value !== 'object') return value;
  return name === '__proto__' ? PROTOTYPE : structuredClone(value);
}

/** Text, or the class of what was thrown. */
function text(make: () => string): string {
  try {
    return make();
  } catch (error) {
    return (error as Error).name;
  }
}

/** The object at a path, by the order of what is there. */
function objectAt(root: unknown, path: readonly number[]): Objects | null {
  let value = root;
  let found: Objects | null = null;
  for (const index of path) {
    if (typeof value !== 'object' || value === null) break;
    if (!Array.isArray(value)) found = value as Objects;
    const name = NAMES[index % NAMES.length] ?? '';
    if (Array.isArray(value)) value = value[index % Math.max(1, value.length)];
    else value = Object.hasOwn(value, name) ? (value as Objects)[name] : undefined;
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Objects) : found;
}

/** What the texts of the objects in a list say. */
function printed(list: JsonValue | undefined, print: (object: JsonObject) => string): readonly JsonValue[] {
  if (!Array.isArray(list)) return [];
  const objects = list.filter((item) => typeof item === 'object' && item !== null && !Array.isArray(item));
  return objects.map((object) => parseJson(print(object as JsonObject)));
}

function outcome(root: unknown, step: Step): unknown {
  const object = objectAt(root, step.path);
  if (object === null) return 'no object';
  try {
    return ACTIONS[step.action]?.(object, step);
  } catch (error) {
    return (error as Error).name;
  }
}

const NAMES = [
  'a',
  'b',
  'é',
  '',
  '__proto__',
  'constructor',
  'toString',
  'toJSON',
  '0',
  '10',
  '\ud800',
  '\ufffd',
  'zz',
];

const step: fc.Arbitrary<Step> = fc.record({
  path: fc.array(fc.nat({max: 20}), {maxLength: 4}),
  action: fc.constantFrom(...Object.keys(ACTIONS)),
  name: fc.constantFrom(...NAMES),
  value: fc.constantFrom<JsonValue | undefined>(null, 1, 'x', undefined, {}, [1], {a: {b: 1}}, 12345678901234567890n),
});

const inList = listText(fc.array(jsonText({escapedNames: false}), {minLength: 1, maxLength: 3}));
const body = fc.oneof(
  inList,
  inList.map((list) => `{"data":${list},"next":{"a":{"b":${list}}}}`),
);

describe('parseLazily', () => {
  it(`gives what parseJson gives, whatever is done with it (seed ${seed})`, () => {
    fc.assert(
      fc.property(body, fc.array(step, {maxLength: 12}), (json, steps) => {
        const plain = parseJson(json);
        const lazy = parseLazily(Buffer.from(json));
        for (const one of steps) deepStrictEqual([one, outcome(lazy, one)], [one, outcome(plain, one)]);
        deepStrictEqual(printed(lazy, textOf), printed(plain, stringifyJson));
        deepStrictEqual(lazy, plain);
        deepStrictEqual(
          text(() => stringifyJson(lazy ?? null)),
          text(() => stringifyJson(plain)),
        );
      }),
      {seed, interruptAfterTimeLimit: 2500, numRuns: 100_000},
    );
  });

  const read = (json: string): Objects => (parseLazily(Buffer.from(json)) as readonly Objects[])[0] ?? {};

  it('gives the same nested object whenever it is asked for, so that changes of it stay', () => {
    const object = read('[{"a":{"b":1},"l":[{"c":2}],"n":1e400}]') as {a: Objects; l: Objects[]; n: unknown};
    expect(object.a).toBe(object.a);
    expect(object.l[0]).toBe(object.l[0]);
    expect(object.n).toBe(object.n);
    object.a['b'] = 2;
    delete object.l[0]?.['c'];
    expect(Object.keys(object)).toEqual(['a', 'l', 'n']);
    expect(object).toEqual({a: {b: 2}, l: [{}], n: new ExactNumber('1e400')});
  });

  it('does not take a name that has no UTF-8 for another one', () => {
    const object = read('[{"\ufffd":1}]');
    expect(object['\ud800']).toBeUndefined();
    expect('\ud800' in object).toBe(false);
    object['\ud800'] = 2;
    expect(Object.entries(object)).toEqual([
      ['\ufffd', 1],
      ['\ud800', 2],
    ]);
  });

  it('has no own name from an assignment of the prototype', () => {
    const object = read('[{"a":1}]');
    object['__proto__'] = {b: 2};
    expect(Object.keys(object)).toEqual(['a']);
    expect(object['b']).toBe(2);
    const own = read('[{"__proto__":1}]');
    own['__proto__'] = {b: 2};
    expect(Object.keys(own)).toEqual(['__proto__']);
    expect(own['b']).toBeUndefined();
  });

  it.each(['', '{"a":', '[1,]', '\ufeff[]', '[{"\\u0061":1}]'])('leaves %j to parseJson', (json) => {
    expect(parseLazily(Buffer.from(json))).toBeUndefined();
  });
});
