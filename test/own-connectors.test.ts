import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {parse} from 'yaml';

import {TINY, writeFolder} from '../src/runtime/author/author.support.test.ts';
import {buildConnector} from '../src/runtime/author/build-connector.ts';
import {writeScaffold} from '../src/runtime/author/scaffold.ts';
import {parseSimulatorDocument, simulate} from '../src/simulator/index.ts';
import {runCli} from './run-cli.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-own-'));
});
afterAll(() => rm(folder, {recursive: true, force: true}));

const SNAPSHOT = "readTableMetadata: () => Promise.resolve({primaryKeys: ['id'], ingestionType: 'snapshot'}),";
const readable = {
  ...TINY,
  'index.ts': (TINY['index.ts'] ?? '').replace(/readTableMetadata: .*/, SNAPSHOT),
};

describe('a run', () => {
  it('reads by a built file and by a document, in processes of its own', async () => {
    const source = await writeFolder(folder, readable);
    await buildConnector(source, join(folder, 'built'));
    await writeScaffold('shop', {kind: 'yaml', folder: join(folder, 'shop')});
    const api: unknown = parse(await readFile(join(folder, 'shop/simulator.yml'), 'utf8'));
    await using simulator = await simulate(parseSimulatorDocument(api, 'simulator.yml'));
    await writeFile(
      join(folder, 'sluice.yml'),
      `lake: ./lake
resources:
  connections:
    built: {connector: ./built, options: {host: h}}
    document:
      connector: ./shop/connector.yml
      options: {base_url: '${simulator.url}', token: token-of-the-simulator}
  pipelines:
    b: {schema: b, ingestion_definition: {connection_name: built, objects: [{table: {source_table: rows}}]}}
    c: {schema: c, ingestion_definition: {connection_name: document, objects: [{table: {source_table: items}}]}}
`,
    );
    const end = await runCli(['run', join(folder, 'sluice.yml'), '--json']);
    expect(end, end.stdout + end.stderr).toMatchObject({code: 0});
    const sql = 'SELECT (SELECT count(*) FROM main.b.rows) AS b, (SELECT count(DISTINCT id) FROM main.c.items) AS c';
    const shown = await runCli(['query', sql, '--lake', join(folder, 'lake'), '--json']);
    expect(JSON.parse(shown.stdout)).toMatchObject({rows: [{b: 1, c: 30}]});
  }, 120_000);
});
