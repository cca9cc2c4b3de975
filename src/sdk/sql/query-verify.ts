import type {ColumnBatch} from '../../core/columns.ts';
import {IngestError} from '../../core/errors.ts';
import type {Offset} from '../../core/offset.ts';
import {typesEqual} from '../../core/schema.ts';
import {canonicalCell} from '../canonical.ts';
import type {CallContext, RescuedCell, VerifyPoint, VerifyScope} from '../contract.ts';
import {type VerifyRow, verifyRowsPoint} from '../verify-rows.ts';
import {beyondSql} from './beyond.ts';
import type {CursorColumn} from './cursor-column.ts';
import {parseCursorOffset} from './cursor-column.ts';
import type {KeepableSession} from './kept-session.ts';
import type {QueryDatabase, QueryTable} from './query-connector.ts';

/** Rows of one batch, and for which of them a condition holds. Overwritten when the next is asked for. */
export interface FlaggedRows {
  readonly batch: ColumnBatch;
  readonly rescued: readonly RescuedCell[];
  /** False only where the condition is false; a condition that is NULL holds. */
  readonly holds: (row: number) => boolean;
}

/**
 * The rows of a table in the view that a session holds; the point owns the session. Its rows are read and added up here: sums by
 * the server would need the texts of every type made in its SQL, and UTF-8.
 * @throws UNSUPPORTED with predicates
 */
export function openQueryVerify<
  S extends KeepableSession<S>,
  C extends {readonly name: string},
  T extends QueryTable<C>,
  K extends CursorColumn,
>(
  database: QueryDatabase<S, C, T, K>,
  session: S,
  {table, scope, end}: {readonly table: T; readonly scope: VerifyScope; readonly end: Offset | null},
): VerifyPoint {
  if (scope.filter !== undefined || scope.deleted !== undefined) {
    throw new IngestError(
      'UNSUPPORTED',
      `Table "${scope.table}" has a row_filter or deletion_condition: it cannot be compared.`,
      {
        fix: 'Set verify_after_snapshot and verify_interval_hours of the table to false and null.',
        context: {table: scope.table},
      },
    );
  }
  const excluded: {readonly name: string; readonly reason: string}[] = [];
  const columns: C[] = [];
  for (const {name, type} of scope.columns) {
    const column = table.columns.find((candidate) => candidate.name === name);
    const landed = column === undefined ? undefined : database.landedSchema([column]).fields[0]?.type;
    if (column === undefined || landed === undefined) excluded.push({name, reason: 'the source no longer has it'});
    else if (typesEqual(landed, type)) columns.push(column);
    else excluded.push({name, reason: 'its type differs from what landed'});
  }
  const condition = landedSql(database, {table, scope, end});
  const doing = {what: `verify table "${scope.table}"`, table: scope.table};
  const point = verifyRowsPoint(scope, {
    token: `a view of ${scope.table}`,
    excluded,
    async *rows(ctx: CallContext) {
      const view = {session: session.withSignal(ctx.signal), source: table, columns, doing};
      for await (const rows of database.readFlagged(view, condition)) yield verifyRowsOf(rows);
    },
  });
  return Object.assign(point, {[Symbol.asyncDispose]: async () => session[Symbol.asyncDispose]()});
}

function verifyRowsOf({batch, rescued, holds}: FlaggedRows): readonly VerifyRow[] {
  const misfits = new Map<number, string[]>();
  for (const {row, column} of rescued) misfits.set(row, [...(misfits.get(row) ?? []), column]);
  return Array.from({length: batch.rowCount}, (_, row) => ({
    cells: batch.columns.map((column, index) =>
      canonicalCell(column, row, batch.schema.fields[index]?.type ?? 'string'),
    ),
    misfits: misfits.get(row) ?? [],
    isLanded: holds(row),
  }));
}

/** True for rows up to the flow's end and those without a cursor, as SQL; null where all rows have landed. */
function landedSql<
  S extends KeepableSession<S>,
  C extends {readonly name: string},
  T extends QueryTable<C>,
  K extends CursorColumn,
>(
  database: QueryDatabase<S, C, T, K>,
  {table, scope, end}: {readonly table: T; readonly scope: VerifyScope; readonly end: Offset | null},
): string | null {
  const cursor = database.cursorOf(table, scope.options);
  if (cursor === null || end === null) return null;
  const {value, key} = parseCursorOffset(end, cursor, scope.table);
  const isAbsent = `${cursor.sql} is null`;
  if (value === null) return isAbsent;
  const dialect = database.dialectOf(table, cursor);
  const keys = key === null ? [] : table.keys;
  const values = keys.map((_, index) => dialect.keyValue(index, key?.[index] ?? ''));
  const columns = [cursor.sql, ...keys.map((name) => database.columnSql(name))];
  return `${isAbsent} or (${beyondSql(columns, [dialect.cursorValue(value), ...values], '<=')})`;
}
