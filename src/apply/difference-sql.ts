import {type ColumnSql, WORK} from './column-sql.ts';

/** The SQL of comparing whole tables: the rows that are to be against those that are stored. Every method returns one SELECT. */
export class DifferenceSql {
  readonly #columns: ColumnSql;

  constructor(columns: ColumnSql) {
    this.#columns = columns;
  }

  /**
   * How stored rows differ from the rows that are to be: one row per key that does, with `insert`, `update` or `delete`
   * and the place of the stored row. Rows are compared by a 64-bit hash of all columns.
   */
  difference(rows: string, live: string): string {
    const hash = this.#columns.rowHash();
    const keys = this.#columns.shape.keys.map((name) => this.#columns.quote(name));
    const on = keys.map((key) => `n.${key} IS NOT DISTINCT FROM t.${key}`).join(' AND ');
    const kind = `CASE WHEN t.${WORK.hash} IS NULL THEN 'insert' WHEN n.${WORK.hash} IS NULL THEN 'delete' ELSE 'update' END`;
    return `SELECT ${keys.map((key) => `n.${key}`).join(', ')}, t.${WORK.file}, t.${WORK.position}, ${kind} AS ${WORK.kind}
      FROM (SELECT ${keys.join(', ')}, ${hash} AS ${WORK.hash} FROM (${rows}) AS r) AS n
      FULL JOIN (SELECT ${keys.join(', ')}, ${WORK.file}, ${WORK.position}, ${hash} AS ${WORK.hash} FROM (${live}) AS l) AS t
      ON ${on} WHERE n.${WORK.hash} IS DISTINCT FROM t.${WORK.hash}`;
  }

  /** `kind` and `n` of a difference. */
  differenceCounts(difference: string): string {
    return `SELECT ${WORK.kind} AS kind, count(*) AS n FROM ${difference} GROUP BY 1`;
  }

  /** Rows that a difference adds or rewrites. */
  differentRows(rows: string, difference: string): string {
    const on = this.#columns.shape.keys
      .map((key) => `r.${this.#columns.quote(key)} IS NOT DISTINCT FROM d.${this.#columns.quote(key)}`)
      .join(' AND ');
    return `SELECT ${this.#columns.all('r')} FROM (${rows}) AS r ${this.#columns.dialect.semiJoin} (SELECT * FROM ${difference} WHERE ${WORK.kind} <> 'delete') AS d ON ${on}`;
  }

  /** Places of stored rows that a difference takes away. */
  differentPlaces(difference: string): string {
    return `SELECT ${WORK.file}, ${WORK.position} FROM ${difference} WHERE ${WORK.kind} <> 'insert'`;
  }

  /** A count and fingerprint of rows whatever their order: equal when the rows are. `n`, `fingerprint`. */
  fingerprint(rows: string): string {
    const hash = this.#columns.rowHash();
    return `SELECT count(*) AS n, ${this.#columns.dialect.fingerprint(hash)} AS fingerprint FROM (${rows}) AS r`;
  }
}
