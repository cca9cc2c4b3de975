import {mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {createServer, type Server} from 'node:http';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {runCli} from '../../test/run-cli.ts';
import {saveConnection} from '../runtime/connections/connection-store.ts';

/** A connector over HTTP with a token in a header and in the query. */
const CONNECTOR = `
import {createHttpClient, defineConnector} from 'sluice/sdk';
export default defineConnector({
  name: 'crm',
  spec: {
    displayName: 'CRM',
    description: 'A connector of a test.',
    connection: {
      base_url: {type: 'string', required: true, description: 'Address.'},
      token: {type: 'string', required: true, secret: true, description: 'Token.'},
    },
    table: {},
  },
  create(create) {
    const client = createHttpClient(
      {baseUrl: create.options.base_url, auth: {kind: 'bearer', token: create.options.token}},
      create,
    );
    return {
      listTables: async () => ['items'],
      getTableSchema: async () => ({type: 'struct', fields: [{name: 'id', type: 'long', nullable: false, metadata: {}}]}),
      readTableMetadata: async () => ({primaryKeys: ['id'], ingestionType: 'snapshot'}),
      async *readTable(table, start, options, ctx) {
        const reply = await client.json({url: '/items', query: {api_key: create.options.token}}, ctx);
        yield reply.body;
        return null;
      },
    };
  },
});
`;
const TOKEN = 'token-that-nobody-may-see';

let folder = '';
let api: Server;
let baseUrl = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'trace-'));
  api = createServer((request, response) => {
    const isKnown = request.headers.authorization === `Bearer ${TOKEN}`;
    response.writeHead(isKnown ? 200 : 401, {'content-type': 'application/json'}).end('[{"id": 1}, {"id": 2}]');
  });
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
  const address = api.address();
  baseUrl = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  await mkdir(join(folder, 'crm'));
  await writeFile(join(folder, 'crm', 'index.ts'), CONNECTOR);
  await writeFile(join(folder, 'sluice.yml'), 'connection_name: crm\nobjects: [{table: {source_table: items}}]\n');
});
afterAll(async () => {
  api.close();
  await rm(folder, {recursive: true, force: true});
});

describe('a trace', () => {
  it('tells of the exchanges of a run, made in another process, without secrets', async () => {
    const env = {XDG_CONFIG_HOME: join(folder, 'config')};
    const at = (name: string): string => join(folder, name);
    const options = {base_url: baseUrl, token: TOKEN};
    await saveConnection(
      {home: at('.sluice'), env},
      {
        name: 'crm',
        connector: 'crm',
        place: {kind: 'path', path: at('crm')},
        options,
        isSecret: (name) => name === 'token',
        nowMs: 0,
      },
      'create',
    );
    const end = await runCli(['run', folder, '--trace', at('run.har'), '--lake', at('lake'), '--json'], {env});
    expect(end.code, end.stdout + end.stderr).toBe(0);
    const text = await readFile(join(folder, 'run.har'), 'utf8');
    const har = JSON.parse(text) as {
      log: {entries: {request: {url: string}; response: {status: number; content: {text: string}}}[]};
    };
    expect(har.log.entries).toHaveLength(1);
    expect(har.log.entries[0]?.request.url).toMatch(/\/items\?api_key=/);
    expect(har.log.entries[0]?.response).toMatchObject({status: 200, content: {text: '[{"id": 1}, {"id": 2}]'}});
    expect(text + end.stdout + end.stderr).not.toContain(TOKEN);
    expect((await stat(join(folder, 'run.har'))).mode & 0o777).toBe(0o600);
    expect((await readdir(folder)).filter((name) => name.endsWith('.lines'))).toEqual([]);
  }, 60_000);
});
