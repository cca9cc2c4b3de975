import type {QuarantinedRow} from '../core/coerce.ts';
import type {ColumnBatch} from '../core/columns.ts';
import type {EngineRow} from '../engine/engine.ts';
import {quoteIdentifier, quoteLiteral} from '../engine/sql-types.ts';

/** True when a column of a batch has a NULL; a nested one may have one inside. */
export function mayLack({schema, columns, rowCount}: ColumnBatch, name: string): boolean {
  const vector = columns[schema.fields.findIndex((field) => field.name === name)];
  if (vector === undefined || vector.kind === 'struct') return true;
  const {validity} = vector;
  if (validity === null) return false;
  for (let row = 0; row < rowCount; row += 8) {
    const mask = rowCount - row >= 8 ? 0xff : (1 << (rowCount - row)) - 1;
    if (((validity[row >> 3] ?? 0) & mask) !== mask) return true;
  }
  return false;
}

/** Landed columns as the JSON text of a record, under their own names. */
export function recordSql(columns: readonly {readonly name: string; readonly landed: string}[]): string {
  const members = columns.map(({name, landed}) => `${quoteLiteral(name)}, ${quoteIdentifier(landed)}`);
  return `CAST(json_object(${members.join(', ')}) AS VARCHAR)`;
}

/** A landed row that lacks a required column: the one at `lacking` of `required`. */
export function refusedRow(row: EngineRow, required: readonly string[]): QuarantinedRow {
  const path = required[Number(row['lacking'])] ?? '';
  const {rescued} = row;
  const isMisfit = typeof rescued === 'string' && path in (JSON.parse(rescued) as object);
  return {reason: isMisfit ? 'MISFIT_KEY' : 'NULL_KEY', path, record: String(row['record'])};
}
