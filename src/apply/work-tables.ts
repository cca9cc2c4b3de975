import type {Engine, EngineRow} from '../engine/engine.ts';
import {duckDbDialect} from './duckdb-dialect.ts';

/** Work tables of one batch: made of SELECTs, which spill when they are large, and dropped together at its end. */
export class WorkTables implements AsyncDisposable {
  readonly #engine: Engine;
  readonly #signal: AbortSignal;
  readonly #names: string[] = [];

  constructor(engine: Engine, signal: AbortSignal) {
    this.#engine = engine;
    this.#signal = signal;
  }

  /** Keeps the rows of a SELECT; returns the table as it stands in SQL. */
  async keep(select: string): Promise<string> {
    const name = this.#engine.uniqueName('apply');
    this.#names.push(name);
    await this.#engine.run(duckDbDialect.createTable(name, select), this.#signal);
    return duckDbDialect.quote(name);
  }

  /** All rows of a small result. */
  async query(select: string): Promise<readonly EngineRow[]> {
    return this.#engine.query(select, this.#signal);
  }

  /** A number of a result of one row. Sums of no rows are 0. */
  async count(select: string, column: string): Promise<number> {
    const [row] = await this.query(select);
    return Number(row?.[column] ?? 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#names.splice(0)) await this.#engine.dropTable(name);
  }
}
