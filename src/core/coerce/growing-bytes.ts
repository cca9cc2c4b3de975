const FIRST_BYTES = 1024;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
/** What the letters behind a backslash stand for; all others stand for themselves. */
const ESCAPED: Readonly<Record<number, number>> = {0x62: 8, 0x66: 12, 0x6e: 10, 0x72: 13, 0x74: 9};

/** The character that four hex digits stand for, with the escape behind them where both make one; -1 for half of a pair. */
function codePointAt(bytes: Buffer, at: number): number {
  const unit = Number.parseInt(bytes.toString('latin1', at, at + 4), 16);
  if (unit < 0xd800 || unit > 0xdfff) return unit;
  const isPair = unit < 0xdc00 && bytes[at + 4] === BACKSLASH && bytes[at + 5] === LETTER_U;
  const second = isPair ? Number.parseInt(bytes.toString('latin1', at + 6, at + 10), 16) : 0;
  return second >= 0xdc00 && second <= 0xdfff ? 0x10000 + ((unit - 0xd800) << 10) + (second - 0xdc00) : -1;
}

/** Bytes one after another in one buffer that doubles. */
export class GrowingBytes {
  #buffer = Buffer.alloc(FIRST_BYTES);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Appends well-formed text as UTF-8 and returns how many bytes it took. */
  append(text: string): number {
    // Most text is ASCII; the rest needs at most 3 bytes for each UTF-16 unit. A write that found too little room ends in
    // the last 3 bytes.
    this.#reserve(text.length + 4);
    let written = this.#buffer.write(text, this.#length);
    if (this.#length + written > this.#buffer.length - 4) {
      this.#reserve(text.length * 3 + 4);
      written = this.#buffer.write(text, this.#length);
    }
    this.#length += written;
    return written;
  }

  /** Appends what a JSON string without its quotes says; false, with some of it appended, where that is no well-formed text. */
  appendUnescaped(bytes: Buffer, from: number, to: number): boolean {
    // No escape is shorter than what it stands for.
    this.#reserve(to - from);
    const buffer = this.#buffer;
    const text = bytes.subarray(from, to);
    let at = 0;
    let end = this.#length;
    for (;;) {
      const escape = text.indexOf(BACKSLASH, at);
      const next = escape < 0 ? text.length : escape;
      text.copy(buffer, end, at, next);
      end += next - at;
      if (escape < 0) break;
      const kind = text[next + 1] ?? 0;
      at = next + 2;
      if (kind === LETTER_U) {
        const code = codePointAt(text, at);
        if (code < 0) return false;
        at += code > 0xffff ? 10 : 4;
        end += buffer.write(String.fromCodePoint(code), end);
      } else buffer[end++] = ESCAPED[kind] ?? kind;
    }
    this.#length = end;
    return true;
  }

  appendBytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  filled(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  #reserve(sizeBytes: number): void {
    const needed = this.#length + sizeBytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    larger.set(this.filled());
    this.#buffer = larger;
  }
}
