import type {DataType} from '../core/types.ts';

/** What differs between the engines that run merges; everything else in `merge-sql.ts` is SQL that all of them take. */
export interface SqlDialect {
  /** A name as an identifier. */
  quote(name: string): string;
  /** A type as `CAST` takes it. */
  type(type: DataType): string;
  /** Join words for "left rows with a match" and "left rows without one". */
  readonly semiJoin: string;
  readonly antiJoin: string;
  /** A 64-bit hash of expressions, equal for equal values; NULL is a value. */
  hash(expressions: readonly string[]): string;
  /** An order-independent fingerprint of the rows of a group, from a 64-bit hash of each: sums must not overflow. */
  fingerprint(hash: string): string;
  /** Columns, quoted, as one JSON object in a text. */
  json(names: readonly string[]): string;
  /** A statement that keeps the rows of a SELECT in a work table. */
  createTable(name: string, select: string): string;
}
