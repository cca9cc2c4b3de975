import {appendFile, mkdir, mkdtemp, readdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import type {PipelineSpec} from '../pipeline/spec.ts';
import type {LakeOptions} from './api.ts';
import {loadPipelines} from './config/load-pipelines.ts';
import {ingest} from './ingest.ts';
import {queryLake, status, tableHistory} from './inspect.ts';
import {planPipeline} from './plan.ts';
import {previewTable} from './preview.ts';
import {adoptTables, resetState, showState} from './state.ts';

let folder: string;
let options: LakeOptions;
let spec: PipelineSpec;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-runtime-'));
  options = {lake: join(folder, 'lake'), signal: new AbortController().signal, memoryLimitMb: 256};
  await mkdir(join(folder, 'inputs', 'people'), {recursive: true});
  await writeFile(join(folder, 'inputs', 'people', 'a.csv'), 'id,name,born\n1,Ada,1815-12-10\n2,Grace,1906-12-09\n');
  spec = await load('people');
});
afterEach(async () => {
  await rm(folder, {recursive: true, force: true});
});

async function load(key: string, configuration: object = {}, source = 'people'): Promise<PipelineSpec> {
  const data = {
    resources: {
      connections: {folder: {connection_type: 'FILES', options: {path: join(folder, 'inputs')}}},
      pipelines: {
        [key]: {
          catalog: 'main',
          schema: 'crew',
          pipeline_spec: {
            connection_name: 'folder',
            objects: [{table: {source_table: source, table_configuration: configuration}}],
          },
        },
      },
    },
  };
  const [first] = (await loadPipelines({data, variables: {}, cwd: folder, env: {}})).pipelines;
  if (first === undefined) throw new Error('no pipeline');
  return first;
}

const run = (pipeline = spec, more: object = {}): ReturnType<typeof ingest> => ingest(pipeline, {...options, ...more});

describe('a run', () => {
  test('lands files once, tells where it stands, and shows it to SQL', async () => {
    expect(await run()).toMatchObject({state: 'COMPLETED', flows: [{rowsInserted: 2, sourceTable: 'people'}]});
    expect(await run()).toMatchObject({state: 'COMPLETED', flows: [{rowsRead: 0}]});
    const result = await queryLake('SELECT name, born FROM main.crew.people ORDER BY id', {...options, limit: 10});
    expect(result).toMatchObject({
      columns: ['name', 'born'],
      types: ['VARCHAR', 'DATE'],
      rows: [{name: 'Ada'}, {name: 'Grace'}],
      truncated: false,
    });
    expect(await status([spec], options)).toMatchObject([
      {flow: 'main.crew.people', rows: 2, version: 1, lastBatchId: 1, inSnapshot: false, quarantinedRows: 0},
    ]);
    expect(await showState(spec, [], options)).toMatchObject([
      {flow: 'main.crew.people', batchId: 1, pipeline: 'people', sideFiles: {ledger: 1}},
    ]);
    expect(await tableHistory('people', {...options, limit: 5})).toMatchObject([
      {version: 1, batchId: 1, rowsAdded: 2},
      {version: 0, operation: 'CREATE TABLE'},
    ]);
  });

  test('writes its events into the event log, with the schema of Lakeflow', async () => {
    await run();
    const {rows} = await queryLake(
      'SELECT event_type, level, origin.flow_name AS flow, details FROM crew.event_log_people ORDER BY timestamp',
      {...options, limit: 50},
    );
    expect(rows.map((row) => row['event_type'])).toEqual(
      expect.arrayContaining(['create_update', 'update_progress', 'flow_definition', 'flow_progress']),
    );
    const defined = rows.find((row) => row['event_type'] === 'flow_definition');
    expect(String(defined?.['details'])).toContain('"name"');
    const done = rows.filter((row) => row['event_type'] === 'flow_progress').map((row) => String(row['details']));
    expect(done.some((details) => details.includes('"COMPLETED"') && details.includes('num_output_rows'))).toBe(true);
  });

  test('reads anew on a full refresh, without a row twice', async () => {
    await run();
    await appendFile(join(folder, 'inputs', 'people', 'b.csv'), 'id,name,born\n3,Radia,1951-12-18\n');
    expect((await run(spec, {fullRefresh: ['people']})).flows).toMatchObject([{state: 'COMPLETED', rowsInserted: 3}]);
    expect((await queryLake('SELECT id FROM people ORDER BY id', {...options, limit: 10})).rows).toEqual([
      {id: 1n},
      {id: 2n},
      {id: 3n},
    ]);
  });

  test('keeps the types that landed: what does not fit them in a later file is rescued', async () => {
    await run();
    await writeFile(join(folder, 'inputs', 'people', 'b.csv'), 'id,name,born\n3,Radia,soon\n');
    expect((await run()).flows).toMatchObject([{state: 'COMPLETED', rowsInserted: 1, rescuedValues: 1}]);
    const {rows} = await queryLake('SELECT born, _rescued_data FROM people WHERE id = 3', {...options, limit: 10});
    expect(rows).toMatchObject([{born: null}]);
    expect(String(rows[0]?.['_rescued_data'])).toContain('"born":"soon"');
  });

  test('with bad input writes nothing at all', async () => {
    await expect(run(await load('people', {delimeter: ';'}))).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      fix: expect.stringContaining('delimiter') as string,
    });
    await expect(run(spec, {tables: ['poeple']})).rejects.toMatchObject({code: 'UNKNOWN_TABLE'});
    await expect(run(spec, {fullRefresh: ['poeple']})).rejects.toMatchObject({code: 'UNKNOWN_TABLE'});
    await expect(readdir(join(folder, 'lake'))).rejects.toThrow('ENOENT');
  });
});

test('status shows the other tables when the log of one is corrupt', async () => {
  await run();
  await mkdir(join(folder, 'lake', 'main', 'crew', 'broken', '_delta_log'), {recursive: true});
  await writeFile(
    join(folder, 'lake', 'main', 'crew', 'broken', '_delta_log', '00000000000000000000.json'),
    '{"metaData":',
  );
  expect(await status([spec], options)).toMatchObject([
    {flow: 'main.crew.broken', version: -1, recommendation: expect.stringContaining('CORRUPT_LOG') as string},
    {flow: 'main.crew.people', rows: 2},
  ]);
});

describe('state', () => {
  test('that was reset makes the next run read anew and swap the rows', async () => {
    await run();
    expect(await resetState(spec, ['people'], options)).toMatchObject([{batchId: null}]);
    expect(await run()).toMatchObject({state: 'COMPLETED'});
    expect((await queryLake('SELECT id FROM people ORDER BY id', {...options, limit: 10})).rows).toEqual([
      {id: 1n},
      {id: 2n},
    ]);
  });

  test('of another pipeline is refused until it is adopted', async () => {
    await run();
    const other = await load('other');
    expect(await run(other)).toMatchObject({state: 'FAILED', flows: [{errorCode: 'TABLE_NOT_OURS'}]});
    await expect(resetState(other, ['people'], options)).rejects.toMatchObject({code: 'TABLE_NOT_OURS'});
    expect(await adoptTables(other, ['main.crew.people'], options)).toMatchObject([{pipeline: 'other'}]);
    expect(await run(other)).toMatchObject({state: 'COMPLETED'});
    expect((await queryLake('SELECT count(*) AS n FROM people', {...options, limit: 10})).rows).toEqual([{n: 2n}]);
  });
});

describe('looking before', () => {
  test('plan says what would be made, and writes nothing', async () => {
    const [planned] = await planPipeline(spec, {...options, tables: []});
    expect(planned).toMatchObject({
      action: 'create',
      scdType: 'APPEND_ONLY',
      deletionVectors: false,
      columns: [
        {name: 'id', type: 'BIGINT', change: 'new'},
        {name: 'name'},
        {name: 'born', type: 'DATE'},
        {name: '_rescued_data'},
      ],
    });
    await expect(readdir(join(folder, 'lake'))).rejects.toThrow('ENOENT');
    await run();
    await writeFile(join(folder, 'inputs', 'people', 'b.csv'), 'id,name,born,city\n3,Radia,1951-12-18,Portland\n');
    expect(await planPipeline(spec, {...options, tables: []})).toMatchObject([{action: 'evolve'}]);
  });

  test('plan says how a table keeps its rows, and what stops a run as the run does', async () => {
    const keyed = {primary_keys: ['id'], sequence_by: 'born', track_history_column_list: ['name']};
    const plan = async (more: object): ReturnType<typeof planPipeline> =>
      planPipeline(await load('people', {...keyed, ...more}), {...options, tables: []});
    const history = {scd_type: 'SCD_TYPE_2', cluster_by: ['id'], schema_evolution: 'freeze'};
    expect(await plan(history)).toMatchObject([
      {scdType: 'SCD_TYPE_2', trackedColumns: ['name'], clusteringColumns: ['id'], schemaEvolution: 'freeze'},
    ]);
    expect(await run(await load('people', {...keyed, ...history}))).toMatchObject({state: 'COMPLETED'});
    const refused = {action: 'blocked', error: {code: 'INCOMPATIBLE_SCHEMA_CHANGE'}};
    const reload = {auto_full_refresh_policy: {enabled: true, min_interval_hours: 24}};
    const other = await load('people', {...keyed, ...history, ...reload, schema_hints: 'extra STRING, name BIGINT'});
    expect((await run(other)).flows).toMatchObject([{errorCode: refused.error.code}]);
    expect(await planPipeline(other, {...options, tables: []})).toMatchObject([refused]);
    const {track_history_column_list: _, ...plain} = keyed;
    const forgets = await load('people', {...plain, scd_type: 'SCD_TYPE_1'});
    expect((await run(forgets)).flows).toMatchObject([{errorCode: 'INVALID_SPEC'}]);
    expect(await planPipeline(forgets, {...options, tables: []})).toMatchObject([
      {action: 'blocked', error: {code: 'INVALID_SPEC'}},
    ]);
  });

  test('plan says why a table cannot be run', async () => {
    expect(await planPipeline(await load('people', {primary_keys: ['nmae']}), {...options, tables: []})).toMatchObject([
      {action: 'blocked', error: {code: 'UNKNOWN_COLUMN', fix: 'Did you mean "name"?'}},
    ]);
  });

  test('preview shows rows as they would land', async () => {
    expect(await previewTable(spec, 'people', {...options, limit: 1})).toMatchObject({
      columns: ['id', 'name', 'born', '_rescued_data'],
      rows: [{id: 1n, name: 'Ada'}],
      truncated: true,
    });
  });
});
