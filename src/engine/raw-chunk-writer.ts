import {isUtf8} from 'node:buffer';

import duckdb from '@duckdb/node-bindings';

import type {
  BytesVector,
  ColumnBatch,
  ColumnVector,
  FixedVector,
  ListVector,
  StructVector,
  Validity,
} from '../core/columns.ts';
import {IngestError} from '../core/errors.ts';
import type {DataType, StructType} from '../core/types.ts';
import {childType, isPresent} from './batch-check.ts';
import type {ChunkWriter} from './column-appender.ts';
import {duckDb} from './duckdb-api.ts';
import {fixedWidth} from './vector-types.ts';

const {BLOB, DuckDBDataChunk} = duckDb;

/** Rows of a column that go into one vector, from its first element on. */
interface Slice {
  readonly vector: duckdb.Vector;
  readonly from: number;
  readonly count: number;
  /** Bits from 0 on: rows whose struct is null, which DuckDB wants null in all children; null where all are there. */
  readonly parent: Uint8Array | null;
}

/** DuckDB's `string_t`: 4 bytes length, then up to 12 bytes inline, or 4 bytes prefix and the address. */
const STRING_BYTES = 16;
const INLINE_BYTES = 12;
/** A list entry: offset and length as u64. */
const LIST_ENTRY_WORDS = 4;

/**
 * Copies typed arrays into DuckDB's vectors by memcpy. Strings get their addresses by a trick: a batch's bytes are put
 * into one element of a scratch vector, whose address is read back. This is the one module that writes raw memory; what
 * it is given was checked by `checkBatch` before.
 */
export class RawChunkWriter implements ChunkWriter {
  readonly #schema: StructType;
  readonly #scratch: duckdb.DataChunk = DuckDBDataChunk.create([BLOB]).chunk;
  readonly #heaps = new Map<Uint8Array, Heap>();
  #columns: readonly ColumnVector[] = [];
  #entries = new Uint32Array(new ArrayBuffer(0));
  #entryBytes = new Uint8Array(0);

  constructor(schema: StructType) {
    this.#schema = schema;
  }

  beginBatch(batch: ColumnBatch): void {
    this.#columns = batch.columns;
  }

  write(chunk: duckdb.DataChunk, from: number, count: number): void {
    this.#schema.fields.forEach((field, index) => {
      const column = this.#columns[index];
      if (column === undefined) return;
      this.#write(column, field.type, {vector: duckdb.data_chunk_get_vector(chunk, index), from, count, parent: null});
    });
  }

  endBatch(): void {
    this.#columns = [];
    this.#heaps.clear();
    // Without it the scratch vector keeps the bytes of every batch for ever.
    duckdb.data_chunk_reset(this.#scratch);
  }

  #write(column: ColumnVector, type: DataType, slice: Slice): void {
    const bits = writeValidity(column.validity, slice);
    switch (column.kind) {
      case 'fixed':
        return writeFixed(column, type, slice);
      case 'bytes':
        return this.#writeBytes(column, type, slice);
      case 'struct':
        return this.#writeStruct(column, type, {...slice, parent: bits});
      case 'list':
        return this.#writeList(column, type, slice);
    }
  }

  #writeStruct(column: StructVector, type: DataType, slice: Slice): void {
    if (typeof type === 'string' || type.type !== 'struct') return;
    type.fields.forEach((field, index) => {
      const child = column.children[index];
      if (child === undefined) return;
      this.#write(child, field.type, {...slice, vector: duckdb.struct_vector_get_child(slice.vector, index)});
    });
  }

  #writeList(column: ListVector, type: DataType, slice: Slice): void {
    const element = childType(type);
    if (element === null) return;
    const entries = this.#entriesOf(slice.count);
    entries.fill(0, 0, slice.count * LIST_ENTRY_WORDS);
    let first = -1;
    let end = 0;
    for (let row = 0; row < slice.count; row += 1) {
      const at = row * LIST_ENTRY_WORDS;
      if (!isPresent(column.validity, slice.from + row)) continue;
      const start = column.starts[slice.from + row] ?? 0;
      if (first < 0) first = start;
      const length = column.lengths[slice.from + row] ?? 0;
      entries[at] = start - first;
      entries[at + 2] = length;
      end = start + length;
    }
    duckdb.copy_data_to_vector(slice.vector, 0, entries.buffer, 0, slice.count * STRING_BYTES);
    const count = first < 0 ? 0 : end - first;
    duckdb.list_vector_reserve(slice.vector, count);
    duckdb.list_vector_set_size(slice.vector, count);
    if (count === 0) return;
    this.#write(column.child, element, {
      vector: duckdb.list_vector_get_child(slice.vector),
      from: first,
      count,
      parent: null,
    });
  }

  #writeBytes(column: BytesVector, type: DataType, slice: Slice): void {
    const {data, starts, lengths, validity} = column;
    const heap = this.#heapOf(data, type !== 'binary');
    const words = this.#entriesOf(slice.count);
    const bytes = this.#entryBytes;
    for (let row = 0; row < slice.count; row += 1) {
      const source = slice.from + row;
      const present = validity === null || isPresent(validity, source);
      const start = present ? (starts[source] ?? 0) : 0;
      const length = present ? (lengths[source] ?? 0) : 0;
      if (type !== 'binary' && length > 0 && !heap.isText(start, length)) refuseText();
      const word = row << 2;
      words[word] = length;
      if (length <= INLINE_BYTES) {
        words[word + 1] = 0;
        words[word + 2] = 0;
        words[word + 3] = 0;
        const to = (row << 4) + 4;
        for (let index = 0; index < length; index += 1) bytes[to + index] = data[start + index] ?? 0;
      } else {
        const to = (row << 4) + 4;
        for (let index = 0; index < 4; index += 1) bytes[to + index] = data[start + index] ?? 0;
        const address = heap.address + start;
        words[word + 2] = address >>> 0;
        words[word + 3] = address / 2 ** 32;
      }
    }
    duckdb.copy_data_to_vector(slice.vector, 0, words.buffer, 0, slice.count * STRING_BYTES);
  }

  /** Room for entries of 16 bytes, as words; the same memory as `#entryBytes`. Its content is arbitrary. */
  #entriesOf(count: number): Uint32Array<ArrayBuffer> {
    if (this.#entries.length < count * 4) {
      const buffer = new ArrayBuffer(Math.max(count, duckdb.vector_size()) * STRING_BYTES);
      this.#entries = new Uint32Array(buffer);
      this.#entryBytes = new Uint8Array(buffer);
    }
    return this.#entries;
  }

  #heapOf(data: Uint8Array, isText: boolean): Heap {
    const known = this.#heaps.get(data);
    if (known !== undefined) {
      if (isText) known.expectText();
      return known;
    }
    const heap = new Heap(data, addressOf(this.#scratch, this.#heaps.size, data));
    if (isText) heap.expectText();
    this.#heaps.set(data, heap);
    return heap;
  }
}

/** The bytes that a batch's strings are ranges of, and where DuckDB's copy of them is. */
class Heap {
  readonly address: number;
  readonly #data: Uint8Array;
  #wholeIsText: boolean | undefined;

  constructor(data: Uint8Array, address: number) {
    this.#data = data;
    this.address = address;
  }

  /** To be called before {@link isText}. */
  expectText(): void {
    this.#wholeIsText ??= isUtf8(this.#data);
  }

  /** True when the range is valid UTF-8: DuckDB trusts its strings to be. */
  isText(start: number, length: number): boolean {
    const data = this.#data;
    const end = start + length;
    // In bytes that are valid as a whole only a range's ends can be wrong: in the middle of a character.
    if (this.#wholeIsText === true) return !isContinuation(data[start]) && !isContinuation(data[end]);
    for (let at = start; at < end; at += 1) {
      if ((data[at] ?? 0) >= 0x80) return isUtf8(data.subarray(start, end));
    }
    return true;
  }
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

/** Copies bytes into an element of the scratch vector and reads its address back; 0 for bytes so few that none is needed. */
function addressOf(scratch: duckdb.DataChunk, element: number, data: Uint8Array): number {
  if (data.length <= INLINE_BYTES) return 0;
  if (element >= duckdb.vector_size()) {
    throw new IngestError('UNSUPPORTED', 'A column batch keeps its strings in too many arrays.', {
      fix: 'Share one array between the columns.',
    });
  }
  const vector = duckdb.data_chunk_get_vector(scratch, 0);
  duckdb.vector_assign_string_element_len(vector, element, data);
  const entries = duckdb.vector_get_data(vector, (element + 1) * STRING_BYTES);
  const view = new DataView(entries.buffer, entries.byteOffset + element * STRING_BYTES, STRING_BYTES);
  // Below 2^47 on every platform, so a double holds it.
  return Number(view.getBigUint64(8, true));
}

function writeFixed(column: FixedVector, type: DataType, slice: Slice): void {
  const width = fixedWidth(type);
  if (width === null) return;
  const {buffer, byteOffset} = column.data;
  const [offset, length] = [byteOffset + slice.from * width, slice.count * width];
  if (type !== 'boolean') {
    duckdb.copy_data_to_vector(slice.vector, 0, buffer as ArrayBuffer, offset, length);
    return;
  }
  // Anything but 0 and 1 is undefined behaviour in DuckDB.
  const flags = new Uint8Array(buffer, offset, length).map((flag) => (flag === 0 ? 0 : 1));
  duckdb.copy_data_to_vector(slice.vector, 0, flags.buffer, 0, length);
}

/** Writes which rows are there, and returns it from bit 0 on; null when all are. */
function writeValidity(validity: Validity, slice: Slice): Uint8Array | null {
  const {vector, from, count, parent} = slice;
  if (validity === null && parent === null) return null;
  const bits = new Uint8Array(Math.ceil(count / 8));
  for (let at = 0; at < bits.length; at += 1) {
    bits[at] = bitsAt(validity, from + at * 8) & (parent?.[at] ?? 0xff);
  }
  duckdb.vector_ensure_validity_writable(vector);
  duckdb.copy_data_to_vector_validity(vector, 0, bits.buffer, 0, bits.length);
  return bits;
}

/** Eight bits of a validity from any row on; those behind its end are 0. */
function bitsAt(validity: Validity, row: number): number {
  if (validity === null) return 0xff;
  const [byte, shift] = [row >> 3, row & 7];
  return (((validity[byte] ?? 0) >> shift) | ((validity[byte + 1] ?? 0) << (8 - shift))) & 0xff;
}

function refuseText(): never {
  throw new IngestError('CONTRACT_VIOLATION', 'Column batch: a string is not valid UTF-8.', {
    fix: 'Decode the bytes before, or declare the column as binary.',
  });
}
