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
  TableSnapshot,
} from '../../sdk/index.ts';
import {isIngestError, KeptSession} from '../../sdk/index.ts';
import {CaptureFeed, capturedTable, maxLsn, readInstances} from './capture.ts';
import type {SourceTable} from './catalog.ts';
import {describeTable, shapeOf, splitName, textOf, toLogTable} from './catalog.ts';
import {ChangeTrackingFeed, currentVersion} from './change-tracking.ts';
import {CODEC_NAME} from './log-codec.ts';
import {fromPoint, positionOf, toPoint} from './log-mark.ts';
import {PolledLogReader} from './log-reader.ts';
import {checkDatabase, checkTable} from './preflight.ts';
import type {ConnectionOptions} from './session.ts';
import {Session} from './session.ts';
import {planTableSnapshot} from './snapshot.ts';
import {logLost, notTracked, unknownTable} from './source-errors.ts';
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

/** The changes of a SQL Server database, by change tracking or by change data capture. Nothing is made or changed at the source. */
export class SqlServerChangeLog implements ChangeLogSource {
  readonly codec: string = CODEC_NAME;
  readonly #options: ConnectionOptions;
  readonly #settings: SqlServerLogSettings;
  readonly #catalog: KeptSession<Session>;

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
      return {server: `${database}/${this.#options.changeMethod}`, timeline: 0};
    });
  }

  preflight(tables: readonly string[], ctx: CallContext): Promise<readonly Finding[]> {
    const {changeMethod: method} = this.#options;
    return this.#catalog.run(ctx, async (session) => {
      const findings = [...(await checkDatabase(session, method))];
      for (const name of tables) {
        const table = await describeTable(session, splitName(name), this.#options);
        findings.push(...(await checkTable(session, table, {name, method})));
      }
      return findings;
    });
  }

  describe(tables: readonly string[], ctx: CallContext): Promise<ReadonlyMap<string, LogTable>> {
    return this.#catalog.run(ctx, async (session) => {
      const found = await this.#describeAll(session, tables);
      return new Map([...found].map(([name, table]) => [name, toLogTable(table)]));
    });
  }

  prepare(tables: readonly string[], ctx: CallContext): Promise<LogPoint> {
    return this.#catalog.run(ctx, async (session) => {
      const mark = await this.#currentMark(session);
      const shapes = [...(await this.#describeAll(session, tables)).values()].map((table) => [
        String(table.id),
        shapeOf(table),
      ]);
      return toPoint({
        method: this.#options.changeMethod,
        mark,
        shapes: Object.fromEntries(shapes) as Record<string, string>,
      });
    });
  }

  async openLog(from: LogPoint, tables: readonly string[], ctx: CallContext): Promise<LogReader> {
    const place = fromPoint(from);
    const {changeMethod, pollMs} = this.#options;
    if (place.method !== changeMethod) throw logLost(`they were read by ${place.method}, and now by ${changeMethod}`);
    const known = [...(await this.describe(tables, ctx)).values()];
    const session = await Session.open(this.#options, ctx.signal);
    const Feed = changeMethod === 'cdc' ? CaptureFeed : ChangeTrackingFeed;
    const feed = new Feed(session, known, this.#options);
    const {maxChanges, batchBytes} = this.#settings;
    const limits = {...(maxChanges !== undefined && {maxChanges}), ...(batchBytes !== undefined && {batchBytes})};
    return new PolledLogReader({feed, from: place, pollMs, ctx, ...limits});
  }

  planSnapshot(table: string, ctx: CallContext): Promise<TableSnapshot> {
    return this.#catalog.run(ctx, async (session) => {
      const found = (await this.#describeAll(session, [table])).get(table);
      if (found === undefined) throw unknownTable(table);
      const {chunkRows} = this.#settings;
      return planTableSnapshot(session, found, {
        options: this.#options,
        method: this.#options.changeMethod,
        mark: await this.#currentMark(session),
        ...(chunkRows !== undefined && {chunkRows}),
      });
    });
  }

  currentPosition(ctx: CallContext): Promise<bigint> {
    const {changeMethod} = this.#options;
    return this.#catalog.run(ctx, async (session) =>
      // The capture job runs behind the log.
      positionOf(changeMethod, changeMethod === 'cdc' ? await logEnd(session) : await this.#currentMark(session)),
    );
  }

  /** The database keeps changes for a time, whoever reads them: what a table has lost is told when it is read. */
  health(ctx: CallContext): Promise<LogHealth> {
    return this.#catalog.run(ctx, async (session) => {
      const isCdc = this.#options.changeMethod === 'cdc';
      const mark = isCdc ? (await maxLsn(session)).lsn : (await currentVersion(session)).version;
      if (mark !== null) return {state: 'ok'};
      // Before its first pass the capture job has read nothing.
      if (isCdc)
        return {state: 'at_risk', message: 'The capture job has read nothing yet: is SQL Server Agent running?'};
      return {state: 'missing', message: 'Change tracking of the database is off.'};
    });
  }

  /** Nothing was made. */
  release(_ctx: CallContext): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return this.#catalog.close();
  }

  async #currentMark(session: Session): Promise<bigint> {
    if (this.#options.changeMethod === 'cdc') return (await maxLsn(session)).lsn ?? (await logEnd(session));
    const {version} = await currentVersion(session);
    if (version === null) throw notTracked();
    return version;
  }

  async #describeAll(session: Session, tables: readonly string[]): Promise<ReadonlyMap<string, SourceTable>> {
    const found = new Map<string, SourceTable>();
    for (const table of tables) {
      const described = await describeTable(session, splitName(table), this.#options);
      if (described !== null) found.set(table, described);
    }
    if (this.#options.changeMethod !== 'cdc') return found;
    const instances = await readInstances(
      session,
      [...found.values()].map(({id}) => id),
    );
    return new Map(
      [...found].map(([name, table]) => {
        const instance = instances.findLast(({source}) => source === table.id);
        return [name, instance === undefined ? table : capturedTable(table, instance)];
      }),
    );
  }
}
