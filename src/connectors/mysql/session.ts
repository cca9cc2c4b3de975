import type {Duplex} from 'node:stream';

import type {OptionValue} from '../../sdk/index.ts';
import {IngestError, sshOptionsOf} from '../../sdk/index.ts';
import type {BinaryRows, MysqlConnectOptions, MysqlResult} from '../../wire/mysql/connection.ts';
import {MysqlConnection} from '../../wire/mysql/connection.ts';
import type {SslMode} from '../../wire/mysql/network.ts';
import type {PacketStream} from '../../wire/mysql/packet-stream.ts';
import type {SshTunnelOptions} from '../../wire/ssh/tunnel.ts';
import {openTunnel} from '../../wire/ssh/tunnel.ts';
import type {Doing} from './source-errors.ts';
import {sourceError} from './source-errors.ts';

/** A session whose values do not depend on the server's settings. Errors are those of the framework. */
export class Session implements AsyncDisposable {
  readonly #connection: MysqlConnection;
  readonly #signal: AbortSignal;

  private constructor(connection: MysqlConnection, signal: AbortSignal) {
    this.#connection = connection;
    this.#signal = signal;
  }

  /** Opens a session; the signal ends it with all that runs in it. */
  static async open(options: ConnectionOptions, signal: AbortSignal): Promise<Session> {
    const doing = {what: `connect to ${options.host}:${options.port}`};
    try {
      const connection = await MysqlConnection.connect(connectOptions(options), signal);
      try {
        await connection.query(SETTINGS, signal);
      } catch (error) {
        await connection[Symbol.asyncDispose]();
        throw error;
      }
      return new Session(connection, signal);
    } catch (error) {
      throw sourceError(error, doing);
    }
  }

  /** False once it failed or was aborted. */
  get isOpen(): boolean {
    return this.#connection.isOpen;
  }

  get isMariaDb(): boolean {
    return this.#connection.isMariaDb;
  }

  /** For example `9.7.4`. */
  get version(): string {
    return this.#connection.version;
  }

  /** The same session under another signal; only one of them may be at work at a time. */
  withSignal(signal: AbortSignal): Session {
    return new Session(this.#connection, signal);
  }

  /** Rows of the last statement that had any. @param doing For messages. */
  async query(sql: string, doing: Doing): Promise<MysqlResult['rows']> {
    try {
      return (await this.#connection.query(sql, this.#signal)).rows;
    } catch (error) {
      throw sourceError(error, doing);
    }
  }

  /** Results of several statements, in one exchange: as close to each other as can be. */
  async queries(sql: string, doing: Doing): Promise<readonly MysqlResult[]> {
    try {
      return await this.#connection.queries(sql, this.#signal);
    } catch (error) {
      throw sourceError(error, doing);
    }
  }

  /** Rows in the binary form, texts in the character sets of their columns. */
  async *binaryRows(sql: string, doing: Doing): AsyncGenerator<BinaryRows, void> {
    try {
      yield* this.#connection.binaryRows(sql, this.#signal);
    } catch (error) {
      throw sourceError(error, doing);
    }
  }

  /** Sends a dump command; the session serves nothing else then. */
  startDump(code: number, argument: Buffer): Promise<PacketStream> {
    return this.#connection.startDump(code, argument, this.#signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
  }
}

/**
 * Values come as they are stored (texts in their own character sets, times in UTC), identifiers are in backticks, and limits that would end
 * a long read are lifted, as dump programs do.
 */
const SETTINGS = `set names utf8mb4; set character_set_results = null; set time_zone = '+00:00'; set sql_mode = '';
 set autocommit = 1; set net_write_timeout = 3600; set wait_timeout = 28800; set session transaction isolation level repeatable read`;

/** The connection's options, checked. */
export interface ConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly database: string | undefined;
  readonly user: string;
  readonly password: string | undefined;
  readonly sslMode: SslMode;
  readonly sslCa: string | undefined;
  readonly sslCert: string | undefined;
  readonly sslKey: string | undefined;
  readonly connectTimeoutMs: number;
  readonly programName: string;
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
  if ((text('ssl_cert') === undefined) !== (text('ssl_key') === undefined)) {
    throw new IngestError(
      'INVALID_OPTION',
      'The options ssl_cert and ssl_key belong together; one of them is missing.',
      {fix: 'Give both, or neither.'},
    );
  }
  return {
    host: text('host') ?? 'localhost',
    port: number('port', 3306),
    database: text('database'),
    user: text('user') ?? 'root',
    password: text('password'),
    sslMode: (text('ssl_mode') ?? 'preferred') as SslMode,
    sslCa: text('ssl_ca'),
    sslCert: text('ssl_cert'),
    sslKey: text('ssl_key'),
    connectTimeoutMs: number('connect_timeout_seconds', 15) * 1000,
    programName: `sluice ${connectionName}`.slice(0, 63),
    ssh: sshOptionsOf(options),
  };
}

function connectOptions(options: ConnectionOptions): MysqlConnectOptions {
  const {ssh, host, port} = options;
  const open =
    ssh === null ? undefined : (signal: AbortSignal): Promise<Duplex> => openTunnel(ssh, {host, port}, signal);
  return {
    host,
    port,
    user: options.user,
    tls: {
      mode: options.sslMode,
      ...(options.sslCa !== undefined && {rootCertificates: options.sslCa}),
      ...(options.sslCert !== undefined && {certificate: options.sslCert}),
      ...(options.sslKey !== undefined && {key: options.sslKey}),
    },
    connectTimeoutMs: options.connectTimeoutMs,
    attributes: {program_name: options.programName},
    ...(options.password !== undefined && {password: options.password}),
    ...(open !== undefined && {open}),
  };
}
