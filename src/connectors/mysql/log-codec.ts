import type {
  Change,
  ColumnBatch,
  JsonValue,
  LogCodec,
  LogDecoder,
  LogTable,
  RescuedCell,
  SnapshotToken,
  StructType,
} from '../../sdk/index.ts';
import {IngestError} from '../../sdk/index.ts';
import type {ByteReader} from '../../wire/binlog/byte-reader.ts';
import type {Cell, CellReader} from '../../wire/binlog/cell-readers.ts';
import {cellReader} from '../../wire/binlog/cell-readers.ts';
import {emptyMariaSet, parseGtidSet} from '../../wire/binlog/gtid.ts';
import type {RowImage, RowsEvent} from '../../wire/binlog/rows.ts';
import {readRows} from '../../wire/binlog/rows.ts';
import {TYPE} from '../../wire/binlog/table-map.ts';
import {decodeRows} from './chunk-decoder.ts';
import type {ColumnType} from './column-type.ts';
import {isBytes, landedType, toBinlogColumn, typeFromJson} from './column-type.ts';
import {hiddenText} from './hidden-types.ts';
import {fieldsOf} from './log-point.ts';

/** Names the form of the frames and chunks of this connector. */
export const CODEC_NAME = 'binlog/1';

/** Types what was staged from a binary log. */
export const binlogCodec: LogCodec = {
  name: CODEC_NAME,
  schemaOf: schemaOfTable,
  isVisible,
  createDecoder: (table) => new BinlogDecoder(table),
  decodeChunk(
    table: LogTable,
    bytes: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<{readonly batch: ColumnBatch; readonly rescued?: readonly RescuedCell[]}, void> {
    return decodeRows(table, schemaOfTable(table).schema, bytes);
  },
};

/** The columns of a table as they land. */
function schemaOfTable(table: LogTable): {readonly schema: StructType; readonly primaryKeys: readonly string[]} {
  return {
    schema: {
      type: 'struct',
      fields: table.columns.map(({name, type, isNullable}) => ({
        name,
        type: landedType(typeFromJson(type)),
        // Dates that no calendar has land as NULL.
        nullable: isNullable || hasMisfits(typeFromJson(type)),
        metadata: {},
      })),
    },
    primaryKeys: table.columns.filter(({isKey}) => isKey).map(({name}) => name),
  };
}

/** Values exist that the landed type cannot hold: zero dates. */
export function hasMisfits({code}: ColumnType): boolean {
  return (
    code === TYPE.date ||
    code === TYPE.datetime ||
    code === TYPE.datetime2 ||
    code === TYPE.timestamp ||
    code === TYPE.timestamp2
  );
}

/** A snapshot's token is the set of transactions that its view saw. */
function isVisible(transaction: string, snapshot: SnapshotToken): boolean {
  const {gtids} = fieldsOf(snapshot);
  if (typeof gtids !== 'string') {
    throw new IngestError('STAGING_DAMAGED', 'What a snapshot saw cannot be read.', {
      fix: 'Refresh the table in full.',
    });
  }
  if (gtids !== last.text) last = {text: gtids, set: gtids === '' ? emptyMariaSet() : parseGtidSet(gtids)};
  return last.set.has(transaction);
}

/** The set that was asked last: questions come in runs. */
let last = {text: '', set: emptyMariaSet()};

interface DecodedColumn {
  readonly name: string;
  readonly isKey: boolean;
  readonly reader: CellReader;
  /** Gives a value the form that it has in JSON; null where it has it already. */
  readonly convert: ((cell: Cell) => JsonValue) | null;
}

type Row = Record<string, JsonValue>;

/** Decodes rows events of one table. */
class BinlogDecoder implements LogDecoder {
  #table: LogTable;
  #columns: readonly DecodedColumn[] = [];
  #keys: readonly string[] = [];

  constructor(table: LogTable) {
    this.#table = table;
    this.describe(table);
  }

  describe(table: LogTable): void {
    this.#table = table;
    this.#columns = table.columns.map(({name, type: json, isKey, isNullable}) => {
      const type = typeFromJson(json);
      return {name, isKey, reader: cellReader(toBinlogColumn(name, isNullable, type)), convert: conversion(type)};
    });
    this.#keys = table.columns.filter(({isKey}) => isKey).map(({name}) => name);
  }

  decode(payload: Uint8Array, out: Change[]): void {
    try {
      const event = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
      const rows = readRows(event, event.length);
      if (rows.columnCount !== this.#columns.length) throw new RangeError('the number of columns differs');
      while (rows.reader.at < rows.end) out.push(this.#change(rows));
    } catch (error) {
      if (!(error instanceof RangeError) && !(error instanceof TypeError)) throw error;
      const {namespace, name} = this.#table;
      throw new IngestError('BAD_RECORD', `A change of table "${[...namespace, name].join('.')}" cannot be read.`, {
        cause: error,
        fix: 'Refresh the table in full.',
      });
    }
  }

  #change({kind, before, after, reader}: RowsEvent): Change {
    if (kind === 'write') {
      const row = this.#image(reader, after);
      return after.isWhole
        ? {op: 'upsert', row, isInsert: true}
        : {op: 'upsert', row, isInsert: true, ...this.#unchanged(row)};
    }
    if (kind === 'delete') return {op: 'delete', row: this.#image(reader, before)};
    const keys = this.#keys;
    const hasKey = keys.length > 0;
    const old = this.#image(reader, before, hasKey);
    const row = this.#image(reader, after);
    for (const key of keys) if (row[key] === undefined) row[key] = old[key] ?? null;
    const isSame = hasKey && keys.every((key) => old[key] === row[key]);
    const change: Change = isSame ? {op: 'upsert', row} : {op: 'upsert', row, oldKey: old};
    return after.isWhole ? change : {...change, ...this.#unchanged(row)};
  }

  /** Reads one image of a row; columns that it leaves out stay away. */
  #image(reader: ByteReader, image: RowImage, keysOnly = false): Row {
    const {bytes} = reader;
    const nulls = reader.at;
    reader.at += image.nullBytes;
    const columns = this.#columns;
    const row: Row = {};
    let held = 0;
    for (let index = 0; index < columns.length; index++) {
      const column = columns[index] as DecodedColumn;
      if (!image.isWhole && !image.holds(index)) continue;
      const isNull = (((bytes[nulls + (held >> 3)] as number) >> (held & 7)) & 1) === 1;
      held++;
      if (keysOnly && !column.isKey) {
        if (!isNull) column.reader.skip(reader);
      } else if (isNull) row[column.name] = null;
      else {
        const cell = column.reader.read(reader);
        row[column.name] = column.convert === null ? (cell as Exclude<Cell, Buffer>) : column.convert(cell);
      }
    }
    return row;
  }

  /** Columns that the log left out because they did not change. */
  #unchanged(row: Row): {readonly unchanged?: readonly string[]} {
    const absent = this.#columns.filter(({name}) => row[name] === undefined).map(({name}) => name);
    return absent.length === 0 ? {} : {unchanged: absent};
  }
}

function conversion(type: ColumnType): DecodedColumn['convert'] {
  const {hidden} = type;
  if (hidden !== null) return (cell) => (Buffer.isBuffer(cell) ? hiddenText(hidden, cell) : null);
  if (type.code === TYPE.bit && type.meta === 1) return (cell) => Buffer.isBuffer(cell) && cell[0] === 1;
  return isBytes(type) ? (cell) => (Buffer.isBuffer(cell) ? cell.toString('base64') : null) : null;
}
