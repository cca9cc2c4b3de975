import type {LogTable} from '../sdk/change-log.ts';
import {FRAME, readBegin, readFrames, readSchema, type Frame} from '../sdk/log-frames.ts';
import {readBlockFile} from './block-file.ts';
import {damaged, JsonFields} from './damage.ts';
import {tableOf, type LogEntry} from './entry.ts';
import type {Staging} from './staging.ts';

/** A committed transaction of the log. */
export interface LogTransaction {
  /** Orders the transactions of one epoch. */
  readonly position: bigint;
  /** Microseconds since 1970 by the source's clock. */
  readonly committedAt: bigint;
  /** For `LogCodec.isVisible`. */
  readonly transaction: string;
}

/** What a frame of one table says. `ordinal` orders the frames of a transaction. */
export type TableFrame =
  | {readonly kind: 'change' | 'note'; readonly ordinal: number; readonly start: number; readonly end: number}
  | {readonly kind: 'truncate'; readonly ordinal: number}
  | {readonly kind: 'schema'; readonly ordinal: number; readonly table: LogTable};

/** Frames of one table in one transaction, in order: all of them, or a part where a block of the segment ends. */
export interface TableRun extends LogTransaction {
  /** `bytes.subarray(frame.start, frame.end)` is the payload of a change or note. */
  readonly bytes: Buffer;
  readonly frames: readonly TableFrame[];
}

/** A segment, sorted by table. */
export interface Segment {
  /** Tables as they stand at its beginning, by number. */
  readonly tables: ReadonlyMap<number, LogTable>;
  /** By table number; a transaction that the log never ended is left out. */
  readonly runs: ReadonlyMap<number, readonly TableRun[]>;
  readonly rawBytes: number;
}

/**
 * Reads a segment and checks it.
 * @param isAbandoned the transaction that it does not end was never ended.
 * @throws STAGING_DAMAGED
 */
export async function readSegment(staging: Staging, entry: LogEntry, isAbandoned: boolean): Promise<Segment> {
  const bytes = await staging.store.get(entry.file);
  if (bytes === null) throw damaged(entry.file, 'is missing');
  const file = await readBlockFile(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), entry.file, entry);
  const fields = new JsonFields(file.description, entry.file);
  const tables = new Map(fields.objects('tables').map((table) => [Number(table.number('id')), tableOf(table)]));
  const limit = isAbandoned && entry.tail !== null ? entry.tail : entry.rawBytes;
  const sorter = new FrameSorter(entry);
  let before = 0;
  for (const block of file.blocks) {
    sorter.sort(block, Math.min(block.length, limit - before));
    before += block.length;
    if (before >= limit) break;
  }
  return {tables, runs: sorter.runs, rawBytes: entry.rawBytes};
}

interface GrowingRun extends TableRun {
  readonly frames: TableFrame[];
}

/** Sorts the frames of a segment by table. */
class FrameSorter {
  readonly runs = new Map<number, GrowingRun[]>();
  readonly #file: string;
  #transaction: LogTransaction | null;
  #ordinal: number;
  /** Of the transaction and block that are sorted now. */
  #current = new Map<number, GrowingRun>();

  constructor(entry: LogEntry) {
    this.#file = entry.file;
    this.#transaction = entry.open;
    this.#ordinal = entry.open?.frames ?? 0;
  }

  sort(bytes: Buffer, length: number): void {
    this.#current = new Map();
    for (const frame of readFrames(bytes, 0, Math.max(0, length))) {
      if (frame.kind === FRAME.begin) {
        this.#transaction = readBegin(bytes, frame);
        this.#ordinal = 0;
        if (this.#current.size > 0) this.#current = new Map();
      } else if (frame.kind === FRAME.commit) this.#transaction = null;
      else this.#add(bytes, frame);
      this.#ordinal++;
    }
  }

  #add(bytes: Buffer, frame: Frame): void {
    const known = this.#current.get(frame.table) ?? this.#newRun(bytes, frame.table);
    known.frames.push(frameOf(bytes, frame, this.#ordinal));
  }

  #newRun(bytes: Buffer, table: number): GrowingRun {
    if (this.#transaction === null) throw damaged(this.#file, 'has a change outside of a transaction');
    const {position, committedAt, transaction} = this.#transaction;
    const run: GrowingRun = {position, committedAt, transaction, bytes, frames: []};
    this.#current.set(table, run);
    const runs = this.runs.get(table);
    if (runs === undefined) this.runs.set(table, [run]);
    else runs.push(run);
    return run;
  }
}

function frameOf(bytes: Buffer, frame: Frame, ordinal: number): TableFrame {
  const {kind, start, end} = frame;
  if (kind === FRAME.change) return {kind: 'change', ordinal, start, end};
  if (kind === FRAME.truncate) return {kind: 'truncate', ordinal};
  if (kind === FRAME.schema) return {kind: 'schema', ordinal, table: readSchema(bytes, frame)};
  return {kind: 'note', ordinal, start, end};
}
