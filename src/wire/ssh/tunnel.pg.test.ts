import ssh2 from 'ssh2';
import {afterAll, beforeAll, describe, expect, inject, it} from 'vitest';

import {startSshServer, type SshServer} from '../../../test/ssh-server.ts';
import {PgConnection} from '../pg/connection.ts';
import type {PgTls} from '../pg/network.ts';
import type {SshTunnelOptions} from './tunnel.ts';
import {isPinnedKey, openTunnel} from './tunnel.ts';

const forever = new AbortController().signal;
const plain: PgTls = {mode: 'disable'};
let server: SshServer;
let options: SshTunnelOptions;

beforeAll(async () => {
  server = await startSshServer();
  const {port, hostKey, privateKey} = server;
  options = {host: '127.0.0.1', port, username: 'jump', hostKey, privateKey, password: undefined};
});
afterAll(() => server[Symbol.asyncDispose]());

describe('a tunnel to PostgreSQL', () => {
  it('carries queries and large copies, and ends with the connection', async () => {
    const connection = await PgConnection.connect(connectOptions(options), forever);
    expect((await connection.query('select 1', forever)).rows).toEqual([['1']]);
    let bytes = 0;
    const sql = `copy (select repeat('x', 1000) from generate_series(1, 20000)) to stdout (format binary)`;
    for await (const range of connection.copyOut(sql, forever)) bytes += range.end - range.start;
    expect(bytes).toBeGreaterThan(20_000_000);
    await connection[Symbol.asyncDispose]();
    await expect.poll(() => server.opened.sessions).toBe(0);
  });

  it('logs in by password', async () => {
    await using connection = await PgConnection.connect(
      connectOptions({...options, privateKey: undefined, password: 'geheim'}),
      forever,
    );
    expect(connection.isOpen).toBe(true);
  });

  it('cancels in the server, too', async () => {
    const before = server.opened.tunnels;
    const stop = new AbortController();
    const connection = await PgConnection.connect(connectOptions(options), forever);
    const sleeping = connection.query('select pg_sleep(60)', stop.signal);
    setTimeout(() => stop.abort(new Error('enough')), 50);
    await expect(sleeping).rejects.toThrow('enough');
    await connection[Symbol.asyncDispose]();
    expect(server.opened.tunnels).toBe(before + 2);
  });

  it('refuses a host whose key is not the pinned one, before it sends anything secret', async () => {
    const other = ssh2.utils.generateKeyPairSync('ed25519').public;
    await expect(tunnel({hostKey: other})).rejects.toMatchObject({failure: 'host-key'});
    await expect(tunnel({hostKey: 'whatever'})).rejects.toMatchObject({failure: 'host-key'});
  });

  it('tells a refused log-in from a host that is not there', async () => {
    const refused = tunnel({privateKey: undefined, password: 'falsch'});
    await expect(refused).rejects.toMatchObject({failure: 'auth'});
    await expect(refused).rejects.not.toThrow(/falsch/);
    await expect(tunnel({port: 1})).rejects.toMatchObject({failure: 'network'});
    const unreachable = openTunnel(options, {host: '127.0.0.1', port: 1}, forever);
    await expect(unreachable).rejects.toMatchObject({failure: 'network'});
  });
});

it('knows a pinned key by fingerprint and by line of known_hosts', () => {
  const key = ssh2.utils.parseKey(server.hostKey);
  if (key instanceof Error) throw key;
  const offered = key.getPublicSSH();
  const line = `host.example,10.0.0.1 ${server.hostKey} comment`;
  expect(isPinnedKey(line, offered)).toBe(true);
  expect(isPinnedKey(server.hostKey, offered)).toBe(true);
  expect(isPinnedKey(server.hostKey, Buffer.concat([offered, offered]))).toBe(false);
  expect(isPinnedKey(`SHA256:${'A'.repeat(43)}`, offered)).toBe(false);
});

function tunnel(over: Partial<SshTunnelOptions>): Promise<unknown> {
  return openTunnel({...options, ...over}, {host: '127.0.0.1', port: 1}, forever);
}

function connectOptions(ssh: SshTunnelOptions): Parameters<typeof PgConnection.connect>[0] {
  const {hostname, port, username} = new URL(inject('pgUrl'));
  const target = {host: hostname, port: Number(port)};
  return {
    ...target,
    database: 'postgres',
    user: username,
    tls: plain,
    connectTimeoutMs: 5000,
    open: (signal) => openTunnel(ssh, target, signal),
  };
}
