import type {
  CallContext,
  ColumnBatch,
  Connector,
  Offset,
  Page,
  ReadContext,
  StructType,
  TableMetadata,
  TableOptions,
  VerifyPoint,
  VerifyScope,
} from '../../sdk/index.ts';
import {
  compareToStart,
  cursorOffset,
  firstLoadCondition,
  KeptSession,
  lookbackOf,
  parseCursorOffset,
  qualifiedName,
  readIncrement,
  schemaChanged,
} from '../../sdk/index.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {describeTable, listDatabases, listTables, readCollations, splitName, tableSql} from './catalog.ts';
import {typeToJson} from './column-type.ts';
import type {SourceCursor} from './cursor.ts';
import {cursorOf} from './cursor.ts';
import {dialectOf, incrementReader, keyColumns} from './incremental.ts';
import {columnSql} from './keyset.ts';
import type {ConnectionOptions} from './session.ts';
import {Session} from './session.ts';
import type {Doing} from './source-errors.ts';
import {unknownTable} from './source-errors.ts';
import {landedSchema, pageOf, readBatches, selectedColumns} from './table-reads.ts';
import {settledBound} from './upper-bound.ts';
import {openPoint} from './verify.ts';

/** Reads tables of a MySQL or MariaDB server by queries: whole, or by a cursor column. */
export class MysqlConnector implements Connector {
  readonly #options: ConnectionOptions;
  /** Columns as getTableSchema last told them, by table: a read that finds others stops. */
  readonly #known = new Map<string, readonly SourceColumn[]>();
  /** Upper bounds by table and cursor, each good for one trigger: so a trigger ends although rows keep coming. */
  readonly #bounds = new Map<string, {readonly triggerStartedAt: bigint; readonly upper: string | null}>();
  readonly #catalog: KeptSession<Session>;
  #collations: ReadonlyMap<string, number> | null = null;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#catalog = new KeptSession((signal) => Session.open(options, signal));
  }

  async listTables(ctx: CallContext): Promise<readonly string[]> {
    const {database = null} = this.#options;
    const tables = await this.#catalog.run(ctx, (session) => listTables(session, database));
    return tables.map(({database: owner, name}) => qualifiedName([owner, name]));
  }

  async listNamespaces(prefix: readonly string[] | null, ctx: CallContext): Promise<readonly (readonly string[])[]> {
    if (prefix !== null && prefix.length > 0) return [];
    return (await this.#catalog.run(ctx, listDatabases)).map((database) => [database]);
  }

  async listTablesInNamespace(namespace: readonly string[], ctx: CallContext): Promise<readonly string[]> {
    const [database] = namespace;
    if (database === undefined || namespace.length > 1) return [];
    return (await this.#catalog.run(ctx, (session) => listTables(session, database))).map(({name}) => name);
  }

  async getTableSchema(table: string, options: TableOptions, ctx: CallContext): Promise<StructType> {
    const source = await this.#catalog.run(ctx, (session) => this.#describe(session, table));
    this.#known.set(table, source.columns);
    return landedSchema(selectedColumns(source.columns, options, reading(table)));
  }

  async readTableMetadata(table: string, options: TableOptions, ctx: CallContext): Promise<TableMetadata> {
    const source = await this.#catalog.run(ctx, (session) => this.#describe(session, table));
    const cursor = cursorOf(source, options);
    lookbackOf(options, cursor, reading(table));
    return {
      primaryKeys: source.keys,
      keysEnforced: source.keys.length > 0,
      ingestionType: cursor === null ? 'snapshot' : 'cdc',
      bounded: true,
      ...(cursor !== null && {cursorField: cursor.column.name}),
      ...(source.comment !== null && {comment: source.comment}),
    };
  }

  async estimate(
    table: string,
    _options: TableOptions,
    ctx: CallContext,
  ): Promise<{readonly rows?: number; readonly bytes?: number}> {
    const {estimatedRows, estimatedBytes} = await this.#catalog.run(ctx, (session) => this.#describe(session, table));
    return {
      ...(estimatedRows !== null && {rows: estimatedRows}),
      ...(estimatedBytes !== null && {bytes: estimatedBytes}),
    };
  }

  async *readTable(
    table: string,
    start: Offset | null,
    options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<Page, Offset | null> {
    await using reader = await this.#openReader(table, options, ctx);
    const {session, source, columns, cursor, upper, doing} = reader;
    if (cursor === null) {
      // A snapshot is read whole, by one call.
      if (start !== null) return start;
      const from = `${tableSql(source)} as source`;
      for await (const batch of readBatches(session, {from, columns}, doing)) yield pageOf(batch);
      return null;
    }
    if (start === null) {
      const condition = firstLoadCondition({cursor, dialect: dialectOf(source, cursor)}, upper);
      const from = `${tableSql(source)} as source${condition === null ? '' : ` where ${condition}`}`;
      for await (const batch of readBatches(session, {from, columns}, doing)) yield pageOf(batch);
      return cursorOffset(cursor, {value: upper, key: null});
    }
    const increment = {
      cursor,
      key: keyColumns(source).map(({name}) => columnSql(name)),
      dialect: dialectOf(source, cursor),
      start: parseCursorOffset(start, cursor, table),
      upper,
      lookbackSeconds: lookbackOf(options, cursor, doing),
    };
    return yield* readIncrement(incrementReader(reader, cursor), increment, ctx);
  }

  async latestOffset(
    table: string,
    start: Offset | null,
    options: TableOptions,
    ctx: ReadContext,
  ): Promise<Offset | null> {
    await using reader = await this.#openReader(table, options, ctx);
    const {cursor, upper} = reader;
    if (cursor === null) return start;
    const end = cursorOffset(cursor, {value: upper, key: null});
    if (start === null) return end;
    const place = {start: parseCursorOffset(start, cursor, table), upper};
    return (await compareToStart(incrementReader(reader, cursor), place)) === 'after' ? end : start;
  }

  async *scanKeys(
    table: string,
    keys: readonly string[],
    options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<ColumnBatch, void> {
    await using reader = await this.#openReader(table, options, ctx);
    const {session, source, doing} = reader;
    const columns = keys.flatMap((key) => source.columns.filter(({name}) => name === key));
    const from = `${tableSql(source)} as source`;
    for await (const {batch} of readBatches(session, {from, columns}, doing)) yield batch;
  }

  async openVerify(scope: VerifyScope, end: Offset | null, ctx: CallContext): Promise<VerifyPoint> {
    const session = await Session.open(this.#options, ctx.signal);
    try {
      await session.query('start transaction with consistent snapshot', reading(scope.table));
      return openPoint(session, {table: await this.#describe(session, scope.table), scope, end});
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#catalog.close();
  }

  /** A session with a view of its own, and the table as the catalog describes it then. */
  async #openReader(table: string, options: TableOptions, ctx: ReadContext): Promise<Reader> {
    const doing = reading(table);
    const session = await Session.open(this.#options, ctx.signal);
    try {
      const upper = await this.#bound(session, {table, options, doing}, ctx);
      await session.query('start transaction with consistent snapshot', doing);
      const source = await this.#describe(session, table);
      const columns = selectedColumns(source.columns, options, doing);
      const known = this.#known.get(table);
      if (known !== undefined && shapeOf(selectedColumns(known, options, doing)) !== shapeOf(columns))
        throw schemaChanged(doing);
      const cursor = cursorOf(source, options);
      return {
        session,
        source,
        columns,
        cursor,
        upper,
        doing,
        [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
      };
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #bound(
    session: Session,
    {table, options, doing}: {readonly table: string; readonly options: TableOptions; readonly doing: Doing},
    ctx: ReadContext,
  ): Promise<string | null> {
    const source = await this.#describe(session, table);
    const cursor = cursorOf(source, options);
    if (cursor === null) return null;
    const id = JSON.stringify([table, cursor.column.name]);
    const known = this.#bounds.get(id);
    if (known?.triggerStartedAt === ctx.triggerStartedAt) return known.upper;
    const upper = await settledBound(session, {table: source, cursor, doing}, ctx);
    this.#bounds.set(id, {triggerStartedAt: ctx.triggerStartedAt, upper});
    return upper;
  }

  async #describe(session: Session, table: string): Promise<SourceTable> {
    this.#collations ??= await readCollations(session);
    const name = splitName(table, this.#options.database);
    const found = await describeTable(session, name, this.#collations);
    if (found === null) throw unknownTable(table);
    return found;
  }
}

interface Reader extends AsyncDisposable {
  readonly session: Session;
  readonly source: SourceTable;
  readonly columns: readonly SourceColumn[];
  readonly cursor: SourceCursor | null;
  readonly upper: string | null;
  readonly doing: Doing;
}

/** A text that is the same as long as the columns that are read are. */
function shapeOf(columns: readonly SourceColumn[]): string {
  return JSON.stringify(columns.map(({name, type}) => [name, typeToJson(type)]));
}

function reading(table: string): Doing {
  return {what: `read table "${table}"`, table};
}
