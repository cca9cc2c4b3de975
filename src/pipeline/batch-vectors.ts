import {createCoercer} from '../core/coerce.ts';
import type {BytesVector, ColumnBatch, ColumnVector} from '../core/columns.ts';
import type {StructField} from '../core/types.ts';
import type {RescuedCell} from '../sdk/contract.ts';
import type {RescuedMembers} from './convert-vector.ts';

/** Bytes that the rows of a batch take, near enough for limits. */
export function batchBytes(batch: ColumnBatch): number {
  return batch.columns.reduce((sum, column) => sum + vectorBytes(column, batch.rowCount), 0);
}

function vectorBytes(vector: ColumnVector, rowCount: number): number {
  switch (vector.kind) {
    case 'fixed':
      return Math.min(vector.data.byteLength, rowCount * 16);
    case 'bytes': {
      let bytes = 0;
      for (let row = 0; row < rowCount; row++) bytes += vector.lengths[row] ?? 0;
      return bytes + rowCount * 8;
    }
    case 'struct':
      return vector.children.reduce((sum, child) => sum + vectorBytes(child, rowCount), 0);
    case 'list':
      return rowCount * 8 + vectorBytes(vector.child, vector.childCount);
  }
}

/** Columns of NULLs. */
export function nullColumns(fields: readonly StructField[], rowCount: number): readonly ColumnVector[] {
  const coercer = createCoercer({type: 'struct', fields}, {rescue: false, capacity: Math.max(1, rowCount)});
  for (let row = 0; row < rowCount; row++) coercer.add({});
  return coercer.take().batch.columns;
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
