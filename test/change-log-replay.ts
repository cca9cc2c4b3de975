import type {Change, ChangeLogSource, LogBatch, LogCodec, LogDecoder, LogPoint, LogTable} from '../src/sdk/index.ts';
import {FRAME, hasReached, readBegin, readFrames, readSchema} from '../src/sdk/index.ts';
import {testContext} from './read-context.ts';

/** A change with the transaction that made it. */
export interface LoggedChange {
  readonly table: LogTable;
  readonly transaction: string;
  readonly position: bigint;
  readonly change: Change;
}

/** Turns batches of a log into changes, as a pipeline does. */
export class LogReplay {
  readonly #codec: LogCodec;
  readonly #decoders = new Map<number, LogDecoder>();
  readonly tables: Map<number, LogTable> = new Map();
  readonly changes: LoggedChange[] = [];
  readonly resets: string[] = [];
  /** Number of transactions that ended. */
  commits = 0;
  #begin = {transaction: '', position: 0n};

  constructor(codec: LogCodec) {
    this.#codec = codec;
  }

  add(batch: LogBatch): void {
    const bytes = Buffer.from(batch.bytes.buffer, batch.bytes.byteOffset, batch.bytes.length);
    this.resets.push(...batch.resets.map(({message}) => message));
    for (const frame of readFrames(bytes)) {
      const payload = bytes.subarray(frame.start, frame.end);
      if (frame.kind === FRAME.begin) this.#begin = readBegin(bytes, frame);
      else if (frame.kind === FRAME.commit) this.commits++;
      else if (frame.kind === FRAME.schema) this.describe(readSchema(bytes, frame));
      else if (frame.kind === FRAME.truncate) this.#push(frame.table, [{op: 'truncate'}]);
      else if (frame.kind === FRAME.change) {
        const out: Change[] = [];
        this.#decoders.get(frame.table)?.decode(payload, out);
        this.#push(frame.table, out);
      }
    }
  }

  /** From here on the table looks like this. */
  describe(table: LogTable): void {
    this.tables.set(table.id, table);
    const decoder = this.#decoders.get(table.id);
    if (decoder === undefined) this.#decoders.set(table.id, this.#codec.createDecoder(table));
    else decoder.describe(table);
  }

  #push(id: number, changes: readonly Change[]): void {
    const table = this.tables.get(id);
    if (table === undefined) throw new Error('a change of a table without a schema frame');
    for (const change of changes) this.changes.push({table, change, ...this.#begin});
  }
}

/** Reads the log from a point until it has come to where it stands now. */
export async function replayUntilNow(
  source: ChangeLogSource,
  codec: LogCodec,
  {
    from,
    tables,
    replay = new LogReplay(codec),
  }: {readonly from: LogPoint; readonly tables: readonly string[]; readonly replay?: LogReplay},
): Promise<{readonly replay: LogReplay; readonly end: LogPoint}> {
  const ctx = testContext();
  const until = await source.currentPosition(ctx);
  let end = from;
  if (hasReached(from, until)) return {replay, end};
  await using reader = await source.openLog(from, tables, ctx);
  for await (const batch of reader.batches()) {
    replay.add(batch);
    if (batch.end !== null) end = batch.end;
    if (batch.open === null && hasReached(end, until)) break;
  }
  return {replay, end};
}
