import {expect, it} from 'vitest';

import {systemClock} from '../core/clock.ts';
import {requestSnapshot} from '../staging/next-read.ts';
import {readPlans} from '../staging/snapshot-files.ts';
import {makeGateway, type TestGateway} from './gateway.support.test.ts';

const SLOW = {limits: {snapshotBytesPerSecond: 400, parallelChunks: 1}};

/** Two tables; the snapshot of `orders` is begun and left in the middle, with chunks that are good on their own. */
async function inTheMiddle(begin: (gateway: TestGateway) => Promise<void>): Promise<TestGateway> {
  const gateway = await makeGateway({chunkRows: 5, isResumable: true});
  const {database, staging} = gateway;
  database.createTable('orders');
  database.createTable('others');
  for (let id = 0; id < 40; id++) database.commit({table: 'orders', op: 'upsert', row: {id, value: 'before'}});
  await begin(gateway);
  void gateway.start(SLOW);
  const chunksDone = async (): Promise<number> => {
    const {table} = (await gateway.state()).tables.get('orders') ?? {};
    const plans = table === undefined ? [] : await readPlans(staging, table.id);
    return Math.max(0, ...plans.filter(({isComplete}) => !isComplete).map(({chunks}) => chunks.length));
  };
  await expect.poll(chunksDone, {timeout: 8000, interval: 5}).toBeGreaterThan(1);
  await gateway.stop();
  return gateway;
}

/** Rows that chunks have already change while nobody follows the table. */
async function changeUnseen(gateway: TestGateway): Promise<void> {
  const {database} = gateway;
  for (let id = 0; id < 40; id++) database.commit({table: 'orders', op: 'upsert', row: {id, value: 'unseen'}});
  database.commit({table: 'others', op: 'upsert', row: {id: 1, value: 'seen'}});
  await gateway.sealsAll();
}

it('does not go on with a snapshot of a table that was left out meanwhile', async () => {
  await using gateway = await inTheMiddle(() => Promise.resolve());
  void gateway.start({tables: () => Promise.resolve(['others'])});
  await expect.poll(() => gateway.events.map(({type}) => type), {timeout: 8000}).toContain('table_removed');
  await changeUnseen(gateway);
  await gateway.stop();
  void gateway.start();
  await gateway.settles('orders');
});

it('does not go on with a snapshot of a table that could not be followed meanwhile', async () => {
  await using gateway = await inTheMiddle(async (begun) => {
    void begun.start();
    await begun.settles('orders');
    await begun.stop();
    await requestSnapshot(begun.staging, {name: 'orders', message: 'asked for', clock: systemClock});
  });
  const {source} = gateway;
  const preflight = source.preflight.bind(source);
  source.preflight = () => Promise.resolve([{level: 'error', code: 'KEY', message: 'no key', table: 'orders'}]);
  void gateway.start();
  await expect.poll(() => gateway.events.map(({type}) => type), {timeout: 8000}).toContain('table_blocked');
  await changeUnseen(gateway);
  await gateway.stop();
  source.preflight = preflight;
  void gateway.start();
  await gateway.settles('orders');
});
