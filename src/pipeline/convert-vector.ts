import {cellAt, type Cell} from '../core/cells.ts';
import {createCoercer} from '../core/coerce.ts';
import type {ColumnVector} from '../core/columns.ts';
import {stringifyJson} from '../core/json-reader.ts';
import {ExactNumber, type JsonValue} from '../core/json-value.ts';
import {formatTimestamp} from '../core/time-text.ts';
import {RESCUED_COLUMN, type DataType, type StructField} from '../core/types.ts';

/** What did not fit of one row: members of the JSON object in `_rescued_data`, without the braces. */
export interface RescuedMembers {
  readonly row: number;
  readonly members: string;
  /** Values in `members`. */
  readonly count: number;
}

/** A column in another type, and what of it did not fit. */
export interface ConvertedVector {
  readonly vector: ColumnVector;
  readonly rescued: readonly RescuedMembers[];
}

/**
 * A column of one type as a column of another, by the rules for records: what the other type cannot hold is NULL and
 * rescued. For columns whose declared type is not the source's: slower than the way of columns that fit.
 */
export function convertVector(
  vector: ColumnVector,
  column: {readonly name: string; readonly from: DataType; readonly to: DataType},
  options: {readonly rowCount: number; readonly rescueUnknown: boolean},
): ConvertedVector {
  const {name, from, to} = column;
  const field: StructField = {name, type: to, nullable: true, metadata: {}};
  const rescuedField: StructField = {name: RESCUED_COLUMN, type: 'string', nullable: true, metadata: {}};
  const coercer = createCoercer(
    {type: 'struct', fields: [field, rescuedField]},
    {rescue: true, rescueUnknown: options.rescueUnknown, capacity: Math.max(1, options.rowCount)},
  );
  for (let row = 0; row < options.rowCount; row++) coercer.add({[name]: jsonOf(cellAt(vector, from, row), from)});
  const {batch, rescuedValues} = coercer.take();
  const [converted, misfits] = batch.columns;
  if (converted === undefined || misfits === undefined) throw new RangeError('A coercer gives a vector per column.');
  const rescued: RescuedMembers[] = [];
  for (let row = 0; rescuedValues > 0 && row < options.rowCount; row++) {
    const text = cellAt(misfits, 'string', row);
    if (typeof text === 'string') rescued.push({row, members: text.slice(1, -1), count: countOf(text)});
  }
  return {vector: converted, rescued};
}

/** The values of a column that nobody stores, to be rescued. */
export function rescuedValues(
  vector: ColumnVector,
  column: {readonly name: string; readonly type: DataType},
  rowCount: number,
): readonly RescuedMembers[] {
  const rescued: RescuedMembers[] = [];
  for (let row = 0; row < rowCount; row++) {
    const cell = cellAt(vector, column.type, row);
    if (cell === null) continue;
    rescued.push({
      row,
      members: `${JSON.stringify(column.name)}:${stringifyJson(jsonOf(cell, column.type))}`,
      count: 1,
    });
  }
  return rescued;
}

function countOf(text: string): number {
  return Object.keys(JSON.parse(text) as object).length;
}

const MICROS_PER_DAY = 86_400_000_000n;

/** A cell as a connector that gives records would write it. */
function jsonOf(cell: Cell, type: DataType): JsonValue {
  if (cell === null) return null;
  if (typeof type === 'string') return primitiveJson(cell, type);
  switch (type.type) {
    case 'decimal':
      return new ExactNumber(String(cell));
    case 'array':
      return (cell as readonly Cell[]).map((each) => jsonOf(each, type.elementType));
    case 'map': {
      const entries = cell as readonly {readonly key: Cell; readonly value: Cell}[];
      const keyText = (key: Cell): string => {
        const json = jsonOf(key, type.keyType);
        return typeof json === 'string' ? json : stringifyJson(json);
      };
      return Object.fromEntries(entries.map(({key, value}) => [keyText(key), jsonOf(value, type.valueType)]));
    }
    case 'struct': {
      const fields = cell as Readonly<Record<string, Cell>>;
      return Object.fromEntries(
        type.fields.map((field) => [field.name, jsonOf(fields[field.name] ?? null, field.type)]),
      );
    }
  }
}

function primitiveJson(cell: Cell, type: DataType): JsonValue {
  switch (type) {
    case 'timestamp':
      return formatTimestamp(BigInt(cell as bigint));
    case 'timestamp_ntz':
      return formatTimestamp(BigInt(cell as bigint)).slice(0, -1);
    case 'date':
      return formatTimestamp(BigInt(cell as number) * MICROS_PER_DAY).slice(0, 10);
    case 'binary':
      return Buffer.from(cell as Uint8Array).toString('base64');
    case 'float':
    case 'double':
      return Number.isFinite(cell as number) ? (cell as number) : String(cell);
    default:
      return cell as JsonValue;
  }
}
