import {typesEqual} from '../core/schema.ts';
import type {StructType} from '../core/types.ts';
import {type ColumnSql, WORK} from './column-sql.ts';

/** A SELECT of events, with what it has beside the columns of the schema. */
export interface EventSource {
  readonly select: string;
  /** Names of its columns. */
  readonly columns: ReadonlySet<string>;
  /** All rows are deletes, and have the keys and the sequence only. */
  readonly isDelete: boolean;
}

/** Events of a batch by their places: of one source, all or those whose `__ord` is at least the first number and below the second. */
export interface EventRange {
  readonly source: number;
  readonly orders: readonly [from: number, to: number] | null;
}

/**
 * The SQL of merges: every method returns one SELECT and runs nothing. It is built of SELECTs, and of what may stand after
 * FROM: a work table, or a SELECT in parentheses (`changes`, `matched`, `stale`, `touched`). The
 * semantics of `apply` are here: which of two events of a key is newer, what a stored row stands against.
 */
export class MergeSql {
  readonly #columns: ColumnSql;

  constructor(columns: ColumnSql) {
    this.#columns = columns;
  }

  /** Keys and sequence: what a delete and a tombstone have. */
  get deleteSchema(): StructType {
    return this.#columns.deleteSchema;
  }

  /** Events of all sources with the schema's columns and types; columns that a source lacks are NULL. */
  events(sources: readonly EventSource[]): string {
    return this.#eventsOf(sources, false);
  }

  /** {@link events} with what makes them incomplete: the columns that they leave as they are, and the key before. */
  partialEvents(sources: readonly EventSource[]): string {
    return this.#eventsOf(sources, true);
  }

  /** Events in the form of {@link events}, without what else they have. */
  asEvents(events: string): string {
    return `SELECT ${this.#columns.all()}, ${WORK.delete}, ${WORK.source}, ${WORK.order} FROM (${events}) AS e`;
  }

  /** The newest of several SELECTs of truncates, as one row. */
  newestTruncate(truncates: readonly string[]): string {
    // One that is known already is no news.
    const known = `CASE WHEN ${WORK.source} < 0 THEN 0 ELSE 1 END`;
    const order = [...this.#columns.bySequence('DESC'), known, `${WORK.source} DESC`, `${WORK.order} DESC NULLS LAST`];
    return `SELECT * FROM (${truncates.join(' UNION ALL ')}) AS t ORDER BY ${order.join(', ')} LIMIT 1`;
  }

  /** A stored watermark as a truncate that came before the batch. */
  storedTruncate(watermark: string): string {
    const columns = this.#columns.sequenceFields.map((field) => this.#columns.cast(field, true));
    return `SELECT ${[...columns, `-1 AS ${WORK.source}`, `CAST(NULL AS BIGINT) AS ${WORK.order}`].join(', ')} FROM (${watermark}) AS w`;
  }

  /** Events without those that a truncate took away; at its own sequence they stand. */
  notTruncated(events: string, watermark: string): string {
    const isLater = `(w.${WORK.source} > e.${WORK.source} OR (w.${WORK.source} = e.${WORK.source} AND coalesce(w.${WORK.order} > e.${WORK.order}, FALSE)))`;
    const isGone = this.#columns.shape.sequence.length === 0 ? isLater : this.#columns.newer('w', 'e');
    return `SELECT e.* FROM (${events}) AS e CROSS JOIN ${watermark} AS w WHERE NOT ${isGone}`;
  }

  /** Stored rows, or other rows with a sequence, that a truncate leaves; `isGone` for those that it takes. */
  rowsOfTruncate(rows: string, watermark: string, isGone = false): string {
    const condition = this.#columns.shape.sequence.length === 0 ? 'TRUE' : this.#columns.newer('w', 't');
    return `SELECT t.* FROM (${rows}) AS t CROSS JOIN ${watermark} AS w WHERE ${isGone ? '' : 'NOT '}${condition}`;
  }

  /** Where a truncate came from, -1 for a stored one: `source`. */
  truncateSource(watermark: string): string {
    return `SELECT ${WORK.source} AS source FROM ${watermark}`;
  }

  /** Places of rows. */
  placesOf(rows: string): string {
    return `SELECT ${WORK.file}, ${WORK.position} FROM (${rows}) AS t`;
  }

  /** The sequence of a relation. */
  sequenceOf(relation: string): string {
    return `SELECT ${this.#columns.list(this.#columns.shape.sequence)} FROM ${relation}`;
  }

  /** Events of all sources as they came, in order: the schema's columns, `__op`, `__unchanged` and `__old_key`. */
  rawEvents(sources: readonly EventSource[]): string {
    const selects = sources.map((source, index) => {
      const columns = this.#columns.shape.schema.fields.map((field) =>
        this.#columns.cast(field, source.columns.has(field.name)),
      );
      const has = (name: string): boolean => source.columns.has(name);
      const op = source.isDelete ? "'delete'" : has(WORK.op) ? WORK.op : 'NULL';
      const list = [
        ...columns,
        `CAST(${op} AS VARCHAR) AS ${WORK.op}`,
        ...this.#columns.incompleteness(has(WORK.unchanged), has(WORK.oldKey)),
      ].join(', ');
      return `SELECT ${list}, ${index} AS ${WORK.source}, ${orderOf(source)} AS ${WORK.order} FROM (${source.select}) AS s${index}`;
    });
    const columns = [this.#columns.all(), WORK.op, WORK.unchanged, WORK.oldKey].join(', ');
    return `SELECT ${columns} FROM (${selects.join(' UNION ALL ')}) AS e ORDER BY ${WORK.source}, ${WORK.order} NULLS FIRST`;
  }

  /** Events as a source brings them, in order of arrival. */
  asSource(events: string): string {
    const op = `CASE WHEN ${WORK.delete} THEN 'delete' ELSE 'upsert' END AS ${WORK.op}`;
    const order = `row_number() OVER (ORDER BY ${WORK.source}, e.${WORK.order} NULLS FIRST, ${WORK.delete} DESC) AS ${WORK.order}`;
    return `SELECT ${this.#columns.all()}, ${op}, ${order} FROM (${events}) AS e`;
  }

  /** Names of the columns that events of {@link partialEvents} leave as they are: `name`. */
  leftColumns(events: string): string {
    return `SELECT DISTINCT ${this.#columns.dialect.unnest(WORK.unchanged)} AS name FROM (${events}) AS e`;
  }

  /** Truncates of all sources: sequence, and the order of arrival; null when no source can have any. */
  truncates(sources: readonly EventSource[]): string | null {
    const fields = this.#columns.sequenceFields;
    const parts = sources.flatMap((source, index) => {
      if (!source.columns.has(WORK.op) || source.isDelete) return [];
      const columns = fields.map((field) => this.#columns.cast(field, source.columns.has(field.name)));
      const list = [...columns, `${index} AS ${WORK.source}`, `${orderOf(source)} AS ${WORK.order}`].join(', ');
      return [`SELECT ${list} FROM (${source.select}) AS s${index} WHERE ${WORK.op} = 'truncate'`];
    });
    return parts.length === 0 ? null : parts.join(' UNION ALL ');
  }

  /** The rows of sources without deletes: the schema's columns only. */
  rows(sources: readonly EventSource[]): string {
    return `SELECT ${this.#columns.all()} FROM (${this.events(sources)}) AS e WHERE NOT ${WORK.delete}`;
  }

  /** No row, with the schema's columns. */
  nothing(): string {
    return `SELECT ${this.#columns.shape.schema.fields.map((field) => this.#columns.cast(field, false)).join(', ')} WHERE FALSE`;
  }

  /** Rows of no file, in the form of stored ones. */
  placeless(rows: string): string {
    return `SELECT *, CAST(NULL AS VARCHAR) AS ${WORK.file}, CAST(NULL AS BIGINT) AS ${WORK.position} FROM (${rows}) AS n`;
  }

  /** Rows as they are, when each key is in them once: in the form of {@link newest}. */
  unique(events: string): string {
    return `SELECT ${this.#columns.all()}, ${WORK.delete}, ${WORK.source}, ${WORK.order}, CAST(1 AS BIGINT) AS ${WORK.events} FROM (${events}) AS e`;
  }

  /** The newest event of each key: highest sequence, then upsert over delete, then the later arrival. */
  newest(events: string): string {
    const {keys, sequence} = this.#columns.shape;
    const order = [
      ...this.#columns.bySequence('DESC'),
      ...(sequence.length === 0 ? [] : [`${WORK.delete} ASC`]),
      `${WORK.source} DESC`,
      `${WORK.order} DESC NULLS LAST`,
    ];
    return this.#ranked(events, keys, order);
  }

  /** The first event of each combination of `columns`, in order of arrival. */
  first(events: string, columns: readonly string[]): string {
    return this.#ranked(events, columns, [`${WORK.source} ASC`, `${WORK.order} ASC NULLS FIRST`]);
  }

  /** The events that {@link first} leaves out: their columns as JSON text, `record`. */
  afterFirst(events: string, columns: readonly string[]): string {
    const order = `${WORK.source} ASC, ${WORK.order} ASC NULLS FIRST`;
    const names = this.#columns.shape.schema.fields.map((field) => this.#columns.quote(field.name));
    return `SELECT ${this.#columns.dialect.json(names)} AS record FROM (SELECT *, row_number() OVER (PARTITION BY ${this.#columns.list(columns)} ORDER BY ${order}) AS ${WORK.rank}
      FROM (${events}) AS e) AS r WHERE ${WORK.rank} > 1`;
  }

  /** How many combinations of `columns` occur more than once (`repeated`), with how many rows too many (`extra`), and all rows (`n`). */
  repeats(events: string, columns: readonly string[]): string {
    const names = this.#columns.list(columns);
    const groups = `SELECT count(*) AS size FROM (${events}) AS e GROUP BY ${names}`;
    return `SELECT count(*) FILTER (WHERE size > 1) AS repeated, sum(size) - count(*) AS extra, sum(size) AS n FROM (${groups}) AS g`;
  }

  /** Keys that occur more than once, and how many events each has. */
  repeatedKeys(events: string): string {
    const keys = this.#columns.list(this.#columns.shape.keys);
    return `SELECT ${keys}, count(*) AS ${WORK.events} FROM (${events}) AS e GROUP BY ${keys} HAVING count(*) > 1`;
  }

  /** How many events the keys of {@link repeatedKeys} have together: `n`. */
  eventsOf(repeated: string): string {
    return `SELECT sum(${WORK.events}) AS n FROM ${repeated}`;
  }

  /** Events of keys that are not in a relation. */
  ofOtherKeys(events: string, keys: string): string {
    return `SELECT e.* FROM (${events}) AS e ${this.#columns.dialect.antiJoin} ${keys} AS k ON ${this.#columns.sameKey('e', 'k')}`;
  }

  /** Smallest and largest key, as `min_0`, `max_0`, `min_1`, ... */
  keyRange(changes: string): string {
    const bounds = this.#columns.shape.keys.flatMap((name, at) => [
      `min(${this.#columns.quote(name)}) AS min_${at}`,
      `max(${this.#columns.quote(name)}) AS max_${at}`,
    ]);
    return `SELECT ${bounds.join(', ')} FROM ${changes}`;
  }

  /**
   * Live rows of the keys in `changes` with their place and a verdict: `apply` the change, `keep` the row, or `compare`
   * them because only their content can tell. `live` has keys, sequence and place.
   */
  matched(changes: string, live: string, deletesWinTies: boolean): string {
    const hasSequence = this.#columns.shape.sequence.length > 0;
    const newer = hasSequence ? this.#columns.newer('c', 't') : 'FALSE';
    const older = hasSequence ? this.#columns.newer('t', 'c') : 'FALSE';
    const tiedDelete = !hasSequence || deletesWinTies ? 'apply' : 'keep';
    const verdict = `CASE WHEN ${newer} THEN 'apply' WHEN ${older} THEN 'keep' WHEN c.${WORK.delete} THEN '${tiedDelete}' ELSE 'compare' END`;
    return `SELECT ${this.#columns.keyColumns('c')}, c.${WORK.delete}, t.${WORK.file}, t.${WORK.position}, ${verdict} AS ${WORK.verdict}
      FROM (${live}) AS t JOIN ${changes} AS c ON ${this.#columns.sameKey('t', 'c')}`;
  }

  /** Counts of verdicts, and the files where rows must be compared: `verdict`, `file`, `n`. */
  verdicts(matched: string): string {
    return `SELECT ${WORK.verdict} AS verdict, ${WORK.file} AS file, count(*) AS n FROM ${matched} GROUP BY 1, 2`;
  }

  /** A SELECT as what may stand after FROM. */
  inline(select: string): string {
    return `(${select})`;
  }

  /** Keys whose change must not be applied because the stored row is newer. */
  keptKeys(matched: string): string {
    return `SELECT ${this.#columns.keyColumns('m')} FROM ${matched} AS m WHERE m.${WORK.verdict} = 'keep'`;
  }

  /** Keys whose stored row is the change already. `live` has all columns of the schema. */
  equalKeys(changes: string, matched: string, live: string): string {
    const compared = `SELECT ${this.#columns.keyColumns('m')} FROM ${matched} AS m WHERE m.${WORK.verdict} = 'compare'`;
    return `SELECT ${this.#columns.keyColumns('c')} FROM (${live}) AS t
      JOIN (SELECT c.* FROM ${changes} AS c ${this.#columns.dialect.semiJoin} (${compared}) AS m ON ${this.#columns.sameKey('c', 'm')}) AS c
      ON ${this.#columns.sameKey('t', 'c')} WHERE ${this.#columns.sameRow('t', 'c')}`;
  }

  /** Keys whose change is older than a tombstone; at equal sequences an upsert is not, and a delete is what we know already. */
  buriedKeys(changes: string, tombstones: string, deletesWinTies: boolean): string {
    const known = deletesWinTies ? '' : ` OR (c.${WORK.delete} AND NOT ${this.#columns.newer('c', 'd')})`;
    return `SELECT ${this.#columns.keyColumns('c')} FROM ${changes} AS c ${this.#columns.dialect.semiJoin} (${tombstones}) AS d
      ON ${this.#columns.sameKey('c', 'd')} AND (${this.#columns.newer('d', 'c')}${known})`;
  }

  /** Deletes that became effective and are not known yet: new tombstones. */
  newTombstones(changes: string, stale: string | null, tombstones: string | null): string {
    const effective = this.#effective(
      changes,
      stale,
      this.#columns.named(this.deleteSchema.fields, 'c'),
      `c.${WORK.delete}`,
    );
    if (tombstones === null) return effective;
    return `SELECT c.* FROM (${effective}) AS c ${this.#columns.dialect.antiJoin} (${tombstones}) AS d ON ${this.#columns.sameKey('c', 'd')} AND NOT ${this.#columns.newer('c', 'd')}`;
  }

  /** The newest tombstone of each key, with its other columns. */
  newestTombstones(tombstones: string, others: readonly string[]): string {
    const {keys} = this.#columns.shape;
    const names = [...this.deleteSchema.fields.map(({name}) => name), ...others];
    const order = this.#columns.bySequence('DESC');
    return `SELECT ${this.#columns.list(names)} FROM (SELECT *, row_number() OVER (PARTITION BY ${this.#columns.list(keys)} ORDER BY ${order.join(', ')}) AS ${WORK.rank}
      FROM (${tombstones}) AS d) AS r WHERE r.${WORK.rank} = 1`;
  }

  /** Rows that the batch adds, or those of them for which a condition like {@link inRanges} is true. */
  upserts(changes: string, stale: string | null, condition: string | null = null): string {
    const where = condition === null ? '' : ` AND ${condition}`;
    return this.#effective(changes, stale, this.#columns.all('c'), `NOT c.${WORK.delete}${where}`);
  }

  /** True for changes whose events are in one of several ranges. */
  inRanges(ranges: readonly EventRange[]): string {
    const conditions = ranges.map(({source, orders}) =>
      orders === null
        ? `c.${WORK.source} = ${source}`
        : `c.${WORK.source} = ${source} AND coalesce(c.${WORK.order} >= ${orders[0]} AND c.${WORK.order} < ${orders[1]}, FALSE)`,
    );
    return `(${conditions.join(' OR ')})`;
  }

  /** How many rows the batch adds of each range of events: `n_0`, `n_1`, ... */
  countsOfRanges(changes: string, stale: string | null, ranges: readonly EventRange[]): string {
    const counts = ranges.map((range, at) => `count(*) FILTER (WHERE ${this.inRanges([range])}) AS n_${at}`);
    return this.#effective(changes, stale, counts.join(', '), `NOT c.${WORK.delete}`);
  }

  /** Places of stored rows that the batch takes away. */
  touched(matched: string, stale: string | null): string {
    return `SELECT m.${WORK.file}, m.${WORK.position} FROM ${this.#without(matched, 'm', stale)}`;
  }

  /** What the batch does: `events`, `upserts` (rows to add), `updated`, `deleted` (keys). */
  summary(changes: string, matched: string, stale: string | null): string {
    const removed = `SELECT DISTINCT ${this.#columns.keyColumns('m')}, m.${WORK.delete} FROM ${this.#without(matched, 'm', stale)}`;
    return `SELECT (SELECT sum(${WORK.events}) FROM ${changes}) AS events,
      (SELECT count(*) FROM (${this.upserts(changes, stale)}) AS u) AS upserts,
      (SELECT count(*) FROM (${removed}) AS r WHERE NOT ${WORK.delete}) AS updated,
      (SELECT count(*) FROM (${removed}) AS r WHERE ${WORK.delete}) AS deleted`;
  }

  /** Rows of files without those at the places of `touched`. `live` has all columns and places. */
  survivors(live: string, touched: string): string {
    return `SELECT ${this.#columns.all('t')} FROM (${live}) AS t ${this.#columns.dialect.antiJoin} ${touched} AS d ON t.${WORK.file} = d.${WORK.file} AND t.${WORK.position} = d.${WORK.position}`;
  }

  /** Files that have places, and how many: `file`, `n`, by file. */
  touchedFiles(touched: string): string {
    return `SELECT ${WORK.file} AS file, count(*) AS n FROM ${touched} GROUP BY ${WORK.file} ORDER BY ${WORK.file}`;
  }

  /** Positions by file and position: `pos`. Where a file ends {@link touchedFiles} tells, so that no row repeats its name. */
  positions(touched: string): string {
    return `SELECT CAST(${WORK.position} AS INTEGER) AS pos FROM ${touched} ORDER BY ${WORK.file}, ${WORK.position}`;
  }

  /** Rows that are upserts or deletes of a work table of {@link newest}'s or {@link first}'s form. */
  upsertRows(changes: string): string {
    return `SELECT ${this.#columns.all('c')} FROM ${changes} AS c WHERE NOT c.${WORK.delete}`;
  }

  /** See {@link upsertRows}: keys and sequence. */
  deleteRows(changes: string): string {
    return `SELECT ${this.#columns.named(this.deleteSchema.fields, 'c')} FROM ${changes} AS c WHERE c.${WORK.delete}`;
  }

  /** How many rows a SELECT has: `n`. */
  countOf(select: string): string {
    return `SELECT count(*) AS n FROM (${select}) AS r`;
  }

  /** Live rows with the job's types: `columns` of `select`, which has them in the types of `has`; the rest NULL; and their places. */
  placed(select: string, columns: StructType, has: StructType): string {
    const stored = new Map(has.fields.map((field) => [field.name, field.type]));
    const casts = columns.fields.map((field) => {
      const type = stored.get(field.name);
      return type !== undefined && typesEqual(type, field.type)
        ? this.#columns.quote(field.name)
        : this.#columns.cast(field, type !== undefined);
    });
    return `SELECT ${[...casts, WORK.file, WORK.position].join(', ')} FROM (${select}) AS w`;
  }

  #eventsOf(sources: readonly EventSource[], isPartial: boolean): string {
    const selects = sources.flatMap((source, index) => [
      this.#normalised(source, index, isPartial),
      ...this.#oldKeys(source, index, isPartial),
    ]);
    return selects.join(' UNION ALL ');
  }

  #normalised(source: EventSource, index: number, isPartial: boolean): string {
    const wanted = source.isDelete ? new Set(this.deleteSchema.fields.map((field) => field.name)) : null;
    const columns = this.#columns.shape.schema.fields.map((field) =>
      this.#columns.cast(field, source.columns.has(field.name) && wanted?.has(field.name) !== false),
    );
    const hasOp = source.columns.has(WORK.op) && !source.isDelete;
    const isDelete = source.isDelete ? 'TRUE' : hasOp ? `coalesce(${WORK.op} = 'delete', FALSE)` : 'FALSE';
    const has = (name: string): boolean => source.columns.has(name) && !source.isDelete;
    const list = [
      ...columns,
      `${isDelete} AS ${WORK.delete}`,
      `${index} AS ${WORK.source}`,
      `${orderOf(source)} AS ${WORK.order}`,
      ...(isPartial ? this.#columns.incompleteness(has(WORK.unchanged), has(WORK.oldKey)) : []),
    ];
    const where = hasOp ? ` WHERE ${WORK.op} IS DISTINCT FROM 'truncate'` : '';
    return `SELECT ${list.join(', ')} FROM (${source.select}) AS s${index}${where}`;
  }

  /** The row of the key before an event goes with it. */
  #oldKeys(source: EventSource, index: number, isPartial: boolean): readonly string[] {
    if (!source.columns.has(WORK.oldKey) || source.isDelete) return [];
    const {schema, keys, sequence} = this.#columns.shape;
    const columns = schema.fields.map((field) =>
      keys.includes(field.name)
        ? `${this.#columns.oldKey('', field)} AS ${this.#columns.quote(field.name)}`
        : this.#columns.cast(field, sequence.includes(field.name) && source.columns.has(field.name)),
    );
    const list = [
      ...columns,
      `TRUE AS ${WORK.delete}`,
      `${index} AS ${WORK.source}`,
      `${orderOf(source)} AS ${WORK.order}`,
      ...(isPartial ? this.#columns.incompleteness(false, false) : []),
    ];
    return [`SELECT ${list.join(', ')} FROM (${source.select}) AS s${index} WHERE ${this.#columns.hasOldKey('')}`];
  }

  #ranked(events: string, columns: readonly string[], order: readonly string[]): string {
    const partition = `PARTITION BY ${this.#columns.list(columns)}`;
    return `SELECT ${this.#columns.all()}, ${WORK.delete}, ${WORK.source}, ${WORK.order}, ${WORK.events} FROM (SELECT *, row_number() OVER (${partition} ORDER BY ${order.join(', ')}) AS ${WORK.rank},
      count(*) OVER (${partition}) AS ${WORK.events} FROM (${events}) AS e) AS r WHERE ${WORK.rank} = 1`;
  }

  #effective(changes: string, stale: string | null, columns: string, condition: string): string {
    return `SELECT ${columns} FROM ${this.#without(changes, 'c', stale)} WHERE ${condition}`;
  }

  /** A relation without the rows whose key is stale. */
  #without(relation: string, alias: string, stale: string | null): string {
    if (stale === null) return `${relation} AS ${alias}`;
    return `${relation} AS ${alias} ${this.#columns.dialect.antiJoin} ${stale} AS s ON ${this.#columns.sameKey(alias, 's')}`;
  }
}

function orderOf(source: EventSource): string {
  return source.columns.has(WORK.order) ? `CAST(${WORK.order} AS BIGINT)` : 'CAST(NULL AS BIGINT)';
}
