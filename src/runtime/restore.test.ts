import {appendFile, mkdir, mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import {systemClock} from '../core/clock.ts';
import type {PipelineSpec} from '../pipeline/spec.ts';
import {acquireLease} from '../state/lease.ts';
import {createLocalStore} from '../storage/local-store.ts';
import {runAndKill} from '../testkit/kill.ts';
import type {LakeOptions} from './api.ts';
import {tableChanges} from './changes.ts';
import {loadPipelines} from './config/load-pipelines.ts';
import {updateEnvironment} from './config/process-environment.ts';
import {ingest} from './ingest.ts';
import {queryLake, tableHistory} from './inspect.ts';
import {restoreTable} from './restore.ts';
import {timeOf} from './table-version.ts';
import {pipelinePrefix} from './update.ts';

const TABLE = 'main.crew.people';

let folder: string;
let options: LakeOptions;
let spec: PipelineSpec;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-restore-'));
  options = {lake: join(folder, 'lake'), signal: new AbortController().signal, memoryLimitMb: 256};
  await mkdir(join(folder, 'inputs', 'people'), {recursive: true});
  spec = await load();
  for (const [file, row] of [
    ['a', '1,Ada'],
    ['b', '2,Grace'],
    ['c', '3,Radia'],
  ] as const) {
    await appendFile(join(folder, 'inputs', 'people', `${file}.csv`), `id,name\n${row}\n`);
    await ingest(spec, {...options});
  }
}, 60_000);
afterEach(() => rm(folder, {recursive: true, force: true}));

async function load(): Promise<PipelineSpec> {
  const table = {
    source_table: 'people',
    table_configuration: {table_properties: {'delta.enableChangeDataFeed': 'true'}},
  };
  const data = {
    resources: {
      connections: {folder: {connection_type: 'FILES', options: {path: join(folder, 'inputs')}}},
      pipelines: {
        people: {catalog: 'main', schema: 'crew', pipeline_spec: {connection_name: 'folder', objects: [{table}]}},
      },
    },
  };
  const [first] = (await loadPipelines({data, variables: {}, cwd: folder, env: {}})).pipelines;
  if (first === undefined) throw new Error('no pipeline');
  return first;
}

async function names(at?: string): Promise<string> {
  const more = at === undefined ? {} : {at: [{table: 'people', at}]};
  const {rows} = await queryLake(`SELECT name FROM ${TABLE} ORDER BY id`, {...options, limit: 10, ...more});
  return rows.map(({name}) => String(name)).join();
}

const restore = (to: string, dryRun = false): ReturnType<typeof restoreTable> =>
  restoreTable(TABLE, {...options, to, dryRun});

describe('a table of the lake', () => {
  test('is read, restored and run again as of a version or a time', async () => {
    expect([await names(), await names('1'), await names('0')]).toEqual(['Ada,Grace,Radia', 'Ada', '']);
    const history = await tableHistory(TABLE, {...options, limit: 10});
    expect(history[0]).toMatchObject({version: 3, operation: 'WRITE', engine: 'sluice', batchId: 3, dataChange: true});
    const second = history.find(({version}) => version === 2)?.timestamp ?? '';
    expect(await names(second)).toBe('Ada,Grace');
    expect(await restore('1', true)).toMatchObject({fromVersion: 3, newVersion: null, filesRemoved: 2});
    expect(await restore(second)).toMatchObject({
      table: TABLE,
      restoredVersion: 2,
      newVersion: 4,
      restoredBatchId: 2,
      newBatchId: 4,
      filesRemoved: 1,
      warning: null,
    });
    expect(await names()).toBe('Ada,Grace');
    const notes = await queryLake(
      "SELECT message FROM main.crew.event_log_people WHERE event_type = 'note' AND message LIKE '%RESTORED%'",
      {...options, limit: 10},
    );
    expect(notes.rows).toHaveLength(1);
    expect(await ingest(spec, {...options})).toMatchObject({state: 'COMPLETED', flows: [{rowsRead: 1}]});
    expect(await names()).toBe('Ada,Grace,Radia');
    const changes = await tableChanges(TABLE, {...options, from: '3', to: null, limit: 10});
    expect(
      changes.rows.map(
        (row) => `${String(row['_commit_version'])} ${String(row['_change_type'])} ${String(row['name'])}`,
      ),
    ).toEqual(['3 insert Radia', '4 delete Radia', '5 insert Radia']);
  }, 60_000);

  test('stays as it is while its pipeline runs or is maintained, and when nobody owns it', async () => {
    for (const name of ['lease', 'maintenance']) {
      const store = createLocalStore(options.lake);
      await using _ = await acquireLease(store, `${pipelinePrefix('people')}/${name}`, systemClock);
      await expect(restore('1')).rejects.toMatchObject({code: 'CONCURRENT_RUN'});
    }
    await expect(restoreTable('event_log_people', {...options, to: '1', dryRun: false})).rejects.toMatchObject({
      code: 'TABLE_NOT_OURS',
    });
    expect(await restore('3')).toMatchObject({newVersion: null, filesRestored: 0, filesRemoved: 0});
    await expect(restore('yesterday')).rejects.toMatchObject({code: 'INVALID_OPTION'});
    expect(await names()).toBe('Ada,Grace,Radia');
  }, 60_000);

  test('is old or new after a kill at any step of a restore, and right after the next run', async () => {
    const main = fileURLToPath(new URL('../cli/main.ts', import.meta.url));
    for (const step of [
      'restore.batch-file-written',
      'delta.commit-linked',
      'delta.commit-written',
      'restore.committed',
    ]) {
      const end = await runAndKill({
        args: ['--import', 'tsx', main, 'restore', TABLE, '--version', '1', '--lake', options.lake],
        env: {...updateEnvironment(), SLUICE_FAILPOINT: step},
      });
      expect(end, step).toMatchObject({killed: true});
      expect(['Ada', 'Ada,Grace,Radia'], step).toContain(await names());
      expect(await ingest(spec, {...options}), step).toMatchObject({state: 'COMPLETED'});
      expect(await names(), step).toBe('Ada,Grace,Radia');
    }
  }, 120_000);
});

describe('a time', () => {
  test('is UTC unless it names a zone', () => {
    const noon = Date.UTC(2026, 0, 31, 12);
    for (const text of [
      '2026-01-31T12:00:00Z',
      '2026-01-31 12:00',
      '2026-01-31T13:00+01:00',
      '2026-01-31T12:00:00.000',
    ])
      expect(timeOf(text), text).toBe(noon);
    expect(timeOf('2026-01-31')).toBe(Date.UTC(2026, 0, 31));
    for (const text of ['12', 'now', '2026-13-01', '2026-01-31T25:00'])
      expect(() => timeOf(text), text).toThrow('no version');
  });
});
