import {join} from 'node:path';

import type {StructType} from '../../src/core/types.ts';
import type {DeltaTable} from '../../src/delta/delta-table.ts';
import {createTable, openTable} from '../../src/delta/table.ts';
import {checkFeeds} from './commits-feed.ts';
import {checkForeignRuns} from './commits-runs.ts';
import type {InteropBench, InteropSuite} from './suite.ts';
import type {Lake} from './table-case.ts';

const schema: StructType = {type: 'struct', fields: [{name: 'id', type: 'long', nullable: true, metadata: {}}]};
const TIMED = {'delta.enableInCommitTimestamps': 'true'};

/** What commits say beside their rows: changes, times, checkpoints; and flows among the commits of others. */
export const commitsSuite: InteropSuite = {
  name: 'commits',
  async run(bench) {
    await checkFeeds(bench);
    await checkTimes(bench);
    await checkCheckpoints(bench);
    await checkForeignRuns(bench);
  },
};

/** Spark and we agree on when versions were committed, and which was the newest when. */
async function checkTimes(bench: InteropBench): Promise<void> {
  for (const [name, configuration] of [
    ['without times of their own', {}],
    ['with in-commit timestamps', TIMED],
  ] as const) {
    const root = `main/raw/times_${Object.keys(configuration).length}`;
    const table = await createTable(bench.lake.context, root, {schema, configuration});
    for (let id = 0; id < 4; id++) await append(bench.lake, table, id);
    await bench.readers.sql(`insert into ${pathOf(bench.lake, root)} values (100)`);
    await table.refresh();
    await append(bench.lake, table, 4);
    await compareTimes(bench, table, `a table ${name}`);
  }
  const later = await createTable(bench.lake.context, 'main/raw/times_later', {schema});
  for (let id = 0; id < 3; id++) await append(bench.lake, later, id);
  const path = pathOf(bench.lake, later.root);
  await bench.readers.sql(`alter table ${path} set tblproperties ('delta.enableInCommitTimestamps' = 'true')`);
  await later.refresh();
  await append(bench.lake, later, 3);
  await bench.readers.sql(`insert into ${path} values (100)`);
  await later.refresh();
  await append(bench.lake, later, 4);
  await compareTimes(bench, later, 'a table that got in-commit timestamps from spark');
}

async function compareTimes({lake, readers, report}: InteropBench, table: DeltaTable, name: string): Promise<void> {
  const path = pathOf(lake, table.root);
  const ours = (await table.history()).map(({version, timestampMs}) => `${version} ${timestampMs}`);
  const rows = await readers
    .sql(`select version, unix_millis(timestamp) from (describe history ${path}) order by version desc`)
    .catch(() => null);
  const history = rows ?? (await historyOf(readers, path));
  const theirs = history.map(([version, millis]) => `${version} ${millis}`);
  report(
    `spark and sluice tell the same times of ${name}`,
    ours.join() === theirs.join() ? null : `${ours.join()} against ${theirs.join()}`,
  );
  const wrong: string[] = [];
  // Spark travels in time by the name of a table only.
  const named = table.root.replaceAll(/\W/g, '_');
  await readers.sql(`create table ${named} using delta location '${join(lake.folder, table.root)}'`);
  const commits = (await table.history()).toReversed();
  for (const [at, {version, timestampMs}] of commits.entries()) {
    const until = (commits[at + 1]?.timestampMs ?? timestampMs + 1) - 1;
    for (const ms of new Set([timestampMs, until])) {
      const counted = `select count(*) from ${named} timestamp as of timestamp_millis(${ms})`;
      const [found] = await readers.sql(counted);
      const [wanted] = await readers.sql(
        `select count(*) from ${named} version as of ${await table.versionAtTime(ms)}`,
      );
      if (found?.[0] !== wanted?.[0]) wrong.push(`${ms} is version ${version}: ${found?.[0]} rows, ${wanted?.[0]}`);
    }
  }
  report(`spark and sluice travel to the same versions of ${name}`, wrong[0] ?? null);
}

/** DESCRIBE HISTORY is no subquery everywhere. */
async function historyOf(
  readers: InteropBench['readers'],
  path: string,
): Promise<readonly (readonly (string | null)[])[]> {
  const rows = await readers.sql(`describe history ${path}`);
  return rows.map(([version, timestamp]) => [version ?? null, `${Date.parse(`${timestamp?.replace(' ', 'T')}Z`)}`]);
}

/** Checkpoints of Spark in every form: ours is the same table, with and without the log before them. */
async function checkCheckpoints(bench: InteropBench): Promise<void> {
  const {readers, report, lake} = bench;
  const forms = [
    ['version 2, top level in JSON', {'delta.checkpointPolicy': 'v2'}, {'checkpointV2.topLevelFileFormat': 'json'}],
    [
      'version 2, top level in Parquet',
      {'delta.checkpointPolicy': 'v2'},
      {'checkpointV2.topLevelFileFormat': 'parquet'},
    ],
    ['several parts', {}, {'checkpoint.partSize': '2'}],
  ] as const;
  for (const [index, [name, properties, settings]] of forms.entries()) {
    const root = `main/raw/checkpoint_${index}`;
    const path = pathOf(lake, root);
    const all = Object.entries({...properties, 'delta.checkpointInterval': '3'});
    const given = all.map(([key, value]) => `'${key}' = '${value}'`).join(', ');
    for (const [key, value] of Object.entries(settings))
      await readers.sql(`set spark.databricks.delta.${key} = ${value}`);
    await readers.sql(`create table ${path} (id bigint) using delta tblproperties (${given})`);
    for (let id = 0; id < 7; id++) await readers.sql(`insert into ${path} values (${id})`);
    for (const key of Object.keys(settings)) await readers.sql(`reset spark.databricks.delta.${key}`);
    report(`sluice reads a checkpoint of spark: ${name}`, await readWithout(lake, root));
  }
}

/** Reads the table, and again when the entries that a checkpoint covers are gone. */
async function readWithout(lake: Lake, root: string): Promise<string | null> {
  const {store} = lake.context;
  const names: string[] = [];
  for await (const {name} of store.list(`${root}/_delta_log/`)) names.push(name.slice(`${root}/_delta_log/`.length));
  const newest =
    names
      .filter((name) => /^\d{20}\.checkpoint\./.test(name))
      .toSorted()
      .at(-1)
      ?.slice(0, 20) ?? '';
  if (newest === '') return 'spark wrote no checkpoint';
  const problem = await idsOf(lake, root);
  if (problem !== '0,1,2,3,4,5,6') return problem;
  for (const name of names)
    if (/^\d{20}\.json$/.test(name) && name.slice(0, 20) <= newest) await store.delete(`${root}/_delta_log/${name}`);
  const again = await idsOf(lake, root);
  return again === '0,1,2,3,4,5,6' ? null : `without the log before ${newest}: ${again}`;
}

async function idsOf(lake: Lake, root: string): Promise<string> {
  const table = await openTable(lake.context, root);
  if (table === null) return 'no table';
  const rows = await lake.engine.query(`SELECT id FROM (${await table.readSql()}) ORDER BY id`);
  return rows.map(({id}) => String(id)).join();
}

async function append(lake: Lake, table: DeltaTable, id: number): Promise<void> {
  const adds = await table.writeFiles({select: `SELECT ${id}::BIGINT AS id`, schema}, lake.signal);
  await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
}

function pathOf(lake: Lake, root: string): string {
  return `delta.\`${join(lake.folder, root)}\``;
}
