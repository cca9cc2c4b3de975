import type {
  Change,
  DataType,
  JsonValue,
  LogCodec,
  LogDecoder,
  LogTable,
  SnapshotToken,
  StructType,
} from '../../sdk/index.ts';
import {IngestError} from '../../sdk/index.ts';
import {decodeRows} from './chunk-decoder.ts';
import type {ColumnType} from './column-type.ts';
import {landedType, typeFromJson} from './column-type.ts';
import {fieldsOf, markOfName} from './log-mark.ts';
import {badRecord, CHANGE, RowReader} from './row-format.ts';

/** Names the form of the frames and chunks of this connector. */
export const CODEC_NAME = 'sqlserver/1';

/** Types what was staged from SQL Server. */
export const sqlServerCodec: LogCodec = {
  name: CODEC_NAME,
  schemaOf: schemaOfTable,
  isVisible,
  createDecoder: (table) => new RowChangeDecoder(table),
  decodeChunk: (table, bytes) => decodeRows(table.name, schemaOfTable(table).schema, bytes),
};

/** The columns of a table as they land. */
function schemaOfTable(table: LogTable): {readonly schema: StructType; readonly primaryKeys: readonly string[]} {
  return {
    schema: {
      type: 'struct',
      fields: table.columns.map(({name, type, isNullable}) => {
        const source = typeFromJson(type);
        return {name, type: landedType(source), nullable: isNullable || hasMisfits(source), metadata: {}};
      }),
    },
    primaryKeys: table.columns.filter(({isKey}) => isKey).map(({name}) => name),
  };
}

/** Values exist that the landed type cannot hold: times with an offset may lie outside of the years 1 to 9999 in UTC. */
export function hasMisfits({name}: ColumnType): boolean {
  return name === 'datetimeoffset';
}

/**
 * A snapshot's token is the mark up to which its view saw all, and nothing else. What the other method told of a table is from before
 * the snapshot: with its method a table is read anew.
 */
function isVisible(transaction: string, snapshot: SnapshotToken): boolean {
  const {mark, method} = fieldsOf(snapshot);
  if (typeof mark !== 'string') {
    throw new IngestError('STAGING_DAMAGED', 'What a snapshot saw cannot be read.', {
      fix: 'Refresh the table in full.',
    });
  }
  const told = markOfName(transaction);
  // Tokens had no method when a log had one.
  if (method !== undefined && method !== told.method) return true;
  return told.mark <= BigInt(mark);
}

interface DecodedColumn {
  readonly name: string;
  readonly isKey: boolean;
  readonly read: (reader: RowReader) => JsonValue;
}

type Row = Record<string, JsonValue>;

/** Decodes the changes of one table. */
class RowChangeDecoder implements LogDecoder {
  #name: string;
  #columns: readonly DecodedColumn[] = [];
  #keys: readonly string[] = [];

  constructor(table: LogTable) {
    this.#name = table.name;
    this.describe(table);
  }

  describe(table: LogTable): void {
    this.#name = table.name;
    this.#columns = table.columns.map(({name, type, isKey}) => ({
      name,
      isKey,
      read: valueReader(landedType(typeFromJson(type))),
    }));
    this.#keys = table.columns.filter(({isKey}) => isKey).map(({name}) => name);
  }

  decode(payload: Uint8Array, out: Change[]): void {
    try {
      const reader = new RowReader(payload, 1);
      out.push(this.#change(payload[0] ?? 0, reader));
      if (reader.at !== payload.length) throw new RangeError('a change has more columns than its table');
    } catch (error) {
      if (error instanceof RangeError || error instanceof SyntaxError) throw badRecord(this.#name, error);
      throw error;
    }
  }

  #change(kind: number, reader: RowReader): Change {
    switch (kind) {
      case CHANGE.insert:
        return {op: 'upsert', isInsert: true, ...this.#row(reader)};
      case CHANGE.update:
        return {op: 'upsert', ...this.#row(reader)};
      case CHANGE.delete: {
        const {row} = this.#row(reader);
        // Change tracking knows the keys alone of a row that is gone.
        return {op: 'delete', row: this.#keys.length === 0 ? row : this.#keyOf(row)};
      }
      case CHANGE.updateWithOld: {
        const old = this.#row(reader).row;
        const {row, unchanged} = this.#row(reader);
        const isMoved = this.#keys.length === 0 || this.#keys.some((key) => old[key] !== row[key]);
        const oldKey = this.#keys.length === 0 ? old : this.#keyOf(old);
        return {op: 'upsert', row, ...(isMoved && {oldKey}), ...(unchanged !== undefined && {unchanged})};
      }
      default:
        throw new RangeError('a change of an unknown kind');
    }
  }

  #keyOf(row: Row): Row {
    return Object.fromEntries(this.#keys.map((key) => [key, row[key] ?? null]));
  }

  #row(reader: RowReader): {readonly row: Row; readonly unchanged?: readonly string[]} {
    const row: Row = {};
    const unchanged: string[] = [];
    for (const {name, read} of this.#columns) {
      const state = reader.next();
      if (state === 'value') row[name] = read(reader);
      else if (state === 'null') row[name] = null;
      else unchanged.push(name);
    }
    return unchanged.length === 0 ? {row} : {row, unchanged};
  }
}

/** How a value of a landed type stands in JSON. */
function valueReader(type: DataType): (reader: RowReader) => JsonValue {
  switch (type) {
    case 'boolean':
      return (reader) => reader.ascii() === '1';
    case 'short':
    case 'integer':
    case 'float':
    case 'double':
      return (reader) => Number(reader.ascii());
    case 'long':
      return (reader) => BigInt(reader.ascii());
    case 'binary':
      return ({bytes, start, end}) => bytes.toString('base64', start, end);
    default:
      return (reader) => reader.text();
  }
}
