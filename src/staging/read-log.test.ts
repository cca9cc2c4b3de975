import {readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {describe, expect, it} from 'vitest';

import {FrameWriter} from '../sdk/log-frames.ts';
import {
  batchOf,
  makeStaging,
  ORDERS,
  pointAt,
  readTexts,
  startWriter,
  USERS,
  writeChange,
  writeTransaction,
} from './staging.support.test.ts';
import {loadState} from './staging.ts';

describe('the sealed log', () => {
  it.each(['none', 'brotli'] as const)(
    'gives the changes of a table in the order of commits (%s)',
    async (compression) => {
      await using test = await makeStaging();
      const {log} = await startWriter(test.staging, compression);
      log.append(
        batchOf(
          {
            position: 10,
            changes: [
              [ORDERS, 'a'],
              [USERS, 'u'],
              [ORDERS, 'b'],
            ],
          },
          {position: 20, changes: [[ORDERS, 'c'.repeat(400)]]},
        ),
      );
      await log.seal();
      log.append(batchOf({position: 30, changes: [[USERS, 'v']]}));
      await log.seal();
      expect((await readTexts(test.staging, ORDERS)).texts).toEqual(['t10.1=a', 't10.3=b', `t20.1=${'c'.repeat(400)}`]);
      expect((await readTexts(test.staging, USERS)).texts).toEqual(['t10.2=u', 't30.1=v']);
    },
  );

  it('is read on from any mark without a gap or a repetition', async () => {
    await using test = await makeStaging();
    const {log} = await startWriter(test.staging);
    log.append(batchOf({position: 10, changes: [[ORDERS, 'a']]}));
    await log.seal();
    const first = await readTexts(test.staging, ORDERS);
    expect(await readTexts(test.staging, ORDERS, first.mark)).toEqual({texts: [], mark: first.mark});
    log.append(batchOf({position: 20, changes: [[ORDERS, 'b']]}));
    await log.seal();
    const second = await readTexts(test.staging, ORDERS, first.mark);
    expect(second.texts).toEqual(['t20.1=b']);
  });

  it('shows a transaction over several segments only when its commit is sealed', async () => {
    await using test = await makeStaging();
    const {log} = await startWriter(test.staging);
    const frames = new FrameWriter(64);
    writeTransaction(frames, {position: 10, changes: [[ORDERS, 'a']]});
    frames.begin(30n, 30n, 't30');
    writeChange(frames, ORDERS, 'b');
    log.append(frames.take(pointAt(20)));
    expect(log.isOpen).toBe(true);
    await log.seal();
    writeChange(frames, USERS, 'u');
    writeChange(frames, ORDERS, 'c');
    log.append(frames.take(null));
    await log.seal();
    const early = await readTexts(test.staging, ORDERS);
    expect(early.texts).toEqual(['t10.1=a']);
    expect((await loadState(test.staging)).end).toEqual(pointAt(20));

    writeChange(frames, ORDERS, 'd');
    frames.commit();
    log.append(frames.take(pointAt(40)));
    await log.seal();
    expect(log.isOpen).toBe(false);
    expect((await readTexts(test.staging, ORDERS, early.mark)).texts).toEqual(['t30.1=b', 't30.3=c', 't30.4=d']);
    expect((await readTexts(test.staging, USERS)).texts).toEqual(['t30.2=u']);
  });

  it('leaves out the part of a transaction that a stopped gateway began and the next one began again', async () => {
    await using test = await makeStaging();
    const {log} = await startWriter(test.staging);
    const frames = new FrameWriter(64);
    writeTransaction(frames, {position: 10, changes: [[ORDERS, 'a']]});
    frames.begin(30n, 30n, 't30');
    writeChange(frames, ORDERS, 'b');
    log.append(frames.take(pointAt(20)));
    await log.seal();
    writeChange(frames, ORDERS, 'lost');
    log.append(frames.take(null));
    await log.seal();

    const next = await startWriter(test.staging);
    next.log.append(
      batchOf({
        position: 30,
        changes: [
          [ORDERS, 'b'],
          [ORDERS, 'c'],
        ],
      }),
    );
    await next.log.seal();
    expect((await readTexts(test.staging, ORDERS)).texts).toEqual(['t10.1=a', 't30.1=b', 't30.2=c']);
  });

  it('names a segment whose bytes changed, and one that is gone', async () => {
    await using test = await makeStaging();
    const {log} = await startWriter(test.staging);
    log.append(batchOf({position: 10, changes: [[ORDERS, 'payload']]}));
    const entry = await log.seal();
    const path = join(test.folder, entry?.file ?? '');
    const bytes = await readFile(path);
    bytes[bytes.indexOf('payload')] = 0;
    await writeFile(path, bytes);
    await expect(readTexts(test.staging, ORDERS)).rejects.toMatchObject({
      code: 'STAGING_DAMAGED',
      message: expect.stringContaining(entry?.file ?? '?') as string,
    });
    await writeFile(path, bytes.subarray(0, 50));
    await expect(readTexts(test.staging, ORDERS)).rejects.toMatchObject({code: 'STAGING_DAMAGED'});
    await test.store.delete(entry?.file ?? '');
    await expect(readTexts(test.staging, ORDERS)).rejects.toMatchObject({code: 'STAGING_DAMAGED'});
    expect(await readdir(join(test.folder, 'gw', 'manifest'))).toHaveLength(2);
  });

  it('tells the schemas of the tables at the beginning of each segment and where they change', async () => {
    await using test = await makeStaging();
    const {log} = await startWriter(test.staging);
    const frames = new FrameWriter(64);
    frames.begin(10n, 10n, 't10');
    frames.schema(ORDERS);
    writeChange(frames, ORDERS, 'a');
    frames.commit();
    log.append(frames.take(pointAt(20)));
    const first = await log.seal();
    log.append(batchOf({position: 20, changes: [[ORDERS, 'b']]}));
    await log.seal();
    expect(first?.tables).toEqual([ORDERS]);
    expect((await readTexts(test.staging, ORDERS)).texts).toEqual(['t10.1:schema', 't10.2=a', 't20.1=b']);
    const {openLogView} = await import('./read-log.ts');
    const view = await openLogView(test.staging, {state: await loadState(test.staging), from: 1});
    const tables: unknown[] = [];
    const after = {entry: 1, epoch: 1, position: 0n, ordinal: 0};
    for await (const {table} of view.readTable(ORDERS.id, after, new AbortController().signal)) tables.push(table);
    expect(tables).toEqual([null, ORDERS]);
  });
});
