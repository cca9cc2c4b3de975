import type {ColumnBatch} from '../core/columns.ts';
import {RESCUED_COLUMN, type StructType} from '../core/types.ts';
import type {Appender, Engine} from '../engine/engine.ts';
import {quoteIdentifier} from '../engine/sql-types.ts';

/** Bytes of one table: an empty one takes the rows of an appender over, where one with rows copies them. */
const TABLE_BYTES = 24 * 1024 * 1024;

/** A table of the engine that gets no more rows: those from one place in the order of arrival to before another. */
interface LandedTable {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** The rows of a batch in tables of the engine, one after another. Dispose them to drop the tables; they may be used again. */
export class LandingTables implements AsyncDisposable {
  readonly #engine: Engine;
  readonly #schema: StructType;
  /** All tables, those that could not be filled included. */
  readonly #names: string[] = [];
  readonly #closed: LandedTable[] = [];
  #open: {readonly name: string; readonly appender: Appender} | null = null;
  #openBytes = 0;
  #rowCount = 0;

  constructor(engine: Engine, schema: StructType) {
    this.#engine = engine;
    this.#schema = schema;
  }

  /** Rows in all tables, visible or not. */
  get rowCount(): number {
    return this.#rowCount;
  }

  /** Adds rows and resolves to their bytes, about. */
  async append(batch: ColumnBatch): Promise<number> {
    this.#open ??= await this.#openTable();
    const bytes = this.#open.appender.append(batch);
    this.#rowCount += batch.rowCount;
    this.#openBytes += bytes;
    if (this.#openBytes >= TABLE_BYTES) this.close();
    return bytes;
  }

  /** Adds the rows of SELECTs; resolves to how many they are, and how many have rescued values. */
  async insert(selects: readonly string[]): Promise<{readonly rows: number; readonly rescued: number}> {
    this.close();
    const name = await this.#newTable();
    for (const select of selects) await this.#engine.run(`INSERT INTO ${quoteIdentifier(name)} ${select}`);
    const [found] = await this.#engine.query(
      `SELECT count(*) AS n, count(${quoteIdentifier(RESCUED_COLUMN)}) AS rescued FROM ${quoteIdentifier(name)}`,
    );
    this.#rowCount += Number(found?.['n'] ?? 0);
    this.#add(name);
    return {rows: Number(found?.['n'] ?? 0), rescued: Number(found?.['rescued'] ?? 0)};
  }

  /** Makes all rows visible. */
  close(): void {
    if (this.#open === null) return;
    const {name, appender} = this.#open;
    this.#open = null;
    this.#openBytes = 0;
    this.#add(name);
    appender.close();
  }

  /** The visible rows as a SELECT, with their places as `__ord`. */
  placedRows(): string {
    // A column may take the engine's own name for the place of a row.
    const isNamed = this.#schema.fields.some((field) => field.name.toLowerCase() === 'rowid');
    return this.#select(
      this.#closed,
      ({from}) => `, ${isNamed ? 'row_number() OVER () - 1' : 'rowid'} + ${from} AS __ord`,
    );
  }

  /** The visible rows from a place on, at which a SELECT of this method ended, and the place after them; null when there are none. */
  rowsFrom(place: number): {readonly select: string; readonly to: number} | null {
    const tables = this.#closed.filter(({from, to}) => from >= place && to > from);
    const last = tables.at(-1);
    return last === undefined ? null : {select: this.#select(tables), to: last.to};
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    for (const name of this.#names.splice(0)) await this.#engine.dropTable(name);
    this.#closed.length = 0;
    this.#rowCount = 0;
  }

  async #openTable(): Promise<{readonly name: string; readonly appender: Appender}> {
    const name = await this.#newTable();
    return {name, appender: await this.#engine.appender(name, this.#schema)};
  }

  async #newTable(): Promise<string> {
    const name = this.#engine.uniqueName('landing');
    this.#names.push(name);
    await this.#engine.createTable(name, this.#schema);
    return name;
  }

  #add(name: string): void {
    this.#closed.push({name, from: this.#closed.at(-1)?.to ?? 0, to: this.#rowCount});
  }

  #select(tables: readonly LandedTable[], more: (table: LandedTable) => string = () => ''): string {
    return tables.map((table) => `SELECT *${more(table)} FROM ${quoteIdentifier(table.name)}`).join(' UNION ALL ');
  }
}
