/**
 * Delta tables without the rest of Sluice: open and make tables, write rows, delete rows, commit, read, look back.
 *
 * ```ts
 * await using lake = await openLake('/data/lake');
 * const table = (await lake.open('sales/orders')) ?? (await lake.create('sales/orders', {schema}));
 * const adds = await table.writeFiles({select: 'SELECT 1::BIGINT AS id', schema: table.snapshot.schema}, signal);
 * await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
 * ```
 */
export type {Clock} from '../core/clock.ts';
export {systemClock} from '../core/clock.ts';
export type {
  ColumnBatch,
  ColumnVector,
  BytesVector,
  FixedVector,
  ListVector,
  StructVector,
  Validity,
} from '../core/columns.ts';
export type {ErrorCode} from '../core/error-codes.ts';
export type {ErrorClass, IngestErrorInit} from '../core/errors.ts';
export {IngestError, isIngestError} from '../core/errors.ts';
export type {PlainJson} from '../core/offset.ts';
export type {Column, TypeLike} from '../core/schema.ts';
export {
  array,
  binary,
  boolean,
  byte,
  column,
  date,
  decimal,
  double,
  float,
  integer,
  long,
  map,
  short,
  string,
  struct,
  timestamp,
  timestampNtz,
} from '../core/schema.ts';
export {schemaFromJson, schemaToJson} from '../core/schema-json.ts';
export type {ArrayType, DataType, DecimalType, MapType, PrimitiveType, StructField, StructType} from '../core/types.ts';
export type {EngineOptions} from '../engine/duckdb-engine.ts';
export {openEngine} from '../engine/duckdb-engine.ts';
export type {
  Appender,
  Engine,
  EngineRow,
  LeafStatistics,
  ParquetFilesJob,
  ParquetJob,
  WrittenParquet,
} from '../engine/engine.ts';
export {createLocalStore} from '../storage/local-store.ts';
export {openStore, type OpenedStore} from '../storage/open-store.ts';
export type {AzureOptions, CacheOptions, GcsOptions, S3Options, StoreOptions} from '../storage/store-options.ts';
export type {ObjectInfo, StagedObject, Store} from '../storage/store.ts';
export type {
  Action,
  AddCdcFile,
  AddFile,
  CommitInfo,
  DeletionVectorDescriptor,
  DomainMetadata,
  Metadata,
  Protocol,
  RemoveFile,
  TxnAction,
} from './actions.ts';
export type {TableAlteration} from './alter-table.ts';
export {alterTable} from './alter-table.ts';
export type {Background} from './background.ts';
export type {
  CommitRequest,
  CommitSummary,
  CreateOptions,
  Deletions,
  DeltaContext,
  DeltaTable,
  NewDataFile,
  ReadOptions,
  TableSnapshot,
} from './delta-table.ts';
export type {Lake, LakeOptions} from './lake.ts';
export {openLake} from './lake.ts';
export type {LogCleanUp} from './log-cleanup.ts';
export {cleanUpLog} from './log-cleanup.ts';
export type {OptimizeOptions} from './optimize-plan.ts';
export type {OptimizeReport} from './optimize.ts';
export {optimizeTable} from './optimize.ts';
export {createTable, openTable} from './table.ts';
export type {VacuumedFile, VacuumedKind, VacuumOptions} from './vacuum.ts';
export {vacuumTable} from './vacuum.ts';
export {canWiden} from './type-widening.ts';
