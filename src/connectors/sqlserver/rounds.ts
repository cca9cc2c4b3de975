import type {TableReset} from '../../sdk/index.ts';
import type {CaptureInstance} from './capture-instances.ts';
import {capturedTable, instanceAt, maxLsn} from './capture-instances.ts';
import type {Captured} from './capture.ts';
import {readCaptured, reasonOfSwitch} from './capture.ts';
import type {SourceTable} from './catalog.ts';
import {shapeOf, toLogTable} from './catalog.ts';
import {currentVersion, readTracked} from './change-tracking.ts';
import type {ChangeRange, Feed, FeedPiece, FeedTable, Look} from './feed.ts';
import type {ChangeMethod, FollowedAs, LogPlace, Marks} from './log-mark.ts';
import {reasonToReset} from './schema-change.ts';
import type {Session} from './session.ts';
import {logLost} from './source-errors.ts';
import type {StateOptions, TableState} from './table-method.ts';
import {methodOf, readTableStates} from './table-method.ts';

const LOOKING = {what: 'look for changes'};

/** A table as a look has it. */
interface Followed {
  readonly method: ChangeMethod;
  /** With the columns that its changes have. */
  readonly table: SourceTable;
  /** Of change data capture. */
  readonly instance: CaptureInstance | null;
}

/** What a look begins from, and what it found. */
interface Moment {
  readonly from: Marks;
  /** The newest marks. */
  readonly to: Readonly<Record<ChangeMethod, bigint>>;
}

/** Looks at a database again and again: each look decides for each table by which method it is followed, and shows what has changed. */
export class Rounds implements AsyncDisposable {
  readonly #session: Session;
  readonly #tables: readonly number[];
  readonly #options: StateOptions;
  /** Tables as the last look had them; null for those that cannot be followed. */
  readonly #known = new Map<number, Followed | null>();

  /** Owns the session. @param tables by their numbers */
  constructor(session: Session, tables: readonly number[], options: StateOptions) {
    this.#session = session;
    this.#tables = tables;
    this.#options = options;
  }

  /** A look at what came behind a place. @throws LOG_LOST */
  async look(place: LogPlace): Promise<Look> {
    const session = this.#session;
    await session.beginSnapshot(LOOKING);
    const {version, at} = await currentVersion(session);
    this.#checkVersion(version, place.marks);
    const states = await readTableStates(session, this.#tables, this.#options);
    const {moment, tables, resets} = await this.#follow(states, {place, version});
    return {
      at,
      resets,
      feeds: (['change_tracking', 'cdc'] as const).flatMap((method) => this.#feed(method, {moment, tables}) ?? []),
      [Symbol.asyncDispose]: () => (session.isOpen ? session.rollback(LOOKING) : Promise.resolve()),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session[Symbol.asyncDispose]();
  }

  #checkVersion(version: bigint | null, {change_tracking: from}: Marks): void {
    const {changeMethod} = this.#options;
    if (changeMethod === 'change_tracking' && version === null) throw logLost('change tracking was switched off');
    if (version === null || from === null || changeMethod === 'cdc' || version >= from) return;
    throw logLost(`they were read up to version ${from}, and the database is at ${version}`);
  }

  async #follow(
    states: ReadonlyMap<number, TableState>,
    {place, version}: {readonly place: LogPlace; readonly version: bigint | null},
  ): Promise<{
    readonly moment: Moment;
    readonly tables: readonly Followed[];
    readonly resets: readonly TableReset[];
  }> {
    const {changeMethod} = this.#options;
    const isCaptured =
      changeMethod === 'cdc' || [...states.values()].some((state) => methodOf(state, changeMethod).method === 'cdc');
    const lsn = isCaptured ? await maxLsn(this.#session) : null;
    const newest = lsn ?? newestStart(states);
    const from = {change_tracking: place.marks.change_tracking ?? version, cdc: place.marks.cdc ?? newest};
    const to = {change_tracking: version ?? 0n, cdc: newest > from.cdc ? newest : from.cdc};
    const tables: Followed[] = [];
    const resets: TableReset[] = [];
    for (const [id, state] of states) {
      const now = followed(state, methodOf(state, changeMethod).method, from.cdc);
      const message = await this.#resetReason(id, {now, state, before: place.tables.get(id), from});
      if (message !== null) resets.push({table: id, message});
      this.#known.set(id, now);
      if (now === null) continue;
      tables.push(now);
      // What is behind the start of the next instance is read from that one.
      const until = now.method === 'cdc' ? instanceAt(state.instances, from.cdc).until : null;
      if (until !== null && until > from.cdc && until < to.cdc) to.cdc = until;
    }
    return {moment: {from, to}, tables, resets};
  }

  /** Why the changes do not tell all of a table; null when they do. */
  async #resetReason(id: number, {now, state, before, from}: Asked): Promise<string | null> {
    const known = this.#known.get(id);
    const {why} = methodOf(state, this.#options.changeMethod);
    if (now === null) return known === null ? null : (why ?? 'no column of it is captured');
    if (known === null) return 'the table can be followed again';
    const method = known?.method ?? before?.method;
    if (method !== undefined && method !== now.method)
      return `it is followed by ${NAMES[now.method]} from here on${why === null ? '' : `: ${why}`}`;
    // What was read of it before may lack what changed while nobody followed it.
    if (known === undefined && before === undefined) return 'its changes are followed from here on';
    const gap = gapOf(now, state, from);
    if (gap !== null) return gap;
    if (known === undefined)
      return before?.shape === shapeOf(now.table) ? null : 'its columns changed while nobody read its changes';
    return reasonToReset(known.table, now.table) ?? this.#reasonOfInstance(known, now);
  }

  async #reasonOfInstance(before: Followed, after: Followed): Promise<string | null> {
    if (!isCaptured(before) || !isCaptured(after)) return null;
    if (before.instance.changeTable === after.instance.changeTable) return null;
    return await reasonOfSwitch(this.#session, before, after);
  }

  /** Null when no table is followed by the method, unless all are to be. */
  #feed(
    method: ChangeMethod,
    {moment, tables}: {readonly moment: Moment; readonly tables: readonly Followed[]},
  ): Feed | null {
    const own = tables.filter((each) => each.method === method);
    const from = moment.from[method];
    if ((own.length === 0 && this.#options.changeMethod !== method) || from === null) return null;
    return {
      method,
      from,
      to: moment.to[method],
      tables: own.map(({table}) => ({table: toLogTable(table), shape: shapeOf(table)})),
      read: (table, range) => this.#read(table, range),
    };
  }

  async *#read({table}: FeedTable, range: ChangeRange): AsyncGenerator<FeedPiece, void> {
    const found = this.#known.get(table.id);
    if (found === undefined || found === null) return;
    yield* isCaptured(found)
      ? readCaptured(this.#session, found, range)
      : readTracked(this.#session, found.table, range);
  }
}

interface Asked {
  readonly now: Followed | null;
  readonly state: TableState;
  /** As the changes up to here had it. */
  readonly before: FollowedAs | undefined;
  readonly from: Marks;
}

const NAMES = {change_tracking: 'change tracking', cdc: 'change data capture'} as const;

function isCaptured(table: Followed): table is Followed & Captured {
  return table.instance !== null;
}

function followed({table, instances}: TableState, method: ChangeMethod | null, from: bigint): Followed | null {
  if (table === null || method === null) return null;
  if (method === 'change_tracking') return {method, table, instance: null};
  const {instance} = instanceAt(instances, from);
  const captured = instance === null ? null : capturedTable(table, instance);
  return captured === null || captured.columns.length === 0 ? null : {method, table: captured, instance};
}

/** What is not kept any more of what comes behind the marks; null when all is. */
function gapOf({method, instance}: Followed, {oldestVersion}: TableState, from: Marks): string | null {
  if (method === 'change_tracking') {
    if (oldestVersion === null || from.change_tracking === null || oldestVersion <= from.change_tracking) return null;
    return `its changes up to version ${oldestVersion} are not kept any more, or it was truncated`;
  }
  if (instance === null || from.cdc === null) return null;
  if (instance.startLsn > from.cdc) return 'its capture instance was made anew';
  if (instance.minLsn > from.cdc && instance.minLsn > instance.startLsn)
    return 'the clean-up job has removed changes that were not read yet';
  return null;
}

function newestStart(states: ReadonlyMap<number, TableState>): bigint {
  const starts = [...states.values()].flatMap(({instances}) => instances.map(({startLsn}) => startLsn));
  return starts.reduce((newest, each) => (each > newest ? each : newest), 0n);
}
