import type {CallContext, LogBatch, LogPoint, LogReader, LogTable} from '../../sdk/index.ts';
import {FrameWriter, IngestError} from '../../sdk/index.ts';
import {inflateQuery, payloadEvents} from '../../wire/binlog/compressed.ts';
import {
  ARTIFICIAL_FLAG,
  EVENT,
  eventCode,
  eventEnd,
  eventFlags,
  isDamaged,
  readQuery,
  readRotate,
  readXaPrepare,
  rowsKind,
  tableNumber,
} from '../../wire/binlog/events.ts';
import type {GtidEvent, GtidSet} from '../../wire/binlog/gtid.ts';
import {readGtid} from '../../wire/binlog/gtid.ts';
import type {TableEffect} from '../../wire/binlog/statements.ts';
import {tableEffects} from '../../wire/binlog/statements.ts';
import {readTableMap, readTableName} from '../../wire/binlog/table-map.ts';
import {MysqlError, serverError} from '../../wire/mysql/mysql-error.ts';
import type {PacketStream} from '../../wire/mysql/packet-stream.ts';
import type {HiddenType} from './column-type.ts';
import {mayBeHidden} from './column-type.ts';
import type {LogPlace} from './log-point.ts';
import {fromPoint, positionOf, toPoint} from './log-point.ts';
import {logTableOf, tableId} from './log-table.ts';
import {logLost, sourceError} from './source-errors.ts';

/** What an open log reads from and how. */
export interface LogReaderInit {
  readonly stream: PacketStream;
  /** Ends the session of the stream. */
  readonly session: AsyncDisposable;
  readonly from: LogPlace;
  readonly gtids: GtidSet;
  /** The tables to follow as they stand now. */
  readonly tables: readonly LogTable[];
  readonly followed: (database: string, name: string) => boolean;
  /** Every event ends with four bytes of CRC. */
  readonly hasChecksums: boolean;
  /** Asks the catalog for types that the log does not tell. */
  readonly hiddenTypes: (table: {database: string; name: string}) => Promise<ReadonlyMap<string, HiddenType>>;
  /** A table as it stands now; null when it is not there. */
  readonly describe: (table: {database: string; name: string}) => Promise<LogTable | null>;
  /** Told of what need not be sent again. */
  readonly onAcknowledge: (place: LogPlace) => void;
  readonly ctx: CallContext;
}

/** A batch is handed out at this size; a transaction may take it to twice that. */
const BATCH_BYTES = 1 << 20;
/** The server sends a sign of life every second: so much silence means that it is gone. */
const SILENCE_MS = 60_000;

/** What must be waited for before the next event; null for nothing. */
type Waiting = Promise<unknown> | null;

/** A table of the log under its number there. */
interface MappedTable {
  /** Bytes of the TABLE_MAP event that described it. */
  readonly map: Buffer;
  /** Null for a table that nobody follows. */
  readonly table: LogTable | null;
}

/** The transaction whose events are being read. */
interface OpenTransaction extends GtidEvent {
  /** Position behind its first event. */
  readonly position: bigint;
  /** A `begin` frame was written: it has changes of ours. */
  hasBegun: boolean;
  /** Ends with XID or COMMIT, whatever statements come before. */
  isExplicit: boolean;
  /** Events of an XA transaction, which is decided by a later one. */
  held: Buffer[] | null;
}

/** Reads a binary log as frames: raw rows events of the tables that are followed, between the bounds of their transactions. */
export class BinlogReader implements LogReader {
  readonly #init: LogReaderInit;
  readonly #writer = new FrameWriter(2 * BATCH_BYTES);
  readonly #mapped = new Map<number, MappedTable>();
  /** Tables as their last schema frames had them. */
  readonly #described = new Map<number, LogTable>();
  readonly #current = new Map<number, LogTable>();
  readonly #gtids: GtidSet;
  #file: string;
  #offset: number;
  #committed: {readonly file: string; readonly offset: number};
  #transaction: OpenTransaction | null = null;
  #hasMoved = false;
  #hasReset = false;
  /** XA transactions that are not decided yet: their tables, and their events where this reader saw them. */
  readonly #prepared = new Map<
    string,
    {readonly tables: readonly number[]; readonly events: readonly Buffer[] | null}
  >();

  constructor(init: LogReaderInit) {
    this.#init = init;
    this.#gtids = init.gtids;
    this.#file = init.from.file;
    this.#offset = init.from.offset;
    this.#committed = {file: this.#file, offset: this.#offset};
    for (const table of init.tables) this.#current.set(table.id, table);
    for (const [xid, tables] of Object.entries(init.from.prepared ?? {}))
      this.#prepared.set(xid, {tables, events: null});
  }

  async *batches(): AsyncGenerator<LogBatch, void> {
    const {stream, ctx} = this.#init;
    try {
      for (;;) {
        const packet = this.#isFull() ? null : stream.available();
        if (packet !== null) {
          const waiting = this.#packet(packet);
          if (waiting !== null) await waiting;
        } else if (this.#isFull() || this.#isWorthGiving()) {
          yield this.#take();
        } else await this.#more();
      }
    } catch (error) {
      ctx.signal.throwIfAborted();
      throw dumpError(error);
    }
  }

  /** The server keeps its log for a time, whoever reads it. */
  acknowledge(point: LogPoint): void {
    this.#init.onAcknowledge(fromPoint(point));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#init.session[Symbol.asyncDispose]();
  }

  #isFull(): boolean {
    const {length, isInTransaction} = this.#writer;
    return length >= 2 * BATCH_BYTES || (length >= BATCH_BYTES && !isInTransaction);
  }

  /** The network has nothing more for now. */
  #isWorthGiving(): boolean {
    return !this.#writer.isInTransaction && (this.#writer.length > 0 || this.#hasMoved || this.#hasReset);
  }

  #take(): LogBatch {
    const hasEnd = this.#hasMoved;
    this.#hasMoved = false;
    this.#hasReset = false;
    if (!hasEnd) return this.#writer.take(null);
    const prepared = Object.fromEntries([...this.#prepared].map(([xid, {tables}]) => [xid, tables]));
    return this.#writer.take(toPoint({...this.#committed, gtids: this.#gtids.toString(), prepared}));
  }

  async #more(): Promise<void> {
    const {stream} = this.#init;
    const late = setTimeout(() => stream.fail(new MysqlError('timeout', 0, 'the server fell silent')), SILENCE_MS);
    try {
      await stream.more();
    } finally {
      clearTimeout(late);
    }
  }

  /** Takes an answer of the server; a promise when the catalog must be asked before the next. */
  #packet(packet: Buffer): Waiting {
    if (packet[0] === 0xff) throw serverError(packet);
    if (packet[0] !== 0x00) throw new MysqlError('network', 0, 'the server ended the log');
    const event = packet.subarray(1);
    const {hasChecksums} = this.#init;
    if (hasChecksums && (eventFlags(event) & ARTIFICIAL_FLAG) === 0 && isDamaged(event)) {
      throw new MysqlError('network', 0, 'an event of the log has a wrong checksum');
    }
    const end = event.length - (hasChecksums ? 4 : 0);
    this.#moveTo(event);
    const waiting = this.#event(event, end);
    // Events between transactions are complete by themselves.
    if (this.#transaction === null && this.#offset > this.#committed.offset) this.#stand();
    return waiting;
  }

  /** Only the low 32 bits of an offset are in an event. */
  #moveTo(event: Buffer): void {
    const low = eventEnd(event);
    if ((eventFlags(event) & ARTIFICIAL_FLAG) !== 0 || low === 0 || PLACELESS.has(eventCode(event))) return;
    const known = this.#offset % TWO_32;
    const isAgain = low < known && known - low < TWO_32 / 2;
    if (!isAgain) this.#offset += low - known + (low < known ? TWO_32 : 0);
  }

  #event(event: Buffer, end: number): Waiting {
    const code = eventCode(event);
    const held = this.#transaction?.held;
    if (held && (code === EVENT.tableMap || rowsKind(code) !== null)) {
      held.push(Buffer.from(event.subarray(0, end)));
      return null;
    }
    switch (code) {
      case EVENT.tableMap:
        return this.#tableMap(event, end);
      case EVENT.xid:
        this.#commit();
        return null;
      case EVENT.gtid:
      case EVENT.gtidTagged:
      case EVENT.anonymousGtid:
      case EVENT.mariaGtid:
        this.#begin(readGtid(event));
        return null;
      case EVENT.query: {
        const {database, sql} = readQuery(event, end);
        return this.#query(sql, database);
      }
      case EVENT.mariaQueryCompressed: {
        const {database, sql} = inflateQuery(event, end);
        return this.#query(sql, database);
      }
      case EVENT.rotate:
        this.#rotate(event, end);
        return null;
      case EVENT.transactionPayload:
        return this.#payload(event, end);
      case EVENT.heartbeat:
      case EVENT.heartbeatV2:
        // A quiet log says where it stands: somebody may wait to hear it.
        if (this.#transaction === null) this.#stand();
        return null;
      case EVENT.xaPrepare:
        return this.#prepareXa(event);
      case EVENT.incident:
        this.#resetAll('the server lost events of its log (incident)');
        return null;
      default:
        if (rowsKind(code) !== null) this.#rows(event, end, code);
        return null;
    }
  }

  async #payload(event: Buffer, end: number): Promise<void> {
    for (const inner of payloadEvents(event, end)) {
      const waiting = this.#event(inner, inner.length);
      if (waiting !== null) await waiting;
    }
  }

  #rotate(event: Buffer, end: number): void {
    const {file, offset} = readRotate(event, end);
    if (file === this.#file && this.#offset > Number(offset)) return;
    this.#file = file;
    this.#offset = Number(offset);
    if (this.#transaction === null) this.#stand();
    // Numbers of tables begin anew with the server.
    this.#mapped.clear();
  }

  #begin(gtid: GtidEvent): void {
    const position = positionOf(this.#file, this.#offset);
    this.#transaction = {...gtid, position, hasBegun: false, isExplicit: false, held: gtid.isPreparedXa ? [] : null};
  }

  #commit(): void {
    const transaction = this.#transaction;
    if (transaction === null) return;
    if (transaction.hasBegun) this.#writer.commit();
    this.#gtids.add(transaction.gtid);
    this.#transaction = null;
    this.#stand();
  }

  /** Everything up to here is complete. */
  #stand(): void {
    this.#committed = {file: this.#file, offset: this.#offset};
    this.#hasMoved = true;
  }

  #beginFrame(): void {
    const transaction = this.#transaction;
    if (transaction === null || transaction.hasBegun) return;
    this.#writer.begin(transaction.position, transaction.committedAt, transaction.gtid);
    transaction.hasBegun = true;
  }

  #tableMap(event: Buffer, end: number): Waiting {
    const number = tableNumber(event);
    const known = this.#mapped.get(number);
    // Behind the header and the number, events about an unchanged table are the same.
    const map = event.subarray(MAP_BODY, end);
    if (known !== undefined && known.map.equals(map)) return null;
    if (this.#mapped.size > MAX_MAPPED) this.#mapped.clear();
    const {database, name} = readTableName(event);
    if (!this.#init.followed(database, name)) {
      this.#mapped.set(number, {map: Buffer.from(map), table: null});
      return null;
    }
    const described = readTableMap(event, end);
    const copy = Buffer.from(map);
    if (!described.isFull) {
      throw new IngestError('UNSUPPORTED', `The binary log does not name the columns of "${database}.${name}".`, {
        fix: 'SET GLOBAL binlog_row_metadata = FULL, then refresh the tables in full.',
      });
    }
    const set = (hidden: ReadonlyMap<string, HiddenType>): void => {
      const table = logTableOf(described, hidden);
      this.#current.set(table.id, table);
      this.#mapped.set(number, {map: copy, table});
    };
    if (described.columns.some(mayBeHidden)) return this.#init.hiddenTypes({database, name}).then(set);
    set(NOTHING_HIDDEN);
    return null;
  }

  #rows(event: Buffer, end: number, code: number): void {
    const mapped = this.#mapped.get(tableNumber(event));
    if (mapped === undefined || mapped.table === null) return;
    const {table} = mapped;
    this.#beginFrame();
    this.#describe(table);
    if (code === EVENT.partialUpdateRows) {
      this.#reset(table, 'an update tells only parts of JSON values (binlog_row_value_options)');
    } else this.#writer.change(table.id, event, 0, end);
  }

  /** Writes a schema frame unless the last one says the same. */
  #describe(table: LogTable): void {
    const last = this.#described.get(table.id);
    if (last === table) return;
    this.#described.set(table.id, table);
    if (last === undefined || JSON.stringify(last) !== JSON.stringify(table)) this.#writer.schema(table);
  }

  #query(sql: string, database: string): Waiting {
    const transaction = this.#transaction;
    const word = /^\s*([A-Za-z]+)/.exec(sql)?.[1]?.toUpperCase() ?? '';
    switch (word) {
      case 'BEGIN':
        if (transaction !== null) transaction.isExplicit = true;
        return null;
      case 'COMMIT':
      case 'ROLLBACK':
        if (!/^\s*rollback\s+to\b/i.test(sql)) this.#commit();
        return null;
      case 'SAVEPOINT':
        return null;
      case 'XA':
        return this.#xa(sql);
    }
    const effects = tableEffects(sql, database).filter((effect) => this.#init.followed(effect.database, effect.name));
    for (const effect of effects) this.#effect(effect);
    const isAltered = effects.some(({effect}) => ALTERING.has(effect));
    return isAltered ? this.#describeAnew(effects).then(() => this.#endStatement()) : this.#endStatement();
  }

  /** Ends the transaction of a statement that commits by itself. */
  #endStatement(): null {
    const transaction = this.#transaction;
    const endsHere = transaction?.isStandalone === true || isMysqlGtid(transaction?.gtid ?? '');
    if (transaction?.isExplicit === false && endsHere) this.#commit();
    return null;
  }

  /** Schema frames for tables that a statement made or altered: a table without changes would not have one. */
  async #describeAnew(effects: readonly TableEffect[]): Promise<void> {
    for (const {effect, database, name} of effects) {
      if (!ALTERING.has(effect)) continue;
      // Where it was altered again since, the next event of it says what holds here.
      const table = await this.#init.describe({database, name});
      if (table === null) continue;
      this.#current.set(table.id, table);
      this.#beginFrame();
      this.#describe(table);
    }
  }

  #effect({effect, database, name}: TableEffect): void {
    const table = [...this.#current.values()].find((known) => known.namespace[0] === database && known.name === name);
    const message = RESETS[effect];
    if (effect === 'truncate' && table !== undefined) {
      this.#beginFrame();
      this.#describe(table);
      this.#writer.truncate(table.id);
    } else if (message !== undefined && table !== undefined) this.#reset(table, message);
  }

  #reset(table: LogTable, message: string): void {
    this.#writer.reset(table.id, message);
    this.#hasReset = true;
  }

  #resetAll(message: string): void {
    for (const table of this.#current.values()) this.#reset(table, message);
  }

  /** Rows of an XA transaction come when it is prepared; what becomes of them says a later transaction. */
  #xa(sql: string): Waiting {
    const [, verb = '', name = ''] = /^\s*XA\s+(\w+)\s+(.*?)\s*$/is.exec(sql) ?? [];
    const xid = name.replaceAll(/\s/g, '').toUpperCase();
    switch (verb.toUpperCase()) {
      case 'START':
      case 'BEGIN':
        if (this.#transaction !== null) this.#transaction.held = [];
        return null;
      case 'END':
        return null;
      case 'COMMIT':
        return this.#commitXa(xid);
      default:
        this.#prepared.delete(xid);
        this.#commit();
        return null;
    }
  }

  async #commitXa(xid: string): Promise<void> {
    const prepared = this.#prepared.get(xid);
    this.#prepared.delete(xid);
    for (const table of this.#current.values()) {
      if (prepared?.tables.includes(table.id) === true && prepared.events === null)
        this.#reset(table, 'the rows of an XA transaction came before the log was opened');
    }
    await this.#replay(prepared?.events ?? []);
    this.#commit();
  }

  async #replay(events: readonly Buffer[]): Promise<void> {
    if (this.#transaction !== null) this.#transaction.held = null;
    for (const event of events) {
      const waiting = this.#event(event, event.length);
      if (waiting !== null) await waiting;
    }
  }

  async #prepareXa(event: Buffer): Promise<void> {
    const events = this.#transaction?.held ?? [];
    const {xid, isOnePhase} = readXaPrepare(event);
    if (isOnePhase) await this.#replay(events);
    else {
      const maps = events.filter((held) => eventCode(held) === EVENT.tableMap).map(readTableName);
      const tables = maps.flatMap(({database, name}) =>
        this.#init.followed(database, name) ? [tableId(database, name)] : [],
      );
      const size = events.reduce((sum, held) => sum + held.length, 0);
      if (tables.length > 0) this.#prepared.set(xid, {tables, events: size > MAX_HELD_BYTES ? null : events});
    }
    this.#commit();
  }
}

const MAX_HELD_BYTES = 64 << 20;

/** Events whose end is not where the log stands. Others from the begin of a file are sent again when the log is opened in its middle. */
const PLACELESS = new Set<number>([
  EVENT.rotate,
  EVENT.formatDescription,
  EVENT.heartbeat,
  EVENT.heartbeatV2,
  EVENT.mariaGtidList,
]);
const TWO_32 = 4_294_967_296;
const MAP_BODY = 25;
const MAX_MAPPED = 10_000;
const NOTHING_HIDDEN: ReadonlyMap<string, HiddenType> = new Map();

/** After these a table may have other columns. */
const ALTERING = new Set<TableEffect['effect']>(['create', 'replace', 'harmless', 'rewrite']);

/** Why a table is read anew after a statement; statements that are not here need nothing. */
const RESETS: Readonly<Partial<Record<TableEffect['effect'], string>>> = {
  create: 'the table was created anew',
  replace: 'another table was renamed to its name',
  rewrite: 'the table was altered in a way that may have changed its rows',
  write: 'rows were changed by a statement that the log holds as text (binlog_format)',
};

function isMysqlGtid(gtid: string): boolean {
  return gtid.includes(':');
}

const CANNOT_READ_LOG = 1236;
const SAME_READER = 4052;

/** What the end of the log means. MySQL has one number for all failures of a dump: only its text tells two readers of one name. */
function dumpError(error: unknown): unknown {
  if (error instanceof MysqlError && (error.number === CANNOT_READ_LOG || error.number === SAME_READER)) {
    if (error.number === SAME_READER || /same server[_ ](uuid|id)/i.test(error.message)) {
      return new IngestError('CONCURRENT_RUN', 'Another reader of the binary log has taken the name of this gateway.', {
        fix: 'Stop the other gateway of the same name.',
        cause: error,
      });
    }
    return logLost(error.message, error);
  }
  return sourceError(error, {what: 'read the binary log'});
}
