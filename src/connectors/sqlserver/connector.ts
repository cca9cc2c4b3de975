import type {
  CallContext,
  ColumnBatch,
  Connector,
  CursorOffset,
  Increment,
  IncrementBatch,
  IncrementQuery,
  IncrementReader,
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
import {describeTable, listSchemas, listTables, numberOf, splitName, tableSql} from './catalog.ts';
import {typeToJson} from './column-type.ts';
import type {SourceCursor} from './cursor.ts';
import {cursorOf} from './cursor.ts';
import {dialectOf} from './dialect.ts';
import type {ConnectionOptions} from './session.ts';
import {Session} from './session.ts';
import {columnSql} from './snapshot.ts';
import type {Doing} from './source-errors.ts';
import {unknownTable} from './source-errors.ts';
import type {ReadBatch} from './table-reads.ts';
import {keyColumns, landedSchema, placeOf, readBatches, selectedColumns} from './table-reads.ts';
import {settledBound} from './upper-bound.ts';
import {openPoint} from './verify.ts';

const SNAPSHOTS = `select convert(int, snapshot_isolation_state) from sys.databases where database_id = db_id()`;

/** Reads tables of a SQL Server database by queries: whole, or by a cursor column. */
export class SqlServerConnector implements Connector {
  readonly #options: ConnectionOptions;
  /** Columns as getTableSchema last told them, by table: a read that finds others stops. */
  readonly #known = new Map<string, readonly SourceColumn[]>();
  /** Upper bounds by table and cursor, each good for one trigger: so a trigger ends although rows keep coming. */
  readonly #bounds = new Map<string, {readonly triggerStartedAt: bigint; readonly upper: string | null}>();
  readonly #catalog: KeptSession<Session>;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#catalog = new KeptSession((signal) => Session.open(options, signal));
  }

  async listTables(ctx: CallContext): Promise<readonly string[]> {
    const tables = await this.#catalog.run(ctx, listTables);
    return tables.map(({schema, name}) => qualifiedName([schema, name]));
  }

  async listNamespaces(prefix: readonly string[] | null, ctx: CallContext): Promise<readonly (readonly string[])[]> {
    if (prefix !== null && prefix.length > 0) return [];
    return (await this.#catalog.run(ctx, listSchemas)).map((schema) => [schema]);
  }

  async listTablesInNamespace(namespace: readonly string[], ctx: CallContext): Promise<readonly string[]> {
    const [wanted] = namespace;
    if (wanted === undefined || namespace.length > 1) return [];
    return (await this.#catalog.run(ctx, listTables)).filter(({schema}) => schema === wanted).map(({name}) => name);
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
      ...(cursor !== null && {cursorField: cursor.name}),
    };
  }

  async estimate(table: string, _options: TableOptions, ctx: CallContext): Promise<{readonly rows?: number}> {
    const {estimatedRows} = await this.#catalog.run(ctx, (session) => this.#describe(session, table));
    return estimatedRows === null ? {} : {rows: estimatedRows};
  }

  async *readTable(
    table: string,
    start: Offset | null,
    options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<Page, Offset | null> {
    await using view = await this.#openView({table, start, options}, ctx);
    const {session, source, columns, cursor, upper, doing} = view;
    if (cursor === null) {
      // A snapshot is read whole, by one call.
      if (start !== null) return start;
      for await (const batch of readBatches(session, {table: source, columns, where: null}, doing)) yield pageOf(batch);
      return null;
    }
    const dialect = dialectOf(source, cursor);
    if (start === null) {
      const where = firstLoadCondition({cursor, dialect}, upper);
      for await (const batch of readBatches(session, {table: source, columns, where}, doing)) yield pageOf(batch);
      return cursorOffset(cursor, {value: upper, key: null});
    }
    const increment: Increment = {
      cursor,
      key: keyColumns(source).map(({name}) => columnSql(name)),
      dialect,
      start: parseCursorOffset(start, cursor, table),
      upper,
      lookbackSeconds: lookbackOf(options, cursor, doing),
    };
    return yield* readIncrement(readerOf(view, cursor), increment, ctx);
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
    const place: CursorOffset = parseCursorOffset(start, cursor, table);
    return (await compareToStart(readerOf(view, cursor), {start: place, upper})) === 'after' ? end : start;
  }

  async *scanKeys(
    table: string,
    keys: readonly string[],
    options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<ColumnBatch, void> {
    await using view = await this.#openView({table, start: null, options: {...options, cursor_column: undefined}}, ctx);
    const {session, source, doing} = view;
    const columns = keys.flatMap((key) => source.columns.filter(({name}) => name === key));
    for await (const {batch} of readBatches(session, {table: source, columns, where: null}, doing)) yield batch;
  }

  async openVerify(scope: VerifyScope, end: Offset | null, ctx: CallContext): Promise<VerifyPoint> {
    const doing = {what: `verify table "${scope.table}"`, table: scope.table};
    const session = await Session.open(this.#options, ctx.signal);
    try {
      if (await hasSnapshots(session, doing)) await session.beginSnapshot(doing);
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
  async #openView({table, start, options}: ReadRequest, ctx: ReadContext): Promise<View> {
    const doing = reading(table);
    const session = await Session.open(this.#options, ctx.signal);
    try {
      const found = await this.#describe(session, table);
      const cursor = cursorOf(found, options);
      const upper = cursor === null ? null : await this.#bound(session, {table: found, cursor, start, doing}, ctx);
      if (await hasSnapshots(session, doing)) await session.beginSnapshot(doing);
      else {
        ctx.log.info('The database allows no snapshot isolation: a read may see changes that are made meanwhile.', {
          table,
        });
      }
      const source = await this.#describe(session, table);
      const columns = selectedColumns(source.columns, options, doing);
      const known = this.#known.get(table);
      if (known !== undefined && shapeOf(selectedColumns(known, options, doing)) !== shapeOf(columns))
        throw schemaChanged(doing);
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
    {
      table,
      cursor,
      start,
      doing,
    }: {
      readonly table: SourceTable;
      readonly cursor: SourceCursor;
      readonly start: Offset | null;
      readonly doing: Doing;
    },
    ctx: ReadContext,
  ): Promise<string | null> {
    const id = JSON.stringify([table.schema, table.name, cursor.name]);
    const known = this.#bounds.get(id);
    if (known?.triggerStartedAt === ctx.triggerStartedAt) return known.upper;
    const lower = start === null ? null : parseCursorOffset(start, cursor, table.name).value;
    const upper = await settledBound(session, {table, cursor, lower, doing}, ctx);
    this.#bounds.set(id, {triggerStartedAt: ctx.triggerStartedAt, upper});
    return upper;
  }

  async #describe(session: Session, table: string): Promise<SourceTable> {
    const found = await describeTable(session, splitName(table), this.#options);
    if (found === null) throw unknownTable(table);
    return found;
  }
}

interface ReadRequest {
  readonly table: string;
  readonly start: Offset | null;
  readonly options: TableOptions;
}

interface View extends AsyncDisposable {
  readonly session: Session;
  readonly source: SourceTable;
  readonly columns: readonly SourceColumn[];
  readonly cursor: SourceCursor | null;
  readonly upper: string | null;
  readonly doing: Doing;
}

async function hasSnapshots(session: Session, doing: Doing): Promise<boolean> {
  const [row] = await session.query(SNAPSHOTS, doing);
  return numberOf(row?.[0]) === 1;
}

/** Runs the queries of an increment in a view. */
function readerOf({session, source, columns, doing}: View, cursor: SourceCursor): IncrementReader {
  const dialect = dialectOf(source, cursor);
  return {
    async *read({where, orderBy, isNew}: IncrementQuery): AsyncGenerator<IncrementBatch, void> {
      const place = isNew === null ? null : placeOf({table: source, cursor, isNew});
      const read = {table: source, columns, where, orderBy, hidden: place?.hidden ?? []};
      for await (const batch of readBatches(session, read, doing)) {
        const last = place?.read(batch.hidden.at(-1) ?? []) ?? null;
        yield {page: pageOf(batch), rowCount: batch.batch.rowCount, last};
      }
    },
    async count(where) {
      const sql = `select convert(varchar(20), count_big(*)) from ${tableSql(source)} as source where ${where}`;
      return numberOf((await session.query(sql, doing))[0]?.[0]);
    },
    async compare(value, other) {
      const [left, right] = [dialect.cursorValue(value), dialect.cursorValue(other)];
      // The row that has the value: so the comparison is that of the column.
      const [row] = await session.query(
        `select top (1) case when ${cursor.sql} > ${right} then 'after' when ${cursor.sql} = ${right} then 'equal' else 'before' end
 from ${tableSql(source)} as source where ${cursor.sql} = ${left}`,
        doing,
      );
      const answer = row?.[0];
      return answer === 'after' || answer === 'equal' ? answer : 'before';
    },
  };
}

function pageOf({batch, rescued}: ReadBatch): IncrementBatch['page'] {
  return {kind: 'columns', batch, rescued};
}

/** A text that is the same as long as the columns that are read are. */
function shapeOf(columns: readonly SourceColumn[]): string {
  return JSON.stringify(columns.map(({name, type}) => [name, typeToJson(type)]));
}

function reading(table: string): Doing {
  return {what: `read table "${table}"`, table};
}
