import type {Buffer} from 'node:buffer';

import {GrowingBytes} from './growing-bytes.ts';

/**
 * The bytes of all texts of a batch whose records are read where they lie: their JSON texts as they came, and texts that are in none of
 * them. Open from the first such record of a batch to its end.
 */
export class TextArena {
  readonly #bytes = new GrowingBytes();
  readonly #starts = new Map<Buffer, number>();
  #last: Buffer | null = null;
  #lastStart = 0;
  #filled: Uint8Array | null = null;
  #isOpen = false;

  /** Texts go here, and not to the columns. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  get sizeBytes(): number {
    return this.#bytes.length;
  }

  open(): void {
    this.#isOpen = true;
  }

  /** Where a JSON text begins; it is copied when it is first asked for. */
  startOf(text: Buffer): number {
    if (text === this.#last) return this.#lastStart;
    let start = this.#starts.get(text);
    if (start === undefined) {
      start = this.#bytes.length;
      this.#bytes.appendBytes(text);
      this.#starts.set(text, start);
    }
    this.#last = text;
    this.#lastStart = start;
    return start;
  }

  /** Appends well-formed text and returns where it begins; it ends at `sizeBytes`. */
  append(text: string): number {
    const start = this.#bytes.length;
    this.#bytes.append(text);
    return start;
  }

  /** Appends what a JSON string says; false where that is no well-formed text. It begins where the texts before end. */
  appendUnescaped(text: Buffer, from: number, to: number): boolean {
    return this.#bytes.appendUnescaped(text, from, to);
  }

  /** All bytes, the same array for all columns: its reader takes it once. They are used again after `close`. */
  filled(): Uint8Array {
    if (this.#filled?.length !== this.#bytes.length) this.#filled = this.#bytes.filled();
    return this.#filled;
  }

  close(): void {
    this.#bytes.clear();
    this.#starts.clear();
    this.#last = null;
    this.#filled = null;
    this.#isOpen = false;
  }
}
