import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, beforeEach, describe, expect, inject, it} from 'vitest';

import {testAuthority} from '../../../test/certificates.ts';
import {replayUntilNow} from '../../../test/change-log-replay.ts';
import {createMysqlDatabase, type MysqlDatabase} from '../../../test/mysql-database.ts';
import {startMysql, type MysqlServer} from '../../../test/mysql-server.ts';
import {mysqlKinds, needMysql} from '../../../test/mysql.ts';
import {testContext} from '../../../test/read-context.ts';
import {startSshServer, type SshServer} from '../../../test/ssh-server.ts';
import type {OptionValue} from '../../sdk/index.ts';
import {MysqlChangeLog} from './change-log.ts';
import {mysqlConnector} from './connector.ts';
import {binlogCodec} from './log-codec.ts';
import {connectionOptions, type ConnectionOptions} from './session.ts';

type Options = Readonly<Record<string, OptionValue>>;

const authority = testAuthority();
const carl = authority.issue('carl');
const WITHOUT_CERTIFICATE = {
  host: 'localhost',
  user: 'carl',
  password: 'geheim',
  ssl_mode: 'verify_identity',
  ssl_ca: authority.certificate,
};
/** Proves the server by its name, and the user by password and certificate. */
const PROVED = {...WITHOUT_CERTIFICATE, ssl_cert: carl.certificate, ssl_key: carl.key};

for (const kind of mysqlKinds()) {
  describe(kind, () => {
    let folder = '';
    let server: MysqlServer | undefined;
    let ssh: SshServer | undefined;
    let database: MysqlDatabase | undefined;

    beforeAll(async () => {
      if (inject('mysqlUrls')[kind] === null) return;
      folder = await mkdtemp(join(tmpdir(), 'sluice-secured-'));
      const own = authority.issue('localhost');
      const files = {ca: authority.certificate, cert: own.certificate, key: own.key};
      for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, {mode: 0o600});
      server = await startMysql(kind, {
        'ssl-ca': join(folder, 'ca'),
        'ssl-cert': join(folder, 'cert'),
        'ssl-key': join(folder, 'key'),
      });
      ssh = await startSshServer();
      database = await createMysqlDatabase(server.url, 'secured');
      await database.run(`create table t (id int primary key); create user carl identified by 'geheim' require x509;
        grant all on *.* to carl`);
    });
    afterAll(async () => {
      await database?.[Symbol.asyncDispose]();
      await ssh?.[Symbol.asyncDispose]();
      await server?.[Symbol.asyncDispose]();
      await rm(folder, {recursive: true, force: true});
    });
    beforeEach((context) => void needMysql(context, kind));

    const ways: readonly (readonly [string, () => Options])[] = [
      ['directly', () => ({})],
      ['through a tunnel', () => ssh?.options ?? {}],
    ];
    describe.each(ways)('verify_identity with a client certificate, %s', (_way, more) => {
      const options = (over: Options = PROVED): ConnectionOptions =>
        connectionOptions({...database?.options, ...more(), ...over}, 'test');
      const list = async (over?: Options): Promise<readonly string[]> => {
        const connector = mysqlConnector(options(over));
        try {
          return await connector.listTables(testContext());
        } finally {
          await connector.close();
        }
      };
      const identify = async (over?: Options): Promise<string> => {
        const log = new MysqlChangeLog(options(over), {gatewayId: 'secured'});
        try {
          return (await log.identify(testContext())).server;
        } finally {
          await log.close();
        }
      };

      it('reads by queries', async () => {
        expect(await list()).toEqual(['secured.t']);
      });

      it('snapshots a table and follows its log', async () => {
        const ctx = testContext();
        const tables = ['secured.t'];
        const log = new MysqlChangeLog(options(), {gatewayId: 'secured'});
        const from = await log.prepare(tables, ctx);
        await database?.run('delete from t; insert into t values (7)');
        await using snapshot = await log.planSnapshot('secured.t', ctx);
        const chunk = snapshot.readChunk(snapshot.chunks[0] ?? {}, ctx);
        for (let step = await chunk.next(); ; step = await chunk.next()) {
          if (step.done !== true) continue;
          expect(step.value.rows).toBe(1);
          break;
        }
        const {replay} = await replayUntilNow(log, binlogCodec, {from, tables});
        expect(replay.changes.at(-1)?.change).toMatchObject({op: 'upsert', row: {id: 7}});
        await log.close();
      });

      it('refuses a server that another authority vouches for, or that has another name', async () => {
        const failure = {code: 'CONNECTION_FAILED', class: 'config'};
        for (const wrong of [{ssl_ca: testAuthority().certificate}, {host: '127.0.0.1'}]) {
          await expect(list({...PROVED, ...wrong})).rejects.toMatchObject(failure);
          await expect(identify({...PROVED, ...wrong})).rejects.toMatchObject(failure);
        }
      });

      it('is refused without the certificate', async () => {
        await expect(list(WITHOUT_CERTIFICATE)).rejects.toMatchObject({code: 'AUTH_FAILED'});
        await expect(identify(WITHOUT_CERTIFICATE)).rejects.toMatchObject({code: 'AUTH_FAILED'});
      });
    });

    it('went through the tunnel, and left no session there', async () => {
      expect(ssh?.opened.tunnels).toBeGreaterThan(3);
      await expect.poll(() => ssh?.opened.sessions).toBe(0);
    });
  });
}
