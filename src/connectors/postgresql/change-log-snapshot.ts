import type {CallContext, ChunkEnd, LogTable, SnapshotChunk, TableSnapshot} from '../../sdk/index.ts';
import {IngestError, schemaChanged} from '../../sdk/index.ts';
import {describeTable, splitName, tableSql} from './catalog.ts';
import type {RangeSizes} from './key-ranges.ts';
import {isRange, planRanges, RANGE_SIZES, rangeSql} from './key-ranges.ts';
import type {FollowedTable} from './log-table.ts';
import {followedTable, sourceTypeOf} from './log-table.ts';
import {partSql, planParts, toPart} from './partitions.ts';
import type {ConnectionOptions} from './session.ts';
import {Session} from './session.ts';
import {pointBeforeSnapshot, waitForWriters} from './snapshot-point.ts';
import type {Doing} from './source-errors.ts';
import {sourceError} from './source-errors.ts';
import {mapType} from './source-type.ts';
import {fieldSql} from './table-pages.ts';

/** What a snapshot is taken of. */
export interface SnapshotRequest {
  readonly options: ConnectionOptions;
  readonly publication: string;
  readonly table: string;
  /** Oids of tables that need not be waited for any more. */
  readonly settled: Set<string>;
  readonly sizes?: RangeSizes;
}

/** A view, and a point of the log such that all that commits at or before it is in the view. */
interface View {
  readonly token: string;
  readonly position: bigint;
  readonly followed: FollowedTable;
}

/**
 * Opens a view of a table: in ranges of blocks under one exported snapshot, or, where that is safe and the table is large, in ranges of
 * its key that have views of their own, so that what was read is not read again.
 */
export async function planLogSnapshot(request: SnapshotRequest, ctx: CallContext): Promise<TableSnapshot> {
  const {options, table, settled, sizes = RANGE_SIZES} = request;
  const doing = doingOf(request);
  const session = await Session.open(options, ctx.signal);
  try {
    const {oid, kind} = await describeTable(session, table);
    if (kind !== 'r' && kind !== 'p') throw notFollowed(table);
    if (!settled.has(oid)) await waitForWriters(session, oid, {doing, ctx});
    settled.add(oid);
    const view = await openView(session, request, ctx);
    const ranges = await planRanges(session, view.followed, {sizes, doing});
    if (ranges !== null) {
      await session[Symbol.asyncDispose]();
      return inRanges(request, view, ranges);
    }
    return await underOneView(session, request, view);
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}

async function underOneView(session: Session, request: SnapshotRequest, view: View): Promise<TableSnapshot> {
  const doing = doingOf(request);
  const {followed, token, position} = view;
  const [exported] = await session.query('select pg_export_snapshot()', doing);
  const template = {snapshot: exported?.[0] ?? '', shape: '', condition: null};
  const plan = await planParts(session, followed.source, {template, doing});
  return {
    table: followed.table,
    token,
    position,
    chunks: plan.partitions,
    isResumable: false,
    ...(plan.estimatedRows !== undefined && {estimatedRows: plan.estimatedRows}),
    readChunk: (chunk, ctx) => readChunk(request, followed.table, chunk, ctx),
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}

function inRanges(request: SnapshotRequest, view: View, chunks: readonly SnapshotChunk[]): TableSnapshot {
  const {table} = view.followed;
  return {
    table,
    token: null,
    position: view.position,
    chunks,
    isResumable: true,
    readChunk: (chunk, ctx) => readChunk(request, table, chunk, ctx),
    // Views begin and end with the chunks.
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function openView(session: Session, request: SnapshotRequest, ctx: CallContext): Promise<View> {
  const doing = doingOf(request);
  const position = await pointBeforeSnapshot(session, {doing, ctx});
  await session.beginSnapshotOf(tableSql(splitName(request.table)), doing);
  const [row] = await session.query('select pg_current_snapshot()::text', doing);
  return {token: row?.[0] ?? '', position, followed: await followedTable(session, request.table, request.publication)};
}

/** One chunk as raw CopyData messages of a binary COPY, each with its header of five bytes. */
async function* readChunk(
  request: SnapshotRequest,
  table: LogTable,
  chunk: SnapshotChunk,
  ctx: CallContext,
): AsyncGenerator<Uint8Array, ChunkEnd> {
  const doing = doingOf(request);
  await using session = await Session.open(request.options, ctx.signal);
  if (!isRange(chunk)) {
    const part = toPart(chunk);
    await session.joinSnapshot(part.snapshot, doing);
    return {rows: yield* copyRows(session, {table, from: partSql(part), doing})};
  }
  const {token, position, followed} = await openView(session, request, ctx);
  if (JSON.stringify(followed.table) !== JSON.stringify(table)) throw schemaChanged(doing);
  const rows = yield* copyRows(session, {table, from: rangeSql(followed.source, chunk), doing});
  return {rows, view: {token, position}};
}

async function* copyRows(
  session: Session,
  {table, from, doing}: {readonly table: LogTable; readonly from: string; readonly doing: Doing},
): AsyncGenerator<Uint8Array, number> {
  const list = table.columns.map((column) => fieldSql({name: column.name, mapping: mapType(sourceTypeOf(column))}));
  const ranges = session.copyBinary(`select ${list.join(', ')} from ${from}`);
  try {
    for (;;) {
      const step = await ranges.next();
      if (step.done === true) return step.value;
      yield step.value.buffer.subarray(step.value.start, step.value.end);
    }
  } catch (error) {
    throw sourceError(error, doing);
  } finally {
    // Whoever leaves early stops the COPY in the server.
    await ranges.return(0);
  }
}

function doingOf({table}: SnapshotRequest): Doing {
  return {what: `read table "${table}"`, table};
}

function notFollowed(table: string): IngestError {
  return new IngestError('UNSUPPORTED', `"${table}" is no table: the log does not hold its rows.`, {
    fix: 'Ingest it by queries.',
    context: {table},
  });
}
