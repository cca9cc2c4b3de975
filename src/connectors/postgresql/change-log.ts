import type {
  CallContext,
  ChangeLogSettings,
  ChangeLogSource,
  Finding,
  KnownTables,
  LogHealth,
  LogIdentity,
  LogPoint,
  LogReader,
  LogTable,
  TableSnapshot,
} from '../../sdk/index.ts';
import {IngestError, isIngestError, KeptSession} from '../../sdk/index.ts';
import {parseLsn} from '../../wire/pg/replication.ts';
import {splitName} from './catalog.ts';
import {healthOf} from './change-log-health.ts';
import {openReader} from './change-log-open.ts';
import {preflight} from './change-log-preflight.ts';
import {pointAt} from './change-log-reader.ts';
import {planLogSnapshot} from './change-log-snapshot.ts';
import type {RangeSizes} from './key-ranges.ts';
import {RANGE_SIZES} from './key-ranges.ts';
import {CODEC} from './log-codec.ts';
import {followedTable} from './log-table.ts';
import type {LogNames} from './publication.ts';
import {prepareLog, releaseLog} from './publication.ts';
import type {ConnectionOptions} from './session.ts';
import {openReplication, Session} from './session.ts';
import {sourceError} from './source-errors.ts';

/** The change log of one PostgreSQL database: its write-ahead log as the plugin pgoutput decodes it, through one replication slot. */
export class PostgresChangeLog implements ChangeLogSource {
  readonly codec: string = CODEC;
  readonly #options: ConnectionOptions;
  #names: LogNames;
  readonly #sizes: RangeSizes;
  /** Tables of which no transaction is older than their place in the publication. */
  readonly #settled = new Set<string>();
  readonly #catalog: KeptSession<Session>;

  /** @param sizes From when on snapshots are read in ranges of the key; default {@link RANGE_SIZES}. */
  constructor(
    options: ConnectionOptions,
    {gatewayId, slotName, publicationName, isNew = false}: ChangeLogSettings,
    sizes: RangeSizes = RANGE_SIZES,
  ) {
    const own = `sluice_${gatewayId}`;
    this.#options = options;
    this.#catalog = new KeptSession((signal) => Session.open(options, signal));
    this.#sizes = sizes;
    this.#names = {
      slot: slotName ?? own,
      publication: publicationName ?? own,
      isOwnSlot: slotName === undefined,
      isOwnPublication: publicationName === undefined,
      isNew,
    };
  }

  async identify(ctx: CallContext): Promise<LogIdentity> {
    const {connection} = await openReplication(this.#options, ctx.signal);
    try {
      const {rows} = await connection.query('IDENTIFY_SYSTEM', ctx.signal);
      return {server: rows[0]?.[0] ?? '', timeline: Number(rows[0]?.[1] ?? 0)};
    } catch (error) {
      throw sourceError(error, {what: 'identify the server'});
    } finally {
      await connection[Symbol.asyncDispose]();
    }
  }

  preflight(tables: readonly string[], ctx: CallContext): Promise<readonly Finding[]> {
    return this.#catalog.run(ctx, (session) => preflight(session, this.#names, tables));
  }

  describe(tables: readonly string[], ctx: CallContext): Promise<ReadonlyMap<string, LogTable>> {
    return this.#catalog.run(ctx, async (session) => {
      const found = new Map<string, LogTable>();
      for (const name of tables) {
        try {
          found.set(name, (await followedTable(session, name, this.#names.publication)).table);
        } catch (error) {
          if (!isIngestError(error, 'UNKNOWN_TABLE')) throw error;
        }
      }
      return found;
    });
  }

  async prepare(tables: readonly string[], ctx: CallContext): Promise<LogPoint> {
    const position = await this.#catalog.run(ctx, (session) => prepareLog(session, this.#names, tables));
    this.#names = {...this.#names, isNew: false};
    return pointAt(position);
  }

  openLog(
    from: LogPoint,
    tables: readonly string[],
    ctx: CallContext,
    known: KnownTables = () => undefined,
  ): Promise<LogReader> {
    return openReader({options: this.#options, names: this.#names, from: from.position, tables, known}, ctx);
  }

  planSnapshot(table: string, ctx: CallContext): Promise<TableSnapshot> {
    splitName(table);
    const {publication} = this.#names;
    return planLogSnapshot(
      {options: this.#options, publication, table, settled: this.#settled, sizes: this.#sizes},
      ctx,
    );
  }

  currentPosition(ctx: CallContext): Promise<bigint> {
    return this.#catalog.run(ctx, currentLsn);
  }

  health(ctx: CallContext): Promise<LogHealth> {
    return this.#catalog.run(ctx, (session) => healthOf(session, this.#names.slot));
  }

  async heartbeat(ctx: CallContext): Promise<void> {
    await this.#catalog.run(ctx, (session) =>
      session.query(`select pg_logical_emit_message(false, 'sluice', '')`, {what: 'write a heartbeat'}),
    );
  }

  async release(ctx: CallContext): Promise<void> {
    await this.#catalog.run(ctx, (session) => releaseLog(session, this.#names));
    this.#settled.clear();
  }

  close(): Promise<void> {
    return this.#catalog.close();
  }
}

async function currentLsn(session: Session): Promise<bigint> {
  const doing = {what: 'ask where the log stands'};
  const [row] = await session.query('select pg_current_wal_insert_lsn()::text', doing);
  const lsn = parseLsn(row?.[0] ?? '');
  if (lsn === null) throw new IngestError('SOURCE_ERROR', `Cannot ${doing.what}: the server told no position.`);
  return lsn;
}
