import {randomUUID} from 'node:crypto';

import type {QuarantinedRow} from '../core/coerce.ts';
import {createCoercer} from '../core/coerce.ts';
import {IngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import type {StructType} from '../core/types.ts';
import type {DeltaContext, DeltaTable} from '../delta/delta-table.ts';
import {createTable, openTable} from '../delta/table.ts';
import {quoteIdentifier, quoteLiteral} from '../engine/sql-types.ts';
import type {Destination} from './destination.ts';
import {FLOW_ID_PROPERTY, PIPELINE_PROPERTY} from './destination.ts';
import type {ResolvedFlow} from './resolved-flow.ts';

/** Rows that could not land, beside their table: `<table>__quarantine`. */
const QUARANTINE_SUFFIX = '__quarantine';

const SCHEMA: StructType = {
  type: 'struct',
  fields: [
    {name: 'flow_id', type: 'string', nullable: true, metadata: {}},
    {
      name: 'after_batch_id',
      type: 'long',
      nullable: true,
      metadata: {comment: 'The batch that the flow stood at; the row counts once a later batch is committed'},
    },
    {name: 'attempt', type: 'string', nullable: true, metadata: {}},
    {name: 'quarantined_at', type: 'timestamp', nullable: true, metadata: {}},
    {name: 'reason', type: 'string', nullable: true, metadata: {}},
    {name: 'path', type: 'string', nullable: true, metadata: {comment: 'The column that kept the row from landing'}},
    {name: 'record', type: 'string', nullable: true, metadata: {comment: 'The record as it came, JSON text'}},
  ],
};

/** Name prefix of a table's quarantine. */
export function quarantineRoot(root: string): string {
  return `${root}${QUARANTINE_SUFFIX}`;
}

/**
 * Writes rows that cannot land, before the batch that they came with. May be called several times for one batch.
 * @throws TABLE_NOT_OURS when a table of the source has the name.
 */
export async function writeQuarantine(
  context: DeltaContext,
  flow: ResolvedFlow,
  options: {readonly destination: Destination; readonly rows: readonly QuarantinedRow[]},
): Promise<void> {
  const {destination, rows} = options;
  const root = quarantineRoot(flow.root);
  const table =
    (await openTable(context, root)) ??
    (await createTable(context, root, {schema: SCHEMA, configuration: {[FLOW_ID_PROPERTY]: destination.flowId}}));
  if (!isQuarantine(table)) {
    throw new IngestError(
      'TABLE_NOT_OURS',
      `${rows.length} rows of ${flow.name} cannot land, and ${flow.name}${QUARANTINE_SUFFIX}, where they belong, is a table of its own.`,
      {
        fix: 'Give that table another destination_table.',
        context: {table: flow.name},
      },
    );
  }
  const attempt = randomUUID();
  const coercer = createCoercer(SCHEMA, {keys: [], rescue: false, ignoredFields: []});
  for (const row of rows) {
    coercer.add({
      flow_id: destination.flowId,
      after_batch_id: standsAt(destination),
      attempt,
      quarantined_at: new Date(context.clock.nowMs()).toISOString(),
      reason: row.reason,
      path: row.path,
      record: row.record,
    });
  }
  const name = context.engine.uniqueName('quarantine');
  await context.engine.createTable(name, SCHEMA);
  try {
    const appender = await context.engine.appender(name, SCHEMA);
    appender.append(coercer.take().batch);
    appender.close();
    const adds = await table.writeFiles({select: `SELECT * FROM ${quoteIdentifier(name)}`, schema: SCHEMA}, NEVER);
    await table.commit({
      base: table.snapshot,
      operation: 'WRITE',
      operationParameters: {mode: 'Append'},
      adds,
      blindAppend: true,
    });
  } finally {
    await context.engine.dropTable(name);
  }
  failpoint('quarantine.committed');
}

/** Note of a batch that a restore made: the batch whose end is its end, 0 for none. Batches in between were undone. */
export const RESTORED_BATCH_NOTE = 'restored_batch';

/** Takes away the rows that attempts of the flow left after its last committed batch, and those of batches that a restore undid: theirs never was. */
export async function discardOrphans(
  context: DeltaContext,
  flow: Pick<ResolvedFlow, 'root'>,
  destination: Destination,
): Promise<void> {
  const table = await openTable(context, quarantineRoot(flow.root));
  if (table === null || !isQuarantine(table)) return;
  const [from, to] = orphansAfter(destination).map(BigInt);
  const ofFlow = new Set(
    table.filesInRange('flow_id', destination.flowId, destination.flowId).map((file) => file.path),
  );
  const files = table.filesInRange('after_batch_id', from, to).filter((file) => ofFlow.has(file.path));
  if (files.length === 0) return;
  const rows = await table.readSql({files: files.map((file) => file.path)});
  const batches = `after_batch_id BETWEEN ${from} AND ${to}`;
  const isOrphan = `coalesce(flow_id = ${quoteLiteral(destination.flowId)} AND ${batches}, false)`;
  const [found] = await context.engine.query(`SELECT count(*) AS orphans FROM (${rows}) AS q WHERE ${isOrphan}`);
  if (Number(found?.['orphans'] ?? 0) === 0) return;
  // A file holds one attempt, unless somebody compacted the table.
  const adds = await table.writeFiles(
    {select: `SELECT * FROM (${rows}) AS q WHERE NOT ${isOrphan}`, schema: table.snapshot.schema},
    NEVER,
  );
  const removes = files.map((file) => table.removeOf(file));
  await table.commit({
    base: table.snapshot,
    operation: 'DELETE',
    operationParameters: {predicate: `flow_id = '${destination.flowId}' AND ${batches}`},
    removes,
    adds,
    blindAppend: false,
  });
}

/** Rows quarantined after which batches, both ends included, belong to none that counts. */
function orphansAfter(destination: Destination): readonly [from: number, to: number] {
  const at = standsAt(destination);
  const restored = destination.batch?.notes[RESTORED_BATCH_NOTE];
  return [typeof restored === 'number' ? restored : at, at];
}

/** False for a table of a flow that happens to have the name. */
function isQuarantine(table: DeltaTable): boolean {
  const names = new Set(table.snapshot.schema.fields.map((field) => field.name));
  return (
    !(PIPELINE_PROPERTY in table.snapshot.metadata.configuration) &&
    SCHEMA.fields.every((field) => names.has(field.name))
  );
}

function standsAt(destination: Destination): number {
  return destination.batch?.batchId ?? 0;
}

/** Quarantine is written to its end even when the run is asked to stop: the batch decides. */
const NEVER: AbortSignal = new AbortController().signal;
