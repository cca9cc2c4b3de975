import pg from 'pg';

import {startPostgres} from '../../test/postgres.ts';
import {COUNTED_ROWS, FIRST_ROWS, ROW_TABLES, type Change, type ChaosDatabase} from './cdc-database.ts';

/** PostgreSQL, a server of its own. */
export async function openChaosPostgres(): Promise<ChaosDatabase> {
  const server = await startPostgres({fsync: 'off'});
  const place = {host: '127.0.0.1', port: server.port, user: 'postgres', database: 'postgres'};
  const connect = async (): Promise<pg.Client> => {
    const client = new pg.Client(place);
    await client.connect();
    return client;
  };
  const admin = await connect();
  const rowsOf = async (sql: string): Promise<readonly Readonly<Record<string, unknown>>[]> =>
    (await admin.query<Record<string, unknown>>(sql)).rows;
  return {
    schema: 'public',
    connection: {connection_type: 'POSTGRESQL', options: {...place, password: 'none', sslmode: 'disable'}},
    async create() {
      for (const table of ROW_TABLES) {
        const key = table === 'composite' ? 'id, part' : 'id';
        await admin.query(
          `CREATE TABLE ${table} (id bigint, part int NOT NULL, value text NOT NULL, large text, amount numeric(12,2), PRIMARY KEY (${key}))`,
        );
        await admin.query(`INSERT INTO ${table} ${rowsFrom(1, FIRST_ROWS - 1, 'value')}`);
      }
      await admin.query(`CREATE TABLE counted (id int PRIMARY KEY, version int NOT NULL);
        INSERT INTO counted SELECT g, 1 FROM generate_series(1, ${COUNTED_ROWS}) g;
        CREATE TABLE marks (id int PRIMARY KEY, number int NOT NULL); INSERT INTO marks VALUES (1, 0);
        CREATE TABLE beside (id int PRIMARY KEY, number int NOT NULL); INSERT INTO beside VALUES (1, 0)`);
    },
    async connect() {
      const client = await connect();
      return {
        async write(changes, end) {
          // The other writer was in the way, or had the key.
          await client.query(`BEGIN; ${changes.map(sqlOf).join('; ')}; ${end}`).catch(() => client.query('ROLLBACK'));
        },
        [Symbol.asyncDispose]: () => client.end(),
      };
    },
    async recreate() {
      const text = `BEGIN; CREATE TABLE again (LIKE rewritten INCLUDING ALL); INSERT INTO again SELECT * FROM rewritten;
        DROP TABLE rewritten; ALTER TABLE again RENAME TO rewritten; COMMIT`;
      // Writers that wait for each other may wait for this, too.
      await admin.query(text).catch(() => admin.query('ROLLBACK'));
    },
    async touch(table) {
      await admin.query(`UPDATE ${table} SET number = number + 1`);
    },
    rows: (table) =>
      rowsOf(
        `SELECT concat(id, '/', part) AS k, concat(value, '|', encode(sha256(large::bytea), 'hex'), '|', amount) AS v FROM ${table}`,
      ),
    versions: () => rowsOf('SELECT id AS k, version AS v FROM counted'),
    async [Symbol.asyncDispose]() {
      await admin.end().catch(() => undefined);
      await server.close();
    },
  };
}

/** Large enough to be kept out of the row. */
const LARGE = `(SELECT string_agg(md5((g * x)::text), '') FROM generate_series(1, 120) x)`;

function rowsFrom(id: number, span: number, text: string): string {
  return `SELECT g, g % 3, '${text} ' || g, CASE WHEN g % 5 = 0 THEN ${LARGE} END, g / 7.0 FROM generate_series(${id}, ${id + span}) g`;
}

function sqlOf(change: Change): string {
  if (change.kind === 'truncate') return `TRUNCATE ${change.table}`;
  if (change.kind === 'rekey') return `UPDATE ${change.table} SET id = ${change.newId} WHERE id = ${change.id}`;
  const range = `id BETWEEN ${change.id} AND ${change.id + change.span}`;
  switch (change.kind) {
    case 'insert':
      return `INSERT INTO ${change.table} ${rowsFrom(change.id, change.span, 'new')} ON CONFLICT DO NOTHING`;
    case 'update':
      return `UPDATE ${change.table} SET value = left(value || '.', 60), amount = amount + 1 WHERE ${range}`;
    case 'enlarge':
      return `UPDATE ${change.table} SET large = reverse(large) WHERE ${range}`;
    case 'delete':
      return `DELETE FROM ${change.table} WHERE ${range}`;
    case 'count':
      return `UPDATE counted SET version = version + 1 WHERE ${range}`;
  }
}
