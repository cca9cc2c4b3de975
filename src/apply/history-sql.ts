import {END_COLUMN, START_COLUMN} from '../core/types.ts';
import {WORK} from './column-sql.ts';
import {HISTORY, KIND_COLUMN, WRITTEN_COLUMN, type HistoryColumns} from './history-columns.ts';
import type {EventSource} from './merge-sql.ts';

const {id: ID, source: SOURCE, rank: RANK, least: LEAST, from: FROM} = HISTORY;
const KIND = KIND_COLUMN;

/**
 * The SQL that loads what a batch's events meet: every method returns one SELECT and runs nothing.
 *
 * A key has a timeline of events: upserts, deletes, and closings (a delete that was made up when a row was found missing: it
 * gives way to an upsert at its place). Upserts in a row that agree in the tracked columns are one run, and a run is one
 * version: the values of its last event, from the place of its first up to that of the next event. Table and hidden events
 * together say the whole timeline: a version shows its run's last event; the others of a run are hidden, and so are deletes
 * that end no version.
 */
export class HistorySql {
  readonly #h: HistoryColumns;

  constructor(columns: HistoryColumns) {
    this.#h = columns;
  }

  /** What an event is told apart by: key and place. */
  get identity(): readonly string[] {
    return [...this.#h.columns.shape.keys, ...this.#h.places()];
  }

  /** Events of all sources at the places that their sequences say. */
  events(sources: readonly EventSource[]): string {
    return sources.map((source, index) => this.#normalised(source, index)).join(' UNION ALL ');
  }

  /** Rows as upserts at their sequence, or at the leading value `place`. */
  upserts(rows: string, place: string | null): string {
    const h = this.#h;
    const places = place === null ? h.own('r') : h.after(place);
    return `SELECT ${h.columns.named(h.values, 'r')}, 'upsert' AS ${KIND}, 0 AS ${SOURCE}, CAST(NULL AS BIGINT) AS ${WORK.order}, ${h.as(places)} FROM (${rows}) AS r`;
  }

  /** Keys as deletes or closings at their sequence, or at the leading value `place`. */
  removals(keys: string, kind: 'delete' | 'closed', place: string | null): string {
    const h = this.#h;
    const {shape} = h.columns;
    const present = new Set(place === null ? [...shape.keys, ...shape.sequence] : shape.keys);
    const values = h.values.map((field) => h.columns.cast(field, present.has(field.name)));
    const places = place === null ? h.own('k') : h.after(place);
    return `SELECT ${values.join(', ')}, '${kind}' AS ${KIND}, 0 AS ${SOURCE}, CAST(NULL AS BIGINT) AS ${WORK.order}, ${h.as(places)} FROM (${keys}) AS k`;
  }

  /** Deletes (keys with their sequence) as entries of a file of hidden events. */
  tombstones(deletes: string, nowMs: number): string {
    const h = this.#h;
    const start = `${h.pack(h.places('d'))} AS ${h.start}`;
    return `SELECT ${h.columns.named(h.values, 'd')}, ${start}, d.${KIND}, CAST(${nowMs} AS BIGINT) FROM (${this.removals(deletes, 'delete', null)}) AS d`;
  }

  /** The events of a batch with a number each; of those at one place of a key the one that counts. */
  fresh(events: string, unique: boolean): string {
    const h = this.#h;
    const numbered = `SELECT ${h.columns.named(h.values)}, ${KIND}, ${h.places().join(', ')}, row_number() OVER () AS ${ID}`;
    if (unique) return `${numbered} FROM (${events}) AS e`;
    const order = `${strength()} DESC, ${SOURCE} DESC, ${WORK.order} DESC NULLS LAST`;
    return `${numbered} FROM (SELECT *, row_number() OVER (PARTITION BY ${h.columns.list(this.identity)} ORDER BY ${order}) AS ${RANK} FROM (${events}) AS e) AS r WHERE ${RANK} = 1`;
  }

  /** The first place of each key's events, by its leading value; NULL is the lowest. */
  bounds(fresh: string): string {
    const lead = this.#h.place(0);
    const keys = this.#h.columns.list(this.#h.columns.shape.keys);
    return `SELECT ${keys}, CASE WHEN count(*) = count(${lead}) THEN min(${lead}) END AS ${LEAST} FROM ${fresh} GROUP BY ${keys}`;
  }

  /** The first place of all (`least`, as text; NULL when one has none). */
  leastBound(bounds: string): string {
    return `SELECT CASE WHEN count(*) = count(${LEAST}) THEN CAST(min(${LEAST}) AS VARCHAR) END AS least FROM ${bounds}`;
  }

  /**
   * Versions of the events' keys, numbered: those that are open or end at or after the first event of all. Only keys are joined
   * by: with a condition on both sides engines read every row whole.
   * @param least what {@link leastBound} says.
   */
  old(live: string, bounds: string, least: string | null): string {
    const h = this.#h;
    const [end = ''] = h.bound('t', END_COLUMN);
    const noneOlder = least === null ? '' : ` WHERE t.${h.end} IS NULL OR ${end} >= ${h.lead(least)}`;
    return `${this.#numbered('t')} FROM (${live}) AS t ${h.dialect.semiJoin} ${bounds} AS b ON ${h.columns.sameKey('t', 'b')}${noneOlder}`;
  }

  /** How many of {@link old} end before the first event of their own key: `n`. */
  beforeBounds(old: string, bounds: string): string {
    return `SELECT count(*) AS n FROM ${old} AS o JOIN ${bounds} AS b ON ${this.#h.columns.sameKey('o', 'b')} WHERE NOT ${this.#isMet()}`;
  }

  /** Of {@link old} those that the events can touch. */
  metBy(old: string, bounds: string): string {
    return `SELECT o.* FROM ${old} AS o JOIN ${bounds} AS b ON ${this.#h.columns.sameKey('o', 'b')} WHERE ${this.#isMet()}`;
  }

  /** Rows as open versions that begin at their sequence, or at the leading value `place`: what a table without versions gets. */
  opened(rows: string, place: string | null): string {
    const h = this.#h;
    const start = h.pack(place === null ? h.own('r') : h.after(place));
    return `SELECT ${h.columns.named(h.values, 'r')}, ${start} AS ${h.start}, ${h.null(h.placeType)} AS ${h.end} FROM (${rows}) AS r`;
  }

  /** From where on each key's hidden events count: its bound, and the start of the version around it. */
  floors(bounds: string, old: string): string {
    const h = this.#h;
    const starts = h.bound('o', START_COLUMN);
    const least = [`b.${LEAST}`];
    const around = `${h.newer(least, starts.slice(0, 1))} AND NOT ${h.newer(least, h.last('o').slice(0, 1))}`;
    const from = starts.map((part, at) => `${part} AS ${FROM}${at}`);
    const low = `SELECT ${h.columns.keyColumns('b')}, TRUE AS ${FROM}, ${from.join(', ')} FROM ${bounds} AS b JOIN ${old} AS o ON ${h.columns.sameKey('b', 'o')} WHERE ${around}`;
    const floor = starts.map((_, at) => `l.${FROM}${at}`);
    return `SELECT ${h.columns.keyColumns('b')}, b.${LEAST}, coalesce(l.${FROM}, FALSE) AS ${FROM}, ${floor.join(', ')}
      FROM ${bounds} AS b LEFT JOIN (${low}) AS l ON ${h.columns.sameKey('b', 'l')}`;
  }

  /** How many floors are below their bound: `n`. */
  lowFloors(floors: string): string {
    return `SELECT count(*) AS n FROM ${floors} AS f WHERE f.${FROM}`;
  }

  /**
   * Hidden events at or above the floors, numbered. Of entries for one event the last in order of `files` stands.
   * @param forgotten deletes that were written before this time do not count; null: all do.
   */
  hidden(
    files: EventSource,
    floors: string,
    options: {readonly least: string | null; readonly forgotten: number | null},
  ): string {
    const h = this.#h;
    const places = h.bound('h', START_COLUMN);
    const [lead = ''] = places;
    const from = places.map((_, at) => `f.${FROM}${at}`);
    const wanted = `f.${LEAST} IS NULL OR ${lead} >= f.${LEAST} OR (f.${FROM} AND NOT ${h.newer(from, places)})`;
    const noneOlder = options.least === null ? '' : ` AND ${lead} >= ${h.lead(options.least)}`;
    const some = `SELECT h.* FROM (${this.#entries(files)}) AS h JOIN ${floors} AS f ON ${h.columns.sameKey('h', 'f')} WHERE (${wanted})${noneOlder}`;
    return this.#standing(some, {...options, withoutGone: true, more: `, row_number() OVER () AS ${ID}`});
  }

  /** Entries of files as one file: the last of each event. `isWhole`: no older file is left that one could undo an entry of. */
  merged(files: EventSource, options: {readonly isWhole: boolean; readonly forgotten: number | null}): string {
    // A forgotten delete may cover an entry of an older file.
    const forgotten = options.isWhole ? options.forgotten : null;
    return this.#standing(this.#entries(files), {forgotten, withoutGone: options.isWhole, more: ''});
  }

  #isMet(): string {
    const [end = ''] = this.#h.bound('o', END_COLUMN);
    return `(o.${this.#h.end} IS NULL OR b.${LEAST} IS NULL OR coalesce(${end} >= b.${LEAST}, FALSE))`;
  }

  #entries({select, columns}: EventSource): string {
    const fields = this.#h.hiddenSchema.fields.map((field) => this.#h.columns.cast(field, columns.has(field.name)));
    return `SELECT ${fields.join(', ')}, ${WORK.order} FROM (${select}) AS s`;
  }

  #standing(
    entries: string,
    options: {readonly withoutGone: boolean; readonly forgotten: number | null; readonly more: string},
  ): string {
    const {columns, hiddenSchema} = this.#h;
    const old =
      options.forgotten === null ? '' : ` AND NOT (${KIND} = 'delete' AND ${WRITTEN_COLUMN} < ${options.forgotten})`;
    const event = columns.list([...columns.shape.keys, START_COLUMN]);
    const last = `SELECT *, row_number() OVER (PARTITION BY ${event} ORDER BY ${WORK.order} DESC) AS ${RANK} FROM (${entries}) AS e`;
    return `SELECT ${columns.named(hiddenSchema.fields)}${options.more} FROM (${last}) AS r
      WHERE ${RANK} = 1${options.withoutGone ? ` AND ${KIND} <> 'gone'` : ''}${old}`;
  }

  #numbered(alias: string): string {
    const h = this.#h;
    return `SELECT ${h.columns.all(alias)}, ${alias}.${HISTORY.file}, ${alias}.${HISTORY.position}, row_number() OVER () AS ${ID}`;
  }

  #normalised(source: EventSource, index: number): string {
    const h = this.#h;
    const {shape} = h.columns;
    const wanted = source.isDelete ? new Set([...shape.keys, ...shape.sequence]) : null;
    const columns = h.values.map((field) =>
      h.columns.cast(field, source.columns.has(field.name) && wanted?.has(field.name) !== false),
    );
    const order = source.columns.has(WORK.order) ? `CAST(${WORK.order} AS BIGINT)` : 'CAST(NULL AS BIGINT)';
    const select = `SELECT ${columns.join(', ')}, ${kindOf(source)} AS ${KIND}, ${index} AS ${SOURCE}, ${order} AS ${WORK.order} FROM (${source.select}) AS s${index}`;
    const placed = `SELECT n.*, ${h.as(h.own('n'))} FROM (${select}) AS n`;
    return source.columns.has(WORK.oldKey) ? `${placed} UNION ALL ${this.#leftKeys(source, index)}` : placed;
  }

  /** Where an event gives its row another key, the one before ends at it. */
  #leftKeys({select}: EventSource, index: number): string {
    const {columns} = this.#h;
    const {keys, sequence} = columns.shape;
    const before = columns.oldKeyType.fields.map(
      (field) => `${columns.oldKey('s.', field)} AS ${columns.quote(field.name)}`,
    );
    const places = sequence.filter((name) => !keys.includes(name)).map((name) => `s.${columns.quote(name)}`);
    const left = `SELECT ${[...before, ...places].join(', ')} FROM (${select}) AS s WHERE ${columns.hasOldKey('s.')}`;
    return `SELECT * REPLACE (${index} AS ${SOURCE}) FROM (${this.removals(left, 'delete', null)}) AS l${index}`;
  }
}

/** Which of the events at one place of a key counts: a delete before an upsert, a closing last. */
export function strength(): string {
  return `CASE ${KIND} WHEN 'delete' THEN 2 WHEN 'upsert' THEN 1 ELSE 0 END`;
}

function kindOf({isDelete, columns}: EventSource): string {
  if (isDelete) return "'delete'";
  return columns.has(WORK.op) ? `CASE WHEN ${WORK.op} = 'delete' THEN 'delete' ELSE 'upsert' END` : "'upsert'";
}
