import {isNested, typesEqual} from '../core/schema.ts';
import type {StructField, StructType} from '../core/types.ts';
import type {SqlDialect} from './sql-dialect.ts';

/** The columns that a merge works with. */
export interface MergeShape {
  readonly schema: StructType;
  readonly keys: readonly string[];
  readonly sequence: readonly string[];
}

/** A SELECT of events, with what it has beside the columns of the schema. */
export interface EventSource {
  readonly select: string;
  /** Names of its columns. */
  readonly columns: ReadonlySet<string>;
  /** All rows are deletes, and have the keys and the sequence only. */
  readonly isDelete: boolean;
}

/** Work columns; users' columns may have any other name. */
const DELETE = '__sluice_delete';
const SOURCE = '__sluice_source';
const ORDER = '__ord';
const OP = '__op';
const RANK = '__sluice_rank';
const EVENTS = '__sluice_events';
const VERDICT = '__sluice_verdict';
const HASH = '__sluice_hash';
const KIND = '__sluice_kind';
const FILE = '__file';
const POSITION = '__pos';

/**
 * The SQL of merges: every method returns one SELECT and runs nothing. It is built of SELECTs, and of what may stand after
 * FROM: a work table, or a SELECT in parentheses (`changes`, `matched`, `stale`, `touched`, `difference`). The
 * semantics of `apply` are here: which of two events of a key is newer, what a stored row stands against.
 */
export class MergeSql {
  readonly #dialect: SqlDialect;
  readonly #shape: MergeShape;

  constructor(dialect: SqlDialect, shape: MergeShape) {
    this.#dialect = dialect;
    this.#shape = shape;
  }

  /** Keys and sequence: what a delete and a tombstone have. */
  get deleteSchema(): StructType {
    const names = new Set([...this.#shape.keys, ...this.#shape.sequence]);
    return {type: 'struct', fields: this.#shape.schema.fields.filter((field) => names.has(field.name))};
  }

  /** Events of all sources with the schema's columns and types; columns that a source lacks are NULL. */
  events(sources: readonly EventSource[]): string {
    return sources.map((source, index) => this.#normalised(source, index)).join(' UNION ALL ');
  }

  /** The rows of sources without deletes: the schema's columns only. */
  rows(sources: readonly EventSource[]): string {
    return `SELECT ${this.#columns()} FROM (${this.events(sources)}) AS e WHERE NOT ${DELETE}`;
  }

  /** No row, with the schema's columns. */
  nothing(): string {
    return `SELECT ${this.#shape.schema.fields.map((field) => this.#cast(field, false)).join(', ')} WHERE FALSE`;
  }

  /** Rows as they are, when each key is in them once: in the form of {@link newest}. */
  unique(events: string): string {
    return `SELECT ${this.#columns()}, ${DELETE}, CAST(1 AS BIGINT) AS ${EVENTS} FROM (${events}) AS e`;
  }

  /** The newest event of each key: highest sequence, then upsert over delete, then the later arrival. */
  newest(events: string): string {
    const {keys, sequence} = this.#shape;
    const order = [
      ...sequence.map((name) => `${this.#quote(name)} DESC NULLS LAST`),
      ...(sequence.length === 0 ? [] : [`${DELETE} ASC`]),
      `${SOURCE} DESC`,
      `${ORDER} DESC NULLS LAST`,
    ];
    return this.#ranked(events, keys, order);
  }

  /** The first event of each combination of `columns`, in order of arrival. */
  first(events: string, columns: readonly string[]): string {
    return this.#ranked(events, columns, [`${SOURCE} ASC`, `${ORDER} ASC NULLS FIRST`]);
  }

  /** The events that {@link first} leaves out: their columns as JSON text, `record`. */
  afterFirst(events: string, columns: readonly string[]): string {
    const order = `${SOURCE} ASC, ${ORDER} ASC NULLS FIRST`;
    const names = this.#shape.schema.fields.map((field) => this.#quote(field.name));
    return `SELECT ${this.#dialect.json(names)} AS record FROM (SELECT *, row_number() OVER (PARTITION BY ${this.#list(columns)} ORDER BY ${order}) AS ${RANK}
      FROM (${events}) AS e) AS r WHERE ${RANK} > 1`;
  }

  /** How many combinations of `columns` occur more than once (`repeated`), with how many rows too many (`extra`), and all rows (`n`). */
  repeats(events: string, columns: readonly string[]): string {
    const names = this.#list(columns);
    const groups = `SELECT count(*) AS size FROM (${events}) AS e GROUP BY ${names}`;
    return `SELECT count(*) FILTER (WHERE size > 1) AS repeated, sum(size) - count(*) AS extra, sum(size) AS n FROM (${groups}) AS g`;
  }

  /** Smallest and largest key, as `min_0`, `max_0`, `min_1`, ... */
  keyRange(changes: string): string {
    const bounds = this.#shape.keys.flatMap((name, at) => [
      `min(${this.#quote(name)}) AS min_${at}`,
      `max(${this.#quote(name)}) AS max_${at}`,
    ]);
    return `SELECT ${bounds.join(', ')} FROM ${changes}`;
  }

  /**
   * Live rows of the keys in `changes` with their place and a verdict: `apply` the change, `keep` the row, or `compare`
   * them because only their content can tell. `live` has keys, sequence and place.
   */
  matched(changes: string, live: string, deletesWinTies: boolean): string {
    const hasSequence = this.#shape.sequence.length > 0;
    const newer = hasSequence ? this.#newer('c', 't') : 'FALSE';
    const older = hasSequence ? this.#newer('t', 'c') : 'FALSE';
    const tiedDelete = !hasSequence || deletesWinTies ? 'apply' : 'keep';
    const verdict = `CASE WHEN ${newer} THEN 'apply' WHEN ${older} THEN 'keep' WHEN c.${DELETE} THEN '${tiedDelete}' ELSE 'compare' END`;
    return `SELECT ${this.#keyColumns('c')}, c.${DELETE}, t.${FILE}, t.${POSITION}, ${verdict} AS ${VERDICT}
      FROM (${live}) AS t JOIN ${changes} AS c ON ${this.#sameKey('t', 'c')}`;
  }

  /** Counts of verdicts, and the files where rows must be compared: `verdict`, `file`, `n`. */
  verdicts(matched: string): string {
    return `SELECT ${VERDICT} AS verdict, ${FILE} AS file, count(*) AS n FROM ${matched} GROUP BY 1, 2`;
  }

  /** A SELECT as what may stand after FROM. */
  inline(select: string): string {
    return `(${select})`;
  }

  /** Keys whose change must not be applied because the stored row is newer. */
  keptKeys(matched: string): string {
    return `SELECT ${this.#keyColumns('m')} FROM ${matched} AS m WHERE m.${VERDICT} = 'keep'`;
  }

  /** Keys whose stored row is the change already. `live` has all columns of the schema. */
  equalKeys(changes: string, matched: string, live: string): string {
    const compared = `SELECT ${this.#keyColumns('m')} FROM ${matched} AS m WHERE m.${VERDICT} = 'compare'`;
    return `SELECT ${this.#keyColumns('c')} FROM (${live}) AS t
      JOIN (SELECT c.* FROM ${changes} AS c ${this.#dialect.semiJoin} (${compared}) AS m ON ${this.#sameKey('c', 'm')}) AS c
      ON ${this.#sameKey('t', 'c')} WHERE ${this.#sameRow('t', 'c')}`;
  }

  /** Keys whose change is older than a tombstone; at equal sequences an upsert is not, and a delete is what we know already. */
  buriedKeys(changes: string, tombstones: string, deletesWinTies: boolean): string {
    const known = deletesWinTies ? '' : ` OR (c.${DELETE} AND NOT ${this.#newer('c', 'd')})`;
    return `SELECT ${this.#keyColumns('c')} FROM ${changes} AS c ${this.#dialect.semiJoin} (${tombstones}) AS d
      ON ${this.#sameKey('c', 'd')} AND (${this.#newer('d', 'c')}${known})`;
  }

  /** Deletes that became effective and are not known yet: new tombstones. */
  newTombstones(changes: string, stale: string | null, tombstones: string | null): string {
    const effective = this.#effective(changes, stale, this.#named(this.deleteSchema.fields, 'c'), `c.${DELETE}`);
    if (tombstones === null) return effective;
    return `SELECT c.* FROM (${effective}) AS c ${this.#dialect.antiJoin} (${tombstones}) AS d ON ${this.#sameKey('c', 'd')} AND NOT ${this.#newer('c', 'd')}`;
  }

  /** The newest tombstone of each key. */
  newestTombstones(tombstones: string): string {
    const {keys, sequence} = this.#shape;
    const order = sequence.map((name) => `${this.#quote(name)} DESC NULLS LAST`);
    return `SELECT ${this.#named(this.deleteSchema.fields, 'r')} FROM (SELECT *, row_number() OVER (PARTITION BY ${this.#list(keys)} ORDER BY ${order.join(', ')}) AS ${RANK}
      FROM (${tombstones}) AS d) AS r WHERE r.${RANK} = 1`;
  }

  /** Rows that the batch adds. */
  upserts(changes: string, stale: string | null): string {
    return this.#effective(changes, stale, this.#columns('c'), `NOT c.${DELETE}`);
  }

  /** Places of stored rows that the batch takes away. */
  touched(matched: string, stale: string | null): string {
    return `SELECT m.${FILE}, m.${POSITION} FROM ${this.#without(matched, 'm', stale)}`;
  }

  /** What the batch does: `events`, `upserts` (rows to add), `updated`, `deleted` (keys). */
  summary(changes: string, matched: string, stale: string | null): string {
    const removed = `SELECT DISTINCT ${this.#keyColumns('m')}, m.${DELETE} FROM ${this.#without(matched, 'm', stale)}`;
    return `SELECT (SELECT sum(${EVENTS}) FROM ${changes}) AS events,
      (SELECT count(*) FROM (${this.upserts(changes, stale)}) AS u) AS upserts,
      (SELECT count(*) FROM (${removed}) AS r WHERE NOT ${DELETE}) AS updated,
      (SELECT count(*) FROM (${removed}) AS r WHERE ${DELETE}) AS deleted`;
  }

  /** Rows of files without those at the places of `touched`. `live` has all columns and places. */
  survivors(live: string, touched: string): string {
    return `SELECT ${this.#columns('t')} FROM (${live}) AS t ${this.#dialect.antiJoin} ${touched} AS d ON t.${FILE} = d.${FILE} AND t.${POSITION} = d.${POSITION}`;
  }

  /** Files that have places, and how many: `file`, `n`, by file. */
  touchedFiles(touched: string): string {
    return `SELECT ${FILE} AS file, count(*) AS n FROM ${touched} GROUP BY ${FILE} ORDER BY ${FILE}`;
  }

  /** Positions by file and position: `pos`. Where a file ends {@link touchedFiles} tells, so that no row repeats its name. */
  positions(touched: string): string {
    return `SELECT CAST(${POSITION} AS INTEGER) AS pos FROM ${touched} ORDER BY ${FILE}, ${POSITION}`;
  }

  /**
   * How stored rows differ from the rows that are to be: one row per key that does, with `insert`, `update` or `delete`
   * and the place of the stored row. Rows are compared by a 64-bit hash of all columns.
   */
  difference(rows: string, live: string): string {
    const hash = this.#rowHash();
    const keys = this.#shape.keys.map((name) => this.#quote(name));
    const on = keys.map((key) => `n.${key} IS NOT DISTINCT FROM t.${key}`).join(' AND ');
    const kind = `CASE WHEN t.${HASH} IS NULL THEN 'insert' WHEN n.${HASH} IS NULL THEN 'delete' ELSE 'update' END`;
    return `SELECT ${keys.map((key) => `n.${key}`).join(', ')}, t.${FILE}, t.${POSITION}, ${kind} AS ${KIND}
      FROM (SELECT ${keys.join(', ')}, ${hash} AS ${HASH} FROM (${rows}) AS r) AS n
      FULL JOIN (SELECT ${keys.join(', ')}, ${FILE}, ${POSITION}, ${hash} AS ${HASH} FROM (${live}) AS l) AS t
      ON ${on} WHERE n.${HASH} IS DISTINCT FROM t.${HASH}`;
  }

  /** `kind` and `n` of a difference. */
  differenceCounts(difference: string): string {
    return `SELECT ${KIND} AS kind, count(*) AS n FROM ${difference} GROUP BY 1`;
  }

  /** Rows that a difference adds or rewrites. */
  differentRows(rows: string, difference: string): string {
    const on = this.#shape.keys
      .map((key) => `r.${this.#quote(key)} IS NOT DISTINCT FROM d.${this.#quote(key)}`)
      .join(' AND ');
    return `SELECT ${this.#columns('r')} FROM (${rows}) AS r ${this.#dialect.semiJoin} (SELECT * FROM ${difference} WHERE ${KIND} <> 'delete') AS d ON ${on}`;
  }

  /** Places of stored rows that a difference takes away. */
  differentPlaces(difference: string): string {
    return `SELECT ${FILE}, ${POSITION} FROM ${difference} WHERE ${KIND} <> 'insert'`;
  }

  /** A count and fingerprint of rows whatever their order: equal when the rows are. `n`, `fingerprint`. */
  fingerprint(rows: string): string {
    const hash = this.#rowHash();
    return `SELECT count(*) AS n, ${this.#dialect.fingerprint(hash)} AS fingerprint FROM (${rows}) AS r`;
  }

  /** Rows that are upserts or deletes of a work table of {@link newest}'s or {@link first}'s form. */
  upsertRows(changes: string): string {
    return `SELECT ${this.#columns('c')} FROM ${changes} AS c WHERE NOT c.${DELETE}`;
  }

  /** See {@link upsertRows}: keys and sequence. */
  deleteRows(changes: string): string {
    return `SELECT ${this.#named(this.deleteSchema.fields, 'c')} FROM ${changes} AS c WHERE c.${DELETE}`;
  }

  /** Rows of an append-only batch without those known at the last cursor. `tail` has `columns`. */
  unknown(events: string, tail: string, columns: readonly string[]): string {
    const on = columns
      .map((name) => `e.${this.#quote(name)} IS NOT DISTINCT FROM k.${this.#quote(name)}`)
      .join(' AND ');
    return `SELECT e.* FROM (${events}) AS e ${this.#dialect.antiJoin} (${tail}) AS k ON ${on}`;
  }

  /** Of several SELECTs the rows at the largest cursor, and those without a cursor, which every run reads again: `columns` of them. */
  tail(rows: readonly string[], columns: readonly string[], cursor: string): string {
    const [name, names] = [this.#quote(cursor), this.#list(columns)];
    const all = rows.map((select, at) => `SELECT ${names} FROM (${select}) AS r${at}`).join(' UNION ALL ');
    return `SELECT DISTINCT ${names} FROM (${all}) AS a WHERE ${name} IS NULL OR ${name} = (SELECT max(${name}) FROM (${all}) AS m)`;
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
        ? this.#quote(field.name)
        : this.#cast(field, type !== undefined);
    });
    return `SELECT ${[...casts, FILE, POSITION].join(', ')} FROM (${select}) AS w`;
  }

  #normalised(source: EventSource, index: number): string {
    const wanted = source.isDelete ? new Set(this.deleteSchema.fields.map((field) => field.name)) : null;
    const columns = this.#shape.schema.fields.map((field) =>
      this.#cast(field, source.columns.has(field.name) && wanted?.has(field.name) !== false),
    );
    const isDelete = source.isDelete ? 'TRUE' : source.columns.has(OP) ? `coalesce(${OP} = 'delete', FALSE)` : 'FALSE';
    const order = source.columns.has(ORDER) ? `CAST(${ORDER} AS BIGINT)` : 'CAST(NULL AS BIGINT)';
    return `SELECT ${columns.join(', ')}, ${isDelete} AS ${DELETE}, ${index} AS ${SOURCE}, ${order} AS ${ORDER} FROM (${source.select}) AS s${index}`;
  }

  #ranked(events: string, columns: readonly string[], order: readonly string[]): string {
    const partition = `PARTITION BY ${this.#list(columns)}`;
    return `SELECT ${this.#columns()}, ${DELETE}, ${EVENTS} FROM (SELECT *, row_number() OVER (${partition} ORDER BY ${order.join(', ')}) AS ${RANK},
      count(*) OVER (${partition}) AS ${EVENTS} FROM (${events}) AS e) AS r WHERE ${RANK} = 1`;
  }

  #effective(changes: string, stale: string | null, columns: string, condition: string): string {
    return `SELECT ${columns} FROM ${this.#without(changes, 'c', stale)} WHERE ${condition}`;
  }

  /** A relation without the rows whose key is stale. */
  #without(relation: string, alias: string, stale: string | null): string {
    if (stale === null) return `${relation} AS ${alias}`;
    return `${relation} AS ${alias} ${this.#dialect.antiJoin} ${stale} AS s ON ${this.#sameKey(alias, 's')}`;
  }

  /** True when the sequence of `left` is higher than that of `right`: column by column, NULL lowest. Never NULL. */
  #newer(left: string, right: string): string {
    return this.#shape.sequence.reduceRight((rest, name) => {
      const [l, r] = [`${left}.${this.#quote(name)}`, `${right}.${this.#quote(name)}`];
      const higher = `coalesce(${l} > ${r}, ${l} IS NOT NULL AND ${r} IS NULL)`;
      return rest === '' ? higher : `(${higher} OR (${l} IS NOT DISTINCT FROM ${r} AND ${rest}))`;
    }, '');
  }

  #sameKey(left: string, right: string): string {
    return this.#shape.keys.map((name) => `${left}.${this.#quote(name)} = ${right}.${this.#quote(name)}`).join(' AND ');
  }

  #sameRow(left: string, right: string): string {
    const keys = new Set(this.#shape.keys);
    const others = this.#shape.schema.fields
      .filter((field) => !keys.has(field.name))
      .map((field) => this.#quote(field.name));
    return others.length === 0
      ? 'TRUE'
      : others.map((name) => `${left}.${name} IS NOT DISTINCT FROM ${right}.${name}`).join(' AND ');
  }

  #keyColumns(alias: string): string {
    return this.#shape.keys.map((name) => `${alias}.${this.#quote(name)}`).join(', ');
  }

  #rowHash(): string {
    const values = this.#shape.schema.fields.flatMap((field) => {
      const name = this.#quote(field.name);
      // The engine's hash of an empty list is that of NULL, and that of a struct of NULLs, too; their texts differ.
      return isNested(field.type) ? [name, `CAST(${name} AS VARCHAR)`] : [name];
    });
    return this.#dialect.hash(values);
  }

  #columns(alias?: string): string {
    return this.#named(this.#shape.schema.fields, alias);
  }

  #named(fields: readonly StructField[], alias?: string): string {
    return fields
      .map((field) => (alias === undefined ? this.#quote(field.name) : `${alias}.${this.#quote(field.name)}`))
      .join(', ');
  }

  #list(names: readonly string[]): string {
    return names.map((name) => this.#quote(name)).join(', ');
  }

  #cast(field: StructField, present: boolean): string {
    const name = this.#quote(field.name);
    return `CAST(${present ? name : 'NULL'} AS ${this.#dialect.type(field.type)}) AS ${name}`;
  }

  #quote(name: string): string {
    return this.#dialect.quote(name);
  }
}
