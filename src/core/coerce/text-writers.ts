import type {BytesVector} from '../columns.ts';
import {parseJson, stringifyJson} from '../json-reader.ts';
import {type JsonTape, TOKEN} from '../json-tape.ts';
import type {JsonValue} from '../json-value.ts';
import {type ColumnWriter, grown, Presence} from './column-writer.ts';
import {GrowingBytes} from './growing-bytes.ts';
import type {TextArena} from './text-arena.ts';
import {hasUniqueNames} from './token-names.ts';

const ENCODE_CHARS = 1 << 16;

/**
 * string: text as it is, anything else as its JSON text. Text with half a surrogate pair has no UTF-8 and does not fit.
 * Strings wait as they are and are encoded together: a call per string would cost more than all the rest.
 */
export class StringWriter implements ColumnWriter {
  readonly #presence = new Presence();
  readonly #isDocument: boolean;
  readonly #arena: TextArena;
  readonly #bytes = new GrowingBytes();
  #texts: string[] = [];
  /** The last text that went to the arena by itself, and where it is: many rows of a table say the same. */
  #lastText: string | null = null;
  #lastStart = 0;
  #lastLength = 0;
  #starts = new Uint32Array(0);
  #lengths = new Uint32Array(0);
  #chars = 0;

  /** `isDocument`: a column of JSON documents, where text that is no JSON becomes a JSON string. */
  constructor(isDocument: boolean, arena: TextArena) {
    this.#isDocument = isDocument;
    this.#arena = arena;
  }

  write(row: number, value: JsonValue | undefined): boolean {
    if (value === null || value === undefined) {
      this.#texts[row] = '';
      this.#presence.absent(row);
      return true;
    }
    const text = typeof value === 'string' && !this.#isDocument ? value : documentText(value);
    if (this.#arena.isOpen) return this.#writeAtOnce(row, text);
    this.#texts[row] = text;
    this.#chars += text.length;
    if (isWellFormed(text)) return this.#presence.present(row);
    this.#texts[row] = '';
    this.#presence.absent(row);
    return false;
  }

  writeToken(row: number, tape: JsonTape, at: number): boolean {
    const kind = tape.kind(at);
    if (kind === TOKEN.null) {
      this.#presence.absent(row);
      return true;
    }
    if (!this.#arena.isOpen) return this.write(row, tape.value(at));
    const start = tape.start(at);
    switch (kind) {
      case TOKEN.string:
        return this.#isDocument
          ? this.write(row, tape.value(at))
          : this.#place(row, tape, {start, length: tape.sizeBytes(at)});
      case TOKEN.escaped:
        return this.#isDocument ? this.write(row, tape.value(at)) : this.#unescape(row, tape, at);
      case TOKEN.integer:
      case TOKEN.true:
      case TOKEN.false:
        return this.#place(row, tape, {start, length: tape.sizeBytes(at)});
      case TOKEN.object:
      case TOKEN.array:
        if (tape.isPlain(at) && hasUniqueNames(tape, at))
          return this.#place(row, tape, {start, length: tape.end(at) - start});
        return this.write(row, tape.value(at));
      default:
        return this.write(row, tape.value(at));
    }
  }

  #unescape(row: number, tape: JsonTape, at: number): boolean {
    const start = tape.start(at);
    const begin = this.#arena.sizeBytes;
    if (!this.#arena.appendUnescaped(tape.bytes, start, start + tape.sizeBytes(at)))
      return this.write(row, tape.value(at));
    this.#starts[row] = begin;
    this.#lengths[row] = this.#arena.sizeBytes - begin;
    this.#chars += this.#arena.sizeBytes - begin;
    return this.#presence.present(row);
  }

  #place(row: number, tape: JsonTape, {start, length}: {readonly start: number; readonly length: number}): true {
    this.#starts[row] = this.#arena.startOf(tape.bytes) + start;
    this.#lengths[row] = length;
    this.#chars += length;
    return this.#presence.present(row);
  }

  #writeAtOnce(row: number, text: string): boolean {
    if (text !== this.#lastText) {
      if (!isWellFormed(text)) {
        this.#presence.absent(row);
        return false;
      }
      this.#lastStart = this.#arena.append(text);
      this.#lastLength = this.#arena.sizeBytes - this.#lastStart;
      this.#lastText = text;
    }
    this.#starts[row] = this.#lastStart;
    this.#lengths[row] = this.#lastLength;
    this.#chars += this.#lastLength;
    return this.#presence.present(row);
  }

  reserve(capacity: number): void {
    if (capacity <= this.#starts.length) return;
    this.#starts = grown((length) => new Uint32Array(length), this.#starts, capacity);
    this.#lengths = grown((length) => new Uint32Array(length), this.#lengths, capacity);
    this.#presence.reserve(capacity);
  }

  vector(rowCount: number): BytesVector {
    if (!this.#arena.isOpen) {
      this.#bytes.clear();
      for (let from = 0; from < rowCount;) from = this.#encodeFrom(from, rowCount);
    }
    return {
      kind: 'bytes',
      data: this.#arena.isOpen ? this.#arena.filled() : this.#bytes.filled(),
      starts: this.#starts.subarray(0, rowCount),
      lengths: this.#lengths.subarray(0, rowCount),
      validity: this.#presence.validity(rowCount),
    };
  }

  /** Encodes some rows in one piece and returns the row after them. */
  #encodeFrom(from: number, rowCount: number): number {
    let all = '';
    let row = from;
    for (; row < rowCount && all.length < ENCODE_CHARS; row++) {
      const text = this.#texts[row] ?? '';
      this.#starts[row] = this.#bytes.length + all.length;
      this.#lengths[row] = text.length;
      all += text;
    }
    const start = this.#bytes.length;
    const sizeBytes = this.#bytes.append(all);
    if (sizeBytes !== all.length) this.#measure(from, row, start);
    return row;
  }

  /** Corrects starts and lengths where characters took more than one byte, by walking the bytes once. */
  #measure(from: number, to: number, start: number): void {
    const bytes = this.#bytes.filled();
    let at = start;
    for (let row = from; row < to; row++) {
      this.#starts[row] = at;
      let units = this.#lengths[row] ?? 0;
      while (units > 0) {
        const lead = bytes[at] ?? 0;
        at += lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        units -= lead < 0xf0 ? 1 : 2;
      }
      this.#lengths[row] = at - (this.#starts[row] ?? 0);
    }
  }

  clear(): void {
    this.#texts.fill('');
    this.#lastText = null;
    this.#chars = 0;
    this.#presence.clear();
  }

  sizeBytes(): number {
    return this.#chars;
  }
}

/** How a binary column is written in JSON. */
export type BinaryEncoding = 'base64' | 'hex' | 'utf8';

/** binary: text in the declared encoding, strictly; anything else does not fit. */
export class BinaryWriter implements ColumnWriter {
  readonly #presence = new Presence();
  readonly #encoding: BinaryEncoding;
  readonly #bytes = new GrowingBytes();
  #starts = new Uint32Array(0);
  #lengths = new Uint32Array(0);

  constructor(encoding: BinaryEncoding) {
    this.#encoding = encoding;
  }

  write(row: number, value: JsonValue | undefined): boolean {
    const bytes = typeof value === 'string' ? decoded(value, this.#encoding) : null;
    this.#starts[row] = this.#bytes.length;
    this.#lengths[row] = bytes?.length ?? 0;
    if (bytes !== null) {
      this.#bytes.appendBytes(bytes);
      return this.#presence.present(row);
    }
    this.#presence.absent(row);
    return value === null || value === undefined;
  }

  writeToken(row: number, tape: JsonTape, at: number): boolean {
    return this.write(row, tape.value(at));
  }

  reserve(capacity: number): void {
    if (capacity <= this.#starts.length) return;
    this.#starts = grown((length) => new Uint32Array(length), this.#starts, capacity);
    this.#lengths = grown((length) => new Uint32Array(length), this.#lengths, capacity);
    this.#presence.reserve(capacity);
  }

  vector(rowCount: number): BytesVector {
    return {
      kind: 'bytes',
      data: this.#bytes.filled(),
      starts: this.#starts.subarray(0, rowCount),
      lengths: this.#lengths.subarray(0, rowCount),
      validity: this.#presence.validity(rowCount),
    };
  }

  clear(): void {
    this.#bytes.clear();
    this.#presence.clear();
  }

  sizeBytes(): number {
    return this.#bytes.length;
  }
}

/** JSON text of a value: a string that is JSON already stays as it is. */
function documentText(value: JsonValue): string {
  return typeof value === 'string' && isJson(value) ? value : stringifyJson(value);
}

function isWellFormed(text: string): boolean {
  return (text as string & {isWellFormed(): boolean}).isWellFormed();
}

function isJson(text: string): boolean {
  try {
    parseJson(text);
    return true;
  } catch {
    // Not JSON is the answer, not a failure.
    return false;
  }
}

function decoded(text: string, encoding: BinaryEncoding): Uint8Array | null {
  const bytes = Buffer.from(text, encoding);
  // Node skips what it cannot decode; what prints back as the same text was all there.
  const printed = bytes.toString(encoding);
  return printed === (encoding === 'hex' ? text.toLowerCase() : text) ? bytes : null;
}
