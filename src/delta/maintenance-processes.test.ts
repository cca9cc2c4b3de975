import {mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import type {FailpointName} from '../core/failpoint.ts';
import * as t from '../core/schema.ts';
import type {KillEnd} from '../testkit/kill.ts';
import {runAndKill} from '../testkit/kill.ts';
import type {CommitRequest} from './delta-table.ts';
import type {Lake} from './lake.ts';
import {openLake} from './lake.ts';

const program = fileURLToPath(new URL('../testkit/maintenance-loop.ts', import.meta.url));
const schema = t.struct({txn: t.long(), i: t.long()});
/** Transactions before, and after the maintenance. */
const [BEFORE, AFTER] = [12, 24];

let folder: string;
let lake: Lake;
let tableCount = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-maintenance-'));
  lake = await openLake(folder, {memoryLimitMb: 256});
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

function run(
  role: 'write' | 'maintain',
  root: string,
  more: readonly string[],
  killAfterMs?: number,
): Promise<KillEnd> {
  return runAndKill({
    args: ['--import', 'tsx', program, role, folder, root, ...more],
    ...(killAfterMs === undefined ? {} : {killAfterMs}),
  });
}

/** A table with transactions enough for maintenance to have something to do, as the program writes them. */
async function usedTable(configuration: Readonly<Record<string, string>> = {}): Promise<string> {
  const root = `main/raw/t${tableCount++}`;
  const table = await lake.create(root, {schema, deletionVectors: true, configuration});
  let previous: string | null = null;
  for (let txn = 1; txn <= BEFORE; txn++) {
    const select = `SELECT ${txn}::BIGINT AS txn, i::BIGINT AS i FROM range(50) AS r(i)`;
    const adds = await table.writeFiles({select, schema}, SIGNAL);
    const gone: Pick<CommitRequest, 'adds' | 'removes'> =
      previous === null ? {} : await table.writeDeletions(new Map([[previous, [0]]]), SIGNAL);
    const base = table.snapshot;
    const actions = {adds: [...adds, ...(gone.adds ?? [])], removes: gone.removes ?? []};
    const appended = {...actions, txn: {appId: 'writer', version: txn}, blindAppend: false};
    await table.commit({base, operation: 'MERGE', ...appended});
    previous = adds[0]?.path ?? null;
  }
  return root;
}

const SIGNAL: AbortSignal = new AbortController().signal;
/** A log that expires at once. */
const SHORT = {'delta.logRetentionDuration': 'interval 0 seconds', 'delta.checkpointInterval': '5'};
/** No writer is at work: everything may go. */
const NOBODY = String(Number.MAX_SAFE_INTEGER);

/** The rows of transactions up to `last`: of all but the last, row 0 is gone. */
async function expectRows(root: string, last: number): Promise<void> {
  const table = await lake.open(root);
  const rows = await lake.engine.query(
    `SELECT txn::INTEGER AS txn, count(*)::INTEGER AS n, count(DISTINCT i)::INTEGER AS ids, min(i)::INTEGER AS low FROM (${await table?.readSql()}) GROUP BY txn ORDER BY txn`,
  );
  const wanted = Array.from({length: last}, (_, at) =>
    at + 1 === last ? {txn: at + 1, n: 50, ids: 50, low: 0} : {txn: at + 1, n: 49, ids: 49, low: 1},
  );
  expect(rows).toEqual(wanted);
}

const STEPS: readonly `${FailpointName}:${number}`[] = [
  'optimize.bin-written:1',
  'delta.commit-linked:1',
  'vacuum.file-removed:5',
  'log-cleanup.entry-removed:4',
];

describe('maintenance', () => {
  it.each(STEPS)(
    'that is killed at %s loses no row, and is done by the next one',
    async (step) => {
      const root = await usedTable(SHORT);
      const end = await run('maintain', root, [NOBODY, step]);
      expect(end.killed || end.output).toBe(true);
      await expectRows(root, BEFORE);
      const again = await run('maintain', root, [NOBODY]);
      expect(again.code ?? again.output).toBe(0);
      await expectRows(root, BEFORE);
      const files = await readdir(join(folder, root), {recursive: true});
      expect(files.filter((name) => name.endsWith('.parquet') && !name.includes('_delta_log'))).toHaveLength(1);
      expect(files.filter((name) => name.includes('/.') || name.startsWith('.'))).toEqual([]);
      const more = await run('write', root, [String(BEFORE + 3)]);
      expect(more.code ?? more.output).toBe(0);
      await expectRows(root, BEFORE + 3);
    },
    60_000,
  );

  it.each(['delta.checkpoint-written:1', 'delta.last-checkpoint-written:1'] as const)(
    'goes on over a writer that is killed at %s',
    async (step) => {
      const root = await usedTable(SHORT);
      const end = await run('write', root, [String(AFTER), step]);
      expect(end.killed || end.output).toBe(true);
      const maintained = await run('maintain', root, [NOBODY]);
      expect(maintained.code ?? maintained.output).toBe(0);
      const more = await run('write', root, [String(AFTER)]);
      expect(more.code ?? more.output).toBe(0);
      await expectRows(root, AFTER);
    },
    60_000,
  );

  it('that is killed at any time beside a writer loses no row and doubles none', async () => {
    const root = await usedTable();
    const startedAt = String(Date.now());
    const writer = run('write', root, [String(AFTER * 2)]);
    const seed = Date.now() % 1000;
    for (let at = 0; at < 4; at++) await run('maintain', root, [startedAt], 500 + ((seed + at * 377) % 1200));
    const end = await writer;
    expect(end.code ?? end.output, `seed ${seed}`).toBe(0);
    await expectRows(root, AFTER * 2);
    const last = await run('maintain', root, [startedAt]);
    expect(last.code ?? last.output, `seed ${seed}`).toBe(0);
    await expectRows(root, AFTER * 2);
  }, 120_000);
});
