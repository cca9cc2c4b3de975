import type {ColumnBatch, IncrementBatch, RescuedCell, StructType, TableOptions} from '../../sdk/index.ts';
import {schemaChanged} from '../../sdk/index.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {tableSql, textOf} from './catalog.ts';
import {decodeRows} from './chunk-decoder.ts';
import {keyTextSql, landedType} from './column-type.ts';
import type {SourceCursor} from './cursor.ts';
import {hasMisfits} from './log-codec.ts';
import {RowWriter} from './row-format.ts';
import type {Cell, Session} from './session.ts';
import {columnSql, selectList} from './snapshot.ts';
import type {Doing} from './source-errors.ts';

/** What is read of a table, and how the rows are chosen. */
export interface TableRead {
  readonly table: SourceTable;
  readonly columns: readonly SourceColumn[];
  /** SQL condition; null for all rows. */
  readonly where: string | null;
  /** SQL expressions, ascending; empty: any order. */
  readonly orderBy?: readonly string[];
  /** SQL expressions that are read beside the columns. */
  readonly hidden?: readonly string[];
}

/** Rows of one batch. */
export interface ReadBatch {
  readonly batch: ColumnBatch;
  readonly rescued: readonly RescuedCell[];
  /** Values of the hidden expressions, a row each. */
  readonly hidden: readonly (readonly Cell[])[];
}

/** The columns that are read: those the framework asks for, else all. @throws SOURCE_SCHEMA_CHANGED when one has vanished. */
export function selectedColumns(
  all: readonly SourceColumn[],
  options: TableOptions,
  doing: Doing,
): readonly SourceColumn[] {
  const wanted = options['columns'];
  if (!Array.isArray(wanted)) return all;
  const names = new Set(wanted.map(String));
  const columns = all.filter((column) => names.has(column.name));
  if (columns.length !== names.size) throw schemaChanged(doing);
  return columns;
}

/** The columns as they land. */
export function landedSchema(columns: readonly SourceColumn[]): StructType {
  return {
    type: 'struct',
    fields: columns.map(({name, type, nullable}) => ({
      name,
      type: landedType(type),
      nullable: nullable || hasMisfits(type),
      metadata: {},
    })),
  };
}

/** Reads rows as column batches. A batch is overwritten when the next is asked for. */
export async function* readBatches(session: Session, read: TableRead, doing: Doing): AsyncGenerator<ReadBatch, void> {
  const {table, columns, where, orderBy = [], hidden = []} = read;
  const schema = landedSchema(columns);
  const list = [...(columns.length === 0 ? [] : [selectList(columns)]), ...hidden].join(', ');
  const sql = `select ${list} from ${tableSql(table)} as source${where === null ? '' : ` where ${where}`}${orderBy.length === 0 ? '' : ` order by ${orderBy.join(', ')}`}`;
  const writer = new RowWriter(1 << 20);
  for await (const rows of session.stream(sql, doing)) {
    writer.clear();
    for (const row of rows) writer.chunkRow(row.slice(0, columns.length));
    let at = 0;
    for await (const {batch, rescued} of decodeRows(table.name, schema, once(writer.bytes))) {
      yield {batch, rescued, hidden: rows.slice(at, at + batch.rowCount).map((row) => row.slice(columns.length))};
      at += batch.rowCount;
    }
  }
}

/** The hidden expressions of rows whose last place is wanted, and how they are read. */
export function placeOf({
  table,
  cursor,
  isNew,
}: {
  readonly table: SourceTable;
  readonly cursor: SourceCursor;
  readonly isNew: string;
}): {readonly hidden: readonly string[]; readonly read: (cells: readonly Cell[]) => IncrementBatch['last']} {
  const keys = keyColumns(table);
  return {
    hidden: [
      `case when ${isNew} then 1 else 0 end`,
      keyTextSql(cursor.column.type, cursor.sql),
      ...keys.map(({name, type}) => keyTextSql(type, columnSql(name))),
    ],
    read: (cells) => {
      if (cells.length === 0) return null;
      const [flag, value, ...key] = cells;
      return {
        isNew: flag === 1,
        value: value === null || value === undefined ? null : textOf(value),
        key: key.map(textOf),
      };
    },
  };
}

/** The columns of the key that the source enforces, in its order. */
export function keyColumns(table: SourceTable): readonly SourceColumn[] {
  return table.keys.flatMap((name) => table.columns.filter((column) => column.name === name));
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}
