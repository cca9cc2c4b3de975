import type {VerifyReport} from '../../runtime/api.ts';
import {
  interruptible,
  lakeOptions,
  loadContext,
  OK,
  printJson,
  printLines,
  silently,
  type CommandContext,
  type ConfigFlags,
} from '../command-context.ts';
import {EXIT} from '../io.ts';
import {countText, durationText} from '../plain-words.ts';
import {visible} from '../terminal-text.ts';
import {left, printTable, right} from './inspect.ts';

/** Flags of `sluice verify`. */
export interface VerifyFlags extends ConfigFlags {
  readonly table?: readonly string[];
}

/** Keys shown per table; `--json` has all samples. */
const SHOWN_KEYS = 10;

/** Compares destinations with their source; succeeds only when every table is proven equal. */
export async function verifyCommand(context: CommandContext, flags: VerifyFlags): Promise<number> {
  const loaded = await loadContext(context, flags);
  const runtime = await context.services.runtime();
  const reports = await interruptible(context, silently, async (signal) => {
    const all: VerifyReport[] = [];
    for (const spec of loaded.pipelines) {
      const options = {...lakeOptions(context, loaded.lakeRoot, signal), tables: flags.table ?? []};
      all.push(...(await runtime.verifyPipeline(spec, options)));
    }
    return all;
  });
  if (flags.json === true) printJson(context, {lake: loaded.lakeRoot, tables: reports});
  else if (flags.quiet !== true) printReports(context, reports);
  return reports.every((report) => report.verdict === 'equal') ? OK : EXIT.failed;
}

function printReports(context: CommandContext, reports: readonly VerifyReport[]): void {
  const count = (value: number | null): string => (value === null ? '-' : countText(value));
  const rows = reports.map((report) => [
    visible(report.flow),
    report.verdict,
    count(report.sourceRows),
    count(report.destinationRows),
    countText(report.missing),
    countText(report.extra),
    countText(report.changed),
    countText(report.columnsCompared),
    durationText(report.elapsedMs),
  ]);
  printTable(
    context,
    [
      left('TABLE'),
      left('VERDICT'),
      right('SOURCE ROWS'),
      right('TABLE ROWS'),
      right('MISSING'),
      right('EXTRA'),
      right('CHANGED'),
      right('COLUMNS'),
      right('TIME'),
    ],
    rows,
  );
  for (const report of reports) printLines(context, detailLines(report));
}

function detailLines(report: VerifyReport): readonly string[] {
  const lines: string[] = [];
  const name = visible(report.flow);
  if (report.reason !== null) lines.push(`${name}: ${visible(report.reason)}`);
  for (const {name: column, reason} of report.excluded)
    lines.push(`${name}: column ${visible(column)} is not compared: ${visible(reason)}`);
  for (const sample of report.samples.slice(0, SHOWN_KEYS)) {
    const columns = sample.columns.length === 0 ? '' : ` in ${sample.columns.map(visible).join(', ')}`;
    lines.push(`${name}: ${sample.kind} key ${visible(sample.key)}${columns}`);
  }
  const hidden = report.samples.length - SHOWN_KEYS;
  if (hidden > 0) lines.push(`${name}: and ${hidden} more (use --json)`);
  return lines;
}
