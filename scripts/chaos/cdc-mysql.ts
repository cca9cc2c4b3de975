import type {MysqlConnection} from '../../src/wire/mysql/connection.ts';
import {createMysqlDatabase} from '../../test/mysql-database.ts';
import {startMysql, type MysqlKind} from '../../test/mysql-server.ts';
import {COUNTED_ROWS, FIRST_ROWS, ROW_TABLES, type Change, type ChaosDatabase} from './cdc-database.ts';

const SCHEMA = 'chaos';

/** MySQL or MariaDB, a server of its own. */
export async function openChaosMysql(kind: MysqlKind): Promise<ChaosDatabase> {
  const server = await startMysql(kind);
  const database = await createMysqlDatabase(server.url, SCHEMA);
  const {signal} = new AbortController();
  const rowsOf = async (columns: string, table: string): Promise<readonly Readonly<Record<string, unknown>>[]> =>
    (await database.texts(`select ${columns} from ${table}`)).map(([k, v]) => ({k, v}));
  return {
    schema: SCHEMA,
    connection: {
      connection_type: 'MYSQL',
      options: {host: '127.0.0.1', port: server.port, database: SCHEMA, user: 'root', ssl_mode: 'disabled'},
    },
    async create() {
      for (const table of ROW_TABLES) {
        const key = table === 'composite' ? 'id, part' : 'id';
        await database.run(
          `create table ${table} (id bigint, part int not null, value varchar(80) not null, large mediumtext, amount decimal(12,2), primary key (${key}))`,
        );
        // A recursion of MySQL ends after a thousand rows.
        for (let id = 1; id <= FIRST_ROWS; id += 1000)
          await database.run(`insert into ${table} ${rowsFrom(id, 999, 'value')}`);
      }
      await database.run(`create table counted (id int primary key, version int not null);
        insert into counted ${numbersFrom(1, COUNTED_ROWS - 1)} select g, 1 from n;
        create table marks (id int primary key, number int not null); insert into marks values (1, 0);
        create table beside (id int primary key, number int not null); insert into beside values (1, 0)`);
    },
    async connect() {
      const session = await database.connect();
      return {
        async write(changes, end) {
          const text = changes.map(sqlOf).join('; ');
          // Emptying a table commits by itself.
          const isCommitted = changes.some((change) => change.kind === 'truncate');
          await session
            .queries(isCommitted ? text : `begin; ${text}; ${end}`, signal)
            .catch(() => undone(session, signal));
        },
        [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
      };
    },
    async recreate() {
      await database.run(`create table again like rewritten; insert into again select * from rewritten;
        rename table rewritten to before_it, again to rewritten; drop table before_it`);
    },
    async touch(table) {
      await database.run(`update ${table} set number = number + 1`);
    },
    rows: (table) =>
      rowsOf(
        `concat(id, '/', part), concat(value, '|', coalesce(sha2(large, 256), ''), '|', coalesce(amount, ''))`,
        table,
      ),
    versions: () => rowsOf('id, version', 'counted'),
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** The other writer was in the way, or had the key. */
async function undone(session: MysqlConnection, signal: AbortSignal): Promise<void> {
  await session.queries('rollback', signal);
}

function numbersFrom(id: number, span: number): string {
  return `with recursive n as (select ${id} as g union all select g + 1 from n where g < ${id + span})`;
}

function rowsFrom(id: number, span: number, text: string): string {
  return `${numbersFrom(id, span)}
    select g, g % 3, concat('${text} ', g), if(g % 5 = 0, repeat(sha2(g, 256), 60), null), g / 7 from n`;
}

function sqlOf(change: Change): string {
  if (change.kind === 'truncate') return `truncate ${change.table}`;
  if (change.kind === 'rekey') return `update ${change.table} set id = ${change.newId} where id = ${change.id}`;
  const range = `id between ${change.id} and ${change.id + change.span}`;
  switch (change.kind) {
    case 'insert':
      return `insert ignore into ${change.table} ${rowsFrom(change.id, change.span, 'new')}`;
    case 'update':
      return `update ${change.table} set value = left(concat(value, '.'), 60), amount = amount + 1 where ${range}`;
    case 'enlarge':
      return `update ${change.table} set large = reverse(large) where ${range}`;
    case 'delete':
      return `delete from ${change.table} where ${range}`;
    case 'count':
      return `update counted set version = version + 1 where ${range}`;
  }
}
