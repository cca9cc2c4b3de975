import type {CallContext, ChunkEnd, PlainJson, SnapshotChunk, TableSnapshot} from '../../sdk/index.ts';
import {evenBounds, qualifiedName, schemaChanged} from '../../sdk/index.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {describeTable, tableSql, toLogTable} from './catalog.ts';
import {beyondSql, columnSql, isSortable, isWhole, keyExpression, keyLiteral} from './keyset.ts';
import {currentPlace} from './log-place.ts';
import {positionOf} from './log-point.ts';
import type {ConnectionOptions} from './session.ts';
import {Session} from './session.ts';
import type {Doing} from './source-errors.ts';
import {beginView} from './table-view.ts';

/** Rows of a chunk, about. */
const CHUNK_ROWS = 100_000;
const MAX_CHUNKS = 10_000;

/** What a snapshot reads with. */
export interface SnapshotContext {
  readonly options: ConnectionOptions;
  readonly collations: ReadonlyMap<string, number>;
  /** Rows of a chunk, about; default 100,000. */
  readonly chunkRows?: number;
}

/** A view of a table, in chunks by ranges of its key; each is read in a view of its own. */
export async function planTableSnapshot(
  session: Session,
  table: SourceTable,
  context: SnapshotContext,
): Promise<TableSnapshot> {
  const {file, offset} = await currentPlace(session);
  const chunks = await planChunks(session, table, context.chunkRows ?? CHUNK_ROWS);
  return {
    table: toLogTable(table),
    token: null,
    position: positionOf(file, offset),
    chunks,
    isResumable: true,
    ...(table.estimatedRows !== null && {estimatedRows: table.estimatedRows}),
    readChunk: (chunk, ctx) => readChunk({table, context}, chunk, ctx),
    // Views begin and end with the chunks.
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** The columns as the rows of a chunk have them. */
export function selectList(table: SourceTable): string {
  return table.columns.map(({name}) => columnSql(name)).join(', ');
}

/** True when the definition is that of the plan. */
export function hasSameColumns(left: SourceTable, right: SourceTable): boolean {
  return JSON.stringify(toLogTable(left)) === JSON.stringify(toLogTable(right));
}

interface ChunkRange {
  readonly after: readonly string[] | null;
  readonly upTo: readonly string[] | null;
}

async function* readChunk(
  {table, context}: {readonly table: SourceTable; readonly context: SnapshotContext},
  chunk: SnapshotChunk,
  ctx: CallContext,
): AsyncGenerator<Uint8Array, ChunkEnd> {
  const doing = doingOf(table);
  await using session = await Session.open(context.options, ctx.signal);
  const view = await beginView(session, table, context.options, ctx.signal);
  const now = await describeTable(session, table, context.collations);
  if (now === null || !hasSameColumns(now, table)) throw schemaChanged(doing);
  const conditions = rangeSql(keyOf(table), {after: textsOf(chunk['after']), upTo: textsOf(chunk['upTo'])});
  const where = conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`;
  let rows = 0;
  for await (const part of session.binaryRows(
    `select ${selectList(table)} from ${tableSql(table)} as source${where}`,
    doing,
  )) {
    rows += part.rows;
    yield part.bytes;
  }
  await session.query('commit', doing);
  return {rows, view: {token: {gtids: view.gtids}, position: positionOf(view.file, view.offset)}};
}

function rangeSql(key: readonly SourceColumn[], {after, upTo}: ChunkRange): readonly string[] {
  const literals = (texts: readonly string[]): readonly string[] =>
    key.map((column, index) => keyLiteral(column, texts[index] ?? ''));
  return [
    ...(after === null ? [] : [`(${beyondSql(key, literals(after), '>')})`]),
    ...(upTo === null ? [] : [`(${beyondSql(key, literals(upTo), '<=')})`]),
  ];
}

async function planChunks(session: Session, table: SourceTable, rows: number): Promise<readonly SnapshotChunk[]> {
  const key = keyOf(table);
  const estimated = table.estimatedRows ?? 0;
  if (key.length === 0 || estimated <= rows) return [{after: null, upTo: null}];
  const bounds = (await numberBounds(session, table, rows)) ?? (await walkedBounds(session, table, rows));
  return [null, ...bounds].map((after, index) => ({after, upTo: bounds[index] ?? null}));
}

/** The primary key where its order can be told, else nothing: the table is one chunk then. */
function keyOf(table: SourceTable): readonly SourceColumn[] {
  const key = table.primaryKey.flatMap((name) => table.columns.filter((column) => column.name === name));
  return key.every(isSortable) ? key : [];
}

/** A key of whole numbers without large gaps is cut by arithmetic. */
async function numberBounds(
  session: Session,
  table: SourceTable,
  rows: number,
): Promise<readonly (readonly string[])[] | null> {
  const [column, ...others] = keyOf(table);
  if (column === undefined || others.length > 0 || !isWhole(column)) return null;
  const name = columnSql(column.name);
  const [row] = await session.query(
    `select min(${name}), max(${name}) from ${tableSql(table)} as source`,
    doingOf(table),
  );
  const [low, high] = row ?? [];
  if (typeof low !== 'string' || typeof high !== 'string') return [];
  const {estimatedRows} = table;
  const bounds = evenBounds({low: BigInt(low), high: BigInt(high), estimatedRows, rows, maxRanges: MAX_CHUNKS});
  return bounds?.map((bound) => [bound]) ?? null;
}

/** Every so many rows in the order of the key, found by walking its index once. */
async function walkedBounds(
  session: Session,
  table: SourceTable,
  rows: number,
): Promise<readonly (readonly string[])[]> {
  const key = keyOf(table);
  const list = key.map(keyExpression).join(', ');
  const order = key.map(({name}) => columnSql(name)).join(', ');
  const bounds: (readonly string[])[] = [];
  const step = Math.max(rows, Math.ceil((table.estimatedRows ?? 0) / MAX_CHUNKS));
  for (let after: readonly string[] | null = null; bounds.length < MAX_CHUNKS;) {
    const [condition] = rangeSql(key, {after, upTo: null});
    const where = condition === undefined ? '' : ` where ${condition}`;
    const sql = `select ${list} from ${tableSql(table)} as source${where} order by ${order} limit 1 offset ${step - 1}`;
    const [row] = await session.query(sql, doingOf(table));
    if (row === undefined) break;
    after = row.map((text) => text ?? '');
    bounds.push(after);
  }
  return bounds;
}

function doingOf({database, name}: SourceTable): Doing {
  const table = qualifiedName([database, name]);
  return {what: `read table "${table}"`, table};
}

function textsOf(json: PlainJson | undefined): readonly string[] | null {
  return Array.isArray(json) ? json.map(String) : null;
}
