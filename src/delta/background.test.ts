import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import * as t from '../core/schema.ts';
import type {Store} from '../storage/store.ts';
import {Background} from './background.ts';
import type {DeltaContext, DeltaTable} from './delta-table.ts';
import type {Lake} from './lake.ts';
import {openLake} from './lake.ts';
import {createTable, openTable} from './table.ts';

const schema = t.struct({id: t.long()});
/** Else one that took long, as on a busy machine, is followed by fewer. */
const configuration = {'delta.checkpointInterval': '10'};
const signal = new AbortController().signal;
const CHECKPOINT = /\d{20}\.checkpoint\.parquet$/;

let folder: string;
let lake: Lake;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-background-'));
  lake = await openLake(folder, {memoryLimitMb: 128});
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

/** A context whose store runs `before` ahead of a checkpoint. */
function contextWith(before: () => Promise<void>): DeltaContext & {readonly background: Background} {
  const store: Store = Object.assign(Object.create(lake.store) as Store, {
    put: async (name: string, bytes: Uint8Array): Promise<void> => {
      if (CHECKPOINT.test(name)) await before();
      return lake.store.put(name, bytes);
    },
    get: (...args: Parameters<Store['get']>) => lake.store.get(...args),
    putIfAbsent: (...args: Parameters<Store['putIfAbsent']>) => lake.store.putIfAbsent(...args),
    list: (...args: Parameters<Store['list']>) => lake.store.list(...args),
    stage: (...args: Parameters<Store['stage']>) => lake.store.stage(...args),
    localPath: (...args: Parameters<Store['localPath']>) => lake.store.localPath(...args),
  });
  return {store, engine: lake.engine, clock: lake.clock, background: new Background()};
}

async function commits(table: DeltaTable, count: number): Promise<void> {
  for (let at = 0; at < count; at++) {
    const adds = await table.writeFiles({select: `SELECT ${at}::BIGINT AS id`, schema}, signal);
    await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
  }
}

async function checkpoints(root: string): Promise<number> {
  let count = 0;
  for await (const {name} of lake.store.list(`${root}/_delta_log/`)) count += CHECKPOINT.test(name) ? 1 : 0;
  return count;
}

describe('checkpoints in the background', () => {
  it('hold up no commit, are one at a time, and are there once the work is settled', async () => {
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const context = contextWith(() => gate);
    const table = await createTable(context, 'slow', {schema, configuration});
    await commits(table, 25);
    expect([table.snapshot.version, await checkpoints('slow')]).toEqual([25, 0]);
    release();
    expect(await context.background.settle()).toEqual([]);
    expect(await checkpoints('slow')).toBe(1);
    await commits(table, 5);
    await context.background.settle();
    expect(await checkpoints('slow')).toBe(2);
    const opened = await openTable(context, 'slow');
    expect([opened?.snapshot.version, opened?.snapshot.files.size]).toEqual([30, 30]);
  });

  it('that fail are told once, and made up for by the next', async () => {
    let fails = true;
    const context = contextWith(() => (fails ? Promise.reject(new Error('no space')) : Promise.resolve()));
    const table = await createTable(context, 'failing', {schema, configuration});
    await commits(table, 10);
    expect(await context.background.settle()).toEqual([expect.stringMatching(/failing.*no space/)]);
    expect(await context.background.settle()).toEqual([]);
    fails = false;
    await commits(table, 10);
    expect(await context.background.settle()).toEqual([]);
    expect([table.snapshot.version, await checkpoints('failing')]).toEqual([20, 1]);
  });
});
