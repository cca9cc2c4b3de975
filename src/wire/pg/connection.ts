import {LinkedAbort} from '../../core/linked-abort.ts';
import type {ByteRange, ByteStream} from './byte-stream.ts';
import type {BackendMessage} from './messages.ts';
import {
  BACKEND,
  cancelRequest,
  columnNames,
  copyFailMessage,
  countOf,
  passwordMessage,
  queryMessage,
  rowTexts,
  startupMessage,
  terminateMessage,
} from './messages.ts';
import type {PgAddress} from './network.ts';
import {openStream} from './network.ts';
import {PgError, serverError} from './pg-error.ts';
import type {ScramExchange} from './scram.ts';
import {md5Answer, startScram} from './scram.ts';

/** How to reach a database. */
export interface PgConnectOptions extends PgAddress {
  readonly database: string;
  readonly user: string;
  readonly password?: string;
  /** For everything up to the first query. */
  readonly connectTimeoutMs: number;
  /** Run-time parameters, e.g. `application_name`, `timezone`. `client_encoding` is always UTF8. */
  readonly parameters?: Readonly<Record<string, string>>;
}

/** Rows of the last statement that had any, as texts. */
export interface PgResult {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | null)[])[];
}

/** Chunks of COPY data are handed out when they have this size, or when the data ends. */
const CHUNK_BYTES = 1 << 20;

/** How many unread bytes are whole CopyData messages, and whether another message follows them. */
interface Scan {
  readonly bytes: number;
  readonly ended: boolean;
}

/** One session of a PostgreSQL server: one command at a time. */
export class PgConnection implements AsyncDisposable {
  readonly #stream: ByteStream;
  readonly #options: PgConnectOptions;
  readonly #parameters = new Map<string, string>();
  #processId = 0;
  #secret: Uint8Array = new Uint8Array(4);
  #busy = false;
  #cancelling: Promise<void> = Promise.resolve();
  /** Lets go of the signal of {@link copyBoth}. */
  #endCopy: (() => void) | null = null;

  private constructor(stream: ByteStream, options: PgConnectOptions) {
    this.#stream = stream;
    this.#options = options;
  }

  /** Connects and logs in. @throws PgError, or the signal's reason. */
  static async connect(options: PgConnectOptions, signal: AbortSignal): Promise<PgConnection> {
    const late = new PgError('timeout', '08001', `no answer within ${options.connectTimeoutMs} ms`);
    const either = new LinkedAbort(signal);
    const timer = setTimeout(() => either.controller.abort(late), options.connectTimeoutMs);
    try {
      const connection = new PgConnection(await openStream(options, either.signal), options);
      await connection.#interruptible(either.signal, () => connection.#logIn());
      return connection;
    } catch (error) {
      either.signal.throwIfAborted();
      throw error;
    } finally {
      clearTimeout(timer);
      either.release();
    }
  }

  /** False once the session has ended, for whatever reason. */
  get isOpen(): boolean {
    return this.#stream.isOpen;
  }

  /** A parameter that the server reported, e.g. `server_version`. */
  parameter(name: string): string | undefined {
    return this.#parameters.get(name);
  }

  /** Runs one or several statements. @throws PgError, or the signal's reason (the connection is closed then). */
  query(sql: string, signal: AbortSignal): Promise<PgResult> {
    return this.#exclusive(signal, async () => {
      this.#stream.write(queryMessage(sql));
      let columns: readonly string[] = [];
      let rows: (string | null)[][] = [];
      await this.#untilReady(({type, body}) => {
        if (type === BACKEND.rowDescription) {
          columns = columnNames(body);
          rows = [];
        } else if (type === BACKEND.dataRow) rows.push(rowTexts(body));
        else if (type === BACKEND.copyInResponse) this.#stream.write(copyFailMessage());
      });
      return {columns, rows};
    });
  }

  /**
   * Runs `COPY ... TO STDOUT` and yields ranges of whole CopyData messages, each with its header of five bytes. A range is
   * valid until the next one is asked for. Returns the number of rows. Leaving early closes the connection.
   * @throws PgError, or the signal's reason.
   */
  async *copyOut(sql: string, signal: AbortSignal): AsyncGenerator<ByteRange, number> {
    const stop = this.#begin(signal);
    let complete = false;
    try {
      this.#stream.write(queryMessage(sql));
      const rows = yield* this.#copyRanges();
      complete = true;
      return rows;
    } catch (error) {
      complete = error instanceof PgError && error.kind === 'server';
      throw error;
    } finally {
      stop();
      if (!complete) this.#abandon(new PgError('network', '08003', 'the connection was given up within a COPY'));
    }
  }

  /**
   * Runs a command that makes both sides send COPY data (`START_REPLICATION`) and gives its stream away: the session does nothing
   * else from then on. The signal, or disposing of the session, ends it.
   * @throws PgError, or the signal's reason.
   */
  async copyBoth(command: string, signal: AbortSignal): Promise<ByteStream> {
    const stop = this.#begin(signal);
    try {
      this.#stream.write(queryMessage(command));
      for (;;) {
        const message = await this.#message();
        if (message.type === BACKEND.error) await this.#failed(message);
        if (message.type === BACKEND.copyBothResponse) {
          this.#endCopy = stop;
          return this.#stream;
        }
        if (message.type === BACKEND.ready)
          throw new PgError('protocol', '08P01', 'the server does not stream for this command');
      }
    } catch (error) {
      stop();
      throw error;
    }
  }

  /** Closes the session. Calling twice is allowed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#endCopy?.();
    await this.#cancelling;
    try {
      this.#stream.write(terminateMessage());
    } catch {
      // Already gone: that is what was asked for.
    }
    await this.#stream[Symbol.asyncDispose]();
  }

  async *#copyRanges(): AsyncGenerator<ByteRange, number> {
    let scanned: Scan = {bytes: 0, ended: false};
    let rows = 0;
    for (;;) {
      scanned = this.#scanCopyData(scanned.bytes);
      if (scanned.bytes >= CHUNK_BYTES || (scanned.bytes > 0 && scanned.ended)) {
        const range = this.#stream.take(scanned.bytes);
        scanned = {bytes: 0, ended: false};
        yield range;
        this.#stream.giveBack(range);
      } else if (scanned.ended) {
        const message = await this.#message();
        if (message.type === BACKEND.error) await this.#failed(message);
        if (message.type === BACKEND.commandComplete) rows = countOf(message.body);
        if (message.type === BACKEND.ready) return rows;
      } else {
        await this.#stream.more();
      }
    }
  }

  /** Looks on from the first `known` unread bytes, which are whole CopyData messages. */
  #scanCopyData(known: number): Scan {
    const {buffer, start, end} = this.#stream.unread;
    let at = start + known;
    while (at + 5 <= end) {
      if (buffer[at] !== BACKEND.copyData) return {bytes: at - start, ended: true};
      const next = at + 1 + buffer.readUInt32BE(at + 1);
      if (next > end) break;
      at = next;
    }
    return {bytes: at - start, ended: false};
  }

  async #logIn(): Promise<void> {
    const {user, database, parameters} = this.#options;
    this.#stream.write(startupMessage({user, database, client_encoding: 'UTF8', ...parameters}));
    let scram: ScramExchange | null = null;
    await this.#untilReady(async ({type, body}) => {
      if (type === BACKEND.authentication) scram = await this.#authenticate(Buffer.from(body), scram);
      else if (type === BACKEND.backendKeyData) {
        this.#processId = Buffer.from(body).readInt32BE(0);
        this.#secret = Uint8Array.from(body.subarray(4));
      }
    });
  }

  async #authenticate(body: Buffer, scram: ScramExchange | null): Promise<ScramExchange | null> {
    const method = body.readInt32BE(0);
    const rest = body.subarray(4);
    switch (method) {
      case 0:
        return null;
      case 3:
        this.#stream.write(passwordMessage(Buffer.from(`${this.#password()}\0`)));
        return null;
      case 5:
        this.#stream.write(passwordMessage(Buffer.from(`${md5Answer(this.#options.user, this.#password(), rest)}\0`)));
        return null;
      case 10: {
        if (!rest.toString('latin1').split('\0').includes('SCRAM-SHA-256')) break;
        const exchange = startScram(this.#password());
        const first = Buffer.from(exchange.first);
        const size = Buffer.alloc(4);
        size.writeInt32BE(first.length);
        this.#stream.write(passwordMessage(Buffer.concat([Buffer.from('SCRAM-SHA-256\0'), size, first])));
        return exchange;
      }
      case 11:
        if (scram === null) break;
        this.#stream.write(passwordMessage(Buffer.from(await scram.answer(rest.toString()))));
        return scram;
      case 12:
        scram?.verify(rest.toString());
        return scram;
    }
    throw new PgError('auth', '28000', `the server asks for a way to log in that is not supported (${method})`);
  }

  #password(): string {
    const {password} = this.#options;
    if (password === undefined) throw new PgError('auth', '28P01', 'the server asks for a password and none is given');
    return password;
  }

  async #untilReady(handle: (message: BackendMessage) => void | Promise<void>): Promise<void> {
    for (;;) {
      const message = this.#available() ?? (await this.#message());
      if (message.type === BACKEND.ready) return;
      if (message.type === BACKEND.error) await this.#failed(message);
      const waiting = handle(message);
      if (waiting !== undefined) await waiting;
    }
  }

  /** Reads on to the end of the failed command, so that the connection stays usable, and throws. */
  async #failed({body}: BackendMessage): Promise<never> {
    const error = serverError(body);
    if (error.fatal) this.#stream.fail(error);
    else while ((await this.#message()).type !== BACKEND.ready);
    throw error;
  }

  async #message(): Promise<BackendMessage> {
    for (;;) {
      const message = this.#available();
      if (message !== null) return message;
      await this.#stream.more();
    }
  }

  /** The next message if it has arrived as a whole; notices and parameter reports are dealt with here. */
  #available(): BackendMessage | null {
    for (;;) {
      const {buffer, start, end} = this.#stream.unread;
      if (end - start < 5) return null;
      const length = 1 + buffer.readUInt32BE(start + 1);
      if (length < 5) throw new PgError('protocol', '08P01', 'the peer does not speak the PostgreSQL protocol');
      if (end - start < length) return null;
      const type = buffer[start] ?? 0;
      const body = buffer.subarray(start + 5, start + length);
      this.#stream.skip(length);
      if (type === BACKEND.parameterStatus) {
        const [name, value] = body.toString('utf8').split('\0');
        this.#parameters.set(name ?? '', value ?? '');
      } else if (type !== BACKEND.notice && type !== BACKEND.notification) return {type, body};
    }
  }

  async #exclusive<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    const stop = this.#begin(signal);
    try {
      return await run();
    } finally {
      stop();
    }
  }

  #begin(signal: AbortSignal): () => void {
    signal.throwIfAborted();
    if (this.#busy) throw new PgError('protocol', '08P01', 'the connection is already running a command');
    this.#busy = true;
    const abort = (): void => this.#abandon(signal.reason as Error);
    signal.addEventListener('abort', abort, {once: true});
    return () => {
      this.#busy = false;
      signal.removeEventListener('abort', abort);
    };
  }

  async #interruptible<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    const stop = this.#begin(signal);
    try {
      return await run();
    } catch (error) {
      this.#stream.fail(error as Error);
      throw error;
    } finally {
      stop();
    }
  }

  /** Ends the connection and tells the server not to go on working for it. */
  #abandon(reason: Error): void {
    this.#stream.fail(reason);
    if (this.#processId !== 0) this.#cancelling = this.#cancel();
  }

  async #cancel(): Promise<void> {
    const limit = AbortSignal.timeout(this.#options.connectTimeoutMs);
    try {
      const stream = await openStream(this.#options, limit);
      stream.write(cancelRequest(this.#processId, this.#secret));
      await stream[Symbol.asyncDispose]();
    } catch {
      // Best effort: the server notices the closed connection when it next writes to it.
    }
  }
}
