import {systemClock} from '../core/clock.ts';
import type {SelectedTable} from '../pipeline/discover.ts';
import {selectForUpdate} from '../pipeline/run-update.ts';
import type {PipelineSpec} from '../pipeline/spec.ts';
import type {CallContext, SourceFiles} from '../sdk/contract.ts';
import type {LakeOptions} from './api.ts';
import {isStaged, openStagedTables} from './gateway/staged-pipeline.ts';
import {inputFolders} from './input-folders.ts';
import {openConnector, type OpenedConnector} from './open-connector.ts';
import {silentLog} from './read-context.ts';
import {createSourceFiles} from './source-files.ts';
import {openTrace} from './trace-file.ts';
import {openWorkbench, type Workbench} from './workbench.ts';

/** A pipeline's source and lake, opened to look at them; writes nothing by itself. */
export interface Session extends AsyncDisposable {
  readonly spec: PipelineSpec;
  readonly bench: Workbench;
  readonly open: OpenedConnector;
  readonly files: SourceFiles;
  readonly ctx: CallContext;
  /** The pipeline's tables that match the globs. @throws as `selectForUpdate` */
  select(tables: readonly string[]): Promise<readonly SelectedTable[]>;
}

/** Opens a pipeline for commands that look. @throws INVALID_OPTION, UNKNOWN_CONNECTOR */
export async function openSession(spec: PipelineSpec, options: LakeOptions): Promise<Session> {
  const inputs = inputFolders(spec);
  const trace = options.traceFile === undefined ? null : openTrace(options.traceFile);
  const open = isStaged(spec)
    ? await openStagedTables(spec, options)
    : await openConnector(spec.connection, {
        clock: systemClock,
        ...(trace === null ? {} : {trace: trace.trace}),
      });
  const bench = await openWorkbench(options, inputs);
  const files = createSourceFiles(bench.context.engine, inputs);
  const ctx: CallContext = {signal: options.signal, clock: systemClock, log: silentLog, files};
  return {
    spec,
    bench,
    open,
    files,
    ctx,
    select: (tables) => selectForUpdate(spec, open, {request: {tables, fullRefresh: false}, ctx}),
    async [Symbol.asyncDispose](): Promise<void> {
      await open[Symbol.asyncDispose]();
      await bench[Symbol.asyncDispose]();
      trace?.[Symbol.dispose]();
    },
  };
}
