import {parseJson, stringifyJson} from '../../core/json-reader.ts';
import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import {formatTimestamp} from '../../core/time-text.ts';
import type {Change} from '../contract.ts';
import {pathReader} from '../json-path.ts';
import type {RestTable} from './rest-spec.ts';

/** The key of a row as a text from which the row's key columns can be made again. */
export function keyCodec(table: RestTable): {
  readonly text: (row: JsonObject) => string;
  readonly row: (text: string) => JsonObject;
} {
  const readers = table.primaryKeys.map(pathReader);
  return {
    text: (row) => stringifyJson(readers.map((read) => read(row) ?? null)),
    row(text) {
      const values = parseJson(text);
      const list: readonly JsonValue[] = Array.isArray(values) ? values : [];
      return Object.fromEntries(table.primaryKeys.map((key, index) => [key, list[index] ?? null]));
    },
  };
}

/** Upserts of rows, all of one instant. */
export function upserts(rows: readonly JsonObject[], micros: bigint): readonly Change[] {
  const sequence = formatTimestamp(micros);
  return rows.map((row): Change => ({op: 'upsert', row, sequence}));
}

/** Deletes of keys, all of one instant. */
export function deletes(rows: readonly JsonObject[], micros: bigint): readonly Change[] {
  const sequence = formatTimestamp(micros);
  return rows.map((row): Change => ({op: 'delete', row, sequence}));
}
