import {IngestError} from '../core/errors.ts';
import {quoteIdentifier, sqlType} from '../engine/sql-types.ts';
import {selectTables, matchesTable} from '../pipeline/discover.ts';
import {settleFlow} from '../pipeline/evolve-plan.ts';
import {Landing, rowsSelect, rowsShape} from '../pipeline/landing.ts';
import {planningContext, resolveFlow} from '../pipeline/resolve-flow.ts';
import type {PipelineSpec} from '../pipeline/spec.ts';
import type {LakeOptions, TableResult} from './api.ts';
import {firstPages} from './first-pages.ts';
import {limitedResult} from './inspect.ts';
import {readContextOf, silentLog} from './read-context.ts';
import {openSession} from './session.ts';

/** The first rows of a source table as they would land. Writes nothing. @throws UNKNOWN_TABLE */
export async function previewTable(
  spec: PipelineSpec,
  name: string,
  options: LakeOptions & {readonly limit: number},
): Promise<TableResult> {
  await using session = await openSession(spec, options);
  const all = await selectTables(spec, session.open, session.ctx);
  const table = all.find((candidate) => matchesTable(candidate, [name]));
  if (table === undefined)
    throw new IngestError('UNKNOWN_TABLE', `The pipeline has no table "${name}".`, {
      fix: `Its tables are ${all.map((candidate) => candidate.sourceTable).join(', ')}.`,
    });
  const asked = await resolveFlow(
    session.open,
    table.object,
    table.sourceTable,
    planningContext(session.bench.context, table, session.ctx),
  );
  const {flow} = settleFlow(asked, null, 'replaced');
  const ctx = readContextOf({
    ...session.ctx,
    log: silentLog,
    files: session.files,
    triggerStartedAt: session.ctx.clock.nowMicros(),
    maxRows: options.limit,
  });
  const {engine} = session.bench.context;
  await using landing = new Landing(engine, rowsShape(flow));
  for await (const page of firstPages(session.open.connector, {table: flow.sourceTable, options: flow.options, ctx})) {
    await landing.add(page);
    if (landing.counts.rows >= options.limit || landing.counts.bytes > PREVIEW_BYTES) break;
  }
  const landed = await landing.finish();
  const select = landed.table ?? landed.files[0];
  const columns = flow.tableSchema.fields.map((field) => field.name);
  if (select === undefined)
    return {columns, types: flow.tableSchema.fields.map(({type}) => sqlType(type)), rows: [], truncated: false};
  const shown = rowsSelect(flow, select, {dropFiltered: true, ordered: false});
  return await limitedResult(
    session.bench,
    `SELECT ${columns.map(quoteIdentifier).join(', ')} FROM (${shown})`,
    options,
  );
}

const PREVIEW_BYTES = 16 * 1024 * 1024;
