import type {ColumnBatch, RescuedCell, StructType} from '../../sdk/index.ts';
import type {ByteRange} from '../../wire/pg/byte-stream.ts';
import type {ColumnDecoder} from './column-decoders.ts';
import {columnDecoder} from './column-decoders.ts';
import type {TypeMapping} from './source-type.ts';

/** A column of a COPY. */
export interface CopyColumn {
  readonly name: string;
  readonly mapping: TypeMapping;
  readonly nullable: boolean;
  /** Read along and given as text of single rows only, see {@link CopyBatch.hiddenText}. Hidden columns come last. */
  readonly hidden?: boolean;
}

/** Rows of one batch. Everything in it is overwritten when the next one is asked for. */
export interface CopyBatch {
  readonly batch: ColumnBatch;
  /** Values that their column's type cannot hold. */
  readonly rescued: readonly RescuedCell[];
  /** Text of hidden column `index` (0: the first hidden one) in a row. */
  hiddenText(index: number, row: number): string | null;
}

/** The bytes are not what the columns lead us to expect: the table was altered while it was read. */
export class CopyMismatchError extends Error {}

const MAX_ROWS = 16_384;
const RANGE_BYTES = 1 << 20;
/** Keeps the columns' arrays from falling into the same lines of the processor's cache. */
const STRIDE_PADDING = 24;
const SIGNATURE_BYTES = 11;

/**
 * Decodes ranges of `COPY ... TO STDOUT (FORMAT binary)` into column batches, in two passes: one walks the rows and notes
 * where each field is, the second takes column by column. Texts and bytes are not touched at all: a batch points at them
 * where they were received. @see https://www.postgresql.org/docs/18/sql-copy.html
 */
export class CopyDecoder {
  readonly schema: StructType;
  readonly #columns: readonly CopyColumn[];
  readonly #decoders: readonly ColumnDecoder[];
  readonly #rows: number;
  readonly #stride: number;
  readonly #starts: Uint32Array;
  readonly #lengths: Int32Array;
  readonly #validity: Uint8Array;
  readonly #nulls: Uint8Array;
  #headerRead = false;

  /** @param checkUtf8 Set for a database whose encoding (SQL_ASCII) does not vouch for its texts. */
  constructor(columns: readonly CopyColumn[], options: {readonly checkUtf8: boolean}) {
    const shown = columns.filter((column) => column.hidden !== true);
    this.schema = {
      type: 'struct',
      fields: shown.map(({name, mapping, nullable}) => ({name, type: mapping.type, nullable, metadata: {}})),
    };
    this.#columns = columns;
    // A row takes at least 7 + 4 bytes per column, so that a range seldom holds more rows than this.
    this.#rows = Math.min(MAX_ROWS, Math.max(256, Math.ceil(RANGE_BYTES / (8 + 8 * columns.length) / 8) * 8));
    this.#stride = this.#rows + STRIDE_PADDING;
    this.#starts = new Uint32Array(this.#stride * columns.length);
    this.#lengths = new Int32Array(this.#stride * columns.length);
    this.#validity = new Uint8Array((this.#stride / 8) * columns.length);
    this.#nulls = new Uint8Array(columns.length);
    this.#decoders = shown.map(({mapping}) => columnDecoder(mapping, this.#rows, options.checkUtf8));
  }

  /** Batches of a range. @throws CopyMismatchError */
  *decode(range: ByteRange): Generator<CopyBatch, void> {
    for (let at = range.start; at < range.end;) {
      const scanned = this.#scan(range, at);
      at = scanned.next;
      if (scanned.rowCount > 0) yield this.#batch(range, scanned);
    }
  }

  /** Walks rows from a message's start on; positions are relative to it. */
  #scan({buffer, end}: ByteRange, base: number): Scanned {
    const view = new DataView(buffer.buffer, buffer.byteOffset + base, buffer.length - base);
    const starts = this.#starts;
    const lengths = this.#lengths;
    const stride = this.#stride;
    const count = this.#columns.length;
    const limit = end - base;
    this.#validity.fill(0xff);
    this.#nulls.fill(0);
    let row = 0;
    let at = 0;
    while (at < limit && row < this.#rows) {
      const next = at + 1 + view.getInt32(at + 1);
      at += 5;
      if (!this.#headerRead) {
        at += SIGNATURE_BYTES + 8 + view.getInt32(at + SIGNATURE_BYTES + 4);
        this.#headerRead = true;
        if (at >= next) continue;
      }
      const fields = view.getInt16(at);
      at += 2;
      if (fields !== count) {
        // -1 is the trailer.
        if (fields !== -1) throw new CopyMismatchError();
        at = next;
        continue;
      }
      for (let column = 0, slot = row; column < count; column++, slot += stride) {
        const length = view.getInt32(at);
        at += 4;
        starts[slot] = at;
        lengths[slot] = length;
        if (length >= 0) at += length;
        else this.#markNull(column, row);
      }
      if (at !== next) throw new CopyMismatchError();
      row++;
    }
    return {base, next: base + at, rowCount: row, view};
  }

  #markNull(column: number, row: number): void {
    const byte = (this.#stride / 8) * column + (row >> 3);
    this.#validity[byte] = (this.#validity[byte] ?? 0) & ~(1 << (row & 7));
    this.#nulls[column] = 1;
  }

  #batch({buffer}: ByteRange, {base, next, rowCount, view}: Scanned): CopyBatch {
    const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset + base, next - base);
    const rescued: RescuedCell[] = [];
    const columns = this.#decoders.map((decoder, column) => {
      const name = this.schema.fields[column]?.name ?? '';
      const ranges = {...this.#ranges(column), view, bytes, rowCount};
      return decoder.decode(ranges, (row, text) => rescued.push({row, column: name, text}));
    });
    return {
      batch: {schema: this.schema, rowCount, columns},
      rescued,
      hiddenText: (index, row) => {
        const slot = (this.#decoders.length + index) * this.#stride + row;
        const length = this.#lengths[slot] ?? -1;
        const start = this.#starts[slot] ?? 0;
        return length < 0 ? null : Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString('utf8');
      },
    };
  }

  #ranges(column: number): {starts: Uint32Array; lengths: Int32Array; validity: Uint8Array; hasNulls: boolean} {
    const from = column * this.#stride;
    const to = from + this.#rows;
    return {
      starts: this.#starts.subarray(from, to),
      lengths: this.#lengths.subarray(from, to),
      validity: this.#validity.subarray(from / 8, to / 8),
      hasNulls: this.#nulls[column] === 1,
    };
  }
}

interface Scanned {
  readonly base: number;
  readonly next: number;
  readonly rowCount: number;
  readonly view: DataView;
}
