import {mkdtemp, readdir, rm, utimes, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import * as t from '../core/schema.ts';
import type {DeltaTable} from './delta-table.ts';
import type {Lake} from './lake.ts';
import {openLake} from './lake.ts';
import {cleanUpLog} from './log-cleanup.ts';

const schema = t.struct({id: t.long()});
const signal = new AbortController().signal;
const DAY_MS = 86_400_000;

let folder: string;
let lake: Lake;
let tableCount = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-log-'));
  lake = await openLake(folder, {memoryLimitMb: 256});
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

/** A table with versions 0 to 35, a checkpoint every 10; entries up to `oldUpTo` are 31 days old. */
async function oldTable(oldUpTo: number, configuration: Readonly<Record<string, string>> = {}): Promise<DeltaTable> {
  const table = await lake.create(`main/raw/t${tableCount++}`, {schema, configuration});
  for (let id = 0; id < 35; id++) {
    const adds = await table.writeFiles({select: `SELECT ${id}::BIGINT AS id`, schema}, signal);
    await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
  }
  const then = new Date(Date.now() - 31 * DAY_MS);
  for (const name of await logOf(table)) {
    if (Number(name.slice(0, 20)) <= oldUpTo) await utimes(join(folder, table.root, '_delta_log', name), then, then);
  }
  return table;
}

const logOf = (table: DeltaTable): Promise<string[]> => readdir(join(folder, table.root, '_delta_log'));

async function rowCount(table: DeltaTable, version: number): Promise<number> {
  const snapshot = await table.snapshotAt(version);
  const [row] = await lake.engine.query(`SELECT count(*) AS n FROM (${await table.readSql({snapshot})})`);
  return Number(row?.['n']);
}

describe('log clean-up', () => {
  it('removes what lies before an expired checkpoint; every later version still reads', async () => {
    const table = await oldTable(25);
    await writeFile(join(folder, table.root, '_delta_log', '00000000000000000003.crc'), '{}');
    const dry = await cleanUpLog(lake, table, {dryRun: true}, signal);
    expect(dry).toMatchObject({entriesRemoved: 22, oldestVersion: 20});
    expect(await cleanUpLog(lake, table, {dryRun: false}, signal)).toEqual(dry);
    const versions = (await logOf(table)).flatMap((name) => /^\d{20}/.exec(name) ?? []).map(Number);
    expect(Math.min(...versions)).toBe(20);
    const fresh = await lake.open(table.root);
    if (fresh === null) throw new Error('no table');
    for (let version = 20; version <= 35; version++) expect(await rowCount(fresh, version)).toBe(version);
    await expect(fresh.snapshotAt(19)).rejects.toMatchObject({code: 'NOT_A_DELTA_TABLE'});
    expect(await cleanUpLog(lake, table, {dryRun: false}, signal)).toMatchObject({entriesRemoved: 0});
    expect((await fresh.history()).map(({version}) => version).at(-1)).toBe(20);
  });

  it('keeps the newest checkpoint and what follows when everything has expired', async () => {
    const table = await oldTable(35);
    expect(await cleanUpLog(lake, table, {dryRun: false}, signal)).toMatchObject({oldestVersion: 30});
    const fresh = await lake.open(table.root);
    expect(fresh?.snapshot).toMatchObject({version: 35});
    expect(fresh?.snapshot.files.size).toBe(35);
  });

  it('removes nothing before a checkpoint that cannot be read', async () => {
    const table = await oldTable(35);
    const then = new Date(Date.now() - 31 * DAY_MS);
    for (const version of [20, 30]) {
      const path = join(folder, table.root, '_delta_log', `${String(version).padStart(20, '0')}.checkpoint.parquet`);
      await writeFile(path, 'torn');
      await utimes(path, then, then);
    }
    expect(await cleanUpLog(lake, table, {dryRun: false}, signal)).toMatchObject({oldestVersion: 10});
    expect((await lake.open(table.root))?.snapshot.files.size).toBe(35);
  });

  it('does nothing before something has expired, and where the table says so', async () => {
    expect(await cleanUpLog(lake, await oldTable(9), {dryRun: false}, signal)).toMatchObject({entriesRemoved: 0});
    const longer = await oldTable(35, {'delta.logRetentionDuration': 'interval 40 days'});
    expect(await cleanUpLog(lake, longer, {dryRun: false}, signal)).toMatchObject({entriesRemoved: 0});
    const never = await oldTable(35, {'delta.enableExpiredLogCleanup': 'false'});
    expect(await cleanUpLog(lake, never, {dryRun: false}, signal)).toMatchObject({entriesRemoved: 0});
  });

  it('goes back to where a feature was dropped in one go or not at all', async () => {
    const table = await oldTable(35);
    const protect = (before: number): Promise<unknown> =>
      table.commit({
        base: table.snapshot,
        operation: 'DROP FEATURE',
        protocol: {
          minReaderVersion: 1,
          minWriterVersion: 7,
          writerFeatures: ['appendOnly', 'invariants', 'checkpointProtection'],
        },
        metadata: {
          ...table.snapshot.metadata,
          configuration: {'delta.requireCheckpointProtectionBeforeVersion': `${before}`},
        },
        blindAppend: false,
      });
    await protect(31);
    expect(await cleanUpLog(lake, table, {dryRun: true}, signal)).toMatchObject({entriesRemoved: 0});
    await protect(30);
    expect(await cleanUpLog(lake, table, {dryRun: true}, signal)).toMatchObject({oldestVersion: 30});
  });
});
