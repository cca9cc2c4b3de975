/**
 * Sluice as a library: {@link ingest} runs a pipeline once; {@link loadPipelines} reads the same files as the command line.
 * Connectors are written against `sluice/sdk`, Delta tables are read and written alone with `sluice/delta`.
 */
export {ingest, type IngestOptions} from './runtime/ingest.ts';
export {loadPipelines, type LoadRequest, type LoadedPipelines} from './runtime/config/load-pipelines.ts';
export {IngestError, isIngestError, isRetryable, type ErrorClass, type IngestErrorInit} from './core/errors.ts';
export type {ErrorCode} from './core/error-codes.ts';
export type {Environment} from './runtime/config/environment.ts';
export type {LakeOptions, RunOptions, RunResult, StoreOptions} from './runtime/api.ts';
export type {AzureOptions, CacheOptions, GcsOptions, S3Options} from './storage/store-options.ts';
export type {FlowProgress, FlowState, RunUpdate, UpdateState} from './pipeline/events.ts';
export type {BackfillRequest} from './pipeline/run-update.ts';
export type {
  AutoFullRefresh,
  ChangeLogSpec,
  GatewaySettings,
  ConnectionSpec,
  ConnectorPlace,
  IgnoreNull,
  ObjectSpec,
  PipelineSpec,
  RefreshWindow,
  ScdType,
  SchemaEvolution,
  TableConfiguration,
  VerifyPolicy,
} from './pipeline/spec.ts';
export type {Verdict} from './pipeline/verify-verdict.ts';
export type {OptionValue} from './sdk/contract.ts';
