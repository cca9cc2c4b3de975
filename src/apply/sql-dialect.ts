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
  /** A text as a literal. */
  text(value: string): string;
  /** A struct of named expressions. */
  struct(fields: readonly (readonly [string, string])[]): string;
  /** The least value of a simple type above that of an expression, or one close above it; NULL for NULL. */
  successor(expression: string, type: DataType): string;
  /** A value of a simple type that stands at the beginning: zero, the epoch, the empty text. */
  origin(type: DataType): string;
  /** True when a list of texts, which may be NULL, holds a text. */
  holds(list: string, value: string): string;
  /** The texts that are not NULL as a list; NULL when all are. */
  listOf(texts: readonly string[]): string;
  /** The texts of a list as rows. */
  unnest(list: string): string;
  /** The entries of a JSON object of paths, as text, that begin at a part of a path; NULL when there are none. */
  jsonAt(object: string, part: string): string;
  /** Two JSON objects, as texts or NULL, with the entries of both. */
  jsonJoin(left: string, right: string): string;
  /** An aggregate: the expression where `by` is largest, of the rows where it is not NULL and the condition is true. */
  newest(expression: string, by: string, condition: string): string;
  /** A statement that keeps the rows of a SELECT in a work table. */
  createTable(name: string, select: string): string;
}
