import {CHANGE_TYPE_COLUMN} from '../core/types.ts';
import type {ColumnSql} from './column-sql.ts';

/** The SQL of append-only tables: which rows are known. Every method returns one SELECT. */
export class AppendSql {
  readonly #columns: ColumnSql;

  constructor(columns: ColumnSql) {
    this.#columns = columns;
  }

  /** Rows of an append-only batch without those known at the last cursor. `tail` has `columns`; a kind of change that is NULL is any. */
  unknown(events: string, tail: string, columns: readonly string[]): string {
    const on = columns
      .map((name) => {
        const [row, known] = [`e.${this.#columns.quote(name)}`, `k.${this.#columns.quote(name)}`];
        const isSame = `${row} IS NOT DISTINCT FROM ${known}`;
        return name === CHANGE_TYPE_COLUMN ? `(${known} IS NULL OR ${isSame})` : isSame;
      })
      .join(' AND ');
    return `SELECT e.* FROM (${events}) AS e ${this.#columns.dialect.antiJoin} (${tail}) AS k ON ${on}`;
  }

  /** Of several SELECTs the rows at the largest cursor, and those without a cursor, which every run reads again: `columns` of them. */
  tail(rows: readonly string[], columns: readonly string[], cursor: string): string {
    const [name, names] = [this.#columns.quote(cursor), this.#columns.list(columns)];
    const all = rows.map((select, at) => `SELECT ${names} FROM (${select}) AS r${at}`).join(' UNION ALL ');
    return `SELECT DISTINCT ${names} FROM (${all}) AS a WHERE ${name} IS NULL OR ${name} = (SELECT max(${name}) FROM (${all}) AS m)`;
  }
}
