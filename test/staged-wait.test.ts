import {expect, it} from 'vitest';

import {systemClock} from '../src/core/clock.ts';
import {makeGateway} from '../src/gateway/gateway.support.test.ts';
import type {Connector, Offset, ReadContext} from '../src/sdk/index.ts';
import {stagedConnector} from '../src/staging/staged-connector.ts';
import {scriptedCodec} from '../src/testkit/scripted-source.ts';
import {testContext} from './read-context.ts';

it('leaves the rows of a table as they are until the log behind its new snapshot is sealed', async () => {
  await using gateway = await makeGateway({chunkRows: 3});
  const {database, staging} = gateway;
  database.createTable('orders');
  database.createTable('others');
  for (let id = 0; id < 10; id++) database.commit({table: 'orders', op: 'upsert', row: {id, value: 'old'}});
  void gateway.start();
  await gateway.settles('orders', 'others');
  await gateway.stop();
  const open = (): Connector =>
    stagedConnector({staging, codec: scriptedCodec, reader: 'p', nowMs: () => systemClock.nowMs(), blocked: new Map()});
  const before = await open().latestOffset?.('orders', null, {}, testContext());
  const first = (await gateway.state()).tables.get('orders')?.snapshot?.id;

  database.dropTable('orders');
  database.createTable('orders');
  database.commit({table: 'orders', op: 'upsert', row: {id: 1, value: 'new'}});
  database.commit({table: 'others', op: 'upsert', row: {id: 1, value: 'not sealed'}});
  void gateway.start({limits: {sealMs: 60_000, advanceMs: 60_000}});
  const snapshot = async (): Promise<string | undefined> => (await gateway.state()).tables.get('orders')?.snapshot?.id;
  await expect.poll(snapshot, {timeout: 8000}).toEqual(expect.not.stringMatching(String(first)));
  const waiting = testContext();
  expect(await read(open(), before ?? null, waiting)).toEqual(before);
  expect(waiting.said).toEqual([expect.stringContaining('its rows stay as they are until that is done')]);

  // Stopping seals what was read.
  await gateway.stop();
  await expect(read(open(), before ?? null, testContext())).rejects.toMatchObject({code: 'OFFSET_EXPIRED'});
});

/** The offset behind a call that gives nothing. */
async function read(connector: Connector, start: Offset | null, ctx: ReadContext): Promise<Offset | null> {
  const pages = connector.readTable('orders', start, {}, ctx);
  const step = await pages.next();
  if (step.done === true) return step.value;
  throw new Error('there was something to read');
}
