import {IngestError} from '../core/errors.ts';
import {ExactNumber, type JsonObject, type JsonValue} from '../core/json-value.ts';
import {lazyObject} from '../core/lazy-object.ts';
import type {JsonPath} from './rest/rest-request.ts';

/** Finds the value at a path; undefined when it is not there. A path with `*` gives a list of all that is there. */
export type PathReader = (value: JsonValue | undefined) => JsonValue | undefined;

const cache = new Map<string, readonly string[]>();
const CACHED_PATHS = 1000;

/**
 * The steps of a path: `a.b[0].c`, `a["b.c"]`, `items.*.id`; the empty path is the value itself.
 * @throws INVALID_SPEC for a text that is no path.
 */
export function pathSteps(path: JsonPath): readonly string[] {
  const known = cache.get(path);
  if (known !== undefined) return known;
  const steps: string[] = [];
  const step = /(?:^|\.)([^.[\]]+)|\[(?:(\d+)|"([^"]*)"|'([^']*)'|(\*))\]/y;
  for (let at = 0; at < path.length; at = step.lastIndex) {
    step.lastIndex = at;
    const match = step.exec(path);
    if (match === null)
      throw new IngestError('INVALID_SPEC', `${JSON.stringify(path)} is no path: ${JSON.stringify(path.slice(at))}.`, {
        fix: 'Write it like data.items[0].id, with * for every element and ["…"] for a key that holds a point.',
      });
    steps.push(match[1] ?? match[2] ?? match[3] ?? match[4] ?? '*');
  }
  if (cache.size < CACHED_PATHS) cache.set(path, steps);
  return steps;
}

/** A reader for a path, to be made once and used for many values. @throws INVALID_SPEC */
export function pathReader(path: JsonPath): PathReader {
  const steps = pathSteps(path);
  const [only] = steps;
  if (steps.length === 1 && only !== undefined && only !== '*') return (value) => fieldOf(value, only);
  if (!steps.includes('*')) {
    return (value) => {
      let at = value;
      for (const step of steps) at = fieldOf(at, step);
      return at;
    };
  }
  return (value) => (value === undefined ? [] : valuesAt(value, path));
}

/** All values at a path: one, or those of every `*`; none when nothing is there. @throws INVALID_SPEC */
export function valuesAt(value: JsonValue, path: JsonPath): readonly JsonValue[] {
  let found: readonly JsonValue[] = [value];
  for (const step of pathSteps(path))
    found = found.flatMap((one) => (step === '*' ? childrenOf(one) : listOf(fieldOf(one, step))));
  return found;
}

/** The value at a path. @throws INVALID_SPEC */
export function valueAt(value: JsonValue | undefined, path: JsonPath): JsonValue | undefined {
  return pathReader(path)(value);
}

/** A copy of an object with a value at a path; objects on the way are copied or made. */
export function withValueAt(object: JsonObject, path: JsonPath, value: JsonValue): JsonObject {
  return put(object, pathSteps(path), value);
}

/** A plain object: no list, no exact number. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber);
}

/** The objects of a list at a field of a body; none when the body is no object, or the field no list. */
export function objectsAt(body: JsonValue | undefined, field: string): readonly JsonObject[] {
  const list = isJsonObject(body) ? body[field] : undefined;
  return Array.isArray(list) ? (list as readonly JsonValue[]).filter(isJsonObject) : [];
}

function put(object: JsonObject, steps: readonly string[], value: JsonValue): JsonObject {
  const [first, ...rest] = steps;
  if (first === undefined) return object;
  const inner = object[first];
  return {...object, [first]: rest.length === 0 ? value : put(isJsonObject(inner) ? inner : {}, rest, value)};
}

function fieldOf(value: JsonValue | undefined, step: string): JsonValue | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const lazy = lazyObject(value);
  if (lazy !== undefined) return lazy.own(step) as JsonValue | undefined;
  if (value instanceof ExactNumber) return undefined;
  if (Array.isArray(value)) return /^\d+$/.test(step) ? (value as readonly JsonValue[])[Number(step)] : undefined;
  return Object.hasOwn(value, step) ? (value as JsonObject)[step] : undefined;
}

function childrenOf(value: JsonValue): readonly JsonValue[] {
  if (Array.isArray(value)) return value as readonly JsonValue[];
  return isJsonObject(value) ? Object.values(value).filter((one) => one !== undefined) : [];
}

function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  return value === undefined ? [] : [value];
}
