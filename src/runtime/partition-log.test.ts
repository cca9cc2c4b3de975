import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {expect, test} from 'vitest';

import {loadPipelines} from './config/load-pipelines.ts';
import {ingest} from './ingest.ts';

const CONNECTOR = `
name: stations
description: Stations by region.
connection: {base_url: {type: string, required: true, description: Where the API is.}}
client: {base_url: '\${config.base_url}'}
tables:
  - name: stations
    primary_keys: [id]
    ingestion_type: snapshot
    schema: {id: STRING NOT NULL}
    partitions: {kind: list, name: region, values: [north, south]}
    read: {kind: snapshot, list: {request: {url: '/\${parent.region}'}, records: items}}
`;

test('what a connector says while partitions are read is in the events of the run', async () => {
  // Its clock is behind, which is said with the first answer; planning asks for nothing.
  const server = createServer(({url}, answer) => {
    answer.writeHead(200, {date: 'Sat, 31 Jan 2026 12:00:00 GMT', 'content-type': 'application/json'});
    answer.end(JSON.stringify({items: [{id: `of ${url ?? ''}`}]}));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const folder = await mkdtemp(join(tmpdir(), 'sluice-runtime-'));
  try {
    await writeFile(join(folder, 'stations.yml'), CONNECTOR);
    const {port} = server.address() as AddressInfo;
    const data = {
      schema: 'weather',
      connection_name: 'api',
      // A comparison would ask as well.
      objects: [{table: {source_table: 'stations', table_configuration: {verify_after_snapshot: false}}}],
      connections: {api: {connector: './stations.yml', options: {base_url: `http://127.0.0.1:${port}`}}},
    };
    const {pipelines} = await loadPipelines({data, variables: {}, cwd: folder, env: {}});
    const [spec] = pipelines;
    if (spec === undefined) throw new Error('no pipeline');
    const notes: string[] = [];
    const end = await ingest(spec, {
      lake: join(folder, 'lake'),
      signal: new AbortController().signal,
      memoryLimitMb: 256,
      onUpdate: (event) => {
        if (event.kind === 'note') notes.push(`${event.code} ${event.message}`);
      },
    });
    expect(end).toMatchObject({state: 'COMPLETED', flows: [{rowsInserted: 2}]});
    expect(notes.filter((note) => /^CONNECTOR .*clock is ahead/.test(note)).length).toBeGreaterThan(0);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, {recursive: true, force: true});
  }
});
