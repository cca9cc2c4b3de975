import type {CallContext, Offset, VerifyPoint, VerifyRow, VerifyScope} from '../../sdk/index.ts';
import {
  beyondSql,
  canonicalCell,
  IngestError,
  keyColumns,
  parseCursorOffset,
  qualifiedName,
  typesEqual,
  verifyRowsPoint,
} from '../../sdk/index.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {landedType} from './column-type.ts';
import {cursorOf} from './cursor.ts';
import {dialectOf} from './dialect.ts';
import type {Session} from './session.ts';
import {columnSql} from './snapshot.ts';
import {readBatches} from './table-reads.ts';

/** What is compared, and up to where the flow has read. */
export interface VerifyTarget {
  readonly table: SourceTable;
  readonly scope: VerifyScope;
  readonly end: Offset | null;
}

/**
 * The rows of a table in the view that a session holds; the point owns the session. Its rows are read and added up here: the server
 * makes no UTF-8, over which the sums are, before SQL Server 2019.
 * @throws UNSUPPORTED with predicates
 */
export function openPoint(session: Session, {table, scope, end}: VerifyTarget): VerifyPoint {
  if (scope.filter !== undefined || scope.deleted !== undefined) {
    throw new IngestError(
      'UNSUPPORTED',
      'Tables of SQL Server with a row_filter or deletion_condition cannot be compared.',
    );
  }
  const excluded: {readonly name: string; readonly reason: string}[] = [];
  const columns: SourceColumn[] = [];
  for (const {name, type} of scope.columns) {
    const column = table.columns.find((candidate) => candidate.name === name);
    if (column === undefined) excluded.push({name, reason: 'the source no longer has it'});
    else if (!typesEqual(landedType(column.type), type))
      excluded.push({name, reason: 'its type differs from what landed'});
    else columns.push(column);
  }
  const landed = landedSql(table, {scope, end});
  const point = verifyRowsPoint(scope, {
    token: `a view of ${qualifiedName([table.schema, table.name])}`,
    excluded,
    rows: (ctx) => rowsOf(session, {table, columns, landed}, ctx),
  });
  return Object.assign(point, {[Symbol.asyncDispose]: () => session[Symbol.asyncDispose]()});
}

async function* rowsOf(
  session: Session,
  read: {readonly table: SourceTable; readonly columns: readonly SourceColumn[]; readonly landed: string | null},
  ctx: CallContext,
): AsyncGenerator<readonly VerifyRow[], void> {
  const {table, columns, landed} = read;
  const name = qualifiedName([table.schema, table.name]);
  const doing = {what: `verify table "${name}"`, table: name};
  const hidden = landed === null ? [] : [`case when ${landed} then 1 else 0 end`];
  for await (const part of readBatches(session.withSignal(ctx.signal), {table, columns, where: null, hidden}, doing)) {
    const {batch, rescued, hidden: flags} = part;
    const misfits = new Map<number, string[]>();
    for (const {row, column} of rescued) misfits.set(row, [...(misfits.get(row) ?? []), column]);
    yield Array.from({length: batch.rowCount}, (_, row) => ({
      cells: batch.columns.map((column, index) =>
        canonicalCell(column, row, batch.schema.fields[index]?.type ?? 'string'),
      ),
      misfits: misfits.get(row) ?? [],
      isLanded: landed === null || flags[row]?.[0] !== 0,
    }));
  }
}

/** True for rows up to the flow's end and those without a cursor, as SQL; null where all rows have landed. */
function landedSql(table: SourceTable, {scope, end}: Pick<VerifyTarget, 'scope' | 'end'>): string | null {
  const cursor = cursorOf(table, scope.options);
  if (cursor === null || end === null) return null;
  const {value, key} = parseCursorOffset(end, cursor, scope.table);
  const isAbsent = `${cursor.sql} is null`;
  if (value === null) return isAbsent;
  const dialect = dialectOf(table, cursor);
  const keys = key === null ? [] : keyColumns(table);
  const values = keys.map((_, index) => dialect.keyValue(index, key?.[index] ?? ''));
  const columns = [cursor.sql, ...keys.map(({name}) => columnSql(name))];
  return `${isAbsent} or (${beyondSql(columns, [dialect.cursorValue(value), ...values], '<=')})`;
}
