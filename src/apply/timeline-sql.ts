import {END_COLUMN, START_COLUMN} from '../core/types.ts';
import {HISTORY, KIND_COLUMN, type HistoryColumns} from './history-columns.ts';
import {strength} from './history-sql.ts';

const {id: ID, origin: ORIGIN, rank: RANK, digest: DIGEST} = HISTORY;
const KIND = KIND_COLUMN;
const CORRECTED = '__sluice_corrected';

/** Work tables that a timeline is made of: see the methods of `HistorySql` with these names. */
export interface TimelineParts {
  readonly fresh: string;
  readonly old: string;
  /** Null when nothing is hidden. */
  readonly hidden: string | null;
}

/** What {@link TimelineSql.oddities} finds: most batches have neither, and are spared the work. */
export interface TimelineOptions {
  readonly corrections: boolean;
  readonly ties: boolean;
}

/**
 * The SQL that works a timeline out anew: every method returns one SELECT and runs nothing. Windows run over keys, places and
 * hashes only; the rows themselves are joined to what comes of it.
 */
export class TimelineSql {
  readonly #h: HistoryColumns;

  constructor(columns: HistoryColumns) {
    this.#h = columns;
  }

  /** Events that are known: last ones of versions, and hidden ones. */
  stored({old, hidden}: Pick<TimelineParts, 'old' | 'hidden'>): string {
    const h = this.#h;
    const versions = `SELECT ${h.columns.keyColumns('o')}, ${h.as(h.last('o'))}, 'upsert' AS ${KIND}, 'old' AS ${ORIGIN}, o.${ID},
      ${this.#digest('o')} AS ${DIGEST}, ${this.#isCorrected(h.bound('o', START_COLUMN), 'o')} AS ${CORRECTED}, o.${h.start}, o.${h.end} FROM ${old} AS o`;
    if (hidden === null) return versions;
    return `${versions} UNION ALL SELECT ${h.columns.keyColumns('h')}, ${h.bound('h', START_COLUMN).join(', ')}, h.${KIND}, 'hidden', h.${ID},
      ${this.#digest('h')}, ${this.#isCorrected(h.bound('h', START_COLUMN), 'h')}, NULL, NULL FROM ${hidden} AS h`;
  }

  /** Deletes that only the end of a version tells of, in the form of {@link stored}. */
  ends(stored: string): string {
    const h = this.#h;
    const ended = `SELECT ${h.columns.keyColumns('o')}, ${h.as(h.bound('o', END_COLUMN))} FROM ${stored} AS o WHERE o.${h.end} IS NOT NULL`;
    return `SELECT ${h.columns.keyColumns('e')}, ${h.places('e').join(', ')}, 'delete' AS ${KIND}, 'end' AS ${ORIGIN}, CAST(NULL AS BIGINT) AS ${ID},
      CAST(NULL AS UBIGINT) AS ${DIGEST}, FALSE AS ${CORRECTED}, ${h.null(h.placeType)} AS ${h.start}, ${h.null(h.placeType)} AS ${h.end}
      FROM (${ended}) AS e ${h.dialect.antiJoin} ${stored} AS s ON ${h.columns.sameKey('e', 's')} AND ${h.samePlace(h.places('e'), h.places('s'))}`;
  }

  /**
   * The timeline of every key, an event per row: `is_tail` (a version shows it, from `new_start` up to `new_end`), `stays` (as it does
   * already), else `hidden_as`; `closes`: a delete that ends a version.

   */
  timeline(parts: TimelineParts, stored: string, options: TimelineOptions): string {
    const h = this.#h;
    const unmoved = `${ORIGIN} = 'old' AND ${h.start} IS NOT DISTINCT FROM new_start AND ${h.end} IS NOT DISTINCT FROM new_end`;
    const hides = this.#undoes(options) ? 'NOT is_tail AND NOT is_undone' : 'NOT is_tail';
    const hiddenAs = `CASE WHEN ${KIND} = 'upsert' THEN CASE WHEN ${hides} THEN 'upsert' END WHEN ${KIND} = 'closed' OR NOT closes THEN ${KIND} END`;
    const marked = this.#runs(this.#neighbours(this.#events(parts, stored, options)), options);
    return `SELECT ${h.columns.list(h.columns.shape.keys)}, ${h.places().join(', ')}, ${KIND}, ${ORIGIN}, ${ID}, is_tail, is_tail AND ${unmoved} AS stays, new_start, new_end,
      ${hiddenAs} AS hidden_as, closes, ${ORIGIN} = 'old' AND is_tail AND ${h.end} IS NULL AND ends_deleted AS went FROM (${marked}) AS m`;
  }

  /**
   * How many events stand later than their row's sequence says (`corrected`), and how many events of the batch stand where one
   * is known (`tied`).
   */
  oddities(fresh: string, stored: string): string {
    const h = this.#h;
    const moved = h.isSequenced
      ? `SELECT count(*) FROM ${fresh} AS f WHERE f.${KIND} = 'upsert' AND ${this.#isCorrected(h.places('f'), 'f')}`
      : 'SELECT 0';
    const place = [...h.columns.shape.keys.map((name) => h.columns.quote(name)), ...h.places()].join(', ');
    const known = `SELECT ${place} FROM ${stored} UNION ALL SELECT ${place} FROM (${this.ends(stored)}) AS e`;
    const tied = `SELECT count(*) FROM ${fresh} AS f JOIN (${known}) AS s ON ${h.columns.sameKey('f', 's')} AND ${h.samePlace(h.places('f'), h.places('s'))}`;
    return `SELECT (SELECT count(*) FROM ${stored} AS s WHERE s.${CORRECTED}) + (${moved}) AS corrected, (${tied}) AS tied`;
  }

  /** Versions to write: those that are new or differ. */
  rows(parts: TimelineParts, timeline: string): string {
    const h = this.#h;
    return this.#byOrigin(parts, (relation, origin) => {
      const wanted = `SELECT * FROM ${timeline} WHERE ${ORIGIN} = '${origin}' AND is_tail AND NOT stays`;
      return `SELECT ${h.columns.named(h.values, 'v')}, r.new_start AS ${h.start}, r.new_end AS ${h.end} FROM ${relation} AS v JOIN (${wanted}) AS r ON r.${ID} = v.${ID}`;
    });
  }

  /** Places of stored versions that go. */
  touched(old: string, timeline: string): string {
    return `SELECT o.${HISTORY.file}, o.${HISTORY.position} FROM ${old} AS o ${this.#h.dialect.antiJoin} (SELECT ${ID} FROM ${timeline} WHERE stays) AS r ON r.${ID} = o.${ID}`;
  }

  /** Entries for a file of hidden events: new ones, and `gone` for those that are hidden no more. */
  entries(parts: TimelineParts, timeline: string, nowMs: number): string {
    const h = this.#h;
    const now = `CAST(${nowMs} AS BIGINT)`;
    const start = `${h.pack(h.places('r'))} AS ${h.start}`;
    const added = this.#byOrigin({...parts, hidden: null}, (relation, origin) => {
      const wanted = `SELECT * FROM ${timeline} WHERE ${ORIGIN} = '${origin}' AND hidden_as IS NOT NULL`;
      return `SELECT ${h.columns.named(h.values, 'v')}, ${start}, r.hidden_as AS ${KIND}, ${now} FROM ${relation} AS v JOIN (${wanted}) AS r ON r.${ID} = v.${ID}`;
    });
    const keys = new Set(h.columns.shape.keys);
    const noValues = h.values.map((field) => h.columns.cast(field, keys.has(field.name))).join(', ');
    const ends = `SELECT ${noValues}, ${start}, r.hidden_as AS ${KIND}, ${now} FROM ${timeline} AS r WHERE r.${ORIGIN} = 'end' AND r.hidden_as IS NOT NULL`;
    if (parts.hidden === null) return `${added} UNION ALL ${ends}`;
    const same = `${h.columns.sameKey('h', 'r')} AND ${h.samePlace(h.bound('h', START_COLUMN), h.places('r'))}`;
    const gone = `SELECT h.* FROM ${parts.hidden} AS h ${h.dialect.antiJoin} (SELECT * FROM ${timeline} WHERE hidden_as IS NOT NULL) AS r ON ${same}`;
    return `${added} UNION ALL ${ends} UNION ALL SELECT ${noValues}, ${h.start}, 'gone', ${now} FROM (${gone}) AS g`;
  }

  /**
   * What a timeline does: `shown` and `closing` (events of the batch that a version shows, that end one), `written` (versions) and
   * `stay` (those that are as they were), `went` (keys whose open version is deleted), `hides` (events to be hidden that are
   * not), `hidden` (those that are and will be), and how many versions were looked at (`old`).
   */
  summary(timeline: string, old: string): string {
    return `SELECT (SELECT count(*) FROM ${old}) AS old, count(*) FILTER (WHERE ${ORIGIN} = 'fresh' AND is_tail) AS shown, count(*) FILTER (WHERE ${ORIGIN} = 'fresh' AND closes) AS closing,
      count(*) FILTER (WHERE is_tail AND NOT stays) AS written, count(*) FILTER (WHERE went) AS went, count(*) FILTER (WHERE stays) AS stay,
      count(*) FILTER (WHERE ${ORIGIN} <> 'hidden' AND hidden_as IS NOT NULL) AS hides,
      count(*) FILTER (WHERE ${ORIGIN} = 'hidden' AND hidden_as IS NOT NULL) AS hidden FROM ${timeline}`;
  }

  /** All events, one per key and place. */
  #events(parts: TimelineParts, stored: string, {ties}: TimelineOptions): string {
    const h = this.#h;
    const columns = [
      h.columns.list(h.columns.shape.keys),
      ...h.places(),
      KIND,
      ORIGIN,
      ID,
      DIGEST,
      CORRECTED,
      h.start,
      h.end,
    ].join(', ');
    const fresh = ties ? `(${this.#news(parts)})` : parts.fresh;
    const arrived = `SELECT ${h.columns.keyColumns('f')}, ${h.places('f').join(', ')}, f.${KIND}, 'fresh' AS ${ORIGIN}, f.${ID}, ${this.#digest('f')} AS ${DIGEST},
      ${this.#isCorrected(h.places('f'), 'f')} AS ${CORRECTED}, ${h.null(h.placeType)} AS ${h.start}, ${h.null(h.placeType)} AS ${h.end} FROM ${fresh} AS f`;
    const all = [stored, `(${this.ends(stored)})`, `(${arrived})`]
      .map((from, at) => `SELECT ${columns} FROM ${from} AS u${at}`)
      .join(' UNION ALL ');
    if (!ties) return all;
    // Of upserts the later arrival counts; a delete that is known stands; a version stands before a hidden event.
    const order = `${strength()} DESC, (${ORIGIN} = 'fresh') = (${KIND} = 'upsert') DESC, ${ORIGIN} DESC`;
    const identity = [h.columns.list(h.columns.shape.keys), ...h.places()].join(', ');
    return `SELECT ${columns} FROM (SELECT *, row_number() OVER (PARTITION BY ${identity} ORDER BY ${order}) AS ${RANK} FROM (${all}) AS a) AS r WHERE ${RANK} = 1`;
  }

  /** Events of the batch without the upserts that are known as they are. Joined by equalities only: engines join by others row by row. */
  #news({fresh, old, hidden}: TimelineParts): string {
    const h = this.#h;
    const known = (relation: string, alias: string, places: readonly string[]): string =>
      `SELECT f.${ID} FROM ${fresh} AS f JOIN ${relation} AS ${alias} ON ${h.columns.sameKey('f', alias)} AND ${h.samePlace(h.places('f'), places)}
      AND ${h.whole('f')} = ${h.whole(alias)} WHERE f.${KIND} = 'upsert'`;
    const inVersions = known(old, 'o', h.last('o'));
    const all =
      hidden === null
        ? inVersions
        : `${inVersions} UNION ALL ${known(hidden, 'h', h.bound('h', START_COLUMN))} AND h.${KIND} = 'upsert'`;
    return `SELECT f.* FROM ${fresh} AS f ${h.dialect.antiJoin} (${all}) AS k ON k.${ID} = f.${ID}`;
  }

  #neighbours(events: string): string {
    const nexts = this.#h.places().map((name, at) => `lead(${name}) OVER w AS next_${at}`);
    const digests = this.#h.alwaysDiffers
      ? []
      : [`lag(${DIGEST}) OVER w AS digest_before`, `lead(${DIGEST}) OVER w AS digest_after`];
    return `SELECT *, lag(${KIND}) OVER w AS kind_before, lead(${KIND}) OVER w AS kind_after, ${[...digests, ...nexts].join(', ')}
      FROM (${events}) AS u WINDOW w AS (${this.#inOrder()})`;
  }

  #runs(neighbours: string, options: TimelineOptions): string {
    const h = this.#h;
    const isUpsert = `${KIND} = 'upsert'`;
    const joins = (side: string): string =>
      h.alwaysDiffers ? 'FALSE' : `coalesce(kind_${side} = 'upsert' AND digest_${side} = ${DIGEST}, FALSE)`;
    const end = `CASE WHEN kind_after IS NOT NULL THEN ${h.pack(h.places().map((_, at) => `next_${at}`))} END`;
    // Of a version before all events its first one is not read: its start is known.
    const start = `CASE WHEN ${ORIGIN} = 'old' AND kind_before IS NULL THEN ${h.start} ELSE ${h.pack(h.places())} END`;
    const marked = `SELECT *, ${isUpsert} AND NOT ${joins('before')} AS is_head, ${isUpsert} AND NOT ${joins('after')} AS is_tail, ${end} AS new_end,
      NOT (${isUpsert}) AND coalesce(kind_before = 'upsert', FALSE) AS closes, coalesce(kind_after <> 'upsert', FALSE) AS ends_deleted FROM (${neighbours}) AS n`;
    if (h.alwaysDiffers) return `SELECT *, ${start} AS new_start FROM (${marked}) AS k`;
    const headed = `SELECT *, last_value(CASE WHEN is_head THEN ${start} END IGNORE NULLS) OVER (${this.#inOrder()} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS new_start FROM (${marked}) AS k`;
    if (!this.#undoes(options)) return headed;
    // The row of a corrected version does not say where its last event stands: nothing can stand between that and its start.
    return `SELECT *, coalesce(first_value(CASE WHEN is_tail THEN ${CORRECTED} END IGNORE NULLS) OVER (${this.#inOrder()} ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING), FALSE) AS is_undone FROM (${headed}) AS d`;
  }

  #undoes({corrections}: TimelineOptions): boolean {
    return corrections && !this.#h.alwaysDiffers;
  }

  /** Events of one key, lowest place first. */
  #inOrder(): string {
    const {columns} = this.#h;
    const order = this.#h.places().map((name) => `${name} ASC NULLS FIRST`);
    return `PARTITION BY ${columns.list(columns.shape.keys)} ORDER BY ${order.join(', ')}`;
  }

  #digest(alias: string): string {
    return this.#h.alwaysDiffers ? 'CAST(NULL AS UBIGINT)' : this.#h.digest(alias);
  }

  #isCorrected(places: readonly string[], alias: string): string {
    return this.#h.isSequenced ? this.#h.newer(places, this.#h.own(alias)) : 'FALSE';
  }

  #byOrigin(parts: TimelineParts, select: (relation: string, origin: string) => string): string {
    const relations = [
      ['old', parts.old],
      ['fresh', parts.fresh],
      ['hidden', parts.hidden],
    ] as const;
    return relations
      .flatMap(([origin, relation]) => (relation === null ? [] : [select(relation, origin)]))
      .join(' UNION ALL ');
  }
}
