import type {ColumnBatch, DataType, RescuedCell, StructType} from '../../sdk/index.ts';
import {badRecord, RowReader} from './row-format.ts';
import type {VectorBuilder} from './vector-builders.ts';
import {vectorBuilder} from './vector-builders.ts';

const MAX_ROWS = 8192;
/** A batch ends at this size. */
const BATCH_BYTES = 1 << 20;
const ROW_HEAD = 4;

/** Rows of one batch, with values that their column's type cannot hold. */
export interface RowBatch {
  readonly batch: ColumnBatch;
  readonly rescued: readonly RescuedCell[];
}

/** Decodes rows of chunks, each with its length before it, into column batches. @throws BAD_RECORD */
export async function* decodeRows(
  table: string,
  schema: StructType,
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<RowBatch, void> {
  const decoder = new RowDecoder(schema);
  let rest: Buffer = Buffer.alloc(0);
  try {
    for await (const gathered of gather(bytes)) {
      rest = rest.length === 0 ? gathered : Buffer.concat([rest, gathered]);
      for (let at = 0; ;) {
        const done = decoder.decode(rest, at);
        if (done.next === at) {
          rest = rest.subarray(at);
          break;
        }
        at = done.next;
        yield done.rows;
      }
    }
    if (rest.length > 0) throw new RangeError('a chunk ends in the middle of a row');
  } catch (error) {
    if (error instanceof RangeError || error instanceof SyntaxError) throw badRecord(table, error);
    throw error;
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
  readonly #schema: StructType;
  readonly #builders: readonly VectorBuilder[];

  constructor(schema: StructType) {
    this.#schema = schema;
    this.#builders = schema.fields.map(({type}: {readonly type: DataType}) => vectorBuilder(type, MAX_ROWS));
  }

  /** Whole rows from `at` on, as many as a batch takes; `next` is behind them. */
  decode(bytes: Buffer, at: number): {readonly rows: RowBatch; readonly next: number} {
    const builders = this.#builders;
    for (const builder of builders) builder.begin(bytes);
    const rescued: RescuedCell[] = [];
    const reader = new RowReader(bytes, at);
    let next = at;
    let row = 0;
    for (; row < MAX_ROWS && next + ROW_HEAD <= bytes.length; row++) {
      const end = next + ROW_HEAD + bytes.readUInt32LE(next);
      if (end > bytes.length) break;
      reader.at = next + ROW_HEAD;
      this.#row(reader, row, rescued);
      if (reader.at !== end) throw new RangeError('a row does not have the columns of its table');
      next = end;
    }
    const columns = builders.map((builder) => builder.vector());
    return {rows: {batch: {schema: this.#schema, rowCount: row, columns}, rescued}, next};
  }

  #row(reader: RowReader, row: number, rescued: RescuedCell[]): void {
    for (const [index, builder] of this.#builders.entries()) {
      if (reader.next() !== 'value') builder.addNull(row);
      else if (!builder.add(reader, row))
        rescued.push({row, column: this.#schema.fields[index]?.name ?? '', text: reader.text()});
    }
  }
}
