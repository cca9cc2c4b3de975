import type {PlannedTable} from '../../runtime/api.ts';
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
import {problemLines} from '../error-text.ts';
import {EXIT} from '../io.ts';
import {countText} from '../plain-words.ts';
import {visible, type Paint} from '../terminal-text.ts';

/** Flags of `sluice plan`. */
export interface PlanFlags extends ConfigFlags {
  readonly table?: readonly string[];
}

/** Says what a run would do to every table; fails when some table could not be run. */
export async function planCommand(context: CommandContext, flags: PlanFlags): Promise<number> {
  const loaded = await loadContext(context, flags);
  const runtime = await context.services.runtime();
  const planned = await interruptible(context, silently, async (signal) => {
    const plans: {readonly pipeline: string; readonly tables: readonly PlannedTable[]}[] = [];
    for (const spec of loaded.pipelines) {
      const options = {...lakeOptions(context, loaded, signal), tables: flags.table ?? []};
      plans.push({pipeline: spec.key, tables: await runtime.planPipeline(spec, options)});
    }
    return plans;
  });
  if (flags.json === true) printJson(context, {lake: loaded.lakeRoot, pipelines: planned});
  else
    for (const plan of planned)
      printLines(context, [
        context.paint.bold(`${plan.pipeline}:`),
        ...plan.tables.flatMap((table) => tableText(table, context.paint, flags.verbose === true)),
      ]);
  return planned.some((plan) => plan.tables.some((table) => table.action === 'blocked')) ? EXIT.failed : OK;
}

function tableText(table: PlannedTable, paint: Paint, verbose: boolean): readonly string[] {
  const head = `  ${actionText(table, paint)} ${visible(table.flow)} from ${visible(table.sourceTable)}`;
  if (table.error !== undefined) {
    const {code, message, fix} = table.error;
    return [head, ...problemLines({code, message, at: null, fix: fix ?? null}, paint).map((line) => `    ${line}`)];
  }
  const how = [table.ingestionType, table.scdType];
  if (table.keys.length > 0) how.push(`key ${table.keys.join(', ')}`);
  if (table.sequence.length > 0) how.push(`ordered by ${table.sequence.join(', ')}`);
  if (table.estimatedRows !== null) how.push(`about ${countText(table.estimatedRows)} rows`);
  const lines = [head, `    ${visible(how.join(', '))}`];
  lines.push(
    `    deletion vectors ${table.deletionVectors ? 'on' : 'off'}; readers: ${table.readers.can.join(', ')}${table.readers.cannot.length === 0 ? '' : `; not: ${table.readers.cannot.join(', ')}`}`,
  );
  lines.push(...policyLines(table));
  const shown =
    verbose || table.action === 'create' ? table.columns : table.columns.filter((column) => column.change !== 'same');
  for (const column of shown)
    lines.push(
      `      ${changeMark(column.change, paint)} ${visible(column.name)} ${visible(column.type)}${column.change === 'dropped' ? ' (kept, NULL from now on)' : ''}`,
    );
  return [...lines, ...table.notes.map((note) => `    ${paint.yellow('note:')} ${visible(note)}`)];
}

function policyLines(table: PlannedTable): readonly string[] {
  const {scdType, trackedColumns, partitionColumns, clusteringColumns, schemaEvolution} = table;
  const parts: string[] = [];
  if (scdType === 'SCD_TYPE_2')
    parts.push(`keeps every version; a new one begins when one of these changes: ${trackedColumns.join(', ')}`);
  if (partitionColumns.length > 0) parts.push(`partitioned by ${partitionColumns.join(', ')}`);
  if (clusteringColumns.length > 0) parts.push(`clustered by ${clusteringColumns.join(', ')}`);
  if (schemaEvolution !== 'evolve') parts.push(`schema_evolution: ${schemaEvolution}`);
  return parts.map((part) => `    ${visible(part)}`);
}

function actionText(table: PlannedTable, paint: Paint): string {
  if (table.action === 'blocked') return paint.red('blocked ');
  return (table.action === 'continue' ? paint.dim : paint.green)(table.action.padEnd(8));
}

function changeMark(change: PlannedTable['columns'][number]['change'], paint: Paint): string {
  if (change === 'new') return paint.green('+');
  return change === 'dropped' ? paint.red('-') : ' ';
}
