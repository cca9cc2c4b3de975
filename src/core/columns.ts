import type {StructType} from './types.ts';

/**
 * Columns of `rowCount` rows in Arrow's manner: plain typed arrays, one vector per field of `schema`, in its order.
 * The arrays belong to the reader of the batch until it asks for the next one; a producer may then reuse them.
 */
export interface ColumnBatch {
  readonly schema: StructType;
  readonly rowCount: number;
  readonly columns: readonly ColumnVector[];
}

/** One column of a {@link ColumnBatch}, or one child of a nested one. */
export type ColumnVector = FixedVector | BytesVector | StructVector | ListVector;

/**
 * Bit per row, least significant first, 1 = present; null = every row is present. Where a bit is 0 the data is arbitrary.
 * Its length is at least `ceil(rowCount / 8)` bytes.
 */
export type Validity = Uint8Array | null;

/**
 * Values of one width, little-endian: boolean 1 byte (0/1), byte 1, short 2, integer 4, long 8, float 4, double 8,
 * date 4 (days since 1970-01-01), timestamp and timestamp_ntz 8 (microseconds since 1970-01-01), decimal as unscaled
 * two's complement of 2 bytes (precision <= 4), 4 (<= 9), 8 (<= 18) or 16 (<= 38).
 */
export interface FixedVector {
  readonly kind: 'fixed';
  readonly data:
    | Int8Array
    | Uint8Array
    | Int16Array
    | Int32Array
    | Uint32Array
    | BigInt64Array
    | BigUint64Array
    | Float32Array
    | Float64Array;
  readonly validity: Validity;
}

/** string (valid UTF-8) or binary: row `i` is `data.subarray(starts[i], starts[i] + lengths[i])`; ranges may have gaps and any order. */
export interface BytesVector {
  readonly kind: 'bytes';
  readonly data: Uint8Array;
  readonly starts: Uint32Array;
  readonly lengths: Uint32Array;
  readonly validity: Validity;
}

/** struct: children have as many rows as the parent. */
export interface StructVector {
  readonly kind: 'struct';
  readonly children: readonly ColumnVector[];
  readonly validity: Validity;
}

/** array: row `i` is `child[starts[i] .. starts[i] + lengths[i])`, ascending and without gaps; map: the child is a struct of key and value. */
export interface ListVector {
  readonly kind: 'list';
  readonly starts: Uint32Array;
  readonly lengths: Uint32Array;
  readonly child: ColumnVector;
  readonly childCount: number;
  readonly validity: Validity;
}
