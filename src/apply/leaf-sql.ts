import type {StructField, StructType} from '../core/types.ts';
import {type ColumnSql, WORK} from './column-sql.ts';
import {leafPaths, ofLeaves} from './leaves.ts';

/** The leaf that an entry of authors speaks of, as a path. */
const LEAF_COLUMN = '__sluice_leaf';

/** Work columns; users' columns may have any other name. */
const LEAF = '__sluice_l';
const AUTHOR = '__sluice_a';
const REST = '__sluice_rest';
const PLACE = '__sluice_place';
const GONE_AT = '__sluice_gone_at';
const DELETED = '__sluice_deleted';
const ALIVE = '__sluice_alive';
const BARRED = '__sluice_barred';

/** A value in which NULL says nothing: a column, or a field of one that is a struct. */
interface Leaf {
  readonly at: number;
  /** As in SQL, after an alias. */
  readonly sql: string;
  /** Names from the column on, told apart whatever they hold. */
  readonly path: string;
}

/**
 * The SQL of upserts whose NULLs say nothing. Each leaf of these columns has an author: the newest upsert that gave it a
 * value. A delete is the author of NULL for all leaves: what older upserts gave is gone. All other columns are those of the
 * newest upsert. So a row depends on which events there were, and not on when they came. Every method returns one SELECT;
 * relations are what may stand after FROM.
 */
export class LeafSql {
  readonly #columns: ColumnSql;
  readonly #fields: readonly StructField[];
  readonly #leaves: readonly Leaf[];
  readonly #deletesWinTies: boolean;

  constructor(columns: ColumnSql, ignoreNullColumns: readonly string[], deletesWinTies: boolean) {
    this.#columns = columns;
    const {schema, keys, sequence} = columns.shape;
    this.#fields = schema.fields.filter(
      ({name}) => ignoreNullColumns.includes(name) && !keys.includes(name) && !sequence.includes(name),
    );
    const paths = this.#fields.flatMap((field) => leafPaths(field));
    this.#leaves = paths.map((path, at) => ({
      at,
      sql: path.map((name) => columns.quote(name)).join('.'),
      path: JSON.stringify(path),
    }));
    this.#deletesWinTies = deletesWinTies;
  }

  /** Schema of entries of authors: key, leaf, and the sequence of its author. */
  get authorSchema(): StructType {
    const leaf: StructField = {name: LEAF_COLUMN, type: 'string', nullable: false, metadata: {}};
    const {oldKeyType, sequenceFields} = this.#columns;
    return {type: 'struct', fields: [...oldKeyType.fields, ...sequenceFields, leaf]};
  }

  /** The newest entry of each key and leaf, without those that the watermark bars. */
  newestAuthors(entries: string, watermark: string | null): string {
    const names = this.#columns.named(this.authorSchema.fields, 'r');
    const order = this.#columns.bySequence('DESC').join(', ');
    const newest = `SELECT ${names} FROM (SELECT *, row_number() OVER (PARTITION BY ${this.#keys()}, ${LEAF_COLUMN} ORDER BY ${order}) AS ${WORK.rank}
      FROM (${entries}) AS a) AS r WHERE r.${WORK.rank} = 1`;
    if (watermark === null) return newest;
    return `SELECT ${names} FROM (${newest}) AS r, ${watermark} AS w WHERE NOT ${this.#columns.newer('w', 'r')}`;
  }

  /** Keys of the events, and those that have a leaf whose author the watermark bars. */
  keys(events: string, entries: string | null, watermark: string | null): string {
    const ofEvents = `SELECT ${this.#columns.keyColumns('e')} FROM ${events} AS e`;
    if (entries === null || watermark === null) return `SELECT DISTINCT ${this.#keys()} FROM (${ofEvents}) AS k`;
    return `${ofEvents} UNION SELECT ${this.#columns.keyColumns('r')} FROM (${this.newestAuthors(entries, null)}) AS r, ${watermark} AS w WHERE ${this.#columns.newer('w', 'r')}`;
  }

  /** Known authors by key, a column for each leaf: the author's sequence as a struct. */
  authors(keys: string, entries: string): string {
    const {dialect} = this.#columns;
    const wide = this.#leaves.map(
      ({at, path}) =>
        `any_value(${this.#packed('r')}) FILTER (WHERE r.${LEAF_COLUMN} = ${dialect.text(path)}) AS ${AUTHOR}${at}`,
    );
    const ofKeys = `SELECT a.* FROM (${entries}) AS a ${dialect.semiJoin} ${keys} AS k ON ${this.#columns.sameKey('a', 'k')}`;
    return `SELECT ${[this.#columns.keyColumns('r'), ...wide].join(', ')} FROM (${this.newestAuthors(ofKeys, null)}) AS r GROUP BY ${this.#columns.keyColumns('r')}`;
  }

  /**
   * What a batch says of each of its keys: whether a row is left, the columns of its newest upsert, the leaves with their
   * authors, and its newest delete. Upserts that a tombstone bars say nothing.
   */
  said(events: string, tombstones: string | null): string {
    const {dialect, shape} = this.#columns;
    const hasSequence = shape.sequence.length > 0;
    const order = [
      ...this.#columns.bySequence('ASC'),
      ...(hasSequence ? [`${WORK.delete} ${this.#deletesWinTies ? 'ASC' : 'DESC'}`] : []),
      WORK.source,
      `${WORK.order} ASC NULLS FIRST`,
    ];
    const barred =
      tombstones === null || !hasSequence
        ? `SELECT e.*, FALSE AS ${BARRED} FROM ${events} AS e`
        : `SELECT e.*, d.${DELETED} IS NOT NULL AND NOT e.${WORK.delete} AND ${this.#columns.newer(`d.${DELETED}`, 'e')} AS ${BARRED}
           FROM ${events} AS e LEFT JOIN ${tombstones} AS d ON ${this.#columns.sameKey('e', 'd')}`;
    const numbered = `SELECT *, row_number() OVER (PARTITION BY ${this.#keys()} ORDER BY ${order.join(', ')}) AS ${PLACE} FROM (${barred}) AS b`;
    const lives = `SELECT *, coalesce(max(CASE WHEN ${WORK.delete} THEN ${PLACE} END) OVER (PARTITION BY ${this.#keys()}), 0) AS ${GONE_AT} FROM (${numbered}) AS n`;
    const counts = `NOT ${WORK.delete} AND NOT ${BARRED} AND ${PLACE} > ${GONE_AT}`;
    const leaves = this.#leaves.flatMap(({at, sql}) => [
      `${dialect.newest(sql, PLACE, counts)} AS ${LEAF}${at}`,
      `${dialect.newest(this.#packed('f'), PLACE, `${counts} AND ${sql} IS NOT NULL`)} AS ${AUTHOR}${at}`,
    ]);
    return `SELECT ${this.#columns.keyColumns('f')}, ${dialect.newest(this.#restOf('f'), PLACE, counts)} AS ${REST}, count(*) AS ${WORK.events},
      ${dialect.newest(this.#packed('f'), PLACE, WORK.delete)} AS ${DELETED}, ${leaves.join(', ')}
      FROM (${lives}) AS f GROUP BY ${this.#columns.keyColumns('f')}`;
  }

  /** The newest tombstone of each of the keys, as a struct. */
  tombstones(keys: string, tombstones: string): string {
    const {dialect} = this.#columns;
    const ranked = `SELECT d.*, row_number() OVER (PARTITION BY ${this.#columns.keyColumns('d')} ORDER BY ${this.#columns.bySequence('DESC').join(', ')}) AS ${WORK.rank}
      FROM (${tombstones}) AS d ${dialect.semiJoin} ${keys} AS k ON ${this.#columns.sameKey('d', 'k')}`;
    return `SELECT ${this.#columns.keyColumns('r')}, ${this.#packed('r')} AS ${DELETED} FROM (${ranked}) AS r WHERE r.${WORK.rank} = 1`;
  }

  /**
   * What becomes of each key: its row with the authors of its leaves, alive or not.
   * @param parts relations of {@link keys}, {@link said}, stored rows, {@link authors}, {@link tombstones} and of the watermark.
   */
  rows(parts: {
    readonly keys: string;
    readonly said: string;
    readonly stored: string;
    readonly authors: string | null;
    readonly tombstones: string | null;
    readonly watermark: string | null;
  }): string {
    const {said, authors, tombstones, watermark} = parts;
    const key = (alias: string): string => `ON ${this.#columns.sameKey('k', alias)}`;
    const joins = [
      `${parts.keys} AS k LEFT JOIN ${said} AS s ${key('s')} LEFT JOIN (${this.#onePerKey(parts.stored)}) AS t ${key('t')}`,
      authors === null ? '' : `LEFT JOIN ${authors} AS a ${key('a')}`,
      tombstones === null ? '' : `LEFT JOIN ${tombstones} AS d ${key('d')}`,
      watermark === null ? '' : `CROSS JOIN ${watermark} AS w`,
    ];
    const deletes = [
      `s.${DELETED}`,
      ...(tombstones === null ? [] : [`d.${DELETED}`]),
      ...(watermark === null ? [] : [this.#packed('w')]),
    ];
    const columns = this.#columns.shape.keys.map((name) => `k.${this.#columns.quote(name)}`);
    const known = this.#leaves.flatMap(({at, sql}) => [
      `s.${LEAF}${at} AS said_l${at}, s.${AUTHOR}${at} AS said_a${at}, t.${sql} AS stored_l${at}`,
      `${authors === null ? this.#noSequence() : `a.${AUTHOR}${at}`} AS entry${at}`,
    ]);
    const joined = `SELECT ${columns.join(', ')}, s.${REST} AS said_rest, coalesce(s.${WORK.events}, 0) AS ${WORK.events}, s.${DELETED} AS said_deleted,
      ${this.#newestOf(deletes)} AS ${DELETED}, t.${WORK.file} IS NOT NULL AS is_stored, ${this.#packed('t')} AS stored_at,
      ${this.#restOf('t')} AS stored_rest,
      ${known.join(', ')} FROM ${joins.join(' ')}`;
    return this.#decided(joined);
  }

  /** The rows that are to be, of {@link rows}. */
  alive(rows: string): string {
    return `SELECT ${this.#columns.all('r')} FROM ${rows} AS r WHERE r.${ALIVE}`;
  }

  /** Keys whose stored row is what it is to be. `stored` has all columns. */
  equal(rows: string, stored: string): string {
    return `SELECT ${this.#columns.keyColumns('r')} FROM ${rows} AS r JOIN ${stored} AS t ON ${this.#columns.sameKey('r', 't')}
      WHERE r.${ALIVE} AND ${this.#columns.sameRow('r', 't')}`;
  }

  /** What a batch does: `events`, `upserts` (rows to add), `updated`, `deleted` (keys). */
  summary(rows: string, equal: string): string {
    const {dialect} = this.#columns;
    const changed = `SELECT r.${ALIVE}, r.is_stored FROM ${rows} AS r ${dialect.antiJoin} ${equal} AS q ON ${this.#columns.sameKey('r', 'q')}`;
    return `SELECT (SELECT sum(${WORK.events}) FROM ${rows}) AS events, count(*) FILTER (WHERE ${ALIVE}) AS upserts,
      count(*) FILTER (WHERE ${ALIVE} AND is_stored) AS updated, count(*) FILTER (WHERE NOT ${ALIVE} AND is_stored) AS deleted FROM (${changed}) AS c`;
  }

  /** Rows to add. */
  upserts(rows: string, equal: string): string {
    return `SELECT ${this.#columns.all('r')} FROM ${rows} AS r ${this.#columns.dialect.antiJoin} ${equal} AS q ON ${this.#columns.sameKey('r', 'q')} WHERE r.${ALIVE}`;
  }

  /** Places of stored rows that are not what they are to be. */
  touched(stored: string, equal: string): string {
    return `SELECT t.${WORK.file}, t.${WORK.position} FROM ${stored} AS t ${this.#columns.dialect.antiJoin} ${equal} AS q ON ${this.#columns.sameKey('t', 'q')}`;
  }

  /** Deletes of the batch that are not known yet, whether they took a row away or not: they bar leaves, too. */
  newTombstones(rows: string, tombstones: string | null): string {
    const columns = this.#columns.deleteSchema.fields.map((field) => {
      const name = this.#columns.quote(field.name);
      return this.#columns.shape.keys.includes(field.name) ? `r.${name}` : `r.said_deleted.${name} AS ${name}`;
    });
    const known = tombstones === null ? '' : ` LEFT JOIN ${tombstones} AS d ON ${this.#columns.sameKey('r', 'd')}`;
    const isNews =
      tombstones === null ? '' : ` AND (d.${DELETED} IS NULL OR ${this.#newer('r.said_deleted', `d.${DELETED}`)})`;
    return `SELECT ${columns.join(', ')} FROM ${rows} AS r${known} WHERE r.said_deleted IS NOT NULL${isNews}`;
  }

  /** Entries of authors to write: of leaves whose author is not that of the row, and of those that had an entry. */
  newAuthors(rows: string): string {
    const own = this.#packed('r');
    const entries = this.#leaves.map(({at, path}) => {
      const author = `r.${AUTHOR}${at}`;
      const isNews = `CASE WHEN r.entry${at} IS NULL THEN ${author} IS DISTINCT FROM ${own} ELSE r.entry${at} IS DISTINCT FROM ${author} END`;
      return this.#columns.dialect.struct([
        ['leaf', this.#columns.dialect.text(path)],
        ['author', author],
        ['news', `${author} IS NOT NULL AND ${isNews}`],
      ]);
    });
    const exploded = `SELECT ${this.#columns.keyColumns('r')}, ${this.#columns.dialect.unnest(`[${entries.join(', ')}]`)} AS entry FROM ${rows} AS r WHERE r.${ALIVE}`;
    const sequence = this.#columns.sequenceFields.map(
      (field) => `x.entry.author.${this.#columns.quote(field.name)} AS ${this.#columns.quote(field.name)}`,
    );
    return `SELECT ${[this.#columns.keyColumns('x'), ...sequence, `x.entry.leaf AS ${LEAF_COLUMN}`].join(', ')} FROM (${exploded}) AS x WHERE x.entry.news`;
  }

  /** Which of batch and table wins each part of a row. */
  #decided(joined: string): string {
    const isGone = (at: string): string => `j.${DELETED} IS NOT NULL AND ${this.#deletes(`j.${DELETED}`, at)}`;
    const storedLives = `(j.is_stored AND NOT (${isGone('j.stored_at')}))`;
    const saidWins = `(j.said_rest IS NOT NULL AND (NOT ${storedLives} OR NOT ${this.#newer('j.stored_at', 'j.said_rest')}))`;
    const rest = `CASE WHEN ${saidWins} THEN j.said_rest WHEN ${storedLives} THEN j.stored_rest END`;
    const leaves = this.#leaves.flatMap(({at}) => {
      // Without an entry the row itself is the author of what it has.
      const author = `coalesce(j.entry${at}, j.stored_at)`;
      const isThere = `(${storedLives} AND j.stored_l${at} IS NOT NULL AND NOT (${isGone(author)}))`;
      const isSaid = `(j.said_l${at} IS NOT NULL AND (NOT ${isThere} OR NOT ${this.#newer(author, `j.said_a${at}`)}))`;
      const choose = (said: string, stored: string): string =>
        `CASE WHEN ${isSaid} THEN ${said} WHEN ${isThere} THEN ${stored} END`;
      return [
        `${choose(`j.said_l${at}`, `j.stored_l${at}`)} AS ${LEAF}${at}`,
        `${choose(`j.said_a${at}`, author)} AS ${AUTHOR}${at}`,
        `j.entry${at}`,
      ];
    });
    const keys = this.#columns.keyColumns('j');
    const decided = `SELECT ${keys}, ${WORK.events}, said_deleted, is_stored, ${rest} AS ${REST}, ${leaves.join(', ')} FROM (${joined}) AS j`;
    const columns = this.#columns.shape.schema.fields.map(
      (field) => `${this.#built(field)} AS ${this.#columns.quote(field.name)}`,
    );
    const authors = this.#leaves.map(({at}) => `c.${AUTHOR}${at}, c.entry${at}`);
    return `SELECT ${[...columns, ...authors].join(', ')}, c.${WORK.events}, c.said_deleted, c.is_stored, c.${REST} IS NOT NULL AS ${ALIVE} FROM (${decided}) AS c`;
  }

  /** A column of the row, put together of its leaves where NULLs in it say nothing. */
  #built(field: StructField): string {
    const name = this.#columns.quote(field.name);
    if (this.#columns.shape.keys.includes(field.name)) return `c.${name}`;
    if (!this.#fields.some((ignored) => ignored.name === field.name)) return `c.${REST}.${name}`;
    return ofLeaves(this.#columns.dialect, field, (path) => {
      const leaf = this.#leaves.find((candidate) => candidate.path === JSON.stringify(path));
      return `c.${LEAF}${leaf?.at ?? 0}`;
    });
  }

  /** Columns that go as a whole: all but keys and those whose NULLs say nothing. */
  #rest(): readonly StructField[] {
    const {schema, keys, sequence} = this.#columns.shape;
    const others = new Set([...keys.filter((key) => !sequence.includes(key)), ...this.#fields.map(({name}) => name)]);
    return schema.fields.filter((field) => !others.has(field.name));
  }

  #restOf(alias: string): string {
    const fields = this.#rest().map((field) => [field.name, `${alias}.${this.#columns.quote(field.name)}`] as const);
    // A struct needs a field: without one all columns are keys and leaves.
    return this.#columns.dialect.struct(fields.length === 0 ? [['none', '0']] : fields);
  }

  #keys(): string {
    return this.#columns.list(this.#columns.shape.keys);
  }

  /** Somebody else may have made a key twice in the table. */
  #onePerKey(stored: string): string {
    const order = [...this.#columns.bySequence('DESC'), WORK.file, WORK.position].join(', ');
    return `SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY ${this.#keys()} ORDER BY ${order}) AS ${WORK.rank} FROM ${stored} AS t) AS r WHERE r.${WORK.rank} = 1`;
  }

  /** The sequence of a row as one value. */
  #packed(alias: string): string {
    const {sequenceFields, dialect} = this.#columns;
    // A struct needs a field: where nothing orders the events, all sequences are one.
    if (sequenceFields.length === 0) return dialect.struct([['none', '0']]);
    return dialect.struct(sequenceFields.map((field) => [field.name, `${alias}.${this.#columns.quote(field.name)}`]));
  }

  #noSequence(): string {
    return `CASE WHEN FALSE THEN ${this.#packed('t')} END`;
  }

  /** True when the first of two sequences, each one value, is higher. */
  #newer(left: string, right: string): string {
    return this.#columns.newer(`(${left})`, `(${right})`);
  }

  /** True when a delete takes away what was said at a sequence: at one sequence the upsert wins, unless the job says otherwise. */
  #deletes(deleted: string, at: string): string {
    if (this.#columns.shape.sequence.length === 0) return 'TRUE';
    return this.#deletesWinTies ? `NOT ${this.#newer(at, deleted)}` : this.#newer(deleted, at);
  }

  #newestOf(sequences: readonly string[]): string {
    return sequences.reduce(
      (newest, next) =>
        `CASE WHEN ${next} IS NULL THEN ${newest} WHEN ${newest} IS NULL OR ${this.#newer(next, newest)} THEN ${next} ELSE ${newest} END`,
    );
  }
}
