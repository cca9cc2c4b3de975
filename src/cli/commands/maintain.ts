import type {OptimizedTable, TableDescription, TableFailure, VacuumedTable} from '../../runtime/api.ts';
import {
  interruptible,
  lakeAlone,
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
import {countText, durationText, sizeText} from '../plain-words.ts';
import {visible} from '../terminal-text.ts';
import {left, printTable, right} from './inspect.ts';

/** Flags of `sluice optimize` and `sluice vacuum`. */
export interface MaintainFlags extends ConfigFlags {
  readonly table?: readonly string[];
}

/** Flags of `sluice optimize`. */
export interface OptimizeFlags extends MaintainFlags {
  readonly dryRun?: boolean;
  readonly purge?: boolean;
}

/** Flags of `sluice vacuum`. */
export interface VacuumFlags extends MaintainFlags {
  /** Hours. */
  readonly retain?: number;
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

/** Packs small files; runs under way win. */
export async function optimizeCommand(context: CommandContext, flags: OptimizeFlags): Promise<number> {
  const loaded = await loadContext(context, flags);
  const runtime = await context.services.runtime();
  const tables = await interruptible(context, silently, async (signal) => {
    const all: OptimizedTable[] = [];
    for (const spec of loaded.pipelines) {
      const options = {
        ...lakeOptions(context, loaded, signal),
        tables: flags.table ?? [],
        dryRun: flags.dryRun === true,
        purge: flags.purge === true,
      };
      all.push(...(await runtime.optimizeTables(spec, options)));
    }
    return all;
  });
  if (flags.json === true) printJson(context, {lake: loaded.lakeRoot, tables});
  else printOptimized(context, tables, flags);
  return statusOf(tables);
}

/** Removes what no kept version needs. */
export async function vacuumCommand(context: CommandContext, flags: VacuumFlags): Promise<number> {
  const loaded = await loadContext(context, flags);
  const runtime = await context.services.runtime();
  const dryRun = flags.dryRun === true;
  const tables = await interruptible(context, silently, async (signal) => {
    const all: VacuumedTable[] = [];
    for (const spec of loaded.pipelines) {
      const options = {
        ...lakeOptions(context, loaded, signal),
        tables: flags.table ?? [],
        retainHours: flags.retain ?? null,
        dryRun,
        force: flags.force === true,
      };
      all.push(...(await runtime.vacuumTables(spec, options)));
    }
    return all;
  });
  if (flags.json === true) printJson(context, {lake: loaded.lakeRoot, dryRun, tables});
  else printVacuumed(context, tables, flags);
  return statusOf(tables);
}

/** Shows what a table of the lake is made of. */
export async function describeCommand(context: CommandContext, table: string, flags: ConfigFlags): Promise<number> {
  const lake = await lakeAlone(context, flags);
  const runtime = await context.services.runtime();
  const found = await interruptible(context, silently, (signal) =>
    runtime.describeTable(table, lakeOptions(context, lake, signal)),
  );
  if (flags.json === true) printJson(context, found);
  else printDescription(context, found);
  return OK;
}

function statusOf(tables: readonly {readonly error: TableFailure | null}[]): number {
  return tables.every(({error}) => error === null) ? OK : EXIT.failed;
}

function printOptimized(context: CommandContext, tables: readonly OptimizedTable[], flags: OptimizeFlags): void {
  if (flags.quiet !== true) {
    const rows = tables.flatMap(({flow, report, elapsedMs}) =>
      report === null
        ? []
        : [
            [
              visible(flow),
              countText(report.filesBefore),
              countText(report.filesAfter),
              sizeText(report.bytesBefore),
              sizeText(report.bytesAfter),
              countText(report.purgedRows),
              countText(report.filesGivenUp),
              durationText(elapsedMs),
            ],
          ],
    );
    const columns = ['FILES', 'FILES AFTER', 'SIZE', 'SIZE AFTER', 'ROWS PURGED', 'FILES GIVEN UP', 'TIME'].map(right);
    printMaintained(context, [left('TABLE'), ...columns], rows);
    if (flags.dryRun === true && rows.length > 0)
      printLines(context, ['Nothing was written: this was a dry run, and the sizes afterwards are not known.']);
  }
  printFailures(context, tables);
}

function printVacuumed(context: CommandContext, tables: readonly VacuumedTable[], flags: VacuumFlags): void {
  if (flags.quiet !== true) {
    const rows = tables
      .filter(({error}) => error === null)
      .map(({flow, files, log}) => [
        visible(flow),
        ...(['data', 'deletion-vector', 'side', 'temporary'] as const).map((kind) =>
          countText(files.filter((file) => file.kind === kind).length),
        ),
        countText(log.entriesRemoved),
        sizeText(files.reduce((sum, file) => sum + file.sizeBytes, log.bytesRemoved)),
      ]);
    const columns = ['DATA FILES', 'VECTORS', 'SIDE FILES', 'TEMPORARY', 'LOG ENTRIES', 'SIZE'].map(right);
    printMaintained(context, [left('TABLE'), ...columns], rows);
    if (flags.dryRun === true && tables.length > 0) {
      const names = flags.verbose === true ? tables.flatMap(({files}) => files.map(({name}) => visible(name))) : [];
      printLines(context, [...names, 'Nothing was removed: this was a dry run.']);
    }
  }
  printFailures(context, tables);
}

function printMaintained(
  context: CommandContext,
  columns: Parameters<typeof printTable>[1],
  rows: readonly (readonly string[])[],
): void {
  if (rows.length === 0) printLines(context, ['No table has landed yet.']);
  else printTable(context, columns, rows);
}

function printFailures(
  context: CommandContext,
  tables: readonly {readonly flow: string; readonly error: TableFailure | null}[],
): void {
  for (const {flow, error} of tables) {
    if (error === null) continue;
    const fix = error.fix === undefined ? '' : `\n  fix: ${visible(error.fix)}`;
    context.io.stderr.write(
      `${context.errorPaint.red('error:')} [${error.code}] ${visible(flow)}: ${visible(error.message)}${fix}\n`,
    );
  }
}

function printDescription(context: CommandContext, table: TableDescription): void {
  const columns = table.columns.map((column) => [
    visible(column.name),
    visible(column.type),
    column.nullable ? 'yes' : 'no',
    visible(column.comment ?? ''),
  ]);
  printTable(context, [left('COLUMN'), left('TYPE'), left('NULLABLE'), left('COMMENT')], columns);
  const facts = factsOf(table);
  const width = Math.max(...facts.map(([name]) => name.length));
  printLines(context, ['', ...facts.map(([name, text]) => `${name.padEnd(width)}  ${visible(text)}`)]);
}

function factsOf(table: TableDescription): readonly (readonly [string, string])[] {
  const batch = table.lastBatch;
  const facts: readonly (readonly [string, string | null])[] = [
    ['table', table.table],
    ['location', table.location],
    ['description', table.description],
    ['version', `${table.version}, committed ${table.lastCommitAt}`],
    ['created', table.createdAt],
    ['rows', table.rows === null ? 'unknown' : countText(table.rows)],
    ['files', `${countText(table.files)}, ${sizeText(table.sizeBytes)}`],
    [
      'hidden rows',
      table.hiddenRows === 0
        ? null
        : `${countText(table.hiddenRows)} by deletion vectors of ${countText(table.filesWithVectors)} files`,
    ],
    ['partitioned by', table.partitionColumns.length === 0 ? null : table.partitionColumns.join(', ')],
    ['clustered by', table.clusteringColumns.length === 0 ? null : table.clusteringColumns.join(', ')],
    ...Object.entries(table.constraints).map(([name, condition]) => ['constraint', `${name}: ${condition}`] as const),
    ['protocol', `reader ${table.minReaderVersion}, writer ${table.minWriterVersion}`],
    ['features', table.features.length === 0 ? null : table.features.join(', ')],
    ['pipeline', table.pipeline],
    ['source table', table.sourceTable],
    ['flow', table.flowId],
    ['last batch', batch === null ? null : batchText(batch)],
    ...Object.entries(table.properties).map(([name, value]) => ['property', `${name} = ${value}`] as const),
  ];
  return facts.flatMap(([name, text]) => (text === null ? [] : [[name, text] as const]));
}

function batchText({batchId, writtenAt, inSnapshot, counts}: NonNullable<TableDescription['lastBatch']>): string {
  const rows = `${countText(counts.inserted)} inserted, ${countText(counts.updated)} updated, ${countText(counts.deleted)} deleted`;
  return `${batchId}, written ${writtenAt}: ${rows}${inSnapshot ? ', snapshot under way' : ''}`;
}
