import {afterAll, beforeAll, beforeEach, describe, expect, inject, it} from 'vitest';

import {createDatabase, type TestDatabase} from '../../../test/pg-database.ts';
import {testContext} from '../../../test/read-context.ts';
import {systemClock} from '../../core/clock.ts';
import type {VerifyPoint} from '../../sdk/index.ts';
import {postgresql} from './index.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase(inject('pgUrl'), 'pg_verify_view');
});
afterAll(() => database[Symbol.asyncDispose]());
beforeEach(() =>
  database.run(`drop schema public cascade; create schema public; create table t (id int primary key) partition by range (id);
    create table low partition of t for values from (0) to (100); create table high partition of t for values from (100) to (200);
    insert into t select i from generate_series(1, 150) i`),
);

describe('the view of a comparison', () => {
  it.each([
    ['empties the table', 'truncate t'],
    ['empties a part of it', 'truncate high'],
    ['makes another table of that name', 'alter table t rename to old; create table t (id int primary key)'],
  ])('keeps nobody waiting who %s before rows are read, and says that there is nothing to compare', async (_, sql) => {
    await using view = await openView();
    await database.run(`set lock_timeout = '5s'; ${sql}`);
    await expect(view.sums(testContext())).rejects.toMatchObject({
      code: 'SOURCE_ERROR',
      message: 'Cannot verify table "public.t": it was emptied or made anew meanwhile.',
    });
  });

  it('keeps the rows that it saw, whatever is written, and keeps the table as it is once they are read', async () => {
    await using view = await openView();
    await database.run('delete from t where id > 10');
    const sums = await view.sums(testContext());
    expect(sums.reduce((sum, {count}) => sum + count, 0n)).toBe(150n);
    await expect(database.run(`set lock_timeout = '100ms'; truncate t`)).rejects.toThrow('lock timeout');
  });
});

async function openView(): Promise<VerifyPoint> {
  const connector = postgresql.create({
    options: database.options,
    connectionName: 'verify',
    clock: systemClock,
    random: Math.random,
  });
  const columns = [{name: 'id', type: 'integer'}] as const;
  const scope = {table: 'public.t', options: {}, columns, keys: ['id'], buckets: 16};
  const view = await connector.openVerify?.(scope, null, testContext());
  if (view === undefined) throw new Error('no view');
  return view;
}
