import type {Duplex} from 'node:stream';

import {CLIENT_ERROR, MysqlError, networkError} from './mysql-error.ts';

const CAPACITY_BYTES = 2 << 20;
/** Reading from the network pauses while this much is unread and nobody waits for more. */
const HIGH_WATER_BYTES = 1536 << 10;
const HEADER_BYTES = 4;
/** A payload of this length goes on in the next packet. */
const MAX_PACKET = 0xff_ffff;
const CLOSE_MS = 1000;

/**
 * Packets of a connection, cut from one buffer that is used again and again. A packet is a view: it is valid until the next
 * await of its reader.
 * @see https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
 */
export class PacketStream implements AsyncDisposable {
  readonly #socket: Duplex;
  #buffer: Buffer = Buffer.allocUnsafeSlow(CAPACITY_BYTES);
  #start = 0;
  #end = 0;
  #sequence = 0;
  #failure: Error | null = null;
  #wake: (() => void) | null = null;
  #paused = false;
  readonly #failed = (error: Error): void => this.fail(networkError(error, CLIENT_ERROR.lost));
  readonly #ended = (): void => this.fail(networkError(null, CLIENT_ERROR.lost));

  constructor(socket: Duplex) {
    this.#socket = socket;
    socket.on('error', this.#failed);
    socket.on('end', this.#ended);
    socket.on('close', this.#ended);
  }

  /** Leaves the socket to somebody else: what happens to it is not told here any more. */
  detach(): void {
    this.#socket.off('error', this.#failed);
    this.#socket.off('end', this.#ended);
    this.#socket.off('close', this.#ended);
  }

  /** False once the connection is gone or was given up. */
  get isOpen(): boolean {
    return this.#failure === null;
  }

  /** Number of the next packet of this exchange. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Goes on with the numbers of another stream of the same exchange: the one before TLS. */
  continueFrom(sequence: number): void {
    this.#sequence = sequence;
  }

  /** Takes bytes from the network; false asks the network to pause. */
  receive(bytes: Uint8Array, length: number): boolean {
    this.#reserve(length);
    this.#buffer.set(length === bytes.length ? bytes : bytes.subarray(0, length), this.#end);
    this.#end += length;
    const full = this.#wake === null && this.#end - this.#start >= HIGH_WATER_BYTES;
    this.#paused ||= full;
    this.#wake?.();
    return !full;
  }

  /** The next packet's payload if all of it is here. @throws MysqlError when packets are missing */
  available(): Buffer | null {
    const buffer = this.#buffer;
    const start = this.#start;
    if (this.#end - start < HEADER_BYTES) return null;
    const length = buffer.readUIntLE(start, 3);
    if (length === MAX_PACKET) return this.#joined();
    const end = start + HEADER_BYTES + length;
    if (end > this.#end) return null;
    this.#count(buffer[start + 3] ?? 0);
    this.#skipTo(end);
    return buffer.subarray(start + HEADER_BYTES, end);
  }

  /** The next packet. @throws MysqlError when the connection is gone, or whatever {@link fail} was given. */
  async next(): Promise<Buffer> {
    for (;;) {
      const packet = this.available();
      if (packet !== null) return packet;
      await this.more();
    }
  }

  /** Waits for at least one more byte. @throws as {@link next} */
  async more(): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    const unread = this.#end - this.#start;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      this.#resume();
    });
    this.#wake = null;
    // A server says why, and closes: both can come at once.
    const hasCome = this.#end - this.#start > unread;
    const failure = this.#failure as Error | null;
    if (failure !== null && !hasCome) throw failure;
  }

  /** Begins a new exchange: packets are counted from 0. */
  begin(): void {
    this.#sequence = 0;
  }

  /** Sends a payload, in as many packets as it takes. */
  write(payload: Uint8Array): void {
    if (this.#failure !== null) throw this.#failure;
    for (let at = 0; ; at += MAX_PACKET) {
      const length = Math.min(MAX_PACKET, payload.length - at);
      const header = Buffer.alloc(HEADER_BYTES);
      header.writeUIntLE(length, 0, 3);
      header[3] = this.#sequence;
      this.#sequence = (this.#sequence + 1) & 0xff;
      this.#socket.write(Buffer.concat([header, payload.subarray(at, at + length)]));
      if (length < MAX_PACKET) return;
    }
  }

  /** Ends the connection at once; waiting and later reads throw the error. The first error counts. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#wake?.();
    this.#socket.destroy();
  }

  /** Sends what was written and waits until the peer has closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#failure !== null) return;
    this.#failure = networkError(null, CLIENT_ERROR.lost);
    await new Promise<void>((resolve) => {
      const patience = setTimeout(() => this.#socket.destroy(), CLOSE_MS);
      this.#socket.once('close', () => {
        clearTimeout(patience);
        resolve();
      });
      this.#socket.end();
      this.#socket.resume();
    });
  }

  /** A payload of several packets, copied together. */
  #joined(): Buffer | null {
    const parts: Buffer[] = [];
    let at = this.#start;
    for (;;) {
      if (this.#end - at < HEADER_BYTES) return null;
      const length = this.#buffer.readUIntLE(at, 3);
      const end = at + HEADER_BYTES + length;
      if (end > this.#end) return null;
      parts.push(this.#buffer.subarray(at + HEADER_BYTES, end));
      at = end;
      if (length < MAX_PACKET) break;
    }
    const joined = Buffer.concat(parts);
    for (const _ of parts) this.#count(this.#sequence);
    this.#skipTo(at);
    return joined;
  }

  #count(sequence: number): void {
    if (sequence !== this.#sequence) {
      throw new MysqlError('protocol', CLIENT_ERROR.malformed, 'packets of the server are out of order');
    }
    this.#sequence = (sequence + 1) & 0xff;
  }

  #skipTo(at: number): void {
    this.#start = at;
    if (this.#start === this.#end) this.#start = this.#end = 0;
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket.resume();
  }

  #reserve(length: number): void {
    const unread = this.#end - this.#start;
    if (this.#end + length <= this.#buffer.length) return;
    const needed = unread + length;
    if (needed <= this.#buffer.length) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
    } else {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, this.#start, this.#end);
      this.#buffer = larger;
    }
    this.#start = 0;
    this.#end = unread;
  }
}
