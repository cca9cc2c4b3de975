import {compareCursors, type JsonObject, type JsonValue} from 'sluice/sdk';

import {DatabaseError, type Database, type Select} from './driver.ts';

/** A database in this process, so that the connector runs before there is a driver, and its tests without a server. */
export class MemoryDatabase {
  readonly password: string;
  readonly tables: Readonly<Record<string, Map<number, JsonObject>>>;
  #failAfter = 0;
  #failTimes = 0;

  constructor(password: string, tables: readonly string[]) {
    this.password = password;
    this.tables = Object.fromEntries(tables.map((table) => [table, new Map<number, JsonObject>()]));
  }

  /** The rows of a table, in the order in which they were first put. */
  rows(table: string): readonly JsonObject[] {
    return [...this.#table(table).values()];
  }

  put(table: string, row: JsonObject): void {
    this.#table(table).set(Number(row['id']), row);
  }

  remove(table: string, id: number): void {
    this.#table(table).delete(id);
  }

  /** Loses the connection in the coming queries: the first after `after` others, `times` in a row. */
  failNext(after: number, times: number): void {
    this.#failAfter = after;
    this.#failTimes = times;
  }

  select({table, orderBy, after, from, limit}: Select): readonly JsonObject[] {
    if (this.#failAfter > 0) this.#failAfter--;
    else if (this.#failTimes > 0) {
      this.#failTimes--;
      throw new DatabaseError('lost', 'the connection was reset');
    }
    return this.rows(table)
      .filter((row) => from === undefined || compareValues(row[from.column], from.value) >= 0)
      .filter((row) => after === undefined || compareRows(orderBy, row, after) > 0)
      .toSorted((left, right) =>
        compareRows(
          orderBy,
          left,
          orderBy.map((column) => right[column]),
        ),
      )
      .slice(0, limit);
  }

  #table(name: string): Map<number, JsonObject> {
    const rows = this.tables[name];
    if (rows === undefined) throw new DatabaseError('other', 'no such table');
    return rows;
  }
}

const databases = new Map<string, MemoryDatabase>();

/** Makes a database reachable at `memory:NAME` of this process; gives what takes it away. */
export function serveDatabase(name: string, database: MemoryDatabase): () => void {
  databases.set(`memory:${name}`, database);
  return () => databases.delete(`memory:${name}`);
}

/** Connects. Replace this by your driver: connect with url, user and password, and turn its errors into DatabaseError. */
export function openDatabase(url: string, password: string): Database {
  return {
    select(query) {
      const database = databases.get(url);
      if (database === undefined) return Promise.reject(new DatabaseError('lost', `nothing listens at ${url}`));
      if (database.password !== password) return Promise.reject(new DatabaseError('auth', 'the password is wrong'));
      return new Promise((resolve) => resolve(database.select(query)));
    },
    close: () => Promise.resolve(),
  };
}

function compareRows(columns: readonly string[], row: JsonObject, values: readonly (JsonValue | undefined)[]): number {
  for (const [index, column] of columns.entries()) {
    const order = compareValues(row[column], values[index]);
    if (order !== 0) return order;
  }
  return 0;
}

function compareValues(left: JsonValue | undefined, right: JsonValue | undefined): number {
  return compareCursors(typeof left === 'number' ? 'number' : 'text', left, right);
}
