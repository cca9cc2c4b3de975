import type {LogTable, TableReset} from '../../sdk/index.ts';
import {qualifiedName} from '../../sdk/index.ts';
import type {CatalogColumn, CatalogOptions, SourceTable} from './catalog.ts';
import {numberOf, primaryKeyOf, quoteIdentifier, readColumns, shapeOf, textOf, toLogTable} from './catalog.ts';
import {microsOf} from './change-tracking.ts';
import {valueSql} from './column-type.ts';
import type {ChangeFeed, ChangeRange, FeedChange, FeedPiece, FeedTable, Look} from './feed.ts';
import {lsnBytes, lsnOfBytes} from './log-mark.ts';
import type {RowValue} from './row-format.ts';
import {CHANGE, RowWriter, UNCHANGED} from './row-format.ts';
import {reasonToReset} from './schema-change.ts';
import type {Cell, Session} from './session.ts';
import {logLost} from './source-errors.ts';

const LOOKING = {what: 'look for captured changes'};

/** A capture instance of a table. */
export interface CaptureInstance {
  /** Number of the source table. */
  readonly source: number;
  /** Number of the table that holds the changes. */
  readonly changeTable: number;
  /** Name of that table in the schema cdc. */
  readonly tableName: string;
  readonly name: string;
  /** Changes behind it are in the instance. */
  readonly startLsn: bigint;
  /** Changes before it have been cleaned up. */
  readonly minLsn: bigint;
  /** Column number in the source table to place in the update mask, from 1. */
  readonly ordinals: ReadonlyMap<number, number>;
}

const MAX_LSN = `select sys.fn_cdc_get_max_lsn(), convert(varchar(27), sysutcdatetime(), 121)`;

/** The newest LSN that the capture job has read; null before its first, or without change data capture. */
export async function maxLsn(session: Session): Promise<{readonly lsn: bigint | null; readonly at: bigint}> {
  const [row] = await session.query(MAX_LSN, LOOKING);
  const lsn = row?.[0];
  return {lsn: Buffer.isBuffer(lsn) ? lsnOfBytes(lsn) : null, at: microsOf(textOf(row?.[1]))};
}

/** The capture instances of tables, older ones first. */
export async function readInstances(session: Session, tables: readonly number[]): Promise<readonly CaptureInstance[]> {
  if (tables.length === 0) return [];
  const rows = await session.query(
    `select t.source_object_id, t.object_id, object_name(t.object_id), t.capture_instance, t.start_lsn, sys.fn_cdc_get_min_lsn(t.capture_instance)
 from cdc.change_tables as t where t.source_object_id in (${tables.join(', ')}) order by t.source_object_id, t.start_lsn, t.object_id`,
    LOOKING,
  );
  if (rows.length === 0) return [];
  const captured = await session.query(
    `select k.object_id, k.column_id, k.column_ordinal from cdc.captured_columns as k
 where k.object_id in (${rows.map(([, object]) => numberOf(object)).join(', ')}) order by k.object_id, k.column_ordinal`,
    LOOKING,
  );
  return rows.map(([source, object, tableName, name, start, least]) => ({
    source: numberOf(source),
    changeTable: numberOf(object),
    tableName: textOf(tableName),
    name: textOf(name),
    startLsn: lsnOf(start),
    minLsn: lsnOf(least),
    ordinals: new Map(
      captured
        .filter(([owner]) => numberOf(owner) === numberOf(object))
        .map(([, column, ordinal]) => [numberOf(column), numberOf(ordinal)]),
    ),
  }));
}

/** The columns of a table that an instance captures. Those that the server computes are NULL in its changes. */
export function capturedTable(table: SourceTable, {ordinals}: Pick<CaptureInstance, 'ordinals'>): SourceTable {
  const columns = table.columns.filter(({id, isComputed}) => ordinals.has(id) && !isComputed);
  const names = new Set(columns.map(({name}) => name));
  const isKeyed = table.primaryKey.every((name) => names.has(name));
  return {...table, columns, primaryKey: isKeyed ? table.primaryKey : [], keys: isKeyed ? table.keys : []};
}

/** A followed table with the instance that has its changes now. */
interface Captured {
  readonly table: SourceTable;
  readonly instance: CaptureInstance;
}

/** Reads change data capture: every change, as the capture job copied it from the transaction log. */
export class CaptureFeed implements ChangeFeed {
  readonly #session: Session;
  readonly #tables: readonly LogTable[];
  readonly #options: CatalogOptions;
  /** Tables as the last look had them; null for those that cannot be followed. */
  readonly #known = new Map<number, Captured | null>();

  /** The feed owns the session. */
  constructor(session: Session, tables: readonly LogTable[], options: CatalogOptions) {
    this.#session = session;
    this.#tables = tables;
    this.#options = options;
  }

  async look(from: bigint, shapes: Readonly<Record<string, string>>): Promise<Look | null> {
    const session = this.#session;
    await session.beginSnapshot(LOOKING);
    const {lsn, at} = await maxLsn(session);
    const newest = lsn === null || lsn < from ? from : lsn;
    const {tables, resets, to} = await this.#describe({from, newest}, shapes);
    return {
      to,
      at,
      resets,
      tables: tables.map(({table}) => ({table: toLogTable(table), shape: shapeOf(table)})),
      read: (table, range) => this.#read(table, range),
      [Symbol.asyncDispose]: () => (session.isOpen ? session.rollback(LOOKING) : Promise.resolve()),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session[Symbol.asyncDispose]();
  }

  async #describe(
    {from, newest}: {readonly from: bigint; readonly newest: bigint},
    shapes: Readonly<Record<string, string>>,
  ): Promise<{readonly tables: readonly Captured[]; readonly resets: readonly TableReset[]; readonly to: bigint}> {
    const ids = this.#tables.map(({id}) => id);
    const columns = await readColumns(this.#session, ids, this.#options);
    const instances = await readInstances(this.#session, ids);
    const tables: Captured[] = [];
    const resets: TableReset[] = [];
    let to = newest;
    for (const logTable of this.#tables) {
      const {id} = logTable;
      const own = instances.filter(({source}) => source === id);
      const isFollowed = shapes[String(id)] !== undefined;
      const {instance, until} = instanceAt(own, from);
      const found = instance === null ? null : describeCaptured(logTable, columns.get(id) ?? [], instance);
      const now = found === null || found.columns.length === 0 || instance === null ? null : {table: found, instance};
      const message = await this.#resetReason(id, now, {from, shape: shapes[String(id)], isFollowed});
      if (message !== null) resets.push({table: id, message});
      this.#known.set(id, now);
      if (now === null) continue;
      tables.push(now);
      // What is behind the next instance's start is read from that one.
      if (until !== null && until > from && until < to) to = until;
    }
    return {tables, resets, to};
  }

  /** Why the captured changes do not tell all of a table; null when they do. */
  async #resetReason(
    id: number,
    now: Captured | null,
    {
      from,
      shape,
      isFollowed,
    }: {readonly from: bigint; readonly shape: string | undefined; readonly isFollowed: boolean},
  ): Promise<string | null> {
    const known = this.#known.get(id);
    if (now === null) return known === null ? null : 'the table or its capture instance is not there any more';
    if (known === null) return 'the table can be followed again';
    const {instance, table} = now;
    if (isFollowed && instance.startLsn > from) return 'its capture instance was made anew';
    if (isFollowed && instance.minLsn > from && instance.minLsn > instance.startLsn)
      return 'the clean-up job has removed changes that were not read yet';
    if (known !== undefined) {
      const reason = reasonToReset(known.table, table);
      if (reason !== null) return reason;
      return known.instance.changeTable === instance.changeTable ? null : this.#reasonOfSwitch(known, now);
    }
    return shape === undefined || shape === shapeOf(table) ? null : 'its columns changed while nobody read its changes';
  }

  /** A column that is in the new instance alone may have had values before. */
  async #reasonOfSwitch(before: Captured, after: Captured): Promise<string | null> {
    const known = new Set(before.table.columns.map(({id}) => id));
    const added = after.table.columns.find(({id}) => !known.has(id));
    if (added === undefined) return null;
    const [row] = await this.#session.query(
      `select top (1) 1 from cdc.${quoteIdentifier(before.instance.tableName)} as c
 where c.__$start_lsn <= @start and c.__$start_lsn > (select min(h.ddl_lsn) from cdc.ddl_history as h where h.source_object_id = @table and h.ddl_lsn > @oldStart)`,
      LOOKING,
      [
        {name: 'start', type: 'bytes', value: lsnBytes(after.instance.startLsn)},
        {name: 'oldStart', type: 'bytes', value: lsnBytes(before.instance.startLsn)},
        {name: 'table', type: 'int', value: after.table.id},
      ],
    );
    return row === undefined ? null : `rows changed between the adding of column "${added.name}" and its capture`;
  }

  async *#read({table}: FeedTable, range: ChangeRange): AsyncGenerator<FeedPiece, void> {
    const captured = this.#known.get(table.id);
    if (captured === undefined || captured === null) return;
    const name = qualifiedName([captured.table.schema, captured.table.name]);
    const doing = {what: `read the changes of table "${name}"`, table: name};
    const {from, to, limit} = range;
    const parameters = [
      {name: 'from', type: 'bytes', value: lsnBytes(from)},
      {name: 'to', type: 'bytes', value: lsnBytes(to)},
      ...(limit === null ? [] : [{name: 'rows', type: 'int', value: limit} as const]),
    ] as const;
    const encoder = new CapturedRows(captured);
    for await (const rows of this.#session.stream(capturedSql(captured, limit !== null), doing, parameters)) {
      const changes = rows.flatMap((row) => encoder.change(row) ?? []);
      yield {changes, rows: rows.length, last: lsnOf(rows.at(-1)?.[0])};
    }
  }
}

/** The statement that reads captured changes in their order. */
export function capturedSql({table, instance}: Captured, isLimited: boolean): string {
  const values = table.columns.map(({name, type}) => valueSql(type, `c.${quoteIdentifier(name)}`));
  return `select${isLimited ? ' top (@rows)' : ''} c.__$start_lsn, c.__$operation, c.__$update_mask,
 convert(varchar(27), dateadd(minute, datediff(minute, sysdatetime(), sysutcdatetime()), convert(datetime2(7), m.tran_end_time)), 121), ${values.join(', ')}
 from cdc.${quoteIdentifier(instance.tableName)} as c left join cdc.lsn_time_mapping as m on m.start_lsn = c.__$start_lsn
 where c.__$start_lsn > @from and c.__$start_lsn <= @to
 order by c.__$start_lsn, c.__$command_id, c.__$seqval, c.__$operation`;
}

const OPERATION = {delete: 1, insert: 2, before: 3, after: 4} as const;

/** Turns captured rows into changes; an update is two rows. */
class CapturedRows {
  readonly #writer = new RowWriter();
  readonly #columns: readonly {readonly ordinal: number; readonly isLarge: boolean; readonly isOldLarge: boolean}[];
  #before: readonly RowValue[] | null = null;

  constructor({table, instance}: Captured) {
    this.#columns = table.columns.map(({id, type}) => {
      const isOldLarge = OLD_LARGE.has(type.name);
      const isLarge = isOldLarge || type.length === -1 || LARGE.has(type.name);
      return {ordinal: instance.ordinals.get(id) ?? 0, isLarge, isOldLarge};
    });
  }

  /** Null for the first row of an update. */
  change([lsn, operation, mask, committed, ...cells]: readonly Cell[]): FeedChange | null {
    const writer = this.#writer;
    writer.clear();
    const values = this.#values(cells, numberOf(operation), Buffer.isBuffer(mask) ? mask : Buffer.alloc(0));
    switch (operation) {
      case OPERATION.before:
        this.#before = values;
        return null;
      case OPERATION.after:
        writer.byte(this.#before === null ? CHANGE.update : CHANGE.updateWithOld);
        if (this.#before !== null) writer.row(this.#before);
        this.#before = null;
        break;
      case OPERATION.insert:
        writer.byte(CHANGE.insert);
        break;
      case OPERATION.delete:
        writer.byte(CHANGE.delete);
        break;
      default:
        throw logLost(`a captured row has the operation ${textOf(operation)}`);
    }
    writer.row(values);
    const committedAt = committed === null || committed === undefined ? null : microsOf(textOf(committed));
    return {mark: lsnOf(lsn), committedAt, payload: Buffer.from(writer.bytes)};
  }

  /** Large values that a change does not tell are NULL in its rows. */
  #values(cells: readonly Cell[], operation: number, mask: Buffer): readonly RowValue[] {
    return cells.map((cell, index) => {
      const column = this.#columns[index];
      if (cell !== null || column === undefined || !column.isLarge) return cell;
      const isOldRow = operation === OPERATION.delete || operation === OPERATION.before;
      if (column.isOldLarge && isOldRow) return UNCHANGED;
      const isUpdate = operation === OPERATION.before || operation === OPERATION.after;
      return isUpdate && !isBitSet(mask, column.ordinal) ? UNCHANGED : cell;
    });
  }
}

/** Values that are NULL in rows before a change, whatever they are. */
const OLD_LARGE = new Set(['text', 'ntext', 'image']);
const LARGE = new Set(['xml', 'json', 'vector', 'geometry', 'geography', 'hierarchyid']);

/** Bit of a column, from 1; the last byte has the first eight. */
function isBitSet(mask: Buffer, ordinal: number): boolean {
  const byte = mask[mask.length - 1 - ((ordinal - 1) >> 3)] ?? 0;
  return ((byte >> ((ordinal - 1) & 7)) & 1) === 1;
}

/** The instance that has the changes behind a mark, and where the next one takes over. */
function instanceAt(
  instances: readonly CaptureInstance[],
  from: bigint,
): {readonly instance: CaptureInstance | null; readonly until: bigint | null} {
  const started = instances.findLastIndex(({startLsn}) => startLsn <= from);
  const place = Math.max(started, 0);
  return {instance: instances[place] ?? null, until: instances[place + 1]?.startLsn ?? null};
}

function describeCaptured(
  {id, namespace, name}: LogTable,
  columns: readonly CatalogColumn[],
  instance: CaptureInstance,
): SourceTable {
  const primaryKey = primaryKeyOf(columns);
  const whole: SourceTable = {
    id,
    schema: namespace[0] ?? '',
    name,
    kind: 'table',
    columns,
    keys: primaryKey,
    primaryKey,
    estimatedRows: null,
  };
  return capturedTable(whole, instance);
}

function lsnOf(cell: Cell | undefined): bigint {
  return Buffer.isBuffer(cell) ? lsnOfBytes(cell) : 0n;
}
