import {type JsonTape, KIND_MASK, SIZE_SHIFT, TOKEN, TOKEN_WORDS} from '../json-tape.ts';

const SLOTS = 1024;
/** Names of one object that find their slots in a moment; with more a set is as good. */
const FEW_NAMES = SLOTS / 4;

/** The object whose name is in a slot, and its token. */
const objects = new Int32Array(SLOTS);
const tokens = new Int32Array(SLOTS);
let current = 0;

/** True when no object in a value has a name twice: `JSON.parse` and `JSON.stringify` would leave one of them. */
export function hasUniqueNames(tape: JsonTape, value: number): boolean {
  const end = tape.next(value);
  for (let at = value; at < end; at += TOKEN_WORDS)
    if (((tape.words[at + 1] ?? 0) & KIND_MASK) === TOKEN.object && !hasOwnUniqueNames(tape, at)) return false;
  return true;
}

function hasOwnUniqueNames(tape: JsonTape, object: number): boolean {
  const {words, bytes} = tape;
  const end = tape.next(object) - TOKEN_WORDS;
  current = (current + 1) | 0;
  let names = 0;
  for (let at = object + TOKEN_WORDS; at < end; at = tape.next(at + TOKEN_WORDS)) {
    if (++names > FEW_NAMES) return hasManyUniqueNames(tape, object);
    const start = words[at] ?? 0;
    const size = (words[at + 1] ?? 0) >>> SIZE_SHIFT;
    let slot = (size * 89 + (bytes[start] ?? 0) * 7 + (bytes[start + size - 1] ?? 0) * 31) % SLOTS;
    while (objects[slot] === current) {
      if (isSameName(tape, at, tokens[slot] ?? 0)) return false;
      slot = (slot + 1) % SLOTS;
    }
    objects[slot] = current;
    tokens[slot] = at;
  }
  return true;
}

function isSameName(tape: JsonTape, left: number, right: number): boolean {
  const size = tape.sizeBytes(left);
  if (size !== tape.sizeBytes(right)) return false;
  const from = tape.start(left);
  const to = tape.start(right);
  for (let index = 0; index < size; index++) if (tape.bytes[from + index] !== tape.bytes[to + index]) return false;
  return true;
}

function hasManyUniqueNames(tape: JsonTape, object: number): boolean {
  const end = tape.next(object) - TOKEN_WORDS;
  const seen = new Set<unknown>();
  let names = 0;
  for (let at = object + TOKEN_WORDS; at < end; at = tape.next(at + TOKEN_WORDS), names++) seen.add(tape.value(at));
  return seen.size === names;
}
