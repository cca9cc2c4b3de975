import type {
  CallContext,
  ChangeLogSettings,
  ChangeLogSource,
  Finding,
  LogHealth,
  LogIdentity,
  LogPoint,
  LogReader,
  LogTable,
  LogTarget,
  TableSnapshot,
} from '../../sdk/index.ts';
import {isIngestError, KeptSession} from '../../sdk/index.ts';
import {isCaptureEnabled, maxLsn} from './capture-instances.ts';
import type {SourceTable} from './catalog.ts';
import {describeTable, shapeOf, splitName, textOf, toLogTable} from './catalog.ts';
import {currentVersion} from './change-tracking.ts';
import {CODEC_NAME} from './log-codec.ts';
import type {ChangeMethod, LogPlace, Marks} from './log-mark.ts';
import {fromPoint, leastPosition, toPoint} from './log-mark.ts';
import {LogProgress} from './log-progress.ts';
import {PolledLogReader} from './log-reader.ts';
import {preflight} from './preflight.ts';
import {Rounds} from './rounds.ts';
import type {ConnectionOptions} from './session.ts';
import {Session} from './session.ts';
import {planTableSnapshot} from './snapshot.ts';
import {notTracked, unknownTable} from './source-errors.ts';
import {asFollowed, methodOf, readTableStates} from './table-method.ts';
import {logEnd} from './table-view.ts';

/** Settings of tests beside those of a gateway. */
export interface SqlServerLogSettings extends ChangeLogSettings {
  /** Rows of a chunk, about. */
  readonly chunkRows?: number;
  /** Changes of one look that are held at a time. */
  readonly maxChanges?: number;
  /** Size of a batch. */
  readonly batchBytes?: number;
}

const IDENTITY = `select convert(varchar(36), d.service_broker_guid), d.name from sys.databases as d where d.database_id = db_id()`;
const RECOVERY = `select convert(varchar(36), r.family_guid), convert(varchar(36), r.recovery_fork_guid)
 from sys.database_recovery_status as r where r.database_id = db_id()`;

/** A table with the method by which it is followed now; null: by none. */
interface Described {
  /** With the columns that its changes have. */
  readonly table: SourceTable;
  readonly method: ChangeMethod | null;
}

/** The changes of a SQL Server database, by change tracking and by change data capture. Nothing is made or changed at the source. */
export class SqlServerChangeLog implements ChangeLogSource {
  readonly codec: string = CODEC_NAME;
  readonly #options: ConnectionOptions;
  readonly #settings: SqlServerLogSettings;
  readonly #catalog: KeptSession<Session>;
  readonly #progress = new LogProgress();

  constructor(options: ConnectionOptions, settings: SqlServerLogSettings) {
    this.#options = options;
    this.#catalog = new KeptSession((signal) => Session.open(options, signal));
    this.#settings = settings;
  }

  identify(ctx: CallContext): Promise<LogIdentity> {
    return this.#catalog.run(ctx, async (session) => {
      const doing = {what: 'identify the database'};
      const [names = []] = await session.query(IDENTITY, doing);
      let database = names.map(textOf).join('/');
      try {
        // A restore to an earlier time begins another fork.
        const [recovery] = await session.query(RECOVERY, doing);
        if (recovery !== undefined && recovery[0] !== null) database = recovery.map(textOf).join('/');
      } catch (error) {
        // Azure SQL Database does not tell.
        if (!isIngestError(error, 'UNKNOWN_TABLE') && !isIngestError(error, 'PERMISSION_DENIED')) throw error;
      }
      // Logs from when there was one method go on: that of change tracking takes tables of the other kind up.
      const log = this.#options.changeMethod === 'cdc' ? 'cdc' : 'change_tracking';
      return {server: `${database}/${log}`, timeline: 0};
    });
  }

  preflight(tables: readonly string[], ctx: CallContext): Promise<readonly Finding[]> {
    return this.#catalog.run(ctx, (session) => preflight(session, tables, this.#options));
  }

  describe(tables: readonly string[], ctx: CallContext): Promise<ReadonlyMap<string, LogTable>> {
    return this.#catalog.run(ctx, async (session) => {
      const found = await this.#describeAll(session, tables);
      return new Map([...found].map(([name, {table}]) => [name, toLogTable(table)]));
    });
  }

  prepare(tables: readonly string[], ctx: CallContext): Promise<LogPoint> {
    return this.#catalog.run(ctx, async (session) => {
      const {changeMethod} = this.#options;
      const found = [...(await this.#describeAll(session, tables)).values()];
      const isUsed = (method: ChangeMethod): boolean =>
        changeMethod === method || found.some((each) => each.method === method);
      const marks: Marks = {
        change_tracking: isUsed('change_tracking') ? await trackedVersion(session) : null,
        cdc: isUsed('cdc') ? ((await maxLsn(session)) ?? (await logEnd(session))) : null,
      };
      const followed = found.flatMap(({table, method}) =>
        method === null ? [] : [[table.id, {method, shape: shapeOf(table)}] as const],
      );
      // A log that begins anew begins behind what is read beside the old one.
      const least = leastPosition(marks, changeMethod);
      const position = least > this.#progress.position ? least : this.#progress.position;
      const place = {position, marks, tables: new Map(followed)};
      this.#progress.prepared(place);
      return toPoint(place);
    });
  }

  async openLog(from: LogPoint, tables: readonly string[], ctx: CallContext): Promise<LogReader> {
    const place = fromPoint(from);
    const known = [...(await this.describe(tables, ctx)).values()].map(({id}) => id);
    const session = await Session.open(this.#options, ctx.signal);
    this.#progress.opened(place);
    const {maxChanges, batchBytes} = this.#settings;
    return new PolledLogReader({
      rounds: new Rounds(session, known, this.#options),
      from: place,
      wanted: this.#options.changeMethod,
      onDurable: (durable) => this.#progress.acknowledged(durable),
      pollMs: this.#options.pollMs,
      ctx,
      ...(maxChanges !== undefined && {maxChanges}),
      ...(batchBytes !== undefined && {batchBytes}),
    });
  }

  async planSnapshot(table: string, ctx: CallContext): Promise<TableSnapshot> {
    const {chunkRows} = this.#settings;
    for (;;) {
      const planned = await this.#catalog.run(ctx, async (session) => {
        const {table: found, method} = await this.#describeOne(session, table);
        if (method === null) throw unknownTable(table);
        if (!this.#progress.isFollowed(found.id, method)) return {id: found.id, method};
        return await planTableSnapshot(session, found, {
          options: this.#options,
          method,
          position: () => this.#progress.position,
          positionOf: (mark) => leastPosition({[method]: mark}, this.#options.changeMethod),
          ...(chunkRows !== undefined && {chunkRows}),
        });
      });
      if ('chunks' in planned) return planned;
      await this.#progress.untilFollowed(planned.id, planned.method, ctx.signal);
    }
  }

  currentPosition(ctx: CallContext, table?: string): Promise<LogTarget> {
    return this.#catalog.run(ctx, async (session) => {
      const {changeMethod} = this.#options;
      const only = table === undefined ? null : await this.#describeOne(session, table);
      const isAsked = (each: ChangeMethod): boolean =>
        (changeMethod === 'auto' || changeMethod === each) && (only === null || only.method === each);
      const now: Marks = {
        change_tracking: isAsked('change_tracking') ? (await currentVersion(session)).version : null,
        // The capture job runs behind the log.
        cdc: isAsked('cdc') ? await this.#endOfLog(session) : null,
      };
      return {isReachedBy: (end) => isReached(fromPoint(end), now, only)};
    });
  }

  /** The database keeps changes for a time, whoever reads them: what a table has lost is told when it is read. */
  health(ctx: CallContext): Promise<LogHealth> {
    const {changeMethod} = this.#options;
    return this.#catalog.run(ctx, async (session): Promise<LogHealth> => {
      const isCaptured = changeMethod === 'cdc' || (this.#progress.place?.marks.cdc ?? null) !== null;
      const isTracked = changeMethod !== 'cdc' && (await currentVersion(session)).version !== null;
      if (changeMethod === 'change_tracking' && !isTracked)
        return {state: 'missing', message: 'Change tracking of the database is off.'};
      // Before its first pass the capture job has read nothing.
      if (isCaptured && (await maxLsn(session)) === null)
        return {state: 'at_risk', message: 'The capture job has read nothing yet: is SQL Server Agent running?'};
      return {state: 'ok'};
    });
  }

  /** Nothing was made. */
  release(_ctx: CallContext): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return this.#catalog.close();
  }

  /** Null where nothing is captured, or the user may not see it: no table can be followed by change data capture then. */
  async #endOfLog(session: Session): Promise<bigint | null> {
    if (this.#options.changeMethod === 'cdc') return await logEnd(session);
    if (!(await isCaptureEnabled(session))) return null;
    try {
      return await logEnd(session);
    } catch (error) {
      if (isIngestError(error, 'PERMISSION_DENIED')) return null;
      throw error;
    }
  }

  async #describeOne(session: Session, table: string): Promise<Described> {
    const found = (await this.#describeAll(session, [table])).get(table);
    if (found === undefined) throw unknownTable(table);
    return found;
  }

  async #describeAll(session: Session, tables: readonly string[]): Promise<ReadonlyMap<string, Described>> {
    const found = new Map<string, SourceTable>();
    for (const table of tables) {
      const described = await describeTable(session, splitName(table), this.#options);
      if (described !== null) found.set(table, described);
    }
    const ids = [...found.values()].map(({id}) => id);
    const states = await readTableStates(session, ids, this.#options);
    return new Map(
      [...found].map(([name, table]) => {
        const state = states.get(table.id);
        if (state === undefined) return [name, {table, method: null}];
        const {method} = methodOf(state, this.#options.changeMethod);
        return [name, {table: asFollowed(table, state, method), method}];
      }),
    );
  }
}

async function trackedVersion(session: Session): Promise<bigint> {
  const {version} = await currentVersion(session);
  if (version === null) throw notTracked();
  return version;
}

/**
 * Whether a log has told all up to the marks. Of a kind by which no table is followed it has nothing to tell.
 * @param only the one table that it is about; null: all that are followed
 */
function isReached({marks, tables}: LogPlace, target: Marks, only: Described | null): boolean {
  // A table that is not followed yet, or not by its method, is read anew first.
  if (only !== null && tables.get(only.table.id)?.method !== only.method) return false;
  return (['change_tracking', 'cdc'] as const).every((method) => {
    if (only !== null && only.method !== method) return true;
    const [mark, wanted] = [marks[method], target[method]];
    if (mark === null) return only === null;
    // Versions that are gone, with change tracking off, are told by nobody; an end of the log that is hidden cannot be compared with.
    if (wanted === null) return method === 'change_tracking';
    return mark >= wanted;
  });
}
