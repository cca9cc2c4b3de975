import {HISTORY, KIND_COLUMN, type HistoryColumns} from './history-columns.ts';

const {id: ID, whole: WHOLE} = HISTORY;
const KIND = KIND_COLUMN;

/** The SQL that compares what a source holds now with the open versions of a table. Every method returns one SELECT. */
export class RefreshSql {
  readonly #h: HistoryColumns;

  constructor(columns: HistoryColumns) {
    this.#h = columns;
  }

  /** Open versions of live rows. */
  open(live: string): string {
    return `SELECT * FROM (${live}) AS l WHERE l.${this.#h.end} IS NULL`;
  }

  /** Keys whose open version differs from the row that is to be, as `insert`, `update` or `delete` (`kind`). Rows are compared by a 64-bit hash of their values. */
  difference(rows: string, open: string): string {
    const h = this.#h;
    const hashed = (select: string, alias: string): string =>
      `(SELECT ${h.columns.keyColumns('v')}, ${h.whole('v')} AS ${WHOLE} FROM (${select}) AS v) AS ${alias}`;
    const keys = h.columns.shape.keys.map((name) => h.columns.quote(name));
    const kind = `CASE WHEN t.${WHOLE} IS NULL THEN 'insert' WHEN n.${WHOLE} IS NULL THEN 'delete' ELSE 'update' END`;
    return `SELECT ${keys.map((key) => `coalesce(n.${key}, t.${key}) AS ${key}`).join(', ')}, ${kind} AS kind
      FROM ${hashed(rows, 'n')} FULL JOIN ${hashed(open, 't')} ON ${h.columns.sameKey('n', 't')} WHERE n.${WHOLE} IS DISTINCT FROM t.${WHOLE}`;
  }

  /** `kind` and `n` of a difference. */
  counts(difference: string): string {
    return `SELECT kind, count(*) AS n FROM ${difference} GROUP BY 1`;
  }

  /** Rows that a difference names as new or other. */
  differing(rows: string, difference: string): string {
    return `SELECT r.* FROM (${rows}) AS r ${this.#h.dialect.semiJoin} (SELECT * FROM ${difference} WHERE kind <> 'delete') AS d ON ${this.#h.columns.sameKey('r', 'd')}`;
  }

  /** Keys that a difference names as missing. */
  missing(difference: string): string {
    return `SELECT * FROM ${difference} WHERE kind = 'delete'`;
  }

  /** Of keys with the sequence that they were seen with those whose open version still has it. */
  stillSeen(keys: string, open: string): string {
    const h = this.#h;
    return `SELECT k.* FROM (${keys}) AS k ${h.dialect.semiJoin} (${open}) AS o ON ${h.columns.sameKey('k', 'o')} AND ${h.samePlace(h.own('k'), h.own('o'))}`;
  }

  /** A leading value above all that rows have in their sequence, as text: `place`. */
  above(rows: readonly string[]): string {
    const h = this.#h;
    const all = rows
      .map((select) => `SELECT max(${h.own('r')[0] ?? ''}) AS m FROM (${select}) AS r`)
      .join(' UNION ALL ');
    const next = h.dialect.successor('max(m)', h.leadType);
    return `SELECT CAST(coalesce(${next}, ${h.dialect.origin(h.leadType)}) AS VARCHAR) AS place FROM (${all}) AS a`;
  }

  /** When a snapshot counts as read, as text: at `microseconds`, or after all that versions tell of if a clock went back. */
  snapshotPlace(live: string, microseconds: bigint): string {
    const h = this.#h;
    const readAt = `make_timestamptz(${microseconds})`;
    const last = h.dialect.successor(`greatest(max(${h.start}), max(${h.end}))`, h.leadType);
    return `SELECT CAST(greatest(${readAt}, coalesce(${last}, ${readAt})) AS VARCHAR) AS place FROM (${live}) AS l`;
  }

  /**
   * Events of a refresh, which says what is there now: an upsert that is older than what its key is known to have come to, and
   * every closing, stands above all that is known of its key, at `place` at least.
   */
  moved(fresh: string, known: string, place: string): string {
    const h = this.#h;
    const lead = h.place(0);
    const isLate = `${h.newer(h.places('s'), h.places('f'))} OR (s.${KIND} <> 'upsert' AND ${h.samePlace(h.places('s'), h.places('f'))})`;
    const met = `SELECT f.${ID}, bool_or(${isLate}) AS late, max(s.${lead}) AS last FROM ${fresh} AS f JOIN (${known}) AS s ON ${h.columns.sameKey('f', 's')} GROUP BY f.${ID}`;
    const isMoved = `(f.${KIND} = 'closed' OR (f.${KIND} = 'upsert' AND coalesce(l.late, FALSE)))`;
    const after = `greatest(${h.lead(place)}, ${h.dialect.successor('l.last', h.leadType)})`;
    const places = h
      .after(after)
      .map((value, at) => `CASE WHEN ${isMoved} THEN ${value} ELSE f.${h.place(at)} END AS ${h.place(at)}`);
    return `SELECT ${h.columns.named(h.values, 'f')}, f.${KIND}, ${places.join(', ')}, f.${ID} FROM ${fresh} AS f LEFT JOIN (${met}) AS l ON l.${ID} = f.${ID}`;
  }
}
