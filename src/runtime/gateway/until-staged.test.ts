import {describe, expect, it} from 'vitest';

import {makeGateway} from '../../gateway/gateway.support.test.ts';
import {EMPTY_STATE} from '../../staging/state.ts';
import {untilStaged, type UntilStaged} from './until-staged.ts';

describe('waiting for a gateway of this process', () => {
  it('ends by what that tells, when the log and the snapshots are staged', async () => {
    await using gateway = await makeGateway();
    const {database} = gateway;
    database.createTable('orders');
    for (let id = 0; id < 20; id++) database.commit({table: 'orders', op: 'upsert', row: {id, value: 'a'}});
    const until = untilStaged();
    let mayRead = false;
    void gateway.start({
      onEvent: until.onEvent,
      onState: until.onState,
      maySnapshot: () => mayRead,
    });
    const reached = settled(until, database.position);
    await gateway.sealsAll();
    expect(await reached.isNow()).toBe(false);
    for (let id = 20; id < 30; id++) database.commit({table: 'orders', op: 'upsert', row: {id, value: 'b'}});
    mayRead = true;
    await reached.promise;
    expect((await gateway.state()).tables.get('orders')?.snapshot).toMatchObject({rows: 30});
  });

  it('does not wait for tables that cannot be followed, nor behind the end of the gateway', async () => {
    const until = untilStaged();
    until.onState({...EMPTY_STATE, end: {position: 5n, token: null}});
    const reached = settled(until, 5n);
    expect(await reached.isNow()).toBe(false);
    until.onEvent({type: 'streaming', level: 'info', message: ''});
    await reached.promise;
    const later = settled(until, 9n);
    expect(await later.isNow()).toBe(false);
    until.end();
    await later.promise;
  });

  it('fails when the gateway has stood still for too long, and says why; what goes on in time is none of that', async () => {
    await using gateway = await makeGateway();
    const {database, source} = gateway;
    database.createTable('orders');
    source.faults.down = true;
    const until = untilStaged(50);
    void gateway.start({onEvent: until.onEvent, onState: until.onState});
    await expect(until.reaches(database.position)).rejects.toMatchObject({
      code: 'SOURCE_ERROR',
      message: expect.stringContaining('does not answer') as string,
    });

    const patient = untilStaged();
    source.faults.down = false;
    await gateway.stop();
    void gateway.start({onEvent: patient.onEvent, onState: patient.onState});
    await patient.reaches(database.position);
  });
});

function settled(
  until: UntilStaged,
  position: bigint,
): {readonly promise: Promise<void>; readonly isNow: () => Promise<boolean>} {
  let isOver = false;
  const promise = until.reaches(position).then(() => {
    isOver = true;
  });
  return {promise, isNow: () => new Promise((resolve) => setImmediate(() => resolve(isOver)))};
}
