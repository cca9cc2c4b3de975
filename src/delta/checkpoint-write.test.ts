import {mkdtemp, rm, unlink} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import type {Clock} from '../core/clock.ts';
import {systemClock} from '../core/clock.ts';
import * as t from '../core/schema.ts';
import type {AddFile} from './actions.ts';
import {isCheckpointDue} from './checkpoint-write.ts';
import type {CommitRequest, DeltaTable, TableSnapshot} from './delta-table.ts';
import type {Lake} from './lake.ts';
import {openLake} from './lake.ts';

const HOUR_MS = 3_600_000;

let folder: string;
let lake: Lake;
let tableCount = 0;
let nowMs = Date.now();
const clock: Clock = {...systemClock, nowMs: () => nowMs};
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-checkpoint-'));
  lake = await openLake(folder, {memoryLimitMb: 128, clock});
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

const file = (path: string): AddFile => ({path, partitionValues: {}, size: 1, modificationTime: 0, dataChange: true});

const create = (configuration: Record<string, string> = {}): Promise<DeltaTable> =>
  lake.create(`t${tableCount++}`, {schema: t.struct({id: t.long()}), configuration});

async function commit(table: DeltaTable, request: Partial<CommitRequest> = {}): Promise<void> {
  await table.commit({base: table.snapshot, operation: 'WRITE', blindAppend: true, ...request});
}

async function commitUpTo(table: DeltaTable, version: number): Promise<void> {
  while (table.snapshot.version < version) await commit(table);
}

const checkpoint = (table: DeltaTable, version: number): string =>
  join(folder, table.root, '_delta_log', `${String(version).padStart(20, '0')}.checkpoint.parquet`);

async function tombstones(table: DeltaTable, version: number): Promise<unknown[]> {
  const sql = `SELECT remove.path AS path FROM '${checkpoint(table, version)}' WHERE remove IS NOT NULL ORDER BY ALL`;
  return (await lake.engine.query(sql)).map((row) => row['path']);
}

describe('a checkpoint', () => {
  it('keeps removed files as long as the table asks, and drops those that came back', async () => {
    const table = await create({'delta.deletedFileRetentionDuration': 'interval 2 hours'});
    await commit(table, {adds: ['old', 'back', 'new', 'live'].map(file)});
    await commit(table, {removes: [table.removeOf(file('old')), table.removeOf(file('back'))]});
    await commitUpTo(table, 10);
    expect(await tombstones(table, 10)).toEqual(['back', 'old']);
    nowMs += HOUR_MS;
    await commit(table, {removes: [table.removeOf(file('new'))], adds: [file('back')]});
    await commitUpTo(table, 20);
    expect(await tombstones(table, 20)).toEqual(['new', 'old']);
    nowMs += 1.5 * HOUR_MS;
    await commitUpTo(table, 30);
    expect(await tombstones(table, 30)).toEqual(['new']);
    expect([...((await lake.open(table.root))?.snapshot.files.keys() ?? [])].sort()).toEqual(['back', 'live']);
  });

  it('is written again after the one before it was lost', async () => {
    const table = await create();
    await commitUpTo(table, 10);
    await unlink(checkpoint(table, 10));
    await commitUpTo(table, 20);
    expect(await lake.store.get(`${table.root}/_delta_log/_last_checkpoint`)).not.toBeNull();
    await commitUpTo(table, 30);
    expect(await tombstones(table, 30)).toEqual([]);
  });

  it('leaves no temporary files', async () => {
    const table = await create();
    await commitUpTo(table, 10);
    const names = await lake.engine.query(`SELECT file FROM glob('${folder}/${table.root}/_delta_log/.*')`);
    expect(names).toEqual([]);
  });

  it('is due every ten commits, as often as the table asks, and more rarely when it takes long', async () => {
    const {snapshot} = await create();
    const at = (version: number, configuration: Record<string, string> = {}): TableSnapshot => ({
      ...snapshot,
      version,
      metadata: {...snapshot.metadata, configuration},
    });
    const newest = {version: 100, format: 'parquet', names: [], modifiedAtMs: 0} as const;
    const quick = {newest, writtenInMs: 400};
    expect([0, 109, 110, 115, 120].filter((version) => isCheckpointDue(at(version), quick))).toEqual([110, 120]);
    const slow = {newest, writtenInMs: 2000};
    expect([110, 150, 170, 180, 190].filter((version) => isCheckpointDue(at(version), slow))).toEqual([180, 190]);
    const asked = {'delta.checkpointInterval': '3'};
    expect([0, 1, 3, 10, 12].filter((version) => isCheckpointDue(at(version, asked), slow))).toEqual([3, 12]);
  });
});
