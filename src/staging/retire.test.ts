import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {describe, expect, it} from 'vitest';

import {systemClock} from '../core/clock.ts';
import {inspectStaging, listStagings, purgeStaging} from './inspect.ts';
import type {LogWriter} from './log-writer.ts';
import type {ManifestWriter} from './manifest-writer.ts';
import {nextRead, requestSnapshot} from './next-read.ts';
import {removeOrphans} from './orphans.ts';
import type {markBehindSnapshot} from './read-log.ts';
import {retire} from './retire.ts';
import {writeChunk, writePlan, writeSnapshot, type SnapshotPlan} from './snapshot-files.ts';
import {batchOf, makeStaging, ORDERS, readTexts, startWriter, type TestStaging} from './staging.support.test.ts';
import {loadState, recordProgress} from './staging.ts';

const DAY_MS = 24 * 3_600_000;

describe('retention', () => {
  it('deletes what all pipelines have applied and is old enough, and no more', async () => {
    await using test = await makeStaging();
    const {manifest, log} = await startTable(test);
    await seal(log, 1, 5);
    const {snapshot} = tableOf(await loadState(test.staging));
    const young = {nowMs: Date.now(), minAgeMs: DAY_MS};
    const old = {nowMs: Date.now() + 2 * DAY_MS, minAgeMs: DAY_MS};
    expect(await retire(manifest, old)).toMatchObject({files: 0});
    await apply(test, 'daily', 7);
    await apply(test, 'hourly', 5);
    expect(await retire(manifest, young)).toMatchObject({files: 0});
    // Entry 3 is the snapshot; 4 and 5 are segments.
    expect(await retire(manifest, old)).toMatchObject({files: 3, resets: []});
    const state = await loadState(test.staging);
    expect(state.retiredThrough).toBe(5);
    expect(nextRead(state, tableOf(state), at(snapshot?.n ?? 0, 6))).toMatchObject({kind: 'log'});
    const mark = {entry: 6, epoch: 1, position: 0n, ordinal: 0};
    expect((await readTexts(test.staging, ORDERS, mark)).texts).toEqual(['t30.1=3', 't40.1=4', 't50.1=5']);
    await expect(readTexts(test.staging, ORDERS, {...mark, entry: 4})).rejects.toMatchObject({code: 'OFFSET_EXPIRED'});
  });

  it('marks tables to be read anew before it deletes what they have not applied in time', async () => {
    await using test = await makeStaging();
    const {manifest, log} = await startTable(test);
    await seal(log, 1, 5);
    await apply(test, 'daily', 4);
    const result = await retire(manifest, {nowMs: Date.now() + 31 * DAY_MS, minAgeMs: DAY_MS});
    expect(result.resets).toEqual(['orders']);
    const state = await loadState(test.staging);
    expect(tableOf(state).reset).toMatchObject({reason: 'not_applied'});
    expect(nextRead(state, tableOf(state), at(3, 5))).toMatchObject({kind: 'wait', reason: 'not_applied'});
  });

  it('gives a pipeline that comes late a snapshot to ask for, while others go on', async () => {
    await using test = await makeStaging();
    const {manifest, log} = await startTable(test);
    await seal(log, 1, 3);
    await apply(test, 'daily', 6);
    await retire(manifest, {nowMs: Date.now() + 2 * DAY_MS, minAgeMs: DAY_MS});
    let state = await loadState(test.staging);
    expect(nextRead(state, tableOf(state), null)).toEqual({kind: 'request'});
    await requestSnapshot(test.staging, {name: 'orders', message: 'a second pipeline', clock: systemClock});
    state = await loadState(test.staging);
    expect(nextRead(state, tableOf(state), null)).toMatchObject({kind: 'wait', reason: 'requested'});
    expect(nextRead(state, tableOf(state), at(3, 7))).toMatchObject({kind: 'log'});
    await manifest.catchUp();
    await snapshot(manifest, 'again', tableOf(state).reset?.n ?? 0);
    state = await loadState(test.staging);
    expect(nextRead(state, tableOf(state), null)).toMatchObject({kind: 'snapshot', snapshot: {id: 'again'}});
    expect(nextRead(state, tableOf(state), at(3, 7))).toMatchObject({kind: 'log'});
  });

  it('removes later what it was killed before it removed', async () => {
    await using test = await makeStaging();
    const {manifest, log} = await startTable(test);
    await seal(log, 1, 40);
    await apply(test, 'daily', 30);
    await manifest.append({kind: 'retired', through: 30});
    const old = {nowMs: Date.now() + 2 * DAY_MS, minAgeMs: DAY_MS};
    // Segments of 27 entries, and the snapshot that nothing leads on from.
    expect(await retire(manifest, old)).toMatchObject({files: 28});
    expect(await retire(manifest, old)).toMatchObject({files: 0});
    const report = await inspectStaging(test.staging);
    expect(report).toMatchObject({entries: {first: 31}, segments: {files: 13}, state: {retiredThrough: 30}});
  });

  it('keeps the log that a snapshot in progress needs', async () => {
    await using test = await makeStaging();
    const {manifest, log} = await startWriter(test.staging);
    await manifest.append({kind: 'table', action: 'added', name: 'orders', table: ORDERS});
    await writePlan(test.staging, planOf(manifest, 'p', 0));
    await seal(log, 1, 3);
    await recordProgress(test.staging, {id: 'daily', updatedAt: 0, tables: new Map()});
    await retire(manifest, {nowMs: Date.now() + 2 * DAY_MS, minAgeMs: DAY_MS});
    expect((await loadState(test.staging)).retiredThrough).toBe(2);
  });

  it('ignores a snapshot that was overtaken by a reason to read the table anew', async () => {
    await using test = await makeStaging();
    const {manifest} = await startTable(test);
    const message = 'why';
    await manifest.append({kind: 'reset', name: 'orders', reason: 'unsupported_change', message, table: null});
    await snapshot(manifest, 'late', 0);
    expect(tableOf(manifest.state)).toMatchObject({snapshot: {id: 'first'}, reset: {reason: 'unsupported_change'}});
    await snapshot(manifest, 'right', tableOf(manifest.state).reset?.n ?? 0);
    expect(tableOf(manifest.state)).toMatchObject({snapshot: {id: 'right'}, reset: null});
  });

  it('removes segments that a killed gateway left without an entry', async () => {
    await using test = await makeStaging();
    const {manifest, log} = await startTable(test);
    await seal(log, 1, 2);
    const {layout} = test.staging;
    await test.store.put(layout.segment(1, 6, 'dead'), Buffer.from('left'));
    await test.store.put(layout.segment(1, 5, 'lost'), Buffer.from('left'));
    await writeFile(join(test.folder, layout.log, '00000001', '.000000000009-x.seg.tmp'), 'left');
    await writeFile(join(test.folder, layout.manifest, '.000000000009.json.tmp'), 'left');
    expect(await removeOrphans(manifest)).toBe(4);
    expect((await readTexts(test.staging, ORDERS)).texts).toHaveLength(2);
  });

  it('shows what is staged, and purges it', async () => {
    await using test = await makeStaging();
    const {log} = await startTable(test);
    await seal(log, 1, 2);
    await apply(test, 'daily', 4);
    const report = await inspectStaging(test.staging);
    expect(report).toMatchObject({entries: {count: 5, first: 1}, segments: {files: 2}, snapshots: {files: 4}});
    expect(report.pipelines.map(({id}) => id)).toEqual(['daily']);
    expect(await listStagings(test.store)).toEqual(['gw']);
    await purgeStaging(test.staging);
    expect(await listStagings(test.store)).toEqual([]);
    expect((await loadState(test.staging)).n).toBe(0);
  });
});

async function startTable(test: TestStaging): Promise<{readonly manifest: ManifestWriter; readonly log: LogWriter}> {
  const {manifest, log} = await startWriter(test.staging);
  await manifest.append({kind: 'table', action: 'added', name: 'orders', table: ORDERS});
  await snapshot(manifest, 'first', 0);
  return {manifest, log};
}

function planOf({state}: ManifestWriter, id: string, demand: number): SnapshotPlan {
  return {
    id,
    name: 'orders',
    table: ORDERS,
    epoch: state.epoch,
    demand,
    token: null,
    position: state.end?.position ?? 0n,
    logFrom: state.n + 1,
    chunks: [{all: true}],
    isResumable: true,
    estimatedRows: null,
  };
}

async function snapshot(manifest: ManifestWriter, id: string, demand: number): Promise<void> {
  const plan = planOf(manifest, id, demand);
  const {staging} = manifest;
  await writePlan(staging, plan);
  const read = (async function* () {
    yield Buffer.from('rows');
    return Promise.resolve({rows: 1});
  })();
  const target = {plan, index: 0, compression: 'none'} as const;
  const chunk = await writeChunk(staging, target, read, new AbortController().signal);
  const file = await writeSnapshot(staging, {plan, chunks: [chunk]});
  const {name, table, epoch, position, logFrom} = plan;
  const sums = {rows: 1, bytes: 4};
  await manifest.append({
    kind: 'snapshot',
    epoch,
    name,
    id,
    file,
    table,
    position,
    until: position,
    logFrom,
    demand,
    ...sums,
  });
}

async function seal(log: LogWriter, from: number, to: number): Promise<void> {
  for (let count = from; count <= to; count++) {
    log.append(batchOf({position: count * 10, changes: [[ORDERS, `${count}`]]}));
    await log.seal();
  }
}

function apply(test: TestStaging, id: string, entry: number): Promise<void> {
  const applied = {table: ORDERS.id, snapshot: 'first', snapshotEntry: 3, entry};
  return recordProgress(test.staging, {id, updatedAt: 0, tables: new Map([['orders', applied]])});
}

function tableOf(state: Awaited<ReturnType<typeof loadState>>): NonNullable<ReturnType<typeof state.tables.get>> {
  const table = state.tables.get('orders');
  if (table === undefined) throw new Error('The table is not staged.');
  return table;
}

function at(
  snapshotEntry: number,
  entry: number,
): {snapshotEntry: number; mark: ReturnType<typeof markBehindSnapshot>} {
  return {snapshotEntry, mark: {entry, epoch: 1, position: 0n, ordinal: 0}};
}
