/** One message of the server without its header: a view that is valid until the next read. */
export interface BackendMessage {
  /** First byte, e.g. 0x5a for ReadyForQuery. */
  readonly type: number;
  readonly body: Uint8Array;
}

/** First bytes of the messages that a server sends. @see https://www.postgresql.org/docs/18/protocol-message-formats.html */
export const BACKEND = {
  authentication: 0x52,
  backendKeyData: 0x4b,
  commandComplete: 0x43,
  copyData: 0x64,
  copyDone: 0x63,
  copyBothResponse: 0x57,
  copyOutResponse: 0x48,
  copyInResponse: 0x47,
  dataRow: 0x44,
  error: 0x45,
  notice: 0x4e,
  notification: 0x41,
  parameterStatus: 0x53,
  ready: 0x5a,
  rowDescription: 0x54,
} as const;

/** Asks for TLS; the server answers with one byte. */
export function sslRequest(): Buffer {
  return int32s(8, 80_877_103);
}

/** Asks another backend to stop what it does; sent on a connection of its own. */
export function cancelRequest(processId: number, secret: Uint8Array): Buffer {
  return Buffer.concat([int32s(12 + secret.length, 80_877_102, processId), secret]);
}

/** Protocol 3.0 with run-time parameters. */
export function startupMessage(parameters: Readonly<Record<string, string>>): Buffer {
  const pairs = Object.entries(parameters).flatMap(([name, value]) => [name, value]);
  const body = Buffer.from(`${pairs.join('\0')}\0\0`);
  return Buffer.concat([int32s(8 + body.length, 196_608), body]);
}

/** A simple query: one or several statements. */
export function queryMessage(sql: string): Buffer {
  return tagged('Q', Buffer.from(`${sql}\0`));
}

/** Answer to any request for a password; SASL messages use the same letter. */
export function passwordMessage(body: Buffer): Buffer {
  return tagged('p', body);
}

/** Ends the session. */
export function terminateMessage(): Buffer {
  return tagged('X', Buffer.alloc(0));
}

/** Gives up a COPY FROM STDIN that nobody asked for. */
export function copyFailMessage(): Buffer {
  return tagged('f', Buffer.from('not supported\0'));
}

/** Column names of a RowDescription. */
export function columnNames(body: Uint8Array): string[] {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  const names: string[] = [];
  let at = 2;
  for (let left = bytes.readUInt16BE(0); left > 0; left--) {
    const end = bytes.indexOf(0, at);
    names.push(bytes.toString('utf8', at, end));
    at = end + 19;
  }
  return names;
}

/** Number of rows in a CommandComplete such as `COPY 5`; 0 where there is none. */
export function countOf(body: Uint8Array): number {
  const [, digits] = /(\d+)\0?$/.exec(Buffer.from(body).toString('latin1')) ?? [];
  return Number(digits ?? 0);
}

/**
 * A standby status update: all up to the LSN is written, flushed and applied. `replyNow` asks the server for a keepalive.
 * @param sentAt microseconds since 2000.
 * @see https://www.postgresql.org/docs/18/protocol-replication.html#PROTOCOL-REPLICATION-STANDBY-STATUS-UPDATE
 */
export function statusUpdate(lsn: bigint, sentAt: bigint, replyNow: boolean): Buffer {
  const body = Buffer.alloc(34);
  body[0] = 0x72;
  for (const at of [1, 9, 17]) body.writeBigUInt64BE(lsn, at);
  body.writeBigInt64BE(sentAt, 25);
  body[33] = replyNow ? 1 : 0;
  return tagged('d', body);
}

/** Texts of a DataRow in text format. */
export function rowTexts(body: Uint8Array): (string | null)[] {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  const texts: (string | null)[] = [];
  let at = 2;
  for (let left = bytes.readUInt16BE(0); left > 0; left--) {
    const length = bytes.readInt32BE(at);
    at += 4;
    texts.push(length < 0 ? null : bytes.toString('utf8', at, at + length));
    at += Math.max(length, 0);
  }
  return texts;
}

function tagged(tag: string, body: Buffer): Buffer {
  const message = Buffer.allocUnsafe(5 + body.length);
  message.write(tag, 0, 'latin1');
  message.writeInt32BE(4 + body.length, 1);
  body.copy(message, 5);
  return message;
}

function int32s(...values: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 4);
  values.forEach((value, index) => bytes.writeInt32BE(value, index * 4));
  return bytes;
}
