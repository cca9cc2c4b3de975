import {randomUUID} from 'node:crypto';

import {failpoint} from '../core/failpoint.ts';
import type {LogBatch, LogPoint, LogTable} from '../sdk/change-log.ts';
import {FRAME, readBegin, readFrames} from '../sdk/log-frames.ts';
import {storeBlock, wholeFile, type Compression, type StoredBlock} from './block-file.ts';
import {encodeJson, type LogBody, type LogEntry, type OpenTransaction} from './entry.ts';
import type {ManifestWriter} from './manifest-writer.ts';

/** Raw bytes of a block; batches are never cut, so one may be longer. */
const BLOCK_BYTES = 1 << 20;
/** A segment of the usual size. */
const ROOM_BYTES = 10 << 20;
/** Blocks that are kept to be used again. */
const KEPT_BLOCKS = 24;

/** Turns batches of the log into sealed segments. One thing at a time: `append` may be called while `seal` is under way. */
export interface LogWriter {
  /** Raw bytes that no entry holds yet. */
  readonly unsealedBytes: number;
  /** The log ends in the middle of a transaction. */
  readonly isOpen: boolean;
  /** Takes a copy of a batch. */
  append(batch: LogBatch): void;
  /**
   * Makes what was appended a durable segment and adds its entry; null when there was nothing. After an error the next call tries
   * the same segment again, before any newer one.
   */
  seal(): Promise<LogEntry | null>;
}

/** Goes on behind the end of the manifest, with transactions that begin there. */
export function openLogWriter(manifest: ManifestWriter, compression: Compression): LogWriter {
  return new SegmentWriter(manifest, compression);
}

/** What becomes one segment. */
interface Gathering {
  /** Of its file. */
  readonly mark: string;
  readonly epoch: number;
  readonly start: LogPoint;
  readonly open: OpenTransaction | null;
  /** Tables as they stood before it. */
  readonly before: ReadonlyMap<number, LogTable>;
  readonly blocks: Promise<StoredBlock>[];
  /** What the blocks were gathered in. */
  readonly buffers: Buffer[];
  readonly rows: Map<number, number>;
  readonly tables: Map<number, LogTable>;
  end: LogPoint;
  tail: number | null;
  frames: number;
  rawBytes: number;
  committedAt: bigint | null;
}

class SegmentWriter implements LogWriter {
  readonly #manifest: ManifestWriter;
  readonly #compression: Compression;
  #known: ReadonlyMap<number, LogTable>;
  #end: LogPoint;
  #open: OpenTransaction | null = null;
  #gathering: Gathering | null = null;
  #block: Buffer = Buffer.allocUnsafe(BLOCK_BYTES);
  #filled = 0;
  /** What segments are put together in. */
  #room: Buffer = Buffer.alloc(0);
  /** Blocks to use again. */
  readonly #free: Buffer[] = [];
  /** Cut and not yet in the manifest. */
  #cut: Gathering | null = null;

  constructor(manifest: ManifestWriter, compression: Compression) {
    const {state} = manifest;
    if (state.end === null) throw new RangeError('an epoch begins before its log is written');
    this.#manifest = manifest;
    this.#compression = compression;
    this.#end = state.end;
    this.#known = new Map([...state.tables.values()].map(({table}) => [table.id, table]));
  }

  get unsealedBytes(): number {
    return (this.#gathering?.rawBytes ?? 0) + (this.#cut?.rawBytes ?? 0);
  }

  get isOpen(): boolean {
    return this.#open !== null;
  }

  append(batch: LogBatch): void {
    if (batch.frames === 0) return;
    const gathering = (this.#gathering ??= this.#begin());
    const bytes = Buffer.from(batch.bytes.buffer, batch.bytes.byteOffset, batch.bytes.byteLength);
    this.#follow(batch, bytes, gathering);
    this.#copy(bytes, gathering);
    gathering.frames += batch.frames;
    gathering.rawBytes += bytes.length;
    for (const [table, count] of batch.changes) gathering.rows.set(table, (gathering.rows.get(table) ?? 0) + count);
    for (const table of batch.tables) gathering.tables.set(table.id, table);
    if (batch.committedAt !== null) gathering.committedAt = batch.committedAt;
  }

  async seal(): Promise<LogEntry | null> {
    this.#cut ??= this.#takeGathering();
    if (this.#cut === null) return null;
    const entry = await this.#write(this.#cut);
    this.#cut = null;
    return entry;
  }

  #begin(): Gathering {
    // What came to nothing of ours may have been written down meanwhile, without a segment.
    const {end} = this.#manifest.state;
    if (end !== null && end.position > this.#end.position) this.#end = end;
    return {
      mark: randomUUID().slice(0, 8),
      epoch: this.#manifest.state.epoch,
      start: this.#end,
      open: this.#open,
      before: this.#known,
      blocks: [],
      buffers: [],
      rows: new Map(),
      tables: new Map(),
      end: this.#end,
      tail: this.#open === null ? null : 0,
      frames: 0,
      rawBytes: 0,
      committedAt: null,
    };
  }

  /** Keeps where the last commit and the open transaction stand. */
  #follow(batch: LogBatch, bytes: Buffer, gathering: Gathering): void {
    if (batch.end !== null) {
      this.#end = batch.end;
      gathering.end = batch.end;
    }
    if (batch.open === null) {
      this.#open = null;
      gathering.tail = null;
      return;
    }
    const at = bytes.length - batch.open.bytes;
    const begun = beginAt(bytes, at);
    if (begun !== null) {
      this.#open = {...begun, frames: batch.open.frames};
      gathering.tail = gathering.rawBytes + at;
    } else if (this.#open !== null) this.#open = {...this.#open, frames: this.#open.frames + batch.open.frames};
  }

  #copy(bytes: Buffer, gathering: Gathering): void {
    if (this.#filled > 0 && this.#filled + bytes.length > this.#block.length) this.#endBlock(gathering);
    if (bytes.length > this.#block.length) this.#block = Buffer.allocUnsafe(bytes.length);
    bytes.copy(this.#block, this.#filled);
    this.#filled += bytes.length;
  }

  #endBlock(gathering: Gathering): void {
    if (this.#filled === 0) return;
    const block = storeBlock(this.#block.subarray(0, this.#filled), this.#compression);
    // Awaited by `seal`; without this, a failure before then would end the process.
    block.catch(() => undefined);
    gathering.blocks.push(block);
    gathering.buffers.push(this.#block);
    this.#block = this.#free.pop() ?? Buffer.allocUnsafe(BLOCK_BYTES);
    this.#filled = 0;
  }

  #takeGathering(): Gathering | null {
    const gathering = this.#gathering;
    if (gathering === null) return null;
    this.#endBlock(gathering);
    this.#gathering = null;
    if (gathering.tables.size > 0) this.#known = new Map([...this.#known, ...gathering.tables]);
    return gathering;
  }

  async #write(gathering: Gathering): Promise<LogEntry> {
    const {staging, state} = this.#manifest;
    const {epoch, mark} = gathering;
    const file = staging.layout.segment(epoch, state.n + 1, mark);
    const {bytes, crc, rawBytes} = wholeFile(describe(gathering), await Promise.all(gathering.blocks), this.#room);
    await staging.store.put(file, bytes);
    // One segment is written after the other; those of a size that seldom comes are let go.
    if (bytes.length > this.#room.length && bytes.length <= ROOM_BYTES) this.#room = Buffer.allocUnsafe(ROOM_BYTES);
    failpoint('staging.segment-written');
    const {start, end, open, tail, frames, rows, committedAt} = gathering;
    const body: LogBody = {
      kind: 'log',
      epoch,
      file,
      start,
      end,
      open,
      tail,
      frames,
      bytes: bytes.length,
      rawBytes,
      crc,
      rows,
      tables: [...gathering.tables.values()],
      committedAt,
    };
    const entry = await this.#manifest.append(body);
    for (const buffer of gathering.buffers) {
      if (buffer.length === BLOCK_BYTES && this.#free.length < KEPT_BLOCKS) this.#free.push(buffer);
    }
    return entry;
  }
}

/** A segment is read without its neighbours: it says how the tables in it look at its beginning, and what goes on in it. */
function describe({epoch, start, open, before, rows}: Gathering): Uint8Array {
  const tables = [...rows.keys()].flatMap((id) => before.get(id) ?? []);
  return encodeJson({kind: 'log', epoch, start, open, tables});
}

/** The transaction whose `begin` frame is there; null when the bytes go on with one. */
function beginAt(bytes: Buffer, at: number): Omit<OpenTransaction, 'frames'> | null {
  for (const frame of readFrames(bytes, at)) return frame.kind === FRAME.begin ? readBegin(bytes, frame) : null;
  return null;
}
