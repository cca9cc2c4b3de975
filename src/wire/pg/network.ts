import type {Socket} from 'node:net';
import {connect as connectTcp, isIP} from 'node:net';
import type {Duplex} from 'node:stream';
import type {ConnectionOptions} from 'node:tls';
import {connect as connectTls} from 'node:tls';

import {ByteStream} from './byte-stream.ts';
import {sslRequest} from './messages.ts';
import {networkError, PgError} from './pg-error.ts';

/** libpq's modes that say what TLS must prove; `allow` is left out because it prefers plain text. */
export type SslMode = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

/** How a connection is protected. Certificates and keys are PEM texts. */
export interface PgTls {
  readonly mode: SslMode;
  /** Certificates to trust instead of the system's. */
  readonly rootCertificates?: string;
  readonly certificate?: string;
  readonly key?: string;
}

/** Where a server is. */
export interface PgAddress {
  /** Name, address, or a folder that holds the server's socket. */
  readonly host: string;
  readonly port: number;
  readonly tls: PgTls;
  /** Opens the byte stream in another way than TCP, for example through a tunnel. */
  readonly open?: (signal: AbortSignal) => Promise<Duplex>;
}

/** One read of the kernel. */
const READ_BYTES = 256 << 10;

/** Opens a stream to the server, encrypted as asked. @throws PgError of kind network or tls. */
export async function openStream(address: PgAddress, signal: AbortSignal): Promise<ByteStream> {
  const inbox: Inbox = {stream: null, early: null};
  const raw = await openRaw(address, inbox, signal);
  const stop = (): void => void raw.destroy(signal.reason as Error);
  signal.addEventListener('abort', stop, {once: true});
  try {
    const {mode} = address.tls;
    const local = address.host.startsWith('/');
    if (mode === 'disable' || (local && mode === 'prefer')) return attach(raw, inbox);
    const answer = await askForTls(raw, inbox);
    if (answer === 'S') return await secure(raw, address, signal);
    if (mode === 'prefer') return attach(raw, inbox);
    throw new PgError('tls', '08001', 'the server does not offer TLS');
  } catch (error) {
    raw.destroy();
    throw error instanceof PgError ? error : networkError(error as Error, '08001');
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Bytes that arrive before there is a stream, and the stream from then on. */
interface Inbox {
  stream: ByteStream | null;
  early: ((bytes: Buffer) => void) | null;
}

function openRaw(address: PgAddress, inbox: Inbox, signal: AbortSignal): Promise<Duplex> {
  signal.throwIfAborted();
  if (address.open !== undefined) {
    return address.open(signal).then((stream) => {
      stream.on('data', (bytes: Buffer) => {
        if (!deliver(inbox, bytes, bytes.length)) stream.pause();
      });
      return stream;
    });
  }
  return new Promise((resolve, reject) => {
    const {host, port} = address;
    const place = host.startsWith('/') ? {path: `${host}/.s.PGSQL.${port}`} : {host, port};
    const socket = connectTcp({...place, onread: reader(inbox)});
    const stop = (): void => void socket.destroy(signal.reason as Error);
    const done = (): void => signal.removeEventListener('abort', stop);
    signal.addEventListener('abort', stop, {once: true});
    socket.once('error', (error) => {
      done();
      reject(networkError(error, '08001'));
    });
    socket.once('connect', () => {
      done();
      socket.setNoDelay(true);
      socket.setKeepAlive(true, 30_000);
      resolve(socket);
    });
  });
}

/** Node reads into one buffer that is never given away: no allocation per read. */
function reader(inbox: Inbox): {buffer: Uint8Array; callback(length: number, bytes: Uint8Array): boolean} {
  return {
    buffer: Buffer.allocUnsafeSlow(READ_BYTES),
    callback: (length, bytes) => deliver(inbox, bytes, length),
  };
}

/** For streams that Node allocates for: encrypted ones and tunnels. */
function listen(stream: Duplex, inbox: Inbox): void {
  stream.on('data', (bytes: Buffer) => {
    if (!deliver(inbox, bytes, bytes.length)) stream.pause();
  });
}

function deliver(inbox: Inbox, bytes: Uint8Array, length: number): boolean {
  if (inbox.stream !== null) return inbox.stream.receive(bytes, length);
  inbox.early?.(Buffer.from(bytes.subarray(0, length)));
  return true;
}

function attach(socket: Duplex, inbox: Inbox): ByteStream {
  socket.removeAllListeners('error');
  inbox.stream = new ByteStream(socket);
  return inbox.stream;
}

function askForTls(raw: Duplex, inbox: Inbox): Promise<string> {
  return new Promise((resolve, reject) => {
    raw.once('error', (error) => reject(networkError(error, '08001')));
    raw.once('close', () => reject(networkError(null, '08001')));
    inbox.early = (bytes) => {
      inbox.early = null;
      // More than the one byte would be text that somebody put in before the encryption starts.
      if (bytes.length !== 1) reject(new PgError('protocol', '08P01', 'unexpected bytes before TLS'));
      else resolve(bytes.toString('latin1'));
    };
    raw.write(sslRequest());
  });
}

function secure(raw: Duplex, {host, tls}: PgAddress, signal: AbortSignal): Promise<ByteStream> {
  const inbox: Inbox = {stream: null, early: null};
  // libpq's rule: `require` checks the chain as soon as it is told whom to trust.
  const verified = tls.mode.startsWith('verify') || (tls.mode === 'require' && tls.rootCertificates !== undefined);
  const options: ConnectionOptions = {
    socket: raw,
    rejectUnauthorized: verified,
    ...(isIP(host) === 0 && !host.startsWith('/') && {servername: host}),
    ...(tls.mode !== 'verify-full' && {checkServerIdentity: () => undefined}),
    ...(tls.mode === 'verify-full' && isIP(host) !== 0 && {host}),
    ...(tls.rootCertificates !== undefined && {ca: tls.rootCertificates}),
    ...(tls.certificate !== undefined && {cert: tls.certificate}),
    ...(tls.key !== undefined && {key: tls.key}),
  };
  return new Promise((resolve, reject) => {
    const refuse = (error: Error): void => {
      const reason = signal.aborted ? networkError(error, '08001') : tlsError(error);
      reject(reason);
    };
    raw.on('error', refuse);
    try {
      const socket: Socket = connectTls(options, () => {
        raw.off('error', refuse);
        raw.on('error', (error) => socket.destroy(error));
        resolve(attach(socket, inbox));
      });
      listen(socket, inbox);
      socket.once('error', refuse);
      socket.once('close', () => refuse(new Error('closed')));
    } catch (error) {
      refuse(error as Error);
    }
  });
}

function tlsError(error: Error & {code?: string}): PgError {
  const what = error.code === undefined ? 'the server ended the TLS handshake' : `TLS failed: ${error.code}`;
  return new PgError('tls', '08001', what, {cause: error});
}
