import assert from 'node:assert/strict';

import type {ColumnBatch} from '../core/columns.ts';
import {isIngestError} from '../core/errors.ts';
import type {
  ChangeLogSource,
  LogBatch,
  LogCodec,
  LogPoint,
  LogTable,
  LogTarget,
  SnapshotToken,
} from '../sdk/change-log.ts';
import {hasReached} from '../sdk/change-log.ts';
import type {CallContext, Change} from '../sdk/contract.ts';
import {FRAME, readBegin, readFrames, readSchema} from '../sdk/log-frames.ts';

/** A row of the table that a change log is proved with. */
export interface ProofRow {
  readonly id: number;
  readonly value: string;
}

/** One statement on the table. */
export type ProofWrite = {readonly upsert: ProofRow} | {readonly delete: number};

/**
 * A change log that is proved: a database with an empty table of two columns, `id` (an integer of 32 or 64 bits, the primary key) and
 * `value` (text). Cases run one after the other on one database, each with a source of its own.
 */
export interface LogUnderTest {
  /** Opens the source anew: the same slot, the same gateway. */
  open(): Promise<ChangeLogSource>;
  readonly codec: LogCodec;
  /** As the source's `listTables` names it. */
  readonly table: string;
  /** What the source's calls get, under a signal. */
  readonly context: (signal: AbortSignal) => CallContext;
  /** Commits the statements as one transaction. */
  write(...writes: readonly ProofWrite[]): Promise<void>;
  /** The rows of the table now. */
  rows(): Promise<readonly ProofRow[]>;
  /** Rows of a transaction that cannot be one batch; default 20,000. */
  readonly longTransaction?: number;
}

/** One thing that every change log must do. */
export interface LogCase {
  readonly name: string;
  /** Resolves when the log does it; rejects with what it did instead. */
  readonly run: (log: LogUnderTest) => Promise<void>;
}

/** What a `ChangeLogSource` and its codec must do for a gateway, as cases to run one by one. */
export function changeLogConformance(): readonly LogCase[] {
  return [
    {name: 'says the same of itself every time', run: identifies},
    {name: 'describes the tables that are there by the names asked for', run: describes},
    {name: 'is prepared twice without harm, and finds nothing wrong then', run: prepares},
    {name: 'gives committed transactions in order, each with its schema before its changes', run: givesTransactions},
    {name: 'goes on behind any point that it gave, without a gap or a repetition', run: goesOn},
    {name: 'gives again what was not acknowledged, and goes on behind what was', run: givesAgain},
    {name: 'cuts a long transaction and says so', run: cutsLong},
    {name: 'ends a wait at the signal', run: endsAtSignal},
    {name: 'hands over from a snapshot to the log by visibility, while others write', run: handsOver},
    {name: 'tells a position behind everything that has committed', run: tellsPosition},
    {name: 'refuses to go on where what keeps the log was made anew', run: refusesGap},
    {name: 'is released twice', run: releases},
  ];
}

async function identifies(log: LogUnderTest): Promise<void> {
  await using session = await openSession(log);
  const first = await session.source.identify(session.context);
  await using other = await openSession(log);
  assert.deepEqual(await other.source.identify(other.context), first);
  assert.notEqual(first.server, '');
}

async function describes(log: LogUnderTest): Promise<void> {
  await using session = await openSession(log);
  const {source, context} = session;
  const names = [log.table, `${log.table}_is_not_there`];
  const found = await source.describe(names, context);
  assert.deepEqual([...found.keys()], [log.table]);
  const table = found.get(log.table);
  assert.deepEqual(
    table?.columns.map(({name, isKey}) => [name, isKey]),
    [
      ['id', true],
      ['value', false],
    ],
  );
  assert.ok(table.id >= 0 && table.id <= 0xffff_ffff && Number.isInteger(table.id), `table number ${table.id}`);
  const {primaryKeys, schema} = log.codec.schemaOf(table);
  assert.deepEqual(primaryKeys, ['id']);
  assert.deepEqual(
    schema.fields.map(({name}) => name),
    ['id', 'value'],
  );
  assert.equal(source.codec, log.codec.name);
}

async function prepares(log: LogUnderTest): Promise<void> {
  await using session = await openSession(log);
  const {source, context} = session;
  const first = await source.prepare([log.table], context);
  const again = await source.prepare([log.table], context);
  assert.ok(again.position >= 0n && first.position >= 0n);
  const errors = (await source.preflight([log.table], context)).filter(({level}) => level === 'error');
  assert.deepEqual(errors, []);
  assert.notEqual((await source.health(context)).state, 'lost');
}

async function givesTransactions(log: LogUnderTest): Promise<void> {
  await using session = await openSession(log);
  const from = await startOf(session, log);
  await log.write({upsert: {id: 1, value: 'a'}}, {upsert: {id: 2, value: 'b'}});
  await log.write({upsert: {id: 1, value: 'changed ☃'}});
  await log.write({delete: 2});
  const read = await readThrough(session, log, from);
  const rows = new Map<number, string>([]);
  for (const {changes} of read.transactions) applyChanges(rows, changes);
  assert.deepEqual([...rows], [[1, 'changed ☃']]);
  assert.deepEqual(
    read.transactions.map(({changes}) => changes.length),
    [2, 1, 1],
  );
  await log.write({delete: 1});
}

async function goesOn(log: LogUnderTest): Promise<void> {
  await using session = await openSession(log);
  const from = await startOf(session, log);
  for (let id = 10; id < 20; id++) await log.write({upsert: {id, value: 'x'}});
  const whole = await readThrough(session, log, from);
  assert.equal(whole.transactions.length, 10);
  for (const point of [from, ...whole.points]) {
    const rest = await readThrough(session, log, point);
    const wanted = whole.transactions.filter(({position}) => position >= point.position);
    assert.deepEqual(
      rest.transactions.map(({transaction}) => transaction),
      wanted.map(({transaction}) => transaction),
      `behind ${point.position}`,
    );
  }
  await log.write(...Array.from({length: 10}, (_, index) => ({delete: 10 + index})));
}

async function givesAgain(log: LogUnderTest): Promise<void> {
  const from = await (async (): Promise<LogPoint> => {
    await using first = await openSession(log);
    const point = await startOf(first, log);
    await log.write({upsert: {id: 30, value: 'a'}});
    await readThrough(first, log, point);
    return point;
  })();
  await using second = await openSession(log);
  const again = await readThrough(second, log, from, {acknowledge: true});
  assert.equal(again.transactions.length, 1);
  await log.write({delete: 30});
  await using third = await openSession(log);
  assert.equal((await readThrough(third, log, again.end)).transactions.length, 1);
}

async function cutsLong(log: LogUnderTest): Promise<void> {
  await using session = await openSession(log);
  const from = await startOf(session, log);
  const length = log.longTransaction ?? 20_000;
  const value = 'long '.repeat(20);
  await log.write(...Array.from({length}, (_, id) => ({upsert: {id: 1000 + id, value}})));
  const read = await readThrough(session, log, from);
  assert.ok(read.cuts > 0, 'a batch ends in the middle of the transaction');
  assert.deepEqual(
    read.transactions.map(({changes}) => changes.length),
    [length],
  );
  await log.write(...Array.from({length}, (_, id) => ({delete: 1000 + id})));
}

async function endsAtSignal(log: LogUnderTest): Promise<void> {
  await using session = await openSession(log);
  const from = await startOf(session, log);
  const stop = new AbortController();
  const context = log.context(stop.signal);
  await using reader = await session.source.openLog(from, [log.table], context);
  const reading = (async (): Promise<void> => {
    for await (const batch of reader.batches()) assert.equal(batch.frames, 0);
  })();
  await context.clock.sleep(50, new AbortController().signal);
  stop.abort(new Error('stop'));
  const limit = new Promise<'hangs'>((resolve) => setTimeout(() => resolve('hangs'), 5000).unref());
  assert.notEqual(await Promise.race([reading.catch(() => undefined), limit]), 'hangs');
}

async function handsOver(log: LogUnderTest): Promise<void> {
  await using session = await openSession(log);
  const from = await startOf(session, log);
  for (let id = 0; id < 50; id++) await log.write({upsert: {id: 100 + id, value: 'before'}});
  const writing = writeUntil(log);
  const snapshot = await readSnapshot(session, log);
  await writing.stop();
  const read = await readThrough(session, log, from);
  const {transactions} = read;
  const until = positionOf(read, snapshot.until);
  const rows = new Map(snapshot.rows);
  const seen = transactions.filter(({transaction}) => isSeen(log.codec, transaction, snapshot.tokens));
  for (const {transaction, position, changes} of transactions) {
    const isVisible = isSeen(log.codec, transaction, snapshot.tokens);
    assert.ok(isVisible || position >= snapshot.position, `${transaction} is before the snapshot and not in it`);
    assert.ok(!isVisible || position <= until, `${transaction} is in the snapshot and behind its end`);
    if (!isVisible) applyChanges(rows, changes);
  }
  assert.ok(seen.length >= 50, 'the snapshot saw what was there');
  assert.deepEqual(sortedRows(rows), sortedRows(await log.rows()));
  await log.write(...[...rows.keys()].map((id) => ({delete: id})));
}

async function tellsPosition(log: LogUnderTest): Promise<void> {
  await using session = await openSession(log);
  const from = await startOf(session, log);
  await log.write({upsert: {id: 60, value: 'a'}});
  const target = await session.source.currentPosition(session.context);
  await log.write({delete: 60});
  const read = await readThrough(session, log, from);
  const [before, behind] = read.transactions;
  const position = positionOf(read, target);
  assert.ok(before !== undefined && before.position <= position, 'a commit before it is before it');
  assert.ok(behind !== undefined, 'a commit behind it comes, too');
  // Where nobody knew the position before, a batch may come to it with what committed behind.
  if (typeof target === 'bigint') assert.ok(behind.position >= position, 'a commit behind it is behind it');
}

async function refusesGap(log: LogUnderTest): Promise<void> {
  await using session = await openSession(log);
  const from = await startOf(session, log);
  await session.source.release(session.context);
  await log.write({upsert: {id: 70, value: 'lost'}});
  await session.source.prepare([log.table], session.context);
  // A source whose server keeps the log by itself may go on; none may leave out what came between.
  const read = readThrough(session, log, from);
  const outcome = await read.then(
    ({transactions}) => transactions.length,
    (error: unknown) => (isIngestError(error, 'LOG_LOST') ? 'LOG_LOST' : Promise.reject(error as Error)),
  );
  assert.ok(outcome === 1 || outcome === 'LOG_LOST', `it went on with ${outcome} transactions`);
  await log.write({delete: 70});
}

async function releases(log: LogUnderTest): Promise<void> {
  await using session = await openSession(log);
  const {source, context} = session;
  await source.prepare([log.table], context);
  await source.release(context);
  await source.release(context);
}

interface Session extends AsyncDisposable {
  readonly source: ChangeLogSource;
  readonly context: CallContext;
}

async function openSession(log: LogUnderTest): Promise<Session> {
  const source = await log.open();
  const stop = new AbortController();
  return {
    source,
    context: log.context(stop.signal),
    async [Symbol.asyncDispose](): Promise<void> {
      stop.abort(new Error('the case is over'));
      await source.close?.();
    },
  };
}

/** A point behind everything that other cases wrote. */
async function startOf(session: Session, log: LogUnderTest): Promise<LogPoint> {
  const point = await session.source.prepare([log.table], session.context);
  const read = await readThrough(session, log, point);
  return read.points.at(-1) ?? point;
}

interface ReadTransaction {
  readonly position: bigint;
  readonly transaction: string;
  readonly changes: readonly Change[];
}

/** The position of a target; where nobody knew it before, that of the first point that came to it. */
function positionOf({ends}: ReadLog, target: LogTarget): bigint {
  if (typeof target === 'bigint') return target;
  const first = ends.find((end) => hasReached(end, target));
  assert.ok(first !== undefined, 'the log came to where it should');
  return first.position;
}

interface ReadLog {
  readonly transactions: readonly ReadTransaction[];
  /** Where it began, and ends of all batches. */
  readonly ends: readonly LogPoint[];
  /** Ends of the batches that had frames. */
  readonly points: readonly LogPoint[];
  /** Where the last batch ended, with frames or without. */
  readonly end: LogPoint;
  /** Batches that ended in the middle of a transaction. */
  readonly cuts: number;
}

const PATIENCE_MS = 8000;

/** Reads behind a point until everything that has committed by now has come; checks what every log must keep on the way. */
async function readThrough(
  {source}: Session,
  log: LogUnderTest,
  from: LogPoint,
  options: {readonly acknowledge?: boolean} = {},
): Promise<ReadLog> {
  const stop = new AbortController();
  const context = log.context(stop.signal);
  const target = await source.currentPosition(context);
  const checker = new LogChecker(log.codec, from);
  // A log that stands there already may have nothing to tell.
  if (hasReached(from, target)) return checker;
  const timer = setTimeout(() => stop.abort(new Error('The log did not come to where it should.')), PATIENCE_MS);
  try {
    await using reader = await source.openLog(from, [log.table], context);
    const beat = setInterval(() => void source.heartbeat?.(context).catch(() => undefined), 200);
    try {
      for await (const batch of reader.batches()) {
        checker.check(batch);
        if (options.acknowledge === true && batch.end !== null) reader.acknowledge(batch.end);
        if (batch.end !== null && batch.open === null && hasReached(batch.end, target)) break;
      }
    } finally {
      clearInterval(beat);
    }
  } finally {
    clearTimeout(timer);
  }
  return checker;
}

/** Follows batches, and keeps what came. */
class LogChecker implements ReadLog {
  readonly transactions: ReadTransaction[] = [];
  readonly points: LogPoint[] = [];
  readonly ends: LogPoint[] = [];
  cuts = 0;
  end: LogPoint;
  readonly #codec: LogCodec;
  readonly #tables = new Map<number, LogTable>();
  #open: {position: bigint; transaction: string; changes: Change[]} | null = null;

  constructor(codec: LogCodec, from: LogPoint) {
    this.#codec = codec;
    this.end = from;
    this.ends.push(from);
  }

  check(batch: LogBatch): void {
    const bytes = Buffer.from(batch.bytes);
    let [frames, commits] = [0, 0];
    const counted = new Map<number, number>();
    for (const frame of readFrames(bytes)) {
      frames++;
      if (frame.kind === FRAME.begin) this.#begin(readBegin(bytes, frame));
      else if (frame.kind === FRAME.commit) commits += this.#commit();
      else if (frame.kind === FRAME.schema) this.#tables.set(frame.table, readSchema(bytes, frame));
      else if (frame.kind !== FRAME.note) {
        counted.set(frame.table, (counted.get(frame.table) ?? 0) + 1);
        if (frame.kind === FRAME.change) this.#change(frame.table, bytes.subarray(frame.start, frame.end));
      }
    }
    assert.equal(batch.frames, frames, 'frames of the batch');
    assert.deepEqual(new Map(batch.changes), counted, 'changes of the batch');
    assert.equal(batch.open !== null, this.#open !== null, 'whether the batch ends in a transaction');
    if (batch.open !== null) this.cuts++;
    this.#endBatch(batch, commits);
  }

  #endBatch({end, frames}: LogBatch, commits: number): void {
    assert.ok(end !== null || commits === 0, 'a batch with a commit says where the log stands');
    if (end === null) return;
    assert.ok(end.position >= this.end.position, `the log went back from ${this.end.position} to ${end.position}`);
    const last = this.transactions.at(-1);
    if (commits > 0 && last !== undefined) {
      assert.ok(
        last.position < end.position,
        `${last.transaction} begins at ${last.position}, not before its end ${end.position}`,
      );
    }
    this.end = end;
    this.ends.push(end);
    if (frames > 0) this.points.push(end);
  }

  #begin({position, transaction}: {readonly position: bigint; readonly transaction: string}): void {
    assert.equal(this.#open, null, 'a transaction begins while another is open');
    const before = this.transactions.at(-1)?.position ?? this.end.position - 1n;
    assert.ok(position > before, `${transaction} at ${position} is not behind ${before}`);
    assert.ok(position >= this.end.position, `${transaction} at ${position} is before the end ${this.end.position}`);
    this.#open = {position, transaction, changes: []};
  }

  #commit(): number {
    assert.ok(this.#open !== null, 'a commit without its begin');
    this.transactions.push(this.#open);
    this.#open = null;
    return 1;
  }

  #change(table: number, payload: Uint8Array): void {
    const described = this.#tables.get(table);
    assert.ok(described !== undefined, `table ${table} has a change before its schema`);
    assert.ok(this.#open !== null, 'a change outside of a transaction');
    this.#codec.createDecoder(described).decode(payload, this.#open.changes);
  }
}

async function readSnapshot(
  {source, context}: Session,
  log: LogUnderTest,
): Promise<{
  readonly rows: ReadonlyMap<number, string>;
  readonly tokens: readonly SnapshotToken[];
  readonly position: bigint;
  readonly until: LogTarget;
}> {
  await using snapshot = await source.planSnapshot(log.table, context);
  const rows = new Map<number, string>();
  const tokens: SnapshotToken[] = [];
  let {position} = snapshot;
  assert.ok(snapshot.chunks.length > 0, 'even a table without rows has a chunk');
  assert.deepEqual(snapshot.chunks, JSON.parse(JSON.stringify(snapshot.chunks)), 'chunks are plain JSON');
  for (const chunk of snapshot.chunks) {
    const reading = snapshot.readChunk(chunk, context);
    const pieces: Uint8Array[] = [];
    let next = await reading.next();
    for (; next.done !== true; next = await reading.next()) pieces.push(Buffer.from(next.value));
    const count = await addRows(rows, log.codec.decodeChunk(snapshot.table, asStream(pieces)));
    assert.equal(next.value.rows, count, 'rows of the chunk');
    const token = next.value.view?.token ?? snapshot.token;
    assert.ok(token !== null, 'a chunk without a view of its own needs that of the snapshot');
    tokens.push(token);
    if (next.value.view !== undefined && next.value.view.position < position) position = next.value.view.position;
  }
  return {rows, tokens, position, until: await source.currentPosition(context)};
}

async function* asStream(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  for (const piece of pieces) yield await Promise.resolve(piece);
}

async function addRows(
  rows: Map<number, string>,
  batches: AsyncIterable<{readonly batch: ColumnBatch}>,
): Promise<number> {
  let count = 0;
  for await (const {batch} of batches) {
    const [ids, values] = batch.columns;
    for (let row = 0; row < batch.rowCount; row++) {
      const id = ids?.kind === 'fixed' ? Number(ids.data[row]) : Number.NaN;
      const start = values?.kind === 'bytes' ? (values.starts[row] ?? 0) : 0;
      const bytes = values?.kind === 'bytes' ? values.data.subarray(start, start + (values.lengths[row] ?? 0)) : null;
      assert.ok(!rows.has(id), `row ${id} comes in two chunks`);
      rows.set(id, bytes === null ? '' : Buffer.from(bytes).toString());
    }
    count += batch.rowCount;
  }
  return count;
}

/** Changes that every view of a snapshot saw are in its rows; those that some did not see are applied again, which changes nothing. */
function isSeen(codec: LogCodec, transaction: string, tokens: readonly SnapshotToken[]): boolean {
  return tokens.every((token) => codec.isVisible(transaction, token));
}

function applyChanges(rows: Map<number, string>, changes: readonly Change[]): void {
  for (const {op, row, oldKey} of changes) {
    if (op === 'truncate') rows.clear();
    if (oldKey !== undefined) rows.delete(Number(oldKey['id']));
    const id = Number(row?.['id']);
    if (op === 'delete') rows.delete(id);
    else if (row !== undefined) rows.set(id, String(row['value']));
  }
}

/** Writes beside, one transaction after the other, until it is stopped. */
function writeUntil(log: LogUnderTest): {stop(): Promise<void>} {
  let isStopped = false;
  const writing = (async (): Promise<void> => {
    for (let count = 0; !isStopped || count < 20; count++) {
      const id = 100 + (count % 60);
      if (count % 7 === 6) await log.write({delete: id});
      else
        await log.write(
          {upsert: {id, value: `during ${count}`}},
          {upsert: {id: 200 + (count % 10), value: `${count}`}},
        );
    }
  })();
  return {
    async stop(): Promise<void> {
      isStopped = true;
      await writing;
    },
  };
}

function sortedRows(rows: ReadonlyMap<number, string> | readonly ProofRow[]): readonly (readonly [number, string])[] {
  const pairs =
    rows instanceof Map
      ? [...(rows as Map<number, string>)]
      : (rows as readonly ProofRow[]).map(({id, value}) => [id, value] as const);
  return pairs.toSorted(([left], [right]) => left - right);
}
