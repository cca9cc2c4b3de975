import {rm} from 'node:fs/promises';

import {afterEach, beforeEach, expect, test} from 'vitest';

import {long, struct} from '../core/schema.ts';
import type {Connector} from '../sdk/contract.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd} from '../testkit/run-connector.ts';
import {scriptedConnector} from '../testkit/scripted-connector.ts';

let lake: TestLake;

beforeEach(async () => {
  lake = await openTestLake();
});

afterEach(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

/** Twelve partitions of two pages; a partition ends when all that may be open have begun. */
function source(
  parallelHere: number | undefined,
  readsPartitionsHere = false,
): {
  readonly run: () => Promise<TestRunEnd>;
  readonly most: () => number;
  readonly warmed: () => number;
} {
  let open = 0;
  let warmed = 0;
  let most = 0;
  const table = {
    schema: struct({id: long(), at: long()}),
    ingestionType: 'cdc' as const,
    primaryKeys: ['id'],
    cursorField: 'at',
    read: () => ({pages: [], end: null}),
  };
  const scripted = scriptedConnector({t: table});
  const connector: Connector = {
    ...scripted.connector,
    readsPartitionsHere,
    isPartitioned: () => true,
    latestOffset: () => Promise.resolve({n: 1}),
    getPartitions: () =>
      Promise.resolve({
        volatile: false,
        partitions: Array.from({length: 12}, (_, at) => ({at})),
        ...(parallelHere === undefined ? {} : {parallelHere}),
      }),
    async *readPartition(_table, {at}) {
      open++;
      most = Math.max(most, open);
      await new Promise((resolve) => setTimeout(resolve, 5));
      try {
        yield [{id: Number(at) * 2, at: 1}];
        yield [{id: Number(at) * 2 + 1, at: 1}];
      } finally {
        open--;
      }
    },
  };
  return {
    run: () => runConnector(lake, {...scripted, connector, tables: [{source: 't'}], onWarm: () => warmed++}),
    most: () => most,
    warmed: () => warmed,
  };
}

test('partitions that may be read at once in this process are, up to their number', async () => {
  const {run, most} = source(5);
  expect(await run()).toMatchObject({state: 'COMPLETED', flows: [{rowsRead: 24, rowsInserted: 24}]});
  expect(most()).toBe(5);
});

test('partitions that say nothing are read one after the other', async () => {
  const {run, most, warmed} = source(undefined);
  expect(await run()).toMatchObject({state: 'COMPLETED', flows: [{rowsInserted: 24}]});
  expect(most()).toBe(1);
  expect(warmed()).toBe(1);
});

test('no processes are started ahead for a connector that reads all its partitions in this one', async () => {
  const {run, warmed} = source(5, true);
  expect(await run()).toMatchObject({state: 'COMPLETED', flows: [{rowsInserted: 24}]});
  expect(warmed()).toBe(0);
});
