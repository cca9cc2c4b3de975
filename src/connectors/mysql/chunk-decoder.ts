import type {ColumnBatch, LogTable, RescuedCell, StructType} from '../../sdk/index.ts';
import {IngestError} from '../../sdk/index.ts';
import {typeFromJson} from './column-type.ts';
import type {VectorBuilder} from './vector-builders.ts';
import {vectorBuilder} from './vector-builders.ts';

const MAX_ROWS = 8192;
/** A batch ends at this size. */
const BATCH_BYTES = 1 << 20;
/** Two bits at the begin of a row's NULL bits are not used. */
const NULL_BITS_OFFSET = 2;
const ROW_HEAD = 4;

/** Rows of one batch, with values that their column's type cannot hold. */
export interface RowBatch {
  readonly batch: ColumnBatch;
  readonly rescued: readonly RescuedCell[];
}

/**
 * Decodes rows in the binary form of the protocol, each with its length (u32, little-endian) before it, into column batches.
 * Texts and bytes in UTF-8 or without character set stay where they are; a batch points at them.
 * @throws BAD_RECORD
 * @see https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html
 */
export async function* decodeRows(
  table: LogTable,
  schema: StructType,
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<RowBatch, void> {
  const decoder = new RowDecoder(table, schema);
  let rest: Buffer = Buffer.alloc(0);
  for await (const gathered of gather(bytes)) {
    rest = rest.length === 0 ? gathered : Buffer.concat([rest, gathered]);
    let at = 0;
    while (rest.length - at >= BATCH_BYTES) {
      const done = decoder.decode(rest, at);
      if (done.next === at) break;
      at = done.next;
      yield done.rows;
    }
    rest = rest.subarray(at);
  }
  for (let at = 0; at < rest.length;) {
    const done = decoder.decode(rest, at);
    if (done.next === at) throw decoder.damaged('it ends in the middle of a row');
    at = done.next;
    yield done.rows;
  }
}

/** Pieces of about the size of a batch, whatever the sizes that they come in. */
async function* gather(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void> {
  let pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of bytes) {
    // A piece may be used again by whoever gave it.
    pieces.push(Uint8Array.from(piece));
    length += piece.length;
    if (length < BATCH_BYTES) continue;
    yield Buffer.concat(pieces);
    pieces = [];
    length = 0;
  }
  if (length > 0) yield Buffer.concat(pieces);
}

class RowDecoder {
  readonly #table: LogTable;
  readonly #schema: StructType;
  readonly #builders: readonly VectorBuilder[];

  constructor(table: LogTable, schema: StructType) {
    this.#table = table;
    this.#schema = schema;
    this.#builders = table.columns.map(({type}) => vectorBuilder(typeFromJson(type), MAX_ROWS));
  }

  /** Whole rows from `at` on, as many as a batch takes; `next` is behind them. */
  decode(bytes: Buffer, at: number): {readonly rows: RowBatch; readonly next: number} {
    const builders = this.#builders;
    for (const builder of builders) builder.begin(bytes);
    const rescued: RescuedCell[] = [];
    let next = at;
    let row = 0;
    for (; row < MAX_ROWS && next + ROW_HEAD <= bytes.length; row++) {
      const end = next + ROW_HEAD + bytes.readUInt32LE(next);
      if (end > bytes.length) break;
      this.#row(bytes, {from: next + ROW_HEAD, end, row}, rescued);
      next = end;
    }
    const columns = builders.map((builder) => builder.vector(row));
    return {rows: {batch: {schema: this.#schema, rowCount: row, columns}, rescued}, next};
  }

  damaged(why: string, cause?: unknown): IngestError {
    const name = [...this.#table.namespace, this.#table.name].join('.');
    return new IngestError('BAD_RECORD', `A chunk of the snapshot of table "${name}" cannot be read: ${why}.`, {
      cause,
      fix: 'Refresh the table in full.',
    });
  }

  #row(
    bytes: Buffer,
    {from, end, row}: {readonly from: number; readonly end: number; readonly row: number},
    rescued: RescuedCell[],
  ): void {
    const builders = this.#builders;
    const nulls = from + 1;
    let at = nulls + ((builders.length + NULL_BITS_OFFSET + 7) >> 3);
    for (let index = 0; index < builders.length; index++) {
      const builder = builders[index];
      if (builder === undefined) break;
      const bit = index + NULL_BITS_OFFSET;
      if ((((bytes[nulls + (bit >> 3)] ?? 0) >> (bit & 7)) & 1) === 1) builder.addNull(row);
      else {
        at = builder.add(at, row);
        if (builder.misfit === null) continue;
        rescued.push({row, column: this.#schema.fields[index]?.name ?? '', text: builder.misfit});
        builder.misfit = null;
      }
    }
    if (at !== end) throw this.damaged('a row does not have the columns that the table has');
  }
}
