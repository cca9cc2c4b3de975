import type {ApplyInput} from '../apply/apply-engine.ts';
import type {ColumnBatch} from '../core/columns.ts';
import {IngestError} from '../core/errors.ts';
import {END_COLUMN, type StructType} from '../core/types.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import {quoteIdentifier} from '../engine/sql-types.ts';
import type {ReadContext} from '../sdk/contract.ts';
import {openHints} from '../state/hints.ts';
import {convertPage} from './convert-page.ts';
import {rowsShape, sourceKeys} from './landing.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import type {FlowServices} from './services.ts';
import {encodeName} from './table-root.ts';

/** Keys of the destination that the source no longer has. Disposing drops the scanned keys. */
export interface KeyScan extends AsyncDisposable {
  readonly input: ApplyInput;
  readonly count: number;
}

/** True when the flow syncs hard deletes and the last scan is old enough. */
export async function keyScanIsDue(services: FlowServices, flow: ResolvedFlow): Promise<boolean> {
  const seconds = flow.configuration.hardDeletionSyncMinIntervalSeconds;
  if (seconds === null || flow.target === 'append' || flow.keys.length === 0) return false;
  const last = (await hintsOf(services).get(flow.name))['keyScanAtMs'];
  if (typeof last !== 'number') return true;
  const sinceMs = services.context.clock.nowMs() - last;
  // A time that has not come yet was written by a clock that has been put right since.
  return sinceMs >= seconds * 1000 || sinceMs < 0;
}

/** Notes that a scan ran now. */
export async function rememberKeyScan(services: FlowServices, flow: ResolvedFlow): Promise<void> {
  await hintsOf(services).put(flow.name, {keyScanAtMs: services.context.clock.nowMs()});
}

/**
 * Lists the source's keys and compares them with the destination's. Rows keep the sequence that they have now: a delete
 * made from this list removes exactly the row that was seen missing.
 * @throws TOO_MANY_DELETES when more of the table would go than `max_deleted_percent` allows.
 */
export async function keyScanDeletes(
  services: FlowServices,
  flow: ResolvedFlow,
  options: {readonly table: DeltaTable; readonly ctx: ReadContext},
): Promise<KeyScan> {
  const {engine} = services.context;
  const schema = keySchema(flow);
  const scanned = engine.uniqueName('scanned_keys');
  const drop = async (): Promise<void> => engine.dropTable(scanned);
  await engine.createTable(scanned, schema);
  try {
    const appender = await engine.appender(scanned, schema);
    try {
      const pages = services.open.connector.scanKeys?.(flow.sourceTable, sourceKeys(flow), flow.options, options.ctx);
      if (pages !== undefined) for await (const batch of pages) appender.append({...batch, ...keyColumns(flow, batch)});
    } finally {
      appender.close();
    }
    const missing = await missingSql(flow, options.table, scanned);
    const [row] = await engine.query(
      `SELECT (SELECT count(*) FROM (${missing})) AS gone, (SELECT count(*) FROM (${await currentRows(flow, options.table)})) AS live`,
    );
    const gone = Number(row?.['gone'] ?? 0);
    checkGuard(flow, gone, Number(row?.['live'] ?? 0));
    return {input: {kind: 'relation', select: missing}, count: gone, [Symbol.asyncDispose]: drop};
  } catch (error) {
    await drop();
    throw error;
  }
}

async function missingSql(flow: ResolvedFlow, table: DeltaTable, scanned: string): Promise<string> {
  const live = await currentRows(flow, table);
  const on = flow.keys
    .map((key) => `live.${quoteIdentifier(key)} IS NOT DISTINCT FROM scanned.${quoteIdentifier(key)}`)
    .join(' AND ');
  return `SELECT * FROM (${live}) AS live ANTI JOIN ${quoteIdentifier(scanned)} AS scanned ON ${on}`;
}

/** Keys and sequence of the rows that are there now: of those with a history the open versions. */
async function currentRows(flow: ResolvedFlow, table: DeltaTable): Promise<string> {
  const columns = [...new Set([...flow.keys, ...flow.sequence])];
  if (flow.target !== 'scd2') return table.readSql({columns});
  const live = await table.readSql({columns: [...columns, END_COLUMN]});
  const end = quoteIdentifier(END_COLUMN);
  return `SELECT * EXCLUDE (${end}) FROM (${live}) AS versions WHERE ${end} IS NULL`;
}

function checkGuard(flow: ResolvedFlow, gone: number, live: number): void {
  const percent = live === 0 ? 0 : (gone / live) * 100;
  const limit = flow.configuration.maxDeletedPercent;
  if (percent <= limit) return;
  throw new IngestError(
    'TOO_MANY_DELETES',
    `${flow.name}: the key scan misses ${gone} of ${live} rows, more than max_deleted_percent: ${limit}. Nothing was deleted.`,
    {
      fix: 'Check that the source is complete and readable; if the deletes are right, raise max_deleted_percent for one run.',
      context: {table: flow.name, gone, live},
    },
  );
}

/** Keys under the names that land, with the types that land. */
function keySchema(flow: ResolvedFlow): StructType {
  const fields = flow.keys
    .map((key) => flow.tableSchema.fields.find((field) => field.name === key))
    .filter((field) => field !== undefined);
  return {type: 'struct', fields: fields.map((field) => ({...field, nullable: true, metadata: {}}))};
}

/** A page of keys as the scan keeps them: a key that does not fit its column is no key of a row that is there. */
function keyColumns(flow: ResolvedFlow, batch: ColumnBatch): Pick<ColumnBatch, 'schema' | 'columns'> {
  const names = new Set(sourceKeys(flow));
  const fields = flow.landingSchema.fields.filter((field) => names.has(field.name));
  const ordered = sourceKeys(flow).flatMap((name) => fields.filter((field) => field.name === name));
  const shape = {...rowsShape(flow), schema: {type: 'struct' as const, fields: ordered}, rescueUnknown: false};
  return {schema: keySchema(flow), columns: convertPage(batch, shape).columns};
}

function hintsOf(services: FlowServices): ReturnType<typeof openHints> {
  return openHints(services.context.store, `_sluice/pipelines/${encodeName(services.pipelineKey)}/hints`);
}
