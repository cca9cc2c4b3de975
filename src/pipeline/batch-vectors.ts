import type {BytesVector, ColumnBatch, ColumnVector} from '../core/columns.ts';
import type {RescuedCell} from '../sdk/contract.ts';

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

/** The `_rescued_data` column of a batch whose misfits the connector lists cell by cell: JSON object of column to text. */
export function rescuedVector(rowCount: number, cells: readonly RescuedCell[]): BytesVector {
  const starts = new Uint32Array(rowCount);
  const lengths = new Uint32Array(rowCount);
  const validity = new Uint8Array(Math.ceil(rowCount / 8));
  if (cells.length === 0) return {kind: 'bytes', data: EMPTY, starts, lengths, validity};
  const byRow = new Map<number, Record<string, string>>();
  for (const cell of cells) {
    const row = byRow.get(cell.row) ?? {};
    row[cell.column] = cell.text;
    byRow.set(cell.row, row);
  }
  const texts: Buffer[] = [];
  let at = 0;
  for (const [row, values] of byRow) {
    const text = Buffer.from(JSON.stringify(values));
    texts.push(text);
    starts[row] = at;
    lengths[row] = text.length;
    at += text.length;
    validity[row >> 3] = (validity[row >> 3] ?? 0) | (1 << (row & 7));
  }
  return {kind: 'bytes', data: Buffer.concat(texts), starts, lengths, validity};
}

const EMPTY = new Uint8Array(0);
