import type {DuckDBDataChunk, DuckDBType} from '@duckdb/node-api';

import {duckDb} from './duckdb-api.ts';
import type {EngineRow} from './engine.ts';

const {DuckDBTypeId} = duckDb;

/** Turns one value of DuckDB's into ours; never called with null. */
type Conversion = (value: unknown) => unknown;

/** One result column: its name and how its values convert; null leaves them as they are. */
export interface ResultColumn {
  readonly name: string;
  readonly conversion: Conversion | null;
}

/** How the columns of a result convert to what {@link EngineRow} says. */
export function resultColumns(names: readonly string[], types: readonly DuckDBType[]): readonly ResultColumn[] {
  return names.map((name, index) => ({name, conversion: conversionOf(types[index])}));
}

/** The rows of a chunk. */
export function chunkRows(chunk: DuckDBDataChunk, columns: readonly ResultColumn[]): readonly EngineRow[] {
  const rows: Record<string, unknown>[] = Array.from({length: chunk.rowCount}, () => ({}));
  columns.forEach(({name, conversion}, index) => {
    const values: readonly unknown[] = chunk.getColumnValues(index);
    rows.forEach((row, at) => {
      const value = values[at] ?? null;
      row[name] = value === null || conversion === null ? value : conversion(value);
    });
  });
  return rows;
}

function conversionOf(type: DuckDBType | undefined): Conversion | null {
  if (type === undefined) return null;
  switch (type.typeId) {
    case DuckDBTypeId.STRUCT:
      return structConversion(type.entryNames, type.entryTypes.map(conversionOf));
    case DuckDBTypeId.MAP:
      return mapConversion(conversionOf(type.keyType), conversionOf(type.valueType));
    case DuckDBTypeId.LIST:
    case DuckDBTypeId.ARRAY:
      return listConversion(conversionOf(type.valueType));
    default:
      return SCALAR_CONVERSIONS[type.typeId] ?? null;
  }
}

const micros: Conversion = (value) => (value as {micros: bigint}).micros;

/** By type id; types without an entry stay what DuckDB gives: boolean, number, bigint, string. */
const SCALAR_CONVERSIONS: Readonly<Record<number, Conversion>> = {
  [DuckDBTypeId.DECIMAL]: String,
  [DuckDBTypeId.DATE]: (value) => (value as {days: number}).days,
  [DuckDBTypeId.TIMESTAMP]: micros,
  [DuckDBTypeId.TIMESTAMP_TZ]: micros,
  [DuckDBTypeId.TIMESTAMP_S]: (value) => (value as {seconds: bigint}).seconds * 1_000_000n,
  [DuckDBTypeId.TIMESTAMP_MS]: (value) => (value as {millis: bigint}).millis * 1000n,
  [DuckDBTypeId.TIMESTAMP_NS]: (value) => floorDivide((value as {nanos: bigint}).nanos, 1000n),
  [DuckDBTypeId.TIME]: micros,
  [DuckDBTypeId.TIME_TZ]: String,
  [DuckDBTypeId.INTERVAL]: String,
  [DuckDBTypeId.UUID]: String,
  [DuckDBTypeId.BIT]: String,
  // Copied: small blobs are views of memory that DuckDB takes back with the chunk.
  [DuckDBTypeId.BLOB]: (value) => Uint8Array.from((value as {bytes: Uint8Array}).bytes),
};

function structConversion(names: readonly string[], conversions: readonly (Conversion | null)[]): Conversion {
  return (value) => {
    const {entries} = value as {entries: Readonly<Record<string, unknown>>};
    return Object.fromEntries(names.map((name, index) => [name, converted(entries[name], conversions[index] ?? null)]));
  };
}

function mapConversion(key: Conversion | null, inner: Conversion | null): Conversion {
  return (value) => {
    const {entries} = value as {entries: readonly {readonly key: unknown; readonly value: unknown}[]};
    return entries.map((entry) => ({key: converted(entry.key, key), value: converted(entry.value, inner)}));
  };
}

function listConversion(element: Conversion | null): Conversion {
  return (value) => (value as {items: readonly unknown[]}).items.map((item) => converted(item, element));
}

function converted(value: unknown, conversion: Conversion | null): unknown {
  return value === null || value === undefined ? null : conversion === null ? value : conversion(value);
}

function floorDivide(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor;
  return value % divisor < 0n ? quotient - 1n : quotient;
}
