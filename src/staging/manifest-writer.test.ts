import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {describe, expect, it} from 'vitest';

import {systemClock} from '../core/clock.ts';
import {createFaultStore, type FaultStore} from '../testkit/fault-store.ts';
import type {ManifestEntry} from './entry.ts';
import {openManifest} from './manifest-writer.ts';
import {requestSnapshot} from './next-read.ts';
import {batchOf, makeStaging, ORDERS, pointAt, readTexts, startWriter} from './staging.support.test.ts';
import {loadState, readEntries} from './staging.ts';

describe('a manifest', () => {
  it('lets one of two gateways go on', async () => {
    await using test = await makeStaging();
    const first = await startWriter(test.staging);
    const second = await startWriter(test.staging);
    second.log.append(batchOf({position: 10, changes: [[ORDERS, 'second']]}));
    await second.log.seal();
    first.log.append(batchOf({position: 10, changes: [[ORDERS, 'first']]}));
    await expect(first.log.seal()).rejects.toMatchObject({code: 'CONCURRENT_RUN'});
    expect((await readTexts(test.staging, ORDERS)).texts).toEqual(['t10.1=second']);
  });

  it('goes on behind what maintenance has added', async () => {
    await using test = await makeStaging();
    const {manifest, log} = await startWriter(test.staging);
    await manifest.append({kind: 'table', action: 'added', name: 'orders', table: ORDERS});
    const demand = await requestSnapshot(test.staging, {name: 'orders', message: 'asked for', clock: systemClock});
    log.append(batchOf({position: 10, changes: [[ORDERS, 'a']]}));
    const entry = await log.seal();
    expect(entry?.n).toBe(demand + 1);
    expect(manifest.state.tables.get('orders')?.reset).toMatchObject({n: demand, reason: 'requested'});
  });

  it('knows its own entry again when the answer was lost', async () => {
    let faults: FaultStore | null = null;
    await using test = await makeStaging((store) => (faults = createFaultStore(store)));
    const {log} = await startWriter(test.staging);
    log.append(batchOf({position: 10, changes: [[ORDERS, 'a']]}));
    (faults as FaultStore | null)?.inject({fault: {kind: 'lost-answer'}, method: 'putIfAbsent'});
    await expect(log.seal()).rejects.toMatchObject({code: 'STORAGE_FAILED'});
    await log.seal();
    expect((await readTexts(test.staging, ORDERS)).texts).toEqual(['t10.1=a']);
    expect((await loadState(test.staging)).n).toBe(2);
  });

  it('takes no segment that begins before its end, when a write came true late', async () => {
    let faults: FaultStore | null = null;
    await using test = await makeStaging((store) => (faults = createFaultStore(store)));
    const {manifest, log} = await startWriter(test.staging);
    log.append(batchOf({position: 10, changes: [[ORDERS, 'a']]}));
    (faults as FaultStore | null)?.inject({fault: {kind: 'lost-answer'}, method: 'putIfAbsent'});
    await expect(log.seal()).rejects.toMatchObject({code: 'STORAGE_FAILED'});
    const {openLogWriter} = await import('./log-writer.ts');
    const again = openLogWriter(manifest, 'none');
    again.append(batchOf({position: 10, changes: [[ORDERS, 'a']]}));
    await expect(again.seal()).rejects.toMatchObject({code: 'STORAGE_FAILED', class: 'transient'});
    expect((await readTexts(test.staging, ORDERS)).texts).toEqual(['t10.1=a']);
  });

  it('does not take an older attempt of its own for a newer one', async () => {
    let faults: FaultStore | null = null;
    await using test = await makeStaging((store) => (faults = createFaultStore(store)));
    const {manifest} = await startWriter(test.staging);
    (faults as FaultStore | null)?.inject({fault: {kind: 'lost-answer'}, method: 'putIfAbsent'});
    await expect(manifest.append({kind: 'advance', epoch: 1, end: pointAt(10)})).rejects.toThrow();
    await manifest.append({kind: 'advance', epoch: 1, end: pointAt(20)});
    expect(manifest.state).toEqual(await loadState(test.staging));
    expect(manifest.state).toMatchObject({n: 3, end: pointAt(20)});
  });

  it('is the same with checkpoints and without', async () => {
    await using test = await makeStaging();
    const {manifest, log} = await startWriter(test.staging);
    await manifest.append({kind: 'table', action: 'added', name: 'orders', table: ORDERS});
    for (let count = 1; count <= 70; count++) {
      log.append(batchOf({position: count * 10, changes: [[ORDERS, `${count}`]]}));
      await log.seal();
    }
    const state = await loadState(test.staging);
    expect(state).toEqual(manifest.state);
    const names: string[] = [];
    for await (const {name} of test.store.list(test.staging.layout.checkpoints)) names.push(name);
    expect(names).toHaveLength(2);
    await test.store.put(names[1] ?? '', Buffer.from('{"torn'));
    expect(await loadState(test.staging)).toEqual(state);
    await test.store.delete(names[0] ?? '');
    expect(await loadState(test.staging)).toEqual(state);
    expect((await openManifest(test.staging, systemClock)).state.end).toEqual(pointAt(710));
  });

  it('names an entry that is torn or gone', async () => {
    await using test = await makeStaging();
    const {log} = await startWriter(test.staging);
    log.append(batchOf({position: 10, changes: [[ORDERS, 'a']]}));
    await log.seal();
    const path = join(test.folder, test.staging.layout.entry(1));
    await writeFile(path, '{"n":1,"kind":"ep');
    await expect(loadState(test.staging)).rejects.toMatchObject({
      code: 'STAGING_DAMAGED',
      context: {path: test.staging.layout.entry(1)},
    });
    await test.store.delete(test.staging.layout.entry(1));
    await expect(loadState(test.staging)).rejects.toMatchObject({code: 'STAGING_DAMAGED'});
  });

  it('comes back as it was written', async () => {
    await using test = await makeStaging();
    const {manifest, log} = await startWriter(test.staging);
    const added = await manifest.append({kind: 'table', action: 'added', name: 'a"b', table: ORDERS});
    const reset = await manifest.append({
      kind: 'reset',
      name: 'a"b',
      reason: 'recreated',
      message: 'why',
      table: {...ORDERS, id: 8},
    });
    log.append(batchOf({position: 10, changes: [[ORDERS, 'a']]}));
    const segment = await log.seal();
    const snapshot = await manifest.append({
      kind: 'snapshot',
      epoch: 1,
      name: 'a"b',
      id: 'x',
      file: 'f',
      table: ORDERS,
      position: 2n ** 63n,
      until: 2n ** 64n - 1n,
      logFrom: 3,
      demand: 0,
      rows: 1,
      bytes: 2,
    });
    const advance = await manifest.append({kind: 'advance', epoch: 1, end: pointAt(50)});
    const entries: ManifestEntry[] = [];
    for await (const entry of readEntries(test.staging, 1)) entries.push(entry);
    expect(entries).toEqual([added, reset, segment, snapshot, advance]);
  });
});
