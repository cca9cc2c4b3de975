import {LinkedAbort} from '../../core/linked-abort.ts';
import {encryptPassword, firstAnswer} from './authentication.ts';
import type {Greeting, ResultColumn} from './messages.ts';
import {
  COMMAND,
  command,
  hasMoreResults,
  isEnd,
  loginRequest,
  PacketReader,
  readColumn,
  readGreeting,
  tlsRequest,
} from './messages.ts';
import {CLIENT_ERROR, MysqlError, serverError} from './mysql-error.ts';
import type {MysqlAddress, Wire} from './network.ts';
import {attach, openWire, secure} from './network.ts';
import type {PacketStream} from './packet-stream.ts';

/** How to reach a server. */
export interface MysqlConnectOptions extends MysqlAddress {
  readonly database?: string;
  readonly user: string;
  readonly password?: string;
  /** For everything up to the first query. */
  readonly connectTimeoutMs: number;
  /** What the server shows of the client, e.g. `program_name`. */
  readonly attributes?: Readonly<Record<string, string>>;
}

/** Rows of one statement, as texts. Empty for a statement that has none. */
export interface MysqlResult {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | null)[])[];
}

/** Rows as the binary protocol has them, one after the other, each with its length (u32, little-endian) before it. */
export interface BinaryRows {
  readonly bytes: Buffer;
  readonly rows: number;
}

const CHUNK_BYTES = 1 << 18;
const NO_RESULT: MysqlResult = {columns: [], rows: []};

/** One session of a MySQL or MariaDB server: one command at a time. Texts are UTF-8 unless the session is told otherwise. */
export class MysqlConnection implements AsyncDisposable {
  readonly #stream: PacketStream;
  readonly #greeting: Greeting;
  #busy = false;

  private constructor(stream: PacketStream, greeting: Greeting) {
    this.#stream = stream;
    this.#greeting = greeting;
  }

  /** Connects and logs in. @throws MysqlError, or the signal's reason. */
  static async connect(options: MysqlConnectOptions, signal: AbortSignal): Promise<MysqlConnection> {
    const late = new MysqlError(
      'timeout',
      CLIENT_ERROR.cannotConnect,
      `no answer within ${options.connectTimeoutMs} ms`,
    );
    const either = new LinkedAbort(signal);
    const timer = setTimeout(() => either.controller.abort(late), options.connectTimeoutMs);
    try {
      return await logIn(options, either.signal, (stream, greeting) => new MysqlConnection(stream, greeting));
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

  /** For example `9.7.4` or `10.11.19-MariaDB`. */
  get version(): string {
    return this.#greeting.version;
  }

  get isMariaDb(): boolean {
    return this.#greeting.version.includes('MariaDB');
  }

  get connectionId(): number {
    return this.#greeting.connectionId;
  }

  /** Runs a statement; the last result with rows counts. @throws MysqlError, or the signal's reason (the session is over then). */
  async query(sql: string, signal: AbortSignal): Promise<MysqlResult> {
    return (await this.queries(sql, signal)).findLast(({columns}) => columns.length > 0) ?? NO_RESULT;
  }

  /** Runs several statements; one result each. @throws as {@link query} */
  queries(sql: string, signal: AbortSignal): Promise<readonly MysqlResult[]> {
    return this.#exclusive(signal, async () => {
      this.#send(command(COMMAND.query, sql));
      const results: MysqlResult[] = [];
      for (let more = true; more;) {
        const first = await this.#packet();
        if (first[0] === 0x00) {
          results.push(NO_RESULT);
          more = hasMoreResults(first);
        } else {
          const {result, end} = await this.#textResult(first);
          results.push(result);
          more = end;
        }
      }
      return results;
    });
  }

  /**
   * Runs a query as a prepared statement and yields its rows in the binary form, which is exact where texts are rounded (FLOAT).
   * The first value is the columns. Leaving early closes the session.
   * @throws as {@link query}
   */
  async *binaryRows(sql: string, signal: AbortSignal): AsyncGenerator<BinaryRows, void> {
    const stop = this.#begin(signal);
    let complete = false;
    try {
      const statement = await this.#prepare(sql);
      await this.#execute(statement);
      yield* this.#rowChunks();
      this.#send(command(COMMAND.closeStatement, uint32(statement)));
      complete = true;
    } catch (error) {
      complete = error instanceof MysqlError && (error.kind === 'server' || error.kind === 'auth');
      throw error;
    } finally {
      stop();
      if (!complete) this.#abandon('the connection was given up within a result');
    }
  }

  /** Sends a command that the server answers with a stream of events, and gives the stream; the session serves nothing else then. */
  async startDump(code: number, argument: Buffer, signal: AbortSignal): Promise<PacketStream> {
    this.#begin(signal);
    signal.throwIfAborted();
    this.#send(command(code, argument));
    return this.#stream;
  }

  /** Closes the session. Calling twice is allowed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#busy) {
      this.#abandon('the session was closed');
      return;
    }
    try {
      this.#send(command(COMMAND.quit, ''));
    } catch {
      // Already gone: that is what was asked for.
    }
    await this.#stream[Symbol.asyncDispose]();
  }

  async #textResult(first: Buffer): Promise<{readonly result: MysqlResult; readonly end: boolean}> {
    const columns = await this.#columns(new PacketReader(first).integer());
    const rows: (string | null)[][] = [];
    for (;;) {
      const packet = this.#stream.available() ?? (await this.#stream.next());
      if (packet[0] === 0xff) throw serverError(packet);
      if (isEnd(packet)) return {result: {columns: columns.map(({name}) => name), rows}, end: hasMoreResults(packet)};
      const reader = new PacketReader(packet);
      rows.push(columns.map(() => reader.nullableBytes()?.toString('utf8') ?? null));
    }
  }

  async #columns(count: number): Promise<ResultColumn[]> {
    const columns: ResultColumn[] = [];
    for (let index = 0; index < count; index++) columns.push(readColumn(await this.#packet()));
    if (count > 0) await this.#packet();
    return columns;
  }

  async #prepare(sql: string): Promise<number> {
    this.#send(command(COMMAND.prepare, sql));
    const answer = await this.#packet();
    const statement = answer.readUInt32LE(1);
    const [columns, parameters] = [answer.readUInt16LE(5), answer.readUInt16LE(7)];
    await this.#columns(parameters);
    await this.#columns(columns);
    return statement;
  }

  async #execute(statement: number): Promise<void> {
    const argument = Buffer.alloc(9);
    argument.writeUInt32LE(statement, 0);
    argument.writeUInt32LE(1, 5);
    this.#send(command(COMMAND.execute, argument));
    await this.#columns(new PacketReader(await this.#packet()).integer());
  }

  async *#rowChunks(): AsyncGenerator<BinaryRows, void> {
    let bytes = Buffer.allocUnsafe(CHUNK_BYTES);
    let length = 0;
    let rows = 0;
    for (;;) {
      const packet = this.#stream.available() ?? (await this.#stream.next());
      if (packet[0] === 0xff) throw serverError(packet);
      if (packet[0] !== 0x00) break;
      if (length + 4 + packet.length > bytes.length) {
        // The packet is a view: it must not wait for the consumer.
        const next = Buffer.allocUnsafe(Math.max(CHUNK_BYTES, 4 + packet.length));
        const filled = {bytes: bytes.subarray(0, length), rows};
        length = next.writeUInt32LE(packet.length, 0) + packet.copy(next, 4);
        bytes = next;
        rows = 1;
        if (filled.rows > 0) yield filled;
      } else {
        length = bytes.writeUInt32LE(packet.length, length);
        length += packet.copy(bytes, length);
        rows++;
      }
    }
    if (rows > 0) yield {bytes: bytes.subarray(0, length), rows};
  }

  /** The next packet; an error of the server is thrown. */
  async #packet(): Promise<Buffer> {
    const packet = await this.#stream.next();
    if (packet[0] === 0xff) throw serverError(packet);
    return packet;
  }

  #send(packet: Buffer): void {
    this.#stream.begin();
    this.#stream.write(packet);
  }

  async #exclusive<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const stop = this.#begin(signal);
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!(error instanceof MysqlError) || error.kind !== 'server') this.#abandon('the session failed');
      throw error;
    } finally {
      stop();
    }
  }

  #begin(signal: AbortSignal): () => void {
    if (this.#busy)
      throw new MysqlError('protocol', CLIENT_ERROR.malformed, 'the session is busy with another command');
    signal.throwIfAborted();
    this.#busy = true;
    const abort = (): void => this.#stream.fail(signal.reason as Error);
    signal.addEventListener('abort', abort, {once: true});
    return () => {
      this.#busy = false;
      signal.removeEventListener('abort', abort);
    };
  }

  #abandon(why: string): void {
    this.#stream.fail(new MysqlError('network', CLIENT_ERROR.serverGone, why));
  }
}

async function logIn<T>(
  options: MysqlConnectOptions,
  signal: AbortSignal,
  made: (stream: PacketStream, greeting: Greeting) => T,
): Promise<T> {
  let wire = await openWire(options, signal);
  const stop = (): void => void wire.socket.destroy(signal.reason as Error);
  signal.addEventListener('abort', stop, {once: true});
  try {
    let stream = attach(wire);
    const packet = await stream.next();
    if (packet[0] === 0xff) throw serverError(packet);
    const greeting = readGreeting(packet);
    const isTls = wantsTls(options, greeting);
    if (isTls) {
      stream.write(tlsRequest(options.database !== undefined));
      const {sequence} = stream;
      wire = await secureWire(wire, options);
      stream = attach(wire);
      stream.continueFrom(sequence);
    }
    await authenticate(stream, greeting, {options, isTls});
    return made(stream, greeting);
  } catch (error) {
    wire.socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function secureWire(wire: Wire, options: MysqlConnectOptions): Promise<Wire> {
  return secure(wire, options);
}

function wantsTls({tls, host}: MysqlConnectOptions, {offersTls}: Greeting): boolean {
  if (tls.mode === 'disabled' || (tls.mode === 'preferred' && (!offersTls || host.startsWith('/')))) return false;
  if (offersTls) return true;
  throw new MysqlError('tls', CLIENT_ERROR.tls, 'the server does not offer TLS');
}

async function authenticate(
  stream: PacketStream,
  greeting: Greeting,
  {options, isTls}: {readonly options: MysqlConnectOptions; readonly isTls: boolean},
): Promise<void> {
  const {user, database, password = '', attributes = {}} = options;
  const how = {password, isPrivate: isTls || options.host.startsWith('/')};
  let {method, nonce} = greeting;
  const known = method === 'mysql_native_password' || method === 'caching_sha2_password';
  // A server whose default is a method of its own names the account's method next.
  if (!known) method = 'mysql_native_password';
  stream.write(loginRequest({user, database, method, answer: firstAnswer(method, nonce, how), isTls, attributes}));
  for (;;) {
    const packet = await stream.next();
    switch (packet[0]) {
      case 0x00:
        return;
      case 0xff:
        throw serverError(packet);
      case 0xfe: {
        const end = packet.indexOf(0, 1);
        method = packet.toString('latin1', 1, end);
        nonce = Buffer.from(packet.subarray(end + 1, end + 21));
        stream.write(firstAnswer(method, nonce, how));
        break;
      }
      case 0x01:
        moreData(stream, packet, {nonce, ...how});
        break;
      default:
        throw new MysqlError('protocol', CLIENT_ERROR.malformed, 'unexpected answer to the log-in');
    }
  }
}

/** `caching_sha2_password`: 3 = known, 4 = send the whole password; a PEM text is the key to encrypt it with. */
function moreData(
  stream: PacketStream,
  packet: Buffer,
  {nonce, password, isPrivate}: {readonly nonce: Buffer; readonly password: string; readonly isPrivate: boolean},
): void {
  const PUBLIC_KEY = 0x02;
  if (packet.length === 2 && packet[1] === 0x03) return;
  if (packet.length === 2 && packet[1] === 0x04) {
    stream.write(isPrivate ? Buffer.from(`${password}\0`) : Buffer.from([PUBLIC_KEY]));
    return;
  }
  stream.write(encryptPassword(password, nonce, packet.toString('latin1', 1)));
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value, 0);
  return bytes;
}
