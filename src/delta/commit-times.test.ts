import {mkdtemp, readFile, rm, utimes} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {systemClock} from '../core/clock.ts';
import * as t from '../core/schema.ts';
import type {CommitInfo} from './actions.ts';
import type {DeltaTable} from './delta-table.ts';
import type {Lake} from './lake.ts';
import {openLake} from './lake.ts';
import {paddedVersion} from './log-names.ts';

const schema = t.struct({id: t.long()});
const TIMED = {'delta.enableInCommitTimestamps': 'true'};

let folder: string;
let lake: Lake;
let nowMs = 0;
let tableCount = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-commit-times-'));
  lake = await openLake(folder, {memoryLimitMb: 256, clock: {...systemClock, nowMs: () => nowMs}});
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

const commitFile = ({root}: DeltaTable, version: number): string =>
  join(folder, root, '_delta_log', `${paddedVersion(version)}.json`);

function commit(table: DeltaTable, atMs: number): Promise<unknown> {
  nowMs = atMs;
  return table.commit({base: table.snapshot, operation: 'WRITE', blindAppend: true});
}

async function create(atMs: number, configuration: Readonly<Record<string, string>> = {}): Promise<DeltaTable> {
  nowMs = atMs;
  return lake.create(`main/raw/t${tableCount++}`, {schema, configuration});
}

/** As if the commit's file had been written then. */
async function writtenAt(table: DeltaTable, version: number, atMs: number): Promise<void> {
  await utimes(commitFile(table, version), atMs / 1000, atMs / 1000);
}

async function infoOf(table: DeltaTable, version: number): Promise<CommitInfo> {
  const [line = ''] = (await readFile(commitFile(table, version), 'utf8')).split('\n');
  return (JSON.parse(line) as {readonly commitInfo: CommitInfo}).commitInfo;
}

async function times(table: DeltaTable): Promise<readonly number[]> {
  return (await table.history()).map(({timestampMs}) => timestampMs).toReversed();
}

describe('commits of a table without times of their own', () => {
  it('were made when their files were written, each after the one before', async () => {
    const table = await create(0);
    for (let version = 1; version <= 4; version++) await commit(table, 0);
    for (const [version, atMs] of [10_000, 20_000, 15_000, 20_001, 30_000].entries())
      await writtenAt(table, version, atMs);
    expect(await times(table)).toEqual([10_000, 20_000, 20_001, 20_002, 30_000]);
    const found = await Promise.all([10_000, 19_999, 20_001, 29_999, 99_999].map((ms) => table.versionAtTime(ms)));
    expect(found).toEqual([0, 0, 2, 3, 4]);
    await expect(table.versionAtTime(9999)).rejects.toMatchObject({code: 'NOT_A_DELTA_TABLE'});
    expect((await infoOf(table, 1)).inCommitTimestamp).toBeUndefined();
  });
});

describe('in-commit timestamps', () => {
  it('rise whatever the clock and the files say', async () => {
    const table = await create(5000, TIMED);
    for (const atMs of [6000, 6000, 1000, 9000]) await commit(table, atMs);
    for (let version = 0; version <= 4; version++) await writtenAt(table, version, 1000 * (9 - version));
    expect(await times(table)).toEqual([5000, 6000, 6001, 6002, 9000]);
    expect((await infoOf(table, 3)).timestamp).toBe(6002);
    const reopened = await lake.open(table.root);
    expect(reopened?.snapshot.timestampMs).toBe(9000);
    const found = await Promise.all([5000, 5999, 6001, 8999, 1e12].map((ms) => table.versionAtTime(ms)));
    expect(found).toEqual([0, 0, 2, 3, 4]);
    await expect(table.versionAtTime(4999)).rejects.toMatchObject({code: 'NOT_A_DELTA_TABLE'});
  });

  it('go on after a checkpoint', async () => {
    const table = await create(5000, {...TIMED, 'delta.checkpointInterval': '2'});
    for (const atMs of [7000, 8000]) await commit(table, atMs);
    const reopened = await lake.open(table.root);
    if (reopened === null) throw new Error('no table');
    await commit(reopened, 100);
    expect(await times(reopened)).toEqual([5000, 7000, 8000, 8001]);
  });

  it('that are switched on later say since when', async () => {
    const table = await create(1000);
    await commit(table, 2000);
    for (const [version, atMs] of [1000, 2000].entries()) await writtenAt(table, version, atMs);
    nowMs = 3000;
    const {metadata} = table.snapshot;
    await table.commit({
      base: table.snapshot,
      operation: 'SET TBLPROPERTIES',
      metadata: {...metadata, configuration: {...metadata.configuration, ...TIMED}},
      protocol: {
        minReaderVersion: 1,
        minWriterVersion: 7,
        writerFeatures: ['appendOnly', 'invariants', 'inCommitTimestamp'],
      },
      blindAppend: false,
    });
    expect(table.snapshot.metadata.configuration).toMatchObject({
      'delta.inCommitTimestampEnablementVersion': '2',
      'delta.inCommitTimestampEnablementTimestamp': '3000',
    });
    await commit(table, 4000);
    expect(await times(table)).toEqual([1000, 2000, 3000, 4000]);
    const found = await Promise.all([1500, 2999, 3000, 5000].map((ms) => table.versionAtTime(ms)));
    expect(found).toEqual([0, 1, 2, 3]);
  });
});
