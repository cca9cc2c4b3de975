import type {
  ColumnBatch,
  FlaggedRows,
  IncrementBatch,
  IncrementReader,
  QueryView,
  RescuedCell,
  StructType,
} from '../../sdk/index.ts';
import {keyColumns} from '../../sdk/index.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {numberOf, tableSql, textOf} from './catalog.ts';
import {decodeRows} from './chunk-decoder.ts';
import {keyTextSql, landedType} from './column-type.ts';
import type {SourceCursor} from './cursor.ts';
import {dialectOf} from './dialect.ts';
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

/** Runs queries in a view. */
export function readerOf(
  {session, source, columns, doing}: QueryView<Session, SourceColumn, SourceTable>,
  cursor: SourceCursor | null,
): IncrementReader {
  return {
    async *read({where, orderBy, isNew}): AsyncGenerator<IncrementBatch, void> {
      const place = isNew === null || cursor === null ? null : placeOf({table: source, cursor, isNew});
      const read = {table: source, columns, where, orderBy, hidden: place?.hidden ?? []};
      for await (const {batch, rescued, hidden} of readBatches(session, read, doing)) {
        const last = place?.read(hidden.at(-1) ?? []) ?? null;
        yield {page: {kind: 'columns', batch, rescued}, rowCount: batch.rowCount, last};
      }
    },
    async count(where) {
      const sql = `select convert(varchar(20), count_big(*)) from ${tableSql(source)} as source where ${where}`;
      return numberOf((await session.query(sql, doing))[0]?.[0]);
    },
    async compare(value, other) {
      if (cursor === null) return 'before';
      const dialect = dialectOf(source, cursor);
      const [left, right] = [dialect.cursorValue(value), dialect.cursorValue(other)];
      // The row that has the value: so the comparison is that of the column.
      const [row] = await session.query(
        `select top (1) case when ${cursor.sql} > ${right} then 'after' when ${cursor.sql} = ${right} then 'equal' else 'before' end from ${tableSql(source)} as source where ${cursor.sql} = ${left}`,
        doing,
      );
      const answer = row?.[0];
      return answer === 'after' || answer === 'equal' ? answer : 'before';
    },
  };
}

/** All rows of a view, and for which of them a condition holds. */
export async function* readFlagged(
  {session, source, columns, doing}: QueryView<Session, SourceColumn, SourceTable>,
  condition: string | null,
): AsyncGenerator<FlaggedRows, void> {
  const read = {
    table: source,
    columns,
    where: null,
    hidden: condition === null ? [] : [`case when ${condition} then 1 else 0 end`],
  };
  for await (const {batch, rescued, hidden} of readBatches(session, read, doing))
    yield {batch, rescued, holds: (row) => hidden[row]?.[0] !== 0};
}

/** The hidden expressions of rows whose last place is wanted, and how they are read. */
function placeOf({
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

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}
