import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import {Client} from '@modelcontextprotocol/sdk/client/index.js';
import {StdioClientTransport} from '@modelcontextprotocol/sdk/client/stdio.js';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {z} from 'zod';

import {AGENT_OPERATIONS} from '../../runtime/agent/agent-operations.ts';

const main = fileURLToPath(new URL('../main.ts', import.meta.url));
const tsx = createRequire(import.meta.url).resolve('tsx');

const CONFIGURATION = `
connection_name: shop
objects: [{table: {source_table: users}}]
connections:
  shop: {connection_type: EXAMPLE, options: {username: u, password: hunter2hunter2, base_time: "2026-01-01T00:00:00Z"}}
  broken: {connection_type: EXAMPLE, options: {username: u}}
  secretless: {connection_type: EXAMPLE, options: {username: u, password: "\${env.NOT_SET_ANYWHERE}"}}
  unknown: {connection_type: NOTHING}
  spaces: {connector: ./spaces}
`;

/** Tables in namespaces of two levels. */
const SPACES = `
import {defineConnector, IngestError} from 'sluice/sdk';
const known = (table) => {
  if (table !== 'acme.web.issues' && table !== 'acme.web.none') throw new IngestError('UNKNOWN_TABLE', 'There is no table ' + table + '.');
};
export default defineConnector({
  name: 'spaces',
  spec: {displayName: 'Spaces', description: 'A connector of a test.', connection: {}, table: {}},
  create: () => ({
    listTables: async () => ['acme.web.issues'],
    listNamespaces: async (prefix) => (prefix === null ? [['acme']] : prefix.length === 1 ? [['acme', 'web']] : []),
    listTablesInNamespace: async (path) => (path.length === 2 ? ['issues'] : []),
    getTableSchema: async (table) => {
      known(table);
      return {type: 'struct', fields: [{name: 'id', type: 'long', nullable: false, metadata: {}}]};
    },
    readTableMetadata: async (table) => (known(table), {primaryKeys: ['id'], ingestionType: 'snapshot'}),
    async *readTable(table) {
      known(table);
      if (table === 'acme.web.issues') yield [{id: 1}];
      return null;
    },
  }),
});
`;

const answerShape = z.object({
  _meta: z.object({status: z.string(), code: z.string().nullable(), message: z.string().nullable()}),
  rows: z.array(z.record(z.string(), z.unknown())),
  truncated: z.boolean(),
});

let folder = '';
let client: Client;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mcp-'));
  await writeFile(join(folder, 'sluice.yml'), CONFIGURATION);
  await mkdir(join(folder, 'spaces'));
  await writeFile(join(folder, 'spaces', 'index.ts'), SPACES);
  client = new Client({name: 'test', version: '1'});
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args: ['--import', tsx, main, 'mcp'],
      cwd: folder,
      env: {XDG_CONFIG_HOME: folder},
      stderr: 'inherit',
    }),
  );
});
afterAll(async () => {
  await client.close();
  await rm(folder, {recursive: true, force: true});
});

async function call(name: string, args: Readonly<Record<string, unknown>> = {}): Promise<z.infer<typeof answerShape>> {
  const result = await client.callTool({name, arguments: args});
  const text = JSON.stringify(result);
  expect(text).not.toContain('hunter2');
  const answer = answerShape.parse(result.structuredContent);
  expect(result.isError === true).toBe(answer._meta.status === 'error');
  return answer;
}

describe('sluice mcp', {timeout: 30_000}, () => {
  it('serves the operations as tools that only read, with typed parameters', async () => {
    const {tools} = await client.listTools();
    expect(tools.map((tool) => tool.name)).toEqual(AGENT_OPERATIONS.map((operation) => operation.name));
    expect(tools.every((tool) => tool.annotations?.readOnlyHint === true)).toBe(true);
    const read = tools.find((tool) => tool.name === 'read_table');
    expect(read?.inputSchema).toMatchObject({
      required: ['table_name'],
      properties: {limit: {type: 'integer', minimum: 1, maximum: 1000, default: 50}, columns: {type: 'array'}},
    });
    expect(client.getServerVersion()).toMatchObject({name: 'sluice'});
  });

  it('lists operations whatever the connections are', async () => {
    const {rows} = await call('list_operations');
    expect(rows.map((row) => row['name'])).toEqual(AGENT_OPERATIONS.map((operation) => operation.name));
    expect(JSON.parse(String(rows[4]?.['parameters_json']))).toMatchObject({table_name: {required: true}});
  });

  it('lists the connections, tries one, and says what is wrong with the others', async () => {
    const {rows} = await call('validate_connection');
    expect(rows.map((row) => [row['connection'], row['status']])).toEqual([
      ['shop', 'untried'],
      ['broken', 'untried'],
      ['secretless', 'untried'],
      ['unknown', 'untried'],
      ['spaces', 'untried'],
    ]);
    expect(await call('validate_connection', {connection: 'shop'})).toMatchObject({
      _meta: {status: 'ok', code: null},
      rows: [{status: 'ok', tables: 5}],
    });
    for (const [connection, code] of [
      ['broken', 'connection_failed'],
      ['unknown', 'connection_failed'],
      ['secretless', 'auth_failed'],
      ['nobody', 'not_found'],
    ] as const)
      expect((await call('validate_connection', {connection}))._meta).toMatchObject({status: 'error', code});
  });

  it('lists objects by a pattern, no more than asked for', async () => {
    const all = await call('list_objects', {connection: 'shop'});
    expect(all.rows).toHaveLength(5);
    expect(all.rows[0]).toEqual({name: 'events', type: 'table', full_path: 'events'});
    expect(await call('list_objects', {connection: 'shop', limit: 2})).toMatchObject({truncated: true});
    expect((await call('list_objects', {connection: 'shop', search: '^US'})).rows).toHaveLength(1);
    expect((await call('list_objects', {connection: 'shop', path: ['x']})).rows).toEqual([]);
    expect((await call('list_objects', {connection: 'shop', search: '('}))._meta.code).toBe('bad_request');
    expect((await call('list_objects', {connection: 'broken'}))._meta.code).toBe('bad_request');
    expect((await call('list_objects'))._meta).toMatchObject({
      code: 'bad_request',
      message: expect.stringContaining('shop, broken') as string,
    });
  });

  it('walks namespaces', async () => {
    const at = async (...path: string[]): Promise<unknown> =>
      (await call('list_objects', {connection: 'spaces', path})).rows;
    expect(await at()).toEqual([
      {name: 'acme', type: 'namespace', full_path: 'acme'},
      {name: 'acme.web.issues', type: 'table', full_path: 'acme.web.issues'},
    ]);
    expect(await at('acme')).toEqual([{name: 'web', type: 'namespace', full_path: 'acme.web'}]);
    expect(await at('acme', 'web')).toEqual([{name: 'issues', type: 'table', full_path: 'acme.web.issues'}]);
    const named = {connection: 'spaces', name: 'issues', path: ['acme', 'web'], metadata_key: 'primary_key'};
    expect((await call('get_object_metadata', named)).rows).toEqual([{key: 'primary_key', value: '["id"]'}]);
    for (const table of [
      {table_name: 'acme.web.issues'},
      {table_name: 'issues', schema_name: 'web', catalog_name: 'acme'},
    ])
      expect((await call('read_table', {connection: 'spaces', columns: ['id'], ...table})).rows).toEqual([{id: 1}]);
  });

  it('tells keys, cursor and columns of a table', async () => {
    const {rows} = await call('get_object_metadata', {connection: 'shop', name: 'orders'});
    const values = Object.fromEntries(rows.map((row) => [String(row['key']), row['value']]));
    expect(values).toMatchObject({
      primary_key: '["order_id"]',
      cursor_column: 'updated_at',
      ingestion_type: 'cdc_with_deletes',
    });
    expect(JSON.parse(String(values['columns']))[0]).toEqual({name: 'order_id', type: 'BIGINT', nullable: false});
    const one = await call('get_object_metadata', {connection: 'shop', name: 'orders', metadata_key: 'Primary_Key'});
    expect(one.rows).toEqual([{key: 'primary_key', value: '["order_id"]'}]);
    expect((await call('get_object_metadata', {connection: 'shop', name: 'nope'}))._meta.code).toBe('not_found');
  });

  it('reads the rows that were asked for, typed, and no more', async () => {
    const read = await call('read_table', {
      connection: 'shop',
      table_name: 'orders',
      columns: ['order_id', 'updated_at'],
      limit: 2,
    });
    expect(read).toMatchObject({_meta: {status: 'ok'}, truncated: true});
    expect(read.rows).toEqual([
      {order_id: 1, updated_at: '2026-01-01T00:00:01Z'},
      {order_id: 2, updated_at: expect.stringMatching(/^2026-01-01T00:00/) as string},
    ]);
    expect((await call('read_table', {connection: 'shop', table_name: 'orders', columns: ['x']}))._meta.code).toBe(
      'not_found',
    );
    expect((await call('read_table', {connection: 'shop', table_name: 'nope'}))._meta.code).toBe('not_found');
    expect((await call('read_table', {connection: 'shop', table_name: 'orders', options: {wrong: 1}}))._meta.code).toBe(
      'bad_request',
    );
  });

  it('says the types of columns in the words of get_object_metadata, also of a table without rows', async () => {
    const {rows} = await call('get_object_metadata', {connection: 'shop', name: 'orders', metadata_key: 'columns'});
    const columns = z
      .array(z.object({name: z.string(), type: z.string()}))
      .parse(JSON.parse(String(rows[0]?.['value'])));
    const read = async (args: Readonly<Record<string, unknown>>): Promise<unknown> => {
      const {structuredContent} = await client.callTool({name: 'read_table', arguments: args});
      return structuredContent;
    };
    const names = columns.map(({name}) => name);
    expect(await read({connection: 'shop', table_name: 'orders', columns: names, limit: 1})).toMatchObject({
      columns: names,
      types: columns.map(({type}) => type),
    });
    expect(await read({connection: 'spaces', table_name: 'acme.web.none', columns: ['id']})).toMatchObject({
      rows: [],
      types: ['BIGINT'],
    });
  });

  it('answers parameters that do not fit as it answers everything else', async () => {
    for (const [name, args, said] of [
      ['read_table', {table_name: 'orders', limit: 5000}, 'limit'],
      ['read_table', {connection: 'shop'}, 'table_name'],
      ['read_table', {connection: 'shop', table_name: 'orders', colums: ['order_id']}, 'colums'],
      ['list_operations', {verbose: true}, 'takes no parameters'],
    ] as const)
      expect((await call(name, args))._meta).toMatchObject({
        code: 'bad_request',
        message: expect.stringContaining(said) as string,
      });
    await expect(client.callTool({name: 'drop_table', arguments: {}})).rejects.toThrow('no tool drop_table');
  });
});
