import type {ColumnBatch, ColumnVector} from '../core/columns.ts';
import {IngestError} from '../core/errors.ts';
import {isNested, landedType} from '../core/schema.ts';
import type {DataType, StructField} from '../core/types.ts';
import {convertVector, rescuedValues, type RescuedMembers} from './convert-vector.ts';
import type {LandingShape} from './landing.ts';

/** Columns of a page as they land. */
export interface ConvertedPage {
  /** In the order of the shape's columns. */
  readonly columns: readonly ColumnVector[];
  readonly rescued: readonly RescuedMembers[];
}

/**
 * The columns of a page in the order and with the types of what lands; columns that are of that type already are passed on.
 * @throws CONTRACT_VIOLATION when the page lacks a column.
 */
export function convertPage(
  batch: ColumnBatch,
  shape: Pick<LandingShape, 'schema' | 'ignored' | 'rescueUnknown'>,
): ConvertedPage {
  const rescued: RescuedMembers[] = [];
  const {rescueUnknown} = shape;
  const columns = shape.schema.fields.map((field) => {
    const {vector, from} = columnNamed(batch, field);
    if (isLaidOutAs(from, field.type)) return vector;
    const column = {name: field.name, from, to: field.type};
    const converted = convertVector(vector, column, {rowCount: batch.rowCount, rescueUnknown});
    rescued.push(...converted.rescued);
    return converted.vector;
  });
  if (!rescueUnknown) return {columns, rescued};
  const known = new Set([...shape.schema.fields.map((field) => field.name), ...shape.ignored]);
  batch.schema.fields.forEach(({name, type}, at) => {
    const vector = batch.columns[at];
    if (known.has(name) || vector === undefined) return;
    rescued.push(...rescuedValues(vector, {name, type: landedType(type)}, batch.rowCount));
  });
  return {columns, rescued};
}

function columnNamed(batch: ColumnBatch, field: StructField): {readonly vector: ColumnVector; readonly from: DataType} {
  const index = batch.schema.fields.findIndex((candidate) => candidate.name === field.name);
  const [vector, given] = [batch.columns[index], batch.schema.fields[index]];
  if (vector !== undefined && given !== undefined) return {vector, from: landedType(given.type)};
  throw new IngestError('CONTRACT_VIOLATION', `A page of columns lacks "${field.name}".`, {
    fix: 'Yield every column of getTableSchema that was asked for.',
    context: {column: field.name},
  });
}

/** True when vectors of both types are the same in memory: nullability does not show there. */
function isLaidOutAs(from: DataType, to: DataType): boolean {
  if (!isNested(from) || !isNested(to)) return isSamePrimitive(from, to);
  if (from.type === 'array' && to.type === 'array') return isLaidOutAs(from.elementType, to.elementType);
  if (from.type === 'map' && to.type === 'map')
    return isLaidOutAs(from.keyType, to.keyType) && isLaidOutAs(from.valueType, to.valueType);
  if (from.type !== 'struct' || to.type !== 'struct' || from.fields.length !== to.fields.length) return false;
  return from.fields.every((field, at) => {
    const other = to.fields[at];
    return other !== undefined && field.name === other.name && isLaidOutAs(field.type, other.type);
  });
}

function isSamePrimitive(from: DataType, to: DataType): boolean {
  if (typeof from === 'string' || typeof to === 'string') return from === to;
  if (from.type !== 'decimal' || to.type !== 'decimal') return false;
  return from.precision === to.precision && from.scale === to.scale;
}
