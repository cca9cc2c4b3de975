import {isUtf8} from 'node:buffer';

import type {ColumnVector, FixedVector} from '../../sdk/index.ts';
import {numericDecoder, numericText} from './numeric-decoder.ts';
import type {TypeMapping} from './source-type.ts';
import {dateText, timestampText} from './time-text.ts';

/** Where the fields of a column are in the received bytes: one entry per row. */
export interface FieldRanges {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly rowCount: number;
  readonly starts: Uint32Array;
  /** Negative: NULL. */
  readonly lengths: Int32Array;
  /** Bit per row; a decoder clears the bit of a value that its type cannot hold. */
  readonly validity: Uint8Array;
  readonly hasNulls: boolean;
}

/** Turns the fields of one column into a vector, all rows at once. */
export interface ColumnDecoder {
  /**
   * @param misfit told of every value that its type cannot hold; its bit is cleared.
   * @throws WidthError when fields do not have the width of the type.
   */
  decode(ranges: FieldRanges, misfit: (row: number, text: string) => void): ColumnVector;
}

/** The binary form is not that of the expected type: the table was altered. */
export class WidthError extends Error {}

/** The decoder of a column. @param checkUtf8 The database does not vouch for its texts. */
export function columnDecoder(mapping: TypeMapping, rows: number, checkUtf8: boolean): ColumnDecoder {
  switch (mapping.decoding) {
    case 'boolean':
      return fixed(1, new Uint8Array(rows), ({view, starts, rowCount}, out) => {
        for (let row = 0; row < rowCount; row++) out[row] = view.getUint8(starts[row] as number);
      });
    case 'int2':
      return fixed(2, new Int16Array(rows), ({view, starts, rowCount}, out) => {
        for (let row = 0; row < rowCount; row++) out[row] = view.getInt16(starts[row] as number);
      });
    case 'int4':
      return fixed(4, new Int32Array(rows), ({view, starts, rowCount}, out) => {
        for (let row = 0; row < rowCount; row++) out[row] = view.getInt32(starts[row] as number);
      });
    case 'int8':
      return fixed(8, new Uint32Array(rows * 2), ({view, starts, rowCount}, out) => {
        for (let row = 0; row < rowCount; row++) {
          const at = starts[row] as number;
          out[2 * row + 1] = view.getUint32(at);
          out[2 * row] = view.getUint32(at + 4);
        }
      });
    case 'oid':
      return fixed(4, new Uint32Array(rows * 2), ({view, starts, rowCount}, out) => {
        for (let row = 0; row < rowCount; row++) out[2 * row] = view.getUint32(starts[row] as number);
      });
    case 'float4':
      return fixed(4, new Float32Array(rows), ({view, starts, rowCount}, out) => {
        for (let row = 0; row < rowCount; row++) out[row] = view.getFloat32(starts[row] as number);
      });
    case 'float8':
      return fixed(8, new Float64Array(rows), ({view, starts, rowCount}, out) => {
        for (let row = 0; row < rowCount; row++) out[row] = view.getFloat64(starts[row] as number);
      });
    case 'date':
      return dates(rows);
    case 'timestamp':
      return timestamps(rows, mapping.type === 'timestamp');
    case 'decimal':
      return decimals(mapping, rows);
    case 'uuid':
      return uuids(rows);
    case 'jsonb':
      return slices(1, checkUtf8);
    case 'text':
      return slices(0, checkUtf8);
    case 'bytes':
      return slices(0, false);
  }
}

type FixedArray = FixedVector['data'];

/**
 * Values of one width. The loop over the rows is in `read`, one for each type: a call per value would cost more than the
 * value. Where a row is NULL it reads whatever follows, which the validity hides.
 */
function fixed<A extends FixedArray>(
  width: number,
  data: A,
  read: (ranges: FieldRanges, out: A) => void,
): ColumnDecoder {
  return {
    decode(ranges) {
      checkWidths(ranges, width);
      read(ranges, data);
      return {kind: 'fixed', data, validity: ranges.hasNulls ? ranges.validity : null};
    },
  };
}

function checkWidths({lengths, rowCount}: FieldRanges, width: number): void {
  for (let row = 0; row < rowCount; row++) {
    const length = lengths[row] as number;
    if (length !== width && length >= 0) throw new WidthError();
  }
}

/** PostgreSQL counts from 2000-01-01 and has infinities, which no date of Delta is. */
function dates(rows: number): ColumnDecoder {
  const data = new Int32Array(rows);
  return {
    decode(ranges, misfit) {
      const {view, rowCount, starts, lengths, validity} = ranges;
      checkWidths(ranges, 4);
      let partly = ranges.hasNulls;
      for (let row = 0; row < rowCount; row++) {
        const days = view.getInt32(starts[row] as number);
        data[row] = days + DAYS_TO_2000;
        if ((days !== MAX_INT && days !== MIN_INT) || (lengths[row] as number) < 0) continue;
        partly = true;
        clear(validity, row);
        misfit(row, dateText(days));
      }
      return {kind: 'fixed', data, validity: partly ? validity : null};
    },
  };
}

/** Microseconds since 2000-01-01; the last 29 years of PostgreSQL's calendar are too many since 1970 for 64 bits. */
function timestamps(rows: number, zoned: boolean): ColumnDecoder {
  const data = new Uint32Array(rows * 2);
  return {
    decode(ranges, misfit) {
      const {view, rowCount, starts, lengths, validity} = ranges;
      checkWidths(ranges, 8);
      let partly = ranges.hasNulls;
      for (let row = 0; row < rowCount; row++) {
        const at = starts[row] as number;
        const high = view.getInt32(at);
        const low = view.getUint32(at + 4) + MICROS_TO_2000_LOW;
        if (low < TWO_32) {
          data[2 * row] = low;
          data[2 * row + 1] = high + MICROS_TO_2000_HIGH;
        } else {
          data[2 * row] = low - TWO_32;
          data[2 * row + 1] = high + MICROS_TO_2000_HIGH + 1;
        }
        if ((high < FAR_FUTURE && high !== MIN_INT) || (lengths[row] as number) < 0) continue;
        const micros = view.getBigInt64(at);
        if (micros + MICROS_TO_2000 < MAX_LONG && micros !== MIN_LONG) continue;
        partly = true;
        clear(validity, row);
        misfit(row, timestampText(micros, zoned));
      }
      return {kind: 'fixed', data, validity: partly ? validity : null};
    },
  };
}

function decimals(mapping: TypeMapping, rows: number): ColumnDecoder {
  const {type} = mapping;
  const {precision, scale} = typeof type === 'object' && type.type === 'decimal' ? type : {precision: 38, scale: 0};
  const values = numericDecoder(precision, scale, rows);
  return {
    decode({view, rowCount, starts, lengths, validity, hasNulls}, misfit) {
      let partly = hasNulls;
      for (let row = 0; row < rowCount; row++) {
        const length = lengths[row] as number;
        if (length < 0) continue;
        const at = starts[row] as number;
        if (length < 8 || length !== 8 + 2 * view.getUint16(at)) throw new WidthError();
        if (values.decode(view, at, row)) continue;
        partly = true;
        clear(validity, row);
        misfit(row, numericText(view, at));
      }
      return {kind: 'fixed', data: values.data, validity: partly ? validity : null};
    },
  };
}

function uuids(rows: number): ColumnDecoder {
  const data = new Uint8Array(rows * UUID_LETTERS).fill(HYPHEN);
  const letters = new DataView(data.buffer);
  const starts = Uint32Array.from({length: rows}, (_, row) => row * UUID_LETTERS);
  const lengths = new Uint32Array(rows).fill(UUID_LETTERS);
  return {
    decode(ranges) {
      const {view, rowCount, validity, hasNulls} = ranges;
      checkWidths(ranges, 16);
      for (let row = 0; row < rowCount; row++) {
        const from = ranges.starts[row] as number;
        const to = row * UUID_LETTERS;
        letters.setInt32(to, hexLetters(view.getUint16(from)));
        letters.setInt32(to + 4, hexLetters(view.getUint16(from + 2)));
        letters.setInt32(to + 9, hexLetters(view.getUint16(from + 4)));
        letters.setInt32(to + 14, hexLetters(view.getUint16(from + 6)));
        letters.setInt32(to + 19, hexLetters(view.getUint16(from + 8)));
        letters.setInt32(to + 24, hexLetters(view.getUint16(from + 10)));
        letters.setInt32(to + 28, hexLetters(view.getUint16(from + 12)));
        letters.setInt32(to + 32, hexLetters(view.getUint16(from + 14)));
      }
      const used = data.subarray(0, rowCount * UUID_LETTERS);
      return {kind: 'bytes', data: used, starts, lengths, validity: hasNulls ? validity : null};
    },
  };
}

/** Four hex letters of 16 bits, all four at once: a digit above 9 carries into bit 4 when 6 is added. */
function hexLetters(bits: number): number {
  const digits = ((bits & 0xf000) << 12) | ((bits & 0xf00) << 8) | ((bits & 0xf0) << 4) | (bits & 0xf);
  const isLetter = ((digits + 0x0606_0606) >>> 4) & 0x0101_0101;
  return (digits + 0x3030_3030 + isLetter * 39) | 0;
}

/** Texts and bytes stay where they were received. */
function slices(skipped: number, checkUtf8: boolean): ColumnDecoder {
  return {
    decode({bytes, rowCount, starts, lengths, validity, hasNulls}, misfit) {
      let partly = hasNulls;
      for (let row = 0; row < rowCount && (hasNulls || skipped > 0); row++) {
        const length = lengths[row] as number;
        starts[row] = (starts[row] as number) + skipped;
        lengths[row] = length < 0 ? 0 : length - skipped;
      }
      for (let row = 0; row < rowCount && checkUtf8; row++) {
        const length = lengths[row] as number;
        const start = starts[row] as number;
        if (isUtf8(bytes.subarray(start, start + length))) continue;
        partly = true;
        clear(validity, row);
        misfit(row, `\\x${Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString('hex')}`);
      }
      const unsigned = new Uint32Array(lengths.buffer, lengths.byteOffset, lengths.length);
      return {kind: 'bytes', data: bytes, starts, lengths: unsigned, validity: partly ? validity : null};
    },
  };
}

function clear(validity: Uint8Array, row: number): void {
  validity[row >> 3] = (validity[row >> 3] ?? 0) & ~(1 << (row & 7));
}

const UUID_LETTERS = 36;
const HYPHEN = 0x2d;
const DAYS_TO_2000 = 10_957;
const MICROS_TO_2000 = 946_684_800_000_000n;
const TWO_32 = 4_294_967_296;
const MICROS_TO_2000_LOW = Number(MICROS_TO_2000 % 4_294_967_296n);
const MICROS_TO_2000_HIGH = Number(MICROS_TO_2000 / 4_294_967_296n);
const MAX_INT = 0x7fff_ffff;
const MIN_INT = -0x8000_0000;
const MAX_LONG = 0x7fff_ffff_ffff_ffffn;
const MIN_LONG = -0x8000_0000_0000_0000n;
/** High words from here on need an exact look. */
const FAR_FUTURE = 0x7ff0_0000;
