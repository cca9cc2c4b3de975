import type {Duplex} from 'node:stream';

import {networkError} from './pg-error.ts';

/** Unread bytes never fill the end of a buffer: a decoder may read a few bytes past a value. */
const SLACK_BYTES = 64;
const CAPACITY_BYTES = 2 << 20;
/** Reading from the network pauses while this much is unread and nobody waits for more. */
const HIGH_WATER_BYTES = 1536 << 10;

/** A peer that does not close its side is left. */
const CLOSE_MS = 1000;

/** Bytes of a buffer; valid until its owner asks for the next. */
export interface ByteRange {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

/**
 * What a connection received, gathered in one large buffer that is used again and again. {@link take} hands the buffer out
 * and goes on in a second one, so that the network fills one while the reader works on the other.
 */
export class ByteStream implements AsyncDisposable {
  readonly #socket: Duplex;
  #buffer: Buffer = Buffer.allocUnsafeSlow(CAPACITY_BYTES);
  #spare: Buffer | null = null;
  #start = 0;
  #end = 0;
  #failure: Error | null = null;
  #wake: (() => void) | null = null;
  #paused = false;

  constructor(socket: Duplex) {
    this.#socket = socket;
    socket.on('error', (error) => this.fail(networkError(error, '08006')));
    socket.on('end', () => this.fail(networkError(null, '08006')));
    socket.on('close', () => this.fail(networkError(null, '08006')));
  }

  /** False once the connection is gone or was given up. */
  get isOpen(): boolean {
    return this.#failure === null;
  }

  /** Unread bytes: a view that is valid until the next await. */
  get unread(): ByteRange {
    return {buffer: this.#buffer, start: this.#start, end: this.#end};
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

  /** Waits for at least one more byte. @throws PgError when the connection is gone, or whatever {@link fail} was given. */
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

  /** Leaves the network alone for some milliseconds: what a busy peer sends in small pieces is then received in one. */
  async rest(ms: number): Promise<void> {
    this.#paused = true;
    this.#socket.pause();
    await new Promise((resolve) => setTimeout(resolve, ms));
    this.#resume();
  }

  /** Marks bytes as read. */
  skip(length: number): void {
    this.#start += length;
    if (this.#start === this.#end) this.#start = this.#end = 0;
  }

  /** Hands out the first `length` unread bytes for as long as the caller wants; {@link giveBack} returns their buffer. */
  take(length: number): ByteRange {
    const taken = {buffer: this.#buffer, start: this.#start, end: this.#start + length};
    const next = this.#spare ?? Buffer.allocUnsafeSlow(CAPACITY_BYTES);
    this.#spare = null;
    const rest = this.#end - taken.end;
    this.#buffer = rest + SLACK_BYTES <= next.length ? next : Buffer.allocUnsafeSlow(rest + CAPACITY_BYTES);
    taken.buffer.copy(this.#buffer, 0, taken.end, this.#end);
    this.#start = 0;
    this.#end = rest;
    if (rest < HIGH_WATER_BYTES) this.#resume();
    return taken;
  }

  /** Returns what {@link take} gave. Buffers that grew for one large row are let go. */
  giveBack(taken: ByteRange): void {
    if (taken.buffer.length === CAPACITY_BYTES) this.#spare = taken.buffer;
  }

  write(bytes: Uint8Array): void {
    if (this.#failure !== null) throw this.#failure;
    this.#socket.write(bytes);
  }

  /** Ends the connection at once; waiting and later reads throw the error. The first error counts. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#wake?.();
    this.#socket.destroy();
  }

  /** Sends what was written and waits until the peer has closed: what the session held there is free then. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#failure !== null) return;
    this.#failure = networkError(null, '08006');
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

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket.resume();
  }

  #reserve(length: number): void {
    const unread = this.#end - this.#start;
    if (this.#end + length + SLACK_BYTES <= this.#buffer.length) return;
    const needed = unread + length + SLACK_BYTES;
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
