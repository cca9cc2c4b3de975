import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {seededRandom} from '../core/clock.ts';
import {schemaToJson} from '../core/schema-json.ts';
import * as t from '../core/schema.ts';
import {createFaultStore} from '../testkit/fault-store.ts';
import type {AddFile} from './actions.ts';
import type {CommitRequest, DeltaContext, DeltaTable} from './delta-table.ts';
import type {Lake} from './lake.ts';
import {openLake} from './lake.ts';
import {createTable, openTable} from './table.ts';

const schema = t.struct({id: t.long()});

let folder: string;
let lake: Lake;
let tableCount = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-commit-'));
  lake = await openLake(folder, {memoryLimitMb: 256});
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

const freshRoot = (): string => `main/raw/t${tableCount++}`;

/** An add action; commits do not look at files. */
const file = (path: string): AddFile => ({
  path,
  partitionValues: {},
  size: 1,
  modificationTime: 0,
  dataChange: true,
  stats: '{"numRecords":1}',
});

async function open(root: string, context: DeltaContext = lake): Promise<DeltaTable> {
  const table = await openTable(context, root);
  if (table === null) throw new Error('the table is not there');
  return table;
}

type Change = (table: DeltaTable) => Partial<CommitRequest>;

const add =
  (path: string, more: Partial<AddFile> = {}): Change =>
  () => ({adds: [{...file(path), ...more}], blindAppend: true});
const rewrite =
  (path: string, by?: string): Change =>
  (table) => ({
    removes: [table.removeOf(file(path))],
    adds: by === undefined ? [] : [{...file(by), dataChange: false}],
  });
const txn =
  (appId: string, version: number): Change =>
  () => ({txn: {appId, version}, blindAppend: true});
const newColumn: Change = (table) => ({
  metadata: {...table.snapshot.metadata, schemaString: schemaToJson(t.struct({id: t.long(), more: t.string()}))},
  blindAppend: true,
});
const reads =
  (change: Change): Change =>
  (table) => ({...change(table), blindAppend: false});

async function commit(table: DeltaTable, change: Change): Promise<void> {
  const request = change(table);
  await table.commit({base: table.snapshot, operation: 'WRITE', blindAppend: false, ...request});
}

/** Two writers of one table with files a and b, both at version 1. */
async function twoWriters(): Promise<{winner: DeltaTable; loser: DeltaTable}> {
  const winner = await lake.create(freshRoot(), {schema});
  await winner.commit({base: winner.snapshot, operation: 'WRITE', adds: [file('a'), file('b')], blindAppend: true});
  return {winner, loser: await open(winner.root)};
}

describe('a commit that lost the race', () => {
  it.each<[string, Change, Change]>([
    ['blind appends go over appends', add('w'), add('l')],
    ['blind appends go over deletes', rewrite('a'), add('l')],
    ['deletes go over deletes of other files', rewrite('a'), rewrite('b')],
    ['what read rows goes over compaction of other files', rewrite('a', 'w'), reads(add('l'))],
    ['what read rows goes over deletes of other files', rewrite('a'), reads(add('l'))],
    ['transactions go over those of other flows', txn('x', 1), txn('y', 1)],
  ])('is rebased: %s', async (_, wins, loses) => {
    const {winner, loser} = await twoWriters();
    await commit(winner, wins);
    await commit(loser, loses);
    expect(loser.snapshot.version).toBe(3);
    await winner.refresh();
    expect(loser.snapshot).toEqual(winner.snapshot);
  });

  it.each<[string, Change, Change]>([
    ['the metadata', newColumn, add('l')],
    ['files that it removes', rewrite('a'), rewrite('a')],
    ['files that it rewrites', rewrite('a', 'w'), rewrite('a', 'l')],
    ['rows that it had to read', add('w'), reads(add('l'))],
    ['the transaction of the same flow', txn('x', 1), txn('x', 2)],
  ])('is refused when the winner changed %s', async (_, wins, loses) => {
    const {winner, loser} = await twoWriters();
    await commit(winner, wins);
    await expect(commit(loser, loses)).rejects.toMatchObject({
      code: 'COMMIT_CONFLICT',
      message: expect.stringContaining('(WRITE)') as string,
      context: {version: 2, operation: 'WRITE'},
    });
    await loser.refresh();
    expect(loser.snapshot.version).toBe(2);
  });

  it('is checked against all that came since its base, not only since the last refresh', async () => {
    const {winner, loser} = await twoWriters();
    const base = loser.snapshot;
    await commit(winner, rewrite('a'));
    await loser.refresh();
    const request = {base, operation: 'DELETE', removes: [loser.removeOf(file('a'))], blindAppend: false};
    await expect(loser.commit(request)).rejects.toMatchObject({code: 'COMMIT_CONFLICT'});
  });
});

describe('a commit on a store that fails', () => {
  const faultyLake = (
    rules: Parameters<typeof createFaultStore>[1],
  ): {context: DeltaContext; store: ReturnType<typeof createFaultStore>} => {
    const store = createFaultStore(lake.store, rules);
    return {context: {...lake, store}, store};
  };

  it('is told from a lost race when only its answer was lost', async () => {
    const {winner} = await twoWriters();
    const {context} = faultyLake({rules: [{method: 'putIfAbsent', fault: {kind: 'lost-answer'}}]});
    const table = await open(winner.root, context);
    await commit(table, txn('x', 1));
    expect(table.snapshot.version).toBe(2);
    await winner.refresh();
    expect(winner.snapshot).toEqual(table.snapshot);
  });

  it('makes a table although the answer was lost', async () => {
    const {context} = faultyLake({rules: [{method: 'putIfAbsent', fault: {kind: 'lost-answer'}}]});
    expect((await createTable(context, freshRoot(), {schema})).snapshot.version).toBe(0);
  });

  it.each([
    ['EIO', 'STORAGE_FAILED'],
    ['ENOSPC', 'STORAGE_FULL'],
    ['EROFS', 'STORAGE_READ_ONLY'],
  ] as const)('reports %s as %s and can be repeated', async (systemCode, code) => {
    const {winner} = await twoWriters();
    const {context} = faultyLake({rules: [{method: 'putIfAbsent', fault: {kind: 'fail', systemCode}}]});
    const table = await open(winner.root, context);
    await expect(commit(table, txn('x', 1))).rejects.toMatchObject({code});
    expect(table.snapshot.version).toBe(1);
    await commit(table, txn('x', 1));
    expect(table.snapshot.version).toBe(2);
  });

  it('reports an entry that it could write only in part', async () => {
    const {winner} = await twoWriters();
    const {context} = faultyLake({rules: [{method: 'putIfAbsent', fault: {kind: 'torn', keptBytes: 20}}]});
    const table = await open(winner.root, context);
    await expect(commit(table, txn('x', 1))).rejects.toMatchObject({code: 'CORRUPT_LOG'});
  });

  it('succeeds without a checkpoint when that cannot be written', async () => {
    const {winner} = await twoWriters();
    const {context, store} = faultyLake({
      rules: [{method: 'put', times: 10, fault: {kind: 'fail', systemCode: 'ENOSPC'}}],
    });
    const table = await open(winner.root, context);
    for (let version = 2; version <= 12; version++) await commit(table, add(`f${version}`));
    expect(store.injected).toHaveLength(1);
    expect((await open(winner.root)).snapshot.files.size).toBe(13);
  });

  it('reads a log whose listing lags behind or repeats itself', async () => {
    const {winner} = await twoWriters();
    for (let version = 2; version <= 13; version++) await commit(winner, add(`f${version}`));
    const young = await lake.create(freshRoot(), {schema});
    const hidden = faultyLake({rules: [{method: 'list', fault: {kind: 'stale', count: 1}}]});
    expect((await open(young.root, hidden.context)).snapshot.version).toBe(0);
    for (const fault of [{kind: 'stale', count: 1}, {kind: 'stale', count: 3}, {kind: 'duplicate'}] as const) {
      const {context, store} = faultyLake({rules: [{method: 'list', fault}]});
      expect((await open(winner.root, context)).snapshot.version).toBe(13);
      expect(store.injected).toHaveLength(1);
    }
  });
});

describe('many writers at once', () => {
  /** Every writer adds one row per commit and counts its own transactions. */
  async function checkAll(root: string, writers: number, commits: number): Promise<void> {
    const table = await open(root);
    expect(table.snapshot.version).toBe(writers * commits);
    expect(table.snapshot.files.size).toBe(writers * commits);
    const history = await table.history({limit: 10_000});
    const seen = history.flatMap(({txns}) => txns.map(({appId, version}) => `${appId}/${version}`));
    expect(new Set(seen).size).toBe(writers * commits);
    for (let writer = 0; writer < writers; writer++) {
      expect(table.snapshot.txns.get(`writer-${writer}`)?.version).toBe(commits);
      const own = history.flatMap(({txns}) => txns.filter(({appId}) => appId === `writer-${writer}`));
      expect(own.map(({version}) => version)).toEqual(Array.from({length: commits}, (_, index) => commits - index));
    }
  }

  it('lose no version and double none, whatever the store does', async () => {
    const [writers, commits] = [4, 25];
    const seed = Date.now() % 1_000_000;
    const root = (await lake.create(freshRoot(), {schema})).root;
    const random = seededRandom(seed);
    const store = createFaultStore(lake.store, {
      chance: {
        random,
        probability: 0.04,
        faults: [
          {kind: 'lost-answer'},
          {kind: 'fail', systemCode: 'EIO'},
          {kind: 'slow', ms: 2},
          {kind: 'stale', count: 1},
        ],
      },
    });
    const write = async (writer: number): Promise<void> => {
      const appId = `writer-${writer}`;
      let table: DeltaTable | null = null;
      for (;;) {
        try {
          table ??= await open(root, {...lake, store});
          const next: number = (table.snapshot.txns.get(appId)?.version ?? 0) + 1;
          if (next > commits) return;
          await commit(table, () => ({
            adds: [file(`${appId}-${next}`)],
            txn: {appId, version: next},
            blindAppend: true,
          }));
        } catch (error) {
          // As a run does that failed: look again where the table stands.
          expect(error, `seed ${seed}`).toMatchObject({code: 'STORAGE_FAILED'});
          table = null;
        }
      }
    };
    await Promise.all(Array.from({length: writers}, (_, writer) => write(writer)));
    await checkAll(root, writers, commits);
  });
});
