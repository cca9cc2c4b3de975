import {crc32} from 'node:zlib';

/** Codes of events. @see https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication_binlog_event.html */
export const EVENT = {
  query: 2,
  rotate: 4,
  formatDescription: 15,
  xid: 16,
  tableMap: 19,
  writeRowsV1: 23,
  updateRowsV1: 24,
  deleteRowsV1: 25,
  incident: 26,
  heartbeat: 27,
  writeRows: 30,
  updateRows: 31,
  deleteRows: 32,
  gtid: 33,
  anonymousGtid: 34,
  xaPrepare: 38,
  partialUpdateRows: 39,
  transactionPayload: 40,
  heartbeatV2: 41,
  gtidTagged: 42,
  mariaGtid: 162,
  mariaGtidList: 163,
  mariaQueryCompressed: 165,
  mariaWriteRowsCompressedV1: 166,
  mariaUpdateRowsCompressedV1: 167,
  mariaDeleteRowsCompressedV1: 168,
  mariaWriteRowsCompressed: 169,
  mariaUpdateRowsCompressed: 170,
  mariaDeleteRowsCompressed: 171,
} as const;

/** Bytes of the header that all events begin with: time, code, server, length, position of the end, flags. */
export const EVENT_HEADER = 19;
/** The event was made for this connection and stands in no file. */
export const ARTIFICIAL_FLAG = 0x20;

/** Seconds since 1970. */
export function eventSeconds(event: Buffer): number {
  return event.readUInt32LE(0);
}

/** One of {@link EVENT}, or something else. */
export function eventCode(event: Buffer): number {
  return event[4] ?? 0;
}

/** Low 32 bits of where the event ends in its file; 0 for events that stand in none. */
export function eventEnd(event: Buffer): number {
  return event.readUInt32LE(13);
}

export function eventFlags(event: Buffer): number {
  return event.readUInt16LE(17);
}

/** Bytes of rows: the codes that write, update or delete, of both servers and all versions. */
export type RowsKind = 'write' | 'update' | 'delete';

/** What an event of rows does; null for other events. */
export function rowsKind(code: number): RowsKind | null {
  switch (code) {
    case EVENT.writeRows:
    case EVENT.writeRowsV1:
    case EVENT.mariaWriteRowsCompressedV1:
    case EVENT.mariaWriteRowsCompressed:
      return 'write';
    case EVENT.updateRows:
    case EVENT.updateRowsV1:
    case EVENT.partialUpdateRows:
    case EVENT.mariaUpdateRowsCompressedV1:
    case EVENT.mariaUpdateRowsCompressed:
      return 'update';
    case EVENT.deleteRows:
    case EVENT.deleteRowsV1:
    case EVENT.mariaDeleteRowsCompressedV1:
    case EVENT.mariaDeleteRowsCompressed:
      return 'delete';
    default:
      return null;
  }
}

/** The event carries a checksum that is not that of its bytes. */
export function isDamaged(event: Buffer): boolean {
  const end = event.length - 4;
  return end < EVENT_HEADER || crc32(event.subarray(0, end)) !== event.readUInt32LE(end);
}

/** File and offset that a ROTATE event names. @param end where the event ends, without checksum. */
export function readRotate(event: Buffer, end: number): {readonly file: string; readonly offset: bigint} {
  return {offset: event.readBigUInt64LE(EVENT_HEADER), file: event.toString('utf8', EVENT_HEADER + 8, end)};
}

/** A statement in the log. */
export interface QueryEvent {
  readonly database: string;
  readonly sql: string;
}

/** Reads a QUERY event. @param end where it ends, without checksum. */
export function readQuery(event: Buffer, end: number): QueryEvent {
  const {database, at} = queryHead(event);
  return {database, sql: event.toString('utf8', at, end)};
}

/** Where the statement of a QUERY event begins, and its database. */
export function queryHead(event: Buffer): {readonly database: string; readonly at: number} {
  const nameLength = event[EVENT_HEADER + 8] ?? 0;
  const statusLength = event.readUInt16LE(EVENT_HEADER + 11);
  const name = EVENT_HEADER + 13 + statusLength;
  return {database: event.toString('utf8', name, name + nameLength), at: name + nameLength + 1};
}

/** Number and flags at the begin of TABLE_MAP and rows events. */
export function tableNumber(event: Buffer): number {
  return event.readUIntLE(EVENT_HEADER, 6);
}

/** Reads an XA_PREPARE event: the name as `XA COMMIT` will say it. */
export function readXaPrepare(event: Buffer): {readonly xid: string; readonly isOnePhase: boolean} {
  const isOnePhase = event[EVENT_HEADER] === 1;
  const format = event.readInt32LE(EVENT_HEADER + 1);
  const [first, second] = [event.readUInt32LE(EVENT_HEADER + 5), event.readUInt32LE(EVENT_HEADER + 9)];
  const at = EVENT_HEADER + 13;
  const hex = (from: number, length: number): string => event.toString('hex', from, from + length).toUpperCase();
  return {xid: `X'${hex(at, first)}',X'${hex(at + first, second)}',${format}`, isOnePhase};
}
