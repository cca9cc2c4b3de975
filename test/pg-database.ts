import pg from 'pg';

/** A database of one test file, gone when disposed. */
export interface TestDatabase extends AsyncDisposable {
  readonly client: pg.Client;
  /** Options of a connection to it, as the connector takes them. */
  readonly options: {readonly host: string; readonly port: number; readonly database: string; readonly user: string};
  /** Runs statements. */
  run(sql: string): Promise<void>;
  /** Rows as texts, whatever their types. */
  texts(sql: string): Promise<readonly (readonly (string | null)[])[]>;
}

/** Creates a database on the server that the tests of project `pg` share. */
export async function createDatabase(pgUrl: string, name: string): Promise<TestDatabase> {
  const admin = new pg.Client(pgUrl);
  await admin.connect();
  await admin.query(`drop database if exists ${name} with (force)`);
  await admin.query(`create database ${name}`);
  const url = new URL(pgUrl);
  const options = {host: url.hostname, port: Number(url.port), database: name, user: url.username};
  const client = new pg.Client(options);
  await client.connect();
  return {
    client,
    options,
    run: async (sql) => {
      await client.query(sql);
    },
    texts: async (sql) => {
      const result = await client.query({
        text: sql,
        rowMode: 'array',
        types: {getTypeParser: () => (value: string) => value},
      });
      return result.rows as (string | null)[][];
    },
    async [Symbol.asyncDispose]() {
      await client.end();
      await admin.query(`drop database if exists ${name} with (force)`);
      await admin.end();
    },
  };
}
