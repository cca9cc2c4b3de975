import {connect} from 'node:net';
import type {AddressInfo} from 'node:net';

import ssh2 from 'ssh2';

/** A host to tunnel through, on 127.0.0.1. Disposing waits until nobody is logged in. */
export interface SshServer extends AsyncDisposable {
  readonly port: number;
  /** Public key of the host, as a line of known_hosts has it. */
  readonly hostKey: string;
  /** Logs in the user `jump`, as does the password `geheim`. */
  readonly privateKey: string;
  /** Tunnels that were ever opened, and sessions that are open now. */
  readonly opened: {tunnels: number; sessions: number};
  /** What a connection needs to go through it. */
  readonly options: Readonly<Record<'ssh_host' | 'ssh_user' | 'ssh_host_key' | 'ssh_private_key', string>> & {
    readonly ssh_port: number;
  };
}

/** Starts one, with keys of its own. */
export async function startSshServer(): Promise<SshServer> {
  // Not ed25519: one in some 270 of those that ssh2 1.17 makes is one that it calls malformed.
  const host = ssh2.utils.generateKeyPairSync('ecdsa', {bits: 256});
  const user = ssh2.utils.generateKeyPairSync('ecdsa', {bits: 256});
  const known = ssh2.utils.parseKey(user.public);
  if (known instanceof Error) throw known;
  const opened = {tunnels: 0, sessions: 0};
  const server = new ssh2.Server({hostKeys: [host.private]}, (client) => {
    opened.sessions++;
    client.on('error', () => {});
    client.on('close', () => opened.sessions--);
    client.on('authentication', (context) => {
      const isUser = context.username === 'jump';
      if (isUser && context.method === 'publickey' && context.key.data.equals(known.getPublicSSH())) context.accept();
      else if (isUser && context.method === 'password' && context.password === 'geheim') context.accept();
      else context.reject();
    });
    client.on('tcpip', (accept, reject, {destIP, destPort}) => {
      const target = connect(destPort, destIP, () => {
        opened.tunnels++;
        const channel = accept();
        target.pipe(channel).pipe(target);
        target.on('error', () => channel.destroy());
        channel.on('error', () => target.destroy());
      });
      target.once('error', reject);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const {port} = server.address() as AddressInfo;
  const options = {
    ssh_host: '127.0.0.1',
    ssh_port: port,
    ssh_user: 'jump',
    ssh_host_key: host.public,
    ssh_private_key: user.private,
  };
  return {
    port,
    hostKey: host.public,
    privateKey: user.private,
    opened,
    options,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
}
