import {rm} from 'node:fs/promises';

import {beforeEach, describe, expect, it} from 'vitest';

import {exampleApi, resetExampleApi, type ExampleApi} from '../src/connectors/example/api.ts';
import {example} from '../src/connectors/example/index.ts';
import type {Clock} from '../src/core/clock.ts';
import type {TableConfiguration} from '../src/pipeline/spec.ts';
import {verifyRecords} from '../src/pipeline/verify-record.ts';
import type {Connector} from '../src/sdk/index.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd} from '../src/testkit/run-connector.ts';

const OPTIONS = {username: 'u', password: 'p', fault_rate: 0};
const HOUR_MS = 3_600_000;

/** The machine's clock, put forward or back. */
interface MovedClock extends Clock {
  aheadMs: number;
}

function movedClock(): MovedClock {
  const nowMs = (): number => Date.now() + clock.aheadMs;
  const clock: MovedClock = {
    aheadMs: 0,
    nowMs,
    nowMicros: () => BigInt(nowMs()) * 1000n,
    sleep: () => Promise.resolve(),
  };
  return clock;
}

let lake: TestLake;
let clock: MovedClock;
let connector: Connector;
let api: ExampleApi;

beforeEach(async () => {
  clock = movedClock();
  lake = await openTestLake(undefined, {clock});
  const base = new Date(clock.nowMs() - 10 * HOUR_MS).toISOString();
  const options = {...OPTIONS, seed: 42, ties: 1, base_time: base};
  connector = example.create({options, connectionName: 'after', clock, random: Math.random});
  api = exampleApi({connectionName: 'after', clock});
  return async () => {
    resetExampleApi('after');
    await lake[Symbol.asyncDispose]();
    await rm(lake.folder, {recursive: true, force: true});
  };
});

const run = async (
  source: string,
  configuration: Partial<TableConfiguration> = {},
  more: {readonly fullRefresh?: boolean; readonly connector?: Connector} = {},
): Promise<TestRunEnd> => {
  const end = await runConnector(lake, {
    definition: example,
    connector,
    options: OPTIONS,
    tables: [{source, destination: 't', configuration}],
    ...more,
  });
  expect(end.flows.map(({errorMessage}) => errorMessage)).toEqual([undefined]);
  return end;
};
const verdicts = (end: TestRunEnd): readonly string[] => end.verdicts.map(({verdict}) => verdict);
const last = (): ReturnType<ReturnType<typeof verifyRecords>['last']> =>
  verifyRecords(lake.context.store, 'test').last('main.test.t');
const policy = (afterSnapshot: boolean, intervalHours: number | null): Partial<TableConfiguration> => ({
  verify: {afterSnapshot, intervalHours},
});

describe('a run compares by itself', () => {
  it('after a first load and a full refresh, and not after increments', async () => {
    const first = await run('users');
    expect(verdicts(first)).toEqual(['equal']);
    expect(first.flows[0]).toMatchObject({state: 'COMPLETED', verdict: 'equal'});
    expect(await last()).toMatchObject({verdict: 'equal', version: first.verdicts[0]?.destinationVersion, rounds: 0});
    api.post('/tables/users/records', {user_id: 3, name: 'n', email: null, country: null, signed_up_on: null});
    const next = await run('users');
    expect(verdicts(next)).toEqual([]);
    expect(next.flows[0]).not.toHaveProperty('verdict');
    expect(verdicts(await run('users', {}, {fullRefresh: true}))).toEqual(['equal']);
  });

  it('after every snapshot', async () => {
    expect(verdicts(await run('products'))).toEqual(['equal']);
    expect(verdicts(await run('products'))).toEqual(['equal']);
  });

  it('not at all where it is turned off', async () => {
    expect(verdicts(await run('products', policy(false, null)))).toEqual([]);
    expect(await last()).toBeNull();
  });

  it('when the last comparison is older than the interval, or from a time that has not come', async () => {
    const daily = policy(false, 24);
    expect(verdicts(await run('users', daily))).toEqual(['equal']);
    clock.aheadMs = 23 * HOUR_MS;
    expect(verdicts(await run('users', daily))).toEqual([]);
    clock.aheadMs = 25 * HOUR_MS;
    expect(verdicts(await run('users', daily))).toEqual(['equal']);
    clock.aheadMs = 0;
    expect(verdicts(await run('users', daily))).toEqual(['equal']);
  });

  it('when the process died before the first comparison', async () => {
    await run('users', policy(false, null));
    expect(verdicts(await run('users'))).toEqual(['equal']);
  });

  it('again after rows moved meanwhile, three times at most', async () => {
    let changes = 0;
    const moving: Connector = {
      ...connector,
      async openVerify(scope, end, ctx) {
        const point = await connector.openVerify?.(scope, end, ctx);
        clock.aheadMs += 1000;
        const name = `moved ${changes++}`;
        api.post('/tables/users/records', {user_id: 3, name, email: null, country: null, signed_up_on: null});
        if (point === undefined) throw new Error('no point');
        return point;
      },
    };
    const seen: string[] = [];
    for (let round = 0; round < 5; round++) seen.push(verdicts(await run('users', {}, {connector: moving})).join());
    expect(seen).toEqual(['unproven', 'unproven', 'unproven', '', '']);
  });
});

describe('what the comparison finds', () => {
  it('is an error that everybody sees when the table is wrong, and the flow is done all the same', async () => {
    const lying: Connector = {
      ...connector,
      async openVerify(scope, end, ctx) {
        const point = await connector.openVerify?.(scope, end, ctx);
        if (point === undefined) throw new Error('no point');
        const sums = async (during: typeof ctx): ReturnType<typeof point.sums> =>
          (await point.sums(during)).map((sum) => ({...sum, sum: sum.sum + 1n}));
        return {
          token: point.token,
          excluded: [],
          sums,
          keys: (buckets, during) => hashesPlusOne(point.keys(buckets, during)),
          columnHashes: (keys, during) => point.columnHashes(keys, during),
          [Symbol.asyncDispose]: () => point[Symbol.asyncDispose](),
        };
      },
    };
    const end = await run('users', {}, {connector: lying});
    expect(end.flows[0]).toMatchObject({state: 'COMPLETED', verdict: 'different'});
    expect(end.notes).toMatchObject([{level: 'ERROR', code: 'VERIFY_DIFFERENT', flow: 'main.test.t'}]);
    expect(await last()).toMatchObject({verdict: 'different'});
  });

  it('is nothing against the table when the source fails', async () => {
    const failing: Connector = {...connector, openVerify: () => Promise.reject(new Error('gone'))};
    const end = await run('users', {}, {connector: failing});
    expect(end.flows[0]).toMatchObject({state: 'COMPLETED', verdict: 'not_comparable'});
    expect(end.notes).toMatchObject([{level: 'WARN', code: 'VERIFY_FAILED'}]);
  });

  it('is no alarm when rows were deleted in the source since they were read', async () => {
    const deleting: Connector = {
      ...connector,
      openVerify: async (scope, end, ctx) => {
        api.delete('/tables/orders/records/7');
        const point = await connector.openVerify?.(scope, end, ctx);
        if (point === undefined) throw new Error('no point');
        return point;
      },
    };
    const [verdict] = (await run('orders', {}, {connector: deleting})).verdicts;
    expect(verdict).toMatchObject({verdict: 'unproven', extra: 1, extraReason: 'maybe_deleted_since'});
    expect(verdicts(await run('orders'))).toEqual(['equal']);
  });
});

async function* hashesPlusOne(
  pages: AsyncIterable<readonly {readonly key: readonly (string | null)[]; readonly hash: bigint}[]>,
): AsyncGenerator<readonly {readonly key: readonly (string | null)[]; readonly hash: bigint}[], void> {
  for await (const rows of pages) yield rows.map(({key, hash}) => ({key, hash: hash + 1n}));
}

describe('a connector that cannot be compared', () => {
  it('says so only where a schedule asks for it', async () => {
    const {openVerify: _, ...silent} = connector;
    expect((await run('users', {}, {connector: silent})).notes).toEqual([]);
    const end = await run('users', policy(true, 24), {connector: silent});
    expect(end.notes).toMatchObject([{level: 'WARN', code: 'VERIFY_UNSUPPORTED'}]);
    expect(end.verdicts).toEqual([]);
  });
});
