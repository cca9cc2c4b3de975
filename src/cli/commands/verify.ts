import type {VerifyMode, VerifyReport} from '../../runtime/api.ts';
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
  readonly mode?: VerifyMode;
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
      const options = {
        ...lakeOptions(context, loaded, signal),
        tables: flags.table ?? [],
        mode: flags.mode ?? 'auto',
      };
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
  if (report.level !== 'none') lines.push(`${name}: ${evidenceText(report)}`);
  for (const {name: column, source, destination} of report.rescued)
    lines.push(`${name}: column ${visible(column)}: ${rescuedText(source, destination)}`);
  if (report.history !== null) lines.push(`${name}: ${historyText(report.history)}`);
  for (const {name: column, keys} of report.columnsDifferent)
    lines.push(
      `${name}: column ${visible(column)} differs in ${countText(keys)} of the changed keys that were looked at`,
    );
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

/** What the verdict rests on, and how sure it is. */
function evidenceText({level, sourcePoint, destinationVersion, bucketsTotal, collisionBound}: VerifyReport): string {
  const by = level === 'source_sums' ? 'sums of the source' : 'the source read once more';
  const odds = collisionBound === null ? '' : `; odds that a difference went unseen ${collisionBound.toExponential(1)}`;
  return `version ${destinationVersion} against ${by} (${visible(sourcePoint ?? '-')}), every row in ${countText(bucketsTotal)} ranges${odds}`;
}

function rescuedText(source: number | null, destination: number): string {
  const rescued = `${countText(destination)} values are in _rescued_data`;
  return source === null ? rescued : `${rescued}, ${countText(source)} of the source do not fit`;
}

function historyText({versions, keys, gaps}: NonNullable<VerifyReport['history']>): string {
  return `${countText(versions)} versions of ${countText(keys)} keys, ${countText(gaps)} times deleted and back`;
}
