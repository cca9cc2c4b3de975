import type {ColumnBatch, LogTable, RescuedCell, StructType} from '../../sdk/index.ts';
import {TYPE} from '../../wire/binlog/table-map.ts';
import type {SourceColumn} from './catalog.ts';
import {decodeRows} from './chunk-decoder.ts';
import {landedType, typeToJson} from './column-type.ts';
import {columnSql} from './keyset.ts';
import {hasMisfits} from './log-codec.ts';
import type {Session} from './session.ts';
import type {Doing} from './source-errors.ts';

/** What is read of a table, and how the rows are chosen. */
export interface TableRead {
  /** SQL after FROM: the table, conditions, order. */
  readonly from: string;
  readonly columns: readonly SourceColumn[];
  /** SQL expressions whose texts are read along, see {@link ReadBatch.hiddenText}. */
  readonly hidden?: readonly string[];
}

/** Rows of one batch. Everything in it is overwritten when the next one is asked for. */
export interface ReadBatch {
  readonly batch: ColumnBatch;
  readonly rescued: readonly RescuedCell[];
  /** Text of hidden expression `index` in a row. */
  readonly hiddenText: (index: number, row: number) => string | null;
}

/** The columns as they land. */
export function landedSchema(columns: readonly SourceColumn[]): StructType {
  return {
    type: 'struct',
    fields: columns.map(({name, type, nullable, comment}) => ({
      name,
      type: landedType(type),
      nullable: nullable || hasMisfits(type),
      metadata: comment === null ? {} : {comment},
    })),
  };
}

/** Reads rows as column batches. A batch is overwritten when the next is asked for. */
export async function* readBatches(session: Session, read: TableRead, doing: Doing): AsyncGenerator<ReadBatch, void> {
  const {columns, hidden = []} = read;
  const list = [...columns.map(({name}) => columnSql(name)), ...hidden.map((sql) => `cast(${sql} as char)`)];
  const schema = landedSchema(columns);
  const bytes = rowBytes(session, `select ${list.join(', ')} from ${read.from}`, doing);
  for await (const {batch, rescued} of decodeRows(resultTable(columns, hidden.length), schema, bytes)) {
    yield {
      batch: {...batch, columns: batch.columns.slice(0, columns.length)},
      rescued,
      hiddenText(index, row) {
        const vector = batch.columns[columns.length + index];
        if (vector?.kind !== 'bytes') return null;
        if (vector.validity !== null && (((vector.validity[row >> 3] ?? 0) >> (row & 7)) & 1) === 0) return null;
        const start = vector.starts[row] ?? 0;
        return Buffer.from(vector.data.subarray(start, start + (vector.lengths[row] ?? 0))).toString('utf8');
      },
    };
  }
}

async function* rowBytes(session: Session, sql: string, doing: Doing): AsyncGenerator<Uint8Array, void> {
  for await (const {bytes} of session.binaryRows(sql, doing)) yield bytes;
}

/** The columns of the result as the decoder of rows takes them. */
function resultTable(columns: readonly SourceColumn[], hidden: number): LogTable {
  const text = {code: TYPE.blob, meta: 4, isUnsigned: false, collation: 45, labels: [], hidden: null};
  const types = [
    ...columns.map(({name, type}) => ({name, type})),
    ...Array.from({length: hidden}, () => ({name: '', type: text})),
  ];
  return {
    id: 0,
    namespace: [],
    name: 'result',
    identity: 'none',
    columns: types.map(({name, type}) => ({name, type: typeToJson(type), isKey: false, isNullable: true})),
  };
}
