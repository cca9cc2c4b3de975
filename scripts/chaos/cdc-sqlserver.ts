import {createHash} from 'node:crypto';

import {
  keyText,
  type ModelDatabase,
  type ModelRow,
  type ModelWrite,
} from '../../src/connectors/sqlserver/simulator-database.ts';
import {startSimulator} from '../../src/connectors/sqlserver/simulator.ts';
import {COUNTED_ROWS, FIRST_ROWS, ROW_TABLES, type Change, type ChaosDatabase, type RowTable} from './cdc-database.ts';

const COLUMNS = [
  {name: 'id', type: 'bigint', nullable: false},
  {name: 'part', type: 'int', nullable: false},
  {name: 'value', type: 'nvarchar', length: 160, nullable: false},
  {name: 'large', type: 'nvarchar', length: -1},
  {name: 'amount', type: 'decimal', precision: 12, scale: 2},
];
const NUMBER = {type: 'int', nullable: false};

/**
 * The scripted SQL Server, in this process: tables of rows by change tracking, `counted` by change data capture, which has every change.
 */
export async function openChaosSqlServer(): Promise<ChaosDatabase> {
  const simulator = await startSimulator();
  const {database} = simulator;
  return {
    schema: 'dbo',
    connection: {connection_type: 'SQLSERVER', options: simulator.options},
    async create() {
      for (const table of ROW_TABLES) {
        createTable(database, table);
        await database.write(...Array.from({length: FIRST_ROWS}, (_, n) => ({table, insert: rowOf(n + 1, 'value')})));
      }
      database.createTable(
        'counted',
        [
          {name: 'id', ...NUMBER},
          {name: 'version', ...NUMBER},
        ],
        ['id'],
      ).tracking = null;
      database.enableCapture('counted', 'dbo_counted');
      const counted = Array.from({length: COUNTED_ROWS}, (_, n) => ({id: n + 1, version: 1}));
      await database.write(...counted.map((insert) => ({table: 'counted', insert})));
      for (const table of ['marks', 'beside']) {
        database.createTable(
          table,
          [
            {name: 'id', ...NUMBER},
            {name: 'number', ...NUMBER},
          ],
          ['id'],
        );
        await database.write({table, insert: {id: 1, number: 0}});
      }
    },
    connect: () =>
      Promise.resolve({
        async write(changes, end) {
          if (end === 'commit') for (const writes of transactions(database, changes)) await commit(database, writes);
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
    async recreate() {
      const rows = [...database.table('rewritten').rows.values()];
      database.dropTable('rewritten');
      createTable(database, 'rewritten');
      await commit(
        database,
        rows.map((insert) => ({table: 'rewritten', insert})),
      );
    },
    async touch(table) {
      const [row] = database.table(table).rows.values();
      await database.write({table, update: {id: 1, number: Number(row?.['number']) + 1}});
    },
    rows: (table) =>
      Promise.resolve(
        [...database.table(table).rows.values()].map(({id, part, value, large, amount}) => ({
          k: `${String(id)}/${String(part)}`,
          v: `${String(value)}|${typeof large === 'string' ? hash(large) : ''}|${String(amount)}`,
        })),
      ),
    versions: () =>
      Promise.resolve([...database.table('counted').rows.values()].map(({id, version}) => ({k: id, v: version}))),
    async [Symbol.asyncDispose]() {
      await simulator[Symbol.asyncDispose]();
      if (simulator.unknown.length > 0) throw new Error(`The server did not know ${simulator.unknown.join('\n')}`);
    },
  };
}

function createTable(database: ModelDatabase, table: RowTable): void {
  database.createTable(table, COLUMNS, table === 'composite' ? ['id', 'part'] : ['id']);
}

function rowOf(id: number, text: string): ModelRow {
  const large = id % 5 === 0 ? hash(String(id)).repeat(60) : null;
  return {id: String(id), part: id % 3, value: `${text} ${id}`, large, amount: (id / 7).toFixed(2)};
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** The other writer was in the way, or had the key: undone as a whole. */
async function commit(database: ModelDatabase, writes: readonly ModelWrite[]): Promise<void> {
  await database.write(...writes).catch(() => undefined);
}

/** The writes of a transaction; emptying a table needs none. */
function* transactions(database: ModelDatabase, changes: readonly Change[]): Generator<readonly ModelWrite[]> {
  const copies = new Map<string, Map<string, ModelRow>>();
  const writes: ModelWrite[] = [];
  for (const change of changes) {
    if (change.kind === 'truncate') {
      // Behind a commit, so that no reader holds the table.
      yield [];
      database.truncate(change.table);
      continue;
    }
    const table = database.table(change.kind === 'count' ? 'counted' : change.table);
    const rows = copies.get(table.name) ?? new Map(table.rows);
    copies.set(table.name, rows);
    for (const write of writesOf(change, {name: table.name, key: table.key, rows})) {
      writes.push(write);
      const old = 'delete' in write ? write.delete : 'update' in write ? write.old : undefined;
      const row = 'insert' in write ? write.insert : 'update' in write ? write.update : undefined;
      if (old !== undefined) rows.delete(keyText(table, old));
      if (row !== undefined) rows.set(keyText(table, row), row);
    }
  }
  if (writes.length > 0) yield writes;
}

interface Copy {
  readonly name: string;
  readonly key: readonly string[];
  readonly rows: ReadonlyMap<string, ModelRow>;
}

function writesOf(change: Exclude<Change, {kind: 'truncate'}>, copy: Copy): readonly ModelWrite[] {
  const {name: table, rows} = copy;
  const last = change.kind === 'rekey' ? change.id : change.id + change.span;
  const found = [...rows.values()].filter(({id}) => Number(id) >= change.id && Number(id) <= last);
  const changed = (next: (row: ModelRow) => ModelRow): readonly ModelWrite[] =>
    found.map((old) => ({table, update: {...old, ...next(old)}, old}));
  switch (change.kind) {
    case 'insert':
      return Array.from({length: change.span + 1}, (_, n) => rowOf(change.id + n, 'new'))
        .filter((row) => !rows.has(keyText(copy, row)))
        .map((insert) => ({table, insert}));
    case 'update':
      return changed(({value, amount}) => ({
        value: `${String(value)}.`.slice(0, 60),
        amount: (Number(amount) + 1).toFixed(2),
      }));
    case 'enlarge':
      return changed(({large}) => ({large: typeof large === 'string' ? [...large].reverse().join('') : null}));
    case 'rekey':
      return changed(() => ({id: String(change.newId)}));
    case 'delete':
      return found.map((old) => ({table, delete: old}));
    case 'count':
      return changed(({version}) => ({version: Number(version) + 1}));
  }
}
