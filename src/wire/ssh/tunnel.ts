import {createHash, timingSafeEqual} from 'node:crypto';
import type {Duplex} from 'node:stream';

import type {Client, ConnectConfig} from 'ssh2';

/** How to reach and prove the host that the tunnel goes through. */
export interface SshTunnelOptions {
  readonly host: string;
  readonly port: number;
  readonly username: string;
  /** The one host key that is accepted: `SHA256:...` as `ssh-keygen -lf` prints it, or a line of known_hosts. */
  readonly hostKey: string;
  /** PEM or OpenSSH text. */
  readonly privateKey: string | undefined;
  readonly password: string | undefined;
}

/** Why there is no tunnel. */
export type TunnelFailure = 'not-installed' | 'host-key' | 'auth' | 'network';

/** A failure of a tunnel; its message holds no secrets. */
export class TunnelError extends Error {
  readonly failure: TunnelFailure;

  constructor(failure: TunnelFailure, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : {cause});
    this.name = 'TunnelError';
    this.failure = failure;
  }
}

/**
 * Opens a byte stream to `target` as seen from the SSH host. Closing the stream ends the tunnel.
 * @throws TunnelError, or the signal's reason.
 */
export async function openTunnel(
  options: SshTunnelOptions,
  target: {readonly host: string; readonly port: number},
  signal: AbortSignal,
): Promise<Duplex> {
  signal.throwIfAborted();
  isPinnedKey(options.hostKey, NO_KEY); // An unreadable pin is told before anything is sent.
  const client = new (await loadSsh2()).Client();
  const refused = {hostKey: false};
  const stop = (): void => void client.destroy();
  signal.addEventListener('abort', stop, {once: true});
  try {
    await connected(client, options, refused);
    const stream = await forwarded(client, target);
    stream.once('close', () => client.end());
    client.on('error', (error) => stream.destroy(tunnelError(error)));
    return stream;
  } catch (error) {
    client.destroy();
    signal.throwIfAborted();
    if (refused.hostKey) throw new TunnelError('host-key', `the key of SSH host ${options.host} is not the pinned one`);
    throw tunnelError(error as Error);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** True when an offered key is the pinned one. @throws TunnelError when the pin is not readable. */
export function isPinnedKey(pinned: string, offered: Buffer): boolean {
  const fingerprint = /^SHA256:([A-Za-z0-9+/]{43})=?$/.exec(pinned.trim());
  const digest = createHash('sha256').update(offered).digest();
  if (fingerprint?.[1] !== undefined) return timingSafeEqual(digest, Buffer.from(fingerprint[1], 'base64'));
  const key = /(?:^|\s)(?:ssh-|ecdsa-|sk-)\S+\s+([A-Za-z0-9+/]+={0,2})/.exec(pinned);
  if (key?.[1] === undefined)
    throw new TunnelError('host-key', 'the pinned SSH host key is neither SHA256:... nor a line of known_hosts');
  return timingSafeEqual(digest, createHash('sha256').update(Buffer.from(key[1], 'base64')).digest());
}

const NO_KEY = Buffer.alloc(0);

function connected(client: Client, options: SshTunnelOptions, refused: {hostKey: boolean}): Promise<void> {
  const {host, port, username, hostKey, privateKey, password} = options;
  const config: ConnectConfig = {
    host,
    port,
    username,
    keepaliveInterval: 30_000,
    hostVerifier: (key: Buffer) => {
      const known = isPinnedKey(hostKey, key);
      refused.hostKey = !known;
      return known;
    },
    ...(privateKey !== undefined && {privateKey}),
    ...(password !== undefined && {password}),
  };
  return new Promise((resolve, reject) => {
    client.once('ready', () => resolve());
    client.once('error', reject);
    client.once('close', () => reject(new Error('closed')));
    client.connect(config);
  });
}

function forwarded(client: Client, target: {readonly host: string; readonly port: number}): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    client.once('close', () => reject(new Error('closed')));
    client.forwardOut('127.0.0.1', 0, target.host, target.port, (error, channel) => {
      if (error === undefined) resolve(channel);
      else reject(error);
    });
  });
}

async function loadSsh2(): Promise<typeof import('ssh2')> {
  try {
    const loaded = (await import('ssh2')) as typeof import('ssh2') & {default?: typeof import('ssh2')};
    return loaded.default ?? loaded;
  } catch (error) {
    throw new TunnelError('not-installed', 'SSH tunnels need the package ssh2: npm install ssh2', error);
  }
}

function tunnelError(error: Error & {level?: string; code?: string}): TunnelError {
  if (error instanceof TunnelError) return error;
  if (error.level === 'client-authentication') return new TunnelError('auth', 'the SSH host refused the log-in');
  return new TunnelError('network', `the SSH tunnel failed${error.code === undefined ? '' : `: ${error.code}`}`, error);
}
