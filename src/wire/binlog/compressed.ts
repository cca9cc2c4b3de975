import {inflateSync} from 'node:zlib';

import {decompress} from 'fzstd';

import {ByteReader} from './byte-reader.ts';
import {EVENT, EVENT_HEADER, eventCode, queryHead} from './events.ts';

/**
 * Bytes that MariaDB compressed: a byte with the method (0: zlib) and the width of the length, the length, the stream.
 * @see https://mariadb.com/docs/server/server-management/server-monitoring-logs/binary-log/compressing-events-to-reduce-size-of-the-binary-log
 */
export function inflateMaria(bytes: Buffer): Buffer {
  const width = (bytes[0] ?? 0) & 0x07;
  return inflateSync(bytes.subarray(1 + width));
}

/** The statement of a compressed QUERY event of MariaDB. @param end where the event ends, without checksum. */
export function inflateQuery(event: Buffer, end: number): {readonly database: string; readonly sql: string} {
  const {database, at} = queryHead(event);
  return {database, sql: inflateMaria(event.subarray(at, end)).toString('utf8')};
}

/** True when rows of the event are compressed by MariaDB. */
export function isCompressedRows(code: number): boolean {
  return code >= EVENT.mariaWriteRowsCompressedV1 && code <= EVENT.mariaDeleteRowsCompressed;
}

/**
 * The events within a TRANSACTION_PAYLOAD event; they have no checksums. @param end where the event ends, without checksum.
 * @see https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Transaction__payload__event.html
 */
export function* payloadEvents(event: Buffer, end: number): Generator<Buffer, void> {
  const reader = new ByteReader(event, EVENT_HEADER);
  let size = 0;
  let method = 0;
  let plainSize = 0;
  for (;;) {
    const field = reader.lengthEncoded();
    if (field === PAYLOAD.end) break;
    const length = reader.lengthEncoded();
    const value = reader.at;
    if (field === PAYLOAD.size) size = reader.lengthEncoded();
    else if (field === PAYLOAD.method) method = reader.lengthEncoded();
    else if (field === PAYLOAD.plainSize) plainSize = reader.lengthEncoded();
    reader.at = value + length;
  }
  const packed = event.subarray(reader.at, size === 0 ? end : reader.at + size);
  const plain = method === ZSTD ? decompress(packed, new Uint8Array(plainSize)) : packed;
  const bytes = Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength);
  for (let at = 0; at + EVENT_HEADER <= bytes.length;) {
    const length = bytes.readUInt32LE(at + 9);
    if (length < EVENT_HEADER) return;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

const PAYLOAD = {end: 0, size: 1, method: 2, plainSize: 3} as const;
const ZSTD = 0;

/** True when the event holds other events. */
export function isPayload(event: Buffer): boolean {
  return eventCode(event) === EVENT.transactionPayload;
}
