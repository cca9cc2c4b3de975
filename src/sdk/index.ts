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
  EMPTY_IS_NULL,
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
  WIDE_TIMES,
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
  ChangeLogSource,
  ChunkEnd,
  Finding,
  FindingLevel,
  KnownTables,
  LogBatch,
  LogCodec,
  LogColumn,
  LogDecoder,
  LogHealth,
  LogIdentity,
  LogPoint,
  LogReader,
  LogTable,
  LogTarget,
  ReachTest,
  SnapshotChunk,
  SnapshotToken,
  TableReset,
  TableSnapshot,
} from './change-log.ts';
export {hasReached} from './change-log.ts';
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
export {FRAME, FRAME_HEADER, FrameWriter, readBegin, readFrames, readSchema} from './log-frames.ts';
export type {Frame, FrameKind} from './log-frames.ts';
export type {CursorKind, CursorTracker, CursorTrackerOptions, CursorValue} from './cursor.ts';
export {compareCursors, createCursorTracker, cursorMicros} from './cursor.ts';
export type {
  AuthMethod,
  ChangeLogAbility,
  ChangeLogSettings,
  ConnectorDefinition,
  ConnectorSpec,
  CreateContext,
  OAuthEndpoints,
  OptionSpec,
  OptionSpecs,
  ProxyOptions,
  SecretStore,
  TraceEntry,
} from './define-connector.ts';
export {defineConnector} from './define-connector.ts';
export type {ArchiveFile} from './decode/archives.ts';
export {gunzipped, unzipped} from './decode/archives.ts';
export {bodyText, charsetOf, textPieces} from './decode/body-text.ts';
export type {CsvForm} from './decode/csv-records.ts';
export {csvRecords} from './decode/csv-records.ts';
export {jsonItems} from './decode/json-items.ts';
export {ndjson} from './decode/ndjson.ts';
export type {XmlForm} from './decode/xml-records.ts';
export {xmlRecords} from './decode/xml-records.ts';
export type {FrameworkOption} from './framework-options.ts';
export {FRAMEWORK_OPTIONS, frameworkOptions} from './framework-options.ts';
export {refuseIdleOptions} from './idle-options.ts';
export type {WindowedRead} from './read-by-windows.ts';
export {readByWindows, WINDOW_OPTIONS} from './read-by-windows.ts';
export {isJsonObject, objectsAt} from './json-path.ts';
export type {AuthSpec, CustomAuth, OAuth1Spec, OAuth2Spec, SessionSpec} from './http/auth.ts';
export {createHttpClient} from './http/create-http-client.ts';
export type {
  ErrorMatch,
  ErrorRule,
  HttpBody,
  HttpClient,
  HttpContext,
  HttpHead,
  HttpHeaders,
  HttpMethod,
  HttpQuery,
  HttpReply,
  HttpRequest,
  HttpStream,
  HttpTimeouts,
  QueryValue,
  WaitFrom,
} from './http/http-client.ts';
export type {
  BudgetedRequest,
  HttpClientOptions,
  LearnedRate,
  RateBudget,
  RateOptions,
  RetryOptions,
} from './http/http-options.ts';
export type {KeysetPaging} from './keyset.ts';
export {keysetOffset, keysetPages} from './keyset.ts';
export type {LoopGuard} from './loop-guard.ts';
export {createLoopGuard} from './loop-guard.ts';
export {parseQualifiedName, qualifiedName} from './names.ts';
export type {
  CursorFormat,
  CursorSettings,
  CustomFormat,
  CustomParts,
  CustomPlan,
  DescendingPlan,
  EventLogPlan,
  EventMeaning,
  IdPlan,
  ReadPlan,
  RestCall,
  RestReadCall,
  SnapshotPlan,
  SortedPlan,
  TokenPlan,
  WindowPlan,
} from './rest/read-plan.ts';
export type {
  AsyncJobPaginator,
  CursorPaginator,
  CustomPaginator,
  Decoder,
  FieldChunks,
  JsonPath,
  KeysetPaginator,
  Listing,
  NextUrlPaginator,
  OffsetPaginator,
  PagePaginator,
  PageReply,
  PageSize,
  Paginator,
  RelayPaginator,
  RequestScope,
  RequestSlot,
  RequestTemplate,
  WindowBounds,
  WindowRestartPaginator,
} from './rest/rest-request.ts';
export type {
  DeletesPlan,
  DynamicTables,
  Expand,
  FieldMaker,
  Partitions,
  RestConnectorSpec,
  RestNamespaces,
  RestTable,
  SchemaSource,
} from './rest/rest-spec.ts';
export {type AskPage, pagesAhead} from './rest/pages-ahead.ts';
export {restConnector} from './rest/rest-connector.ts';
export {parseRestDocument, parseRestSpec, restDocumentJsonSchema} from './rest/rest-document.ts';
export {beyondSql} from './sql/beyond.ts';
export type {CursorColumn, CursorOffset, SqlDoing} from './sql/cursor-column.ts';
export {configuredKeys, cursorOffset, lookbackOf, namedCursor, parseCursorOffset} from './sql/cursor-column.ts';
export type {EvenCut} from './sql/even-bounds.ts';
export {evenBounds} from './sql/even-bounds.ts';
export type {Increment, IncrementBatch, IncrementDialect, IncrementQuery, IncrementReader} from './sql/increment.ts';
export {compareToStart, firstLoadCondition, readIncrement} from './sql/increment.ts';
export type {KeepableSession} from './sql/kept-session.ts';
export {KeptSession} from './sql/kept-session.ts';
export type {BoundRequest, QueryDatabase, QueryTable, QueryView} from './sql/query-connector.ts';
export {QueryConnector} from './sql/query-connector.ts';
export type {FlaggedRows} from './sql/query-verify.ts';
export {keyColumns, selectedColumns} from './sql/table-columns.ts';
export {QUERY_OPTIONS, schemaChanged} from './sql/table-options.ts';
export type {SshOptions, TunnelFailure} from './sql/tunnel.ts';
export {SSH_OPTIONS, sshOptionsOf, tunnelFailed} from './sql/tunnel.ts';
export type {VerifyRow, VerifyRows} from './verify-rows.ts';
export {verifyRowsPoint} from './verify-rows.ts';
export type {TimeWindow} from './windows.ts';
export {withLookback, windows} from './windows.ts';
