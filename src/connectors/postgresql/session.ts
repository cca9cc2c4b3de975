import type {Duplex} from 'node:stream';

import type {OptionValue} from '../../sdk/index.ts';
import {IngestError, sshOptionsOf} from '../../sdk/index.ts';
import type {PgResult} from '../../wire/pg/connection.ts';
import {PgConnection} from '../../wire/pg/connection.ts';
import type {SslMode} from '../../wire/pg/network.ts';
import {PgError} from '../../wire/pg/pg-error.ts';
import {quoteLiteral} from '../../wire/pg/quote.ts';
import type {SshTunnelOptions} from '../../wire/ssh/tunnel.ts';
import {openTunnel} from '../../wire/ssh/tunnel.ts';
import type {Doing} from './source-errors.ts';
import {sourceError} from './source-errors.ts';

/** Everything about the server that its first answers tell. */
export interface ServerFacts {
  /** For example 180004. */
  readonly versionNumber: number;
  /** The encoding does not vouch for texts being UTF-8. */
  readonly checkUtf8: boolean;
  /** Zone that the server gives sessions that ask for none: the best guess for times without zone. */
  readonly timeZone: string;
  readonly blockBytes: number;
  /** Transactions of the primary are at work behind what this server shows. */
  readonly isStandby: boolean;
}

/** A session whose texts do not depend on the server's settings. Errors are those of the framework. */
export class Session implements AsyncDisposable {
  readonly #connection: PgConnection;
  readonly #signal: AbortSignal;
  readonly facts: ServerFacts;

  private constructor(connection: PgConnection, signal: AbortSignal, facts: ServerFacts) {
    this.#connection = connection;
    this.#signal = signal;
    this.facts = facts;
  }

  /** Opens a session; the signal ends it with all that runs in it. */
  static async open(options: ConnectionOptions, signal: AbortSignal): Promise<Session> {
    const doing = {what: `connect to PostgreSQL at ${options.host}:${options.port}`};
    try {
      const connection = await PgConnection.connect(connectOptions(options), signal);
      const facts = await settle(connection, signal);
      return new Session(connection, signal, facts);
    } catch (error) {
      throw sourceError(error, doing);
    }
  }

  /** False once it failed or was aborted. */
  get isOpen(): boolean {
    return this.#connection.isOpen;
  }

  /** The same session under another signal; only one of them may be at work at a time. */
  withSignal(signal: AbortSignal): Session {
    return new Session(this.#connection, signal, this.facts);
  }

  /** Rows of the last statement that had any. @param doing For messages. */
  async query(sql: string, doing: Doing): Promise<PgResult['rows']> {
    try {
      return (await this.#connection.query(sql, this.#signal)).rows;
    } catch (error) {
      throw sourceError(error, doing);
    }
  }

  /** Chunks of `COPY (select) TO STDOUT (FORMAT binary)`; see {@link PgConnection.copyOut}. */
  copyBinary(select: string): ReturnType<PgConnection['copyOut']> {
    return this.#connection.copyOut(`copy (${select}) to stdout (format binary)`, this.#signal);
  }

  /**
   * Joins the snapshot that another session exports. That session has locked the table: whoever waits to alter it waits for that
   * lock, and would be waited for here. So locks are waited for only shortly, and the snapshot is given up instead.
   */
  async joinSnapshot(exported: string, doing: Doing): Promise<void> {
    const snapshot = `set transaction snapshot ${quoteLiteral(exported)}`;
    await this.query(`${BEGIN}; ${snapshot}; set local lock_timeout = ${JOINED_LOCK_MS}`, doing);
  }

  /**
   * Begins a snapshot with a table locked against everything that no snapshot survives: TRUNCATE, changes of columns,
   * VACUUM FULL. The lock comes first; between snapshot and lock one of those would leave the table empty for us.
   * Reads and writes of others go on.
   */
  async beginSnapshotOf(relation: string, doing: Doing): Promise<void> {
    try {
      await this.#connection.query(`${BEGIN}; lock table ${relation} in access share mode`, this.#signal);
    } catch (error) {
      // Materialized views and foreign tables take no lock by name; column privileges alone do not allow it.
      if (!(error instanceof PgError) || !['42809', '42501'].includes(error.sqlstate)) throw sourceError(error, doing);
      await this.query(`rollback; ${BEGIN}`, doing);
    }
  }

  /** Begins a snapshot, which the first statement takes. Tables are locked as they are read. */
  async beginSnapshot(doing: Doing): Promise<void> {
    await this.query(BEGIN, doing);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
  }
}

const JOINED_LOCK_MS = 500;
const BEGIN = 'begin transaction isolation level repeatable read read only';

/** The connection's options, checked. */
export interface ConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string | undefined;
  readonly sslmode: SslMode;
  readonly sslrootcert: string | undefined;
  readonly sslcert: string | undefined;
  readonly sslkey: string | undefined;
  readonly connectTimeoutMs: number;
  readonly applicationName: string;
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
  const host = text('host') ?? 'localhost';
  const sslmode = (text('sslmode') ?? 'prefer') as SslMode;
  if ((text('sslcert') === undefined) !== (text('sslkey') === undefined)) {
    throw new IngestError('INVALID_OPTION', 'The options sslcert and sslkey belong together; one of them is missing.', {
      fix: 'Give both, or neither.',
    });
  }
  return {
    host,
    port: number('port', 5432),
    database: text('database') ?? 'postgres',
    user: text('user') ?? 'postgres',
    password: text('password'),
    sslmode,
    sslrootcert: text('sslrootcert'),
    sslcert: text('sslcert'),
    sslkey: text('sslkey'),
    connectTimeoutMs: number('connect_timeout_seconds', 15) * 1000,
    applicationName: text('application_name') ?? `sluice ${connectionName}`.slice(0, 63),
    ssh: sshOptionsOf(options),
  };
}

/**
 * A session that can stream the log of its database, with the texts of {@link Session}.
 * @returns the server's `wal_sender_timeout` beside it
 */
export async function openReplication(
  options: ConnectionOptions,
  signal: AbortSignal,
): Promise<{readonly connection: PgConnection; readonly timeoutMs: number}> {
  const base = connectOptions(options);
  try {
    const connection = await PgConnection.connect(
      {...base, parameters: {...base.parameters, replication: 'database'}},
      signal,
    );
    await settle(connection, signal);
    const {rows} = await connection.query(`select setting from pg_settings where name = 'wal_sender_timeout'`, signal);
    return {connection, timeoutMs: Number(rows[0]?.[0] ?? 0)};
  } catch (error) {
    throw sourceError(error, {what: `connect to PostgreSQL at ${options.host}:${options.port} for replication`});
  }
}

function connectOptions(options: ConnectionOptions): Parameters<typeof PgConnection.connect>[0] {
  const {ssh, host, port} = options;
  const open =
    ssh === null ? undefined : (signal: AbortSignal): Promise<Duplex> => openTunnel(ssh, {host, port}, signal);
  return {
    host,
    port,
    database: options.database,
    user: options.user,
    tls: {
      mode: options.sslmode,
      ...(options.sslrootcert !== undefined && {rootCertificates: options.sslrootcert}),
      ...(options.sslcert !== undefined && {certificate: options.sslcert}),
      ...(options.sslkey !== undefined && {key: options.sslkey}),
    },
    connectTimeoutMs: options.connectTimeoutMs,
    parameters: {application_name: options.applicationName},
    ...(options.password !== undefined && {password: options.password}),
    ...(open !== undefined && {open}),
  };
}

/**
 * Fixes what texts look like, and lifts limits that would end a long read: pg_dump does the same. Set here and not at the
 * start-up, where poolers refuse parameters that they do not know.
 */
const SETTINGS = `set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres'; set timezone = 'UTC'; set extra_float_digits = 1;
 set bytea_output = 'hex'; set lc_monetary = 'C'; set xmloption = 'content'; set standard_conforming_strings = on;
 set statement_timeout = 0; set lock_timeout = 0; set idle_in_transaction_session_timeout = 0`;

async function settle(connection: PgConnection, signal: AbortSignal): Promise<ServerFacts> {
  try {
    const facts = `select current_setting('server_version_num'), current_setting('timezone'), current_setting('block_size'),
      pg_encoding_to_char(encoding), pg_is_in_recovery()::text from pg_database where datname = current_database()`;
    const [row] = (await connection.query(facts, signal)).rows;
    const versionNumber = Number(row?.[0] ?? 0);
    const later = versionNumber >= 170_000 ? '; set transaction_timeout = 0' : '';
    await connection.query(SETTINGS + later, signal);
    return {
      versionNumber,
      timeZone: row?.[1] ?? 'UTC',
      blockBytes: Number(row?.[2] ?? 8192),
      checkUtf8: row?.[3] === 'SQL_ASCII',
      isStandby: row?.[4] === 'true',
    };
  } catch (error) {
    await connection[Symbol.asyncDispose]();
    throw error;
  }
}
