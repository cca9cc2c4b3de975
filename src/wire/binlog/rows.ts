import {ByteReader} from './byte-reader.ts';
import {inflateMaria, isCompressedRows} from './compressed.ts';
import {EVENT, EVENT_HEADER, eventCode, rowsKind} from './events.ts';

/** Rows of an event, before they are read. */
export interface RowsEvent {
  readonly kind: 'write' | 'update' | 'delete';
  readonly columnCount: number;
  /** What the image before (update, delete) holds. */
  readonly before: RowImage;
  /** What the image after (write, update) holds. */
  readonly after: RowImage;
  /** At the first row. */
  readonly reader: ByteReader;
  readonly end: number;
}

/**
 * Reads the head of an event of rows, unpacking what MariaDB compressed. @param end where it ends, without checksum.
 * @throws RangeError for other events and for partial updates of JSON
 * @see https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Rows__event.html
 */
export function readRows(event: Buffer, end: number): RowsEvent {
  const code = eventCode(event);
  const kind = rowsKind(code);
  if (kind === null || code === EVENT.partialUpdateRows) throw new RangeError(`event ${code} holds no whole rows`);
  const reader = new ByteReader(event, EVENT_HEADER + 8);
  if (hasExtraHead(code)) reader.at += event.readUInt16LE(reader.at);
  const columnCount = reader.lengthEncoded();
  const width = (columnCount + 7) >> 3;
  const first = new RowImage(reader.take(width), columnCount);
  const second = kind === 'update' ? new RowImage(reader.take(width), columnCount) : first;
  const images = {before: first, after: second};
  if (!isCompressedRows(code)) return {kind, columnCount, ...images, reader, end};
  const plain = inflateMaria(event.subarray(reader.at, end));
  return {kind, columnCount, ...images, reader: new ByteReader(plain), end: plain.length};
}

/** Which columns the images of an event hold. */
export class RowImage {
  /** All columns. */
  readonly isWhole: boolean;
  /** Bytes of the NULL bits before the values: a bit for every column that is held. */
  readonly nullBytes: number;
  readonly #bits: Buffer;

  constructor(bits: Buffer, columnCount: number) {
    let held = 0;
    for (let index = 0; index < columnCount; index++) held += ((bits[index >> 3] ?? 0) >> (index & 7)) & 1;
    this.#bits = bits;
    this.isWhole = held === columnCount;
    this.nullBytes = (held + 7) >> 3;
  }

  holds(column: number): boolean {
    return (((this.#bits[column >> 3] ?? 0) >> (column & 7)) & 1) === 1;
  }
}

function hasExtraHead(code: number): boolean {
  const {writeRows, updateRows, deleteRows, mariaWriteRowsCompressed, mariaDeleteRowsCompressed} = EVENT;
  return (
    code === writeRows ||
    code === updateRows ||
    code === deleteRows ||
    (code >= mariaWriteRowsCompressed && code <= mariaDeleteRowsCompressed)
  );
}
