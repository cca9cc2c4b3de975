import {IngestError} from '../core/errors.ts';
import type {RunUpdate} from '../pipeline/events.ts';
import type {PipelineSpec} from '../pipeline/spec.ts';
import type {RunOptions, RunResult} from './api.ts';
import {processEnvironment} from './config/environment.ts';
import {loadPipelines} from './config/load-pipelines.ts';
import {runUpdateHere} from './update.ts';

/** Options of {@link ingest}. */
export interface IngestOptions extends Partial<Omit<RunOptions, 'onUpdate' | 'lake'>> {
  /** The lake: a folder or the URL of an object store; default `./lake`. How to reach a store is `storeOptions`. */
  readonly lake?: string;
  /** What the run says while it goes on. */
  readonly onUpdate?: (update: RunUpdate) => void;
}

/**
 * Runs a pipeline once, in this process, and resolves when all its flows have ended: a failed flow is in the result, not
 * thrown.
 * @param spec a bundle, an `ingestion_definition` or a `pipeline_spec` as plain data, in the form of the YAML files; or what `loadPipelines` gave.
 * @throws INVALID_*, UNKNOWN_*, MISSING_SECRET before anything is written; CONCURRENT_RUN when another process runs the pipeline.
 */
export async function ingest(spec: object, options: IngestOptions = {}): Promise<RunResult> {
  const pipeline = isResolved(spec) ? spec : await onePipeline(spec);
  return runUpdateHere(pipeline, {
    ...options,
    lake: options.lake ?? './lake',
    signal: options.signal ?? new AbortController().signal,
    tables: options.tables ?? [],
    fullRefresh: options.fullRefresh ?? false,
    onUpdate: options.onUpdate ?? ((): undefined => undefined),
  });
}

async function onePipeline(data: object): Promise<PipelineSpec> {
  const {pipelines} = await loadPipelines({data, variables: {}, cwd: process.cwd(), env: processEnvironment()});
  const [first] = pipelines;
  if (first === undefined || pipelines.length > 1) {
    throw new IngestError('INVALID_SPEC', `The spec holds ${pipelines.length} pipelines; ingest runs one.`, {
      fix: 'Load them with loadPipelines and give ingest one of them.',
    });
  }
  return first;
}

function isResolved(spec: object): spec is PipelineSpec {
  return 'connection' in spec && 'objects' in spec && 'key' in spec;
}
