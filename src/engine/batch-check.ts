import {isDeepStrictEqual} from 'node:util';

import type {
  BytesVector,
  ColumnBatch,
  ColumnVector,
  FixedVector,
  ListVector,
  StructVector,
  Validity,
} from '../core/columns.ts';
import {IngestError} from '../core/errors.ts';
import type {DataType, StructType} from '../core/types.ts';
import {fixedWidth} from './vector-types.ts';

/**
 * Checks everything that the raw writer relies on, so that no wrong batch can make it read outside of its arrays.
 * Returns the bytes that the batch holds, about. @throws CONTRACT_VIOLATION naming the column.
 */
export function checkBatch(batch: ColumnBatch, schema: StructType): number {
  if (!sameShape(batch.schema, schema)) refuse('the batch', 'does not have the schema of the table it is appended to');
  if (batch.columns.length !== schema.fields.length) refuse('the batch', 'has fewer or more columns than its schema');
  return schema.fields.reduce((bytes, field, index) => {
    const column = batch.columns[index];
    return bytes + (column === undefined ? 0 : checkVector(column, field.type, batch.rowCount, field.name));
  }, 0);
}

/** True where a row's bit is set; a null validity has all rows. */
export function isPresent(validity: Validity, row: number): boolean {
  return validity === null || (((validity[row >> 3] ?? 0) >> (row & 7)) & 1) === 1;
}

/** The fields of a list's or map's child: maps are lists of structs of key and value. */
export function childType(type: DataType): DataType | null {
  if (typeof type === 'string') return null;
  if (type.type === 'array') return type.elementType;
  if (type.type !== 'map') return null;
  return {
    type: 'struct',
    fields: [
      {name: 'key', type: type.keyType, nullable: false, metadata: {}},
      {name: 'value', type: type.valueType, nullable: type.valueContainsNull, metadata: {}},
    ],
  };
}

function checkVector(column: ColumnVector, type: DataType, rows: number, path: string): number {
  checkValidity(column.validity, rows, path);
  switch (column.kind) {
    case 'fixed':
      return checkFixed(column, type, rows, path);
    case 'bytes':
      if (type !== 'string' && type !== 'binary' && type !== 'variant')
        refuse(path, 'has bytes where its type has none');
      return checkBytes(column, rows, path);
    case 'struct':
      return checkStruct(column, type, rows, path);
    case 'list':
      return checkList(column, type, rows, path);
  }
}

function checkFixed(column: FixedVector, type: DataType, rows: number, path: string): number {
  const width = fixedWidth(type);
  if (width === null) refuse(path, 'has fixed-width values where its type has none');
  if (column.data.buffer instanceof SharedArrayBuffer) refuse(path, 'is in shared memory');
  if (column.data.byteLength < rows * width) refuse(path, 'has fewer values than rows');
  return rows * width;
}

function checkBytes(column: BytesVector, rows: number, path: string): number {
  const {data, starts, lengths, validity} = column;
  checkRangeCount(starts, lengths, rows, path);
  if (data.buffer instanceof SharedArrayBuffer) refuse(path, 'is in shared memory');
  const available = data.length;
  let bytes = 0;
  for (let row = 0; row < rows; row += 1) {
    if (validity !== null && !isPresent(validity, row)) continue;
    const length = lengths[row] ?? 0;
    bytes += length + 8;
    if ((starts[row] ?? 0) + length > available) refuse(path, 'has a value that ends behind its data');
  }
  return bytes;
}

function checkStruct(column: StructVector, type: DataType, rows: number, path: string): number {
  if (typeof type === 'string' || type.type !== 'struct') refuse(path, 'is a struct where its type is none');
  if (column.children.length !== type.fields.length)
    refuse(path, 'has fewer or more children than its type has fields');
  return type.fields.reduce((bytes, field, index) => {
    const child = column.children[index];
    return bytes + (child === undefined ? 0 : checkVector(child, field.type, rows, `${path}.${field.name}`));
  }, 0);
}

function checkList(column: ListVector, type: DataType, rows: number, path: string): number {
  const element = childType(type);
  if (element === null) refuse(path, 'is a list where its type is none');
  checkRangeCount(column.starts, column.lengths, rows, path);
  let previousEnd = 0;
  for (let row = 0; row < rows; row += 1) {
    if (!isPresent(column.validity, row)) continue;
    const start = column.starts[row] ?? 0;
    if (start < previousEnd) refuse(path, 'has lists that do not ascend');
    previousEnd = start + (column.lengths[row] ?? 0);
    if (previousEnd > column.childCount) refuse(path, 'has a list that ends behind its child');
  }
  if (typeof type === 'object' && type.type === 'map') checkEntries(column, path);
  return rows * 16 + checkVector(column.child, element, column.childCount, `${path}[]`);
}

/** Entries and keys of a map are never null: a Parquet file could not hold them. */
function checkEntries(column: ListVector, path: string): void {
  const key = column.child.kind === 'struct' ? column.child.children[0] : undefined;
  for (const validity of [column.child.validity, key?.validity ?? null]) {
    for (let entry = 0; validity !== null && entry < column.childCount; entry += 1) {
      if (!isPresent(validity, entry)) refuse(path, 'is a map with a null key or entry');
    }
  }
}

function checkValidity(validity: Validity, rows: number, path: string): void {
  if (validity === null) return;
  if (validity.length < Math.ceil(rows / 8)) refuse(path, 'has a validity shorter than its rows');
  if (validity.buffer instanceof SharedArrayBuffer) refuse(path, 'is in shared memory');
}

function checkRangeCount(starts: Uint32Array, lengths: Uint32Array, rows: number, path: string): void {
  if (starts.length < rows || lengths.length < rows) refuse(path, 'has fewer ranges than rows');
}

function sameShape(left: StructType, right: StructType): boolean {
  return left === right || isDeepStrictEqual(shapeOf(left), shapeOf(right));
}

/** Names and types only: nullability and metadata do not matter to the engine. */
function shapeOf(type: DataType): unknown {
  if (typeof type === 'string') return type;
  switch (type.type) {
    case 'decimal':
      return [type.precision, type.scale];
    case 'array':
      return {array: shapeOf(type.elementType)};
    case 'map':
      return {map: [shapeOf(type.keyType), shapeOf(type.valueType)]};
    case 'struct':
      return type.fields.map((field) => [field.name, shapeOf(field.type)]);
  }
}

function refuse(path: string, what: string): never {
  throw new IngestError('CONTRACT_VIOLATION', `Column batch: ${path} ${what}.`, {
    fix: 'Correct what produces the batch.',
    context: {path},
  });
}
