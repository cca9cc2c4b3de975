import {
  interruptible,
  lakeAlone,
  lakeOptions,
  OK,
  printJson,
  printLines,
  printWidth,
  silently,
  type CommandContext,
} from '../command-context.ts';
import {resultJson, resultLines} from '../result-text.ts';
import type {LimitFlags} from './inspect.ts';

/** Flags of `sluice changes`: a version or a time each. */
export interface ChangesFlags extends LimitFlags {
  readonly from: string;
  readonly to?: string;
}

const DEFAULT_ROWS = 100;

/** Shows which rows the versions of a table inserted, updated and deleted. */
export async function changesCommand(context: CommandContext, table: string, flags: ChangesFlags): Promise<number> {
  const lake = await lakeAlone(context, flags);
  const runtime = await context.services.runtime();
  const result = await interruptible(context, silently, (signal) =>
    runtime.tableChanges(table, {
      ...lakeOptions(context, lake, signal),
      from: flags.from,
      to: flags.to ?? null,
      limit: flags.limit ?? DEFAULT_ROWS,
    }),
  );
  if (flags.json === true) printJson(context, resultJson(result));
  else printLines(context, resultLines(result, {width: printWidth(context), paint: context.paint}));
  return OK;
}
