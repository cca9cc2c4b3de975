import {MysqlConnection} from '../src/wire/mysql/connection.ts';

/** A database of one test file, gone when disposed. */
export interface MysqlDatabase extends AsyncDisposable {
  /** Options of a connection to the server, as the connector takes them. */
  readonly options: {readonly host: string; readonly port: number; readonly database: string; readonly user: string};
  readonly isMariaDb: boolean;
  /** Runs statements. */
  run(sql: string): Promise<void>;
  /** Rows as texts. */
  texts(sql: string): Promise<readonly (readonly (string | null)[])[]>;
  /** A session of its own, for statements that run beside others. */
  connect(): Promise<MysqlConnection>;
}

/** Creates a database on a server that tests share. */
export async function createMysqlDatabase(serverUrl: string, database: string): Promise<MysqlDatabase> {
  const url = new URL(serverUrl);
  const signal = new AbortController().signal;
  const place = {host: url.hostname, port: Number(url.port), user: url.username};
  const connect = (): Promise<MysqlConnection> =>
    MysqlConnection.connect({...place, database, tls: {mode: 'disabled'}, connectTimeoutMs: 10_000}, signal);
  await using admin = await MysqlConnection.connect(
    {...place, tls: {mode: 'disabled'}, connectTimeoutMs: 10_000},
    signal,
  );
  await admin.query(
    `drop database if exists \`${database}\`; create database \`${database}\` character set utf8mb4`,
    signal,
  );
  const session = await connect();
  return {
    options: {...place, database},
    isMariaDb: session.isMariaDb,
    run: async (sql) => {
      await session.queries(sql, signal);
    },
    texts: async (sql) => (await session.query(sql, signal)).rows,
    connect,
    async [Symbol.asyncDispose]() {
      await session.queries(`drop database if exists \`${database}\``, signal);
      await session[Symbol.asyncDispose]();
    },
  };
}
