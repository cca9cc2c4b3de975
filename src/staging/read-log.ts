import {IngestError} from '../core/errors.ts';
import type {LogTable} from '../sdk/change-log.ts';
import type {LogEntry, SnapshotEntry} from './entry.ts';
import {readSegment, type Segment, type TableRun} from './segment.ts';
import {readEntries, type Staging} from './staging.ts';
import type {StagingState} from './state.ts';

/** How far the log of a table was read: all of it up to and with this change. */
export interface LogMark {
  /** Where to read on: changes of earlier entries are read. */
  readonly entry: number;
  readonly epoch: number;
  /** Of the last transaction that was read, at least in part; changes of `entry` behind it are not read. */
  readonly position: bigint;
  /** Of the last frame of it that was read. */
  readonly ordinal: number;
}

/** Behind every frame of a transaction. */
export const WHOLE_TRANSACTION = 0xffff_ffff;

/** What one segment holds of a table. */
export interface TableRuns {
  readonly epoch: number;
  /** How rows look before the first run; later schemas are frames. Null when a schema frame comes first. */
  readonly table: LogTable | null;
  readonly runs: readonly TableRun[];
  /** Reading may go on from here once all of the runs are applied. */
  readonly mark: LogMark;
}

/** The sealed log between two entries of the manifest. Reads segments once for all tables as long as they fit its memory. */
export interface LogView {
  /** The last entry that it looks at. */
  readonly through: number;
  /** Of the last transaction that is whole; null when the view has none. In microseconds since 1970, by the source's clock. */
  readonly committedAt: bigint | null;
  /**
   * Changes of a table behind a mark, in the order of their commits; only transactions whose commit is sealed. Returns the mark to
   * read on from.
   * @param table number of the table in the log
   * @throws OFFSET_EXPIRED when segments behind the mark are gone; STAGING_DAMAGED
   */
  readTable(table: number, after: LogMark, signal: AbortSignal): AsyncGenerator<TableRuns, LogMark>;
}

const DEFAULT_CACHE_BYTES = 32 << 20;

/**
 * Opens the log from an entry on, as it was sealed at a state.
 * @param options.from the first entry that any table needs; those that are gone are left out, and tables that need them are refused.
 * @param options.cacheBytes raw bytes of segments that the view keeps; default 32 MB.
 */
export async function openLogView(
  staging: Staging,
  options: {readonly state: StagingState; readonly from: number; readonly cacheBytes?: number},
): Promise<LogView> {
  const {state, cacheBytes = DEFAULT_CACHE_BYTES} = options;
  const from = Math.max(options.from, state.retiredThrough + 1);
  const entries: LogEntry[] = [];
  let epochEnd = 0;
  for await (const entry of readEntries(staging, from - 1, state.n)) {
    if (entry.kind === 'log') entries.push(entry);
    if (entry.kind === 'epoch') epochEnd = entry.n;
  }
  return new SealedLog(staging, linkSegments(entries, epochEnd), {from, through: state.n, cacheBytes});
}

/** Where the log of a table is read from behind its snapshot. */
export function markBehindSnapshot({epoch, logFrom, position}: SnapshotEntry): LogMark {
  return {entry: logFrom, epoch, position: position - 1n, ordinal: WHOLE_TRANSACTION};
}

/** What becomes of the transaction that a segment does not end. */
type Tail = 'none' | 'goes on' | 'abandoned' | 'unfinished';

interface LinkedSegment {
  readonly entry: LogEntry;
  readonly tail: Tail;
}

/** A transaction counts once its commit is sealed: a gateway that was stopped before begins it again in a later segment. */
function linkSegments(entries: readonly LogEntry[], epochEnd: number): readonly LinkedSegment[] {
  const linked: LinkedSegment[] = [];
  let next: {readonly entry: LogEntry; readonly tail: Tail} | null = null;
  for (const entry of entries.toReversed()) {
    const tail: Tail = entry.tail === null ? 'none' : tailOf(entry, next, epochEnd);
    next = {entry, tail};
    linked.push(next);
  }
  return linked.toReversed();
}

function tailOf(entry: LogEntry, next: LinkedSegment | null, epochEnd: number): Tail {
  if (next === null) return epochEnd > entry.n ? 'abandoned' : 'unfinished';
  if (next.entry.open === null) return 'abandoned';
  // The next segment is a part of the same transaction from its beginning to its end.
  const passesOn = next.entry.tail === 0;
  return passesOn && next.tail !== 'none' ? next.tail : 'goes on';
}

class SealedLog implements LogView {
  readonly through: number;
  readonly committedAt: bigint | null;
  readonly #staging: Staging;
  readonly #segments: readonly LinkedSegment[];
  readonly #from: number;
  readonly #cacheBytes: number;
  /** By entry, the longest unused first. */
  readonly #cache = new Map<number, Promise<Segment>>();
  readonly #sizes = new Map<number, number>();

  constructor(
    staging: Staging,
    segments: readonly LinkedSegment[],
    limits: {readonly from: number; readonly through: number; readonly cacheBytes: number},
  ) {
    this.#staging = staging;
    this.#segments = segments;
    this.#from = limits.from;
    this.#cacheBytes = limits.cacheBytes;
    this.through = limits.through;
    this.committedAt = segments.findLast(({entry}) => entry.committedAt !== null)?.entry.committedAt ?? null;
  }

  async *readTable(table: number, after: LogMark, signal: AbortSignal): AsyncGenerator<TableRuns, LogMark> {
    if (after.entry < this.#from) throw gone(this.#staging, after.entry);
    const wanted = this.#segments.filter(({entry}) => entry.n >= after.entry && entry.epoch === after.epoch);
    let mark = after;
    for (const [index, segment] of wanted.entries()) {
      signal.throwIfAborted();
      this.#readAhead(wanted.slice(index + 1), table);
      const isLast = segment.tail === 'unfinished';
      const runs = segment.entry.rows.has(table) ? await this.#runsOf(segment, table, mark) : null;
      mark = isLast ? markAt(segment.entry, mark) : markBehind(segment.entry);
      if (runs !== null) yield {...runs, mark};
      if (isLast) return mark;
    }
    return {...mark, entry: Math.max(mark.entry, this.through + 1)};
  }

  async #runsOf(segment: LinkedSegment, table: number, after: LogMark): Promise<Omit<TableRuns, 'mark'> | null> {
    const {tables, runs} = await this.#load(segment);
    const found = (runs.get(table) ?? []).flatMap((run) => unread(run, after));
    if (found.length === 0) return null;
    return {epoch: segment.entry.epoch, table: tables.get(table) ?? null, runs: found};
  }

  #readAhead(segments: readonly LinkedSegment[], table: number): void {
    const next = segments.find(({entry}) => entry.rows.has(table));
    // Whoever reads it meets the error.
    if (next !== undefined) this.#load(next).catch(() => undefined);
  }

  #load({entry, tail}: LinkedSegment): Promise<Segment> {
    const known = this.#cache.get(entry.n);
    this.#cache.delete(entry.n);
    const loading = known ?? readSegment(this.#staging, entry, tail === 'abandoned' || tail === 'unfinished');
    this.#cache.set(entry.n, loading);
    this.#sizes.set(entry.n, entry.rawBytes);
    if (known === undefined) this.#makeRoom(entry.n);
    return loading;
  }

  #makeRoom(kept: number): void {
    let held = 0;
    for (const n of this.#cache.keys()) held += this.#sizes.get(n) ?? 0;
    for (const n of this.#cache.keys()) {
      if (held <= this.#cacheBytes || n === kept) return;
      held -= this.#sizes.get(n) ?? 0;
      this.#cache.delete(n);
    }
  }
}

/** The frames of a run behind a mark. */
function unread(run: TableRun, after: LogMark): readonly TableRun[] {
  if (run.position > after.position) return [run];
  if (run.position < after.position) return [];
  const frames = run.frames.filter(({ordinal}) => ordinal > after.ordinal);
  return frames.length === 0 ? [] : [{...run, frames}];
}

/** All of the segment is read, also the part of a transaction that goes on in the next. */
function markBehind(entry: LogEntry): LogMark {
  return {entry: entry.n + 1, epoch: entry.epoch, position: entry.start.position, ordinal: 0};
}

/** The segment is read up to its last commit; what it holds behind that is read once its commit is there. */
function markAt(entry: LogEntry, before: LogMark): LogMark {
  if (entry.end.position === entry.start.position) return {...before, entry: entry.n};
  return {entry: entry.n, epoch: entry.epoch, position: entry.end.position - 1n, ordinal: WHOLE_TRANSACTION};
}

function gone(staging: Staging, entry: number): IngestError {
  return new IngestError(
    'OFFSET_EXPIRED',
    `The staging of "${staging.gateway}" no longer has what came behind entry ${entry} of its manifest.`,
    {fix: 'Refresh the table in full; keep staging for longer if the pipeline runs seldom.'},
  );
}
