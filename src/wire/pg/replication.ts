import type {ByteRange, ByteStream} from './byte-stream.ts';
import type {PgConnection} from './connection.ts';
import {BACKEND, statusUpdate} from './messages.ts';
import {PgError, serverError} from './pg-error.ts';
import {quoteIdentifier, quoteLiteral} from './quote.ts';

/** A log sequence number as the server prints it, e.g. `16/B374D848`. */
export function formatLsn(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffff_ffffn).toString(16)}`.toUpperCase();
}

/** Reads what {@link formatLsn} prints; null for anything else. */
export function parseLsn(text: string): bigint | null {
  const [, high, low] = /^([0-9a-f]{1,8})\/([0-9a-f]{1,8})$/i.exec(text) ?? [];
  return high === undefined || low === undefined ? null : (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

/** Bytes before the payload of an XLogData message: CopyData's header, the letter `w`, start, end and clock of the server. */
export const XLOG_HEADER = 30;
/** First byte of a CopyData's body: log data, or a keepalive. */
export const STREAM = {data: 0x77, keepalive: 0x6b} as const;

/** How a log is streamed. */
export interface ReplicationOptions {
  readonly slot: string;
  /** The server begins here, or at what the slot has confirmed if that is later. */
  readonly from: bigint;
  /** Options of the output plugin. */
  readonly plugin: Readonly<Record<string, string>>;
  /** The server's `wal_sender_timeout`; 0: it has none. */
  readonly timeoutMs: number;
}

/** Without a timeout of the server: how often it is asked whether it is still there. */
const ASK_MS = 10_000;
/** The server sends every change by itself: a read for each of them would cost more than all the rest. */
const REST_MS = 1;
/** A stream is busy when it is waited for so soon again. */
const BUSY_MS = 2;
const MICROS_TO_2000 = 946_684_800_000_000n;

/**
 * The changes of a slot as the server sends them. Status updates go out by themselves, also while nobody reads: the server does not
 * take a slow reader for a dead one. A server that is silent for twice its timeout is taken for dead while somebody waits for it.
 * @see https://www.postgresql.org/docs/18/protocol-replication.html
 */
export class ReplicationStream implements AsyncDisposable {
  readonly #connection: PgConnection;
  readonly #stream: ByteStream;
  readonly #timeoutMs: number;
  readonly #timer: NodeJS.Timeout;
  #acknowledged: bigint;
  #sentAt = Date.now();
  #receivedAt = -Infinity;
  /** When the reader began to wait; null while it works. */
  #waitsSince: number | null = null;

  private constructor(connection: PgConnection, stream: ByteStream, options: ReplicationOptions) {
    this.#connection = connection;
    this.#stream = stream;
    this.#timeoutMs = options.timeoutMs;
    this.#acknowledged = options.from;
    const everyMs = this.#timeoutMs > 0 ? Math.min(ASK_MS, Math.max(20, this.#timeoutMs / 4)) : ASK_MS;
    this.#timer = setInterval(() => this.#tick(everyMs), everyMs);
  }

  /** Begins to stream; from then on the session belongs to the stream, which closes it. @throws PgError */
  static async start(
    connection: PgConnection,
    options: ReplicationOptions,
    signal: AbortSignal,
  ): Promise<ReplicationStream> {
    const plugin = Object.entries(options.plugin).map(([name, value]) => `${name} ${quoteLiteral(value)}`);
    const command = `START_REPLICATION SLOT ${quoteIdentifier(options.slot)} LOGICAL ${formatLsn(options.from)} (${plugin.join(', ')})`;
    const stream = await connection.copyBoth(command, signal);
    return new ReplicationStream(connection, stream, options);
  }

  /**
   * Whole CopyData messages that have arrived, each with its header of five bytes: a view that is valid until the next await. Empty
   * when there is none.
   * @throws PgError when the server ended the stream
   */
  messages(): ByteRange {
    for (;;) {
      const {buffer, start, end} = this.#stream.unread;
      let at = start;
      while (at + 5 <= end && buffer[at] === BACKEND.copyData) {
        const next = at + 1 + buffer.readUInt32BE(at + 1);
        if (next > end) break;
        at = next;
      }
      if (at > start || at + 5 > end || buffer[at] === BACKEND.copyData) return {buffer, start, end: at};
      const next = at + 1 + buffer.readUInt32BE(at + 1);
      if (next > end) return {buffer, start, end: at};
      this.#other(buffer[at] ?? 0, buffer.subarray(at + 5, next));
      this.#stream.skip(next - at);
    }
  }

  /** Marks bytes of {@link messages} as read. */
  skip(bytes: number): void {
    this.#stream.skip(bytes);
  }

  /** Waits for more bytes; while the server sends without a pause, for more than it sends at once. @throws PgError, or the signal's reason */
  async more(): Promise<void> {
    if (performance.now() - this.#receivedAt < BUSY_MS) await this.#stream.rest(REST_MS);
    this.#waitsSince = Date.now();
    try {
      await this.#stream.more();
      this.#receivedAt = performance.now();
    } finally {
      this.#waitsSince = null;
    }
  }

  /** The server may forget everything up to here, which is told at once. Going back has no effect. */
  acknowledge(lsn: bigint): void {
    if (lsn <= this.#acknowledged) return;
    this.#acknowledged = lsn;
    this.#send(false);
  }

  /** Tells the server what is acknowledged so far: the answer to a keepalive that asks for one. */
  reply(): void {
    this.#send(false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#connection[Symbol.asyncDispose]();
  }

  #other(type: number, body: Uint8Array): void {
    if (type === BACKEND.error) {
      const error = serverError(body);
      this.#stream.fail(error);
      throw error;
    }
    if (type !== BACKEND.copyDone && type !== BACKEND.commandComplete && type !== BACKEND.ready) return;
    const error = new PgError('network', '08006', 'the server ended the stream');
    this.#stream.fail(error);
    throw error;
  }

  /** Every quarter of the timeout: an update is never older than half of it. */
  #tick(everyMs: number): void {
    if (!this.#stream.isOpen) {
      clearInterval(this.#timer);
      return;
    }
    const now = Date.now();
    const silentMs = this.#waitsSince === null ? 0 : now - this.#waitsSince;
    if (this.#timeoutMs > 0 && silentMs > 2 * this.#timeoutMs) {
      this.#stream.fail(new PgError('network', '08006', `the server was silent for ${Math.round(silentMs)} ms`));
      return;
    }
    // A quiet server says where its log stands only when it is asked.
    if (silentMs >= everyMs || now - this.#sentAt >= everyMs) this.#send(true);
  }

  #send(replyNow: boolean): void {
    if (!this.#stream.isOpen) return;
    this.#sentAt = Date.now();
    this.#stream.write(statusUpdate(this.#acknowledged, BigInt(this.#sentAt) * 1000n - MICROS_TO_2000, replyNow));
  }
}
