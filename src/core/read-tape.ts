import {Buffer, isUtf8} from 'node:buffer';

import {JsonTape, PLAIN_BIT, SIZE_SHIFT, TOKEN, TOKEN_WORDS} from './json-tape.ts';

/** Sizes have 27 bits. */
const MAX_BYTES = 1 << 26;
const MAX_DEPTH = 512;
/** Tokens that have room at the end of a turn. */
const ROOM = 4 * TOKEN_WORDS;
const FIRST_WORDS = 1 << 14;
/** A larger buffer is not kept for the next text. */
const KEPT_WORDS = 1 << 20;
/** Characters up to which an integer is one to every reader. */
const SAFE_CHARS = 15;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BLANK = 0x20;
const COMMA = 0x2c;
const COLON = 0x3a;
const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const ZERO = 0x30;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** 1: a string goes on. */
const IN_STRING = new Uint8Array(256).fill(1, BLANK);
IN_STRING[QUOTE] = 0;
IN_STRING[BACKSLASH] = 0;
/** JSON.stringify writes it. */
const PLAIN_ESCAPE = 1;
const OTHER_ESCAPE = 2;
/** `\\u` with four digits. */
const CODE_ESCAPE = 3;
const ESCAPES = new Uint8Array(256);
for (const char of '"\\bfnrt') ESCAPES[char.charCodeAt(0)] = PLAIN_ESCAPE;
ESCAPES['/'.charCodeAt(0)] = OTHER_ESCAPE;
ESCAPES['u'.charCodeAt(0)] = CODE_ESCAPE;
const HEX = /^[\da-f]{4}$/i;
/** Decimals up to 15 characters are printed as they stand unless they end in a zero or begin with many. */
const PLAIN_DECIMAL = /^(?!-?0\.0{5}|-0$)-?\d+\.\d*[1-9]$/;

const NULL = wordOf('null', TOKEN.null);
const TRUE = wordOf('true', TOKEN.true);
const FALSE = wordOf('false', TOKEN.false);

function wordOf(
  text: string,
  kind: number,
): {readonly bytes: Uint8Array; readonly first: number; readonly kind: number} {
  return {bytes: Buffer.from(text), first: text.charCodeAt(0), kind};
}

/** Used again by every read. */
let words = new Int32Array(FIRST_WORDS);
/** What JSON.stringify would write in another way, so far. */
let odd = 0;
const opened = new Int32Array(MAX_DEPTH);
/** `odd` when an object or list began. */
const oddBefore = new Int32Array(MAX_DEPTH);
const isObjectAt = new Uint8Array(MAX_DEPTH);

/**
 * Finds the values of a JSON text; null when it is none, is no UTF-8, is larger than 64 MB, nests deeper than 512 or has names with
 * escapes: `parseJson` reads such a text, or says what is wrong with it.
 */
export function readTape(bytes: Buffer): JsonTape | null {
  if (bytes.length > MAX_BYTES || !isUtf8(bytes)) return null;
  odd = 0;
  const length = scan(bytes);
  const tape = length < 0 ? null : new JsonTape(bytes, words.slice(0, length));
  if (words.length > KEPT_WORDS) words = new Int32Array(FIRST_WORDS);
  return tape;
}

/** Writes the tokens of a text to `words` and returns how many words they take; -1 for a text that is left to others. */
function scan(bytes: Buffer): number {
  let [at, length, depth] = [0, 0, -1];
  let [isInObject, mayClose] = [false, false];
  for (;;) {
    if (length > words.length - ROOM) words = doubled(words);
    if ((bytes[at] ?? 0) <= BLANK) at = afterBlanks(bytes, at);
    let closes = mayClose && bytes[at] === (isInObject ? CLOSE_OBJECT : CLOSE_LIST);
    if (!closes && isInObject) {
      const end = bytes[at] === QUOTE ? endOfPlain(bytes, at + 1) : 0;
      if (bytes[end] !== QUOTE) return -1;
      words[length] = at + 1;
      words[length + 1] = ((end - at - 1) << SIZE_SHIFT) | TOKEN.string;
      length += TOKEN_WORDS;
      if (isDigit(bytes[at + 1])) odd++;
      at = afterColon(bytes, end + 1);
      if (at < 0) return -1;
    }
    if (!closes) {
      const first = bytes[at] ?? 0;
      words[length] = at;
      if (first === OPEN_OBJECT || first === OPEN_LIST) {
        if (++depth === MAX_DEPTH) return -1;
        opened[depth] = length;
        oddBefore[depth] = odd;
        isInObject = first === OPEN_OBJECT;
        isObjectAt[depth] = isInObject ? 1 : 0;
        mayClose = true;
        length += TOKEN_WORDS;
        at++;
        continue;
      }
      if (first === QUOTE) {
        const start = at + 1;
        at = endOfPlain(bytes, start);
        const kind = bytes[at] === QUOTE ? TOKEN.string : TOKEN.escaped;
        if (kind === TOKEN.escaped) at = endOfEscaped(bytes, at);
        if (at < 0) return -1;
        words[length] = start;
        words[length + 1] = ((at - start) << SIZE_SHIFT) | kind;
        at++;
      } else if (first === MINUS || isDigit(first)) {
        const end = endOfInteger(bytes, at);
        const isSafe = isSafeInteger(bytes, at, end);
        const last = isSafe ? end : endOfNumber(bytes, at, end);
        if (last < 0) return -1;
        words[length + 1] = ((last - at) << SIZE_SHIFT) | (isSafe ? TOKEN.integer : TOKEN.number);
        at = last;
      } else {
        const word = first === NULL.first ? NULL : first === TRUE.first ? TRUE : FALSE;
        if (!isAt(bytes, at, word.bytes)) return -1;
        words[length + 1] = (word.bytes.length << SIZE_SHIFT) | word.kind;
        at += word.bytes.length;
      }
      length += TOKEN_WORDS;
    }
    // What ends here.
    for (; ; closes = true) {
      if (closes) {
        if (length > words.length - ROOM) words = doubled(words);
        words[length] = ++at;
        words[length + 1] = TOKEN.end;
        length += TOKEN_WORDS;
        close(
          opened[depth] ?? 0,
          length,
          (isInObject ? TOKEN.object : TOKEN.array) | (oddBefore[depth] === odd ? PLAIN_BIT : 0),
        );
        isInObject = isObjectAt[--depth] === 1;
      }
      if ((bytes[at] ?? 0) <= BLANK && at < bytes.length) at = afterBlanks(bytes, at);
      if (depth < 0) return at === bytes.length ? length : -1;
      if (bytes[at] === COMMA) break;
      if (bytes[at] !== (isInObject ? CLOSE_OBJECT : CLOSE_LIST)) return -1;
    }
    mayClose = false;
    at++;
  }
}

function close(open: number, length: number, bits: number): void {
  words[open + 1] = ((length - open) << SIZE_SHIFT) | bits;
}

function doubled(full: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(full.length * 2);
  larger.set(full);
  return larger;
}

/** The first byte that is no blank of JSON. */
function afterBlanks(bytes: Buffer, from: number): number {
  let at = from;
  while (bytes[at] === BLANK || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at++;
  odd++;
  return at;
}

/** The value of a member, behind its name; -1 when there is no colon. */
function afterColon(bytes: Buffer, from: number): number {
  const at = bytes[from] === COLON ? from : afterBlanks(bytes, from);
  if (bytes[at] !== COLON) return -1;
  return (bytes[at + 1] ?? 0) <= BLANK ? afterBlanks(bytes, at + 1) : at + 1;
}

/** The first byte that is no plain character of a string. */
function endOfPlain(bytes: Buffer, from: number): number {
  let at = from;
  while (IN_STRING[bytes[at] ?? 0] === 1) at++;
  return at;
}

/** The closing quote of a string from an escape on; -1 when there is none, or an escape that JSON does not have. */
function endOfEscaped(bytes: Buffer, from: number): number {
  let at = from;
  while (bytes[at] === BACKSLASH) {
    const kind = ESCAPES[bytes[at + 1] ?? 0] ?? 0;
    if (kind === 0) return -1;
    if (kind !== PLAIN_ESCAPE) odd++;
    if (kind === CODE_ESCAPE && !HEX.test(bytes.toString('latin1', at + 2, at + 6))) return -1;
    at = endOfPlain(bytes, at + (kind === CODE_ESCAPE ? 6 : 2));
  }
  return bytes[at] === QUOTE ? at : -1;
}

/** The byte behind a sign and digits. */
function endOfInteger(bytes: Buffer, from: number): number {
  let at = bytes[from] === MINUS ? from + 1 : from;
  const first = at;
  while (isDigit(bytes[at])) at++;
  // Digits behind a zero are no number: the byte that follows is refused.
  return bytes[first] === ZERO && at > first ? first + 1 : at;
}

/** True for digits up to `end` that every reader prints as they stand. */
function isSafeInteger(bytes: Buffer, from: number, end: number): boolean {
  if (end - from > SAFE_CHARS || isNumberPart(bytes[end])) return false;
  return bytes[from] !== MINUS || (end > from + 1 && bytes[from + 1] !== ZERO);
}

/** The byte behind a number whose digits end at `integerEnd`; -1 for what is no number. */
function endOfNumber(bytes: Buffer, from: number, integerEnd: number): number {
  let at = integerEnd;
  if (!isDigit(bytes[at - 1])) return -1;
  if (bytes[at] === POINT) {
    do at++;
    while (isDigit(bytes[at]));
    if (bytes[at - 1] === POINT) return -1;
  }
  const hasExponent = isExponent(bytes[at]);
  if (hasExponent) {
    at++;
    if (bytes[at] === PLUS || bytes[at] === MINUS) at++;
    if (!isDigit(bytes[at])) return -1;
    while (isDigit(bytes[at])) at++;
  }
  if (hasExponent || at - from > SAFE_CHARS || !PLAIN_DECIMAL.test(bytes.toString('latin1', from, at))) odd++;
  return at;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= ZERO + 9;
}

function isExponent(byte: number | undefined): boolean {
  return byte === 0x65 || byte === 0x45;
}

function isNumberPart(byte: number | undefined): boolean {
  return byte === POINT || isExponent(byte);
}

function isAt(bytes: Buffer, start: number, expected: Uint8Array): boolean {
  for (let index = 0; index < expected.length; index++) if (bytes[start + index] !== expected[index]) return false;
  return true;
}
