import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import * as t from '../core/schema.ts';
import type {KillEnd} from '../testkit/kill.ts';
import {runAndKill} from '../testkit/kill.ts';
import type {DeltaTable} from './delta-table.ts';
import type {Lake} from './lake.ts';
import {openLake} from './lake.ts';

let folder: string;
let lake: Lake;
let tableCount = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-processes-'));
  lake = await openLake(folder, {memoryLimitMb: 256});
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

const freshRoot = (): string => `main/raw/t${tableCount++}`;

async function open(root: string): Promise<DeltaTable> {
  const table = await lake.open(root);
  if (table === null) throw new Error('the table is not there');
  return table;
}

describe('processes', () => {
  const rowsSchema = t.struct({app: t.string(), txn: t.long(), i: t.long()});
  const program = fileURLToPath(new URL('../testkit/commit-loop.ts', import.meta.url));
  const run = (root: string, more: readonly string[], killAfterMs?: number): Promise<KillEnd> =>
    runAndKill({
      args: ['--import', 'tsx', program, folder, root, ...more],
      ...(killAfterMs === undefined ? {} : {killAfterMs}),
    });

  /** Rows per transaction of every application, as the table has them. */
  async function rowCounts(root: string): Promise<ReadonlyMap<string, number>> {
    const table = await open(root);
    const rows = await lake.engine.query(
      `SELECT app || '/' || txn AS key, count(*)::INTEGER AS n, count(DISTINCT i)::INTEGER AS ids FROM (${await table.readSql()}) GROUP BY ALL`,
    );
    expect(rows.filter((row) => row['n'] !== row['ids'])).toEqual([]);
    return new Map(rows.map((row) => [String(row['key']), Number(row['n'])]));
  }

  it('that write at once lose nothing and double nothing', async () => {
    const [writers, transactions] = [2, 60];
    const {root} = await lake.create(freshRoot(), {schema: rowsSchema, deletionVectors: true});
    const ends = await Promise.all(
      Array.from({length: writers}, (_, writer) => run(root, [`w${writer}`, String(transactions)])),
    );
    expect(ends.map(({code, output}) => code ?? output)).toEqual(ends.map(() => 0));
    const counts = await rowCounts(root);
    expect(counts.size).toBe(writers * transactions);
    // All but the last transaction of each have lost a row to the next one.
    for (const [key, count] of counts) expect(count, key).toBe(key.endsWith(`/${transactions}`) ? 100 : 99);
    const table = await open(root);
    expect(table.snapshot.version).toBe(writers * transactions);
  }, 60_000);

  it('that are killed at any step of a commit leave a table of whole transactions', async () => {
    const {root} = await lake.create(freshRoot(), {schema: rowsSchema, deletionVectors: true});
    const reached: number[] = [];
    for (const failpoint of [
      'delta.commit-staged:3',
      'delta.commit-linked:3',
      'delta.commit-written:3',
      'delta.checkpoint-written:1',
      'delta.last-checkpoint-written:1',
    ]) {
      expect(await run(root, ['w', '24', failpoint])).toMatchObject({killed: true});
      const last = (await open(root)).snapshot.txns.get('w')?.version ?? 0;
      expect((await rowCounts(root)).size, failpoint).toBe(last);
      reached.push(last);
    }
    // Two commits and the staged one lost; three with the linked one; three; up to either checkpoint.
    expect(reached).toEqual([2, 5, 8, 10, 20]);
    expect(await run(root, ['w', '24'])).toMatchObject({code: 0});
    expect((await rowCounts(root)).size).toBe(24);
  }, 60_000);

  it('that are killed at any moment leave a table of whole transactions', async () => {
    const {root} = await lake.create(freshRoot(), {schema: rowsSchema, deletionVectors: true});
    for (let kill = 0; kill < 3; kill++) {
      await run(root, ['w', '1000'], 400 + Math.random() * 500);
      const reached = (await open(root)).snapshot.txns.get('w')?.version ?? 0;
      expect((await rowCounts(root)).size).toBe(reached);
    }
  }, 60_000);
});
