import {IngestError} from './errors.ts';
import {ExactNumber, type JsonObject, type JsonValue} from './json-value.ts';
import {isProvedShortest} from './shortest-number.ts';

/**
 * `JSON.parse` that loses nothing: integers beyond 2^53 become `bigint`, other numbers that a double would change become
 * {@link ExactNumber}. All other values are those of `JSON.parse`, also for repeated names (the last wins).
 * @throws SOURCE_ERROR when the text is not JSON; the message names the place and no content.
 */
export function parseJson(text: string): JsonValue {
  try {
    return hasInexactNumber(text)
      ? unwrap(JSON.parse(wrapInexactNumbers(text)) as JsonValue)
      : (JSON.parse(text) as JsonValue);
  } catch (error) {
    if (error instanceof SyntaxError) throw notJson(text);
    throw error;
  }
}

/**
 * The inverse of {@link parseJson}: `bigint` and {@link ExactNumber} are printed as numbers with all their digits. Numbers
 * that JSON lacks (NaN, infinities) are printed as text, so that they can be seen.
 */
export function stringifyJson(value: JsonValue): string {
  return isPlain(value) ? JSON.stringify(value) : print(value);
}

// A number that a double changes has 16 or more digits or an exponent of 3 or more: anything shorter is left to JSON.parse.
const LONG_NUMBER = 16;
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const IS_INTEGER = /^-?\d+$/;
const NUMBER_WITH_LARGE_EXPONENT = /[0-9][eE][+-]?[0-9]{3}[0-9]*(?:[,\]}\s]|$)/;
const LARGE_EXPONENT = /[eE][+-]?\d{3}/;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
// Marks a wrapped number. Raw U+0000 is not valid in JSON, so only its escape can put it in front of another text.
const MARK = '\\u0000';

const IS_DIGIT_OR_POINT = charTable('0123456789.');
const IS_NUMBER_PART = charTable('0123456789.eE+-');
const IS_BEFORE_NUMBER = charTable('[:, \n\r\t');
const IS_AFTER_NUMBER = charTable(',]} \n\r\t');

const KEPT_SCRATCH_BYTES = 1 << 22;
let scratch = Buffer.allocUnsafe(1 << 16);

/**
 * True when some number in the text may be one that a double changes; digits inside of strings can make it a false alarm.
 * Long numbers are searched in the low bytes of the characters, several times faster than in the string, and with jumps:
 * 16 digits hold every 16th character.
 */
function hasInexactNumber(text: string): boolean {
  const codes = lowBytes(text);
  for (let index = LONG_NUMBER - 1; index < text.length; index += LONG_NUMBER) {
    if (IS_DIGIT_OR_POINT[codes[index] ?? 0] === 0) continue;
    let start = index;
    let end = index + 1;
    while (start > 0 && IS_DIGIT_OR_POINT[codes[start - 1] ?? 0] === 1) start--;
    while (end < text.length && IS_DIGIT_OR_POINT[codes[end] ?? 0] === 1) end++;
    if (end - start < LONG_NUMBER) continue;
    if (isInexactAround(text, codes, start, end)) return true;
    index = end - 1;
  }
  return NUMBER_WITH_LARGE_EXPONENT.test(text);
}

/** Looks closer at the number around some digits: false as well when a neighbour shows that it is part of a string. */
function isInexactAround(text: string, codes: Uint8Array, from: number, to: number): boolean {
  let start = from;
  while (start > 0 && isNumberPart(codes[start - 1])) start--;
  if (start > 0 && IS_BEFORE_NUMBER[codes[start - 1] ?? 0] === 0) return false;
  let end = to;
  while (end < text.length && isNumberPart(codes[end])) end++;
  if (end < text.length && IS_AFTER_NUMBER[codes[end] ?? 0] === 0) return false;
  return !isProvedShortest(codes, start, end) && !isExact(text.slice(start, end));
}

function isNumberPart(code: number | undefined): boolean {
  return IS_NUMBER_PART[code ?? 0] === 1;
}

/** Turns every inexact number outside of strings into a string that begins with the mark. */
function wrapInexactNumbers(text: string): string {
  const codes = charCodes(text);
  let wrapped = '';
  let copied = 0;
  for (let index = 0; index < codes.length; index++) {
    const code = codes[index] ?? 0;
    if (code === QUOTE) {
      const end = endOfString(codes, index + 1);
      if (text.startsWith(MARK, index + 1) && !isName(text, end)) {
        wrapped += `${text.slice(copied, index + 1)}${MARK}`;
        copied = index + 1;
      }
      index = end - 1;
    } else if (isNumberPart(code)) {
      let end = index + 1;
      while (end < codes.length && isNumberPart(codes[end] ?? 0)) end++;
      const token = end - index > 4 ? text.slice(index, end) : '';
      if ((token.length >= LONG_NUMBER || LARGE_EXPONENT.test(token)) && !isExact(token)) {
        wrapped += `${text.slice(copied, index)}"${MARK}${token}"`;
        copied = end;
      }
      index = end - 1;
    }
  }
  return wrapped + text.slice(copied);
}

/** The low byte of every character; valid until the next call. */
function lowBytes(text: string): Uint8Array {
  let bytes = scratch;
  if (bytes.length < text.length) {
    bytes = Buffer.allocUnsafe(text.length * 2);
    if (bytes.length <= KEPT_SCRATCH_BYTES) scratch = bytes;
  }
  bytes.write(text, 'latin1');
  return bytes;
}

function charCodes(text: string): Uint16Array {
  const codes = new Uint16Array(text.length);
  Buffer.from(codes.buffer).write(text, 'utf16le');
  return codes;
}

function charTable(chars: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const char of chars) table[char.charCodeAt(0)] = 1;
  return table;
}

/** The index after the closing quote of a string whose first character is at `index`. */
function endOfString(codes: Uint16Array, index: number): number {
  let at = index;
  while (at < codes.length) {
    const code = codes[at];
    if (code === QUOTE) return at + 1;
    at += code === BACKSLASH ? 2 : 1;
  }
  return codes.length;
}

function isName(text: string, end: number): boolean {
  let at = end;
  while (' \n\r\t'.includes(text.charAt(at)) && at < text.length) at++;
  return text.charAt(at) === ':';
}

/** Undoes {@link wrapInexactNumbers} in place, in a value that nobody else holds. */
function unwrap(value: JsonValue): JsonValue {
  if (typeof value === 'string') return value.charCodeAt(0) === 0 ? unmarked(value.slice(1)) : value;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const inner: unknown = value[index];
      if (typeof inner === 'string' ? inner.charCodeAt(0) === 0 : typeof inner === 'object')
        value[index] = unwrap(inner as JsonValue);
    }
    return value;
  }
  const object = value as Record<string, JsonValue>;
  for (const name in object) {
    const inner = object[name];
    if (typeof inner === 'string' ? inner.charCodeAt(0) === 0 : typeof inner === 'object')
      object[name] = unwrap(inner as JsonValue);
  }
  return value;
}

/** The value of a marked text without its mark: a number, or a string of the source that began with U+0000 itself. */
function unmarked(text: string): JsonValue {
  if (text.charCodeAt(0) === 0) return text;
  return IS_INTEGER.test(text) ? BigInt(text) : new ExactNumber(text);
}

/** True when the double nearest to a JSON number has the same value (for integers: and is a safe integer). */
function isExact(token: string): boolean {
  const value = Number(token);
  const text = String(value);
  if (text === token) return !Number.isInteger(value) || Number.isSafeInteger(value) || !IS_INTEGER.test(token);
  if (!NUMBER.test(token)) return true;
  if (IS_INTEGER.test(token)) return Number.isSafeInteger(value);
  return Number.isFinite(value) && canonical(text) === canonical(token);
}

/** Significant digits and exponent of a number, the same text for equal values of equal sign. */
function canonical(token: string): string {
  const [, whole = '', fraction = '', exponent = '0'] = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(token) ?? [];
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  return `${significant}e${Number(exponent) - fraction.length + digits.length - significant.length}`;
}

function isPlain(value: JsonValue | undefined): boolean {
  switch (typeof value) {
    case 'bigint':
      return false;
    case 'number':
      return (
        Number.isFinite(value) && !Object.is(value, -0) && (Number.isSafeInteger(value) || !Number.isInteger(value))
      );
    case 'object':
      if (value === null) return true;
      if (value instanceof ExactNumber) return false;
      if (Array.isArray(value)) return value.every(isPlain);
      return isPlainObject(value as JsonObject);
    default:
      return true;
  }
}

function isPlainObject(object: JsonObject): boolean {
  for (const name in object) if (!isPlain(object[name])) return false;
  return true;
}

function print(value: JsonValue): string {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return printNumber(value);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (value instanceof ExactNumber) return value.text;
  if (Array.isArray(value)) return `[${value.map((inner: JsonValue) => print(inner ?? null)).join(',')}]`;
  const parts: string[] = [];
  for (const [name, inner] of Object.entries(value as JsonObject)) {
    if (inner !== undefined) parts.push(`${JSON.stringify(name)}:${print(inner)}`);
  }
  return `{${parts.join(',')}}`;
}

function printNumber(value: number): string {
  if (!Number.isFinite(value)) return `"${value}"`;
  if (Object.is(value, -0)) return '-0';
  // Digits alone would be read as a bigint.
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? value.toExponential() : String(value);
}

/** The place comes from the runtime's own message, whose text would show content. */
function notJson(text: string): IngestError {
  let place = '';
  try {
    JSON.parse(text);
  } catch (error) {
    const position = /position (\d+)/.exec(String(error))?.[1];
    if (position !== undefined) place = ` at character ${position}`;
  }
  return new IngestError('SOURCE_ERROR', `The text (${text.length} characters) is not valid JSON${place}.`, {
    context: {characters: text.length},
  });
}
