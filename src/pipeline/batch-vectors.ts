import {createCoercer} from '../core/coerce.ts';
import type {BytesVector, ColumnVector, FixedVector} from '../core/columns.ts';
import type {JsonObject} from '../core/json-value.ts';
import type {StructField} from '../core/types.ts';
import type {RescuedCell} from '../sdk/contract.ts';
import type {RescuedMembers} from './convert-vector.ts';

/** Columns that have one value in all rows: those of `values`, by name, and NULL in the others. */
export function constantColumns(
  fields: readonly StructField[],
  rowCount: number,
  values: JsonObject = {},
): readonly ColumnVector[] {
  const one = coerced(fields, 1, values);
  const columns = one.map((vector) => repeated(vector, rowCount));
  return columns.every((column) => column !== null) ? columns : coerced(fields, rowCount, values);
}

function coerced(fields: readonly StructField[], rowCount: number, values: JsonObject): readonly ColumnVector[] {
  const coercer = createCoercer({type: 'struct', fields}, {rescue: false, capacity: Math.max(1, rowCount)});
  for (let row = 0; row < rowCount; row++) coercer.add(values);
  return coercer.take().batch.columns;
}

/** The value of one row in as many rows, where it is there and of one width; else null. */
function repeated(vector: ColumnVector, rowCount: number): FixedVector | null {
  if (vector.kind !== 'fixed' || vector.validity !== null) return null;
  const {data} = vector;
  const value = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const bytes = new Uint8Array(value.length * rowCount);
  bytes.set(value.subarray(0, bytes.length));
  // Each round doubles what is there.
  for (let filled = value.length; filled < bytes.length; filled *= 2) bytes.copyWithin(filled, 0, filled);
  const View = data.constructor as new (buffer: ArrayBuffer) => FixedVector['data'];
  return {kind: 'fixed', data: new View(bytes.buffer), validity: null};
}

/**
 * The `_rescued_data` column of a batch: of misfits that the connector lists cell by cell (column to text) and of those that
 * a conversion found.
 */
export function rescuedVector(
  rowCount: number,
  cells: readonly RescuedCell[],
  converted: readonly RescuedMembers[] = [],
): BytesVector {
  const starts = new Uint32Array(rowCount);
  const lengths = new Uint32Array(rowCount);
  const validity = new Uint8Array(Math.ceil(rowCount / 8));
  const byRow = new Map<number, string[]>();
  const add = (row: number, members: string): void => {
    const known = byRow.get(row);
    if (known === undefined) byRow.set(row, [members]);
    else known.push(members);
  };
  for (const cell of cells) add(cell.row, `${JSON.stringify(cell.column)}:${JSON.stringify(cell.text)}`);
  for (const {row, members} of converted) add(row, members);
  const texts: Buffer[] = [];
  let at = 0;
  for (const [row, members] of byRow) {
    const text = Buffer.from(`{${members.join(',')}}`);
    texts.push(text);
    starts[row] = at;
    lengths[row] = text.length;
    at += text.length;
    validity[row >> 3] = (validity[row >> 3] ?? 0) | (1 << (row & 7));
  }
  return {kind: 'bytes', data: Buffer.concat(texts), starts, lengths, validity};
}
