import {mkdir, mkdtemp, readFile, rm, unlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import * as t from '../core/schema.ts';
import type {Action} from './actions.ts';
import type {DeltaTable} from './delta-table.ts';
import type {Lake} from './lake.ts';
import {openLake} from './lake.ts';
import {paddedVersion} from './log-names.ts';

const schema = t.struct({id: t.long()});
const signal = new AbortController().signal;

let folder: string;
let lake: Lake;
let tableCount = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-log-forms-'));
  lake = await openLake(folder, {memoryLimitMb: 256});
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

/** A table with a row per version after 0; version 3 takes the row of version 1 away again. */
async function writtenTable(versions: number, configuration: Readonly<Record<string, string>> = {}): Promise<string> {
  const root = `main/raw/t${tableCount++}`;
  const table = await lake.create(root, {
    schema,
    configuration: {'delta.checkpointInterval': '1000', ...configuration},
  });
  for (let id = 1; id <= versions; id++) {
    const adds = await table.writeFiles({select: `SELECT ${id}::BIGINT AS id`, schema}, signal);
    const [first] = table.snapshot.files.values();
    const removes = id === 3 && first !== undefined ? [table.removeOf(first)] : [];
    const txn = {appId: 'app', version: id};
    await table.commit({base: table.snapshot, operation: 'WRITE', adds, removes, txn, blindAppend: true});
  }
  return root;
}

const logFile = (root: string, name: string): string => join(folder, root, '_delta_log', name);
const commitFile = (root: string, version: number): string => logFile(root, `${paddedVersion(version)}.json`);

async function actionsOf(root: string, version: number): Promise<readonly Action[]> {
  const text = await readFile(commitFile(root, version), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Action);
}

/** Writes what the commits of a range come to, as another writer would. */
async function compact(root: string, from: number, to: number): Promise<void> {
  const live = new Map<string, Action>();
  const others = new Map<string, Action>();
  for (let version = from; version <= to; version++) {
    for (const action of await actionsOf(root, version)) {
      if ('add' in action) {
        live.set(action.add.path, action);
        others.delete(action.add.path);
      } else if ('remove' in action) {
        live.delete(action.remove.path);
        others.set(action.remove.path, action);
      } else if (!('commitInfo' in action)) others.set(Object.keys(action)[0] ?? '', action);
    }
  }
  const lines = [...live.values(), ...others.values()].map((action) => JSON.stringify(action));
  await writeFile(logFile(root, `${paddedVersion(from)}.${paddedVersion(to)}.compacted.json`), lines.join('\n'));
}

async function open(root: string): Promise<DeltaTable> {
  const table = await lake.open(root);
  if (table === null) throw new Error('the table is not there');
  return table;
}

async function ids(table: DeltaTable, version?: number): Promise<readonly number[]> {
  const sql = await table.readSql(version === undefined ? {} : {snapshot: await table.snapshotAt(version)});
  return (await lake.engine.query(`${sql} ORDER BY id`)).map((row) => Number(row['id']));
}

describe('log compaction files', () => {
  it('stand for their commits, the longest first, and are passed over when they reach too far', async () => {
    const root = await writtenTable(8);
    for (const [from, to] of [
      [1, 2],
      [1, 4],
      [5, 6],
      [2, 8],
    ] as const)
      await compact(root, from, to);
    const table = await open(root);
    expect(await ids(table)).toEqual([2, 3, 4, 5, 6, 7, 8]);
    expect(table.snapshot.txns.get('app')?.version).toBe(8);
    expect(await ids(table, 2)).toEqual([1, 2]);
    expect(await ids(table, 3)).toEqual([2, 3]);
    // They are read: what they stand for is not needed any more.
    for (const version of [1, 2, 3, 4, 5, 6]) await unlink(commitFile(root, version));
    expect(await ids(await open(root))).toEqual([2, 3, 4, 5, 6, 7, 8]);
    expect(await ids(await open(root), 6)).toEqual([2, 3, 4, 5, 6]);
  });

  it('that are damaged cost nothing but time', async () => {
    const root = await writtenTable(4);
    await writeFile(logFile(root, `${paddedVersion(0)}.${paddedVersion(4)}.compacted.json`), '{"add":{"pa');
    expect(await ids(await open(root))).toEqual([2, 3, 4]);
  });

  it('may be followed by a commit whose time is later than theirs', async () => {
    const root = await writtenTable(3, {'delta.enableInCommitTimestamps': 'true'});
    await compact(root, 0, 3);
    const [info] = await actionsOf(root, 3);
    const {snapshot} = await open(root);
    expect(info).toMatchObject({commitInfo: {inCommitTimestamp: snapshot.timestampMs}});
  });
});

describe('checkpoints', () => {
  const protocol = {
    minReaderVersion: 3,
    minWriterVersion: 7,
    readerFeatures: ['v2Checkpoint'],
    writerFeatures: ['v2Checkpoint'],
  };
  const uuid = '80a083e8-7026-4e79-81be-64bd76c43a11';

  /** A version 2 checkpoint at the newest version, whose files are in a sidecar that the path names. */
  async function sidecarTable(path: (root: string, name: string) => string): Promise<string> {
    const root = await writtenTable(4);
    const {snapshot} = await open(root);
    await mkdir(logFile(root, '_sidecars'));
    const name = `${uuid}.parquet`;
    const adds = [...snapshot.files.values()].map((add) => JSON.stringify({add: {...add, dataChange: false}}));
    await writeFile(logFile(root, 'adds'), adds.join('\n'));
    await lake.engine.run(
      `COPY (SELECT add FROM read_json('${logFile(root, 'adds')}', columns = {add: 'STRUCT(path VARCHAR, partitionValues MAP(VARCHAR, VARCHAR), size BIGINT, modificationTime BIGINT, dataChange BOOLEAN, stats VARCHAR)'})) TO '${logFile(root, `_sidecars/${name}`)}' (FORMAT parquet)`,
    );
    const lines = [
      {checkpointMetadata: {version: 4}},
      {protocol},
      {metaData: snapshot.metadata},
      {sidecar: {path: path(root, name), sizeInBytes: 1, modificationTime: 1}},
    ];
    const text = lines.map((line) => JSON.stringify(line)).join('\n');
    await writeFile(logFile(root, `${paddedVersion(4)}.checkpoint.${uuid}.json`), text);
    return root;
  }

  it('may name their sidecars by a URI of where the table was', async () => {
    const root = await sidecarTable((_, name) => `file:/elsewhere/_delta_log/_sidecars/${name}`);
    for (const version of [0, 1, 2, 3]) await unlink(commitFile(root, version));
    expect(await ids(await open(root))).toEqual([2, 3, 4]);
  });

  it('that lack a sidecar or a part are passed over where the log makes up for them', async () => {
    const root = await sidecarTable(() => 'missing.parquet');
    await writeFile(logFile(root, `${paddedVersion(3)}.checkpoint.0000000001.0000000002.parquet`), 'PAR1');
    expect(await ids(await open(root))).toEqual([2, 3, 4]);
    await unlink(commitFile(root, 0));
    await expect(lake.open(root)).rejects.toMatchObject({code: 'CORRUPT_LOG'});
  });

  it('may have statistics as columns only', async () => {
    const root = await writtenTable(2);
    const {snapshot} = await open(root);
    const adds = [...snapshot.files.values()].map(({stats, ...add}) => ({
      ...add,
      stats_parsed: JSON.parse(stats ?? '{}') as unknown,
    }));
    const lines = [{protocol: snapshot.protocol}, {metaData: snapshot.metadata}, ...adds.map((add) => ({add}))];
    await writeFile(logFile(root, 'lines'), lines.map((line) => JSON.stringify(line)).join('\n'));
    await lake.engine.run(
      `COPY (FROM read_json('${logFile(root, 'lines')}', format = 'newline_delimited')) TO '${logFile(root, `${paddedVersion(2)}.checkpoint.parquet`)}' (FORMAT parquet)`,
    );
    for (const version of [0, 1]) await unlink(commitFile(root, version));
    const table = await open(root);
    expect([...table.snapshot.files.values()].map(({stats}) => stats)).toEqual(
      adds.map(() => '{"numRecords":1,"tightBounds":false}'),
    );
    expect(await ids(table)).toEqual([1, 2]);
  });
});
