import type {JsonObject} from 'sluice/sdk';
import {
  standingClock,
  type ConnectorProof,
  type ProofClock,
  type ProofMutations,
  type ProofSource,
} from 'sluice/testkit';

import mySource from './index.ts';
import {MemoryDatabase, serveDatabase} from './memory-database.ts';

const START_MS = Date.UTC(2025, 0, 31);
const PASSWORD = 'right-password';
/** Small pages, so that few rows have many page borders. */
const OPTIONS = {page_rows: 20};

/** The simulated database with its state at hand. */
interface MySource extends ProofSource {
  readonly database: MemoryDatabase;
}

let served = 0;

function start(rows: number): MySource {
  const name = `proof-${served++}`;
  const clock = standingClock(START_MS);
  const database = new MemoryDatabase(PASSWORD, ['countries', 'orders']);
  for (let id = 1; id <= rows; id++) {
    database.put('countries', country(id));
    // Four rows share each time.
    database.put('orders', order(id, START_MS - 3_600_000 + Math.floor(id / 4) * 1000));
  }
  const stop = serveDatabase(name, database);
  return {
    database,
    clock,
    connectionOptions: {url: `memory:${name}`, password: PASSWORD},
    wrongCredentials: {password: 'wrong-password'},
    faults: [
      {
        name: 'a lost connection',
        inject: ({after, times}) => database.failNext(after, times),
        clear: () => database.failNext(0, 0),
        outcome: 'reported',
      },
    ],
    [Symbol.asyncDispose]: () => {
      stop();
      return Promise.resolve();
    },
  };
}

function country(id: number, name = `Country ${id}`): JsonObject {
  return {id, code: `C${id}`, name};
}

function order(id: number, atMs: number, amount = `${id}.50`): JsonObject {
  return {id, customer: `customer ${id % 7}`, amount, updated_at: new Date(atMs).toISOString()};
}

function databaseOf(source: ProofSource): MemoryDatabase {
  return (source as MySource).database;
}

let nextId = 100_000;

/** How rows of a table change; `make` gives the row of an id as it is at a time. */
function mutations(
  table: string,
  make: (id: number, clock: ProofClock, changed: boolean) => JsonObject,
): ProofMutations {
  const each = (count: number, act: (index: number) => void): void => {
    for (let index = 0; index < count; index++) act(index);
  };
  return {
    insert: (source, count) => each(count, () => databaseOf(source).put(table, make(nextId++, source.clock, false))),
    update(source, count) {
      const rows = databaseOf(source).rows(table);
      const step = Math.max(1, Math.floor(rows.length / count));
      each(Math.min(count, rows.length), (index) =>
        databaseOf(source).put(table, make(Number(rows[index * step]?.['id']), source.clock, true)),
      );
    },
  };
}

/** What proves the connector: `sluice connector test .` runs the suites with it. */
export const mySourceProof: ConnectorProof = {
  definition: mySource,
  start: ({rows}) => Promise.resolve(start(rows ?? 50)),
  tables: {
    countries: {
      options: OPTIONS,
      pagingStyle: 'keyset',
      truth: (source) => databaseOf(source).rows('countries'),
      mutations: {
        ...mutations('countries', (id, _, changed) => country(id, changed ? `Renamed ${id}` : undefined)),
        delete(source, count) {
          for (const row of databaseOf(source)
            .rows('countries')
            .slice(5, 5 + count))
            databaseOf(source).remove('countries', Number(row['id']));
        },
      },
    },
    orders: {
      options: OPTIONS,
      pagingStyle: 'cursor',
      truth: (source) => databaseOf(source).rows('orders'),
      mutations: {
        ...mutations('orders', (id, clock, changed) => order(id, clock.nowMs(), changed ? '99.99' : undefined)),
        // All at one moment: a page border falls among them.
        ties(source, count) {
          for (let index = 0; index < count; index++)
            databaseOf(source).put('orders', order(nextId++, source.clock.nowMs()));
        },
      },
    },
  },
};
