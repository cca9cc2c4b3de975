import {IngestError} from '../../core/errors.ts';
import type {PipelineSpec, RunOptions, RunResult} from '../../runtime/api.ts';
import {
  interruptible,
  lakeOptions,
  loadContext,
  printLines,
  printWidth,
  traced,
  type CommandContext,
  type ConfigFlags,
  type LakePlace,
  type LoadedContext,
} from '../command-context.ts';
import {errorJson, errorLines, exitStatusOf, exitStatusOfRuns} from '../error-text.ts';
import {EXIT} from '../io.ts';
import {jsonText} from '../json-text.ts';
import {createLiveView} from '../live-view.ts';
import {createPlainView} from '../plain-view.ts';
import type {Loudness, RunView} from '../run-view.ts';
import {failureLines, summaryLines} from '../summary-text.ts';

/** Flags of `sluice run`. */
export interface RunFlags extends ConfigFlags {
  readonly table?: readonly string[];
  readonly fullRefresh?: boolean;
  readonly fullRefreshTables?: readonly string[];
  readonly dropHistory?: boolean;
  readonly backfill?: readonly {readonly table: string; readonly columns: readonly string[]}[];
  readonly parallel?: number;
  /** A HAR file for the exchanges with the source. */
  readonly trace?: string;
}

/** Runs pipelines one after the other; one that fails does not keep the others from running. */
export async function runCommand(context: CommandContext, flags: RunFlags): Promise<number> {
  const loaded = await loadContext(context, flags);
  checkSelection(loaded, flags);
  const runtime = await context.services.runtime();
  const view = createView(context);
  const runs = new Runs(context, view);
  const stopping = 'Stopping after the current batch; Ctrl-C again quits at once.';
  await interruptible(
    context,
    () => view.say(stopping),
    (signal) =>
      traced(context, flags.trace, async (trace) => {
        const run = (spec: PipelineSpec): Promise<void> => {
          const options = {...runOptions(context, flags, {lake: loaded, signal, view}), ...trace};
          return runs.add(spec, () => runtime.runPipeline(spec, options));
        };
        const isEndless = (spec: PipelineSpec): boolean => spec.changeLog?.isContinuous === true;
        for (const spec of loaded.pipelines) if (!signal.aborted && !isEndless(spec)) await run(spec);
        // These end together, when they are stopped.
        await Promise.all(loaded.pipelines.filter(isEndless).map(run));
        if (signal.aborted) runs.interrupted();
      }),
  ).finally(() => view.close());
  runs.print();
  return runs.exitStatus();
}

/** Results and errors of the pipelines of one command. */
class Runs {
  private readonly context: CommandContext;
  private readonly view: RunView;
  private readonly results: RunResult[] = [];
  private readonly statuses: number[] = [];

  constructor(context: CommandContext, view: RunView) {
    this.context = context;
    this.view = view;
  }

  async add(spec: PipelineSpec, run: () => Promise<RunResult>): Promise<void> {
    try {
      const result = await run();
      this.results.push(result);
      this.statuses.push(exitStatusOfRuns([result]));
      if (this.context.flags.json === true) this.writeJson({kind: 'result', ...result});
    } catch (error) {
      this.statuses.push(exitStatusOf(error));
      if (this.context.flags.json === true) this.writeJson({kind: 'error', pipeline: spec.key, ...errorJson(error)});
      else
        for (const line of errorLines(error, this.context.errorPaint, this.context.flags.verbose === true))
          this.view.say(line);
    }
  }

  interrupted(): void {
    this.statuses.push(EXIT.interrupted);
  }

  print(): void {
    const {context, results} = this;
    if (context.flags.json === true) return;
    if (context.flags.quiet !== true && results.length > 0)
      printLines(context, summaryLines(results, {width: printWidth(context), paint: context.paint}));
    for (const line of failureLines(results, context.errorPaint)) context.io.stderr.write(`${line}\n`);
  }

  /** Interrupted above all; else one kind of trouble keeps its number, and a mixture is a failure. */
  exitStatus(): number {
    const troubles = new Set(this.statuses.filter((status) => status !== EXIT.ok));
    if (troubles.has(EXIT.interrupted)) return EXIT.interrupted;
    const [only, ...others] = troubles;
    if (only === undefined) return EXIT.ok;
    // "Nothing was written" must be true of the whole command.
    const wroteSomething = only === EXIT.badInput && this.results.length > 0;
    return others.length > 0 || wroteSomething ? EXIT.failed : only;
  }

  private writeJson(value: object): void {
    this.context.io.stdout.write(`${jsonText(value)}\n`);
  }
}

function checkSelection(loaded: LoadedContext, flags: RunFlags): void {
  const {fullRefreshTables: refreshed = [], table: tables = []} = flags;
  if (flags.fullRefresh === true && refreshed.length > 0) {
    throw new IngestError('INVALID_OPTION', '--full-refresh and --full-refresh-tables exclude each other.', {
      fix: 'Use --full-refresh-tables for some tables, --full-refresh for all.',
    });
  }
  if (flags.dropHistory === true && flags.fullRefresh !== true && refreshed.length === 0) {
    throw new IngestError('INVALID_OPTION', '--drop-history is for tables that are read anew.', {
      fix: 'Add --full-refresh-tables <A,B> or --full-refresh.',
    });
  }
  if (loaded.pipelines.length > 1 && tables.length + refreshed.length + (flags.backfill?.length ?? 0) > 0) {
    const keys = loaded.pipelines.map((spec) => spec.key);
    throw new IngestError('INVALID_OPTION', 'Tables are chosen from one pipeline.', {
      fix: `Name the pipeline: ${keys.join(', ')}.`,
    });
  }
}

function runOptions(
  context: CommandContext,
  flags: RunFlags,
  run: {readonly lake: LakePlace; readonly signal: AbortSignal; readonly view: RunView},
): RunOptions {
  return {
    ...lakeOptions(context, run.lake, run.signal),
    tables: flags.table ?? [],
    fullRefresh: flags.fullRefreshTables ?? flags.fullRefresh ?? false,
    ...(flags.dropHistory === true ? {dropHistory: true} : {}),
    ...(flags.backfill === undefined ? {} : {backfill: flags.backfill}),
    onUpdate: (update) => run.view.update(update),
    ...(flags.parallel === undefined ? {} : {maxParallelFlows: flags.parallel}),
  };
}

function createView(context: CommandContext): RunView {
  const {io, flags, errorPaint: paint} = context;
  if (flags.json === true) {
    return {update: (update) => io.stdout.write(`${jsonText(update)}\n`), say: () => undefined, close: () => undefined};
  }
  if (flags.quiet === true) {
    return {update: () => undefined, say: (line) => io.stderr.write(`${line}\n`), close: () => undefined};
  }
  const loudness: Loudness = flags.verbose === true ? 'verbose' : 'normal';
  const options = {paint, loudness, nowMs: () => performance.now()};
  return io.stderr.isTerminal && io.env['TERM'] !== 'dumb'
    ? createLiveView(io.stderr, options)
    : createPlainView(io.stderr, options);
}
