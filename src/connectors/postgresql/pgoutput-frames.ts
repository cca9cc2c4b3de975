import type {FrameWriter, LogTable} from '../../sdk/index.ts';
import type {ByteRange} from '../../wire/pg/byte-stream.ts';
import {STREAM, XLOG_HEADER} from '../../wire/pg/replication.ts';

/** A table of the log as a relation message describes it, and as what it is staged. */
export interface Relation {
  readonly oid: number;
  /** Null: nobody asked for the table. */
  readonly table: LogTable | null;
  /** A part of a partitioned table that the log names by itself. */
  readonly isPart: boolean;
  /** Why the table must be read anew from here on; null: it need not. */
  readonly reset: string | null;
}

/** Why {@link PgoutputFramer.run} stopped: all is read, enough is gathered, or a relation must be looked up first. */
export type Stop = 'drained' | 'full' | 'relation';

/** First bytes of pgoutput's messages, protocol version 1. @see https://www.postgresql.org/docs/18/protocol-logicalrep-message-formats.html */
export const MESSAGE = {
  begin: 0x42,
  commit: 0x43,
  relation: 0x52,
  insert: 0x49,
  update: 0x55,
  delete: 0x44,
  truncate: 0x54,
} as const;

const MICROS_TO_2000 = 946_684_800_000_000n;
const EPOCH = 1n << 32n;
const HALF_EPOCH = 1n << 31n;
/** A batch ends behind the first commit after this many bytes, and in the middle of a transaction after twice as many. */
const ENOUGH_BYTES = 512 << 10;

/** Where a log begins. */
export interface FramerStart {
  /** Transactions that committed at or before it are left out. */
  readonly from: bigint;
  /** A transaction id of the present, of 64 bits: those in the log have 32. */
  readonly xid: bigint;
}

/**
 * Turns messages of the replication stream into frames. No object is made for a change. A transaction without changes of wanted
 * tables leaves no frame.
 */
export class PgoutputFramer {
  readonly #writer: FrameWriter;
  readonly #from: bigint;
  /** Relation messages, raw, that no change has needed so far. */
  readonly #described = new Map<number, Buffer>();
  readonly #relations = new Map<number, Relation>();
  /** Which relation's columns the last schema frame of a table has. */
  readonly #shown = new Map<number, Relation>();
  /** Parts take turns as the columns of their table; a reset is told once. */
  readonly #told = new WeakSet<Relation>();
  #xid: bigint;
  #end: bigint | null = null;
  #isOpen = false;
  #isSkipping = false;
  #position = 0n;
  #committedAt = 0n;
  #transaction = 0;
  #lastOid = -1;
  /** Table number of the last relation; 0: not wanted. */
  #lastTable = 0;
  #wanted = 0;
  #mustReply = false;

  constructor(writer: FrameWriter, start: FramerStart) {
    this.#writer = writer;
    this.#from = start.from;
    this.#xid = start.xid;
  }

  /** Where the log stands behind the last commit or keepalive since {@link takeEnd}; null when nothing ended. */
  takeEnd(): bigint | null {
    const end = this.#end;
    this.#end = null;
    return end;
  }

  /** True when {@link takeEnd} has something to give. */
  get hasEnd(): boolean {
    return this.#end !== null;
  }

  /** True once after the server asked for an answer. */
  takeReply(): boolean {
    const must = this.#mustReply;
    this.#mustReply = false;
    return must;
  }

  /** The relation that {@link run} stopped for: its message, or nothing where the log never described it. */
  get missing(): {readonly oid: number; readonly message: Buffer | undefined} {
    return {oid: this.#wanted, message: this.#described.get(this.#wanted)};
  }

  /** What the last schema frame of a table said. */
  shownTable(id: number): LogTable | undefined {
    return this.#shown.get(id)?.table ?? undefined;
  }

  /** Answers `relation`. */
  resolve(relation: Relation): void {
    this.#relations.set(relation.oid, relation);
    this.#described.delete(relation.oid);
    this.#lastOid = -1;
  }

  /** Goes through whole messages. @returns how many bytes it has dealt with, and why it stopped. */
  run({buffer, start, end}: ByteRange): {readonly bytes: number; readonly stop: Stop} {
    let at = start;
    while (at < end) {
      const next = at + 1 + buffer.readUInt32BE(at + 1);
      if (buffer[at + 5] === STREAM.data) {
        const stop = this.#message(buffer, at + XLOG_HEADER, next);
        if (stop === 'relation') return {bytes: at - start, stop};
        if (stop === 'full') return {bytes: next - start, stop};
      } else if (buffer[at + 5] === STREAM.keepalive) {
        // Within a transaction the position is one before it.
        if (!this.#isOpen) this.#moveTo(buffer.readBigUInt64BE(at + 6));
        this.#mustReply ||= buffer[at + 22] === 1;
      }
      at = next;
    }
    return {bytes: at - start, stop: 'drained'};
  }

  #message(buffer: Buffer, at: number, end: number): Stop | null {
    switch (buffer[at]) {
      case MESSAGE.insert:
      case MESSAGE.update:
      case MESSAGE.delete: {
        if (this.#isSkipping) return null;
        const oid = buffer.readUInt32BE(at + 1);
        if (oid !== this.#lastOid && !this.#turnTo(oid)) return 'relation';
        if (this.#lastTable === 0) return null;
        this.#writer.change(this.#lastTable, buffer, at, end);
        return this.#writer.length >= 2 * ENOUGH_BYTES ? 'full' : null;
      }
      case MESSAGE.begin:
        this.#begin(buffer, at);
        return null;
      case MESSAGE.commit:
        return this.#commit(buffer.readBigUInt64BE(at + 10));
      case MESSAGE.relation: {
        const oid = buffer.readUInt32BE(at + 1);
        this.#described.set(oid, Buffer.from(buffer.subarray(at, end)));
        this.#relations.delete(oid);
        this.#lastOid = -1;
        return null;
      }
      case MESSAGE.truncate:
        return this.#isSkipping ? null : this.#truncate(buffer, at);
      default:
        // Types and origins say nothing that relations do not.
        return null;
    }
  }

  #begin(buffer: Buffer, at: number): void {
    this.#position = buffer.readBigUInt64BE(at + 1);
    this.#committedAt = buffer.readBigInt64BE(at + 9) + MICROS_TO_2000;
    this.#transaction = buffer.readUInt32BE(at + 17);
    this.#isOpen = true;
    // A commit record begins before its own end and at or behind the end of the one before it.
    this.#isSkipping = this.#position < this.#from;
    this.#lastOid = -1;
  }

  #commit(end: bigint): Stop | null {
    if (this.#writer.isInTransaction) this.#writer.commit();
    this.#isOpen = false;
    this.#isSkipping = false;
    this.#moveTo(end);
    return this.#writer.length >= ENOUGH_BYTES ? 'full' : null;
  }

  #moveTo(end: bigint): void {
    if (end > this.#from && (this.#end === null || end > this.#end)) this.#end = end;
  }

  /** Makes a relation the current one, with all that must stand before its first change; false when it is unknown. */
  #turnTo(oid: number): boolean {
    const relation = this.#relations.get(oid);
    if (relation === undefined) {
      this.#wanted = oid;
      return false;
    }
    this.#lastOid = oid;
    this.#lastTable = relation.table?.id ?? 0;
    if (relation.table !== null) this.#show(relation, relation.table);
    return true;
  }

  #show(relation: Relation, table: LogTable): void {
    if (!this.#writer.isInTransaction) this.#writer.begin(this.#position, this.#committedAt, this.#widened());
    if (this.#shown.get(table.id) === relation) return;
    this.#writer.schema(table);
    if (relation.reset !== null && !this.#told.has(relation)) this.#writer.reset(table.id, relation.reset);
    this.#told.add(relation);
    this.#shown.set(table.id, relation);
  }

  #truncate(buffer: Buffer, at: number): Stop | null {
    const count = buffer.readUInt32BE(at + 1);
    const oids = Array.from({length: count}, (_, index) => buffer.readUInt32BE(at + 6 + 4 * index));
    const unknown = oids.find((oid) => !this.#relations.has(oid));
    if (unknown !== undefined) {
      this.#wanted = unknown;
      return 'relation';
    }
    for (const oid of oids) {
      this.#turnTo(oid);
      const relation = this.#relations.get(oid);
      if (this.#lastTable === 0 || relation === undefined) continue;
      if (relation.isPart)
        this.#writer.reset(this.#lastTable, 'A partition was truncated; the log does not say which rows that were.');
      else this.#writer.truncate(this.#lastTable);
    }
    return null;
  }

  /** The transaction's id with its epoch: ids of one log are less than 2^31 apart. */
  #widened(): string {
    let xid = (this.#xid & ~(EPOCH - 1n)) | BigInt(this.#transaction);
    if (xid - this.#xid > HALF_EPOCH && xid >= EPOCH) xid -= EPOCH;
    else if (this.#xid - xid > HALF_EPOCH) xid += EPOCH;
    this.#xid = xid;
    return xid.toString();
  }
}
