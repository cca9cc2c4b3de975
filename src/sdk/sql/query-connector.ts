import type {ColumnBatch} from '../../core/columns.ts';
import type {Offset} from '../../core/offset.ts';
import type {StructType} from '../../core/types.ts';
import type {
  CallContext,
  Connector,
  Page,
  ReadContext,
  TableMetadata,
  TableOptions,
  VerifyPoint,
  VerifyScope,
} from '../contract.ts';
import {qualifiedName} from '../names.ts';
import type {CursorColumn, CursorOffset, SqlDoing} from './cursor-column.ts';
import {cursorOffset, lookbackOf, parseCursorOffset} from './cursor-column.ts';
import type {IncrementDialect, IncrementReader} from './increment.ts';
import {compareToStart, firstLoadCondition, readIncrement} from './increment.ts';
import {KeptSession, type KeepableSession} from './kept-session.ts';
import {openQueryVerify, type FlaggedRows} from './query-verify.ts';
import {selectedColumns} from './table-columns.ts';
import {schemaChanged} from './table-options.ts';

/** A table or view as the catalog describes it. */
export interface QueryTable<C extends {readonly name: string}> {
  readonly columns: readonly C[];
  /** Columns of the key that the source enforces, in its order; empty without one. */
  readonly keys: readonly string[];
  readonly comment?: string | null;
  /** As the server estimates them. */
  readonly estimatedRows: number | null;
  readonly estimatedBytes?: number | null;
}

/** What is read: a table in the view of a session. */
export interface QueryView<S, C extends {readonly name: string}, T extends QueryTable<C>> {
  readonly session: S;
  readonly source: T;
  /** Those that are read. */
  readonly columns: readonly C[];
  readonly doing: SqlDoing;
}

/** What is asked for the bound of a trigger. */
export interface BoundRequest<T, K extends CursorColumn> {
  readonly table: T;
  readonly cursor: K;
  /** Up to where the table was read; null before the first load. */
  readonly start: CursorOffset | null;
  readonly doing: SqlDoing;
}

/** What a database has of its own for reads by queries. */
export interface QueryDatabase<
  S extends KeepableSession<S>,
  C extends {readonly name: string},
  T extends QueryTable<C>,
  K extends CursorColumn,
> {
  /** Logs in. The signal ends the session. */
  open(signal: AbortSignal): Promise<S>;
  /** Names of the places that hold tables which the user may read. */
  namespacesOf(session: S): Promise<readonly string[]>;
  /** Tables and views that the user may see, of one namespace or of all. */
  tablesOf(
    session: S,
    namespace: string | null,
  ): Promise<readonly {readonly namespace: string; readonly name: string}[]>;
  /** @param table as `listTables` names it. @throws UNKNOWN_TABLE */
  describe(session: S, table: string): Promise<T>;
  /** The columns as they land. */
  landedSchema(columns: readonly C[]): StructType;
  /** A text that is the same as long as the type is. */
  typeText(column: C): string;
  /** The column that the option `cursor_column` names; null without it. @throws UNKNOWN_COLUMN, UNSUPPORTED */
  cursorOf(table: T, options: TableOptions): K | null;
  /** How increments of a table are written. */
  dialectOf(table: T, cursor: K): IncrementDialect;
  /** A name as SQL. */
  columnSql(name: string): string;
  /**
   * The largest cursor value up to which a view that is opened after this has all rows that will ever be there; null when no row has one.
   * Says in `ctx` what delays rows, or may lose them.
   */
  settledBound(session: S, request: BoundRequest<T, K>, ctx: ReadContext): Promise<string | null>;
  /** Begins a view that does not change until the session ends, where the database has such. */
  beginView(session: S, doing: SqlDoing, ctx: Pick<ReadContext, 'log'>): Promise<void>;
  /** Runs queries in a view. @param cursor null: no place is asked for and no values are compared */
  readerOf(view: QueryView<S, C, T>, cursor: K | null): IncrementReader;
  /** All rows of a view, and for which of them a condition holds; null: for all. */
  readFlagged(view: QueryView<S, C, T>, condition: string | null): AsyncIterable<FlaggedRows>;
}

/** Reads tables of a database by queries: whole, or by a cursor column. One view of the database is one session. */
export class QueryConnector<
  S extends KeepableSession<S>,
  C extends {readonly name: string},
  T extends QueryTable<C>,
  K extends CursorColumn,
> implements Connector {
  readonly #database: QueryDatabase<S, C, T, K>;
  /** Columns as getTableSchema last told them, by table: a read that finds others stops. */
  readonly #known = new Map<string, readonly C[]>();
  /** Upper bounds by table and cursor, each good for one trigger: so a trigger ends although rows keep coming. */
  readonly #bounds = new Map<string, {readonly triggerStartedAt: bigint; readonly upper: string | null}>();
  readonly #catalog: KeptSession<S>;

  constructor(database: QueryDatabase<S, C, T, K>) {
    this.#database = database;
    this.#catalog = new KeptSession((signal) => database.open(signal));
  }

  async listTables(ctx: CallContext): Promise<readonly string[]> {
    const tables = await this.#catalog.run(ctx, (session) => this.#database.tablesOf(session, null));
    return tables.map(({namespace, name}) => qualifiedName([namespace, name]));
  }

  async listNamespaces(prefix: readonly string[] | null, ctx: CallContext): Promise<readonly (readonly string[])[]> {
    if (prefix !== null && prefix.length > 0) return [];
    const names = await this.#catalog.run(ctx, (session) => this.#database.namespacesOf(session));
    return names.map((name) => [name]);
  }

  async listTablesInNamespace(namespace: readonly string[], ctx: CallContext): Promise<readonly string[]> {
    const [wanted] = namespace;
    if (wanted === undefined || namespace.length > 1) return [];
    const tables = await this.#catalog.run(ctx, (session) => this.#database.tablesOf(session, wanted));
    return tables.map(({name}) => name);
  }

  async getTableSchema(table: string, options: TableOptions, ctx: CallContext): Promise<StructType> {
    const {columns} = await this.#describe(table, ctx);
    this.#known.set(table, columns);
    return this.#database.landedSchema(selectedColumns(columns, options, reading(table)));
  }

  async readTableMetadata(table: string, options: TableOptions, ctx: CallContext): Promise<TableMetadata> {
    const source = await this.#describe(table, ctx);
    const {keys, comment = null} = source;
    const cursor = this.#database.cursorOf(source, options);
    lookbackOf(options, cursor, reading(table));
    return {
      primaryKeys: keys,
      keysEnforced: keys.length > 0,
      ingestionType: cursor === null ? 'snapshot' : 'cdc',
      bounded: true,
      ...(cursor !== null && {cursorField: cursor.name}),
      ...(comment !== null && {comment}),
    };
  }

  async estimate(
    table: string,
    _options: TableOptions,
    ctx: CallContext,
  ): Promise<{readonly rows?: number; readonly bytes?: number}> {
    const {estimatedRows, estimatedBytes = null} = await this.#describe(table, ctx);
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
    await using view = await this.#openView({table, start, options}, ctx);
    const {source, cursor, upper, doing} = view;
    const reader = this.#database.readerOf(view, cursor);
    if (cursor === null) {
      // A snapshot is read whole, by one call.
      if (start !== null) return start;
      for await (const {page} of reader.read(ALL)) yield page;
      return null;
    }
    const dialect = this.#database.dialectOf(source, cursor);
    if (start === null) {
      for await (const {page} of reader.read({...ALL, where: firstLoadCondition({cursor, dialect}, upper)})) yield page;
      return cursorOffset(cursor, {value: upper, key: null});
    }
    const increment = {
      cursor,
      key: source.keys.map((name) => this.#database.columnSql(name)),
      dialect,
      start: parseCursorOffset(start, cursor, table),
      upper,
      lookbackSeconds: lookbackOf(options, cursor, doing),
    };
    return yield* readIncrement(reader, increment, ctx);
  }

  async latestOffset(
    table: string,
    start: Offset | null,
    options: TableOptions,
    ctx: ReadContext,
  ): Promise<Offset | null> {
    await using view = await this.#openView({table, start, options}, ctx);
    const {cursor, upper} = view;
    if (cursor === null) return start;
    const end = cursorOffset(cursor, {value: upper, key: null});
    if (start === null) return end;
    const place = {start: parseCursorOffset(start, cursor, table), upper};
    return (await compareToStart(this.#database.readerOf(view, cursor), place)) === 'after' ? end : start;
  }

  async *scanKeys(
    table: string,
    keys: readonly string[],
    options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<ColumnBatch, void> {
    // All keys of now: no bound is waited for.
    const {cursor_column: _, ...whole} = options;
    await using view = await this.#openView({table, start: null, options: whole}, ctx);
    const columns = keys.flatMap((key) => view.source.columns.filter(({name}) => name === key));
    for await (const {page} of this.#database.readerOf({...view, columns}, null).read(ALL))
      if (page.kind === 'columns') yield page.batch;
  }

  async openVerify(scope: VerifyScope, end: Offset | null, ctx: CallContext): Promise<VerifyPoint> {
    const session = await this.#database.open(ctx.signal);
    try {
      await this.#database.beginView(session, {what: `verify table "${scope.table}"`, table: scope.table}, ctx);
      const table = await this.#database.describe(session, scope.table);
      return openQueryVerify(this.#database, session, {table, scope, end});
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#catalog.close();
  }

  #describe(table: string, ctx: CallContext): Promise<T> {
    return this.#catalog.run(ctx, (session) => this.#database.describe(session, table));
  }

  /** A session with a view of its own, and the table as the catalog describes it then. */
  async #openView({table, start, options}: ReadRequest, ctx: ReadContext): Promise<OpenView<S, C, T, K>> {
    const database = this.#database;
    const doing = reading(table);
    const session = await database.open(ctx.signal);
    try {
      const upper = await this.#bound(session, {table, start, options}, ctx);
      await database.beginView(session, doing, ctx);
      const source = await database.describe(session, table);
      const columns = selectedColumns(source.columns, options, doing);
      const known = this.#known.get(table);
      if (known !== undefined && this.#shapeOf(selectedColumns(known, options, doing)) !== this.#shapeOf(columns))
        throw schemaChanged(doing);
      const cursor = database.cursorOf(source, options);
      const dispose = (): PromiseLike<void> => session[Symbol.asyncDispose]();
      return {session, source, columns, cursor, upper, doing, [Symbol.asyncDispose]: dispose};
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The upper bound of this trigger: found once, before the first view, then kept; null without a cursor. */
  async #bound(session: S, {table, start, options}: ReadRequest, ctx: ReadContext): Promise<string | null> {
    const {cursor_column: name} = options;
    if (typeof name !== 'string') return null;
    const id = JSON.stringify([table, name]);
    const known = this.#bounds.get(id);
    if (known?.triggerStartedAt === ctx.triggerStartedAt) return known.upper;
    const source = await this.#database.describe(session, table);
    const cursor = this.#database.cursorOf(source, options);
    if (cursor === null) return null;
    const request = {
      table: source,
      cursor,
      start: start === null ? null : parseCursorOffset(start, cursor, table),
      doing: reading(table),
    };
    const upper = await this.#database.settledBound(session, request, ctx);
    this.#bounds.set(id, {triggerStartedAt: ctx.triggerStartedAt, upper});
    return upper;
  }

  #shapeOf(columns: readonly C[]): string {
    return JSON.stringify(columns.map((column) => [column.name, this.#database.typeText(column)]));
  }
}

interface ReadRequest {
  readonly table: string;
  readonly start: Offset | null;
  readonly options: TableOptions;
}

interface OpenView<S, C extends {readonly name: string}, T extends QueryTable<C>, K>
  extends QueryView<S, C, T>, AsyncDisposable {
  readonly cursor: K | null;
  readonly upper: string | null;
}

/** Every row, in any order. */
const ALL = {where: null, orderBy: [], isNew: null} as const;

function reading(table: string): SqlDoing {
  return {what: `read table "${table}"`, table};
}
