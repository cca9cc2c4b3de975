/** A place in bytes of a log; what reads moves on. */
export class ByteReader {
  bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  /** An integer of 1 to 9 bytes. */
  lengthEncoded(): number {
    const first = this.bytes[this.at++] ?? 0;
    if (first < 0xfb) return first;
    const width = first === 0xfc ? 2 : first === 0xfd ? 3 : 8;
    const value = width === 8 ? Number(this.bytes.readBigUInt64LE(this.at)) : this.bytes.readUIntLE(this.at, width);
    this.at += width;
    return value;
  }

  /** The next `length` bytes, not copied. */
  take(length: number): Buffer {
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
}
