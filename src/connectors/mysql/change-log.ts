import {createHash} from 'node:crypto';

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
import {KeptSession} from '../../sdk/index.ts';
import {encodeGtidSet, emptyMariaSet, parseGtidSet} from '../../wire/binlog/gtid.ts';
import {COMMAND} from '../../wire/mysql/messages.ts';
import {quoteLiteral} from '../../wire/mysql/quote.ts';
import type {SourceTable} from './catalog.ts';
import {describeTable, hiddenTypes, readCollations, splitName, toLogTable} from './catalog.ts';
import {CODEC_NAME} from './log-codec.ts';
import {currentPlace, endOfLog} from './log-place.ts';
import type {LogPlace} from './log-point.ts';
import {fromPoint, positionOf, toPoint} from './log-point.ts';
import {BinlogReader} from './log-reader.ts';
import {checkServer, checkTable} from './preflight.ts';
import type {ConnectionOptions} from './session.ts';
import {Session} from './session.ts';
import {planTableSnapshot} from './snapshot.ts';
import {logLost, unknownTable} from './source-errors.ts';

/** The change log of a MySQL or MariaDB server: its binary log, read as a replica does. Nothing is made or changed at the source. */
export class MysqlChangeLog implements ChangeLogSource {
  readonly codec: string = CODEC_NAME;
  readonly #options: ConnectionOptions;
  readonly #settings: ChangeLogSettings & {readonly chunkRows?: number};
  readonly #catalog: KeptSession<Session>;
  #collations: ReadonlyMap<string, number> | null = null;
  /** The file that is read next, for `health`. */
  #file: string | null = null;

  constructor(options: ConnectionOptions, settings: ChangeLogSettings & {readonly chunkRows?: number}) {
    this.#options = options;
    this.#catalog = new KeptSession((signal) => Session.open(options, signal));
    this.#settings = settings;
  }

  identify(ctx: CallContext): Promise<LogIdentity> {
    return this.#catalog.run(ctx, async (session) => {
      const doing = {what: 'identify the server'};
      const rows = await session.query(
        `show global variables where variable_name in ('server_uuid', 'server_uid', 'server_id')`,
        doing,
      );
      const values = new Map(rows.map(([name, value]) => [name ?? '', value ?? '']));
      const server =
        values.get('server_uuid') ?? values.get('server_uid') ?? `server_id ${values.get('server_id') ?? ''}`;
      return {server, timeline: 0};
    });
  }

  preflight(tables: readonly string[], ctx: CallContext): Promise<readonly Finding[]> {
    return this.#catalog.run(ctx, async (session) => {
      const findings = [...(await checkServer(session, this.#readerId))];
      for (const table of tables) findings.push(...checkTable(await this.#describe(session, table), table));
      return findings;
    });
  }

  describe(tables: readonly string[], ctx: CallContext): Promise<ReadonlyMap<string, LogTable>> {
    return this.#catalog.run(ctx, async (session) => {
      const found = new Map<string, LogTable>();
      for (const table of tables) {
        const described = await this.#describe(session, table);
        if (described !== null) found.set(table, toLogTable(described));
      }
      return found;
    });
  }

  prepare(_tables: readonly string[], ctx: CallContext): Promise<LogPoint> {
    return this.#catalog.run(ctx, async (session) => toPoint(await currentPlace(session)));
  }

  async openLog(from: LogPoint, tables: readonly string[], ctx: CallContext): Promise<LogReader> {
    const place = fromPoint(from);
    const known = await this.describe(tables, ctx);
    const foldsCase = await this.#catalog.run(ctx, async (session) => {
      const end = await endOfLog(session);
      if (positionOf(end.file, end.offset) < from.position) {
        throw logLost('it ends before that place: it was reset, or the server lost its last part in a crash');
      }
      const [row] = await session.query('select @@global.lower_case_table_names', {what: 'read the settings'});
      return row?.[0] !== '0';
    });
    const fold = (text: string): string => (foldsCase ? text.toLowerCase() : text);
    const names = new Set(
      tables.map((table) => {
        const {database, name} = splitName(table, this.#options.database);
        return fold(`${database}\0${name}`);
      }),
    );
    const session = await Session.open(this.#options, ctx.signal);
    try {
      const hasChecksums = await this.#prepareDump(session, place);
      const stream = await session.startDump(...dumpCommand(session, place, this.#readerId));
      this.#file = place.file;
      return new BinlogReader({
        stream,
        session,
        from: place,
        gtids: session.isMariaDb && place.gtids === '' ? emptyMariaSet() : parseGtidSet(place.gtids),
        tables: [...known.values()],
        followed: (database, name) => names.has(fold(`${database}\0${name}`)),
        hasChecksums,
        hiddenTypes: (table) => this.#catalog.run(ctx, (catalog) => hiddenTypes(catalog, table)),
        describe: (table) =>
          this.#catalog.run(ctx, async (catalog) => {
            const described = await describeTable(catalog, table, await this.#readCollations(catalog));
            return described === null ? null : toLogTable(described);
          }),
        onAcknowledge: ({file}) => {
          this.#file = file;
        },
        ctx,
      });
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
  }

  planSnapshot(table: string, ctx: CallContext): Promise<TableSnapshot> {
    return this.#catalog.run(ctx, async (session) => {
      const described = await this.#describe(session, table);
      if (described === null) throw unknownTable(table);
      const collations = await this.#readCollations(session);
      const {chunkRows} = this.#settings;
      const context = {options: this.#options, collations, ...(chunkRows !== undefined && {chunkRows})};
      return planTableSnapshot(session, described, context);
    });
  }

  currentPosition(ctx: CallContext): Promise<bigint> {
    return this.#catalog.run(ctx, async (session) => {
      const {file, offset} = await endOfLog(session);
      return positionOf(file, offset);
    });
  }

  health(ctx: CallContext): Promise<LogHealth> {
    return this.#catalog.run(ctx, async (session) => {
      const files = await session.query('show binary logs', {what: 'list the files of the binary log'});
      const from = this.#file === null ? 0 : files.findIndex(([file]) => file === this.#file);
      if (from === -1) {
        return {
          state: 'lost',
          message: `The file ${this.#file ?? ''} of the binary log was removed before it was read.`,
        };
      }
      const retainedBytes = files.slice(from).reduce((sum, [, size]) => sum + Number(size ?? 0), 0);
      const isOldest = from === 0 && files.length > 1 && this.#file !== null;
      return isOldest
        ? {state: 'at_risk', retainedBytes, message: 'The oldest file of the binary log is the one that is read next.'}
        : {state: 'ok', retainedBytes};
    });
  }

  /** Nothing was made: readers of a binary log leave no trace at the server. */
  release(_ctx: CallContext): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return this.#catalog.close();
  }

  /** The number by which the server tells its readers apart: away from those that people give to replicas. */
  get #readerId(): number {
    return 0x5c00_0000 + this.#digest().readUIntLE(0, 3);
  }

  #digest(): Buffer {
    return createHash('sha256').update(`sluice gateway ${this.#settings.gatewayId}`).digest();
  }

  /** Says how the log is to be sent. True when events carry checksums. */
  async #prepareDump(session: Session, {gtids}: LogPlace): Promise<boolean> {
    const doing = {what: 'open the binary log'};
    const [row] = await session.query('select @@global.binlog_checksum', doing);
    const hex = this.#digest().toString('hex');
    const uuid = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
    const settings: [string, string][] = [
      ['master_binlog_checksum', '@@global.binlog_checksum'],
      ['source_binlog_checksum', '@@global.binlog_checksum'],
      ['master_heartbeat_period', String(HEARTBEAT_NANOS)],
      ['source_heartbeat_period', String(HEARTBEAT_NANOS)],
      // A reader that comes again ends what is left of the one before it.
      ['slave_uuid', quoteLiteral(uuid)],
      ['replica_uuid', quoteLiteral(uuid)],
    ];
    if (session.isMariaDb) {
      settings.push(['mariadb_slave_capability', '4'], ['slave_connect_state', quoteLiteral(gtids)]);
      settings.push(['slave_gtid_strict_mode', '0'], ['slave_gtid_ignore_duplicates', '0']);
    }
    await session.query(`set ${settings.map(([name, value]) => `@${name} = ${value}`).join(', ')}`, doing);
    return (row?.[0] ?? 'NONE').toUpperCase() !== 'NONE';
  }

  async #describe(session: Session, table: string): Promise<SourceTable | null> {
    const collations = await this.#readCollations(session);
    return describeTable(session, splitName(table, this.#options.database), collations);
  }

  async #readCollations(session: Session): Promise<ReadonlyMap<string, number>> {
    this.#collations ??= await readCollations(session);
    return this.#collations;
  }
}

const HEARTBEAT_NANOS = 1_000_000_000;
const THROUGH_GTIDS = 0x04;

function dumpCommand(session: Session, {gtids}: LogPlace, readerId: number): [number, Buffer] {
  if (session.isMariaDb) {
    const argument = Buffer.alloc(10);
    argument.writeUInt32LE(4, 0);
    argument.writeUInt32LE(readerId, 6);
    return [COMMAND.binlogDump, argument];
  }
  const set = encodeGtidSet(gtids);
  const head = Buffer.alloc(22);
  head.writeUInt16LE(THROUGH_GTIDS, 0);
  head.writeUInt32LE(readerId, 2);
  head.writeBigUInt64LE(4n, 10);
  head.writeUInt32LE(set.length, 18);
  return [COMMAND.binlogDumpGtid, Buffer.concat([head, set])];
}
