import type {Change, JsonObject, JsonValue, LogDecoder, LogTable} from '../../sdk/index.ts';
import {IngestError} from '../../sdk/index.ts';
import {sourceTypeOf} from './log-table.ts';
import {MESSAGE} from './pgoutput-frames.ts';
import type {SlicedBuffer, TextDecoder} from './text-decoders.ts';
import {textDecoder} from './text-decoders.ts';

/** Kinds of a tuple in a message: the new row, the old key, the old row. */
const TUPLE = {new: 0x4e, key: 0x4b, old: 0x4f} as const;
/** Kinds of a value. */
const VALUE = {null: 0x6e, unchanged: 0x75, text: 0x74} as const;

interface Column {
  readonly name: string;
  readonly isKey: boolean;
  readonly decode: TextDecoder;
}

/** Makes a row of a table from the values of its columns, in their order. */
type RowMaker = (values: readonly (JsonValue | undefined)[]) => Record<string, JsonValue>;

/**
 * Generates an object literal as code: all rows have one shape from the start, where adding column by column looks each name up. Names
 * enter the code as JSON literals only.
 */
function rowMaker(names: readonly string[], isWanted: (index: number) => boolean): RowMaker {
  const members = names.flatMap((name, index) => (isWanted(index) ? [`${memberName(name)}: values[${index}]`] : []));
  // oxlint-disable-next-line typescript/no-implied-eval -- only JSON literals and numbers of ours become code
  return new Function('values', `"use strict"; return {${members.join(', ')}};`) as RowMaker;
}

/** `__proto__` is a member like others only in brackets. */
function memberName(name: string): string {
  return name === '__proto__' ? `["__proto__"]` : JSON.stringify(name);
}

function present(row: Readonly<Record<string, JsonValue | undefined>>): Record<string, JsonValue> {
  return Object.fromEntries(
    Object.entries(row).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

/** Decodes the insert, update and delete messages of one table. */
export class PgoutputDecoder implements LogDecoder {
  #table = '';
  #columns: readonly Column[] = [];
  /** Of the tuple that is read; undefined: it says nothing of the column. */
  #values: (JsonValue | undefined)[] = [];
  #rowOf: RowMaker = () => ({});
  #keyOf: RowMaker = () => ({});
  #keyCount = 0;
  #hasKey = false;
  #at = 0;
  /** Columns of the last tuple whose value the log left out; null: none. */
  #left: string[] | null = null;

  constructor(table: LogTable) {
    this.describe(table);
  }

  describe({name, columns}: LogTable): void {
    this.#table = name;
    this.#columns = columns.map((column) => ({
      name: column.name,
      isKey: column.isKey,
      decode: textDecoder(sourceTypeOf(column)),
    }));
    this.#hasKey = columns.some((column) => column.isKey);
    this.#values = columns.map(() => null);
    const names = columns.map((column) => column.name);
    this.#rowOf = rowMaker(names, () => true);
    this.#keyOf = rowMaker(names, (index) => columns[index]?.isKey === true);
    this.#keyCount = columns.filter((column) => column.isKey).length;
  }

  decode(payload: Uint8Array, out: Change[]): void {
    const bytes = (
      Buffer.isBuffer(payload) ? payload : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
    ) as SlicedBuffer;
    this.#at = 5;
    switch (bytes[0]) {
      case MESSAGE.insert:
        out.push(this.#insert(bytes));
        return;
      case MESSAGE.update:
        out.push(this.#update(bytes));
        return;
      case MESSAGE.delete:
        out.push(this.#delete(bytes));
        return;
      default:
        throw this.#broken();
    }
  }

  #insert(bytes: SlicedBuffer): Change {
    if (bytes[this.#at++] !== TUPLE.new) throw this.#broken();
    return {op: 'upsert', row: this.#tuple(bytes, false), isInsert: true};
  }

  #update(bytes: SlicedBuffer): Change {
    const kind = bytes[this.#at++];
    if (kind === TUPLE.new) return this.#upsert(this.#tuple(bytes, false), null);
    if (kind !== TUPLE.key && kind !== TUPLE.old) throw this.#broken();
    const old = this.#tuple(bytes, kind === TUPLE.key);
    if (bytes[this.#at++] !== TUPLE.new) throw this.#broken();
    const row = this.#tuple(bytes, false);
    if (kind === TUPLE.old) this.#fill(row, old);
    return this.#upsert(row, old);
  }

  #upsert(row: Record<string, JsonValue>, old: JsonObject | null): Change {
    const oldKey = old === null ? null : this.#changedKey(row, old);
    const left = this.#left;
    if (oldKey === null && left === null) return {op: 'upsert', row};
    return {
      op: 'upsert',
      row,
      ...(oldKey !== null && {oldKey}),
      ...(left !== null && {unchanged: left}),
    };
  }

  #delete(bytes: SlicedBuffer): Change {
    const kind = bytes[this.#at++];
    if (kind !== TUPLE.key && kind !== TUPLE.old) throw this.#broken();
    return {op: 'delete', row: this.#tuple(bytes, kind === TUPLE.key)};
  }

  /** With the old row in the log nothing of the new one is unknown. */
  #fill(row: Record<string, JsonValue>, old: JsonObject): void {
    const left = this.#left?.filter((name) => {
      const value = old[name];
      if (value === undefined) return true;
      row[name] = value;
      return false;
    });
    this.#left = left === undefined || left.length === 0 ? null : left;
  }

  /** The key before, or the row before where there is no key; null when nothing of it changed. */
  #changedKey(row: JsonObject, old: JsonObject): JsonObject | null {
    if (!this.#hasKey) return old;
    const keys = this.#columns.filter(({isKey}) => isKey);
    // A key value that was left out did not change.
    if (keys.every(({name}) => row[name] === undefined || row[name] === old[name])) return null;
    return Object.fromEntries(keys.map(({name}) => [name, old[name]]));
  }

  /** Reads a tuple. In one that has only the key all other columns are null without meaning it. */
  #tuple(bytes: SlicedBuffer, isKeyOnly: boolean): Record<string, JsonValue> {
    const columns = this.#columns;
    const values = this.#values;
    this.#left = null;
    if (bytes.readUInt16BE(this.#at) !== columns.length) throw this.#broken();
    let at = this.#at + 2;
    let absent = 0;
    for (let index = 0; index < columns.length; index++) {
      const column = columns[index] as Column;
      const kind = bytes[at++];
      if (kind === VALUE.text) {
        const start = at + 4;
        at = start + bytes.readUInt32BE(at);
        if (at > bytes.length) throw this.#broken();
        values[index] = column.decode(bytes, start, at);
        continue;
      }
      if (kind === VALUE.unchanged) (this.#left ??= []).push(column.name);
      else if (kind !== VALUE.null) throw this.#broken();
      const isAbsent = kind === VALUE.unchanged || (isKeyOnly && !column.isKey);
      values[index] = isAbsent ? undefined : null;
      if (isAbsent) absent++;
    }
    this.#at = at;
    if (absent === 0) return this.#rowOf(values);
    const isWholeKey = isKeyOnly && this.#left === null && columns.length - absent === this.#keyCount;
    return isWholeKey ? this.#keyOf(values) : present(this.#rowOf(values));
  }

  #broken(): IngestError {
    return new IngestError(
      'BAD_RECORD',
      `The log holds a change of table "${this.#table}" that does not have its columns.`,
      {
        fix: 'Refresh the table in full.',
        context: {table: this.#table},
      },
    );
  }
}
