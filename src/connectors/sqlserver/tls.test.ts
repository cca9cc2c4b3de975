import {afterEach, describe, expect, it} from 'vitest';

import {testAuthority} from '../../../test/certificates.ts';
import {testContext} from '../../../test/read-context.ts';
import {SqlServerChangeLog} from './change-log.ts';
import {sqlServerConnector} from './connector.ts';
import {connectionOptions} from './session.ts';
import type {WireTls} from './simulator-tls.ts';
import {type SqlServerSimulator, startSimulator} from './simulator.ts';

const authority = testAuthority();
const localhost = authority.issue('localhost');
const PROVED = {host: 'localhost', ssl_ca: authority.certificate};
const FAILED = {code: 'CONNECTION_FAILED', class: 'config', fix: expect.stringContaining('ssl_ca')};

let simulator: SqlServerSimulator;
afterEach(() => simulator[Symbol.asyncDispose]());

async function start(from: WireTls['from'] | 'never', own = localhost): Promise<void> {
  simulator = await startSimulator(from === 'never' ? {} : {tls: {from, ...own}});
  simulator.database.createTable('items', [{name: 'id', type: 'int', nullable: false}], ['id']);
}

/** What a connection lists, by queries. */
async function list(over: object): Promise<readonly string[]> {
  const connector = sqlServerConnector(connectionOptions({...simulator.options, ...over}, 'test'));
  try {
    return await connector.listTables(testContext());
  } finally {
    await connector.close();
  }
}

describe.each([
  ['strict', 'strict'],
  ['required', 'login'],
] as const)('encrypt: %s', (encrypt, from) => {
  it('reads by queries and changes from the server that its certificate names', async () => {
    await start(from);
    expect(await list({...PROVED, encrypt})).toEqual(['dbo.items']);
    const log = new SqlServerChangeLog(connectionOptions({...simulator.options, ...PROVED, encrypt}, 'test'), {
      gatewayId: 'tls',
    });
    expect((await log.identify(testContext())).server).not.toBe('');
    await log.close();
  });

  it('sends no password to a server of an authority that is not trusted', async () => {
    await start(from);
    await expect(list({...PROVED, encrypt, ssl_ca: testAuthority().certificate})).rejects.toMatchObject(FAILED);
    await expect(list({host: 'localhost', encrypt})).rejects.toMatchObject(FAILED);
    expect(simulator.logins).toEqual([]);
  });

  it('sends no password to a server of another name', async () => {
    await start(from, authority.issue('db.example'));
    await expect(list({...PROVED, encrypt})).rejects.toMatchObject(FAILED);
    expect(simulator.logins).toEqual([]);
  });

  it('sends no password to a server without TLS', async () => {
    await start('never');
    await expect(list({...PROVED, encrypt, connect_timeout_seconds: 2})).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
    });
    expect(simulator.logins).toEqual([]);
  });
});

describe('trust_server_certificate', () => {
  it('encrypts without proving who the server is, and only from the login on', async () => {
    await start('login');
    expect(await list({encrypt: 'required', trust_server_certificate: true})).toEqual(['dbo.items']);
  });
});

describe('encrypt: disabled', () => {
  it('is refused where the server insists on TLS', async () => {
    await start('login');
    await expect(list({encrypt: 'disabled'})).rejects.toMatchObject({code: 'CONNECTION_FAILED', class: 'config'});
    expect(simulator.logins).toEqual([]);
  });
});
