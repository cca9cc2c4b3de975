import type {EngineRow} from '../engine/engine.ts';
import type {BatchContext, TableChange} from './batch-context.ts';
import {liveRows, NO_CHANGE} from './batch-context.ts';
import {HistoryColumns} from './history-columns.ts';
import {addHidden, foundHidden, type FoundHidden} from './history-side.ts';
import {HistorySql} from './history-sql.ts';
import {replaceRows} from './row-removal.ts';
import {filesOfKeys} from './stored-rows.ts';
import {TimelineSql} from './timeline-sql.ts';

/** What a batch's events meet, in work tables. */
export interface Met {
  readonly old: string;
  readonly hidden: FoundHidden | null;
  /** Both as events. */
  readonly stored: string;
}

/** The versions of a table, and the events that none of them shows, as one batch changes them. */
export class History {
  readonly context: BatchContext;
  readonly columns: HistoryColumns;
  readonly sql: HistorySql;
  readonly timeline: TimelineSql;

  constructor(context: BatchContext) {
    this.context = context;
    this.columns = new HistoryColumns(context.columns, context.job.trackedColumns);
    this.sql = new HistorySql(this.columns);
    this.timeline = new TimelineSql(this.columns);
  }

  /** False where events come in order, and nothing need be remembered of those that no version shows. */
  get remembers(): boolean {
    return this.context.job.keepTombstones && this.columns.isSequenced;
  }

  get nowMs(): number {
    return Math.floor(this.context.delta.clock.nowMs());
  }

  /** Loads what the events of `fresh`, a work table, meet. */
  async meet(fresh: string): Promise<Met> {
    const {work} = this.context;
    const bounds = await work.keep(this.sql.bounds(fresh));
    const [row] = await work.query(this.sql.leastBound(bounds));
    const least = typeof row?.['least'] === 'string' ? row['least'] : null;
    const live = await liveRows(this.context, {files: await filesOfKeys(this.context, bounds)});
    const near = await work.keep(this.sql.old(live, bounds, least));
    const isClose = (await work.count(this.sql.beforeBounds(near, bounds), 'n')) === 0;
    const old = isClose ? near : await work.keep(this.sql.metBy(near, bounds));
    const hidden = await foundHidden(this, {bounds, least, old});
    const stored = await work.keep(this.timeline.stored({old, hidden: hidden?.table ?? null}));
    return {old, hidden, stored};
  }

  /** Works the timelines of the keys of `fresh` out anew. `events`: how many the batch brought, for the counts. */
  async change(fresh: string, met: Met, events: number): Promise<TableChange> {
    const {context, timeline: sql} = this;
    const {work} = context;
    const parts = {fresh, old: met.old, hidden: met.hidden?.table ?? null};
    const [odd] = await work.query(sql.oddities(fresh, met.stored));
    const corrections = numberIn(odd, 'corrected') > 0;
    // Two stored events may have come to one place only where one was corrected.
    const options = {corrections, ties: corrections || numberIn(odd, 'tied') > 0};
    const timeline = await work.keep(sql.timeline(parts, met.stored, options));
    const [summary] = await work.query(sql.summary(timeline, met.old));
    const written = numberIn(summary, 'written');
    const removed = numberIn(summary, 'old') - numberIn(summary, 'stay');
    const files =
      written + removed === 0
        ? {adds: [], removes: []}
        : await replaceRows(
            context,
            await work.keep(sql.touched(met.old, timeline)),
            written === 0 ? null : sql.rows(parts, timeline),
          );
    return {
      ...NO_CHANGE,
      ...files,
      operation: 'MERGE',
      writeMode: null,
      blindAppend: false,
      side: async () => ({hidden: await this.#hidden(summary, met, sql.entries(parts, timeline, this.nowMs))}),
      counts: countsOf(summary, events),
    };
  }

  /** The files of hidden events afterwards. */
  async #hidden(summary: EngineRow | undefined, met: Met, entries: string): Promise<readonly string[]> {
    const {before} = this.context;
    const isSame = numberIn(summary, 'hides') === 0 && numberIn(summary, 'hidden') === (met.hidden?.count ?? 0);
    return isSame || !this.remembers ? before.hidden : addHidden(this, before.hidden, entries);
  }
}

/** A row's number. */
function numberIn(row: EngineRow | undefined, name: string): number {
  return Number(row?.[name] ?? 0);
}

/** Rows by what became of them: a row that is written in place of another is updated, or deleted where a delete ended it. */
function countsOf(summary: EngineRow | undefined, events: number): TableChange['counts'] {
  const [written, went] = [numberIn(summary, 'written'), numberIn(summary, 'went')];
  const removed = numberIn(summary, 'old') - numberIn(summary, 'stay');
  return {
    inserted: Math.max(0, written - removed),
    updated: Math.max(0, Math.min(removed, written) - went),
    deleted: went + Math.max(0, removed - written),
    unchanged: Math.max(0, events - numberIn(summary, 'shown') - numberIn(summary, 'closing')),
    quarantined: 0,
  };
}
