import {qualifiedName} from '../../sdk/index.ts';
import type {CaptureInstance} from './capture-instances.ts';
import {lsnOf} from './capture-instances.ts';
import type {SourceTable} from './catalog.ts';
import {numberOf, quoteIdentifier, textOf} from './catalog.ts';
import {microsOf} from './change-sql.ts';
import {valueSql} from './column-type.ts';
import type {ChangeRange, FeedChange, FeedPiece} from './feed.ts';
import {lsnBytes} from './log-mark.ts';
import type {RowValue} from './row-format.ts';
import {CHANGE, RowWriter, UNCHANGED} from './row-format.ts';
import type {Cell, Session} from './session.ts';
import {logLost} from './source-errors.ts';

const LOOKING = {what: 'look for captured changes'};

/** A table with the instance that has its changes. */
export interface Captured {
  /** With the columns that the instance has. */
  readonly table: SourceTable;
  readonly instance: CaptureInstance;
}

/** Why a table must be read anew where another instance takes over: a column that is in that one alone may have had values before. */
export async function reasonOfSwitch(session: Session, before: Captured, after: Captured): Promise<string | null> {
  const known = new Set(before.table.columns.map(({id}) => id));
  const added = after.table.columns.find(({id}) => !known.has(id));
  if (added === undefined) return null;
  const [row] = await session.query(
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

/** Reads change data capture: every change, as the capture job copied it from the transaction log. */
export async function* readCaptured(
  session: Session,
  captured: Captured,
  {from, to, limit}: ChangeRange,
): AsyncGenerator<FeedPiece, void> {
  const name = qualifiedName([captured.table.schema, captured.table.name]);
  const doing = {what: `read the changes of table "${name}"`, table: name};
  const parameters = [
    {name: 'from', type: 'bytes', value: lsnBytes(from)},
    {name: 'to', type: 'bytes', value: lsnBytes(to)},
    ...(limit === null ? [] : [{name: 'rows', type: 'int', value: limit} as const]),
  ] as const;
  const encoder = new CapturedRows(captured);
  for await (const rows of session.stream(capturedSql(captured, limit !== null), doing, parameters)) {
    const changes = rows.flatMap((row) => encoder.change(row) ?? []);
    yield {changes, rows: rows.length, last: lsnOf(rows.at(-1)?.[0])};
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
