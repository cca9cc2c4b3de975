import {connect as connectTcp, isIP} from 'node:net';
import type {Duplex} from 'node:stream';
import type {ConnectionOptions} from 'node:tls';
import {connect as connectTls} from 'node:tls';

import {CLIENT_ERROR, MysqlError, networkError} from './mysql-error.ts';
import {PacketStream} from './packet-stream.ts';

/** What TLS must prove, in the words of `--ssl-mode`. */
export type SslMode = 'disabled' | 'preferred' | 'required' | 'verify_ca' | 'verify_identity';

/** How a connection is protected. Certificates and keys are PEM texts. */
export interface MysqlTls {
  readonly mode: SslMode;
  /** Certificates to trust instead of the system's. */
  readonly rootCertificates?: string;
  readonly certificate?: string;
  readonly key?: string;
}

/** Where a server is. */
export interface MysqlAddress {
  /** Name, address, or the path of the server's socket. */
  readonly host: string;
  readonly port: number;
  readonly tls: MysqlTls;
  /** Opens the byte stream in another way than TCP, for example through a tunnel. */
  readonly open?: (signal: AbortSignal) => Promise<Duplex>;
}

/** One read of the kernel. */
const READ_BYTES = 256 << 10;

/** A stream and who gets what arrives on it: that changes when TLS begins. */
export interface Wire {
  readonly socket: Duplex;
  readonly inbox: Inbox;
}

/** Where bytes from the network go. */
export interface Inbox {
  stream: PacketStream | null;
}

/** Opens a stream to the server, not encrypted yet. @throws MysqlError of kind network. */
export async function openWire(address: MysqlAddress, signal: AbortSignal): Promise<Wire> {
  signal.throwIfAborted();
  const inbox: Inbox = {stream: null};
  const socket = address.open === undefined ? await openTcp(address, inbox, signal) : await address.open(signal);
  if (address.open !== undefined) listen(socket, inbox);
  return {socket, inbox};
}

/** Packets of a stream that carries no TLS, or carries it already. */
export function attach({socket, inbox}: Wire): PacketStream {
  socket.removeAllListeners('error');
  inbox.stream = new PacketStream(socket);
  return inbox.stream;
}

/** Encrypts a stream after the request for TLS was sent. @throws MysqlError of kind tls. */
export function secure({socket: raw, inbox: rawInbox}: Wire, address: MysqlAddress): Promise<Wire> {
  const {host, tls} = address;
  const inbox: Inbox = {stream: null};
  // What arrives from now on is for TLS. Whoever opened the stream goes on listening: a tunnel ends with it.
  rawInbox.stream?.detach();
  rawInbox.stream = null;
  const verified = tls.mode.startsWith('verify') || (tls.mode === 'required' && tls.rootCertificates !== undefined);
  const options: ConnectionOptions = {
    socket: raw,
    rejectUnauthorized: verified,
    ...(isIP(host) === 0 && !host.startsWith('/') && {servername: host}),
    ...(tls.mode !== 'verify_identity' && {checkServerIdentity: () => undefined}),
    ...(tls.mode === 'verify_identity' && isIP(host) !== 0 && {host}),
    ...(tls.rootCertificates !== undefined && {ca: tls.rootCertificates}),
    ...(tls.certificate !== undefined && {cert: tls.certificate}),
    ...(tls.key !== undefined && {key: tls.key}),
  };
  return new Promise((resolve, reject) => {
    const refuse = (error: Error): void => reject(tlsError(error));
    raw.on('error', refuse);
    try {
      const socket = connectTls(options, () => {
        raw.off('error', refuse);
        raw.on('error', (error) => socket.destroy(error));
        socket.removeListener('close', closed);
        resolve({socket, inbox});
      });
      const closed = (): void => refuse(new Error('closed'));
      listen(socket, inbox);
      socket.once('error', refuse);
      socket.once('close', closed);
    } catch (error) {
      refuse(error as Error);
    }
  });
}

function openTcp({host, port}: MysqlAddress, inbox: Inbox, signal: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    // Node reads into one buffer that is never given away: no allocation per read.
    const onread = {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (length: number, bytes: Uint8Array): boolean => inbox.stream?.receive(bytes, length) ?? true,
    };
    const socket = connectTcp({...(host.startsWith('/') ? {path: host} : {host, port}), onread});
    const stop = (): void => void socket.destroy(signal.reason as Error);
    const done = (): void => signal.removeEventListener('abort', stop);
    signal.addEventListener('abort', stop, {once: true});
    socket.once('error', (error) => {
      done();
      reject(networkError(error, CLIENT_ERROR.cannotConnect));
    });
    socket.once('connect', () => {
      done();
      socket.setNoDelay(true);
      socket.setKeepAlive(true, 30_000);
      resolve(socket);
    });
  });
}

/** For streams that Node allocates for: encrypted ones and tunnels. */
function listen(socket: Duplex, inbox: Inbox): void {
  socket.on('data', (bytes: Buffer) => {
    if (inbox.stream?.receive(bytes, bytes.length) === false) socket.pause();
  });
}

function tlsError(error: Error & {code?: string}): MysqlError {
  const what = error.code === undefined ? 'the server ended the TLS handshake' : `TLS failed: ${error.code}`;
  return new MysqlError('tls', CLIENT_ERROR.tls, what, {cause: error});
}
