import type {CallContext, ChunkEnd, PlainJson, SnapshotChunk, TableSnapshot} from '../../sdk/index.ts';
import {evenBounds, beyondSql, qualifiedName, schemaChanged} from '../../sdk/index.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {describeTable, quoteIdentifier, shapeOf, tableSql, textOf, toLogTable} from './catalog.ts';
import {isSortable, isWhole, keyTextSql, parameterSql, valueSql} from './column-type.ts';
import type {ChangeMethod} from './log-mark.ts';
import {RowWriter} from './row-format.ts';
import type {ConnectionOptions, Parameter} from './session.ts';
import {Session} from './session.ts';
import type {Doing} from './source-errors.ts';
import {beginView} from './table-view.ts';

/** Rows of a chunk, about. */
const CHUNK_ROWS = 100_000;
const MAX_CHUNKS = 10_000;

/** What a snapshot reads with. */
export interface SnapshotContext {
  readonly options: ConnectionOptions;
  readonly method: ChangeMethod;
  /** A position of the log that all is behind that has not committed when this is called. */
  readonly position: () => bigint;
  /** The least position of what commits behind a mark. */
  readonly positionOf: (mark: bigint) => bigint;
  /** Rows of a chunk, about; default 100,000. */
  readonly chunkRows?: number;
}

/** A view of a table, in chunks by ranges of its key; each is read in a view of its own. */
export async function planTableSnapshot(
  session: Session,
  table: SourceTable,
  context: SnapshotContext,
): Promise<TableSnapshot> {
  const chunks = await planChunks(session, table, context.chunkRows ?? CHUNK_ROWS);
  return {
    table: toLogTable(table),
    token: null,
    position: context.position(),
    chunks,
    isResumable: true,
    ...(table.estimatedRows !== null && {estimatedRows: table.estimatedRows}),
    readChunk: (chunk, ctx) => readChunk({table, context}, chunk, ctx),
    // Views begin and end with the chunks.
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** A column of a table in a query. */
export function columnSql(name: string): string {
  return `source.${quoteIdentifier(name)}`;
}

/** The columns as the rows of a chunk have them. */
export function selectList(columns: readonly SourceColumn[]): string {
  return columns.map(({name, type}) => valueSql(type, columnSql(name))).join(', ');
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
  const {options, method} = context;
  await using session = await Session.open(options, ctx.signal);
  const before = context.position();
  const mark = await beginView(session, table, {options, method, signal: ctx.signal});
  const now = await describeTable(session, table, options);
  if (now === null || now.id !== table.id) throw schemaChanged(doing);
  const columns = capturedOnly(now.columns, table);
  if (shapeOf({columns, primaryKey: table.primaryKey}) !== shapeOf(table)) throw schemaChanged(doing);
  const {where, parameters} = rangeSql(keyOf(table), {after: textsOf(chunk['after']), upTo: textsOf(chunk['upTo'])});
  const sql = `select ${selectList(table.columns)} from ${tableSql(table)} as source${where}`;
  const writer = new RowWriter(1 << 20);
  let rows = 0;
  for await (const piece of session.stream(sql, doing, parameters)) {
    writer.clear();
    for (const row of piece) writer.chunkRow(row);
    rows += piece.length;
    yield writer.bytes;
  }
  await session.rollback(doing);
  const least = context.positionOf(mark);
  const position = least > before ? least : before;
  return {rows, view: {token: {method, mark: mark.toString()}, position}};
}

/** Change data capture may leave columns out. */
function capturedOnly(columns: readonly SourceColumn[], table: SourceTable): readonly SourceColumn[] {
  const captured = new Set(table.columns.map(({id}) => id));
  return columns.filter(({id}) => captured.has(id));
}

function rangeSql(
  key: readonly SourceColumn[],
  {after, upTo}: ChunkRange,
): {readonly where: string; readonly parameters: readonly Parameter[]} {
  const parameters: Parameter[] = [];
  const side = (texts: readonly string[] | null, name: string, operator: '>' | '<='): readonly string[] => {
    if (texts === null) return [];
    const values = key.map(({type}, index) => {
      parameters.push({name: `${name}${index}`, type: 'text', value: texts[index] ?? ''});
      return parameterSql(type, `@${name}${index}`);
    });
    return [
      `(${beyondSql(
        key.map((column) => columnSql(column.name)),
        values,
        operator,
      )})`,
    ];
  };
  const conditions = [...side(after, 'after', '>'), ...side(upTo, 'upTo', '<=')];
  return {where: conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`, parameters};
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
  return key.every(({type}) => isSortable(type)) ? key : [];
}

/** A key of whole numbers without large gaps is cut by arithmetic. */
async function numberBounds(
  session: Session,
  table: SourceTable,
  rows: number,
): Promise<readonly (readonly string[])[] | null> {
  const [column, ...others] = keyOf(table);
  if (column === undefined || others.length > 0 || !isWhole(column.type)) return null;
  const name = columnSql(column.name);
  const [row] = await session.query(
    `select convert(varchar(20), min(${name})), convert(varchar(20), max(${name})) from ${tableSql(table)} as source`,
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
  const list = key.map(({name, type}) => keyTextSql(type, columnSql(name))).join(', ');
  const order = key.map(({name}) => columnSql(name)).join(', ');
  const bounds: (readonly string[])[] = [];
  const step = Math.max(rows, Math.ceil((table.estimatedRows ?? 0) / MAX_CHUNKS));
  for (let after: readonly string[] | null = null; bounds.length < MAX_CHUNKS;) {
    const {where, parameters} = rangeSql(key, {after, upTo: null});
    const skip: Parameter = {name: 'skip', type: 'int', value: step - 1};
    const sql = `select ${list} from ${tableSql(table)} as source${where} order by ${order} offset @skip rows fetch next 1 rows only`;
    const [row] = await session.query(sql, doingOf(table), [...parameters, skip]);
    if (row === undefined) break;
    after = row.map(textOf);
    bounds.push(after);
  }
  return bounds;
}

function doingOf({schema, name}: SourceTable): Doing {
  const table = qualifiedName([schema, name]);
  return {what: `read table "${table}"`, table};
}

function textsOf(json: PlainJson | undefined): readonly string[] | null {
  return Array.isArray(json) ? json.map(String) : null;
}
