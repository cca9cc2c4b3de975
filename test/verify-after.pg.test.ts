import {rm} from 'node:fs/promises';

import {afterAll, beforeAll, beforeEach, describe, expect, inject, it} from 'vitest';

import {postgresql} from '../src/connectors/postgresql/index.ts';
import type {TableConfiguration} from '../src/pipeline/spec.ts';
import type {Connector} from '../src/sdk/index.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd} from '../src/testkit/run-connector.ts';
import type {TestDatabase} from './pg-database.ts';
import {createDatabase} from './pg-database.ts';

let database: TestDatabase;
let lake: TestLake;

beforeAll(async () => {
  database = await createDatabase(inject('pgUrl'), 'pg_verify_after');
});
afterAll(() => database[Symbol.asyncDispose]());
beforeEach(async () => {
  await database.run(
    `drop schema public cascade; create schema public;
     create table t (id bigint primary key, at timestamptz not null, name text);
     insert into t select i, timestamptz '2024-01-01' + i * interval '1 second', 'name ' || i from generate_series(1, 5000) i`,
  );
  lake = await openTestLake();
  return async () => {
    await lake[Symbol.asyncDispose]();
    await rm(lake.folder, {recursive: true, force: true});
  };
});

/** Runs a first load during which the source goes on: rows come, change and go once they are read. */
async function loadWhileMoving(configuration: Partial<TableConfiguration>, sql: string): Promise<TestRunEnd> {
  const {context} = lake;
  const inner = postgresql.create({
    options: database.options,
    connectionName: 'after',
    clock: context.clock,
    random: Math.random,
  });
  const getPartitions: Connector['getPartitions'] = async (...args) => {
    const plan = await inner.getPartitions?.(...args);
    if (plan === undefined) throw new Error('no plan');
    const close = async (): Promise<void> => {
      await plan[Symbol.asyncDispose]?.();
      await database.run(sql);
    };
    return {...plan, [Symbol.asyncDispose]: close};
  };
  const moving = new Proxy(inner, {
    get(target, name: keyof Connector): unknown {
      const own = target[name];
      if (name === 'getPartitions') return getPartitions;
      return typeof own === 'function' ? own.bind(target) : own;
    },
  });
  try {
    return await runConnector(lake, {
      definition: postgresql,
      connector: moving,
      options: database.options,
      tables: [{source: 'public.t', destination: 't', configuration}],
    });
  } finally {
    await inner.close?.();
  }
}

const MOVES = `delete from t where id <= 10; update t set name = 'new', at = now() where id between 11 and 20;
  update t set name = 'same time' where id between 21 and 30; insert into t select i, now(), 'late' from generate_series(9001, 9010) i`;

describe('a first load is compared at the snapshot that it read', () => {
  it.each([
    ['as a snapshot', {}],
    ['up to a cursor', {cursorColumns: ['at']}],
    ['as a history', {cursorColumns: ['at'], scdType: 'SCD_TYPE_2'}],
  ] as const)('%s, whatever moves meanwhile', async (_, configuration) => {
    const end = await loadWhileMoving(configuration, MOVES);
    expect(end.flows.map(({errorMessage}) => errorMessage)).toEqual([undefined]);
    expect(end.verdicts).toMatchObject([{verdict: 'equal', reason: null, sourceRows: 5000, unproven: 0}]);
  });

  it('and at one of later where its keys are scanned, which knows what moved', async () => {
    const configuration = {cursorColumns: ['at'], hardDeletionSyncMinIntervalSeconds: 0};
    const [verdict] = (await loadWhileMoving(configuration, 'delete from t where id <= 10')).verdicts;
    expect(verdict).toMatchObject({verdict: 'equal', sourceRows: 4990});
  });
});
