const FIRST_BYTES = 1024;

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
