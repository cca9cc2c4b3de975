import {appendFile, mkdir, mkdtemp, readdir, rm, utimes, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import {systemClock} from '../core/clock.ts';
import type {PipelineSpec} from '../pipeline/spec.ts';
import {acquireLease} from '../state/lease.ts';
import {createLocalStore} from '../storage/local-store.ts';
import type {LakeOptions, VacuumTablesOptions} from './api.ts';
import {loadPipelines} from './config/load-pipelines.ts';
import {ingest} from './ingest.ts';
import {queryLake} from './inspect.ts';
import {describeTable, optimizeTables, vacuumTables} from './maintain.ts';
import {pipelinePrefix} from './update.ts';

let folder: string;
let options: LakeOptions;
let spec: PipelineSpec;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-maintain-'));
  options = {lake: join(folder, 'lake'), signal: new AbortController().signal, memoryLimitMb: 256};
  await mkdir(join(folder, 'inputs', 'people'), {recursive: true});
  spec = await load('people');
  for (const [file, row] of [
    ['a', '1,Ada'],
    ['b', '2,Grace'],
  ] as const) {
    await appendFile(join(folder, 'inputs', 'people', `${file}.csv`), `id,name\n${row}\n`);
    await ingest(spec, {...options});
  }
}, 30_000);
afterEach(() => rm(folder, {recursive: true, force: true}));

async function load(key: string): Promise<PipelineSpec> {
  const data = {
    resources: {
      connections: {folder: {connection_type: 'FILES', options: {path: join(folder, 'inputs')}}},
      pipelines: {
        [key]: {
          catalog: 'main',
          schema: 'crew',
          pipeline_spec: {connection_name: 'folder', objects: [{table: {source_table: 'people'}}]},
        },
      },
    },
  };
  const [first] = (await loadPipelines({data, variables: {}, cwd: folder, env: {}})).pipelines;
  if (first === undefined) throw new Error('no pipeline');
  return first;
}

const names = async (): Promise<unknown> =>
  (await queryLake('SELECT name FROM main.crew.people ORDER BY id', {...options, limit: 10})).rows;
const vacuum = (more: Partial<VacuumTablesOptions> = {}): ReturnType<typeof vacuumTables> =>
  vacuumTables(spec, {...options, tables: [], retainHours: null, dryRun: false, force: false, ...more});
const leftover = (): string =>
  join(folder, 'lake/main/crew/people', 'part-00000-00000000-0000-4000-8000-000000000000-c000.zstd.parquet');

async function putLeftover(ageDays: number): Promise<void> {
  await writeFile(leftover(), 'x');
  const then = new Date(Date.now() - ageDays * 86_400_000);
  await utimes(leftover(), then, then);
}

const lakeFiles = (): Promise<string[]> => readdir(join(folder, 'lake'), {recursive: true});

describe('optimize', () => {
  test('packs the tables of a pipeline and its event log, and runs go on after it', async () => {
    const tables = await optimizeTables(spec, {...options, tables: []});
    expect(tables.map(({flow}) => flow)).toEqual(['main.crew.event_log_people', 'main.crew.people']);
    expect(tables[1]).toMatchObject({report: {filesBefore: 2, filesAfter: 1}, error: null});
    expect(await names()).toEqual([{name: 'Ada'}, {name: 'Grace'}]);
    await appendFile(join(folder, 'inputs', 'people', 'c.csv'), 'id,name\n3,Radia\n');
    expect(await ingest(spec, {...options})).toMatchObject({state: 'COMPLETED', flows: [{rowsRead: 1, attempt: 1}]});
    expect(await names()).toEqual([{name: 'Ada'}, {name: 'Grace'}, {name: 'Radia'}]);
  });

  test('plans without writing, and purges every deletion vector when asked', async () => {
    const before = await lakeFiles();
    const planned = await optimizeTables(spec, {...options, tables: [], dryRun: true});
    expect(planned[1]).toMatchObject({report: {version: null, filesRemoved: 2, filesAdded: 1}});
    expect(await lakeFiles()).toEqual(before);
    const tables = await optimizeTables(spec, {...options, tables: [], purge: true});
    expect(tables[1]).toMatchObject({report: {filesRemoved: 2, filesAdded: 1}});
  });

  test('touches no table of another pipeline, and one maintenance works at a time', async () => {
    expect(await optimizeTables(await load('other'), {...options, tables: []})).toEqual([]);
    await expect(optimizeTables(spec, {...options, tables: ['nobody']})).rejects.toMatchObject({code: 'UNKNOWN_TABLE'});
    const store = createLocalStore(options.lake);
    await using _ = await acquireLease(store, `${pipelinePrefix(spec.key)}/maintenance`, systemClock);
    await expect(optimizeTables(spec, {...options, tables: []})).rejects.toMatchObject({code: 'CONCURRENT_RUN'});
    await expect(vacuum()).rejects.toMatchObject({code: 'CONCURRENT_RUN'});
  });
});

describe('a table with a broken log', () => {
  test('fails alone, and only for the pipeline that has it', async () => {
    const log = join(folder, 'lake/main/crew/people/_delta_log');
    await writeFile(join(log, '00000000000000000001.json'), '{"add":');
    const failed = {flow: 'main.crew.people', error: {code: 'CORRUPT_LOG'}};
    const tables = await optimizeTables(spec, {...options, tables: []});
    expect(tables).toHaveLength(2);
    expect(tables).toEqual(
      expect.arrayContaining([
        expect.objectContaining({error: null, flow: 'main.crew.event_log_people'}),
        expect.objectContaining({...failed, report: null, error: expect.objectContaining(failed.error) as object}),
      ]),
    );
    expect((await vacuum()).map(({flow, error}) => [flow, error?.code ?? null]).sort()).toEqual([
      ['main.crew.event_log_people', null],
      ['main.crew.people', 'CORRUPT_LOG'],
    ]);
    expect(await vacuum({tables: ['main.crew.event_log*']})).toMatchObject([{error: null}]);
  });
});

describe('vacuum', () => {
  test('removes old leftovers; a dry run writes nothing', async () => {
    await putLeftover(8);
    const before = await lakeFiles();
    const dry = await vacuum({dryRun: true});
    expect(dry.flatMap(({files}) => files)).toMatchObject([{kind: 'data', sizeBytes: 1}]);
    expect(await lakeFiles()).toEqual(before);
    expect(await vacuum()).toEqual(dry);
    expect(await lakeFiles()).not.toContain(leftover().slice(options.lake.length + 1));
    expect(await names()).toEqual([{name: 'Ada'}, {name: 'Grace'}]);
  });

  test('with no retention at all leaves what is there now, and runs go on', async () => {
    await expect(vacuum({retainHours: 0})).rejects.toMatchObject({code: 'INVALID_OPTION'});
    await optimizeTables(spec, {...options, tables: []});
    const [log, people] = await vacuum({retainHours: 0, force: true});
    expect(log).toMatchObject({error: null});
    expect(people?.files.map(({kind}) => kind).sort()).toEqual(['data', 'data', 'side']);
    expect(await names()).toEqual([{name: 'Ada'}, {name: 'Grace'}]);
    await appendFile(join(folder, 'inputs', 'people', 'c.csv'), 'id,name\n3,Radia\n');
    expect(await ingest(spec, {...options})).toMatchObject({flows: [{rowsRead: 1}]});
    expect(await names()).toEqual([{name: 'Ada'}, {name: 'Grace'}, {name: 'Radia'}]);
  });

  test('removes nothing that a run under way may have written', async () => {
    const store = createLocalStore(options.lake);
    const clock = {...systemClock, nowMs: () => Date.now() - 9 * 86_400_000};
    const run = await acquireLease(store, `${pipelinePrefix(spec.key)}/lease`, clock);
    await putLeftover(8);
    expect((await vacuum()).flatMap(({files}) => files)).toEqual([]);
    await putLeftover(10);
    expect((await vacuum({dryRun: true})).flatMap(({files}) => files)).toHaveLength(1);
    await putLeftover(8);
    await run[Symbol.asyncDispose]();
    expect((await vacuum()).flatMap(({files}) => files)).toHaveLength(1);
  });
});

describe('describe', () => {
  test('tells what a table is made of', async () => {
    expect(await describeTable('people', options)).toMatchObject({
      table: 'main.crew.people',
      version: 2,
      rows: 2,
      files: 2,
      columns: [{name: 'id', type: 'BIGINT'}, {name: 'name', type: 'STRING'}, {name: '_rescued_data'}],
      pipeline: 'people',
      sourceTable: 'people',
      minReaderVersion: 1,
      lastBatch: {batchId: 2, inSnapshot: false, counts: {inserted: 1}},
    });
    expect(await describeTable('event_log_people', options)).toMatchObject({pipeline: 'people', lastBatch: null});
    await expect(describeTable('nobody', options)).rejects.toMatchObject({code: 'UNKNOWN_TABLE'});
  });
});
