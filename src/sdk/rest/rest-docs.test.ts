import {readFile} from 'node:fs/promises';

import {describe, expect, it} from 'vitest';
import {parse} from 'yaml';

import type {JsonObject} from '../../core/json-value.ts';
import type {ConnectorDefinition} from '../define-connector.ts';
import {type CustomPlan, createHttpClient, restConnector} from '../index.ts';
import {parseRestDocument} from './rest-document.ts';
import {
  connectorOf,
  openConnector,
  readContext,
  serve,
  testClock,
  TestFlow,
  type ApiReply,
  type ApiRequest,
} from './rest-fixture.support.test.ts';

const DOCS = new URL('../../../docs/rest-layer.md', import.meta.url);

// prettier-ignore
export const tracker: ConnectorDefinition = restConnector({
  name: 'tracker',
  displayName: 'Tracker',
  description: 'Issues of a tracker.',
  connection: {
    base_url: {type: 'string', required: true, description: 'Where the API is.'},
    token: {type: 'string', required: true, secret: true, description: 'An access token.'},
  },
  client: ({base_url: baseUrl, token}, create) =>
    createHttpClient({baseUrl: String(baseUrl), auth: {kind: 'bearer', token: String(token)}}, create),
  tables: [
    {
      name: 'issues',
      primaryKeys: ['id'],
      cursorField: 'updated_at',
      ingestionType: 'cdc',
      schema: 'id BIGINT NOT NULL, project_id BIGINT, title STRING, updated_at TIMESTAMP',
      partitions: {kind: 'parent', list: {request: {url: '/projects'}, records: 'items'}, values: {project: 'id'}},
      set: {project_id: (_record, {parent}) => parent['project']},
      read: {
        kind: 'sorted',
        list: {
          request: ({parent, cursor}) => ({
            url: `/projects/${String(parent['project'])}/issues`,
            query: {updated_since: cursor ?? undefined, sort: 'updated_at'},
          }),
          records: 'items',
          paginator: {kind: 'page', slot: {query: 'page'}, size: {slot: {query: 'per_page'}, value: 100}},
          emptyWhen: [{status: 404}],
        },
      },
    },
  ],
});

// prettier-ignore
export const customers: CustomPlan = {
  kind: 'custom',
  parts: {
    // A minute ago, for clocks: what changes from then on comes by `read`.
    end: (_start, {ctx}) => Promise.resolve({since: new Date(ctx.clock.nowMs() - 60_000).toISOString()}),
    // The year of creation never changes, so that no row moves from one part to another.
    list: () => Promise.resolve(['2024', '2025', '2026'].map((year) => ({year}))),
    async *read({year}, call) {
      yield* call.list({request: {url: '/customers', query: {year: String(year)}}, records: 'items'});
    },
  },
  async *read(start, call) {
    const since = String(start?.['since'] ?? '');
    let newest = since;
    for await (const rows of call.list({request: {url: '/customers', query: {since}}, records: 'items'})) {
      for (const {updated_at: at} of rows) if (String(at) > newest) newest = String(at);
      yield rows;
    }
    return newest === since ? start : {since: newest};
  },
};

function answer({path, query}: ApiRequest): ApiReply {
  if (path === '/customers') return {body: {items: [{id: query.get('year') ?? 'changed'}]}};
  if (path === '/me') return {body: {}};
  if (path === '/projects') return {body: {items: [{id: 1}, {id: 2}, {id: 3}], next_cursor: null}};
  const project = Number(/^\/projects\/(\d+)\/issues$/.exec(path)?.[1]);
  if (project === 3) return {status: 404, body: {}};
  const since = query.get('updated_since') ?? '';
  const items = [{id: project * 10, title: 't', updated_at: '2026-01-01T00:00:00Z'}].filter(
    (issue) => issue.updated_at >= since,
  );
  return {body: {items: query.get('page') === '1' ? items : []}};
}

/** Code blocks of the page by the word after their fence. */
async function blocks(kind: string): Promise<readonly string[]> {
  const text = await readFile(DOCS, 'utf8');
  return [...text.matchAll(/```(\S+)\n([\s\S]*?)```/g)].flatMap(([, language, code]) =>
    language === kind && code !== undefined ? [code] : [],
  );
}

async function readIssues(definition: ConnectorDefinition): Promise<readonly JsonObject[]> {
  await using api = await serve(answer);
  const connector = openConnector(definition, {base_url: api.baseUrl, token: 't'});
  await connector.listTables({...TEST_CONTEXT});
  const flow = new TestFlow(connector, 'issues', {clock: testClock(Date.parse('2026-02-01T00:00:00Z'))});
  await flow.trigger();
  await connector.close?.();
  return [...flow.rows.values()];
}

const silent = (): void => undefined;
const TEST_CONTEXT = {
  signal: new AbortController().signal,
  clock: testClock(0),
  log: {debug: silent, info: silent, warn: silent},
  files: {list: () => Promise.resolve([]), inferSchema: () => Promise.reject(new Error('no files'))},
};

const ISSUES = [
  {id: 10, title: 't', updated_at: '2026-01-01T00:00:00Z', project_id: 1},
  {id: 20, title: 't', updated_at: '2026-01-01T00:00:00Z', project_id: 2},
];

describe('the examples of docs/rest-layer.md', () => {
  it('run as YAML', async () => {
    const [document = ''] = await blocks('yaml');
    expect(await readIssues(parseRestDocument(parse(document), 'tracker.yml'))).toEqual(ISSUES);
  });

  it('run as TypeScript', async () => {
    const [example = ''] = await blocks('ts');
    const own = await readFile(new URL(import.meta.url), 'utf8');
    const code = example.slice(example.indexOf('export const'));
    expect(own).toContain(code.trim());
    expect(await readIssues(tracker)).toEqual(ISSUES);
  });

  it('load in partitions of their own', async () => {
    const [, example = ''] = await blocks('ts');
    expect(await readFile(new URL(import.meta.url), 'utf8')).toContain(
      example.slice(example.indexOf('export const')).trim(),
    );
    await using api = await serve(answer);
    const table = {name: 'c', primaryKeys: ['id'], ingestionType: 'cdc', schema: 'id STRING', read: customers} as const;
    const connector = openConnector(connectorOf(api, [table]));
    const ctx = readContext();
    expect(connector.isPartitioned?.('c', null, {})).toBe(true);
    const end = (await connector.latestOffset?.('c', null, {}, ctx)) ?? null;
    const plan = await connector.getPartitions?.('c', {start: null, end}, {}, ctx);
    const pages: unknown[] = [];
    for (const part of plan?.partitions ?? [])
      for await (const page of connector.readPartition?.('c', part, {}, ctx) ?? []) pages.push(page);
    expect(pages).toEqual(['2024', '2025', '2026'].map((id) => ({kind: 'records', rows: [{id}]})));
    expect(connector.isPartitioned?.('c', end, {})).toBe(false);
    await connector.close?.();
  });

  it('are logins and rules that load', async () => {
    const connectors = await blocks('yaml-connector');
    expect(connectors).toHaveLength(1);
    for (const connector of connectors) {
      const document = {name: 'doc', description: 'A test.', tables: [], ...(parse(connector) as object)};
      const {spec} = parseRestDocument(document, 'docs');
      expect(Object.keys(spec.authMethods ?? {})).toEqual(['token', 'oauth']);
      expect(spec.oauth).toMatchObject({scopes: 'read'});
    }
  });

  it('are tables that load', async () => {
    const tables = await blocks('yaml-table');
    expect(tables.length).toBeGreaterThan(3);
    for (const table of tables) {
      const document = {
        name: 'doc',
        description: 'A test.',
        client: {base_url: 'http://127.0.0.1:1'},
        tables: [parse(table) as unknown],
      };
      expect(parseRestDocument(document, 'docs').name).toBe('doc');
    }
  });
});
