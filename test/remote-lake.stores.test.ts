import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, inject, it} from 'vitest';

import {openLake} from '../src/delta/lake.ts';
import {loadPipelines} from '../src/runtime/config/load-pipelines.ts';
import {ingest} from '../src/runtime/ingest.ts';
import {queryLake, status} from '../src/runtime/inspect.ts';
import {optimizeTables, vacuumTables} from '../src/runtime/maintain.ts';
import {verifyPipeline} from '../src/runtime/verify.ts';
import type {StoreOptions} from '../src/storage/store-options.ts';
import {needStore} from './need-store.ts';
import {runCli} from './run-cli.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-remote-'));
  await mkdir(join(folder, 'in', 'people'), {recursive: true});
});
afterEach(() => rm(folder, {recursive: true, force: true}));

/** A file of people: ids from `from` to `to`, all with one name. */
async function writePeople(
  file: string,
  rows: {readonly from: number; readonly to: number; readonly name: string},
): Promise<void> {
  const lines = Array.from({length: rows.to - rows.from}, (_, index) => {
    const id = rows.from + index;
    return `${id},${rows.name} ${id},2026-01-01T00:00:00Z`;
  });
  await writeFile(join(folder, 'in', 'people', file), `id,name,at\n${lines.join('\n')}\n`);
}

const table = (options: object): object => ({
  table: {source_table: 'people', ...options},
});

/** A bundle with the folder as an append-only table and as one that is merged. */
const bundle = (lake: string, options: object): object => ({
  lake,
  lake_options: options,
  connections: {inbox: {connection_type: 'FILES', options: {path: join(folder, 'in')}}},
  ingestion_definition: {
    connection_name: 'inbox',
    objects: [
      table({destination_table: 'log'}),
      table({
        destination_table: 'people',
        table_configuration: {scd_type: 'SCD_TYPE_1', primary_keys: ['id'], sequence_by: ['at']},
      }),
    ],
  },
});

/** The options as a configuration file writes them. */
function written({s3, azure, gcs}: StoreOptions): object {
  return {
    ...(s3 === undefined
      ? {}
      : {s3: {endpoint: s3.endpoint, access_key_id: s3.accessKeyId, secret_access_key: '${env.STORE_SECRET}'}}),
    ...(azure === undefined ? {} : {azure: {endpoint: azure.endpoint, account_key: '${env.STORE_SECRET}'}}),
    ...(gcs === undefined ? {} : {gcs}),
    cache: {folder: './cache', max_size_gb: 1},
  };
}

describe.each(inject('stores'))('a lake in $name', (provided) => {
  it('holds every row once after kills, and is read, verified and maintained', async (context) => {
    const lake = `${needStore(context, provided)}/remote-lake`;
    const {storeOptions} = provided;
    const secret = storeOptions.s3?.secretAccessKey ?? storeOptions.azure?.accountKey ?? 'none';
    await writeFile(join(folder, 'sluice.json'), JSON.stringify(bundle(lake, written(storeOptions))));
    const run = async (failpoint = ''): Promise<{readonly code: number | null; readonly text: string}> => {
      const env = {STORE_SECRET: secret, SLUICE_FAILPOINT: failpoint};
      const {code, stdout, stderr} = await runCli(['run', 'sluice.json'], {cwd: folder, env});
      return {code, text: stdout + stderr};
    };
    await writePeople('1.csv', {from: 0, to: 3_000, name: 'first'});
    expect((await run('apply.batch-file-written:1:kill')).code).not.toBe(0);
    const first = await run();
    expect(first.text).not.toContain(secret);
    expect(first.code, first.text).toBe(0);
    await writePeople('2.csv', {from: 2_000, to: 4_000, name: 'second'});
    expect((await run('delta.commit-written:1:kill')).code).not.toBe(0);
    const second = await run();
    expect(second.code, second.text).toBe(0);

    // As another machine sees it, with nothing copied.
    const options = {
      lake,
      storeOptions: {...storeOptions, cache: {folder: join(folder, 'elsewhere')}},
      signal: new AbortController().signal,
      memoryLimitMb: 256,
      limit: 10,
    };
    const counts = async (): Promise<readonly unknown[]> =>
      (
        await queryLake(
          `SELECT (SELECT count(*) FROM log)::INTEGER AS logged, count(*)::INTEGER AS rows, count(DISTINCT id)::INTEGER AS ids, count(*) FILTER (name LIKE 'second%')::INTEGER AS seconds FROM people`,
          options,
        )
      ).rows;
    const expected = [{logged: 5_000, rows: 4_000, ids: 4_000, seconds: 2_000}];
    expect(await counts()).toEqual(expected);

    const {pipelines} = await loadPipelines({
      file: 'sluice.json',
      cwd: folder,
      env: {STORE_SECRET: secret},
      variables: {},
    });
    for (const spec of pipelines) {
      const reports = await verifyPipeline(spec, {...options, tables: ['*.log']});
      expect(reports.map(({verdict}) => verdict)).toEqual(['equal']);
      const optimized = await optimizeTables(spec, {...options, tables: []});
      expect(optimized.map(({error}) => error)).toEqual([null, null, null]);
      const vacuumed = await vacuumTables(spec, {...options, tables: [], retainHours: 0, dryRun: false, force: true});
      expect(vacuumed.map(({error}) => error)).toEqual([null, null, null]);
      expect(vacuumed.flatMap(({files}) => files).length).toBeGreaterThan(0);
      expect(await status([spec], options)).toHaveLength(2);
    }
    expect(await counts()).toEqual(expected);
  });

  it('is read and written as a library', async (context) => {
    const lake = `${needStore(context, provided)}/library`;
    const storeOptions = {...provided.storeOptions, cache: {folder: join(folder, 'cache')}};
    await writePeople('1.csv', {from: 0, to: 10, name: 'first'});
    const {lake: _, lake_options: __, ...spec} = bundle('', {}) as Record<string, unknown>;
    const result = await ingest(spec, {lake, storeOptions, memoryLimitMb: 256});
    expect(result.flows.map(({state}) => state)).toEqual(['COMPLETED', 'COMPLETED']);
    await using opened = await openLake(lake, {storeOptions, memoryLimitMb: 256});
    const people = await opened.open('main/default/people');
    const rows = await opened.engine.query(`SELECT count(*)::INTEGER AS n FROM (${await people?.readSql()})`);
    expect(rows).toEqual([{n: 10}]);
  });
});
