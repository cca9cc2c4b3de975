import type {PlainJson} from './offset.ts';

/**
 * The types without parameters, by their Delta names. `variant` exists in source schemas only: it lands as a `string`
 * column that holds JSON text.
 */
export type PrimitiveType =
  | 'string'
  | 'long'
  | 'integer'
  | 'short'
  | 'byte'
  | 'float'
  | 'double'
  | 'boolean'
  | 'binary'
  | 'date'
  | 'timestamp'
  | 'timestamp_ntz'
  | 'variant';

/** A decimal of `precision` digits (1 to 38), `scale` of them (0 to precision) after the point. */
export interface DecimalType {
  readonly type: 'decimal';
  readonly precision: number;
  readonly scale: number;
}

/** A list of values of one type. */
export interface ArrayType {
  readonly type: 'array';
  readonly elementType: DataType;
  readonly containsNull: boolean;
}

/** A map; keys are never null. */
export interface MapType {
  readonly type: 'map';
  readonly keyType: DataType;
  readonly valueType: DataType;
  readonly valueContainsNull: boolean;
}

/** Named fields in order; also the schema of a table. */
export interface StructType {
  readonly type: 'struct';
  readonly fields: readonly StructField[];
}

/** Any type that a column can have. */
export type DataType = PrimitiveType | DecimalType | ArrayType | MapType | StructType;

/** One column or nested field. */
export interface StructField {
  readonly name: string;
  readonly type: DataType;
  readonly nullable: boolean;
  /** Spark's field metadata: `comment`, `delta.*`; empty when there is none. */
  readonly metadata: Readonly<Record<string, PlainJson>>;
}

/** Last column of a table that can meet misfits: JSON object of path to raw value, null when everything fitted. */
export const RESCUED_COLUMN = '_rescued_data';
/** Holds the sequence of a row when the sequence is no selected column. */
export const SEQUENCE_COLUMN = '_sluice_sequence';
/** Sequence at which a version of a row begins (inclusive), in SCD type 2 tables; a struct when several columns order the changes. */
export const START_COLUMN = '__START_AT';
/** Sequence at which a version ends (exclusive), null for the current one. */
export const END_COLUMN = '__END_AT';
/** Kind of change (`insert`, `update_postimage`, `delete`) in append-only flows of change sources. */
export const CHANGE_TYPE_COLUMN = '_change_type';
/** Names of the columns that a change left as they were, in append-only flows of change logs: they are NULL in its row. */
export const UNCHANGED_COLUMN = '_unchanged_columns';
