import type {
  CallContext,
  ColumnBatch,
  Connector,
  Offset,
  Page,
  Partition,
  PartitionPlan,
  PlainJson,
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
  KeptSession,
  lookbackOf,
  parseCursorOffset,
  qualifiedName,
  readIncrement,
  selectedColumns,
} from '../../sdk/index.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {
  columnName,
  describeTable,
  listSchemas,
  listTables,
  relationSql,
  shapeOf,
  splitName,
  tableSql,
} from './catalog.ts';
import type {SourceCursor} from './cursor.ts';
import {cursorOf} from './cursor.ts';
import {dialectOf, firstLoadSql, incrementReader} from './incremental.ts';
import {estimateTable, partSql, planParts, toPart} from './partitions.ts';
import type {ConnectionOptions} from './session.ts';
import {Session} from './session.ts';
import type {Doing} from './source-errors.ts';
import {batchesOf, describeAgain, pageOf, readBatches} from './table-pages.ts';
import type {Bound} from './upper-bound.ts';
import {settledBound} from './upper-bound.ts';
import {openPoint} from './verify.ts';

/** Reads tables of one PostgreSQL database by queries: whole, or by a cursor column. */
export class PostgresConnector implements Connector {
  readonly #options: ConnectionOptions;
  /** Columns as getTableSchema last told them, by table: a read that finds others stops. */
  readonly #known = new Map<string, readonly SourceColumn[]>();
  /** Upper bounds by table and cursor, each good for one trigger: so a trigger ends although rows keep coming. */
  readonly #bounds = new Map<string, {readonly triggerStartedAt: bigint; readonly bound: Bound}>();
  readonly #catalog: KeptSession<Session>;
  /** Sessions of reads that ended well, for the next ones: a log-in costs more than the look at a table without news. */
  readonly #idle: Session[] = [];

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#catalog = new KeptSession((signal) => Session.open(options, signal));
  }

  async listTables(ctx: CallContext): Promise<readonly string[]> {
    const tables = await this.#catalog.run(ctx, (session) => listTables(session, null));
    return tables.map(({schema, name}) => qualifiedName([schema, name]));
  }

  async listNamespaces(prefix: readonly string[] | null, ctx: CallContext): Promise<readonly (readonly string[])[]> {
    if (prefix !== null && prefix.length > 0) return [];
    return (await this.#catalog.run(ctx, listSchemas)).map((schema) => [schema]);
  }

  async listTablesInNamespace(namespace: readonly string[], ctx: CallContext): Promise<readonly string[]> {
    const [schema] = namespace;
    if (schema === undefined || namespace.length > 1) return [];
    return (await this.#catalog.run(ctx, (session) => listTables(session, schema))).map(({name}) => name);
  }

  async getTableSchema(table: string, options: TableOptions, ctx: CallContext): Promise<StructType> {
    const source = await this.#catalog.run(ctx, (session) => describeTable(session, table));
    this.#known.set(table, source.columns);
    return {
      type: 'struct',
      fields: selectedColumns(source.columns, options, reading(table)).map(({name, mapping, nullable, comment}) => ({
        name,
        type: mapping.type,
        nullable,
        metadata: comment === null ? {} : {comment},
      })),
    };
  }

  async readTableMetadata(table: string, options: TableOptions, ctx: CallContext): Promise<TableMetadata> {
    const source = await this.#catalog.run(ctx, (session) => describeTable(session, table));
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

  estimate(
    table: string,
    _options: TableOptions,
    ctx: CallContext,
  ): Promise<{readonly rows?: number; readonly bytes?: number}> {
    const doing = {what: `estimate the size of "${table}"`, table};
    return this.#catalog.run(ctx, async (session) =>
      estimateTable(session, await describeTable(session, table), doing),
    );
  }

  /** First loads and snapshots are read in parts, increments in one go. */
  isPartitioned(_table: string, start: Offset | null): boolean {
    return start === null;
  }

  async latestOffset(
    table: string,
    start: Offset | null,
    options: TableOptions,
    ctx: ReadContext,
  ): Promise<Offset | null> {
    await using reader = await this.#openReader(table, options, ctx);
    const {cursor, bound} = reader;
    if (cursor === null) return start;
    const end = cursorOffset(cursor, {value: bound.upper, key: null});
    if (start === null) return end;
    const place = {start: parseCursorOffset(start, cursor, table), upper: bound.upper};
    return (await compareToStart(incrementReader(reader, cursor), place)) === 'after' ? end : start;
  }

  async getPartitions(
    table: string,
    _range: {readonly start: Offset | null; readonly end: Offset | null},
    options: TableOptions,
    ctx: ReadContext,
  ): Promise<PartitionPlan> {
    const reader = await this.#openReader(table, options, ctx);
    try {
      const {cursor, bound} = reader;
      const [row] = await reader.session.query(
        'select pg_export_snapshot(), txid_current_snapshot()::text',
        reader.doing,
      );
      const condition = cursor === null ? null : firstLoadSql(reader.source, cursor, bound);
      const template = {snapshot: row?.[0] ?? '', shape: shapeOf(reader.columns), condition};
      const plan = await planParts(reader.session, reader.source, {template, doing: reader.doing});
      const end = cursor === null ? {snapshot: row?.[1] ?? ''} : cursorOffset(cursor, {value: bound.upper, key: null});
      return {
        ...plan,
        volatile: true,
        end,
        openVerify: (scope, during) => this.#verifyIn(template.snapshot, scope, {end, ctx: during}),
        [Symbol.asyncDispose]: () => reader[Symbol.asyncDispose](),
      };
    } catch (error) {
      await reader[Symbol.asyncDispose]();
      throw error;
    }
  }

  async *readPartition(
    table: string,
    partition: Partition,
    options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<Page, void> {
    const part = toPart(partition);
    const doing = reading(table);
    await using session = await Session.open(this.#options, ctx.signal);
    await session.joinSnapshot(part.snapshot, doing);
    const {columns} = await describeAgain(session, {table, options, shape: part.shape}, doing);
    for await (const batch of readBatches(session, {from: partSql(part), columns}, doing)) yield pageOf(batch);
  }

  async *readTable(
    table: string,
    start: Offset | null,
    options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<Page, Offset | null> {
    if (start !== null && this.#isAtBound(table, start, ctx)) return start;
    await using reader = await this.#openReader(table, options, ctx);
    const {session, source, columns, cursor, bound, doing} = reader;
    if (cursor === null) {
      // A snapshot is read whole, by one call.
      if (start !== null) return start;
      for await (const batch of readBatches(session, {from: relationSql(source), columns}, doing)) yield pageOf(batch);
      return null;
    }
    if (start === null) {
      const condition = firstLoadSql(source, cursor, bound);
      const from = `${relationSql(source)}${condition === null ? '' : ` where ${condition}`}`;
      for await (const batch of readBatches(session, {from, columns}, doing)) yield pageOf(batch);
      return cursorOffset(cursor, {value: bound.upper, key: null});
    }
    const increment = {
      cursor,
      key: source.keys.map(columnName),
      dialect: dialectOf(source, cursor),
      start: parseCursorOffset(start, cursor, table),
      upper: bound.upper,
      lookbackSeconds: lookbackOf(options, cursor, doing),
    };
    return yield* readIncrement(incrementReader(reader, cursor), increment, ctx);
  }

  async *scanKeys(
    table: string,
    keys: readonly string[],
    options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<ColumnBatch, void> {
    await using reader = await this.#openReader(table, options, ctx);
    const columns = keys
      .map((key) => reader.source.columns.find(({name}) => name === key))
      .filter((column) => column !== undefined);
    yield* batchesOf(readBatches(reader.session, {from: relationSql(reader.source), columns}, reader.doing));
  }

  async openVerify(scope: VerifyScope, end: Offset | null, ctx: CallContext): Promise<VerifyPoint> {
    const doing = {what: `verify table "${scope.table}"`, table: scope.table};
    const session = await Session.open(this.#options, ctx.signal);
    try {
      // Without a lock: who asked for the view may wait for a gateway, which may wait for those who would wait for the lock.
      await session.beginSnapshot(doing);
      return await openPoint(session, await describeTable(session, scope.table), {scope, end});
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A view in a snapshot that another session has exported; it lives on when that one ends. */
  async #verifyIn(
    snapshot: string,
    scope: VerifyScope,
    {end, ctx}: {readonly end: Offset | null; readonly ctx: CallContext},
  ): Promise<VerifyPoint> {
    const session = await Session.open(this.#options, ctx.signal);
    try {
      await session.joinSnapshot(snapshot, reading(scope.table));
      return await openPoint(session, await describeTable(session, scope.table), {scope, end, exact: true});
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const session of this.#idle.splice(0)) await session[Symbol.asyncDispose]();
    await this.#catalog.close();
  }

  /** A session with a snapshot of its own, and the table as that snapshot's catalog describes it. */
  async #openReader(table: string, options: TableOptions, ctx: ReadContext): Promise<Reader> {
    const doing = reading(table);
    const session = await this.#takeSession(ctx);
    try {
      const bound = await this.#bound(session, {table, options, doing}, ctx);
      await session.beginSnapshotOf(tableSql(splitName(table)), doing);
      const known = this.#known.get(table);
      const shape = known === undefined ? undefined : shapeOf(selectedColumns(known, options, doing));
      const described = await describeAgain(session, {table, options, shape}, doing);
      const cursor = cursorOf(described.source, options);
      return {...described, session, cursor, bound, doing, [Symbol.asyncDispose]: () => this.#giveBack(session, doing)};
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #takeSession(ctx: CallContext): Promise<Session> {
    for (let session = this.#idle.pop(); session !== undefined; session = this.#idle.pop()) {
      if (session.isOpen) return session.withSignal(ctx.signal);
    }
    return Session.open(this.#options, ctx.signal);
  }

  /** Ends the snapshot and its locks. A session that failed, or was left in the middle of its rows, is not used again. */
  async #giveBack(session: Session, doing: Doing): Promise<void> {
    if (session.isOpen && this.#idle.length < MAX_IDLE_SESSIONS) {
      try {
        await session.query('rollback', doing);
        this.#idle.push(session);
        return;
      } catch {
        // It cannot be used again; what the reader found out is what counts.
      }
    }
    await session[Symbol.asyncDispose]();
  }

  /** The upper bound of this trigger: found once, before the first snapshot, then kept. */
  async #bound(
    session: Session,
    {table, options, doing}: {readonly table: string; readonly options: TableOptions; readonly doing: Doing},
    ctx: ReadContext,
  ): Promise<Bound> {
    const {cursor_column: name} = options;
    if (typeof name !== 'string') return NO_BOUND;
    const key = boundKey(table, name);
    const known = this.#bounds.get(key);
    if (known !== undefined && known.triggerStartedAt === ctx.triggerStartedAt) return known.bound;
    const source = await describeTable(session, table);
    const cursor = cursorOf(source, options);
    if (cursor === null) return NO_BOUND;
    const bound = await settledBound(session, {table: source, cursor, doing}, ctx);
    this.#bounds.set(key, {triggerStartedAt: ctx.triggerStartedAt, bound});
    return bound;
  }

  /** True when this trigger has already read up to its bound: there is nothing to ask the server for. */
  #isAtBound(table: string, start: Offset, ctx: ReadContext): boolean {
    const known = this.#bounds.get(boundKey(table, start['column']));
    return (
      !ctx.isFirstCall &&
      known?.triggerStartedAt === ctx.triggerStartedAt &&
      known.bound.upper === start['value'] &&
      !('key' in start)
    );
  }
}

/** Sessions that wait for a read; as many as a run has flows at a time. */
const MAX_IDLE_SESSIONS = 4;

/** A session at a snapshot, with the table's description and how far to read it. */
interface Reader extends AsyncDisposable {
  readonly session: Session;
  readonly source: SourceTable;
  readonly columns: readonly SourceColumn[];
  readonly cursor: SourceCursor | null;
  readonly bound: Bound;
  readonly doing: Doing;
}

function reading(table: string): Doing {
  return {what: `read table "${table}"`, table};
}

const NO_BOUND: Bound = {upper: null, future: null};

function boundKey(table: string, column: PlainJson | undefined): string {
  return JSON.stringify([table, column ?? null]);
}
