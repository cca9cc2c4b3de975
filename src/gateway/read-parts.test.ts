import {expect, it} from 'vitest';

import {cellAt} from '../core/cells.ts';
import {systemClock} from '../core/clock.ts';
import type {Partition, ReadContext} from '../sdk/contract.ts';
import {requestSnapshot} from '../staging/next-read.ts';
import {stagedConnector} from '../staging/staged-connector.ts';
import {scriptedCodec} from '../testkit/scripted-source.ts';
import {contextOf, makeGateway, type TestGateway} from './gateway.support.test.ts';

it('parts of a staged snapshot are read as they were planned, elsewhere and after the table was read anew', async () => {
  await using gateway = await makeGateway({chunkRows: 4});
  const {database} = gateway;
  database.createTable('orders');
  for (let id = 1; id <= 10; id++) database.commit({table: 'orders', op: 'upsert', row: {id, value: 'first'}});
  void gateway.start();
  await gateway.settles('orders');
  await gateway.stop();
  const plan = await connectorOf(gateway).getPartitions?.('orders', {start: null, end: null}, {}, readContext());
  const partitions = JSON.parse(JSON.stringify(plan?.partitions)) as readonly Partition[];
  expect(partitions).toHaveLength(3);
  for (let id = 1; id <= 10; id++) database.commit({table: 'orders', op: 'upsert', row: {id, value: 'second'}});
  await readAnew(gateway);
  const ids: unknown[] = [];
  for (const part of partitions) {
    // Each by a reader that knows nothing but the part.
    for await (const page of connectorOf(gateway).readPartition?.('orders', part, {}, readContext()) ?? []) {
      if (!('kind' in page) || page.kind !== 'columns') throw new Error('columns were expected');
      const [at, field] = [page.batch.columns[0], page.batch.schema.fields[0]];
      if (at === undefined || field === undefined) throw new Error('a column was expected');
      for (let row = 0; row < page.batch.rowCount; row++) ids.push(Number(cellAt(at, field.type, row)));
    }
  }
  expect(ids.toSorted((left, right) => Number(left) - Number(right))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

function connectorOf({staging}: TestGateway): ReturnType<typeof stagedConnector> {
  return stagedConnector({staging, codec: scriptedCodec, reader: 'p', nowMs: () => 0});
}

/** Asks for a new snapshot and waits until it is there. */
async function readAnew(gateway: TestGateway): Promise<void> {
  const before = (await gateway.state()).tables.get('orders')?.snapshot?.id;
  await requestSnapshot(gateway.staging, {name: 'orders', message: 'a full refresh', clock: systemClock});
  void gateway.start();
  await expect
    .poll(async () => (await gateway.state()).tables.get('orders')?.snapshot?.id, {timeout: 8000, interval: 10})
    .not.toBe(before);
  await gateway.stop();
}

function readContext(): ReadContext {
  return {
    ...contextOf(new AbortController().signal),
    triggerStartedAt: 0n,
    isFirstCall: true,
    limits: {maxRows: 1000, maxBytes: 1 << 20},
    ledger: {get: () => Promise.resolve(new Map()), put: () => undefined},
    progress: () => undefined,
  };
}
