import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {loadConnections, type KnownConnections} from '../src/runtime/config/load-pipelines.ts';
import {createConnection} from '../src/runtime/connections/create-connection.ts';
import {loginConnection} from '../src/runtime/connections/login-connection.ts';
import {testConnection} from '../src/runtime/connections/test-connection.ts';
import {simulate, type OAuth2Auth, type Simulator} from '../src/simulator/index.ts';

/** A connector as an author writes it. */
const CONNECTOR = `
import {createHttpClient, defineConnector} from 'sluice/sdk';
export default defineConnector({
  name: 'crm',
  spec: {
    displayName: 'CRM',
    description: 'A connector of a test.',
    connection: {
      base_url: {type: 'string', required: true, description: 'Address.'},
      client_id: {type: 'string', required: true, description: 'Client.'},
      client_secret: {type: 'string', secret: true, description: 'Secret.'},
      refresh_token: {type: 'string', required: true, secret: true, description: 'Token.'},
    },
    table: {},
    oauth: {authorizationUrl: '{base_url}/oauth/authorize', tokenUrl: '{base_url}/oauth/token', scopes: 'read'},
  },
  create(create) {
    const {base_url: baseUrl, client_id: clientId, client_secret: clientSecret, refresh_token: refreshToken} = create.options;
    const auth = {kind: 'oauth2', grant: 'refresh_token', tokenUrl: baseUrl + '/oauth/token', clientId, clientSecret, refreshToken};
    const client = createHttpClient({baseUrl, auth}, create);
    return {
      listTables: async () => ['items'],
      getTableSchema: async () => ({type: 'struct', fields: [{name: 'id', type: 'long', nullable: false, metadata: {}}]}),
      readTableMetadata: async () => ({primaryKeys: ['id'], ingestionType: 'snapshot'}),
      async *readTable(table, start, options, ctx) {
        yield (await client.json({url: '/items'}, ctx)).body;
        return null;
      },
      close: () => client[Symbol.asyncDispose](),
    };
  },
});
`;

const AUTH: OAuth2Auth = {
  kind: 'oauth2',
  tokenPath: '/oauth/token',
  authorizePath: '/oauth/authorize',
  grants: ['authorization_code', 'refresh_token'],
  clients: [{id: 'app', secret: 'secret-of-the-app'}],
  rotates: true,
};

let folder = '';
let simulator: Simulator;
let known: KnownConnections;
/** Starts the source; a token that lives shorter than two minutes is not handed on to others, so that everybody refreshes. */
async function start(lifetimeSeconds: number): Promise<void> {
  simulator = await simulate({
    name: 'CRM',
    auth: {...AUTH, lifetimeSeconds},
    collections: {items: {key: 'id', rows: [{id: 1}, {id: 2}]}},
    endpoints: [{path: '/items', list: 'items'}],
  });
  await createConnection(known, {
    name: 'crm',
    connector: './crm',
    folder,
    options: {base_url: simulator.url, client_id: 'app', client_secret: 'secret-of-the-app'},
    fromEnvironment: false,
    replace: false,
  });
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'login-'));
  await mkdir(join(folder, 'crm'));
  await writeFile(join(folder, 'crm', 'index.ts'), CONNECTOR);
  known = await loadConnections({cwd: folder, variables: {}, env: {XDG_CONFIG_HOME: join(folder, 'config')}});
});
afterEach(async () => {
  await simulator.close();
  await rm(folder, {recursive: true, force: true});
});

const signal = new AbortController().signal;
/** Logs in; the page of the simulator agrees at once and sends the browser back. */
const login = (): Promise<unknown> => loginConnection(known, 'crm', {signal, onUrl: (url) => void fetch(url)});
const tried = async (): Promise<string> => {
  const report = await testConnection(known.find('crm'), {signal, env: known.store.env});
  return report.error === null ? 'ok' : `${report.error.code} ${report.error.message}`;
};

const refreshes = (): number => simulator.requests.filter((request) => request.path === '/oauth/token').length - 1;

describe('a login with a source whose tokens rotate', () => {
  it('lasts: each run finds the refresh token that the run before was given', async () => {
    await start(100);
    expect(await tried()).toContain('INVALID_OPTION');
    expect(await login()).toMatchObject({option: 'refresh_token', kind: 'refresh token'});
    for (let round = 0; round < 3; round += 1) expect(await tried()).toBe('ok');
    expect(refreshes()).toBe(3);
  });

  it('lasts when runs refresh at once: none is left with a token that another has replaced', async () => {
    await start(100);
    await login();
    for (let round = 0; round < 2; round += 1)
      expect(await Promise.all(Array.from({length: 4}, tried))).toEqual(['ok', 'ok', 'ok', 'ok']);
    expect(refreshes()).toBe(8);
  });

  it('refreshes once for all runs while the access token lives', async () => {
    await start(3600);
    await login();
    expect(await Promise.all(Array.from({length: 4}, tried))).toEqual(['ok', 'ok', 'ok', 'ok']);
    expect(await tried()).toBe('ok');
    expect(refreshes()).toBe(1);
  });

  it('begins anew after another login', async () => {
    await start(3600);
    await login();
    expect(await tried()).toBe('ok');
    await login();
    expect(await tried()).toBe('ok');
    expect(refreshes()).toBe(3);
  });
});
