import {IngestError} from '../../core/errors.ts';
import type {FlowStateReport, LakeOptions, PipelineSpec, RuntimeApi} from '../../runtime/api.ts';
import {
  interruptible,
  lakeOptions,
  loadContext,
  OK,
  onlyPipeline,
  printJson,
  printLines,
  silently,
  type CommandContext,
  type ConfigFlags,
} from '../command-context.ts';
import {jsonText} from '../json-text.ts';
import {visible} from '../terminal-text.ts';
import {left, printTable, right} from './inspect.ts';

/** Flags of `sluice state reset`. */
export interface StateFlags extends ConfigFlags {
  /** All tables of the pipeline: must be said when none is named. */
  readonly all?: boolean;
}

/** Shows where the flows stand. */
export function stateShowCommand(
  context: CommandContext,
  tables: readonly string[],
  flags: StateFlags,
): Promise<number> {
  return stateCommand(context, flags, {
    done: null,
    call: (runtime, spec, options) => runtime.showState(spec, tables, options),
  });
}

/** Makes flows forget their offsets: the next run reads the tables anew. */
export function stateResetCommand(
  context: CommandContext,
  tables: readonly string[],
  flags: StateFlags,
): Promise<number> {
  mustChoose(tables, flags);
  return stateCommand(context, flags, {
    done: 'Reset: the next run reads these tables anew.',
    call: (runtime, spec, options) => runtime.resetState(spec, tables, options),
  });
}

/** Takes over tables that belong to nobody or to another pipeline, or accepts what others wrote to the pipeline's own. */
export function stateAdoptCommand(
  context: CommandContext,
  tables: readonly string[],
  flags: ConfigFlags,
): Promise<number> {
  return stateCommand(context, flags, {
    done: 'Adopted: these tables belong to the pipeline now.',
    call: (runtime, spec, options) => runtime.adoptTables(spec, tables, options),
  });
}

interface StateAction {
  readonly done: string | null;
  readonly call: (runtime: RuntimeApi, spec: PipelineSpec, options: LakeOptions) => Promise<readonly FlowStateReport[]>;
}

async function stateCommand(context: CommandContext, flags: ConfigFlags, action: StateAction): Promise<number> {
  const loaded = await loadContext(context, flags);
  const spec = onlyPipeline(loaded);
  const runtime = await context.services.runtime();
  const reports = await interruptible(context, silently, (signal) =>
    action.call(runtime, spec, lakeOptions(context, loaded, signal)),
  );
  if (flags.json === true) printJson(context, {pipeline: spec.key, flows: reports});
  else if (flags.quiet !== true) {
    printReports(context, reports);
    if (action.done !== null && reports.length > 0) printLines(context, [action.done]);
  }
  return OK;
}

function mustChoose(tables: readonly string[], flags: StateFlags): void {
  if (tables.length > 0 || flags.all === true) return;
  throw new IngestError('INVALID_OPTION', 'No table is named.', {fix: 'Name tables, or say --all.'});
}

function printReports(context: CommandContext, reports: readonly FlowStateReport[]): void {
  if (reports.length === 0) {
    printLines(context, ['No flow has run yet.']);
    return;
  }
  const rows = reports.map((report) => [
    visible(report.flow),
    report.batchId === null ? '-' : String(report.batchId),
    String(report.version),
    report.inSnapshot ? 'yes' : 'no',
    visible(report.pipeline ?? '-'),
    visible(jsonText(report.offset)),
  ]);
  printTable(
    context,
    [left('TABLE'), right('BATCH'), right('VERSION'), left('IN SNAPSHOT'), left('PIPELINE'), left('OFFSET')],
    rows,
  );
}
