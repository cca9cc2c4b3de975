import {CLIENT_ERROR, MysqlError} from './mysql-error.ts';

/** What the server says first. */
export interface Greeting {
  /** For example `8.4.3` or `10.11.19-MariaDB-log`. */
  readonly version: string;
  readonly connectionId: number;
  readonly nonce: Buffer;
  readonly method: string;
  readonly offersTls: boolean;
}

/** Capability flags. @see https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html */
const CAPABILITY = {
  longPassword: 0x1,
  longFlag: 0x4,
  withDatabase: 0x8,
  protocol41: 0x200,
  tls: 0x800,
  transactions: 0x2000,
  secureConnection: 0x8000,
  multiStatements: 0x1_0000,
  multiResults: 0x2_0000,
  pluginAuth: 0x8_0000,
  attributes: 0x10_0000,
} as const;

const OURS =
  CAPABILITY.longPassword |
  CAPABILITY.longFlag |
  CAPABILITY.protocol41 |
  CAPABILITY.transactions |
  CAPABILITY.secureConnection |
  CAPABILITY.multiStatements |
  CAPABILITY.multiResults |
  CAPABILITY.pluginAuth |
  CAPABILITY.attributes;

/** `utf8mb4_general_ci`: every server since 5.5 knows it. */
const UTF8MB4 = 45;

/** Reads the first packet of a server. @throws MysqlError when it is no greeting of protocol 10 */
export function readGreeting(packet: Buffer): Greeting {
  if (packet[0] !== 10)
    throw new MysqlError('protocol', CLIENT_ERROR.malformed, 'the server does not speak protocol 10');
  const versionEnd = packet.indexOf(0, 1);
  let at = versionEnd + 1;
  const connectionId = packet.readUInt32LE(at);
  at += 4;
  const first = Buffer.from(packet.subarray(at, at + 8));
  at += 9;
  const capabilities = packet.readUInt16LE(at) | (packet.readUInt16LE(at + 5) << 16);
  const nonceLength = packet[at + 7] ?? 0;
  at += 18;
  const rest = Math.max(13, nonceLength - 8);
  const second = Buffer.from(packet.subarray(at, at + rest - 1));
  at += rest;
  const methodEnd = packet.indexOf(0, at);
  return {
    version: packet.toString('latin1', 1, versionEnd).replace(/^5\.5\.5-/, ''),
    connectionId,
    nonce: Buffer.concat([first, second]),
    method: packet.toString('latin1', at, methodEnd === -1 ? packet.length : methodEnd),
    offersTls: (capabilities & CAPABILITY.tls) !== 0,
  };
}

/** Asks to go on under TLS. */
export function tlsRequest(hasDatabase: boolean): Buffer {
  return loginHead(flags(hasDatabase) | CAPABILITY.tls);
}

/** The log-in. @param attributes shown in `performance_schema.session_connect_attrs`. */
export function loginRequest(login: {
  readonly user: string;
  readonly database: string | undefined;
  readonly method: string;
  readonly answer: Buffer;
  readonly isTls: boolean;
  readonly attributes: Readonly<Record<string, string>>;
}): Buffer {
  const {user, database, method, answer} = login;
  const head = loginHead(flags(database !== undefined) | (login.isTls ? CAPABILITY.tls : 0));
  const pairs = Object.entries(login.attributes).flatMap(([name, value]) => [
    lengthEncoded(name),
    lengthEncoded(value),
  ]);
  const attributes = Buffer.concat(pairs);
  return Buffer.concat([
    head,
    Buffer.from(`${user}\0`),
    Buffer.from([answer.length]),
    answer,
    Buffer.from(database === undefined ? '' : `${database}\0`),
    Buffer.from(`${method}\0`),
    lengthEncodedInteger(attributes.length),
    attributes,
  ]);
}

/** A command with a text or bytes as its argument. */
export function command(code: number, argument: string | Uint8Array): Buffer {
  const bytes = typeof argument === 'string' ? Buffer.from(argument) : argument;
  const packet = Buffer.allocUnsafe(1 + bytes.length);
  packet[0] = code;
  packet.set(bytes, 1);
  return packet;
}

/** Commands. @see https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html */
export const COMMAND = {
  quit: 0x01,
  query: 0x03,
  binlogDump: 0x12,
  prepare: 0x16,
  execute: 0x17,
  closeStatement: 0x19,
  binlogDumpGtid: 0x1e,
} as const;

/** Reads packets field by field; {@link at} moves on. */
export class PacketReader {
  readonly bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  /** An integer of 1 to 9 bytes; lengths beyond 2^53 do not exist. */
  integer(): number {
    const first = this.bytes[this.at++] ?? 0;
    if (first < 0xfb) return first;
    const width = first === 0xfc ? 2 : first === 0xfd ? 3 : 8;
    const value = width === 8 ? Number(this.bytes.readBigUInt64LE(this.at)) : this.bytes.readUIntLE(this.at, width);
    this.at += width;
    return value;
  }

  /** Bytes with their length before them; null for NULL of a text row. */
  nullableBytes(): Buffer | null {
    if (this.bytes[this.at] !== 0xfb) return this.lengthBytes();
    this.at++;
    return null;
  }

  lengthBytes(): Buffer {
    const length = this.integer();
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  text(): string {
    return this.lengthBytes().toString('utf8');
  }
}

/** A column of a result. @see https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset_column_definition.html */
export interface ResultColumn {
  readonly name: string;
  readonly collation: number;
  readonly type: number;
  readonly flags: number;
}

/** Reads the definition of a column. */
export function readColumn(packet: Buffer): ResultColumn {
  const reader = new PacketReader(packet);
  for (let skipped = 0; skipped < 4; skipped++) reader.lengthBytes();
  const name = reader.text();
  reader.lengthBytes();
  const at = reader.at + 1;
  return {
    name,
    collation: packet.readUInt16LE(at),
    type: packet[at + 6] ?? 0,
    flags: packet.readUInt16LE(at + 7),
  };
}

/** The packet ends columns or rows. */
export function isEnd(packet: Buffer): boolean {
  return packet[0] === 0xfe && packet.length < 9;
}

/** Another result follows the one that this packet ends. */
export function hasMoreResults(packet: Buffer): boolean {
  if (packet[0] === 0xfe) return (packet.readUInt16LE(3) & MORE_RESULTS) !== 0;
  const reader = new PacketReader(packet, 1);
  reader.integer();
  reader.integer();
  return (packet.readUInt16LE(reader.at) & MORE_RESULTS) !== 0;
}

const MORE_RESULTS = 0x8;

function flags(hasDatabase: boolean): number {
  return OURS | (hasDatabase ? CAPABILITY.withDatabase : 0);
}

function loginHead(capabilities: number): Buffer {
  const head = Buffer.alloc(32);
  head.writeUInt32LE(capabilities, 0);
  head.writeUInt32LE(0x4000_0000, 4);
  head[8] = UTF8MB4;
  return head;
}

function lengthEncoded(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([lengthEncodedInteger(bytes.length), bytes]);
}

function lengthEncodedInteger(value: number): Buffer {
  if (value < 0xfb) return Buffer.from([value]);
  const bytes = Buffer.alloc(3);
  bytes[0] = 0xfc;
  bytes.writeUInt16LE(value, 1);
  return bytes;
}
