import {IngestError} from '../core/errors.ts';
import type {LogBatch, LogPoint, LogTable, TableReset} from './change-log.ts';

/**
 * What a frame is. `begin`: position and time of the commit, then the transaction's name. `schema`: a {@link LogTable} as JSON.
 * `change`: one message of the log about rows of one table, raw. `truncate`: the table was emptied; no payload.
 * `note`: something that the codec may want, raw. `commit`: ends the transaction; no payload.
 */
export const FRAME = {begin: 1, schema: 2, change: 3, truncate: 4, note: 5, commit: 6} as const;

/** One of {@link FRAME}. */
export type FrameKind = (typeof FRAME)[keyof typeof FRAME];

/** Bytes before the payload: length of the payload (u32), kind (u8), table number (u32), little-endian. */
export const FRAME_HEADER = 9;
const BEGIN_HEADER = 16;
const MAX_PAYLOAD = 0xffff_ffff;

/**
 * Gathers frames for a {@link LogBatch}. Positions of `begin` frames grow: each is at or behind the end of the transaction before
 * it, and before its own end. The bytes of a batch are used again two `take`s later. */
export class FrameWriter {
  #bytes: Buffer;
  #spare: Buffer;
  #length = 0;
  #frames = 0;
  #changes = new Map<number, number>();
  #tables = new Map<number, LogTable>();
  #resets: TableReset[] = [];
  #committedAt: bigint | null = null;
  #isOpen = false;
  #commits = 0;
  /** Where the open transaction begins in the buffer, in bytes and in frames. */
  #openAt = 0;
  #openFrame = 0;

  /** @param capacity first size of the buffers, in bytes; they grow. */
  constructor(capacity: number = 1 << 20) {
    this.#bytes = Buffer.allocUnsafe(capacity);
    this.#spare = Buffer.allocUnsafe(capacity);
  }

  /** Bytes gathered. */
  get length(): number {
    return this.#length;
  }

  /** A transaction has begun and not ended. */
  get isInTransaction(): boolean {
    return this.#isOpen;
  }

  /**
   * A transaction begins.
   * @param committedAt microseconds since 1970.
   */
  begin(position: bigint, committedAt: bigint, transaction: string): void {
    this.#openAt = this.#length;
    this.#openFrame = this.#frames;
    const at = this.#frame(FRAME.begin, 0, BEGIN_HEADER + Buffer.byteLength(transaction));
    this.#bytes.writeBigUInt64LE(position, at);
    this.#bytes.writeBigInt64LE(committedAt, at + 8);
    this.#bytes.write(transaction, at + BEGIN_HEADER);
    this.#committedAt = committedAt;
    this.#isOpen = true;
  }

  /** The table looks like this from here on. */
  schema(table: LogTable): void {
    const text = Buffer.from(JSON.stringify(table));
    const at = this.#frame(FRAME.schema, table.id, text.length);
    text.copy(this.#bytes, at);
    this.#tables.set(table.id, table);
  }

  /** One message about rows of a table: `source[start, end)`. */
  change(table: number, source: Uint8Array, start: number, end: number): void {
    const at = this.#frame(FRAME.change, table, end - start);
    this.#copy(source, start, end, at);
    this.#changes.set(table, (this.#changes.get(table) ?? 0) + 1);
  }

  /** The table was emptied. */
  truncate(table: number): void {
    this.#frame(FRAME.truncate, table, 0);
    this.#changes.set(table, (this.#changes.get(table) ?? 0) + 1);
  }

  /** Something that only the codec understands: `source[start, end)`. */
  note(table: number, source: Uint8Array, start: number, end: number): void {
    const at = this.#frame(FRAME.note, table, end - start);
    this.#copy(source, start, end, at);
  }

  /** Ends the transaction. */
  commit(): void {
    this.#frame(FRAME.commit, 0, 0);
    this.#isOpen = false;
    this.#commits++;
  }

  /** The log does not tell all about the table any more: it must be read anew. */
  reset(table: number, message: string): void {
    this.#resets.push({table, message});
  }

  /**
   * What was gathered since the last `take`.
   * @param end where the log stands behind the last commit that was gathered; null when none was.
   */
  take(end: LogPoint | null): LogBatch {
    if (end === null && this.#commits > 0) throw new RangeError('a batch with a commit needs the point behind it');
    const open = {frames: this.#frames - this.#openFrame, bytes: this.#length - this.#openAt};
    const batch: LogBatch = {
      bytes: this.#bytes.subarray(0, this.#length),
      frames: this.#frames,
      changes: this.#changes,
      tables: [...this.#tables.values()],
      resets: this.#resets,
      end,
      open: this.#isOpen ? open : null,
      committedAt: this.#committedAt,
    };
    [this.#bytes, this.#spare] = [this.#spare, this.#bytes];
    this.#length = 0;
    this.#frames = 0;
    this.#changes = new Map();
    this.#tables = new Map();
    this.#resets = [];
    this.#committedAt = null;
    this.#commits = 0;
    this.#openAt = 0;
    this.#openFrame = 0;
    return batch;
  }

  #frame(kind: FrameKind, table: number, length: number): number {
    if (length > MAX_PAYLOAD) throw new RangeError('a frame of the log has more than 4 GB');
    const at = this.#length;
    const end = at + FRAME_HEADER + length;
    if (end > this.#bytes.length) this.#grow(end);
    this.#bytes.writeUInt32LE(length, at);
    this.#bytes[at + 4] = kind;
    this.#bytes.writeUInt32LE(table, at + 5);
    this.#length = end;
    this.#frames++;
    return at + FRAME_HEADER;
  }

  #copy(source: Uint8Array, start: number, end: number, at: number): void {
    if (end - start < 32) for (let i = start; i < end; i++) this.#bytes[at + i - start] = source[i] ?? 0;
    else this.#bytes.set(source.subarray(start, end), at);
  }

  #grow(wanted: number): void {
    const larger = Buffer.allocUnsafe(Math.max(wanted, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

/** A frame as {@link readFrames} meets it; the same object is used for every frame. */
export interface Frame {
  kind: number;
  table: number;
  /** `bytes.subarray(start, end)` is the payload. */
  start: number;
  end: number;
}

/** Goes through whole frames of `bytes`. @throws STAGING_DAMAGED when a frame is cut off */
export function* readFrames(bytes: Buffer, from = 0, to: number = bytes.length): Generator<Frame, void> {
  const frame: Frame = {kind: 0, table: 0, start: 0, end: 0};
  let at = from;
  while (at < to) {
    if (at + FRAME_HEADER > to) throw cutOff(at);
    frame.start = at + FRAME_HEADER;
    frame.end = frame.start + bytes.readUInt32LE(at);
    frame.kind = bytes[at + 4] ?? 0;
    frame.table = bytes.readUInt32LE(at + 5);
    if (frame.end > to) throw cutOff(at);
    at = frame.end;
    yield frame;
  }
}

/** What a `begin` frame says. */
export function readBegin(
  bytes: Buffer,
  {start, end}: Frame,
): {readonly position: bigint; readonly committedAt: bigint; readonly transaction: string} {
  return {
    position: bytes.readBigUInt64LE(start),
    committedAt: bytes.readBigInt64LE(start + 8),
    transaction: bytes.toString('utf8', start + BEGIN_HEADER, end),
  };
}

/** What a `schema` frame says. */
export function readSchema(bytes: Buffer, {start, end}: Frame): LogTable {
  return JSON.parse(bytes.toString('utf8', start, end)) as LogTable;
}

function cutOff(at: number): IngestError {
  return new IngestError('STAGING_DAMAGED', `A frame at byte ${at} is cut off.`, {
    fix: 'Restore the staging folder from a copy, or purge it and refresh its tables in full.',
  });
}
