import {access, mkdir, mkdtemp, readdir, rm, utimes, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {systemClock} from '../core/clock.ts';
import * as t from '../core/schema.ts';
import type {Store} from '../storage/store.ts';
import {writeBatchFile} from './batch-files.ts';
import type {CreateOptions, DeltaTable} from './delta-table.ts';
import type {Lake} from './lake.ts';
import {openLake} from './lake.ts';
import type {VacuumOptions} from './vacuum.ts';
import {vacuumTable} from './vacuum.ts';

const schema = t.struct({id: t.long()});
const signal = new AbortController().signal;
const HOUR_MS = 3_600_000;
const UUID = '00000000-0000-4000-8000-000000000000';

let folder: string;
let lake: Lake;
let tableCount = 0;
/** How far the lake's clock is ahead: files on disk look that old. */
let aheadMs = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-vacuum-'));
  lake = await openLake(folder, {memoryLimitMb: 256, clock: {...systemClock, nowMs: () => Date.now() + aheadMs}});
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

async function newTable(options: Partial<CreateOptions> = {}): Promise<DeltaTable> {
  aheadMs = 0;
  return lake.create(`main/raw/t${tableCount++}`, {schema, ...options});
}

async function replace(table: DeltaTable, from: number): Promise<readonly string[]> {
  const adds = await table.writeFiles({select: `SELECT range AS id FROM range(${from}, ${from + 10})`, schema}, signal);
  const removes = [...table.snapshot.files.values()].map((file) => table.removeOf(file));
  await table.commit({base: table.snapshot, operation: 'WRITE', adds, removes, blindAppend: false});
  return adds.map(({path}) => path);
}

async function put(table: DeltaTable, ...names: string[]): Promise<void> {
  for (const name of names) {
    await mkdir(dirname(join(folder, table.root, name)), {recursive: true});
    await writeFile(join(folder, table.root, name), 'x');
  }
}

async function vacuum(table: DeltaTable, options: VacuumOptions = {}): Promise<readonly string[]> {
  const files = await vacuumTable(lake, table, options, signal);
  return files.map(({name}) => name.slice(table.root.length + 1)).sort();
}

const exists = (table: DeltaTable, name: string): Promise<boolean> =>
  access(join(folder, table.root, name)).then(
    () => true,
    () => false,
  );

describe('vacuum', () => {
  it('removes files that only versions older than the retention name', async () => {
    const table = await newTable();
    const [first = ''] = await replace(table, 0);
    aheadMs = 100 * HOUR_MS;
    const [second = ''] = await replace(table, 10);
    const [third = ''] = await replace(table, 20);
    expect(await vacuum(table)).toEqual([]);
    aheadMs = 200 * HOUR_MS;
    // The version with the first file was current 168 hours ago, and until 100 hours ago.
    expect(await vacuum(table)).toEqual([]);
    aheadMs = 269 * HOUR_MS;
    expect(await vacuum(table, {dryRun: true})).toEqual([first, second].sort());
    expect(await exists(table, first)).toBe(true);
    expect(await vacuum(table)).toEqual([first, second].sort());
    expect(await exists(table, first)).toBe(false);
    expect(await exists(table, third)).toBe(true);
    expect(await vacuum(table)).toEqual([]);
  });

  it('keeps what newer versions named when a clock was wrong for one commit', async () => {
    const table = await newTable();
    const [first = ''] = await replace(table, 0);
    aheadMs = 200 * HOUR_MS;
    await replace(table, 10);
    aheadMs = 0;
    await replace(table, 20);
    aheadMs = 200 * HOUR_MS;
    const log = (version: number): string =>
      join(folder, table.root, `_delta_log/${String(version).padStart(20, '0')}.json`);
    const now = new Date(Date.now() + aheadMs);
    await utimes(log(2), now, now);
    // The first file was live until a moment ago, whatever the version after says of its own time.
    expect(await vacuum(table)).toEqual([]);
    expect(await exists(table, first)).toBe(true);
  });

  it.each(['interval 2 weeks 2 days', 'interval 16 days 0 hours', 'interval 1382400000 milliseconds', 'P16D'])(
    'keeps files as long as the table asks for: %s',
    async (retention) => {
      const table = await newTable({configuration: {'delta.deletedFileRetentionDuration': retention}});
      await replace(table, 0);
      await replace(table, 10);
      aheadMs = 15 * 24 * HOUR_MS;
      expect(await vacuum(table)).toEqual([]);
    },
  );

  it('removes leftovers, and nothing that is not its own', async () => {
    const table = await newTable();
    await replace(table, 0);
    const leftovers = [
      `part-00000-${UUID}-c000.zstd.parquet`,
      `_p=1/part-00000-${UUID}-c000.zstd.parquet`,
      `deletion_vector_${UUID}.bin`,
      `.x.parquet.${UUID}.tmp`,
      `_delta_log/.00000000000000000009.json.${UUID}.tmp`,
      `_delta_log/.checkpoint-${UUID}.parquet`,
      `_sluice/f/.7.json.${UUID}.tmp`,
      '_change_data/cdc-1.parquet',
      `_sluice/f/7.json`,
      `_sluice/f/ledger-${UUID}.parquet`,
    ];
    const others = [
      'README.md',
      '.hidden',
      '_SUCCESS',
      '.spark/x.parquet',
      '_sluice/notes.txt',
      '_delta_log/_last_checkpoint',
      '_delta_log/00000000000000000001.crc',
      'inner/_delta_log/00000000000000000000.json',
      `inner/part-00000-${UUID}-c000.zstd.parquet`,
      `inner/.x.${UUID}.tmp`,
    ];
    await put(table, ...leftovers, ...others);
    expect(await vacuum(table)).toEqual([]);
    aheadMs = 169 * HOUR_MS;
    expect(await vacuum(table, {writingSince: () => Promise.resolve(Date.now() - HOUR_MS)})).toEqual([]);
    expect(await vacuum(table)).toEqual(leftovers.sort());
    for (const name of others) expect(await exists(table, name)).toBe(true);
    expect(await lake.open(table.root)).not.toBe(null);
  });

  it('asks for writers when it has listed the files: what one that began since then has written stays', async () => {
    const table = await newTable();
    aheadMs = 1000 * HOUR_MS;
    const [before, since] = ['0', '1'].map((digit) => `part-00000-${UUID.slice(0, -1)}${digit}-c000.zstd.parquet`);
    await put(table, before ?? '');
    const writingSince = async (): Promise<null> => {
      await put(table, since ?? '');
      return null;
    };
    expect(await vacuum(table, {writingSince})).toEqual([before]);
    expect(await exists(table, since ?? '')).toBe(true);
  });

  it('keeps deletion vectors that are in use, and removes those that are not', async () => {
    const table = await newTable({deletionVectors: true});
    const [path = ''] = await replace(table, 0);
    const vectorFiles: string[] = [];
    for (const position of [1, 2]) {
      const change = await table.writeDeletions(new Map([[path, [position]]]), signal);
      await table.commit({base: table.snapshot, operation: 'DELETE', ...change, blindAppend: false});
      vectorFiles.push(change.adds[0]?.deletionVector?.pathOrInlineDv ?? '');
    }
    aheadMs = 169 * HOUR_MS;
    const removed = await vacuumTable(lake, table, {}, signal);
    expect(removed).toMatchObject([{kind: 'deletion-vector'}]);
    const fresh = await lake.open(table.root);
    expect(await lake.engine.query(`SELECT count(*) AS n FROM (${await fresh?.readSql()})`)).toEqual([{n: 8n}]);
  });

  it('keeps the batch of every txn with its side files, and those of versions inside the retention', async () => {
    const table = await newTable();
    const commitBatch = async (previous: number | null): Promise<number> => {
      const at = {rows: null, deletes: null};
      const side = {
        tombstones: [`_sluice/f/tombstones-${UUID.slice(0, -1)}${previous ?? 0}.parquet`],
        ledger: [],
        tail: [],
        hidden: [`_sluice/f/hidden-${UUID.slice(0, -1)}${previous ?? 0}.parquet`],
        truncates: [],
        authors: [],
        pending: [
          {kind: 'rows' as const, name: `held-${previous ?? 0}.parquet`, rowCount: 1, sizeBytes: 1, stats: null},
        ],
      };
      const counts = {read: 0, inserted: 0, updated: 0, deleted: 0, unchanged: 0, rescuedValues: 0, quarantinedRows: 0};
      const content = {
        formatVersion: 1 as const,
        flowId: 'f',
        previousBatchId: previous,
        start: at,
        end: at,
        inSnapshot: true,
        schema,
        counts,
        side,
        writtenAt: '2026-01-01T00:00:00Z',
        notes: {},
      };
      const {batchId} = await writeBatchFile(lake.store, table.root, content, previous);
      await put(table, ...side.tombstones, ...side.hidden, ...side.pending.map(({name}) => name));
      await table.commit({
        base: table.snapshot,
        operation: 'WRITE',
        txn: {appId: 'f', version: batchId},
        blindAppend: true,
      });
      return batchId;
    };
    await commitBatch(null);
    await commitBatch(1);
    aheadMs = 100 * HOUR_MS;
    await commitBatch(2);
    const filesOf = (batch: number): string[] => [
      `_sluice/f/${batch}.json`,
      `_sluice/f/hidden-${UUID.slice(0, -1)}${batch - 1}.parquet`,
      `_sluice/f/tombstones-${UUID.slice(0, -1)}${batch - 1}.parquet`,
      `held-${batch - 1}.parquet`,
    ];
    aheadMs = 200 * HOUR_MS;
    expect(await vacuum(table)).toEqual(filesOf(1));
    aheadMs = 300 * HOUR_MS;
    expect(await vacuum(table)).toEqual(filesOf(2));
    aheadMs = 9000 * HOUR_MS;
    expect(await vacuum(table)).toEqual([]);
    // A reset gives the table another flow: its last batch is needed while a version before that can be read.
    const {metadata} = table.snapshot;
    const configuration = {...metadata.configuration, 'sluice.flowId': 'g'};
    const reset = {operation: 'SET TBLPROPERTIES', metadata: {...metadata, configuration}, blindAppend: false};
    await table.commit({base: table.snapshot, ...reset});
    aheadMs = 9100 * HOUR_MS;
    expect(await vacuum(table)).toEqual([]);
    await rm(join(folder, table.root, '_sluice/f/3.json'));
    await put(table, `part-00000-${UUID}-c000.zstd.parquet`);
    await expect(vacuum(table)).rejects.toMatchObject({code: 'CORRUPT_LOG'});
    expect(await exists(table, `part-00000-${UUID}-c000.zstd.parquet`)).toBe(true);
    aheadMs = 9300 * HOUR_MS;
    expect(await vacuum(table)).toEqual([...filesOf(3).slice(1), `part-00000-${UUID}-c000.zstd.parquet`].sort());
  });

  it('can be cut off at any file and repeated', async () => {
    const table = await newTable();
    await replace(table, 0);
    const leftovers = [1, 2, 3, 4].map((at) => `part-00000-${UUID.slice(0, -1)}${at}-c000.zstd.parquet`);
    await put(table, ...leftovers);
    aheadMs = 169 * HOUR_MS;
    const controller = new AbortController();
    let deleted = 0;
    const {store} = lake;
    const slow: Store = {
      root: store.root,
      get: (name, range) => store.get(name, range),
      put: (name, bytes) => store.put(name, bytes),
      putIfAbsent: (name, bytes) => store.putIfAbsent(name, bytes),
      list: (prefix, options) => store.list(prefix, options),
      prefixes: (prefix) => store.prefixes(prefix),
      stage: (name) => store.stage(name),
      localPath: (name) => store.localPath(name),
      delete: async (name) => {
        await store.delete(name);
        deleted += 1;
        if (deleted === 2) controller.abort(new Error('stopped'));
      },
    };
    const context = {store: slow, engine: lake.engine, clock: lake.clock};
    await expect(vacuumTable(context, table, {}, controller.signal)).rejects.toThrow('stopped');
    expect(await vacuum(table)).toEqual(leftovers.slice(2));
    expect(await lake.engine.query(`SELECT count(*) AS n FROM (${await table.readSql()})`)).toEqual([{n: 10n}]);
  });

  it('takes its retention from the table, and refuses less than an hour unless forced', async () => {
    const table = await newTable({configuration: {'delta.deletedFileRetentionDuration': 'interval 2 days'}});
    await put(table, `part-00000-${UUID}-c000.zstd.parquet`);
    aheadMs = 49 * HOUR_MS;
    expect(await vacuum(table, {dryRun: true})).toHaveLength(1);
    expect(await vacuum(table, {dryRun: true, retentionMs: 50 * HOUR_MS})).toHaveLength(0);
    for (const retentionMs of [0, HOUR_MS / 2, Number.NaN])
      await expect(vacuum(table, {retentionMs})).rejects.toMatchObject({code: 'INVALID_OPTION'});
    expect(await vacuum(table, {retentionMs: 0, force: true})).toHaveLength(1);
  });

  it('keeps what a writer removed a moment ago whose clock is behind', async () => {
    const table = await newTable();
    await replace(table, 0);
    aheadMs = -9000 * HOUR_MS;
    await replace(table, 10);
    aheadMs = 2 * HOUR_MS;
    // The commit is two hours old for the store.
    expect(await vacuum(table, {retentionMs: HOUR_MS, dryRun: true})).toHaveLength(1);
    expect(await vacuum(table, {retentionMs: 3 * HOUR_MS, dryRun: true})).toEqual([]);
    await put(table, `part-00000-${UUID}-c000.zstd.parquet`);
    const then = new Date(Date.now() - 9 * HOUR_MS);
    for (const name of [...(await readdir(join(folder, table.root)))].filter((each) => each.endsWith('.parquet')))
      await utimes(join(folder, table.root, name), then, then);
    expect(await vacuum(table, {retentionMs: 3 * HOUR_MS})).toEqual([`part-00000-${UUID}-c000.zstd.parquet`]);
  });

  it('removes change data once the commits that wrote it are older than the retention', async () => {
    const table = await newTable({configuration: {'delta.enableChangeDataFeed': 'true'}});
    const told = async (from: number): Promise<string> => {
      const select = `SELECT ${from}::BIGINT AS id, 'insert' AS _change_type`;
      const cdc = await table.writeChanges({select, schema}, signal);
      await table.commit({base: table.snapshot, operation: 'MERGE', cdc, blindAppend: false});
      return cdc[0]?.path ?? '';
    };
    const old = await told(1);
    await put(table, '_change_data/note.txt');
    aheadMs = 100 * HOUR_MS;
    const young = await told(2);
    expect(await vacuum(table, {retentionMs: 101 * HOUR_MS})).toEqual([]);
    const day = await vacuumTable(lake, table, {retentionMs: 24 * HOUR_MS}, signal);
    expect(day.map(({name, kind}) => [name, kind])).toEqual([[`${table.root}/${old}`, 'change-data']]);
    expect([await exists(table, young), await exists(table, '_change_data/note.txt')]).toEqual([true, true]);
  });

  it('keeps files however their paths are spelled', async () => {
    const table = await newTable();
    const [path = ''] = await replace(table, 0);
    const [add] = table.snapshot.files.values();
    if (add === undefined) throw new Error('no file');
    const spelled = {...add, path: `./${path.replaceAll('-', '%2D')}`};
    await table.commit({
      base: table.snapshot,
      operation: 'WRITE',
      adds: [spelled],
      removes: [table.removeOf(add)],
      blindAppend: false,
    });
    aheadMs = 9000 * HOUR_MS;
    expect(await vacuum(table)).toEqual([]);
  });
});
