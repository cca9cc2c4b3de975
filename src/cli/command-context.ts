import {stat} from 'node:fs/promises';
import {resolve} from 'node:path';

import {IngestError} from '../core/errors.ts';
import type {LakeOptions, PipelineSpec, RuntimeApi, StoreOptions} from '../runtime/api.ts';
import {lakeOf} from '../runtime/config/environment.ts';
import type {LoadedPipelines} from '../runtime/config/load-pipelines.ts';
import {EXIT, type CliIo} from './io.ts';
import {jsonText} from './json-text.ts';
import {paintFor, type Paint} from './terminal-text.ts';

/** Where the commands find what does the work; loaded when it is needed. */
export interface CliServices {
  runtime(): Promise<RuntimeApi>;
  /** Checks what only the connector knows; asks no source. */
  checkPipeline(spec: PipelineSpec): Promise<void>;
}

/** Flags that all commands have. */
export interface CommonFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly lake?: string;
  readonly memory?: number;
  readonly threads?: number;
}

/** Flags of commands that read a configuration. */
export interface ConfigFlags extends CommonFlags {
  readonly target?: string;
  readonly var?: Readonly<Record<string, string>>;
  readonly file?: string;
  readonly pipeline?: string;
}

/** What a command works with. */
export interface CommandContext {
  readonly io: CliIo;
  readonly services: CliServices;
  readonly flags: CommonFlags;
  /** Colours of stdout. */
  readonly paint: Paint;
  /** Colours of stderr. */
  readonly errorPaint: Paint;
}

/** A lake and how to reach it. */
export interface LakePlace {
  /** Absolute path or URL. */
  readonly lakeRoot: string;
  readonly storeOptions: StoreOptions;
}

/** A configuration with the lake that goes with it. */
export interface LoadedContext extends LoadedPipelines, LakePlace {}

/** The context of a command. */
export function commandContext(io: CliIo, services: CliServices, flags: CommonFlags): CommandContext {
  return {
    io,
    services,
    flags,
    paint: paintFor(io.stdout.isTerminal, io.env),
    errorPaint: paintFor(io.stderr.isTerminal, io.env),
  };
}

/** `[FILE] [PIPELINE]`: a sole argument that is no file is the pipeline. */
export async function fileAndPipeline(
  first: string | undefined,
  second: string | undefined,
  cwd: string,
): Promise<{readonly file?: string; readonly pipeline?: string}> {
  if (first === undefined) return {};
  if (second !== undefined) return {file: first, pipeline: second};
  const isPath = /[/\\]|\.(ya?ml|json)$/i.test(first) || (await stat(resolve(cwd, first)).catch(() => null)) !== null;
  return isPath ? {file: first} : {pipeline: first};
}

/** Loads the configuration and prints its warnings. @throws INVALID_SPEC, MISSING_SECRET, ... */
export async function loadContext(context: CommandContext, flags: ConfigFlags): Promise<LoadedContext> {
  const {loadPipelines} = await import('../runtime/config/load-pipelines.ts');
  const {io} = context;
  const loaded = await loadPipelines({
    file: flags.file,
    pipeline: flags.pipeline,
    target: flags.target,
    variables: flags.var ?? {},
    cwd: io.cwd,
    env: io.env,
  });
  if (flags.quiet !== true && flags.json !== true)
    for (const warning of loaded.warnings) io.stderr.write(`${context.errorPaint.yellow('warning:')} ${warning}\n`);
  return {...loaded, lakeRoot: lakeRootOf(context, loaded.lake)};
}

/** The lake for commands that need no pipeline: the configuration in this folder is asked only when nothing else says it. */
export async function lakeAlone(context: CommandContext, flags: ConfigFlags): Promise<LakePlace> {
  const named = context.flags.lake ?? lakeOf(context.io.env);
  // A folder needs no options; how to reach anything else may stand in the configuration.
  if (named !== undefined && named !== null && !isUrl(named)) {
    return {lakeRoot: lakeRootOf(context, null), storeOptions: {}};
  }
  const {loadLake} = await import('../runtime/config/load-pipelines.ts');
  const {io} = context;
  const {lake, storeOptions} = await loadLake({
    file: flags.file,
    target: flags.target,
    variables: flags.var ?? {},
    cwd: io.cwd,
    env: io.env,
  });
  return {lakeRoot: lakeRootOf(context, lake), storeOptions};
}

/** By `--lake`, else SLUICE_LAKE, else `lake:`, else `./lake`. */
export function lakeRootOf(context: CommandContext, configured: string | null): string {
  const {io, flags} = context;
  const named = flags.lake ?? lakeOf(io.env);
  if (named !== null && named !== undefined) return isUrl(named) ? named : resolve(io.cwd, named);
  return configured ?? resolve(io.cwd, 'lake');
}

function isUrl(lake: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(lake);
}

/** The one pipeline that a command is about. @throws INVALID_OPTION when there are several and none is named. */
export function onlyPipeline(loaded: LoadedPipelines): PipelineSpec {
  const [first, ...others] = loaded.pipelines;
  if (first !== undefined && others.length === 0) return first;
  const keys = loaded.pipelines.map((spec) => spec.key);
  throw new IngestError('INVALID_OPTION', `${loaded.file} has several pipelines.`, {
    fix: `Name one: ${keys.join(', ')}.`,
  });
}

/** Options of the runtime's calls. */
export function lakeOptions(context: CommandContext, lake: LakePlace, signal: AbortSignal): LakeOptions {
  const {memory, threads} = context.flags;
  return {
    lake: lake.lakeRoot,
    storeOptions: lake.storeOptions,
    signal,
    ...(memory === undefined ? {} : {memoryLimitMb: memory}),
    ...(threads === undefined ? {} : {threads}),
  };
}

/** Runs a task that Ctrl-C aborts; a second Ctrl-C ends the process. */
export async function interruptible<T>(
  context: CommandContext,
  onFirst: () => void,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const {io} = context;
  const controller = new AbortController();
  const detach = io.onInterrupt((status) => {
    if (controller.signal.aborted) return io.exit(status);
    controller.abort(
      new IngestError('CANCELLED', 'The command was stopped.', {
        fix: 'Run it again: it goes on after the last commit.',
      }),
    );
    onFirst();
  });
  try {
    return await task(controller.signal);
  } finally {
    detach();
  }
}

/** Does work whose exchanges with the source become a HAR file, when one is named. */
export async function traced<T>(
  context: CommandContext,
  file: string | undefined,
  work: (trace: {readonly traceFile?: string}) => Promise<T>,
): Promise<T> {
  if (file === undefined) return work({});
  const {withTrace} = await import('../runtime/trace-file.ts');
  return withTrace(resolve(context.io.cwd, file), (traceFile) => work(traceFile === undefined ? {} : {traceFile}));
}

/** Prints one JSON document. */
export function printJson(context: CommandContext, value: unknown): void {
  context.io.stdout.write(`${jsonText(value, 2)}\n`);
}

/** Prints lines to stdout. */
export function printLines(context: CommandContext, lines: readonly string[]): void {
  context.io.stdout.write(lines.map((line) => `${line}\n`).join(''));
}

/** Columns of stdout; output that is no terminal is not clipped. */
export function printWidth(context: CommandContext): number {
  const {stdout} = context.io;
  return stdout.isTerminal ? Math.max(20, stdout.size().columns - 1) : Number.POSITIVE_INFINITY;
}

/** Does nothing: for commands that end quickly after Ctrl-C. */
export function silently(): void {
  // Nothing to say.
}

/** Success. */
export const OK: number = EXIT.ok;
