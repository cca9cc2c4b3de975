import {isAscii} from 'node:buffer';

import {parseJson} from './json-reader.ts';
import type {JsonValue} from './json-value.ts';
import type {NameBytes} from './name-bytes.ts';

/** What a token of a {@link JsonTape} is. */
export const TOKEN = {
  null: 0,
  false: 1,
  true: 2,
  /** Up to 15 characters, no fraction, no exponent, not `-0`: any reader prints it as it stands here. */
  integer: 3,
  number: 4,
  /** Without escapes: its bytes are its text. */
  string: 5,
  escaped: 6,
  object: 7,
  array: 8,
  /** Behind the last member of an object or list. */
  end: 9,
} as const;

/** Words of a token. */
export const TOKEN_WORDS = 2;
/** Bits of a token's second word: its kind. */
export const KIND_MASK = 15;
/** Of an object or list: see {@link JsonTape.isPlain}. */
export const PLAIN_BIT = 16;
/** The size of a token is above so many bits. */
export const SIZE_SHIFT = 5;

/**
 * The structure of a JSON text: where each value lies in its bytes. Values are read where they are, none is made before it is asked
 * for.
 *
 * A token is two words: the position of its first byte (of strings: behind the quote), and its kind with its size: in bytes, for
 * objects and lists in words up to the token behind them. Members of objects are pairs of a string token and a value; the last
 * token of an object or list is `end`, whose position is behind the bracket.
 * @see https://arxiv.org/abs/1902.08318 for the idea of a tape
 */
export class JsonTape {
  readonly bytes: Buffer;
  readonly words: Int32Array;
  /** The same bytes. */
  readonly view: DataView;
  /** Every byte is a character. */
  readonly isAscii: boolean;

  constructor(bytes: Buffer, words: Int32Array) {
    this.bytes = bytes;
    this.words = words;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.isAscii = isAscii(bytes);
  }

  /** The kind of a token, see {@link TOKEN}. */
  kind(at: number): number {
    return (this.words[at + 1] ?? 0) & KIND_MASK;
  }

  /** Bytes of a value that is no object or list. */
  sizeBytes(at: number): number {
    return (this.words[at + 1] ?? 0) >>> SIZE_SHIFT;
  }

  /** The position of a token's first byte. */
  start(at: number): number {
    return this.words[at] ?? 0;
  }

  /** The token behind a value. */
  next(at: number): number {
    const word = this.words[at + 1] ?? 0;
    const kind = word & KIND_MASK;
    return kind === TOKEN.object || kind === TOKEN.array ? at + (word >>> SIZE_SHIFT) : at + TOKEN_WORDS;
  }

  /** The position behind an object or list. */
  end(at: number): number {
    return this.words[this.next(at) - TOKEN_WORDS] ?? 0;
  }

  /**
   * True when an object or list is written without blanks and with every number and escape as JSON.stringify writes it. Names that
   * come twice, or look like numbers, are not looked for.
   */
  isPlain(at: number): boolean {
    return ((this.words[at + 1] ?? 0) & PLAIN_BIT) !== 0;
  }

  /** The text of a part of the bytes. */
  text(start: number, end: number): string {
    return this.isAscii ? this.bytes.toString('latin1', start, end) : this.bytes.toString('utf8', start, end);
  }

  /** The value of a token, as {@link parseJson} makes it. */
  value(at: number): JsonValue {
    const start = this.start(at);
    switch (this.kind(at)) {
      case TOKEN.null:
        return null;
      case TOKEN.true:
        return true;
      case TOKEN.false:
        return false;
      case TOKEN.integer:
        return Number(this.bytes.toString('latin1', start, start + this.sizeBytes(at)));
      case TOKEN.string:
        return this.text(start, start + this.sizeBytes(at));
      case TOKEN.escaped:
        return JSON.parse(this.text(start - 1, start + this.sizeBytes(at) + 1)) as string;
      case TOKEN.number:
        return parseJson(this.bytes.toString('latin1', start, start + this.sizeBytes(at)));
      default:
        return parseJson(this.text(start, this.end(at)));
    }
  }

  /** The value of a name in an object; -1 when there is none. Of a name that comes twice the last counts. */
  member(object: number, name: NameBytes): number {
    const {words} = this;
    const end = this.next(object) - TOKEN_WORDS;
    let found = -1;
    for (let at = object + TOKEN_WORDS; at < end; at = this.next(at + TOKEN_WORDS)) {
      if ((words[at + 1] ?? 0) >>> SIZE_SHIFT === name.length && name.isAt(this.view, words[at] ?? 0))
        found = at + TOKEN_WORDS;
    }
    return found;
  }
}
