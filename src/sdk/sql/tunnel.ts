import {IngestError} from '../../core/errors.ts';
import type {OptionValue} from '../contract.ts';
import type {OptionSpecs} from '../define-connector.ts';
import type {SqlDoing} from './cursor-column.ts';

/** Options of a connection that can go through an SSH host. */
export const SSH_OPTIONS: OptionSpecs = {
  ssh_host: {type: 'string', description: 'Host to tunnel through by SSH; needs the package ssh2.'},
  ssh_port: {type: 'integer', default: 22, min: 1, max: 65_535, description: 'Port of the SSH host.'},
  ssh_user: {type: 'string', description: 'User of the SSH host.'},
  ssh_host_key: {
    type: 'string',
    description: 'The one host key that is accepted: SHA256:... or a line of known_hosts.',
  },
  ssh_private_key: {type: 'string', secret: true, description: 'Private key for the SSH host, PEM or OpenSSH text.'},
  ssh_password: {type: 'string', secret: true, description: 'Password for the SSH host.'},
};

/** The options of {@link SSH_OPTIONS}, checked. */
export interface SshOptions {
  readonly host: string;
  readonly port: number;
  readonly username: string;
  /** The one that is accepted. */
  readonly hostKey: string;
  readonly privateKey: string | undefined;
  readonly password: string | undefined;
}

/** Null where no tunnel is wanted. @throws INVALID_OPTION without a user or a pinned host key */
export function sshOptionsOf(options: Readonly<Record<string, OptionValue>>): SshOptions | null {
  const text = (name: string): string | undefined => (typeof options[name] === 'string' ? options[name] : undefined);
  const host = text('ssh_host');
  if (host === undefined) return null;
  const hostKey = text('ssh_host_key');
  const username = text('ssh_user');
  if (hostKey === undefined || username === undefined) {
    throw new IngestError('INVALID_OPTION', 'A tunnel needs ssh_user and ssh_host_key beside ssh_host.', {
      fix: 'Take the host key from a trusted place, e.g. `ssh-keyscan` inside the network: SHA256:... or the line of known_hosts.',
    });
  }
  const port = options['ssh_port'];
  return {
    host,
    port: typeof port === 'number' ? port : 22,
    username,
    hostKey,
    privateKey: text('ssh_private_key'),
    password: text('ssh_password'),
  };
}

/** How a tunnel failed. */
export interface TunnelFailure extends Error {
  /** What went wrong: the package ssh2 is missing, the host's key is not the pinned one, it refused the log-in, or no way there. */
  readonly failure: 'not-installed' | 'host-key' | 'auth' | 'network';
}

/** The framework's error for a tunnel that failed. */
export function tunnelFailed(error: TunnelFailure, {what}: SqlDoing): IngestError {
  const message = `Cannot ${what}: ${error.message}.`;
  switch (error.failure) {
    case 'not-installed':
      return new IngestError('UNSUPPORTED', message, {fix: 'Run npm install ssh2.', cause: error});
    case 'host-key':
      return new IngestError('CONNECTION_FAILED', message, {
        class: 'config',
        fix: 'Check ssh_host and ssh_host_key; if the host was renewed, pin its new key.',
        cause: error,
      });
    case 'auth':
      return new IngestError('AUTH_FAILED', message, {
        fix: 'Check ssh_user, ssh_private_key and ssh_password.',
        cause: error,
      });
    case 'network':
      return new IngestError('CONNECTION_FAILED', message, {
        fix: 'Check ssh_host and ssh_port, and that the SSH host reaches the database.',
        cause: error,
      });
  }
}
