import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {testAuthority} from '../../../test/certificates.ts';
import {LogFollower} from '../../../test/follow-log.ts';
import {createDatabase, type TestDatabase} from '../../../test/pg-database.ts';
import {startPostgres, type PostgresServer} from '../../../test/postgres.ts';
import {testContext} from '../../../test/read-context.ts';
import {startSshServer, type SshServer} from '../../../test/ssh-server.ts';
import type {OptionValue} from '../../sdk/index.ts';
import {parseLsn} from '../../wire/pg/replication.ts';
import {PostgresChangeLog} from './change-log.ts';
import {PostgresConnector} from './connector.ts';
import {pgCodec} from './log-codec.ts';
import {connectionOptions} from './session.ts';

const authority = testAuthority();
const carl = authority.issue('carl');
const WITHOUT_CERTIFICATE = {
  host: 'localhost',
  user: 'carl',
  sslmode: 'verify-full',
  sslrootcert: authority.certificate,
};
/** Proves the server by its name, and the user by a certificate alone. */
const PROVED = {...WITHOUT_CERTIFICATE, sslcert: carl.certificate, sslkey: carl.key};
let server: PostgresServer;
let ssh: SshServer;
let database: TestDatabase;
let count = 0;

beforeAll(async () => {
  const own = authority.issue('localhost');
  const rules = ['host all postgres 127.0.0.1/32 trust', 'hostssl all carl 127.0.0.1/32 cert'];
  const files = {
    'server.crt': own.certificate,
    'server.key': own.key,
    'ca.crt': authority.certificate,
    'pg_hba.conf': rules.join('\n'),
  };
  server = await startPostgres(
    {ssl: 'on', ssl_cert_file: 'server.crt', ssl_key_file: 'server.key', ssl_ca_file: 'ca.crt'},
    {files},
  );
  ssh = await startSshServer();
  database = await createDatabase(server.url, 'secured');
  await database.run('create table t (id int primary key); create role carl login superuser');
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await ssh[Symbol.asyncDispose]();
  await server.close();
});

const ways: readonly (readonly [string, () => Readonly<Record<string, OptionValue>>])[] = [
  ['directly', () => ({})],
  ['through a tunnel', () => ssh.options],
];

describe.each(ways)('verify-full with a client certificate, %s', (_way, more) => {
  const options = (over: Readonly<Record<string, OptionValue>> = {}) =>
    connectionOptions({...database.options, ...PROVED, ...more(), ...over}, 'test');
  const list = async (over: Readonly<Record<string, OptionValue>> = {}): Promise<readonly string[]> => {
    const connector = new PostgresConnector(options(over));
    try {
      return await connector.listTables(testContext());
    } finally {
      await connector.close();
    }
  };
  const openLog = (over: Readonly<Record<string, OptionValue>> = {}): PostgresChangeLog =>
    new PostgresChangeLog(options(over), {gatewayId: `secured_${count}`});
  const identify = async (over: Readonly<Record<string, OptionValue>>): Promise<string> => {
    const log = openLog(over);
    try {
      return (await log.identify(testContext())).server;
    } finally {
      await log.close();
    }
  };

  it('reads by queries', async () => {
    expect(await list()).toEqual(['public.t']);
  });

  it('snapshots a table and follows its log', async () => {
    count++;
    const ctx = testContext();
    const log = openLog();
    const from = await log.prepare(['public.t'], ctx);
    await database.run(`insert into t values (${count})`);
    await using snapshot = await log.planSnapshot('public.t', ctx);
    const chunk = snapshot.readChunk(snapshot.chunks[0] ?? {}, ctx);
    for (let step = await chunk.next(); step.done !== true; step = await chunk.next())
      expect(step.value.length).toBeGreaterThan(0);
    const [now] = await database.texts('select pg_current_wal_insert_lsn()');
    const follower = new LogFollower(pgCodec);
    const reader = await log.openLog(from, ['public.t'], ctx);
    await follower.readTo(reader, parseLsn(now?.[0] ?? '') ?? 0n);
    expect(follower.transactions.flatMap(({changes}) => changes.map(({change}) => change.row))).toEqual([{id: count}]);
    const sessions = await database.texts(
      `select distinct s.ssl::text, s.client_dn from pg_stat_ssl s join pg_stat_activity a using (pid) where a.usename = 'carl'`,
    );
    expect(sessions).toEqual([['true', '/CN=carl']]);
    await reader[Symbol.asyncDispose]();
    await log.release(ctx);
    await log.close();
  });

  it('refuses a server that another authority vouches for, or that has another name', async () => {
    const failure = {code: 'CONNECTION_FAILED', class: 'config'};
    const unknown = {sslrootcert: testAuthority().certificate};
    await expect(list(unknown)).rejects.toMatchObject(failure);
    await expect(identify(unknown)).rejects.toMatchObject(failure);
    await expect(list({host: '127.0.0.1'})).rejects.toMatchObject(failure);
    await expect(identify({host: '127.0.0.1'})).rejects.toMatchObject(failure);
  });

  it('is refused without the certificate', async () => {
    const bare = connectionOptions({...database.options, ...WITHOUT_CERTIFICATE, ...more()}, 'test');
    const connector = new PostgresConnector(bare);
    await expect(connector.listTables(testContext())).rejects.toMatchObject({code: 'AUTH_FAILED'});
    await connector.close();
    const log = new PostgresChangeLog(bare, {gatewayId: 'bare'});
    await expect(log.identify(testContext())).rejects.toMatchObject({code: 'AUTH_FAILED'});
    await log.close();
  });
});

it('went through the tunnel, and left no session there', async () => {
  expect(ssh.opened.tunnels).toBeGreaterThan(3);
  await expect.poll(() => ssh.opened.sessions).toBe(0);
});
