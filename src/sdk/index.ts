/**
 * Everything that a connector author imports. A connector is a value made by {@link defineConnector}; what it reads it
 * yields as raw JSON, columns or files, and the framework coerces, batches, retries and commits.
 */
export type {Clock, Random} from '../core/clock.ts';
export {seededRandom} from '../core/clock.ts';
export type {
  BytesVector,
  ColumnBatch,
  ColumnVector,
  FixedVector,
  ListVector,
  StructVector,
  Validity,
} from '../core/columns.ts';
export type {ErrorCode} from '../core/error-codes.ts';
export type {ErrorClass, IngestErrorInit} from '../core/errors.ts';
export {IngestError, isIngestError, isRetryable, messageOf} from '../core/errors.ts';
export {parseJson, stringifyJson} from '../core/json-reader.ts';
export type {JsonObject, JsonValue} from '../core/json-value.ts';
export {ExactNumber} from '../core/json-value.ts';
export type {Offset, PlainJson} from '../core/offset.ts';
export {offsetsEqual, offsetText} from '../core/offset.ts';
export type {ComparisonOperator, Literal, Operand, Predicate, PredicateDialect} from '../core/predicate.ts';
export {parsePredicate, predicateColumns, renderPredicate} from '../core/predicate.ts';
export {fromDdl, toDdl, typeToDdl} from '../core/schema-ddl.ts';
export type {Column, TypeLike} from '../core/schema.ts';
export {
  array,
  BINARY_ENCODING,
  binary,
  boolean,
  byte,
  column,
  date,
  decimal,
  double,
  EPOCH_UNIT,
  fieldAt,
  float,
  integer,
  isNested,
  long,
  map,
  short,
  string,
  struct,
  timestamp,
  timestampNtz,
  typesEqual,
  variant,
} from '../core/schema.ts';
export {didYouMean} from '../core/suggest.ts';
export type {TimestampText, ZoneKind} from '../core/time-text.ts';
export {dayOf, formatTimestamp, parseDate, parseTimestamp} from '../core/time-text.ts';
export type {ArrayType, DataType, DecimalType, MapType, PrimitiveType, StructField, StructType} from '../core/types.ts';
export {RESCUED_COLUMN} from '../core/types.ts';

export type {Bucketing, CanonicalValue} from './canonical.ts';
export {
  bucketing,
  bucketOf,
  CANONICAL_VERSION,
  canonicalCell,
  canonicalText,
  hash60,
  isComparable,
  isFreeText,
  rowText,
} from './canonical.ts';
export type {
  CallContext,
  Change,
  ChangePages,
  Connector,
  ConnectorLog,
  FileFormat,
  FileReadOptions,
  FileRef,
  IngestionType,
  KeyHash,
  LakeflowConnect,
  Ledger,
  OptionValue,
  Page,
  Partition,
  PartitionPlan,
  RangeSum,
  ReadContext,
  ReadLimits,
  RescuedCell,
  SourceFile,
  SourceFiles,
  SupportsAcknowledge,
  SupportsEstimate,
  SupportsKeyScan,
  SupportsNamespaces,
  SupportsPartitionedStream,
  SupportsVerify,
  TableMetadata,
  TableOptions,
  VerifyColumn,
  VerifyPoint,
  VerifyScope,
} from './contract.ts';
export type {CursorKind, CursorTracker, CursorTrackerOptions, CursorValue} from './cursor.ts';
export {compareCursors, createCursorTracker, cursorMicros} from './cursor.ts';
export type {
  AuthMethod,
  ConnectorDefinition,
  ConnectorSpec,
  CreateContext,
  OptionSpec,
  OptionSpecs,
} from './define-connector.ts';
export {defineConnector} from './define-connector.ts';
export type {KeysetPaging} from './keyset.ts';
export {keysetOffset, keysetPages} from './keyset.ts';
export type {LoopGuard} from './loop-guard.ts';
export {createLoopGuard} from './loop-guard.ts';
export {parseQualifiedName, qualifiedName} from './names.ts';
export type {VerifyRow, VerifyRows} from './verify-rows.ts';
export {verifyRowsPoint} from './verify-rows.ts';
export type {TimeWindow} from './windows.ts';
export {withLookback, windows} from './windows.ts';
