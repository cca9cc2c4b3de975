import type {Server} from 'node:net';
import {createServer} from 'node:net';
import type {Duplex} from 'node:stream';
import {createServer as createTlsServer} from 'node:tls';

import {LoginTls, type WireTls} from './simulator-tls.ts';

/** A type of a result column, as the protocol names it. */
export type WireType =
  | 'bit'
  | 'tinyint'
  | 'smallint'
  | 'int'
  | 'bigint'
  | 'real'
  | 'float'
  | 'guid'
  | 'nchar'
  | 'nvarchar'
  | 'nvarchar(max)'
  | 'varchar'
  | 'varchar(max)'
  | 'binary'
  | 'varbinary'
  | 'varbinary(max)';

/** A value of a result: what the type takes. GUIDs and whole numbers may be texts. */
export type WireValue = string | number | bigint | boolean | Buffer | null;

/** What a statement gives. */
export interface WireResult {
  readonly columns: readonly WireType[];
  readonly rows: readonly (readonly WireValue[])[];
  /** What happened to the transaction of the session. */
  readonly transaction?: 'began' | 'committed' | 'rolledBack';
}

/** A value of a parameter. */
export type WireParameter = string | bigint | number | Buffer | null;

/** The server says no. */
export class WireError extends Error {
  readonly number: number;

  constructor(number: number, message: string) {
    super(message);
    this.number = number;
  }
}

/** What answers the statements of one connection. */
export interface WireSession {
  answer(sql: string, parameters: ReadonlyMap<string, WireParameter>): Promise<WireResult>;
  close(): void;
}

/** How a server is made. */
export interface WireServerOptions {
  /** Throws a {@link WireError} to refuse the login. */
  readonly login: (user: string, password: string, database: string) => WireSession;
  /** Default: the server has no TLS. */
  readonly tls?: WireTls;
}

/** A server of TDS 7.4, or of TDS 8 where TLS is strict, on 127.0.0.1, for tests. Disposing ends its connections. */
export interface WireServer extends AsyncDisposable {
  readonly port: number;
  /** Cuts all connections that are open now. */
  cut(): void;
}

/** Starts a server. */
export async function serveTds(options: WireServerOptions): Promise<WireServer> {
  const sockets = new Set<Duplex>();
  const {tls} = options;
  const serve = (socket: Duplex): void => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    new Peer(socket, options).start();
  };
  const server =
    tls?.from === 'strict'
      ? createTlsServer({cert: tls.certificate, key: tls.key, ALPNProtocols: ['tds/8.0']}, serve)
      : createServer(serve);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: portOf(server),
    cut,
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}

const PACKET = {batch: 1, rpc: 3, reply: 4, attention: 6, manager: 14, login: 16, prelogin: 18} as const;
/** What a server says of TLS. @see https://learn.microsoft.com/en-us/openspecs/windows_protocols/ms-tds/60f56408-0188-4cd5-8b90-25c6f2423868 */
const ENCRYPTION = {unsupported: 2, required: 3} as const;
const HEADER = 8;
const MAX_PACKET = 32_000;

/** One connection. */
class Peer {
  readonly #socket: Duplex;
  readonly #options: WireServerOptions;
  #tls: LoginTls | null = null;
  #session: WireSession | null = null;
  #pending: Buffer = Buffer.alloc(0);
  #parts: Buffer[] = [];
  #turn: Promise<void> = Promise.resolve();

  constructor(socket: Duplex, options: WireServerOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  start(): void {
    this.#socket.on('data', (bytes: Buffer) => {
      if (this.#tls?.isSecure === true) this.#tls.take(bytes);
      else this.#take(bytes);
    });
    this.#socket.on('close', () => this.#session?.close());
  }

  #take(bytes: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, bytes]);
    while (this.#pending.length >= HEADER) {
      const length = this.#pending.readUInt16BE(2);
      if (this.#pending.length < length) return;
      const [type = 0, status = 0] = this.#pending;
      this.#parts.push(this.#pending.subarray(HEADER, length));
      this.#pending = this.#pending.subarray(length);
      if ((status & 1) === 0) continue;
      const message = Buffer.concat(this.#parts);
      this.#parts = [];
      this.#turn = this.#turn.then(() => this.#message(type, message)).catch(() => void this.#socket.destroy());
    }
  }

  async #message(type: number, message: Buffer): Promise<void> {
    switch (type) {
      case PACKET.prelogin:
        if (this.#tls !== null) this.#tls.take(message);
        else this.#prelogin();
        return;
      case PACKET.login:
        this.#login(message);
        return;
      case PACKET.batch:
        await this.#run(message.toString('utf16le', message.readUInt32LE(0)), new Map(), false);
        return;
      case PACKET.rpc: {
        const {sql, parameters} = readRpc(message);
        await this.#run(sql, parameters, true);
        return;
      }
      case PACKET.attention:
        this.#send(done(0xfd, 0x20, 0));
        return;
      default:
        throw new Error(`a message of type ${type}`);
    }
  }

  #prelogin(): void {
    const {tls} = this.#options;
    const isOffered = tls?.from === 'login';
    const encryption = isOffered ? ENCRYPTION.required : ENCRYPTION.unsupported;
    this.#send(Buffer.from([0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 16, 0, 0, 0, 0, 0, encryption]));
    if (!isOffered) return;
    this.#tls = new LoginTls(tls, {
      reply: (flight) => this.#socket.write(packets(flight)),
      raw: (bytes) => this.#socket.write(bytes),
    });
    this.#tls.plain.on('data', (bytes: Buffer) => this.#take(bytes));
    this.#tls.plain.on('error', () => this.#socket.destroy());
  }

  #login(message: Buffer): void {
    const text = (at: number): Buffer =>
      message.subarray(message.readUInt16LE(at), message.readUInt16LE(at) + 2 * message.readUInt16LE(at + 2));
    const password = Buffer.from(text(44)).map((byte) => {
      const plain = byte ^ 0xa5;
      return ((plain & 0x0f) << 4) | (plain >> 4);
    });
    try {
      const database = text(68).toString('utf16le');
      this.#session = this.#options.login(
        text(40).toString('utf16le'),
        Buffer.from(password).toString('utf16le'),
        database,
      );
      const changes = [environment(4, '4096', '4096'), environment(1, database, 'master')];
      this.#send(Buffer.concat([...changes, loginAck(), done(0xfd, 0, 0)]));
    } catch (error) {
      this.#send(Buffer.concat([errorToken(error), done(0xfd, 2, 0)]));
    }
  }

  async #run(sql: string, parameters: ReadonlyMap<string, WireParameter>, isRpc: boolean): Promise<void> {
    const end = (isError: boolean, rows: number): Buffer =>
      isRpc
        ? Buffer.concat([Buffer.from([0x79, 0, 0, 0, 0]), done(0xfe, isError ? 2 : 0, 0)])
        : done(0xfd, isError ? 2 : 0x10, rows);
    try {
      if (this.#session === null) throw new WireError(18_456, 'Login failed.');
      const {columns, rows, transaction} = await this.#session.answer(sql, parameters);
      const parts: Buffer[] = transaction === undefined ? [] : [transactionToken(transaction)];
      if (columns.length > 0) {
        parts.push(columnTokens(columns));
        for (const row of rows) parts.push(rowToken(columns, row));
        if (isRpc) parts.push(done(0xff, 0x11, rows.length));
      }
      this.#send(Buffer.concat([...parts, end(false, rows.length)]));
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#send(Buffer.concat([errorToken(error), end(true, 0)]));
    }
  }

  #send(body: Buffer): void {
    const out = this.#tls?.isSecure === true ? this.#tls.plain : this.#socket;
    out.write(packets(body));
  }
}

/** A reply in packets. */
function packets(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at === 0 || at < body.length; at += MAX_PACKET) {
    const part = body.subarray(at, at + MAX_PACKET);
    const header = Buffer.alloc(HEADER);
    header[0] = PACKET.reply;
    header[1] = at + MAX_PACKET >= body.length ? 1 : 0;
    header.writeUInt16BE(part.length + HEADER, 2);
    parts.push(header, part);
  }
  return Buffer.concat(parts);
}

const SP_EXECUTESQL = 10;

/** Statement and parameters of a call of sp_executesql. */
function readRpc(message: Buffer): {
  readonly sql: string;
  readonly parameters: ReadonlyMap<string, WireParameter>;
} {
  let at = message.readUInt32LE(0);
  const isById = message.readUInt16LE(at) === 0xffff;
  if (!isById || message.readUInt16LE(at + 2) !== SP_EXECUTESQL)
    throw new WireError(2812, 'Only sp_executesql is there.');
  at += 6;
  const values: [string, WireParameter][] = [];
  while (at < message.length) {
    const nameLength = 2 * (message[at] ?? 0);
    const name = message.toString('utf16le', at + 1, at + 1 + nameLength);
    const {value, next} = readParameter(message, at + 2 + nameLength);
    values.push([name.replace(/^@/, ''), value]);
    at = next;
  }
  const [statement, , ...rest] = values;
  return {sql: String(statement?.[1] ?? ''), parameters: new Map(rest)};
}

function readParameter(message: Buffer, at: number): {readonly value: WireParameter; readonly next: number} {
  switch (message[at]) {
    case 0x26: {
      const length = message[at + 2] ?? 0;
      const next = at + 3 + length;
      if (length === 0) return {value: null, next};
      return {value: length === 8 ? message.readBigInt64LE(at + 3) : message.readIntLE(at + 3, length), next};
    }
    case 0xe7: {
      const {bytes, next} = readBytes(message, at + 8, message.readUInt16LE(at + 1) === 0xffff);
      return {value: bytes?.toString('utf16le') ?? null, next};
    }
    case 0xa5: {
      const {bytes, next} = readBytes(message, at + 3, message.readUInt16LE(at + 1) === 0xffff);
      return {value: bytes, next};
    }
    default:
      throw new Error(`a parameter of type ${message[at] ?? 0}`);
  }
}

function readBytes(
  message: Buffer,
  at: number,
  isLong: boolean,
): {readonly bytes: Buffer | null; readonly next: number} {
  if (!isLong) {
    const length = message.readUInt16LE(at);
    if (length === 0xffff) return {bytes: null, next: at + 2};
    return {bytes: message.subarray(at + 2, at + 2 + length), next: at + 2 + length};
  }
  if (message.readBigUInt64LE(at) === 0xffff_ffff_ffff_ffffn) return {bytes: null, next: at + 8};
  const parts: Buffer[] = [];
  let next = at + 8;
  for (;;) {
    const length = message.readUInt32LE(next);
    next += 4;
    if (length === 0) return {bytes: Buffer.concat(parts), next};
    parts.push(message.subarray(next, next + length));
    next += length;
  }
}

const COLLATION = Buffer.from([0x09, 0x04, 0xd0, 0x00, 0x34]);

const TYPE_INFO: Readonly<Record<WireType, Buffer>> = {
  bit: Buffer.from([0x68, 1]),
  tinyint: Buffer.from([0x26, 1]),
  smallint: Buffer.from([0x26, 2]),
  int: Buffer.from([0x26, 4]),
  bigint: Buffer.from([0x26, 8]),
  real: Buffer.from([0x6d, 4]),
  float: Buffer.from([0x6d, 8]),
  guid: Buffer.from([0x24, 16]),
  nchar: Buffer.concat([Buffer.from([0xef, 2, 0]), COLLATION]),
  nvarchar: Buffer.concat([Buffer.from([0xe7, 0x40, 0x1f]), COLLATION]),
  'nvarchar(max)': Buffer.concat([Buffer.from([0xe7, 0xff, 0xff]), COLLATION]),
  varchar: Buffer.concat([Buffer.from([0xa7, 0x40, 0x1f]), COLLATION]),
  'varchar(max)': Buffer.concat([Buffer.from([0xa7, 0xff, 0xff]), COLLATION]),
  binary: Buffer.from([0xad, 8, 0]),
  varbinary: Buffer.from([0xa5, 0x40, 0x1f]),
  'varbinary(max)': Buffer.from([0xa5, 0xff, 0xff]),
};

function columnTokens(columns: readonly WireType[]): Buffer {
  const heads = columns.map((type) => Buffer.concat([u32(0), u16(9), TYPE_INFO[type], Buffer.from([0])]));
  return Buffer.concat([Buffer.from([0x81]), u16(columns.length), ...heads]);
}

function rowToken(columns: readonly WireType[], row: readonly WireValue[]): Buffer {
  if (row.length !== columns.length) throw new Error(`a row of ${row.length} values for ${columns.length} columns`);
  return Buffer.concat([Buffer.from([0xd1]), ...columns.map((type, index) => valueBytes(type, row[index] ?? null))]);
}

function valueBytes(type: WireType, value: WireValue): Buffer {
  switch (type) {
    case 'bit':
    case 'tinyint':
    case 'smallint':
    case 'int':
    case 'bigint':
    case 'real':
    case 'float':
    case 'guid': {
      const bytes = value === null ? Buffer.alloc(0) : fixedBytes(type, value);
      return Buffer.concat([Buffer.from([bytes.length]), bytes]);
    }
    default: {
      const isLong = type.endsWith('(max)');
      if (value === null) return isLong ? Buffer.alloc(8, 0xff) : u16(0xffff);
      const bytes = Buffer.isBuffer(value)
        ? value
        : Buffer.from(String(value), type.startsWith('n') ? 'utf16le' : 'latin1');
      if (!isLong) return Buffer.concat([u16(bytes.length), bytes]);
      const size = Buffer.alloc(8);
      size.writeBigUInt64LE(BigInt(bytes.length));
      const chunk = bytes.length === 0 ? Buffer.alloc(0) : Buffer.concat([u32(bytes.length), bytes]);
      return Buffer.concat([size, chunk, u32(0)]);
    }
  }
}

function fixedBytes(type: WireType, value: WireValue): Buffer {
  const bytes = Buffer.alloc(8);
  switch (type) {
    case 'bit':
      return Buffer.from([value === true || value === 1 || value === '1' ? 1 : 0]);
    case 'tinyint':
      return Buffer.from([Number(value)]);
    case 'smallint':
      bytes.writeInt16LE(Number(value));
      return bytes.subarray(0, 2);
    case 'int':
      bytes.writeInt32LE(Number(value));
      return bytes.subarray(0, 4);
    case 'bigint':
      bytes.writeBigInt64LE(BigInt(String(value)));
      return bytes;
    case 'real':
      bytes.writeFloatLE(Number(value));
      return bytes.subarray(0, 4);
    case 'float':
      bytes.writeDoubleLE(Number(value));
      return bytes;
    default: {
      const hex = Buffer.from(String(value).replaceAll('-', ''), 'hex');
      // The first three groups are little-endian.
      return Buffer.concat([
        hex.subarray(0, 4).reverse(),
        hex.subarray(4, 6).reverse(),
        hex.subarray(6, 8).reverse(),
        hex.subarray(8),
      ]);
    }
  }
}

const TRANSACTION = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);

function transactionToken(what: 'began' | 'committed' | 'rolledBack'): Buffer {
  const code = what === 'began' ? 8 : what === 'committed' ? 9 : 10;
  const [now, before] = what === 'began' ? [TRANSACTION, Buffer.alloc(0)] : [Buffer.alloc(0), TRANSACTION];
  const body = Buffer.concat([Buffer.from([code, now.length]), now, Buffer.from([before.length]), before]);
  return Buffer.concat([Buffer.from([0xe3]), u16(body.length), body]);
}

function environment(code: number, now: string, before: string): Buffer {
  const body = Buffer.concat([
    Buffer.from([code, now.length]),
    Buffer.from(now, 'utf16le'),
    Buffer.from([before.length]),
    Buffer.from(before, 'utf16le'),
  ]);
  return Buffer.concat([Buffer.from([0xe3]), u16(body.length), body]);
}

function loginAck(): Buffer {
  const name = Buffer.from('Scripted', 'utf16le');
  const body = Buffer.concat([Buffer.from([1, 0x74, 0, 0, 4, name.length / 2]), name, Buffer.from([16, 0, 0, 0])]);
  return Buffer.concat([Buffer.from([0xad]), u16(body.length), body]);
}

function errorToken(error: unknown): Buffer {
  if (!(error instanceof WireError)) throw error;
  const text = Buffer.from(error.message, 'utf16le');
  const number = Buffer.alloc(4);
  number.writeInt32LE(error.number);
  const body = Buffer.concat([number, Buffer.from([1, 16]), u16(text.length / 2), text, Buffer.from([0, 0]), u32(1)]);
  return Buffer.concat([Buffer.from([0xaa]), u16(body.length), body]);
}

function done(token: number, status: number, rows: number): Buffer {
  return Buffer.concat([Buffer.from([token]), u16(status), u16(0xc1), u32(rows), u32(0)]);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
