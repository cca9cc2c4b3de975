import {createHash} from 'node:crypto';

import {stringifyJson} from '../../core/json-reader.ts';
import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import type {CursorValue} from '../cursor.ts';
import {pathReader} from '../json-path.ts';
import type {JsonPath} from './rest-request.ts';
import type {RestTable} from './rest-spec.ts';

/** A text that is equal for equal identities of records: their values at some paths, or the whole record without paths. */
export function identityOf(paths: readonly JsonPath[]): (record: JsonObject) => string {
  const readers = paths.map(pathReader);
  const [only] = readers;
  if (only === undefined) return (record) => stringifyJson(record);
  if (readers.length === 1) return (record) => textOf(only(record));
  return (record) => JSON.stringify(readers.map((read) => textOf(read(record))));
}

/** The identity that a plan names, else the table's key. */
export function planIdentity(id: readonly JsonPath[] | undefined, table: RestTable): (record: JsonObject) => string {
  return identityOf(id ?? table.primaryKeys);
}

/** Names a row of an append table, whose id is unique only among rows of one value of the cursor: a row that changed is appended again. */
export function versionOf(value: CursorValue | null, id: string): string {
  return `${value ?? ''} ${id}`;
}

/** Short for the whole record: equal records have equal digests. */
export function digestOf(record: JsonObject): string {
  return createHash('sha256').update(stringifyJson(record)).digest('base64');
}

function textOf(value: JsonValue | undefined): string {
  if (typeof value === 'string') return value;
  return value === undefined ? '' : stringifyJson(value);
}
