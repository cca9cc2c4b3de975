// Loads one table of an API of `api-limits` into a lake and says how; in a process of its own, so that its memory can be seen.
import {rm} from 'node:fs/promises';

import {createHttpClient} from '../src/sdk/http/create-http-client.ts';
import {restConnector} from '../src/sdk/rest/rest-connector.ts';
import type {RestTable} from '../src/sdk/rest/rest-spec.ts';
import {openTestLake, runConnector} from '../src/testkit/run-connector.ts';

const [baseUrl = '', tableName = '', perSecond = '0'] = process.argv.slice(2);

const TABLES: readonly RestTable[] = [
  {
    name: 'items',
    primaryKeys: ['id'],
    ingestionType: 'snapshot',
    schema: 'id BIGINT NOT NULL, project BIGINT, name STRING',
    partitions: {kind: 'parent', list: {request: {url: '/projects'}}, values: {id: 'id'}},
    concurrency: 16,
    read: {
      kind: 'snapshot',
      list: {
        request: ({parent}) => ({url: `/projects/${String(parent['id'])}/items`}),
        paginator: {kind: 'page', slot: {query: 'page'}, size: {slot: {query: 'limit'}, value: 10}},
      },
    },
  },
  {
    name: 'rows',
    primaryKeys: ['id'],
    ingestionType: 'snapshot',
    schema:
      'id BIGINT NOT NULL, name STRING, city STRING, amount DOUBLE, updated_at TIMESTAMP, place STRUCT<zip: BIGINT, street: STRING>, tags ARRAY<STRING>',
    read: {
      kind: 'snapshot',
      list: {request: {url: '/rows'}, records: 'rows', paginator: {kind: 'page', slot: {query: 'page'}}},
    },
  },
];

const definition = restConnector({
  name: 'bench',
  displayName: 'Bench',
  description: 'Tables of a bench.',
  connection: {},
  client: (_options, create) =>
    createHttpClient(
      {baseUrl, ...(Number(perSecond) > 0 ? {rate: {requestsPerSecond: Number(perSecond)}} : {})},
      create,
    ),
  tables: TABLES,
});

const lake = await openTestLake();
try {
  const startedAt = performance.now();
  const configuration = {verify: {afterSnapshot: false, intervalHours: null}};
  const end = await runConnector(lake, {definition, tables: [{source: tableName, configuration}]});
  const [flow] = end.flows;
  if (end.state !== 'COMPLETED' || flow === undefined) throw new Error(JSON.stringify([end.flows, end.notes]));
  process.send?.({elapsedMs: performance.now() - startedAt, rows: flow.rowsInserted});
} finally {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
}
process.disconnect?.();
