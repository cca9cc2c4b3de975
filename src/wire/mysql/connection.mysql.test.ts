import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, beforeEach, describe, expect, inject, it} from 'vitest';

import type {Certificate} from '../../../test/certificates.ts';
import {testAuthority} from '../../../test/certificates.ts';
import type {MysqlServer} from '../../../test/mysql-server.ts';
import {startMysql} from '../../../test/mysql-server.ts';
import {mysqlKinds, needMysql} from '../../../test/mysql.ts';
import type {MysqlConnectOptions} from './connection.ts';
import {MysqlConnection} from './connection.ts';
import type {MysqlTls} from './network.ts';
import {quoteIdentifier, quoteLiteral} from './quote.ts';

const forever = new AbortController().signal;
const authority = testAuthority();
const client: Certificate = authority.issue('carl');
const VERIFIED: MysqlTls = {mode: 'verify_identity', rootCertificates: authority.certificate};

for (const kind of mysqlKinds()) {
  describe(`${kind}'s protocol`, () => {
    let server: MysqlServer | undefined;
    let folder = '';
    beforeAll(async () => {
      if (inject('mysqlUrls')[kind] === null) return;
      folder = await mkdtemp(join(tmpdir(), 'sluice-tls-'));
      const own = authority.issue('localhost');
      const files = {ca: authority.certificate, cert: own.certificate, key: own.key};
      for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, {mode: 0o600});
      server = await startMysql(kind, {
        'ssl-ca': join(folder, 'ca'),
        'ssl-cert': join(folder, 'cert'),
        'ssl-key': join(folder, 'key'),
        'max-allowed-packet': '64M',
      });
      const method = kind === 'mysql' ? 'caching_sha2_password' : 'mysql_native_password';
      const by =
        kind === 'mysql'
          ? `identified with ${method} by 'sécret'`
          : `identified via ${method} using password('sécret')`;
      await using root = await MysqlConnection.connect(optionsOf({}), forever);
      await root.queries(
        `set names utf8mb4; create user known ${by}; create user carl ${by} require x509; create user nopass; grant select on *.* to known`,
        forever,
      );
    });
    afterAll(async () => {
      await server?.[Symbol.asyncDispose]();
      await rm(folder, {recursive: true, force: true});
    });
    beforeEach((context) => void needMysql(context, kind));

    function optionsOf(over: Partial<MysqlConnectOptions>): MysqlConnectOptions {
      const place = {host: '127.0.0.1', port: server?.port ?? 0};
      return {...place, user: 'root', tls: {mode: 'disabled'}, connectTimeoutMs: 10_000, ...over};
    }
    const connect = (over: Partial<MysqlConnectOptions> = {}): Promise<MysqlConnection> =>
      MysqlConnection.connect(optionsOf(over), forever);
    const whoIs = async (over: Partial<MysqlConnectOptions>): Promise<readonly (string | null)[]> => {
      await using connection = await connect(over);
      const {rows} = await connection.query(
        `select current_user(), (select variable_value <> '' from ${STATUS[kind]} where variable_name = 'Ssl_cipher')`,
        forever,
      );
      return rows[0] ?? [];
    };

    it('logs in with a password that the server does not remember yet, and with one that it does', async () => {
      expect(await whoIs({user: 'known', password: 'sécret'})).toEqual(['known@%', '0']);
      expect(await whoIs({user: 'known', password: 'sécret'})).toEqual(['known@%', '0']);
      expect(await whoIs({user: 'nopass'})).toEqual(['nopass@%', '0']);
    });

    it('logs in under TLS, by its name, and through the socket of this machine', async () => {
      await using root = await connect();
      if (kind === 'mysql') await root.query('flush privileges', forever);
      expect(await whoIs({user: 'known', password: 'sécret', host: 'localhost', tls: VERIFIED})).toEqual([
        'known@%',
        '1',
      ]);
      expect(await whoIs({user: 'known', password: 'sécret', tls: {mode: 'preferred'}})).toEqual(['known@%', '1']);
      expect(await whoIs({user: 'root', host: server?.socket ?? ''})).toEqual(['root@localhost', '0']);
      const {certificate, key} = client;
      const tls = {...VERIFIED, certificate, key};
      expect(await whoIs({user: 'carl', password: 'sécret', host: 'localhost', tls})).toEqual(['carl@%', '1']);
    });

    it('refuses servers that prove nothing, and says who said no', async () => {
      await expect(connect({tls: {...VERIFIED}})).rejects.toMatchObject({kind: 'tls'});
      await expect(connect({tls: {mode: 'verify_ca'}})).rejects.toMatchObject({kind: 'tls'});
      await expect(connect({user: 'known', password: 'wrong'})).rejects.toMatchObject({kind: 'auth'});
      await expect(connect({user: 'carl', password: 'sécret', tls: {mode: 'required'}})).rejects.toMatchObject({
        kind: 'auth',
      });
      await expect(connect({port: 1})).rejects.toMatchObject({kind: 'network'});
      await expect(connect({database: 'nowhere'})).rejects.toMatchObject({kind: 'server', number: 1049});
    });

    it('gives several results, NULL and empty texts, and large values over many packets', async () => {
      await using connection = await connect();
      const results = await connection.queries(
        `select 1 as a, null as b, '' as c; do 1; select 'x' as d where 1 = 0`,
        forever,
      );
      expect(results).toEqual([
        {columns: ['a', 'b', 'c'], rows: [['1', null, '']]},
        {columns: [], rows: []},
        {columns: ['d'], rows: []},
      ]);
      const SIZE = 40 << 20;
      const {rows} = await connection.query(`select repeat('é', ${SIZE / 2})`, forever);
      expect(Buffer.byteLength(rows[0]?.[0] ?? '')).toBe(SIZE);
      let bytes = 0;
      for await (const chunk of connection.binaryRows(`select repeat('y', ${SIZE}) union all select 'z'`, forever))
        bytes += chunk.bytes.length;
      expect(bytes).toBeGreaterThan(SIZE);
    });

    it('writes literals and names that come back unchanged', async () => {
      await using connection = await connect();
      for (const text of ["it's", 'back\\slash', "\\'", '"', 'ä😀', '\0', '']) {
        const {columns, rows} = await connection.query(
          `select ${quoteLiteral(text)} as ${quoteIdentifier('a`b')}`,
          forever,
        );
        expect([columns, rows]).toEqual([['a`b'], [[text]]]);
      }
    });

    it('stays usable after an error of the server, and quotes no values', async () => {
      await using connection = await connect();
      const wrong = connection.query(`select cast('secret-value' as datetime) from nowhere.t`, forever);
      await expect(wrong).rejects.toMatchObject({kind: 'server'});
      await connection.queries(
        'create database if not exists d; create table if not exists d.t (v varchar(30) primary key)',
        forever,
      );
      await connection.query(`replace into d.t values ('secret-value')`, forever);
      const twice = connection.query(`insert into d.t values ('secret-value')`, forever);
      await expect(twice).rejects.toThrow(/could not process a value \(error 1062/);
      const inRows = connection.binaryRows('select * from d.nowhere', forever).next();
      await expect(inRows).rejects.toMatchObject({number: 1146});
      expect((await connection.query('select 1', forever)).rows).toEqual([['1']]);
    });

    it('ends with its signal, within a query and within rows', async () => {
      const stop = new AbortController();
      const connection = await connect();
      const sleeping = connection.query('select sleep(30)', stop.signal);
      stop.abort(new Error('enough'));
      await expect(sleeping).rejects.toThrow('enough');
      expect(connection.isOpen).toBe(false);
      await connection[Symbol.asyncDispose]();
      await using other = await connect();
      for await (const chunk of other.binaryRows(
        'with recursive n as (select 1 as i union all select i + 1 from n where i < 900) select a.i, repeat("x", 100) from n a, n b',
        forever,
      )) {
        expect(chunk.rows).toBeGreaterThan(0);
        break;
      }
      expect(other.isOpen).toBe(false);
    });
  });
}

describe('a peer that is no server', () => {
  it('is left after the time for connecting, or at once when it speaks another protocol', async () => {
    let answers = false;
    const peers = createServer((socket) => {
      socket.on('error', () => undefined);
      if (answers) socket.write(Buffer.from('0a00000048545450', 'hex'));
    });
    await new Promise<void>((resolve) => peers.listen(0, '127.0.0.1', resolve));
    const address = peers.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const options = {host: '127.0.0.1', port, user: 'u', tls: {mode: 'disabled'}, connectTimeoutMs: 100} as const;
    await expect(MysqlConnection.connect(options, forever)).rejects.toMatchObject({kind: 'timeout'});
    answers = true;
    const spoken = MysqlConnection.connect(options, forever);
    await expect(spoken).rejects.toMatchObject({name: 'MysqlError'});
    peers.close();
  });
});

const STATUS = {
  mariadb: 'information_schema.session_status',
  mysql: 'performance_schema.session_status',
} as const;
