import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import type {Certificate} from '../../../test/certificates.ts';
import {testAuthority} from '../../../test/certificates.ts';
import type {PostgresServer} from '../../../test/postgres.ts';
import {startPostgres} from '../../../test/postgres.ts';
import type {PgConnectOptions} from './connection.ts';
import {PgConnection} from './connection.ts';
import type {PgTls} from './network.ts';

const forever = new AbortController().signal;
const authority = testAuthority();
const client: Certificate = authority.issue('carl');
let server: PostgresServer;

beforeAll(async () => {
  const own = authority.issue('localhost');
  server = await startPostgres(
    {ssl: 'on', ssl_cert_file: 'server.crt', ssl_key_file: 'server.key', ssl_ca_file: 'ca.crt'},
    {
      files: {
        'server.crt': own.certificate,
        'server.key': own.key,
        'ca.crt': authority.certificate,
        'pg_hba.conf': [
          'host all postgres 127.0.0.1/32 trust',
          'host all scram 127.0.0.1/32 scram-sha-256',
          'host all hashed 127.0.0.1/32 md5',
          'host all plain 127.0.0.1/32 password',
          'hostssl all carl 127.0.0.1/32 cert',
          'hostnossl all nobody 127.0.0.1/32 trust',
        ].join('\n'),
      },
    },
  );
  await using admin = await PgConnection.connect(options(), forever);
  await admin.query(
    `create role scram login password 'p,ä=\u00a0ſ'; create role plain login password 'geheim'; create role carl login;
     create role nobody login; set password_encryption = md5; create role hashed login password 'geheim'`,
    forever,
  );
});
afterAll(() => server.close());

function options(over: Partial<PgConnectOptions> = {}): PgConnectOptions {
  return {
    host: '127.0.0.1',
    port: server.port,
    database: 'postgres',
    user: 'postgres',
    tls: {mode: 'disable'},
    connectTimeoutMs: 5000,
    ...over,
  };
}

async function whoAmI(over: Partial<PgConnectOptions>): Promise<readonly (string | null)[] | undefined> {
  await using connection = await PgConnection.connect(options(over), forever);
  const sql = 'select current_user, ssl::text from pg_stat_ssl where pid = pg_backend_pid()';
  return (await connection.query(sql, forever)).rows[0];
}

describe('logging in', () => {
  it('proves a password by SCRAM, with letters that SASLprep folds', async () => {
    expect(await whoAmI({user: 'scram', password: 'p,ä=\u00a0ſ'})).toEqual(['scram', 'false']);
    expect(await whoAmI({user: 'scram', password: 'p,ä= s'})).toEqual(['scram', 'false']);
  });

  it('sends md5 and clear text where the server insists', async () => {
    expect(await whoAmI({user: 'hashed', password: 'geheim'})).toEqual(['hashed', 'false']);
    expect(await whoAmI({user: 'plain', password: 'geheim'})).toEqual(['plain', 'false']);
  });

  it('names a refused password without telling it', async () => {
    for (const user of ['scram', 'hashed', 'plain']) {
      const refused = PgConnection.connect(options({user, password: 'wrong-one'}), forever);
      await expect(refused).rejects.toMatchObject({kind: 'auth', sqlstate: '28P01', fatal: true});
      await expect(refused).rejects.not.toThrow(/wrong-one/);
    }
    await expect(whoAmI({user: 'scram'})).rejects.toMatchObject({kind: 'auth', sqlstate: '28P01'});
  });

  it('tells a missing database from a missing server', async () => {
    await expect(whoAmI({database: 'nowhere'})).rejects.toMatchObject({kind: 'server', sqlstate: '3D000'});
    await expect(whoAmI({port: 1})).rejects.toMatchObject({kind: 'network', sqlstate: '08001'});
  });
});

describe('TLS', () => {
  const ca = authority.certificate;
  const cases: readonly (readonly [string, PgTls, string])[] = [
    ['prefer', {mode: 'prefer'}, '127.0.0.1'],
    ['require', {mode: 'require'}, '127.0.0.1'],
    ['verify-ca by address', {mode: 'verify-ca', rootCertificates: ca}, '127.0.0.1'],
    ['verify-full by name', {mode: 'verify-full', rootCertificates: ca}, 'localhost'],
  ];
  it.each(cases)('encrypts: %s', async (_, tls, host) => {
    expect(await whoAmI({tls, host})).toEqual(['postgres', 'true']);
  });

  it('falls back to plain text only when TLS is no more than preferred', async () => {
    await using bare = await startPostgres();
    expect(await whoAmI({port: bare.port, tls: {mode: 'prefer'}})).toEqual(['postgres', 'false']);
    await expect(whoAmI({port: bare.port, tls: {mode: 'require'}})).rejects.toMatchObject({kind: 'tls'});
  });

  it('refuses a server that is not the one asked for', async () => {
    const unknown = {mode: 'verify-ca', rootCertificates: testAuthority().certificate} as const;
    await expect(whoAmI({tls: unknown})).rejects.toMatchObject({kind: 'tls'});
    await expect(whoAmI({tls: {mode: 'verify-ca'}})).rejects.toMatchObject({kind: 'tls'});
    const wrongName = {mode: 'verify-full', rootCertificates: ca} as const;
    await expect(whoAmI({tls: wrongName})).rejects.toMatchObject({kind: 'tls'});
  });

  it('logs in by client certificate', async () => {
    const tls = {mode: 'require', certificate: client.certificate, key: client.key} as const;
    expect(await whoAmI({user: 'carl', tls})).toEqual(['carl', 'true']);
  });

  it('copies large data through TLS', async () => {
    await using connection = await PgConnection.connect(options({tls: {mode: 'require'}}), forever);
    expect(await copiedRows(connection, 'select i, repeat(i::text, 20) from generate_series(1, 100000) i')).toBe(
      100_000,
    );
  });
});

describe('commands', () => {
  it('gives the rows of the last statement as texts', async () => {
    await using connection = await PgConnection.connect(options(), forever);
    const result = await connection.query(`select 1; select null as "ä", '' as b, 'x''y' as c`, forever);
    expect(result).toEqual({columns: ['ä', 'b', 'c'], rows: [[null, '', "x'y"]]});
  });

  it('stays usable after an error, and hides values that messages quote', async () => {
    await using connection = await PgConnection.connect(options(), forever);
    await expect(connection.query('select * from nowhere', forever)).rejects.toMatchObject({
      sqlstate: '42P01',
      fatal: false,
    });
    const bad = connection.query(`select 'secret-value'::int`, forever);
    await expect(bad).rejects.toMatchObject({sqlstate: '22P02'});
    await expect(bad).rejects.not.toThrow(/secret-value/);
    expect((await connection.query('select 1', forever)).rows).toEqual([['1']]);
  });

  it('copies rows that are larger than the buffer, between small ones', async () => {
    await using connection = await PgConnection.connect(options(), forever);
    const sql = `select i, repeat('x', case when i % 3 = 0 then 5000000 else 3 end) from generate_series(1, 10) i`;
    expect(await copiedRows(connection, sql)).toBe(10);
    expect((await connection.query('select 1', forever)).rows).toEqual([['1']]);
  });

  it('does not read ahead of a slow reader without bound', async () => {
    await using connection = await PgConnection.connect(options(), forever);
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    const sql = 'copy (select repeat(i::text, 50) from generate_series(1, 200000) i) to stdout (format binary)';
    for await (const range of connection.copyOut(sql, forever)) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      most = Math.max(most, range.end - range.start, process.memoryUsage().arrayBuffers - before);
    }
    expect(most).toBeLessThan(16 << 20);
  });

  it('reports an error in the middle of a copy and stays usable', async () => {
    await using connection = await PgConnection.connect(options(), forever);
    const failing = copiedRows(connection, 'select 1 / (50000 - i) from generate_series(1, 100000) i');
    await expect(failing).rejects.toMatchObject({sqlstate: '22012'});
    expect((await connection.query('select 1', forever)).rows).toEqual([['1']]);
  });

  it('stops a query when the signal aborts, in the server too', async () => {
    const stop = new AbortController();
    const connection = await PgConnection.connect(options({parameters: {application_name: 'sleeper'}}), forever);
    const sleeping = connection.query('select pg_sleep(60)', stop.signal);
    setTimeout(() => stop.abort(new Error('enough')), 50);
    await expect(sleeping).rejects.toThrow('enough');
    await connection[Symbol.asyncDispose]();
    await using other = await PgConnection.connect(options(), forever);
    await expect.poll(() => sessions(other, 'sleeper')).toEqual('0');
  });

  it('closes the session when a copy is left early', async () => {
    const connection = await PgConnection.connect(options({parameters: {application_name: 'leaver'}}), forever);
    const sql = 'copy (select generate_series(1, 100000000)) to stdout (format binary)';
    for await (const range of connection.copyOut(sql, forever)) {
      expect(range.end).toBeGreaterThan(range.start);
      break;
    }
    await connection[Symbol.asyncDispose]();
    await using other = await PgConnection.connect(options(), forever);
    await expect.poll(() => sessions(other, 'leaver')).toEqual('0');
  });

  it('notices that the server ended the session', async () => {
    await using connection = await PgConnection.connect(options(), forever);
    await using other = await PgConnection.connect(options(), forever);
    const pid = (await connection.query('select pg_backend_pid()', forever)).rows[0]?.[0];
    const waiting = connection.query('select pg_sleep(60)', forever);
    const refused = expect(waiting).rejects.toMatchObject({sqlstate: '57P01', fatal: true});
    await other.query(`select pg_terminate_backend(${pid})`, forever);
    await refused;
    await expect(connection.query('select 1', forever)).rejects.toMatchObject({sqlstate: '57P01'});
  });
});

async function sessions(connection: PgConnection, name: string): Promise<string | null | undefined> {
  const sql = `select count(*) from pg_stat_activity where application_name = '${name}'`;
  return (await connection.query(sql, forever)).rows[0]?.[0];
}

async function copiedRows(connection: PgConnection, select: string): Promise<number> {
  let rows = -2; // The header and the trailer are messages of their own, the header together with the first row.
  for await (const {buffer, start, end} of connection.copyOut(`copy (${select}) to stdout (format binary)`, forever)) {
    for (let at = start; at < end; at += 1 + buffer.readUInt32BE(at + 1)) rows++;
  }
  return rows + 1;
}
