import type {CallContext, Offset, VerifyPoint, VerifyRow, VerifyScope} from '../../sdk/index.ts';
import {canonicalCell, IngestError, parseCursorOffset, typesEqual, verifyRowsPoint} from '../../sdk/index.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {tableSql} from './catalog.ts';
import {landedType} from './column-type.ts';
import {cursorOf} from './cursor.ts';
import {beyondSql, keyLiteral} from './keyset.ts';
import type {Session} from './session.ts';
import {readBatches} from './table-reads.ts';

/** What is compared, and up to where the flow has read. */
export interface VerifyTarget {
  readonly table: SourceTable;
  readonly scope: VerifyScope;
  readonly end: Offset | null;
}

/**
 * The rows of a table in the view that a session holds; the point owns the session. Its rows are read and added up here: sums by
 * the server would need the texts of every type made in SQL.
 * @throws UNSUPPORTED with predicates
 */
export function openPoint(session: Session, {table, scope, end}: VerifyTarget): VerifyPoint {
  if (scope.filter !== undefined || scope.deleted !== undefined) {
    throw new IngestError('UNSUPPORTED', 'Tables of MySQL with a row_filter or deletion_condition cannot be compared.');
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
    token: `a view of ${table.database}.${table.name}`,
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
  const name = `${table.database}.${table.name}`;
  const doing = {what: `verify table "${name}"`, table: name};
  const hidden = landed === null ? [] : [landed];
  const from = `${tableSql(table)} as source`;
  for await (const result of readBatches(session.withSignal(ctx.signal), {from, columns, hidden}, doing)) {
    const {batch, rescued} = result;
    const misfits = new Map<number, string[]>();
    for (const {row, column} of rescued) misfits.set(row, [...(misfits.get(row) ?? []), column]);
    yield Array.from({length: batch.rowCount}, (_, row) => ({
      cells: batch.columns.map((column, index) =>
        canonicalCell(column, row, batch.schema.fields[index]?.type ?? 'string'),
      ),
      misfits: misfits.get(row) ?? [],
      isLanded: landed === null || result.hiddenText(0, row) !== '0',
    }));
  }
}

/** 0 for rows behind the flow's end; null where all rows have landed. */
function landedSql(table: SourceTable, {scope, end}: Pick<VerifyTarget, 'scope' | 'end'>): string | null {
  const cursor = cursorOf(table, scope.options);
  if (cursor === null || end === null) return null;
  const {value, key} = parseCursorOffset(end, cursor, scope.table);
  if (value === null) return `${cursor.sql} is null`;
  const literal = keyLiteral(cursor.column, value);
  const keys = key === null ? [] : table.keys.flatMap((name) => table.columns.filter((column) => column.name === name));
  const literals = keys.map((column, index) => keyLiteral(column, key?.[index] ?? ''));
  return `coalesce(${beyondSql([cursor.column, ...keys], [literal, ...literals], '<=')}, 1)`;
}
