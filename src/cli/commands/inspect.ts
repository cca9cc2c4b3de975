import {IngestError, isIngestError} from '../../core/errors.ts';
import type {PipelineSpec, TableStatus, TableVersion} from '../../runtime/api.ts';
import {
  interruptible,
  lakeAlone,
  lakeOptions,
  loadContext,
  OK,
  onlyPipeline,
  printJson,
  printLines,
  printWidth,
  silently,
  traced,
  type CommandContext,
  type ConfigFlags,
} from '../command-context.ts';
import {countText, durationText, sizeText} from '../plain-words.ts';
import {resultJson, resultLines} from '../result-text.ts';
import {visible} from '../terminal-text.ts';
import {tableLines, type TextColumn} from '../text-table.ts';

/** Flags of commands that show rows. */
export interface LimitFlags extends ConfigFlags {
  readonly limit?: number;
}

/** Flags of `sluice preview`. */
export interface PreviewFlags extends LimitFlags {
  readonly trace?: string;
}

/** Flags of `sluice query`. */
export interface QueryFlags extends LimitFlags {
  /** Tables as of older versions: `TABLE=VERSION` or `TABLE=TIME`. */
  readonly at?: readonly string[];
}

const DEFAULT_ROWS = 100;
const DEFAULT_PREVIEW_ROWS = 10;
const DEFAULT_VERSIONS = 20;

/** Reads the configuration as a run would, asks the connectors about their options, and says what it found. */
export async function validateCommand(context: CommandContext, flags: ConfigFlags): Promise<number> {
  const loaded = await loadContext(context, flags);
  for (const spec of loaded.pipelines) await context.services.checkPipeline(spec);
  if (flags.json === true)
    printJson(context, {
      file: loaded.file,
      lake: loaded.lakeRoot,
      pipelines: loaded.pipelines.map(withoutSecrets),
      warnings: loaded.warnings,
    });
  else if (flags.quiet !== true)
    printLines(context, [`${loaded.file} is valid. Lake: ${loaded.lakeRoot}`, ...loaded.pipelines.flatMap(specLines)]);
  return OK;
}

/** Lists the tables of the source. */
export async function tablesCommand(context: CommandContext, flags: ConfigFlags): Promise<number> {
  const loaded = await loadContext(context, flags);
  const spec = onlyPipeline(loaded);
  const runtime = await context.services.runtime();
  const tables = await interruptible(context, silently, (signal) =>
    runtime.listSourceTables(spec, lakeOptions(context, loaded, signal)),
  );
  if (flags.json === true) printJson(context, {pipeline: spec.key, tables});
  else {
    const rows = tables.map((table) => [visible(table.name), table.selected ? 'yes' : 'no']);
    printTable(context, [left('SOURCE TABLE'), left('SELECTED')], rows);
  }
  return OK;
}

/** Shows rows of a source table as they would land. */
export async function previewCommand(context: CommandContext, table: string, flags: PreviewFlags): Promise<number> {
  const loaded = await loadContext(context, flags);
  const spec = onlyPipeline(loaded);
  const runtime = await context.services.runtime();
  const result = await interruptible(context, silently, (signal) =>
    traced(context, flags.trace, (trace) =>
      runtime.previewTable(spec, table, {
        ...lakeOptions(context, loaded, signal),
        ...trace,
        limit: flags.limit ?? DEFAULT_PREVIEW_ROWS,
      }),
    ),
  );
  if (flags.json === true) printJson(context, resultJson(result));
  else printLines(context, resultLines(result, {width: printWidth(context), paint: context.paint}));
  return OK;
}

/** Runs SQL over the lake's tables. */
export async function queryCommand(context: CommandContext, sql: string, flags: QueryFlags): Promise<number> {
  if (sql.trim() === '')
    throw new IngestError('INVALID_OPTION', 'The query is blank.', {
      fix: 'Write SQL in quotes: sluice query "SELECT 1"',
    });
  const at = (flags.at ?? []).map(tableAt);
  const lake = await lakeAlone(context, flags);
  const runtime = await context.services.runtime();
  const result = await interruptible(context, silently, (signal) =>
    runtime
      .queryLake(sql, {...lakeOptions(context, lake, signal), limit: flags.limit ?? DEFAULT_ROWS, at})
      .catch(blameStatement),
  );
  if (flags.json === true) printJson(context, resultJson(result));
  else printLines(context, resultLines(result, {width: printWidth(context), paint: context.paint}));
  return OK;
}

function tableAt(text: string): {readonly table: string; readonly at: string} {
  const [, table, at] = /^(.+)=([^=]+)$/.exec(text) ?? [];
  if (table !== undefined && at !== undefined) return {table, at};
  throw new IngestError('INVALID_OPTION', `--at ${text} is not of the form TABLE=VERSION or TABLE=TIME.`, {
    fix: 'For example: --at main.raw.orders=12, or --at orders=2026-01-31T12:30:00Z.',
  });
}

/** Shows the versions of a table of the lake. */
export async function historyCommand(context: CommandContext, table: string, flags: LimitFlags): Promise<number> {
  const lake = await lakeAlone(context, flags);
  const runtime = await context.services.runtime();
  const commits = await interruptible(context, silently, (signal) =>
    runtime.tableHistory(table, {...lakeOptions(context, lake, signal), limit: flags.limit ?? DEFAULT_VERSIONS}),
  );
  if (flags.json === true) printJson(context, {table, versions: commits});
  else {
    const rows = commits.map((commit) => [
      String(commit.version),
      commit.timestamp,
      visible(commit.operation),
      rowsText(commit),
      countText(commit.filesAdded),
      countText(commit.filesRemoved),
      commit.batchId === null ? '-' : String(commit.batchId),
      visible(commit.engine ?? '-'),
    ]);
    const titles = ['FILES ADDED', 'FILES REMOVED', 'BATCH'].map(right);
    printTable(
      context,
      [right('VERSION'), left('TIME'), left('OPERATION'), left('ROWS'), ...titles, left('ENGINE')],
      rows,
    );
  }
  return OK;
}

/** Rows as the writer counted them, else as the files tell. */
function rowsText({metrics, rowsAdded, operation, parameters}: TableVersion): string {
  const counted = COUNTS.flatMap(([name, sign]) => {
    const count = Number(metrics[name] ?? 0);
    return count > 0 ? [`${sign}${countText(count)}`] : [];
  });
  if (counted.length > 0) return counted.join(' ');
  if (operation === 'RESTORE' && typeof parameters['version'] === 'number') return `as of ${parameters['version']}`;
  return rowsAdded === null || rowsAdded === 0 ? '-' : `+${countText(rowsAdded)}`;
}

/** Counts of merges, with what they mean. */
const COUNTS: readonly (readonly [string, string])[] = [
  ['numTargetRowsInserted', '+'],
  ['numTargetRowsUpdated', '~'],
  ['numTargetRowsDeleted', '-'],
];

/** Shows what the destination tables look like now. */
export async function statusCommand(context: CommandContext, flags: ConfigFlags): Promise<number> {
  const loaded = await loadContext(context, flags);
  const runtime = await context.services.runtime();
  const tables = await interruptible(context, silently, (signal) =>
    runtime.status(loaded.pipelines, lakeOptions(context, loaded, signal)),
  );
  if (flags.json === true) {
    printJson(context, {lake: loaded.lakeRoot, tables});
    return OK;
  }
  if (tables.length === 0) {
    printLines(context, [`No table has landed in ${loaded.lakeRoot} yet.`]);
    return OK;
  }
  const rows = tables.map((table) => [
    visible(table.flow),
    visible(table.pipeline),
    table.rows === null ? '-' : countText(table.rows),
    sizeText(table.sizeBytes),
    countText(table.files),
    String(table.version),
    table.lastCommitAt,
    table.inSnapshot ? 'snapshot under way' : verifiedText(table),
    countText(table.rescuedValues),
    countText(table.quarantinedRows),
  ]);
  const columns = [
    left('TABLE'),
    left('PIPELINE'),
    right('ROWS'),
    right('SIZE'),
    right('FILES'),
    right('VERSION'),
    left('LAST COMMIT'),
    left('VERIFIED'),
    right('RESCUED'),
    right('QUARANTINED'),
  ];
  printTable(context, columns, rows);
  const advice = tables
    .filter((table) => table.recommendation !== null)
    .map((table) => `${visible(table.flow)}: ${visible(table.recommendation ?? '')}`);
  printLines(context, advice);
  return OK;
}

/** `equal 3:02:11 ago`; of which version, when the table has moved on. */
function verifiedText({lastVerification: last, version}: TableStatus): string {
  if (last === null) return '-';
  return `${last.verdict}${last.version === version ? '' : ` at ${last.version}`} ${durationText(last.ageMs)} ago`;
}

/** What the engine refuses here it refuses because of the user's own SQL. */
function blameStatement(error: unknown): never {
  if (!isIngestError(error, 'ENGINE_FAILED')) throw error;
  throw new IngestError('INVALID_OPTION', `The statement cannot be run. ${error.message}`, {
    fix: 'Correct the SQL; "sluice status" lists the tables.',
    cause: error,
  });
}

/** A left-aligned column; names of tables are clipped only when nothing else helps. */
export function left(title: string): TextColumn {
  return {title, align: 'left', minWidth: title.endsWith('TABLE') ? 32 : Math.min(title.length, 12)};
}

/** A right-aligned column that is never clipped below its title. */
export function right(title: string): TextColumn {
  return {title, align: 'right', minWidth: title.length};
}

/** Prints an aligned table to stdout. */
export function printTable(
  context: CommandContext,
  columns: readonly TextColumn[],
  rows: readonly (readonly string[])[],
): void {
  printLines(context, tableLines({columns, rows}, {width: printWidth(context), paint: context.paint}));
}

function specLines(spec: PipelineSpec): readonly string[] {
  const head = `  ${spec.key}: ${spec.objects.length} ${spec.objects.length === 1 ? 'object' : 'objects'} from ${spec.connection.name} (${spec.connection.connector})`;
  const objects = spec.objects.map((object) => {
    const source = [object.sourceCatalog, object.sourceSchema, object.sourceTable ?? '*']
      .filter((part) => part !== null)
      .join('.');
    const table =
      object.kind === 'schema' ? '*' : (object.destinationTable ?? object.sourceTable?.toLowerCase() ?? '*');
    return `    ${source} -> ${object.destinationCatalog}.${object.destinationSchema}.${table}`;
  });
  return [head, ...objects.map(visible)];
}

/** The plan without the values of connection options: some are secrets. */
function withoutSecrets(spec: PipelineSpec): object {
  const {name, connector, options} = spec.connection;
  return {...spec, connection: {name, connector, options: Object.keys(options)}};
}
