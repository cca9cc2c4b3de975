import {offsetsEqual, type Offset} from '../core/offset.ts';
import {RESCUED_COLUMN} from '../core/types.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import type {Engine} from '../engine/engine.ts';
import {quoteIdentifier, sqlType} from '../engine/sql-types.ts';
import type {Connector, ReadContext, VerifyPoint, VerifyScope} from '../sdk/contract.ts';
import {createLoopGuard} from '../sdk/loop-guard.ts';
import {Landing, makesDeletes, rowsSelect, rowsShape} from './landing.ts';
import {driveStream} from './read-stream.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import {enginePoint} from './verify-engine-point.ts';

/** What is read once more. */
export interface Reread {
  readonly connector: Connector;
  readonly flow: ResolvedFlow;
  readonly table: DeltaTable;
  readonly engine: Engine;
  /** A context for each call; its ledger forgets. */
  readonly read: (isFirstCall: boolean) => ReadContext;
}

/**
 * Reads a source table from its beginning through the connector and shows it as it would have landed: for sources that
 * cannot compute sums. The rows go through the same decoder as those that landed, so that a fault of it does not show. The
 * rows wait in the engine, which spills to disk. Rows newer than the newest that landed count as moved since.
 */
export async function openReread(scope: VerifyScope, reread: Reread): Promise<VerifyPoint> {
  const {flow, table, engine} = reread;
  const landing = new Landing(engine, rowsShape(flow));
  try {
    const calls = await readAll(landing, reread);
    const landed = await landing.finish({filesToo: true});
    const touched = await newerSql(flow, table);
    return enginePoint(engine, scope, {
      token: `${calls} ${calls === 1 ? 'call' : 'calls'}, ${landing.counts.rows} rows`,
      select: landed.table === null ? noRows(scope, flow.sequence) : currentRows(scope, flow, landed.table),
      hasRescued: true,
      ...(touched === null ? {} : {touched}),
      close: () => landing[Symbol.asyncDispose](),
    });
  } catch (error) {
    await landing[Symbol.asyncDispose]();
    throw error;
  }
}

async function readAll(landing: Landing, {connector, flow, read}: Reread): Promise<number> {
  const guard = createLoopGuard(flow.sourceTable);
  let start: Offset | null = null;
  // Ends: an offset that stands still ends it, and one that goes round is an error of the guard.
  for (let calls = 1; ; calls++) {
    const ctx = read(calls === 1);
    const pages = connector.readTable(flow.sourceTable, start, flow.options, ctx);
    const end = await driveStream(pages, landing, {
      table: flow.sourceTable,
      budget: {maxRows: Infinity, maxBytes: Infinity, deadlineMs: Infinity},
      ctx,
      onPage: () => undefined,
    });
    if (end.offset === null || offsetsEqual(end.offset, start)) return calls;
    guard.check(start ?? {}, end.offset);
    start = end.offset;
  }
}

/** The newest row of each key; of an append-only flow all rows. */
function currentRows(scope: VerifyScope, flow: ResolvedFlow, landed: string): string {
  const rows = rowsSelect(flow, landed, {ordered: true});
  const columns = scope.columns.map(
    ({name, type}) => `CAST(${quoteIdentifier(name)} AS ${sqlType(type)}) AS ${quoteIdentifier(name)}`,
  );
  const named = new Set(scope.columns.map(({name}) => name));
  const others = flow.sequence.filter((name) => !named.has(name)).map(quoteIdentifier);
  const select = `SELECT ${[...columns, ...others, quoteIdentifier(RESCUED_COLUMN)].join(', ')}`;
  if (flow.target === 'append' || flow.keys.length === 0) return `${select} FROM (${rows}) AS landed`;
  const order = [...flow.sequence.map((name) => `${quoteIdentifier(name)} DESC NULLS LAST`), '__ord DESC'];
  const newest = `row_number() OVER (PARTITION BY ${flow.keys.map(quoteIdentifier).join(', ')} ORDER BY ${order.join(', ')}) = 1`;
  const kept = makesDeletes(flow) ? ` WHERE __op = 'upsert'` : '';
  return `${select} FROM (SELECT * FROM (${rows}) AS landed QUALIFY ${newest}) AS newest${kept}`;
}

function noRows(scope: VerifyScope, sequence: readonly string[]): string {
  const columns = scope.columns.map(({name, type}) => `CAST(NULL AS ${sqlType(type)}) AS ${quoteIdentifier(name)}`);
  const named = new Set(scope.columns.map(({name}) => name));
  const others = [...sequence, RESCUED_COLUMN].filter((name) => !named.has(name));
  return `SELECT ${[...columns, ...others.map((name) => `NULL AS ${quoteIdentifier(name)}`)].join(', ')} WHERE false`;
}

/** Rows beyond the newest that the table has; null where no one column orders them. */
async function newerSql(flow: ResolvedFlow, table: DeltaTable): Promise<string | null> {
  const [column, ...others] = flow.sequence;
  const isThere = table.snapshot.schema.fields.some(({name}) => name === column);
  if (column === undefined || others.length > 0 || !isThere || flow.ingestionType === 'snapshot') return null;
  const select = await table.readSql({snapshot: table.snapshot, columns: [column]});
  const name = quoteIdentifier(column);
  return `${name} > (SELECT max(${name}) FROM (${select}) AS stored)`;
}
