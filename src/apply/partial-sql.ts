import {pathPart} from '../core/coerce/misfits.ts';
import {RESCUED_COLUMN, type StructField} from '../core/types.ts';
import {type ColumnSql, WORK} from './column-sql.ts';
import {leafPaths, ofLeaves} from './leaves.ts';

/** Work columns; users' columns may have any other name. */
const PLACE = '__sluice_place';
const LIFE = '__sluice_life';
const KNOWN = '__sluice_known';
const STORED_AT = '__sluice_stored_at';

/** What an event leaves or says: a column, or a leaf of one whose NULLs say nothing. */
interface Part {
  readonly field: StructField;
  readonly path: string;
  readonly sql: string;
}

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
  /** Columns of which a NULL says nothing either. */
  readonly #ignored: ReadonlySet<string>;
  readonly #parts: readonly Part[];
  readonly #hasRescued: boolean;

  constructor(columns: ColumnSql, left: readonly StructField[], ignoreNullColumns: readonly string[]) {
    this.#ignored = new Set(ignoreNullColumns);
    this.#parts = left.flatMap((field) =>
      (this.#ignored.has(field.name) ? leafPaths(field) : [[field.name]]).map((path) => ({
        field,
        path: JSON.stringify(path),
        sql: path.map((name) => columns.quote(name)).join('.'),
      })),
    );
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
   * The placed events, and before each of the unresolved ones that depend on no other the row under its key before; where
   * there was none, one that says nothing.
   */
  resolved(placed: string): string {
    const {dialect} = this.#columns;
    const moves = this.#moves(placed);
    const sameKey = this.#columns.oldKeyType.fields
      .map((field) => `y.${this.#columns.quote(field.name)} = ${this.#columns.oldKey('x.', field)}`)
      .join(' AND ');
    const ready = `SELECT x.* FROM (${moves}) AS x ${dialect.antiJoin} (${moves}) AS y ON ${sameKey} AND y.${PLACE} < x.${PLACE}`;
    const keys = new Set(this.#columns.shape.keys);
    const values = this.#columns.shape.schema.fields.map(({name}) => {
      const column = this.#columns.quote(name);
      return `${keys.has(name) ? 'x' : 'y'}.${column} AS ${column}`;
    });
    // The delete that the move itself makes of its key before says nothing of the row there.
    const isOwnDelete = `(y.${WORK.delete} AND y.${WORK.source} = x.${WORK.source} AND y.${WORK.order} IS NOT DISTINCT FROM x.${WORK.order})`;
    const isThere = `(y.${PLACE} IS NOT NULL AND NOT y.${WORK.delete})`;
    // It speaks of what the event leaves only: NULLs that say nothing do so of the row under the new key.
    const silent = this.#left.map(
      (field) =>
        `CASE WHEN NOT ${isThere} OR NOT ${this.#leaves('x', field)} OR ${this.#leaves('y', field)} THEN ${dialect.text(field.name)} END`,
    );
    const found = `SELECT ${values.join(', ')}, FALSE AS ${WORK.delete}, ${MOVED} AS ${WORK.source}, CAST(NULL AS BIGINT) AS ${WORK.order},
      ${dialect.listOf(silent)} AS ${WORK.unchanged}, ${this.#columns.incompleteness(false, false)[1] ?? ''},
      x.${PLACE} - 1 AS ${PLACE}, row_number() OVER (PARTITION BY x.${PLACE} ORDER BY y.${PLACE} DESC NULLS LAST) AS ${WORK.rank}
      FROM (${ready}) AS x LEFT JOIN (${this.completed(placed)}) AS y ON ${sameKey} AND y.${PLACE} < x.${PLACE} AND NOT ${isOwnDelete}`;
    return `SELECT ${this.#all('p')}, p.${PLACE} FROM ${placed} AS p
      UNION ALL SELECT ${this.#all('f')}, f.${PLACE} FROM (${found}) AS f WHERE f.${WORK.rank} = 1`;
  }

  /** Placed events with the values that they left; `__unchanged` lists those that nothing knows. */
  completed(placed: string): string {
    const lives = `SELECT *, sum(CASE WHEN ${WORK.delete} THEN 1 ELSE 0 END) OVER (PARTITION BY ${this.#keys()} ${RUNNING}) AS ${LIFE},
      max(CASE WHEN ${WORK.source} = ${STORED} THEN ${PLACE} END) OVER (PARTITION BY ${this.#keys()}) AS ${STORED_AT} FROM ${placed} AS p`;
    const known = this.#parts.map((part, at) => `${this.#known(part)} AS ${KNOWN}${at}`);
    const values = this.#columns.shape.schema.fields.map((field) => this.#value(field));
    const lacking = this.#left.map((field) => {
      const at = this.#parts.findIndex((part) => part.field.name === field.name);
      return `CASE WHEN ${this.#leaves('k', field)} AND k.${KNOWN}${at} IS NULL THEN ${this.#columns.dialect.text(field.name)} END`;
    });
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

  /** The newest value of a part that an event of the life gave so far, with what did not fit; NULL when none spoke of it. */
  #known({field, sql}: Part): string {
    const value = this.#columns.dialect.struct([
      ['v', sql],
      ['r', this.#hasRescued ? this.#columns.quote(RESCUED_COLUMN) : 'NULL'],
    ]);
    const last = (condition: string): string =>
      `last_value(CASE WHEN ${condition} THEN ${value} END IGNORE NULLS) OVER (PARTITION BY ${this.#keys()}, ${LIFE} ${RUNNING})`;
    const speaks = `NOT ${WORK.delete} AND NOT ${this.#leaves('l', field)}`;
    return this.#ignored.has(field.name)
      ? `coalesce(${last(`${speaks} AND ${sql} IS NOT NULL`)}, ${last(speaks)})`
      : last(speaks);
  }

  #value(field: StructField): string {
    const name = this.#columns.quote(field.name);
    if (field.name === RESCUED_COLUMN) return `${this.#rescued()} AS ${name}`;
    if (!this.#left.some((left) => left.name === field.name)) return `k.${name} AS ${name}`;
    const known = (path: readonly string[]): string => {
      const at = this.#parts.findIndex((part) => part.field.name === field.name && part.path === JSON.stringify(path));
      return `k.${KNOWN}${at}.v`;
    };
    // A NULL that says nothing is as good as a value that was left out.
    if (this.#ignored.has(field.name))
      return `CASE WHEN NOT ${WORK.delete} THEN ${ofLeaves(this.#columns.dialect, field, known)} END AS ${name}`;
    return `CASE WHEN ${this.#leaves('k', field)} THEN ${known([field.name])} ELSE k.${name} END AS ${name}`;
  }

  /** What did not fit goes with the value that it stood for. */
  #rescued(): string {
    const {dialect} = this.#columns;
    return this.#left.reduce(
      (rest, field) => {
        const at = this.#parts.findIndex((part) => part.field.name === field.name);
        const old = `CASE WHEN ${this.#leaves('k', field)} THEN ${dialect.jsonAt(`k.${KNOWN}${at}.r`, pathPart(field.name))} END`;
        return dialect.jsonJoin(`(${rest})`, `(${old})`);
      },
      `k.${this.#columns.quote(RESCUED_COLUMN)}`,
    );
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
