/** A name as the bytes that stand for it in a JSON text, four at a time. */
export class NameBytes {
  readonly length: number;
  readonly #words: Int32Array;
  /** The last four bytes. */
  readonly #tail: number;
  readonly #bytes: Uint8Array;

  constructor(name: string) {
    const encoded = Buffer.from(name);
    this.#bytes = encoded.toString() === name ? encoded : IN_NO_TEXT;
    this.length = this.#bytes.length;
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.length);
    this.#words = Int32Array.from({length: this.length >> 2}, (_, index) => view.getInt32(index * WORD_BYTES, true));
    this.#tail = this.length < WORD_BYTES ? 0 : view.getInt32(this.length - WORD_BYTES, true);
  }

  /** True when the name is at a position, behind which there are at least as many bytes. */
  isAt(view: DataView, start: number): boolean {
    const words = this.#words;
    if (this.length < WORD_BYTES) {
      for (let index = 0; index < this.length; index++)
        if (view.getUint8(start + index) !== this.#bytes[index]) return false;
      return true;
    }
    for (let index = 0; index < words.length; index++)
      if (view.getInt32(start + index * WORD_BYTES, true) !== words[index]) return false;
    return view.getInt32(start + this.length - WORD_BYTES, true) === this.#tail;
  }
}

const WORD_BYTES = 4;
/** For a name with half a surrogate pair, which has no UTF-8: a byte that no string of JSON has. */
const IN_NO_TEXT = Uint8Array.of(0);
