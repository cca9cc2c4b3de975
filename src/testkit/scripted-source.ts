import type {BytesVector, FixedVector} from '../core/columns.ts';
import {IngestError} from '../core/errors.ts';
import {LinkedAbort} from '../core/linked-abort.ts';
import type {PlainJson} from '../core/offset.ts';
import type {
  ChangeLogSource,
  ChunkEnd,
  Finding,
  LogBatch,
  LogCodec,
  LogHealth,
  LogIdentity,
  LogPoint,
  LogReader,
  LogTable,
  SnapshotChunk,
  SnapshotToken,
  TableSnapshot,
} from '../sdk/change-log.ts';
import type {CallContext, Change} from '../sdk/contract.ts';
import {FrameWriter} from '../sdk/log-frames.ts';
import type {ScriptedDatabase, ScriptedRow, ScriptedTransaction, ScriptedView, ScriptedWrite} from './scripted-log.ts';

/** What goes wrong with a {@link ScriptedSource}. Each happens once, but `down`. */
export interface ScriptedFaults {
  /** The connection of the log is cut after so many more frames. */
  cutAfterFrames: number | null;
  /** The next chunk is cut in its middle. */
  cutChunk: boolean;
  /** Nobody answers. */
  down: boolean;
}

/** Options of a {@link ScriptedSource}. */
export interface ScriptedSourceOptions {
  /** Frames of a batch; a longer transaction is cut. Default 50. */
  readonly batchFrames?: number;
  /** Rows of a chunk. Default 10. */
  readonly chunkRows?: number;
  /** Chunks have views of their own. Default false. */
  readonly isResumable?: boolean;
  /** Tables that preflight refuses. */
  readonly refused?: readonly string[];
}

/** A {@link ScriptedDatabase} as a source, with a log that keeps what was not acknowledged, and faults. */
export class ScriptedSource implements ChangeLogSource {
  readonly codec: string = 'scripted/1';
  readonly faults: ScriptedFaults = {cutAfterFrames: null, cutChunk: false, down: false};
  /** Points that were acknowledged, in order. */
  readonly acknowledged: bigint[] = [];
  /** Chunks that were read to their end, as `table/first id`. */
  readonly chunksRead: string[] = [];
  /** Points from which the log was opened. */
  readonly opened: bigint[] = [];
  heartbeats = 0;
  released = 0;
  readonly #database: ScriptedDatabase;
  /** By table: how many transactions had been committed when it was first prepared. */
  readonly #followedFrom = new Map<number, number>();
  readonly #options: Required<ScriptedSourceOptions>;

  constructor(database: ScriptedDatabase, options: ScriptedSourceOptions = {}) {
    this.#database = database;
    this.#options = {batchFrames: 50, chunkRows: 10, isResumable: false, refused: [], ...options};
  }

  async identify(_ctx: CallContext): Promise<LogIdentity> {
    this.#reach();
    return Promise.resolve(this.#database.identity);
  }

  async preflight(tables: readonly string[], _ctx: CallContext): Promise<readonly Finding[]> {
    this.#reach();
    const refused = tables.filter((table) => this.#options.refused.includes(table));
    return Promise.resolve(
      refused.map((table) => ({level: 'error', code: 'REFUSED', message: `${table} cannot be followed.`, table})),
    );
  }

  async describe(tables: readonly string[], _ctx: CallContext): Promise<ReadonlyMap<string, LogTable>> {
    this.#reach();
    const found = new Map<string, LogTable>();
    for (const name of tables) {
      const table = this.#database.table(name);
      if (table !== undefined) found.set(name, table);
    }
    return Promise.resolve(found);
  }

  async prepare(tables: readonly string[], _ctx: CallContext): Promise<LogPoint> {
    this.#reach();
    const {transactions} = this.#database;
    for (const table of tables) {
      const id = this.#database.table(table)?.id;
      if (id !== undefined && !this.#followedFrom.has(id)) this.#followedFrom.set(id, transactions.length);
    }
    const last = this.#database.transactions[this.#database.forgotten - 1];
    return Promise.resolve(pointOf(last?.end ?? 0n));
  }

  async openLog(from: LogPoint, tables: readonly string[], ctx: CallContext): Promise<LogReader> {
    this.#reach();
    this.#checkKept(from.position);
    this.opened.push(from.position);
    return Promise.resolve(this.#reader(from, new Set(tables), ctx));
  }

  async planSnapshot(name: string, _ctx: CallContext): Promise<TableSnapshot> {
    this.#reach();
    const table = this.#database.table(name);
    if (table === undefined) throw new IngestError('UNKNOWN_TABLE', `There is no table "${name}".`);
    // What is not in the log, because it was committed before the table was followed, must be seen.
    this.#database.showThrough(Math.max(this.#database.lost, this.#followedFrom.get(table.id) ?? 0));
    const view = this.#database.view();
    const {isResumable} = this.#options;
    return Promise.resolve({
      table,
      token: isResumable ? null : tokenOf(view),
      position: this.#database.viewPosition(),
      chunks: this.#chunksOf([...this.#database.rows(name, view).keys()]),
      isResumable,
      estimatedRows: this.#database.rows(name, view).size,
      readChunk: (chunk: SnapshotChunk) => this.#readChunk(name, isResumable ? null : view, chunk),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  }

  async currentPosition(_ctx: CallContext): Promise<bigint> {
    this.#reach();
    return Promise.resolve(this.#database.position);
  }

  async health(_ctx: CallContext): Promise<LogHealth> {
    this.#reach();
    const acknowledged = this.acknowledged.at(-1) ?? 0n;
    return Promise.resolve({state: 'ok', retainedBytes: Number(this.#database.position - acknowledged)});
  }

  async heartbeat(_ctx: CallContext): Promise<void> {
    this.#reach();
    this.heartbeats++;
    return Promise.resolve();
  }

  async release(_ctx: CallContext): Promise<void> {
    this.released++;
    return Promise.resolve();
  }

  #reach(): void {
    this.#database.refresh();
    if (this.faults.down) throw new IngestError('CONNECTION_FAILED', 'The scripted database does not answer.');
  }

  #checkKept(position: bigint): void {
    const lost = this.#database.transactions[this.#database.forgotten - 1];
    if (lost !== undefined && lost.end > position) {
      throw new IngestError('LOG_LOST', `The log behind ${position} is gone.`);
    }
  }

  #reader(from: LogPoint, tables: ReadonlySet<string>, ctx: CallContext): LogReader {
    const stop = new LinkedAbort(ctx.signal);
    const {signal} = stop;
    return {
      batches: () => this.#batches(from.position, tables, signal),
      acknowledge: ({position}) => {
        this.acknowledged.push(position);
        const next = this.#database.after(position);
        const forgotten = next === undefined ? this.#database.transactions.length : next.number - 1;
        if (forgotten > this.#database.forgotten) this.#database.release(forgotten);
      },
      [Symbol.asyncDispose]: () => {
        stop.controller.abort(new IngestError('CANCELLED', 'The reader was closed.'));
        stop.release();
        return Promise.resolve();
      },
    };
  }

  async *#batches(from: bigint, tables: ReadonlySet<string>, signal: AbortSignal): AsyncGenerator<LogBatch, void> {
    const frames = new FrameWriter(256);
    const log = new ScriptedLog(tables);
    let position = from;
    for (;;) {
      signal.throwIfAborted();
      this.#reach();
      const next = this.#database.after(position);
      if (next === undefined) {
        if (this.#database.position > position) position = this.#database.position;
        yield frames.take(pointOf(position));
        await this.#database.changed(signal);
        this.#checkKept(position);
        continue;
      }
      for (const isWhole of log.write(next, frames)) {
        this.#cut();
        if (!isWhole && log.gathered >= this.#options.batchFrames) yield take(frames, log, null);
      }
      position = next.end;
      yield take(frames, log, pointOf(position));
    }
  }

  #cut(): void {
    const {cutAfterFrames} = this.faults;
    if (cutAfterFrames === null) return;
    this.faults.cutAfterFrames = cutAfterFrames === 0 ? null : cutAfterFrames - 1;
    if (cutAfterFrames === 0) throw new IngestError('CONNECTION_FAILED', 'The connection was cut.');
  }

  #chunksOf(ids: readonly number[]): readonly SnapshotChunk[] {
    const sorted = ids.toSorted((left, right) => left - right);
    const {chunkRows} = this.#options;
    const starts = sorted.filter((_, index) => index % chunkRows === 0);
    const firsts = starts.length === 0 ? [0] : starts;
    // The first and the last are open: a view of its own may see rows outside.
    return firsts.map((first, index) => ({from: index === 0 ? null : first, below: firsts[index + 1] ?? null}));
  }

  async *#readChunk(
    name: string,
    shared: ScriptedView | null,
    chunk: SnapshotChunk,
  ): AsyncGenerator<Uint8Array, ChunkEnd> {
    this.#reach();
    const position = this.#database.viewPosition();
    const view = shared ?? this.#database.view();
    const rows = [...this.#database.rows(name, view).values()].filter(({id}) => isIn(chunk, id));
    for (const [index, row] of rows.entries()) {
      if (this.faults.cutChunk && index === Math.floor(rows.length / 2)) {
        this.faults.cutChunk = false;
        throw new IngestError('CONNECTION_FAILED', 'The chunk was cut.');
      }
      yield Buffer.from(`${JSON.stringify(row)}\n`);
    }
    this.chunksRead.push(`${name}/${String(chunk['from'])}`);
    return Promise.resolve({rows: rows.length, ...(shared === null ? {view: {token: tokenOf(view), position}} : {})});
  }
}

function take(frames: FrameWriter, log: ScriptedLog, end: LogPoint | null): LogBatch {
  log.gathered = 0;
  return frames.take(end);
}

/** Writes transactions as frames; a table's schema goes before its first change and where it differs. */
class ScriptedLog {
  gathered = 0;
  readonly #tables: ReadonlySet<string>;
  readonly #told = new Map<number, string>();

  constructor(tables: ReadonlySet<string>) {
    this.#tables = tables;
  }

  /** Yields behind every frame, true behind the last. */
  *write(transaction: ScriptedTransaction, frames: FrameWriter): Generator<boolean, void> {
    const writes = transaction.writes.filter(({table}) => this.#tables.has(table));
    if (writes.length === 0) return;
    frames.begin(transaction.position, transaction.committedAt, `t${transaction.number}`);
    for (const write of writes) {
      const table = transaction.tables.get(write.table);
      if (table === undefined) continue;
      this.#describe(table, frames);
      this.#frame(table.id, write, frames);
      this.gathered++;
      yield false;
    }
    frames.commit();
    yield true;
  }

  #describe(table: LogTable, frames: FrameWriter): void {
    const text = JSON.stringify(table);
    if (this.#told.get(table.id) === text) return;
    this.#told.set(table.id, text);
    frames.schema(table);
  }

  #frame(table: number, write: ScriptedWrite, frames: FrameWriter): void {
    if (write.op === 'truncate') return frames.truncate(table);
    if (write.op === 'reset') return frames.reset(table, 'a change that the log cannot tell');
    const bytes = Buffer.from(JSON.stringify({op: write.op, row: write.row}));
    frames.change(table, bytes, 0, bytes.length);
  }
}

/** The codec of `scripted/1`: frames and chunks are JSON text. */
export const scriptedCodec: LogCodec = {
  name: 'scripted/1',
  schemaOf: ({columns}) => ({
    schema: {
      type: 'struct',
      fields: columns.map(({name, type}) => ({
        name,
        type: type === 'int' ? 'long' : 'string',
        nullable: name !== 'id',
        metadata: {},
      })),
    },
    primaryKeys: columns.filter(({isKey}) => isKey).map(({name}) => name),
  }),
  isVisible: (transaction, snapshot) => {
    const {upTo, hidden} = snapshot as unknown as ScriptedView;
    const number = Number(transaction.slice(1));
    return number <= upTo && !hidden.includes(number);
  },
  createDecoder: () => ({
    describe: () => undefined,
    decode: (payload, out) => {
      const {op, row} = JSON.parse(Buffer.from(payload).toString()) as {op: 'upsert' | 'delete'; row: ScriptedRow};
      out.push({op, row} satisfies Change);
    },
  }),
  decodeChunk: async function* (table, bytes) {
    const rows = await readRows(bytes);
    const {schema} = scriptedCodec.schemaOf(table);
    const columns = table.columns.map(({name, type}) => (type === 'int' ? longs(rows, name) : texts(rows, name)));
    yield {batch: {schema, rowCount: rows.length, columns}};
  },
};

/** The rows of a scripted chunk. */
export async function readRows(bytes: AsyncIterable<Uint8Array>): Promise<readonly ScriptedRow[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of bytes) pieces.push(Buffer.from(piece));
  const lines = Buffer.concat(pieces).toString().split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as ScriptedRow);
}

function longs(rows: readonly ScriptedRow[], name: string): FixedVector {
  return {kind: 'fixed', data: BigInt64Array.from(rows, (row) => BigInt(Number(row[name]))), validity: null};
}

function texts(rows: readonly ScriptedRow[], name: string): BytesVector {
  const parts = rows.map((row) => Buffer.from(row[name] === null || row[name] === undefined ? '' : String(row[name])));
  const validity = new Uint8Array(Math.ceil(rows.length / 8));
  const starts = new Uint32Array(rows.length);
  let at = 0;
  for (const [index, part] of parts.entries()) {
    starts[index] = at;
    at += part.length;
    const isPresent = rows[index]?.[name] !== null && rows[index]?.[name] !== undefined;
    if (isPresent) validity[index >> 3] = (validity[index >> 3] ?? 0) | (1 << (index & 7));
  }
  return {
    kind: 'bytes',
    data: Buffer.concat(parts),
    starts,
    lengths: Uint32Array.from(parts, ({length}) => length),
    validity,
  };
}

function isIn(chunk: SnapshotChunk, id: number): boolean {
  const [from, below] = [chunk['from'], chunk['below']];
  return (typeof from !== 'number' || id >= from) && (typeof below !== 'number' || id < below);
}

function tokenOf(view: ScriptedView): SnapshotToken {
  return {upTo: view.upTo, hidden: view.hidden} satisfies PlainJson;
}

function pointOf(position: bigint): LogPoint {
  return {position, token: {position: position.toString()}};
}
