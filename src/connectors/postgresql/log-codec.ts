import type {
  ColumnBatch,
  LogCodec,
  LogTable,
  RescuedCell,
  SnapshotToken,
  StructField,
  StructType,
} from '../../sdk/index.ts';
import {BINARY_ENCODING, IngestError, WIDE_TIMES} from '../../sdk/index.ts';
import {CopyDecoder} from './copy-decoder.ts';
import {sourceTypeOf} from './log-table.ts';
import {PgoutputDecoder} from './pgoutput-decoder.ts';
import {mapType} from './source-type.ts';

/** Name of the codec and version of its frames and chunks. */
export const CODEC = 'pgoutput/1';

/** Gives PostgreSQL's log messages and binary COPY data their types. */
export const pgCodec: LogCodec = {
  name: CODEC,
  schemaOf: (table) => ({
    schema: {type: 'struct', fields: table.columns.map((column) => fieldOf(column))},
    primaryKeys: table.columns.filter(({isKey}) => isKey).map(({name}) => name),
  }),
  isVisible: (transaction, snapshot) => isIn(BigInt(transaction), snapshot),
  createDecoder: (table) => new PgoutputDecoder(table),
  decodeChunk,
};

function fieldOf(column: LogTable['columns'][number]): StructField {
  const {type} = mapType(sourceTypeOf(column));
  return {name: column.name, type, nullable: column.isNullable, metadata: HINTS.get(type) ?? {}};
}

/** How values of these types are written in the changes of the decoder. */
const HINTS: ReadonlyMap<unknown, StructField['metadata']> = new Map<unknown, StructField['metadata']>([
  ['binary', {[BINARY_ENCODING]: 'hex'}],
  ['date', {[WIDE_TIMES]: true}],
  ['timestamp', {[WIDE_TIMES]: true}],
  ['timestamp_ntz', {[WIDE_TIMES]: true}],
]);

/** A snapshot as `pg_current_snapshot()` prints it. */
interface Visible {
  readonly text: string;
  readonly xmin: bigint;
  readonly xmax: bigint;
  readonly running: ReadonlySet<bigint>;
}

/** The same snapshot is asked about many transactions in a row. */
let last: Visible = {text: '', xmin: 0n, xmax: 0n, running: new Set()};

function isIn(xid: bigint, snapshot: SnapshotToken): boolean {
  if (snapshot !== last.text) last = parseSnapshot(snapshot);
  return xid < last.xmin || (xid < last.xmax && !last.running.has(xid));
}

function parseSnapshot(token: SnapshotToken): Visible {
  const [, xmin, xmax, running] = /^(\d+):(\d+):([\d,]*)$/.exec(typeof token === 'string' ? token : '') ?? [];
  if (typeof token !== 'string' || xmin === undefined || xmax === undefined || running === undefined) {
    throw new IngestError('STAGING_DAMAGED', 'A snapshot in staging is not one of PostgreSQL.', {
      fix: 'Refresh the table in full.',
    });
  }
  const ids = running.split(',').filter((id) => id !== '');
  return {text: token, xmin: BigInt(xmin), xmax: BigInt(xmax), running: new Set(ids.map(BigInt))};
}

/** Room behind the data: decoders read a few bytes past a value. */
const SLACK_BYTES = 64;

async function* decodeChunk(
  table: LogTable,
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<{readonly batch: ColumnBatch; readonly rescued: readonly RescuedCell[]}, void> {
  const {schema} = pgCodec.schemaOf(table);
  const columns = table.columns.map((column) => {
    const source = sourceTypeOf(column);
    return {name: column.name, mapping: mapType(source), nullable: column.isNullable, checkUtf8: source.checkUtf8};
  });
  const decoder = new CopyDecoder(columns, {checkUtf8: columns.some(({checkUtf8}) => checkUtf8)});
  let buffer = Buffer.allocUnsafe(1 << 20);
  let filled = 0;
  for await (const piece of bytes) {
    if (filled + piece.length + SLACK_BYTES > buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(filled + piece.length + SLACK_BYTES, buffer.length * 2));
      buffer.copy(larger, 0, 0, filled);
      buffer = larger;
    }
    buffer.set(piece, filled);
    filled += piece.length;
    const whole = wholeMessages(buffer, filled);
    for (const {batch, rescued} of decoder.decode({buffer, start: 0, end: whole})) {
      yield {batch: described(batch, schema), rescued};
    }
    buffer.copyWithin(0, whole, filled);
    filled -= whole;
  }
  if (filled > 0) {
    throw new IngestError('STAGING_DAMAGED', `A chunk of a snapshot of table "${table.name}" is cut off.`, {
      fix: 'Refresh the table in full.',
      context: {table: table.name},
    });
  }
}

/** How many bytes are whole CopyData messages. */
function wholeMessages(buffer: Buffer, end: number): number {
  let at = 0;
  while (at + 5 <= end) {
    const next = at + 1 + buffer.readUInt32BE(at + 1);
    if (next > end) break;
    at = next;
  }
  return at;
}

function described(batch: ColumnBatch, schema: StructType): ColumnBatch {
  return {schema, rowCount: batch.rowCount, columns: batch.columns};
}
