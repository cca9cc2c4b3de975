import {pathPart} from '../core/coerce/misfits.ts';
import {RESCUED_COLUMN, type StructField} from '../core/types.ts';
import {type ColumnSql, WORK} from './column-sql.ts';

/** Work columns; users' columns may have any other name. */
const PLACE = '__sluice_place';
const LIFE = '__sluice_life';
const KNOWN = '__sluice_known';
const STORED_AT = '__sluice_stored_at';

/** What is stored stands before the events of a batch, what a row was under another key before the event that says so. */
const STORED = -1;
const MOVED = -2;

/**
 * The SQL of incomplete events: those that leave columns as they are. The events of a key and its stored row form lives,
 * each begun by a delete; within a life a column that an event leaves has the value of the newest older event that knows
 * it. Every method returns one SELECT; relations are what may stand after FROM.
 */
export class PartialSql {
  readonly #columns: ColumnSql;
  /** Columns that some event leaves as they are. */
  readonly #left: readonly StructField[];
  readonly #hasRescued: boolean;

  constructor(columns: ColumnSql, left: readonly StructField[]) {
    this.#columns = columns;
    this.#left = left;
    this.#hasRescued = columns.shape.schema.fields.some((field) => field.name === RESCUED_COLUMN);
  }

  /** Keys that incomplete events need: their own, and those that they had before. */
  affected(events: string): string {
    const own = `SELECT ${this.#columns.keyColumns('e')} FROM (${events}) AS e WHERE ${this.#isIncomplete('e')}`;
    const before = `SELECT ${this.#oldKeys('e')} FROM (${events}) AS e WHERE ${this.#isMove('e')}`;
    return `${own} UNION ${before}`;
  }

  /** Events and stored rows of the affected keys in the order of their sequence: their place. */
  placed(events: string, affected: string, stored: string): string {
    const {dialect, shape} = this.#columns;
    const order = [
      ...this.#columns.bySequence('ASC'),
      ...(shape.sequence.length === 0 ? [] : [`${WORK.delete} DESC`]),
      WORK.source,
      `${WORK.order} ASC NULLS FIRST`,
    ];
    const join = `${dialect.semiJoin} ${affected} AS a ON`;
    const none = this.#columns.incompleteness(false, false).join(', ');
    return `SELECT *, 2 * row_number() OVER (ORDER BY ${order.join(', ')}) AS ${PLACE} FROM (
      SELECT ${this.#all('e')} FROM (${events}) AS e ${join} ${this.#columns.sameKey('e', 'a')}
      UNION ALL SELECT ${this.#columns.all('t')}, FALSE, ${STORED}, CAST(NULL AS BIGINT), ${none}
      FROM (${stored}) AS t ${join} ${this.#columns.sameKey('t', 'a')}) AS p`;
  }

  /** Incomplete events whose key was another one and whose row under that key has not been looked up yet: how many (`n`). */
  unresolved(placed: string): string {
    return `SELECT count(*) AS n FROM (${this.#moves(placed)}) AS x`;
  }

  /**
   * The placed events, and before each of the unresolved ones that depend on no other the row under its key before: a
   * delete where there was none.
   */
  resolved(placed: string): string {
    const moves = this.#moves(placed);
    const sameKey = this.#columns.oldKeyType.fields
      .map((field) => `y.${this.#columns.quote(field.name)} = ${this.#columns.oldKey('x.', field)}`)
      .join(' AND ');
    const ready = `SELECT x.* FROM (${moves}) AS x ${this.#columns.dialect.antiJoin} (${moves}) AS y ON ${sameKey} AND y.${PLACE} < x.${PLACE}`;
    const keys = new Set(this.#columns.shape.keys);
    const values = this.#columns.shape.schema.fields.map(({name}) => {
      const column = this.#columns.quote(name);
      return `${keys.has(name) ? 'x' : 'y'}.${column} AS ${column}`;
    });
    // The delete that the move itself makes of its key before says nothing of the row there.
    const isOwnDelete = `(y.${WORK.delete} AND y.${WORK.source} = x.${WORK.source} AND y.${WORK.order} IS NOT DISTINCT FROM x.${WORK.order})`;
    const found = `SELECT ${values.join(', ')}, coalesce(y.${WORK.delete}, TRUE) AS ${WORK.delete}, ${MOVED} AS ${WORK.source},
      CAST(NULL AS BIGINT) AS ${WORK.order}, y.${WORK.unchanged} AS ${WORK.unchanged}, ${this.#columns.incompleteness(false, false)[1] ?? ''},
      x.${PLACE} - 1 AS ${PLACE}, row_number() OVER (PARTITION BY x.${PLACE} ORDER BY y.${PLACE} DESC NULLS LAST) AS ${WORK.rank}
      FROM (${ready}) AS x LEFT JOIN (${this.completed(placed)}) AS y ON ${sameKey} AND y.${PLACE} < x.${PLACE} AND NOT ${isOwnDelete}`;
    return `SELECT ${this.#all('p')}, p.${PLACE} FROM ${placed} AS p
      UNION ALL SELECT ${this.#all('f')}, f.${PLACE} FROM (${found}) AS f WHERE f.${WORK.rank} = 1`;
  }

  /** Placed events with the values that they left; `__unchanged` lists those that nothing knows. */
  completed(placed: string): string {
    const lives = `SELECT *, sum(CASE WHEN ${WORK.delete} THEN 1 ELSE 0 END) OVER (PARTITION BY ${this.#keys()} ${RUNNING}) AS ${LIFE},
      max(CASE WHEN ${WORK.source} = ${STORED} THEN ${PLACE} END) OVER (PARTITION BY ${this.#keys()}) AS ${STORED_AT} FROM ${placed} AS p`;
    const known = this.#left.map((field, at) => {
      const value = this.#columns.dialect.struct([
        ['v', this.#columns.quote(field.name)],
        ['r', this.#hasRescued ? this.#columns.quote(RESCUED_COLUMN) : 'NULL'],
      ]);
      const said = `CASE WHEN NOT ${WORK.delete} AND NOT ${this.#leaves('l', field)} THEN ${value} END`;
      return `last_value(${said} IGNORE NULLS) OVER (PARTITION BY ${this.#keys()}, ${LIFE} ${RUNNING}) AS ${KNOWN}${at}`;
    });
    const values = this.#columns.shape.schema.fields.map((field) => this.#value(field));
    const lacking = this.#left.map(
      (field, at) =>
        `CASE WHEN ${this.#leaves('k', field)} AND k.${KNOWN}${at} IS NULL THEN ${this.#columns.dialect.text(field.name)} END`,
    );
    return `SELECT ${values.join(', ')}, ${WORK.delete}, ${WORK.source}, ${WORK.order}, ${this.#columns.dialect.listOf(lacking)} AS ${WORK.unchanged},
      ${WORK.oldKey}, ${PLACE}, ${STORED_AT} FROM (SELECT *, ${known.join(', ')} FROM (${lives}) AS l) AS k`;
  }

  /** All events in the form of `MergeSql.events`; those of affected keys completed, without the ones that could not be. */
  whole(events: string, affected: string, completed: string): string {
    const list = `${this.#columns.all('e')}, e.${WORK.delete}, e.${WORK.source}, e.${WORK.order}`;
    return `SELECT ${list} FROM (${events}) AS e ${this.#columns.dialect.antiJoin} ${affected} AS a ON ${this.#columns.sameKey('e', 'a')}
      UNION ALL SELECT ${list} FROM ${completed} AS e WHERE e.${WORK.source} >= 0 AND NOT ${this.#isLacking('e')}`;
  }

  /** Events that could not be completed, as JSON text (`record`). Those older than the stored row change nothing and are not among them. */
  lacking(completed: string): string {
    const names = [...this.#columns.shape.schema.fields.map(({name}) => this.#columns.quote(name)), WORK.unchanged];
    const isStale = `coalesce(e.${STORED_AT} > e.${PLACE}, FALSE)`;
    return `SELECT ${this.#columns.dialect.json(names)} AS record FROM ${completed} AS e
      WHERE e.${WORK.source} >= 0 AND ${this.#isLacking('e')} AND NOT ${isStale}`;
  }

  #moves(placed: string): string {
    return `SELECT x.* FROM ${placed} AS x ${this.#columns.dialect.antiJoin} (SELECT * FROM ${placed} WHERE ${WORK.source} = ${MOVED}) AS m
      ON m.${PLACE} = x.${PLACE} - 1 WHERE ${this.#isMove('x')}`;
  }

  #value(field: StructField): string {
    const name = this.#columns.quote(field.name);
    const at = this.#left.findIndex((left) => left.name === field.name);
    if (at >= 0) return `CASE WHEN ${this.#leaves('k', field)} THEN k.${KNOWN}${at}.v ELSE k.${name} END AS ${name}`;
    return field.name === RESCUED_COLUMN ? `${this.#rescued()} AS ${name}` : `k.${name} AS ${name}`;
  }

  /** What did not fit goes with the value that it stood for. */
  #rescued(): string {
    const {dialect} = this.#columns;
    const own = `k.${this.#columns.quote(RESCUED_COLUMN)}`;
    if (!this.#hasRescued) return 'NULL';
    return this.#left.reduce((rest, field, at) => {
      const old = `CASE WHEN ${this.#leaves('k', field)} THEN ${dialect.jsonAt(`k.${KNOWN}${at}.r`, pathPart(field.name))} END`;
      return dialect.jsonJoin(`(${rest})`, `(${old})`);
    }, own);
  }

  #isIncomplete(alias: string): string {
    return `(NOT ${alias}.${WORK.delete} AND (${this.#left.map((field) => this.#leaves(alias, field)).join(' OR ')}))`;
  }

  #isMove(alias: string): string {
    return `${this.#isIncomplete(alias)} AND ${this.#columns.hasOldKey(`${alias}.`)}`;
  }

  #leaves(alias: string, field: StructField): string {
    return this.#columns.dialect.holds(`${alias}.${WORK.unchanged}`, field.name);
  }

  #isLacking(alias: string): string {
    return `(${alias}.${WORK.unchanged} IS NOT NULL AND NOT ${alias}.${WORK.delete})`;
  }

  #oldKeys(alias: string): string {
    return this.#columns.oldKeyType.fields
      .map((field) => `${this.#columns.oldKey(`${alias}.`, field)} AS ${this.#columns.quote(field.name)}`)
      .join(', ');
  }

  #keys(): string {
    return this.#columns.list(this.#columns.shape.keys);
  }

  #all(alias: string): string {
    const work = [WORK.delete, WORK.source, WORK.order, WORK.unchanged, WORK.oldKey].map((name) => `${alias}.${name}`);
    return `${this.#columns.all(alias)}, ${work.join(', ')}`;
  }
}

const RUNNING = `ORDER BY ${PLACE} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW`;
