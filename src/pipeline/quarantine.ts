import {randomUUID} from 'node:crypto';

import type {QuarantinedRow} from '../core/coerce.ts';
import {createCoercer} from '../core/coerce.ts';
import {failpoint} from '../core/failpoint.ts';
import type {StructType} from '../core/types.ts';
import type {DeltaContext, DeltaTable} from '../delta/delta-table.ts';
import {createTable, openTable} from '../delta/table.ts';
import {quoteIdentifier} from '../engine/sql-types.ts';
import type {Destination} from './destination.ts';
import {FLOW_ID_PROPERTY} from './destination.ts';
import type {ResolvedFlow} from './resolved-flow.ts';

/** Rows that could not land, beside their table: `<table>__quarantine`. */
const QUARANTINE_SUFFIX = '__quarantine';

const SCHEMA: StructType = {
  type: 'struct',
  fields: [
    {name: 'flow_id', type: 'string', nullable: true, metadata: {}},
    {name: 'after_batch_id', type: 'long', nullable: true, metadata: {comment: 'The batch that the flow stood at; the row counts once a later batch is committed'}},
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

/** Writes rows that cannot land, before the batch that they came with. */
export async function writeQuarantine(context: DeltaContext, flow: ResolvedFlow, options: {readonly destination: Destination; readonly rows: readonly QuarantinedRow[]}): Promise<void> {
  const {destination, rows} = options;
  const root = quarantineRoot(flow.root);
  const table = (await openTable(context, root)) ?? (await createTable(context, root, {schema: SCHEMA, configuration: {[FLOW_ID_PROPERTY]: destination.flowId}}));
  await discardOrphansOf(table, destination);
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
    await table.commit({base: table.snapshot, operation: 'WRITE', operationParameters: {mode: 'Append'}, adds, blindAppend: true});
  } finally {
    await context.engine.dropTable(name);
  }
  failpoint('quarantine.committed');
}

/** Takes away rows of attempts whose batch was never committed. */
export async function discardOrphans(context: DeltaContext, flow: ResolvedFlow, destination: Destination): Promise<void> {
  const table = await openTable(context, quarantineRoot(flow.root));
  if (table !== null) await discardOrphansOf(table, destination);
}

/** Every attempt writes files of its own, and those of an attempt after the last committed batch are orphans. */
async function discardOrphansOf(table: DeltaTable, destination: Destination): Promise<void> {
  const at = BigInt(standsAt(destination));
  const orphans = table.filesInRange('after_batch_id', at, at);
  if (orphans.length === 0) return;
  await table.commit({base: table.snapshot, operation: 'DELETE', operationParameters: {predicate: `after_batch_id = ${at}`}, removes: orphans.map(file => table.removeOf(file)), blindAppend: false});
}

function standsAt(destination: Destination): number {
  return destination.batch?.batchId ?? 0;
}

/** Quarantine is written to its end even when the run is asked to stop: the batch decides. */
const NEVER: AbortSignal = new AbortController().signal;
