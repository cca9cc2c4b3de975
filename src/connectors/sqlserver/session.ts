import {once} from 'node:events';
import {connect as connectSocket} from 'node:net';
import type {Duplex} from 'node:stream';

import type {Connection, ConnectionOptions as DriverOptions, Request} from 'tedious';

import type {OptionValue} from '../../sdk/index.ts';
import {IngestError, sshOptionsOf} from '../../sdk/index.ts';
import type {SshTunnelOptions} from '../../wire/ssh/tunnel.ts';
import {openTunnel} from '../../wire/ssh/tunnel.ts';
import type {WantedMethod} from './log-mark.ts';
import type {Doing} from './source-errors.ts';
import {sourceError} from './source-errors.ts';

/** A value as the driver gives it: what the SELECT lists ask for has no other forms. */
export type Cell = string | number | boolean | Buffer | null;

/** A parameter of a statement: `@name`. */
export type Parameter =
  | {readonly name: string; readonly type: 'text'; readonly value: string | null}
  | {readonly name: string; readonly type: 'bigint'; readonly value: bigint}
  | {readonly name: string; readonly type: 'int'; readonly value: number}
  | {readonly name: string; readonly type: 'bytes'; readonly value: Buffer};

/** Rows that wait for their reader; more, and the server is asked to wait. */
const MAX_WAITING = 2000;
const PIECE_ROWS = 500;

/** A session of one database, one statement at a time. Errors are those of the framework. */
export class Session implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #driver: Driver;
  readonly #state: {isOpen: boolean};
  readonly #signal: AbortSignal;

  private constructor(connection: Connection, driver: Driver, state: {isOpen: boolean}, signal: AbortSignal) {
    this.#connection = connection;
    this.#driver = driver;
    this.#state = state;
    this.#signal = signal;
  }

  /** Opens a session; the signal ends it with all that runs in it. */
  static async open(options: ConnectionOptions, signal: AbortSignal): Promise<Session> {
    signal.throwIfAborted();
    const doing = {what: `connect to ${options.host}:${options.port}`};
    const driver = await loadDriver();
    signal.throwIfAborted();
    const login: Login = {sockets: new Set(), signal, isSecure: options.encrypt !== 'required'};
    const connection = new driver.Connection({
      server: options.host,
      authentication: {type: 'default', options: {userName: options.user, password: options.password}},
      options: driverOptions(options, login),
    });
    connection.on('secure', () => (login.isSecure = true));
    const state = {isOpen: true};
    connection.on('end', () => (state.isOpen = false));
    // An error of the network reaches the statement that runs, or the next one.
    connection.on('error', () => (state.isOpen = false));
    let stop = (): void => undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        // A login that is given up says so only when its time is over.
        stop = (): void => reject(signal.reason as Error);
        signal.addEventListener('abort', stop, {once: true});
        connection.connect((error) => (error === undefined || error === null ? resolve() : reject(error)));
      });
    } catch (error) {
      connection.close();
      for (const socket of login.sockets) socket.destroy();
      signal.throwIfAborted();
      throw sourceError(error, doing);
    } finally {
      signal.removeEventListener('abort', stop);
    }
    return new Session(connection, driver, state, signal);
  }

  /** False once it failed or was closed. */
  get isOpen(): boolean {
    return this.#state.isOpen;
  }

  /** The same session under another signal; only one of them may be at work at a time. */
  withSignal(signal: AbortSignal): Session {
    return new Session(this.#connection, this.#driver, this.#state, signal);
  }

  /** All rows of a statement. @param doing For messages. */
  async query(sql: string, doing: Doing, parameters: readonly Parameter[] = []): Promise<readonly (readonly Cell[])[]> {
    const rows: (readonly Cell[])[] = [];
    for await (const piece of this.stream(sql, doing, parameters)) rows.push(...piece);
    return rows;
  }

  /** Rows of a statement, some at a time; the server waits for the reader. Leaving early ends the session. */
  async *stream(
    sql: string,
    doing: Doing,
    parameters: readonly Parameter[] = [],
  ): AsyncGenerator<readonly (readonly Cell[])[], void> {
    this.#signal.throwIfAborted();
    const stop = (): void => this.#close();
    this.#signal.addEventListener('abort', stop, {once: true});
    const rows = new RowQueue();
    let isDone = false;
    try {
      this.#start(sql, parameters, rows);
      for (;;) {
        const piece = await rows.next();
        if (piece === null) break;
        yield piece;
      }
      isDone = true;
    } catch (error) {
      isDone = this.isOpen;
      this.#signal.throwIfAborted();
      throw sourceError(error, doing);
    } finally {
      this.#signal.removeEventListener('abort', stop);
      if (!isDone) this.#close();
    }
  }

  /** Begins a transaction in which all statements see the database at one moment: that of the first read. */
  async beginSnapshot(doing: Doing): Promise<void> {
    await this.query('set transaction isolation level snapshot; begin transaction', doing);
  }

  async commit(doing: Doing): Promise<void> {
    await this.query('commit transaction; set transaction isolation level read committed', doing);
  }

  /** Ends a transaction where one is open. */
  async rollback(doing: Doing): Promise<void> {
    await this.query('if @@trancount > 0 rollback transaction; set transaction isolation level read committed', doing);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    return Promise.resolve();
  }

  #close(): void {
    this.#state.isOpen = false;
    this.#connection.close();
  }

  #start(sql: string, parameters: readonly Parameter[], rows: RowQueue): void {
    if (!this.isOpen) throw Object.assign(new Error('the connection is closed'), {code: 'ECLOSE'});
    const {Request: RequestClass, TYPES} = this.#driver;
    const request = new RequestClass(sql, (error) => rows.end(error ?? null));
    rows.request = request;
    request.on('row', (columns: readonly {readonly value: unknown}[]) =>
      rows.push(columns.map(({value}) => cellOf(value))),
    );
    for (const parameter of parameters) {
      const {name, value} = parameter;
      switch (parameter.type) {
        case 'text':
          request.addParameter(name, TYPES.NVarChar, value);
          break;
        case 'bigint':
          request.addParameter(name, TYPES.BigInt, String(value));
          break;
        case 'int':
          request.addParameter(name, TYPES.Int, value);
          break;
        case 'bytes':
          request.addParameter(name, TYPES.VarBinary, value);
          break;
      }
    }
    // Transactions begin and end in batches: a procedure must leave as many open as it found.
    if (parameters.length === 0) this.#connection.execSqlBatch(request);
    else this.#connection.execSql(request);
  }
}

/** Rows between the driver, which pushes, and the reader, who pulls. */
class RowQueue {
  request: Request | null = null;
  #rows: (readonly Cell[])[] = [];
  #isPaused = false;
  #error: Error | null = null;
  #isEnded = false;
  #wake: (() => void) | null = null;

  push(row: readonly Cell[]): void {
    this.#rows.push(row);
    if (this.#rows.length >= MAX_WAITING && !this.#isPaused) {
      this.#isPaused = true;
      this.request?.pause();
    }
    if (this.#rows.length >= PIECE_ROWS) this.#wake?.();
  }

  end(error: Error | null): void {
    this.#error = error;
    this.#isEnded = true;
    this.#wake?.();
  }

  /** Null at the end. */
  async next(): Promise<readonly (readonly Cell[])[] | null> {
    while (this.#rows.length < PIECE_ROWS && !this.#isEnded) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = null;
    }
    if (this.#error !== null) throw this.#error;
    if (this.#rows.length === 0) return null;
    const rows = this.#rows;
    this.#rows = [];
    if (this.#isPaused) {
      this.#isPaused = false;
      this.request?.resume();
    }
    return rows;
  }
}

type Driver = Pick<typeof import('tedious'), 'Connection' | 'Request' | 'TYPES'>;

async function loadDriver(): Promise<Driver> {
  try {
    const loaded = (await import('tedious')) as Driver & {default?: Driver};
    return loaded.default ?? loaded;
  } catch (error) {
    throw new IngestError('UNSUPPORTED', 'Reading SQL Server needs the package tedious.', {
      fix: 'Run npm install tedious@19.',
      cause: error,
    });
  }
}

function cellOf(value: unknown): Cell {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (Buffer.isBuffer(value)) return value;
  if (typeof value === 'bigint') return String(value);
  throw new TypeError('a value came in a form that no statement asks for');
}

/** The connection's options, checked. */
export interface ConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly instanceName: string | undefined;
  readonly database: string | undefined;
  readonly user: string;
  readonly password: string | undefined;
  readonly encrypt: 'disabled' | 'required' | 'strict';
  readonly trustServerCertificate: boolean;
  readonly sslCa: string | undefined;
  readonly connectTimeoutMs: number;
  readonly applicationName: string;
  readonly isReadOnlyIntent: boolean;
  readonly changeMethod: WantedMethod;
  readonly pollMs: number;
  /** Times of 100 ns land as text. */
  readonly areWideTimesText: boolean;
  readonly ssh: SshTunnelOptions | null;
}

/** Reads what `defineConnector` has checked against the spec. @throws INVALID_OPTION when options contradict each other. */
export function connectionOptions(
  options: Readonly<Record<string, OptionValue>>,
  connectionName: string,
): ConnectionOptions {
  const text = (name: string): string | undefined => (typeof options[name] === 'string' ? options[name] : undefined);
  const number = (name: string, otherwise: number): number =>
    typeof options[name] === 'number' ? options[name] : otherwise;
  const encrypt = text('encrypt');
  const method = text('change_method');
  const ssh = sshOptionsOf(options);
  if (ssh !== null && text('instance_name') !== undefined) {
    throw new IngestError('INVALID_OPTION', 'A named instance cannot be asked for through a tunnel.', {
      fix: 'Give the port of the instance instead of instance_name.',
    });
  }
  return {
    host: text('host') ?? 'localhost',
    port: number('port', 1433),
    instanceName: text('instance_name'),
    database: text('database'),
    user: text('user') ?? 'sa',
    password: text('password'),
    encrypt: encrypt === 'disabled' || encrypt === 'strict' ? encrypt : 'required',
    trustServerCertificate: options['trust_server_certificate'] === true,
    sslCa: text('ssl_ca'),
    connectTimeoutMs: number('connect_timeout_seconds', 15) * 1000,
    applicationName: `sluice ${connectionName}`.slice(0, 128),
    isReadOnlyIntent: options['read_only_intent'] === true,
    changeMethod: method === 'cdc' || method === 'change_tracking' ? method : 'auto',
    pollMs: number('poll_seconds', 5) * 1000,
    areWideTimesText: text('hundred_nanoseconds') === 'text',
    ssh,
  };
}

/** A login under way. */
interface Login {
  /** Streams that were opened for it, so that it can be given up. */
  readonly sockets: Set<Duplex>;
  readonly signal: AbortSignal;
  /** TLS stands, where it must before anything secret is sent. */
  isSecure: boolean;
}

/** Opens the stream that the driver speaks over. @param place The server that the driver wants: a login can be sent on to another. */
async function openStream({ssh, connectTimeoutMs}: ConnectionOptions, place: Place, login: Login): Promise<Duplex> {
  const {sockets, signal} = login;
  // The driver may come here when the login was given up already: nobody would close the socket.
  signal.throwIfAborted();
  if (ssh !== null) {
    const tunnel = await openTunnel(ssh, place, signal);
    sockets.add(tunnel);
    // What the driver asks of a socket and a tunnel does not have.
    return guarded(Object.assign(tunnel, {setKeepAlive: () => tunnel, setNoDelay: () => tunnel}), login);
  }
  const socket = connectSocket(place);
  sockets.add(socket);
  const limit = setTimeout(() => socket.destroy(timedOut(connectTimeoutMs)), connectTimeoutMs);
  try {
    await once(socket, 'connect');
  } finally {
    clearTimeout(limit);
  }
  return guarded(socket, login);
}

interface Place {
  readonly host: string;
  readonly port: number;
}

/** First byte of the packet that holds user and password. */
const LOGIN_PACKET = 0x10;

/**
 * A stream that breaks before a login in the clear: to a server that says that it has no TLS, whoever says so in its place, the driver
 * would send the password all the same.
 */
function guarded(stream: Duplex, login: Login): Duplex {
  const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean;
  const guard = (chunk: unknown, ...rest: unknown[]): boolean => {
    if (login.isSecure || !(chunk instanceof Uint8Array) || chunk[0] !== LOGIN_PACKET) return write(chunk, ...rest);
    stream.destroy(Object.assign(new Error('the server offers no encryption'), {code: 'EENCRYPT'}));
    return false;
  };
  return Object.assign(stream, {write: guard});
}

function timedOut(milliseconds: number): Error {
  return Object.assign(new Error(`no connection within ${milliseconds} ms`), {code: 'ETIMEDOUT'});
}

function driverOptions(options: ConnectionOptions, login: Login): DriverOptions {
  const {host, port, instanceName} = options;
  // The driver asks a socket for no more than these streams have.
  const connector = ((place: Partial<Place> = {}) =>
    openStream(options, {host, port, ...place}, login)) as unknown as NonNullable<DriverOptions['connector']>;
  return {
    ...(instanceName === undefined ? {port} : {instanceName}),
    connector,
    ...(options.database !== undefined && {database: options.database}),
    encrypt: options.encrypt === 'strict' ? 'strict' : options.encrypt === 'required',
    trustServerCertificate: options.trustServerCertificate,
    ...(options.sslCa !== undefined && {cryptoCredentialsDetails: {ca: options.sslCa}}),
    connectTimeout: options.connectTimeoutMs,
    requestTimeout: 0,
    appName: options.applicationName,
    readOnlyIntent: options.isReadOnlyIntent,
    packetSize: 16_384,
    textsize: 2_147_483_647,
  };
}
